//! Abort conditions: watched at the pace of the monitors, on the engine, so that no body can
//! hold them off. The first one that comes true ends the context.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use crate::decide::abort::{Waiting, Watch};
use crate::decide::tolerance::Judgement;
use crate::model::condition::{AbortCondition, Measured};
use crate::model::event::{Event, Met};
use crate::model::sample::Sample;
use crate::model::units::human;
use crate::system::Ledger;
use crate::system::lock::lock;

use super::dry;
use super::engine;
use super::inner::{Inner, Stop};
use super::invariants;
use super::judging;
use super::monitor::Watcher;
use super::stop;

/// How often conditions are judged: some come true without an answer, by time, by waiting, by
/// a service that dies.
const PACE: Duration = Duration::from_millis(5);

/// The abort conditions of one context.
#[derive(Default)]
pub(super) struct Aborts {
    watches: Mutex<Vec<Watch>>,
    there: AtomicBool,
}

impl Aborts {
    /// All of them, in words.
    pub(super) fn in_words(&self) -> Vec<String> {
        let watches = lock(&self.watches);
        let watches = watches.iter().map(|watch| watch.condition().to_string());
        watches.collect()
    }

    /// Whether there are any. Most contexts have none, and pay for none.
    pub(super) fn are_there(&self) -> bool {
        self.there.load(Ordering::Relaxed)
    }
}

/// Watches for a condition from now on.
pub(super) fn watch(inner: &Arc<Inner>, condition: AbortCondition) {
    lock(&inner.aborts.watches).push(Watch::new(condition));
    keep_watching(inner);
}

/// Has somebody look from now on whether the context is to end.
pub(super) fn keep_watching(inner: &Arc<Inner>) {
    if !inner.aborts.there.swap(true, Ordering::SeqCst) {
        let keeps_watch = engine::own().spawn(keep_watch(Arc::downgrade(inner)));
        let inner = Arc::downgrade(inner);
        engine::own().spawn(async move {
            // Nothing watches any more: that must not be green.
            if let (Err(panic), Some(inner)) = (keeps_watch.await, inner.upgrade()) {
                inner.recorder.record(Event::HarnessFailed {
                    why: format!("watching the abort conditions: {panic}"),
                });
            }
        });
    }
}

async fn keep_watch(inner: Weak<Inner>) {
    let mut pace = tokio::time::interval(PACE);
    pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        pace.tick().await;
        let Some(inner) = inner.upgrade() else { return };
        if inner.refuse_if_ended().is_err() {
            return;
        }
        if let Some(stop) = breached(&inner) {
            stop::end_at_once(&inner, stop);
            return;
        }
    }
}

/// A sample was answered just now.
pub(super) fn sample_answered(inner: &Inner, watcher: &Watcher, sample: &Sample) {
    if watcher.says_nothing() {
        return;
    }
    let now = inner.recorder.now();
    for watch in &mut *lock(&inner.aborts.watches) {
        if means(watch.condition(), watcher) {
            watch.sample(&watcher.name, sample, now);
        }
    }
}

/// A sample was due just now and could not be sent.
pub(super) fn sample_unsent(inner: &Inner, watcher: &Watcher) {
    if watcher.says_nothing() {
        return;
    }
    let now = inner.recorder.now();
    for watch in &mut *lock(&inner.aborts.watches) {
        if means(watch.condition(), watcher) {
            watch.unsent(now);
        }
    }
}

fn means(condition: &AbortCondition, watcher: &Watcher) -> bool {
    let source = condition.source.as_deref();
    condition.metric != Measured::FailedServices
        && source.is_none_or(|source| watcher.is_called(source))
}

/// Why the context is to end, if a condition has come true.
pub(super) fn breached(inner: &Inner) -> Option<Stop> {
    condition_breached(inner).or_else(|| invariants::breached(inner))
}

fn condition_breached(inner: &Inner) -> Option<Stop> {
    let monitors = lock(&inner.monitors).clone();
    let mut watches = lock(&inner.aborts.watches);
    watches.iter_mut().find_map(|watch| {
        let now = inner.recorder.now();
        let meant = monitors
            .iter()
            .filter(|watcher| means(watch.condition(), watcher) && !watcher.says_nothing());
        let mut waiting = Waiting::default();
        match (watch.condition().metric, watch.slow_after()) {
            (Measured::FailedServices, _) => {
                if let Some(failed) = failed_services(inner, watch.condition()) {
                    watch.number("services", failed as f64, now);
                }
            }
            (Measured::Value, _) => {}
            (_, slow_after) => {
                let (mut begins, mut slow) = (None, 0);
                for watcher in meant {
                    begins = begins.or(Some(watcher.first()));
                    if let Some(limit) = slow_after {
                        slow += watcher.waiting_since(now.saturating_sub(limit));
                    }
                }
                waiting.slow = slow;
                if let Some(begins) = begins {
                    watch.begins(begins);
                }
            }
        }
        let seen = watch.judge(now, waiting)?;
        Some(Stop::Aborted(format!("{}: {seen}", watch.condition())))
    })
}

/// How many services have died, though nobody asked for it, and were not started again; none
/// where there is none that is meant.
fn failed_services(inner: &Inner, condition: &AbortCondition) -> Option<usize> {
    let services = inner.world.known_services();
    let failed = inner.failed_services();
    match condition.source.as_deref() {
        Some(source) => {
            let is_there = services.iter().any(|service| service.name() == source);
            is_there.then(|| usize::from(failed.contains(source)))
        }
        None if services.is_empty() => None,
        None => Some(failed.len()),
    }
}

/// A condition that never had anything to look at has watched over nothing: that must not be
/// green.
pub(super) fn judge_unwatched(inner: &Inner) {
    let names: Vec<String> = {
        let monitors = lock(&inner.monitors);
        let names = monitors.iter().map(|watcher| format!("`{}`", watcher.name));
        names.collect()
    };
    for watch in &*lock(&inner.aborts.watches) {
        let condition = watch.condition();
        if watch.has_looked() {
            if !watch.was_judged() {
                inner.recorder.record(Event::Note {
                    text: format!(
                        "the abort condition `{condition}` was never judged: what it watches was \
                         there for less than {}",
                        human(condition.length())
                    ),
                });
            }
            continue;
        }
        let there = match names.as_slice() {
            [] => "there is no monitor".to_owned(),
            [name] => format!("there is {name}"),
            names => format!("there are {}", names.join(", ")),
        };
        let unusable = lock(&inner.monitors)
            .iter()
            .filter(|watcher| means(condition, watcher))
            .find_map(|watcher| watcher.refuse_unusable().err());
        let actual = match (&condition.source, condition.metric) {
            _ if unusable.is_some() => unusable.map(|why| why.to_string()).unwrap_or_default(),
            (Some(source), Measured::FailedServices) => {
                format!("there is no service called `{source}`")
            }
            (None, Measured::FailedServices) => "there is no service".to_owned(),
            (Some(source), Measured::Value) => {
                format!("no number came from a monitor or a service called `{source}`; {there}")
            }
            (None, Measured::Value) => format!("no number came from any monitor; {there}"),
            (Some(source), _) => {
                format!("no sample came from a monitor or a service called `{source}`; {there}")
            }
            (None, _) => format!("no sample came from any monitor; {there}"),
        };
        let judgement = Judgement {
            what: format!("abort condition `{condition}`"),
            expected: "something to watch".to_owned(),
            actual,
            met: Met::NoData,
            measured: Vec::new(),
            evidence: Vec::new(),
        };
        if inner.identity.dry_run {
            dry::not_judged(inner, &judgement, "");
        } else {
            judging::record(inner, &judgement, "");
        }
    }
}
