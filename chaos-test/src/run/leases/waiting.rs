//! Waiting for a lock that another test holds, and saying who waits for what.

use std::fs;
use std::io;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::decide::turns;
use crate::error::{Error, Kind};
use crate::model::event::{Event, Record};
use crate::model::journal::Journal;
use crate::model::units::human;
use crate::run::inner::Inner;
use crate::system::Ledger;
use crate::system::identity;
use crate::system::journal_file;
use crate::system::lease::{self, Claim, Holder, Lock, Side};
use crate::system::terminal::say;

use super::TURNS_BESIDE_OTHERS;

/// How often a lock that somebody holds is tried: at first, and after a while. Trying takes a
/// microsecond, leaves nothing behind when it is given up, and holds up no thread.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
pub(super) const PAUSE: Duration = Duration::from_millis(20);
/// From this time on a wait stands in the journal.
const NOTED_AFTER: Duration = Duration::from_millis(100);
/// So many tests are named that somebody waits for.
const NAMED: usize = 4;

/// Why something may not be waited for.
pub(super) struct Refusal {
    /// What is held because of which.
    pub(super) because: String,
    pub(super) help: String,
}

/// A lock that a context asks for.
pub(super) struct Wanted {
    pub(super) lock: Lock,
    pub(super) side: Side,
}

impl Wanted {
    /// Waits until the lock is free, and shows that. Where there is a refusal, the lock is
    /// tried and not waited for. Given up, by an error or by dropping this, it leaves nothing.
    pub(super) async fn wait(
        &self,
        inner: &Inner,
        refusal: impl Fn() -> Option<Refusal>,
    ) -> Result<Claim, Error> {
        let mut claim = self.claim(inner).map_err(|error| self.cannot(error))?;
        let began = Instant::now();
        let (mut pause, mut told, mut noted) = (FIRST_PAUSE, 0, false);
        loop {
            inner.refuse_if_ended()?;
            let refusal = refusal();
            let past_the_line = refusal.is_some() || self.is_inside(inner);
            let taken = claim.try_take(past_the_line);
            if taken.map_err(|error| self.cannot(error))? {
                break;
            }
            if let Some(refusal) = refusal {
                return Err(self.refused(inner, &refusal));
            }
            let waited = began.elapsed();
            if !noted && waited >= NOTED_AFTER {
                noted = true;
                inner.recorder.record(Event::Waiting {
                    lease: self.lease(),
                    held: self.held_by(inner),
                });
            }
            if waited >= turns::told_after(told) {
                told += 1;
                say(&format!(
                    "chaos-test: {} waits for {self}, for {} s now: {}",
                    inner.identity.name,
                    waited.as_secs(),
                    self.held_by(inner)
                ));
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                ended = inner.until_ended() => return Err(ended),
            }
            pause = (pause * 2).min(PAUSE);
        }
        if noted {
            inner.recorder.record(Event::Waited {
                lease: self.lease(),
                took_us: u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX),
            });
        }
        Ok(claim)
    }

    /// Takes the lock where it is free now.
    pub(super) fn take_at_once(&self, inner: &Inner) -> Option<Claim> {
        let mut claim = self.claim(inner).ok()?;
        let taken = claim.try_take(self.is_inside(inner)).ok()?;
        taken.then_some(claim)
    }

    fn claim(&self, inner: &Inner) -> io::Result<Claim> {
        let folder = inner.world.state.leases();
        Claim::new(&folder, &self.lock, self.side, ourselves(inner))
    }

    /// Whether it may belong to a test of this process that has its turn: who knows on which
    /// threads that opens contexts. Behind the line such a one would wait for somebody who
    /// waits for its own test.
    fn is_inside(&self, inner: &Inner) -> bool {
        self.lock == Lock::Machine
            && !inner.identity.from_macro
            && TURNS_BESIDE_OTHERS.load(Ordering::SeqCst) > 0
    }

    fn lease(&self) -> Option<String> {
        match &self.lock {
            Lock::Machine => None,
            Lock::Lease(name) => Some(name.clone()),
        }
    }

    /// In whose way it is, in words.
    fn held_by(&self, inner: &Inner) -> String {
        let folder = inner.world.state.leases();
        let holder = lease::holder(&folder, &self.lock);
        if let Lock::Lease(_) = self.lock {
            return match holder {
                Some(holder) => format!("{holder} has held it for {}", human(holder.since())),
                None => "its holder has not said who it is".to_owned(),
            };
        }
        if let Some(holder) = holder {
            let since = human(holder.since());
            return format!("{holder} is exclusive and has been alone for {since}");
        }
        let next = lease::next_in_line(&folder, &self.lock);
        match next.filter(|next| next.journal != ourselves(inner).journal) {
            Some(next) => {
                let since = human(next.since());
                format!("{next} is exclusive, comes first, and has waited for {since}")
            }
            None => running(inner),
        }
    }

    fn refused(&self, inner: &Inner, refusal: &Refusal) -> Error {
        let held = match lease::holder(&inner.world.state.leases(), &self.lock) {
            Some(holder) => format!("is held by {holder}, for {} now", human(holder.since())),
            None => "is held by another test".to_owned(),
        };
        let Refusal { because, help } = refusal;
        Error::new(
            Kind::Refused,
            format!(
                "{self} {held}, and this test must not wait for it, because it holds {because}: \
                 two tests could wait for each other for ever"
            ),
        )
        .help(help.clone())
    }

    fn cannot(&self, error: io::Error) -> Error {
        Error::new(
            Kind::State,
            format!("{self} cannot be taken, so nothing was done"),
        )
        .because(error)
        .help("it is a locked file in the state directory; name another one with CHAOS_STATE_DIR")
    }
}

impl std::fmt::Display for Wanted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (&self.lock, self.side) {
            (Lock::Lease(name), _) => write!(f, "the lease `{name}`"),
            (Lock::Machine, Side::Shared) => write!(f, "its turn"),
            (Lock::Machine, Side::Alone) => write!(f, "its turn to be alone (`exclusive`)"),
        }
    }
}

fn ourselves(inner: &Inner) -> Holder {
    Holder {
        test: inner.identity.name.clone(),
        binary: inner.identity.binary.clone(),
        process: inner.identity.run.process.clone(),
        journal: format!("{}.{}", inner.world.prefix, journal_file::ENDING),
        since_ms: 0,
    }
}

/// The tests that have their turn, in words. Whoever is beside others writes its name into no
/// file of a lock, which would cost each test more than all the rest of it: their journals
/// tell.
fn running(inner: &Inner) -> String {
    let own = ourselves(inner).journal;
    let files = fs::read_dir(inner.world.state.journals());
    let mut running: Vec<String> = files
        .into_iter()
        .flat_map(Iterator::flatten)
        .filter(|file| file.file_name() != own.as_str())
        .filter_map(|file| Journal::read(&fs::read_to_string(file.path()).ok()?).ok())
        .filter(|journal| identity::is_alive(&journal.started.process))
        .filter(|journal| !journal.finished() && !waits_for_its_turn(&journal.records))
        .map(|journal| {
            let started = journal.started;
            let (binary, test) = started.test.split_once('$').unwrap_or_default();
            let holder = Holder {
                test: test.to_owned(),
                binary: binary.to_owned(),
                process: started.process,
                journal: String::new(),
                since_ms: started.wall_clock_ms,
            };
            format!("{holder} for {}", human(holder.since()))
        })
        .collect();
    running.sort();
    let more = running.len().saturating_sub(NAMED);
    running.truncate(NAMED);
    match (running.len(), more) {
        (0, _) => "another test has not ended".to_owned(),
        (_, 0) => format!("not ended: {}", running.join(", ")),
        (_, more) => format!("not ended: {}, and {more} more", running.join(", ")),
    }
}

/// Whether a test is still outside, as far as its records tell.
fn waits_for_its_turn(records: &[Record]) -> bool {
    let last = records.iter().rev().find_map(|record| match record.event {
        Event::Waiting { lease: None, .. } => Some(true),
        Event::Waited { lease: None, .. } => Some(false),
        _ => None,
    });
    last.unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(event: Event) -> Record {
        Record {
            seq: 1,
            at_us: 0,
            event,
        }
    }

    fn waiting(lease: Option<&str>) -> Record {
        record(Event::Waiting {
            lease: lease.map(str::to_owned),
            held: "somebody".to_owned(),
        })
    }

    fn waited(lease: Option<&str>) -> Record {
        record(Event::Waited {
            lease: lease.map(str::to_owned),
            took_us: 1,
        })
    }

    #[test]
    fn who_waits_for_a_lease_has_its_turn() {
        for (records, outside) in [
            (vec![], false),
            (vec![waiting(None)], true),
            (vec![waiting(None), waited(None)], false),
            (vec![waiting(Some("db"))], false),
            (
                vec![waiting(None), waited(None), waiting(Some("db"))],
                false,
            ),
        ] {
            assert_eq!(waits_for_its_turn(&records), outside, "{records:?}");
        }
    }
}
