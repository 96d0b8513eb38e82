//! Opens a TCP connection.

use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use super::Probe;
use crate::model::sample::Reading;

/// How long an accepted connection is watched for being closed again at once.
const SETTLE: Duration = Duration::from_millis(5);

/// Connects to an address: good if the connection is accepted and not closed at once.
///
/// A link accepts even when the service behind it is down, and then resets the connection.
/// The probe therefore looks at the connection for 5 ms more, and its latency holds them. On
/// a busy machine a reset may come later than that: a probe that waits for an answer, such
/// as one over HTTP, sees it in any case.
///
/// ```no_run
/// # async fn body(chaos: &chaos_test::ChaosContext, cache: &chaos_test::Service) -> chaos_test::Result {
/// use chaos_test::prelude::*;
/// let connects = chaos.monitor(cache.connect().every(ms(20)));
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct TcpProbe {
    pub(crate) name: String,
    /// The service that it asks.
    pub(crate) service: Option<String>,
    pub(crate) address: String,
}

impl TcpProbe {
    /// A probe of an address, `host:port`.
    ///
    /// ```
    /// use chaos_test::{Probe, TcpProbe, ms};
    /// let pace = TcpProbe::new("127.0.0.1:6379").every(ms(50));
    /// ```
    #[must_use]
    pub fn new(address: impl Into<String>) -> Self {
        let address = address.into();
        Self {
            name: format!("tcp {address}"),
            service: None,
            address,
        }
    }
}

impl Probe for TcpProbe {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn service(&self) -> Option<&str> {
        self.service.as_deref()
    }

    async fn sample(&self) -> Reading {
        match connect(&self.address).await {
            Ok(()) => Reading::Good(None),
            Err(why) => Reading::Bad(why),
        }
    }
}

pub(super) async fn connect(address: &str) -> Result<(), String> {
    let mut stream = TcpStream::connect(address)
        .await
        .map_err(|error| error.to_string())?;
    let mut byte = [0];
    match tokio::time::timeout(SETTLE, stream.read(&mut byte)).await {
        // Silence is what a server owes that waits for a request, and a greeting is fine.
        Err(_) | Ok(Ok(1..)) => Ok(()),
        Ok(Ok(0)) => Err("the connection was accepted and closed at once".to_owned()),
        Ok(Err(error)) => Err(error.to_string()),
    }
}
