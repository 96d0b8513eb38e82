//! What a recovery came to.

use std::time::Duration;

use crate::decide::recovery::Trouble;
use crate::model::units::human;

/// How a system under test came back.
///
/// ```no_run
/// # async fn body(requests: &chaos_test::Monitor, normal: &chaos_test::Baseline, lifted: chaos_test::Moment) -> chaos_test::Result {
/// let recovery = requests.recovers_to(normal).since(lifted).await?;
/// if recovery.was_degraded() {
///     println!("after {:?}, {} samples lost", recovery.time(), recovery.lost());
/// }
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recovery {
    pub(super) took: Duration,
    pub(super) degraded: bool,
    pub(super) first_success: Duration,
    pub(super) outage: Option<Duration>,
    pub(super) lost: usize,
    pub(super) throughput_back: Option<Duration>,
}

impl Recovery {
    /// What stands in its place in a dry run.
    pub(in crate::run) const NOT_JUDGED: Self = Self {
        took: Duration::ZERO,
        degraded: false,
        first_success: Duration::ZERO,
        outage: None,
        lost: 0,
        throughput_back: None,
    };

    /// Full recovery: from the named instant to the first sample of the steady row.
    #[must_use]
    pub fn time(&self) -> Duration {
        self.took
    }

    /// Whether the system was out of its steady state at all, under the latest fault before the
    /// named instant or since then: a sample failed, or several in a row were late. Where the
    /// baseline has failures, it takes more of them than it explains. Where it was
    /// not, there was nothing to recover from, and the time says nothing.
    #[must_use]
    pub fn was_degraded(&self) -> bool {
        self.degraded
    }

    /// From the named instant to the first sample that succeeded, however slow it was.
    ///
    /// ```no_run
    /// # async fn body(requests: &chaos_test::Monitor, normal: &chaos_test::Baseline, lifted: chaos_test::Moment) -> chaos_test::Result {
    /// use chaos_test::{percent, secs};
    /// let recovery = requests.recovers_to(normal).since(lifted).throughput_back_within(secs(10), percent(10)).await?;
    /// println!("first success after {:?}, full recovery after {:?}", recovery.first_success(), recovery.time());
    /// println!("throughput back after {:?}, away for {:?}", recovery.throughput_back(), recovery.outage());
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn first_success(&self) -> Duration {
        self.first_success
    }

    /// From the first sample that was out of steady state, since the latest fault before the
    /// named instant was about to be applied, to full recovery. None where it never degraded.
    ///
    /// See [`first_success`](Self::first_success) for an example.
    #[must_use]
    pub fn outage(&self) -> Option<Duration> {
        self.outage
    }

    /// How many samples failed in that time.
    #[must_use]
    pub fn lost(&self) -> usize {
        self.lost
    }

    /// From the named instant to the first row of samples in which throughput was back, where
    /// [`throughput_back_within`](crate::Recovers::throughput_back_within) asked for it.
    ///
    /// See [`first_success`](Self::first_success) for an example.
    #[must_use]
    pub fn throughput_back(&self) -> Option<Duration> {
        self.throughput_back
    }

    /// In words, for a judgement.
    pub(super) fn told(&self, trouble: &Trouble, waiting: usize, fault: &Option<String>) -> String {
        let Some(outage) = self.outage else {
            let since = match fault {
                Some(fault) => format!("since \"{fault}\" was injected"),
                None => "since then".to_owned(),
            };
            let mut but = Vec::new();
            match trouble.out - trouble.failed + waiting {
                0 => {}
                late => but.push(format!("{late} single late ones")),
            }
            match trouble.failed {
                0 => {}
                failed => but.push(format!("{failed} failures, as the baseline has some")),
            }
            let but = match but.as_slice() {
                [] => String::new(),
                but => format!(", but for {}", but.join(" and ")),
            };
            return format!(
                "never degraded: all {} samples {since} were steady{but}",
                trouble.seen + waiting
            );
        };
        let waiting = match waiting {
            0 => String::new(),
            waiting => format!(", {waiting} more not answered yet"),
        };
        format!(
            "after {}; first success after {}; out of steady state for {}, {} of {} samples \
             lost{waiting}",
            human(self.took),
            human(self.first_success),
            human(outage),
            self.lost,
            trouble.seen,
        )
    }
}
