//! Waiting for a recovery, measuring it and judging it.

mod measured;

use std::future::IntoFuture;
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use crate::decide::measures::throughput;
use crate::decide::phases::{Phase, phases};
use crate::decide::recovery::{InARow, Progress, Steady, ThroughputBack, Trouble};
use crate::decide::statistics::Summary;
use crate::decide::tolerance::{BaselineSummary, Judgement, unsent};
use crate::error::{Error, Kind};
use crate::model::event::{Event, Met};
use crate::model::measure::Measure;
use crate::model::sample::Window;
use crate::model::units::{Percent, human};
use crate::system::Ledger;

use super::dry;
use super::engine;
use super::inner::Inner;
use super::judging::{conclude, record, unjudged};
use super::moment::Moment;
use super::monitor::Monitor;
use super::window::Baseline;

pub use measured::Recovery;

/// How many samples a row has in which throughput is looked for: of 50 without a failure, 10 %
/// fewer than the baseline's can be told.
const THROUGHPUT_ROW: usize = 50;

/// Waits for a recovery and judges it; made by [`Monitor::recovers_to`]. Await it.
///
/// The system has recovered with the first of several steady samples in a row: ones that
/// succeeded, and that took no longer than twice the baseline's p99 (or 100 ms above it,
/// where that is more). Recovery time is measured to when that sample was sent, and is
/// therefore exact to one interval of the monitor.
///
/// What never left its steady state, neither under the latest fault before the named instant
/// nor since then, did not recover, and the report says "never degraded". That is no miss:
/// [`Monitor::degrades_then_recovers`] is for faults that must be felt.
///
/// Where it is dropped without being awaited the test cannot pass: it says that the
/// recovery was never judged.
///
/// ```no_run
/// # async fn body(requests: &chaos_test::Monitor, normal: &chaos_test::Baseline, lifted: chaos_test::Moment) -> chaos_test::Result {
/// use chaos_test::prelude::*;
/// requests
///     .recovers_to(normal)
///     .since(lifted)
///     .within(secs(5)) // 30 s by default
///     .in_a_row(5)
///     .allowing(1)
///     .await?;
/// # Ok(()) }
/// ```
#[must_use = "nothing is judged until it is awaited"]
#[derive(Debug)]
pub struct Recovers {
    pub(super) monitor: Monitor,
    pub(super) normal: Arc<Summary>,
    pub(super) steady: Steady,
    pub(super) since: Duration,
    /// The fault that it is to recover from; the latest before the named instant, by default.
    pub(super) under: Option<u64>,
    pub(super) within: Duration,
    pub(super) in_a_row: InARow,
    first_success: Option<Duration>,
    throughput: Option<(Duration, Percent)>,
    pub(super) at: String,
    pub(super) judged: bool,
}

impl Recovers {
    #[track_caller]
    pub(super) fn new(monitor: Monitor, baseline: &Baseline) -> Self {
        Self {
            since: monitor.inner.recorder.now(),
            monitor,
            normal: baseline.summary(),
            steady: baseline.steady,
            under: None,
            within: Duration::from_secs(30),
            in_a_row: InARow {
                samples: 3,
                late: 0,
            },
            first_success: None,
            throughput: None,
            at: Location::caller().to_string(),
            judged: false,
        }
    }

    /// From which instant recovery time counts: usually when the fault was lifted. From
    /// this call, by default.
    pub fn since(mut self, moment: Moment) -> Self {
        self.since = moment.into();
        self
    }

    /// How long it may take; 30 seconds by default.
    pub fn within(mut self, limit: Duration) -> Self {
        self.within = limit;
        self
    }

    /// How many steady samples in a row make a recovery; 3 by default.
    ///
    /// # Panics
    ///
    /// If it is zero, or no more than [`allowing`](Self::allowing) says may be late.
    #[track_caller]
    pub fn in_a_row(mut self, samples: usize) -> Self {
        self.set_samples(samples);
        self
    }

    #[track_caller]
    pub(super) fn set_samples(&mut self, samples: usize) {
        assert!(samples > 0, "a recovery needs at least one sample");
        self.in_a_row.samples = samples;
        self.assert_row();
    }

    /// How many samples of that row may be late, that is, answered well and slower than is
    /// steady; none by default. On a busy machine one late answer then does not begin the row
    /// anew: `.in_a_row(5).allowing(1)`.
    ///
    /// The recovery is the first sample of the first such row, which begins with a steady one.
    /// A sample that failed always begins the row anew: jitter makes no failures.
    ///
    /// # Panics
    ///
    /// If that is the whole row.
    #[track_caller]
    pub fn allowing(mut self, late: usize) -> Self {
        self.set_late(late);
        self
    }

    #[track_caller]
    pub(super) fn set_late(&mut self, late: usize) {
        self.in_a_row.late = late;
        self.assert_row();
    }

    #[track_caller]
    fn assert_row(&self) {
        let InARow { samples, late } = self.in_a_row;
        assert!(
            late < samples,
            "of {samples} samples in a row {late} may be late: at least one has to be steady"
        );
    }

    /// Expects the first sample that succeeds, however slow it is, within this time as well.
    ///
    /// See [`Monitor::recovers_to`] for an example.
    pub fn first_success_within(mut self, limit: Duration) -> Self {
        self.first_success = Some(limit);
        self
    }

    /// Expects throughput to be back as well: to be at most this share below the baseline's,
    /// in a row of 50 samples that begins within this time.
    ///
    /// It is compared as [`drops_at_most`](crate::Throughput::drops_at_most) is, by the
    /// confidence interval of the difference: a row that noise alone may explain does not
    /// count. So the share cannot be much less than 10 %.
    ///
    /// See [`Monitor::recovers_to`] for an example.
    pub fn throughput_back_within(mut self, limit: Duration, share: Percent) -> Self {
        self.throughput = Some((limit, share));
        self
    }

    async fn judge(mut self) -> Result<Recovery, Error> {
        self.judged = true;
        let inner = Arc::clone(&self.monitor.inner);
        let _call = inner.enter().await?;
        if inner.is_hypothetical_now() {
            let judgement = self.judgement(String::new(), Met::NotJudged);
            dry::not_judged(&inner, &judgement, &self.at);
            return Ok(Recovery::NOT_JUDGED);
        }
        let examined = tokio::select! {
            examined = self.examine(&inner) => examined,
            ended = inner.until_ended() => return Err(ended),
        };
        conclude(&inner, &examined.judgements, &self.at)?;
        examined.recovery()
    }

    /// Waits for it and measures it. Writes down what came of it, and no judgement.
    pub(super) async fn examine(&self, inner: &Inner) -> Examined {
        let _going = inner.going(format!("waiting for {} to recover", self.monitor.name()));
        let watcher = &self.monitor.watcher;
        // The streak may begin at the last instant, and its last sample needs its answer.
        let row = watcher.interval * u32::try_from(self.in_a_row.samples).unwrap_or(u32::MAX);
        let deadline = self.since + self.within + row + self.steady.slowest;
        let progress = watcher
            .recovery(self.steady, self.since, self.in_a_row, deadline, inner)
            .await;
        let mut examined = self.examine_progress(inner, progress);
        if let Some((limit, share)) = self.throughput {
            let (judgement, back) = self.throughput_back(inner, limit, share).await;
            examined.judgements.push(judgement);
            if let Some(recovery) = &mut examined.recovery {
                recovery.throughput_back = back;
            }
        }
        let evidence = watcher.evidence_since(self.since, inner);
        for judgement in &mut examined.judgements {
            judgement.evidence = vec![evidence.clone()];
        }
        examined
    }

    fn examine_progress(&self, inner: &Inner, progress: Progress) -> Examined {
        let mut judgement = self.judgement(String::new(), Met::No);
        let mut recovery = None;
        let mut first = (None, 0, 0);
        match progress {
            Progress::Recovered {
                at,
                first_success,
                unsent: missing,
            } => {
                let took = at.saturating_sub(self.since);
                let (trouble, waiting, since_fault) = self.trouble(inner, at);
                let since = |at: Duration| at.saturating_sub(self.since);
                let found = Recovery {
                    took,
                    // It sees all from the fault's beginning on; the streak, which one late
                    // answer breaks, says nothing of that.
                    degraded: trouble.degraded,
                    first_success: since(first_success),
                    outage: trouble
                        .degraded
                        .then(|| at.saturating_sub(trouble.first.unwrap_or(at))),
                    lost: trouble.failed,
                    throughput_back: None,
                };
                judgement.actual = found.told(&trouble, waiting, &since_fault);
                if took <= self.within {
                    judgement.met = Met::Yes;
                } else if missing > 0 {
                    // One that was not sent may have been the first that was steady again.
                    judgement.met = Met::NoData;
                    judgement.actual += &unsent(missing);
                }
                first = (Some(since(first_success)), 1, missing);
                recovery = Some(found);
            }
            Progress::NotYet {
                first_success,
                seen,
                streak,
                unsent: missing,
                last_problem,
            } => {
                if seen == 0 || missing > 0 {
                    judgement.met = Met::NoData;
                }
                first.0 = first_success.map(|at| at.saturating_sub(self.since));
                (first.1, first.2) = (seen, missing);
                if seen == 0 {
                    judgement.actual = "no sample was answered".to_owned() + &unsent(missing);
                } else {
                    let problem = match last_problem {
                        Some(problem) => format!("; the last problem: {problem}"),
                        None => String::new(),
                    };
                    judgement.actual =
                        format!("not yet, {streak} steady in a row of {seen} samples{problem}")
                            + &unsent(missing);
                }
            }
        }
        self.write_down(inner, recovery.as_ref(), judgement.met);
        let took = recovery.map(|recovery| recovery.took);
        judgement.measured = vec![
            self.measure("recovery", took),
            self.measure("first_success", first.0),
        ];
        let mut judgements = vec![judgement];
        if let Some(limit) = self.first_success {
            judgements.push(self.first_success(limit, first.0, first.1, first.2));
        }
        Examined {
            judgements,
            recovery,
        }
    }

    /// The fault that it is to recover from.
    fn fault(&self, inner: &Inner) -> Option<Phase> {
        let mut phases = phases(&inner.recorder.records()).into_iter();
        match self.under {
            Some(entry) => phases.find(|phase| phase.entry == entry),
            None => phases.rfind(|phase| phase.begun <= self.since),
        }
    }

    /// What went wrong since the latest fault before the named instant, how many samples of
    /// that time wait for their answers, and that fault.
    fn trouble(&self, inner: &Inner, at: Duration) -> (Trouble, usize, Option<String>) {
        let fault = self.fault(inner);
        let from = fault.as_ref().map_or(self.since, |phase| phase.begun);
        let watcher = &self.monitor.watcher;
        let samples = watcher.so_far(Window { from, to: at });
        let mut trouble = Trouble::of(&samples, self.steady, self.in_a_row.samples, &self.normal);
        let late = inner.recorder.now().saturating_sub(self.steady.slowest);
        let waiting = watcher.waiting_between(from, at.min(late));
        if let Some(first) = waiting.first() {
            // They are late, and nobody knows yet whether they fail.
            trouble.degraded |= waiting.len() >= self.in_a_row.samples;
            trouble.first = Some(trouble.first.map_or(*first, |seen| seen.min(*first)));
        }
        (trouble, waiting.len(), fault.map(|phase| phase.fault))
    }

    fn write_down(&self, inner: &Inner, recovery: Option<&Recovery>, met: Met) {
        let monitor = self.monitor.watcher.name.clone();
        let entry = self.fault(inner).map(|phase| phase.entry);
        inner.recorder.record(match (recovery, met) {
            (Some(recovery), Met::Yes) => Event::Recovered {
                monitor,
                recovery_us: micros(recovery.took),
                degraded: recovery.degraded,
                first_success_us: Some(micros(recovery.first_success)),
                outage_us: recovery.outage.map(micros),
                lost: recovery.lost as u64,
                entry,
            },
            // Nobody knows.
            (_, Met::NoData) => return,
            _ => Event::NotRecovered {
                monitor,
                limit_us: micros(self.within),
                recovery_us: recovery.map(|recovery| micros(recovery.took)),
                entry,
            },
        });
    }

    fn measure(&self, metric: &str, took: Option<Duration>) -> Measure {
        let seconds = took.map_or(f64::INFINITY, |took| took.as_secs_f64());
        Measure {
            of: self.monitor.watcher.names(),
            ..Measure::new(metric, seconds, true)
        }
    }

    fn first_success(
        &self,
        limit: Duration,
        took: Option<Duration>,
        seen: usize,
        missing: usize,
    ) -> Judgement {
        let met = match took {
            Some(took) if took <= limit => Met::Yes,
            _ if seen == 0 || missing > 0 => Met::NoData,
            _ => Met::No,
        };
        let actual = match took {
            Some(took) => format!("after {}", human(took)),
            None => format!("none of {seen} samples succeeded"),
        };
        let missing = if met == Met::Yes { 0 } else { missing };
        Judgement {
            what: format!("first success of {}", self.monitor.name()),
            expected: format!("within {}", human(limit)),
            actual: actual + &unsent(missing),
            met,
            measured: vec![self.measure("first_success", took)],
            evidence: Vec::new(),
        }
    }

    async fn throughput_back(
        &self,
        inner: &Inner,
        limit: Duration,
        share: Percent,
    ) -> (Judgement, Option<Duration>) {
        let watcher = &self.monitor.watcher;
        let delta = throughput().drops_at_most(share);
        let interval = watcher.interval;
        let mut back = ThroughputBack::new(&self.normal, delta, interval, THROUGHPUT_ROW);
        let row = interval * u32::try_from(THROUGHPUT_ROW).unwrap_or(u32::MAX);
        let deadline = self.since + limit + row + self.steady.slowest;
        watcher
            .throughput_back(&mut back, self.since, deadline, inner)
            .await;
        let took = back.back().map(|at| at.saturating_sub(self.since));
        let met = match (took, &back.last) {
            (Some(took), _) if took <= limit => Met::Yes,
            (None, None) => Met::NoData,
            _ if back.unsent > 0 => Met::NoData,
            _ => Met::No,
        };
        let actual = match (took, &back.last) {
            (Some(took), _) => format!("after {}", human(took)),
            (None, Some(last)) => format!("not back; the last {THROUGHPUT_ROW} samples: {last}"),
            (None, None) => format!("there were no {THROUGHPUT_ROW} samples in a row to tell by"),
        };
        let missing = if met == Met::Yes { 0 } else { back.unsent };
        let judgement = Judgement {
            what: format!("return of throughput of {}", self.monitor.name()),
            expected: format!(
                "within {}, at most {share} below the baseline's",
                human(limit)
            ),
            actual: actual + &unsent(missing),
            met,
            measured: vec![self.measure("throughput_recovery", took)],
            evidence: Vec::new(),
        };
        (judgement, took)
    }

    fn judgement(&self, actual: String, met: Met) -> Judgement {
        let InARow { samples, late } = self.in_a_row;
        let late = match late {
            0 => String::new(),
            late => format!(", of which {late} may be late"),
        };
        Judgement {
            what: format!("recovery of {}", self.monitor.name()),
            expected: format!(
                "within {}, {samples} samples in a row{late}",
                human(self.within)
            ),
            actual,
            met,
            measured: Vec::new(),
            evidence: Vec::new(),
        }
    }
}

/// What came of waiting for a recovery.
pub(super) struct Examined {
    pub(super) judgements: Vec<Judgement>,
    recovery: Option<Recovery>,
}

impl Examined {
    pub(super) fn recovery(&self) -> Result<Recovery, Error> {
        self.recovery
            .ok_or_else(|| Error::new(Kind::NoData, "there was no recovery to measure"))
    }
}

impl Drop for Recovers {
    fn drop(&mut self) {
        // A panic fails the test already, and says more.
        if self.judged || std::thread::panicking() {
            return;
        }
        let unjudged = unjudged(self.judgement(String::new(), Met::NoData), "await it");
        record(&self.monitor.inner, &unjudged, &self.at);
    }
}

impl IntoFuture for Recovers {
    type Output = Result<Recovery, Error>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(engine::run_on(engine::own(), self.judge()))
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
