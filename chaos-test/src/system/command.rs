//! Programs that run for one sample: started at the gate, ended with everything that they started.
//!
//! A command is no service: it comes and goes many times a second, so it has no entry of its own
//! in the journal. All commands of a context carry the context's token from before their first
//! instruction on, and one entry ends all that carries it. That entry names a process which does
//! nothing: it waits at its gate, which is never opened, as long as the test lives. Only while it
//! lives does a command pass its own gate. So whoever performs the entry, which begins with that
//! process's end, finds every command that has passed, and no other one passes any more.

use std::ffi::OsString;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, kill_process_group, pidfd_open, waitid,
};

use super::gate::{self, Gate, Limits};
use super::identity;
use super::lock::lock;
use super::process::{self, TOKEN};
use super::world::Ledger;
use crate::model::identity::ProcessIdentity;
use crate::model::undo::Undo;

/// Tells the commands of one context from each other, for what has left their sessions.
const COMMAND: &str = "CHAOS_TEST_COMMAND";
/// How much is kept of what a command prints, of each of its outputs.
pub(crate) const MOST_OUTPUT: usize = 64 << 10;
/// How long it may take to end what a command has started.
const END_LIMIT: Duration = Duration::from_secs(8);
/// How often a command's end is looked for where the kernel does not tell.
const LOOK: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 2_000_000,
};

/// What is to be run.
#[derive(Debug, Clone)]
pub(crate) struct Order {
    /// By its absolute path, because the gate may run in another folder than we do.
    pub(crate) program: PathBuf,
    pub(crate) args: Vec<OsString>,
    pub(crate) env: Vec<(OsString, Option<OsString>)>,
    pub(crate) folder: Option<PathBuf>,
}

/// What came of a command that ran to its end.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) status: ExitStatus,
    /// The first of what it printed, [`MOST_OUTPUT`] bytes at most.
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
}

/// The commands of one context.
pub(crate) struct Commands {
    ledger: Arc<dyn Ledger>,
    token: String,
    /// The context has come to its end.
    closed: AtomicBool,
    /// Held for as long as the anchor takes to start, which may be long.
    anchor: Mutex<Option<Arc<Anchor>>>,
}

/// The process that all commands of a context end with.
struct Anchor {
    process: ProcessIdentity,
    /// Never opened. The process ends when this is closed.
    _gate: Gate,
    child: Mutex<Child>,
}

impl Drop for Anchor {
    fn drop(&mut self) {
        let mut child = lock(&self.child);
        let _ = child.kill();
        let _ = child.wait();
    }
}

impl Commands {
    pub(crate) fn new(ledger: Arc<dyn Ledger>, token: String) -> Self {
        Self {
            ledger,
            token,
            closed: AtomicBool::new(false),
            anchor: Mutex::new(None),
        }
    }

    /// Lets no command begin any more. Those that run are ended by their entry. It waits for
    /// nobody: where the anchor is just being started, whoever starts it ends it.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        if let Ok(mut anchor) = self.anchor.try_lock() {
            *anchor = None;
        }
    }

    fn refuse_closed(&self) -> Result<(), String> {
        match self.closed.load(Ordering::SeqCst) {
            true => Err("the test is at its end".to_owned()),
            false => Ok(()),
        }
    }

    /// Runs a command to its end on a thread of its own. Where nobody waits for that any more, it
    /// is ended, with all that it has started.
    ///
    /// # Errors
    ///
    /// Why it did not run to its end, in words.
    pub(crate) async fn run(self: &Arc<Self>, order: Order) -> Result<Done, String> {
        let (answer, answered) = tokio::sync::oneshot::channel();
        let (given_up, watched) =
            UnixStream::pair().map_err(|error| format!("it cannot be watched: {error}"))?;
        let commands = Arc::clone(self);
        std::thread::Builder::new()
            .name("chaos-command".to_owned())
            .stack_size(256 * 1024)
            .spawn(move || {
                // Nobody may wait any more.
                let _ = answer.send(commands.run_here(&order, &watched));
            })
            .map_err(|error| format!("it has no thread: {error}"))?;
        // Dropped with this future, which the other end sees.
        let _given_up = given_up;
        answered
            .await
            .unwrap_or_else(|_| Err("its thread panicked".to_owned()))
    }

    fn run_here(&self, order: &Order, given_up: &UnixStream) -> Result<Done, String> {
        let anchor = self.anchor()?;
        let mut running = Running::start(order, &self.token)?;
        // Checked once the command bears the token and is past its own start: if this process
        // ends later than that, whoever ended it finds the command.
        if !identity::is_alive(&anchor.process) {
            return Err("the test is at its end".to_owned());
        }
        running.open()?;
        running.until_ended(given_up)
    }

    fn anchor(&self) -> Result<Arc<Anchor>, String> {
        let mut known = lock(&self.anchor);
        self.refuse_closed()?;
        if let Some(anchor) = &*known {
            return Ok(Arc::clone(anchor));
        }
        let cannot = |error: io::Error| format!("commands cannot be run: {error}");
        let (mut gate, stdin) = Gate::new().map_err(cannot)?;
        let child = bearing(ours(stdin).arg("no command"), &self.token)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(cannot)?;
        let mut child = Ending(Some(child));
        let process = child.identity().map_err(cannot)?;
        let undo = Undo::EndProcess {
            service: "commands".to_owned(),
            process: process.clone(),
            token: self.token.clone(),
            grace_ms: 0,
        };
        let planned = self.ledger.plan("run commands", undo, false);
        let entry = planned.map_err(|error| error.to_string())?;
        let arrived = gate.until_arrived().map_err(cannot);
        // The context may have come to its end meanwhile, and its rollback be past this entry.
        if let Err(why) = arrived.and_then(|()| self.refuse_closed()) {
            drop(child);
            self.ledger.undone(entry);
            return Err(why);
        }
        let anchor = Arc::new(Anchor {
            process,
            _gate: gate,
            child: Mutex::new(child.0.take().expect("it was just started")),
        });
        *known = Some(Arc::clone(&anchor));
        Ok(anchor)
    }
}

/// Our own executable, which is to become a program.
fn ours(stdin: Stdio) -> Command {
    let mut command = Command::new("/proc/self/exe");
    command.stdin(stdin);
    command
}

/// Has it wait at its gate, as a part of all that the token stands for; whatever else was said
/// of its environment.
fn bearing<'c>(command: &'c mut Command, token: &str) -> &'c mut Command {
    command
        .env(TOKEN, token)
        .env(gate::VARIABLE, Limits::default().encode())
}

/// A child that is killed and waited for where it is dropped.
struct Ending(Option<Child>);

impl Ending {
    fn identity(&self) -> io::Result<ProcessIdentity> {
        let child = self.0.as_ref().ok_or(io::ErrorKind::NotFound)?;
        identity::of(child.id())
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// One command that runs. Dropped before its end, it is ended with all that it has started.
struct Running {
    child: Child,
    process: ProcessIdentity,
    mark: String,
    gate: Option<Gate>,
    stdout: Output,
    stderr: Output,
    /// Whether it was waited for.
    reaped: bool,
}

impl Running {
    /// Starts it as far as its gate.
    fn start(order: &Order, token: &str) -> Result<Self, String> {
        let cannot = |error: io::Error| format!("it could not be started: {error}");
        let (mut gate, stdin) = Gate::new().map_err(cannot)?;
        let (stdout, for_stdout) = Output::new().map_err(cannot)?;
        let (stderr, for_stderr) = Output::new().map_err(cannot)?;
        static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);
        let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let mark = format!("{token}-{number}");
        let mut command = ours(stdin);
        command
            .arg(&order.program)
            .args(&order.args)
            .stdout(for_stdout)
            .stderr(for_stderr);
        for (name, value) in &order.env {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        if let Some(folder) = &order.folder {
            command.current_dir(folder);
        }
        bearing(&mut command, token).env(COMMAND, &mark);
        let mut child = Ending(Some(command.spawn().map_err(cannot)?));
        // It holds our ends of the pipes, which would never end.
        drop(command);
        let process = child.identity().map_err(cannot)?;
        gate.until_arrived().map_err(cannot)?;
        Ok(Self {
            child: child.0.take().expect("it was just started"),
            process,
            mark,
            gate: Some(gate),
            stdout,
            stderr,
            reaped: false,
        })
    }

    fn open(&mut self) -> Result<(), String> {
        let gate = self.gate.take().map_or(Ok(()), Gate::open);
        gate.map_err(|error| format!("it ended before its start: {error}"))
    }

    /// Reads what it prints until it has ended, or nobody waits for that any more.
    fn until_ended(mut self, given_up: &UnixStream) -> Result<Done, String> {
        let cannot = |error: io::Error| format!("it cannot be waited for: {error}");
        let pid = i32::try_from(self.process.pid).ok();
        let pid = pid.and_then(Pid::from_raw).ok_or("it has no number")?;
        // Old kernels and some sandboxes have no such descriptors.
        let ends = pidfd_open(pid, PidfdFlags::empty()).ok();
        loop {
            // Asked without taking its number from it, so that its group is still its own.
            let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
            let ended = waitid(WaitId::Pid(pid), options).map_err(|error| cannot(error.into()))?;
            if ended.is_some() {
                break;
            }
            if self.wait(given_up, ends.as_ref()).map_err(cannot)? {
                return Err("nobody waits for it any more".to_owned());
            }
        }
        self.stdout.read();
        self.stderr.read();
        // What it has left behind in its group ends with it.
        let _ = kill_process_group(pid, Signal::KILL);
        let status = self.child.wait().map_err(cannot)?;
        self.reaped = true;
        Ok(Done {
            status,
            stdout: std::mem::take(&mut self.stdout.kept),
            stderr: std::mem::take(&mut self.stderr.kept),
        })
    }

    /// Waits for something to happen, and reads what was printed. Whether it was given up.
    fn wait(&mut self, given_up: &UnixStream, ends: Option<&OwnedFd>) -> io::Result<bool> {
        let read = PollFlags::IN;
        let mut watched = vec![PollFd::new(given_up, read)];
        watched.extend(ends.map(|ends| PollFd::new(ends, read)));
        let outputs = [&self.stdout, &self.stderr];
        let open = outputs.iter().filter_map(|output| output.descriptor());
        watched.extend(open.map(|descriptor| PollFd::from_borrowed_fd(descriptor, read)));
        let limit = ends.is_none().then_some(&LOOK);
        match poll(&mut watched, limit) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let gone = !watched[0].revents().is_empty();
        drop(watched);
        self.stdout.read();
        self.stderr.read();
        Ok(gone)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.reaped {
            return;
        }
        // One that waits at its gate sees it close. What is still there after the limit is ended
        // with the context.
        self.gate = None;
        let _ = process::end_marked(&self.process, (COMMAND, &self.mark), END_LIMIT);
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a command prints, read as it comes, so that it never has to wait for us.
struct Output {
    pipe: Option<io::PipeReader>,
    kept: Vec<u8>,
}

impl Output {
    fn new() -> io::Result<(Self, Stdio)> {
        let (ours, theirs) = io::pipe()?;
        rustix::io::ioctl_fionbio(&ours, true)?;
        let output = Self {
            pipe: Some(ours),
            kept: Vec::new(),
        };
        Ok((output, theirs.into()))
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.pipe.as_ref().map(AsFd::as_fd)
    }

    /// Reads what is there, for a bounded time: somebody may print for ever.
    fn read(&mut self) {
        let mut buffer = [0; 16 << 10];
        for _ in 0..64 {
            let Some(pipe) = &mut self.pipe else { return };
            match pipe.read(&mut buffer) {
                Ok(0) => self.pipe = None,
                Ok(length) => {
                    let room = MOST_OUTPUT - self.kept.len();
                    self.kept.extend_from_slice(&buffer[..length.min(room)]);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => self.pipe = None,
            }
        }
    }
}

#[cfg(test)]
mod tests;
