//! Restarts a service's container.

use std::time::Duration;

use crate::error::Error;
use crate::fault::{APPLY_LIMIT, Effect, Fault};
use crate::model::target::Target;
use crate::model::undo::Undo;
use crate::system::{ContainerState, ReadOnlySystem, System};

use super::ServiceName;

/// Restarts the container of a service; made by [`restart`].
///
/// See [`restart`] for an example.
#[derive(Debug, Clone)]
pub struct Restart {
    service: String,
    down_for: Duration,
}

/// Ends a service's container in order, with its grace period, and starts the same one
/// again. The injection returns once it was started; lifting waits until it is ready.
///
/// ```no_run
/// # async fn body(chaos: &chaos_test::ChaosContext, cache: &chaos_test::Service) -> chaos_test::Result {
/// use chaos_test::{container, ms};
/// let restart = chaos.inject(container::restart(cache).down_for(ms(200))).await?;
/// restart.lift().await?;
/// # Ok(()) }
/// ```
#[must_use = "a fault does nothing until it is injected"]
pub fn restart(service: impl Into<ServiceName>) -> Restart {
    Restart {
        service: service.into().0,
        down_for: Duration::ZERO,
    }
}

impl Restart {
    /// How long it stays down between its end and its start; not at all by default.
    #[must_use = "a fault does nothing until it is injected"]
    pub fn down_for(mut self, time: Duration) -> Self {
        self.down_for = time;
        self
    }
}

impl Fault for Restart {
    fn describe(&self) -> String {
        format!("restart container {}", self.service)
    }

    fn is_ours(&self) -> bool {
        true
    }

    fn targets(&self) -> Vec<Target> {
        super::target(&self.service)
    }

    fn ends_within(&self) -> Option<Duration> {
        Some(self.down_for)
    }

    async fn prepare(&self, system: &ReadOnlySystem) -> Result<Undo, Error> {
        match system.container_state(&self.service).await? {
            ContainerState::Running => system.undo_ending(&self.service),
            state => Err(super::not_running("restarted", state)),
        }
    }

    async fn apply(&self, system: &System) -> Result<(), Error> {
        let before = system.container_starts(&self.service)?;
        let grace = system.grace_period(&self.service)?;
        system.stop_container(&self.service, grace).await?;
        tokio::time::sleep(self.down_for).await;
        system.start_container(&self.service).await?;
        if system.container_starts(&self.service)? == before {
            return Err(Error::msg("its container was not started again"));
        }
        Ok(())
    }

    fn apply_limit(&self) -> Duration {
        self.down_for.saturating_add(APPLY_LIMIT)
    }

    async fn verify(&self, system: &ReadOnlySystem) -> Result<Effect, Error> {
        Ok(match system.container_state(&self.service).await? {
            ContainerState::Running => Effect::Spent,
            state => Effect::Absent(format!("its container is {state} after the restart")),
        })
    }
}
