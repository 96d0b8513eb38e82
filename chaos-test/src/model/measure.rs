//! Numbers that judgements were made of, so that what a test declares about itself can be held
//! against them.

use serde::{Deserialize, Serialize};

/// A number that was judged.
///
/// ```
/// use chaos_test::{Event, Record};
///
/// /// The slowest p95 of a judgement, in seconds.
/// fn p95(record: &Record) -> Option<f64> {
///     let Event::Judged { measured, .. } = &record.event else { return None };
///     let numbers = measured.iter().filter(|measure| measure.metric == "p95");
///     numbers.filter_map(|measure| measure.number).max_by(f64::total_cmp)
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Measure {
    /// What it is of, in the words of `expects(..)`: `error_rate`, `p95`, `recovery`, `lost`, ...
    pub metric: String,
    /// The names under which it can be asked for: of a monitor and its service, or of records.
    pub of: Vec<String>,
    /// A share from 0 to 1, seconds, or a plain number; none where there was no answer, which
    /// is worse than any.
    pub number: Option<f64>,
    /// Whether it was held against an upper limit.
    pub at_most: bool,
}

impl Measure {
    pub(crate) fn new(metric: impl Into<String>, number: f64, at_most: bool) -> Self {
        Self {
            metric: metric.into(),
            of: Vec::new(),
            number: number.is_finite().then_some(number),
            at_most,
        }
    }
}
