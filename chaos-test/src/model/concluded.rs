//! What a test came to, for whichever runner it has: libtest, or a `main` of our own.

use super::spec::TestSpec;

/// What a test came to.
#[derive(Debug)]
#[must_use = "nobody has been told yet"]
pub struct Concluded {
    /// The test.
    pub spec: &'static TestSpec,
    /// How it ended.
    pub how: How,
}

/// How a test ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum How {
    /// As it should.
    Passed,
    /// As it should, with a panic; its message.
    PanickedAsExpected(String),
    /// It was skipped; why.
    Skipped(String),
    /// It deviated because of a gap that is known; its name.
    KnownGap(String),
    /// It did not pass.
    Failed {
        /// For a person, over many lines.
        explained: String,
        /// In one line.
        headline: String,
    },
}
