//! Ends a service's process with a signal.

use std::time::Duration;

use crate::error::Error;
use crate::fault::{Effect, Fault};
use crate::model::target::Target;
use crate::model::undo::Undo;
use crate::system::{ProcessState, ReadOnlySystem, Signal, System};

use super::ServiceName;

/// How long a process may take to end after its signal.
const EXIT_LIMIT: Duration = Duration::from_secs(5);

/// Ends the process of a service; made by [`kill`].
#[derive(Debug, Clone)]
pub struct Kill {
    service: String,
    signal: Signal,
}

/// Ends the process group of a service with SIGKILL, as a crash does. Lifting it starts
/// the service again and waits until it is ready.
///
/// ```no_run
/// # async fn body(chaos: &chaos_test::ChaosContext, cache: &chaos_test::Service) -> chaos_test::Result {
/// use chaos_test::{Signal, process};
/// let outage = chaos.inject(process::kill(cache).with(Signal::Term)).await?;
/// outage.lift().await?;
/// # Ok(()) }
/// ```
#[must_use = "a fault does nothing until it is injected"]
pub fn kill(service: impl Into<ServiceName>) -> Kill {
    Kill {
        service: service.into().0,
        signal: Signal::Kill,
    }
}

impl Kill {
    /// With another signal. One that the process survives makes the injection fail.
    #[must_use = "a fault does nothing until it is injected"]
    pub fn with(mut self, signal: Signal) -> Self {
        self.signal = signal;
        self
    }
}

impl Fault for Kill {
    fn describe(&self) -> String {
        match self.signal {
            Signal::Kill => format!("kill {}", self.service),
            signal => format!("kill {} with {signal}", self.service),
        }
    }

    fn targets(&self) -> Vec<Target> {
        super::target(&self.service)
    }

    async fn prepare(&self, system: &ReadOnlySystem) -> Result<Undo, Error> {
        match system.process_state(&self.service)? {
            ProcessState::Gone => Err(Error::msg("its process is already gone")),
            _ => Ok(Undo::RunService {
                service: self.service.clone(),
            }),
        }
    }

    async fn apply(&self, system: &System) -> Result<(), Error> {
        system.signal(&self.service, self.signal).await?;
        if system.process_exits(&self.service, EXIT_LIMIT).await? {
            return Ok(());
        }
        Err(Error::msg(format!(
            "its process is still there 5 s after {}",
            self.signal
        )))
    }

    async fn verify(&self, system: &ReadOnlySystem) -> Result<Effect, Error> {
        Ok(match system.process_state(&self.service)? {
            ProcessState::Gone => Effect::Active,
            state => Effect::Absent(format!("its process is {state}")),
        })
    }
}
