//! Why a test did not pass: its headline, and each judgement that was missed with all that it was
//! made of.

use super::charts;
use super::page::{Ink, Page};
use super::plain;
use crate::model::event::{BodyEnd, Event, Met, Record};
use crate::model::evidence::{Evidence, Shows};
use crate::model::outcome::{Outcome, Restoration, RunStatus, Verdict};

/// So many windows of one judgement are shown.
const SHOWN: usize = 3;
const INDENT: usize = 5;

/// Everything that is wrong, the most telling first: none hides another.
pub(super) fn answers(outcome: &Outcome) -> Vec<&'static str> {
    let mut answers = Vec::new();
    if matches!(outcome.verdict, Verdict::Deviated(_)) {
        answers.push("hypothesis deviated");
    }
    answers.extend(match &outcome.status {
        RunStatus::Errored(_) => Some("the harness could not go on"),
        RunStatus::TimedOut(_) => Some("timed out"),
        RunStatus::Aborted(_) => Some("aborted"),
        RunStatus::Interrupted(_) => Some("interrupted"),
        RunStatus::Skipped(_) => Some("skipped"),
        RunStatus::Completed => match &outcome.verdict {
            Verdict::Unknown(why) if why.starts_with("no chaos happened") => {
                Some("no chaos happened")
            }
            Verdict::Unknown(why) if why.starts_with("not tested") => Some("not tested"),
            Verdict::Unknown(why) if why.starts_with("blast radius") => {
                Some("a limit of the blast radius was reached")
            }
            Verdict::Unknown(_) => Some("not enough data to tell"),
            Verdict::Held | Verdict::Deviated(_) => None,
        },
    });
    if matches!(outcome.restoration, Restoration::Unrestored { .. }) {
        answers.push("not everything was put back");
    }
    if answers.is_empty() {
        answers.push(if outcome.control.is_some() {
            "the negative control held"
        } else if outcome.known_gap.is_some() {
            "a known gap is closed"
        } else {
            "passed"
        });
    }
    answers
}

/// Each judgement that was not met, then each error and panic, then why there is no verdict.
pub(super) fn reasons(page: &mut Page, records: &[Record], outcome: &Outcome) {
    let mut said = String::new();
    let mut drawn: &[Evidence] = &[];
    for wanted in [Met::No, Met::NoData] {
        for record in records {
            let Event::Judged {
                what,
                actual,
                met,
                evidence,
                ..
            } = &record.event
            else {
                continue;
            };
            if *met == wanted {
                page.gap();
                // Several things are expected of one window, as a rule: it is drawn once.
                let is_drawn = !drawn.is_empty() && drawn == evidence.as_slice();
                judgement(page, &record.event, is_drawn, records);
                drawn = evidence;
                said += &format!("{what} {}\n", actual.replace('\n', " "));
            }
        }
    }
    let mut say = |title: &str, why: &str| {
        let why = plain(why);
        let why = why.trim();
        // A judgement that a body passed on with `?` has been told, and told better.
        let told = said.lines().any(|line| same_words(line, why));
        if !why.is_empty() && !told {
            said += &format!("{}\n", why.replace('\n', " "));
            page.gap();
            page.verbatim(2, title, why);
        }
    };
    match &outcome.status {
        RunStatus::Errored(why) => say("error: ", why),
        RunStatus::TimedOut(why) => say("timed out: ", why),
        RunStatus::Aborted(why) => say("aborted: ", why),
        RunStatus::Interrupted(why) => say("interrupted: ", why),
        RunStatus::Skipped(why) => say("skipped: ", why),
        RunStatus::Completed if outcome.verdict == Verdict::Held => {
            let restored = matches!(outcome.restoration, Restoration::Restored { .. });
            if restored {
                say("", &crate::decide::verdict::headline(outcome));
            }
        }
        RunStatus::Completed => {}
    }
    for record in records {
        match &record.event {
            Event::BodyEnded {
                how: BodyEnd::Failed(why),
            } => {
                say("the test returned an error: ", why);
            }
            Event::BodyEnded {
                how: BodyEnd::Panicked(why),
            } => say("the test panicked: ", why),
            _ => {}
        }
    }
    let no_data = |record: &Record| {
        matches!(
            &record.event,
            Event::Judged {
                met: Met::NoData,
                ..
            }
        )
    };
    if let (RunStatus::Completed, Verdict::Unknown(why)) = (&outcome.status, &outcome.verdict)
        && (!records.iter().any(no_data) || crate::decide::verdict::spoiled(records).is_some())
    {
        page.gap();
        page.paragraph(2, Ink::Plain, why);
    }
}

/// One judgement: in one line where that says it all, else field by field, with what was seen.
fn judgement(page: &mut Page, judged: &Event, is_drawn: bool, records: &[Record]) {
    let Event::Judged {
        what,
        expected,
        actual,
        met,
        at,
        evidence,
        ..
    } = judged
    else {
        return;
    };
    let ink = if *met == Met::No {
        Ink::Bad
    } else {
        Ink::Warning
    };
    let line = format!("{what}: {actual}, expected {expected}");
    if evidence.is_empty() && !line.contains('\n') && 2 + line.chars().count() <= page.width {
        page.pieces(
            2,
            &[
                (Ink::Bold, what),
                (Ink::Plain, ": "),
                (ink, actual),
                (Ink::Plain, ", expected "),
                (Ink::Good, expected),
            ],
        );
    } else {
        page.paragraph(2, Ink::Bold, what);
        page.field(INDENT, "expected:", Ink::Good, expected);
        page.field(INDENT, "actual:", ink, actual);
        for one in evidence.iter().take(SHOWN) {
            seen(page, one, evidence.len() > 1, is_drawn);
            if one.is_of_samples() && !is_drawn {
                charts::of_window(page, INDENT, one, records);
            }
        }
        if let Some(more) = evidence.len().checked_sub(SHOWN + 1) {
            page.line(INDENT, &format!("and {} more like these", more + 1));
        }
    }
    if !at.is_empty() {
        page.line(INDENT, &format!("at {at}"));
    }
}

/// What was looked at: what is normal, and when it was.
fn seen(page: &mut Page, evidence: &Evidence, one_of_several: bool, is_drawn: bool) {
    let Evidence {
        of,
        window,
        count,
        shows,
        baseline,
    } = evidence;
    if let Some(baseline) = baseline {
        page.field(INDENT, "baseline:", Ink::Plain, baseline);
    }
    let (one, many) = match shows {
        Shows::Latencies | Shows::Numbers => ("sample", "samples"),
        Shows::Looks => ("look", "looks"),
        Shows::Attempts => ("attempt", "attempts"),
        Shows::Calls => ("call", "calls"),
    };
    let what = if *count == 1 { one } else { many };
    let of = if one_of_several {
        format!(" of {of}")
    } else {
        String::new()
    };
    let (from, to) = (window.from.as_secs_f64(), window.to.as_secs_f64());
    let drawn = if is_drawn && evidence.is_of_samples() {
        ", drawn above"
    } else {
        ""
    };
    let text = format!("{from:.3} s to {to:.3} s, {count} {what}{of}{drawn}");
    page.field(INDENT, "window:", Ink::Plain, &text);
}

/// Whether one text holds every word of the other, in this order.
fn same_words(words: &str, text: &str) -> bool {
    let mut rest = text;
    !words.trim().is_empty()
        && words
            .split_whitespace()
            .all(|word| match rest.split_once(word) {
                Some((_, after)) => {
                    rest = after;
                    true
                }
                None => false,
            })
}
