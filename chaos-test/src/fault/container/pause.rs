//! Pauses a service's container.

use crate::error::Error;
use crate::fault::{Effect, Fault};
use crate::model::target::Target;
use crate::model::undo::Undo;
use crate::system::{ContainerState, ReadOnlySystem, System};

use super::ServiceName;

/// Pauses the container of a service; made by [`pause`].
///
/// See [`pause`] for an example.
#[derive(Debug, Clone)]
pub struct Pause {
    service: String,
}

/// Pauses all processes of a service's container by the kernel's freezer: it is there, the
/// kernel still accepts connections for it, and it answers nothing. Lifting has it go on.
///
/// ```no_run
/// # async fn body(chaos: &chaos_test::ChaosContext, database: &chaos_test::Service) -> chaos_test::Result {
/// use chaos_test::container;
/// let hang = chaos.inject(container::pause(database)).await?;
/// hang.lift().await?;
/// # Ok(()) }
/// ```
#[must_use = "a fault does nothing until it is injected"]
pub fn pause(service: impl Into<ServiceName>) -> Pause {
    Pause {
        service: service.into().0,
    }
}

impl Fault for Pause {
    fn describe(&self) -> String {
        format!("pause container {}", self.service)
    }

    fn is_ours(&self) -> bool {
        true
    }

    fn targets(&self) -> Vec<Target> {
        super::target(&self.service)
    }

    async fn prepare(&self, system: &ReadOnlySystem) -> Result<Undo, Error> {
        match system.container_state(&self.service).await? {
            ContainerState::Running => system.undo_running(&self.service),
            state => Err(super::not_running("paused", state)),
        }
    }

    async fn apply(&self, system: &System) -> Result<(), Error> {
        system.pause_container(&self.service).await
    }

    async fn verify(&self, system: &ReadOnlySystem) -> Result<Effect, Error> {
        Ok(match system.container_state(&self.service).await? {
            ContainerState::Paused => Effect::Active,
            state => Effect::Absent(format!("its container is {state}")),
        })
    }
}
