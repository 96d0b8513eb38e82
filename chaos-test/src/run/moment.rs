//! An instant of a test.

use std::ops::Sub;
use std::time::Duration;

/// An instant, as a duration since the context started.
///
/// ```no_run
/// # async fn body(chaos: &chaos_test::ChaosContext) -> chaos_test::Result {
/// let before = chaos.now();
/// // ..
/// println!("that took {:?}", chaos.now() - before);
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(pub(super) Duration);

impl From<Moment> for Duration {
    fn from(moment: Moment) -> Self {
        moment.0
    }
}

impl Sub for Moment {
    type Output = Duration;

    /// The time between two moments; zero if the other one is later.
    fn sub(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl std::fmt::Display for Moment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.3} s", self.0.as_secs_f64())
    }
}
