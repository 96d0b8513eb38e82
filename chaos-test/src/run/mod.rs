//! The story of one test, from registration to verdict. Reads top to bottom.
//!
//! The body runs on a thread and a runtime of its own. The thread that libtest gave us
//! waits for it within its time limit, rolls back on the engine, judges, and tells libtest.

mod aborting;
pub(crate) mod aftermath;
mod body;
mod checks;
#[cfg(feature = "cli")]
pub mod checkup;
mod consistency;
#[cfg(feature = "containers")]
mod container;
mod context;
mod control;
mod degrading;
mod dry;
mod engine;
#[cfg(feature = "environments")]
mod environment;
#[cfg(not(feature = "environments"))]
#[path = "environment_refused.rs"]
mod environment;
mod eventually;
pub mod existing;
mod exit;
mod finish;
mod fixture_values;
mod fixtures;
mod group;
mod guard;
mod in_process;
mod injecting;
mod inner;
mod invariants;
mod judging;
mod keep;
mod leases;
mod libtest;
mod moment;
mod monitor;
#[cfg(feature = "main")]
mod own_main;
mod preflight;
mod process_run;
mod program;
mod radius;
mod recorder;
mod recoveries;
#[cfg(feature = "cli")]
pub mod recovering;
mod recovery;
mod reports;
mod requirements;
mod reserving;
mod retried;
mod retries;
mod rollback;
mod selection;
mod service;
mod service_log;
mod side_by_side;
mod slos;
mod slots;
mod starting;
mod stop;
#[cfg(feature = "cli")]
pub mod stopping;
mod summary;
mod sweep;
mod test_identity;
mod transitions;
mod window;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Sender;

use crate::decide::tolerance::Judgement;
use crate::decide::verdict;
use crate::error::{Error, TestError};
use crate::model::concluded::{Concluded, How};
use crate::model::event::{BodyEnd, Event, Met};
use crate::model::spec::{ShouldPanic, TestSpec};
use crate::model::target::Breakable;
use crate::system::Ledger;

pub use checks::{Check, Must};
pub use consistency::{Consistency, RecordExpectations};
#[cfg(feature = "containers")]
pub use container::{Container, IntoContainer};
pub use context::ChaosContext;
pub use degrading::{DegradesThenRecovers, Faulted};
pub use eventually::Eventually;
pub use fixture_values::{optional, shown};
pub(crate) use fixtures::of_run::keeper;
pub use fixtures::{
    Fixture, FixtureRun, Needed, RUN_FIXTURES, RunFixture, RunValue, keep as keep_fixture, needed,
};
pub use group::Group;
pub use guard::{During, Injection};
pub use in_process::{InProcess, Served};
pub use invariants::Invariant;
pub use libtest::tell_libtest;
pub use moment::Moment;
pub use monitor::Monitor;
#[cfg(feature = "main")]
pub use own_main::main;
pub use program::{EnvValue, Program};
pub use recoveries::{Recoveries, RecoveriesExpected};
pub use recovery::{Recovers, Recovery};
pub use reserving::{Ports, Reserved, Slot};
pub use retries::{Retries, RetriesSeen, RetryExpectations};
pub use service::{Address, Link, Service};
pub use service_log::{LogContains, ServiceLog};
pub use slos::SloCheck;
#[cfg(feature = "cli")]
pub use sweep::{Came, Swept, Told, UNMADE_LIMIT};
pub use transitions::{Observed, Reached, States, Transitions};
pub use window::{Baseline, Expectations, Samples};

use body::News;
use finish::Ending;
use fixtures::{holds, shared};
use inner::Inner;
use requirements::Demanded;
use test_identity::TestIdentity;

/// A boxed future that any thread may run.
pub type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Runs an asynchronous `#[chaos_test]`.
pub fn run_async_test<F, Fut>(spec: &'static TestSpec, needed: &[Needed], body: F) -> Concluded
where
    F: FnOnce(Running) -> Fut + Send + 'static,
    Fut: Future<Output = Result<(), TestError>> + 'static,
{
    run_test(spec, needed, move |running| {
        let inner = Arc::clone(&running.context.inner);
        body::runtime().block_on(body::unless_stopped(inner, body(running)))
    })
}

/// Runs a `#[chaos_test]` that is a plain function. Its set-up is asynchronous; the body
/// itself runs outside every runtime.
pub fn run_sync_test<F, Fut, B>(spec: &'static TestSpec, needed: &[Needed], set_up: F) -> Concluded
where
    F: FnOnce(Running) -> Fut + Send + 'static,
    Fut: Future<Output = Result<B, TestError>> + 'static,
    B: FnOnce() -> Result<(), TestError> + 'static,
{
    run_test(spec, needed, move |running| {
        let ready = running.ready.clone();
        let inner = Arc::clone(&running.context.inner);
        let set_up = body::unless_stopped(Arc::clone(&inner), set_up(running));
        let body = body::runtime().block_on(set_up)?;
        begin_body(&inner, spec);
        let _ = ready.send(News::Ready);
        body()
    })
}

/// What the macro's code is given.
pub struct Running {
    context: ChaosContext,
    spec: &'static TestSpec,
    ready: Sender<News>,
}

impl Running {
    /// The test's context.
    pub fn context(&self) -> &ChaosContext {
        &self.context
    }

    /// A fixture that the test names as a parameter.
    ///
    /// # Errors
    ///
    /// If its set-up fails.
    pub async fn fixture<T: Send + Sync + 'static, G: Default>(
        &self,
        fixture: fn() -> Fixture<T, G>,
    ) -> Result<Arc<T>, TestError> {
        fixtures::get(&self.context, fixture().given(G::default())).await
    }

    /// As [`fixture`](Self::fixture), with some of its values replaced.
    ///
    /// # Errors
    ///
    /// If its set-up fails.
    pub async fn fixture_with<T: Send + Sync + 'static, G: Default>(
        &self,
        fixture: fn() -> Fixture<T, G>,
        give: impl FnOnce(&mut G),
    ) -> Result<Arc<T>, TestError> {
        let mut given = G::default();
        give(&mut given);
        fixtures::get(&self.context, fixture().given(given)).await
    }

    /// Something that the test names in `breaks(..)`.
    pub fn may_break<T: Breakable + ?Sized>(&self, name: &'static str, target: &T) {
        self.context.inner.name_breakable(name, target);
    }

    /// Set-up is over: the body's time begins.
    pub fn ready(&self) {
        begin_body(&self.context.inner, self.spec);
        // The other side is gone only where nobody waits any more.
        let _ = self.ready.send(News::Ready);
    }
}

/// From here on the test's own conditions are watched.
fn begin_body(inner: &Arc<Inner>, spec: &TestSpec) {
    inner.recorder.record(Event::BodyStarted);
    let radius = inner.taken.radius();
    if radius.is_set() {
        inner.recorder.record(Event::BlastRadius { radius });
    }
    for condition in spec.abort_if {
        aborting::watch(inner, condition.clone());
    }
}

/// Runs a test whose `body` blocks its thread until it ends.
fn run_test<B>(spec: &'static TestSpec, needed: &[Needed], body: B) -> Concluded
where
    B: FnOnce(Running) -> Result<(), TestError> + Send + 'static,
{
    let context = match open(spec) {
        Ok(context) => context,
        Err(error) => {
            summary::saw(true);
            shared::test_ended(spec, spec.fixture_module());
            let message = format!("{}: {error}", spec.path());
            let how = How::Failed {
                explained: message.clone(),
                headline: message,
            };
            return Concluded { spec, how };
        }
    };
    if let Some(why) = stop::reason() {
        return conclude(spec, &context, BodyEnd::Interrupted(why));
    }
    // Nobody waits for a test that will be skipped.
    let ready = selection::check(&context.inner)
        .and_then(|()| environment::enter_test(&context.inner, spec))
        .and_then(|()| check_requirements(spec))
        .and_then(|()| control::run_all(&context.inner, spec))
        .and_then(|()| leases::take_all(&context.inner, spec))
        .and_then(|()| holds::take_all(&context.inner, spec.breaks, needed));
    let how = match ready {
        Ok(()) => body::watch(spec, &context, body),
        Err(error) => body::ended_with(&context.inner, error.into()),
    };
    conclude(spec, &context, how)
}

fn open(spec: &'static TestSpec) -> Result<ChaosContext, Error> {
    let identity = TestIdentity::of_spec(spec)?;
    let own = identity.clone();
    ChaosContext::open(identity).inspect_err(|_| own.never_began())
}

fn check_requirements(spec: &'static TestSpec) -> Result<(), Error> {
    Demanded::from_environment()?;
    engine::own().block_on(requirements::check(spec.requires))
}

/// Rolls back, judges, and says what came of it.
fn conclude(spec: &'static TestSpec, context: &ChaosContext, how: BodyEnd) -> Concluded {
    let inner = &context.inner;
    let panic = match &how {
        BodyEnd::PanickedAsExpected(message) => Some(message.clone()),
        BodyEnd::Returned if spec.should_panic != ShouldPanic::No => {
            let judgement = Judgement {
                what: "the body's end".to_owned(),
                expected: "a panic (`#[should_panic]`)".to_owned(),
                actual: "it returned".to_owned(),
                met: Met::No,
                measured: Vec::new(),
                evidence: Vec::new(),
            };
            judging::record(inner, &judgement, &format!("{}:{}", spec.file, spec.line));
            None
        }
        _ => None,
    };
    let outcome = finish::end_blocking(inner, Ending::Body(how));
    if !outcome.passed() && outcome.skipped().is_none() {
        for shared in inner.used_shared() {
            shared.used_by_failed.store(true, Ordering::SeqCst);
        }
    }
    shared::test_ended(spec, &inner.identity.module);
    stop::wait_if_dying(exit::EXIT_LIMIT);
    let how = if let Some(why) = outcome.skipped() {
        match &inner.identity.deselected {
            Some(_) => summary::deselected(&spec.path(), why),
            None => summary::skipped(&spec.path(), why),
        }
        How::Skipped(why.to_owned())
    } else if let Some(gap) = outcome.known_gap() {
        summary::known_gap(&spec.path(), gap, &verdict::headline(&outcome));
        How::KnownGap(gap.to_owned())
    } else if outcome.passed() {
        summary::saw(false);
        if let Some(how) = retried::passed_at_last(inner) {
            summary::flaky(&spec.path(), &how);
        }
        panic.map_or(How::Passed, How::PanickedAsExpected)
    } else {
        summary::saw(true);
        How::Failed {
            explained: finish::explained(inner, &outcome),
            headline: verdict::headline(&outcome),
        }
    };
    Concluded { spec, how }
}
