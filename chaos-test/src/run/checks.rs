//! Tolerances that hold at certain times of a test, judged at its end.

use std::panic::Location;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::decide::modes::{Course, Look, Looks, Mode, looks, together};
use crate::decide::phases::phases;
use crate::decide::statistics::Summary;
use crate::decide::tolerance::{Judgement, Tolerance};
use crate::model::event::Met;
use crate::model::sample::Window;
use crate::system::lock::lock;

use super::inner::Inner;
use super::judging::{record, unjudged};
use super::monitor::Monitor;

/// The longest window that the end of a test waits for.
const LONGEST_AFTER: Duration = Duration::from_secs(60);

/// Something that must hold, made by [`Monitor::must`]; say when.
///
/// The modes are those of [LitmusChaos' probes]: SOT, EOT, Edge, Continuous and OnChaos.
///
/// [LitmusChaos' probes]: https://docs.litmuschaos.io/docs/concepts/probes
///
/// ```no_run
/// # async fn body(chaos: &chaos_test::ChaosContext, requests: &chaos_test::Monitor) -> chaos_test::Result {
/// use chaos_test::prelude::*;
/// chaos.check(requests.must(error_rate().at_most(percent(0))).before_and_after());
/// chaos.check(requests.must(error_rate().at_most(percent(20))).during_faults());
/// # Ok(()) }
/// ```
#[must_use = "say when it must hold, and pass that to `chaos.check(..)`"]
#[derive(Debug)]
pub struct Must {
    monitor: Monitor,
    tolerance: Tolerance,
    at: String,
}

impl Must {
    #[track_caller]
    pub(super) fn new(monitor: Monitor, tolerance: Tolerance) -> Self {
        Self {
            monitor,
            tolerance,
            at: Location::caller().to_string(),
        }
    }

    /// Before anything is broken: over all samples from [`ChaosContext::check`] until the first
    /// fault is about to be applied. One that still waits for its answer then does not count.
    ///
    /// [`ChaosContext::check`]: crate::ChaosContext::check
    ///
    /// ```no_run
    /// # async fn body(chaos: &chaos_test::ChaosContext, requests: &chaos_test::Monitor) -> chaos_test::Result {
    /// use chaos_test::prelude::*;
    /// chaos.check(requests.must(latency(P99).at_most(ms(100))).before());
    /// chaos.check(requests.must(error_rate().at_most(percent(1))).after().over(secs(2)));
    /// # Ok(()) }
    /// ```
    pub fn before(self) -> Check {
        self.when(Mode::Before)
    }

    /// At the end: once the body has ended, everything is lifted and every monitor with a
    /// baseline is back to it. The test waits for one more window then (see [`Check::over`]).
    ///
    /// See [`before`](Self::before) for an example.
    pub fn after(self) -> Check {
        self.when(Mode::After)
    }

    /// Both [`before`](Self::before) and [`after`](Self::after).
    pub fn before_and_after(self) -> Check {
        self.when(Mode::Edges)
    }

    /// All the time, from [`ChaosContext::check`](crate::ChaosContext::check) to the body's end,
    /// faults and recoveries included: in each piece of it (see [`Check::over`]).
    ///
    /// ```no_run
    /// # async fn body(chaos: &chaos_test::ChaosContext, requests: &chaos_test::Monitor) -> chaos_test::Result {
    /// use chaos_test::prelude::*;
    /// chaos.check(requests.must(throughput().at_least(10.0)).continuously().over(secs(2)));
    /// chaos.check(requests.must(latency(P95).at_most(secs(1))).on_fault());
    /// # Ok(()) }
    /// ```
    pub fn continuously(self) -> Check {
        self.when(Mode::Continuously)
    }

    /// During each fault: over all samples that were due from when it was about to be applied
    /// until it was lifted. Each fault is a judgement of its own.
    pub fn during_faults(self) -> Check {
        self.when(Mode::DuringFaults)
    }

    /// As long as any fault is in force, as in [`during_faults`](Self::during_faults), but in
    /// each piece of that time (see [`Check::over`]): a short miss does not vanish in a long
    /// fault.
    ///
    /// See [`continuously`](Self::continuously) for an example.
    pub fn on_fault(self) -> Check {
        self.when(Mode::OnFault)
    }

    fn when(self, mode: Mode) -> Check {
        Check(Some(Declared {
            must: self,
            mode,
            piece: None,
            since: Duration::ZERO,
        }))
    }
}

/// A tolerance, and when it must hold; pass it to [`ChaosContext::check`].
///
/// Where it is dropped instead the test cannot pass: it says that it was never judged.
///
/// [`ChaosContext::check`]: crate::ChaosContext::check
///
/// ```no_run
/// # async fn body(chaos: &chaos_test::ChaosContext, requests: &chaos_test::Monitor) -> chaos_test::Result {
/// use chaos_test::prelude::*;
/// let all_along = requests.must(latency(P95).at_most(ms(250))).continuously();
/// chaos.check(all_along.over(secs(2))); // each two seconds on their own
/// # Ok(()) }
/// ```
#[must_use = "nothing is judged until it is passed to `chaos.check(..)`"]
#[derive(Debug)]
pub struct Check(Option<Declared>);

#[derive(Debug)]
struct Declared {
    must: Must,
    mode: Mode,
    piece: Option<Duration>,
    since: Duration,
}

impl Check {
    /// How long the pieces are in which it must hold [`continuously`](Must::continuously) and
    /// [`on_fault`](Must::on_fault), and how long is looked at [`after`](Must::after) faults:
    /// one second by default, or the time of 20 samples, where that is longer. What is left at
    /// the end of a time belongs to its last piece. After faults it is 60 seconds at most.
    ///
    /// # Panics
    ///
    /// If it is zero.
    #[track_caller]
    pub fn over(mut self, piece: Duration) -> Self {
        assert!(!piece.is_zero(), "a check needs some time to look at");
        if let Some(declared) = &mut self.0 {
            declared.piece = Some(piece);
        }
        self
    }
}

impl Drop for Check {
    fn drop(&mut self) {
        let Some(declared) = self.0.take() else {
            return;
        };
        // A panic fails the test already, and says more.
        if std::thread::panicking() {
            return;
        }
        let judgement = declared.judgement(&declared.mode.to_string(), String::new());
        let unjudged = unjudged(judgement, "pass it to `chaos.check(..)`");
        record(&declared.must.monitor.inner, &unjudged, &declared.must.at);
    }
}

/// What a context is to judge at its end.
#[derive(Default)]
pub(super) struct Checks(Mutex<Vec<Declared>>);

/// Has a check judged at the end of the test.
#[track_caller]
pub(super) fn declare(inner: &Arc<Inner>, mut check: Check) {
    let Some(mut declared) = check.0.take() else {
        return;
    };
    let is_ours = Arc::ptr_eq(inner, &declared.must.monitor.inner);
    declared.since = inner.recorder.now();
    assert!(
        is_ours,
        "the monitor belongs to another context than the check"
    );
    let is_after = matches!(declared.mode, Mode::After | Mode::Edges);
    assert!(
        !is_after || declared.piece.is_none_or(|piece| piece <= LONGEST_AFTER),
        "the end of a test waits for what must hold after it for 60 s at most"
    );
    lock(&inner.checks.0).push(declared);
}

/// Judges all of them; the body has ended, and everything is lifted.
pub(super) async fn judge_all(inner: &Arc<Inner>, ended: Duration) {
    let checks = std::mem::take(&mut *lock(&inner.checks.0));
    if checks.is_empty() {
        return;
    }
    let settled = inner.recorder.now();
    let phases = phases(&inner.recorder.records());
    for declared in checks {
        let piece = declared.piece();
        let course = Course {
            declared: declared.since,
            ended,
            after: Window {
                from: settled,
                to: settled + piece.min(LONGEST_AFTER),
            },
            phases: &phases,
        };
        for looks in looks(declared.mode, piece, course) {
            let judgement = declared.judge(inner, looks).await;
            record(inner, &judgement, &declared.must.at);
        }
    }
}

impl Declared {
    fn piece(&self) -> Duration {
        self.piece
            .unwrap_or_else(|| self.must.monitor.watcher.usual_window())
    }

    async fn judge(&self, inner: &Inner, looks: Looks) -> Judgement {
        let windows = match looks.windows {
            Ok(windows) => windows,
            Err(why) => return self.judgement(&looks.what, why),
        };
        let what = self.judgement(&looks.what, String::new()).what;
        let mut judged: Vec<(Look, Judgement)> = Vec::new();
        let watcher = &self.must.monitor.watcher;
        for look in windows {
            let (mut samples, unsent) = watcher.settled(look.window, inner).await;
            if looks.answered_within {
                samples.retain(|sample| sample.at + sample.latency <= look.window.to);
            }
            let summary = Summary::of(&samples, look.window).with_unsent(unsent);
            let mut judgement = self.must.tolerance.judge(&summary);
            for measure in &mut judgement.measured {
                measure.of = watcher.names();
            }
            let evidence = watcher.evidence(look.window, samples.len());
            judgement.evidence = vec![self.must.tolerance.evidence(evidence)];
            judged.push((look, judgement));
        }
        together(what, judged)
    }

    /// That it could not be judged.
    fn judgement(&self, when: &str, actual: String) -> Judgement {
        let empty = Summary::of(&[], Window::default());
        let judgement = self.must.tolerance.judge(&empty);
        Judgement {
            what: format!(
                "{} of {} {when}",
                judgement.what, self.must.monitor.watcher.name
            ),
            expected: judgement.expected,
            actual,
            met: Met::NoData,
            measured: Vec::new(),
            evidence: Vec::new(),
        }
    }
}
