//! The first line of a journal.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::model::identity::ProcessIdentity;
use crate::model::outcome::Control;

/// The version of the journal's format. A journal of another version is left alone.
///
/// See [`Unreadable`](crate::Unreadable) for an example.
pub const JOURNAL_VERSION: u32 = 1;

/// The first line of a journal: what test, in what process.
///
/// ```
/// use chaos_test::Journal;
///
/// /// What draws the same again by chance.
/// fn same_again(journal: &Journal) -> String {
///     format!("CHAOS_SEED={:#x} for {}", journal.started.seed, journal.started.test)
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Started {
    /// [`JOURNAL_VERSION`].
    pub version: u32,
    /// The run that it belongs to.
    pub run: String,
    /// The test, as `package::binary$path`.
    pub test: String,
    /// The process that writes it.
    pub process: ProcessIdentity,
    /// Milliseconds since 1970 when the context started.
    pub wall_clock_ms: u64,
    /// What the test claims, in words.
    pub hypothesis: String,
    /// The seed of everything that is drawn by chance.
    pub seed: u64,
    /// Its tags.
    pub tags: Vec<String>,
    /// What it is given as a case, as it is written: `latency = ms(50)`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub arguments: Vec<String>,
    /// Where the test's reports go, so that whoever finds this journal can finish them.
    pub reports: PathBuf,
    /// The bare name of the test's report below `reports`.
    pub fragment: String,
    /// Bodies of earlier tests that this process abandoned and that may still burn a core.
    pub abandoned: Vec<String>,
    /// Which attempt of a runner that tries again this is; 1 is the first.
    #[serde(default = "first_attempt")]
    pub attempt: u32,
    /// The gap because of which its hypothesis is expected to deviate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known_gap: Option<String>,
    /// Set where it runs as its own negative control.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub control: Option<Control>,
}

fn first_attempt() -> u32 {
    1
}
