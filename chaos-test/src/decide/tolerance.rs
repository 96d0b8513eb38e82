//! Tolerances: pure predicates over the samples of a window. Absolute ones are judged here,
//! by what was seen; those that compare with a baseline in `delta`.

use std::sync::Arc;

use crate::model::event::Met;
use crate::model::evidence::{Evidence, Shows};
use crate::model::measure::Measure;

use super::delta::Delta;
use super::metric::{Metric, last_failure};
use super::statistics::Summary;
use crate::model::sample::Window;

/// A predicate over the samples of a window. Made by [`error_rate`](crate::error_rate),
/// [`availability`](crate::availability), [`latency`](crate::latency),
/// [`throughput`](crate::throughput) and [`value`](crate::value).
///
/// `at_most` and `at_least` are statements about the samples that were seen, and exact.
/// `rises_at_most` and `drops_at_most` are statements about the system, from samples of it:
/// see [`Delta`].
///
/// ```no_run
/// # async fn body(requests: &chaos_test::Monitor, normal: &chaos_test::Baseline) -> chaos_test::Result {
/// use chaos_test::prelude::*;
/// let seen = requests.over(secs(5)).await?;
/// seen.expect(error_rate().at_most(percent(1))) // of these samples
///     .expect(latency(P95).rises_at_most(ms(50)).from(normal)) // of the system
///     .check()?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
#[must_use = "a tolerance judges nothing until it is passed to `expect`"]
pub struct Tolerance(Kind);

#[derive(Debug, Clone)]
enum Kind {
    Absolute(Metric, Bound),
    Relative(Delta, Arc<Summary>),
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

/// What a tolerance came to.
///
/// ```
/// use chaos_test::{Comparison, lost};
/// let orders = Comparison::of(&[(17, "teapot"), (18, "cup")], &[], &[(18, "cup")]);
/// let judgement = lost().at_most(0).judge("orders", &orders);
/// println!("{}: expected {}, was {}", judgement.what, judgement.expected, judgement.actual);
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Judgement {
    /// What was judged, for example `p95 latency`.
    pub what: String,
    /// What was expected.
    pub expected: String,
    /// What was seen.
    pub actual: String,
    /// Whether it is as expected.
    pub met: Met,
    /// The numbers that it was made of.
    pub measured: Vec<Measure>,
    /// The samples that it is about.
    pub evidence: Vec<Evidence>,
}

/// Something that holds the summary of a baseline.
///
/// ```
/// use chaos_test::{BaselineSummary, P95, Tolerance, latency, ms};
///
/// fn not_much_slower(normal: &impl BaselineSummary) -> Tolerance {
///     latency(P95).rises_at_most(ms(20)).from(normal)
/// }
/// ```
pub trait BaselineSummary {
    /// The summary of its samples.
    fn summary(&self) -> Arc<Summary>;
}

impl Tolerance {
    pub(super) fn absolute(metric: Metric, bound: Bound) -> Self {
        Self(Kind::Absolute(metric, bound))
    }

    pub(super) fn relative(delta: Delta, baseline: Arc<Summary>) -> Self {
        Self(Kind::Relative(delta, baseline))
    }

    /// What is expected of which number, for example `error rate at most 1 %`.
    pub(crate) fn words(&self) -> String {
        let judgement = self.judge(&Summary::of(&[], Window::default()));
        let what = match &self.0 {
            // One sample has no percentile.
            Kind::Absolute(Metric::Latency(_), _) => "latency".to_owned(),
            Kind::Absolute(Metric::Value(_), _) => "value".to_owned(),
            _ => judgement.what,
        };
        format!("{what} {}", judgement.expected)
    }

    /// Whether it is about the numbers that a probe returns.
    pub(crate) fn is_of_values(&self) -> bool {
        matches!(self.0, Kind::Absolute(Metric::Value(_), _))
    }

    /// What it is about: samples, with what is known of them apart from it.
    pub(crate) fn evidence(&self, mut samples: Evidence) -> Evidence {
        if self.is_of_values() {
            samples.shows = Shows::Numbers;
        }
        if let Kind::Relative(delta, baseline) = &self.0 {
            if delta.is_of_values() {
                samples.shows = Shows::Numbers;
            }
            samples.baseline = Some(baseline.in_words());
        }
        samples
    }

    /// Whether a single sample can be judged by it.
    pub(crate) fn is_of_single_samples(&self) -> bool {
        !matches!(
            self.0,
            Kind::Relative(..) | Kind::Absolute(Metric::Throughput, _)
        )
    }

    /// Judges a window.
    ///
    /// ```no_run
    /// # fn body(normal: &chaos_test::Baseline) {
    /// use chaos_test::{BaselineSummary, Met, P95, latency, ms};
    /// let judgement = latency(P95).at_most(ms(20)).judge(&normal.summary());
    /// assert_eq!(judgement.met, Met::Yes, "{}", judgement.actual);
    /// # }
    /// ```
    #[must_use]
    pub fn judge(&self, window: &Summary) -> Judgement {
        let mut judgement = match &self.0 {
            Kind::Absolute(metric, bound) => absolute(*metric, *bound, window),
            Kind::Relative(delta, baseline) => delta.judge(baseline, window),
        };
        if window.unsent > 0 {
            // Those that are missing may have been the ones that mattered.
            judgement.met = Met::NoData;
            judgement.actual += &unsent(window.unsent);
        }
        judgement
    }
}

fn absolute(metric: Metric, bound: Bound, window: &Summary) -> Judgement {
    let seen = metric.read(window);
    let (expected, is_met) = match bound {
        Bound::AtMost(limit) => (
            format!("at most {}", metric.unit(limit)),
            seen.map(|seen| seen <= limit),
        ),
        Bound::AtLeast(limit) => (
            format!("at least {}", metric.unit(limit)),
            seen.map(|seen| seen >= limit),
        ),
    };
    Judgement {
        what: metric.name(),
        expected,
        actual: metric.describe(seen, window) + &last_failure(window),
        met: match is_met {
            Some(true) => Met::Yes,
            Some(false) => Met::No,
            None => Met::NoData,
        },
        measured: measured(metric, seen, matches!(bound, Bound::AtMost(_))),
        evidence: Vec::new(),
    }
}

/// The number that was seen, for whoever declared something about it.
pub(super) fn measured(metric: Metric, seen: Option<f64>, at_most: bool) -> Vec<Measure> {
    let measure = seen.map(|seen| Measure::new(metric.key(), seen, at_most));
    measure.into_iter().collect()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::measures::{availability, error_rate, latency, throughput, value};
    use crate::decide::statistics::P95;
    use crate::model::sample::{Reading, Sample, Window};
    use crate::model::units::{ms, percent, secs};

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
    }
}
