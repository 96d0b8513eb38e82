//! Puts everything back: faults first, everything else afterwards, each in reverse order,
//! and past every step that fails.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::error::TestError;
use crate::model::event::Event;
use crate::model::journal::Pending;
use crate::model::undo::Undo;
use crate::system::Ledger;
use crate::system::lock::lock;
use crate::system::undo;

use super::Boxed;
use super::engine;
use super::injecting::lifting::{self, Lifting};
use super::inner::Inner;
use super::side_by_side;

/// How long a closure of the user may take.
const CLOSURE_LIMIT: Duration = Duration::from_secs(60);

/// A closure in its place of the rollback.
pub(super) struct Closure {
    pub(super) entry: u64,
    pub(super) run: Box<dyn FnOnce() -> Boxed<Result<(), TestError>> + Send>,
}

/// Lifts all faults that are in force, newest first.
pub(super) async fn lift_all(inner: &Arc<Inner>) {
    let mut faults: Vec<_> = {
        let injected = lock(&inner.injected);
        injected.values().cloned().collect()
    };
    faults.sort_by_key(|fault| std::cmp::Reverse(fault.entry));
    for fault in faults.iter().filter(|fault| fault.in_force()) {
        // A failure is in the journal, and one failure never stops the rest.
        let _ = lifting::lift(inner, fault, Lifting::Asked).await;
    }
}

/// Performs all that is left, newest first; containers that stand next to each other at the
/// same time.
pub(super) async fn put_back_all(inner: &Arc<Inner>) {
    let closures: BTreeMap<u64, Closure> = {
        let mut closures = lock(&inner.closures);
        let taken = std::mem::take(&mut *closures);
        taken.into_iter().map(|one| (one.entry, one)).collect()
    };
    let closures = Mutex::new(closures);
    for group in side_by_side::groups(&in_order(inner), |step| &step.undo) {
        let step = |step: Pending| {
            let closure = lock(&closures).remove(&step.entry);
            put_back(Arc::clone(inner), step, closure)
        };
        side_by_side::perform(group, step, |step, done| {
            if let Err(why) = done {
                inner.recorder.record(Event::UndoFailed {
                    entry: step.entry,
                    what: step.what,
                    why,
                    by_hand: step.undo.by_hand(),
                });
            }
        })
        .await;
    }
}

/// Performs one step, and records that it was.
async fn put_back(
    inner: Arc<Inner>,
    step: Pending,
    closure: Option<Closure>,
) -> Result<(), String> {
    // A fault that could not be lifted is tried again, and only its own look at the world
    // can say that it is gone.
    let fault = lock(&inner.injected).get(&step.entry).cloned();
    if let Some(fault) = fault {
        // What comes of it is in the journal.
        let _ = lifting::put_back(&inner, &fault).await;
        return Ok(());
    }
    match closure {
        Some(closure) => run(closure).await?,
        None => {
            let world = Some(&*inner.world);
            undo::perform((&step).into(), &inner.world.state, world)
                .await
                .map_err(|error| error.to_string())?;
        }
    }
    inner.recorder.undone(step.entry);
    Ok(())
}

/// What is pending, newest first; a service that was restarted keeps its first place, so
/// that it still outlives those that were started after it.
fn in_order(inner: &Inner) -> Vec<Pending> {
    let mut first_start: BTreeMap<String, u64> = BTreeMap::new();
    let mut steps = inner.recorder.pending();
    if steps
        .iter()
        .any(|step| matches!(step.undo, Undo::EndProcess { .. }))
    {
        for record in inner.recorder.records() {
            if let Event::Planned {
                undo: Undo::EndProcess { service, .. },
                ..
            } = record.event
            {
                first_start.entry(service).or_insert(record.seq);
            }
        }
    }
    steps.sort_by_key(|step| {
        let place = match &step.undo {
            Undo::EndProcess { service, .. } => first_start.get(service).copied(),
            _ => None,
        };
        std::cmp::Reverse(place.unwrap_or(step.seq))
    });
    steps
}

async fn run(closure: Closure) -> Result<(), String> {
    // Even its first, synchronous part runs over there: it may block or panic.
    let task = engine::users().spawn(async move { (closure.run)().await });
    let abort = task.abort_handle();
    match tokio::time::timeout(CLOSURE_LIMIT, task).await {
        Ok(Ok(done)) => done.map_err(|error| error.to_string()),
        Ok(Err(panic)) => Err(format!("it panicked: {panic}")),
        Err(_) => {
            abort.abort();
            Err(format!(
                "it took longer than {}",
                crate::model::units::human(CLOSURE_LIMIT)
            ))
        }
    }
}
