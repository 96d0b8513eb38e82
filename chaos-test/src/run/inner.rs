//! What a context is, behind all its handles.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::Duration;

use tokio::sync::{OwnedRwLockReadGuard, RwLock, watch};

use crate::decide::limits::Allowed;
use crate::error::{Error, Kind};
use crate::model::event::{BodyEnd, Event};
use crate::model::outcome::Outcome;
use crate::model::target::Breakable;
use crate::model::undo::Undo;
use crate::model::units::human;
use crate::probe::Trace;
use crate::report::text::LogTail;
use crate::system::command::Commands;
use crate::system::lock::lock;
use crate::system::progress;
use crate::system::proxy::{self, LinkConfig};
use crate::system::{Ledger, World};

use super::aborting::Aborts;
use super::checks::Checks;
use super::engine;
use super::fixtures::FixtureCache;
use super::fixtures::shared::Shared;
use super::injecting::injected::Injected;
use super::invariants::Invariants;
use super::leases::Leases;
use super::monitor::Watcher;
use super::radius::Taken;
use super::recorder::Recorder;
use super::rollback::Closure;
use super::test_identity::TestIdentity;
use super::transitions::Watches;

/// Why a context ends before its body does.
#[derive(Debug, Clone)]
pub(super) enum Stop {
    /// Somebody stopped the run.
    Interrupted(String),
    /// An abort condition came true.
    Aborted(String),
}

impl From<Stop> for BodyEnd {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Interrupted(why) => Self::Interrupted(why),
            Stop::Aborted(why) => Self::Aborted(why),
        }
    }
}

impl From<Stop> for Error {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Interrupted(why) => Self::new(Kind::Interrupted, why),
            Stop::Aborted(why) => Self::new(Kind::Aborted, why),
        }
    }
}

/// What a context is, behind all its handles.
pub(crate) struct Inner {
    pub(super) identity: TestIdentity,
    pub(super) recorder: Arc<Recorder>,
    pub(super) world: Arc<World>,
    pub(super) seed: u64,
    /// What its samples are in the traces of the system under test.
    pub(super) trace: Arc<Trace>,
    pub(super) logs: PathBuf,
    pub(super) radius: Mutex<Allowed>,
    /// How much of that may be broken at once, and what is in force.
    pub(super) taken: Arc<Taken>,
    pub(super) injected: Mutex<BTreeMap<u64, Arc<Injected>>>,
    pub(super) closures: Mutex<Vec<Closure>>,
    pub(super) monitors: Mutex<Vec<Arc<Watcher>>>,
    pub(super) fixtures: FixtureCache,
    /// The fixtures of others that it uses, too.
    uses: Mutex<Vec<Arc<Shared>>>,
    /// The shared fixture that it belongs to.
    part_of: OnceLock<Weak<Shared>>,
    /// What it holds against other tests.
    pub(super) leases: Leases,
    pub(super) ended: watch::Sender<bool>,
    /// Why it was stopped, once it was.
    pub(super) stopped: watch::Sender<Option<Stop>>,
    pub(super) aborts: Aborts,
    /// When the first fault was not injected, because this is a dry run.
    pub(super) dry_since: OnceLock<Duration>,
    pub(super) checks: Checks,
    pub(super) invariants: Invariants,
    pub(super) transitions: Watches,
    pub(super) outcome: watch::Sender<Option<Outcome>>,
    /// The last lines of its services, taken before they were ended.
    pub(super) tails: Mutex<Vec<LogTail>>,
    /// The environment that it is in, known before anybody has the context.
    #[cfg(feature = "environments")]
    pub(super) environment: std::sync::OnceLock<super::environment::Here>,
    calls: Arc<RwLock<()>>,
}
impl Inner {
    /// Something begins that may take long: shown to people until what is returned is dropped.
    pub(super) fn going(&self, what: impl Into<String>) -> progress::Going {
        progress::begin(&self.identity.name, what)
    }

    pub(super) fn new(
        identity: TestIdentity,
        recorder: Arc<Recorder>,
        world: Arc<World>,
        logs: PathBuf,
    ) -> Self {
        let radius = if identity.names_breakables {
            Allowed::Named(Vec::new())
        } else {
            Allowed::Isolated
        };
        let taken = Arc::new(Taken::new(identity.blast_radius));
        let ledger: Arc<dyn Ledger> = recorder.clone();
        let token = format!("{}-commands", world.prefix);
        let commands = Commands::new(Arc::clone(&ledger), token);
        Self {
            seed: identity.seed,
            trace: Arc::new(Trace::new(identity.trace(), ledger, commands)),
            identity,
            recorder,
            world,
            logs,
            radius: Mutex::new(radius),
            taken,
            injected: Mutex::default(),
            closures: Mutex::default(),
            monitors: Mutex::default(),
            fixtures: FixtureCache::default(),
            uses: Mutex::default(),
            part_of: OnceLock::new(),
            leases: Leases::default(),
            ended: watch::Sender::new(false),
            stopped: watch::Sender::new(None),
            aborts: Aborts::default(),
            dry_since: OnceLock::new(),
            checks: Checks::default(),
            invariants: Invariants::default(),
            transitions: Watches::default(),
            outcome: watch::Sender::new(None),
            tails: Mutex::default(),
            #[cfg(feature = "environments")]
            environment: std::sync::OnceLock::new(),
            calls: Arc::default(),
        }
    }

    /// Every call that changes something holds this for its whole length, so that rollback
    /// begins only when none is half-way.
    pub(super) async fn enter(&self) -> Result<OwnedRwLockReadGuard<()>, Error> {
        self.refuse_if_ended()?;
        let call = Arc::clone(&self.calls).read_owned().await;
        self.refuse_if_ended()?;
        Ok(call)
    }

    /// Refuses all further calls and waits for those that are under way.
    pub(super) async fn refuse_calls(&self, limit: Duration) {
        self.ended.send_replace(true);
        if tokio::time::timeout(limit, self.calls.write())
            .await
            .is_err()
        {
            self.recorder.record(Event::Note {
                text: format!(
                    "a call was still under way {} after the body's end; rolled back beside it",
                    human(limit)
                ),
            });
        }
    }

    pub(super) fn refuse_if_ended(&self) -> Result<(), Error> {
        if *self.ended.borrow() {
            Err(ended())
        } else {
            Ok(())
        }
    }

    /// Resolves when the context ends, with the error that a waiting call returns.
    pub(super) async fn until_ended(&self) -> Error {
        let mut ended_now = self.ended.subscribe();
        // The sender lives as long as `self`.
        let _ = ended_now.wait_for(|ended| *ended).await;
        ended()
    }

    /// Resolves once it is stopped, with the reason.
    pub(super) async fn until_stopped(&self) -> Stop {
        let mut stopped = self.stopped.subscribe();
        // The sender lives as long as `self`.
        let stop = stopped.wait_for(Option::is_some).await;
        let stop = stop.expect("it is ours").clone();
        stop.expect("waited for")
    }

    /// Everything that is made here belongs to a fixture that tests share.
    pub(super) fn belongs_to(&self, shared: &Arc<Shared>) {
        // Once, by whoever opened it.
        let _ = self.part_of.set(Arc::downgrade(shared));
    }

    /// The shared fixture that it belongs to.
    pub(super) fn shared(&self) -> Option<Arc<Shared>> {
        self.part_of.get()?.upgrade()
    }

    /// From now on what was made for a shared fixture, and for those that it needs, is known
    /// here, too.
    ///
    /// # Errors
    ///
    /// If a service there has the name of one here.
    pub(super) fn use_shared(&self, shared: &Arc<Shared>) -> Result<(), Error> {
        for needed in shared.inner().used_shared() {
            self.use_shared(&needed)?;
        }
        let mut uses = lock(&self.uses);
        if uses.iter().any(|used| Arc::ptr_eq(used, shared)) {
            return Ok(());
        }
        self.world.include(Arc::clone(&shared.inner().world))?;
        uses.push(Arc::clone(shared));
        Ok(())
    }

    /// What was made for a shared fixture that failed is told in its report.
    pub(super) fn report_on(&self, shared: &Arc<Shared>) {
        lock(&self.uses).push(Arc::clone(shared));
    }

    /// The shared fixtures that it uses.
    pub(super) fn used_shared(&self) -> Vec<Arc<Shared>> {
        lock(&self.uses).clone()
    }

    /// The services that have died, though nobody asked for it, and were not started again.
    pub(super) fn failed_services(&self) -> std::collections::BTreeSet<String> {
        let mut failed = self.recorder.failed_services();
        for shared in self.used_shared() {
            failed.extend(shared.inner().recorder.failed_services());
        }
        failed
    }

    /// What belongs to it as long as it runs: what it made, and what it has for itself of what
    /// tests share.
    pub(super) fn own_targets(&self) -> Vec<crate::model::target::Target> {
        let mut own = self.world.targets();
        own.extend(super::fixtures::shared::had_alone(self));
        own
    }

    pub(super) fn name_breakable(&self, name: &str, target: &(impl Breakable + ?Sized)) {
        // Asked for before the lock: it is the user's code, and may panic.
        let targets = target.targets();
        lock(&self.radius).name(name, targets);
    }

    pub(super) fn open_link(
        &self,
        name: String,
        upstream: SocketAddr,
    ) -> Result<proxy::Link, Error> {
        let config = LinkConfig {
            name,
            upstream,
            seed: self.seed,
        };
        let name = config.name.clone();
        proxy::Link::open(engine::own().runtime(), config).map_err(|error| {
            Error::new(Kind::Service, format!("link `{name}` could not be opened")).because(error)
        })
    }

    pub(super) fn make_scratch(&self) -> Result<PathBuf, Error> {
        let name = format!("{}-{}", self.world.prefix, self.recorder.next_entry());
        let undo = Undo::RemoveScratch { name: name.clone() };
        let what = format!("make scratch folder {name}");
        self.recorder.plan(&what, undo, false)?;
        self.world.state.create_scratch(&name).map_err(|error| {
            Error::new(Kind::State, "a scratch folder could not be made").because(error)
        })
    }

    /// Takes a fault in, unless it and one that is in force would put the same thing back:
    /// that one then.
    pub(super) fn know(&self, fault: &Arc<Injected>) -> Result<(), Arc<Injected>> {
        let mut injected = lock(&self.injected);
        if let Some(other) = injected.values().find(|other| other.overlaps(fault)) {
            return Err(Arc::clone(other));
        }
        injected.insert(fault.entry, Arc::clone(fault));
        Ok(())
    }

    /// Nothing is left of a fault that could not be injected.
    pub(super) fn forget(&self, entry: u64) {
        let gone = lock(&self.injected).remove(&entry);
        if let Some(fault) = gone {
            fault.give_up();
        }
    }

    /// The faults that are in force now, in words.
    pub(super) fn faults_in_force(&self) -> Vec<String> {
        let injected = lock(&self.injected);
        let in_force = injected.values().filter(|fault| fault.in_force());
        in_force.map(|fault| fault.what.clone()).collect()
    }

    /// What may be broken now: by faults that are being applied, are in force, or could not be
    /// undone.
    #[cfg(feature = "environments")]
    pub(super) fn broken_targets(&self) -> Vec<crate::model::target::Target> {
        let injected = lock(&self.injected);
        let broken = injected.values().filter(|fault| fault.may_be_broken());
        broken.flat_map(|fault| fault.targets.clone()).collect()
    }

    /// A monitor sends a sample: it meets every fault that is in force.
    pub(super) fn sample_sent(&self) {
        let injected = lock(&self.injected);
        for fault in injected.values() {
            fault.sample_sent();
        }
    }

    /// A sample that was due then is answered: it has met every fault that was injected
    /// while it waited.
    pub(super) fn sample_answered(&self, due: Duration) {
        let injected = lock(&self.injected);
        for fault in injected.values() {
            fault.sample_answered(due);
        }
    }
}
fn ended() -> Error {
    Error::new(
        Kind::Ended,
        "the context has ended: its test is over, was stopped or took too long",
    )
}
