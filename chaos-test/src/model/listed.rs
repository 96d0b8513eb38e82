//! A chaos test as `cargo chaos list` shows it: the test program writes it, the command reads
//! it.

use serde::{Deserialize, Serialize};

use super::spec::TestSpec;

/// One test.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Listed {
    /// Its package.
    pub package: String,
    /// Its path within the program, as `cargo test` prints it.
    pub test: String,
    /// What it claims, in words.
    pub hypothesis: String,
    /// Words to select it by.
    pub tags: Vec<String>,
    /// The fixtures that it may break; `None`: anything that its context makes.
    pub breaks: Option<Vec<String>>,
    /// How much it may break at once, and for how long: `services <= 1`, one for each limit; none
    /// where it sets no limit.
    #[serde(default)]
    pub blast_radius: Vec<String>,
    /// What the machine must have.
    pub requires: Vec<String>,
    /// The targets that it shares with other tests.
    #[serde(default)]
    pub leases: Vec<String>,
    /// Whether no other chaos test runs beside it.
    #[serde(default)]
    pub exclusive: bool,
    /// How long its body may take, in milliseconds.
    pub timeout_ms: u64,
    /// Its source file, as the compiler was given it.
    pub file: String,
    /// The line of the function's name.
    pub line: u32,
    /// Whether only `--ignored` runs it.
    pub ignored: bool,
}

impl From<&TestSpec> for Listed {
    fn from(spec: &TestSpec) -> Self {
        let owned = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
        Self {
            package: spec.package.to_owned(),
            test: spec.path(),
            hypothesis: spec.hypothesis.to_owned(),
            tags: owned(spec.tags),
            breaks: spec.breaks.map(owned),
            blast_radius: spec.blast_radius.limits(),
            requires: spec.requires.iter().map(ToString::to_string).collect(),
            leases: owned(spec.leases),
            exclusive: spec.exclusive,
            timeout_ms: u64::try_from(spec.body_limit().as_millis()).unwrap_or(u64::MAX),
            file: spec.file.to_owned(),
            line: spec.line,
            ignored: spec.ignored,
        }
    }
}
