//! Programs with a `main` of their own, in the place of libtest's: what they leave is put back
//! by a watchdog all the same, and neither it nor a service ever comes to that `main`.

use std::process::Command;

use chaos_test_fixtures::rerun::{Folder, Rerun};

use crate::bad_input::nothing_left;
use crate::overwrite::BROKEN;
use crate::victims::{processes_with, runs};

/// The program in a world of its own.
struct Scene {
    child: Rerun,
    world: tempfile::TempDir,
}

fn scene(how: &str) -> Scene {
    let world = tempfile::tempdir().unwrap();
    std::fs::write(world.path().join("file"), "sound").unwrap();
    let mut program = Command::new(env!("CARGO_BIN_EXE_e2e-plain"));
    program.arg(how).env("PLAIN_FOLDER", world.path());
    let child = Rerun::program(program, Folder::default());
    Scene { child, world }
}

fn read(world: &tempfile::TempDir, file: &str) -> String {
    std::fs::read_to_string(world.path().join(file)).unwrap()
}

/// Kills it in the middle of its last experiment; what it said, and its report.
#[track_caller]
fn killed(how: &str) -> (String, String) {
    let Scene { child, world } = scene(how);
    let mut child = child.start();
    child.until_printed("ready to be killed");
    let mut services = processes_with(&child.folder().reports().to_string_lossy());
    let watchdogs = child.folder().watchdogs();
    assert_eq!(watchdogs.len(), 1, "{}", child.output());
    services.retain(|pid| *pid != child.pid() && !watchdogs.contains(pid));
    // A shell's `sleep`, and the one that has left its session.
    assert_eq!(services.len(), 2, "{services:?}");
    assert_eq!(read(&world, "file"), BROKEN);
    let ended = child.kill();
    let output = ended.output();
    assert_eq!(read(&world, "file"), "sound", "{output}");
    assert!(services.iter().all(|pid| !runs(*pid)), "{services:?}");
    nothing_left(&ended);
    assert_eq!(read(&world, "mains"), "main\n", "{output}");
    (output, ended.junit())
}

#[test]
fn what_a_killed_program_leaves_is_put_back_by_its_watchdog() {
    let (_, junit) = killed("alone");
    assert_eq!(junit.matches("<testcase").count(), 1, "{junit}");
    let ended = "the test started and never ended";
    assert!(junit.contains(ended), "{junit}");
}

#[test]
fn what_a_killed_runner_of_ones_own_leaves_is_put_back_by_its_watchdog() {
    let (output, junit) = killed("runner");
    assert!(output.contains("the first one passed"), "{output}");
    // Only the second one has no end.
    assert_eq!(junit.matches("<testcase").count(), 2, "{junit}");
    assert_eq!(junit.matches("<error").count(), 1, "{junit}");
    let ended = "the test started and never ended";
    assert!(junit.contains(ended), "{junit}");
}

#[test]
fn a_program_that_ends_in_order_takes_its_watchdog_along() {
    let Scene { child, world } = scene("in-order");
    let ended = child.run();
    let output = ended.output();
    assert!(ended.status.success(), "{output}");
    assert!(output.contains("the first one passed"), "{output}");
    assert_eq!(read(&world, "file"), "sound", "{output}");
    assert_eq!(read(&world, "mains"), "main\n", "{output}");
    nothing_left(&ended);
}
