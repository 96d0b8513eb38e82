//! The three answers of a test, from nothing but its records.

use crate::model::event::{BodyEnd, Event, Met, Record};
use crate::model::journal;
use crate::model::outcome::{Control, Leftover, Outcome, Restoration, RunStatus, Verdict};
use crate::model::units::human;

/// Judges a test that has been rolled back.
#[must_use]
pub fn judge(records: &[Record]) -> Outcome {
    let status = status(records);
    let status = dry_run(records).unwrap_or(status);
    let (known_gap, control) = match records.first().map(|record| &record.event) {
        Some(Event::Started(started)) => (started.known_gap.clone(), started.control.clone()),
        _ => (None, None),
    };
    let mut verdict = verdict(records, &status);
    let status = match status {
        // Whatever the body makes of it, it is no skip.
        RunStatus::Skipped(_) if spoiled(records).is_some() => RunStatus::Completed,
        status => status,
    };
    // Who expects a deviation expects it of chaos.
    if let (true, Verdict::Deviated(why)) = (known_gap.is_some() || control.is_some(), &verdict)
        && !injected(records)
    {
        verdict = Verdict::Unknown(format!(
            "no chaos happened: nothing was injected before it deviated: {why}"
        ));
    }
    let control = control.map(|control| Control {
        deviated: deviation(records, &status, &verdict),
        ..control
    });
    Outcome {
        verdict,
        restoration: restoration(records),
        status,
        known_gap,
        control,
    }
}

/// Why a weakened test went wrong after something was broken.
fn deviation(records: &[Record], status: &RunStatus, verdict: &Verdict) -> Option<String> {
    let why = match (status, verdict) {
        (RunStatus::Aborted(why) | RunStatus::TimedOut(why), _) => why,
        (RunStatus::Completed, Verdict::Deviated(why)) => why,
        _ => return None,
    };
    injected(records).then(|| why.clone())
}

/// Whether a fault was in force that somebody could have met.
fn injected(records: &[Record]) -> bool {
    let cancelled = |wanted: u64| {
        records.iter().any(|record| {
            matches!(record.event, Event::Lifted { entry, cancelled: true, .. } if entry == wanted)
        })
    };
    records
        .iter()
        .any(|record| matches!(record.event, Event::Injected { entry, .. } if !cancelled(entry)))
}

/// Whether a test whose body has ended has failed already, whatever comes of its rollback. A
/// skip is no failure, nor is it one to be stopped.
#[must_use]
pub fn has_failed(records: &[Record]) -> bool {
    let Outcome {
        status,
        verdict,
        known_gap,
        control,
        ..
    } = judge(records);
    if let Some(control) = control {
        return !control.is_as_expected();
    }
    match verdict {
        Verdict::Held => known_gap.is_some(),
        Verdict::Deviated(_) => known_gap.is_none(),
        Verdict::Unknown(_) => !matches!(status, RunStatus::Skipped(_) | RunStatus::Interrupted(_)),
    }
}

/// Whether the set-up of a fixture failed, which is no skip.
#[must_use]
pub fn set_up_failed(records: &[Record]) -> bool {
    let mut events = records.iter().map(|record| &record.event);
    events.any(|event| matches!(event, Event::FixtureFailed { .. }))
}

fn body_end(records: &[Record]) -> Option<&BodyEnd> {
    records.iter().rev().find_map(|record| match &record.event {
        Event::BodyEnded { how } => Some(how),
        _ => None,
    })
}

fn status(records: &[Record]) -> RunStatus {
    let failed = records.iter().find_map(|record| match &record.event {
        Event::HarnessFailed { why } => Some(why),
        _ => None,
    });
    if let Some(why) = failed {
        return RunStatus::Errored(why.clone());
    }
    match body_end(records) {
        None => RunStatus::Errored("the test started and never ended".to_owned()),
        Some(
            BodyEnd::Returned
            | BodyEnd::None
            | BodyEnd::Failed(_)
            | BodyEnd::Panicked(_)
            | BodyEnd::PanickedAsExpected(_),
        ) => RunStatus::Completed,
        Some(BodyEnd::Errored(why) | BodyEnd::ProcessExited(why)) => {
            RunStatus::Errored(why.clone())
        }
        Some(BodyEnd::TimedOut(why)) => RunStatus::TimedOut(why.clone()),
        Some(BodyEnd::Interrupted(why)) => RunStatus::Interrupted(why.clone()),
        Some(BodyEnd::Aborted(why)) => RunStatus::Aborted(why.clone()),
        Some(BodyEnd::Skipped(why)) => RunStatus::Skipped(why.clone()),
        Some(BodyEnd::Dropped) => RunStatus::Skipped(
            "not judged: its context was dropped without `finish`, which only puts things back"
                .to_owned(),
        ),
    }
}

/// What a dry run comes to: a skip, unless something was wrong before it would have broken
/// anything, or somebody stopped it. What goes wrong afterwards may do so because nothing broke.
fn dry_run(records: &[Record]) -> Option<RunStatus> {
    let events = || records.iter().map(|record| &record.event);
    let is_dry = events().any(|event| matches!(event, Event::DryRun));
    let failed = events().any(|event| {
        matches!(
            event,
            Event::HarnessFailed { .. }
                | Event::Judged {
                    met: Met::No | Met::NoData,
                    ..
                }
        )
    });
    if !is_dry || failed || spoiled(records).is_some() {
        return None;
    }
    let faults: Vec<&str> = events()
        .filter_map(|event| match event {
            Event::WouldInject { fault, .. } => Some(fault.as_str()),
            _ => None,
        })
        .collect();
    let plan = match faults.len() {
        0 => "nothing would have been injected".to_owned(),
        1 => format!("would have injected 1 fault: {}", faults[0]),
        count => format!("would have injected {count} faults: {}", faults.join(", ")),
    };
    match body_end(records)? {
        BodyEnd::Returned | BodyEnd::None | BodyEnd::PanickedAsExpected(_) => {
            Some(RunStatus::Skipped(format!("dry run: {plan}")))
        }
        BodyEnd::Failed(why)
        | BodyEnd::Errored(why)
        | BodyEnd::Panicked(why)
        | BodyEnd::TimedOut(why)
            if !faults.is_empty() =>
        {
            let why = why.lines().next().unwrap_or_default();
            Some(RunStatus::Skipped(format!(
                "dry run: {plan}; then the body went wrong: {why}"
            )))
        }
        _ => None,
    }
}

/// Why the experiment did not go as it was meant to go, if so, and how many records there were
/// before.
#[must_use]
pub fn spoiled(records: &[Record]) -> Option<(usize, String)> {
    records.iter().enumerate().find_map(|(index, record)| {
        let why = match &record.event {
            Event::LimitReached {
                fault, limit_us, ..
            } => format!(
                "blast radius: `{fault}` was in force for {}, the most that is allowed; it was \
                 lifted\n  help: have it end sooner, with `lift` or `.lasting(..)`, or allow more \
                 in `blast_radius(duration <= ..)`",
                human(std::time::Duration::from_micros(*limit_us))
            ),
            Event::Preflight { fault, items } => {
                let item = items.iter().find(|item| item.is_not_steady())?;
                format!(
                    "not tested: the steady state does not hold before `{fault}`: {}",
                    item.detail
                )
            }
            _ => return None,
        };
        Some((index, why))
    })
}

fn verdict(records: &[Record], status: &RunStatus) -> Verdict {
    // What was seen before stands; what came afterwards was seen of something else.
    if let Some((before, why)) = spoiled(records)
        && judged(&records[..before], Met::No).next().is_none()
    {
        return Verdict::Unknown(why);
    }
    // What was seen stands, however the body ended afterwards.
    let missed: Vec<String> = judged(records, Met::No).collect();
    if !missed.is_empty() {
        return Verdict::Deviated(missed.join("\n"));
    }
    match (status, body_end(records)) {
        (RunStatus::Completed, Some(BodyEnd::Failed(why))) => {
            return Verdict::Deviated(format!("the body returned an error: {why}"));
        }
        (RunStatus::Completed, Some(BodyEnd::Panicked(why))) => {
            return Verdict::Deviated(format!("the body panicked: {why}"));
        }
        (RunStatus::Completed, _) => {}
        (RunStatus::Skipped(_), _) => return Verdict::Unknown("it was skipped".to_owned()),
        _ => return Verdict::Unknown("the run did not finish".to_owned()),
    }
    let without_data: Vec<String> = judged(records, Met::NoData).collect();
    if !without_data.is_empty() {
        return Verdict::Unknown(without_data.join("\n"));
    }
    match no_chaos(records) {
        Some(why) => Verdict::Unknown(why),
        None => Verdict::Held,
    }
}

fn judged(records: &[Record], wanted: Met) -> impl Iterator<Item = String> {
    records
        .iter()
        .filter_map(move |record| match &record.event {
            Event::Judged {
                what,
                expected,
                actual,
                met,
                at,
                ..
            } if *met == wanted => {
                let at = if at.is_empty() {
                    String::new()
                } else {
                    format!("\n  at {at}")
                };
                Some(format!("{what}: {actual}, expected {expected}{at}"))
            }
            _ => None,
        })
}

/// Why a run cannot count as chaos, if it cannot.
fn no_chaos(records: &[Record]) -> Option<String> {
    if !injected(records) {
        return Some(
            "no chaos happened: nothing was injected\n  help: a chaos test that breaks nothing \
             proves nothing; inject a fault with `chaos.during(..)` or `chaos.inject(..)`, or \
             make it an ordinary test"
                .to_owned(),
        );
    }
    let unmet: Vec<String> = records
        .iter()
        .filter_map(|record| match &record.event {
            Event::Lifted {
                fault,
                lasted_us,
                hits: 0,
                dropped,
                cancelled: false,
                counts,
                ..
            } => {
                let lasted = human(std::time::Duration::from_micros(*lasted_us));
                let help = if *dropped {
                    "its guard was dropped: bind it to a name that lives as long as the fault \
                     is to last (`let _ = ...` drops at once), or use `chaos.during(..)`"
                } else {
                    "have the system under test use the target while the fault is in effect, \
                     and watch it with a monitor"
                };
                Some(format!(
                    "no chaos happened: {fault} was in effect for {lasted}, and nothing met it \
                     ({counts})\n  help: {help}"
                ))
            }
            _ => None,
        })
        .collect();
    (!unmet.is_empty()).then(|| unmet.join("\n"))
}

fn restoration(records: &[Record]) -> Restoration {
    let (mut faults, mut others) = (0, 0);
    for record in records {
        match record.event {
            Event::Undone { fault: true, .. } => faults += 1,
            Event::Undone { fault: false, .. } => others += 1,
            _ => {}
        }
    }
    let left: Vec<Leftover> = journal::pending(records)
        .into_iter()
        .map(|step| {
            let why = records.iter().rev().find_map(|record| match &record.event {
                Event::UndoFailed { entry, why, .. } if *entry == step.entry => Some(why.clone()),
                _ => None,
            });
            Leftover {
                what: format!("{} (after: {})", step.undo, step.what),
                why: why.unwrap_or_else(|| "it was never tried".to_owned()),
                by_hand: step.undo.by_hand(),
            }
        })
        .collect();
    if left.is_empty() {
        let kept = journal::kept(records).len();
        Restoration::Restored {
            faults,
            others,
            kept,
        }
    } else {
        Restoration::Unrestored { left }
    }
}

/// One line that says why a test did not pass, for a report's title.
#[must_use]
pub fn headline(outcome: &Outcome) -> String {
    if outcome.passed() {
        return String::new();
    }
    let first = |text: &str| text.lines().next().unwrap_or_default().to_owned();
    if let Some(control) = &outcome.control
        && let (Some(why), Some(reason)) = (&control.deviated, &control.reason)
        && !control.is_as_expected()
    {
        return format!(
            "the negative control with {} deviated, but not because of `{reason}`: {}",
            control.changed,
            first(why)
        );
    }
    match (&outcome.status, &outcome.verdict, &outcome.restoration) {
        (RunStatus::Aborted(why), ..) => format!("aborted: {}", first(why)),
        (_, Verdict::Deviated(why), _) => format!("hypothesis deviated: {}", first(why)),
        (RunStatus::Errored(why), ..) => format!("the harness could not go on: {}", first(why)),
        (RunStatus::TimedOut(why), ..) => format!("timed out: {}", first(why)),
        (RunStatus::Interrupted(why), ..) => format!("interrupted: {}", first(why)),
        (RunStatus::Completed, Verdict::Unknown(why), _) => first(why),
        (_, _, Restoration::Unrestored { left }) => format!(
            "not everything was put back: {}",
            left.iter()
                .map(|left| left.what.as_str())
                .collect::<Vec<_>>()
                .join(", ")
        ),
        (RunStatus::Skipped(why), ..) => first(why),
        (RunStatus::Completed, Verdict::Held, Restoration::Restored { .. }) => {
            match (&outcome.known_gap, &outcome.control) {
                (_, Some(control)) => format!(
                    "the hypothesis held with {}, which was to weaken it: the test proves nothing",
                    control.changed
                ),
                (Some(gap), None) => format!(
                    "the known gap `{gap}` is closed, the hypothesis held: take `known_gap` away"
                ),
                (None, None) => String::new(),
            }
        }
    }
}

#[cfg(test)]
mod tests;
