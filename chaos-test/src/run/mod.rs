//! The story of one test, from registration to verdict. Reads top to bottom.
//!
//! The body runs on a thread and a runtime of its own. The thread that libtest gave us
//! waits for it within its time limit, rolls back on the engine, judges, and tells libtest.

mod aborting;
pub(crate) mod aftermath;
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
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use crate::decide::tolerance::Judgement;
use crate::decide::verdict;
use crate::error::{Error, Kind, TestError};
use crate::model::concluded::{Concluded, How};
use crate::model::event::{BodyEnd, Event, Met, PreflightItem};
use crate::model::spec::{ShouldPanic, TestSpec};
use crate::model::target::Breakable;
use crate::model::units::human;
use crate::system::Ledger;

pub use checks::{Check, Must};
pub use consistency::{Consistency, RecordExpectations};
#[cfg(feature = "containers")]
pub use container::{Container, IntoContainer};
pub use context::ChaosContext;
pub use degrading::{DegradesThenRecovers, Faulted};
pub use eventually::Eventually;
pub use fixture_values::{optional, shown};
pub use fixtures::{Fixture, FixtureRun, Needed, needed};
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

use finish::Ending;
use fixtures::{holds, shared};
use inner::{Inner, Stop};
use requirements::Demanded;
use test_identity::TestIdentity;

/// A body that has waited for other tests is looked at again after this time, at least.
const SHORTEST_LOOK: Duration = Duration::from_millis(10);

/// A boxed future that any thread may run.
pub type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// How long a body that was stopped may take to notice.
const STOP_LIMIT: Duration = Duration::from_secs(1);

/// Runs an asynchronous `#[chaos_test]`.
pub fn run_async_test<F, Fut>(spec: &'static TestSpec, needed: &[Needed], body: F) -> Concluded
where
    F: FnOnce(Running) -> Fut + Send + 'static,
    Fut: Future<Output = Result<(), TestError>> + 'static,
{
    run_test(spec, needed, move |running| {
        let inner = Arc::clone(&running.context.inner);
        body_runtime().block_on(unless_stopped(inner, body(running)))
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
        let set_up = unless_stopped(Arc::clone(&inner), set_up(running));
        let body = body_runtime().block_on(set_up)?;
        begin_body(&inner, spec);
        let _ = ready.send(News::Ready);
        body()
    })
}

/// Drops what is under way as soon as somebody stops the run and it comes to an await.
async fn unless_stopped<T>(
    inner: Arc<Inner>,
    work: impl Future<Output = Result<T, TestError>>,
) -> Result<T, TestError> {
    tokio::select! {
        done = work => done,
        stop = inner.until_stopped() => Err(Error::from(stop).into()),
    }
}

fn body_runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("the kernel gives a process a poll descriptor")
}

/// What the body's thread says to the one that waits for it.
enum News {
    /// Set-up is over.
    Ready,
    /// The run was stopped.
    Stopped(Stop),
    /// The body ended.
    Ended(BodyEnd),
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
        Ok(()) => watch_body(spec, &context, body),
        Err(error) => ended_with(&context.inner, error.into()),
    };
    conclude(spec, &context, how)
}

fn open(spec: &'static TestSpec) -> Result<ChaosContext, Error> {
    ChaosContext::open(TestIdentity::of_spec(spec)?)
}

fn check_requirements(spec: &'static TestSpec) -> Result<(), Error> {
    Demanded::from_environment()?;
    engine::own().block_on(requirements::check(spec.requires))
}

/// Starts the body on its own thread and waits for it within its time limit.
fn watch_body<B>(spec: &'static TestSpec, context: &ChaosContext, body: B) -> BodyEnd
where
    B: FnOnce(Running) -> Result<(), TestError> + Send + 'static,
{
    let (news, hear) = mpsc::channel();
    let running = Running {
        context: context.handle(Vec::new()),
        spec,
        ready: news.clone(),
    };
    let stops = news.clone();
    // Named after the test, so that panic messages and thread names read as in libtest.
    let thread = std::thread::Builder::new().name(spec.path());
    let inner = Arc::clone(&context.inner);
    let spawned = thread.spawn(move || {
        leases::belong_to(&inner);
        let ended = catch_unwind(AssertUnwindSafe(|| body(running)));
        let how = match ended {
            Ok(Ok(())) => BodyEnd::Returned,
            Ok(Err(error)) => ended_with(&inner, error),
            Err(panic) => panicked(spec, &*panic),
        };
        let _ = news.send(News::Ended(how));
    });
    if let Err(error) = spawned {
        return BodyEnd::Errored(format!("no thread could be started for the body: {error}"));
    }
    tell_of_stop(&context.inner, stops);
    // Set-up has limits of its own.
    match hear.recv() {
        Ok(News::Ready) => {}
        Ok(News::Ended(how)) => return how,
        Ok(News::Stopped(stop)) => return until_it_notices(spec, &hear, stop),
        Err(_) => return BodyEnd::Errored("the body's thread is gone".to_owned()),
    }
    let limit = spec.body_limit();
    let (began, before) = (Instant::now(), context.inner.leases.waited());
    // What it waits for other tests is not its time.
    let left = || {
        let waited = context.inner.leases.waited().saturating_sub(before);
        (limit + waited).saturating_sub(began.elapsed())
    };
    let mut next_look = limit;
    loop {
        match hear.recv_timeout(next_look) {
            Ok(News::Ready) => next_look = left(),
            Ok(News::Ended(how)) => return how,
            Ok(News::Stopped(stop)) => return until_it_notices(spec, &hear, stop),
            Err(RecvTimeoutError::Disconnected) => {
                return BodyEnd::Errored("the body's thread is gone".to_owned());
            }
            Err(RecvTimeoutError::Timeout) if !left().is_zero() => {
                next_look = left().max(SHORTEST_LOOK);
            }
            Err(RecvTimeoutError::Timeout) => {
                process_run::abandon(&spec.path());
                return BodyEnd::TimedOut(format!(
                    "the body took longer than {} and was abandoned; its thread may still run",
                    human(limit)
                ));
            }
        }
    }
}

/// Says to whoever waits for a body that the run was stopped.
fn tell_of_stop(inner: &Arc<Inner>, stops: Sender<News>) {
    let inner = Arc::clone(inner);
    engine::own().spawn(async move {
        let stop = tokio::select! {
            biased;
            stop = inner.until_stopped() => stop,
            _ = inner.until_ended() => return,
        };
        // Nobody hears it where the body has ended meanwhile.
        let _ = stops.send(News::Stopped(stop));
    });
}

/// Gives a stopped body time to come to an await, where it is dropped. Everything is put back
/// meanwhile.
fn until_it_notices(spec: &TestSpec, hear: &mpsc::Receiver<News>, stop: Stop) -> BodyEnd {
    let until = Instant::now() + STOP_LIMIT;
    loop {
        match hear.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(News::Ended(_)) => return stop.into(),
            Ok(News::Ready | News::Stopped(_)) => {}
            Err(_) => {
                process_run::abandon(&spec.path());
                return stop.into();
            }
        }
    }
}

/// Which end of a body an error is.
fn ended_with(inner: &Inner, error: TestError) -> BodyEnd {
    let message = error.to_string();
    let Some(own) = error.as_chaos() else {
        return BodyEnd::Failed(message);
    };
    match own.kind() {
        // Judged already, with more detail than the error has; unless it is the error of
        // another context.
        Kind::Deviated | Kind::NoData if has_missed(inner) => BodyEnd::Returned,
        // Its pre-flight is in the journal, and judged with that.
        Kind::NotSteady if was_not_steady(inner) => BodyEnd::Returned,
        Kind::Deviated | Kind::NoData => BodyEnd::Failed(message),
        Kind::Skip { capability } => {
            let forbidden = Demanded::from_environment()
                .is_ok_and(|demanded| demanded.forbids_skip(capability.as_deref()));
            if forbidden {
                BodyEnd::Errored(format!("it may not be skipped (CHAOS_REQUIRE): {message}"))
            } else {
                BodyEnd::Skipped(message)
            }
        }
        Kind::Interrupted => BodyEnd::Interrupted(message),
        Kind::Aborted => BodyEnd::Aborted(message),
        _ => BodyEnd::Errored(message),
    }
}

fn has_missed(inner: &Inner) -> bool {
    inner.recorder.any(
        |event| matches!(event, Event::Judged { met, .. } if matches!(met, Met::No | Met::NoData)),
    )
}

fn was_not_steady(inner: &Inner) -> bool {
    inner.recorder.any(
        |event| matches!(event, Event::Preflight { items, .. } if items.iter().any(PreflightItem::is_not_steady)),
    )
}

fn panicked(spec: &TestSpec, panic: &(dyn std::any::Any + Send)) -> BodyEnd {
    let message = panic_text(panic);
    let expected = match spec.should_panic {
        ShouldPanic::No => false,
        ShouldPanic::Yes => true,
        ShouldPanic::With(text) => message.contains(text),
    };
    if expected {
        BodyEnd::PanickedAsExpected(message)
    } else {
        BodyEnd::Panicked(message)
    }
}

/// What somebody panicked with, in words.
fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a value that is no text".to_owned())
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
