//! Which tests failed when they last ran, whichever run that was: `CHAOS_LAST_FAILED`.
//!
//! ```text
//! target/chaos/.failed/         one file for each test that failed when it last ran
//! ```
//!
//! A test that is skipped keeps what is remembered of it. What a run looks at is what there was
//! when it began: `before`.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::folder::{about, replace};
use super::name::{fragment_name, is_fragment};
use crate::model::outcome::Outcome;
use crate::model::test_report::TestReport;

/// With a dot, which no run's folder has.
const FAILED: &str = ".failed";

/// A test that failed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Failed {
    /// The test's binary as nextest names it.
    pub binary: String,
    /// The test's path within the binary.
    pub name: String,
}

/// What is remembered of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remembered {
    /// Which test it is.
    #[serde(flatten)]
    pub test: Failed,
    /// The program that it failed in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<PathBuf>,
    /// The file that it was written in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<PathBuf>,
}

impl Remembered {
    fn of(report: &TestReport) -> Self {
        Self {
            test: Failed {
                binary: report.binary.clone(),
                name: report.name.clone(),
            },
            program: report.program.clone(),
            source: report.source.clone(),
        }
    }

    /// Whether the test can still be run, as far as another program can tell: `folder` is where
    /// that one lies, with others that were built with it or unpacked beside it.
    #[must_use]
    pub fn may_be_there(&self, folder: &Path) -> bool {
        self.program_is_there(folder) && self.source.as_ref().is_none_or(|it| it.exists())
    }

    fn program_is_there(&self, folder: &Path) -> bool {
        let Some(program) = &self.program else {
            return true;
        };
        let beside = || Some(folder.join(program.file_name()?).exists());
        program.exists() || beside().unwrap_or(false)
    }

    /// Whether nothing is left of it.
    fn is_gone(&self, folder: &Path) -> bool {
        let unwritten = self.source.as_ref().is_some_and(|it| !it.exists());
        unwritten && !self.program_is_there(folder)
    }
}

/// Remembers how a test ended; a context without the macro, and a negative control, are no tests
/// that could be chosen. One without an end has died.
pub(super) fn remember(root: &Path, key: &str, report: &TestReport) -> io::Result<()> {
    let is_test = key == fragment_name(&report.binary, &report.name, report.attempt, None);
    let failed = match &report.end {
        None => Some(true),
        Some(end) => has_failed(&end.outcome),
    };
    // No path of a function has a space; a control's name has one.
    let (true, false, Some(failed)) = (is_test, report.name.contains(' '), failed) else {
        return Ok(());
    };
    let remembered = Remembered::of(report);
    if !failed {
        return forget(root, &remembered.test);
    }
    let path = place(root, &remembered.test);
    let json = serde_json::to_vec(&remembered)?;
    match replace(&path, &json) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let folder = root.join(FAILED);
            fs::create_dir_all(&folder).map_err(|error| about("create", &folder, &error))?;
            replace(&path, &json)
        }
        done => done,
    }
}

/// `None` where the end says nothing of the test: it was skipped.
fn has_failed(outcome: &Outcome) -> Option<bool> {
    if outcome.skipped().is_some() {
        return None;
    }
    Some(!outcome.passed() && outcome.known_gap().is_none())
}

/// Forgets that a test failed.
pub(super) fn forget(root: &Path, test: &Failed) -> io::Result<()> {
    let path = place(root, test);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(about("remove", &path, &error)),
        _ => Ok(()),
    }
}

fn place(root: &Path, test: &Failed) -> PathBuf {
    let name = fragment_name(&test.binary, &test.name, 1, None);
    root.join(FAILED).join(name)
}

/// All that failed when they last ran. That of which nothing is left is forgotten; `folder` is that
/// of the program that asks.
pub(super) fn all(root: &Path, folder: &Path) -> io::Result<Vec<Remembered>> {
    let failed = root.join(FAILED);
    let entries = match fs::read_dir(&failed) {
        Ok(entries) => Some(entries),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => return Err(about("read", &failed, &error)),
    };
    let mut all: Vec<Remembered> = Vec::new();
    for entry in entries.into_iter().flatten().flatten() {
        if !entry.file_name().to_str().is_some_and(is_fragment) {
            continue;
        }
        // What cannot be read is another version's, or was removed meanwhile.
        let read = fs::read(entry.path());
        let Ok(Ok(remembered)) = read.map(|json| serde_json::from_slice::<Remembered>(&json))
        else {
            continue;
        };
        if remembered.is_gone(folder) {
            forget(root, &remembered.test)?;
        } else {
            all.push(remembered);
        }
    }
    all.sort_by(|a, b| a.test.cmp(&b.test));
    Ok(all)
}

#[cfg(test)]
mod tests;
