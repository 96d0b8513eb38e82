//! Processes: signals to exactly the one that is meant, what state it is in, and its end
//! together with everything that it started.

use std::fmt;
use std::io;
use std::time::{Duration, Instant};

use rustix::process::Pid;

use super::identity;
use crate::model::identity::ProcessIdentity;

/// The variable by which everything that a service started can be found.
pub(crate) const TOKEN: &str = "CHAOS_TEST_SERVICE";

/// A signal (signal(7)).
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
            Self::Stop => "SIGSTOP",
            Self::Continue => "SIGCONT",
        })
    }
}

/// What state a service's process is in.
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

/// Sends a signal to the process group that the process leads. "Already gone" is `false`.
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
    if state(process) == ProcessState::Gone {
        return Ok(false);
    }
    // A number is not given away while a group bears it, so the group that is signalled
    // below is the one whose leader was just seen.
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
    let members: Vec<_> = identity::all()
        .into_iter()
        .filter_map(identity::stat)
        .filter(|stat| stat.group == process.pid && !identity::is_dead(stat.state))
        .collect();
    !members.is_empty() && members.iter().all(|stat| matches!(stat.state, 'T' | 't'))
}

/// Ends a process, its session, and everything that carries its token, and waits until
/// they are gone. "Already gone" is success.
///
/// # Errors
///
/// Where the kernel refuses, or something is still there after the deadline.
pub(crate) fn end(process: &ProcessIdentity, token: &str, deadline: Duration) -> io::Result<()> {
    let until = Instant::now() + deadline;
    if process.boot_id != identity::boot_id() {
        return Ok(());
    }
    signal_group(process, Signal::Kill)?;
    let mut pause = Duration::from_micros(200);
    loop {
        let left = survivors(process, token);
        if left.is_empty() {
            return Ok(());
        }
        for &pid in &left {
            if let Some(pid) = self::pid(pid) {
                // It may end by itself between the look and the signal.
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            }
        }
        if Instant::now() >= until {
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

/// The numbers of what is left of a process and of all that it started: itself, and all
/// that carries its token, in its session or not.
fn survivors(process: &ProcessIdentity, token: &str) -> Vec<u32> {
    identity::all()
        .into_iter()
        .filter(|&pid| {
            let Some(stat) = identity::stat(pid) else {
                return false;
            };
            if identity::is_dead(stat.state) {
                return false;
            }
            (pid == process.pid && stat.start_time == process.start_time)
                || identity::has_in_environment(pid, TOKEN, token)
        })
        .collect()
}

fn pid(number: u32) -> Option<Pid> {
    Pid::from_raw(i32::try_from(number).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::CommandExt;
    use std::process::{Child, Command};

    struct Sleeper(Child);

    impl Drop for Sleeper {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    fn sleeper(token: &str) -> (Sleeper, ProcessIdentity) {
        let child = Command::new("sleep")
            .arg("60")
            .env(TOKEN, token)
            .process_group(0)
            .spawn()
            .unwrap();
        let identity = identity::of(child.id()).unwrap();
        (Sleeper(child), identity)
    }

    fn until(condition: impl Fn() -> bool) {
        let end = Instant::now() + Duration::from_secs(10);
        while !condition() {
            assert!(Instant::now() < end, "the condition never came");
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_stopped_process_is_seen_as_stopped_and_goes_on() {
        let (_child, process) = sleeper("stop");
        assert!(signal_group(&process, Signal::Stop).unwrap());
        until(|| state(&process) == ProcessState::Stopped && group_is_stopped(&process));
        assert!(signal_group(&process, Signal::Continue).unwrap());
        until(|| state(&process) == ProcessState::Running);
    }

    #[test]
    fn ending_is_idempotent_and_never_hits_a_namesake() {
        let (_child, process) = sleeper("namesake");
        let namesake = ProcessIdentity {
            start_time: process.start_time + 1,
            ..process.clone()
        };
        end(&namesake, "nobody", Duration::from_secs(5)).unwrap();
        assert_eq!(state(&process), ProcessState::Running);
        end(&process, "nobody", Duration::from_secs(5)).unwrap();
        assert_eq!(state(&process), ProcessState::Gone);
        end(&process, "nobody", Duration::from_secs(5)).unwrap();
    }

    #[test]
    fn what_left_the_session_is_found_by_its_token() {
        let token = format!("escaped-{}", std::process::id());
        let mut shell = Command::new("sh")
            .args(["-c", "setsid sleep 61 & wait"])
            .env(TOKEN, &token)
            .process_group(0)
            .spawn()
            .unwrap();
        let process = identity::of(shell.id()).unwrap();
        until(|| survivors(&process, &token).len() == 2);
        let waiter = std::thread::spawn(move || shell.wait());
        end(&process, &token, Duration::from_secs(5)).unwrap();
        assert!(survivors(&process, &token).is_empty());
        waiter.join().unwrap().unwrap();
    }
}
