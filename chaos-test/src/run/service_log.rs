//! What a service prints, as something that may come true.

use std::path::PathBuf;
use std::sync::Mutex;

use crate::error::Error;
use crate::probe::{Condition, Seen};
use crate::system::lock::lock;
use crate::system::service::log::Lines;

use super::service::Service;

/// What a service prints, from its first start in this test or from a moment on; made by
/// [`Service::log`] and [`Service::log_from_now`].
///
/// It is the file that is kept with the report. What a container prints reaches it a moment
/// later. A service in the test's own process has nothing there but its ends: what it prints is
/// the output of the test.
///
/// ```no_run
/// # async fn body(chaos: &chaos_test::ChaosContext, shop: &chaos_test::Service) -> chaos_test::Result {
/// use chaos_test::prelude::*;
/// let log = shop.log_from_now()?;
/// // ..
/// let line: String = chaos.eventually("an alert", log.contains("ALERT")).within(secs(5)).await?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
#[must_use = "it says nothing until `contains` is asked of it"]
pub struct ServiceLog {
    path: PathBuf,
    lines: Lines,
}

impl ServiceLog {
    pub(super) fn new(service: &Service, from_now: bool) -> Result<Self, Error> {
        let path = service.log_file()?;
        let lines = Lines::new(&path, from_now);
        Ok(Self { path, lines })
    }

    /// That a line with this text is printed: a condition for
    /// [`eventually`](crate::ChaosContext::eventually), which returns the line.
    ///
    /// # Panics
    ///
    /// If the text is empty, or has more than one line: no line could ever hold it.
    #[track_caller]
    pub fn contains(&self, text: impl Into<String>) -> LogContains {
        let text = text.into();
        assert!(
            !text.is_empty() && !text.contains(['\n', '\r']),
            "what a line is to contain is some text without a line break, not {text:?}"
        );
        LogContains {
            lines: Mutex::new(self.lines.clone()),
            log: self.clone(),
            text,
        }
    }
}

/// That a service prints a line with a text; made by [`ServiceLog::contains`].
///
/// See [`ServiceLog`] for an example.
#[derive(Debug)]
#[must_use = "pass it to `chaos.eventually(..)`"]
pub struct LogContains {
    log: ServiceLog,
    text: String,
    lines: Mutex<Lines>,
}

impl Condition for LogContains {
    type Value = String;

    async fn look(&self) -> Seen<String> {
        let (path, mut lines) = (&self.log.path, lock(&self.lines));
        match lines.find(path, &self.text) {
            Ok(Some(line)) => Seen::True {
                value: line.clone(),
                seen: line,
            },
            Ok(None) => Seen::NotYet(match lines.count {
                0 => format!("no line in {}", path.display()),
                1 => format!("one line in {}: {}", path.display(), lines.last),
                count => format!(
                    "{count} lines in {}, none with `{}`, the last: {}",
                    path.display(),
                    self.text,
                    lines.last
                ),
            }),
            Err(error) => Seen::Failed(format!("{} cannot be read: {error}", path.display())),
        }
    }
}
