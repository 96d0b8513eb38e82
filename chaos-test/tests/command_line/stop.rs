//! The emergency stop: what runs is rolled back and ends, and the command waits for that.

use crate::kit::{Room, runs};

const TEST: &str = "command_line$subject::it_waits_to_be_killed";

#[test]
fn what_runs_is_rolled_back_and_ends() {
    let room = Room::new();
    room.chaos(&["stop"]).expect(0, &["nothing runs"]);
    let test = room.start_test();
    let services = test.services();
    assert_eq!(services.len(), 2, "{services:?}");
    room.chaos(&["stop", "--run", "another"])
        .expect(1, &["unknown no test of a run another runs"]);
    assert!(services.iter().all(|pid| runs(*pid)), "{services:?}");

    let process = format!("(process {})", test.pid());
    room.chaos(&["stop"])
        .expect(0, &["stopped", TEST, &process]);
    assert!(services.iter().all(|pid| !runs(*pid)), "{services:?}");
    let file = std::fs::read_to_string(room.broken_file()).unwrap();
    assert_eq!(file, "sound");
    assert!(!test.passed());
    let junit = std::fs::read_to_string(room.path().join("reports/junit.xml")).unwrap();
    let expected = "<error message=\"interrupted: by `cargo chaos stop`\"";
    assert!(junit.contains(expected), "{junit}");
    room.chaos(&["stop"]).expect(0, &["nothing runs"]);
}

#[test]
fn one_that_does_not_end_is_named() {
    let room = Room::new();
    let test = room.start_test();
    test.hold_up();
    room.chaos(&["stop", "--within", "1"])
        .expect(1, &["RUNS", TEST, "it has not ended"]);
    let said = room.chaos(&["stop", "--within", "soon"]);
    assert_eq!(said.code, Some(2), "{said:?}");
    let expected = "invalid value 'soon' for '--within <SECONDS>'";
    assert!(said.err.contains(expected), "{said:?}");
}
