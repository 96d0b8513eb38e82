//! Tolerances: pure predicates over the samples of a window, absolute, relative to a
//! baseline, or as a difference from it.

use std::sync::Arc;
use std::time::Duration;

use crate::model::event::Met;
use crate::model::units::{Percent, human, trimmed};

use super::statistics::{Latency, Percentile, Summary};

/// A predicate over the samples of a window. Made by [`error_rate`](crate::error_rate),
/// [`availability`](crate::availability), [`latency`](crate::latency),
/// [`throughput`](crate::throughput) and [`value`](crate::value).
#[derive(Debug, Clone)]
#[must_use = "a tolerance judges nothing until it is passed to `expect`"]
pub struct Tolerance {
    metric: Metric,
    bound: Bound,
    baseline: Option<Arc<Summary>>,
}

/// What a tolerance came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    /// What was judged, for example `p95 latency`.
    pub what: String,
    /// What was expected.
    pub expected: String,
    /// What was seen.
    pub actual: String,
    /// Whether it is as expected.
    pub met: Met,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Metric {
    ErrorRate,
    Availability,
    Latency(Percentile),
    Throughput,
    Value(Percentile),
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Bound {
    AtMost(f64),
    AtLeast(f64),
    /// Above the baseline by at most so much, in the metric's own unit.
    RisesBy(f64),
    /// Above the baseline by at most this share of it.
    RisesByShare(Percent),
    /// Below the baseline by at most so much, in the metric's own unit.
    DropsBy(f64),
    /// Below the baseline by at most this share of it.
    DropsByShare(Percent),
}

/// A tolerance that still needs the baseline it is relative to.
#[derive(Debug, Clone)]
#[must_use = "say which baseline with `.from(&normal)`"]
pub struct Delta {
    metric: Metric,
    bound: Bound,
}

/// Something that holds the summary of a baseline.
pub trait BaselineSummary {
    /// The summary of its samples.
    fn summary(&self) -> Arc<Summary>;
}

impl Delta {
    pub(super) fn new(metric: Metric, bound: Bound) -> Self {
        Self { metric, bound }
    }

    /// Compared with this baseline.
    pub fn from(self, baseline: &impl BaselineSummary) -> Tolerance {
        Tolerance {
            metric: self.metric,
            bound: self.bound,
            baseline: Some(baseline.summary()),
        }
    }
}
impl Tolerance {
    pub(super) fn new(metric: Metric, bound: Bound) -> Self {
        Self {
            metric,
            bound,
            baseline: None,
        }
    }

    /// Judges a window.
    #[must_use]
    pub fn judge(&self, window: &Summary) -> Judgement {
        let before = self
            .baseline
            .as_deref()
            .map(|summary| self.metric.read(summary));
        let now = self.metric.read(window);
        let limit = match (self.bound, before) {
            (Bound::AtMost(limit) | Bound::AtLeast(limit), _) => Some(limit),
            (Bound::RisesBy(by), Some(Some(before))) => Some(before + by),
            (Bound::RisesByShare(share), Some(Some(before))) => {
                Some(before * (1.0 + share.as_fraction()))
            }
            (Bound::DropsBy(by), Some(Some(before))) => Some(before - by),
            (Bound::DropsByShare(share), Some(Some(before))) => {
                Some(before * (1.0 - share.as_fraction()))
            }
            (_, _) => None,
        };
        let upper = matches!(
            self.bound,
            Bound::AtMost(_) | Bound::RisesBy(_) | Bound::RisesByShare(_)
        );
        // A baseline that was never answered at this percentile compares with nothing.
        let limit = limit.filter(|limit| limit.is_finite());
        let met = match (now, limit) {
            // Those that are missing may have been the ones that mattered.
            _ if window.unsent > 0 => Met::NoData,
            (Some(now), Some(limit)) if upper => met(now <= limit + rounding(limit)),
            (Some(now), Some(limit)) => met(now >= limit - rounding(limit)),
            _ => Met::NoData,
        };
        Judgement {
            what: self.metric.name(),
            expected: self.expected(before.flatten()),
            actual: self.metric.describe(window) + &unsent(window.unsent),
            met,
        }
    }

    fn expected(&self, before: Option<f64>) -> String {
        let unit = |number: f64| self.metric.unit(number);
        let from = match before {
            Some(before) => format!("the baseline's {}", unit(before)),
            None => "a baseline without data".to_owned(),
        };
        match self.bound {
            Bound::AtMost(limit) => format!("at most {}", unit(limit)),
            Bound::AtLeast(limit) => format!("at least {}", unit(limit)),
            Bound::RisesBy(by) => format!("at most {} above {from}", self.metric.difference(by)),
            Bound::RisesByShare(share) => format!("at most {share} above {from}"),
            Bound::DropsBy(by) => format!("at most {} below {from}", self.metric.difference(by)),
            Bound::DropsByShare(share) => format!("at most {share} below {from}"),
        }
    }
}

/// What there is to say of samples that were due and not sent.
#[must_use]
pub(crate) fn unsent(count: usize) -> String {
    match count {
        0 => String::new(),
        count => format!(
            "; {count} more could not be sent, the monitor did not keep its pace: a probe blocks \
             its thread, or the interval is too short for the sample timeout"
        ),
    }
}

fn met(met: bool) -> Met {
    if met { Met::Yes } else { Met::No }
}

/// What is lost in turning a share of a baseline into a limit must not decide.
fn rounding(limit: f64) -> f64 {
    limit.abs() * 1e-12
}

impl Metric {
    fn name(self) -> String {
        match self {
            Self::ErrorRate => "error rate".to_owned(),
            Self::Availability => "availability".to_owned(),
            Self::Latency(at) => format!("{at} latency"),
            Self::Throughput => "throughput".to_owned(),
            Self::Value(at) => format!("{at} value"),
        }
    }

    fn read(self, summary: &Summary) -> Option<f64> {
        match self {
            Self::ErrorRate => summary.error_rate(),
            Self::Availability => summary.error_rate().map(|rate| 1.0 - rate),
            Self::Latency(at) => summary.latency(at).map(|latency| match latency {
                Latency::Of(latency) => latency.as_secs_f64(),
                Latency::NoAnswer => f64::INFINITY,
            }),
            Self::Throughput => summary.throughput(),
            Self::Value(at) => summary.value(at),
        }
    }

    fn unit(self, number: f64) -> String {
        match self {
            Self::ErrorRate | Self::Availability => Percent::from_fraction(number).to_string(),
            Self::Latency(_) if number.is_finite() => {
                human(Duration::from_secs_f64(number.max(0.0)))
            }
            Self::Latency(_) => "no answer".to_owned(),
            Self::Throughput => format!("{} /s", trimmed(number)),
            Self::Value(_) => trimmed(number),
        }
    }

    fn difference(self, number: f64) -> String {
        match self {
            Self::ErrorRate | Self::Availability => {
                format!("{} points", Percent::from_fraction(number))
            }
            _ => self.unit(number),
        }
    }

    fn describe(self, summary: &Summary) -> String {
        let Some(number) = self.read(summary) else {
            return match self {
                Self::Value(_) if summary.count > 0 => format!(
                    "no number ({} samples, {} failed)",
                    summary.count, summary.errors
                ),
                _ => "no data (0 samples)".to_owned(),
            };
        };
        let number = self.unit(number);
        let failed = |text: String| match &summary.last_error {
            Some(why) => format!("{text}, the last: {why}"),
            None => text,
        };
        match self {
            Self::ErrorRate => failed(format!(
                "{number} ({} of {} failed)",
                summary.errors, summary.count
            )),
            Self::Availability => failed(format!(
                "{number} ({} of {} succeeded)",
                summary.count - summary.errors,
                summary.count
            )),
            _ if summary.errors > 0 => failed(format!(
                "{number} ({} samples, {} failed)",
                summary.count, summary.errors
            )),
            _ => format!("{number} ({} samples)", summary.count),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::measures::{availability, error_rate, latency, throughput, value};
    use crate::decide::statistics::P95;
    use crate::model::sample::{Reading, Sample, Window};
    use crate::model::units::{ms, percent, secs};

    struct Before(Arc<Summary>);

    impl BaselineSummary for Before {
        fn summary(&self) -> Arc<Summary> {
            Arc::clone(&self.0)
        }
    }

    /// `count` samples over one second, of which `errors` failed, each `latency` long.
    fn summary(count: u64, errors: u64, latency: u64) -> Summary {
        let samples: Vec<_> = (0..count)
            .map(|index| Sample {
                at: ms(index * 1000 / count),
                sent: ms(index * 1000 / count),
                latency: ms(latency),
                reading: if index < errors {
                    Reading::Bad("refused".into())
                } else {
                    Reading::Good(None)
                },
            })
            .collect();
        let window = Window {
            from: secs(0),
            to: secs(1),
        };
        Summary::of(&samples, window)
    }

    fn normal() -> Before {
        Before(Arc::new(summary(100, 0, 10)))
    }

    fn check(tolerance: Tolerance, window: &Summary, expected: (&str, &str, &str, Met)) {
        let judgement = tolerance.judge(window);
        let seen = (
            judgement.what.as_str(),
            judgement.expected.as_str(),
            judgement.actual.as_str(),
            judgement.met,
        );
        assert_eq!(seen, expected);
    }

    #[test]
    fn absolute_tolerances() {
        check(
            error_rate().at_most(percent(0)),
            &summary(250, 31, 5),
            (
                "error rate",
                "at most 0 %",
                "12.4 % (31 of 250 failed), the last: refused",
                Met::No,
            ),
        );
        check(
            availability().at_least(percent(99)),
            &summary(100, 1, 5),
            (
                "availability",
                "at least 99 %",
                "99 % (99 of 100 succeeded), the last: refused",
                Met::Yes,
            ),
        );
        check(
            latency(P95).at_most(ms(250)),
            &summary(50, 0, 250),
            (
                "p95 latency",
                "at most 250 ms",
                "250 ms (50 samples)",
                Met::Yes,
            ),
        );
        check(
            throughput().at_least(60.0),
            &summary(50, 0, 5),
            (
                "throughput",
                "at least 60 /s",
                "50 /s (50 samples)",
                Met::No,
            ),
        );
    }

    #[test]
    fn failures_are_not_hidden_from_a_latency() {
        check(
            latency(P95).at_most(ms(250)),
            &summary(50, 5, 1),
            (
                "p95 latency",
                "at most 250 ms",
                "no answer (50 samples, 5 failed), the last: refused",
                Met::No,
            ),
        );
    }

    #[test]
    fn tolerances_against_a_baseline() {
        check(
            latency(P95).rises_at_most(ms(20)).from(&normal()),
            &summary(50, 0, 30),
            (
                "p95 latency",
                "at most 20.0 ms above the baseline's 10.0 ms",
                "30.0 ms (50 samples)",
                Met::Yes,
            ),
        );
        check(
            latency(P95).rises_at_most(percent(100)).from(&normal()),
            &summary(50, 0, 21),
            (
                "p95 latency",
                "at most 100 % above the baseline's 10.0 ms",
                "21.0 ms (50 samples)",
                Met::No,
            ),
        );
        check(
            throughput().drops_at_most(percent(20)).from(&normal()),
            &summary(80, 0, 5),
            (
                "throughput",
                "at most 20 % below the baseline's 100 /s",
                "80 /s (80 samples)",
                Met::Yes,
            ),
        );
        check(
            error_rate().rises_at_most(percent(5)).from(&normal()),
            &summary(100, 6, 5),
            (
                "error rate",
                "at most 5 % points above the baseline's 0 %",
                "6 % (6 of 100 failed), the last: refused",
                Met::No,
            ),
        );
    }

    #[test]
    fn with_samples_that_were_not_sent_nothing_is_known() {
        let judgement = error_rate()
            .at_most(percent(0))
            .judge(&summary(100, 0, 5).with_unsent(2));
        assert_eq!(judgement.met, Met::NoData);
        assert!(
            judgement
                .actual
                .starts_with("0 % (0 of 100 failed); 2 more could not be sent"),
            "{}",
            judgement.actual
        );
    }

    #[test]
    fn without_data_nothing_is_met() {
        let empty = summary(0, 0, 0);
        for tolerance in [
            error_rate().at_most(percent(100)),
            latency(P95).at_most(secs(100)),
            throughput().at_most(1e9),
            value().at_most(1e9),
        ] {
            assert_eq!(tolerance.judge(&empty).met, Met::NoData);
        }
        let relative = latency(P95)
            .rises_at_most(ms(20))
            .from(&Before(Arc::new(empty)));
        assert_eq!(relative.judge(&summary(50, 0, 1)).met, Met::NoData);
    }
}
