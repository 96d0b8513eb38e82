use super::*;
use crate::model::event::{Kept, Risk};
use crate::model::undo::Undo;

fn records(events: Vec<Event>) -> Vec<Record> {
    events
        .into_iter()
        .enumerate()
        .map(|(index, event)| Record {
            seq: index as u64,
            at_us: 0,
            event,
        })
        .collect()
}

fn ended(how: BodyEnd) -> Event {
    Event::BodyEnded { how }
}

fn planned(entry: u64) -> Event {
    Event::Planned {
        entry,
        what: "kill cache".into(),
        undo: Undo::RunService {
            service: "cache".into(),
            start_ms: 12_000,
        },
        fault: true,
    }
}

fn injected() -> Event {
    Event::Injected {
        entry: 1,
        fault: "kill cache".into(),
        targets: vec![],
        risk: Risk::Medium,
        took_us: 1,
    }
}

fn lifted(hits: u64, dropped: bool) -> Event {
    Event::Lifted {
        entry: 1,
        fault: "kill cache".into(),
        lasted_us: 85,
        hits,
        dropped,
        cancelled: false,
        counts: "0 samples, 0 connections".into(),
    }
}

fn undone() -> Event {
    Event::Undone {
        entry: 1,
        what: "kill cache".into(),
        fault: true,
    }
}

fn judged(met: Met) -> Event {
    Event::Judged {
        what: "error rate".into(),
        expected: "at most 0 %".into(),
        actual: "12 %".into(),
        met,
        at: "tests/a.rs:1".into(),
        measured: vec![],
        evidence: Vec::new(),
    }
}

/// A whole chaos test around `middle`, that ends with `how`.
fn test(hits: u64, middle: Vec<Event>, how: BodyEnd) -> Outcome {
    let mut events = vec![planned(1), injected()];
    events.extend(middle);
    events.extend([undone(), lifted(hits, false), ended(how)]);
    judge(&records(events))
}

#[test]
fn it_passes_only_when_completed_held_and_restored() {
    let outcome = test(3, vec![judged(Met::Yes)], BodyEnd::Returned);
    assert!(outcome.passed(), "{outcome:?}");
    assert_eq!(headline(&outcome), "");
}

#[test]
fn everything_else_fails_with_a_headline() {
    for (outcome, expected) in [
        (
            test(3, vec![judged(Met::No)], BodyEnd::Returned),
            "hypothesis deviated: error rate: 12 %, expected at most 0 %",
        ),
        (
            test(3, vec![judged(Met::NoData)], BodyEnd::Returned),
            "error rate: 12 %, expected at most 0 %",
        ),
        (
            test(3, vec![], BodyEnd::Failed("boom".into())),
            "hypothesis deviated: the body returned an error: boom",
        ),
        (
            test(3, vec![], BodyEnd::Panicked("boom".into())),
            "hypothesis deviated: the body panicked: boom",
        ),
        (
            test(3, vec![], BodyEnd::TimedOut("after 1 s".into())),
            "timed out: after 1 s",
        ),
        (
            test(3, vec![], BodyEnd::Errored("no journal".into())),
            "the harness could not go on: no journal",
        ),
        (
            test(0, vec![], BodyEnd::Returned),
            "no chaos happened: kill cache was in effect for 85 µs, and nothing met it (0 \
             samples, 0 connections)",
        ),
        (
            judge(&records(vec![ended(BodyEnd::Returned)])),
            "no chaos happened: nothing was injected",
        ),
        (
            judge(&records(vec![injected()])),
            "the harness could not go on: the test started and never ended",
        ),
    ] {
        assert!(!outcome.passed(), "{outcome:?}");
        assert_eq!(headline(&outcome), expected);
    }
}

#[test]
fn a_cancelled_injection_need_not_be_met_and_is_no_chaos() {
    let mut lifted = lifted(0, false);
    if let Event::Lifted { cancelled, .. } = &mut lifted {
        *cancelled = true;
    }
    let outcome = judge(&records(vec![
        planned(1),
        injected(),
        undone(),
        lifted,
        ended(BodyEnd::Returned),
    ]));
    assert_eq!(
        headline(&outcome),
        "no chaos happened: nothing was injected"
    );
}

#[test]
fn a_dropped_guard_is_explained() {
    let outcome = judge(&records(vec![
        planned(1),
        injected(),
        undone(),
        lifted(0, true),
        ended(BodyEnd::Returned),
    ]));
    let Verdict::Unknown(why) = outcome.verdict else {
        panic!("{outcome:?}");
    };
    assert!(why.contains("`let _ = ...` drops at once"), "{why}");
}

#[test]
fn a_failed_rollback_neither_hides_a_verdict_nor_hides_behind_one() {
    let failed = Event::UndoFailed {
        entry: 1,
        what: "kill cache".into(),
        why: "busy".into(),
        by_hand: "wait".into(),
    };
    let events = |met| {
        records(vec![
            planned(1),
            injected(),
            judged(met),
            failed.clone(),
            lifted(1, false),
            ended(BodyEnd::Returned),
        ])
    };
    let held = judge(&events(Met::Yes));
    assert_eq!(held.verdict, Verdict::Held);
    assert!(!held.passed());
    assert_eq!(
        headline(&held),
        "not everything was put back: have `cache` run again (after: kill cache)"
    );
    let deviated = judge(&events(Met::No));
    assert!(matches!(deviated.verdict, Verdict::Deviated(_)));
    assert!(matches!(
        deviated.restoration,
        Restoration::Unrestored { .. }
    ));
}

#[test]
fn a_dropped_context_is_visibly_not_judged_but_hides_no_miss() {
    let outcome = judge(&records(vec![ended(BodyEnd::Dropped)]));
    assert!(!outcome.passed());
    assert!(
        outcome
            .skipped()
            .is_some_and(|why| why.contains("not judged"))
    );
    let outcome = judge(&records(vec![judged(Met::No), ended(BodyEnd::Dropped)]));
    assert_eq!(outcome.skipped(), None);
    assert!(headline(&outcome).starts_with("hypothesis deviated"));
}

#[test]
fn a_skip_is_neither_held_nor_passed() {
    let outcome = judge(&records(vec![ended(BodyEnd::Skipped("no docker".into()))]));
    assert!(!outcome.passed());
    assert_eq!(outcome.skipped(), Some("no docker"));
}

#[test]
fn a_test_has_failed_before_its_rollback_unless_it_held_or_was_skipped() {
    for (hits, middle, how, failed) in [
        (3, vec![judged(Met::Yes)], BodyEnd::Returned, false),
        (3, vec![], BodyEnd::PanickedAsExpected("".into()), false),
        (3, vec![], BodyEnd::Skipped("no docker".into()), false),
        (3, vec![], BodyEnd::Dropped, false),
        (3, vec![judged(Met::No)], BodyEnd::Dropped, true),
        (3, vec![judged(Met::No)], BodyEnd::Returned, true),
        (3, vec![judged(Met::NoData)], BodyEnd::Returned, true),
        (3, vec![], BodyEnd::Failed("boom".into()), true),
        (3, vec![], BodyEnd::Panicked("boom".into()), true),
        (3, vec![], BodyEnd::TimedOut("after 1 s".into()), true),
        (3, vec![], BodyEnd::Errored("no journal".into()), true),
        (0, vec![], BodyEnd::Returned, true),
    ] {
        let mut events = vec![planned(1), injected()];
        events.extend(middle);
        events.extend([undone(), lifted(hits, false), ended(how.clone())]);
        assert_eq!(has_failed(&records(events)), failed, "{how:?}");
    }
    assert!(has_failed(&records(vec![ended(BodyEnd::Returned)])));
}

#[test]
fn a_set_up_that_skips_has_not_failed() {
    let (fixture, why) = ("cache".to_owned(), "no engine".to_owned());
    let failed = Event::FixtureFailed {
        fixture: fixture.clone(),
        why: why.clone(),
    };
    let skipped = Event::FixtureSkipped { fixture, why };
    let dropped = || ended(BodyEnd::Dropped);
    assert!(set_up_failed(&records(vec![planned(1), failed, dropped()])));
    assert!(!set_up_failed(&records(vec![skipped, dropped()])));
    assert!(!set_up_failed(&records(vec![planned(1), dropped()])));
}

#[test]
fn what_was_kept_on_purpose_is_restored_and_counted() {
    let keep = Kept {
        entry: 2,
        undo: Undo::Nothing,
        runs: true,
        ports: vec![],
    };
    let start = Event::Planned {
        entry: 2,
        what: "make container".into(),
        undo: Undo::Nothing,
        fault: false,
    };
    let kept = Event::Kept { kept: vec![keep] };
    let outcome = test(3, vec![judged(Met::No), start, kept], BodyEnd::Returned);
    assert!(!outcome.passed());
    assert_eq!(
        outcome.restoration,
        Restoration::Restored {
            faults: 1,
            others: 0,
            kept: 1
        }
    );
}

fn limit_reached() -> Event {
    Event::LimitReached {
        entry: 1,
        fault: "kill cache".into(),
        limit_us: 30_000_000,
    }
}

#[test]
fn a_limit_that_was_reached_is_no_verdict_on_what_came_afterwards() {
    const REACHED: &str = "blast radius: `kill cache` was in force for 30 s, the most that is \
                           allowed; it was lifted";
    let deviated = "hypothesis deviated: error rate: 12 %, expected at most 0 %";
    for (middle, how, expected) in [
        (vec![limit_reached()], BodyEnd::Returned, REACHED),
        (
            vec![limit_reached(), judged(Met::No)],
            BodyEnd::Failed("boom".into()),
            REACHED,
        ),
        (
            vec![limit_reached()],
            BodyEnd::Panicked("boom".into()),
            REACHED,
        ),
        (
            vec![limit_reached()],
            BodyEnd::Skipped("late".into()),
            REACHED,
        ),
        (
            vec![judged(Met::No), limit_reached()],
            BodyEnd::Returned,
            deviated,
        ),
    ] {
        let outcome = test(3, middle.clone(), how.clone());
        assert_eq!(headline(&outcome), expected, "{middle:?} {how:?}");
        assert_eq!(outcome.skipped(), None);
    }
}

fn preflight(check: &str, ok: bool) -> Event {
    serde_json::from_value(serde_json::json!({
        "event": "preflight",
        "fault": "kill cache",
        "items": [{ "check": check, "ok": ok, "detail": "`shop` is out of order" }],
    }))
    .unwrap()
}

#[test]
fn a_system_that_is_not_steady_before_it_is_broken_is_not_tested() {
    const NOT_TESTED: &str = "not tested: the steady state does not hold before `kill cache`: \
                              `shop` is out of order";
    for (middle, how, expected) in [
        (preflight("steady state", true), BodyEnd::Returned, ""),
        // An error that the body may expect.
        (preflight("undo", false), BodyEnd::Returned, ""),
        (
            preflight("steady state", false),
            BodyEnd::Returned,
            NOT_TESTED,
        ),
        (
            preflight("steady state", false),
            BodyEnd::Failed("boom".into()),
            NOT_TESTED,
        ),
        (
            preflight("steady state", false),
            BodyEnd::PanickedAsExpected("boom".into()),
            NOT_TESTED,
        ),
    ] {
        let outcome = test(3, vec![middle.clone()], how.clone());
        assert_eq!(headline(&outcome), expected, "{middle:?} {how:?}");
    }
}

fn would_inject() -> Event {
    Event::WouldInject {
        entry: 1,
        fault: "kill cache".into(),
        targets: vec![],
        risk: Risk::Medium,
        undo: "nothing to undo".into(),
        lasts_us: None,
    }
}

#[test]
fn a_dry_run_is_a_skip_unless_something_was_wrong_before() {
    let dry = |middle: Vec<Event>, how: BodyEnd| {
        let mut events = vec![Event::DryRun];
        events.extend(middle);
        events.push(ended(how));
        judge(&records(events))
    };
    const PLAN: &str = "dry run: would have injected 1 fault: kill cache";
    for (middle, how, expected) in [
        (
            vec![would_inject()],
            BodyEnd::Returned,
            Some(PLAN.to_owned()),
        ),
        (vec![would_inject()], BodyEnd::None, Some(PLAN.to_owned())),
        (
            vec![would_inject(), judged(Met::NotJudged)],
            BodyEnd::Returned,
            Some(PLAN.to_owned()),
        ),
        (
            vec![],
            BodyEnd::Returned,
            Some("dry run: nothing would have been injected".to_owned()),
        ),
        (
            vec![would_inject()],
            BodyEnd::Panicked("boom".into()),
            Some(format!("{PLAN}; then the body went wrong: boom")),
        ),
        (
            vec![would_inject()],
            BodyEnd::TimedOut("late".into()),
            Some(format!("{PLAN}; then the body went wrong: late")),
        ),
        // Before anything would have been broken.
        (vec![], BodyEnd::Panicked("boom".into()), None),
        (vec![], BodyEnd::Errored("no stock".into()), None),
        (
            vec![judged(Met::No), would_inject()],
            BodyEnd::Returned,
            None,
        ),
        (
            vec![judged(Met::NoData), would_inject()],
            BodyEnd::Returned,
            None,
        ),
        (
            vec![preflight("steady state", false)],
            BodyEnd::Returned,
            None,
        ),
        // Nothing was broken, so it is the system.
        (
            vec![would_inject()],
            BodyEnd::Aborted("errors".into()),
            None,
        ),
        (
            vec![would_inject()],
            BodyEnd::Interrupted("SIGINT".into()),
            None,
        ),
    ] {
        let outcome = dry(middle.clone(), how.clone());
        assert!(!outcome.passed());
        assert_eq!(
            outcome.skipped().map(str::to_owned),
            expected,
            "{middle:?} {how:?}"
        );
    }
}
