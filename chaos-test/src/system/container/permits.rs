//! How many containers may run at once on this machine, for all tests of this user.
//!
//! A place is a locked file below the state directory: it is free again as soon as whoever
//! holds it is gone, however that happened.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::system::lease::{LockFile, Side};
use crate::system::progress;
use crate::system::state_dir::StateDir;
use crate::system::terminal::say;

/// How many there are, where the number that the machine is good for is not wanted.
const VARIABLE: &str = "CHAOS_MAX_CONTAINERS";
/// The file that those have locked, beside each other, who wait for a place.
const WAITING: &str = "waiting";
/// How often a place is looked for while there is none.
const PAUSE: Duration = Duration::from_millis(50);
/// Waiting is told after this time, and then as often.
const TELL_EVERY: Duration = Duration::from_secs(10);
/// How much memory one container is given in the count.
const MEMORY: u64 = 512 * 1024 * 1024;

/// A place for one container.
#[derive(Debug)]
pub(crate) struct Permit {
    _place: LockFile,
}

/// What came of asking for a place.
pub(crate) struct Taken {
    /// `None`: there was none, and waiting was not allowed.
    pub(crate) permit: Option<Permit>,
    pub(crate) waited: Duration,
}

impl Permit {
    /// Takes a place; where there is none, waits for one, if it may.
    pub(crate) async fn take(state: &StateDir, may_wait: bool, who: &str) -> io::Result<Taken> {
        let folder = state.permits()?;
        let most = most()?;
        let began = Instant::now();
        let mut told = began;
        let _going =
            progress::begin_told(who, format!("waiting for one of {most} containers to end"));
        let mut waits = LockFile::open(&folder.join(WAITING))?;
        loop {
            let permit = try_take(&folder, most)?;
            let waited = began.elapsed();
            if permit.is_some() || !may_wait {
                return Ok(Taken { permit, waited });
            }
            // Tried again and again: somebody who looks has it for a moment.
            waits.try_lock(Side::Shared)?;
            if told.elapsed() >= TELL_EVERY && !progress::is_drawn() {
                told = Instant::now();
                say(&format!(
                    "chaos-test: {who} waits for one of {most} containers to end, for {:.0} s now \
                     ({VARIABLE} changes how many may run at once)",
                    waited.as_secs_f64()
                ));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// Whether any test waits for a place. A state directory that cannot be used is said by whoever
/// takes one.
pub(crate) fn somebody_waits(state: &StateDir) -> bool {
    let looked = || waited_for(&state.permits()?);
    looked().unwrap_or(false)
}

fn waited_for(folder: &Path) -> io::Result<bool> {
    Ok(!LockFile::open(&folder.join(WAITING))?.try_lock(Side::Alone)?)
}

fn try_take(folder: &Path, most: usize) -> io::Result<Option<Permit>> {
    for number in 0..most {
        let mut place = LockFile::open(&folder.join(format!("container-{number}")))?;
        if place.try_lock(Side::Alone)? {
            return Ok(Some(Permit { _place: place }));
        }
    }
    Ok(None)
}

/// How many containers may run at once.
///
/// # Errors
///
/// Where the number that is asked for makes no sense.
pub(crate) fn most() -> io::Result<usize> {
    match std::env::var(VARIABLE) {
        Ok(text) => match text.trim().parse() {
            Ok(number) if number > 0 => Ok(number),
            _ => Err(io::Error::other(format!(
                "{VARIABLE} is `{text}`; it must be a number above 0"
            ))),
        },
        Err(_) => Ok(good_for(cores(), memory())),
    }
}

/// Four for each core, as far as there is memory for them, and two in any case.
fn good_for(cores: usize, memory: u64) -> usize {
    let by_memory = usize::try_from(memory / MEMORY).unwrap_or(usize::MAX);
    (cores * 4).min(by_memory).max(2)
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Memory of the machine in bytes (proc_meminfo(5)).
fn memory() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let total = text
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))
        .and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    total.unwrap_or_default() * 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_places_goes_by_cores_and_memory() {
        const GIB: u64 = 1024 * 1024 * 1024;
        assert_eq!(good_for(2, 24 * GIB), 8);
        assert_eq!(good_for(8, 4 * GIB), 8);
        assert_eq!(good_for(16, 64 * GIB), 64);
        assert_eq!(good_for(1, 0), 2);
        assert!(memory() > GIB / 4);
    }

    #[tokio::test]
    async fn who_waits_for_a_place_is_seen_until_it_has_one() {
        let folder = tempfile::tempdir().unwrap();
        assert!(!waited_for(folder.path()).unwrap());
        let [one, other] = [(), ()].map(|()| {
            let mut waits = LockFile::open(&folder.path().join(WAITING)).unwrap();
            assert!(waits.try_lock(Side::Shared).unwrap());
            waits
        });
        assert!(waited_for(folder.path()).unwrap());
        drop(one);
        assert!(waited_for(folder.path()).unwrap());
        drop(other);
        assert!(!waited_for(folder.path()).unwrap());
    }

    #[tokio::test]
    async fn a_place_is_free_again_once_it_is_let_go() {
        let folder = tempfile::tempdir().unwrap();
        let first = try_take(folder.path(), 2).unwrap().unwrap();
        let second = try_take(folder.path(), 2).unwrap();
        assert!(second.is_some());
        assert!(try_take(folder.path(), 2).unwrap().is_none());
        drop(first);
        assert!(try_take(folder.path(), 2).unwrap().is_some());
    }
}
