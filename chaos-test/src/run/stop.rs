//! The emergency stop: every experiment of the process is rolled back and ends as
//! interrupted, and none begins any more.
//!
//! It comes as a signal that asks the process to end (SIGINT, SIGTERM, SIGHUP), as a file
//! (`CHAOS_STOP_FILE`), as an environment variable (`CHAOS_STOP`), or from whoever stops a
//! run by name through the state directory (`cargo chaos stop`).

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Once};
use std::time::{Duration, Instant};

use crate::error::{Error, Kind};
use crate::model::identity::ProcessIdentity;
use crate::system::identity;
use crate::system::lock::lock;
use crate::system::signals;
use crate::system::spawner::Spawner;
use crate::system::terminal::say;

use super::engine;
use super::exit::wind_up;
use super::finish::{self, Ending};
use super::fixtures::{of_run, shared};
use super::inner::{Inner, Stop};
use super::process_run::{self, ProcessRun};

/// How often the files are looked for.
const PACE: Duration = Duration::from_millis(100);
/// How long the reports may take to be merged and summed up before this process dies of a
/// signal. What is not merged by then its watchdog merges, or the next run.
const WIND_UP_LIMIT: Duration = Duration::from_secs(5);

static STOPPED: Mutex<Option<String>> = Mutex::new(None);

/// Set once a signal was heard that this process is about to die of.
static DYING: AtomicBool = AtomicBool::new(false);

/// Does not return where this process is about to die of a signal: whoever would go on, and
/// end it in another way, waits for that.
pub(super) fn wait_if_dying(limit: Duration) {
    let until = Instant::now() + limit;
    while DYING.load(Ordering::SeqCst) && Instant::now() < until {
        std::thread::sleep(PACE);
    }
}

/// Why this process was stopped, if it was.
pub(super) fn reason() -> Option<String> {
    lock(&STOPPED).clone()
}

/// The error of whoever begins something after the stop.
pub(super) fn refuse_if_stopped() -> Result<(), Error> {
    match reason() {
        None => Ok(()),
        Some(why) => Err(Error::new(Kind::Interrupted, why)),
    }
}

/// Begins to listen for the stop; once in a process.
pub(super) fn listen(run: &Arc<ProcessRun>) {
    static LISTENING: Once = Once::new();
    LISTENING.call_once(|| {
        if std::env::var("CHAOS_STOP").is_ok_and(|set| !set.is_empty() && set != "0") {
            mark("CHAOS_STOP is set".to_owned());
            return;
        }
        let files = Files::of(run);
        // Found before the first test begins, where it is there already.
        if let Some(why) = files.found() {
            mark(why);
            return;
        }
        engine::own().spawn(watch_files(files));
        engine::own().spawn(hear_signals());
    });
}

/// Ends one context as interrupted, at once.
pub(super) fn interrupt(inner: &Arc<Inner>, why: String) {
    end_at_once(inner, Stop::Interrupted(why));
}

/// Ends one context at once, without waiting for its body. The first reason counts.
pub(super) fn end_at_once(inner: &Arc<Inner>, stop: Stop) {
    let first = inner.stopped.send_if_modified(|stopped| {
        let first = stopped.is_none();
        stopped.get_or_insert(stop.clone());
        first
    });
    if first {
        let inner = Arc::clone(inner);
        engine::own().spawn(async move {
            finish::end(&inner, Ending::Stopped(stop)).await;
        });
    }
}

/// Interrupts everything that goes on, and whatever would begin.
pub(super) fn stop_all(why: &str) {
    let first = mark(why.to_owned());
    for inner in process_run::live() {
        interrupt(&inner, why.to_owned());
    }
    // A keeper ends by itself once those who use it have put back what they broke.
    if shared::is_any() && !of_run::is_keeper() {
        engine::own().spawn(end_all(Stop::Interrupted(why.to_owned())));
    }
    if first {
        let text = format!("chaos-test: stopped ({why}): everything is put back now");
        // Not waited for: whoever is to read it may not.
        engine::own().spawn_blocking(move || say(&text));
    }
}

/// Ends everything that goes on, and then what tests shared.
async fn end_all(stop: Stop) {
    for inner in process_run::live() {
        finish::end(&inner, Ending::Stopped(stop.clone())).await;
    }
    shared::end_all().await;
}

/// Whether this was the first one.
fn mark(why: String) -> bool {
    let mut stopped = lock(&STOPPED);
    let first = stopped.is_none();
    stopped.get_or_insert(why);
    first
}

/// Where a stop may be written down.
struct Files {
    /// By whoever stops this run.
    of_run: PathBuf,
    /// By the user's own means.
    of_user: Option<PathBuf>,
}

impl Files {
    fn of(run: &ProcessRun) -> Self {
        let named = std::env::var_os("CHAOS_STOP_FILE").filter(|path| !path.is_empty());
        // A body may change the working directory.
        let absolute = |path| std::path::absolute(&path).unwrap_or_else(|_| PathBuf::from(&path));
        Self {
            of_run: run.state.stop_mark(&run.id),
            of_user: named.map(absolute),
        }
    }

    fn found(&self) -> Option<String> {
        let is_there = |path: &Path| path.symlink_metadata().is_ok();
        if is_there(&self.of_run) && means_us(&self.of_run) {
            return Some("by `cargo chaos stop`".to_owned());
        }
        let file = self.of_user.as_deref().filter(|file| is_there(file))?;
        Some(format!(
            "the file {} is there (CHAOS_STOP_FILE)",
            file.display()
        ))
    }
}

/// Whether a mark means this process, and not an earlier run of the same name: by itself or by
/// its parent. One that names nobody means every process of the run.
fn means_us(mark: &Path) -> bool {
    let text = std::fs::read(mark).unwrap_or_default();
    let meant: Vec<ProcessIdentity> = serde_json::from_slice(&text).unwrap_or_default();
    let own = identity::own().ok();
    let ours = [own, identity::parent_of(std::process::id())];
    let mut ours = ours.into_iter().flatten();
    meant.is_empty() || ours.any(|process| meant.contains(&process))
}

async fn watch_files(files: Files) {
    loop {
        tokio::time::sleep(PACE).await;
        if let Some(why) = files.found() {
            stop_all(&why);
            return;
        }
    }
}

/// A first signal puts everything back, and then ends the process as it would have; a second
/// one ends it at once, and leaves the rest to the watchdog.
async fn hear_signals() {
    let Some(mut signals) = signals::that_would_end_us() else {
        return;
    };
    let first = signals.next().await;
    DYING.store(true, Ordering::SeqCst);
    stop_all(&format!("{first}"));
    let ended = async {
        if of_run::is_keeper() {
            std::future::pending::<()>().await;
        }
        end_all(Stop::Interrupted(first.to_string())).await;
        // Merging reads and writes files; whoever is to read the sum may have stopped reading.
        let wound_up = Spawner::here().spawn_blocking(wind_up);
        let _ = tokio::time::timeout(WIND_UP_LIMIT, wound_up).await;
    };
    tokio::select! {
        () = ended => signals::die_of(first),
        second = signals.next() => signals::die_of(second),
    }
}
