//! How many tests this process had, and which were skipped: what it says when it exits.

use std::collections::BTreeMap;
use std::sync::Mutex;

use crate::system::lock::lock;
use crate::system::terminal;

use super::selection;

/// What was skipped and why, and how many tests there were.
static SEEN: Mutex<Seen> = Mutex::new(Seen {
    tests: 0,
    failed: 0,
    skipped: Vec::new(),
    deselected: BTreeMap::new(),
    known_gaps: Vec::new(),
});

struct Seen {
    tests: usize,
    failed: usize,
    skipped: Vec<(String, String)>,
    /// How many tests, by the reason.
    deselected: BTreeMap<String, usize>,
    known_gaps: Vec<(String, String)>,
}

/// Counts a test for the summary at the end.
pub(super) fn saw(failed: bool) {
    let mut seen = lock(&SEEN);
    seen.tests += 1;
    seen.failed += usize::from(failed);
}

/// Says that a test was skipped, now and again at the end.
pub(super) fn skipped(name: &str, why: &str) {
    terminal::say(&format!("chaos-test: SKIPPED {name}: {why}"));
    let mut seen = lock(&SEEN);
    seen.tests += 1;
    seen.skipped.push((name.to_owned(), why.to_owned()));
}

/// Says that a test is not among those that were asked for. At the end they are only counted:
/// there may be many.
pub(super) fn deselected(name: &str, why: &str) {
    terminal::say(&format!("chaos-test: DESELECTED {name}: {why}"));
    let mut seen = lock(&SEEN);
    seen.tests += 1;
    *seen.deselected.entry(why.to_owned()).or_default() += 1;
}

/// Says that a test passed only when its runner tried again.
pub(super) fn flaky(name: &str, how: &str) {
    terminal::say(&format!("chaos-test: FLAKY {name}: {how}"));
}

/// Says that a test deviated because of a gap that is known, now and again at the end.
pub(super) fn known_gap(name: &str, gap: &str, why: &str) {
    terminal::say(&format!("chaos-test: KNOWN GAP {gap}: {name}: {why}"));
    let mut seen = lock(&SEEN);
    seen.tests += 1;
    seen.known_gaps.push((name.to_owned(), gap.to_owned()));
}

/// Says how many tests there were, and which were skipped or have a known gap.
pub(super) fn sum_up(report: &str) {
    let Ok(seen) = SEEN.lock() else { return };
    // nextest shows one process a test; there the report is the place.
    if seen.tests == 0 || std::env::var_os("NEXTEST").is_some() {
        return;
    }
    let ran_none = seen.deselected.values().sum::<usize>() == seen.tests;
    terminal::say(&in_words(&seen, report, &selection::remarks(ran_none)));
}

fn in_words(seen: &Seen, report: &str, remarks: &[String]) -> String {
    let gaps = match seen.known_gaps.len() {
        0 => String::new(),
        1 => ", 1 known gap".to_owned(),
        count => format!(", {count} known gaps"),
    };
    let deselected = match seen.deselected.values().sum::<usize>() {
        0 => String::new(),
        count => format!(", {count} deselected"),
    };
    let mut lines = format!(
        "chaos-test: {} chaos {}, {} failed, {} skipped{deselected}{gaps}; report: {report}",
        seen.tests,
        if seen.tests == 1 { "test" } else { "tests" },
        seen.failed,
        seen.skipped.len(),
    );
    for (name, why) in &seen.skipped {
        lines.push_str(&format!("\nchaos-test:   skipped {name}: {why}"));
    }
    for (why, count) in &seen.deselected {
        lines.push_str(&format!("\nchaos-test:   {why}: {count}"));
    }
    for remark in remarks {
        lines.push_str(&format!("\nchaos-test:   {remark}"));
    }
    for (name, gap) in &seen.known_gaps {
        lines.push_str(&format!("\nchaos-test:   known gap {gap}: {name}"));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_skip_stands_below_the_counts() {
        let mut seen = Seen {
            tests: 1,
            failed: 1,
            skipped: Vec::new(),
            deselected: BTreeMap::new(),
            known_gaps: Vec::new(),
        };
        assert_eq!(
            in_words(&seen, "/r", &[]),
            "chaos-test: 1 chaos test, 1 failed, 0 skipped; report: /r"
        );
        seen.tests = 2;
        seen.skipped.push(("a".to_owned(), "no engine".to_owned()));
        assert_eq!(
            in_words(&seen, "/r", &[]),
            "chaos-test: 2 chaos tests, 1 failed, 1 skipped; report: /r\n\
             chaos-test:   skipped a: no engine"
        );
        seen.tests = 3;
        seen.known_gaps.push(("b".to_owned(), "SHOP-12".to_owned()));
        assert_eq!(
            in_words(&seen, "/r", &[]),
            "chaos-test: 3 chaos tests, 1 failed, 1 skipped, 1 known gap; report: /r\n\
             chaos-test:   skipped a: no engine\n\
             chaos-test:   known gap SHOP-12: b"
        );
        seen.known_gaps.clear();
        seen.deselected.insert("deselected by X".to_owned(), 7);
        assert_eq!(
            in_words(&seen, "/r", &["a remark".to_owned()]),
            "chaos-test: 3 chaos tests, 1 failed, 1 skipped, 7 deselected; report: /r\n\
             chaos-test:   skipped a: no engine\n\
             chaos-test:   deselected by X: 7\n\
             chaos-test:   a remark"
        );
    }
}
