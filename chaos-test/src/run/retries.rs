//! Retries as links saw them: whose, in which window, and judging them.

use std::sync::Arc;
use std::time::Duration;

use crate::decide::retries::{HasTried, RetryTolerance, Token, Tried};
use crate::error::{Error, Kind};
use crate::model::attempt::{Attempt, Kept};
use crate::model::evidence::{Evidence, Shows};
use crate::model::sample::Window;
use crate::model::target::Target;
use crate::model::units::human;

use super::engine;
use super::guard::During;
use super::inner::Inner;
use super::judging::Judging;
use super::monitor::Monitor;

/// What clients try at the links of a target; made by
/// [`ChaosContext::retries`](crate::ChaosContext::retries).
///
/// ```no_run
/// # async fn body(chaos: &chaos_test::ChaosContext, cache: &chaos_test::Service, requests: &chaos_test::Monitor) -> chaos_test::Result {
/// use chaos_test::prelude::*;
/// use chaos_test::{attempts, link};
/// let outage = chaos.during(link::down(cache), async |_| requests.over(secs(20)).await).await?;
/// let seen = chaos.retries(cache).calls(requests).under(&outage).await?;
/// seen.expect(attempts().at_most(4)).check()?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
#[must_use = "say in which window, with `between` or `under`"]
pub struct Retries {
    inner: Arc<Inner>,
    targets: Vec<Target>,
    monitors: Vec<Monitor>,
}

impl std::fmt::Debug for Retries {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Retries")
            .field("targets", &self.targets)
            .field("monitors", &self.monitors)
            .finish_non_exhaustive()
    }
}

impl Retries {
    pub(super) fn new(inner: Arc<Inner>, targets: Vec<Target>) -> Self {
        Self {
            inner,
            targets,
            monitors: Vec::new(),
        }
    }

    /// The calls that lead to these attempts are the samples of a monitor; of several, where it
    /// is called more than once.
    ///
    /// How many attempts a call makes and how they are spaced can only be told where no two calls
    /// are under way at the same time: the monitor's interval must be longer than a call takes
    /// with all its retries. Amplification can be told in any case.
    pub fn calls(mut self, monitor: &Monitor) -> Self {
        self.monitors.push(monitor.clone());
        self
    }

    /// What was tried from one instant to another, once that is over and the calls that were
    /// under way in it are answered.
    ///
    /// ```no_run
    /// # async fn body(chaos: &chaos_test::ChaosContext, cache: &chaos_test::Service, requests: &chaos_test::Monitor) -> chaos_test::Result {
    /// use chaos_test::{amplification, secs};
    /// let from = chaos.now();
    /// requests.over(secs(5)).await?;
    /// let normal = chaos.retries(cache).calls(requests).between(from, chaos.now()).await?;
    /// normal.expect(amplification().at_most(1.0)).check()?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// If the target has no link, or the context ends meanwhile.
    pub async fn between(
        &self,
        from: impl Into<Duration>,
        to: impl Into<Duration>,
    ) -> Result<RetriesSeen, Error> {
        let window = Window {
            from: from.into(),
            to: to.into(),
        };
        let (mut calls, mut unsent) = (Vec::new(), 0);
        for monitor in &self.monitors {
            unsent += monitor.between(window.from, window.to).await?.unsent;
            // Those that were sent before it and wait for their answers lead to attempts, too.
            let all = monitor.between(Duration::ZERO, window.to).await?;
            let spans = all.samples.iter().map(|sample| Window {
                from: sample.sent,
                to: sample.answered(),
            });
            calls.extend(spans.filter(|call| call.to > window.from && call.from < window.to));
        }
        let retries = self.clone();
        engine::run_on(engine::own(), async move {
            let inner = &retries.inner;
            let _call = inner.enter().await?;
            let to = inner.window_ends(window.to, Duration::ZERO);
            let window = Window {
                from: window.from.min(to),
                to,
            };
            let end = tokio::time::Instant::from_std(inner.recorder.started() + window.to);
            tokio::select! {
                () = tokio::time::sleep_until(end) => {}
                ended = inner.until_ended() => return Err(ended),
            }
            Ok(RetriesSeen {
                of: retries.name(),
                tried: Tried {
                    window: Some(window),
                    kept: retries.kept()?,
                    calls: (!retries.monitors.is_empty()).then_some(calls),
                    unsent,
                },
                window,
                inner: Arc::clone(inner),
            })
        })
        .await
    }

    /// What was tried while the fault of a [`during`](crate::ChaosContext::during) was in force.
    ///
    /// # Errors
    ///
    /// As for [`between`](Self::between).
    pub async fn under<T>(&self, outage: &During<T>) -> Result<RetriesSeen, Error> {
        self.between(outage.injected(), outage.lifted()).await
    }

    fn kept(&self) -> Result<Kept, Error> {
        let world = &self.inner.world;
        let links: Vec<_> = self
            .targets
            .iter()
            .flat_map(|target| world.links_of(target))
            .collect();
        if links.is_empty() {
            return Err(Error::new(
                Kind::Usage,
                format!("{} has no link that could have seen retries", self.name()),
            )
            .help("name a service with a port, or one of its links"));
        }
        let started = self.inner.recorder.started();
        Ok(Kept::all(links.iter().map(|link| link.attempts(started))))
    }

    fn name(&self) -> String {
        let targets: Vec<_> = self.targets.iter().map(Target::to_string).collect();
        targets.join(", ")
    }
}

/// What clients tried in a window.
///
/// ```no_run
/// # async fn body(chaos: &chaos_test::ChaosContext, cache: &chaos_test::Service, outage: &chaos_test::During<()>) -> chaos_test::Result {
/// let seen = chaos.retries(cache).under(outage).await?;
/// for attempt in seen.attempts() {
///     println!("connection {} at {:?}, answered: {}", attempt.connection, attempt.began, attempt.answered);
/// }
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct RetriesSeen {
    of: String,
    window: Window,
    tried: Tried,
    inner: Arc<Inner>,
}

impl std::fmt::Debug for RetriesSeen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RetriesSeen")
            .field("of", &self.of)
            .field("tried", &self.tried)
            .finish_non_exhaustive()
    }
}

impl RetriesSeen {
    /// The attempts that began in the window, in the order of time; as far as they are kept, which
    /// is the latest 65536 of each link. A connection on which nothing was sent yet is none.
    #[must_use]
    pub fn attempts(&self) -> Vec<Attempt> {
        self.tried.within(self.window).copied().collect()
    }

    /// Expects something of them; judged by [`RetryExpectations::check`].
    ///
    /// See [`RetryExpectations`] for an example.
    #[track_caller]
    pub fn expect(self, tolerance: RetryTolerance) -> RetryExpectations {
        let judging = Judging::until(Arc::clone(&self.inner), self.window.to);
        let expectations = RetryExpectations {
            seen: self,
            judging,
        };
        expectations.expect(tolerance)
    }
}

#[allow(private_interfaces, reason = "nobody else can call it")]
impl HasTried for RetriesSeen {
    fn tried(&self, _: Token) -> Tried {
        self.tried.clone()
    }
}

/// What is expected of some retries; judged all together by [`check`](Self::check).
///
/// Where they are dropped without it the test cannot pass: it says that they were never
/// judged.
///
/// ```no_run
/// # fn body(seen: chaos_test::RetriesSeen) -> chaos_test::Result {
/// use chaos_test::{attempts, jitter, ms, percent, spacing};
/// seen.expect(attempts().at_most(4)) // of one call
///     .expect(spacing().at_least(ms(10)))
///     .expect(spacing().grows_by(2.0).within(percent(20)))
///     .expect(jitter().at_least(percent(10)))
///     .check()?;
/// # Ok(()) }
/// ```
#[derive(Debug)]
#[must_use = "nothing is judged until `check` is called"]
pub struct RetryExpectations {
    seen: RetriesSeen,
    judging: Judging,
}

impl RetryExpectations {
    /// Expects one thing more.
    #[track_caller]
    pub fn expect(mut self, tolerance: RetryTolerance) -> Self {
        let mut judgement = tolerance.judge(&self.seen.tried);
        for measure in &mut judgement.measured {
            measure.of = vec![self.seen.of.clone()];
        }
        judgement.what = format!(
            "{} at {} over {}",
            judgement.what,
            self.seen.of,
            human(self.seen.window.length())
        );
        let attempts = self.seen.tried.within(self.seen.window).count();
        judgement.evidence = vec![Evidence::new(
            &self.seen.of,
            self.seen.window,
            attempts,
            Shows::Attempts,
        )];
        self.judging.add(judgement);
        self
    }

    /// Judges all of them and reports every miss.
    ///
    /// The judgement stands: a miss fails the test even if the error is swallowed.
    ///
    /// # Errors
    ///
    /// If at least one is missed ([`Error::is_deviation`]), or cannot be told
    /// ([`Error::is_no_data`]).
    #[track_caller]
    pub fn check(self) -> Result<(), Error> {
        self.judging.check()
    }
}
