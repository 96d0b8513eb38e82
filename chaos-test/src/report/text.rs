//! What a person reads when a test did not pass: what was expected, what happened when,
//! what is left to do and how to try again.
//!
//! Plain text, at most as wide as asked for. Only what others wrote (errors, panics, log
//! lines) and what is to be copied (commands, paths) is never broken.

mod charts;
mod kept;
mod plain;
mod plan;
mod timeline;

use std::path::PathBuf;

pub use kept::kept_lines;
pub use plain::plain;
pub use plan::plan;

use crate::model::event::{BodyEnd, Event, Met, Record, Started};
use crate::model::journal;
use crate::model::outcome::{Outcome, Restoration, RunStatus, Verdict};

/// The last lines that a service wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogTail {
    /// Its name.
    pub service: String,
    /// The whole log.
    pub path: PathBuf,
    /// The last lines, oldest first.
    pub lines: Vec<String>,
}

/// Explains how a test ended: the text that its failure prints.
///
/// `again` is the command that repeats it and `junit` the place of the report; either may
/// be empty.
#[must_use]
#[expect(
    clippy::too_many_arguments,
    reason = "each is a different kind of thing"
)]
pub fn explain(
    name: &str,
    started: &Started,
    records: &[Record],
    outcome: &Outcome,
    logs: &[LogTail],
    again: &str,
    junit: &str,
    width: usize,
) -> String {
    let mut page = Page::new(width);
    page.line(0, &format!("{name}: {}", answers(outcome).join(", and ")));
    page.paragraph(2, &started.hypothesis);
    if !started.arguments.is_empty() {
        page.paragraph(2, &format!("with {}", started.arguments.join(", ")));
    }
    reasons(&mut page, records, outcome);

    page.gap();
    let identity = format!("run {}, seed {:#x}", started.run, started.seed);
    page.sides(2, "timeline", &identity);
    timeline::write(&mut page, records);
    charts::write(&mut page, records);

    page.gap();
    restored(&mut page, &outcome.restoration);
    for line in kept_lines(&journal::kept(records)) {
        let indent = 2 + line.chars().take_while(|c| *c == ' ').count();
        page.line(indent, line.trim_start());
    }
    if !started.abandoned.is_empty() {
        let bodies = started.abandoned.join(", ");
        page.paragraph(
            2,
            &format!("note: earlier tests timed out and may still burn a core here: {bodies}"),
        );
    }
    for log in logs.iter().filter(|log| !log.lines.is_empty()) {
        page.line(
            2,
            &format!("last lines of {} ({}):", log.service, log.path.display()),
        );
        for line in &log.lines {
            page.line(4, line);
        }
    }
    let trace = records.iter().find_map(|record| match &record.event {
        Event::Traced { trace } => Some(trace.as_str()),
        _ => None,
    });
    for (label, text) in [
        ("trace: ", trace.unwrap_or_default()),
        ("again: ", again),
        ("report:", junit),
    ] {
        if !text.is_empty() {
            page.line(2, &format!("{label} {text}"));
        }
    }
    page.text
}

/// The timeline and the charts alone, for a test that passed.
#[must_use]
pub fn timeline(records: &[Record]) -> String {
    let mut page = Page::new(100);
    page.line(0, "timeline");
    timeline::write(&mut page, records);
    charts::write(&mut page, records);
    page.text
}

/// Everything that is wrong, the most telling first: none hides another.
fn answers(outcome: &Outcome) -> Vec<&'static str> {
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
fn reasons(page: &mut Page, records: &[Record], outcome: &Outcome) {
    let mut said = String::new();
    for wanted in [Met::No, Met::NoData] {
        for record in records {
            let Event::Judged {
                what,
                expected,
                actual,
                met,
                at,
                ..
            } = &record.event
            else {
                continue;
            };
            if *met == wanted {
                page.gap();
                judgement(page, what, expected, actual, at);
                said += &format!("{what} {actual}\n");
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
        page.paragraph(2, why);
    }
}

fn judgement(page: &mut Page, what: &str, expected: &str, actual: &str, at: &str) {
    let line = format!("{what}: {actual}, expected {expected}");
    if !line.contains('\n') && 2 + line.chars().count() <= page.width {
        page.line(2, &line);
        if !at.is_empty() {
            page.line(5, &format!("at {at}"));
        }
        return;
    }
    page.paragraph(2, what);
    for (label, text) in [
        ("expected: ", expected),
        ("actual:   ", actual),
        ("at ", at),
    ] {
        if !text.is_empty() {
            page.verbatim(5, label, text);
        }
    }
}

/// Whether one text holds every word of the other, in this order.
fn same_words(words: &str, text: &str) -> bool {
    let mut rest = text;
    words
        .split_whitespace()
        .all(|word| match rest.split_once(word) {
            Some((_, after)) => {
                rest = after;
                true
            }
            None => false,
        })
}

fn restored(page: &mut Page, restoration: &Restoration) {
    match restoration {
        Restoration::Restored {
            faults: 0,
            others: 0,
            kept: 0,
        } => {
            page.line(2, "restored: there was nothing to put back");
        }
        Restoration::Restored {
            faults,
            others,
            kept,
        } => {
            let counts: Vec<String> = [(*faults, "fault"), (*others, "other")]
                .into_iter()
                .filter(|(count, _)| *count > 0)
                .map(|(count, what)| format!("{count} {what}{}", plural(count)))
                .collect();
            let counts = counts.join(", ");
            page.line(
                2,
                &match (kept, counts.as_str()) {
                    (0, _) => format!("restored: everything ({counts})"),
                    (_, "") => format!("restored: {kept} kept on purpose"),
                    _ => format!("restored: {counts}; {kept} kept on purpose"),
                },
            );
        }
        Restoration::Unrestored { left } => {
            let things = if left.len() == 1 {
                "thing is"
            } else {
                "things are"
            };
            page.line(2, &format!("NOT RESTORED: {} {things} left", left.len()));
            for left in left {
                page.paragraph(4, &left.what);
                page.verbatim(6, "why:     ", &left.why);
                page.verbatim(6, "by hand: ", &left.by_hand);
            }
            page.line(2, "");
        }
    }
}

fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}

/// Text under construction.
struct Page {
    text: String,
    width: usize,
}

impl Page {
    fn new(width: usize) -> Self {
        Self {
            text: String::new(),
            width: width.clamp(40, 240),
        }
    }

    /// One line, never broken.
    fn line(&mut self, indent: usize, line: &str) {
        let line = format!("{:indent$}{}", "", plain(line).replace('\n', " "));
        self.text.push_str(line.trim_end());
        self.text.push('\n');
    }

    /// An empty line, unless there is one already.
    fn gap(&mut self) {
        if !self.text.is_empty() && !self.text.ends_with("\n\n") {
            self.text.push('\n');
        }
    }

    /// Text broken at spaces; its own lines and their indentation are kept.
    fn paragraph(&mut self, indent: usize, text: &str) {
        for line in plain(text).lines() {
            let own = indent + line.chars().take_while(|c| *c == ' ').count();
            for part in wrapped(line, self.width.saturating_sub(own)) {
                self.line(own, &part);
            }
        }
    }

    /// A label and somebody else's text, whose lines are kept: below the label where there
    /// is more than one, so that they stay lined up.
    fn verbatim(&mut self, indent: usize, label: &str, text: &str) {
        let text = plain(text);
        let text = text.trim_end();
        if !text.contains('\n') {
            self.line(indent, &format!("{label}{text}"));
            return;
        }
        self.line(indent, label);
        for line in text.lines() {
            self.line(indent + 2, line);
        }
    }

    /// One text at the left and one at the right, not so far away that the eye loses it.
    fn sides(&mut self, indent: usize, left: &str, right: &str) {
        let used = indent + left.chars().count() + right.chars().count();
        let space = self.width.min(100).saturating_sub(used).max(2);
        self.line(indent, &format!("{left}{:space$}{right}", ""));
    }
}

/// A text's words in lines of at most `width`; a longer word has a line of its own.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut free = 0;
    for word in text.split_whitespace() {
        let length = word.chars().count();
        match lines.last_mut() {
            Some(line) if length < free => {
                line.push(' ');
                line.push_str(word);
                free -= length + 1;
            }
            _ => {
                lines.push(word.to_owned());
                free = width.saturating_sub(length);
            }
        }
    }
    lines
}

#[cfg(test)]
mod tests;
