//! Looking at what monitors saw: baselines, windows, judgements, recovery.

use std::future::IntoFuture;
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use crate::decide::recovery::{Progress, Steady};
use crate::decide::statistics::{Latency, P50, P95, Summary};
use crate::decide::tolerance::{BaselineSummary, Judgement, Tolerance, unsent};
use crate::error::{Error, Kind};
use crate::model::event::{Event, Met};
use crate::model::measure::Measure;
use crate::model::sample::{Sample, Window};
use crate::model::units::{human, trimmed};
use crate::system::Ledger;

use super::dry;
use super::engine;
use super::inner::Inner;
use super::judging::{Judging, conclude, record, unjudged};
use super::moment::Moment;
use super::monitor::Monitor;

/// What is normal: the samples of a monitor while nothing was broken.
#[derive(Debug, Clone)]
pub struct Baseline {
    pub(super) summary: Arc<Summary>,
    pub(super) samples: Arc<[Sample]>,
    pub(super) steady: Steady,
}

impl Baseline {
    /// The samples themselves.
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
        let latency = |at| match self.summary.latency(at) {
            Some(Latency::Of(latency)) => human(latency),
            Some(Latency::NoAnswer) | None => "no answer".to_owned(),
        };
        write!(
            f,
            "p50 {}, p95 {}, {} /s, {} errors ({} samples)",
            latency(P50),
            latency(P95),
            trimmed(self.summary.throughput().unwrap_or_default()),
            self.summary.errors,
            self.summary.count,
        )
    }
}

/// The samples of a monitor in a window of time.
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
#[derive(Debug)]
#[must_use = "nothing is judged until `check` is called"]
pub struct Expectations {
    samples: Samples,
    judging: Judging,
}

impl Expectations {
    /// Expects one thing more.
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
        judgement.what = format!(
            "{} of {} over {}{under}",
            judgement.what,
            self.samples.monitor,
            human(self.samples.window.length()),
        );
        judgement
    }
}

/// Waits for a recovery and judges it; made by [`Monitor::recovers_to`]. Await it.
///
/// The system has recovered with the first of several steady samples in a row: ones that
/// succeeded, and that took no longer than twice the baseline's p99 (or 100 ms above it,
/// where that is more). Recovery time is measured to when that sample was sent, and is
/// therefore exact to one interval of the monitor.
///
/// Where it is dropped without being awaited the test cannot pass: it says that the
/// recovery was never judged.
#[must_use = "nothing is judged until it is awaited"]
#[derive(Debug)]
pub struct Recovers {
    monitor: Monitor,
    steady: Steady,
    since: Duration,
    within: Duration,
    in_a_row: usize,
    at: String,
    judged: bool,
}

impl Recovers {
    #[track_caller]
    pub(super) fn new(monitor: Monitor, steady: Steady) -> Self {
        Self {
            since: monitor.inner.recorder.now(),
            monitor,
            steady,
            within: Duration::from_secs(30),
            in_a_row: 3,
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
    /// If it is zero.
    #[track_caller]
    pub fn in_a_row(mut self, samples: usize) -> Self {
        assert!(samples > 0, "a recovery needs at least one sample");
        self.in_a_row = samples;
        self
    }

    async fn judge(mut self) -> Result<Recovery, Error> {
        self.judged = true;
        let inner = Arc::clone(&self.monitor.inner);
        let _call = inner.enter().await?;
        if inner.is_hypothetical_now() {
            dry::not_judged(
                &inner,
                &self.judgement(String::new(), Met::NotJudged),
                &self.at,
            );
            return Ok(Recovery {
                took: Duration::ZERO,
                degraded: false,
            });
        }
        let watcher = Arc::clone(&self.monitor.watcher);
        // The streak may begin at the last instant, and its last sample needs its answer.
        let streak = watcher.interval * u32::try_from(self.in_a_row).unwrap_or(u32::MAX);
        let deadline = self.since + self.within + streak + self.steady.slowest;
        let progress = tokio::select! {
            progress = watcher.recovery(
                self.steady, self.since, self.in_a_row, deadline, &inner,
            ) => progress,
            ended = inner.until_ended() => return Err(ended),
        };
        let mut judgement = self.judgement(String::new(), Met::No);
        let mut recovery = None;
        let mut measure = Measure::new("recovery", f64::INFINITY, true);
        measure.of = watcher.names();
        match progress {
            Progress::Recovered {
                at,
                degraded,
                unsent: missing,
            } => {
                let took = at.saturating_sub(self.since);
                judgement.actual = if degraded {
                    format!("after {}", human(took))
                } else {
                    format!(
                        "after {}; no sample since then was out of steady state",
                        human(took)
                    )
                };
                if took <= self.within {
                    judgement.met = Met::Yes;
                    inner.recorder.record(Event::Recovered {
                        monitor: watcher.name.clone(),
                        recovery_us: u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
                        degraded,
                    });
                } else if missing > 0 {
                    // One that was not sent may have been the first that was steady again.
                    judgement.met = Met::NoData;
                    judgement.actual += &unsent(missing);
                }
                measure.number = Some(took.as_secs_f64());
                recovery = Some(Recovery { took, degraded });
            }
            Progress::NotYet {
                seen,
                streak,
                unsent: missing,
                last_problem,
            } => {
                if seen == 0 || missing > 0 {
                    judgement.met = Met::NoData;
                }
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
        judgement.measured = vec![measure];
        conclude(&inner, &[judgement], &self.at)?;
        recovery.ok_or_else(|| Error::new(Kind::NoData, "there was no recovery to measure"))
    }
}

impl Recovers {
    fn judgement(&self, actual: String, met: Met) -> Judgement {
        Judgement {
            what: format!("recovery of {}", self.monitor.name()),
            expected: format!(
                "within {}, {} samples in a row",
                human(self.within),
                self.in_a_row
            ),
            actual,
            met,
            measured: Vec::new(),
        }
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

/// How a system under test came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recovery {
    took: Duration,
    degraded: bool,
}

impl Recovery {
    /// From the named instant to the first steady sample.
    #[must_use]
    pub fn time(&self) -> Duration {
        self.took
    }

    /// Whether any sample since the named instant was out of its steady state. Where none
    /// was, there was nothing to recover from, and the time says nothing.
    #[must_use]
    pub fn was_degraded(&self) -> bool {
        self.degraded
    }
}
