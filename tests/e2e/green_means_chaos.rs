//! Green means that chaos happened: what proves nothing fails, and says so.

use chaos_test::{RunStatus, Verdict};
use chaos_test_fixtures::rerun::Rerun;

use crate::bad_input::{nothing_left, outcome};

/// Runs a subject that must not pass; its verdict's text.
fn verdict(test: &str) -> Verdict {
    let ended = Rerun::of(&format!("subjects::{test}")).run();
    assert!(
        !ended.status.success(),
        "{test} passed:\n{}",
        ended.output()
    );
    nothing_left(&ended);
    let outcome = outcome(&ended);
    assert!(
        matches!(outcome.status, RunStatus::Completed | RunStatus::Errored(_)),
        "{outcome:?}"
    );
    outcome.verdict
}

fn unknown(test: &str, expected: &[&str]) {
    let verdict = verdict(test);
    let Verdict::Unknown(why) = verdict else {
        panic!("{test}: {verdict:?}");
    };
    for text in expected {
        assert!(why.contains(text), "{test}: `{text}` is missing in:\n{why}");
    }
}

fn deviated(test: &str, expected: &[&str]) {
    let verdict = verdict(test);
    let Verdict::Deviated(why) = verdict else {
        panic!("{test}: {verdict:?}");
    };
    for text in expected {
        assert!(why.contains(text), "{test}: `{text}` is missing in:\n{why}");
    }
}

#[test]
fn a_test_that_breaks_nothing() {
    unknown(
        "nothing_is_injected",
        &[
            "no chaos happened: nothing was injected",
            "help: a chaos test that breaks nothing",
        ],
    );
}

#[test]
fn a_guard_that_is_dropped_at_once() {
    unknown(
        "the_guard_goes_at_once",
        &[
            "no chaos happened: kill inventory was in effect for",
            "nothing met it (0 connections, 0 bytes)",
            "bind it to a name that lives as long as the fault is to last (`let _ = ...` drops at \
             once)",
        ],
    );
}

#[test]
fn a_fault_on_a_link_that_nobody_uses() {
    unknown(
        "the_link_is_not_used",
        &[
            "no chaos happened: delay nobody->inventory by 10.0 ms was in effect for",
            "nothing met it",
            "have the system under test use the target while the fault is in effect",
        ],
    );
}

#[test]
fn a_miss_that_the_body_swallows() {
    deviated(
        "a_miss_is_swallowed",
        &["error rate of inventory/stock/42", "expected at most 0 %"],
    );
}

#[test]
fn a_check_without_data() {
    unknown("a_check_has_no_data", &["error rate of inventory/stock/42"]);
}

#[test]
fn a_comparison_of_too_few_samples() {
    unknown(
        "a_comparison_has_too_few_samples",
        &[
            "p95 latency of inventory/stock/42",
            "(40 samples)",
            "that cannot be told from so few samples, about",
            "expected at most 10 s above the baseline's",
        ],
    );
}

#[test]
fn a_change_that_is_clear() {
    deviated(
        "a_change_is_clear",
        &[
            "p50 latency of inventory/stock/42",
            "95 % interval",
            "expected at most 20.0 ms above the baseline's",
        ],
    );
}

#[test]
fn a_steady_state_that_does_not_hold_before() {
    let ended = Rerun::of("subjects::the_steady_state_does_not_hold").run();
    assert!(!ended.status.success());
    let text = ended.output();
    assert!(
        text.contains("does not hold before the fault: 10 of 10 samples failed"),
        "{text}"
    );
    nothing_left(&ended);
}

#[test]
fn a_steady_state_that_does_not_return_afterwards() {
    deviated(
        "the_steady_state_does_not_return",
        &["steady state of health after rollback: not back: stays broken"],
    );
}
