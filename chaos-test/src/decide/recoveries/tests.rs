//! Recoveries of made-up outages.

use super::*;
use crate::decide::statistics::P50;
use crate::model::units::{ms, percent, secs};

/// `3` took three seconds, `9!` nine and came too late, `-` never came, `0` never degraded.
fn summary(text: &str) -> RecoverySummary {
    let attempts: Vec<Attempt> = text
        .split_whitespace()
        .enumerate()
        .map(|(index, word)| Attempt {
            monitor: "shop".into(),
            entry: Some(index as u64),
            took: word.trim_end_matches('!').parse().ok().map(secs),
            in_time: word != "-" && !word.ends_with('!'),
            degraded: word != "0",
        })
        .collect();
    RecoverySummary::of(&attempts)
}

#[track_caller]
fn check(tolerance: RecoveryTolerance, text: &str, met: Met, actual: &str) {
    let judgement = tolerance.judge(&summary(text));
    assert_eq!(
        (judgement.met, judgement.actual.as_str()),
        (met, actual),
        "{text}"
    );
}

#[test]
fn a_mean_is_over_several_and_never_of_one() {
    let four = || mttr().at_most(secs(4));
    check(four(), "2 4", Met::Yes, "3 s, 2 recoveries");
    check(four(), "2 4 9!", Met::No, "5 s, 3 recoveries");
    check(four(), "1", Met::NoData, "1 recovery: it takes at least 2");
    check(four(), "", Met::NoData, "0 recoveries: it takes at least 2");
    check(
        four(),
        "1 0 0",
        Met::NoData,
        "1 recovery; 2 more never degraded: it takes at least 2",
    );
    // One that never came is longer than any limit, and does not vanish from the mean.
    check(
        four(),
        "1 1 1 -",
        Met::No,
        "without an end, 4 recoveries, 1 of them never came",
    );
}

#[test]
fn percentiles_and_rates_count_what_never_came() {
    check(
        recovery_time(P50).at_most(secs(2)),
        "1 2 9 -",
        Met::Yes,
        "2 s, 4 recoveries, 1 of them never came",
    );
    check(
        recovery_time(MAX).at_most(secs(9)),
        "1 9",
        Met::Yes,
        "9 s, 2 recoveries",
    );
    check(
        recovery_time(MAX).at_most(secs(99)),
        "1 -",
        Met::No,
        "without an end, 2 recoveries, 1 of them never came",
    );
    check(
        recovery_rate().at_least(percent(75)),
        "1 2 9! 3",
        Met::Yes,
        "75 % (3 of 4 in time), 4 recoveries",
    );
    check(
        recovery_rate().at_least(percent(76)),
        "1 2 - 3 0",
        Met::No,
        "75 % (3 of 4 in time), 4 recoveries, 1 of them never came; 1 more never degraded",
    );
}

#[test]
fn an_outage_counts_once_however_often_it_was_judged() {
    let attempt = |monitor: &str, entry, took, in_time, degraded| Attempt {
        monitor: monitor.into(),
        entry,
        took,
        in_time,
        degraded,
    };
    let twice = |one: Option<u64>, other: Option<u64>| {
        [
            attempt("shop", one, Some(secs(2)), true, true),
            attempt("cart", other, Some(secs(4)), true, true),
        ]
    };
    for (one, other, count) in [
        (Some(1), Some(2), 2),
        (Some(1), Some(1), 1),
        (None, None, 1),
        (None, Some(1), 2),
    ] {
        let summary = RecoverySummary::of(&twice(one, other));
        assert_eq!(summary.count(), count, "{one:?}, {other:?}");
        assert_eq!(summary.longest(), Some(secs(4)), "{one:?}, {other:?}");
        let met = mttr().at_most(secs(9)).judge(&summary).met;
        let expected = if count > 1 { Met::Yes } else { Met::NoData };
        assert_eq!(met, expected, "{one:?}, {other:?}");
    }

    // Whoever was not hit counts for nothing, in either order, and one that never came or
    // came too late for as much as that.
    let unhurt = attempt("cart", Some(1), Some(secs(0)), true, false);
    let hurt = attempt("shop", Some(1), Some(secs(2)), true, true);
    let late = attempt("shop", Some(1), Some(secs(3)), false, true);
    let never = attempt("shop", Some(1), None, false, true);
    for (attempts, times, never, in_time, undegraded) in [
        (vec![&unhurt, &hurt], vec![secs(2)], 0, 1, 0),
        (vec![&hurt, &unhurt], vec![secs(2)], 0, 1, 0),
        (vec![&unhurt, &unhurt], vec![], 0, 0, 1),
        (vec![&hurt, &late], vec![secs(3)], 0, 0, 0),
        (vec![&late, &hurt, &unhurt], vec![secs(3)], 0, 0, 0),
        (vec![&hurt, &never], vec![], 1, 0, 0),
        (vec![&never, &hurt], vec![], 1, 0, 0),
    ] {
        let attempts: Vec<Attempt> = attempts.into_iter().cloned().collect();
        let expected = RecoverySummary {
            times,
            never,
            in_time,
            undegraded,
        };
        assert_eq!(RecoverySummary::of(&attempts), expected, "{attempts:?}");
    }
}

#[test]
fn they_are_gathered_from_the_records() {
    let record = |event| Record {
        seq: 1,
        at_us: 0,
        event,
    };
    let records = [
        record(Event::Recovered {
            monitor: "shop".into(),
            recovery_us: 5_000,
            degraded: true,
            first_success_us: None,
            outage_us: None,
            lost: 0,
            entry: Some(1),
        }),
        record(Event::NotRecovered {
            monitor: "shop".into(),
            limit_us: 1_000,
            recovery_us: Some(7_000),
            entry: Some(2),
        }),
    ];
    let summary = RecoverySummary::of(&attempts(&records));
    assert_eq!(summary.mean(), Some(ms(6)));
    assert_eq!(summary.longest(), Some(ms(7)));
    assert_eq!(summary.rate(), Some(percent(50)));
}
