//! Service level objectives: the numbers alone, as tests and configurations write them. Nothing is
//! measured or judged here.

use std::time::Duration;

use super::units::{Percent, ms, percent, secs};

/// Service level objectives. Each one that is set is judged, and one that was not measured fails;
/// those that are `None` are nobody's business. The default has none.
///
/// A test writes them down, or takes those that the configuration has for its environment
/// (feature `environments`): `chaos.slos(*chaos.environment().thresholds())`.
///
/// ```
/// use chaos_test::{Slos, percent, secs};
/// let mine = Slos { availability: Some(percent(99.9)), ..Slos::default() };
/// let theirs = Slos { mttr: Some(secs(20)), ..Slos::production() };
/// assert_eq!(theirs.availability, Some(percent(99)));
/// # assert_eq!(mine.mttr, None);
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Slos {
    /// Mean time to recovery, at most: over two recoveries or more.
    pub mttr: Option<Duration>,
    /// Share of failed requests, at most.
    pub error_rate: Option<Percent>,
    /// Share of successful requests, at least.
    pub availability: Option<Percent>,
    /// By how much the p95 of latency may be above the baseline's.
    pub latency_degradation: Option<Duration>,
    /// Time of each single recovery, at most.
    pub recovery_time: Option<Duration>,
    /// Share of recoveries that came within their limits, at least.
    pub recovery_rate: Option<Percent>,
    /// Share of acknowledged records that are there afterwards as they were written, at least.
    pub consistency: Option<Percent>,
}

impl Slos {
    /// The reference: MTTR 30 s, errors 5 %, availability 95 %, latency degradation 500 ms,
    /// recovery 10 s.
    ///
    /// ```
    /// use chaos_test::{Slos, percent, secs};
    /// assert_eq!(Slos::reference().recovery_time, Some(secs(10)));
    /// assert_eq!(Slos::development().error_rate, Some(percent(10)));
    /// assert_eq!(Slos::staging().mttr, Some(secs(45)));
    /// ```
    #[must_use]
    pub fn reference() -> Self {
        Self {
            mttr: Some(secs(30)),
            error_rate: Some(percent(5)),
            availability: Some(percent(95)),
            latency_degradation: Some(ms(500)),
            recovery_time: Some(secs(10)),
            recovery_rate: None,
            consistency: None,
        }
    }

    /// The [reference](Self::reference) with MTTR 60 s, errors 10 %, availability 90 %.
    ///
    /// See [`reference`](Self::reference) for an example.
    #[must_use]
    pub fn development() -> Self {
        Self::of_environment(secs(60), percent(10), percent(90))
    }

    /// The [reference](Self::reference) with MTTR 45 s, errors 5 %, availability 95 %.
    ///
    /// See [`reference`](Self::reference) for an example.
    #[must_use]
    pub fn staging() -> Self {
        Self::of_environment(secs(45), percent(5), percent(95))
    }

    /// The [reference](Self::reference) with MTTR 30 s, errors 1 %, availability 99 %.
    #[must_use]
    pub fn production() -> Self {
        Self::of_environment(secs(30), percent(1), percent(99))
    }

    fn of_environment(mttr: Duration, error_rate: Percent, availability: Percent) -> Self {
        Self {
            mttr: Some(mttr),
            error_rate: Some(error_rate),
            availability: Some(availability),
            ..Self::reference()
        }
    }
}
