//! Undoes what dead processes left: the first thing that a run does, and the last thing that
//! a watchdog does.
//!
//! A run is alive while its journal is locked; only a journal whose lock we get is swept.
//! Journals that may be forged are refused and left alone.

pub(super) mod looking;
mod telling;

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::decide::verdict;
use crate::model::event::{Event, Record};
use crate::model::identity::ProcessIdentity;
use crate::model::journal::{self, Journal, Pending};
use crate::model::test_report::{TestEnd, TestReport};
use crate::report::text;
use crate::system::journal_file::{JournalFile, UNBORN};
use crate::system::state_dir::StateDir;
use crate::system::terminal::say;
use crate::system::{keeper, stem, undo};

use super::reports::Reports;
use super::{engine, side_by_side};

use looking::{Patience, Standing, is_abandoned, look};
pub use telling::{Came, Swept, Told};

/// How long a whole sweep may take before it is left to the next run.
const SWEEP_LIMIT: Duration = Duration::from_secs(120);

/// How long a step stays on disk whose thing is not there and was never said to be made:
/// longer than an engine is given to make it.
pub const UNMADE_LIMIT: Duration = Duration::from_secs(90);

/// Whose journals are looked at.
#[derive(Debug, Clone)]
pub(super) enum Who {
    /// Those of every process that is dead.
    Anyone,
    /// Those of one, which has ended.
    Process(ProcessIdentity),
}

/// Who is told. Other threads tell, too.
pub(super) type Tell<'a> = dyn Fn(Told) + Sync + 'a;

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

/// Sweeps a state directory. It says what it did, and what it could not do. Whether nothing is
/// left of what it found, and nothing may still come.
pub(super) fn sweep(state: &StateDir) -> bool {
    keeper::remove_stale(state);
    let state = state.clone();
    let swept = engine::block_on_own(SWEEP_LIMIT, async move {
        put_back(&state, &Who::Anyone, &|told| say(&told.to_string())).await
    });
    swept.unwrap_or_else(|_| {
        say("chaos-test: undoing what dead runs left takes too long; it goes on beside this run");
        false
    })
}

/// Puts back what dead processes left. Whether nothing of that is left, and nothing may still
/// come.
pub(super) async fn put_back(state: &StateDir, who: &Who, tell: &Tell<'_>) -> bool {
    let dead = find_dead(&state.journals(), who, tell);
    let nothing_left = undo_all(state, dead, tell).await;
    // Afterwards, because what a journal names is an orphan only once that is gone.
    for (path, why) in state.remove_orphans() {
        tell(Told::Stays(path, why));
    }
    nothing_left
}

fn find_dead(folder: &Path, who: &Who, tell: &Tell<'_>) -> Vec<Dead> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) => {
            let why = format!("it cannot be read: {error}");
            tell(Told::LeftAlone(folder.to_owned(), why));
            return Vec::new();
        }
    };
    let patience = Patience::of_sweep(matches!(who, Who::Process(_)));
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
            match open_dead(&path, &patience) {
                Ok(dead) => dead,
                Err(why) => {
                    tell(Told::LeftAlone(path, why));
                    None
                }
            }
        })
        .collect()
}

/// `None` where its writer lives, or where there is nothing in it.
fn open_dead(path: &Path, patience: &Patience) -> Result<Option<Dead>, String> {
    match look(path, patience)? {
        Standing::Gone | Standing::Alive | Standing::Elsewhere => Ok(None),
        Standing::Empty(_locked) => {
            let _ = fs::remove_file(path);
            Ok(None)
        }
        Standing::Dead(journal, file, whole) => {
            let path = path.to_owned();
            let file = JournalFile::adopt(file, path.clone(), whole);
            let file = file.map_err(|error| error.to_string())?;
            Ok(Some(Dead {
                path,
                found: journal.records.len(),
                journal: *journal,
                file,
            }))
        }
    }
}

/// The time since an instant, in milliseconds since 1970; none where that is to come.
fn since(wall_clock_ms: u64) -> Duration {
    let then = SystemTime::UNIX_EPOCH + Duration::from_millis(wall_clock_ms);
    SystemTime::now().duration_since(then).unwrap_or_default()
}

fn remove_unborn(path: &Path) {
    if is_abandoned(path) {
        let _ = fs::remove_file(path);
    }
}

/// The steps of dead runs in the order in which they are undone, each with the number of its
/// journal.
///
/// One process's journals share one sequence: what was done last in any of its tests is undone
/// first.
pub(super) fn in_order<'a>(
    journals: impl IntoIterator<Item = &'a Journal>,
) -> Vec<(usize, Pending)> {
    let mut steps = Vec::new();
    for (index, journal) in journals.into_iter().enumerate() {
        let started = &journal.started;
        let process = (started.wall_clock_ms, started.process.clone());
        let pending = journal.pending().into_iter();
        steps.extend(pending.map(|step| (index, process.clone(), step)));
    }
    steps.sort_by_key(|(_, process, step)| {
        (
            std::cmp::Reverse(step.seq),
            std::cmp::Reverse(process.clone()),
        )
    });
    let steps = steps.into_iter();
    steps.map(|(index, _, step)| (index, step)).collect()
}

async fn undo_all(state: &StateDir, mut dead: Vec<Dead>, tell: &Tell<'_>) -> bool {
    let steps = in_order(dead.iter().map(|dead| &dead.journal));
    let mut done: Vec<Vec<(Pending, Came)>> = vec![Vec::new(); dead.len()];
    for group in side_by_side::groups(&steps, |(_, step)| &step.undo) {
        let step = |(_, step): (usize, Pending)| {
            let state = state.clone();
            async move {
                match undo::perform((&step).into(), &state, None).await {
                    Err(error) if error.may_still_come() => Ok(Came::NotYet),
                    Err(error) if error.is_lost() => Ok(Came::Lost(error.to_string())),
                    done => done
                        .map(|()| Came::Undone)
                        .map_err(|error| error.to_string()),
                }
            }
        };
        side_by_side::perform(group, step, |(index, step), came| {
            let came = match came {
                Ok(Came::NotYet) if since(step.planned_ms) >= UNMADE_LIMIT => Came::Undone,
                Ok(came) => came,
                Err(why) => Came::Failed(why),
            };
            if let Some(event) = event_of(&step, &came) {
                let record = dead[index].record(step.seq, event);
                // Where it cannot be written, the step is performed once more next time:
                // harmless.
                let _ = dead[index].file.append(&record);
                dead[index].journal.records.push(record);
            }
            done[index].push((step, came));
        })
        .await;
    }
    let mut nothing_left = true;
    for (dead, steps) in dead.into_iter().zip(done) {
        let over = steps
            .iter()
            .all(|(_, came)| matches!(came, Came::Undone | Came::Lost(_)));
        nothing_left &= over;
        tell(Told::Swept(Box::new(conclude(dead, steps, over))));
    }
    nothing_left
}

/// What is written down about a step; nothing where it stays as it is.
fn event_of(step: &Pending, came: &Came) -> Option<Event> {
    let (entry, what) = (step.entry, step.what.clone());
    match came {
        Came::NotYet => None,
        Came::Undone => Some(Event::Undone {
            entry,
            what,
            fault: step.fault,
        }),
        Came::Failed(why) | Came::Lost(why) => Some(Event::UndoFailed {
            entry,
            what,
            why: why.clone(),
            by_hand: step.undo.by_hand(),
        }),
    }
}

/// The end of a dead test. Its journal goes where everything of it is `over`.
fn conclude(mut dead: Dead, steps: Vec<(Pending, Came)>, over: bool) -> Swept {
    let killed = !dead.journal.finished();
    if killed {
        let seq = dead.journal.records.last().map_or(0, |record| record.seq);
        let why = "the test started and never ended: its process was killed or crashed".to_owned();
        let record = dead.record(seq, Event::HarnessFailed { why });
        dead.journal.records.push(record);
    }
    copy_to_reports(&dead);
    // Until then it stands as one that never ended.
    if over {
        report_end(&dead);
    }
    let Dead {
        path,
        journal,
        file,
        ..
    } = dead;
    let removed = if over { file.remove() } else { Ok(()) };
    Swept {
        kept: journal::kept(&journal.records),
        started: journal.started,
        killed,
        steps,
        stays: removed.err().map(|why| (path, why)),
    }
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
