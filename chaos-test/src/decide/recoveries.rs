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
                ..
            } => Some(Attempt {
                monitor: monitor.clone(),
                took: Some(micros(*recovery_us)),
                in_time: true,
                degraded: *degraded,
            }),
            Event::NotRecovered {
                monitor,
                recovery_us,
                ..
            } => Some(Attempt {
                monitor: monitor.clone(),
                took: recovery_us.map(micros),
                in_time: false,
                degraded: true,
            }),
            _ => None,
        })
        .collect()
}

/// What several recoveries come to. Those of systems that never degraded are left out: there was
/// nothing to recover from.
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
        let real = || attempts.iter().filter(|attempt| attempt.degraded);
        let mut times: Vec<Duration> = real().filter_map(|attempt| attempt.took).collect();
        times.sort_unstable();
        Self {
            never: real().count() - times.len(),
            in_time: real().filter(|attempt| attempt.in_time).count(),
            undegraded: attempts.len() - real().count(),
            times,
        }
    }

    /// How many there were to be.
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
    #[must_use]
    pub fn longest(&self) -> Option<Duration> {
        self.at(MAX)
    }

    /// The share that came within their limits; none without any.
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
        }
    }
}

fn seconds(time: Option<Duration>) -> f64 {
    time.map_or(f64::INFINITY, |time| time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::statistics::P50;
    use crate::model::units::{ms, percent, secs};

    /// `3` took three seconds, `9!` nine and came too late, `-` never came, `0` never degraded.
    fn summary(text: &str) -> RecoverySummary {
        let attempts: Vec<Attempt> = text
            .split_whitespace()
            .map(|word| Attempt {
                monitor: "shop".into(),
                took: word.trim_end_matches('!').parse().ok().map(secs),
                in_time: word != "-" && !word.ends_with('!'),
                degraded: word != "0",
            })
            .collect();
        RecoverySummary::of(&attempts)
    }

    #[track_caller]
    fn check(tolerance: RecoveryTolerance, text: &str, met: Met, actual: &str) {
        let judgement = tolerance.judge(&summary(text));
        assert_eq!(
            (judgement.met, judgement.actual.as_str()),
            (met, actual),
            "{text}"
        );
    }

    #[test]
    fn a_mean_is_over_several_and_never_of_one() {
        let four = || mttr().at_most(secs(4));
        check(four(), "2 4", Met::Yes, "3 s, 2 recoveries");
        check(four(), "2 4 9!", Met::No, "5 s, 3 recoveries");
        check(four(), "1", Met::NoData, "1 recovery: it takes at least 2");
        check(four(), "", Met::NoData, "0 recoveries: it takes at least 2");
        check(
            four(),
            "1 0 0",
            Met::NoData,
            "1 recovery; 2 more never degraded: it takes at least 2",
        );
        // One that never came is longer than any limit, and does not vanish from the mean.
        check(
            four(),
            "1 1 1 -",
            Met::No,
            "without an end, 4 recoveries, 1 of them never came",
        );
    }

    #[test]
    fn percentiles_and_rates_count_what_never_came() {
        check(
            recovery_time(P50).at_most(secs(2)),
            "1 2 9 -",
            Met::Yes,
            "2 s, 4 recoveries, 1 of them never came",
        );
        check(
            recovery_time(MAX).at_most(secs(9)),
            "1 9",
            Met::Yes,
            "9 s, 2 recoveries",
        );
        check(
            recovery_time(MAX).at_most(secs(99)),
            "1 -",
            Met::No,
            "without an end, 2 recoveries, 1 of them never came",
        );
        check(
            recovery_rate().at_least(percent(75)),
            "1 2 9! 3",
            Met::Yes,
            "75 % (3 of 4 in time), 4 recoveries",
        );
        check(
            recovery_rate().at_least(percent(76)),
            "1 2 - 3 0",
            Met::No,
            "75 % (3 of 4 in time), 4 recoveries, 1 of them never came; 1 more never degraded",
        );
    }

    #[test]
    fn they_are_gathered_from_the_records() {
        let record = |event| Record {
            seq: 1,
            at_us: 0,
            event,
        };
        let records = [
            record(Event::Recovered {
                monitor: "shop".into(),
                recovery_us: 5_000,
                degraded: true,
                first_success_us: None,
                outage_us: None,
                lost: 0,
            }),
            record(Event::NotRecovered {
                monitor: "shop".into(),
                limit_us: 1_000,
                recovery_us: Some(7_000),
            }),
        ];
        let summary = RecoverySummary::of(&attempts(&records));
        assert_eq!(summary.mean(), Some(ms(6)));
        assert_eq!(summary.longest(), Some(ms(7)));
        assert_eq!(summary.rate(), Some(percent(50)));
    }
}
