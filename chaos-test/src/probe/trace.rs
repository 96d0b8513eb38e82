//! The trace that a test's samples belong to: known to whatever asks, while it asks.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::model::event::Event;
use crate::model::trace::TraceId;
use crate::system::Ledger;
use crate::system::command::Commands;

tokio::task_local! {
    static TRACEPARENT: Traceparent;
}

/// The `traceparent` header of the sample that is being taken, as W3C defines it: for a probe
/// or a condition of your own that sends requests. [`HttpProbe`](crate::HttpProbe)s send it by
/// themselves.
///
/// All of a test is one trace, and each sample a span in it; so a fault shows in the traces of
/// the system under test. Nothing where no monitor and no
/// [`eventually`](crate::ChaosContext::eventually) asks, or in a task that was spawned.
///
/// ```
/// use chaos_test::traceparent;
///
/// let probe = async || {
///     let header = traceparent().unwrap_or_default();
///     send("POST", "/orders", &[("traceparent", header.as_str())]).await
/// };
/// # async fn send(_: &str, _: &str, _: &[(&str, &str)]) -> std::io::Result<()> { Ok(()) }
/// # fn is_probe(_: impl chaos_test::Probe) {}
/// # is_probe(probe);
/// assert_eq!(traceparent(), None, "nobody asks here");
/// ```
#[must_use]
pub fn traceparent() -> Option<String> {
    let sent = |parent: &Traceparent| {
        parent.trace.tell();
        parent.trace.id.traceparent(parent.sample)
    };
    TRACEPARENT.try_with(sent).ok()
}

/// What the test runs programs with whose sample is being taken.
pub(super) fn commands() -> Option<Arc<Commands>> {
    let of = |parent: &Traceparent| Arc::clone(&parent.trace.commands);
    TRACEPARENT.try_with(of).ok()
}

/// The trace of one test.
pub(crate) struct Trace {
    pub(crate) id: TraceId,
    samples: AtomicU64,
    /// Whether the journal has it: from the first sample that is sent with it.
    told: AtomicBool,
    ledger: Arc<dyn Ledger>,
    /// What samples run, which ends with the test.
    pub(crate) commands: Arc<Commands>,
}

struct Traceparent {
    trace: Arc<Trace>,
    sample: u64,
}

impl Trace {
    pub(crate) fn new(id: TraceId, ledger: Arc<dyn Ledger>, commands: Commands) -> Self {
        Self {
            id,
            commands: Arc::new(commands),
            samples: AtomicU64::new(0),
            told: AtomicBool::new(false),
            ledger,
        }
    }

    /// Runs what takes one sample.
    pub(crate) async fn sample<T>(self: &Arc<Self>, work: impl Future<Output = T>) -> T {
        let parent = Traceparent {
            trace: Arc::clone(self),
            sample: self.samples.fetch_add(1, Ordering::Relaxed),
        };
        TRACEPARENT.scope(parent, work).await
    }

    fn tell(&self) {
        if !self.told.swap(true, Ordering::Relaxed) {
            self.ledger.record(Event::Traced {
                trace: self.id.to_string(),
            });
        }
    }
}
