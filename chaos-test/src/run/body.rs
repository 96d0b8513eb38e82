//! The body of a test: on a thread of its own, waited for within its time limit, and how it ended.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use crate::error::{Error, Kind, TestError};
use crate::model::event::{BodyEnd, Event, Met, PreflightItem};
use crate::model::spec::{ShouldPanic, TestSpec};
use crate::model::units::human;

use super::context::ChaosContext;
use super::inner::{Inner, Stop};
use super::requirements::Demanded;
use super::{Running, engine, leases, process_run};

/// A body that has waited for other tests is looked at again after this time, at least.
const SHORTEST_LOOK: Duration = Duration::from_millis(10);

/// How long a body that was stopped may take to notice.
const STOP_LIMIT: Duration = Duration::from_secs(1);

/// Drops what is under way as soon as somebody stops the run and it comes to an await.
pub(super) async fn unless_stopped<T>(
    inner: Arc<Inner>,
    work: impl Future<Output = Result<T, TestError>>,
) -> Result<T, TestError> {
    tokio::select! {
        done = work => done,
        stop = inner.until_stopped() => Err(Error::from(stop).into()),
    }
}

pub(super) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("the kernel gives a process a poll descriptor")
}

/// What the body's thread says to the one that waits for it.
pub(super) enum News {
    /// Set-up is over.
    Ready,
    /// The run was stopped.
    Stopped(Stop),
    /// The body ended.
    Ended(BodyEnd),
}

/// Starts the body on its own thread and waits for it within its time limit.
pub(super) fn watch<B>(spec: &'static TestSpec, context: &ChaosContext, body: B) -> BodyEnd
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
pub(super) fn ended_with(inner: &Inner, error: TestError) -> BodyEnd {
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
pub(super) fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a value that is no text".to_owned())
}
