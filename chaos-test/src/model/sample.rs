//! What a probe saw: readings, samples and the windows they are looked at through.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What one call of a probe returned: a number if it measures one, or what went wrong.
///
/// ```
/// use chaos_test::Reading;
///
/// assert!(Reading::Good(None).is_good()); // it was answered
/// assert!(Reading::Good(Some(17.0)).is_good()); // with a number
/// assert!(!Reading::Bad("status 503".to_owned()).is_good());
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reading {
    /// The probe succeeded; the number, if it measures one.
    Good(Option<f64>),
    /// The probe failed, and why.
    Bad(String),
}

impl Reading {
    /// Whether the probe succeeded.
    #[must_use]
    pub fn is_good(&self) -> bool {
        matches!(self, Self::Good(_))
    }
}

/// One reading of a monitor, with when and how long.
///
/// ```no_run
/// # async fn body(requests: &chaos_test::Monitor) -> chaos_test::Result {
/// use chaos_test::prelude::*;
/// for sample in requests.over(secs(1)).await?.samples() {
///     println!("due at {:?}, answered at {:?}: {:?}", sample.at, sample.answered(), sample.reading);
/// }
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Sample {
    /// When it was meant to be taken, since the context started.
    pub at: Duration,
    /// When it was really sent. On a busy machine that is later.
    pub sent: Duration,
    /// From when it was meant to be taken until its answer: a probe that was held up by an
    /// earlier one still counts from its intended start, so that a stall is not hidden
    /// ("coordinated omission").
    pub latency: Duration,
    /// What it saw.
    pub reading: Reading,
}

impl Sample {
    /// When its answer was there.
    #[must_use]
    pub fn answered(&self) -> Duration {
        self.at + self.latency
    }
}

/// A span of time, since the context started; the end is not part of it.
///
/// ```
/// use chaos_test::{Event, Journal};
///
/// fn print_baselines(journal: &Journal) {
///     for record in &journal.records {
///         if let Event::Baseline { monitor, window, .. } = &record.event {
///             println!("{monitor}: {:?} from {:?} on", window.length(), window.from);
///         }
///     }
/// }
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Window {
    /// Where it begins.
    pub from: Duration,
    /// Where it ends.
    pub to: Duration,
}

impl Window {
    /// How long it is.
    #[must_use]
    pub fn length(&self) -> Duration {
        self.to.saturating_sub(self.from)
    }

    /// Whether an instant lies in it.
    #[must_use]
    pub fn contains(&self, at: Duration) -> bool {
        self.from <= at && at < self.to
    }
}
