//! Locks that tests hold against each other, in one process and across processes: locked
//! files below the state directory, free again as soon as whoever holds them is gone,
//! however that happened.
//!
//! Each lock is two files. One is the lock itself, the other one its turnstile: whoever is
//! next in line holds that while it waits, and newcomers have to pass it first, so that
//! nobody is overtaken for ever. Nothing in this room waits; the rooms above ask again.
//!
//! The files stay, but for those of a run that has ended, and of things that have names of their
//! own: whoever gets a lock looks whether its file is still the one that others find.

use std::fs::{File, TryLockError};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::identity;
use crate::decide::turns::EXISTING;
use crate::model::identity::ProcessIdentity;

/// How a lock is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// Beside others.
    Shared,
    /// By nobody else.
    Alone,
}

/// What is locked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Lock {
    /// The machine, among all chaos tests of this user.
    Machine,
    /// A target that tests share, by its name.
    Lease(String),
    /// A fixture that a run shares.
    Fixture {
        /// What people know it by.
        name: String,
        /// A bare name that is of this fixture in this run alone.
        file: String,
    },
}

impl Lock {
    /// Whether its name is that of something that will not be there for long, such as a process
    /// or a port, and not one that people have chosen.
    fn is_of_one_thing(&self) -> bool {
        matches!(self, Self::Lease(name) if name.starts_with(EXISTING))
    }

    /// The names of the lock's own file and of its turnstile.
    fn files(&self) -> (String, String) {
        match self {
            Self::Machine => ("all".to_owned(), "all-next".to_owned()),
            Self::Lease(name) => {
                let name = encoded(name);
                (format!("lease-{name}"), format!("next-{name}"))
            }
            Self::Fixture { file, .. } => (format!("run-{file}"), format!("run-next-{file}")),
        }
    }
}

/// A name as part of a file's name: no two names are written alike, and none has a
/// separator, a leading dot or a capital letter that a file system may fold.
fn encoded(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' => text.push(char::from(byte)),
            byte => text.push_str(&format!("%{byte:02x}")),
        }
    }
    text
}

/// Who holds a lock, or is next in line: what its file says meanwhile, for those who wait.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Holder {
    /// The test's path.
    pub(crate) test: String,
    /// The binary that it is in.
    pub(crate) binary: String,
    pub(crate) process: ProcessIdentity,
    /// The bare name of its journal.
    pub(crate) journal: String,
    /// Milliseconds since 1970 when it got where it is.
    pub(crate) since_ms: u64,
}

impl Holder {
    /// For how long it has been there.
    pub(crate) fn since(&self) -> Duration {
        Duration::from_millis(now_ms().saturating_sub(self.since_ms))
    }
}

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { test, binary, .. } = self;
        let pid = self.process.pid;
        if identity::own().is_ok_and(|own| own == self.process) {
            write!(f, "{test} (process {pid}, this one)")
        } else {
            write!(f, "{test} (process {pid}, {binary})")
        }
    }
}

/// Who holds a lock, where somebody does alone and has said so.
pub(crate) fn holder(folder: &Path, lock: &Lock) -> Option<Holder> {
    living(&folder.join(lock.files().0))
}

/// Who is next in line, where somebody is who wants to be alone.
pub(crate) fn next_in_line(folder: &Path, lock: &Lock) -> Option<Holder> {
    living(&folder.join(lock.files().1))
}

/// What a killed process wrote is still there, and means nobody.
fn living(path: &Path) -> Option<Holder> {
    let holder: Holder = serde_json::from_slice(&std::fs::read(path).ok()?).ok()?;
    identity::is_alive(&holder.process).then_some(holder)
}

/// A file that is locked, or is to be.
#[derive(Debug)]
pub(crate) struct LockFile {
    path: PathBuf,
    file: File,
    locked: bool,
    /// Whether it says who we are.
    named: bool,
    /// Whether it goes on saying so, because the target may be broken.
    stays_named: AtomicBool,
}

impl LockFile {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self {
            path: path.to_owned(),
            file: open(path)?,
            locked: false,
            named: false,
            stays_named: AtomicBool::new(false),
        })
    }

    /// Locks it, where that can be done at once.
    pub(crate) fn try_lock(&mut self, side: Side) -> io::Result<bool> {
        if self.locked {
            return Ok(true);
        }
        loop {
            let locked = match side {
                Side::Shared => self.file.try_lock_shared(),
                Side::Alone => self.file.try_lock(),
            };
            match locked {
                Ok(()) if self.is_the_one()? => {
                    self.locked = true;
                    return Ok(true);
                }
                // Its last holder has removed it since: the lock is another file by now.
                Ok(()) => self.file = open(&self.path)?,
                Err(TryLockError::WouldBlock) => return Ok(false),
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
    }

    /// Whether it is still the file that others find.
    fn is_the_one(&self) -> io::Result<bool> {
        let ours = self.file.metadata()?;
        match std::fs::symlink_metadata(&self.path) {
            Ok(found) => Ok((found.dev(), found.ino()) == (ours.dev(), ours.ino())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The same lock for another process: it is held as long as one of both has it, unless this
    /// one lets go of it.
    pub(crate) fn share(&self) -> io::Result<File> {
        self.file.try_clone()
    }

    fn read(&self) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; usize::try_from(self.file.metadata()?.len()).unwrap_or(0)];
        let read = self.file.read_at(&mut bytes, 0)?;
        bytes.truncate(read);
        Ok(bytes)
    }

    fn name(&mut self, holder: &Holder) -> io::Result<()> {
        let holder = Holder {
            since_ms: now_ms(),
            ..holder.clone()
        };
        let text = serde_json::to_vec(&holder)?;
        self.named = true;
        self.file.write_all_at(&text, 0)?;
        self.file.set_len(text.len() as u64)
    }
}

impl Drop for LockFile {
    fn drop(&mut self) {
        // Whoever finds a name in a lock that is free knows that its holder was killed.
        if self.named && !self.stays_named.load(Ordering::SeqCst) {
            let _ = self.file.set_len(0);
        }
        // Not left to the closing of the file: a child that is being started has it open,
        // too, until it executes its program.
        if self.locked {
            let _ = self.file.unlock();
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    File::options()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .mode(0o600)
        .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed())
        .open(path)
}

/// Removes the locks of fixtures of runs that nobody keeps any more, and nobody holds.
pub(crate) fn remove_those_of_runs(folder: &Path, is_kept: impl Fn(&str) -> bool) {
    let files = std::fs::read_dir(folder);
    for file in files.into_iter().flatten().flatten() {
        let name = file.file_name().to_string_lossy().into_owned();
        let Some(file) = name.strip_prefix("run-") else {
            continue;
        };
        let file = file.strip_prefix("next-").unwrap_or(file).to_owned();
        if !is_kept(&file) {
            let name = String::new();
            remove(folder, &Lock::Fixture { name, file });
        }
    }
}

/// Removes the files of a lock that nobody will ask for again, unless somebody has it now.
pub(crate) fn remove(folder: &Path, lock: &Lock) {
    let (own, turnstile) = lock.files();
    for name in [turnstile, own] {
        let path = folder.join(name);
        // Whoever has it open sees that it is gone before it relies on it.
        if path.exists()
            && let Ok(mut file) = LockFile::open(&path)
            && file.try_lock(Side::Alone).unwrap_or(false)
        {
            let _ = std::fs::remove_file(&path);
        }
    }
}

/// A lock that somebody asks for, and holds from when it is given until this is dropped.
#[derive(Debug)]
pub(crate) struct Claim {
    lock: LockFile,
    /// `None` once the lock is held.
    turnstile: Option<LockFile>,
    side: Side,
    holder: Holder,
    /// The turnstile, where both files go with the claim: others will have other names.
    goes: Option<PathBuf>,
    /// What the last holder left in the file, if it was killed.
    left: Vec<u8>,
}

impl Claim {
    pub(crate) fn new(folder: &Path, lock: &Lock, side: Side, holder: Holder) -> io::Result<Self> {
        let (own, turnstile) = lock.files();
        let turnstile = folder.join(turnstile);
        Ok(Self {
            lock: LockFile::open(&folder.join(own))?,
            turnstile: Some(LockFile::open(&turnstile)?),
            side,
            holder,
            goes: lock.is_of_one_thing().then_some(turnstile),
            left: Vec::new(),
        })
    }

    /// Takes the lock, where it is free now; else stays in line. Who may go past the line
    /// tries the lock itself, whoever waits for it.
    ///
    /// Newcomers of the shared side keep to the turnstile as long as somebody is alone, so
    /// that the next one who wants to be alone comes after them.
    pub(crate) fn try_take(&mut self, past_the_line: bool) -> io::Result<bool> {
        let Some(turnstile) = &mut self.turnstile else {
            return Ok(true);
        };
        if !past_the_line && !turnstile.try_lock(self.side)? {
            return Ok(false);
        }
        if !self.lock.try_lock(self.side)? {
            if self.side == Side::Alone && turnstile.locked && !turnstile.named {
                turnstile.name(&self.holder)?;
            }
            return Ok(false);
        }
        // Whoever is beside others leaves it as it is.
        self.left = self.lock.read()?;
        if self.side == Side::Alone {
            self.mark_broken(!self.left.is_empty());
            self.lock.name(&self.holder)?;
        }
        self.turnstile = None;
        Ok(true)
    }

    /// Whether the next holder is to find that the target may be broken, as after a kill.
    pub(crate) fn mark_broken(&self, broken: bool) {
        self.lock.stays_named.store(broken, Ordering::SeqCst);
    }

    pub(crate) fn is_alone(&self) -> bool {
        self.side == Side::Alone
    }

    /// Whether the lock's last holder was killed, and so has put nothing back.
    pub(crate) fn was_left(&self) -> bool {
        !self.left.is_empty()
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let is_held = self.turnstile.is_none() && self.side == Side::Alone;
        let goes_on = self.lock.stays_named.load(Ordering::SeqCst);
        let Some(turnstile) = self.goes.take().filter(|_| is_held && !goes_on) else {
            return;
        };
        // Held until it is gone: whoever has it open sees that before it relies on it.
        let _ = std::fs::remove_file(&self.lock.path);
        if let Ok(mut file) = LockFile::open(&turnstile)
            && file.try_lock(Side::Alone).unwrap_or(false)
        {
            let _ = std::fs::remove_file(&turnstile);
        }
    }
}

fn now_ms() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    struct Locks(tempfile::TempDir);

    impl Locks {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn claim(&self, test: &str, lock: &Lock, side: Side) -> Claim {
            let holder = Holder {
                test: test.to_owned(),
                binary: "unit".to_owned(),
                process: identity::own().unwrap(),
                journal: String::new(),
                since_ms: 0,
            };
            Claim::new(self.0.path(), lock, side, holder).unwrap()
        }

        fn take(&self, test: &str, lock: &Lock, side: Side) -> Option<Claim> {
            let mut claim = self.claim(test, lock, side);
            claim.try_take(false).unwrap().then_some(claim)
        }

        fn holder(&self, lock: &Lock) -> Option<String> {
            holder(self.0.path(), lock).map(|holder| holder.test)
        }
    }

    fn lease(name: &str) -> Lock {
        Lock::Lease(name.to_owned())
    }

    #[test]
    fn no_two_names_are_one_file_and_none_leads_elsewhere() {
        let names = [
            "a", "A", "%41", "a/b", "a%2fb", "..", ".", "a b", "a.next", "ä", "a\u{308}", "all",
            "next", "*", "~",
        ];
        let mut files = BTreeSet::new();
        for lock in names.map(lease).iter().chain([&Lock::Machine]) {
            let (own, turnstile) = lock.files();
            for file in [own, turnstile] {
                let plain = |byte: u8| {
                    byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.%".contains(&byte)
                };
                assert!(file.bytes().all(plain), "{file}");
                assert!(!file.starts_with('.') && file.len() < 255, "{file}");
                assert!(files.insert(file.clone()), "{file} stands for two names");
            }
        }
        assert_eq!(files.len(), 2 * names.len() + 2);
        assert_eq!(encoded("orders-db_2.eu"), "orders-db_2.eu");
        assert_eq!(encoded("Ä/%"), "%c3%84%2f%25");
        // The longest that is allowed.
        assert!(lease(&"ü".repeat(40)).files().0.len() < 255);
    }

    #[test]
    fn a_lease_has_one_holder_and_says_who() {
        let locks = Locks::new();
        let (orders, broker) = (lease("orders-db"), lease("broker"));
        let first = locks.take("first", &orders, Side::Alone).unwrap();
        assert!(locks.take("second", &orders, Side::Alone).is_none());
        let other = locks.take("second", &broker, Side::Alone);
        assert!(other.is_some());
        assert_eq!(locks.holder(&orders).as_deref(), Some("first"));
        drop(first);
        assert_eq!(locks.holder(&orders), None);
        let second = locks.take("second", &orders, Side::Alone).unwrap();
        assert!(!second.was_left());
        assert_eq!(locks.holder(&orders).as_deref(), Some("second"));
    }

    #[test]
    fn nobody_overtakes_who_is_next_in_line() {
        let locks = Locks::new();
        let orders = lease("orders-db");
        let first = locks.take("first", &orders, Side::Alone).unwrap();
        let mut second = locks.claim("second", &orders, Side::Alone);
        assert!(!second.try_take(false).unwrap());
        drop(first);
        assert!(locks.take("third", &orders, Side::Alone).is_none());
        assert!(second.try_take(false).unwrap());
        drop(second);
        assert!(locks.take("third", &orders, Side::Alone).is_some());
    }

    #[test]
    fn who_gave_up_waiting_is_not_in_line_any_more() {
        let locks = Locks::new();
        let first = locks.take("first", &Lock::Machine, Side::Shared).unwrap();
        let mut waits = locks.claim("waits", &Lock::Machine, Side::Alone);
        assert!(!waits.try_take(false).unwrap());
        let next = next_in_line(locks.0.path(), &Lock::Machine).unwrap();
        assert_eq!(next.test, "waits");
        assert!(locks.take("late", &Lock::Machine, Side::Shared).is_none());
        drop(waits);
        assert_eq!(next_in_line(locks.0.path(), &Lock::Machine), None);
        assert!(locks.take("late", &Lock::Machine, Side::Shared).is_some());
        drop(first);
        assert!(locks.take("alone", &Lock::Machine, Side::Alone).is_some());
    }

    #[test]
    fn who_wants_to_be_alone_and_who_does_not_take_turns() {
        let locks = Locks::new();
        let machine = Lock::Machine;
        let shared = [(), ()].map(|()| locks.take("shared", &machine, Side::Shared).unwrap());
        let mut alone = locks.claim("alone", &machine, Side::Alone);
        assert!(!alone.try_take(false).unwrap());
        // A newcomer queues behind it, unless it belongs to somebody who is in already.
        let mut late = locks.claim("late", &machine, Side::Shared);
        assert!(!late.try_take(false).unwrap());
        let mut inside = locks.claim("inside", &machine, Side::Shared);
        assert!(inside.try_take(true).unwrap());
        drop((shared, inside));
        assert!(alone.try_take(false).unwrap());
        assert!(!late.try_take(false).unwrap());
        // Whoever waits now has a turn before the next one is alone.
        let mut again = locks.claim("again", &machine, Side::Alone);
        assert!(!again.try_take(false).unwrap());
        drop(alone);
        assert!(!again.try_take(false).unwrap());
        assert!(late.try_take(false).unwrap());
        assert!(!again.try_take(false).unwrap());
        drop(late);
        assert!(again.try_take(false).unwrap());
    }

    #[test]
    fn what_a_killed_holder_wrote_tells_that_it_was_killed() {
        let locks = Locks::new();
        let orders = lease("orders-db");
        let mut killed = locks.take("killed", &orders, Side::Alone).unwrap();
        killed.holder.process.start_time += 1;
        let holder = killed.holder.clone();
        killed.lock.name(&holder).unwrap();
        // As the kernel does it: unlocked, and nothing else.
        killed.lock.named = false;
        drop(killed);
        assert_eq!(locks.holder(&orders), None);
        let next = locks.take("next", &orders, Side::Alone).unwrap();
        assert!(next.was_left());
        assert_eq!(locks.holder(&orders).as_deref(), Some("next"));
    }

    #[test]
    fn the_lock_of_what_was_there_before_goes_with_its_last_holder() {
        let locks = Locks::new();
        let process = lease(&format!("{EXISTING}process 4711-1"));
        let files = || std::fs::read_dir(locks.0.path()).unwrap().count();
        let first = locks.take("first", &process, Side::Alone).unwrap();
        let mut second = locks.claim("second", &process, Side::Alone);
        assert!(!second.try_take(false).unwrap());
        drop(first);
        // Whoever waits has opened a file that is gone.
        assert!(second.try_take(false).unwrap());
        assert!(locks.take("third", &process, Side::Alone).is_none());
        second.mark_broken(true);
        drop(second);
        assert_eq!(files(), 2, "what may be broken is told to the next one");
        let third = locks.take("third", &process, Side::Alone).unwrap();
        assert!(third.was_left());
        third.mark_broken(false);
        drop(third);
        assert_eq!(files(), 0);
    }

    #[test]
    fn a_lock_whose_file_was_removed_is_another_one() {
        let locks = Locks::new();
        let of_run = Lock::Fixture {
            name: "db".to_owned(),
            file: "0badcafe".to_owned(),
        };
        let held = locks.take("held", &of_run, Side::Shared).unwrap();
        remove(locks.0.path(), &of_run);
        // Somebody has it, so it stays.
        let mut early = locks.claim("early", &of_run, Side::Alone);
        assert!(!early.try_take(false).unwrap());
        drop(held);
        let late = locks.claim("late", &of_run, Side::Alone);
        drop(early);
        remove(locks.0.path(), &of_run);
        assert_eq!(std::fs::read_dir(locks.0.path()).unwrap().count(), 0);
        // Both have opened the old file, or come anew: one of them has the lock.
        let mut late = late;
        assert!(late.try_take(false).unwrap());
        assert!(locks.take("new", &of_run, Side::Alone).is_none());
    }

    #[test]
    fn a_child_of_ours_keeps_no_lock() {
        let locks = Locks::new();
        let held = locks.take("held", &lease("db"), Side::Alone).unwrap();
        // As it would look between fork and exec: the same open file.
        let inherited = held.lock.file.try_clone().unwrap();
        drop(held);
        assert!(locks.take("next", &lease("db"), Side::Alone).is_some());
        drop(inherited);
    }
}
