//! A forked copy of a test's process: what belongs to the tests is not the copy's to end, also
//! where it leaves by `exit`, which calls everything that was registered for that.

#![expect(unsafe_code, reason = "to fork has no safe interface")]

use std::path::PathBuf;
use std::time::{Duration, Instant};

use chaos_test::Target;
use chaos_test::prelude::*;
use chaos_test_fixtures::rerun::Rerun;
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};

use crate::bad_input::nothing_left;
use crate::overwrite::{BROKEN, Overwrite};
use crate::subjects::say;

/// What a child says when the time has come.
const READY: &str = "ready to be killed";
/// How the copy ends; a test that is cut off by `exit` ends with 101.
const CODE: i32 = 7;

/// Forks this process; the copy exits at once. Fails unless it ends so, and by itself.
fn fork_and_exit() {
    // SAFETY: the copy calls nothing but `exit`. The C library sees to its own locks in a copy,
    // Rust only tries the one that it asks for, and what the library does there is what is tried.
    let copy = unsafe { libc::fork() };
    if copy == 0 {
        std::process::exit(CODE);
    }
    let copy = Pid::from_raw(copy).expect("there is room for a copy");
    let end = Instant::now() + Duration::from_secs(60);
    let ended = loop {
        if let Some((_, ended)) = waitpid(Some(copy), WaitOptions::NOHANG).unwrap() {
            break ended;
        }
        if Instant::now() > end {
            let _ = kill_process(copy, Signal::KILL);
            panic!("the copy does not end");
        }
        std::thread::sleep(ms(5));
    };
    assert_eq!(ended.exit_status(), Some(CODE), "{ended:?}");
}

fn break_file(chaos: &ChaosContext) -> chaos_test::Result<chaos_test::Injection> {
    let file = PathBuf::from(std::env::var("FORKED_FILE")?);
    chaos.may_break(&Target::File(file.clone()));
    Ok(chaos.block_on(chaos.inject(Overwrite(file)))?)
}

/// Is copied where nothing is open, and its watchdog waits for what may come; and in the middle
/// of an experiment.
#[test]
#[ignore = "another test runs it as a child"]
fn it_is_copied() {
    let chaos = ChaosContext::start_blocking().unwrap();
    chaos.block_on(break_file(&chaos).unwrap().lift()).unwrap();
    assert!(chaos.finish_blocking().unwrap().passed());
    fork_and_exit();

    let chaos = ChaosContext::start_blocking().unwrap();
    let sleeper = Program::new("sleep").arg("600").without_port();
    let sleeper = chaos.process("sleeper", sleeper);
    chaos.block_on(sleeper).unwrap();
    let _broken = break_file(&chaos).unwrap();
    fork_and_exit();
    // Nobody has ended it.
    chaos.scratch_dir().unwrap();
    say(READY);
    loop {
        std::thread::park();
    }
}

#[test]
fn a_copy_that_exits_ends_nothing_of_its_parents() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "sound").unwrap();
    let text = || std::fs::read_to_string(file.path()).unwrap();
    let child = Rerun::of("forked::it_is_copied").env("FORKED_FILE", file.path());
    let mut child = child.start();
    child.until_printed(READY);
    let output = child.output();
    assert_eq!(text(), BROKEN, "{output}");
    assert_eq!(child.folder().watchdogs().len(), 1, "{output}");
    // The copies have nothing to say: neither that a test was cut off, nor a sum.
    assert!(!output.contains("chaos-test: "), "{output}");
    let ended = child.kill();
    assert_eq!(text(), "sound", "{}", ended.output());
    nothing_left(&ended);
}
