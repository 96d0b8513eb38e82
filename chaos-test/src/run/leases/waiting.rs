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
use crate::system::progress;
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

/// Why something may not be waited for, or not without end.
pub(super) struct Refusal {
    /// What is held because of which.
    pub(super) because: String,
    pub(super) help: String,
    pub(super) patience: Patience,
}

impl Refusal {
    fn wanted_by(&self) -> Option<&WantedBy> {
        match &self.patience {
            Patience::None => None,
            Patience::Limited { wanted_by } => wanted_by.as_ref(),
        }
    }
}

/// How long something is waited for that comes before what the test holds.
pub(super) enum Patience {
    /// It is only tried.
    None,
    /// As long as no circle of tests that wait for each other is likely.
    Limited {
        /// Who waits now for something that the test holds.
        wanted_by: Option<WantedBy>,
    },
}

/// Somebody who waits for something that a test holds.
pub(super) struct WantedBy {
    /// Who waits for what.
    who: String,
    /// Whether it has waited for less time than that test itself.
    came_later: bool,
}

/// Who waits for what a test holds, while that waits for a lock. Without anybody, it is in no
/// circle.
pub(super) fn who_waits<'a>(
    inner: &Inner,
    wanted: &Lock,
    held: impl Iterator<Item = &'a String>,
    holds_a_container: bool,
) -> Option<WantedBy> {
    let folder = inner.world.state.leases();
    let came = |holder: &Holder| (holder.since_ms, holder.journal.clone());
    let in_line = held.filter_map(|name| {
        let next = lease::next_in_line(&folder, &Lock::Lease(name.clone()))?;
        Some((next, name))
    });
    if let Some((next, name)) = in_line.min_by_key(|(next, _)| came(next)) {
        let own = lease::next_in_line(&folder, wanted);
        let own = own.filter(|own| own.journal == ourselves(inner).journal);
        return Some(WantedBy {
            who: format!("{next} waits for `{name}`"),
            came_later: own.is_some_and(|own| came(&next) > came(&own)),
        });
    }
    #[cfg(feature = "containers")]
    if holds_a_container && crate::system::container::somebody_waits(&inner.world.state) {
        return Some(WantedBy {
            who: "another test waits for a place for a container".to_owned(),
            came_later: false,
        });
    }
    #[cfg(not(feature = "containers"))]
    let _ = holds_a_container;
    None
}

/// A lock that a context asks for.
pub(super) struct Wanted {
    pub(super) lock: Lock,
    pub(super) side: Side,
}

impl Wanted {
    /// Waits until the lock is free, and shows that. Where there is a refusal, the lock is
    /// waited for as long as that has patience. Given up, by an error or by dropping this, it leaves nothing.
    pub(super) async fn wait(
        &self,
        inner: &Inner,
        refusal: impl Fn() -> Option<Refusal>,
    ) -> Result<Claim, Error> {
        let mut claim = self.claim(inner).map_err(|error| self.cannot(error))?;
        let began = Instant::now();
        let (mut pause, mut told, mut noted) = (FIRST_PAUSE, 0, false);
        let mut wanted_since = None;
        let name = &inner.identity.name;
        let _going = progress::begin_told(name, format!("waiting for {self}"));
        loop {
            inner.refuse_if_ended()?;
            let refusal = refusal();
            let only_tried = matches!(
                &refusal,
                Some(Refusal {
                    patience: Patience::None,
                    ..
                })
            );
            let past_the_line = only_tried || self.is_inside(inner);
            let taken = claim.try_take(past_the_line);
            if taken.map_err(|error| self.cannot(error))? {
                break;
            }
            let waited = began.elapsed();
            let wanted_by = refusal.as_ref().and_then(Refusal::wanted_by);
            wanted_since = wanted_by.and(wanted_since.or(Some(waited)));
            let wanted_for = wanted_since.map(|since| waited.saturating_sub(since));
            let came_later = wanted_by.is_some_and(|somebody| somebody.came_later);
            if let Some(refusal) = refusal
                && (only_tried || turns::gives_up(waited, wanted_for, came_later))
            {
                return Err(self.refused(inner, &refusal, waited));
            }
            if !noted && waited >= NOTED_AFTER {
                noted = true;
                inner.recorder.record(self.waiting(inner));
            }
            if waited >= turns::told_after(told) {
                told += 1;
                self.tell(inner, waited);
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                ended = inner.until_ended() => return Err(ended),
            }
            pause = (pause * 2).min(PAUSE);
        }
        if noted {
            inner.recorder.record(self.waited(began.elapsed()));
        }
        Ok(claim)
    }

    fn waiting(&self, inner: &Inner) -> Event {
        let held = self.held_by(inner);
        match &self.lock {
            Lock::Machine => Event::Waiting { lease: None, held },
            Lock::Lease(name) => Event::Waiting {
                lease: Some(name.clone()),
                held,
            },
            Lock::Fixture { .. } => Event::Note {
                text: format!("waits for {self}: {held}"),
            },
        }
    }

    fn waited(&self, took: Duration) -> Event {
        let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        match &self.lock {
            Lock::Machine => Event::Waited {
                lease: None,
                took_us,
            },
            Lock::Lease(name) => Event::Waited {
                lease: Some(name.clone()),
                took_us,
            },
            Lock::Fixture { .. } => Event::Note {
                text: format!("waited {} for {self}", human(took)),
            },
        }
    }

    /// Says that it waits, and for whom, where no line on a terminal does.
    fn tell(&self, inner: &Inner, waited: Duration) {
        if progress::is_drawn() {
            return;
        }
        say(&format!(
            "chaos-test: {} waits for {self}, for {} s now: {}",
            inner.identity.name,
            waited.as_secs(),
            self.held_by(inner)
        ));
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

    /// In whose way it is, in words.
    fn held_by(&self, inner: &Inner) -> String {
        let folder = inner.world.state.leases();
        let holder = lease::holder(&folder, &self.lock);
        if let Lock::Fixture { .. } = self.lock {
            let own = ourselves(inner).journal;
            let next = || lease::next_in_line(&folder, &self.lock);
            let somebody = holder.or_else(next).filter(|holder| holder.journal != own);
            return match somebody {
                Some(holder) => format!("{holder} has it for itself, or comes first"),
                None => "other tests use it".to_owned(),
            };
        }
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

    fn refused(&self, inner: &Inner, refusal: &Refusal, waited: Duration) -> Error {
        let held = match lease::holder(&inner.world.state.leases(), &self.lock) {
            Some(holder) => format!("is held by {holder}, for {} now", human(holder.since())),
            None => "is held by another test".to_owned(),
        };
        let Refusal {
            because,
            help,
            patience,
        } = refusal;
        let (must_not, meanwhile) = match patience {
            Patience::None => ("must not wait for it".to_owned(), String::new()),
            Patience::Limited { wanted_by } => {
                let meanwhile = wanted_by
                    .as_ref()
                    .map(|somebody| format!(", and {}", somebody.who));
                let must_not = format!("waited {} for it and waits no longer", human(waited));
                (must_not, meanwhile.unwrap_or_default())
            }
        };
        Error::new(
            Kind::Refused,
            format!(
                "{self} {held}, and this test {must_not}, because it holds {because}{meanwhile}: \
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
            (Lock::Fixture { name, .. }, Side::Shared) => {
                write!(f, "fixture `{name}` of this run")
            }
            (Lock::Fixture { name, .. }, Side::Alone) => {
                write!(f, "fixture `{name}` of this run for itself")
            }
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
