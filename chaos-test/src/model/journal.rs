//! Reading a journal: from text to records, and to what is still to be undone.

use std::collections::BTreeMap;

use super::event::{Event, JOURNAL_VERSION, Kept, Record, Started};
use super::undo::Undo;

/// A journal, read.
///
/// ```
/// use chaos_test::{Event, Journal, Unreadable};
///
/// fn faults(journal: &str) -> Result<Vec<String>, Unreadable> {
///     let records = Journal::read(journal)?.records.into_iter();
///     let injected = records.filter_map(|record| match record.event {
///         Event::Injected { fault, .. } => Some(fault),
///         _ => None,
///     });
///     Ok(injected.collect())
/// }
/// assert_eq!(faults(""), Err(Unreadable::Empty));
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Journal {
    /// Its first line.
    pub started: Started,
    /// All its lines, the first one included.
    pub records: Vec<Record>,
    /// Whether its last line was torn, as a kill in the middle of a write leaves it.
    pub torn: bool,
}

/// An undo step that a journal planned and that nobody is known to have performed.
///
/// ```
/// use chaos_test::Journal;
///
/// /// What a person would do to put everything back, in this order.
/// fn by_hand(journal: &Journal) -> Vec<String> {
///     let pending = journal.pending().into_iter();
///     pending.map(|step| format!("{}: {}", step.what, step.undo.by_hand())).collect()
/// }
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Pending {
    /// Its place in the order of the process: the highest is undone first.
    pub seq: u64,
    /// The entry's number.
    pub entry: u64,
    /// What was done, in words.
    pub what: String,
    /// How it is undone.
    pub undo: Undo,
    /// Whether it is a fault.
    pub fault: bool,
    /// Whether whoever was asked to make the thing has said that it is made. Where it was
    /// not, one that is not there may still come.
    pub made: bool,
    /// Milliseconds since 1970 when it was planned.
    pub planned_ms: u64,
}

/// What is to be undone, kept up to date record by record.
#[derive(Debug, Default)]
pub(crate) struct Open {
    wall_clock_ms: u64,
    steps: BTreeMap<u64, Pending>,
}

impl Open {
    pub(crate) fn see(&mut self, record: &Record) {
        match &record.event {
            Event::Started(started) => self.wall_clock_ms = started.wall_clock_ms,
            Event::Planned {
                entry,
                what,
                undo,
                fault,
            } => {
                let step = Pending {
                    seq: record.seq,
                    entry: *entry,
                    what: what.clone(),
                    undo: undo.clone(),
                    fault: *fault,
                    made: false,
                    planned_ms: self.wall_clock_ms.saturating_add(record.at_us / 1000),
                };
                self.steps.insert(*entry, step);
            }
            Event::Made { entry } => {
                if let Some(step) = self.steps.get_mut(entry) {
                    step.made = true;
                }
            }
            Event::Undone { entry, .. } => {
                self.steps.remove(entry);
            }
            Event::Kept { kept } => {
                for kept in kept {
                    self.steps.remove(&kept.entry);
                }
            }
            _ => {}
        }
    }

    /// The step of an entry, while it is to be undone.
    pub(crate) fn get(&self, entry: u64) -> Option<&Pending> {
        self.steps.get(&entry)
    }

    pub(crate) fn newest_first(&self) -> Vec<Pending> {
        let mut pending: Vec<_> = self.steps.values().cloned().collect();
        pending.sort_by_key(|step| std::cmp::Reverse(step.seq));
        pending
    }
}

/// Why a text is not a journal that we may act on.
///
/// ```
/// use chaos_test::{JOURNAL_VERSION, Journal, Unreadable};
///
/// let empty = Journal::read("").unwrap_err();
/// assert_eq!(empty.to_string(), "it has no whole first line");
/// let newer = Unreadable::Version(JOURNAL_VERSION + 1);
/// println!("{newer}"); // which one it is, and which one this library reads
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unreadable {
    /// There is not even a whole first line: nothing was ever planned in it.
    Empty,
    /// Another version of this library wrote it.
    Version(u32),
    /// A line in the middle is not a record.
    Line {
        /// Which, from 1.
        number: usize,
        /// What is wrong with it.
        why: String,
    },
}

impl std::fmt::Display for Unreadable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Empty => write!(f, "it has no whole first line"),
            Self::Version(version) => write!(
                f,
                "its format is version {version}, this library reads version {JOURNAL_VERSION}"
            ),
            Self::Line { number, why } => write!(f, "line {number} is not a record: {why}"),
        }
    }
}

impl Journal {
    /// Reads a journal. A torn last line is tolerated: what it was about to say had not
    /// happened yet.
    ///
    /// # Errors
    ///
    /// [`Unreadable`] where it is empty, of another version or damaged in the middle.
    pub fn read(text: &str) -> Result<Self, Unreadable> {
        let mut records = Vec::new();
        let mut torn = false;
        let lines: Vec<&str> = text.split_inclusive('\n').collect();
        for (index, line) in lines.iter().enumerate() {
            let last = index + 1 == lines.len();
            match serde_json::from_str::<Record>(line) {
                // Without its end a line was not written whole, even if it parses.
                Ok(_) if !line.ends_with('\n') => torn = true,
                Ok(record) => records.push(record),
                Err(_) if last && !line.ends_with('\n') => torn = true,
                Err(error) => {
                    if index == 0
                        && let Some(version) = version_of(line)
                        && version != JOURNAL_VERSION
                    {
                        return Err(Unreadable::Version(version));
                    }
                    return Err(Unreadable::Line {
                        number: index + 1,
                        why: error.to_string(),
                    });
                }
            }
        }
        let Some(Event::Started(started)) = records.first().map(|record| &record.event) else {
            return Err(if records.is_empty() {
                Unreadable::Empty
            } else {
                Unreadable::Line {
                    number: 1,
                    why: "a journal begins with the event `started`".to_owned(),
                }
            });
        };
        if started.version != JOURNAL_VERSION {
            return Err(Unreadable::Version(started.version));
        }
        Ok(Self {
            started: started.as_ref().clone(),
            records,
            torn,
        })
    }

    /// What is still to be undone, newest first.
    ///
    /// See [`Pending`] for an example.
    #[must_use]
    pub fn pending(&self) -> Vec<Pending> {
        pending(&self.records)
    }

    /// Whether it was closed in order.
    ///
    /// ```
    /// use chaos_test::Journal;
    ///
    /// /// Whether somebody has to look after what a test left.
    /// fn needs_attention(journal: &Journal) -> bool {
    ///     !journal.finished() && !journal.pending().is_empty()
    /// }
    /// ```
    #[must_use]
    pub fn finished(&self) -> bool {
        self.records
            .iter()
            .any(|record| matches!(record.event, Event::Finished { .. }))
    }
}

/// What was left on purpose, newest first.
#[must_use]
pub fn kept(records: &[Record]) -> Vec<Kept> {
    let kept = records.iter().filter_map(|record| match &record.event {
        Event::Kept { kept } => Some(kept.clone()),
        _ => None,
    });
    kept.flatten().collect()
}

/// What some records leave to be undone, newest first.
#[must_use]
pub fn pending(records: &[Record]) -> Vec<Pending> {
    let mut open = Open::default();
    for record in records {
        open.see(record);
    }
    open.newest_first()
}

fn version_of(line: &str) -> Option<u32> {
    let value: serde_json::Value = serde_json::from_str(line).ok()?;
    u32::try_from(value.get("version")?.as_u64()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::identity::ProcessIdentity;

    fn started() -> Event {
        Event::Started(Box::new(Started {
            version: JOURNAL_VERSION,
            run: "r".into(),
            test: "t".into(),
            process: ProcessIdentity {
                pid: 1,
                start_time: 2,
                boot_id: "b".into(),
                namespace: 3,
            },
            wall_clock_ms: 0,
            hypothesis: String::new(),
            seed: 0,
            tags: vec![],
            arguments: vec![],
            reports: "/r".into(),
            fragment: "f".into(),
            abandoned: vec![],
            attempt: 1,
            known_gap: None,
            control: None,
        }))
    }

    fn planned(entry: u64) -> Event {
        Event::Planned {
            entry,
            what: format!("step {entry}"),
            undo: Undo::Nothing,
            fault: false,
        }
    }

    fn text(events: &[Event]) -> String {
        events
            .iter()
            .enumerate()
            .map(|(index, event)| {
                let record = Record {
                    seq: index as u64,
                    at_us: 0,
                    event: event.clone(),
                };
                serde_json::to_string(&record).unwrap() + "\n"
            })
            .collect()
    }

    #[test]
    fn what_was_planned_and_not_undone_is_pending_newest_first() {
        let undone = Event::Undone {
            entry: 2,
            what: "step 2".into(),
            fault: false,
        };
        let journal = Journal::read(&text(&[
            started(),
            planned(1),
            planned(2),
            planned(3),
            undone,
        ]))
        .unwrap();
        let entries: Vec<_> = journal.pending().iter().map(|step| step.entry).collect();
        assert_eq!(entries, [3, 1]);
        assert!(!journal.torn && !journal.finished());
    }

    #[test]
    fn a_step_tells_whether_the_thing_was_made_and_when_it_was_planned() {
        let mut journal = Journal::read(&text(&[
            started(),
            planned(1),
            planned(2),
            Event::Made { entry: 1 },
        ]))
        .unwrap();
        let made = |journal: &Journal| -> Vec<_> {
            let pending = journal.pending().into_iter();
            pending.map(|step| (step.entry, step.made)).collect()
        };
        assert_eq!(made(&journal), [(2, false), (1, true)]);
        journal.records[2].at_us = 1_500_000;
        assert_eq!(journal.pending()[0].planned_ms, 1500);
    }

    #[test]
    fn a_failed_undo_stays_pending() {
        let failed = Event::UndoFailed {
            entry: 1,
            what: "step 1".into(),
            why: "busy".into(),
            by_hand: "wait".into(),
        };
        let journal = Journal::read(&text(&[started(), planned(1), failed])).unwrap();
        assert_eq!(journal.pending().len(), 1);
    }

    #[test]
    fn what_was_kept_is_not_pending() {
        let keep = |entry| Kept {
            entry,
            undo: Undo::Nothing,
            runs: true,
            ports: vec![(6379, "127.0.0.1:32768".parse().unwrap())],
        };
        let event = Event::Kept {
            kept: vec![keep(3), keep(1)],
        };
        let events = [started(), planned(1), planned(2), planned(3), event];
        let journal = Journal::read(&text(&events)).unwrap();
        let entries: Vec<_> = journal.pending().iter().map(|step| step.entry).collect();
        assert_eq!(entries, [2]);
        assert_eq!(kept(&journal.records), [keep(3), keep(1)]);
    }

    #[test]
    fn a_journal_cut_at_any_byte_is_read_up_to_its_last_whole_line() {
        let whole = text(&[started(), planned(1), planned(2)]);
        let lines: Vec<usize> = whole.match_indices('\n').map(|(at, _)| at + 1).collect();
        for cut in 0..=whole.len() {
            let complete = lines.iter().filter(|&&end| end <= cut).count();
            match Journal::read(&whole[..cut]) {
                Ok(journal) => {
                    assert_eq!(journal.records.len(), complete, "cut at {cut}");
                    assert_eq!(journal.torn, !lines.contains(&cut), "cut at {cut}");
                }
                Err(error) => {
                    assert_eq!((error, complete), (Unreadable::Empty, 0), "cut at {cut}");
                }
            }
        }
    }

    #[test]
    fn damage_in_the_middle_is_refused_with_its_line() {
        let whole = text(&[started(), planned(1)]);
        let damaged = whole.replace("planned", "plammed");
        let Err(Unreadable::Line { number, .. }) = Journal::read(&damaged) else {
            panic!("a damaged journal was accepted");
        };
        assert_eq!(number, 2);
    }

    #[test]
    fn another_version_is_refused_by_its_number() {
        let other = text(&[started()]).replace("\"version\":1", "\"version\":9");
        assert_eq!(Journal::read(&other), Err(Unreadable::Version(9)));
    }
}
