//! Which tests failed when they last ran, whichever run that was: `CHAOS_LAST_FAILED`.
//!
//! ```text
//! target/chaos/.failed/         one file for each test that failed when it last ran
//!   <run>/failed-before         those of when the run began
//! ```
//!
//! A test that is skipped keeps what is remembered of it. A run looks at what was there when it
//! began, because its own tests change what is remembered.

use std::collections::BTreeSet;
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
const BEFORE: &str = "failed-before";

/// A test that failed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Failed {
    /// The test's binary as nextest names it.
    pub binary: String,
    /// The test's path within the binary.
    pub name: String,
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
    let test = Failed {
        binary: report.binary.clone(),
        name: report.name.clone(),
    };
    if !failed {
        return forget(root, &test);
    }
    let path = place(root, &test);
    let json = serde_json::to_vec(&test)?;
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
fn forget(root: &Path, test: &Failed) -> io::Result<()> {
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

/// The tests that had failed when a run began; `None` where the run has not written that down.
pub(super) fn before(run: &Path) -> io::Result<Option<BTreeSet<Failed>>> {
    let path = run.join(BEFORE);
    match fs::read(&path) {
        Ok(json) => serde_json::from_slice(&json)
            .map(Some)
            .map_err(|error| about("read", &path, &error.into())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(about("read", &path, &error)),
    }
}

/// Writes down, for a run that begins now, which tests have failed. The root's lock is held.
pub(super) fn begin(root: &Path, run: &Path) -> io::Result<BTreeSet<Failed>> {
    let folder = root.join(FAILED);
    let entries = match fs::read_dir(&folder) {
        Ok(entries) => Some(entries),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => return Err(about("read", &folder, &error)),
    };
    let mut failed = BTreeSet::new();
    for entry in entries.into_iter().flatten().flatten() {
        if !entry.file_name().to_str().is_some_and(is_fragment) {
            continue;
        }
        // What cannot be read is another version's, or was removed meanwhile.
        let test = fs::read(entry.path());
        let test = test.map(|json| serde_json::from_slice::<Failed>(&json));
        if let Ok(Ok(test)) = test {
            failed.insert(test);
        }
    }
    replace(&run.join(BEFORE), &serde_json::to_vec(&failed)?)?;
    Ok(failed)
}

#[cfg(test)]
mod tests {
    use super::super::Reports;
    use super::*;
    use crate::model::identity::ProcessIdentity;
    use crate::model::outcome::{Control, Restoration, RunStatus, Verdict};
    use crate::model::test_report::TestEnd;

    fn outcome(status: RunStatus, verdict: Verdict) -> Outcome {
        Outcome {
            status,
            verdict,
            restoration: Restoration::Restored {
                faults: 1,
                others: 0,
                kept: 0,
            },
            known_gap: None,
            control: None,
        }
    }

    fn held() -> Outcome {
        outcome(RunStatus::Completed, Verdict::Held)
    }

    fn deviated() -> Outcome {
        outcome(RunStatus::Completed, Verdict::Deviated("too slow".into()))
    }

    fn skipped() -> Outcome {
        let verdict = Verdict::Unknown("it was skipped".into());
        outcome(RunStatus::Skipped("no docker".into()), verdict)
    }

    fn report(name: &str, attempt: u32, outcome: Option<Outcome>) -> TestReport {
        TestReport {
            run: "r".into(),
            binary: "shop::chaos".into(),
            name: name.into(),
            attempt,
            process: ProcessIdentity {
                pid: 1,
                start_time: 1,
                boot_id: "b".into(),
                namespace: 1,
            },
            started_ms: 1,
            hypothesis: String::new(),
            arguments: Vec::new(),
            seed: 1,
            tags: vec![],
            end: outcome.map(|outcome| TestEnd {
                took_us: 1,
                outcome,
                message: String::new(),
                details: String::new(),
                journal: None,
                logs: vec![],
            }),
        }
    }

    fn write(reports: &Reports, name: &str, attempt: u32, outcome: Option<Outcome>) {
        let key = fragment_name("shop::chaos", name, attempt, None);
        reports
            .write(&key, &report(name, attempt, outcome))
            .unwrap();
    }

    /// The names that a run finds, and whether it was the first to look.
    fn found(reports: &Reports) -> (Vec<String>, bool) {
        let (failed, first) = reports.failed_before().unwrap();
        (failed.into_iter().map(|test| test.name).collect(), first)
    }

    fn nobody(_: &ProcessIdentity) -> bool {
        false
    }

    #[test]
    fn the_last_end_that_says_something_is_remembered() {
        let root = tempfile::tempdir().unwrap();
        let run = |id| Reports::open(root.path(), id).unwrap();
        assert_eq!(found(&run("first")), (vec![], true));
        let second = run("second");
        let gap = Outcome {
            known_gap: Some("SHOP-12".to_owned()),
            ..deviated()
        };
        for (name, ends) in [
            ("fails", vec![deviated()]),
            ("passes", vec![held()]),
            ("is_repaired", vec![deviated(), held()]),
            ("breaks", vec![held(), deviated()]),
            ("failed_and_is_skipped", vec![deviated(), skipped()]),
            ("passed_and_is_skipped", vec![held(), skipped()]),
            ("has_a_gap", vec![gap]),
        ] {
            for end in ends {
                write(&second, name, 1, None);
                write(&second, name, 1, Some(end));
            }
        }
        let expected = ["breaks", "failed_and_is_skipped", "fails"].map(str::to_owned);
        assert_eq!(found(&run("third")), (expected.to_vec(), true));
        // The name of an attempt's file differs, the test is the same.
        write(&second, "fails", 2, Some(held()));
        let expected = ["breaks", "failed_and_is_skipped"].map(str::to_owned);
        assert_eq!(found(&run("fourth")), (expected.to_vec(), true));
    }

    #[test]
    fn a_run_sees_what_was_there_when_it_began() {
        let root = tempfile::tempdir().unwrap();
        let before = Reports::open(root.path(), "before").unwrap();
        write(&before, "fails", 1, Some(deviated()));
        let run = Reports::open(root.path(), "run").unwrap();
        assert_eq!(found(&run), (vec!["fails".to_owned()], true));
        write(&run, "fails", 1, Some(held()));
        write(&run, "another", 1, Some(deviated()));
        let another_process = Reports::open(root.path(), "run").unwrap();
        assert_eq!(found(&another_process), (vec!["fails".to_owned()], false));
        let next = Reports::open(root.path(), "next").unwrap();
        assert_eq!(found(&next), (vec!["another".to_owned()], true));
    }

    #[test]
    fn only_tests_that_can_be_chosen_are_remembered() {
        let root = tempfile::tempdir().unwrap();
        let run = Reports::open(root.path(), "run").unwrap();
        let control = Outcome {
            control: Some(Control {
                changed: "FALLBACK=off".into(),
                reason: None,
                deviated: None,
            }),
            ..held()
        };
        write(&run, "test [FALLBACK=off]", 1, Some(control));
        let plain = fragment_name("shop::chaos", "plain 0", 1, Some(7));
        run.write(&plain, &report("plain", 1, Some(deviated())))
            .unwrap();
        assert_eq!(found(&run), (vec![], true));
    }

    #[test]
    fn a_test_that_died_with_its_process_has_failed() {
        let root = tempfile::tempdir().unwrap();
        let dead = Reports::open(root.path(), "dead").unwrap();
        dead.become_current(nobody).unwrap();
        write(&dead, "dies", 1, None);
        let plain = fragment_name("shop::chaos", "plain 0", 1, Some(7));
        dead.write(&plain, &report("plain", 1, None)).unwrap();
        let next = Reports::open(root.path(), "next").unwrap();
        next.become_current(nobody).unwrap();
        assert_eq!(found(&next), (vec!["dies".to_owned()], true));
    }
}
