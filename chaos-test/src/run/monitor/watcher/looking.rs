//! Looking at what a monitor has seen: its samples in a window, its baseline, its recovery.

use std::sync::Arc;
use std::time::Duration;

use crate::decide::recovery::{InARow, Progress, Steady, Streak, ThroughputBack};
use crate::decide::tolerance::unsent;
use crate::error::{Error, Kind};
use crate::model::evidence::{Evidence, Shows};
use crate::model::sample::{Sample, Window};
use crate::model::units::human;
use crate::run::inner::Inner;
use crate::run::slots::Slot;
use crate::run::window::{Baseline, Samples};
use crate::system::lock::lock;

use super::Watcher;

impl Watcher {
    /// The samples due in a window, once the window is over and all are settled; and how
    /// many more were not sent.
    ///
    /// # Errors
    ///
    /// If the context ends meanwhile.
    pub(in crate::run) async fn answered(
        &self,
        window: Window,
        inner: &Inner,
    ) -> Result<(Vec<Sample>, usize), Error> {
        tokio::select! {
            settled = self.settled(window, inner) => Ok(settled),
            ended = inner.until_ended() => Err(ended),
        }
    }

    /// As [`answered`](Self::answered), also while the context ends.
    pub(in crate::run) async fn settled(
        &self,
        window: Window,
        inner: &Inner,
    ) -> (Vec<Sample>, usize) {
        let mut news = self.news.subscribe();
        let end = tokio::time::Instant::from_std(inner.recorder.started() + window.to);
        tokio::time::sleep_until(end).await;
        let to = self.first_due_at(window.to);
        let from = self.first_due_at(window.from).min(to);
        let mut next = from;
        loop {
            {
                let slots = lock(&self.slots);
                next = slots.settled_until(next);
                if next >= to {
                    return slots.answered(from..to);
                }
            }
            // The sender lives as long as `self`.
            let _ = news.changed().await;
        }
    }

    /// The samples due in a window that are answered by now.
    pub(in crate::run) fn so_far(&self, window: Window) -> Vec<Sample> {
        let range = self.first_due_at(window.from)..self.first_due_at(window.to);
        lock(&self.slots).answered_of(range)
    }

    /// When the samples that were due in a span of time and still wait for their answers were
    /// sent.
    pub(in crate::run) fn waiting_between(&self, from: Duration, to: Duration) -> Vec<Duration> {
        let range = self.first_due_at(from)..self.first_due_at(to);
        lock(&self.slots).waiting_of(range)
    }

    /// How many samples were sent in a span of time, its end included.
    pub(in crate::run) fn sent_between(&self, after: Duration, until: Duration) -> usize {
        lock(&self.slots).sent_between(after, until)
    }

    /// That a judgement is about its samples in a window, of which there were so many.
    pub(in crate::run) fn evidence(&self, window: Window, count: usize) -> Evidence {
        let shows = if self.makes_requests() {
            Shows::Latencies
        } else {
            Shows::Numbers
        };
        let baseline = lock(&self.baseline).as_ref().map(Baseline::to_string);
        Evidence {
            baseline,
            ..Evidence::new(&self.name, window, count, shows)
        }
    }

    /// As [`evidence`](Self::evidence), of all that was answered by now since an instant.
    pub(in crate::run) fn evidence_since(&self, since: Duration, inner: &Inner) -> Evidence {
        let window = Window {
            from: since,
            to: inner.recorder.now().max(since),
        };
        self.evidence(window, self.so_far(window).len())
    }

    /// How many samples it takes at least before a rate means something, and one second at
    /// least: how long a window is where nobody says.
    pub(in crate::run) fn usual_window(&self) -> Duration {
        (self.interval * 20).max(Duration::from_secs(1))
    }

    pub(in crate::run) fn judge_baseline(&self, samples: &Samples) -> Result<Baseline, Error> {
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
    pub(in crate::run) fn is_steady(&self, steady: Steady, in_a_row: usize, inner: &Inner) -> bool {
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
    pub(in crate::run) async fn recovery(
        &self,
        steady: Steady,
        since: Duration,
        in_a_row: InARow,
        deadline: Duration,
        inner: &Inner,
    ) -> Progress {
        let mut streak = Streak::new(steady, in_a_row);
        self.show_all(since, deadline, inner, |slot| match slot {
            Some(sample) => streak.sample(sample),
            None => {
                streak.unsent();
                false
            }
        })
        .await;
        streak.progress()
    }

    /// Waits until throughput is back, until `deadline` at most.
    pub(in crate::run) async fn throughput_back(
        &self,
        back: &mut ThroughputBack<'_>,
        since: Duration,
        deadline: Duration,
        inner: &Inner,
    ) {
        self.show_all(since, deadline, inner, |slot| match slot {
            Some(sample) => back.sample(sample),
            None => {
                back.unsent();
                false
            }
        })
        .await;
    }

    /// Shows samples as they are settled, in the order in which they were due, until somebody
    /// has seen enough or the time is over; nothing in the place of one that was not sent.
    async fn show_all(
        &self,
        since: Duration,
        deadline: Duration,
        inner: &Inner,
        mut enough: impl FnMut(Option<&Sample>) -> bool,
    ) {
        let mut news = self.news.subscribe();
        let end = tokio::time::Instant::from_std(inner.recorder.started() + deadline);
        let mut next = self.first_due_at(since);
        loop {
            if self.show(&mut enough, &mut next) {
                return;
            }
            tokio::select! {
                _ = news.changed() => {}
                () = tokio::time::sleep_until(end) => {
                    self.show(&mut enough, &mut next);
                    return;
                }
            }
        }
    }

    /// Shows what was settled since the last time, up to the first sample that is not.
    /// Whether that is enough.
    fn show(&self, enough: &mut impl FnMut(Option<&Sample>) -> bool, next: &mut usize) -> bool {
        let slots = lock(&self.slots);
        loop {
            let is_enough = match slots.get(*next) {
                Some(Slot::Answered(sample)) => enough(Some(sample)),
                Some(Slot::Unsent) => enough(None),
                Some(Slot::Due | Slot::Sent(_)) | None => return false,
            };
            if is_enough {
                return true;
            }
            *next += 1;
        }
    }
}
