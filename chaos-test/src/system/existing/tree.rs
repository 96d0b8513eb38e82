//! A process and what it has started: stopped, continued and killed one by one, each by who it
//! is, because its group and its session may hold others.
//!
//! Looking for them takes a walk through `/proc`, and waiting for them a while: never on a thread
//! that tasks wait for.

use std::collections::BTreeSet;
use std::io;
use std::time::{Duration, Instant};

use crate::model::identity::ProcessIdentity;
use crate::system::aside::aside;
use crate::system::identity;
use crate::system::process::{self, ProcessState, Signal};

/// How long it may take until none of them starts another one.
const SETTLE_LIMIT: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_micros(500);

/// A process and all its descendants that live, itself first.
pub(crate) fn with_descendants(root: &ProcessIdentity) -> Vec<ProcessIdentity> {
    aside(|| look_for(root))
}

fn look_for(root: &ProcessIdentity) -> Vec<ProcessIdentity> {
    let mut found = Vec::new();
    if !identity::is_alive(root) {
        return found;
    }
    found.push(root.clone());
    let all: Vec<(u32, identity::Stat)> = identity::all()
        .into_iter()
        .filter_map(|pid| Some((pid, identity::stat(pid)?)))
        .collect();
    let mut known: BTreeSet<u32> = [root.pid].into();
    loop {
        let before = found.len();
        for (pid, stat) in &all {
            // None is older than what has started it, whoever bears that number now.
            if known.contains(&stat.parent)
                && stat.start_time >= root.start_time
                && !identity::is_dead(stat.state)
                && known.insert(*pid)
            {
                found.push(ProcessIdentity {
                    pid: *pid,
                    start_time: stat.start_time,
                    ..root.clone()
                });
            }
        }
        if found.len() == before {
            return found;
        }
    }
}

/// Stops a process and its descendants, but for some. They start others until they are
/// stopped, so it looks until none runs.
pub(super) fn stop(root: &ProcessIdentity, but: &[ProcessIdentity]) -> io::Result<bool> {
    aside(|| stop_here(root, but))
}

fn stop_here(root: &ProcessIdentity, but: &[ProcessIdentity]) -> io::Result<bool> {
    let until = Instant::now() + SETTLE_LIMIT;
    let mut signalled = false;
    loop {
        let mut running = with_descendants(root);
        running.retain(|one| !but.contains(one) && process::state(one) == ProcessState::Running);
        if running.is_empty() || Instant::now() >= until {
            return Ok(signalled);
        }
        for one in &running {
            signalled |= signal(one, Signal::Stop)?;
        }
        std::thread::sleep(PAUSE);
    }
}

/// Continues some processes, where they are stopped, and waits until they go on.
pub(super) fn continue_each(processes: &[ProcessIdentity]) -> io::Result<()> {
    aside(|| continue_here(processes))
}

fn continue_here(processes: &[ProcessIdentity]) -> io::Result<()> {
    let until = Instant::now() + SETTLE_LIMIT;
    let mut failed = Ok(());
    let mut expected = Vec::new();
    // One that refuses keeps none of the others stopped.
    for one in processes {
        match signal(one, Signal::Continue) {
            Ok(_) => expected.push(one),
            // What cannot be sent signals was not stopped by us either.
            Err(error)
                if error.kind() == io::ErrorKind::PermissionDenied
                    && process::state(one) != ProcessState::Stopped => {}
            Err(error) => failed = failed.and(Err(of_process(one, &error))),
        }
    }
    for one in expected {
        while process::state(one) == ProcessState::Stopped {
            if Instant::now() >= until {
                let error = io::Error::other("it is still stopped after SIGCONT");
                failed = failed.and(Err(of_process(one, &error)));
                break;
            }
            std::thread::sleep(PAUSE);
        }
    }
    failed
}

fn of_process(one: &ProcessIdentity, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("process {}: {error}", one.pid))
}

/// Kills some processes and nothing that they have started; all are tried.
pub(crate) fn kill_these(processes: &[ProcessIdentity]) -> io::Result<()> {
    let mut failed = Ok(());
    for one in processes {
        if let Err(error) = signal(one, Signal::Kill) {
            failed = failed.and(Err(of_process(one, &error)));
        }
    }
    failed
}

/// Kills a process and its descendants, those included that they start meanwhile; all that it
/// has killed.
pub(crate) fn kill_each(root: &ProcessIdentity) -> io::Result<Vec<ProcessIdentity>> {
    aside(|| kill_here(root))
}

fn kill_here(root: &ProcessIdentity) -> io::Result<Vec<ProcessIdentity>> {
    let mut killed = with_descendants(root);
    // Stopped first, none of them can start another one that would not be found any more once
    // its parent is dead.
    stop(root, &[])?;
    for one in with_descendants(root) {
        if !killed.contains(&one) {
            killed.push(one);
        }
    }
    killed.reverse();
    let done = kill_these(&killed);
    killed.reverse();
    done.map(|()| killed)
}

/// Sends a signal to exactly this process. `false` where it is gone.
pub(super) fn signal(one: &ProcessIdentity, signal: Signal) -> io::Result<bool> {
    process::signal_one(one, signal)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Child, Command};

    struct Family(Child);

    impl Drop for Family {
        fn drop(&mut self) {
            if let Ok(root) = identity::of(self.0.id()) {
                let _ = kill_each(&root);
            }
            let _ = self.0.wait();
        }
    }

    /// A shell that goes on starting short sleeps beside a long one.
    fn family() -> (Family, ProcessIdentity) {
        let script = "sleep 67 & while :; do sleep 0.01; done";
        let child = Command::new("sh").args(["-c", script]).spawn().unwrap();
        let root = identity::of(child.id()).unwrap();
        let family = Family(child);
        let end = Instant::now() + Duration::from_secs(10);
        while with_descendants(&root).len() < 2 {
            assert!(Instant::now() < end, "it never starts anything");
            std::thread::yield_now();
        }
        (family, root)
    }

    #[test]
    fn all_of_a_family_stops_and_goes_on_and_nobody_else_of_its_group() {
        let (_family, root) = family();
        // It shares our group.
        let other = Command::new("sleep").arg("68").spawn().unwrap();
        let other_is = identity::of(other.id()).unwrap();
        let other = Family(other);
        assert!(stop(&root, &[]).unwrap());
        let all = with_descendants(&root);
        assert!(all.len() >= 2, "{all:?}");
        let state = |one: &ProcessIdentity| process::state(one);
        assert!(all.iter().all(|one| state(one) == ProcessState::Stopped));
        assert_eq!(state(&other_is), ProcessState::Running);
        continue_each(&all).unwrap();
        assert_eq!(state(&root), ProcessState::Running);
        drop(other);
    }

    #[test]
    fn what_was_stopped_before_is_left_out() {
        let (_family, root) = family();
        let sleeper = with_descendants(&root)[1].clone();
        signal(&sleeper, Signal::Stop).unwrap();
        let end = Instant::now() + Duration::from_secs(10);
        while process::state(&sleeper) != ProcessState::Stopped {
            assert!(Instant::now() < end);
        }
        stop(&root, std::slice::from_ref(&sleeper)).unwrap();
        let mut others = with_descendants(&root);
        others.retain(|one| *one != sleeper);
        continue_each(&others).unwrap();
        assert_eq!(process::state(&sleeper), ProcessState::Stopped);
    }

    #[test]
    fn a_family_is_killed_whole() {
        let (family, root) = family();
        let killed = kill_each(&root).unwrap();
        assert!(killed.len() >= 2, "{killed:?}");
        drop(family);
        let end = Instant::now() + Duration::from_secs(10);
        while killed.iter().any(identity::is_alive) {
            assert!(Instant::now() < end, "{killed:?}");
        }
        assert!(with_descendants(&root).is_empty());
    }
}
