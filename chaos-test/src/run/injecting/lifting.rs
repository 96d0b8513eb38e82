//! Lifting one fault: its undo, the look whether that has helped, and what met it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::error::{Error, Kind};
use crate::fault::Effect;
use crate::model::event::{Event, Met};
use crate::run::engine;
use crate::run::inner::Inner;
use crate::system::lock::lock;
use crate::system::{Ledger, undo};

use super::injected::{Injected, as_lifted};
use super::micros;

/// Has the engine lift a fault when its time is over.
pub(super) fn lift_after(
    inner: &Arc<Inner>,
    injected: &Arc<Injected>,
    length: Duration,
    why: Lifting,
) {
    let (inner, injected) = (Arc::downgrade(inner), Arc::clone(injected));
    engine::own().spawn(async move {
        let over = tokio::time::sleep(length);
        tokio::select! {
            () = over => {}
            _ = injected.until_lifted() => return,
        }
        if let Some(inner) = inner.upgrade() {
            let _ = lift(&inner, &injected, why).await;
        }
    });
}

/// Why a fault is lifted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::run) enum Lifting {
    /// By name, by its own end, or by the rollback.
    Asked,
    /// Its guard was dropped.
    Dropped,
    /// Nobody ever had its guard.
    Cancelled,
    /// It was in force for as long as the blast radius allows.
    OutOfTime(Duration),
}

/// Lifts a fault, once. When it was lifted, since the context started.
pub(in crate::run) async fn lift(
    inner: &Arc<Inner>,
    injected: &Injected,
    why: Lifting,
) -> Result<Duration, Error> {
    let _one = injected.lifting.lock().await;
    let already = injected.lifted.borrow().clone();
    if already.is_some() {
        return as_lifted(already);
    }
    if injected.dry.load(Ordering::SeqCst) {
        injected.leave_place();
        let lifted = Ok(inner.recorder.now());
        injected.lifted.send_replace(Some(lifted.clone()));
        return as_lifted(Some(lifted));
    }
    if let Lifting::OutOfTime(limit) = why {
        inner.recorder.record(Event::LimitReached {
            entry: injected.entry,
            fault: injected.what.clone(),
            limit_us: micros(limit),
        });
    }
    let put_back = put_back(inner, injected).await;
    let at = inner.recorder.now();
    let (hits, counts) = injected.hits(inner);
    inner.recorder.record(Event::Lifted {
        entry: injected.entry,
        fault: injected.what.clone(),
        lasted_us: micros(at.saturating_sub(injected.injected_at())),
        hits,
        dropped: why == Lifting::Dropped,
        cancelled: why == Lifting::Cancelled,
        counts,
    });
    let lifted = match put_back {
        Ok(()) => {
            injected.leave_place();
            Ok(at)
        }
        Err(error) => Err(format!("{} could not be lifted: {error}", injected.what)),
    };
    injected.lifted.send_replace(Some(lifted.clone()));
    as_lifted(Some(lifted))
}

/// Whether a fault is still being applied that could not be given up.
pub(in crate::run) fn anything_is_stuck(inner: &Inner) -> bool {
    let injected = lock(&inner.injected);
    let mut faults = injected.values();
    faults.any(|fault| fault.stuck.load(Ordering::SeqCst))
}

/// Performs the undo, verifies it, and writes down how that went.
pub(in crate::run) async fn put_back(inner: &Arc<Inner>, injected: &Injected) -> Result<(), Error> {
    let entry = injected.entry;
    if injected.stuck.load(Ordering::SeqCst) {
        // Undone now, it would be done once more behind our back.
        let why = "it is still being applied and does not end; it is undone once this process has \
                   ended";
        inner.recorder.record(Event::UndoFailed {
            entry,
            what: injected.what.clone(),
            why: why.to_owned(),
            by_hand: injected.undo.by_hand(),
        });
        return Err(Error::new(Kind::Undo, why));
    }
    let step = undo::Step {
        undo: &injected.undo,
        entry,
        made: true,
    };
    let world = &inner.world;
    let performed = undo::perform(step, &world.state, Some(world)).await;
    if performed.is_ok()
        && let Some(keeper) = undo::ended_keeper(&injected.undo)
    {
        // Nothing is left to be put back, and nothing is as it was.
        inner.recorder.undone(entry);
        injected.leave_place();
        let why = format!(
            "process {} kept it for this run and has ended, and it with that",
            keeper.pid
        );
        // Also where nobody looks at what lifting comes to, this is no pass.
        inner.recorder.record(Event::Judged {
            what: format!("{} is lifted", injected.what),
            expected: "what it broke is as before".to_owned(),
            actual: why.clone(),
            met: Met::No,
            at: String::new(),
            measured: Vec::new(),
            evidence: Vec::new(),
        });
        return Err(Error::new(Kind::Lost, why));
    }
    let done = match performed {
        Ok(()) => match injected.verify(inner).await {
            Ok(Effect::Active) => Err(Error::new(
                Kind::Undo,
                "its undo was performed, and it is still in effect",
            )),
            Ok(Effect::Absent(_) | Effect::Spent) => Ok(()),
            Err(error) => Err(error),
        },
        Err(error) => Err(error),
    };
    match &done {
        Ok(()) => inner.recorder.undone(entry),
        Err(error) => inner.recorder.record(Event::UndoFailed {
            entry,
            what: injected.what.clone(),
            why: error.to_string(),
            by_hand: injected.undo.by_hand(),
        }),
    }
    done
}
