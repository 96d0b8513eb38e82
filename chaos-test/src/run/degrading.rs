//! "Degrades, then recovers" as one assertion.

use std::future::IntoFuture;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use crate::decide::phases::phases;
use crate::decide::recovery::Trouble;
use crate::decide::statistics::Summary;
use crate::decide::tolerance::{Judgement, Tolerance, unsent};
use crate::error::{Error, Kind};
use crate::model::event::Met;
use crate::model::sample::{Sample, Window};
use crate::model::units::human;
use crate::system::lock::lock;

use super::dry;
use super::engine;
use super::guard::{During, Injection};
use super::inner::Inner;
use super::judging::{conclude, record, unjudged};
use super::monitor::Monitor;
use super::recovery::{Recovers, Recovery};
use super::window::Baseline;

/// The time of one fault: its guard, or what came of a block under it.
///
/// ```
/// use chaos_test::{Baseline, DegradesThenRecovers, Faulted, Monitor, secs};
///
/// /// Whatever was broken, and however: it was felt, and is over soon.
/// fn soon_over(requests: &Monitor, normal: &Baseline, fault: &impl Faulted) -> DegradesThenRecovers {
///     requests.degrades_then_recovers(normal).under(fault).within(secs(5))
/// }
/// ```
pub trait Faulted {
    /// The fault's entry in the rollback.
    #[doc(hidden)]
    fn entry(&self) -> u64;
}

impl Faulted for Injection {
    fn entry(&self) -> u64 {
        self.fault.entry
    }
}

impl<T> Faulted for During<T> {
    fn entry(&self) -> u64 {
        self.entry
    }
}

/// Expects a fault to be felt, and the system to be back afterwards; made by
/// [`Monitor::degrades_then_recovers`]. Await it.
///
/// It has degraded where a sample that was due between the fault's beginning and its lifting
/// failed, or as many in a row were late as make a recovery. Where the baseline has failures of
/// its own ([`steady_error_rate`](crate::Pace::steady_error_rate)), one is no sign of the fault:
/// then so many have to fail that the 95 % interval of their share lies above that of the
/// baseline's. What never degraded misses this
/// assertion. Recovery counts from the lifting, and is that of [`Recovers`].
///
/// Where it is dropped without being awaited the test cannot pass: it says that this was never
/// judged.
///
/// ```no_run
/// # async fn body(chaos: &chaos_test::ChaosContext, cache: &chaos_test::Service, requests: &chaos_test::Monitor, normal: &chaos_test::Baseline) -> chaos_test::Result {
/// use chaos_test::prelude::*;
/// use chaos_test::process;
/// let outage = chaos.during(process::kill(cache), async |_| requests.over(secs(1)).await).await?;
/// requests
///     .degrades_then_recovers(normal)
///     .under(&outage)
///     .by(error_rate().at_least(percent(50)))
///     .within(secs(5))
///     .await?;
/// # Ok(()) }
/// ```
#[must_use = "nothing is judged until it is awaited"]
#[derive(Debug)]
pub struct DegradesThenRecovers {
    recovers: Recovers,
    entry: Option<u64>,
    by: Vec<Tolerance>,
    judged: bool,
}

impl DegradesThenRecovers {
    #[track_caller]
    pub(super) fn new(monitor: Monitor, baseline: &Baseline) -> Self {
        let mut recovers = Recovers::new(monitor, baseline);
        // What is dropped unjudged is all of this.
        recovers.judged = true;
        Self {
            recovers,
            entry: None,
            by: Vec::new(),
            judged: false,
        }
    }

    /// Under this fault: what [`during`](crate::ChaosContext::during) returned, or a guard.
    /// With a guard, awaiting this waits until the fault is lifted. The latest fault of the test,
    /// by default.
    pub fn under(mut self, fault: &impl Faulted) -> Self {
        self.entry = Some(fault.entry());
        self
    }

    /// How much it has to degrade, over all samples that were due from the fault's beginning to
    /// its lifting: "throughput falls below half" is
    /// `throughput().at_most_share(percent(50)).of(&normal)`.
    pub fn by(mut self, tolerance: Tolerance) -> Self {
        self.by.push(tolerance);
        self
    }

    /// How long the recovery may take, from the fault's lifting; 30 seconds by default.
    pub fn within(mut self, limit: Duration) -> Self {
        self.recovers.within = limit;
        self
    }

    /// As [`Recovers::in_a_row`].
    ///
    /// # Panics
    ///
    /// If it is zero, or no more than [`allowing`](Self::allowing) says may be late.
    #[track_caller]
    pub fn in_a_row(mut self, samples: usize) -> Self {
        self.recovers.set_samples(samples);
        self
    }

    /// As [`Recovers::allowing`].
    ///
    /// # Panics
    ///
    /// If that is the whole row.
    #[track_caller]
    pub fn allowing(mut self, late: usize) -> Self {
        self.recovers.set_late(late);
        self
    }

    async fn judge(mut self) -> Result<Recovery, Error> {
        self.judged = true;
        let inner = Arc::clone(&self.recovers.monitor.inner);
        let _call = inner.enter().await?;
        if inner.is_hypothetical_now() {
            dry::not_judged(&inner, &self.judgement(""), &self.recovers.at);
            return Ok(Recovery::NOT_JUDGED);
        }
        let judged = tokio::select! {
            judged = self.examine(&inner) => judged,
            ended = inner.until_ended() => return Err(ended),
        };
        let (judgements, recovery) = judged?;
        conclude(&inner, &judgements, &self.recovers.at)?;
        recovery
    }

    async fn examine(
        &mut self,
        inner: &Inner,
    ) -> Result<(Vec<Judgement>, Result<Recovery, Error>), Error> {
        let latest = || {
            phases(&inner.recorder.records())
                .last()
                .map(|phase| phase.entry)
        };
        let Some(entry) = self.entry.or_else(latest) else {
            return Ok((
                vec![self.never("no fault was injected before this")],
                Err(Error::new(Kind::NoData, "no fault was injected")),
            ));
        };
        let fault = lock(&inner.injected).get(&entry).cloned();
        let lifted = match fault {
            Some(fault) => fault.until_lifted().await?,
            None => inner.recorder.now(),
        };
        let phase = phases(&inner.recorder.records())
            .into_iter()
            .find(|phase| phase.entry == entry);
        let (from, fault) = match phase {
            Some(phase) => (phase.begun, phase.fault),
            None => (lifted, "a fault".to_owned()),
        };
        let window = Window { from, to: lifted };
        let watcher = &self.recovers.monitor.watcher;
        let (samples, missing) = watcher.settled(window, inner).await;
        let mut judgements = vec![self.degraded(&samples, missing, &fault)];
        let summary = Summary::of(&samples, window).with_unsent(missing);
        for tolerance in &self.by {
            let mut judgement = tolerance.judge(&summary);
            judgement.what = format!(
                "degradation of {} under \"{fault}\": {}",
                watcher.name, judgement.what
            );
            for measure in &mut judgement.measured {
                measure.of = watcher.names();
            }
            judgements.push(judgement);
        }
        for judgement in &mut judgements {
            judgement.evidence = vec![watcher.evidence(window, samples.len())];
        }
        self.recovers.since = lifted;
        self.recovers.under = Some(entry);
        let examined = self.recovers.examine(inner).await;
        let recovery = examined.recovery();
        judgements.extend(examined.judgements);
        Ok((judgements, recovery))
    }

    fn degraded(&self, samples: &[Sample], missing: usize, fault: &str) -> Judgement {
        let trouble = Trouble::of(
            samples,
            self.recovers.steady,
            self.recovers.in_a_row.samples,
            &self.recovers.normal,
        );
        let normal = &self.recovers.normal;
        let usual = normal.error_rate().unwrap_or_default();
        let (met, actual) = match (trouble.degraded, &trouble.first_problem) {
            (true, Some(problem)) => (
                Met::Yes,
                format!(
                    "{} of {} samples were, {} of them failed; the first: {problem}",
                    trouble.out, trouble.seen, trouble.failed
                ),
            ),
            (false, _) if trouble.failed > 0 => {
                let more = trouble.failed as f64 > usual * trouble.seen as f64;
                let told = if more {
                    "that cannot be told from so few samples: watch the fault for longer, or \
                     take a longer baseline"
                } else {
                    "never degraded: that is no more often"
                };
                let actual = format!(
                    "{} of {} samples under \"{fault}\" failed, {} of {} did in the baseline; {told}",
                    trouble.failed, trouble.seen, normal.errors, normal.count
                );
                (if more { Met::NoData } else { Met::No }, actual)
            }
            _ if trouble.seen == 0 => (Met::NoData, format!("no sample was due under \"{fault}\"")),
            (_, Some(_)) => (
                Met::No,
                format!(
                    "never degraded: of {} samples under \"{fault}\" only {} were late, and no \
                     {} in a row",
                    trouble.seen, trouble.out, self.recovers.in_a_row.samples
                ),
            ),
            (_, None) => (
                Met::No,
                format!(
                    "never degraded: {} samples under \"{fault}\" were all steady",
                    trouble.seen
                ),
            ),
        };
        let met = if met == Met::No && missing > 0 {
            Met::NoData
        } else {
            met
        };
        Judgement {
            actual: actual + &unsent(if met == Met::Yes { 0 } else { missing }),
            met,
            ..self.judgement(&format!(" under \"{fault}\""))
        }
    }

    fn never(&self, why: &str) -> Judgement {
        Judgement {
            actual: why.to_owned(),
            ..self.judgement("")
        }
    }

    fn judgement(&self, under: &str) -> Judgement {
        let in_a_row = self.recovers.in_a_row.samples;
        let slowest = human(self.recovers.steady.slowest);
        let failures = match self.recovers.normal.errors {
            0 => "a failure",
            _ => "more failures than the baseline's own explain",
        };
        Judgement {
            what: format!("degradation of {}{under}", self.recovers.monitor.name()),
            expected: format!(
                "out of steady state: {failures}, or {in_a_row} answers in a row slower than \
                 {slowest}"
            ),
            actual: String::new(),
            met: Met::NoData,
            measured: Vec::new(),
            evidence: Vec::new(),
        }
    }
}

impl Drop for DegradesThenRecovers {
    fn drop(&mut self) {
        // A panic fails the test already, and says more.
        if self.judged || std::thread::panicking() {
            return;
        }
        let unjudged = unjudged(self.judgement(""), "await it");
        record(&self.recovers.monitor.inner, &unjudged, &self.recovers.at);
    }
}

impl IntoFuture for DegradesThenRecovers {
    type Output = Result<Recovery, Error>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(engine::run_on(engine::own(), self.judge()))
    }
}
