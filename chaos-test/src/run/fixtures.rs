//! Fixtures: what a test needs, set up once in its context and shared by all that ask.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::error::{Error, Kind, TestError};
use crate::model::event::Event;
use crate::model::units::human;
use crate::system::Ledger;
use crate::system::lock::lock;

use super::Boxed;
use super::context::ChaosContext;
use super::engine;

/// How long a set-up may take: as long as the pull of an image, which it may have to wait for.
const SET_UP_LIMIT: Duration = Duration::from_secs(600);

/// How long a value may take to be dropped before the rollback goes on without it.
const DROP_LIMIT: Duration = Duration::from_secs(10);

/// What `#[chaos_fixture]` makes of a function: how to set a value up, not the value.
#[must_use = "pass the fixture's function to `chaos.fixture(..)`, or name it as a parameter"]
pub struct Fixture<T> {
    name: &'static str,
    path: &'static str,
    set_up: Box<dyn FnOnce(FixtureRun) -> Boxed<Result<T, TestError>> + Send>,
}

impl<T> std::fmt::Debug for Fixture<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fixture")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl<T> Fixture<T> {
    pub(crate) fn new(
        name: &'static str,
        path: &'static str,
        set_up: impl FnOnce(FixtureRun) -> Boxed<Result<T, TestError>> + Send + 'static,
    ) -> Self {
        Self {
            name,
            path,
            set_up: Box::new(set_up),
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
    pub fn fixture<T: Send + Sync + 'static>(
        &self,
        fixture: fn() -> Fixture<T>,
    ) -> Boxed<Result<Arc<T>, TestError>> {
        let context = self.context.handle(self.context.chain().clone());
        // Boxed, because fixtures nest to any depth.
        Box::pin(async move { get(&context, fixture).await })
    }
}

/// The fixtures that are being set up, outermost first: name and path of each.
pub(super) type Chain = Vec<(&'static str, &'static str)>;

type Value = Arc<dyn Any + Send + Sync>;
/// A failure is kept: everybody who needs the value is told the same.
type Answer = Result<Value, Arc<Error>>;
/// `None` while it is being set up.
type Cell = watch::Receiver<Option<Answer>>;

/// The values of one context, by the fixture's path.
#[derive(Default)]
pub(super) struct FixtureCache {
    cells: Mutex<BTreeMap<&'static str, Cell>>,
    /// In the order in which they were ready.
    order: Mutex<Vec<&'static str>>,
}

impl FixtureCache {
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

pub(super) async fn get<T: Send + Sync + 'static>(
    context: &ChaosContext,
    fixture: fn() -> Fixture<T>,
) -> Result<Arc<T>, TestError> {
    let fixture = fixture();
    let (name, path) = (fixture.name, fixture.path);
    refuse_cycle(context.chain(), name, path)?;
    let mut cell = {
        let mut cells = lock(&context.inner.fixtures.cells);
        let start = || start(context, fixture);
        cells.entry(path).or_insert_with(start).clone()
    };
    let answer = match cell.wait_for(Option::is_some).await {
        Ok(answer) => answer.clone(),
        Err(_) => return Err(failed(name, "its set-up was given up").into()),
    };
    match answer.expect("waited for") {
        Ok(value) => value
            .downcast()
            .map_err(|_| failed(name, "two fixtures of different types share its path").into()),
        Err(error) => Err(Error::new(error.kind().clone(), error.to_string()).into()),
    }
}

/// Begins a set-up that goes on whoever stops waiting for it: begun anew beside the first,
/// it would find half of its things taken.
fn start<T: Send + Sync + 'static>(context: &ChaosContext, fixture: Fixture<T>) -> Cell {
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

fn refuse_cycle(chain: &Chain, name: &'static str, path: &'static str) -> Result<(), Error> {
    if !chain.iter().any(|(_, on)| *on == path) {
        return Ok(());
    }
    let mut names: Vec<_> = chain.iter().map(|(name, _)| *name).collect();
    names.push(name);
    Err(Error::new(
        Kind::Fixture,
        format!(
            "fixtures need each other in a circle: {}",
            names.join(" -> ")
        ),
    ))
}

async fn set_up<T: Send + Sync + 'static>(
    context: &ChaosContext,
    fixture: Fixture<T>,
) -> Result<Value, Error> {
    let Fixture { name, path, set_up } = fixture;
    let recorder = Arc::clone(&context.inner.recorder);
    let started = Instant::now();
    let _going = context.inner.going(format!("setting up fixture {name}"));
    let mut chain = context.chain().clone();
    chain.push((name, path));
    let run = FixtureRun {
        context: context.handle(chain),
    };
    // On the users' runtime: what a fixture makes must live on when this test's own runtime
    // is blocked or gone.
    let task = engine::users().spawn(set_up(run));
    let abort = task.abort_handle();
    let answer = match tokio::time::timeout(SET_UP_LIMIT, task).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(panic)) => Err(failed(name, format!("its set-up panicked: {panic}")).into()),
        Err(_) => {
            abort.abort();
            Err(failed(
                name,
                format!("its set-up took longer than {}", human(SET_UP_LIMIT)),
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
            recorder.record(Event::FixtureReady {
                fixture: name.to_owned(),
                took_us: u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX),
            });
            lock(&context.inner.fixtures.order).push(path);
            Ok(Arc::new(value))
        }
        Err(error) => {
            recorder.record(Event::FixtureFailed {
                fixture: name.to_owned(),
                why: error.to_string(),
            });
            Err(explain(name, error))
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
