//! Negative controls: `must_fail_when(..)` runs the same test once more with something changed in
//! its environment that weakens what it tests. That run must deviate, or the test proves nothing.
//!
//! A control is this program again, with this one test. It goes first, before the test has its
//! turn, so that neither waits for the other; and what came of it is judged in the test's own
//! journal. Its own report stands beside that of the test.

use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use tokio::process::Command;

use crate::decide::verdict;
use crate::error::Error;
use crate::model::event::{Event, Met};
use crate::model::journal::Journal;
use crate::model::outcome::{Control, Outcome, RunStatus, Verdict};
use crate::model::spec::{MustFailWhen, TestSpec};
use crate::model::units::human;
use crate::system::{Ledger, place};

use super::engine;
use super::inner::Inner;
use super::reports::fragment_name;

/// Says which control of which test a process is to run.
const VARIABLE: &str = "CHAOS_CONTROL";
/// How often a control may be begun that could not break anything: a weakened system has nothing
/// against a busy machine, and may fail before the fault. That says nothing, so it goes again.
const TRIES: usize = 3;
/// What set-up and rollback of a control may take, beside its body.
const BESIDE_BODY: Duration = Duration::from_secs(15 * 60);

/// What this process changes for a test, where it runs as a control of it.
pub(super) fn role(spec: &TestSpec) -> Option<&'static MustFailWhen> {
    let set = std::env::var(VARIABLE).ok()?;
    let (number, path) = set.split_once(':')?;
    let meant = path == spec.path();
    let number: usize = meant.then(|| number.parse().ok())??;
    spec.must_fail_when.get(number)
}

impl MustFailWhen {
    /// The control as reports have it.
    pub(super) fn control(&self) -> Control {
        Control {
            changed: format!("{}={}", self.variable, self.value),
            reason: self.reason.map(str::to_owned),
        }
    }
}

/// The name of a control among the tests.
pub(super) fn name(path: &str, control: &Control) -> String {
    format!("{path} [{}]", control.changed)
}

/// Runs all controls of a test, and judges each.
///
/// # Errors
///
/// If the test is stopped meanwhile.
pub(super) fn run_all(inner: &Arc<Inner>, spec: &'static TestSpec) -> Result<(), Error> {
    if inner.identity.is_control() {
        return Ok(());
    }
    for (number, weakened) in spec.must_fail_when.iter().enumerate() {
        let control = weakened.control();
        let ran = engine::own().block_on(run(inner, spec, number, weakened))?;
        let expected = match &control.reason {
            Some(reason) => format!("a deviation because of `{reason}`"),
            None => "a deviation".to_owned(),
        };
        let (met, actual) = match ran {
            Ok(outcome) => came_of(&outcome),
            Err(why) => (Met::NoData, why),
        };
        inner.recorder.record(Event::Judged {
            what: format!("negative control with {}", control.changed),
            expected,
            actual,
            met,
            at: format!("{}:{}", spec.file, spec.line),
            measured: Vec::new(),
        });
    }
    Ok(())
}

/// What the end of a control says about its test.
fn came_of(outcome: &Outcome) -> (Met, String) {
    let headline = verdict::headline(outcome);
    if outcome.passed() {
        let why = match &outcome.verdict {
            Verdict::Deviated(why) => why.lines().next().unwrap_or_default(),
            _ => "",
        };
        return (Met::Yes, format!("it deviated: {why}"));
    }
    match &outcome.status {
        RunStatus::Completed => (Met::No, headline),
        _ => (Met::NoData, headline),
    }
}

/// Runs one control to its end: how that was, or why that cannot be known.
async fn run(
    inner: &Arc<Inner>,
    spec: &'static TestSpec,
    number: usize,
    weakened: &MustFailWhen,
) -> Result<Result<Outcome, String>, Error> {
    let mut last = Err("it was never run".to_owned());
    for _ in 0..TRIES {
        last = tokio::select! {
            ended = run_once(inner, spec, number, weakened) => ended,
            stop = inner.until_stopped() => return Err(stop.into()),
        };
        let says_nothing = match &last {
            Ok(outcome) => matches!(outcome.status, RunStatus::Errored(_)),
            Err(_) => false,
        };
        if !says_nothing {
            break;
        }
    }
    Ok(last)
}

async fn run_once(
    inner: &Inner,
    spec: &'static TestSpec,
    number: usize,
    weakened: &MustFailWhen,
) -> Result<Outcome, String> {
    let cannot = |what: &str, error: std::io::Error| format!("{what}: {error}");
    let run = &inner.identity.run;
    let log = inner.logs.join(format!("control-{number}.log"));
    std::fs::create_dir_all(&inner.logs)
        .map_err(|error| cannot("no folder for its output", error))?;
    let output =
        std::fs::File::create(&log).map_err(|error| cannot("no file for its output", error))?;
    let errors = output
        .try_clone()
        .map_err(|error| cannot("no file for its output", error))?;
    let journal = journal_of(inner, spec, weakened);
    // That of an earlier try.
    let _ = std::fs::remove_file(&journal);
    let program =
        std::env::current_exe().map_err(|error| cannot("this program cannot be found", error))?;
    let path = spec.path();
    let mut child = Command::new(program)
        .args(["--exact", &path, "--include-ignored", "--nocapture"])
        .args(["--test-threads", "1"])
        .env(VARIABLE, format!("{number}:{path}"))
        .env(weakened.variable, weakened.value)
        .env("CHAOS_RUN_ID", &run.id)
        .env("CHAOS_DIR", run.reports.root())
        .env("CHAOS_SEED", inner.seed.to_string())
        .stdin(Stdio::null())
        .stdout(output)
        .stderr(errors)
        // Its watchdog puts back what it has made.
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| cannot("this program cannot be run again", error))?;
    let limit = spec.body_limit() + BESIDE_BODY;
    let status = match tokio::time::timeout(limit, child.wait()).await {
        Ok(ended) => ended.map_err(|error| cannot("it cannot be waited for", error))?,
        Err(_) => return Err(format!("it did not end within {}", human(limit))),
    };
    outcome_of(&journal, status, &log)
}

fn journal_of(inner: &Inner, spec: &TestSpec, weakened: &MustFailWhen) -> PathBuf {
    let name = name(&spec.path(), &weakened.control());
    let fragment = fragment_name(&inner.identity.binary, &name, place::attempt(), None);
    let stem = fragment.strip_suffix(".json").unwrap_or(&fragment);
    let journals = inner.identity.run.reports.journals();
    journals.join(format!("{stem}.jsonl"))
}

/// How a control ended, from the report's copy of its journal.
fn outcome_of(journal: &Path, status: ExitStatus, log: &Path) -> Result<Outcome, String> {
    let text = std::fs::read_to_string(journal).ok();
    let read = text.and_then(|text| Journal::read(&text).ok());
    let last = read.and_then(|journal| journal.records.into_iter().next_back());
    match last.map(|record| record.event) {
        Some(Event::Finished { outcome }) => Ok(outcome),
        _ => Err(format!(
            "it did not come to an end ({status}), see {}",
            log.display()
        )),
    }
}
