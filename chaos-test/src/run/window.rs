//! Looking at what monitors saw: baselines, windows, and what is expected of them.

use std::sync::Arc;

use crate::decide::recovery::Steady;
use crate::decide::statistics::Summary;
use crate::decide::tolerance::{BaselineSummary, Judgement, Tolerance};
use crate::error::Error;
use crate::model::sample::{Sample, Window};
use crate::model::units::human;
use crate::system::lock::lock;

use super::inner::Inner;
use super::judging::Judging;

/// What is normal: the samples of a monitor while nothing was broken.
///
/// ```no_run
/// # async fn body(requests: &chaos_test::Monitor) -> chaos_test::Result {
/// use chaos_test::prelude::*;
/// let normal = requests.baseline(secs(2)).await?;
/// // ..
/// let seen = requests.over(secs(2)).await?;
/// seen.expect(throughput().drops_at_most(percent(10)).from(&normal)).check()?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct Baseline {
    pub(super) summary: Arc<Summary>,
    pub(super) samples: Arc<[Sample]>,
    pub(super) steady: Steady,
}

impl Baseline {
    /// The samples themselves.
    ///
    /// See [`Monitor::baseline`](crate::Monitor::baseline) for an example.
    #[must_use]
    pub fn samples(&self) -> &[Sample] {
        &self.samples
    }
}

impl BaselineSummary for Baseline {
    fn summary(&self) -> Arc<Summary> {
        Arc::clone(&self.summary)
    }
}

impl std::fmt::Display for Baseline {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.summary.in_words())
    }
}

/// The samples of a monitor in a window of time.
///
/// ```no_run
/// # async fn body(requests: &chaos_test::Monitor) -> chaos_test::Result {
/// use chaos_test::prelude::*;
/// let seen = requests.over(secs(2)).await?;
/// let failed = seen.samples().iter().filter(|sample| !sample.reading.is_good()).count();
/// seen.expect(error_rate().at_most(percent(1))).check()?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Samples {
    pub(super) monitor: String,
    /// Its name, and that of the service that it asks.
    pub(super) names: Vec<String>,
    /// The faults that were in force when the window was asked for.
    pub(super) under: Vec<String>,
    pub(super) window: Window,
    pub(super) samples: Vec<Sample>,
    /// How many more were due and could not be sent.
    pub(super) unsent: usize,
    pub(super) inner: Arc<Inner>,
}

impl std::fmt::Debug for Samples {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Samples")
            .field("monitor", &self.monitor)
            .field("window", &self.window)
            .field("samples", &self.samples)
            .finish_non_exhaustive()
    }
}

impl Samples {
    /// The samples themselves, in the order of their intended times.
    #[must_use]
    pub fn samples(&self) -> &[Sample] {
        &self.samples
    }

    /// Expects something of them; judged by [`Expectations::check`].
    #[track_caller]
    pub fn expect(self, tolerance: Tolerance) -> Expectations {
        let judging = Judging::until(Arc::clone(&self.inner), self.window.to);
        let expectations = Expectations {
            samples: self,
            judging,
        };
        expectations.expect(tolerance)
    }

    pub(super) fn summary(&self) -> Summary {
        Summary::of(&self.samples, self.window).with_unsent(self.unsent)
    }
}

/// What is expected of some samples; judged all together by [`check`](Self::check).
///
/// Where they are dropped without it the test cannot pass: it says that they were never
/// judged.
///
/// ```no_run
/// # async fn body(requests: &chaos_test::Monitor) -> chaos_test::Result {
/// use chaos_test::prelude::*;
/// let seen = requests.over(secs(2)).await?;
/// let judged = seen.expect(error_rate().at_most(percent(1))).expect(latency(P99).at_most(secs(1))).check();
/// assert!(judged.is_ok_and(|()| true)); // if not, the error says all that was missed
/// # Ok(()) }
/// ```
#[derive(Debug)]
#[must_use = "nothing is judged until `check` is called"]
pub struct Expectations {
    samples: Samples,
    judging: Judging,
}

impl Expectations {
    /// Expects one thing more.
    #[track_caller]
    pub fn expect(mut self, tolerance: Tolerance) -> Self {
        let judgement = self.judgement(&tolerance);
        self.judging.add(judgement);
        self
    }

    /// Judges all of them and reports every miss.
    ///
    /// The judgement stands: a miss fails the test even if the error is swallowed.
    ///
    /// # Errors
    ///
    /// If at least one is missed ([`Error::is_deviation`]), or cannot be judged for want
    /// of data ([`Error::is_no_data`]).
    #[track_caller]
    pub fn check(self) -> Result<(), Error> {
        self.judging.check()
    }

    fn judgement(&self, tolerance: &Tolerance) -> Judgement {
        let under = match self.samples.under.as_slice() {
            [] => String::new(),
            faults => format!(" under \"{}\"", faults.join("\", \"")),
        };
        let mut judgement = tolerance.judge(&self.samples.summary());
        for measure in &mut judgement.measured {
            measure.of.clone_from(&self.samples.names);
        }
        let monitors = lock(&self.samples.inner.monitors);
        let watcher = monitors
            .iter()
            .find(|watcher| watcher.name == self.samples.monitor);
        if let Some(watcher) = watcher {
            let evidence = watcher.evidence(self.samples.window, self.samples.samples.len());
            judgement.evidence = vec![tolerance.evidence(evidence)];
        }
        drop(monitors);
        judgement.what = format!(
            "{} of {} over {}{under}",
            judgement.what,
            self.samples.monitor,
            human(self.samples.window.length()),
        );
        judgement
    }
}
