//! How many tests this process had, and which were skipped: what it says when it exits.

use std::sync::Mutex;

use crate::system::lock::lock;
use crate::system::terminal;

/// What was skipped and why, and how many tests there were.
static SEEN: Mutex<Seen> = Mutex::new(Seen {
    tests: 0,
    failed: 0,
    skipped: Vec::new(),
});

struct Seen {
    tests: usize,
    failed: usize,
    skipped: Vec<(String, String)>,
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

/// Says how many tests there were, and which were skipped.
pub(super) fn sum_up(report: &str) {
    let Ok(seen) = SEEN.lock() else { return };
    // nextest shows one process a test; there the report is the place.
    if seen.tests == 0 || std::env::var_os("NEXTEST").is_some() {
        return;
    }
    terminal::say(&in_words(&seen, report));
}

fn in_words(seen: &Seen, report: &str) -> String {
    let mut lines = format!(
        "chaos-test: {} chaos {}, {} failed, {} skipped; report: {report}",
        seen.tests,
        if seen.tests == 1 { "test" } else { "tests" },
        seen.failed,
        seen.skipped.len(),
    );
    for (name, why) in &seen.skipped {
        lines.push_str(&format!("\nchaos-test:   skipped {name}: {why}"));
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
        };
        assert_eq!(
            in_words(&seen, "/r"),
            "chaos-test: 1 chaos test, 1 failed, 0 skipped; report: /r"
        );
        seen.tests = 2;
        seen.skipped.push(("a".to_owned(), "no engine".to_owned()));
        assert_eq!(
            in_words(&seen, "/r"),
            "chaos-test: 2 chaos tests, 1 failed, 1 skipped; report: /r\n\
             chaos-test:   skipped a: no engine"
        );
    }
}
