//! Services that somebody else brings back when they die: waiting for that, and writing down
//! who it was and how long it took.
//!
//! It starts nothing itself. What is dead for too long is started by the undo of its fault.

use std::fmt;
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use super::lock::lock;
use super::service::Unit;
use super::spawner::Spawner;
use super::world::Ledger;
use crate::error::Error;
use crate::model::event::{Event, RestartedBy};
use crate::model::identity::ProcessIdentity;
use crate::model::units::human;

/// How often it is looked whether a service is back.
const LOOK: Duration = Duration::from_millis(10);

/// That a service which had died runs and is ready again, and who brought it back.
///
/// Shown as `brought back by its own supervisor after 1.2 s`.
///
/// ```no_run
/// # async fn body(cache: &chaos_test::Service) -> chaos_test::Result {
/// use chaos_test::prelude::*;
/// use chaos_test::RestartedBy;
/// let back = cache.restarted().expect("it was killed");
/// assert!(back.by() == RestartedBy::Supervisor && back.after() < secs(5), "{back}");
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Restarted {
    pub(crate) by: RestartedBy,
    pub(crate) after: Duration,
    pub(crate) within: Duration,
}

impl Restarted {
    /// Who brought it back.
    #[must_use]
    pub fn by(&self) -> RestartedBy {
        self.by
    }

    /// From its death until it was ready again.
    #[must_use]
    pub fn after(&self) -> Duration {
        self.after
    }
}

impl fmt::Display for Restarted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (after, within) = (human(self.after), human(self.within));
        match self.by {
            RestartedBy::Supervisor => {
                write!(f, "brought back by its own supervisor after {after}")
            }
            RestartedBy::Undo => write!(
                f,
                "not brought back by its own supervisor, which had {within}: we started it again, \
                 after {after}"
            ),
        }
    }
}

/// What runs in the place of what died.
#[derive(Debug, Clone, Default)]
pub(crate) struct Successor {
    pub(crate) pid: u32,
    pub(crate) process: Option<ProcessIdentity>,
}

#[cfg(feature = "containers")]
impl Successor {
    /// The first process of a container, as the engine's machine counts it.
    pub(crate) fn in_container(pid: i64) -> Self {
        Self {
            pid: u32::try_from(pid).unwrap_or_default(),
            process: None,
        }
    }
}

/// How a service is brought back by its own supervisor.
pub(crate) struct Supervision {
    within: Duration,
    ledger: Weak<dyn Ledger>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Since when it is dead, while nobody has brought it back.
    died: Option<Instant>,
    followed: bool,
    /// Whether its supervisor was too late, and we start it.
    ours: bool,
    last: Option<Restarted>,
}

impl Supervision {
    pub(crate) fn new(within: Duration, ledger: Weak<dyn Ledger>) -> Self {
        Self {
            within,
            ledger,
            state: Mutex::default(),
        }
    }

    /// How long its supervisor may take.
    pub(crate) fn within(&self) -> Duration {
        self.within
    }

    /// It has died, or is about to.
    pub(crate) fn died(&self) {
        let mut state = lock(&self.state);
        state.died.get_or_insert_with(Instant::now);
        state.ours = false;
        state.last = None;
    }

    /// It did not die, or is no concern of its supervisor.
    pub(crate) fn calm(&self) {
        lock(&self.state).died = None;
    }

    /// Until when its supervisor has to have brought it back; `None` where it is not dead.
    pub(crate) fn awaited_until(&self) -> Option<Instant> {
        let died = lock(&self.state).died?;
        Some(died + self.within)
    }

    /// Who brought it back after its latest death.
    pub(crate) fn last(&self) -> Option<Restarted> {
        lock(&self.state).last
    }

    /// It runs and is ready again: told once.
    pub(crate) fn is_back(&self, service: &str, by: RestartedBy, successor: Successor) {
        let restarted = {
            let mut state = lock(&self.state);
            if state.ours && by == RestartedBy::Supervisor {
                // What was seen is what we have started.
                return;
            }
            let Some(died) = state.died.take() else {
                return;
            };
            let after = died.elapsed();
            let within = self.within;
            *state.last.insert(Restarted { by, after, within })
        };
        if let Some(ledger) = self.ledger.upgrade() {
            ledger.record(Event::Restarted {
                service: service.to_owned(),
                by,
                after_us: u64::try_from(restarted.after.as_micros()).unwrap_or(u64::MAX),
                pid: successor.pid,
                process: successor.process,
            });
        }
    }

    /// Its supervisor was too late.
    fn give_up(&self) {
        lock(&self.state).ours = true;
    }

    fn is_ours(&self) -> bool {
        lock(&self.state).ours
    }

    /// Whether nobody looks yet whether it comes back.
    fn begin_to_follow(&self) -> bool {
        let mut state = lock(&self.state);
        state.died.is_some() && !std::mem::replace(&mut state.followed, true)
    }
}

/// Looks beside everything else whether a service that died comes back, for as long as that
/// takes: late is better than unseen.
pub(crate) fn follow(unit: &Arc<dyn Unit>) {
    if !unit.supervision().is_some_and(Supervision::begin_to_follow) {
        return;
    }
    let unit = Arc::downgrade(unit);
    Spawner::here().spawn(async move {
        // The context may end meanwhile, or the undo may be quicker.
        while let Some(unit) = unit.upgrade() {
            let Some(supervision) = unit.supervision() else {
                return;
            };
            let over = supervision.awaited_until().is_none() || supervision.is_ours();
            // What cannot be seen now is seen later, or by the undo.
            if over || matches!(look(&*unit).await, Ok(true)) {
                lock(&supervision.state).followed = false;
                return;
            }
            drop(unit);
            tokio::time::sleep(LOOK).await;
        }
    });
}

/// Waits for a service's supervisor, as long as that may take, through successors that do not
/// become ready. Whether it has brought it back;
/// `false` also where it is not dead, or has no supervisor.
pub(crate) async fn wait(unit: &dyn Unit) -> Result<bool, Error> {
    let Some(supervision) = unit.supervision() else {
        return Ok(false);
    };
    let Some(until) = supervision.awaited_until() else {
        return Ok(false);
    };
    loop {
        // One that ends before it is ready is not back yet: the next may be.
        if matches!(look(unit).await, Ok(true)) {
            return Ok(true);
        }
        if Instant::now() >= until {
            // From here on whoever looks beside us would take ours for the supervisor's.
            supervision.give_up();
            return Ok(false);
        }
        tokio::time::sleep(LOOK).await;
    }
}

async fn look(unit: &dyn Unit) -> Result<bool, Error> {
    let Some(mut successor) = unit.take_in().await? else {
        return Ok(false);
    };
    loop {
        unit.until_ready_again().await?;
        // It may have ended meanwhile, and another one be the one that is ready.
        match unit.take_in().await? {
            None => return Ok(false),
            Some(now) if now.pid == successor.pid => break,
            Some(now) => successor = now,
        }
    }
    if let Some(supervision) = unit.supervision() {
        supervision.is_back(unit.name(), RestartedBy::Supervisor, successor);
    }
    Ok(true)
}
