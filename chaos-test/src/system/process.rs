//! Processes: signals to exactly the one that is meant, what state it is in, and its end
//! together with everything that it started.

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::time::{Duration, Instant};

use rustix::process::Pid;

use super::aside::aside;
use super::identity;
use crate::model::identity::ProcessIdentity;

/// The variable by which everything that a service started can be found.
pub(crate) const TOKEN: &str = "CHAOS_TEST_SERVICE";

/// A signal (signal(7)).
///
/// ```no_run
/// # async fn body(chaos: &chaos_test::ChaosContext, cache: &chaos_test::Service) -> chaos_test::Result {
/// use chaos_test::{Signal, process};
/// let outage = chaos.inject(process::kill(cache).with(Signal::Term)).await?;
/// outage.lift().await?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Signal {
    /// SIGKILL: ends at once, cannot be caught.
    Kill,
    /// SIGTERM: asks to end.
    Term,
    /// SIGINT: as Ctrl-C.
    Int,
    /// SIGQUIT: asks to end with a core dump.
    Quit,
    /// SIGHUP: the terminal is gone, or "read your configuration again".
    Hup,
    /// SIGABRT: as after a failed assertion.
    Abort,
    /// SIGSEGV: as after a wild pointer.
    Segv,
    /// SIGUSR1: whatever the program makes of it; it ends one that makes nothing of it.
    Usr1,
    /// SIGUSR2: as [`Usr1`](Self::Usr1).
    Usr2,
    /// SIGPIPE: as after writing to a pipe that nobody reads.
    Pipe,
    /// SIGALRM: as when a timer runs out.
    Alarm,
    /// SIGSTOP: stops without ending, cannot be caught.
    Stop,
    /// SIGCONT: goes on after a stop.
    Continue,
}

impl Signal {
    fn raw(self) -> rustix::process::Signal {
        use rustix::process::Signal as Raw;
        match self {
            Self::Kill => Raw::KILL,
            Self::Term => Raw::TERM,
            Self::Int => Raw::INT,
            Self::Quit => Raw::QUIT,
            Self::Hup => Raw::HUP,
            Self::Abort => Raw::ABORT,
            Self::Segv => Raw::SEGV,
            Self::Usr1 => Raw::USR1,
            Self::Usr2 => Raw::USR2,
            Self::Pipe => Raw::PIPE,
            Self::Alarm => Raw::ALARM,
            Self::Stop => Raw::STOP,
            Self::Continue => Raw::CONT,
        }
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kill => "SIGKILL",
            Self::Term => "SIGTERM",
            Self::Int => "SIGINT",
            Self::Quit => "SIGQUIT",
            Self::Hup => "SIGHUP",
            Self::Abort => "SIGABRT",
            Self::Segv => "SIGSEGV",
            Self::Usr1 => "SIGUSR1",
            Self::Usr2 => "SIGUSR2",
            Self::Pipe => "SIGPIPE",
            Self::Alarm => "SIGALRM",
            Self::Stop => "SIGSTOP",
            Self::Continue => "SIGCONT",
        })
    }
}

/// What state a service's process is in.
///
/// ```
/// use chaos_test::{Effect, Error, ProcessState, ReadOnlySystem};
///
/// /// `verify` of a fault that ends a process.
/// fn verify(system: &ReadOnlySystem) -> Result<Effect, Error> {
///     Ok(match system.process_state("cache")? {
///         ProcessState::Running => Effect::Absent("it runs".to_owned()),
///         _ => Effect::Active,
///     })
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProcessState {
    /// It runs.
    Running,
    /// It was started and is held up before its first instruction.
    HeldAtStart,
    /// It was stopped (SIGSTOP) and can go on.
    Stopped,
    /// It is gone.
    Gone,
}

impl fmt::Display for ProcessState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Running => "running",
            Self::HeldAtStart => "held at its start",
            Self::Stopped => "stopped",
            Self::Gone => "gone",
        })
    }
}

/// Running, stopped or gone, as the kernel says now.
pub(crate) fn state(process: &ProcessIdentity) -> ProcessState {
    match identity::stat(process.pid) {
        Some(stat) if stat.start_time == process.start_time => match stat.state {
            state if identity::is_dead(state) => ProcessState::Gone,
            // `t` is a tracer's stop.
            'T' | 't' => ProcessState::Stopped,
            _ => ProcessState::Running,
        },
        _ => ProcessState::Gone,
    }
}

/// Sends a signal to the process group that the process leads, or led: its members may
/// outlive it. "Already gone" is `false`.
///
/// # Errors
///
/// Where the kernel refuses, or the process lives in another namespace.
pub(crate) fn signal_group(process: &ProcessIdentity, signal: Signal) -> io::Result<bool> {
    if process.boot_id != identity::boot_id() {
        return Ok(false);
    }
    if process.namespace != identity::namespace() {
        return Err(io::Error::other(
            "it runs in another process-number namespace",
        ));
    }
    if state(process) == ProcessState::Gone && !has_group(process) {
        return Ok(false);
    }
    // A number is not given away while a group bears it, so the group that is signalled
    // below is the one whose leader, or whose members, were just seen.
    let Some(pid) = pid(process.pid) else {
        return Ok(false);
    };
    match rustix::process::kill_process_group(pid, signal.raw()) {
        Ok(()) => Ok(true),
        Err(rustix::io::Errno::SRCH) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Continues a stopped process group and waits until its leader runs.
///
/// # Errors
///
/// Where the kernel refuses, or it is still stopped after a while.
pub(crate) fn continue_group(process: &ProcessIdentity) -> io::Result<()> {
    let until = Instant::now() + Duration::from_secs(5);
    signal_group(process, Signal::Continue)?;
    while process.boot_id == identity::boot_id() && state(process) == ProcessState::Stopped {
        if Instant::now() >= until {
            return Err(io::Error::other("it is still stopped after SIGCONT"));
        }
        std::thread::sleep(Duration::from_micros(200));
    }
    Ok(())
}

/// Whether every process of the group that `process` leads is stopped.
pub(crate) fn group_is_stopped(process: &ProcessIdentity) -> bool {
    aside(|| {
        let mut members = living()
            .filter(|(_, stat)| stat.group == process.pid)
            .peekable();
        members.peek().is_some() && members.all(|(_, stat)| matches!(stat.state, 'T' | 't'))
    })
}

/// Ends a process, its session, and everything that carries its token, and waits until
/// they are gone. "Already gone" is success.
///
/// # Errors
///
/// Where the kernel refuses, or something is still there after the deadline.
pub(crate) fn end(process: &ProcessIdentity, token: &str, deadline: Duration) -> io::Result<()> {
    end_marked(process, (TOKEN, token), deadline)
}

/// As [`end`], with everything that carries another variable of this value.
pub(super) fn end_marked(
    process: &ProcessIdentity,
    mark: (&str, &str),
    deadline: Duration,
) -> io::Result<()> {
    let until = Instant::now() + deadline;
    if process.boot_id != identity::boot_id() {
        return Ok(());
    }
    signal_group(process, Signal::Kill)?;
    let mut pause = Duration::from_micros(200);
    loop {
        let left = marked(process, mark);
        if left.is_empty() {
            return Ok(());
        }
        for &one in &left {
            kill_exactly(one);
        }
        if Instant::now() >= until {
            let left: Vec<u32> = left.iter().map(|one| one.pid).collect();
            return Err(io::Error::new(
                io::ErrorKind::TimedOut,
                format!("still there after SIGKILL: {left:?}"),
            ));
        }
        // Polled, because what a dead parent's children become cannot be waited for.
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}

/// Kills a process, its group and everything that carries its token, once each, without
/// waiting. `false` where nothing was there.
///
/// # Errors
///
/// Where the kernel refuses.
pub(crate) fn kill_all(process: &ProcessIdentity, token: &str) -> io::Result<bool> {
    let signalled = signal_group(process, Signal::Kill)?;
    let left = survivors(process, token);
    for &one in &left {
        kill_exactly(one);
    }
    Ok(signalled || !left.is_empty())
}

/// One process among those that a service started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Survivor {
    pub(crate) pid: u32,
    start_time: u64,
}

/// What is left of a process and of all that it started: itself, its group, its session,
/// and all that carries its token, wherever that went.
pub(crate) fn survivors(process: &ProcessIdentity, token: &str) -> Vec<Survivor> {
    marked(process, (TOKEN, token))
}

/// The numbers of [`survivors`], and of those of its session that have ended and that nobody has
/// waited for.
pub(super) fn members(process: &ProcessIdentity, token: &str) -> Vec<u32> {
    let found = found(process, (TOKEN, token), all());
    found.iter().map(|one| one.pid).collect()
}

fn marked(process: &ProcessIdentity, mark: (&str, &str)) -> Vec<Survivor> {
    found(process, mark, living())
}

fn found(
    process: &ProcessIdentity,
    (variable, value): (&str, &str),
    among: impl Iterator<Item = (u32, identity::Stat)>,
) -> Vec<Survivor> {
    if process.boot_id != identity::boot_id() {
        return Vec::new();
    }
    aside(|| look_for(process, (variable, value), among))
}

fn look_for(
    process: &ProcessIdentity,
    (variable, value): (&str, &str),
    among: impl Iterator<Item = (u32, identity::Stat)>,
) -> Vec<Survivor> {
    let numbered = bears_its_number(process);
    // What it started is not older than itself, so most processes need no second look.
    let younger: Vec<_> = among
        .filter(|(_, stat)| stat.start_time >= process.start_time)
        .collect();
    let is_its = |pid: u32, stat: &identity::Stat| {
        (pid == process.pid && stat.start_time == process.start_time)
            // Some programs scrub or overwrite the environment that they are given.
            || (numbered && (stat.group == process.pid || stat.session == process.pid))
            || identity::has_in_environment(pid, variable, value)
    };
    let found: BTreeSet<u32> = younger
        .iter()
        .filter(|(pid, stat)| is_its(*pid, stat))
        .map(|(pid, _)| *pid)
        .collect();
    younger
        .iter()
        // A session that one of them leads is its own, too, whatever was scrubbed in it.
        .filter(|(pid, stat)| found.contains(pid) || found.contains(&stat.session))
        .map(|(pid, stat)| Survivor {
            pid: *pid,
            start_time: stat.start_time,
        })
        .collect()
}

/// Whether a group and a session of the process's number are still its own. The number is
/// given to nobody else while either bears it, so they are not where somebody else has it.
fn bears_its_number(process: &ProcessIdentity) -> bool {
    identity::stat(process.pid).is_none_or(|stat| stat.start_time == process.start_time)
}

/// Whether anything lives in the group that a process led before it ended.
fn has_group(process: &ProcessIdentity) -> bool {
    bears_its_number(process)
        && aside(|| {
            living()
                .any(|(_, stat)| stat.group == process.pid && stat.start_time >= process.start_time)
        })
}

fn all() -> impl Iterator<Item = (u32, identity::Stat)> {
    let all = aside(identity::all).into_iter();
    all.filter_map(|pid| Some((pid, identity::stat(pid)?)))
}

fn living() -> impl Iterator<Item = (u32, identity::Stat)> {
    all().filter(|(_, stat)| !identity::is_dead(stat.state))
}

/// Sends a signal to exactly this process, and to nobody else of its group. "Already gone" is
/// `false`.
///
/// # Errors
///
/// Where the kernel refuses, or the process lives in another namespace.
pub(crate) fn signal_one(process: &ProcessIdentity, signal: Signal) -> io::Result<bool> {
    use rustix::process::{PidfdFlags, kill_process, pidfd_open, pidfd_send_signal};
    if process.boot_id != identity::boot_id() {
        return Ok(false);
    }
    if process.namespace != identity::namespace() {
        return Err(io::Error::other(
            "it runs in another process-number namespace",
        ));
    }
    let Some(pid) = pid(process.pid) else {
        return Ok(false);
    };
    // The descriptor stays with the process that bore the number when it was opened.
    let sent = match pidfd_open(pid, PidfdFlags::empty()) {
        _ if state(process) == ProcessState::Gone => return Ok(false),
        Ok(descriptor) => pidfd_send_signal(descriptor, signal.raw()),
        // Old kernels and some sandboxes have no such descriptors.
        Err(_) => kill_process(pid, signal.raw()),
    };
    match sent {
        Ok(()) => Ok(true),
        Err(rustix::io::Errno::SRCH) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Kills this process, and never another one that was given its number since.
fn kill_exactly(one: Survivor) {
    use rustix::process::{PidfdFlags, Signal, kill_process, pidfd_open, pidfd_send_signal};
    let Some(pid) = pid(one.pid) else { return };
    let still_it = || identity::stat(one.pid).is_some_and(|it| it.start_time == one.start_time);
    // It may end by itself at any moment, so a refused signal says nothing.
    match pidfd_open(pid, PidfdFlags::empty()) {
        // The descriptor stays with the process that bore the number when it was opened.
        Ok(descriptor) if still_it() => {
            let _ = pidfd_send_signal(descriptor, Signal::KILL);
        }
        Ok(_) | Err(rustix::io::Errno::SRCH) => {}
        // Old kernels and some sandboxes have no such descriptors.
        Err(_) if still_it() => {
            let _ = kill_process(pid, Signal::KILL);
        }
        Err(_) => {}
    }
}

fn pid(number: u32) -> Option<Pid> {
    Pid::from_raw(i32::try_from(number).ok()?)
}

#[cfg(test)]
mod tests;
