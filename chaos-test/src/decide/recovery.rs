//! When a system under test is back to its steady state.

use std::collections::VecDeque;
use std::time::Duration;

use crate::model::event::Met;
use crate::model::sample::{Reading, Sample, Window};
use crate::model::units::human;

use super::delta::Delta;
use super::metric::Metric;
use super::statistics::{Latency, P99, Summary};

/// What one sample must be like to count as steady.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Steady {
    /// The slowest answer that still counts.
    pub slowest: Duration,
}

impl Steady {
    /// Derived from a baseline: it must succeed, and its latency be at most twice the
    /// baseline's p99, or 100 ms above it where that is more.
    ///
    /// The slack keeps a busy machine from prolonging a recovery; assertions on latency
    /// say how fast it has to be. It is never more than `timeout`, which no answer can
    /// outlast: a recovery is waited for as long as its last sample may take.
    #[must_use]
    pub fn of(baseline: &Summary, timeout: Duration) -> Self {
        let slowest = match baseline.latency(P99) {
            Some(Latency::Of(p99)) => (p99 * 2).max(p99 + Duration::from_millis(100)),
            // With failures among the slowest hundredth only success can be asked for.
            Some(Latency::NoAnswer) | None => timeout,
        };
        Self {
            slowest: slowest.min(timeout),
        }
    }

    /// Whether a sample is steady; otherwise what is wrong with it.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn check(&self, sample: &Sample) -> Result<(), String> {
        match &sample.reading {
            Reading::Bad(why) => Err(why.clone()),
            Reading::Good(_) if sample.latency > self.slowest => Err(format!(
                "answered in {}, slower than {}",
                human(sample.latency),
                human(self.slowest)
            )),
            Reading::Good(_) => Ok(()),
        }
    }
}

/// How far a recovery has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// The streak is complete.
    Recovered {
        /// When the streak's first sample was sent.
        at: Duration,
        /// When the first sample that succeeded was sent, however slow it was.
        first_success: Duration,
        /// How many before it were due that the monitor did not send: it may have been
        /// earlier.
        unsent: usize,
    },
    /// Not yet.
    NotYet {
        /// When the first sample that succeeded was sent, if one did.
        first_success: Option<Duration>,
        /// How many samples there were since the named instant.
        seen: usize,
        /// How many steady ones in a row there are at the end.
        streak: usize,
        /// How many more were due that the monitor did not send.
        unsent: usize,
        /// What was wrong with the last one that was not steady.
        last_problem: Option<String>,
    },
}

/// How long a streak has to be, and how much of it may be late.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InARow {
    /// So many samples.
    pub samples: usize,
    /// So many of them may be late: answered well, and slower than is steady. Jitter makes
    /// answers late and never makes them fail, so a failure is never allowed.
    pub late: usize,
}

/// Looks for the first streak of steady samples, one sample after the other.
///
/// It is shown them in the order of their intended times, without a gap: a sample that is
/// still waiting for its answer ends what it may be shown, because nobody knows yet whether
/// it breaks the streak.
///
/// Where some may be late, a streak is the first row of so many samples of which no more are
/// late; it begins with a steady one ("m of n", as alarms of Amazon CloudWatch count their data
/// points).
#[derive(Debug)]
pub struct Streak {
    steady: Steady,
    in_a_row: InARow,
    /// The present row: when each was sent, and whether it was late.
    present: VecDeque<(Duration, bool)>,
    first_success: Option<Duration>,
    recovered: Option<Duration>,
    seen: usize,
    unsent: usize,
    last_problem: Option<String>,
}

impl Streak {
    /// Before the first sample.
    #[must_use]
    pub fn new(steady: Steady, in_a_row: InARow) -> Self {
        Self {
            steady,
            in_a_row,
            present: VecDeque::new(),
            first_success: None,
            recovered: None,
            seen: 0,
            unsent: 0,
            last_problem: None,
        }
    }

    /// The next sample. Whether the streak is complete; nothing changes that afterwards.
    pub fn sample(&mut self, sample: &Sample) -> bool {
        if self.recovered.is_some() {
            return true;
        }
        self.seen += 1;
        let succeeded = sample.reading.is_good();
        if succeeded {
            self.first_success.get_or_insert(sample.sent);
        }
        match self.steady.check(sample) {
            // Not its intended time: a sample that was sent late proves nothing about the
            // time before.
            Ok(()) => self.present.push_back((sample.sent, false)),
            Err(problem) => {
                self.last_problem = Some(problem);
                if succeeded && !self.present.is_empty() && self.in_a_row.late > 0 {
                    self.present.push_back((sample.sent, true));
                    if self.late() > self.in_a_row.late {
                        self.begin_behind_the_first_late_one();
                    }
                } else {
                    self.present.clear();
                }
            }
        }
        if self.present.len() >= self.in_a_row.samples {
            self.recovered = self.present.front().map(|(sent, _)| *sent);
        }
        self.recovered.is_some()
    }

    fn late(&self) -> usize {
        self.present.iter().filter(|(_, late)| *late).count()
    }

    fn begin_behind_the_first_late_one(&mut self) {
        while let Some((_, false)) = self.present.front() {
            self.present.pop_front();
        }
        while let Some((_, true)) = self.present.front() {
            self.present.pop_front();
        }
    }

    /// One that was due and not sent: it is no sign of trouble, and the samples around it
    /// are not in a row.
    pub fn unsent(&mut self) {
        if self.recovered.is_none() {
            self.unsent += 1;
            self.present.clear();
        }
    }

    /// How far it has come.
    #[must_use]
    pub fn progress(&self) -> Progress {
        match self.recovered {
            Some(at) => Progress::Recovered {
                at,
                first_success: self.first_success.unwrap_or(at),
                unsent: self.unsent,
            },
            None => Progress::NotYet {
                first_success: self.first_success,
                seen: self.seen,
                streak: self.present.len() - self.late(),
                unsent: self.unsent,
                last_problem: self.last_problem.clone(),
            },
        }
    }
}

/// What a fault did to the samples of a monitor.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trouble {
    /// How many samples there were.
    pub seen: usize,
    /// How many of them were out of steady state: they failed or were late.
    pub out: usize,
    /// How many of them failed.
    pub failed: usize,
    /// When the first one that was out of steady state was sent.
    pub first: Option<Duration>,
    /// What was wrong with that one.
    pub first_problem: Option<String>,
    /// Whether more of them failed than the baseline's own failures explain: one does, where it
    /// has none.
    pub failing: bool,
    /// Whether that is a degradation: they were failing, or as many in a row were late as make a
    /// recovery. A single answer that is late may be the machine's own doing.
    pub degraded: bool,
}

/// With which probability each bound may be wrong where failures are compared with those of a
/// baseline: that of a comparison at 95 %.
const TAIL: f64 = 0.025;

impl Trouble {
    /// What these samples show beside a baseline, in the order of their intended times.
    pub fn of<'a>(
        samples: impl IntoIterator<Item = &'a Sample>,
        steady: Steady,
        in_a_row: usize,
        normal: &Summary,
    ) -> Self {
        let (mut trouble, mut late) = (Self::default(), 0);
        for sample in samples {
            trouble.seen += 1;
            let Err(problem) = steady.check(sample) else {
                late = 0;
                continue;
            };
            trouble.out += 1;
            if sample.reading.is_good() {
                late += 1;
                trouble.degraded |= late >= in_a_row;
            } else {
                // It is counted with the failures, and does not end a row of late ones.
                trouble.failed += 1;
            }
            if trouble.first.is_none() {
                trouble.first = Some(sample.sent);
                trouble.first_problem = Some(problem);
            }
        }
        trouble.failing = trouble.failed > 0
            && (normal.errors == 0
                || Metric::ErrorRate
                    .estimate(normal)
                    .is_some_and(|usual| !usual.explains(trouble.failed, trouble.seen, TAIL)));
        trouble.degraded |= trouble.failing;
        trouble
    }
}

/// Looks for the first row of samples in which throughput is back to that of a baseline, as far
/// as noise allows to tell: the confidence interval of the difference decides, as for every
/// comparison.
#[derive(Debug)]
pub struct ThroughputBack<'a> {
    baseline: &'a Summary,
    delta: Delta,
    interval: Duration,
    count: usize,
    row: VecDeque<Sample>,
    back: Option<Duration>,
    /// The best that was seen, as a judgement of it reads.
    pub last: Option<String>,
    /// How many were due and not sent.
    pub unsent: usize,
}

impl<'a> ThroughputBack<'a> {
    /// Before the first sample; rows have so many samples.
    #[must_use]
    pub fn new(baseline: &'a Summary, delta: Delta, interval: Duration, count: usize) -> Self {
        Self {
            baseline,
            delta,
            interval,
            count,
            row: VecDeque::new(),
            back: None,
            last: None,
            unsent: 0,
        }
    }

    /// The next sample. Whether throughput is back; nothing changes that afterwards.
    pub fn sample(&mut self, sample: &Sample) -> bool {
        if self.back.is_some() {
            return true;
        }
        self.row.push_back(sample.clone());
        if self.row.len() > self.count {
            self.row.pop_front();
        }
        if let Some(first) = self.row.front()
            && self.row.len() == self.count
        {
            let window = Window {
                from: first.at,
                to: sample.at + self.interval,
            };
            let sent = first.sent;
            let summary = Summary::of(self.row.make_contiguous(), window);
            if self.delta.decide(self.baseline, &summary) == Met::Yes {
                self.back = Some(sent);
            } else {
                self.last = Some(self.delta.judge(self.baseline, &summary).actual);
            }
        }
        self.back.is_some()
    }

    /// One that was due and not sent.
    pub fn unsent(&mut self) {
        if self.back.is_none() {
            self.unsent += 1;
            self.row.clear();
        }
    }

    /// When the first sample of the first such row was sent.
    #[must_use]
    pub fn back(&self) -> Option<Duration> {
        self.back
    }
}

#[cfg(test)]
mod tests;
