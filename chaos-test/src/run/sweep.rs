//! Undoes what dead processes left: the first thing that a run does, and the last thing that
//! a watchdog does.
//!
//! A run is alive while its journal is locked; only a journal whose lock we get is swept.
//! Journals that may be forged are refused and left alone.

use std::fmt;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use crate::decide::verdict;
use crate::model::event::{Event, Record};
use crate::model::identity::ProcessIdentity;
use crate::model::journal::{self, Journal, Pending, Unreadable};
use crate::model::test_report::{TestEnd, TestReport};
use crate::report::text::{self, kept_lines};
use crate::system::journal_file::{JournalFile, UNBORN};
use crate::system::state_dir::{self, StateDir};
use crate::system::terminal::say;
use crate::system::{identity, stem, undo};

use super::reports::Reports;
use super::{engine, side_by_side};

/// How long a whole sweep may take before it is left to the next run.
const SWEEP_LIMIT: Duration = Duration::from_secs(120);
/// After this time a journal that never got its name is from a process that died.
const UNBORN_LIMIT: Duration = Duration::from_secs(60);

/// How long a step stays on disk whose thing is not there and was never said to be made:
/// longer than an engine is given to make it.
const UNMADE_LIMIT: Duration = Duration::from_secs(90);

/// What came of one step.
#[derive(Debug, Clone, Copy)]
enum Came {
    /// Nothing is left of it.
    Undone,
    /// There is nothing of it, yet.
    NotYet,
}

/// What came of one journal's steps.
#[derive(Debug, Clone, Default)]
struct Done {
    undone: usize,
    /// What a later run looks for once more.
    awaited: Vec<String>,
    /// What failed, why, and what a person can do.
    left: Vec<String>,
}

impl fmt::Display for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            undone,
            awaited,
            left,
        } = self;
        let steps = if *undone == 1 {
            "step was"
        } else {
            "steps were"
        };
        // What a service or a link would have undone ended with its process.
        write!(f, "{undone} undo {steps} performed now")?;
        if !awaited.is_empty() {
            write!(
                f,
                "; the engine was asked for what is not there, and may still make it, so runs \
                 within {} s look again:\n  {}",
                UNMADE_LIMIT.as_secs(),
                awaited.join("\n  ")
            )?;
        }
        if !left.is_empty() {
            write!(f, "; {} failed:\n  {}", left.len(), left.join("\n  "))?;
        }
        Ok(())
    }
}

/// How long the locked journals of dead processes are waited for: the kernel closes a dead
/// process's files one after the other, and a watchdog may be at work.
const LOCK_LIMIT: Duration = Duration::from_secs(2);
const LOCK_PAUSE: Duration = Duration::from_millis(5);

/// Whose journals are looked at.
#[derive(Debug, Clone)]
pub(super) enum Who {
    /// Those of every process that is dead.
    Anyone,
    /// Those of one, which has ended.
    Process(ProcessIdentity),
}

/// What came of one test that its process left.
#[derive(Debug)]
pub(super) struct Swept {
    test: String,
    done: Done,
    /// What stays on purpose, in words.
    kept: Vec<String>,
    /// Why its journal could not be removed.
    stays: Option<String>,
}

impl Swept {
    /// Whether nothing of it is left, and nothing may still come.
    pub(super) fn nothing_left(&self) -> bool {
        self.done.left.is_empty() && self.done.awaited.is_empty()
    }
}

/// A journal whose writer is dead, locked by us.
struct Dead {
    path: PathBuf,
    journal: Journal,
    /// How many records it had when it was found.
    found: usize,
    file: JournalFile,
}

impl Dead {
    /// A record of what is done about it now.
    fn record(&self, seq: u64, event: Event) -> Record {
        Record {
            seq,
            at_us: self.age_us(),
            event,
        }
    }

    /// Microseconds since its test started.
    fn age_us(&self) -> u64 {
        let age = since(self.journal.started.wall_clock_ms);
        u64::try_from(age.as_micros()).unwrap_or(u64::MAX)
    }

    /// The copy of its journal beside its reports.
    fn copy(&self) -> PathBuf {
        let started = &self.journal.started;
        let name = format!("{}.jsonl", started.fragment);
        started.reports.join("journals").join(name)
    }
}

/// Sweeps a state directory. It says what it did, and what it could not do.
pub(super) fn sweep(state: &StateDir) {
    let state = state.clone();
    let swept = engine::block_on_own(SWEEP_LIMIT, async move {
        let swept = put_back(&state, &Who::Anyone).await;
        for swept in &swept {
            tell(swept);
        }
    });
    if swept.is_err() {
        say("chaos-test: undoing what dead runs left takes too long; it goes on beside this run");
    }
}

/// Puts back what dead processes left.
pub(super) async fn put_back(state: &StateDir, who: &Who) -> Vec<Swept> {
    let dead = find_dead(&state.journals(), who);
    let swept = undo_all(state, dead).await;
    // Afterwards, because what a journal names is an orphan only once that is gone.
    remove_orphans(state);
    swept
}

fn tell(swept: &Swept) {
    let Swept {
        test, done, kept, ..
    } = swept;
    say(&format!(
        "chaos-test: an earlier run was killed in {test}; {done}"
    ));
    if !kept.is_empty() {
        // Whoever marked it may have had no time to say so.
        say(&format!("chaos-test: {test}: {}", kept.join("\n")));
    }
    if let Some(why) = &swept.stays {
        say(&format!("chaos-test: {why}"));
    }
}

fn remove_orphans(state: &StateDir) {
    for (path, why) in state.remove_orphans() {
        say(&format!(
            "chaos-test: {}, which a dead run left, could not be removed: {why}",
            path.display()
        ));
    }
}

fn find_dead(folder: &Path, who: &Who) -> Vec<Dead> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) => {
            say(&format!(
                "chaos-test: {} cannot be read: {error}",
                folder.display()
            ));
            return Vec::new();
        }
    };
    let until = Instant::now() + LOCK_LIMIT;
    entries
        .flatten()
        .filter(|entry| match who {
            Who::Anyone => true,
            Who::Process(process) => stem::is_of(&entry.file_name().to_string_lossy(), process),
        })
        .filter_map(|entry| {
            let path = entry.path();
            if entry.file_name().to_string_lossy().starts_with(UNBORN) {
                remove_unborn(&path);
                return None;
            }
            match open_dead(&path, until) {
                Ok(dead) => dead,
                Err(why) => {
                    say(&format!(
                        "chaos-test: the journal {} was left alone: {why}",
                        path.display()
                    ));
                    None
                }
            }
        })
        .collect()
}

/// `None` where its writer lives, or where there is nothing in it.
fn open_dead(path: &Path, until: Instant) -> Result<Option<Dead>, String> {
    let mut file = match state_dir::open_trusted(path) {
        Ok(file) => file,
        // Its writer has just closed it in order.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.to_string()),
    };
    loop {
        match file.try_lock() {
            Ok(()) => break,
            Err(TryLockError::WouldBlock) if Instant::now() < until && is_of_dead(&mut file) => {
                std::thread::sleep(LOCK_PAUSE);
            }
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error.to_string()),
        }
    }
    if !still_there(path, &file) {
        return Ok(None);
    }
    let text = state_dir::read_whole(&mut file).map_err(|error| error.to_string())?;
    let journal = match Journal::read(&text) {
        Ok(journal) => journal,
        Err(Unreadable::Empty) => {
            // It died before it could plan anything.
            let _ = fs::remove_file(path);
            return Ok(None);
        }
        Err(why) => return Err(why.to_string()),
    };
    if is_elsewhere(&journal.started.process) {
        return Ok(None);
    }
    let whole = text.rfind('\n').map_or(0, |end| end as u64 + 1);
    let file =
        JournalFile::adopt(file, path.to_owned(), whole).map_err(|error| error.to_string())?;
    Ok(Some(Dead {
        path: path.to_owned(),
        found: journal.records.len(),
        journal,
        file,
    }))
}

/// Whether the process that a locked journal is of is dead, so that whoever holds the lock is
/// about to let it go.
fn is_of_dead(file: &mut File) -> bool {
    let text = file
        .rewind()
        .and_then(|()| state_dir::read_whole(file))
        .unwrap_or_default();
    let read = file.rewind().is_ok().then(|| Journal::read(&text).ok());
    read.flatten().is_some_and(|journal| {
        let process = &journal.started.process;
        !is_elsewhere(process) && !identity::is_alive(process)
    })
}

/// Whether the name still leads to the file that we locked: another sweep may have removed
/// it in between.
fn still_there(path: &Path, file: &File) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (fs::symlink_metadata(path), file.metadata()) {
        (Ok(named), Ok(opened)) => named.ino() == opened.ino() && named.dev() == opened.dev(),
        _ => false,
    }
}

/// Whether its process numbers mean nothing here: this boot, but another container. A run
/// over there sweeps it.
fn is_elsewhere(process: &ProcessIdentity) -> bool {
    process.boot_id == identity::boot_id() && process.namespace != identity::namespace()
}

/// The time since an instant, in milliseconds since 1970; none where that is to come.
fn since(wall_clock_ms: u64) -> Duration {
    let then = SystemTime::UNIX_EPOCH + Duration::from_millis(wall_clock_ms);
    SystemTime::now().duration_since(then).unwrap_or_default()
}

fn remove_unborn(path: &Path) {
    let old = fs::symlink_metadata(path)
        .and_then(|metadata| metadata.modified())
        .is_ok_and(|modified| {
            SystemTime::now()
                .duration_since(modified)
                .is_ok_and(|age| age > UNBORN_LIMIT)
        });
    if old {
        let _ = fs::remove_file(path);
    }
}

async fn undo_all(state: &StateDir, mut dead: Vec<Dead>) -> Vec<Swept> {
    // One process's journals share one sequence: what was done last in any of its tests is
    // undone first.
    let mut steps: Vec<(usize, Pending)> = Vec::new();
    for (index, dead) in dead.iter().enumerate() {
        steps.extend(dead.journal.pending().into_iter().map(|step| (index, step)));
    }
    steps.sort_by_key(|(index, step)| {
        let started = &dead[*index].journal.started;
        let process = (started.wall_clock_ms, started.process.clone());
        (std::cmp::Reverse(step.seq), std::cmp::Reverse(process))
    });
    let mut done = vec![Done::default(); dead.len()];
    for group in side_by_side::groups(&steps, |(_, step)| &step.undo) {
        let step = |(_, step): (usize, Pending)| {
            let state = state.clone();
            async move {
                match undo::perform((&step).into(), &state, None).await {
                    Err(error) if error.may_still_come() => Ok(Came::NotYet),
                    done => done
                        .map(|()| Came::Undone)
                        .map_err(|error| error.to_string()),
                }
            }
        };
        side_by_side::perform(group, step, |(index, step), came| {
            let done = &mut done[index];
            let event = match came {
                Ok(Came::NotYet) if since(step.planned_ms) < UNMADE_LIMIT => {
                    done.awaited.push(step.undo.to_string());
                    return;
                }
                Ok(_) => {
                    done.undone += 1;
                    Event::Undone {
                        entry: step.entry,
                        what: step.what,
                        fault: step.fault,
                    }
                }
                Err(why) => {
                    let by_hand = step.undo.by_hand();
                    let left = format!("{}: {why} (by hand: {by_hand})", step.undo);
                    done.left.push(left);
                    Event::UndoFailed {
                        entry: step.entry,
                        what: step.what,
                        why,
                        by_hand,
                    }
                }
            };
            let record = dead[index].record(step.seq, event);
            // Where it cannot be written, the step is performed once more next time:
            // harmless.
            let _ = dead[index].file.append(&record);
            dead[index].journal.records.push(record);
        })
        .await;
    }
    let ended = dead.into_iter().zip(done);
    ended.map(|(dead, done)| conclude(dead, done)).collect()
}

fn conclude(mut dead: Dead, done: Done) -> Swept {
    if !dead.journal.finished() {
        let seq = dead.journal.records.last().map_or(0, |record| record.seq);
        let why = "the test started and never ended: its process was killed or crashed".to_owned();
        let killed = dead.record(seq, Event::HarnessFailed { why });
        dead.journal.records.push(killed);
    }
    copy_to_reports(&dead);
    report_end(&dead);
    let mut swept = Swept {
        test: dead.journal.started.test.clone(),
        kept: kept_lines(&journal::kept(&dead.journal.records)),
        done,
        stays: None,
    };
    if swept.nothing_left()
        && let Err(error) = dead.file.remove()
    {
        swept.stays = Some(format!(
            "{} could not be removed: {error}",
            dead.path.display()
        ));
    }
    swept
}

/// The dead test's report says what became of it, unless it has an end.
fn report_end(dead: &Dead) {
    let started = &dead.journal.started;
    let records = &dead.journal.records;
    let end = |report: TestReport| {
        let outcome = verdict::judge(records);
        TestReport {
            end: Some(TestEnd {
                took_us: dead.age_us(),
                message: verdict::headline(&outcome),
                outcome,
                details: text::timeline(records),
                journal: Some(dead.copy()),
                logs: Vec::new(),
            }),
            ..report
        }
    };
    // A report that cannot be completed must not hold up this run.
    let _ = Reports::end_dead(&started.reports, &started.fragment, end);
}

/// The dead test's journal belongs with its run's reports, if those are still there.
fn copy_to_reports(dead: &Dead) {
    if !dead.copy().parent().is_some_and(Path::is_dir) {
        return;
    }
    // The copy of one that ended in order has its samples, too: it is only added to.
    let ended = dead.journal.finished() && dead.copy().exists();
    let new = if ended { dead.found } else { 0 };
    let mut text = String::new();
    for record in &dead.journal.records[new..] {
        if let Ok(line) = serde_json::to_string(record) {
            text.push_str(&line);
            text.push('\n');
        }
    }
    // A report that cannot be completed must not hold up this run.
    let copy = OpenOptions::new()
        .create(true)
        .append(ended)
        .write(true)
        .truncate(!ended)
        .open(dead.copy());
    let _ = copy.and_then(|mut copy| copy.write_all(text.as_bytes()));
}
