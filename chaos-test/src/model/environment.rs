//! The environment that a test runs in, as tests see it: its name, zones and thresholds.

use std::time::Duration;

use super::units::Percent;

/// The environment that a test runs in; see
/// [`ChaosContext::environment`](crate::ChaosContext::environment).
#[derive(Debug, Clone, PartialEq)]
pub struct Environment {
    pub(crate) name: String,
    pub(crate) zones: Vec<Zone>,
    pub(crate) thresholds: Thresholds,
}

impl Environment {
    /// Its name: `development`, `staging`, `production`, or one that the configuration defines.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its zones, by their names; none where the configuration has none.
    #[must_use]
    pub fn zones(&self) -> &[Zone] {
        &self.zones
    }

    /// What the configuration expects of systems in it. Nothing is judged by that unless a test
    /// does so.
    #[must_use]
    pub fn thresholds(&self) -> &Thresholds {
        &self.thresholds
    }
}

/// A part of an environment that is meant to fail by itself, such as a region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zone {
    pub(crate) name: String,
    pub(crate) targets: Vec<String>,
}

impl Zone {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What is in it, as the configuration names it: `orders-db`, `file:/srv/eu-1`, `eu-1-*`.
    #[must_use]
    pub fn targets(&self) -> &[String] {
        &self.targets
    }
}

/// What the configuration expects of systems in an environment; `None` where it says nothing.
///
/// ```
/// use chaos_test::{Slos, Thresholds, Tolerance, error_rate, percent};
///
/// fn tolerated(thresholds: &Thresholds) -> Tolerance {
///     error_rate().at_most(thresholds.error_rate.unwrap_or(percent(5)))
/// }
/// # let _ = tolerated(&Thresholds::default());
/// // All of them, for `chaos.slos(..)`.
/// assert_eq!(Slos::from(&Thresholds::default()), Slos::default());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[non_exhaustive]
pub struct Thresholds {
    /// At most so long from a fault to the recovery, on average of several.
    pub mttr: Option<Duration>,
    /// At most this share of requests may fail.
    pub error_rate: Option<Percent>,
    /// At least this share of requests must succeed.
    pub availability: Option<Percent>,
    /// By at most so much may latencies rise.
    pub latency_degradation: Option<Duration>,
    /// At most so long from the lifting of a fault to the recovery.
    pub recovery_time: Option<Duration>,
    /// At least this share of faults must be recovered from.
    pub recovery_rate: Option<Percent>,
    /// At least this share of acknowledged records must be read as they were written.
    pub consistency: Option<Percent>,
}
