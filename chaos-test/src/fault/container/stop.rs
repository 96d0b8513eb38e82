//! Ends a service's container as `docker stop` does.

use std::time::Duration;

use crate::error::Error;
use crate::fault::{APPLY_LIMIT, Effect, Fault};
use crate::model::target::Target;
use crate::model::undo::Undo;
use crate::model::units::human;
use crate::system::{ContainerState, Ending, ReadOnlySystem, System};

use super::ServiceName;

/// Ends the container of a service in order; made by [`stop`].
///
/// See [`stop`] for an example.
#[derive(Debug, Clone)]
pub struct Stop {
    service: String,
    grace: Option<Duration>,
}

/// Ends a service's container in order: its stop signal (SIGTERM, unless its image says
/// otherwise), then SIGKILL after a grace period. Lifting it starts the same container again
/// and waits until it is ready.
///
/// ```no_run
/// # async fn body(chaos: &chaos_test::ChaosContext, cache: &chaos_test::Service) -> chaos_test::Result {
/// use chaos_test::{container, secs};
/// let outage = chaos.inject(container::stop(cache).grace(secs(2))).await?;
/// outage.lift().await?;
/// # Ok(()) }
/// ```
#[must_use = "a fault does nothing until it is injected"]
pub fn stop(service: impl Into<ServiceName>) -> Stop {
    Stop {
        service: service.into().0,
        grace: None,
    }
}

impl Stop {
    /// How long it may take to end before it is killed; that of the container by default.
    /// Engines count it in whole seconds, rounded up.
    #[must_use = "a fault does nothing until it is injected"]
    pub fn grace(mut self, time: Duration) -> Self {
        self.grace = Some(time);
        self
    }
}

impl Fault for Stop {
    fn describe(&self) -> String {
        match self.grace {
            None => format!("stop container {}", self.service),
            Some(grace) => format!("stop container {} within {}", self.service, human(grace)),
        }
    }

    fn is_ours(&self) -> bool {
        true
    }

    fn targets(&self) -> Vec<Target> {
        super::target(&self.service)
    }

    async fn prepare(&self, system: &ReadOnlySystem) -> Result<Undo, Error> {
        match system.container_state(&self.service).await? {
            ContainerState::Running => {
                let grace = match self.grace {
                    Some(grace) => grace,
                    None => system.grace_period(&self.service)?,
                };
                system.undo_ending_within(&self.service, Ending::Stopped, grace)
            }
            state => Err(super::not_running("stopped", state)),
        }
    }

    async fn apply(&self, system: &System) -> Result<(), Error> {
        let grace = match self.grace {
            Some(grace) => grace,
            None => system.grace_period(&self.service)?,
        };
        system.stop_container(&self.service, grace).await
    }

    fn apply_limit(&self) -> Duration {
        self.grace.unwrap_or_default().saturating_add(APPLY_LIMIT)
    }

    async fn verify(&self, system: &ReadOnlySystem) -> Result<Effect, Error> {
        Ok(match system.container_state(&self.service).await? {
            ContainerState::Exited => Effect::Active,
            state => Effect::Absent(format!("its container is {state}")),
        })
    }
}
