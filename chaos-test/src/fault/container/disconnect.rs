//! Takes a service's container out of its network.

use crate::error::Error;
use crate::fault::{Effect, Fault};
use crate::model::target::Target;
use crate::model::undo::Undo;
use crate::system::{ContainerState, ReadOnlySystem, System};

use super::ServiceName;

/// Takes the container of a service out of its network; made by [`disconnect`].
///
/// See [`disconnect`] for an example.
#[derive(Debug, Clone)]
pub struct Disconnect {
    service: String,
}

/// Takes a service's container out of its network, as pulling its cable does: nobody reaches
/// it and it reaches nobody, and it runs on. Its open connections hang, and new ones to it
/// are refused or hang. Lifting puts it back under its aliases and its address.
///
/// ```no_run
/// # async fn body(chaos: &chaos_test::ChaosContext, broker: &chaos_test::Service) -> chaos_test::Result {
/// use chaos_test::container;
/// let cut = chaos.inject(container::disconnect(broker)).await?;
/// cut.lift().await?;
/// # Ok(()) }
/// ```
#[must_use = "a fault does nothing until it is injected"]
pub fn disconnect(service: impl Into<ServiceName>) -> Disconnect {
    Disconnect {
        service: service.into().0,
    }
}

impl Fault for Disconnect {
    fn describe(&self) -> String {
        format!("disconnect container {}", self.service)
    }

    fn is_ours(&self) -> bool {
        true
    }

    fn targets(&self) -> Vec<Target> {
        super::target(&self.service)
    }

    async fn prepare(&self, system: &ReadOnlySystem) -> Result<Undo, Error> {
        let state = system.container_state(&self.service).await?;
        if !matches!(state, ContainerState::Running | ContainerState::Paused) {
            return Err(super::not_running("taken out of its network", state));
        }
        let network = system.container_network(&self.service)?;
        if !system.container_is_connected(&self.service).await? {
            return Err(
                Error::msg(format!("its container is not in network {network}")).help(
                    "lift the fault that took it out first; if there is none, somebody else did",
                ),
            );
        }
        system.undo_disconnecting(&self.service).await
    }

    async fn apply(&self, system: &System) -> Result<(), Error> {
        system.disconnect_container(&self.service).await
    }

    async fn verify(&self, system: &ReadOnlySystem) -> Result<Effect, Error> {
        Ok(match system.container_is_connected(&self.service).await? {
            false => Effect::Active,
            true => Effect::Absent("its container is in its network".to_owned()),
        })
    }
}
