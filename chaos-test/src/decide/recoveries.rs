//! Several recoveries together: their mean (MTTR), the longest, and how many of them came.

use std::time::Duration;

use crate::model::event::{Event, Met, Record};
use crate::model::measure::Measure;
use crate::model::units::{Percent, human};

use super::statistics::{MAX, Percentile, rank};
use super::tolerance::Judgement;

/// A mean is one over several.
const LEAST: usize = 2;

/// What came of waiting for one recovery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// The monitor that it was seen by.
    pub monitor: String,
    /// The rollback entry of the fault that it was to recover from, if there was one.
    pub entry: Option<u64>,
    /// How long it took; none where it was not seen to come.
    pub took: Option<Duration>,
    /// Whether it came within the limit that was set for it.
    pub in_time: bool,
    /// Whether there was anything to recover from.
    pub degraded: bool,
}

/// All that were waited for, in the order in which they were judged.
#[must_use]
pub fn attempts(records: &[Record]) -> Vec<Attempt> {
    let micros = Duration::from_micros;
    records
        .iter()
        .filter_map(|record| match &record.event {
            Event::Recovered {
                monitor,
                recovery_us,
                degraded,
                entry,
                ..
            } => Some(Attempt {
                monitor: monitor.clone(),
                entry: *entry,
                took: Some(micros(*recovery_us)),
                in_time: true,
                degraded: *degraded,
            }),
            Event::NotRecovered {
                monitor,
                recovery_us,
                entry,
                ..
            } => Some(Attempt {
                monitor: monitor.clone(),
                entry: *entry,
                took: recovery_us.map(micros),
                in_time: false,
                degraded: true,
            }),
            _ => None,
        })
        .collect()
}

/// One outage, by all that have seen its end, or its lack of one.
struct Outage {
    entry: Option<u64>,
    /// How long its longest recovery took; none where one was not seen to come.
    took: Option<Duration>,
    in_time: bool,
    degraded: bool,
}

/// The outages that recoveries were from: one for each fault, however many monitors have seen it
/// and however often that was judged. Those from before any fault are one together, because
/// nothing tells them apart.
fn outages(attempts: &[Attempt]) -> Vec<Outage> {
    let mut outages: Vec<Outage> = Vec::new();
    for attempt in attempts {
        let known = |outage: &&mut Outage| outage.entry == attempt.entry;
        match outages.iter_mut().find(known) {
            // Whoever was not hit does not shorten what the others went through.
            Some(outage) if outage.degraded && !attempt.degraded => {}
            Some(outage) if outage.degraded == attempt.degraded => {
                let both = outage.took.zip(attempt.took);
                outage.took = both.map(|(one, other)| one.max(other));
                outage.in_time &= attempt.in_time;
            }
            Some(outage) => {
                outage.took = attempt.took;
                outage.in_time = attempt.in_time;
                outage.degraded = true;
            }
            None => outages.push(Outage {
                entry: attempt.entry,
                took: attempt.took,
                in_time: attempt.in_time,
                degraded: attempt.degraded,
            }),
        }
    }
    outages
}

/// What several recoveries come to, each from an outage of its own. Those of systems that never
/// degraded are left out: there was nothing to recover from.
///
/// ```no_run
/// # fn body(chaos: &chaos_test::ChaosContext) {
/// use chaos_test::P95;
/// let recoveries = chaos.recoveries().summary();
/// println!("{}", recoveries.told()); // `5 recoveries, 1 of them never came`
/// println!("mean {:?}, p95 {:?}", recoveries.mean(), recoveries.at(P95));
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecoverySummary {
    /// How long each took that was seen to come, sorted.
    times: Vec<Duration>,
    /// How many never came.
    never: usize,
    /// How many came within their limits.
    in_time: usize,
    /// How many more there were without a degradation.
    undegraded: usize,
}

impl RecoverySummary {
    /// Of these.
    #[must_use]
    pub fn of(attempts: &[Attempt]) -> Self {
        let outages = outages(attempts);
        let real = || outages.iter().filter(|outage| outage.degraded);
        let mut times: Vec<Duration> = real().filter_map(|outage| outage.took).collect();
        times.sort_unstable();
        Self {
            never: real().count() - times.len(),
            in_time: real().filter(|outage| outage.in_time).count(),
            undegraded: outages.len() - real().count(),
            times,
        }
    }

    /// How many there were to be.
    ///
    /// See [`longest`](Self::longest) for an example.
    #[must_use]
    pub fn count(&self) -> usize {
        self.times.len() + self.never
    }

    /// Their mean, the MTTR. None for fewer than two, and none where one never came: that one
    /// took longer than anybody waited.
    #[must_use]
    pub fn mean(&self) -> Option<Duration> {
        if self.never > 0 || self.times.len() < LEAST {
            return None;
        }
        let total: f64 = self.times.iter().map(Duration::as_secs_f64).sum();
        Some(Duration::from_secs_f64(total / self.times.len() as f64))
    }

    /// The time at a percentile, by nearest rank. One that never came took longer than any.
    #[must_use]
    pub fn at(&self, percentile: Percentile) -> Option<Duration> {
        let index = rank(percentile, self.count().max(1));
        self.times.get(index).copied()
    }

    /// The longest; none where one never came.
    ///
    /// ```no_run
    /// # fn body(chaos: &chaos_test::ChaosContext) {
    /// let recoveries = chaos.recoveries().summary();
    /// println!("{} recoveries, the longest {:?}", recoveries.count(), recoveries.longest());
    /// println!("in time: {}", recoveries.rate().map_or("none".to_owned(), |rate| rate.to_string()));
    /// # }
    /// ```
    #[must_use]
    pub fn longest(&self) -> Option<Duration> {
        self.at(MAX)
    }

    /// The share that came within their limits; none without any.
    ///
    /// See [`longest`](Self::longest) for an example.
    #[must_use]
    pub fn rate(&self) -> Option<Percent> {
        let count = self.count();
        (count > 0).then(|| Percent::from_fraction(self.in_time as f64 / count as f64))
    }

    /// `5 recoveries, 1 of them never came`.
    #[must_use]
    pub fn told(&self) -> String {
        let mut text = match self.count() {
            1 => "1 recovery".to_owned(),
            count => format!("{count} recoveries"),
        };
        if self.never > 0 {
            text += &format!(", {} of them never came", self.never);
        }
        if self.undegraded > 0 {
            text += &format!("; {} more never degraded", self.undegraded);
        }
        text
    }
}

/// The mean of recovery times over all that are looked at: a mean over several, so fewer than two
/// are no data.
///
/// ```
/// use chaos_test::{mttr, secs};
/// let tolerance = mttr().at_most(secs(30));
/// ```
pub fn mttr() -> RecoveryTimes {
    RecoveryTimes(None)
}

/// The time of a recovery at a percentile, over all that are looked at;
/// [`MAX`] is the longest.
///
/// ```
/// use chaos_test::{MAX, recovery_time, secs};
/// let tolerance = recovery_time(MAX).at_most(secs(60));
/// ```
pub fn recovery_time(at: Percentile) -> RecoveryTimes {
    RecoveryTimes(Some(at))
}

/// The share of recoveries that came within their limits.
///
/// ```
/// use chaos_test::{percent, recovery_rate};
/// let tolerance = recovery_rate().at_least(percent(95));
/// ```
pub fn recovery_rate() -> RecoveryRate {
    RecoveryRate(())
}

/// A number of several recoveries; made by [`mttr`] and [`recovery_time`].
///
/// See [`mttr`] and [`recovery_time`] for an example.
#[derive(Debug, Clone, Copy)]
#[must_use = "say what is tolerated with `at_most`"]
pub struct RecoveryTimes(Option<Percentile>);

impl RecoveryTimes {
    /// At most so long.
    pub fn at_most(self, limit: Duration) -> RecoveryTolerance {
        RecoveryTolerance(match self.0 {
            None => Bound::Mean(limit),
            Some(at) => Bound::At(at, limit),
        })
    }
}

/// The share of recoveries that came; made by [`recovery_rate`].
///
/// See [`recovery_rate`] for an example.
#[derive(Debug, Clone, Copy)]
#[must_use = "say what is tolerated with `at_least`"]
pub struct RecoveryRate(());

impl RecoveryRate {
    /// At least this share.
    pub fn at_least(self, share: Percent) -> RecoveryTolerance {
        RecoveryTolerance(Bound::Rate(share))
    }
}

/// A predicate over several recoveries; made by [`mttr`], [`recovery_time`] and
/// [`recovery_rate`].
///
/// ```
/// use chaos_test::{Met, RecoverySummary, mttr, secs};
/// let none = RecoverySummary::of(&[]);
/// assert_eq!(mttr().at_most(secs(30)).judge(&none).met, Met::NoData);
/// ```
#[derive(Debug, Clone, Copy)]
#[must_use = "it judges nothing until it is passed to `expect`"]
pub struct RecoveryTolerance(Bound);

#[derive(Debug, Clone, Copy)]
enum Bound {
    Mean(Duration),
    At(Percentile, Duration),
    Rate(Percent),
}

impl RecoveryTolerance {
    /// Judges recoveries. Fewer than two are no data, whatever is asked: one recovery is judged
    /// where it is waited for.
    #[must_use]
    pub fn judge(&self, summary: &RecoverySummary) -> Judgement {
        let enough = summary.count() >= LEAST;
        let limit = |limit: Duration| format!("at most {}", human(limit));
        let (what, expected, seen, holds, measure) = match self.0 {
            Bound::Mean(most) => {
                let mean = summary.mean();
                (
                    "mean time to recovery".to_owned(),
                    limit(most),
                    mean.map(human),
                    mean.is_some_and(|mean| mean <= most),
                    Measure::new("mttr", seconds(mean), true),
                )
            }
            Bound::At(at, most) => {
                let time = summary.at(at);
                (
                    format!("{at} recovery time"),
                    limit(most),
                    time.map(human),
                    time.is_some_and(|time| time <= most),
                    Measure::new("recovery", seconds(time), true),
                )
            }
            Bound::Rate(least) => {
                let rate = summary.rate();
                (
                    "recovery rate".to_owned(),
                    format!("at least {least}"),
                    rate.map(|rate| {
                        format!(
                            "{rate} ({} of {} in time)",
                            summary.in_time,
                            summary.count()
                        )
                    }),
                    rate.is_some_and(|rate| rate >= least),
                    Measure::new(
                        "recovery_rate",
                        rate.map_or(f64::NAN, Percent::as_fraction),
                        false,
                    ),
                )
            }
        };
        let told = summary.told();
        Judgement {
            what,
            expected,
            actual: match (enough, seen) {
                (false, _) => format!("{told}: it takes at least {LEAST}"),
                (true, Some(seen)) => format!("{seen}, {told}"),
                (true, None) => format!("without an end, {told}"),
            },
            met: match (enough, holds) {
                (false, _) => Met::NoData,
                (true, true) => Met::Yes,
                (true, false) => Met::No,
            },
            measured: if enough { vec![measure] } else { Vec::new() },
            evidence: Vec::new(),
        }
    }
}

fn seconds(time: Option<Duration>) -> f64 {
    time.map_or(f64::INFINITY, |time| time.as_secs_f64())
}

#[cfg(test)]
mod tests;
