//! Abort conditions: what must not become true while something is broken.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use super::units::{Percent, human, trimmed};

/// A condition under which a test is aborted: rolled back at once, with its own verdict.
///
/// `#[chaos_test(abort_if(checkout.error_rate > 5% for 10s))]` writes them; a context without
/// the macro gets them by [`ChaosContext::abort_if`](crate::ChaosContext::abort_if), from
/// [`error_rate`](crate::error_rate), [`availability`](crate::availability),
/// [`latency`](crate::latency), [`throughput`](crate::throughput), [`value`](crate::value) or
/// [`failed_services`](crate::failed_services):
///
/// ```
/// use chaos_test::{error_rate, failed_services, percent, secs};
/// let too_many = error_rate().above(percent(5)).over(secs(10)).of("checkout");
/// assert_eq!(too_many.to_string(), "checkout.error_rate > 5 % for 10 s");
/// assert_eq!(failed_services().above(2.0).to_string(), "failed_services > 2");
/// ```
///
/// Rates and percentiles are taken over the last so much time, one second where the condition
/// does not say; they are judged only once that time has passed and something was answered in
/// it. What counts is when samples are answered. One that waits for its answer longer than a
/// latency's limit is above it already. Numbers and failed services are judged as they come,
/// or have to stay for as long as the condition says.
#[derive(Debug, Clone, PartialEq)]
#[must_use = "it aborts nothing until it is passed to `abort_if`"]
pub struct AbortCondition {
    pub(crate) source: Option<Cow<'static, str>>,
    pub(crate) metric: Measured,
    pub(crate) bound: Beyond,
    pub(crate) window: Option<Duration>,
}

/// What a condition looks at.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Measured {
    /// The share of samples that failed.
    ErrorRate,
    /// The share of samples that succeeded.
    Availability,
    /// The latency at a percentile, in seconds.
    Latency(f64),
    /// Answers per second.
    Throughput,
    /// The numbers that a probe returns.
    Value,
    /// How many services have died, though neither a fault nor the test asked them to.
    FailedServices,
}

/// Beyond which limit a test is aborted, in the unit of what is measured.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Beyond {
    /// More than this.
    Above(f64),
    /// This or more.
    AtLeast(f64),
    /// Less than this.
    Below(f64),
    /// This or less.
    AtMost(f64),
}

impl Beyond {
    /// Whether a number is beyond.
    #[must_use]
    pub fn holds(self, number: f64) -> bool {
        match self {
            Self::Above(limit) => number > limit,
            Self::AtLeast(limit) => number >= limit,
            Self::Below(limit) => number < limit,
            Self::AtMost(limit) => number <= limit,
        }
    }

    /// The limit.
    #[must_use]
    pub fn limit(self) -> f64 {
        match self {
            Self::Above(limit)
            | Self::AtLeast(limit)
            | Self::Below(limit)
            | Self::AtMost(limit) => limit,
        }
    }

    /// Whether it is large numbers that are beyond.
    #[must_use]
    pub fn is_upwards(self) -> bool {
        matches!(self, Self::Above(_) | Self::AtLeast(_))
    }
}

/// Over how much time rates and percentiles are taken where a condition does not say.
const USUAL_WINDOW: Duration = Duration::from_secs(1);

impl AbortCondition {
    /// What the macro writes.
    #[doc(hidden)]
    pub const fn new(
        source: Option<&'static str>,
        metric: Measured,
        bound: Beyond,
        window: Option<Duration>,
    ) -> Self {
        Self {
            source: match source {
                Some(source) => Some(Cow::Borrowed(source)),
                None => None,
            },
            metric,
            bound,
            window,
        }
    }

    /// Over the last so much time. For a [`value`](crate::value) and for
    /// [`failed_services`](crate::failed_services): without a break for so long.
    ///
    /// # Panics
    ///
    /// If it is zero.
    #[track_caller]
    pub fn over(mut self, window: Duration) -> Self {
        assert!(!window.is_zero(), "a condition needs some time to look at");
        self.window = Some(window);
        self
    }

    /// Only of this: the name of a monitor, or of the service that monitors ask. Without it,
    /// of all monitors together.
    pub fn of(mut self, source: impl Into<String>) -> Self {
        self.source = Some(Cow::Owned(source.into()));
        self
    }

    /// Whether it is judged by each number as it comes, and not by all of a window together.
    pub(crate) fn is_instant(&self) -> bool {
        matches!(self.metric, Measured::Value | Measured::FailedServices)
    }

    /// Over how much time it looks; none where each number decides by itself.
    pub(crate) fn length(&self) -> Duration {
        match self.window {
            Some(window) => window,
            None if self.is_instant() => Duration::ZERO,
            None => USUAL_WINDOW,
        }
    }
}

impl Measured {
    /// A number of it, with its unit.
    pub(crate) fn number(self, number: f64) -> String {
        match self {
            Self::ErrorRate | Self::Availability => Percent::from_fraction(number).to_string(),
            Self::Latency(_) => human(Duration::from_secs_f64(number.max(0.0))),
            Self::Throughput => format!("{} /s", trimmed(number)),
            Self::Value | Self::FailedServices => trimmed(number),
        }
    }
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ErrorRate => f.write_str("error_rate"),
            Self::Availability => f.write_str("availability"),
            Self::Latency(at) if *at >= 100.0 => f.write_str("max"),
            Self::Latency(at) => write!(f, "p{at}"),
            Self::Throughput => f.write_str("throughput"),
            Self::Value => f.write_str("value"),
            Self::FailedServices => f.write_str("failed_services"),
        }
    }
}

/// As it is written in `abort_if(..)`.
impl fmt::Display for AbortCondition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(source) = &self.source {
            write!(f, "{source}.")?;
        }
        let sign = match self.bound {
            Beyond::Above(_) => ">",
            Beyond::AtLeast(_) => ">=",
            Beyond::Below(_) => "<",
            Beyond::AtMost(_) => "<=",
        };
        let limit = self.metric.number(self.bound.limit());
        write!(f, "{} {sign} {limit}", self.metric)?;
        match self.window {
            Some(window) => write!(f, " for {}", human(window)),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_shown_as_it_is_written() {
        for (condition, text) in [
            (
                AbortCondition::new(
                    Some("checkout"),
                    Measured::Latency(99.0),
                    Beyond::Above(5.0),
                    Some(Duration::from_secs(60)),
                ),
                "checkout.p99 > 5 s for 60 s",
            ),
            (
                AbortCondition::new(None, Measured::Availability, Beyond::Below(0.95), None),
                "availability < 95 %",
            ),
            (
                AbortCondition::new(Some("lost"), Measured::Value, Beyond::AtLeast(1.0), None),
                "lost.value >= 1",
            ),
        ] {
            assert_eq!(condition.to_string(), text);
        }
    }
}
