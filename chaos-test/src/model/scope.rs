//! How long a fixture's value lives, and which tests share it.

use std::fmt;

/// Who shares a fixture's value: from the narrowest to the broadest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// One test, with its other fixtures.
    Test,
    /// All tests of one module in one process.
    Module,
    /// All tests of one process.
    Binary,
    /// All tests of one run, in all its processes.
    Run,
}

impl Scope {
    /// Whether several tests have the same value.
    #[must_use]
    pub fn is_shared(self) -> bool {
        self != Self::Test
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Test => "test",
            Self::Module => "module",
            Self::Binary => "binary",
            Self::Run => "run",
        })
    }
}
