//! What a judgement was made of, so that a report can show it: plain data, no samples of its own.

use serde::{Deserialize, Serialize};

use super::sample::Window;

/// What a judgement is about: samples of a monitor, or whatever else was looked at.
///
/// ```
/// use chaos_test::{Evidence, Shows};
///
/// fn in_words(evidence: &Evidence) -> String {
///     let what = match evidence.shows {
///         Shows::Latencies | Shows::Numbers => "samples",
///         Shows::Attempts => "attempts",
///         _ => "looks",
///     };
///     format!("{} {what} of {} in {:?}", evidence.count, evidence.of, evidence.window.length())
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Evidence {
    /// The monitor whose samples these are, as they stand in the journal; or what was looked at.
    pub of: String,
    /// When that was, since the context started.
    pub window: Window,
    /// How many there were.
    pub count: usize,
    /// What they are.
    pub shows: Shows,
    /// What is normal, in words, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<String>,
}

/// What was looked at.
///
/// See [`Evidence`] for an example.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Shows {
    /// Samples, by how long each took.
    Latencies,
    /// Samples, by the number that each saw.
    Numbers,
    /// Looks at a state.
    Looks,
    /// Attempts at a link.
    Attempts,
    /// Calls of a condition.
    Calls,
}

impl Evidence {
    pub(crate) fn new(of: &str, window: Window, count: usize, shows: Shows) -> Self {
        Self {
            of: of.to_owned(),
            window,
            count,
            shows,
            baseline: None,
        }
    }

    /// Whether a monitor has seen it, whose samples can be drawn.
    pub(crate) fn is_of_samples(&self) -> bool {
        matches!(self.shows, Shows::Latencies | Shows::Numbers)
    }
}
