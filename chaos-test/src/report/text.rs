//! What a person reads when a test did not pass: what was expected, what happened when,
//! what is left to do and how to try again.
//!
//! At most as wide as asked for, in the characters and colours that are asked for. Only what
//! others wrote (panics, log lines) and what is to be copied (commands, paths) is never broken.

mod charts;
mod kept;
mod page;
mod plain;
mod plan;
mod reasons;
mod timeline;

use std::collections::BTreeSet;
use std::path::PathBuf;

pub use kept::kept_lines;
pub use page::Format;
pub use plain::plain;
pub use plan::plan;

use crate::model::event::{Event, Record, Started};
use crate::model::journal;
use crate::model::outcome::{Outcome, Restoration};
use page::{Ink, Page};

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
    format: Format,
) -> String {
    let mut page = Page::new(format);
    let ink = match outcome.passed() {
        true => Ink::Good,
        false => Ink::Bad,
    };
    let answers = reasons::answers(outcome).join(", and ");
    page.pieces(0, &[(Ink::Bold, name), (Ink::Plain, ": "), (ink, &answers)]);
    page.paragraph(2, Ink::Plain, &started.hypothesis);
    if !started.arguments.is_empty() {
        let arguments = format!("with {}", started.arguments.join(", "));
        page.paragraph(2, Ink::Plain, &arguments);
    }
    reasons::reasons(&mut page, records, outcome);

    page.gap();
    let identity = format!("run {}, seed {:#x}", started.run, started.seed);
    page.sides(2, "timeline", &identity);
    timeline::write(&mut page, records);
    charts::write(&mut page, records);

    page.gap();
    write_logs(&mut page, records, logs);
    restored(&mut page, &outcome.restoration);
    for line in kept_lines(&journal::kept(records)) {
        let indent = 2 + line.chars().take_while(|c| *c == ' ').count();
        page.line(indent, line.trim_start());
    }
    if !started.abandoned.is_empty() {
        let bodies = started.abandoned.join(", ");
        page.paragraph(
            2,
            Ink::Warning,
            &format!("note: earlier tests timed out and may still burn a core here: {bodies}"),
        );
    }
    let trace = records.iter().find_map(|record| match &record.event {
        Event::Traced { trace } => Some(trace.as_str()),
        _ => None,
    });
    // What is copied comes last, where a terminal shows it.
    for (label, text) in [
        ("trace:  ", trace.unwrap_or_default()),
        ("report: ", junit),
        ("again:  ", again),
    ] {
        if !text.is_empty() {
            page.pieces(2, &[(Ink::Bold, label), (Ink::Plain, text)]);
        }
    }
    page.text
}

/// The timeline and the charts alone, for a test that passed.
#[must_use]
pub fn timeline(records: &[Record]) -> String {
    let mut page = Page::new(Format::FILE);
    page.line(0, "timeline");
    timeline::write(&mut page, records);
    charts::write(&mut page, records);
    page.text
}

/// The last lines of each service, of those that were broken first.
fn write_logs(page: &mut Page, records: &[Record], logs: &[LogTail]) {
    let broken: BTreeSet<&str> = records
        .iter()
        .filter_map(|record| match &record.event {
            Event::Injected { targets, .. } => Some(targets),
            _ => None,
        })
        .flatten()
        .filter_map(|target| target.service())
        .collect();
    let is_broken = |log: &&LogTail| broken.contains(log.service.as_str());
    let (first, then): (Vec<_>, Vec<_>) = logs
        .iter()
        .filter(|log| !log.lines.is_empty())
        .partition(is_broken);
    for log in first.into_iter().chain(then) {
        let victim = if is_broken(&log) { ", the victim" } else { "" };
        let count = match log.lines.len() {
            1 => "the last line".to_owned(),
            count => format!("the last {count} lines"),
        };
        let title = format!("{count} of {}{victim}", log.service);
        let path = format!(" (all: {})", log.path.display());
        page.pieces(2, &[(Ink::Bold, &title), (Ink::Plain, &path)]);
        for line in &log.lines {
            page.inked(4, Ink::Faint, line);
        }
    }
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
            page.inked(
                2,
                Ink::Bad,
                &format!("NOT RESTORED: {} {things} left", left.len()),
            );
            for left in left {
                page.paragraph(4, Ink::Bold, &left.what);
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

#[cfg(test)]
mod tests;
