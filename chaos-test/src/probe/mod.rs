//! Probes: what a monitor asks, again and again. A probe reads and never changes anything.

mod closure;
mod command;
mod condition;
#[cfg(feature = "http")]
mod http;
mod ready;
pub mod resources;
mod tcp;
mod trace;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use crate::model::sample::Reading;

pub use closure::{IntoReading, IntoValue};
pub use command::{CommandProbe, command};
pub use condition::{Condition, IntoSeen, Seen};
#[cfg(feature = "http")]
pub use http::{HttpProbe, HttpRequest, http};
pub use ready::{LogLine, Ready, TcpReady, log_line, tcp};
pub use resources::ResourceProbe;
pub use tcp::TcpProbe;

pub use trace::traceparent;

pub(crate) use ready::AllPorts;
pub(crate) use trace::Trace;

/// Asks something of the system under test.
///
/// Called by a monitor at its pace, on threads that only probes have, several calls at once
/// if the earlier ones have not been answered yet. It must not change anything, and it must
/// be safe to drop its future at any point: that is how a sample times out. One that blocks
/// its thread times out as well, but keeps other samples from being sent meanwhile.
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

    /// The service that it asks, so that abort conditions can name that.
    ///
    /// See [`makes_requests`](Self::makes_requests) for an example.
    fn service(&self) -> Option<&str> {
        None
    }

    /// Why it can never say anything of the system under test, as where its program is not
    /// there: then whoever looks at its monitor gets this as an error, and judges nothing.
    ///
    /// See [`makes_requests`](Self::makes_requests) for an example.
    fn unusable(&self) -> Option<String> {
        None
    }

    /// Whether a sample is a request to the system under test, as most are. What only looks at
    /// it from outside, as at its memory, is none: objectives about requests
    /// ([`slos`](crate::ChaosContext::slos)) leave it out, unless they name its monitor.
    ///
    /// ```
    /// use chaos_test::{Probe, Reading};
    ///
    /// /// Looks at a file, and asks the shop nothing.
    /// struct SpoolSize;
    ///
    /// impl Probe for SpoolSize {
    ///     fn makes_requests(&self) -> bool {
    ///         false
    ///     }
    ///     fn service(&self) -> Option<&str> {
    ///         Some("shop") // whose name abort conditions may use
    ///     }
    ///     fn unusable(&self) -> Option<String> {
    ///         let spool = std::path::Path::new("/var/spool/shop");
    ///         (!spool.exists()).then(|| "there is no spool".to_owned())
    ///     }
    /// #   fn name(&self) -> String {
    /// #       "spool size".to_owned()
    /// #   }
    ///     async fn sample(&self) -> Reading {
    ///         match std::fs::metadata("/var/spool/shop") {
    ///             Ok(spool) => Reading::Good(Some(spool.len() as f64)),
    ///             Err(error) => Reading::Bad(error.to_string()),
    ///         }
    ///     }
    /// }
    /// ```
    fn makes_requests(&self) -> bool {
        true
    }

    /// Asks once.
    fn sample(&self) -> impl Future<Output = Reading> + Send;

    /// Has a monitor ask at this interval.
    ///
    /// ```
    /// use chaos_test::{CommandProbe, Probe, command, ms};
    /// let ping: CommandProbe = command(["redis-cli", "ping"]);
    /// let pace = ping.every(ms(500)).named("pings");
    /// ```
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
            makes_requests: self.makes_requests(),
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
///
/// ```no_run
/// # async fn body(chaos: &chaos_test::ChaosContext, shop: &chaos_test::Service) -> chaos_test::Result {
/// use chaos_test::prelude::*;
/// let requests = shop.connect().every(ms(20)).named("customers").sample_timeout(secs(1));
/// let requests = chaos.monitor(requests.steady_error_rate(percent(1)));
/// # Ok(()) }
/// ```
#[must_use = "it asks nothing until it is passed to `chaos.monitor(..)`"]
pub struct Pace {
    pub(crate) name: Option<String>,
    pub(crate) makes_requests: bool,
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

    /// Its samples are no requests of the system's users, whatever they ask.
    pub(crate) fn without_requests(mut self) -> Self {
        self.makes_requests = false;
        self
    }

    /// How long a sample may take before it counts as failed; 5 seconds by default.
    ///
    /// At most 4096 samples wait for their answers at once. With more of them in this time
    /// than that, a system that hangs leaves no place for the next ones: they are not sent,
    /// and what is judged while some are missing is judged as without data.
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

/// How many samples of one monitor may wait for their answers at once.
const MOST_IN_FLIGHT: u128 = 4096;

impl Pace {
    /// How many samples may wait for their answers at once: all that are due in the time of
    /// one, and as many again, because a busy machine sends some late and close together.
    pub(crate) fn in_flight(&self) -> usize {
        let due = self.timeout.as_nanos().div_ceil(self.interval.as_nanos());
        let places = due.saturating_mul(2).saturating_add(1).min(MOST_IN_FLIGHT);
        usize::try_from(places).unwrap_or(usize::MAX)
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
    fn service(&self) -> Option<&str>;
    fn unusable(&self) -> Option<String>;
    fn sample(&self) -> Pin<Box<dyn Future<Output = Reading> + Send + '_>>;
}

impl<P: Probe> ErasedProbe for P {
    fn name(&self) -> String {
        Probe::name(self)
    }

    fn service(&self) -> Option<&str> {
        Probe::service(self)
    }

    fn unusable(&self) -> Option<String> {
        Probe::unusable(self)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::units::{ms, secs};

    #[test]
    fn there_is_a_place_for_each_sample_that_may_be_waiting() {
        for (interval, timeout, expected) in [
            (ms(2), secs(5), 4096),
            (ms(10), secs(5), 1001),
            (ms(30), ms(100), 9),
            (secs(10), ms(1), 3),
        ] {
            let pace = TcpProbe::new("nowhere:1").every(interval);
            let pace = pace.sample_timeout(timeout);
            assert_eq!(pace.in_flight(), expected, "{interval:?}, {timeout:?}");
        }
    }
}
