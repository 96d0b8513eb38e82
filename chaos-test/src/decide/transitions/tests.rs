//! Histories of made-up breakers.

use super::*;
use crate::model::units::{ms, secs};

/// A look every 10 ms, whose answer takes 1 ms: `c`losed, `o`pen, `h`alf-open, `x` failed.
fn seen(pattern: &str) -> History {
    let mut history = History::default();
    for (index, kind) in pattern.chars().enumerate() {
        let asked = ms(index as u64 * 10);
        let Some(state) = state(kind) else {
            history.failed("refused".into());
            continue;
        };
        history.see(Sight {
            asked,
            answered: asked + ms(1),
            state: state.to_owned(),
            counted: Vec::new(),
            calls: None,
        });
    }
    history
}

fn state(kind: char) -> Option<&'static str> {
    Some(match kind {
        'c' => "closed",
        'o' => "open",
        'h' => "half-open",
        _ => return None,
    })
}

/// The same with counts: how often it opened, and how many calls there were.
fn counted(looks: &[(char, u64, u64)]) -> History {
    let mut history = History::default();
    for (index, (kind, opened, calls)) in looks.iter().enumerate() {
        let asked = ms(index as u64 * 10);
        history.see(Sight {
            asked,
            answered: asked + ms(1),
            state: state(*kind).unwrap().to_owned(),
            counted: vec![("open".to_owned(), *opened)],
            calls: Some(*calls),
        });
    }
    history
}

fn expected(states: &str) -> Expected {
    Expected {
        of: "breaker".into(),
        states: states
            .chars()
            .map(|kind| state(kind).unwrap().to_owned())
            .collect(),
        only: false,
        since: ms(10),
        within: ms(55),
        calls: None,
        interval: ms(10),
    }
}

#[track_caller]
fn check(expected: &Expected, history: &History, met: Met, actual: &str) {
    let judgement = expected.judge(history, |_| None);
    assert_eq!((judgement.met, judgement.actual.as_str()), (met, actual));
}

const HINT: &str = "; a state shorter than the 10.0 ms between two looks can be missed: look more \
                    often, or have the victim count it";

#[test]
fn states_are_gone_through_in_their_order() {
    let breaker = expected("ohc");
    check(
        &breaker,
        &seen("ccohc"),
        Met::Yes,
        "`closed` before, `open` (by 11.0 ms), `half-open` (by 21.0 ms), `closed` (by 31.0 ms)",
    );
    // A probe that fails in half-open opens it again.
    assert_eq!(breaker.judge(&seen("ccohohc"), |_| None).met, Met::Yes);
    let only = Expected {
        only: true,
        ..breaker.clone()
    };
    assert_eq!(only.judge(&seen("ccohc"), |_| None).met, Met::Yes);
    let judgement = only.judge(&seen("ccohohc"), |_| None);
    assert_eq!(judgement.met, Met::No);
    assert!(
        judgement.actual.ends_with("; 2 others came between"),
        "{judgement:?}"
    );
    check(
        &breaker,
        &seen("ccocccccc"),
        Met::No,
        &format!(
            "never `half-open`: `closed` before, `open` (by 11.0 ms), `closed` (by 21.0 ms){HINT}"
        ),
    );
    check(
        &breaker,
        &seen("ccccccccc"),
        Met::No,
        &format!("never `open`: `closed` before, nothing since{HINT}"),
    );
    assert_eq!(
        breaker.judge(&seen(""), |_| None).expected,
        "`open`, then `half-open`, then `closed` within 55.0 ms"
    );
}

#[test]
fn what_was_open_before_has_not_opened() {
    let judgement = expected("o").judge(&seen("ooooooooo"), |_| None);
    assert_eq!(judgement.met, Met::No);
    assert!(
        judgement.actual.starts_with("never `open`: `open` before"),
        "{judgement:?}"
    );
}

#[test]
fn the_time_of_an_entry_lies_between_two_looks() {
    let breaker = expected("o");
    // Asked at 60 and not open, open at 70: the limit of 65 lies between.
    let judgement = breaker.judge(&seen("cccccccoo"), |_| None);
    assert_eq!(judgement.met, Met::NoData, "{judgement:?}");
    assert!(
        judgement
            .actual
            .ends_with("`open` was entered between 50.0 ms and 61.0 ms: look more often"),
        "{judgement:?}"
    );
    let judgement = breaker.judge(&seen("ccccccccco"), |_| None);
    assert_eq!(judgement.met, Met::No);
    assert!(
        judgement.actual.ends_with("`open` came too late"),
        "{judgement:?}"
    );
    assert_eq!(breaker.judge(&seen("cccccco"), |_| None).met, Met::Yes);
}

#[test]
fn what_was_entered_before_an_instant_or_after_it_is_no_data() {
    // Asked at 10 and not open, open at 21: the instant of 15 lies between.
    let since = |states| Expected {
        since: ms(15),
        ..expected(states)
    };
    let between = "`open` was entered between 5.0 ms before that instant and 6.0 ms after it: look \
                   more often";
    check(
        &since("o"),
        &seen("ccooo"),
        Met::NoData,
        &format!("`closed` before, `open` (by 6.0 ms); {between}"),
    );
    for (states, pattern, only, met) in [
        ("ohc", "ccohc", false, Met::NoData),
        // It opened again, and that was after it.
        ("o", "ccocoo", false, Met::Yes),
        ("co", "ccocoo", true, Met::NoData),
        ("hc", "ccohc", false, Met::Yes),
        ("hc", "ccohc", true, Met::NoData),
        ("hc", "cccohc", true, Met::No),
        ("o", "cccoo", true, Met::Yes),
    ] {
        let expected = Expected {
            only,
            ..since(states)
        };
        let judgement = expected.judge(&seen(pattern), |_| None);
        assert_eq!(judgement.met, met, "{states} in {pattern}: {judgement:?}");
    }
    // Of a log it is known by when it was read.
    let mut history = History::logged();
    history.read("open", Some(ms(10)), ms(30));
    history.read_until(ms(90), secs(1));
    assert_eq!(since("o").judge(&history, |_| None).met, Met::NoData);
}

#[test]
fn a_victim_that_cannot_be_asked_is_no_data() {
    check(
        &expected("o"),
        &seen("cxxxxxxxxx"),
        Met::NoData,
        "no look was answered, the last: refused",
    );
    check(&expected("o"), &seen(""), Met::NoData, "nobody looked");
}

#[test]
fn counts_tell_of_states_that_nobody_saw() {
    let mut breaker = expected("oc");
    let missed = counted(&[('c', 0, 0), ('c', 0, 3), ('c', 1, 9), ('c', 1, 9)]);
    check(
        &breaker,
        &missed,
        Met::Yes,
        "`closed` before, `open` (by 11.0 ms, counted and not seen), `closed` (by 11.0 ms)",
    );
    // Seen once and counted once is the same time.
    let once = counted(&[('c', 0, 0), ('o', 1, 3), ('c', 1, 9)]);
    assert_eq!(once.entries().len(), 3);
    // It was half-open between two looks that saw it open.
    let reopened = counted(&[('o', 1, 0), ('o', 2, 3)]);
    let entries = reopened.entries().iter();
    let states: Vec<_> = entries
        .map(|entry| (entry.state.as_str(), entry.unseen))
        .collect();
    assert_eq!(states, [("open", false), ("open", true)]);
    // A victim that was started again has forgotten its counts.
    let again = counted(&[('c', 5, 0), ('c', 0, 0), ('c', 0, 0)]);
    assert_eq!(again.entries().len(), 1);
    breaker.states = vec!["open".to_owned(), "half-open".to_owned()];
    let mut both = History::default();
    for (index, count) in [0, 0, 1].into_iter().enumerate() {
        let asked = ms(index as u64 * 10);
        both.see(Sight {
            asked,
            answered: asked + ms(1),
            state: "closed".into(),
            counted: vec![("open".into(), count), ("half-open".into(), count)],
            calls: None,
        });
    }
    let judgement = breaker.judge(&both, |_| None);
    assert_eq!(judgement.met, Met::NoData, "{judgement:?}");
    assert!(
        judgement.actual.contains("nobody knows their order"),
        "{judgement:?}"
    );
}

#[test]
fn calls_until_it_opens_are_bounded_by_two_looks() {
    let within = |calls| Expected {
        calls: Some(calls),
        since: ms(15),
        ..expected("o")
    };
    // 2 calls when the fault came, 4 at the last look before it opened, 7 at the first one after.
    let history = counted(&[
        ('c', 0, 2),
        ('c', 0, 2),
        ('c', 0, 4),
        ('o', 1, 7),
        ('o', 1, 7),
    ]);
    for (calls, met, note) in [
        (5, Met::Yes, "after 0 to 5 calls"),
        (
            4,
            Met::NoData,
            "after 0 to 5 calls, which cannot be told: look more often",
        ),
    ] {
        let judgement = within(calls).judge(&history, |_| None);
        assert_eq!(judgement.met, met, "{judgement:?}");
        assert!(judgement.actual.ends_with(note), "{judgement:?}");
    }
    let slow = counted(&[
        ('c', 0, 2),
        ('c', 0, 2),
        ('c', 0, 3),
        ('c', 0, 13),
        ('o', 1, 14),
    ]);
    let judgement = within(5).judge(&slow, |_| None);
    assert_eq!(judgement.met, Met::No, "{judgement:?}");
    assert!(
        judgement.actual.ends_with("after 10 to 12 calls"),
        "{judgement:?}"
    );
    // Somebody else's count comes first; without any there is no data.
    assert_eq!(within(5).judge(&slow, |_| Some((5, 5))).met, Met::Yes);
    let judgement = within(5).judge(&seen("ccooo"), |_| None);
    assert_eq!(judgement.met, Met::NoData);
    assert!(
        judgement.actual.contains("nobody counts calls"),
        "{judgement:?}"
    );
}

#[test]
fn it_is_waited_for_until_it_came_or_cannot_come_any_more() {
    let breaker = expected("oc");
    assert!(!breaker.is_decided(&seen("ccoo")));
    assert!(breaker.is_decided(&seen("ccoc")));
    assert!(
        !breaker.is_decided(&seen("ccccccc")),
        "asked at 60, the limit is 65"
    );
    assert!(breaker.is_decided(&seen("cccccccc")));
}

#[test]
fn a_log_misses_nothing_and_needs_no_hint() {
    let mut history = History::logged();
    history.read("open", Some(ms(20)), ms(30));
    history.read("closed", Some(ms(20)), ms(30));
    history.read_until(ms(90), secs(1));
    check(
        &expected("oc"),
        &history,
        Met::Yes,
        "`open` (by 20.0 ms), `closed` (by 20.0 ms)",
    );
    check(
        &expected("ohc"),
        &history,
        Met::No,
        "never `half-open`: `open` (by 20.0 ms), `closed` (by 20.0 ms)",
    );
}
