//! Writes down what happens: to the journal on disk first, then to memory.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use crate::error::{Error, Kind};
use crate::model::event::{Event, Record};
use crate::model::journal::{Open, Pending};
use crate::model::undo::Undo;
use crate::system::Ledger;
use crate::system::journal_file::JournalFile;
use crate::system::lock::lock;

use super::process_run::ProcessRun;

/// One sequence for all tests of the process.
static SEQUENCE: AtomicU64 = AtomicU64::new(1);
/// Also one for all: what tests share is broken by several of them, one after the other.
static ENTRIES: AtomicU64 = AtomicU64::new(1);

/// The events of one context.
pub(crate) struct Recorder {
    started: Instant,
    run: Arc<ProcessRun>,
    inner: Mutex<Inner>,
}

struct Inner {
    /// `None` once it was closed.
    file: Option<JournalFile>,
    records: Vec<Record>,
    /// What is still to be undone.
    open: Open,
}

impl Inner {
    fn keep(&mut self, record: Record) {
        self.open.see(&record);
        self.records.push(record);
    }
}

impl Recorder {
    /// Starts with the first line on disk.
    pub(crate) fn start(
        started: Instant,
        mut file: JournalFile,
        first: Event,
        run: Arc<ProcessRun>,
    ) -> Result<Self, Error> {
        let first = Record {
            seq: SEQUENCE.fetch_add(1, Ordering::SeqCst),
            at_us: 0,
            event: first,
        };
        file.append(&first).map_err(|error| {
            let path = file.path().to_owned();
            cannot_write(error, &path)
        })?;
        let mut inner = Inner {
            file: Some(file),
            records: Vec::new(),
            open: Open::default(),
        };
        inner.keep(first);
        Ok(Self {
            started,
            run,
            inner: Mutex::new(inner),
        })
    }

    pub(crate) fn now(&self) -> Duration {
        self.started.elapsed()
    }

    pub(crate) fn started(&self) -> Instant {
        self.started
    }

    /// The number of the next rollback entry.
    pub(crate) fn next_entry(&self) -> u64 {
        ENTRIES.fetch_add(1, Ordering::SeqCst)
    }

    /// Writes an undo step for an entry whose number is already known. From the first one
    /// on, the process has a watchdog.
    ///
    /// # Errors
    ///
    /// If it is not on disk. Then the thing itself must not be done.
    pub(crate) fn plan_entry(
        &self,
        entry: u64,
        what: &str,
        undo: Undo,
        fault: bool,
    ) -> Result<(), Error> {
        if let Some(why) = self.run.be_watched() {
            self.record(Event::Note {
                text: format!("no watchdog: {why}"),
            });
        }
        self.write(Event::Planned {
            entry,
            what: what.to_owned(),
            undo,
            fault,
        })
    }

    /// What is still to be undone, newest first.
    pub(crate) fn pending(&self) -> Vec<Pending> {
        self.inner().open.newest_first()
    }

    /// Whether anything of a kind has happened.
    pub(crate) fn any(&self, wanted: impl Fn(&Event) -> bool) -> bool {
        self.inner()
            .records
            .iter()
            .any(|record| wanted(&record.event))
    }

    /// The services that have died, though nobody asked for it, and were not started again.
    pub(crate) fn failed_services(&self) -> BTreeSet<String> {
        let mut failed = BTreeSet::new();
        for record in &self.inner().records {
            match &record.event {
                Event::ServiceDied { service, .. } => {
                    failed.insert(service.clone());
                }
                Event::ServiceStarted { service, .. } | Event::Restarted { service, .. } => {
                    failed.remove(service);
                }
                _ => {}
            }
        }
        failed
    }

    pub(crate) fn records(&self) -> Vec<Record> {
        self.inner().records.clone()
    }

    /// Closes the journal on disk: removed where everything was put back, else left for
    /// the next run. Its path, where it was left.
    pub(crate) fn close(&self, restored: bool) -> Option<PathBuf> {
        let file = self.inner().file.take()?;
        let path = file.path().to_owned();
        if restored && file.remove().is_ok() {
            return None;
        }
        Some(path)
    }

    /// Leaves the journal on disk, locked until this process ends: something of it is still
    /// being done, and undone before that it would be done once more.
    pub(crate) fn close_at_exit(&self) -> Option<PathBuf> {
        let file = self.inner().file.take()?;
        let path = file.path().to_owned();
        std::mem::forget(file);
        Some(path)
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        lock(&self.inner)
    }

    /// Writes an event that something depends on.
    ///
    /// # Errors
    ///
    /// If it is not on disk. Then it did not happen.
    pub(crate) fn write(&self, event: Event) -> Result<(), Error> {
        let mut inner = self.inner();
        // Numbered under the lock, so that the order of the lines is the order of numbers.
        let record = Record {
            seq: SEQUENCE.fetch_add(1, Ordering::SeqCst),
            at_us: u64::try_from(self.now().as_micros()).unwrap_or(u64::MAX),
            event,
        };
        let Some(file) = &mut inner.file else {
            return Err(Error::new(Kind::Ended, "the context has ended"));
        };
        // Samples are for the report's copy only: nobody needs them to put things back.
        if !matches!(record.event, Event::Samples { .. }) {
            let appended = file.append(&record);
            let path = file.path().to_owned();
            appended.map_err(|error| cannot_write(error, &path))?;
        }
        inner.keep(record);
        Ok(())
    }
}

fn cannot_write(error: std::io::Error, path: &std::path::Path) -> Error {
    Error::new(
        Kind::State,
        format!(
            "the journal {} could not be written, so nothing was done",
            path.display()
        ),
    )
    .because(error)
    .help("make room there, or name another directory with CHAOS_STATE_DIR")
}

impl Ledger for Recorder {
    fn plan(&self, what: &str, undo: Undo, fault: bool) -> Result<u64, Error> {
        let entry = self.next_entry();
        self.plan_entry(entry, what, undo, fault)?;
        Ok(entry)
    }

    fn undone(&self, entry: u64) {
        let planned = self.inner().open.get(entry).cloned();
        if let Some(step) = planned {
            self.record(Event::Undone {
                entry,
                what: step.what,
                fault: step.fault,
            });
        }
    }

    fn record(&self, event: Event) {
        // What only informs must not fail a test. It is kept in memory, and undoing twice
        // is harmless.
        if let Err(error) = self.write(event.clone())
            && !error.is_ended()
        {
            let mut inner = self.inner();
            inner.keep(Record {
                seq: SEQUENCE.fetch_add(1, Ordering::SeqCst),
                at_us: u64::try_from(self.now().as_micros()).unwrap_or(u64::MAX),
                event,
            });
        }
    }
}
