//! The environment that a test runs in, as tests see it: its name, zones and thresholds.

use super::slos::Slos;

/// The environment that a test runs in; see
/// [`ChaosContext::environment`](crate::ChaosContext::environment).
///
/// ```no_run
/// # async fn body(chaos: &chaos_test::ChaosContext) -> chaos_test::Result {
/// use chaos_test::prelude::*;
/// let environment = chaos.environment();
/// let tolerated = environment.thresholds().error_rate.unwrap_or(percent(5));
/// println!("{}: at most {tolerated}", environment.name());
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Environment {
    pub(crate) name: String,
    pub(crate) zones: Vec<Zone>,
    pub(crate) thresholds: Slos,
}

impl Environment {
    /// Its name: `development`, `staging`, `production`, or one that the configuration defines.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its zones, by their names; none where the configuration has none.
    ///
    /// See [`Zone`] for an example.
    #[must_use]
    pub fn zones(&self) -> &[Zone] {
        &self.zones
    }

    /// What the configuration expects of systems in it; `None` where it says nothing. Nothing is
    /// judged by that unless a test does so.
    ///
    /// ```no_run
    /// # async fn body(chaos: &chaos_test::ChaosContext) -> chaos_test::Result {
    /// use chaos_test::{error_rate, percent};
    /// let environment = chaos.environment();
    /// // One of them, for a tolerance.
    /// let few = error_rate().at_most(environment.thresholds().error_rate.unwrap_or(percent(5)));
    /// // All of them.
    /// chaos.slos(*environment.thresholds()).check().await?;
    /// # let _ = few; Ok(()) }
    /// ```
    #[must_use]
    pub fn thresholds(&self) -> &Slos {
        &self.thresholds
    }
}

/// A part of an environment that is meant to fail by itself, such as a region.
///
/// ```no_run
/// # fn body(chaos: &chaos_test::ChaosContext) {
/// for zone in chaos.environment().zones() {
///     println!("{}: {}", zone.name(), zone.targets().join(", "));
/// }
/// # }
/// ```
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
