//! The context of one test: everything that it makes and breaks belongs to it.

use std::collections::BTreeMap;
use std::future::Future;
use std::ops::Sub;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{OwnedRwLockReadGuard, RwLock, watch};

use crate::decide::limits::BlastRadius;
use crate::error::{Error, Kind, TestError};
use crate::fault::{ErasedFault, Fault};
use crate::model::event::Event;
use crate::model::outcome::Outcome;
use crate::model::target::Breakable;
use crate::model::undo::Undo;
use crate::model::units::human;
use crate::probe::Pace;
use crate::report::text::LogTail;
use crate::system::proxy::{self, LinkConfig};
use crate::system::{Ledger, World};

use super::engine;
use super::finish::{self, Ending};
use super::fixtures::{Chain, Fixture, FixtureCache};
use super::guard::{During, Injection};
use super::injecting::{self, Injected};
use super::monitor::{Monitor, Watcher};
use super::process_run::{self, TestIdentity};
use super::recorder::Recorder;
use super::rollback::Closure;
use super::service::{Program, Service};
use super::starting;

/// An instant, as a duration since the context started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(pub(super) Duration);

impl From<Moment> for Duration {
    fn from(moment: Moment) -> Self {
        moment.0
    }
}

impl Sub for Moment {
    type Output = Duration;

    /// The time between two moments; zero if the other one is later.
    fn sub(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl std::fmt::Display for Moment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.3} s", self.0.as_secs_f64())
    }
}

/// Starts services, injects faults, watches, and puts everything back.
///
/// `#[chaos_test]` makes one and hands it to the test. Without the macro, make one with
/// [`start`](Self::start) in any runtime, or with [`start_blocking`](Self::start_blocking)
/// in none, and end it with [`finish`](Self::finish).
///
/// Dropping it blocks until everything is put back: each undo step has a time limit of its
/// own (5 s for a link, 10 s for a process, 60 s for a service that has to become ready
/// again), and a step that fails or takes longer is left to the journal and to the next run.
#[must_use = "dropping the context puts everything back"]
pub struct ChaosContext {
    pub(super) inner: Arc<Inner>,
    /// Whether dropping this ends the context.
    owner: bool,
    /// The fixtures that are being set up, outermost first.
    chain: Chain,
}

impl std::fmt::Debug for ChaosContext {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChaosContext")
            .field("test", &self.inner.identity.name)
            .finish_non_exhaustive()
    }
}

/// What a context is, behind all its handles.
pub(crate) struct Inner {
    pub(super) identity: TestIdentity,
    pub(super) recorder: Arc<Recorder>,
    pub(super) world: Arc<World>,
    pub(super) seed: u64,
    pub(super) logs: PathBuf,
    pub(super) radius: Mutex<BlastRadius>,
    pub(super) injected: Mutex<BTreeMap<u64, Arc<Injected>>>,
    pub(super) closures: Mutex<Vec<Closure>>,
    pub(super) monitors: Mutex<Vec<Arc<Watcher>>>,
    pub(super) fixtures: FixtureCache,
    pub(super) ended: watch::Sender<bool>,
    pub(super) outcome: watch::Sender<Option<Outcome>>,
    /// The last lines of its services, taken before they were ended.
    pub(super) tails: Mutex<Vec<LogTail>>,
    calls: Arc<RwLock<()>>,
}

impl ChaosContext {
    /// Starts a context outside `#[chaos_test]`, named after the current thread, which
    /// libtest names after the test.
    ///
    /// # Errors
    ///
    /// If the state directory or the report folder cannot be used.
    ///
    /// ```no_run
    /// # async fn body() -> chaos_test::Result {
    /// use chaos_test::{ChaosContext, Program};
    /// let chaos = ChaosContext::start().await?;
    /// let cache = chaos.process("cache", Program::new("redis-server").args(["--port", "{port}"])).await?;
    /// chaos.finish().await?;
    /// # Ok(()) }
    /// ```
    pub async fn start() -> Result<Self, Error> {
        let name = this_thread();
        let opened = engine::own().spawn_blocking(move || Self::open(TestIdentity::plain(&name)?));
        opened
            .await
            .unwrap_or_else(|error| Err(Error::new(Kind::State, error.to_string())))
    }

    /// As [`start`](Self::start), in a function without a runtime.
    ///
    /// # Errors
    ///
    /// If the state directory or the report folder cannot be used.
    pub fn start_blocking() -> Result<Self, Error> {
        Self::open(TestIdentity::plain(&this_thread())?)
    }

    pub(super) fn open(identity: TestIdentity) -> Result<Self, Error> {
        Ok(Self {
            inner: process_run::open_context(identity)?,
            owner: true,
            chain: Chain::default(),
        })
    }

    /// Another handle, which does not end the context when it is dropped.
    pub(super) fn handle(&self, chain: Chain) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
            owner: false,
            chain,
        }
    }

    pub(super) fn chain(&self) -> &Chain {
        &self.chain
    }

    /// Runs a future to its end on this thread: for tests that are plain functions.
    ///
    /// # Panics
    ///
    /// If it is called from asynchronous code, which would block its runtime.
    pub fn block_on<T>(&self, work: impl Future<Output = T>) -> T {
        engine::own().block_on(work)
    }

    /// Starts a program as a service and waits until it is ready. It ends with the context.
    ///
    /// # Errors
    ///
    /// If the name is taken, the program is missing, exits at once or does not become
    /// ready (the message holds its last lines), or a fixed port is in use. Whatever was
    /// started is ended again.
    pub async fn process(
        &self,
        name: impl Into<String>,
        program: Program,
    ) -> Result<Service, Error> {
        let (inner, name) = (Arc::clone(&self.inner), name.into());
        engine::run_on(engine::own(), starting::process(inner, name, program)).await
    }

    /// Asks a probe at its pace, from now on until the context ends.
    ///
    /// ```no_run
    /// # async fn body(chaos: &chaos_test::ChaosContext, shop: &chaos_test::Service) -> chaos_test::Result {
    /// use chaos_test::prelude::*;
    /// let requests = chaos.monitor(shop.connect().every(ms(20)));
    /// let normal = requests.baseline(secs(1)).await?;
    /// # Ok(()) }
    /// ```
    pub fn monitor(&self, pace: Pace) -> Monitor {
        let mut monitors = self.inner.monitors.lock().expect("no panic while held");
        let wanted = pace.name.clone().unwrap_or_else(|| pace.probe.name());
        let taken = |name: &str| monitors.iter().any(|watcher| watcher.name == name);
        // Two monitors of one probe are told apart in reports.
        let name = (1..)
            .map(|number| match number {
                1 => wanted.clone(),
                number => format!("{wanted} #{number}"),
            })
            .find(|name| !taken(name))
            .unwrap_or_default();
        let watcher = Watcher::start(name, pace, &self.inner);
        // One that comes too late, after the context has ended, asks nothing.
        if *self.inner.ended.borrow() {
            watcher.stop();
        }
        monitors.push(Arc::clone(&watcher));
        Monitor {
            watcher,
            inner: Arc::clone(&self.inner),
        }
    }

    /// Injects a fault. It is in effect when this returns, and is lifted when the guard is
    /// lifted or dropped, and in any case when the context ends.
    ///
    /// The order is always: blast radius, prepare, undo on disk, apply, verify.
    ///
    /// # Errors
    ///
    /// If the fault lies outside the blast radius ([`Error::is_refused`]; nothing was
    /// touched), its undo cannot be written ([`Error::is_state`]; nothing was touched), or
    /// it cannot be applied or is not in effect ([`Error::is_fault`]; it was put back).
    pub async fn inject(&self, fault: impl Fault) -> Result<Injection, Error> {
        self.inject_erased(Arc::new(fault)).await
    }

    pub(crate) async fn inject_erased(
        &self,
        fault: Arc<dyn ErasedFault>,
    ) -> Result<Injection, Error> {
        let inner = Arc::clone(&self.inner);
        engine::run_on(engine::own(), injecting::inject(inner, fault)).await
    }

    /// Injects a fault, runs a block, and lifts the fault on every way out of it.
    ///
    /// A block that does not end with a call of this library needs its type said once:
    /// `async |_| -> chaos_test::Result { ...; Ok(()) }`.
    ///
    /// # Errors
    ///
    /// Those of [`inject`](Self::inject), that of the block, or if the fault could not be
    /// lifted.
    ///
    /// ```no_run
    /// # async fn body(chaos: &chaos_test::ChaosContext, cache: &chaos_test::Service, requests: &chaos_test::Monitor) -> chaos_test::Result {
    /// use chaos_test::prelude::*;
    /// use chaos_test::process;
    /// let outage = chaos.during(process::kill(cache), async |_| {
    ///     requests.over(secs(2)).await?.expect(error_rate().at_most(percent(0))).check()
    /// }).await?;
    /// println!("it lasted {:?}", outage.lifted() - outage.injected());
    /// # Ok(()) }
    /// ```
    pub async fn during<T, E>(
        &self,
        fault: impl Fault,
        block: impl AsyncFnOnce(&Injection) -> Result<T, E>,
    ) -> Result<During<T>, E>
    where
        E: From<Error>,
    {
        let injection = self.inject(fault).await?;
        let injected = injection.injected();
        let value = block(&injection).await;
        let lifted = injection.lift().await;
        let value = value?;
        Ok(During {
            value,
            injected,
            lifted: lifted?,
        })
    }

    /// Names something that may be broken. From the first name on, only what was named may
    /// be; before that, anything that the context itself made.
    pub fn may_break(&self, target: &(impl Breakable + ?Sized)) {
        let targets = target.targets();
        let name = targets
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(", ");
        self.inner.name_breakable(&name, target);
    }

    /// The value of a fixture: set up at the first call in this context, shared afterwards.
    ///
    /// # Errors
    ///
    /// If its set-up, or that of a fixture that it needs, fails or takes longer than two
    /// minutes.
    pub async fn fixture<T: Send + Sync + 'static>(
        &self,
        fixture: fn() -> Fixture<T>,
    ) -> Result<Arc<T>, TestError> {
        super::fixtures::get(self, fixture).await
    }

    /// Runs a closure when everything is rolled back, in its place of the reverse order.
    ///
    /// It is lost if the test is killed: no closure can be written to disk. Where that
    /// matters, use [`undo_at_rollback`](Self::undo_at_rollback).
    ///
    /// # Errors
    ///
    /// If the context has ended.
    pub fn at_rollback<F, E>(
        &self,
        what: impl Into<String>,
        closure: impl FnOnce() -> F + Send + 'static,
    ) -> Result<(), Error>
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
        TestError: From<E>,
    {
        self.inner.refuse_if_ended()?;
        let what = what.into();
        let entry = self.inner.recorder.plan(&what, Undo::Nothing, false)?;
        let closure = Closure {
            entry,
            run: Box::new(move || {
                let work = closure();
                Box::pin(async move { work.await.map_err(TestError::from) })
            }),
        };
        let mut closures = self.inner.closures.lock().expect("no panic while held");
        closures.push(closure);
        Ok(())
    }

    /// Writes an undo step to disk, to be performed when everything is rolled back, by
    /// whoever is still alive then. Call it before you do what it undoes.
    ///
    /// # Errors
    ///
    /// If it is not on disk: then do not do what it would undo.
    pub fn undo_at_rollback(&self, what: impl Into<String>, undo: Undo) -> Result<(), Error> {
        self.inner.refuse_if_ended()?;
        crate::system::undo::can_perform(&undo)?;
        self.inner.recorder.plan(&what.into(), undo, false)?;
        Ok(())
    }

    /// A new private folder, removed with everything in it when the context ends.
    ///
    /// # Errors
    ///
    /// If it cannot be made.
    pub fn scratch_dir(&self) -> Result<PathBuf, Error> {
        self.inner.refuse_if_ended()?;
        self.inner.make_scratch()
    }

    /// The seed of everything that this context draws by chance: from `CHAOS_SEED`, else
    /// from the test's `seed`, else new each time. It stands in every report.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.inner.seed
    }

    /// The present moment, as reports count it.
    #[must_use]
    pub fn now(&self) -> Moment {
        Moment(self.inner.recorder.now())
    }

    /// Writes a line into the journal and the report's timeline.
    pub fn note(&self, text: impl Into<String>) {
        self.inner
            .recorder
            .record(Event::Note { text: text.into() });
    }

    /// Ends the context: lifts what is still in force, checks the steady state, puts
    /// everything back, and judges.
    ///
    /// # Errors
    ///
    /// If the hypothesis did not hold, no chaos happened, or something was not put back;
    /// the message is the whole explanation.
    pub async fn finish(self) -> Result<Outcome, Error> {
        let inner = Arc::clone(&self.inner);
        engine::run_on(engine::own(), async move {
            let outcome = finish::end(&inner, Ending::Finished).await;
            finish::as_result(&inner, outcome)
        })
        .await
    }

    /// As [`finish`](Self::finish), in a function without a runtime.
    ///
    /// # Errors
    ///
    /// As [`finish`](Self::finish).
    pub fn finish_blocking(self) -> Result<Outcome, Error> {
        let inner = Arc::clone(&self.inner);
        let outcome = finish::end_blocking(&inner, Ending::Finished);
        finish::as_result(&inner, outcome)
    }
}

impl Drop for ChaosContext {
    fn drop(&mut self) {
        if self.owner {
            finish::end_blocking(&self.inner, Ending::Dropped);
        }
    }
}

impl Inner {
    pub(super) fn new(
        identity: TestIdentity,
        recorder: Arc<Recorder>,
        world: Arc<World>,
        logs: PathBuf,
    ) -> Self {
        let radius = if identity.names_breakables {
            BlastRadius::Named(Vec::new())
        } else {
            BlastRadius::Isolated
        };
        Self {
            seed: identity.seed,
            identity,
            recorder,
            world,
            logs,
            radius: Mutex::new(radius),
            injected: Mutex::default(),
            closures: Mutex::default(),
            monitors: Mutex::default(),
            fixtures: FixtureCache::default(),
            ended: watch::Sender::new(false),
            outcome: watch::Sender::new(None),
            tails: Mutex::default(),
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

    pub(super) fn name_breakable(&self, name: &str, target: &(impl Breakable + ?Sized)) {
        let mut radius = self.radius.lock().expect("no panic while held");
        radius.name(name, target.targets());
    }

    pub(super) fn open_link(
        &self,
        name: String,
        upstream: std::net::SocketAddr,
    ) -> Result<proxy::Link, Error> {
        let config = LinkConfig {
            name,
            upstream,
            seed: self.seed,
        };
        let name = config.name.clone();
        proxy::Link::open(engine::own(), config).map_err(|error| {
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

    pub(super) fn know(&self, fault: &Arc<Injected>) {
        let mut injected = self.injected.lock().expect("no panic while held");
        injected.insert(fault.entry, Arc::clone(fault));
    }

    pub(super) fn forget(&self, fault: &Injected) {
        let mut injected = self.injected.lock().expect("no panic while held");
        injected.remove(&fault.entry);
    }

    /// The faults that are in force now, in words.
    pub(super) fn faults_in_force(&self) -> Vec<String> {
        let injected = self.injected.lock().expect("no panic while held");
        let in_force = injected.values().filter(|fault| fault.in_force());
        in_force.map(|fault| fault.what.clone()).collect()
    }

    /// A monitor sends a sample: it meets every fault that is in force.
    pub(super) fn sample_sent(&self) {
        let injected = self.injected.lock().expect("no panic while held");
        for fault in injected.values() {
            fault.sample_sent();
        }
    }

    /// A sample that was due then is answered: it has met every fault that was injected
    /// while it waited.
    pub(super) fn sample_answered(&self, due: Duration) {
        let injected = self.injected.lock().expect("no panic while held");
        for fault in injected.values() {
            fault.sample_answered(due);
        }
    }
}

/// Libtest names a test's thread after it.
fn this_thread() -> String {
    let thread = std::thread::current();
    thread.name().unwrap_or("context").to_owned()
}

fn ended() -> Error {
    Error::new(
        Kind::Ended,
        "the context has ended: its test is over, was stopped or took too long",
    )
}
