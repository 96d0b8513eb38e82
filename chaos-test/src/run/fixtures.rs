//! Fixtures: what a test needs, set up once in its context and shared by all that ask. What
//! several tests share has a context of its own.

pub(super) mod holds;
mod needs;
pub(crate) mod of_run;
pub(super) mod shared;

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::error::{Error, Kind, TestError};
use crate::model::event::Event;
use crate::model::scope::Scope;
use crate::model::units::human;
use crate::system::Ledger;
use crate::system::lock::lock;

use super::Boxed;
use super::context::ChaosContext;
use super::engine;
use super::fixture_values::{Described, Open, SetUp};

pub(super) use needs::Known;
use needs::all;
pub use needs::{Needed, needed};
pub use of_run::{RUN_FIXTURES, RunFixture, RunValue, keep};

/// How long a set-up may take: as long as the pull of an image, which it may have to wait for.
const SET_UP_LIMIT: Duration = Duration::from_secs(600);

/// How long a value may take to be dropped before the rollback goes on without it.
const DROP_LIMIT: Duration = Duration::from_secs(10);

/// What `#[chaos_fixture]` makes of a function: how to set a value up, not the value.
///
/// `G` is what tests may give it: its parameters with a `#[default(..)]`, each as an `Option`. A
/// fixture without such parameters has none of it.
///
/// ```no_run
/// use chaos_test::prelude::*;
///
/// #[chaos_fixture]
/// async fn cache(chaos: &ChaosContext) -> chaos_test::Result<Service> {
///     let program = Program::new("redis-server").args(["--port", "{port}"]);
///     Ok(chaos.process("cache", program).await?)
/// }
///
/// # async fn body() -> chaos_test::Result {
/// let chaos = ChaosContext::start().await?;
/// let cache = chaos.fixture(cache).await?; // without the macro, in the place of a parameter
/// # chaos.finish().await?;
/// # Ok(()) }
/// # fn main() {}
/// ```
#[must_use = "pass the fixture's function to `chaos.fixture(..)`, or name it as a parameter"]
pub struct Fixture<T, G = ()> {
    pub(super) name: &'static str,
    pub(super) path: &'static str,
    pub(super) scope: Scope,
    pub(super) needs: Box<dyn Fn() -> Vec<Needed> + Send>,
    pub(super) open: Open<T, G>,
    /// How its value is read where another process has set it up for the whole run.
    pub(super) read: Option<of_run::Read<T>>,
}

impl<T, G> std::fmt::Debug for Fixture<T, G> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fixture")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl<T> Fixture<T> {
    /// One that takes nothing but other fixtures.
    pub(crate) fn new(
        name: &'static str,
        path: &'static str,
        set_up: impl FnOnce(FixtureRun) -> Boxed<Result<T, TestError>> + Send + 'static,
    ) -> Self {
        Self {
            name,
            path,
            scope: Scope::Test,
            needs: Box::new(Vec::new),
            open: Box::new(|()| (String::new(), Box::new(set_up))),
            read: None,
        }
    }
}

impl<T, G> Fixture<T, G> {
    /// One with values of its own.
    pub(crate) fn with_values(
        name: &'static str,
        path: &'static str,
        open: impl FnOnce(G) -> (String, SetUp<T>) + Send + 'static,
    ) -> Self {
        Self {
            name,
            path,
            scope: Scope::Test,
            needs: Box::new(Vec::new),
            open: Box::new(open),
            read: None,
        }
    }

    /// Shared by more than one test.
    #[doc(hidden)]
    pub fn scoped(mut self, scope: Scope) -> Self {
        self.scope = scope;
        self
    }

    /// The fixtures that it takes.
    #[doc(hidden)]
    pub fn needing(mut self, needs: impl Fn() -> Vec<Needed> + Send + 'static) -> Self {
        self.needs = Box::new(needs);
        self
    }

    fn into_needed(self) -> Needed {
        Needed {
            name: self.name,
            path: self.path,
            scope: self.scope,
            called: self.name,
            needs: self.needs,
        }
    }
}

/// What a fixture's set-up is given.
#[derive(Debug)]
pub struct FixtureRun {
    context: ChaosContext,
}

impl FixtureRun {
    /// The context of the test that needs it.
    pub fn context(&self) -> &ChaosContext {
        &self.context
    }

    /// Another fixture that this one needs.
    ///
    /// # Errors
    ///
    /// If its set-up fails.
    pub fn fixture<T: Send + Sync + 'static, G: Default>(
        &self,
        fixture: fn() -> Fixture<T, G>,
    ) -> Boxed<Result<Arc<T>, TestError>> {
        self.fixture_with(fixture, |_| {})
    }

    /// As [`fixture`](Self::fixture), with some of its values replaced.
    ///
    /// # Errors
    ///
    /// If its set-up fails.
    pub fn fixture_with<T: Send + Sync + 'static, G: Default>(
        &self,
        fixture: fn() -> Fixture<T, G>,
        give: impl FnOnce(&mut G),
    ) -> Boxed<Result<Arc<T>, TestError>> {
        let context = self.context.handle(self.context.chain().clone());
        let mut given = G::default();
        give(&mut given);
        let fixture = fixture().given(given);
        // Boxed, because fixtures nest to any depth. Held already by whoever needs this one.
        Box::pin(async move { get(&context, fixture).await })
    }
}

/// The fixtures that are being set up, outermost first.
pub(super) type Chain = Vec<Known>;

type Value = Arc<dyn Any + Send + Sync>;
/// A failure is kept: everybody who needs the value is told the same.
type Answer = Result<Value, Arc<Error>>;
/// `None` while it is being set up.
type Cell = watch::Receiver<Option<Answer>>;

/// The values of one context, by the fixture's path and what it was given.
#[derive(Default)]
pub(super) struct FixtureCache {
    cells: Mutex<BTreeMap<&'static str, Cell>>,
    /// In the order in which they were ready.
    order: Mutex<Vec<&'static str>>,
    /// When the first one was.
    ready_since: OnceLock<Instant>,
}

impl FixtureCache {
    fn cell(&self, path: &str) -> Option<Cell> {
        lock(&self.cells).get(path).cloned()
    }

    fn ready_since(&self) -> Option<Instant> {
        self.ready_since.get().copied()
    }

    fn is_ready(&self, path: &'static str) {
        lock(&self.order).push(path);
        self.ready_since.get_or_init(Instant::now);
    }

    /// Drops all values, newest first: a pool goes before the database that it leads to.
    pub(super) async fn drop_in_reverse(&self) {
        let order = std::mem::take(&mut *lock(&self.order));
        for path in order.into_iter().rev() {
            let cell = lock(&self.cells).remove(path);
            // A value's own `Drop` may block, or wait for a task of the users' runtime.
            let dropped = engine::users().spawn_blocking(move || drop(cell));
            let _ = tokio::time::timeout(DROP_LIMIT, dropped).await;
        }
    }
}

/// The value of a fixture that is asked for by name in the middle of a body or of a set-up.
pub(super) async fn ask<T: Send + Sync + 'static, G: Default>(
    context: &ChaosContext,
    fixture: fn() -> Fixture<T, G>,
) -> Result<Arc<T>, TestError> {
    // Only what others share is held; most fixtures are one test's, and need nothing shared.
    holds::take_more(&context.inner, &[needed(fixture)]).await?;
    let described = fixture().given(G::default());
    get(context, described).await
}

/// As [`ask`], for a context that is going to break what others share.
pub(super) async fn ask_alone<T: Send + Sync + 'static, G: Default>(
    context: &ChaosContext,
    fixture: fn() -> Fixture<T, G>,
) -> Result<Arc<T>, TestError> {
    holds::take_alone(&context.inner, needed(fixture)).await?;
    let described = fixture().given(G::default());
    get(context, described).await
}

/// The value of a fixture. What it shares with other tests is held by whoever asks.
pub(super) async fn get<T: Send + Sync + 'static>(
    context: &ChaosContext,
    fixture: Described<T>,
) -> Result<Arc<T>, TestError> {
    needs::check(context.chain(), fixture.known())?;
    if fixture.scope.is_shared() {
        return shared::get(context, fixture).await;
    }
    let (name, path) = (fixture.name, fixture.path);
    let cell = {
        let mut cells = lock(&context.inner.fixtures.cells);
        let start = || start(context, fixture);
        cells.entry(path).or_insert_with(start).clone()
    };
    let answer = answer(name, cell).await?;
    let value = answer.map_err(|error| Error::new(error.kind().clone(), error.to_string()))?;
    typed(name, value)
}

/// Waits until a set-up is over.
async fn answer(name: &str, mut cell: Cell) -> Result<Answer, Error> {
    match cell.wait_for(Option::is_some).await {
        Ok(answer) => Ok(answer.clone().expect("waited for")),
        Err(_) => Err(failed(name, "its set-up was given up")),
    }
}

fn typed<T: Send + Sync + 'static>(name: &str, value: Value) -> Result<Arc<T>, TestError> {
    let other = |_| failed(name, "two fixtures of different types share its path").into();
    value.downcast().map_err(other)
}

/// Begins a set-up that goes on whoever stops waiting for it: begun anew beside the first,
/// it would find half of its things taken.
fn start<T: Send + Sync + 'static>(context: &ChaosContext, fixture: Described<T>) -> Cell {
    let (answer, cell) = watch::channel(None);
    let context = context.handle(context.chain().clone());
    engine::own().spawn(async move {
        let ready = set_up(&context, fixture).await;
        // Not this thread lets go of the context last, but whoever waits for the answer.
        drop(context);
        answer.send_replace(Some(ready.map_err(Arc::new)));
    });
    cell
}

async fn set_up<T: Send + Sync + 'static>(
    context: &ChaosContext,
    fixture: Described<T>,
) -> Result<Value, Error> {
    let known = fixture.known();
    let Described {
        name, path, set_up, ..
    } = fixture;
    let recorder = Arc::clone(&context.inner.recorder);
    let started = Instant::now();
    let _going = context.inner.going(format!("setting up fixture {name}"));
    let mut chain = context.chain().clone();
    chain.push(known);
    let run = FixtureRun {
        context: context.handle(chain),
    };
    // On the users' runtime: what a fixture makes must live on when this test's own runtime
    // is blocked or gone.
    let task = engine::users().spawn(set_up(run));
    let abort = task.abort_handle();
    // Whoever keeps it for the run tells more of what took so long.
    let is_asked_for = known.scope == Scope::Run && !of_run::is_kept_here(known.path);
    let limit = match is_asked_for {
        true => SET_UP_LIMIT + Duration::from_secs(30),
        false => SET_UP_LIMIT,
    };
    let answer = match tokio::time::timeout(limit, task).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(panic)) => Err(failed(name, format!("its set-up panicked: {panic}")).into()),
        Err(_) => {
            abort.abort();
            Err(failed(
                name,
                format!("its set-up took longer than {}", human(limit)),
            )
            .into())
        }
    };
    match answer {
        // Nobody would drop it in its turn any more.
        Ok(late) if *context.inner.ended.borrow() => {
            engine::users().spawn_blocking(move || drop(late));
            Err(failed(name, "the context had ended before it was ready"))
        }
        Ok(value) => {
            if let Err(error) = shared::only_made_things(&context.inner, name) {
                engine::users().spawn_blocking(move || drop(value));
                recorder.record(Event::FixtureFailed {
                    fixture: name.to_owned(),
                    why: error.to_string(),
                });
                return Err(error);
            }
            recorder.record(Event::FixtureReady {
                fixture: name.to_owned(),
                took_us: u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX),
            });
            context.inner.fixtures.is_ready(path);
            Ok(Arc::new(value))
        }
        Err(error) => {
            let (fixture, why) = (name.to_owned(), error.to_string());
            let error = explain(name, error);
            recorder.record(match error.kind() {
                Kind::Skip { .. } => Event::FixtureSkipped { fixture, why },
                _ => Event::FixtureFailed { fixture, why },
            });
            Err(error)
        }
    }
}

/// A skip stays a skip; anything else says which fixture failed.
fn explain(name: &str, error: TestError) -> Error {
    match error.as_chaos() {
        Some(own) if matches!(own.kind(), Kind::Skip { .. } | Kind::Fixture | Kind::Ended) => {
            Error::new(own.kind().clone(), own.to_string())
        }
        _ => failed(name, error),
    }
}

fn failed(name: &str, why: impl std::fmt::Display) -> Error {
    Error::new(Kind::Fixture, format!("fixture `{name}` failed: {why}"))
}
