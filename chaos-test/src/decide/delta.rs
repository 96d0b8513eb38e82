//! Tolerances that compare a window with a baseline: what they say, and how it is told.
//! Whether one is met is `comparison`'s to decide.

use std::time::Duration;

use crate::model::event::Met;
use crate::model::units::{Percent, human, trimmed};

use super::comparison::{Allowed, By, Comparison, Direction, Interval};
use super::metric::{Metric, last_failure};
use super::statistics::Summary;
use super::tolerance::{BaselineSummary, Judgement, Tolerance, measured};

/// A tolerance that still needs the baseline it is relative to.
///
/// Two windows of the same system are never quite alike. So it is not the two numbers that
/// are compared, but between which bounds the true difference lies: the confidence interval,
/// at 95 % by default. There are three answers:
///
/// - the whole interval is tolerated: met;
/// - none of it is: not met, the test has deviated;
/// - a part of it is: that cannot be told from so few samples. The test fails as unknown, and
///   says about how many would be needed.
///
/// A change beyond the limit is met, and one within it missed, in at most 2.5 of 100 tests;
/// the README says how that was tried. A p95 needs at least 72 samples in the window to be
/// met and as many in the baseline to be missed, a p99 368, a median 6; a
/// [`MAX`](crate::MAX) can never be told.
///
/// A rate or throughput of which nothing may be lost (`percent(0)`) is met by 20 samples or
/// more without a failure: a statement about these samples, because what has not been seen
/// may still be rare. To say the same of latencies use `at_most`.
///
/// ```
/// use chaos_test::{P95, latency, ms, percent};
/// # use chaos_test::{BaselineSummary, Tolerance};
/// # fn tolerance(normal: &impl BaselineSummary) -> Tolerance {
/// latency(P95).rises_at_most(ms(20)).confidence(percent(99)).from(normal)
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use = "say which baseline with `.from(&normal)`"]
pub struct Delta {
    metric: Metric,
    allowed: Allowed,
    confidence: f64,
}

impl Delta {
    pub(super) fn new(metric: Metric, direction: Direction, by: By) -> Self {
        Self {
            metric,
            allowed: Allowed { direction, by },
            confidence: 0.95,
        }
    }

    /// How sure to be, 95 % by default: at 99 % it is told wrongly in at most one of 200 tests
    /// either way, and needs more samples.
    ///
    /// # Panics
    ///
    /// If it is not from 50 to 99.9 %.
    #[track_caller]
    pub fn confidence(mut self, level: Percent) -> Self {
        assert!(
            (0.5..=0.999_000_1).contains(&level.as_fraction()),
            "a level of confidence is from 50 to 99.9 %, not {level}"
        );
        self.confidence = level.as_fraction();
        self
    }

    /// Compared with this baseline.
    pub fn from(self, baseline: &impl BaselineSummary) -> Tolerance {
        let baseline = baseline.summary();
        Tolerance::relative(self, baseline)
    }

    /// Whether it is about the numbers that a probe returns.
    pub(super) fn is_of_values(&self) -> bool {
        matches!(self.metric, Metric::Value(_))
    }

    /// Whether it is met, without a word.
    pub(super) fn decide(&self, baseline: &Summary, window: &Summary) -> Met {
        self.comparison(baseline, window)
            .map_or(Met::NoData, |comparison| comparison.judge(self.allowed))
    }

    fn comparison(&self, baseline: &Summary, window: &Summary) -> Option<Comparison> {
        let before = self.metric.estimate(baseline)?;
        let now = self.metric.estimate(window)?;
        Some(Comparison::new(before, now, self.confidence))
    }

    pub(super) fn judge(&self, baseline: &Summary, window: &Summary) -> Judgement {
        let comparison = self.comparison(baseline, window);
        let (before, seen) = match &comparison {
            Some(comparison) => (Some(comparison.before.seen()), Some(comparison.now.seen())),
            None => (self.metric.read(baseline), self.metric.read(window)),
        };
        let from = match before {
            Some(before) if before.is_finite() => {
                format!("the baseline's {}", self.metric.unit(before))
            }
            Some(_) => "a baseline without an answer".to_owned(),
            None => "a baseline without data".to_owned(),
        };
        let met = self.decide(baseline, window);
        let mut actual = self.metric.describe(seen, window);
        if let Some(comparison) = &comparison {
            actual += &self.compared(comparison, &from);
            if met == Met::NoData {
                actual += &self.missing(comparison, baseline, window);
            }
        }
        Judgement {
            what: self.metric.name(),
            expected: self.expected(&from),
            actual: actual + &last_failure(window),
            met,
            measured: measured(
                self.metric,
                self.metric.read(window),
                matches!(self.allowed.direction, Direction::Rises),
            ),
            evidence: Vec::new(),
        }
    }

    fn expected(&self, from: &str) -> String {
        let by = match self.allowed.by {
            By::Amount(by) => self.metric.difference(by),
            By::Share(share) => Percent::from_fraction(share).to_string(),
        };
        match self.allowed.direction {
            Direction::Rises => format!("at most {by} above {from}"),
            Direction::Drops => format!("at most {by} below {from}"),
        }
    }

    /// How the two compare, for example ", 19.8 ms above the baseline's 10.4 ms, 95 %
    /// interval 17.1 ms to 22.9 ms".
    fn compared(&self, comparison: &Comparison, from: &str) -> String {
        let (before, now) = (comparison.before.seen(), comparison.now.seen());
        if !before.is_finite() {
            return format!("; {from} compares with nothing");
        }
        let as_share = matches!(self.allowed.by, By::Share(_)) && before > 0.0;
        let (change, interval) = if as_share {
            let ratio = comparison.ratio();
            let interval = Interval {
                low: ratio.low - 1.0,
                high: ratio.high - 1.0,
            };
            (now / before - 1.0, interval)
        } else {
            (now - before, comparison.difference(1.0))
        };
        let size = |number: f64| {
            if as_share {
                Percent::from_fraction(number.abs()).to_string()
            } else {
                self.metric.difference(number.abs())
            }
        };
        let side = |number: f64| {
            if number < 0.0 {
                format!("{} below", size(number))
            } else {
                format!("{} above", size(number))
            }
        };
        let compared = if !change.is_finite() {
            // From no answer to an answer there is no distance, whatever the interval.
            return format!(", against {from}");
        } else if change == 0.0 {
            format!(", the same as {from}")
        } else {
            format!(", {} {from}", side(change))
        };
        if comparison.is_flawless(self.allowed) {
            // It is not the interval that decides.
            return compared;
        }
        let level = Percent::from_fraction(self.confidence);
        let Interval { low, high } = interval;
        let interval = match (low.is_finite(), high.is_finite()) {
            (false, false) => format!("{level} interval open at both ends"),
            (true, false) => format!("{level} interval from {} upwards", side(low)),
            (false, true) => format!("{level} interval up to {}", side(high)),
            (true, true) if low == 0.0 && high == 0.0 => return compared,
            (true, true) if low > 0.0 && change > 0.0 => {
                format!("{level} interval {} to {}", size(low), size(high))
            }
            (true, true) if high < 0.0 && change < 0.0 => {
                format!("{level} interval {} to {}", size(high), size(low))
            }
            (true, true) => format!(
                "within the noise: {level} interval {} to {}",
                side(low),
                side(high)
            ),
        };
        format!("{compared}, {interval}")
    }

    /// Why it cannot be told, and what would help.
    fn missing(&self, comparison: &Comparison, baseline: &Summary, window: &Summary) -> String {
        if comparison.before.is_maximum() {
            return "; no number of samples tells what a maximum may become: compare a \
                    percentile, or use `at_most`"
                .to_owned();
        }
        if !comparison.before.seen().is_finite() {
            return String::new();
        }
        let Some(needs) = comparison.needs(self.allowed) else {
            return "; too close to the limit, or too unsteady, for any window of a reasonable \
                    length: allow more, or have the system settle first"
                .to_owned();
        };
        let lasts = |count: usize, summary: &Summary| match summary.pace() {
            Some(pace) => {
                let seconds = Duration::from_secs_f64(count as f64 / pace);
                format!(" ({})", human(seconds))
            }
            None => String::new(),
        };
        let mut wanted = Vec::new();
        if needs.now > comparison.now.count {
            let count = rounded(needs.now);
            wanted.push(format!("{count} in the window{}", lasts(count, window)));
        }
        if needs.before > comparison.before.count {
            let count = rounded(needs.before);
            wanted.push(format!("{count} in the baseline{}", lasts(count, baseline)));
        }
        let mut text = format!(
            "; that cannot be told from so few samples, about {} would do",
            wanted.join(" and ")
        );
        let counts = comparison.now.independent;
        if counts < 0.5 {
            text += &format!(
                "; neighbours are alike, so {} count as one",
                trimmed(counts.recip().round())
            );
        }
        text
    }
}

/// A number of samples that nobody takes for exact: two digits, rounded up.
fn rounded(count: usize) -> usize {
    let mut unit = 1;
    while count / unit >= 100 {
        unit *= 10;
    }
    count.div_ceil(unit) * unit
}

#[cfg(test)]
mod tests;
