//! When which fault was about to be applied, and when it was lifted, from a test's records.

use std::time::Duration;

use crate::model::event::{Event, Record};

/// The time of one fault, since the context started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Phase {
    /// Its entry in the rollback.
    pub entry: u64,
    /// The fault, in words.
    pub fault: String,
    /// When it was about to be applied: what it does may begin at any time from here on.
    pub begun: Duration,
    /// When it was lifted; none where it still is in force.
    pub lifted: Option<Duration>,
}

/// The faults that came into effect, in the order in which they were about to be applied.
#[must_use]
pub fn phases(records: &[Record]) -> Vec<Phase> {
    let mut phases: Vec<Phase> = Vec::new();
    let mut injected = Vec::new();
    for record in records {
        let at = Duration::from_micros(record.at_us);
        match &record.event {
            Event::Planned {
                entry,
                what,
                fault: true,
                ..
            } => phases.push(Phase {
                entry: *entry,
                fault: what.clone(),
                begun: at,
                lifted: None,
            }),
            Event::Injected { entry, .. } => injected.push(*entry),
            Event::Lifted { entry, .. } => {
                if let Some(phase) = phases.iter_mut().find(|phase| phase.entry == *entry) {
                    phase.lifted = Some(at);
                }
            }
            _ => {}
        }
    }
    phases.retain(|phase| injected.contains(&phase.entry));
    phases
}

/// The faults that were in force at an instant.
#[must_use]
pub fn in_force(phases: &[Phase], at: Duration) -> Vec<&str> {
    let then = |phase: &&Phase| phase.begun <= at && phase.lifted.is_none_or(|end| at < end);
    phases
        .iter()
        .filter(then)
        .map(|phase| phase.fault.as_str())
        .collect()
}

/// ` under "kill cache"`, or nothing where there is no fault.
#[must_use]
pub fn under(faults: &[&str]) -> String {
    match faults {
        [] => String::new(),
        faults => format!(" under \"{}\"", faults.join("\", \"")),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::model::event::Risk;
    use crate::model::undo::Undo;
    use crate::model::units::ms;

    /// The records of faults: a name, when it was about to be applied, and when it was lifted.
    pub(in crate::decide) fn faults(faults: &[(&str, u64, Option<u64>)]) -> Vec<Record> {
        let mut records = Vec::new();
        for (index, (fault, begun, lifted)) in faults.iter().enumerate() {
            let entry = index as u64;
            let planned = Event::Planned {
                entry,
                what: (*fault).to_owned(),
                undo: Undo::Nothing,
                fault: true,
            };
            let injected = Event::Injected {
                entry,
                fault: (*fault).to_owned(),
                targets: Vec::new(),
                risk: Risk::Low,
                took_us: 0,
            };
            records.push((*begun, planned));
            records.push((*begun + 1, injected));
            if let Some(lifted) = lifted {
                records.push((
                    *lifted,
                    Event::Lifted {
                        entry,
                        fault: (*fault).to_owned(),
                        lasted_us: 0,
                        hits: 1,
                        dropped: false,
                        cancelled: false,
                        counts: String::new(),
                    },
                ));
            }
        }
        records.sort_by_key(|(at, _)| *at);
        let numbered = records.into_iter().zip(1..);
        numbered
            .map(|((at, event), seq)| Record {
                seq,
                at_us: at * 1000,
                event,
            })
            .collect()
    }

    #[test]
    fn a_fault_lasts_from_before_it_is_applied_until_it_is_lifted() {
        let mut records = faults(&[("kill", 100, Some(300)), ("slow", 200, None)]);
        // One that could not be injected broke nothing.
        records.push(Record {
            seq: 99,
            at_us: 400_000,
            event: Event::Planned {
                entry: 9,
                what: "never".into(),
                undo: Undo::Nothing,
                fault: true,
            },
        });
        let phases = phases(&records);
        let seen: Vec<_> = phases
            .iter()
            .map(|phase| (phase.fault.as_str(), phase.begun, phase.lifted))
            .collect();
        assert_eq!(
            seen,
            [("kill", ms(100), Some(ms(300))), ("slow", ms(200), None)]
        );
        assert_eq!(in_force(&phases, ms(99)), Vec::<&str>::new());
        assert_eq!(in_force(&phases, ms(250)), ["kill", "slow"]);
        assert_eq!(in_force(&phases, ms(300)), ["slow"]);
        assert_eq!(under(&["kill", "slow"]), " under \"kill\", \"slow\"");
    }
}
