//! The context of one test: everything that it makes and breaks belongs to it.

use std::future::Future;
use std::ops::Sub;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;

use crate::error::{Error, Kind, TestError};
use crate::fault::{Entry, ErasedFault, Fault};
use crate::model::event::{BodyEnd, Event};
use crate::model::outcome::Outcome;
use crate::model::target::Breakable;
use crate::model::undo::Undo;
use crate::probe::Pace;
use crate::system::Ledger;
use crate::system::lease::Side;
use crate::system::lock::lock;

use super::engine;
use super::finish::{self, Ending};
use super::fixtures::{Chain, Fixture};
use super::guard::{During, Injection};
use super::in_process::{InProcess, Served};
use super::injecting;
use super::inner::Inner;
use super::leases::{self, Turn};
use super::monitor::{Monitor, Watcher};
use super::process_run;
use super::program::Program;
use super::reserving::{self, Ports, Reserved, Slot};
use super::rollback::Closure;
use super::service::Service;
use super::starting;
use super::test_identity::TestIdentity;

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
/// again), and a step that fails or takes longer is left to the journal: to the
/// watchdog once the process has ended, and to the next run.
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
impl ChaosContext {
    /// Starts a context outside `#[chaos_test]`, named after the current thread, which
    /// libtest names after the test. While an `exclusive` test runs it waits for that; one
    /// that is opened on the thread of a `#[chaos_test]`'s body belongs to that test.
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
        let (name, outer) = (this_thread(), leases::turn_of_this_thread());
        let open = move || Self::open_plain(&name, outer);
        let opened = engine::own().spawn_blocking(open).await;
        let opened =
            opened.unwrap_or_else(|error| Err(Error::new(Kind::State, error.to_string())))?;
        if opened.inner.leases.has_turn() {
            return Ok(opened);
        }
        engine::run_while_awaited(engine::own(), opened.until_its_turn()).await
    }

    /// As [`start`](Self::start), in a function without a runtime.
    ///
    /// # Errors
    ///
    /// If the state directory or the report folder cannot be used.
    pub fn start_blocking() -> Result<Self, Error> {
        let opened = Self::open_plain(&this_thread(), leases::turn_of_this_thread())?;
        if opened.inner.leases.has_turn() {
            return Ok(opened);
        }
        // It comes when others have ended, however long they take.
        engine::block_on_own(Duration::MAX, opened.until_its_turn()).and_then(|begun| begun)
    }

    /// Without a turn where somebody is in the way.
    fn open_plain(name: &str, outer: Option<Arc<Turn>>) -> Result<Self, Error> {
        let identity = TestIdentity::plain(name)?;
        super::stop::listen(&identity.run);
        super::stop::refuse_if_stopped()?;
        let opened = Self::open(identity)?;
        leases::take_turn_at_once(&opened.inner, outer);
        Ok(opened)
    }

    async fn until_its_turn(self) -> Result<Self, Error> {
        if let Err(error) = leases::take_turn(&self.inner, Side::Shared, None).await {
            let ending = Ending::Body(BodyEnd::Errored(error.to_string()));
            let inner = Arc::clone(&self.inner);
            // It goes on where nobody waits for this any more.
            let _ = engine::own()
                .spawn(async move { finish::end(&inner, ending).await })
                .await;
            return Err(error);
        }
        Ok(self)
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
        // A runtime of its own: what `work` spawns and blocks must not hold off the engine.
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("the kernel gives a process a poll descriptor")
            .block_on(work)
    }

    /// Starts a program as a service and waits until it is ready. It ends with the context.
    ///
    /// # Errors
    ///
    /// If the name is taken, a port was reserved that it does not declare, the program is
    /// missing, exits at once or does not become
    /// ready (the message holds its last lines), or a fixed port is in use. Whatever was
    /// started is ended again.
    pub async fn process(&self, name: impl Into<Slot>, program: Program) -> Result<Service, Error> {
        let (inner, slot) = (Arc::clone(&self.inner), name.into());
        engine::run_on(engine::own(), starting::process(inner, slot, program)).await
    }

    /// Takes a name and stable addresses for a service before it starts, for one that tells
    /// its clients where they find it: a broker, the members of a cluster, a sentinel. Told
    /// the address of its link, its clients come through the link, and faults on links meet
    /// them.
    ///
    /// A program that declares no port has the reserved ones.
    ///
    /// ```no_run
    /// # async fn body(chaos: &chaos_test::ChaosContext) -> chaos_test::Result {
    /// use chaos_test::Program;
    /// let broker = chaos.reserve("broker", 9092).await?;
    /// let program = Program::new("broker").env("ADVERTISED", broker.address(9092));
    /// let broker = chaos.process(broker, program).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// If the name is taken, no port is named, or one twice, or it is 0.
    pub async fn reserve(
        &self,
        name: impl Into<String>,
        ports: impl Into<Ports>,
    ) -> Result<Reserved, Error> {
        let (inner, name, ports) = (Arc::clone(&self.inner), name.into(), ports.into());
        engine::run_on(engine::own(), reserving::reserve(inner, name, ports)).await
    }

    /// Starts code of the test's own process as a service, and waits until it is ready: no
    /// program is built and none is started, and it can share state with the test. Awaiting
    /// what this returns starts it; see [`InProcess`] for how it runs and what the faults on
    /// processes do to it. It ends with the context.
    ///
    /// The closure is called for each start, with a listener on the same port of 127.0.0.1.
    /// It may return nothing or any `Result` whose error can be shown; that it returns at all
    /// is the service's death.
    ///
    /// ```no_run
    /// # async fn body(chaos: &chaos_test::ChaosContext, cache: &chaos_test::Service) -> chaos_test::Result {
    /// # mod axum { pub async fn serve(_: tokio::net::TcpListener, _: String) -> std::io::Result<()> { Ok(()) } }
    /// # fn app(cache: chaos_test::Address) -> String { cache.to_string() }
    /// let cache = cache.address(6379);
    /// let orders = chaos
    ///     .in_process("orders", async move |listener| axum::serve(listener, app(cache)).await)
    ///     .await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// When it is awaited: if the name is taken, or it ends at once or does not become ready.
    pub fn in_process<F, O>(&self, name: impl Into<Slot>, serve: F) -> InProcess
    where
        F: AsyncFn(TcpListener) -> O + Send + Sync + 'static,
        O: Served + 'static,
    {
        InProcess::new(Arc::clone(&self.inner), name.into(), serve)
    }

    /// Starts a container as a service and waits until it is ready. It is removed with the
    /// context.
    ///
    /// Anything that testcontainers can start will do: an image of `testcontainers-modules`,
    /// a `GenericImage`, one that `GenericBuildableImage` has built, or a request with
    /// `with_env_var` and the like; [`Container`](crate::Container) adds what testcontainers
    /// has no word for. The containers of a context share one private network, in which each
    /// is reached under its service's name. Its ports are published for this machine only,
    /// unless the engine is on another one.
    ///
    /// ```no_run
    /// # async fn body(chaos: &chaos_test::ChaosContext) -> chaos_test::Result {
    /// use chaos_test::testcontainers::{GenericImage, ImageExt, core::{IntoContainerPort, WaitFor}};
    /// let image = GenericImage::new("redis", "7")
    ///     .with_exposed_port(6379.tcp())
    ///     .with_wait_for(WaitFor::message_on_stdout("Ready to accept connections"))
    ///     .with_cmd(["redis-server", "--save", ""]);
    /// let cache = chaos.container("cache", image).await?;
    /// println!("redis://{}", cache.address(6379));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// If no engine answers ([`Error::is_skip`]: the test counts as skipped, visibly), the
    /// name is taken, the image cannot be had, or the container cannot be made, ends at once
    /// or does not become ready (the message holds its last lines). Whatever was made is
    /// removed again.
    #[cfg(feature = "containers")]
    pub async fn container<How>(
        &self,
        name: impl Into<Slot>,
        container: impl super::container::IntoContainer<How>,
    ) -> Result<Service, Error> {
        let (inner, slot) = (Arc::clone(&self.inner), name.into());
        let container = container.into_container();
        let started = super::container::container(inner, slot, container);
        engine::run_on(engine::own(), started).await
    }

    /// Holds a target that tests share, until the context has ended and everything is put
    /// back: no two tests of this user on this machine hold the same name at once, in
    /// whatever process they run. It waits while another test holds it, and says so on
    /// standard error; that does not count against the body's time limit. What a test knows
    /// before it runs belongs into `#[chaos_test(leases("orders-db"))]`, which waits before the
    /// set-up.
    ///
    /// A name is any text on one line, of at most 80 bytes. One that the test holds already is
    /// held on.
    ///
    /// Two tests that wait for each other would wait for ever. So a lease is waited for only
    /// where its name sorts after all that the test holds, and before its first container;
    /// else it is taken if it is free, and refused if it is not.
    ///
    /// ```no_run
    /// use chaos_test::prelude::*;
    ///
    /// /// The shop survives an outage of whichever database this environment has.
    /// #[chaos_test(requires(env("SHARED_DATABASE")))]
    /// async fn the_shop_survives(chaos: &ChaosContext) -> chaos_test::Result {
    ///     let database = std::env::var("SHARED_DATABASE")?;
    ///     chaos.lease(database.as_str()).await?;
    ///     // Nobody else breaks it now.
    ///     Ok(())
    /// }
    /// # fn main() {}
    /// ```
    ///
    /// # Errors
    ///
    /// If somebody holds it and it may not be waited for ([`Error::is_refused`]; the message
    /// says who, and what to do), the state directory cannot be used ([`Error::is_state`]),
    /// or the context ends. Then the lease is not held, and a call that is dropped does not
    /// take it later.
    pub async fn lease(&self, name: impl Into<String>) -> Result<(), Error> {
        let (inner, name) = (Arc::clone(&self.inner), name.into());
        engine::run_while_awaited(engine::own(), leases::take_lease(inner, name)).await
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
        // Asked for before the lock: it is the user's code, and may panic.
        let wanted = pace.name.clone().unwrap_or_else(|| pace.probe.name());
        let mut monitors = lock(&self.inner.monitors);
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

    /// Injects a fault of the [`CATALOGUE`](crate::CATALOGUE) into a service, with usual
    /// parameters: for tests that go through all faults.
    ///
    /// # Errors
    ///
    /// Those of [`inject`](Self::inject).
    pub async fn inject_entry(&self, entry: &Entry, service: &Service) -> Result<Injection, Error> {
        self.inject_erased((entry.example)(service.name())).await
    }

    async fn inject_erased(&self, fault: Arc<dyn ErasedFault>) -> Result<Injection, Error> {
        let inner = Arc::clone(&self.inner);
        let injection = engine::run_on(engine::own(), injecting::inject(inner, fault)).await?;
        injection.fault.hand_out();
        Ok(injection)
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
    /// If its set-up, or that of a fixture that it needs, fails or takes longer than ten
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
        let mut closures = lock(&self.inner.closures);
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
        let undo = crate::system::undo::prepared(undo)?;
        self.inner.world.keep_for(&undo);
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
/// Libtest names a test's thread after it.
fn this_thread() -> String {
    let thread = std::thread::current();
    thread.name().unwrap_or("context").to_owned()
}
