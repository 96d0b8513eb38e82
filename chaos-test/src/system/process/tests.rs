//! Signals, states and ends of real processes.

use super::*;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

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

/// The identity of a leader that is gone, whose child without our variable lives on.
fn dead_leader(seconds: &str) -> (ProcessIdentity, u32) {
    let script = format!("env -i sleep {seconds} >/dev/null & echo $!; read wait");
    let mut shell = Command::new("sh")
        .args(["-c", &script])
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let process = identity::of(shell.id()).unwrap();
    let mut child = String::new();
    BufReader::new(shell.stdout.take().unwrap())
        .read_line(&mut child)
        .unwrap();
    drop(shell.stdin.take());
    shell.wait().unwrap();
    (process, child.trim().parse().unwrap())
}

#[test]
fn what_scrubbed_its_environment_is_found_after_its_leader_is_gone() {
    let (process, child) = dead_leader("62");
    let found: Vec<_> = survivors(&process, "scrubbed")
        .iter()
        .map(|one| one.pid)
        .collect();
    assert_eq!(found, [child]);
    end(&process, "scrubbed", Duration::from_secs(5)).unwrap();
    assert!(survivors(&process, "scrubbed").is_empty());
}

#[test]
fn a_group_is_signalled_after_its_leader_is_gone() {
    let (process, child) = dead_leader("63");
    let child = identity::of(child).unwrap();
    assert!(signal_group(&process, Signal::Kill).unwrap());
    until(|| state(&child) == ProcessState::Gone);
    assert!(!signal_group(&process, Signal::Kill).unwrap());
}

#[test]
fn the_group_of_somebody_who_was_given_the_number_since_is_left_alone() {
    let (_child, process) = sleeper("successor");
    let predecessor = ProcessIdentity {
        start_time: process.start_time - 1,
        ..process.clone()
    };
    assert!(survivors(&predecessor, "nobody").is_empty());
    assert!(!signal_group(&predecessor, Signal::Kill).unwrap());
    kill_exactly(Survivor {
        pid: process.pid,
        start_time: process.start_time - 1,
    });
    assert_eq!(state(&process), ProcessState::Running);
}
