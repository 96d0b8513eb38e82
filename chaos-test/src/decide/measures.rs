//! How tolerances are written: what is measured, and what is tolerated.

use std::time::Duration;

use crate::model::condition::{AbortCondition, Beyond, Measured};
use crate::model::units::Percent;

use super::comparison::{By, Direction};
use super::delta::Delta;
use super::metric::Metric;
use super::statistics::{P50, Percentile};
use super::tolerance::{BaselineSummary, Bound, Tolerance};

/// By how much a latency may change: a duration, or a share of the baseline.
///
/// ```
/// use chaos_test::{Change, P95, latency, ms, percent};
/// let by = latency(P95).rises_at_most(ms(50)); // then `.from(&normal)`
/// let share = latency(P95).rises_at_most(percent(20)); // of the baseline's p95
/// assert_eq!(Change::from(ms(50)), Change::By(ms(50)));
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Change {
    /// By a duration.
    By(Duration),
    /// By a share of the baseline's value.
    Share(Percent),
}

impl From<Duration> for Change {
    fn from(by: Duration) -> Self {
        Self::By(by)
    }
}

impl From<Percent> for Change {
    fn from(share: Percent) -> Self {
        Self::Share(share)
    }
}

/// The share of samples that failed.
///
/// ```
/// use chaos_test::{error_rate, percent};
/// let tolerance = error_rate().at_most(percent(1));
/// ```
pub fn error_rate() -> Rate {
    Rate(Metric::ErrorRate)
}

/// The share of samples that succeeded.
///
/// ```
/// use chaos_test::{availability, percent};
/// let tolerance = availability().at_least(percent(99.9));
/// ```
pub fn availability() -> Rate {
    Rate(Metric::Availability)
}

/// The latency at a percentile, over all samples of the window. A sample that failed was
/// never answered: it counts as slower than any limit.
///
/// ```
/// use chaos_test::{latency, ms, P95};
/// let tolerance = latency(P95).at_most(ms(250));
/// ```
pub fn latency(at: Percentile) -> LatencyOf {
    LatencyOf(at)
}

/// Successful samples per second.
///
/// ```
/// use chaos_test::throughput;
/// let tolerance = throughput().at_least(20.0);
/// ```
pub fn throughput() -> Throughput {
    Throughput(())
}

/// The median of the numbers that a probe returned.
///
/// ```
/// use chaos_test::value;
/// let tolerance = value().at_most(100.0);
/// ```
pub fn value() -> ValueOf {
    ValueOf(P50)
}

/// An error rate or an availability; see [`error_rate`] and [`availability`].
///
/// ```
/// use chaos_test::{availability, error_rate, percent, secs};
/// let few = error_rate().at_most(percent(1)); // of the samples of a window
/// let no_worse = error_rate().rises_at_most(percent(2)); // percentage points; then `.from(&normal)`
/// let still_up = availability().drops_at_most(percent(2));
/// let too_many = error_rate().above(percent(20)).over(secs(5)); // for `chaos.abort_if(..)`
/// ```
#[derive(Debug, Clone, Copy)]
#[must_use = "say what is tolerated, for example with `at_most`"]
pub struct Rate(Metric);

impl Rate {
    /// At most this share.
    pub fn at_most(self, share: Percent) -> Tolerance {
        absolute(self.0, Bound::AtMost(share.as_fraction()))
    }

    /// At least this share.
    pub fn at_least(self, share: Percent) -> Tolerance {
        absolute(self.0, Bound::AtLeast(share.as_fraction()))
    }

    /// Aborts a test when it is more than this share.
    pub fn above(self, share: Percent) -> AbortCondition {
        self.beyond(Beyond::Above(share.as_fraction()))
    }

    /// Aborts a test when it is less than this share.
    pub fn below(self, share: Percent) -> AbortCondition {
        self.beyond(Beyond::Below(share.as_fraction()))
    }

    fn beyond(self, bound: Beyond) -> AbortCondition {
        let measured = match self.0 {
            Metric::Availability => Measured::Availability,
            _ => Measured::ErrorRate,
        };
        AbortCondition::new(None, measured, bound, None)
    }

    /// Above the baseline by at most so many percentage points.
    pub fn rises_at_most(self, points: Percent) -> Delta {
        rises(self.0, By::Amount(points.as_fraction()))
    }

    /// Below the baseline by at most so many percentage points.
    pub fn drops_at_most(self, points: Percent) -> Delta {
        drops(self.0, By::Amount(points.as_fraction()))
    }
}

/// A latency at a percentile; see [`latency`].
///
/// ```
/// use chaos_test::{P50, P95, P99, latency, ms, percent, secs};
/// let quick = latency(P95).at_most(ms(250));
/// let felt = latency(P50).at_least(ms(100)); // a fault of 100 ms has to show
/// let no_slower = latency(P95).rises_at_most(percent(20)); // then `.from(&normal)`
/// let too_slow = latency(P99).above(secs(5)).over(secs(30)); // for `chaos.abort_if(..)`
/// ```
#[derive(Debug, Clone, Copy)]
#[must_use = "say what is tolerated, for example with `at_most`"]
pub struct LatencyOf(Percentile);

impl LatencyOf {
    /// At most so long.
    pub fn at_most(self, limit: Duration) -> Tolerance {
        absolute(Metric::Latency(self.0), Bound::AtMost(limit.as_secs_f64()))
    }

    /// At least so long: for a fault that must be felt.
    pub fn at_least(self, limit: Duration) -> Tolerance {
        absolute(Metric::Latency(self.0), Bound::AtLeast(limit.as_secs_f64()))
    }

    /// Aborts a test when it is longer than this.
    pub fn above(self, limit: Duration) -> AbortCondition {
        let bound = Beyond::Above(limit.as_secs_f64());
        AbortCondition::new(None, Measured::Latency(self.0.0), bound, None)
    }

    /// Above the baseline by at most a duration, or by at most a share of it.
    pub fn rises_at_most(self, change: impl Into<Change>) -> Delta {
        let by = match change.into() {
            Change::By(by) => By::Amount(by.as_secs_f64()),
            Change::Share(share) => By::Share(share.as_fraction()),
        };
        rises(Metric::Latency(self.0), by)
    }
}

/// Successful samples per second; see [`throughput`].
///
/// ```
/// use chaos_test::{percent, secs, throughput};
/// let enough = throughput().at_least(45.0); // samples answered well per second
/// let no_fewer = throughput().drops_at_most(percent(10)); // then `.from(&normal)`
/// let too_few = throughput().below(5.0).over(secs(10)); // for `chaos.abort_if(..)`
/// ```
#[derive(Debug, Clone, Copy)]
#[must_use = "say what is tolerated, for example with `at_least`"]
pub struct Throughput(());

impl Throughput {
    /// At least so many per second.
    pub fn at_least(self, per_second: f64) -> Tolerance {
        absolute(Metric::Throughput, Bound::AtLeast(per_second))
    }

    /// At most so many per second: for a fault that must be felt.
    pub fn at_most(self, per_second: f64) -> Tolerance {
        absolute(Metric::Throughput, Bound::AtMost(per_second))
    }

    /// At most this share of a baseline's: for a fault that must be felt. "Falls below half" is
    /// `throughput().at_most_share(percent(50)).of(&normal)`.
    pub fn at_most_share(self, share: Percent) -> ShareOfThroughput {
        ShareOfThroughput(share)
    }

    /// Aborts a test when it is less than so many per second.
    pub fn below(self, per_second: f64) -> AbortCondition {
        AbortCondition::new(None, Measured::Throughput, Beyond::Below(per_second), None)
    }

    /// Below the baseline by at most this share of it.
    pub fn drops_at_most(self, share: Percent) -> Delta {
        drops(Metric::Throughput, By::Share(share.as_fraction()))
    }
}

/// A share of a baseline's throughput; made by [`Throughput::at_most_share`].
///
/// ```
/// use chaos_test::{BaselineSummary, Tolerance, percent, throughput};
///
/// /// That a fault was felt: at most half as many samples were answered well per second.
/// fn felt(normal: &impl BaselineSummary) -> Tolerance {
///     throughput().at_most_share(percent(50)).of(normal)
/// }
/// ```
#[derive(Debug, Clone, Copy)]
#[must_use = "say of which baseline with `.of(&normal)`"]
pub struct ShareOfThroughput(Percent);

impl ShareOfThroughput {
    /// Of what this baseline saw. It is a statement about the samples that are judged, and exact.
    pub fn of(self, baseline: &impl BaselineSummary) -> Tolerance {
        let normal = baseline.summary().throughput().unwrap_or_default();
        throughput().at_most(normal * self.0.as_fraction())
    }
}

/// A number that a probe returned; see [`value`].
///
/// ```
/// use chaos_test::{MAX, P95, value};
/// let median = value().at_most(100.0); // in the unit of what the probe returns
/// let each = value().at(MAX).at_most(200e6);
/// let no_more = value().at(P95).rises_at_most(10.0); // then `.from(&normal)`
/// let too_many = value().above(1000.0).of("waiting orders"); // for `chaos.abort_if(..)`
/// ```
#[derive(Debug, Clone, Copy)]
#[must_use = "say what is tolerated, for example with `at_most`"]
pub struct ValueOf(Percentile);

impl ValueOf {
    /// Another percentile than the median.
    pub fn at(self, percentile: Percentile) -> Self {
        Self(percentile)
    }

    /// At most this number.
    pub fn at_most(self, number: f64) -> Tolerance {
        absolute(Metric::Value(self.0), Bound::AtMost(number))
    }

    /// At least this number.
    pub fn at_least(self, number: f64) -> Tolerance {
        absolute(Metric::Value(self.0), Bound::AtLeast(number))
    }

    /// Aborts a test when it is more than this number: any that the probe returns, whatever
    /// the percentile.
    pub fn above(self, number: f64) -> AbortCondition {
        AbortCondition::new(None, Measured::Value, Beyond::Above(number), None)
    }

    /// Aborts a test when it is less than this number: any that the probe returns, whatever
    /// the percentile.
    pub fn below(self, number: f64) -> AbortCondition {
        AbortCondition::new(None, Measured::Value, Beyond::Below(number), None)
    }

    /// Above the baseline by at most so much.
    pub fn rises_at_most(self, by: f64) -> Delta {
        rises(Metric::Value(self.0), By::Amount(by))
    }

    /// Below the baseline by at most so much.
    pub fn drops_at_most(self, by: f64) -> Delta {
        drops(Metric::Value(self.0), By::Amount(by))
    }
}

/// How many services have died, though neither a fault nor the test asked them to, and do not
/// run again.
///
/// ```
/// use chaos_test::{failed_services, secs};
/// let too_many = failed_services().above(2.0).over(secs(5));
/// ```
pub fn failed_services() -> FailedServices {
    FailedServices(())
}

/// How many services have failed; see [`failed_services`].
///
/// See [`failed_services`] for an example.
#[derive(Debug, Clone, Copy)]
#[must_use = "say how many are too many, with `above`"]
pub struct FailedServices(());

impl FailedServices {
    /// Aborts a test when there are more than so many.
    pub fn above(self, number: f64) -> AbortCondition {
        AbortCondition::new(None, Measured::FailedServices, Beyond::Above(number), None)
    }
}

fn absolute(metric: Metric, bound: Bound) -> Tolerance {
    Tolerance::absolute(metric, bound)
}

fn rises(metric: Metric, by: By) -> Delta {
    Delta::new(metric, Direction::Rises, by)
}

fn drops(metric: Metric, by: By) -> Delta {
    Delta::new(metric, Direction::Drops, by)
}
