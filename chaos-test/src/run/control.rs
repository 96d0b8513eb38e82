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

use tokio::process::{Child, Command};

use crate::decide::verdict;
use crate::error::Error;
use crate::model::event::{Event, Met};
use crate::model::journal::Journal;
use crate::model::outcome::{Control, Outcome, RunStatus, Verdict};
use crate::model::spec::{MustFailWhen, TestSpec};
use crate::system::progress;
use crate::system::terminal::say;
use crate::system::{Ledger, place};

use super::dry;
use super::engine;
use super::inner::Inner;
use super::reports::fragment_name;
use super::stop;

/// Says which control of which test a process is to run.
const VARIABLE: &str = "CHAOS_CONTROL";
/// How often a control may be begun that could not break anything: a weakened system has nothing
/// against a busy machine, and may fail before the fault. That says nothing, so it goes again.
const TRIES: usize = 3;
/// How long a control may take to put everything back once its test is stopped.
const END_LIMIT: Duration = Duration::from_secs(60);
/// From this time on a person is told what is waited for.
const TOLD_AFTER: Duration = Duration::from_secs(2);

/// Returns once whoever started this control is gone: the other side of its standard input goes
/// with that.
fn until_test_is_gone() {
    let mut nothing = [0];
    while std::io::Read::read(&mut std::io::stdin(), &mut nothing).is_ok_and(|read| read > 0) {}
}

/// What this process changes for a test, where it runs as a control of it.
pub(super) fn role(spec: &TestSpec) -> Option<&'static MustFailWhen> {
    let set = std::env::var(VARIABLE).ok()?;
    let (number, test) = set.split_once(':')?;
    let meant = test == full_name(spec);
    let number: usize = meant.then(|| number.parse().ok())??;
    spec.must_fail_when.get(number)
}

/// Which control this process was started for, and whatever it starts.
pub(super) fn this_one() -> Option<String> {
    std::env::var(VARIABLE).ok().filter(|set| !set.is_empty())
}

/// A test among those of all binaries.
fn full_name(spec: &TestSpec) -> String {
    format!("{}${}", place::binary_id(spec), spec.path())
}

impl MustFailWhen {
    /// The control as reports have it.
    pub(super) fn control(&self) -> Control {
        Control {
            changed: format!("{}={}", self.variable, self.value),
            reason: self.reason.map(str::to_owned),
            deviated: None,
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
    if inner.identity.dry_run {
        dry::without_controls(inner, spec);
        return Ok(());
    }
    if inner.identity.is_control() {
        // Not by the variable alone, which whatever a control starts inherits.
        let _ = std::thread::Builder::new().spawn(|| {
            until_test_is_gone();
            stop::stop_all("the test that it is a control of is gone");
        });
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
            evidence: Vec::new(),
        });
    }
    Ok(())
}

/// What the end of a control says about its test.
fn came_of(outcome: &Outcome) -> (Met, String) {
    let first = |why: &str| why.lines().next().unwrap_or_default().to_owned();
    let control = outcome.control.as_ref();
    let deviated = control.and_then(|control| control.deviated.as_deref());
    match (deviated, &outcome.status, &outcome.verdict) {
        (Some(why), ..) if outcome.passed() => (Met::Yes, format!("it deviated: {}", first(why))),
        (Some(_), ..) | (None, RunStatus::Completed, Verdict::Held) => {
            (Met::No, verdict::headline(outcome))
        }
        _ => (Met::NoData, verdict::headline(outcome)),
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
        last = run_once(inner, spec, number, weakened).await?;
        let says_nothing = match &last {
            Ok(outcome) => {
                let not_tested = matches!(
                    &outcome.verdict, Verdict::Unknown(why) if why.starts_with("not tested")
                );
                not_tested || matches!(outcome.status, RunStatus::Errored(_))
            }
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
) -> Result<Result<Outcome, String>, Error> {
    let journal = journal_of(inner, spec, weakened);
    // That of an earlier try.
    let _ = std::fs::remove_file(&journal);
    let log = inner.logs.join(format!("control-{number}.log"));
    let mut child = match start(inner, spec, number, weakened, &log) {
        Ok(child) => child,
        Err(error) => return Ok(Err(format!("it cannot be run: {error}"))),
    };
    // Waiting for it would close this.
    let stdin = child.stdin.take();
    // Its limits are its own: how long it waits for other tests nobody knows.
    let changed = weakened.control().changed;
    let name = &inner.identity.name;
    let _going = progress::begin_told(name, format!("negative control with {changed}"));
    let told = async {
        tokio::time::sleep(TOLD_AFTER).await;
        say(&format!(
            "chaos-test: {} waits for its negative control with {}, see {}",
            inner.identity.name,
            weakened.control().changed,
            log.display()
        ));
        std::future::pending::<()>().await;
    };
    let stop = tokio::select! {
        ended = child.wait() => return Ok(match ended {
            Ok(status) => outcome_of(&journal, status, &log),
            Err(error) => Err(format!("it cannot be waited for: {error}")),
        }),
        stop = inner.until_stopped() => Error::from(stop),
        ended = inner.until_ended() => ended,
        () = told => unreachable!("it waits for ever"),
    };
    // It hears of it, and puts everything back.
    drop(stdin);
    let _ = tokio::time::timeout(END_LIMIT, child.wait()).await;
    Err(stop)
}

fn start(
    inner: &Inner,
    spec: &'static TestSpec,
    number: usize,
    weakened: &MustFailWhen,
    log: &Path,
) -> std::io::Result<Child> {
    std::fs::create_dir_all(&inner.logs)?;
    let output = std::fs::File::create(log)?;
    let run = &inner.identity.run;
    Command::new(std::env::current_exe()?)
        .args(["--exact", &spec.path(), "--include-ignored", "--nocapture"])
        .args(["--test-threads", "1"])
        .env(VARIABLE, format!("{number}:{}", full_name(spec)))
        .env(weakened.variable, weakened.value)
        .env("CHAOS_RUN_ID", &run.id)
        .env("CHAOS_DIR", run.reports.root())
        .env("CHAOS_SEED", inner.seed.to_string())
        .stdin(Stdio::piped())
        .stdout(output.try_clone()?)
        .stderr(output)
        .kill_on_drop(true)
        .spawn()
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
    let records = read.into_iter().flat_map(|journal| journal.records);
    let mut finished = records.filter_map(|record| match record.event {
        Event::Finished { outcome } => Some(outcome),
        _ => None,
    });
    match finished.next_back() {
        Some(outcome) => Ok(outcome),
        None => Err(format!(
            "it did not come to an end ({status}), see {}",
            log.display()
        )),
    }
}
