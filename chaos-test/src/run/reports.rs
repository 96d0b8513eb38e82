//! The report folder: where the tests of one run leave what is known of them, and who puts
//! that together.
//!
//! ```text
//! target/chaos/              the root, shared by all runs
//!   .lock                    held while reports are put together
//!   .failed/                 which tests failed when they last ran
//!   current                  the run whose report is the one at the top
//!   junit.xml                that report
//!   <run>/junit.xml          each run's own
//!   <run>/began              when the run became the current one
//!   <run>/merged             how often its report was put together
//!   <run>/failed-before      which tests had failed when it began, where that was asked
//!   <run>/finished           it is over, and a later run has looked through it
//!   <run>/fragments/         one file for each attempt at a test
//!   <run>/journals/  <run>/logs/
//! ```
//!
//! Many processes share it and any of them may be killed at any instant: every file appears
//! whole, by a rename. Only folders that this module can have made are ever removed.

mod before;
mod folder;
mod memory;
mod name;

use std::collections::BTreeSet;
use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

pub use before::Asker;
pub use memory::{Failed, Remembered};
pub use name::fragment_name;

use crate::model::identity::ProcessIdentity;
use crate::model::test_report::TestReport;
use crate::report::junit::junit;

use folder::{Fragments, Replacement, about, replace};

/// Where the report of an ended test goes.
fn ended(started: &Path) -> PathBuf {
    started.with_extension("end.json")
}

const CURRENT: &str = "current";
const BEGAN: &str = "began";
const MERGED: &str = "merged";
const FINISHED: &str = "finished";
const JUNIT: &str = "junit.xml";
/// So many runs are kept.
const KEPT: usize = 10;
/// A holder of the lock needs some milliseconds; one that was stopped must not stop others.
const LOCK_PATIENCE: Duration = Duration::from_secs(20);

/// The report folder of one run.
#[derive(Debug)]
pub struct Reports {
    root: PathBuf,
    /// The run's folder below the root.
    name: String,
    /// What was already complained about, so that each process says it once.
    told: Mutex<BTreeSet<String>>,
}

/// Whether a process is still there; asked of those that left a test without an end.
type IsAlive<'a> = &'a dyn Fn(&ProcessIdentity) -> bool;

impl Reports {
    /// Opens the folder of a run, and makes it where it is not there.
    ///
    /// A run whose name is no safe folder name gets one that is made from it, the same one
    /// in each process.
    ///
    /// # Errors
    ///
    /// If a folder cannot be made; the error names it.
    pub fn open(root: &Path, run: &str) -> io::Result<Self> {
        let reports = Self {
            root: root.to_owned(),
            name: name::run_folder(run),
            told: Mutex::default(),
        };
        reports.make_folders()?;
        Ok(reports)
    }

    /// The folder of all runs.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The run's folder.
    #[must_use]
    pub fn folder(&self) -> PathBuf {
        self.root.join(&self.name)
    }

    /// Where the copies of journals go.
    #[must_use]
    pub fn journals(&self) -> PathBuf {
        self.folder().join("journals")
    }

    /// Where the services' logs go.
    #[must_use]
    pub fn logs(&self) -> PathBuf {
        self.folder().join("logs")
    }

    /// Writes what is known of one attempt at a test, in place of what was known before.
    /// `key` is a bare file name: see [`fragment_name`].
    ///
    /// # Errors
    ///
    /// If the key is no bare name, or the file cannot be written.
    pub fn write(&self, key: &str, report: &TestReport) -> io::Result<()> {
        let started = self.fragment(key)?;
        // The end has a file of its own, because ext4 writes a file that is renamed over
        // another one to the disk before it goes on, which takes milliseconds.
        let path = match report.end {
            None => started.clone(),
            Some(_) => ended(&started),
        };
        let json = serde_json::to_vec(report)?;
        match replace(&path, &json) {
            // `cargo clean` in the middle of a run.
            Err(error) if error.kind() == ErrorKind::NotFound => {
                self.make_folders()?;
                replace(&path, &json)?;
            }
            done => done?,
        }
        if report.end.is_some() {
            // Where it stays, the end still counts for more.
            let _ = fs::remove_file(started);
            memory::remember(&self.root, key, report)?;
        }
        Ok(())
    }

    /// What is known of the earlier attempts at a test in this run, in their order.
    #[must_use]
    pub fn earlier_attempts(&self, binary: &str, name: &str, attempt: u32) -> Vec<TestReport> {
        let reports = (1..attempt).filter_map(|earlier| {
            let key = fragment_name(binary, name, earlier, None);
            let started = self.fragment(&key).ok()?;
            let ended = folder::read_report(&ended(&started));
            ended.or_else(|_| folder::read_report(&started)).ok()
        });
        reports.collect()
    }

    /// Gives a test of a dead process its end, unless it has one: in the run's folder, by the
    /// name of its files.
    ///
    /// # Errors
    ///
    /// If its report cannot be read or written.
    pub fn end_dead(
        folder: &Path,
        stem: &str,
        end: impl FnOnce(TestReport) -> TestReport,
    ) -> io::Result<()> {
        let key = format!("{stem}.json");
        let (Some(root), Some(name)) = (folder.parent(), folder.file_name()) else {
            return Ok(());
        };
        let reports = Self {
            root: root.to_owned(),
            name: name.to_string_lossy().into_owned(),
            told: Mutex::default(),
        };
        let started = reports.fragment(&key)?;
        if !name::is_run_folder(&reports.name) || !started.exists() || ended(&started).exists() {
            return Ok(());
        }
        reports.write(&key, &end(folder::read_report(&started)?))
    }

    /// Puts the run's fragments together, and returns where its report is. The copy at the
    /// top is replaced too if this run is the current one. Merging twice gives the same file.
    ///
    /// # Errors
    ///
    /// If the lock is not to be had, or a file cannot be read or written. A fragment that is
    /// no report is named on standard error and left out.
    pub fn merge(&self) -> io::Result<PathBuf> {
        self.make_folders()?;
        let path = self.folder().join(JUNIT);
        let before = self.merges();
        let _lock = Lock::take(&self.root)?;
        // Of two merges that ended since, the second began after this call and has read all
        // that this process wrote: a thousand processes that end together merge a few times.
        if self.merges() >= before + 2 && path.exists() {
            return Ok(path);
        }
        let document = self.merge_run(&self.name)?;
        if self.current()?.as_deref() == Some(&self.name) {
            replace(&self.root.join(JUNIT), document.as_bytes())?;
        }
        // Last, so that it counts nothing that a kill left half-done.
        let merges = format!("{}\n", self.merges() + 1);
        replace(&self.folder().join(MERGED), merges.as_bytes())?;
        Ok(path)
    }

    /// Makes this run the one whose report is at the top; each process calls it at its first
    /// chaos test.
    ///
    /// Where another run was current, the reports of dead runs are finished first, the old
    /// report at the top is replaced at once, and all but the newest runs are removed. Of
    /// two runs that share the root at the same time, the one that began later is current.
    ///
    /// # Errors
    ///
    /// If the lock is not to be had, or this run's own files cannot be written. What is wrong
    /// with other runs is only said on standard error.
    pub fn become_current(&self, is_alive: impl Fn(&ProcessIdentity) -> bool) -> io::Result<()> {
        self.make_folders()?;
        let _lock = Lock::take(&self.root)?;
        let current = self.current()?;
        if current.as_deref() == Some(&self.name) {
            return Ok(());
        }
        if let Some(current) = current
            && self.belongs_to(&current, &is_alive)
        {
            return Ok(());
        }
        self.finish_dead_runs(&is_alive);
        // The report first and the claim last: whoever is killed in between leaves a claim
        // that the next process makes again.
        let document = self.merge_run(&self.name)?;
        replace(&self.root.join(JUNIT), document.as_bytes())?;
        if self.began(&self.name).is_none() {
            let now = SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default();
            let began = format!("{}\n", now.as_nanos());
            replace(&self.folder().join(BEGAN), began.as_bytes())?;
        }
        replace(
            &self.root.join(CURRENT),
            format!("{}\n", self.name).as_bytes(),
        )?;
        self.tidy(&is_alive);
        Ok(())
    }

    /// Whether the top belongs to another run: one that began after this one and is alive.
    /// Without the second part a run identity that is used again and again would never get
    /// to the top once another one was there.
    fn belongs_to(&self, current: &str, is_alive: IsAlive<'_>) -> bool {
        match (self.began(&self.name), self.began(current)) {
            (Some(ours), Some(theirs)) if theirs > ours => self.lives(current, is_alive),
            _ => false,
        }
    }

    /// When a run became the current one for the first time.
    fn began(&self, run: &str) -> Option<u128> {
        let text = fs::read_to_string(self.root.join(run).join(BEGAN)).ok()?;
        text.trim().parse().ok()
    }

    /// How many merges of this run have ended.
    fn merges(&self) -> u64 {
        let text = fs::read_to_string(self.folder().join(MERGED)).unwrap_or_default();
        text.trim().parse().unwrap_or_default()
    }

    /// The run that is named in `current`, if it is one.
    fn current(&self) -> io::Result<Option<String>> {
        let path = self.root.join(CURRENT);
        match fs::read_to_string(&path) {
            Ok(text) => Ok(Some(text.trim().to_owned()).filter(|it| name::is_run_folder(it))),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(about("read", &path, &error)),
        }
    }

    /// The other runs' folders, newest first.
    fn others(&self) -> Vec<String> {
        let mut runs: Vec<(SystemTime, String)> = folder::runs(&self.root)
            .into_iter()
            .filter(|(_, name)| *name != self.name)
            .collect();
        runs.sort_by(|a, b| b.cmp(a));
        runs.into_iter().map(|(_, name)| name).collect()
    }

    /// Whether a test of a run goes on in a living process.
    fn lives(&self, run: &str, is_alive: IsAlive<'_>) -> bool {
        match folder::open_reports(&self.root.join(run)) {
            Ok(open) => open.iter().any(|report| is_alive(&report.process)),
            // What cannot be read is taken to be in use: nothing of it is touched.
            Err(_) => true,
        }
    }

    fn finish_dead_runs(&self, is_alive: IsAlive<'_>) {
        for run in self.others() {
            let folder = self.root.join(&run);
            if (!folder.join(JUNIT).exists() || folder::is_stale(&folder, FINISHED))
                && !self.lives(&run, is_alive)
                && let Err(error) = self.finish_dead(&run, is_alive)
            {
                self.tell(&format!(
                    "the report of run {run} was not finished: {error}"
                ));
            }
        }
    }

    /// Puts a dead run together, once. Its tests that never ended have failed: also where a
    /// process of it has put it together after they died.
    fn finish_dead(&self, run: &str, is_alive: IsAlive<'_>) -> io::Result<()> {
        let folder = self.root.join(run);
        let finished = Replacement::begin(&folder.join(FINISHED))?;
        self.remember_dead(&folder, is_alive)?;
        if folder::is_stale(&folder, JUNIT) {
            self.merge_run(run)?;
        }
        finished.finish(b"")
    }

    /// Removes old runs and what killed processes left half-written.
    fn tidy(&self, is_alive: IsAlive<'_>) {
        for old in self.others().into_iter().skip(KEPT - 1) {
            if !self.lives(&old, is_alive)
                && let Err(error) = folder::remove_run(&self.root, &old)
            {
                self.tell(&error.to_string());
            }
        }
        folder::remove_old_temporaries(&self.root);
        for run in self.others().iter().chain([&self.name]) {
            folder::remove_old_temporaries(&self.root.join(run));
            folder::remove_old_temporaries(&self.root.join(run).join(folder::FRAGMENTS));
        }
    }

    /// Puts the fragments of any run together. The lock is held.
    fn merge_run(&self, run: &str) -> io::Result<String> {
        let folder = self.root.join(run);
        let report = Replacement::begin(&folder.join(JUNIT))?;
        let fragments = Fragments::read(&folder)?;
        for unreadable in &fragments.unreadable {
            self.tell(&format!("left out of the report: {unreadable}"));
        }
        let document = junit(&fragments.reports);
        report.finish(document.as_bytes())?;
        Ok(document)
    }

    fn make_folders(&self) -> io::Result<()> {
        let folder = self.folder();
        for path in [
            self.root.clone(),
            folder.join(folder::FRAGMENTS),
            self.journals(),
            self.logs(),
        ] {
            fs::create_dir_all(&path).map_err(|error| about("create", &path, &error))?;
        }
        Ok(())
    }

    fn fragment(&self, key: &str) -> io::Result<PathBuf> {
        if !name::is_fragment(key) {
            let message = format!("a report's key is a bare file name, not {key:?}");
            return Err(io::Error::new(ErrorKind::InvalidInput, message));
        }
        Ok(self.folder().join(folder::FRAGMENTS).join(key))
    }

    fn tell(&self, what: &str) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.insert(what.to_owned()) {
            // Where standard error is closed there is nobody to tell.
            let _ = writeln!(io::stderr(), "chaos-test: {what}");
        }
    }
}

/// The root's lock, held until dropped.
struct Lock(File);

impl Lock {
    fn take(root: &Path) -> io::Result<Self> {
        let path = root.join(".lock");
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(|error| about("open", &path, &error))?;
        let since = Instant::now();
        let mut pause = Duration::from_micros(200);
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Self(file)),
                Err(TryLockError::Error(error)) => return Err(about("lock", &path, &error)),
                Err(TryLockError::WouldBlock) if since.elapsed() >= LOCK_PATIENCE => {
                    let why = format!("another process held it for {LOCK_PATIENCE:?}");
                    let error = io::Error::new(ErrorKind::TimedOut, why);
                    return Err(about("lock", &path, &error));
                }
                Err(TryLockError::WouldBlock) => {
                    sleep(pause);
                    pause = (pause * 2).min(Duration::from_millis(10));
                }
            }
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Not left to the closing of the file: a child that is just being started may hold a
        // copy of its descriptor for a moment.
        let _ = self.0.unlock();
    }
}

#[cfg(test)]
mod tests;
