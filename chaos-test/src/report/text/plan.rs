//! What a dry run would have done, in order.

use std::time::Duration;

use crate::model::event::{BodyEnd, Event, Record};
use crate::model::target::Target;
use crate::model::units::human;

/// The lines that say it, under the name of the test; none where it was no dry run.
#[must_use]
pub fn plan(name: &str, records: &[Record]) -> Option<String> {
    let events = || records.iter().map(|record| &record.event);
    if !events().any(|event| matches!(event, Event::DryRun)) {
        return None;
    }
    let mut lines = Vec::new();
    let mut number = 0;
    for event in events() {
        match event {
            Event::WouldInject { .. } => {
                number += 1;
                let text = in_words(event).unwrap_or_default();
                lines.push(format!("  {number}. {text}"));
            }
            Event::InjectFailed { why, .. } => lines.push(format!("  !  {}", first(why))),
            Event::Note { text } if text.starts_with("dry run: ") => {
                lines.push(format!("  -  {}", text.trim_start_matches("dry run: ")));
            }
            Event::BodyEnded {
                how:
                    BodyEnd::Failed(why)
                    | BodyEnd::Errored(why)
                    | BodyEnd::Panicked(why)
                    | BodyEnd::TimedOut(why),
            } => lines.push(format!("  !  the body went wrong: {}", first(why))),
            _ => {}
        }
    }
    if number == 0 {
        lines.insert(0, "  nothing would have been injected".to_owned());
    }
    lines.insert(0, format!("dry run of {name}:"));
    Some(lines.join("\n"))
}

/// A fault that would have been injected, with all there is to know of it beforehand.
#[must_use]
pub fn in_words(event: &Event) -> Option<String> {
    let Event::WouldInject {
        fault,
        targets,
        risk,
        undo,
        lasts_us,
        ..
    } = event
    else {
        return None;
    };
    let targets: Vec<String> = targets.iter().map(Target::to_string).collect();
    let lasts = match lasts_us {
        Some(us) => format!("for {}", human(Duration::from_micros(*us))),
        None => "until it is lifted".to_owned(),
    };
    Some(format!(
        "{fault} ({}; risk {risk}; {lasts}; undo: {undo})",
        targets.join(", ")
    ))
}

fn first(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::event::Risk;

    fn records(events: Vec<Event>) -> Vec<Record> {
        let events = events.into_iter().enumerate();
        events
            .map(|(index, event)| Record {
                seq: index as u64,
                at_us: 0,
                event,
            })
            .collect()
    }

    #[test]
    fn a_plan_has_all_that_would_have_happened_in_order() {
        let would = |fault: &str, lasts_us| Event::WouldInject {
            entry: 1,
            fault: fault.to_owned(),
            targets: vec![Target::Service("cache".into())],
            risk: Risk::Medium,
            undo: "have `cache` run again".to_owned(),
            lasts_us,
        };
        let events = vec![
            Event::DryRun,
            Event::Note {
                text: "dry run: the negative control with A=b is not run".into(),
            },
            would("kill cache", None),
            Event::InjectFailed {
                fault: "kill shop".into(),
                why: "kill shop was refused\n  help: no".into(),
            },
            would("stop cache", Some(30_000_000)),
            Event::BodyEnded {
                how: BodyEnd::Panicked("boom".into()),
            },
        ];
        insta::assert_snapshot!(plan("a::test", &records(events)).unwrap(), @r"
        dry run of a::test:
          -  the negative control with A=b is not run
          1. kill cache (service `cache`; risk medium; until it is lifted; undo: have `cache` run again)
          !  kill shop was refused
          2. stop cache (service `cache`; risk medium; for 30 s; undo: have `cache` run again)
          !  the body went wrong: boom
        ");
    }

    #[test]
    fn an_empty_plan_says_so_and_a_real_run_has_none() {
        let dry = plan("a", &records(vec![Event::DryRun])).unwrap();
        assert_eq!(dry, "dry run of a:\n  nothing would have been injected");
        assert_eq!(plan("a", &records(vec![Event::BodyStarted])), None);
    }
}
