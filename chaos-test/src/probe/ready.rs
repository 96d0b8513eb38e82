//! When a service counts as ready.

use std::fmt;
use std::sync::Arc;

use crate::system::service::{Answer, ReadyCheck, Unit};

/// How to see that a service is ready: made from [`http`](crate::http), [`tcp`] or
/// [`log_line`].
///
/// A service is asked again and again for as long as its start may take. Where no answer comes
/// within 3 s, it is asked once more beside that, and the first good answer counts.
///
/// ```
/// use chaos_test::{Program, Ready, log_line};
///
/// fn service(ready: impl Into<Ready>) -> Program {
///     Program::new("shop").ready(ready)
/// }
/// let shop = service(log_line("listening"));
/// ```
#[derive(Clone)]
pub struct Ready(pub(crate) Arc<dyn ReadyCheck>);

impl fmt::Debug for Ready {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Ready").field(&self.0.describe()).finish()
    }
}

impl Ready {
    pub(crate) fn new(check: impl ReadyCheck + 'static) -> Self {
        Self(Arc::new(check))
    }
}

/// Ready when all its ports accept a connection. That is the default.
///
/// See [`tcp`] for an example.
#[derive(Debug, Clone, Copy)]
pub struct TcpReady(());

/// Ready when all its ports accept a connection. That is the default.
///
/// ```
/// use chaos_test::{Program, tcp};
/// let program = Program::new("redis-server").ready(tcp());
/// ```
#[must_use]
pub fn tcp() -> TcpReady {
    TcpReady(())
}

impl From<TcpReady> for Ready {
    fn from(_: TcpReady) -> Self {
        Self::new(AllPorts)
    }
}

pub(crate) struct AllPorts;

impl ReadyCheck for AllPorts {
    fn describe(&self) -> String {
        "waiting for all its ports to accept a connection".to_owned()
    }

    fn check<'a>(&'a self, service: &'a dyn Unit) -> Answer<'a, Result<(), String>> {
        Box::pin(async move {
            for (_, address) in service.endpoints() {
                super::tcp::connect(&address.to_string())
                    .await
                    .map_err(|why| format!("port {}: {why}", address.port()))?;
            }
            Ok(())
        })
    }
}

/// Ready when it has printed a line that holds a text; see [`log_line`].
///
/// See [`log_line`] for an example.
#[derive(Debug, Clone)]
pub struct LogLine {
    text: String,
}

/// Ready when a line that it printed since its latest start holds this text.
///
/// ```
/// use chaos_test::{Program, log_line};
/// let program = Program::new("worker").without_port().ready(log_line("waiting for jobs"));
/// ```
#[must_use]
pub fn log_line(text: impl Into<String>) -> LogLine {
    LogLine { text: text.into() }
}

impl From<LogLine> for Ready {
    fn from(line: LogLine) -> Self {
        Self::new(line)
    }
}

impl ReadyCheck for LogLine {
    fn describe(&self) -> String {
        format!("waiting for the line `{}`", self.text)
    }

    fn check<'a>(&'a self, service: &'a dyn Unit) -> Answer<'a, Result<(), String>> {
        Box::pin(async move { service.has_printed(&self.text) })
    }
}
