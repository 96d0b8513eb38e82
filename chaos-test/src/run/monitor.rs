//! Monitors: a probe asked at a steady pace in the background, and what it saw.

mod watcher;

use std::sync::Arc;
use std::time::Duration;

use crate::decide::tolerance::Tolerance;
use crate::error::Error;
use crate::model::event::Event;
use crate::model::sample::Window;
use crate::system::Ledger;
use crate::system::lock::lock;

use super::checks::Must;
use super::degrading::DegradesThenRecovers;
use super::engine;
use super::inner::Inner;
use super::invariants::Invariant;
use super::recovery::Recovers;
use super::window::{Baseline, Samples};

pub(super) use watcher::Watcher;

/// A probe that is asked at its pace until the context ends.
///
/// A cheap handle; the asking goes on if it is dropped. Samples are sent when they are due
/// whether earlier ones have been answered or not (an "open loop"), and their latency
/// counts from then, so that a stall is seen in full.
///
/// ```no_run
/// # async fn body(chaos: &chaos_test::ChaosContext, shop: &chaos_test::Service) -> chaos_test::Result {
/// use chaos_test::prelude::*;
/// let requests = chaos.monitor(shop.connect().every(ms(20)));
/// let normal = requests.baseline(secs(2)).await?;
/// let seen = requests.over(secs(2)).await?;
/// seen.expect(latency(P95).at_most(ms(250))).check()?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Monitor {
    pub(super) watcher: Arc<Watcher>,
    pub(super) inner: Arc<Inner>,
}

impl std::fmt::Debug for Monitor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Monitor")
            .field("name", &self.watcher.name)
            .finish_non_exhaustive()
    }
}

impl Monitor {
    /// What it is called in reports.
    ///
    /// ```no_run
    /// # async fn body(chaos: &chaos_test::ChaosContext, shop: &chaos_test::Service) -> chaos_test::Result {
    /// use chaos_test::prelude::*;
    /// let requests = chaos.monitor(shop.connect().every(ms(20)).named("customers"));
    /// assert_eq!(requests.name(), "customers");
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn name(&self) -> &str {
        &self.watcher.name
    }

    /// Looks at the next `length` of time as what is normal.
    ///
    /// The monitor is looked at once more after rollback: the test fails if it is not back
    /// to what this baseline saw.
    ///
    /// ```no_run
    /// # async fn body(requests: &chaos_test::Monitor) -> chaos_test::Result {
    /// use chaos_test::prelude::*;
    /// let normal = requests.baseline(secs(2)).await?;
    /// let slowest = normal.samples().iter().map(|sample| sample.latency).max();
    /// println!("{slowest:?}");
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// If no sample was due, some could not be sent, or more of them failed than
    /// [`steady_error_rate`](crate::Pace::steady_error_rate) allows: then the steady state does
    /// not hold before anything was broken, and nothing can be concluded
    /// ([`Error::is_not_steady`]).
    pub async fn baseline(&self, length: Duration) -> Result<Baseline, Error> {
        let (from, name) = (self.inner.recorder.now(), &self.watcher.name);
        let what = format!("baseline of {name}");
        let samples = self.look(from, from + length, what).await?;
        let baseline = self.watcher.judge_baseline(&samples)?;
        *lock(&self.watcher.baseline) = Some(baseline.clone());
        let recorder = &self.inner.recorder;
        recorder.record(Event::Baseline {
            monitor: self.watcher.name.clone(),
            window: samples.window,
            summary: baseline.to_string(),
        });
        Ok(baseline)
    }

    /// Waits for `length`, and for the answers to all samples that were due in it.
    ///
    /// ```no_run
    /// # async fn body(chaos: &chaos_test::ChaosContext, cache: &chaos_test::Service, requests: &chaos_test::Monitor) -> chaos_test::Result {
    /// use chaos_test::prelude::*;
    /// use chaos_test::process;
    /// let hang = chaos.inject(process::stop(cache)).await?;
    /// let seen = requests.over(secs(2)).await?;
    /// hang.lift().await?;
    /// seen.expect(availability().at_least(percent(99))).check()?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// If the context ends meanwhile.
    pub async fn over(&self, length: Duration) -> Result<Samples, Error> {
        let from = self.inner.recorder.now();
        self.between(from, from + length).await
    }

    /// The samples that were due from one instant to another, once all are answered.
    ///
    /// Instants are durations since the context started, as [`Moment`](crate::Moment)s are.
    ///
    /// A sample that the monitor could not send, because it did not keep its pace, is not
    /// among them; judging them is then judging without data.
    ///
    /// ```no_run
    /// # async fn body(chaos: &chaos_test::ChaosContext, requests: &chaos_test::Monitor) -> chaos_test::Result {
    /// use chaos_test::prelude::*;
    /// let before = chaos.now();
    /// // ..
    /// let seen = requests.between(before, chaos.now()).await?;
    /// seen.expect(error_rate().at_most(percent(1))).check()?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// If the context ends meanwhile.
    pub async fn between(
        &self,
        from: impl Into<Duration>,
        to: impl Into<Duration>,
    ) -> Result<Samples, Error> {
        let what = format!("watching {}", self.watcher.name);
        self.look(from.into(), to.into(), what).await
    }

    async fn look(&self, from: Duration, to: Duration, what: String) -> Result<Samples, Error> {
        let window = Window { from, to };
        let monitor = self.clone();
        engine::run_on(engine::own(), async move {
            let _call = monitor.inner.enter().await?;
            let _going = monitor.inner.going(what);
            monitor.watcher.refuse_unusable()?;
            let under = monitor.inner.faults_in_force();
            let to = monitor
                .inner
                .window_ends(window.to, monitor.watcher.interval);
            let window = Window {
                from: window.from.min(to),
                to,
            };
            let (samples, unsent) = monitor.watcher.answered(window, &monitor.inner).await?;
            Ok(Samples {
                monitor: monitor.watcher.name.clone(),
                names: monitor.watcher.names(),
                under,
                window,
                samples,
                unsent,
                inner: Arc::clone(&monitor.inner),
            })
        })
        .await
    }

    /// Waits until the system under test is back to what a baseline saw, and judges how
    /// long that took; see [`Recovers`].
    ///
    /// ```no_run
    /// # async fn body(requests: &chaos_test::Monitor, normal: &chaos_test::Baseline, lifted: chaos_test::Moment) -> chaos_test::Result {
    /// use chaos_test::prelude::*;
    /// let recovery = requests
    ///     .recovers_to(normal)
    ///     .since(lifted)
    ///     .within(secs(5))
    ///     .in_a_row(5)
    ///     .allowing(1) // one of them late, as on a busy machine
    ///     .first_success_within(secs(1))
    ///     .throughput_back_within(secs(10), percent(10))
    ///     .await?;
    /// println!("{:?}, {} samples lost", recovery.outage(), recovery.lost());
    /// # Ok(()) }
    /// ```
    #[must_use = "say since when and within what, then await it"]
    #[track_caller]
    pub fn recovers_to(&self, baseline: &Baseline) -> Recovers {
        Recovers::new(self.clone(), baseline)
    }

    /// Expects a fault to be felt, and the system to be back afterwards; see
    /// [`DegradesThenRecovers`].
    ///
    /// ```no_run
    /// # async fn body(chaos: &chaos_test::ChaosContext, cache: &chaos_test::Service, requests: &chaos_test::Monitor, normal: &chaos_test::Baseline) -> chaos_test::Result {
    /// use chaos_test::prelude::*;
    /// use chaos_test::process;
    /// let outage = chaos.during(process::stop(cache), async |_| requests.over(secs(2)).await).await?;
    /// requests
    ///     .degrades_then_recovers(normal)
    ///     .under(&outage)
    ///     .by(throughput().at_most_share(percent(50)).of(normal))
    ///     .within(secs(5))
    ///     .await?;
    /// # Ok(()) }
    /// ```
    #[must_use = "say under which fault and within what, then await it"]
    #[track_caller]
    pub fn degrades_then_recovers(&self, baseline: &Baseline) -> DegradesThenRecovers {
        DegradesThenRecovers::new(self.clone(), baseline)
    }

    /// Something that must hold at certain times of the test; say when, and pass it to
    /// [`ChaosContext::check`](crate::ChaosContext::check).
    ///
    /// See [`Must`] for an example.
    #[track_caller]
    pub fn must(&self, tolerance: Tolerance) -> Must {
        Must::new(self.clone(), tolerance)
    }

    /// Something that every single sample must keep from now on: each is judged as a window of
    /// its own; see [`Invariant`].
    ///
    /// ```no_run
    /// # async fn body(requests: &chaos_test::Monitor) -> chaos_test::Result {
    /// use chaos_test::prelude::*;
    /// requests.always(latency(P99).at_most(secs(1)));
    /// # Ok(()) }
    /// ```
    ///
    /// # Panics
    ///
    /// If no single sample can be judged by it: a throughput, or a comparison with a baseline.
    #[track_caller]
    pub fn always(&self, tolerance: Tolerance) -> Invariant {
        Invariant::of(self, tolerance)
    }
}
