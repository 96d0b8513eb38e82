//! Abort conditions: watched at the pace of the monitors, on the engine, so that no body can
//! hold them off. The first one that comes true ends the context.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use crate::decide::abort::{Waiting, Watch};
use crate::model::condition::{AbortCondition, Measured};
use crate::model::event::{Event, Met};
use crate::model::sample::Sample;
use crate::system::Ledger;
use crate::system::lock::lock;

use super::engine;
use super::inner::{Inner, Stop};
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
    /// Whether there are any. Most contexts have none, and pay for none.
    pub(super) fn are_there(&self) -> bool {
        self.there.load(Ordering::Relaxed)
    }
}

/// Watches for a condition from now on.
pub(super) fn watch(inner: &Arc<Inner>, condition: AbortCondition) {
    let since = inner.recorder.now();
    lock(&inner.aborts.watches).push(Watch::new(condition, since));
    if !inner.aborts.there.swap(true, Ordering::SeqCst) {
        engine::own().spawn(keep_watch(Arc::downgrade(inner)));
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
        judge(&inner);
    }
}

/// A sample was answered just now.
pub(super) fn sample_answered(inner: &Inner, watcher: &Watcher, sample: &Sample) {
    let now = inner.recorder.now();
    for watch in &mut *lock(&inner.aborts.watches) {
        if means(watch.condition(), watcher) && watch.condition().metric != Measured::FailedServices
        {
            watch.sample(sample, now);
        }
    }
}

fn means(condition: &AbortCondition, watcher: &Watcher) -> bool {
    let source = condition.source.as_deref();
    source.is_none_or(|source| watcher.is_called(source))
}

fn judge(inner: &Arc<Inner>) {
    let breached = {
        let mut watches = lock(&inner.aborts.watches);
        watches.iter_mut().find_map(|watch| {
            let now = inner.recorder.now();
            if watch.condition().metric == Measured::FailedServices {
                watch.number(failed_services(inner, watch.condition()) as f64, now);
            }
            let waiting = match watch.slow_after() {
                Some(limit) => waiting(inner, watch.condition(), now.saturating_sub(limit)),
                None => Waiting::default(),
            };
            let seen = watch.judge(now, waiting)?;
            Some(format!("{}: {seen}", watch.condition()))
        })
    };
    if let Some(why) = breached {
        stop::end_at_once(inner, Stop::Aborted(why));
    }
}

fn waiting(inner: &Inner, condition: &AbortCondition, before: Duration) -> Waiting {
    let monitors = lock(&inner.monitors);
    let meant = monitors.iter().filter(|watcher| means(condition, watcher));
    Waiting {
        slow: meant.map(|watcher| watcher.waiting_since(before)).sum(),
    }
}

/// How many services have died, though nobody asked for it, and were not started again.
fn failed_services(inner: &Inner, condition: &AbortCondition) -> usize {
    let failed = inner.recorder.failed_services();
    let mut failed = failed.iter();
    match condition.source.as_deref() {
        Some(source) => usize::from(failed.any(|service| service == source)),
        None => failed.count(),
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
        if watch.has_looked() {
            continue;
        }
        let condition = watch.condition();
        let there = match names.as_slice() {
            [] => "there is no monitor".to_owned(),
            [name] => format!("there is {name}"),
            names => format!("there are {}", names.join(", ")),
        };
        let actual = match (&condition.source, condition.metric) {
            (Some(source), _) => {
                format!("no sample came from a monitor or a service called `{source}`; {there}")
            }
            (None, _) => format!("no sample came from any monitor; {there}"),
        };
        inner.recorder.record(Event::Judged {
            what: format!("abort condition `{condition}`"),
            expected: "something to watch".to_owned(),
            actual,
            met: Met::NoData,
            at: String::new(),
            measured: Vec::new(),
        });
    }
}
