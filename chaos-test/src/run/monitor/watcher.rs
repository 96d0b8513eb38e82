//! Asking a probe at its pace, each sample within its time.

mod looking;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::AbortHandle;

use crate::error::{Error, Kind};
use crate::model::event::Event;
use crate::model::sample::{Reading, Sample};
use crate::model::units::human;
use crate::probe::Pace;
use crate::run::inner::Inner;
use crate::run::slots::{Slot, Slots};
use crate::run::window::Baseline;
use crate::run::{aborting, engine, invariants};
use crate::system::Ledger;
use crate::system::lock::lock;
use crate::system::proxy::sleep_until;

/// What asks, and what it has seen so far.
pub(in crate::run) struct Watcher {
    pub(in crate::run) name: String,
    /// The service that it asks.
    service: Option<String>,
    pub(in crate::run) interval: Duration,
    pace: Pace,
    slots: Mutex<Slots>,
    /// When the first sample was due, since the context started.
    first: Duration,
    /// All before this number are settled.
    open: AtomicUsize,
    /// Goes up with each sample that is settled.
    news: watch::Sender<u64>,
    /// Whether its probe could say nothing at all when it was looked at last.
    says_nothing: AtomicBool,
    /// Whether it was said that samples are not sent.
    out_of_pace: AtomicBool,
    pub(in crate::run) baseline: Mutex<Option<Baseline>>,
    stop: tokio::sync::Notify,
}

impl Watcher {
    pub(in crate::run) fn start(name: String, pace: Pace, inner: &Arc<Inner>) -> Arc<Self> {
        let watcher = Arc::new(Self {
            name,
            // Asked for once: it is the user's code, and may panic.
            service: pace.probe.service().map(str::to_owned),
            open: AtomicUsize::new(0),
            says_nothing: AtomicBool::new(pace.probe.unusable().is_some()),
            interval: pace.interval,
            pace,
            slots: Mutex::default(),
            first: inner.recorder.now(),
            news: watch::Sender::new(0),
            out_of_pace: AtomicBool::new(false),
            baseline: Mutex::new(None),
            stop: tokio::sync::Notify::new(),
        });
        engine::own().spawn(Arc::clone(&watcher).ask(Arc::clone(inner)));
        watcher
    }

    /// Asks at its pace until it is stopped.
    async fn ask(self: Arc<Self>, inner: Arc<Inner>) {
        let places = Arc::new(Semaphore::new(self.pace.in_flight()));
        let mut waiting = Waiting::default();
        for number in 0.. {
            let due = self.due(number);
            if !self.until(due, &mut waiting, &inner).await {
                return;
            }
            lock(&self.slots).due();
            let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
                self.settle(number, Slot::Unsent, &inner);
                continue;
            };
            let sample = Arc::clone(&self).sample(number, place, Arc::clone(&inner));
            let task = engine::probes().spawn(sample).abort_handle();
            let deadline = inner.recorder.now() + self.pace.timeout;
            waiting.0.insert((deadline, number), task);
        }
    }

    /// Waits until the next sample is due, and meanwhile ends those that take too long:
    /// here, because a probe that blocks its thread would hold off its own deadline. False
    /// if it was stopped.
    async fn until(&self, due: Duration, waiting: &mut Waiting, inner: &Inner) -> bool {
        loop {
            let next = match self.expire(waiting, inner) {
                Some(deadline) => deadline.min(due),
                None => due,
            };
            tokio::select! {
                () = sleep_until(inner.recorder.started() + next) => {}
                () = self.stop.notified() => return false,
            }
            if inner.recorder.now() >= due {
                return true;
            }
        }
    }

    /// Ends the samples whose time is over. The next deadline, if one is waiting.
    fn expire(&self, waiting: &mut Waiting, inner: &Inner) -> Option<Duration> {
        loop {
            let entry = waiting.0.first_entry()?;
            let (deadline, number) = *entry.key();
            let sent = match lock(&self.slots).get(number as usize) {
                Some(Slot::Sent(at)) => Some(*at),
                Some(Slot::Due) => None,
                _ => {
                    entry.remove();
                    continue;
                }
            };
            let now = inner.recorder.now();
            if now < deadline {
                return Some(deadline);
            }
            let task = entry.remove();
            let Some(sent) = sent else {
                // No thread was free to ask: nothing is known of the system under test.
                task.abort();
                self.settle(number, Slot::Unsent, inner);
                continue;
            };
            let deadline = sent + self.pace.timeout;
            if now < deadline {
                waiting.0.insert((deadline, number), task);
                continue;
            }
            task.abort();
            let timeout = human(self.pace.timeout);
            let reading = Reading::Bad(format!("no answer within {timeout}"));
            self.answer(number, sent, inner, reading);
        }
    }

    /// Asks once.
    async fn sample(self: Arc<Self>, number: u32, place: OwnedSemaphorePermit, inner: Arc<Inner>) {
        // Held until the probe's future is gone, and not only until its deadline.
        let _place = place;
        let sent = inner.recorder.now();
        if !lock(&self.slots).set(number as usize, Slot::Sent(sent)) {
            return;
        }
        inner.sample_sent();
        let unwinding = Unwinding {
            watcher: &self,
            number,
            sent,
            inner: &inner,
        };
        let reading = inner.trace.sample(self.pace.probe.sample()).await;
        drop(unwinding);
        self.answer(number, sent, &inner, reading);
    }

    /// When a sample is due, since the context started.
    fn due(&self, number: u32) -> Duration {
        self.first + self.interval * number
    }

    fn answer(&self, number: u32, sent: Duration, inner: &Inner, reading: Reading) {
        let due = self.due(number);
        let sample = Sample {
            at: due,
            sent,
            latency: inner.recorder.now().saturating_sub(due),
            reading,
        };
        inner.sample_answered(due);
        self.settle(number, Slot::Answered(sample), inner);
    }

    fn settle(&self, number: u32, slot: Slot, inner: &Inner) {
        if slot == Slot::Unsent && !self.out_of_pace.swap(true, Ordering::Relaxed) {
            inner.recorder.record(Event::Note {
                text: format!(
                    "{} did not keep its pace: not all of its samples were sent",
                    self.name
                ),
            });
        }
        let watched = inner.aborts.are_there() || inner.invariants.are_there();
        let seen = match &slot {
            Slot::Answered(sample) if watched => Some(sample.clone()),
            _ => None,
        };
        if let Some(sample) = &seen {
            self.look_at_probe(sample);
        }
        let is_gap = watched && slot == Slot::Unsent;
        if !lock(&self.slots).set(number as usize, slot) {
            return;
        }
        // Before anybody hears of it: a body that goes on because of it is not quicker.
        if let Some(sample) = seen {
            invariants::sample_answered(inner, self, &sample);
            aborting::sample_answered(inner, self, &sample);
        } else if is_gap {
            aborting::sample_unsent(inner, self);
        }
        self.news.send_modify(|count| *count += 1);
    }

    /// An error where its probe can never say anything, whatever state the system is in.
    pub(in crate::run) fn refuse_unusable(&self) -> Result<(), Error> {
        match self.pace.probe.unusable() {
            Some(why) => Err(Error::new(
                Kind::Usage,
                format!("`{}` cannot be watched: {why}", self.name),
            )),
            None => Ok(()),
        }
    }

    /// Looks whether its probe has become unusable, or usable, since the last sample.
    fn look_at_probe(&self, sample: &Sample) {
        let is_unusable = || self.pace.probe.unusable().is_some();
        // It is the user's code, and a panic here would end the monitor.
        let says_nothing = !sample.reading.is_good()
            && catch_unwind(AssertUnwindSafe(is_unusable)).unwrap_or_default();
        self.says_nothing.store(says_nothing, Ordering::SeqCst);
    }

    /// Whether its samples are no sign of the system under test, because its probe can never say
    /// anything.
    pub(in crate::run) fn says_nothing(&self) -> bool {
        self.says_nothing.load(Ordering::SeqCst)
    }

    /// Whether it is what a condition means: by its own name, or by that of its service.
    pub(in crate::run) fn is_called(&self, name: &str) -> bool {
        self.name == name || self.service.as_deref() == Some(name)
    }

    /// Its own name, and that of its service.
    pub(in crate::run) fn names(&self) -> Vec<String> {
        let service = self.service.clone();
        std::iter::once(self.name.clone()).chain(service).collect()
    }

    /// Whether its samples are requests to the system under test.
    pub(in crate::run) fn makes_requests(&self) -> bool {
        self.pace.makes_requests
    }

    /// When its first sample was due, since the context started.
    pub(in crate::run) fn first(&self) -> Duration {
        self.first
    }

    /// How many of its samples were due before an instant, since the context started, and
    /// wait for their answers.
    pub(in crate::run) fn waiting_since(&self, before: Duration) -> usize {
        let due = self.first_due_at(before);
        let slots = lock(&self.slots);
        let open = slots.settled_until(self.open.load(Ordering::Relaxed));
        self.open.store(open, Ordering::Relaxed);
        slots.waiting(open..due)
    }

    /// The number of the first sample due at an instant or later.
    fn first_due_at(&self, at: Duration) -> usize {
        let since = at.saturating_sub(self.first).as_nanos();
        usize::try_from(since.div_ceil(self.interval.as_nanos())).unwrap_or(usize::MAX)
    }

    pub(in crate::run) fn all(&self) -> Vec<Sample> {
        lock(&self.slots).all()
    }

    pub(in crate::run) fn stop(&self) {
        self.stop.notify_one();
    }
}

/// The samples that wait for their answers, by deadline; ended when it is dropped.
#[derive(Default)]
struct Waiting(BTreeMap<(Duration, u32), AbortHandle>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.values().for_each(AbortHandle::abort);
    }
}

/// Settles a sample whose probe panics; nobody else would before its deadline.
struct Unwinding<'a> {
    watcher: &'a Watcher,
    number: u32,
    sent: Duration,
    inner: &'a Inner,
}

impl Drop for Unwinding<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let reading = Reading::Bad("the probe panicked".to_owned());
            self.watcher
                .answer(self.number, self.sent, self.inner, reading);
        }
    }
}
