//! Runs a hypothesis on a weakened victim, and looks at how that ends.

use chaos_test::{Event, Journal, Outcome, RunStatus, Verdict};
use chaos_test_fixtures::rerun::Rerun;

/// How often a test may be begun that could not break anything. A weakened victim has nothing
/// against a busy machine, and may fail before the fault: that says nothing, so it goes again.
const TRIES: usize = 3;

/// Runs one test of this program as a child, with the victim weakened, and returns how
/// that ended.
fn weakened(test: &str, switched_off: &str) -> Outcome {
    for _ in 1..TRIES {
        let outcome = run(test, switched_off);
        if !matches!(outcome.status, RunStatus::Errored(_)) {
            return outcome;
        }
    }
    run(test, switched_off)
}

fn run(test: &str, switched_off: &str) -> Outcome {
    let child = Rerun::of(test).env(switched_off, "off").run();
    let journals = child.journals();
    let [journal] = journals.as_slice() else {
        panic!(
            "{test} left {} journals:\n{}",
            journals.len(),
            child.output()
        );
    };
    let records = Journal::read(journal).expect("it is a journal").records;
    match records.into_iter().map(|record| record.event).next_back() {
        Some(Event::Finished { outcome }) => outcome,
        other => panic!("{test} did not finish: {other:?}"),
    }
}

/// Expects that a test deviates once a protection of its victim is switched off, and that the
/// reason holds this text.
pub fn deviates(test: &str, switched_off: &str, reason: &str) {
    let outcome = weakened(test, switched_off);
    // What the hypothesis needs may be missing; then its own test is skipped, too, and
    // under CHAOS_REQUIRE it fails, here and there.
    if let Some(why) = outcome.skipped() {
        use std::io::Write as _;
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED {test} with {switched_off}=off: {why}"
        );
        return;
    }
    match outcome.verdict {
        Verdict::Deviated(why) => assert!(
            why.contains(reason),
            "{test} with {switched_off}=off deviated, but not for {reason}:\n{why}"
        ),
        _ => panic!("{test} with {switched_off}=off: {outcome:?}"),
    }
}
