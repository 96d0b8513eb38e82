//! Looks at one journal: whose it is, and whether its writer is dead.
//!
//! It must change nothing: those who only show what is left look here, too.

use std::fs::{self, File, TryLockError};
use std::io::{self, Seek as _};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use crate::model::identity::ProcessIdentity;
use crate::model::journal::{Journal, Unreadable};
use crate::system::{identity, state_dir};

/// After this time a journal that never got its name is from a process that died.
const UNBORN_LIMIT: Duration = Duration::from_secs(60);

/// How long the locked journals of dead processes are waited for: the kernel closes a dead
/// process's files one after the other, and a watchdog may be at work.
const LOCK_LIMIT: Duration = Duration::from_secs(2);
const LOCK_PAUSE: Duration = Duration::from_millis(5);

/// What a journal is to a sweep.
pub(in crate::run) enum Standing {
    /// Its writer has just closed it in order, or another sweep has.
    Gone,
    /// Its writer lives.
    Alive,
    /// Its writer died before it could plan anything. It is locked by us.
    Empty(File),
    /// Its writer is dead, and a run over there sweeps it.
    Elsewhere,
    /// Its writer is dead. The file is locked by us, and whole up to this byte.
    Dead(Box<Journal>, File, u64),
}

/// How long a locked journal of a dead process is waited for.
pub(in crate::run) struct Patience {
    until: Instant,
    /// Whether its process has ended for certain. The kernel closes the files of one before it
    /// shows that it is dead, and not all at once.
    has_ended: bool,
}

impl Patience {
    /// For whoever puts back what is left; whether what it looks at is of a process that
    /// `has_ended` for certain.
    pub(super) fn of_sweep(has_ended: bool) -> Self {
        Self {
            until: Instant::now() + LOCK_LIMIT,
            has_ended,
        }
    }

    /// For whoever only looks.
    #[cfg(feature = "cli")]
    pub(in crate::run) fn none() -> Self {
        Self {
            until: Instant::now(),
            has_ended: false,
        }
    }

    fn waits_for(&self, file: &mut File) -> bool {
        Instant::now() < self.until && (self.has_ended || is_of_dead(file))
    }
}

/// Looks at a journal and changes nothing.
///
/// # Errors
///
/// Why it must be left alone.
pub(in crate::run) fn look(path: &Path, patience: &Patience) -> Result<Standing, String> {
    let mut file = match state_dir::open_trusted(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Standing::Gone),
        Err(error) => return Err(error.to_string()),
    };
    loop {
        match file.try_lock() {
            Ok(()) => break,
            Err(TryLockError::WouldBlock) if patience.waits_for(&mut file) => {
                std::thread::sleep(LOCK_PAUSE);
            }
            Err(TryLockError::WouldBlock) => return Ok(Standing::Alive),
            Err(TryLockError::Error(error)) => return Err(error.to_string()),
        }
    }
    if !still_there(path, &file) {
        return Ok(Standing::Gone);
    }
    let text = state_dir::read_whole(&mut file).map_err(|error| error.to_string())?;
    let journal = match Journal::read(&text) {
        Ok(journal) => journal,
        Err(Unreadable::Empty) => return Ok(Standing::Empty(file)),
        Err(why) => return Err(why.to_string()),
    };
    if is_elsewhere(&journal.started.process) {
        return Ok(Standing::Elsewhere);
    }
    let whole = text.rfind('\n').map_or(0, |end| end as u64 + 1);
    Ok(Standing::Dead(Box::new(journal), file, whole))
}

/// Whether somebody puts back at this moment what dead processes left.
pub(in crate::run) fn somebody_sweeps(folder: &Path) -> bool {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.into_iter().any(|entry| {
        let Ok(mut file) = state_dir::open_trusted(&entry.path()) else {
            return false;
        };
        matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)) && is_of_dead(&mut file)
    })
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

/// Whether a journal that has no name yet will never get one.
pub(in crate::run) fn is_abandoned(path: &Path) -> bool {
    fs::symlink_metadata(path)
        .and_then(|metadata| metadata.modified())
        .is_ok_and(|modified| {
            SystemTime::now()
                .duration_since(modified)
                .is_ok_and(|age| age > UNBORN_LIMIT)
        })
}
