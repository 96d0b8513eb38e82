//! What all tests of this process share: the run that they belong to with its folders and its
//! watchdog, and the list of contexts that have not ended.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::Instant;

use crate::error::{Error, Kind};
use crate::model::event::Event;
use crate::model::identity::ProcessIdentity;
use crate::system::journal_file::JournalFile;
use crate::system::lock::lock;
use crate::system::state_dir::StateDir;
use crate::system::watchdog::{Orders, Watchdog};
use crate::system::{Ledger, World};
use crate::system::{at_exit, identity, place, terminal};

use super::inner::Inner;
use super::recorder::Recorder;
use super::reports::Reports;
use super::test_identity::TestIdentity;
use super::{exit, stop, sweep};

/// The run that this process belongs to.
pub(crate) struct ProcessRun {
    pub(super) id: String,
    pub(super) reports: Reports,
    pub(super) state: StateDir,
    pub(super) process: ProcessIdentity,
    watchdog: Watch,
}

/// The watchdog of this process, started before its first effect.
struct Watch {
    wanted: bool,
    orders: Orders,
    /// Why there is none, if so.
    started: OnceLock<Result<Watchdog, String>>,
}

static RUN: Mutex<Option<Arc<ProcessRun>>> = Mutex::new(None);
/// Contexts that have not ended, for the exit of the process.
static LIVE: Mutex<Vec<Weak<Inner>>> = Mutex::new(Vec::new());
/// Set once the process exits: then no context may be opened.
static EXITING: AtomicBool = AtomicBool::new(false);
/// Bodies that took too long and may still burn a core.
static ABANDONED: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// The run of this process; the first call sweeps what dead runs left.
///
/// It must not be called on our own runtime: the sweep waits for it.
pub(super) fn current(target_tmpdir: Option<&str>) -> Result<Arc<ProcessRun>, Error> {
    let mut slot = lock(&RUN);
    if let Some(run) = &*slot {
        return Ok(Arc::clone(run));
    }
    let cannot = |what: &str| {
        let what = what.to_owned();
        move |error: std::io::Error| Error::new(Kind::State, what).because(error)
    };
    let process = identity::own()
        .map_err(cannot("this process cannot be told from others"))
        .map_err(|error| error.help("chaos-test needs /proc: it runs on Linux"))?;
    let state = StateDir::open()?;
    let id = place::run_id();
    let root = place::reports(target_tmpdir);
    let watchdog = Watch {
        wanted: watchdog_is_wanted()?,
        orders: Orders {
            process: process.clone(),
            state: state.path().to_owned(),
            reports: root.clone(),
            run: id.clone(),
        },
        started: OnceLock::new(),
    };
    let reports = Reports::open(&root, &id)
        .map_err(cannot("the report folder cannot be used"))
        .map_err(|error| error.help("name another one with CHAOS_DIR"))?;
    sweep::sweep(&state);
    reports
        .become_current(identity::is_alive)
        .map_err(cannot("the report folder cannot be used"))?;
    let run = Arc::new(ProcessRun {
        id,
        reports,
        state,
        process,
        watchdog,
    });
    at_exit::register(exit::on_exit);
    *slot = Some(Arc::clone(&run));
    Ok(run)
}

/// The run of this process, where it has begun.
pub(super) fn begun() -> Option<Arc<ProcessRun>> {
    RUN.lock().ok().and_then(|run| run.clone())
}

/// Whether this is a forked copy of the process that the tests run in: nothing of theirs is
/// the copy's to end.
pub(super) fn is_a_copy() -> bool {
    // Not locked by a thread of the other process for ever.
    let run = RUN.try_lock().ok().and_then(|run| run.clone());
    run.is_some_and(|run| run.process.pid != std::process::id())
}

/// Whether there is to be a watchdog: `CHAOS_WATCHDOG=off` has none.
pub(super) fn watchdog_is_wanted() -> Result<bool, Error> {
    match std::env::var("CHAOS_WATCHDOG").as_deref() {
        Err(_) | Ok("" | "on") => Ok(true),
        Ok("off") => Ok(false),
        Ok(other) => Err(Error::new(
            Kind::Usage,
            format!("CHAOS_WATCHDOG is `{other}`; it is `on`, as without it, or `off`"),
        )),
    }
}

impl ProcessRun {
    /// Sees to it that somebody outlives this process who puts everything back; the first
    /// call starts it. Why there is none, for the call that finds that out.
    pub(super) fn be_watched(&self) -> Option<&str> {
        let watch = &self.watchdog;
        if watch.started.get().is_some() {
            return None;
        }
        let mut found_out = false;
        let started = watch.started.get_or_init(|| {
            found_out = true;
            if !watch.wanted {
                return Err("CHAOS_WATCHDOG=off".to_owned());
            }
            Watchdog::start(&watch.orders).map_err(|error| error.to_string())
        });
        let why = started.as_ref().err().filter(|_| found_out)?;
        if watch.wanted {
            terminal::say(&format!(
                "chaos-test: no watchdog ({why}): what a killed test leaves waits for the next run"
            ));
        }
        Some(why)
    }

    /// Everything was put back, and the reports are merged.
    pub(super) fn farewell(&self) {
        if let Some(Ok(watchdog)) = self.watchdog.started.get() {
            watchdog.farewell();
        }
    }
}

/// Opens a context: its journal is locked and on disk, and its report says "started".
pub(super) fn open_context(identity: TestIdentity) -> Result<Arc<Inner>, Error> {
    let run = Arc::clone(&identity.run);
    let started = Instant::now();
    let folder = run.state.journals();
    let file = JournalFile::create(&folder, &run.process).map_err(|error| {
        Error::new(
            Kind::State,
            format!("no journal could be made in {}", folder.display()),
        )
        .because(error)
        .help("nothing is injected without a journal; name another directory with CHAOS_STATE_DIR")
    })?;
    let prefix = file
        .path()
        .file_stem()
        .map(|stem| stem.to_string_lossy().into_owned())
        .unwrap_or_default();
    let path = file.path().to_owned();
    let first = identity.started();
    let opened = Recorder::start(started, file, first, Arc::clone(&run)).and_then(|recorder| {
        if !identity.is_shared_fixture {
            run.reports
                .write(&identity.fragment, &identity.report(None))
                .map_err(|error| {
                    Error::new(Kind::State, "the report could not be written").because(error)
                })?;
        }
        Ok(recorder)
    });
    let recorder = match opened {
        Ok(recorder) => recorder,
        Err(error) => {
            // Nothing was planned in it.
            let _ = std::fs::remove_file(path);
            return Err(error);
        }
    };
    let world = World::new(run.state.clone(), prefix);
    let logs: PathBuf = run.reports.logs().join(identity.stem());
    let inner = Arc::new(Inner::new(
        identity,
        Arc::new(recorder),
        Arc::new(world),
        logs,
    ));
    if inner.identity.dry_run {
        inner.recorder.record(Event::DryRun);
    }
    stop::listen(&run);
    let mut live = lock(&LIVE);
    if EXITING.load(Ordering::SeqCst) {
        drop(live);
        inner.recorder.close(true);
        return Err(Error::new(Kind::Ended, "the process is exiting"));
    }
    live.retain(|context| context.strong_count() > 0);
    live.push(Arc::downgrade(&inner));
    drop(live);
    // Asked afterwards: a stop that did not see it in the list is seen here.
    if let Some(why) = stop::reason() {
        stop::interrupt(&inner, why);
    }
    Ok(inner)
}

/// The contexts that have not ended. Those that tests share end after them.
pub(super) fn live() -> Vec<Arc<Inner>> {
    let live = lock(&LIVE);
    let live = live.iter().filter_map(Weak::upgrade);
    live.filter(|inner| !inner.identity.is_shared_fixture)
        .collect()
}

/// A context has ended in order.
pub(super) fn forget(inner: &Arc<Inner>) {
    let mut live = lock(&LIVE);
    live.retain(|context| context.as_ptr() != Arc::as_ptr(inner));
}

/// No context may be opened any more: the process exits.
pub(super) fn refuse_contexts() {
    EXITING.store(true, Ordering::SeqCst);
}

/// The newest context that has not ended, but for those that tests share.
pub(super) fn newest_live() -> Option<Arc<Inner>> {
    live().pop()
}

/// A body took too long and was left to itself.
pub(super) fn abandon(name: &str) {
    let mut abandoned = lock(&ABANDONED);
    abandoned.push(name.to_owned());
}

/// The bodies that took too long so far.
pub(super) fn abandoned() -> Vec<String> {
    lock(&ABANDONED).clone()
}
