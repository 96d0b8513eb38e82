//! The context of one test: everything that it makes and breaks belongs to it.
//!
//! What it offers stands in the files below, one for each group of methods.

// In the order in which users read about them: rustdoc keeps it, and rustfmt does where a blank
// line stands between two.
mod lifecycle;

mod services;

mod existing;

mod leases;

mod monitors;

mod conditions;

mod consistency;

mod checks;
mod retries;

mod transitions;

mod faults;

#[cfg(feature = "environments")]
mod environment;
mod limits;

mod at_rollback;

use std::future::Future;
use std::sync::Arc;

use crate::error::{Error, TestError};
use crate::model::event::Event;
use crate::system::Ledger;

use super::fixtures::{self, Chain, Fixture};
use super::inner::Inner;
use super::moment::Moment;
use super::process_run;
use super::test_identity::TestIdentity;

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
///
/// ```no_run
/// use chaos_test::prelude::*;
/// use chaos_test::process;
///
/// /// The cache accepts connections again within five seconds.
/// #[chaos_test]
/// async fn the_cache_comes_back(chaos: &ChaosContext) -> chaos_test::Result {
///     let cache = Program::new("redis-server").args(["--port", "{port}"]);
///     let cache = chaos.process("cache", cache).await?;
///     let connects = chaos.monitor(cache.connect().every(ms(20)));
///     let normal = connects.baseline(secs(1)).await?;
///     let outage = chaos.inject(process::kill(&cache)).await?;
///     connects.over(secs(1)).await?;
///     let lifted = outage.lift().await?;
///     connects.recovers_to(&normal).since(lifted).within(secs(5)).await?;
///     Ok(())
/// }
/// # fn main() {}
/// ```
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
    pub(super) fn open(identity: TestIdentity) -> Result<Self, Error> {
        Ok(Self {
            inner: process_run::open_context(identity)?,
            owner: true,
            chain: Chain::default(),
        })
    }

    /// A handle of a context that ends in another way than by being dropped.
    pub(super) fn of(inner: &Arc<Inner>, chain: Chain) -> Self {
        Self {
            inner: Arc::clone(inner),
            owner: false,
            chain,
        }
    }

    /// Another handle, which does not end the context when it is dropped.
    pub(super) fn handle(&self, chain: Chain) -> Self {
        Self::of(&self.inner, chain)
    }

    pub(super) fn chain(&self) -> &Chain {
        &self.chain
    }

    /// Runs a future to its end on this thread: for tests that are plain functions.
    ///
    /// ```no_run
    /// # fn body(chaos: &chaos_test::ChaosContext, cache: &chaos_test::Service) -> chaos_test::Result {
    /// use chaos_test::process;
    /// let outage = chaos.block_on(chaos.inject(process::kill(cache)))?;
    /// // .. a client that blocks ..
    /// chaos.block_on(outage.lift())?;
    /// # Ok(()) }
    /// ```
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

    /// The value of a fixture: set up at the first call in this context, shared afterwards. Its
    /// own values are the defaults.
    ///
    /// ```no_run
    /// # use chaos_test::prelude::*;
    /// #[chaos_fixture]
    /// async fn cache(chaos: &ChaosContext) -> chaos_test::Result<Service> {
    ///     let program = Program::new("redis-server").args(["--port", "{port}"]);
    ///     Ok(chaos.process("cache", program).await?)
    /// }
    ///
    /// # async fn body() -> chaos_test::Result {
    /// let chaos = ChaosContext::start().await?;
    /// let cache = chaos.fixture(cache).await?;
    /// println!("it is at {}", cache.first_address());
    /// # chaos.finish().await?;
    /// # Ok(()) }
    /// # fn main() {}
    /// ```
    ///
    /// # Errors
    ///
    /// If its set-up, or that of a fixture that it needs, fails or takes longer than ten
    /// minutes; if another test has what it shares for itself, and this one may not wait for
    /// that ([`Error::is_refused`]), because it has something for itself, too.
    pub async fn fixture<T: Send + Sync + 'static, G: Default>(
        &self,
        fixture: fn() -> Fixture<T, G>,
    ) -> Result<Arc<T>, TestError> {
        fixtures::ask(self, fixture).await
    }

    /// The value of a fixture that tests share, for a context without the macro that is going to
    /// break it: until this context has ended no other test uses it, nor anything that needs it.
    /// A `#[chaos_test]` names it in `breaks(..)` instead, and has it so from the start.
    ///
    /// ```no_run
    /// # use chaos_test::prelude::*;
    /// #[chaos_fixture(scope = "binary")]
    /// async fn cache(chaos: &ChaosContext) -> chaos_test::Result<Service> {
    ///     let program = Program::new("redis-server").args(["--port", "{port}"]);
    ///     Ok(chaos.process("cache", program).await?)
    /// }
    ///
    /// # async fn body() -> chaos_test::Result {
    /// let chaos = ChaosContext::start().await?;
    /// let cache = chaos.fixture_alone(cache).await?;
    /// let outage = chaos.inject(chaos_test::process::kill(&cache)).await?;
    /// # outage.lift().await?;
    /// # Ok(()) }
    /// # fn main() {}
    /// ```
    ///
    /// # Errors
    ///
    /// As [`fixture`](Self::fixture); and where this context uses something shared already: two
    /// that do and wait for more would wait for each other.
    pub async fn fixture_alone<T: Send + Sync + 'static, G: Default>(
        &self,
        fixture: fn() -> Fixture<T, G>,
    ) -> Result<Arc<T>, TestError> {
        fixtures::ask_alone(self, fixture).await
    }

    /// The seed of everything that this context draws by chance: from `CHAOS_SEED`, else
    /// from the test's `seed`, else new each time. It stands in every report.
    ///
    /// See [`note`](Self::note) for an example.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.inner.seed
    }

    /// The id of the trace that all samples of this context belong to, as 32 hexadecimal digits:
    /// what to look for in the traces of the system under test; see
    /// [`traceparent`](crate::traceparent).
    ///
    /// See [`note`](Self::note) for an example.
    #[must_use]
    pub fn trace_id(&self) -> String {
        self.inner.trace.id.to_string()
    }

    /// The present moment, as reports count it.
    ///
    /// See [`Moment`] for an example.
    #[must_use]
    pub fn now(&self) -> Moment {
        Moment(self.inner.recorder.now())
    }

    /// Writes a line into the journal and the report's timeline.
    ///
    /// ```no_run
    /// # async fn body(chaos: &chaos_test::ChaosContext) -> chaos_test::Result {
    /// chaos.note(format!("seed {:#x}, trace {}", chaos.seed(), chaos.trace_id()));
    /// # Ok(()) }
    /// ```
    pub fn note(&self, text: impl Into<String>) {
        self.inner
            .recorder
            .record(Event::Note { text: text.into() });
    }
}
