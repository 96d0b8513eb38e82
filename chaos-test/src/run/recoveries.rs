//! Several recoveries of a test: what is expected of them together.

use std::sync::Arc;

use crate::decide::recoveries::{Attempt, RecoverySummary, RecoveryTolerance};
use crate::error::Error;
use crate::system::lock::lock;

use super::inner::Inner;
use super::judging::Judging;
use super::monitor::Monitor;

/// The recoveries that a test has waited for so far; made by
/// [`ChaosContext::recoveries`](crate::ChaosContext::recoveries).
///
/// ```no_run
/// # async fn body(chaos: &chaos_test::ChaosContext) -> chaos_test::Result {
/// use chaos_test::prelude::*;
/// use chaos_test::mttr;
/// // After two outages or more, each with its `recovers_to(..)`:
/// chaos.recoveries().expect(mttr().at_most(secs(2))).check()?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
#[must_use = "nothing is judged until something is expected of it"]
pub struct Recoveries {
    inner: Arc<Inner>,
    attempts: Vec<Attempt>,
    of: Option<String>,
}

impl std::fmt::Debug for Recoveries {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Recoveries").field(&self.attempts).finish()
    }
}

impl Recoveries {
    pub(super) fn new(inner: Arc<Inner>, attempts: Vec<Attempt>) -> Self {
        Self {
            inner,
            attempts,
            of: None,
        }
    }

    /// Only those that this monitor has seen.
    ///
    /// See [`RecoveriesExpected`] for an example.
    pub fn of(mut self, monitor: &Monitor) -> Self {
        self.attempts
            .retain(|attempt| attempt.monitor == monitor.name());
        self.of = Some(monitor.name().to_owned());
        self
    }

    /// What they come to; judges nothing.
    ///
    /// See [`RecoverySummary`] for an example.
    #[must_use]
    pub fn summary(&self) -> RecoverySummary {
        RecoverySummary::of(&self.attempts)
    }

    /// Expects something of them; judged by [`RecoveriesExpected::check`].
    #[track_caller]
    pub fn expect(self, tolerance: RecoveryTolerance) -> RecoveriesExpected {
        let judging = Judging::new(Arc::clone(&self.inner));
        let expected = RecoveriesExpected {
            recoveries: self,
            judging,
        };
        expected.expect(tolerance)
    }

    /// The names of the monitors that have seen them, and of their services.
    fn names(&self) -> Vec<String> {
        let monitors = lock(&self.inner.monitors);
        let meant = |name: &str| self.attempts.iter().any(|attempt| attempt.monitor == name);
        let mut names: Vec<String> = monitors
            .iter()
            .filter(|watcher| meant(&watcher.name))
            .flat_map(|watcher| watcher.names())
            .collect();
        names.sort();
        names.dedup();
        names
    }
}

/// What is expected of several recoveries; judged all together by [`check`](Self::check).
///
/// Where it is dropped without it the test cannot pass: it says that they were never judged.
///
/// ```no_run
/// # fn body(chaos: &chaos_test::ChaosContext, requests: &chaos_test::Monitor) -> chaos_test::Result {
/// use chaos_test::{MAX, mttr, percent, recovery_rate, recovery_time, secs};
/// let recoveries = chaos.recoveries().of(requests); // two at least
/// recoveries
///     .expect(mttr().at_most(secs(2)))
///     .expect(recovery_time(MAX).at_most(secs(5)))
///     .expect(recovery_rate().at_least(percent(95)))
///     .check()?;
/// # Ok(()) }
/// ```
#[derive(Debug)]
#[must_use = "nothing is judged until `check` is called"]
pub struct RecoveriesExpected {
    recoveries: Recoveries,
    judging: Judging,
}

impl RecoveriesExpected {
    /// Expects one thing more.
    #[track_caller]
    pub fn expect(mut self, tolerance: RecoveryTolerance) -> Self {
        let mut judgement = tolerance.judge(&self.recoveries.summary());
        if let Some(monitor) = &self.recoveries.of {
            judgement.what += &format!(" of {monitor}");
        }
        for measure in &mut judgement.measured {
            measure.of = self.recoveries.names();
        }
        self.judging.add(judgement);
        self
    }

    /// Judges all of them and reports every miss.
    ///
    /// The judgement stands: a miss fails the test even if the error is swallowed.
    ///
    /// # Errors
    ///
    /// If at least one is missed ([`Error::is_deviation`]), or there are fewer than two
    /// recoveries ([`Error::is_no_data`]).
    #[track_caller]
    pub fn check(self) -> Result<(), Error> {
        self.judging.check()
    }
}
