//! Invariants: every sample of a monitor is looked at as it is answered, and all of them once
//! more at the end.

use std::panic::Location;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::decide::invariant::{Look, Rule, Seen, judge};
use crate::decide::phases::phases;
use crate::decide::tolerance::Tolerance;
use crate::model::event::{Event, Met};
use crate::model::sample::{Sample, Window};
use crate::system::Ledger;
use crate::system::lock::lock;

use super::aborting;
use super::inner::{Inner, Stop};
use super::judging::record;
use super::monitor::{Monitor, Watcher};

/// How many violations of an invariant stand in the journal one by one.
const MOST_RECORDED: usize = 10;

/// Something that every single sample must keep, from its declaration to the end of the test;
/// made by [`ChaosContext::invariant`](crate::ChaosContext::invariant) and [`Monitor::always`].
///
/// It is in force already. Each sample is looked at as it is answered; the first ones that
/// violate it stand in the journal and in the timeline, and at the end of the test all of them
/// are judged. A sample that says nothing, because it has no number, say, neither keeps nor
/// violates it, and is named. Where no sample says anything, or some could not be sent, there is
/// no data.
///
/// ```no_run
/// # async fn body(chaos: &chaos_test::ChaosContext) -> chaos_test::Result {
/// use chaos_test::prelude::*;
/// let stock = || async { Ok::<_, std::io::Error>(55) }; // ask the shop
/// chaos.invariant("no stock is negative", stock.every(ms(50))).keeping(value().at_least(0.0)).or_abort();
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Invariant {
    held: Arc<Held>,
    inner: Arc<Inner>,
}

impl std::fmt::Debug for Invariant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Invariant")
            .field("what", &self.held.what)
            .finish_non_exhaustive()
    }
}

/// One invariant, and what has become of it so far.
struct Held {
    what: String,
    rule: Mutex<Rule>,
    watcher: Arc<Watcher>,
    since: Duration,
    at: String,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    aborts: bool,
    longest_gap: Option<Duration>,
    violations: usize,
    /// The first violation, in words.
    first: Option<String>,
}

/// The invariants of one context.
#[derive(Default)]
pub(super) struct Invariants {
    held: Mutex<Vec<Arc<Held>>>,
    there: AtomicBool,
}

impl Invariants {
    /// Whether there are any. Most contexts have none, and pay for none.
    pub(super) fn are_there(&self) -> bool {
        self.there.load(Ordering::Relaxed)
    }
}

impl Invariant {
    #[track_caller]
    fn new(monitor: &Monitor, what: String, rule: Rule, since: Duration) -> Self {
        let inner = Arc::clone(&monitor.inner);
        let held = Arc::new(Held {
            what,
            rule: Mutex::new(rule),
            watcher: Arc::clone(&monitor.watcher),
            since,
            at: Location::caller().to_string(),
            state: Mutex::default(),
        });
        lock(&inner.invariants.held).push(Arc::clone(&held));
        inner.invariants.there.store(true, Ordering::SeqCst);
        Self { held, inner }
    }

    /// Of a tolerance, from now on.
    #[track_caller]
    pub(super) fn of(monitor: &Monitor, tolerance: Tolerance) -> Self {
        let rule = keeps(tolerance);
        let what = match &rule {
            Rule::Succeeds => monitor.name().to_owned(),
            Rule::Keeps(tolerance) => format!("{}: {}", monitor.name(), tolerance.words()),
        };
        let since = monitor.inner.recorder.now();
        Self::new(monitor, what, rule, since)
    }

    /// Of a monitor that was started for it: from its first sample on.
    #[track_caller]
    pub(super) fn from_the_first(monitor: &Monitor, what: String) -> Self {
        Self::new(monitor, what, Rule::Succeeds, monitor.watcher.first())
    }

    /// What each sample must keep, in the place of that it succeeds: of the number that the probe
    /// returns, say, `value().at_most(0.0)`.
    ///
    /// # Panics
    ///
    /// If no single sample can be judged by it: a throughput, or a comparison with a baseline.
    #[track_caller]
    pub fn keeping(self, tolerance: Tolerance) -> Self {
        *lock(&self.held.rule) = keeps(tolerance);
        // A sample that was answered meanwhile was asked for something else.
        let mut state = lock(&self.held.state);
        (state.violations, state.first) = (0, None);
        drop(state);
        self
    }

    /// Aborts the test with the first sample that violates it: everything is put back at once, and
    /// the verdict is "aborted".
    pub fn or_abort(self) -> Self {
        lock(&self.held.state).aborts = true;
        aborting::keep_watching(&self.inner);
        self
    }

    /// How long there may be no sample that says anything. Where it is longer, the invariant was
    /// not seen to hold, and there is no data.
    ///
    /// ```no_run
    /// # async fn body(requests: &chaos_test::Monitor) -> chaos_test::Result {
    /// use chaos_test::prelude::*;
    /// requests.always(latency(P99).at_most(secs(1))).gaps_at_most(secs(5));
    /// # Ok(()) }
    /// ```
    pub fn gaps_at_most(self, longest: Duration) -> Self {
        lock(&self.held.state).longest_gap = Some(longest);
        self
    }
}

#[track_caller]
fn keeps(tolerance: Tolerance) -> Rule {
    assert!(
        tolerance.is_of_single_samples(),
        "an invariant is about each single sample, and `{}` is about many: judge it with \
         `chaos.check(requests.must(..).continuously())`",
        tolerance.words()
    );
    Rule::Keeps(tolerance)
}

/// A sample was answered just now.
pub(super) fn sample_answered(inner: &Inner, watcher: &Watcher, sample: &Sample) {
    let held = lock(&inner.invariants.held).clone();
    for held in held {
        if !std::ptr::eq(Arc::as_ptr(&held.watcher), watcher) || sample.at < held.since {
            continue;
        }
        let look = lock(&held.rule).look(sample);
        let Look::Violates(why) = look else { continue };
        let mut state = lock(&held.state);
        state.violations += 1;
        if state.first.is_none() {
            state.first = Some(format!(
                "the sample of {:.3} s: {why}",
                sample.at.as_secs_f64()
            ));
        }
        let is_shown = state.violations <= MOST_RECORDED;
        drop(state);
        if is_shown {
            inner.recorder.record(Event::Violated {
                invariant: held.what.clone(),
                sample: sample.clone(),
                why,
            });
        }
    }
}

/// Why the context is to end, if an invariant that aborts was violated.
pub(super) fn breached(inner: &Inner) -> Option<Stop> {
    let held = lock(&inner.invariants.held).clone();
    held.iter().find_map(|held| {
        let state = lock(&held.state);
        let first = state.first.as_ref().filter(|_| state.aborts)?;
        Some(Stop::Aborted(format!(
            "invariant \"{}\": {first}",
            held.what
        )))
    })
}

/// Judges all of them by all samples. Where the test did not end by itself, only violations are
/// worth telling.
pub(super) async fn judge_all(inner: &Arc<Inner>, by_itself: bool) {
    let all = std::mem::take(&mut *lock(&inner.invariants.held));
    if all.is_empty() {
        return;
    }
    let phases = phases(&inner.recorder.records());
    let now = inner.recorder.now();
    for held in all {
        let window = Window {
            from: held.since,
            to: now,
        };
        let (samples, unsent) = held.watcher.settled(window, inner).await;
        let longest_gap = lock(&held.state).longest_gap;
        let rule = lock(&held.rule).clone();
        let seen = Seen {
            samples: &samples,
            unsent,
            window,
            longest_gap,
            phases: &phases,
        };
        let mut judgement = judge(&held.what, &rule, seen);
        let evidence = held.watcher.evidence(window, samples.len());
        judgement.evidence = vec![match &rule {
            Rule::Keeps(tolerance) => tolerance.evidence(evidence),
            Rule::Succeeds => evidence,
        }];
        if by_itself || judgement.met == Met::No {
            record(inner, &judgement, &held.at);
        }
    }
}
