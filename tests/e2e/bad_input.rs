//! Bad input gets an error that says what was wrong, where, and what to do; nothing is
//! touched or lost.

use std::process::Command;

use chaos_test::{Event, Journal, Outcome, RunStatus, Verdict};
use chaos_test_fixtures::rerun::{Ended, Folder, Rerun};

use crate::victims::processes_with;

/// Runs a subject that must fail, and checks that it left nothing.
fn failing(test: &str) -> Ended {
    let ended = Rerun::of(&format!("subjects::{test}")).run();
    assert!(
        !ended.status.success(),
        "{test} passed:\n{}",
        ended.output()
    );
    nothing_left(&ended);
    ended
}

/// What was judged in a child, a line each, however its report is laid out.
pub fn judged(ended: &Ended) -> String {
    let journals = ended.journals().concat();
    let events = journals
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let judged = events.filter(|event| event["event"] == "judged");
    let text =
        |event: &serde_json::Value, field| event[field].as_str().unwrap_or_default().to_owned();
    judged
        .map(|event| {
            let [what, expected, actual, met] =
                ["what", "expected", "actual", "met"].map(|field| text(&event, field));
            format!("{met}: {what} expected: {expected} actual: {actual}\n")
        })
        .collect()
}

pub fn nothing_left(ended: &Ended) {
    assert_eq!(
        ended.leftovers(),
        Vec::<std::path::PathBuf>::new(),
        "{}",
        ended.output()
    );
    let reports = ended.folder.reports();
    let left = processes_with(&reports.to_string_lossy());
    assert!(
        left.is_empty(),
        "processes were left: {left:?}\n{}",
        ended.output()
    );
}

/// How the only test of a child ended.
pub fn outcome(ended: &Ended) -> Outcome {
    let journals = ended.journals();
    let [journal] = journals.as_slice() else {
        panic!("{} journals:\n{}", journals.len(), ended.output());
    };
    let records = Journal::read(journal).expect("it is a journal").records;
    // What its watchdog did afterwards comes behind it.
    let mut events = records.into_iter().rev().map(|record| record.event);
    let finished = events.find_map(|event| match event {
        Event::Finished { outcome } => Some(outcome),
        _ => None,
    });
    finished.unwrap_or_else(|| panic!("it did not finish:\n{}", ended.output()))
}

#[track_caller]
fn says(ended: &Ended, expected: &[&str]) {
    let output = ended.output();
    for text in expected {
        assert!(output.contains(text), "`{text}` is missing in:\n{output}");
    }
}

#[test]
fn a_fault_outside_the_blast_radius_is_refused_and_nothing_is_touched() {
    let ended = failing("breaks_what_it_may_not");
    says(
        &ended,
        &[
            "refused: true, still answers: true",
            "kill inventory was refused, nothing was touched: service `inventory` is outside the \
             blast radius",
            "help: name what the test may break in `breaks(..)`",
        ],
    );
}

#[test]
fn a_service_that_cannot_start_says_why() {
    for (test, expected) in [
        (
            "the_program_is_missing",
            [
                "service `ghost` could not be started",
                "`no-such-program-here` is not on the PATH",
            ],
        ),
        (
            "the_binary_is_missing",
            ["cargo has built no binary `no-such-binary`", "`[[bin]]`"],
        ),
        (
            "the_program_ends_at_once",
            [
                "ended before it was ready (exit status: 3)",
                "licence expired",
            ],
        ),
        (
            "the_program_never_gets_ready",
            ["did not become ready within 300 ms", "waiting for godot"],
        ),
        (
            "the_program_cannot_be_executed",
            [
                "ended before it was ready (exit status: 127)",
                "cannot execute",
            ],
        ),
        ("the_port_is_in_use", ["of 127.0.0.1 is in use", "`{port}`"]),
        (
            "two_services_have_one_name",
            [
                "already has a service `inventory`",
                "give each one its own name",
            ],
        ),
        (
            "a_port_that_is_not_there",
            ["service `inventory` has no port 6379", "it has: 0"],
        ),
    ] {
        says(&failing(test), &expected);
    }
}

#[test]
fn a_body_that_fails_is_told_from_a_harness_that_does() {
    let ended = failing("the_body_panics");
    let Verdict::Deviated(why) = outcome(&ended).verdict else {
        panic!("{:?}", outcome(&ended));
    };
    assert_eq!(why, "the body panicked: the body fell over");
    assert!(ended.junit().contains("<failure"), "{}", ended.junit());

    let ended = failing("the_body_returns_an_error");
    let Verdict::Deviated(why) = outcome(&ended).verdict else {
        panic!("{:?}", outcome(&ended));
    };
    assert!(why.contains("invalid digit"), "{why}");

    let ended = failing("the_program_is_missing");
    assert!(matches!(outcome(&ended).status, RunStatus::Errored(_)));
    assert!(ended.junit().contains("<error"), "{}", ended.junit());
}

#[test]
fn a_body_that_takes_too_long_is_abandoned_and_rolled_back() {
    for test in ["the_body_blocks", "the_body_spins"] {
        let ended = failing(test);
        let outcome = outcome(&ended);
        assert!(
            matches!(outcome.status, RunStatus::TimedOut(_)),
            "{outcome:?}"
        );
        says(
            &ended,
            &["the body took longer than 300 ms and was abandoned"],
        );
    }
}

#[test]
fn a_body_that_exits_with_success_is_red_and_rolled_back() {
    let ended = failing("the_body_exits");
    assert_eq!(ended.status.code(), Some(101));
    says(&ended, &["the process exited in the middle of the test"]);
    let outcome = outcome(&ended);
    assert!(
        matches!(outcome.status, RunStatus::Errored(_)),
        "{outcome:?}"
    );
    assert!(ended.junit().contains("<error"), "{}", ended.junit());
}

#[test]
fn without_a_state_directory_nothing_is_started() {
    let folder = Folder::default();
    std::fs::write(folder.state(), "in the way").unwrap();
    let ended = Rerun::within("subjects::the_body_panics", folder).run();
    assert!(!ended.status.success());
    says(
        &ended,
        &[
            "cannot use the state directory",
            "nothing is injected without it; name a directory of your own with CHAOS_STATE_DIR",
        ],
    );
    assert!(
        !ended.output().contains("the body fell over"),
        "{}",
        ended.output()
    );
}

#[test]
fn with_a_read_only_state_directory_nothing_is_started() {
    // Read-only for everybody, the superuser included: the kernel's own information.
    let ended = Rerun::of("subjects::the_body_panics")
        .env("CHAOS_STATE_DIR", "/proc/chaos-test")
        .run();
    assert!(!ended.status.success());
    says(&ended, &["cannot use the state directory /proc/chaos-test"]);
    assert!(
        !ended.output().contains("the body fell over"),
        "{}",
        ended.output()
    );
}

#[test]
fn with_a_full_state_directory_nothing_is_injected() {
    // A limit on file sizes stands for a full disk: the journal's next line does not fit.
    let mut limited = Command::new("sh");
    limited.args(["-c", "trap '' XFSZ; ulimit -f 64; exec \"$@\"", "sh"]);
    let ended = Rerun::by(
        limited,
        "subjects::the_journal_gets_full",
        Folder::default(),
    )
    .run();
    assert!(!ended.status.success(), "{}", ended.output());
    says(
        &ended,
        &[
            "state error: true",
            "still answers: true",
            "could not be written",
        ],
    );
    assert_eq!(
        processes_with(&ended.folder.reports().to_string_lossy()),
        Vec::<u32>::new()
    );
}

#[test]
fn a_skip_is_seen_and_can_be_forbidden() {
    for (test, reason) in [
        ("it_skips_itself", "there is no moon tonight"),
        (
            "it_needs_what_is_not_there",
            "it needs program:no-such-program-here",
        ),
    ] {
        let path = format!("subjects::{test}");
        let ended = Rerun::of(&path).env_remove("CHAOS_REQUIRE").run();
        assert!(ended.status.success(), "{}", ended.output());
        says(&ended, &["SKIPPED", reason, "1 skipped"]);
        assert!(ended.junit().contains("<skipped"), "{}", ended.junit());
        nothing_left(&ended);

        let ended = Rerun::of(&path).env("CHAOS_REQUIRE", "all").run();
        assert!(!ended.status.success(), "{}", ended.output());
        says(&ended, &["it may not be skipped (CHAOS_REQUIRE)", reason]);
    }
    let ended = Rerun::of("subjects::it_skips_itself")
        .env("CHAOS_REQUIRE", "dokcer")
        .run();
    assert!(!ended.status.success(), "{}", ended.output());
    says(&ended, &["CHAOS_REQUIRE names `dokcer`"]);
}

#[test]
fn a_seed_that_is_no_number_is_refused() {
    let ended = Rerun::of("subjects::the_body_panics")
        .env("CHAOS_SEED", "lucky")
        .run();
    assert!(!ended.status.success());
    says(&ended, &["CHAOS_SEED is `lucky`, which is no number"]);
}

#[test]
fn what_cannot_be_kept_is_refused_before_anything_starts() {
    let ended = Rerun::of("subjects::the_body_panics")
        .env("CHAOS_KEEP", "always")
        .run();
    assert!(!ended.status.success());
    says(&ended, &["CHAOS_KEEP is `always`", "`failed` keeps"]);
    assert!(!ended.output().contains("the body fell over"));
}

#[test]
fn an_expected_panic_excuses_nothing_else() {
    let ended = failing("it_does_not_panic");
    says(
        &ended,
        &[
            "it returned, expected a panic",
            "test did not panic as expected",
        ],
    );
    let ended = failing("it_panics_without_chaos");
    says(
        &ended,
        &["no chaos happened", "test did not panic as expected"],
    );
}
