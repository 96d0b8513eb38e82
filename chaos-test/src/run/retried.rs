//! Attempts of a runner that tries a failed test again, such as nextest: what the earlier ones
//! came to. That a test passed in the end is no reason to be silent about them.

use crate::decide::verdict;
use crate::model::test_report::TestReport;
use crate::system::place;

use super::inner::Inner;

/// How a test passed that had not passed at first; `None` for a first attempt.
pub(super) fn passed_at_last(inner: &Inner) -> Option<String> {
    let identity = &inner.identity;
    // Its test tells of both.
    if identity.is_control() {
        return None;
    }
    let attempt = place::attempt();
    let reports = &identity.run.reports;
    let earlier = reports.earlier_attempts(&identity.binary, &identity.name, attempt);
    in_words(attempt, place::attempts(), &earlier)
}

fn in_words(attempt: u32, attempts: Option<u32>, earlier: &[TestReport]) -> Option<String> {
    if attempt < 2 {
        return None;
    }
    let of = attempts.map_or_else(String::new, |attempts| format!(" of {attempts}"));
    let mut text = format!("passed on attempt {attempt}{of}, not before");
    for report in earlier {
        let why = match &report.end {
            None => "it never ended: its process was killed or crashed".to_owned(),
            Some(end) if end.outcome.passed() => continue,
            Some(end) if end.message.trim().is_empty() => verdict::headline(&end.outcome),
            Some(end) => end.message.clone(),
        };
        let first = why.trim().lines().next().unwrap_or_default();
        text += &format!("\nchaos-test:   attempt {}: {first}", report.attempt);
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::outcome::{Outcome, RunStatus, Verdict};
    use crate::model::test_report::TestEnd;

    fn report(attempt: u32, verdict: Option<Verdict>) -> TestReport {
        let outcome = |verdict| Outcome::example(RunStatus::Completed, verdict);
        TestReport {
            attempt,
            end: verdict.map(|verdict| TestEnd {
                message: "hypothesis deviated: too slow\n  at a.rs:1".to_owned(),
                ..TestEnd::example(outcome(verdict))
            }),
            ..TestReport::example("shop::chaos", "a")
        }
    }

    #[test]
    fn what_came_before_a_pass_is_told() {
        assert_eq!(in_words(1, Some(3), &[]), None);
        let earlier = [
            report(1, Some(Verdict::Deviated("too slow".into()))),
            report(2, None),
        ];
        insta::assert_snapshot!(in_words(3, Some(4), &earlier).unwrap(), @r"
        passed on attempt 3 of 4, not before
        chaos-test:   attempt 1: hypothesis deviated: too slow
        chaos-test:   attempt 2: it never ended: its process was killed or crashed
        ");
        assert_eq!(
            in_words(2, None, &[]).unwrap(),
            "passed on attempt 2, not before"
        );
    }
}
