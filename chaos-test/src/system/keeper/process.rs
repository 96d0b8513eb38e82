//! Starts the process that keeps a fixture, and what that does first.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::identity::ProcessIdentity;
use crate::system::hook;
use crate::system::lease::LockFile;
use crate::system::place::RUN_VARIABLE;
use crate::system::process::TOKEN;

/// Set in the environment of a process that is to be a keeper; holds its [`Orders`].
pub(crate) const VARIABLE: &str = "CHAOS_TEST_KEEPER";

/// What it sends once it listens.
const READY: u8 = b'r';
/// How long it may take to get there: a big executable on a busy machine.
const READY_LIMIT: Duration = Duration::from_secs(20);

/// What a keeper has to know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Orders {
    /// Where the fixture stands.
    pub(crate) fixture: String,
    /// The run, as it is told apart from others.
    pub(crate) within: String,
    /// The state directory.
    pub(crate) state: PathBuf,
    /// The report folder of all runs, and the run's name.
    pub(crate) reports: PathBuf,
    pub(crate) run: String,
    /// The runner of whoever started it.
    pub(crate) runner: Option<ProcessIdentity>,
    /// The test that it is set up for.
    pub(crate) first: String,
}

/// Starts a keeper and waits until it listens. What it and its fixture print goes into `log`. It
/// has the turn as long as we have: also if we are killed meanwhile.
///
/// # Errors
///
/// Where it cannot be started, or does not come.
pub(crate) fn start(orders: &Orders, turn: &LockFile, log: &Path) -> io::Result<()> {
    if let Some(folder) = log.parent() {
        fs::create_dir_all(folder)?;
    }
    let log = File::options().create(true).append(true).open(log)?;
    let (ours, theirs) = UnixStream::pair()?;
    ours.set_read_timeout(Some(READY_LIMIT))?;
    let mut command = Command::new("/proc/self/exe");
    command
        .arg0("chaos-test-keeper")
        .arg(&orders.fixture)
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        // Until it has begun.
        .stdout(Stdio::from(turn.share()?))
        .stderr(Stdio::from(log))
        .env(VARIABLE, serde_json::to_string(orders)?)
        .env("CHAOS_STATE_DIR", &orders.state)
        .env("CHAOS_DIR", &orders.reports)
        .env(RUN_VARIABLE, &orders.run)
        // Whoever ends a service by its token must not end what others use.
        .env_remove(TOKEN);
    #[cfg(feature = "kill-points")]
    command.env_remove(crate::system::kill_point::VARIABLE);
    // Nobody waits for it: it ends after us, or becomes a child of whoever adopts orphans.
    let mut child = command.spawn()?;
    // It holds the other end of the socket: nobody would hear the child's end.
    drop(command);
    let mut word = [0];
    let why = match (&ours).read_exact(&mut word) {
        Ok(()) if word == [READY] => return Ok(()),
        Ok(()) => "it said something else".to_owned(),
        Err(error) => match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                format!("it did not come within {} s", READY_LIMIT.as_secs())
            }
            _ => "it ended at once".to_owned(),
        },
    };
    // It must not come later, when somebody else has the turn.
    let _ = child.kill();
    let _ = child.wait();
    Err(io::Error::other(why))
}

/// A keeper that has not said yet that it listens.
pub(crate) struct Begun {
    pub(crate) orders: Orders,
    /// Shares the turn with whoever started it.
    turn: Option<OwnedFd>,
}

/// The keeper's side, before `main`: a session of its own, and nothing of whoever started it.
///
/// # Errors
///
/// Where its orders cannot be read.
pub(crate) fn begin(orders: &OsStr) -> io::Result<Begun> {
    let orders: Orders = serde_json::from_slice(orders.as_bytes())?;
    // Fails only where we already lead a session, which is just as good.
    let _ = rustix::process::setsid();
    hook::close_what_was_inherited();
    hook::hear_no_broken_pipe();
    // Nothing that it starts is to be a keeper.
    hook::forget_variable(VARIABLE);
    // A name for people who look at the processes.
    let _ = rustix::thread::set_name(c"chaos-keeper");
    let turn = rustix::io::fcntl_dupfd_cloexec(std::io::stdout(), 3)?;
    rustix::stdio::dup2_stdout(std::io::stderr())?;
    Ok(Begun {
        orders,
        turn: Some(turn),
    })
}

impl Begun {
    /// It listens: whoever started it may ask.
    ///
    /// # Errors
    ///
    /// Where that one is gone. Nobody else has come then, because the turn is not free as long as
    /// this is there.
    pub(crate) fn say_ready(&mut self) -> io::Result<()> {
        rustix::io::write(std::io::stdin(), &[READY])?;
        let null = File::open("/dev/null")?;
        rustix::stdio::dup2_stdin(&null)?;
        self.turn = None;
        Ok(())
    }
}
