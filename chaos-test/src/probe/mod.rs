//! Probes: what a monitor asks, again and again. A probe reads and never changes anything.

mod closure;
#[cfg(feature = "http")]
mod http;
mod ready;
mod tcp;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use crate::model::sample::Reading;

pub use closure::{IntoReading, IntoValue};
#[cfg(feature = "http")]
pub use http::{HttpProbe, HttpRequest, http};
pub use ready::{LogLine, Ready, TcpReady, log_line, tcp};
pub use tcp::TcpProbe;

pub(crate) use ready::AllPorts;

/// Asks something of the system under test.
///
/// Called by a monitor at its pace, on the harness's own threads, several calls at once if
/// the earlier ones have not been answered yet. It must not change anything, and it must
/// be safe to drop its future at any point: that is how a sample times out.
///
/// Any async closure that returns a `Result` is a probe: its error is a failed sample, and
/// a number that it returns is the sample's value.
///
/// ```
/// use chaos_test::{Probe, Reading};
///
/// #[derive(Debug)]
/// struct QueueLength(std::sync::Arc<std::sync::atomic::AtomicUsize>);
///
/// impl Probe for QueueLength {
///     fn name(&self) -> String {
///         "queue length".to_owned()
///     }
///
///     async fn sample(&self) -> Reading {
///         Reading::Good(Some(self.0.load(std::sync::atomic::Ordering::Relaxed) as f64))
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a probe",
    label = "neither a probe nor an async closure that returns a `Result`"
)]
pub trait Probe: Send + Sync + 'static {
    /// What it is called in reports.
    fn name(&self) -> String;

    /// Asks once.
    fn sample(&self) -> impl Future<Output = Reading> + Send;

    /// Has a monitor ask at this interval.
    ///
    /// # Panics
    ///
    /// If the interval is zero.
    #[track_caller]
    fn every(self, interval: Duration) -> Pace
    where
        Self: Sized,
    {
        assert!(!interval.is_zero(), "a monitor's interval cannot be zero");
        Pace {
            name: None,
            probe: Arc::new(self),
            interval,
            timeout: DEFAULT_TIMEOUT,
            tolerated: crate::model::units::percent(0),
        }
    }
}

/// How long a sample may take by default before it counts as failed.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);

/// A probe with a pace: what [`ChaosContext::monitor`](crate::ChaosContext::monitor) takes.
#[must_use = "it asks nothing until it is passed to `chaos.monitor(..)`"]
pub struct Pace {
    pub(crate) name: Option<String>,
    pub(crate) probe: Arc<dyn ErasedProbe>,
    pub(crate) interval: Duration,
    pub(crate) timeout: Duration,
    pub(crate) tolerated: crate::model::units::Percent,
}

impl Pace {
    /// Another name in reports.
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// How long a sample may take before it counts as failed; 5 seconds by default.
    ///
    /// # Panics
    ///
    /// If it is zero.
    #[track_caller]
    pub fn sample_timeout(mut self, timeout: Duration) -> Self {
        assert!(!timeout.is_zero(), "a sample needs some time");
        self.timeout = timeout;
        self
    }

    /// The share of samples that may fail while nothing is broken; none by default. A
    /// baseline with more failures means that the steady state does not hold, and the test
    /// fails before anything is injected.
    pub fn steady_error_rate(mut self, share: crate::model::units::Percent) -> Self {
        self.tolerated = share;
        self
    }
}

impl std::fmt::Debug for Pace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pace")
            .field("name", &self.name)
            .field("interval", &self.interval)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

/// The boxed twin of [`Probe`], for lists of different ones.
pub(crate) trait ErasedProbe: Send + Sync {
    fn name(&self) -> String;
    fn sample(&self) -> Pin<Box<dyn Future<Output = Reading> + Send + '_>>;
}

impl<P: Probe> ErasedProbe for P {
    fn name(&self) -> String {
        Probe::name(self)
    }

    fn sample(&self) -> Pin<Box<dyn Future<Output = Reading> + Send + '_>> {
        Box::pin(Probe::sample(self))
    }
}

/// A path that begins with a slash, whether it was written with one or not.
pub(crate) fn with_slash(path: &str) -> String {
    if path.starts_with('/') {
        path.to_owned()
    } else {
        format!("/{path}")
    }
}
