//! Whether a condition came true in time, from what its calls saw. It has no clock.

use std::time::Duration;

use crate::model::event::Met;
use crate::model::units::human;

use super::tolerance::Judgement;

/// From how many characters on what was seen is cut: it stands in a report, and a page of JSON
/// would hide the rest.
const LONGEST: usize = 300;

/// What the calls of a condition have seen so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Looked {
    answered: usize,
    failed: usize,
    last_seen: Option<String>,
    last_error: Option<String>,
    /// Whether a call was not answered when the time was over.
    under_way: bool,
    /// Why nobody asks any more, if so.
    given_up: Option<String>,
}

impl Looked {
    /// A call was answered: not yet.
    pub fn not_yet(&mut self, seen: &str) {
        self.answered += 1;
        self.last_seen = Some(cut(seen));
    }

    /// A call failed, or took too long.
    pub fn failed(&mut self, why: &str) {
        self.answered += 1;
        self.failed += 1;
        self.last_error = Some(cut(why));
    }

    /// The time was over while a call had no answer yet.
    pub fn cut_off(&mut self) {
        self.under_way = true;
    }

    /// No call can be made any more.
    pub fn give_up(&mut self, why: &str) {
        self.given_up = Some(why.to_owned());
    }

    /// How many calls were answered.
    #[must_use]
    pub fn answered(&self) -> usize {
        self.answered
    }

    /// The judgement once the time is over.
    ///
    /// A call that fails is an answer: whatever was asked could not say that it is true. Only
    /// where no call was answered at all is there nothing to judge.
    #[must_use]
    pub fn judge(&self, what: &str, limit: Duration) -> Judgement {
        let calls = |count: usize| format!("{count} call{}", if count == 1 { "" } else { "s" });
        let mut actual = match (&self.last_seen, &self.last_error) {
            (None, None) if self.under_way => "no call was answered in time".to_owned(),
            (None, None) => "its time was over before it was asked".to_owned(),
            (None, Some(error)) if self.answered == 1 => format!("its only call failed: {error}"),
            (None, Some(error)) => {
                format!("all {} failed, the last: {error}", calls(self.answered))
            }
            (Some(seen), None) => {
                format!("not after {}, the last saw {seen}", calls(self.answered))
            }
            (Some(seen), Some(error)) => format!(
                "not after {}, the last that succeeded saw {seen}; {} failed, the last: {error}",
                calls(self.answered),
                self.failed,
            ),
        };
        if self.under_way && self.answered > 0 {
            actual += "; one more was not answered yet";
        }
        if let Some(why) = &self.given_up {
            actual += &format!("; {why}");
        }
        Judgement {
            what: what.to_owned(),
            expected: within(limit),
            actual,
            met: if self.answered == 0 {
                Met::NoData
            } else {
                Met::No
            },
            measured: Vec::new(),
            evidence: Vec::new(),
        }
    }
}

/// The judgement of a condition that came true in time.
#[must_use]
pub fn came_true(what: &str, limit: Duration, took: Duration, seen: &str) -> Judgement {
    let seen = match seen {
        "" => String::new(),
        seen => format!(": {}", cut(seen)),
    };
    Judgement {
        what: what.to_owned(),
        expected: within(limit),
        actual: format!("after {}{seen}", human(took)),
        met: Met::Yes,
        measured: Vec::new(),
        evidence: Vec::new(),
    }
}

fn within(limit: Duration) -> String {
    format!("within {}", human(limit))
}

fn cut(text: &str) -> String {
    let text = text.trim();
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::units::{ms, secs};

    fn check(calls: &[Result<&str, &str>], expected: &str, met: Met) {
        let mut looked = Looked::default();
        for call in calls {
            match call {
                Ok(seen) => looked.not_yet(seen),
                Err(why) => looked.failed(why),
            }
        }
        let judgement = looked.judge("an alert was raised", secs(5));
        assert_eq!(judgement.actual, expected);
        assert_eq!(judgement.met, met, "{expected}");
        assert_eq!(judgement.expected, "within 5 s");
    }

    #[test]
    fn a_miss_says_what_was_seen_last() {
        check(
            &[Ok("None")],
            "not after 1 call, the last saw None",
            Met::No,
        );
        check(
            &[Ok("1 of 3"), Ok("2 of 3")],
            "not after 2 calls, the last saw 2 of 3",
            Met::No,
        );
        check(
            &[Ok("1 of 3"), Err("refused"), Err("reset")],
            "not after 3 calls, the last that succeeded saw 1 of 3; 2 failed, the last: reset",
            Met::No,
        );
    }

    #[test]
    fn a_call_that_fails_is_an_answer_and_no_call_is_none() {
        check(&[Err("refused")], "its only call failed: refused", Met::No);
        check(
            &[Err("refused"), Err("reset")],
            "all 2 calls failed, the last: reset",
            Met::No,
        );
        check(&[], "its time was over before it was asked", Met::NoData);
    }

    #[test]
    fn a_call_that_was_cut_off_shows() {
        let mut looked = Looked::default();
        looked.cut_off();
        let judgement = looked.judge("x", secs(1));
        assert_eq!(judgement.actual, "no call was answered in time");
        assert_eq!(judgement.met, Met::NoData);
        looked.not_yet("None");
        assert_eq!(
            looked.judge("x", secs(1)).actual,
            "not after 1 call, the last saw None; one more was not answered yet"
        );
    }

    #[test]
    fn whoever_gave_up_says_why() {
        let mut looked = Looked::default();
        looked.failed("no answer within 1 s");
        looked.give_up("8 calls block their threads");
        assert_eq!(
            looked.judge("x", secs(1)).actual,
            "its only call failed: no answer within 1 s; 8 calls block their threads"
        );
    }

    #[test]
    fn what_came_true_says_when_and_with_what() {
        let came = |seen| came_true("an alert was raised", secs(5), ms(1200), seen).actual;
        assert_eq!(came(""), "after 1.2 s");
        assert_eq!(came("Alert(7)"), "after 1.2 s: Alert(7)");
    }

    #[test]
    fn a_long_value_is_cut_between_characters() {
        let long = "é".repeat(LONGEST + 1);
        assert_eq!(cut(&long), "é".repeat(LONGEST) + "...");
        let fits = "é".repeat(LONGEST);
        assert_eq!(cut(&fits), fits);
    }
}
