//! A process beside the test's own that outlives it, whatever kills that.
//!
//! It is our own executable, which [`entry`](crate::entry) keeps from its `main`. It leads a
//! session of its own, so that a runner that kills the test's process group leaves it, holds
//! no descriptor of the test's, so that nobody waits for it, and waits until its parent has
//! ended. What it does then is not decided here.

use std::ffi::OsStr;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags};
use serde::{Deserialize, Serialize};

use super::lock::lock;
use super::process::TOKEN;
use super::{hook, identity};
use crate::model::identity::ProcessIdentity;

/// Set in the environment of a process that is to be a watchdog; holds its [`Orders`].
pub(crate) const VARIABLE: &str = "CHAOS_TEST_WATCHDOG";

/// What it sends once it waits.
const READY: u8 = b'r';
/// What it is sent where there is nothing left for it to do.
const FAREWELL: u8 = b'f';
/// How long it may take to get there: a big executable on a busy machine.
const READY_LIMIT: Duration = Duration::from_secs(20);

/// What a watchdog has to know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Orders {
    /// Whom it watches.
    pub(crate) process: ProcessIdentity,
    /// The state directory.
    pub(crate) state: PathBuf,
    /// The report folder of all runs, and the run's name.
    pub(crate) reports: PathBuf,
    pub(crate) run: String,
}

/// The parent's side.
#[derive(Debug)]
pub(crate) struct Watchdog(Mutex<UnixStream>);

impl Watchdog {
    /// Starts one and waits until it watches.
    ///
    /// # Errors
    ///
    /// Where it cannot be started, or does not come.
    pub(crate) fn start(orders: &Orders) -> io::Result<Self> {
        let (ours, theirs) = UnixStream::pair()?;
        ours.set_read_timeout(Some(READY_LIMIT))?;
        let text = serde_json::to_string(orders)?;
        let mut command = Command::new("/proc/self/exe");
        command
            .arg0("chaos-test-watchdog")
            .arg(orders.process.pid.to_string())
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .env(VARIABLE, text)
            // Whoever ends a service by its token must not end what cleans up after it.
            .env_remove(TOKEN);
        #[cfg(feature = "kill-points")]
        super::kill_point::hand_on(&mut command);
        // Nobody waits for it: it ends after us.
        command.spawn()?;
        // It holds the other end of the socket: nobody would hear the child's end.
        drop(command);
        let mut word = [0];
        (&ours).read_exact(&mut word).map_err(|error| {
            let never = format!("it did not come within {} s", READY_LIMIT.as_secs());
            match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => io::Error::other(never),
                _ => io::Error::other(format!("it ended at once ({error})")),
            }
        })?;
        if word != [READY] {
            return Err(io::Error::other("it said something else"));
        }
        Ok(Self(Mutex::new(ours)))
    }

    /// There is nothing left to do after us.
    pub(crate) fn farewell(&self) {
        // One that was killed needs to be told nothing.
        let _ = lock(&self.0).write_all(&[FAREWELL]);
    }
}

/// How a watchdog's wait ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Parent {
    /// It has put everything back itself.
    SaidFarewell,
    /// It is gone.
    Ended,
}

/// The watchdog's side, before `main`: waits for its parent's end.
///
/// # Errors
///
/// Where its orders cannot be read, or nothing can be waited for.
pub(crate) fn watch(orders: &OsStr) -> io::Result<(Orders, Parent)> {
    let orders: Orders = serde_json::from_slice(orders.as_bytes())?;
    // Fails only where we already lead a session, which is just as good.
    let _ = rustix::process::setsid();
    hook::close_what_was_inherited();
    hook::hear_no_signal();
    // A name for people who look at the processes.
    let _ = rustix::thread::set_name(c"chaos-watchdog");
    // No folder is to be in use for its sake.
    let _ = rustix::process::chdir("/");
    let parent = open_process(&orders.process);
    rustix::io::write(std::io::stdin(), &[READY])?;
    let said = until_ended(parent.as_ref())?;
    Ok((orders, said))
}

/// `None` where it has ended already.
fn open_process(process: &ProcessIdentity) -> Option<OwnedFd> {
    let pid = Pid::from_raw(i32::try_from(process.pid).ok()?)?;
    let opened = rustix::process::pidfd_open(pid, PidfdFlags::empty()).ok()?;
    // Asked afterwards, so that it is that process which was opened.
    identity::is_alive(process).then_some(opened)
}

/// Its end is seen by its descriptor, or by the end of our standard input: either may be
/// missing, on a kernel before 5.3, or where it has left a copy of itself behind.
fn until_ended(parent: Option<&OwnedFd>) -> io::Result<Parent> {
    let stdin = std::io::stdin();
    let mut waiting = vec![PollFd::new(&stdin, PollFlags::IN)];
    waiting.extend(parent.map(|parent| PollFd::new(parent, PollFlags::IN)));
    loop {
        match poll(&mut waiting, None) {
            Ok(_) => break,
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    // Asked again, without waiting: its end may have come without a word, and its last word
    // just before its end.
    let mut waiting = [PollFd::new(&stdin, PollFlags::IN)];
    if matches!(poll(&mut waiting, Some(&Timespec::default())), Ok(1)) {
        let mut word = [0];
        if matches!(rustix::io::read(&stdin, &mut word), Ok(1)) && word == [FAREWELL] {
            return Ok(Parent::SaidFarewell);
        }
    }
    // The kernel closes its files one after the other: it may still hold its locks. One that
    // has become another program does not end.
    if let Some(parent) = parent {
        let limit = Timespec {
            tv_sec: 1,
            tv_nsec: 0,
        };
        let _ = poll(&mut [PollFd::new(parent, PollFlags::IN)], Some(&limit));
    }
    Ok(Parent::Ended)
}
