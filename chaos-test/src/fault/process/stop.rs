//! Stops a service's process without ending it.

use std::time::{Duration, Instant};

use crate::error::{Error, Kind};
use crate::fault::{Effect, Fault};
use crate::model::target::Target;
use crate::model::undo::Undo;
use crate::system::{ProcessState, ReadOnlySystem, Signal, System};

use super::ServiceName;

/// How long the kernel may take to stop all threads of all processes of the group.
const STOP_LIMIT: Duration = Duration::from_secs(5);

/// Stops the process of a service; made by [`stop`].
///
/// See [`stop`] for an example.
#[derive(Debug, Clone)]
pub struct Stop {
    service: String,
}

/// Stops the process group of a service with SIGSTOP: it stays there, accepts connections
/// as far as the kernel does so for it, and answers nothing. Lifting it continues it.
///
/// ```no_run
/// # async fn body(chaos: &chaos_test::ChaosContext, cache: &chaos_test::Service) -> chaos_test::Result {
/// use chaos_test::process;
/// let hang = chaos.inject(process::stop(cache)).await?;
/// hang.lift().await?;
/// # Ok(()) }
/// ```
#[must_use = "a fault does nothing until it is injected"]
pub fn stop(service: impl Into<ServiceName>) -> Stop {
    Stop {
        service: service.into().0,
    }
}

impl Fault for Stop {
    fn describe(&self) -> String {
        format!("stop {}", self.service)
    }

    fn is_ours(&self) -> bool {
        true
    }

    fn targets(&self) -> Vec<Target> {
        super::target(&self.service)
    }

    async fn prepare(&self, system: &ReadOnlySystem) -> Result<Undo, Error> {
        match system.process_state(&self.service)? {
            ProcessState::Running => system.undo_stopping(&self.service),
            state => Err(Error::new(
                Kind::Inject,
                format!("only a running process can be stopped, and it is {state}"),
            )),
        }
    }

    async fn apply(&self, system: &System) -> Result<(), Error> {
        system.signal(&self.service, Signal::Stop).await?;
        let until = Instant::now() + STOP_LIMIT;
        // A process stops at its next return to user space, and nobody tells us.
        while !system.group_is_stopped(&self.service)? && Instant::now() < until {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Ok(())
    }

    async fn verify(&self, system: &ReadOnlySystem) -> Result<Effect, Error> {
        Ok(match system.process_state(&self.service)? {
            ProcessState::Stopped if system.group_is_stopped(&self.service)? => Effect::Active,
            ProcessState::Stopped => {
                Effect::Absent("another process of its group still runs".to_owned())
            }
            state => Effect::Absent(format!("its process is {state}")),
        })
    }
}
