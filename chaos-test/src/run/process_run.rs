//! What all tests of this process share: the run that they belong to, its folders, and
//! what happens when the process exits.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::error::{Error, Kind};
use crate::model::event::{Event, JOURNAL_VERSION, Started};
use crate::model::identity::ProcessIdentity;
use crate::model::spec::TestSpec;
use crate::model::test_report::{TestEnd, TestReport};
use crate::system::World;
use crate::system::journal_file::JournalFile;
use crate::system::lock::lock;
use crate::system::state_dir::StateDir;
use crate::system::watchdog::{Orders, Watchdog};
use crate::system::{at_exit, identity, place, terminal};

use super::finish::{self, Ending};
use super::inner::Inner;
use super::keep;
use super::recorder::Recorder;
use super::reports::{Reports, fragment_name};
use super::{stop, sweep};

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

/// How long a context without the macro is taken to last, which nobody limits.
const PLAIN_LIMIT: Duration = Duration::from_secs(20 * 60 * 60);

/// Which test a context belongs to.
#[derive(Clone)]
pub(crate) struct TestIdentity {
    pub(super) run: Arc<ProcessRun>,
    pub(super) package: String,
    pub(super) binary: String,
    pub(super) name: String,
    pub(super) hypothesis: String,
    pub(super) tags: Vec<String>,
    pub(super) seed: u64,
    pub(super) names_breakables: bool,
    /// How long its body may take.
    pub(super) body_limit: Duration,
    /// Whether its containers stay if it fails.
    pub(super) keeps_failed: bool,
    /// The macro's tests turn the process red when it exits in the middle of them.
    pub(super) from_macro: bool,
    /// The bare name of its files below the run's folder.
    pub(super) fragment: String,
    started_ms: u64,
}

static RUN: Mutex<Option<Arc<ProcessRun>>> = Mutex::new(None);
/// Contexts that have not ended, for the exit of the process.
static LIVE: Mutex<Vec<Weak<Inner>>> = Mutex::new(Vec::new());
/// Set once the process exits: then no context may be opened.
static EXITING: AtomicBool = AtomicBool::new(false);
/// Bodies that took too long and may still burn a core.
static ABANDONED: Mutex<Vec<String>> = Mutex::new(Vec::new());
/// What was skipped and why, and how many tests there were.
static SEEN: Mutex<Seen> = Mutex::new(Seen {
    tests: 0,
    failed: 0,
    skipped: Vec::new(),
});

struct Seen {
    tests: usize,
    failed: usize,
    skipped: Vec<(String, String)>,
}

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
    at_exit::register(on_exit);
    *slot = Some(Arc::clone(&run));
    Ok(run)
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
    fn farewell(&self) {
        if let Some(Ok(watchdog)) = self.watchdog.started.get() {
            watchdog.farewell();
        }
    }
}

impl TestIdentity {
    /// The identity of a `#[chaos_test]`.
    pub(super) fn of_spec(spec: &'static TestSpec) -> Result<Self, Error> {
        let seed = chosen_seed(spec.seed)?;
        let keeps_failed = keep::is_wanted()?;
        let run = current(spec.target_tmpdir)?;
        let mut identity = Self::new(run, place::binary_id(spec), spec.path(), seed, true);
        identity.package = spec.package.to_owned();
        identity.hypothesis = spec.hypothesis.to_owned();
        identity.tags = spec.tags.iter().map(|&tag| tag.to_owned()).collect();
        identity.names_breakables = spec.breaks.is_some();
        identity.keeps_failed = keeps_failed;
        identity.body_limit = spec.body_limit();
        Ok(identity)
    }

    /// The identity of a context without the macro.
    pub(super) fn plain(name: &str) -> Result<Self, Error> {
        let seed = chosen_seed(None)?;
        let keeps_failed = keep::is_wanted()?;
        let run = current(None)?;
        let program = std::env::current_exe()
            .ok()
            .and_then(|exe| Some(exe.file_stem()?.to_string_lossy().into_owned()))
            .unwrap_or_else(|| "program".to_owned());
        let variable = |name| std::env::var(name).ok();
        let package = variable("CARGO_PKG_NAME").unwrap_or_else(|| program.clone());
        let binary = variable("NEXTEST_BINARY_ID").unwrap_or_else(|| {
            // Cargo ends the names of test binaries with a hash.
            let bare = program
                .rsplit_once('-')
                .map_or(program.as_str(), |(bare, _)| bare);
            if bare.replace('_', "-") == package.replace('_', "-") {
                package.clone()
            } else {
                format!("{package}::{bare}")
            }
        });
        let mut identity = Self::new(run, binary, name.to_owned(), seed, false);
        identity.package = package;
        identity.keeps_failed = keeps_failed;
        Ok(identity)
    }

    fn new(run: Arc<ProcessRun>, binary: String, name: String, seed: u64, macros: bool) -> Self {
        // Without the macro several contexts may have one name: they are told apart by the
        // process and a number.
        static NUMBER: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let attempt = place::attempt();
        let fragment = if macros {
            fragment_name(&binary, &name, attempt, None)
        } else {
            let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let own = format!("{name} {number}");
            fragment_name(&binary, &own, attempt, Some(run.process.pid))
        };
        Self {
            package: binary.clone(),
            binary,
            name,
            hypothesis: String::new(),
            tags: Vec::new(),
            seed,
            names_breakables: false,
            body_limit: PLAIN_LIMIT,
            keeps_failed: false,
            from_macro: macros,
            fragment,
            started_ms: now_ms(),
            run,
        }
    }

    /// The bare name of its journal and its folder of logs.
    pub(super) fn stem(&self) -> &str {
        self.fragment
            .strip_suffix(".json")
            .unwrap_or(&self.fragment)
    }

    /// What is known of the test, for the reports.
    pub(super) fn report(&self, end: Option<TestEnd>) -> TestReport {
        TestReport {
            run: self.run.id.clone(),
            binary: self.binary.clone(),
            name: self.name.clone(),
            attempt: place::attempt(),
            process: self.run.process.clone(),
            started_ms: self.started_ms,
            hypothesis: self.hypothesis.clone(),
            seed: self.seed,
            tags: self.tags.clone(),
            end,
        }
    }

    fn started(&self) -> Event {
        Event::Started(Box::new(Started {
            version: JOURNAL_VERSION,
            run: self.run.id.clone(),
            test: format!("{}${}", self.binary, self.name),
            process: self.run.process.clone(),
            wall_clock_ms: self.started_ms,
            hypothesis: self.hypothesis.clone(),
            seed: self.seed,
            tags: self.tags.clone(),
            reports: self.run.reports.folder(),
            fragment: self.stem().to_owned(),
            abandoned: lock(&ABANDONED).clone(),
        }))
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
        run.reports
            .write(&identity.fragment, &identity.report(None))
            .map_err(|error| {
                Error::new(Kind::State, "the report could not be written").because(error)
            })?;
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

/// The contexts that have not ended.
pub(super) fn live() -> Vec<Arc<Inner>> {
    lock(&LIVE).iter().filter_map(Weak::upgrade).collect()
}

/// A context has ended in order.
pub(super) fn forget(inner: &Arc<Inner>) {
    let mut live = lock(&LIVE);
    live.retain(|context| context.as_ptr() != Arc::as_ptr(inner));
}

/// A body took too long and was left to itself.
pub(super) fn abandon(name: &str) {
    let mut abandoned = lock(&ABANDONED);
    abandoned.push(name.to_owned());
}

/// Counts a test for the summary at the end.
pub(super) fn saw(failed: bool) {
    let mut seen = lock(&SEEN);
    seen.tests += 1;
    seen.failed += usize::from(failed);
}

/// Says that a test was skipped, now and again at the end.
pub(super) fn skipped(name: &str, why: &str) {
    terminal::say(&format!("chaos-test: SKIPPED {name}: {why}"));
    let mut seen = lock(&SEEN);
    seen.tests += 1;
    seen.skipped.push((name.to_owned(), why.to_owned()));
}

/// How long the rollback of all contexts may take when the process exits.
pub(super) const EXIT_LIMIT: Duration = Duration::from_secs(180);

/// Runs when the process exits: ends what is still live, merges the reports, sums up.
fn on_exit() {
    if is_a_copy() {
        return;
    }
    EXITING.store(true, Ordering::SeqCst);
    let mut red = false;
    // Tests on other threads still run, and may end in between; none may begin any more.
    while let Some(inner) = next_live() {
        let why = "the process exited in the middle of the test (`std::process::exit`, or the end \
                   of `main`)";
        let ending = if inner.identity.from_macro {
            red = true;
            terminal::say(&format!("chaos-test: {}: {why}", inner.identity.name));
            Ending::ProcessExits(why.to_owned())
        } else {
            // One that is kept in a static is only put back, as when it is dropped.
            Ending::Dropped
        };
        let ended = super::engine::block_on_own(EXIT_LIMIT, {
            let inner = Arc::clone(&inner);
            async move { finish::end(&inner, ending).await }
        });
        if ended.is_err() {
            forget(&inner);
        }
    }
    stop::wait_if_dying(EXIT_LIMIT);
    wind_up();
    if red {
        // A body that exits with 0 would otherwise turn a broken test green.
        at_exit::exit_now(101);
    }
}

/// Whether this is a forked copy of the process that the tests run in: nothing of theirs is
/// the copy's to end.
fn is_a_copy() -> bool {
    // Not locked by a thread of the other process for ever.
    let run = RUN.try_lock().ok().and_then(|run| run.clone());
    run.is_some_and(|run| run.process.pid != std::process::id())
}

/// Merges the reports, sums up and lets the watchdog go.
pub(super) fn wind_up() {
    let Some(run) = RUN.lock().ok().and_then(|run| run.clone()) else {
        return;
    };
    match run.reports.merge() {
        Ok(path) => {
            if !run.state.has_journal_of(&run.process) {
                run.farewell();
            }
            // Last, because it may have no reader.
            sum_up(&path.to_string_lossy());
        }
        Err(error) => terminal::say(&format!(
            "chaos-test: the reports could not be merged: {error}"
        )),
    }
}

/// The newest context that has not ended.
fn next_live() -> Option<Arc<Inner>> {
    let mut live = lock(&LIVE);
    live.retain(|context| context.strong_count() > 0);
    live.last().and_then(Weak::upgrade)
}

fn sum_up(report: &str) {
    let Ok(seen) = SEEN.lock() else { return };
    // nextest shows one process a test; there the report is the place.
    if seen.tests == 0 || std::env::var_os("NEXTEST").is_some() {
        return;
    }
    let mut line = format!(
        "chaos-test: {} chaos {}, {} failed, {} skipped; report: {report}",
        seen.tests,
        if seen.tests == 1 { "test" } else { "tests" },
        seen.failed,
        seen.skipped.len(),
    );
    for (name, why) in &seen.skipped {
        line.push_str(&format!("\nchaos-test:   skipped {name}: {why}"));
    }
    terminal::say(&line);
}

/// Whether `CHAOS_SEED` makes sense.
#[cfg(feature = "cli")]
pub(super) fn check_seed() -> Result<(), Error> {
    chosen_seed(None).map(drop)
}

fn chosen_seed(of_test: Option<u64>) -> Result<u64, Error> {
    if let Ok(text) = std::env::var("CHAOS_SEED")
        && !text.is_empty()
    {
        return parse_seed(&text).ok_or_else(|| {
            Error::new(
                Kind::Usage,
                format!("CHAOS_SEED is `{text}`, which is no number such as 42 or 0x5eed"),
            )
        });
    }
    Ok(of_test.unwrap_or_else(|| {
        use std::hash::{BuildHasher, Hasher};
        // Seeded by the operating system; short, because people copy it.
        let random = std::collections::hash_map::RandomState::new();
        random.build_hasher().finish() & 0xffff_ffff
    }))
}

fn parse_seed(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

fn now_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| {
            u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_are_decimal_or_hexadecimal() {
        for (text, seed) in [
            ("42", Some(42)),
            ("0x5eed", Some(0x5eed)),
            ("x", None),
            ("-1", None),
        ] {
            assert_eq!(parse_seed(text), seed, "{text}");
        }
    }
}
