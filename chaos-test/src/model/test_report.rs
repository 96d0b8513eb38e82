//! What is known of one test, for the reports: written when it starts, replaced when it
//! ends.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::identity::ProcessIdentity;
use super::outcome::Outcome;

/// One attempt at one test.
///
/// ```
/// use chaos_test::TestReport;
///
/// fn in_one_line(report: &TestReport) -> String {
///     match &report.end {
///         Some(end) if end.outcome.passed() => format!("{}: {} ms", report.name, end.took_us / 1000),
///         Some(end) => format!("{}: {}", report.name, end.message),
///         None => format!("{} never ended", report.name),
///     }
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TestReport {
    /// The run that it belongs to.
    pub run: String,
    /// The test's binary as nextest names it, for example `shop::chaos`.
    pub binary: String,
    /// The test's path within the binary, for example `cache::survives_an_outage`.
    pub name: String,
    /// Which attempt of a runner that tries again; 1 is the first.
    pub attempt: u32,
    /// The process that ran it.
    pub process: ProcessIdentity,
    /// Milliseconds since 1970 when it started.
    pub started_ms: u64,
    /// What the test claims, in words.
    pub hypothesis: String,
    /// The seed of everything that was drawn by chance.
    pub seed: u64,
    /// Its tags.
    pub tags: Vec<String>,
    /// What it is given as a case, as it is written: `latency = ms(50)`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub arguments: Vec<String>,
    /// The program that it is in, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<PathBuf>,
    /// The file that it is written in, where that was there when it ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<PathBuf>,
    /// `None` from its start to its end; a report that stays so is an error.
    pub end: Option<TestEnd>,
}

/// How a test ended.
///
/// See [`TestReport`] for an example.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TestEnd {
    /// How long it took, set-up and clean-up included, in microseconds.
    pub took_us: u64,
    /// All three answers.
    pub outcome: Outcome,
    /// One line that says why it did not pass; empty where it passed.
    pub message: String,
    /// What a person wants to read about it: the failure's explanation, or, where it
    /// passed, the timeline.
    pub details: String,
    /// The journal's copy beside the reports.
    pub journal: Option<PathBuf>,
    /// The services' logs.
    pub logs: Vec<PathBuf>,
}

#[cfg(test)]
impl TestReport {
    /// For tests: a first attempt that began.
    pub(crate) fn example(binary: &str, name: &str) -> Self {
        Self {
            run: "17f3".into(),
            binary: binary.into(),
            name: name.into(),
            attempt: 1,
            process: ProcessIdentity {
                pid: 4120,
                start_time: 1,
                boot_id: "b".into(),
                namespace: 1,
            },
            started_ms: 1_709_210_096_789,
            hypothesis: "orders are kept".into(),
            seed: 0x5eed,
            tags: vec![],
            arguments: vec![],
            program: None,
            source: None,
            end: None,
        }
    }
}

#[cfg(test)]
impl TestEnd {
    /// For tests: what came of it, and nothing else.
    pub(crate) fn example(outcome: Outcome) -> Self {
        Self {
            took_us: 1,
            outcome,
            message: String::new(),
            details: String::new(),
            journal: None,
            logs: vec![],
        }
    }
}
