//! Each hypothesis must fail on a weakened victim, for the named reason: otherwise it
//! proves nothing.

use chaos_test::{Event, Journal, Outcome, Verdict};
use chaos_test_fixtures::rerun::Rerun;

/// Runs one test of this program as a child, with the victim weakened, and returns how
/// that ended.
fn weakened(test: &str, switched_off: &str) -> Outcome {
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

fn deviates(test: &str, switched_off: &str, reason: &str) {
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

#[test]
fn without_a_fallback_a_dead_inventory_is_noticed() {
    deviates(
        "inventory::customers_do_not_notice_a_dead_inventory",
        "FALLBACK",
        "error rate of checkout/checkout/42",
    );
}

#[test]
fn without_time_limits_a_slow_inventory_makes_checkout_slow() {
    deviates(
        "inventory::a_slow_inventory_does_not_make_checkout_slow",
        "TIMEOUT",
        "p95 latency of checkout/checkout/42",
    );
}

#[test]
fn without_a_breaker_broken_connections_slow_customers_down() {
    deviates(
        "inventory::broken_connections_do_not_slow_customers_down",
        "BREAKER",
        "p50 latency of checkout/checkout/42",
    );
}

#[test]
fn without_a_fallback_a_deployment_is_noticed() {
    deviates(
        "inventory::a_deployment_of_inventory_costs_no_answer",
        "FALLBACK",
        "error rate of checkout/checkout/42",
    );
}

#[test]
fn a_cache_that_is_not_tolerated_is_noticed() {
    deviates(
        "cache::customers_do_not_notice_a_dead_cache",
        "CACHE_TOLERANT",
        "error rate of checkout/checkout/42",
    );
}
