//! What counts as which anomaly, and what is said of it.

use super::*;
use crate::model::units::percent;

type Record = (u32, &'static str);

/// Records of these keys, all with the same value.
fn keys(keys: impl IntoIterator<Item = u32>) -> Vec<Record> {
    keys.into_iter().map(|key| (key, "")).collect()
}

fn counts(comparison: &Comparison) -> [usize; 5] {
    [
        lost(),
        duplicated(),
        changed(),
        out_of_order(),
        unexpected(),
    ]
    .map(|anomaly| comparison.count(anomaly))
}

/// `expected`: lost, duplicated, changed, out of order, unexpected.
fn check(acknowledged: &[Record], uncertain: &[Record], read: &[Record], expected: [usize; 5]) {
    let comparison = Comparison::of(acknowledged, uncertain, read);
    assert_eq!(
        counts(&comparison),
        expected,
        "{acknowledged:?}, {uncertain:?} and {read:?}"
    );
}

#[test]
fn each_anomaly_is_counted() {
    let written = keys(1..=5);
    check(&written, &[], &written, [0; 5]);
    check(&written, &[], &keys([1, 3, 5]), [2, 0, 0, 0, 0]);
    check(&written, &[], &keys([1, 2, 2, 3, 4, 2, 5]), [0, 2, 0, 0, 0]);
    check(&written, &[], &keys([1, 2, 3, 5, 4]), [0, 0, 0, 1, 0]);
    check(&written, &[], &keys([5, 1, 2, 3, 4]), [0, 0, 0, 1, 0]);
    check(&written, &[], &keys([5, 4, 3, 2, 1]), [0, 0, 0, 4, 0]);
    check(&written, &[], &keys([9, 1, 2, 3, 4, 5, 9]), [0, 0, 0, 0, 2]);
    check(&written, &[], &[], [5, 0, 0, 0, 0]);
    check(
        &[(1, "a"), (2, "b")],
        &[],
        &[(1, "a"), (2, "x")],
        [0, 0, 1, 0, 0],
    );
    check(
        &[(1, "a"), (2, "b"), (3, "c")],
        &[],
        &[(3, "c"), (2, "x"), (2, "b"), (8, "?")],
        [1, 1, 1, 1, 1],
    );
}

#[test]
fn a_write_whose_outcome_nobody_knows_may_be_read_or_not() {
    let sure = keys([1, 2]);
    let unsure = keys([3]);
    check(&sure, &unsure, &keys([1, 2]), [0; 5]);
    check(&sure, &unsure, &keys([3, 1, 2]), [0; 5]);
    check(&sure, &unsure, &keys([1, 2, 3, 3]), [0, 1, 0, 0, 0]);
    // Overwritten, perhaps: either value is one that was written.
    let written = [(1, "old")];
    check(&written, &[(1, "new")], &[(1, "old")], [0; 5]);
    check(&written, &[(1, "new")], &[(1, "new")], [0; 5]);
    check(&written, &[(1, "new")], &[(1, "x")], [0, 0, 1, 0, 0]);
}

#[test]
fn a_key_that_was_written_twice_is_expected_twice() {
    let written = keys([7, 7]);
    check(&written, &[], &keys([7, 7]), [0; 5]);
    check(&written, &[], &keys([7]), [1, 0, 0, 0, 0]);
    check(&written, &[], &keys([7, 7, 7]), [0, 1, 0, 0, 0]);
}

#[test]
fn a_message_has_counts_a_share_and_the_first_keys() {
    let comparison = Comparison::of(&keys(1..=1000), &[], &keys(13..=1000));
    let judged = |tolerance: RecordTolerance| {
        let judgement = tolerance.judge("orders", &comparison);
        let Judgement {
            what,
            expected,
            actual,
            met,
            ..
        } = judgement;
        (format!("{what}: {actual}, expected {expected}"), met)
    };
    for (tolerance, expected, met) in [
        (
            lost().at_most(0),
            "lost records of orders: 12 of 1000 acknowledged (1.2 %): 1, 2, 3, 4, 5, ..., \
             expected none",
            Met::No,
        ),
        (
            lost().at_most(12),
            "lost records of orders: 12 of 1000 acknowledged (1.2 %): 1, 2, 3, 4, 5, ..., \
             expected at most 12",
            Met::Yes,
        ),
        (
            lost().at_most(percent(1)),
            "lost records of orders: 12 of 1000 acknowledged (1.2 %): 1, 2, 3, 4, 5, ..., \
             expected at most 1 %",
            Met::No,
        ),
        (
            unexpected().at_most(0),
            "unexpected records of orders: none of 988 read, expected none",
            Met::Yes,
        ),
    ] {
        assert_eq!(judged(tolerance), (expected.to_owned(), met));
    }
    // The same number, whatever way it was computed.
    let seven = Comparison::of(&keys(0..1000), &[], &keys(7..1000));
    let judgement = lost().at_most(percent(0.7)).judge("orders", &seven);
    assert_eq!(judgement.met, Met::Yes, "{}", judgement.actual);
}

#[test]
fn the_keys_are_those_that_came_first() {
    let written: Vec<(String, ())> = ["b", "long", "a"].map(|key| (key.repeat(60), ())).into();
    let comparison = Comparison::of(&written, &[], &[]);
    let long = format!("\"{}...", "long".repeat(60).split_at(LONGEST_KEY - 1).0);
    let expected = [
        format!("{:?}", "b".repeat(60)),
        long,
        format!("{:?}", "a".repeat(60)),
    ];
    assert_eq!(comparison.first_keys(lost()), expected);
    let comparison = Comparison::of(&keys([1]), &[], &keys([9, 1, 3]));
    assert_eq!(comparison.first_keys(unexpected()), ["9", "3"]);
}

#[test]
fn too_little_is_no_data_and_never_met() {
    let all = [
        lost(),
        duplicated(),
        changed(),
        out_of_order(),
        unexpected(),
    ];
    let judged = |comparison: &Comparison, anomaly: Anomaly| {
        let tolerance = anomaly.at_most(percent(100));
        tolerance.judge("orders", comparison).met
    };
    for (written, unsure, read) in [(0..0, 0..0, 0..0), (0..0, 0..0, 0..3), (0..0, 0..3, 0..3)] {
        let comparison = Comparison::of(&keys(written), &keys(unsure), &keys(read));
        for anomaly in all {
            assert_eq!(judged(&comparison, anomaly), Met::NoData, "{anomaly}");
        }
    }
    // All of them are lost, and of the rest nothing can be said.
    let nothing_read = Comparison::of(&keys(0..3), &[], &[]);
    assert_eq!(judged(&nothing_read, lost()), Met::Yes);
    assert!(
        all[1..]
            .iter()
            .all(|anomaly| judged(&nothing_read, *anomaly) == Met::NoData)
    );
    let others_read = Comparison::of(&keys(0..3), &[], &keys(8..9));
    assert_eq!(judged(&others_read, changed()), Met::NoData);
    assert_eq!(judged(&others_read, unexpected()), Met::Yes);
    let one_read = Comparison::of(&keys(0..3), &[], &keys(1..2));
    assert_eq!(judged(&one_read, out_of_order()), Met::NoData);
}

#[test]
fn a_hundred_thousand_records_are_compared_in_no_time() {
    let written = keys(0..100_000);
    // Every tenth is lost, and the rest is read backwards.
    let read = keys((0..100_000).rev().filter(|key| key % 10 != 0));
    let begun = std::time::Instant::now();
    let comparison = Comparison::of(&written, &[], &read);
    // In squares of that it would be minutes.
    assert!(begun.elapsed().as_secs() < 10, "{:?}", begun.elapsed());
    assert_eq!(counts(&comparison), [10_000, 0, 0, 89_999, 0]);
}
