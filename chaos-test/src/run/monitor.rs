//! Monitors: a probe asked at a steady pace in the background, and what it saw.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::watch;

use crate::decide::recovery::{Progress, Steady, progress};
use crate::decide::statistics::Summary;
use crate::error::{Error, Kind};
use crate::model::event::Event;
use crate::model::sample::{Reading, Sample, Window};
use crate::model::units::human;
use crate::probe::Pace;
use crate::system::Ledger;
use crate::system::proxy::sleep_until;

use super::engine;
use super::inner::Inner;
use super::window::{Baseline, Recovers, Samples};

/// How many samples may wait for their answers at once. A victim that hangs must not make
/// the harness hold thousands of connections.
const IN_FLIGHT: usize = 256;

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
    /// If no sample was due, or more of them failed than
    /// [`steady_error_rate`](Pace::steady_error_rate) allows: then the steady state does
    /// not hold before anything was broken, and nothing can be concluded
    /// ([`Error::is_not_steady`]).
    pub async fn baseline(&self, length: Duration) -> Result<Baseline, Error> {
        let samples = self.over(length).await?;
        let baseline = self.watcher.judge_baseline(&samples)?;
        *self.watcher.baseline.lock().expect("no panic while held") = Some(baseline.clone());
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
            let under = monitor.inner.faults_in_force();
            let samples = monitor.watcher.answered(window, &monitor.inner).await?;
            Ok(Samples {
                monitor: monitor.watcher.name.clone(),
                under,
                window,
                samples,
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
    pub(super) interval: Duration,
    pace: Pace,
    /// By number: `None` where the answer is not there yet.
    slots: Mutex<Vec<Option<Sample>>>,
    /// When the first sample was due, since the context started.
    first: Duration,
    /// Goes up with each answer.
    news: watch::Sender<u64>,
    pub(super) baseline: Mutex<Option<Baseline>>,
    stop: tokio::sync::Notify,
}

impl Watcher {
    pub(super) fn start(name: String, pace: Pace, inner: &Arc<Inner>) -> Arc<Self> {
        let watcher = Arc::new(Self {
            name,
            interval: pace.interval,
            pace,
            slots: Mutex::default(),
            first: inner.recorder.now(),
            news: watch::Sender::new(0),
            baseline: Mutex::new(None),
            stop: tokio::sync::Notify::new(),
        });
        engine::own().spawn(Arc::clone(&watcher).ask(Arc::clone(inner)));
        watcher
    }

    /// Asks at its pace until it is stopped.
    async fn ask(self: Arc<Self>, inner: Arc<Inner>) {
        let places = Arc::new(tokio::sync::Semaphore::new(IN_FLIGHT));
        for number in 0.. {
            let due = self.due(number);
            tokio::select! {
                () = sleep_until(inner.recorder.started() + due) => {}
                () = self.stop.notified() => return,
            }
            inner.sample_sent();
            self.slots.lock().expect("no panic while held").push(None);
            let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
                let reading = Reading::Bad(format!(
                    "not sent: {IN_FLIGHT} earlier samples are still unanswered"
                ));
                self.answer(number, inner.recorder.now(), &inner, reading);
                continue;
            };
            let (watcher, inner) = (Arc::clone(&self), Arc::clone(&inner));
            engine::users().spawn(async move {
                let _place = place;
                let sent = inner.recorder.now();
                let asked = tokio::time::timeout(watcher.pace.timeout, watcher.pace.probe.sample());
                let reading = asked.await.unwrap_or_else(|_| {
                    Reading::Bad(format!("no answer within {}", human(watcher.pace.timeout)))
                });
                watcher.answer(number, sent, &inner, reading);
            });
        }
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
        self.slots.lock().expect("no panic while held")[number as usize] = Some(sample);
        self.news.send_modify(|count| *count += 1);
    }

    /// The samples due in a window, once the window is over and all are answered.
    async fn answered(&self, window: Window, inner: &Inner) -> Result<Vec<Sample>, Error> {
        let mut news = self.news.subscribe();
        let end = tokio::time::Instant::from_std(inner.recorder.started() + window.to);
        tokio::select! {
            () = tokio::time::sleep_until(end) => {}
            ended = inner.until_ended() => return Err(ended),
        }
        loop {
            if let Some(samples) = self.complete(window) {
                return Ok(samples);
            }
            tokio::select! {
                _ = news.changed() => {}
                ended = inner.until_ended() => return Err(ended),
            }
        }
    }

    /// All samples due in a window, or `None` while one is not answered or not even sent.
    fn complete(&self, window: Window) -> Option<Vec<Sample>> {
        let from = self.first_due_at(window.from);
        let to = self.first_due_at(window.to);
        let slots = self.slots.lock().expect("no panic while held");
        if slots.len() < to {
            return None;
        }
        slots[from.min(to)..to].iter().cloned().collect()
    }

    /// The number of the first sample due at an instant or later.
    fn first_due_at(&self, at: Duration) -> usize {
        let since = at.saturating_sub(self.first).as_nanos();
        usize::try_from(since.div_ceil(self.interval.as_nanos())).unwrap_or(usize::MAX)
    }

    /// All answered samples from an instant on, up to the first that is not answered yet.
    fn answered_since(&self, since: Duration) -> Vec<Sample> {
        let from = self.first_due_at(since);
        let slots = self.slots.lock().expect("no panic while held");
        slots
            .iter()
            .skip(from)
            .map_while(Option::as_ref)
            .cloned()
            .collect()
    }

    pub(super) fn all(&self) -> Vec<Sample> {
        let slots = self.slots.lock().expect("no panic while held");
        slots.iter().flatten().cloned().collect()
    }

    pub(super) fn stop(&self) {
        self.stop.notify_one();
    }

    fn judge_baseline(&self, samples: &Samples) -> Result<Baseline, Error> {
        let summary = Summary::of(&samples.samples, samples.window);
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
        let steady = Steady::of(&summary);
        Ok(Baseline {
            summary: Arc::new(summary),
            samples: samples.samples.clone().into(),
            steady,
        })
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
        loop {
            let progress = progress(&self.answered_since(since), steady, since, in_a_row);
            if matches!(progress, Progress::Recovered { .. }) {
                return progress;
            }
            tokio::select! {
                _ = news.changed() => {}
                () = tokio::time::sleep_until(end) => return progress,
            }
        }
    }
}
