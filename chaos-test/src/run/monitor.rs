//! Monitors: a probe asked at a steady pace in the background, and what it saw.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::AbortHandle;

use crate::decide::recovery::{Progress, Steady, Streak};
use crate::decide::tolerance::unsent;
use crate::error::{Error, Kind};
use crate::model::event::Event;
use crate::model::sample::{Reading, Sample, Window};
use crate::model::units::human;
use crate::probe::Pace;
use crate::system::Ledger;
use crate::system::lock::lock;
use crate::system::proxy::sleep_until;

use super::aborting;
use super::engine;
use super::inner::Inner;
use super::slots::{Slot, Slots};
use super::window::{Baseline, Recovers, Samples};

/// A probe that is asked at its pace until the context ends.
///
/// A cheap handle; the asking goes on if it is dropped. Samples are sent when they are due
/// whether earlier ones have been answered or not (an "open loop"), and their latency
/// counts from then, so that a stall is seen in full.
#[derive(Clone)]
pub struct Monitor {
    pub(super) watcher: Arc<Watcher>,
    pub(super) inner: Arc<Inner>,
}

impl std::fmt::Debug for Monitor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Monitor")
            .field("name", &self.watcher.name)
            .finish_non_exhaustive()
    }
}

impl Monitor {
    /// What it is called in reports.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.watcher.name
    }

    /// Looks at the next `length` of time as what is normal.
    ///
    /// The monitor is looked at once more after rollback: the test fails if it is not back
    /// to what this baseline saw.
    ///
    /// # Errors
    ///
    /// If no sample was due, some could not be sent, or more of them failed than
    /// [`steady_error_rate`](Pace::steady_error_rate) allows: then the steady state does
    /// not hold before anything was broken, and nothing can be concluded
    /// ([`Error::is_not_steady`]).
    pub async fn baseline(&self, length: Duration) -> Result<Baseline, Error> {
        let samples = self.over(length).await?;
        let baseline = self.watcher.judge_baseline(&samples)?;
        *lock(&self.watcher.baseline) = Some(baseline.clone());
        let recorder = &self.inner.recorder;
        recorder.record(Event::Baseline {
            monitor: self.watcher.name.clone(),
            window: samples.window,
            summary: baseline.to_string(),
        });
        Ok(baseline)
    }

    /// Waits for `length`, and for the answers to all samples that were due in it.
    ///
    /// # Errors
    ///
    /// If the context ends meanwhile.
    pub async fn over(&self, length: Duration) -> Result<Samples, Error> {
        let from = self.inner.recorder.now();
        self.between(from, from + length).await
    }

    /// The samples that were due from one instant to another, once all are answered.
    ///
    /// Instants are durations since the context started, as [`Moment`](crate::Moment)s are.
    ///
    /// A sample that the monitor could not send, because it did not keep its pace, is not
    /// among them; judging them is then judging without data.
    ///
    /// # Errors
    ///
    /// If the context ends meanwhile.
    pub async fn between(
        &self,
        from: impl Into<Duration>,
        to: impl Into<Duration>,
    ) -> Result<Samples, Error> {
        let window = Window {
            from: from.into(),
            to: to.into(),
        };
        let monitor = self.clone();
        engine::run_on(engine::own(), async move {
            let _call = monitor.inner.enter().await?;
            monitor.watcher.refuse_unusable()?;
            let under = monitor.inner.faults_in_force();
            let to = monitor
                .inner
                .window_ends(window.to, monitor.watcher.interval);
            let window = Window {
                from: window.from.min(to),
                to,
            };
            let (samples, unsent) = monitor.watcher.answered(window, &monitor.inner).await?;
            Ok(Samples {
                monitor: monitor.watcher.name.clone(),
                names: monitor.watcher.names(),
                under,
                window,
                samples,
                unsent,
                inner: Arc::clone(&monitor.inner),
            })
        })
        .await
    }

    /// Waits until the system under test is back to what a baseline saw, and judges how
    /// long that took; see [`Recovers`].
    #[must_use = "say since when and within what, then await it"]
    #[track_caller]
    pub fn recovers_to(&self, baseline: &Baseline) -> Recovers {
        Recovers::new(self.clone(), baseline.steady)
    }
}

/// What asks, and what it has seen so far.
pub(super) struct Watcher {
    pub(super) name: String,
    /// The service that it asks.
    service: Option<String>,
    pub(super) interval: Duration,
    pace: Pace,
    slots: Mutex<Slots>,
    /// When the first sample was due, since the context started.
    first: Duration,
    /// All before this number are settled.
    open: AtomicUsize,
    /// Goes up with each sample that is settled.
    news: watch::Sender<u64>,
    /// Whether it was said that samples are not sent.
    out_of_pace: AtomicBool,
    pub(super) baseline: Mutex<Option<Baseline>>,
    stop: tokio::sync::Notify,
}

impl Watcher {
    pub(super) fn start(name: String, pace: Pace, inner: &Arc<Inner>) -> Arc<Self> {
        let watcher = Arc::new(Self {
            name,
            // Asked for once: it is the user's code, and may panic.
            service: pace.probe.service().map(str::to_owned),
            open: AtomicUsize::new(0),
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
        let watched = inner.aborts.are_there();
        let seen = match &slot {
            Slot::Answered(sample) if watched => Some(sample.clone()),
            _ => None,
        };
        let is_gap = watched && slot == Slot::Unsent;
        if !lock(&self.slots).set(number as usize, slot) {
            return;
        }
        // Before anybody hears of it: a body that goes on because of it is not quicker.
        if let Some(sample) = seen {
            aborting::sample_answered(inner, self, &sample);
        } else if is_gap {
            aborting::sample_unsent(inner, self);
        }
        self.news.send_modify(|count| *count += 1);
    }

    /// An error where its probe can never say anything, whatever state the system is in.
    pub(super) fn refuse_unusable(&self) -> Result<(), Error> {
        match self.pace.probe.unusable() {
            Some(why) => Err(Error::new(
                Kind::Usage,
                format!("`{}` cannot be watched: {why}", self.name),
            )),
            None => Ok(()),
        }
    }

    /// Whether it is what a condition means: by its own name, or by that of its service.
    pub(super) fn is_called(&self, name: &str) -> bool {
        self.name == name || self.service.as_deref() == Some(name)
    }

    /// Its own name, and that of its service.
    pub(super) fn names(&self) -> Vec<String> {
        let service = self.service.clone();
        std::iter::once(self.name.clone()).chain(service).collect()
    }

    /// When its first sample was due, since the context started.
    pub(super) fn first(&self) -> Duration {
        self.first
    }

    /// How many of its samples were due before an instant, since the context started, and
    /// wait for their answers.
    pub(super) fn waiting_since(&self, before: Duration) -> usize {
        let due = self.first_due_at(before);
        let slots = lock(&self.slots);
        let open = slots.settled_until(self.open.load(Ordering::Relaxed));
        self.open.store(open, Ordering::Relaxed);
        slots.waiting(open..due)
    }

    /// The samples due in a window, once the window is over and all are settled; and how
    /// many more were not sent.
    async fn answered(&self, window: Window, inner: &Inner) -> Result<(Vec<Sample>, usize), Error> {
        let mut news = self.news.subscribe();
        let end = tokio::time::Instant::from_std(inner.recorder.started() + window.to);
        tokio::select! {
            () = tokio::time::sleep_until(end) => {}
            ended = inner.until_ended() => return Err(ended),
        }
        let to = self.first_due_at(window.to);
        let from = self.first_due_at(window.from).min(to);
        let mut next = from;
        loop {
            {
                let slots = lock(&self.slots);
                next = slots.settled_until(next);
                if next >= to {
                    return Ok(slots.answered(from..to));
                }
            }
            tokio::select! {
                _ = news.changed() => {}
                ended = inner.until_ended() => return Err(ended),
            }
        }
    }

    /// The number of the first sample due at an instant or later.
    fn first_due_at(&self, at: Duration) -> usize {
        let since = at.saturating_sub(self.first).as_nanos();
        usize::try_from(since.div_ceil(self.interval.as_nanos())).unwrap_or(usize::MAX)
    }

    pub(super) fn all(&self) -> Vec<Sample> {
        lock(&self.slots).all()
    }

    pub(super) fn stop(&self) {
        self.stop.notify_one();
    }

    fn judge_baseline(&self, samples: &Samples) -> Result<Baseline, Error> {
        let summary = samples.summary();
        if summary.unsent > 0 {
            return Err(Error::new(
                Kind::NotSteady,
                format!(
                    "the baseline of `{}` has {} samples{}",
                    self.name,
                    summary.count,
                    unsent(summary.unsent)
                ),
            )
            .help("have the probe wait with `.await`, or ask it less often"));
        }
        let Some(rate) = summary.error_rate() else {
            return Err(Error::new(
                Kind::NotSteady,
                format!(
                    "the baseline of `{}` over {} holds no sample",
                    self.name,
                    human(samples.window.length())
                ),
            )
            .help(format!(
                "it is asked every {}: take a longer baseline",
                human(self.interval)
            )));
        };
        let tolerated = self.pace.tolerated;
        if rate > tolerated.as_fraction() {
            return Err(Error::new(
                Kind::NotSteady,
                format!(
                    "the steady state of `{}` does not hold before the fault: {} of {} samples \
                     failed, the last: {}",
                    self.name,
                    summary.errors,
                    summary.count,
                    summary.last_error.as_deref().unwrap_or("unknown"),
                ),
            )
            .help(
                "nothing was tested; repair the service or its ready check, or say with \
                 `.steady_error_rate(..)` how many failures are normal",
            ));
        }
        let steady = Steady::of(&summary, self.pace.timeout);
        Ok(Baseline {
            summary: Arc::new(summary),
            samples: samples.samples.clone().into(),
            steady,
        })
    }

    /// Whether its latest answers are steady, so many in a row, and none is overdue. What is not
    /// known counts as no.
    pub(super) fn is_steady(&self, steady: Steady, in_a_row: usize, inner: &Inner) -> bool {
        let now = inner.recorder.now();
        if self.waiting_since(now.saturating_sub(steady.slowest)) > 0 {
            return false;
        }
        // Older ones say little of the present.
        let intervals = u32::try_from(in_a_row)
            .unwrap_or(u32::MAX)
            .saturating_add(1);
        let oldest = self.interval.saturating_mul(intervals) + steady.slowest;
        let slots = lock(&self.slots);
        let Some(latest) = slots.latest(in_a_row) else {
            return false;
        };
        latest
            .iter()
            .all(|sample| sample.at + oldest >= now && steady.check(sample).is_ok())
    }

    /// Waits for a streak of steady samples since an instant, until `deadline` (both since
    /// the context started). With a deadline that is over it says how far things are.
    pub(super) async fn recovery(
        &self,
        steady: Steady,
        since: Duration,
        in_a_row: usize,
        deadline: Duration,
        inner: &Inner,
    ) -> Progress {
        let mut news = self.news.subscribe();
        let end = tokio::time::Instant::from_std(inner.recorder.started() + deadline);
        let mut streak = Streak::new(steady, in_a_row);
        let mut next = self.first_due_at(since);
        loop {
            if self.show(&mut streak, &mut next) {
                return streak.progress();
            }
            tokio::select! {
                _ = news.changed() => {}
                () = tokio::time::sleep_until(end) => {
                    self.show(&mut streak, &mut next);
                    return streak.progress();
                }
            }
        }
    }

    /// Shows a streak what was settled since the last time, up to the first sample that is
    /// not. Whether it is complete.
    fn show(&self, streak: &mut Streak, next: &mut usize) -> bool {
        let slots = lock(&self.slots);
        loop {
            match slots.get(*next) {
                Some(Slot::Answered(sample)) if streak.sample(sample) => return true,
                Some(Slot::Answered(_)) => {}
                Some(Slot::Unsent) => streak.unsent(),
                Some(Slot::Due | Slot::Sent(_)) | None => return false,
            }
            *next += 1;
        }
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
