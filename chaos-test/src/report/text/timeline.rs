//! What happened when: one row for each event that a person asks about.

use std::collections::BTreeSet;
use std::time::Duration;

use super::page::{Ink, Page, wrapped};
use crate::model::event::{BodyEnd, Event, Met, PreflightItem, Record, RestartedBy, STEADY_STATE};
use crate::model::units::human;

/// From this width on there are two columns.
const TWO_COLUMNS: usize = 160;
/// So many rows are shown at most: the first ones and the last ones.
const FIRST: usize = 40;
const LAST: usize = 60;
/// Where a row's text begins within its column.
const TEXT: usize = 4 + TIME + 2;
const TIME: usize = 8;

/// Writes the rows, read down the first column and then down the second.
pub(super) fn write(page: &mut Page, records: &[Record]) {
    let rows = shortened(rows(records));
    if rows.is_empty() {
        page.line(4, "nothing happened");
        return;
    }
    let columns = if page.width >= TWO_COLUMNS && rows.len() > 1 {
        2
    } else {
        1
    };
    let column = page.width / columns;
    let lines: Vec<Vec<Line>> = rows.iter().map(|row| row.lines(column)).collect();
    if columns == 1 {
        for (ink, line) in lines.iter().flatten() {
            page.inked(0, *ink, line);
        }
        return;
    }
    let (left, right) = halves(&lines);
    for index in 0..left.len().max(right.len()) {
        let nothing = (Ink::Plain, String::new());
        let (ink, text) = left.get(index).copied().unwrap_or(&nothing);
        let (other, beside) = right.get(index).copied().unwrap_or(&nothing);
        page.pieces(0, &[(*ink, &format!("{text:column$}")), (*other, beside)]);
    }
}

/// Splits where the columns are closest to the same height; the left one may be higher.
fn halves(rows: &[Vec<Line>]) -> (Vec<&Line>, Vec<&Line>) {
    let total: usize = rows.iter().map(Vec::len).sum();
    let mut height = 0;
    let split = rows
        .iter()
        .position(|row| {
            height += row.len();
            height * 2 >= total
        })
        .map_or(rows.len(), |index| index + 1);
    let (left, right) = rows.split_at(split);
    (
        left.iter().flatten().collect(),
        right.iter().flatten().collect(),
    )
}

/// One line of a row, and what it is.
type Line = (Ink, String);

struct Row {
    at: Option<Duration>,
    text: String,
    /// Whether it is about a fault that begins or ends.
    is_fault: bool,
}

impl Row {
    /// What it is, as its words say: a mark for what is wrong, a word for the rest.
    fn ink(&self) -> Ink {
        let text = self.text.as_str();
        if text.starts_with('!') {
            Ink::Bad
        } else if text.starts_with("held: ") {
            Ink::Good
        } else if self.is_fault {
            Ink::Warning
        } else {
            Ink::Plain
        }
    }

    fn lines(&self, width: usize) -> Vec<Line> {
        let ink = self.ink();
        let time = match self.at {
            Some(at) => format!("{:.3}", at.as_secs_f64()),
            None => String::new(),
        };
        // Two columns need a space between them.
        let text = super::plain(&self.text);
        wrapped(&text, width.saturating_sub(TEXT + 2))
            .into_iter()
            .enumerate()
            .map(|(index, part)| match index {
                0 => (ink, format!("    {time:>TIME$}  {part}")),
                _ => (ink, format!("{:TEXT$}  {part}", "")),
            })
            .collect()
    }
}

fn shortened(mut rows: Vec<Row>) -> Vec<Row> {
    if let Some(hidden) = rows.len().checked_sub(FIRST + LAST)
        && hidden > 1
    {
        let row = Row {
            at: None,
            text: format!("... {hidden} more, all of them in the journal ..."),
            is_fault: false,
        };
        rows.splice(FIRST..FIRST + hidden, [row]);
    }
    rows
}

fn rows(records: &[Record]) -> Vec<Row> {
    let lifted: BTreeSet<u64> = records
        .iter()
        .filter_map(|record| match record.event {
            Event::Lifted { entry, .. } => Some(entry),
            _ => None,
        })
        .collect();
    let mut rows: Vec<Row> = Vec::new();
    // Whether the last row tells of undoing, to which the next undo is added.
    let mut undoing = false;
    // The invariant that the last row tells of, and how many more samples violate it.
    let mut violated: Option<(&str, usize)> = None;
    for record in records {
        let at = Duration::from_micros(record.at_us);
        match &record.event {
            // Its lifting says it all.
            Event::Undone { entry, .. } if lifted.contains(entry) => {}
            Event::Undone { what, .. } => match rows.last_mut() {
                Some(row) if undoing => row.text += &format!(", {what}"),
                _ => {
                    violated = None;
                    rows.push(Row {
                        at: Some(at),
                        text: format!("undone: {what}"),
                        is_fault: false,
                    });
                    undoing = true;
                }
            },
            Event::Violated { invariant, .. }
                if violated.is_some_and(|(last, _)| last == invariant) =>
            {
                if let (Some((_, more)), Some(row)) = (&mut violated, rows.last_mut()) {
                    let earlier = further(*more);
                    *more += 1;
                    row.text.truncate(row.text.len() - earlier.len());
                    row.text += &further(*more);
                }
            }
            event => {
                if let Some(text) = text(event) {
                    violated = match event {
                        Event::Violated { invariant, .. } => Some((invariant.as_str(), 0)),
                        _ => None,
                    };
                    rows.push(Row {
                        at: Some(at),
                        text,
                        is_fault: matches!(event, Event::Injected { .. } | Event::Lifted { .. }),
                    });
                    undoing = false;
                }
            }
        }
    }
    rows
}

/// How many samples more violate an invariant, behind the first.
fn further(more: usize) -> String {
    match more {
        0 => String::new(),
        more => format!("; and {more} more in a row"),
    }
}

/// A row's text, for an event that has a row.
fn text(event: &Event) -> Option<String> {
    let micros = |us: &u64| human(Duration::from_micros(*us));
    Some(match event {
        Event::Environment {
            name, chosen_by, ..
        } => format!("environment {name} ({chosen_by})"),
        Event::Permitted {
            fault,
            environment,
            confirmed,
            attested,
            window,
        } => {
            let mut by = Vec::new();
            by.extend(confirmed.iter().map(|token| format!("confirmed {token}")));
            by.extend(attested.iter().map(|said| format!("attested {said}")));
            by.extend(window.iter().map(|window| format!("window {window}")));
            format!("{fault} permitted in {environment}: {}", by.join(", "))
        }
        Event::Waiting { lease, held } => format!("waits for {}: {held}", turn(lease)),
        Event::Waited { lease, took_us } => {
            format!("waited {} for {}", micros(took_us), turn(lease))
        }
        Event::FixtureReady { fixture, took_us } => {
            format!("fixture {fixture} ready ({})", micros(took_us))
        }
        Event::FixtureSkipped { fixture, why } => format!("fixture {fixture} skipped: {why}"),
        Event::FixtureFailed { fixture, why } => format!("! fixture {fixture} failed: {why}"),
        Event::ServiceStarted {
            service,
            pid,
            container,
            ports,
            took_us,
            ..
        } => {
            let ports: String = ports.iter().map(|port| format!(", port {port}")).collect();
            let runs_in = match container {
                Some(container) => format!("container {container}"),
                None => format!("pid {pid}"),
            };
            format!("{service} started ({runs_in}{ports}, {})", micros(took_us))
        }
        Event::ServiceFound {
            service,
            what,
            pid,
            ports,
        } => {
            let ports: String = ports.iter().map(|port| format!(", port {port}")).collect();
            let pid = if *pid == 0 {
                String::new()
            } else {
                format!(", pid {pid}")
            };
            format!("{service} is {what}, which was there before{pid}{ports}")
        }
        Event::Restarted {
            service,
            by,
            after_us,
            pid,
            ..
        } => {
            let how = match by {
                RestartedBy::Supervisor => "brought back by its own supervisor",
                RestartedBy::Undo => "still dead, and started again by us",
            };
            format!("{service} {how} after {} (pid {pid})", micros(after_us))
        }
        Event::ServiceDied { service, how } => format!("! {service} died: {how}"),
        Event::Injected { fault, took_us, .. } => format!("{fault} injected ({})", micros(took_us)),
        Event::DryRun => "a dry run: nothing is broken".to_owned(),
        Event::WouldInject { .. } => {
            format!(
                "would inject {}",
                super::plan::in_words(event).unwrap_or_default()
            )
        }
        Event::Preflight { fault, items } => preflight(fault, items),
        Event::BlastRadius { radius } => format!("blast radius: {radius}"),
        Event::LimitReached {
            fault, limit_us, ..
        } => format!(
            "! blast radius: `{fault}` was in force for {}, the most that is allowed: it is lifted",
            micros(limit_us)
        ),
        Event::InjectFailed { fault, why } => format!("! {fault} could not be injected: {why}"),
        Event::Lifted {
            fault,
            lasted_us,
            hits,
            dropped,
            counts,
            ..
        } => {
            let met = match hits {
                0 => format!("nothing met it ({counts})"),
                1 => "met once".to_owned(),
                hits => format!("met {hits} times"),
            };
            let how = if *dropped {
                " as its guard was dropped"
            } else {
                ""
            };
            format!("{fault} lifted after {}{how}, {met}", micros(lasted_us))
        }
        Event::UndoFailed { what, why, .. } => format!("! could not undo {what}: {why}"),
        Event::Baseline {
            monitor, summary, ..
        } => format!("baseline of {monitor}: {summary}"),
        Event::Judged {
            what, actual, met, ..
        } => match met {
            Met::Yes => format!("held: {what}: {}", brief(actual)),
            Met::No => format!("! missed: {what}: {}", brief(actual)),
            Met::NoData => format!("! no data: {what}"),
            Met::NotJudged => format!("not judged, because this is a dry run: {what}"),
        },
        Event::Recovered {
            monitor,
            degraded: false,
            ..
        } => {
            format!("{monitor} never degraded: nothing to recover from")
        }
        Event::Recovered {
            monitor,
            recovery_us,
            outage_us,
            lost,
            ..
        } => {
            let outage = match outage_us {
                Some(outage) => format!(
                    ": out of steady state for {}, {lost} samples lost",
                    micros(outage)
                ),
                None => String::new(),
            };
            format!("{monitor} recovered after {}{outage}", micros(recovery_us))
        }
        Event::NotRecovered {
            monitor,
            limit_us,
            recovery_us,
            ..
        } => match recovery_us {
            Some(late) => format!(
                "! {monitor} recovered late, after {} and not within {}",
                micros(late),
                micros(limit_us)
            ),
            None => format!("! {monitor} did not recover within {}", micros(limit_us)),
        },
        Event::Violated {
            invariant,
            sample,
            why,
        } => format!(
            "! violated: {invariant}: the sample of {:.3}: {why}",
            sample.at.as_secs_f64()
        ),
        Event::Transition {
            of,
            from,
            to,
            unseen,
        } => {
            let unseen = if *unseen { " (counted, not seen)" } else { "" };
            match from {
                Some(from) => format!("{of}: {from} -> {to}{unseen}"),
                None => format!("{of}: {to}{unseen}"),
            }
        }
        Event::Kept { kept } => {
            let what: Vec<String> = kept.iter().map(|one| one.undo.to_string()).collect();
            format!("kept on purpose, so nobody does this: {}", what.join(", "))
        }
        Event::HarnessFailed { why } => format!("! the harness failed: {why}"),
        Event::Note { text } => format!("note: {text}"),
        Event::BodyEnded { how } => match how {
            BodyEnd::Returned => "the test returned".to_owned(),
            BodyEnd::Failed(_) => "! the test returned an error".to_owned(),
            BodyEnd::Errored(_) => "! the harness could not go on".to_owned(),
            BodyEnd::Panicked(_) => "! the test panicked".to_owned(),
            BodyEnd::PanickedAsExpected(_) => "the test panicked, as it should".to_owned(),
            BodyEnd::TimedOut(_) => "! the test timed out and was abandoned".to_owned(),
            BodyEnd::Interrupted(why) => format!("! stopped: {why}"),
            BodyEnd::Aborted(why) => format!("! aborted: {why}"),
            BodyEnd::Skipped(_) => "the test skipped itself".to_owned(),
            BodyEnd::ProcessExited(_) => "! the process ended within the test".to_owned(),
            BodyEnd::None | BodyEnd::Dropped => return None,
        },
        Event::Started(_)
        | Event::BodyStarted
        | Event::Planned { .. }
        | Event::Made { .. }
        | Event::Undone { .. }
        | Event::Samples { .. }
        | Event::Traced { .. }
        | Event::Finished { .. } => return None,
    })
}

/// In short where all is well, and each thing that is not in full.
fn preflight(fault: &str, items: &[PreflightItem]) -> String {
    let wrong: Vec<String> = items
        .iter()
        .filter(|item| !item.ok)
        .map(|item| format!("{}: {}", item.check, item.detail))
        .collect();
    if !wrong.is_empty() {
        return format!("! pre-flight of {fault}: {}", wrong.join("; "));
    }
    let steady = items.iter().find(|item| item.check == STEADY_STATE);
    let steady = steady.map_or("nothing is known of it", |item| &item.detail);
    format!("pre-flight of {fault}: all is well ({steady})")
}

/// The beginning of what was seen: all of it stands with the judgement, if that was missed.
fn brief(actual: &str) -> &str {
    let line = actual.lines().next().unwrap_or_default();
    let clauses = ["; ", ", the last: ", ", the first: "];
    let end = clauses.iter().filter_map(|clause| line.find(clause)).min();
    end.map_or(line, |end| &line[..end])
}

/// What a test waits for.
fn turn(lease: &Option<String>) -> String {
    match lease {
        Some(name) => format!("the lease `{name}`"),
        None => "its turn".to_owned(),
    }
}
