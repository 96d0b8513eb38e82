//! Measuring what service level objectives are about, and judging them.

use std::panic::Location;
use std::sync::Arc;

use crate::decide::phases::phases;
use crate::decide::recoveries::{RecoverySummary, attempts};
use crate::decide::slo::{ConsistencyShare, Requests, SloMeasured, SloValidation, degradation};
use crate::decide::statistics::{Latency, Summary};
use crate::decide::tolerance::{BaselineSummary, Judgement};
use crate::error::Error;
use crate::model::event::Met;
use crate::model::evidence::Evidence;
use crate::model::sample::Window;
use crate::model::slos::Slos;
use crate::system::lock::lock;

use super::engine;
use super::inner::Inner;
use super::judging::{conclude, record, unjudged};
use super::monitor::{Monitor, Watcher};

/// Service level objectives, to be held against what a test has seen so far; made by
/// [`ChaosContext::slos`](crate::ChaosContext::slos).
///
/// Requests are the samples of the named monitors, from when the first fault was about
/// to be applied until now: under faults and while recovering. Recoveries are those that were
/// waited for, records those that were compared. Where no monitor is named, requests are those of
/// all but of invariants and of [`resources`](crate::resources): what makes no requests
/// ([`Probe::makes_requests`](crate::Probe::makes_requests)) must not make failures look rare. An objective without data fails.
///
/// Where it is dropped without [`check`](Self::check) the test cannot pass: it says that it was
/// never judged.
///
/// ```no_run
/// # async fn body(chaos: &chaos_test::ChaosContext, requests: &chaos_test::Monitor) -> chaos_test::Result {
/// use chaos_test::Slos;
/// let slos = Slos { mttr: None, ..Slos::staging() }; // one outage has no mean
/// let validation = chaos.slos(slos).of(requests).check().await?;
/// println!("{validation}");
/// # Ok(()) }
/// ```
#[must_use = "nothing is judged until `check` is called"]
pub struct SloCheck {
    inner: Arc<Inner>,
    slos: Slos,
    monitors: Vec<Arc<Watcher>>,
    at: String,
    judged: bool,
}

impl std::fmt::Debug for SloCheck {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("SloCheck").field(&self.slos).finish()
    }
}

impl SloCheck {
    #[track_caller]
    pub(super) fn new(inner: Arc<Inner>, slos: Slos) -> Self {
        Self {
            inner,
            slos,
            monitors: Vec::new(),
            at: Location::caller().to_string(),
            judged: false,
        }
    }

    /// Only what this monitor has seen; call it again for another one.
    pub fn of(mut self, monitor: &Monitor) -> Self {
        self.monitors.push(Arc::clone(&monitor.watcher));
        self
    }

    /// Judges each objective, once the samples until now are answered. They stand in the report
    /// one by one.
    ///
    /// The judgement stands: a miss fails the test even if the error is swallowed.
    ///
    /// # Errors
    ///
    /// If at least one is violated ([`Error::is_deviation`]), or was not measured
    /// ([`Error::is_no_data`]), no objective is set ([`Error::is_no_data`]), a monitor's probe can
    /// never say anything (as where its program is not there), or the context ends.
    pub async fn check(mut self) -> Result<SloValidation, Error> {
        for watcher in self.watchers() {
            // It is dropped unjudged then, and says so.
            watcher.refuse_unusable()?;
        }
        self.judged = true;
        engine::run_on(engine::own(), async move {
            let inner = Arc::clone(&self.inner);
            let _call = inner.enter().await?;
            let (measured, evidence) = tokio::select! {
                measured = self.measure() => measured,
                ended = inner.until_ended() => return Err(ended),
            };
            let validation = self.slos.validate(&measured);
            let judgements = self.judgements(&validation, &evidence);
            conclude(&inner, &judgements, &self.at)?;
            Ok(validation)
        })
        .await
    }

    fn judgements(&self, validation: &SloValidation, evidence: &[Evidence]) -> Vec<Judgement> {
        let names: Vec<&str> = self
            .monitors
            .iter()
            .map(|watcher| watcher.name.as_str())
            .collect();
        let of = match names.as_slice() {
            [] => String::new(),
            names => format!(" of {}", names.join(", ")),
        };
        if validation.results.is_empty() {
            return vec![Judgement {
                what: format!("SLOs{of}"),
                expected: "at least one objective".to_owned(),
                actual: "none is set".to_owned(),
                met: Met::NoData,
                measured: Vec::new(),
                evidence: Vec::new(),
            }];
        }
        let names: Vec<String> = self.monitors.iter().flat_map(|one| one.names()).collect();
        let judgements = validation.results.iter().map(|result| {
            let mut judgement = result.judgement(&of);
            for measure in &mut judgement.measured {
                measure.of.clone_from(&names);
            }
            if result.is_about_requests() {
                judgement.evidence = evidence.to_vec();
            }
            judgement
        });
        judgements.collect()
    }

    /// Those that were named, or all.
    fn watchers(&self) -> Vec<Arc<Watcher>> {
        match self.monitors.as_slice() {
            // Good looks at memory must not make up for failed requests.
            [] => {
                let monitors = lock(&self.inner.monitors);
                let asking = monitors.iter().filter(|watcher| watcher.makes_requests());
                asking.cloned().collect()
            }
            named => named.to_vec(),
        }
    }

    /// What it comes to, and the requests that it comes from.
    async fn measure(&self) -> (SloMeasured, Vec<Evidence>) {
        let mut evidence = Vec::new();
        let inner = &self.inner;
        let now = inner.recorder.now();
        let records = inner.recorder.records();
        let monitors = self.watchers();
        let broken = phases(&records).first().map(|phase| phase.begun);
        let (mut requests, mut worst, mut missing) = (None::<Requests>, None::<Latency>, 0);
        if let Some(from) = broken {
            let window = Window { from, to: now };
            for watcher in &monitors {
                let (samples, unsent) = watcher.settled(window, inner).await;
                missing += unsent;
                evidence.push(watcher.evidence(window, samples.len()));
                let summary = Summary::of(&samples, window);
                let seen = requests.get_or_insert_default();
                seen.total += summary.count;
                seen.failed += summary.errors;
                let baseline = lock(&watcher.baseline).clone();
                if let Some(baseline) = baseline {
                    worst = worst.max(degradation(&baseline.summary(), &summary));
                }
            }
        }
        let mut attempts = attempts(&records);
        if !self.monitors.is_empty() {
            attempts.retain(|attempt| monitors.iter().any(|one| one.name == attempt.monitor));
        }
        let measured = SloMeasured {
            requests,
            unsent: missing,
            latency_degradation: worst,
            recoveries: RecoverySummary::of(&attempts),
            consistency: ConsistencyShare::judged(&records),
        };
        (measured, evidence)
    }
}

impl Drop for SloCheck {
    fn drop(&mut self) {
        // A panic fails the test already, and says more.
        if self.judged || std::thread::panicking() {
            return;
        }
        let judgement = Judgement {
            what: "SLOs".to_owned(),
            expected: "each is met".to_owned(),
            actual: String::new(),
            met: Met::NoData,
            measured: Vec::new(),
            evidence: Vec::new(),
        };
        record(
            &self.inner,
            &unjudged(judgement, "call `.check()`"),
            &self.at,
        );
    }
}
