//! What faults can reach of services in containers.

use std::time::Duration;

use super::{ReadOnlySystem, System};
use crate::error::Error;
use crate::model::target::Target;
use crate::model::undo::Undo;
use crate::system::container::ContainerState;
use crate::system::process::Signal;
use crate::system::supervision;

impl ReadOnlySystem {
    /// What the container of a service is doing, as the engine says now.
    ///
    /// # Errors
    ///
    /// If the context has no such service, it is no container, or the engine does not
    /// answer.
    pub async fn container_state(&self, service: &str) -> Result<ContainerState, Error> {
        let unit = self.world.service(service)?;
        unit.as_container()?.state().await
    }

    /// How often the container of a service was started.
    ///
    /// # Errors
    ///
    /// If the context has no such service, or it is no container.
    pub fn container_starts(&self, service: &str) -> Result<u32, Error> {
        Ok(self.world.service(service)?.as_container()?.starts())
    }

    /// The name of the container of a service, as the engine knows it.
    ///
    /// # Errors
    ///
    /// If the context has no such service, or it is no container.
    pub fn container_name(&self, service: &str) -> Result<String, Error> {
        let unit = self.world.service(service)?;
        Ok(unit.as_container()?.container().to_owned())
    }

    /// The name of the network that the container of a service belongs to.
    ///
    /// # Errors
    ///
    /// If the context has no such service, or it is no container.
    pub fn container_network(&self, service: &str) -> Result<String, Error> {
        Ok(self.world.service(service)?.as_container()?.network_name())
    }

    /// The undo that puts the container of a service back into its network.
    ///
    /// # Errors
    ///
    /// If the context has no such service, it is no container, the engine does not answer, or
    /// it could not be put back.
    pub async fn undo_disconnecting(&self, service: &str) -> Result<Undo, Error> {
        let unit = self.world.service(service)?;
        unit.as_container()?.undo_disconnecting().await
    }

    /// Whether what was killed of a service is gone, and its own supervisor has started its
    /// container again.
    ///
    /// # Errors
    ///
    /// If the context has no such service, it is no container, or the engine does not
    /// answer.
    pub async fn container_was_replaced(&self, service: &str) -> Result<bool, Error> {
        let unit = self.world.service(service)?;
        unit.as_container()?.was_replaced().await
    }

    /// Whether the container of a service is in its network.
    ///
    /// # Errors
    ///
    /// If the context has no such service, it is no container, or the engine does not
    /// answer.
    pub async fn container_is_connected(&self, service: &str) -> Result<bool, Error> {
        let unit = self.world.service(service)?;
        unit.as_container()?.is_connected().await
    }
}

impl System {
    /// Sends a signal to the first process of a service's container.
    ///
    /// # Errors
    ///
    /// If the fault does not name the service as a target, it is no container, or the engine
    /// refuses.
    pub async fn kill_container(&self, service: &str, signal: Signal) -> Result<(), Error> {
        self.may_touch(&Target::Service(service.to_owned()))?;
        let unit = self.world.service(service)?;
        unit.as_container()?.kill(signal).await?;
        supervision::follow(&unit);
        Ok(())
    }

    /// Waits until the container of a service does not run any more; `false` where it still
    /// does after `limit`.
    ///
    /// # Errors
    ///
    /// If the context has no such service, or it is no container.
    pub async fn container_exits(&self, service: &str, limit: Duration) -> Result<bool, Error> {
        let unit = self.world.service(service)?;
        Ok(unit.as_container()?.exits_within(limit).await)
    }

    /// Asks the container of a service to end, and kills it after a grace period.
    ///
    /// # Errors
    ///
    /// If the fault does not name the service as a target, it is no container, or the engine
    /// refuses.
    pub async fn stop_container(&self, service: &str, grace: Duration) -> Result<(), Error> {
        self.may_touch(&Target::Service(service.to_owned()))?;
        let unit = self.world.service(service)?;
        unit.as_container()?.stop(grace).await
    }

    /// Pauses the container of a service.
    ///
    /// # Errors
    ///
    /// If the fault does not name the service as a target, it is no container, or the engine
    /// refuses.
    pub async fn pause_container(&self, service: &str) -> Result<(), Error> {
        self.may_touch(&Target::Service(service.to_owned()))?;
        let unit = self.world.service(service)?;
        unit.as_container()?.pause().await
    }

    /// Starts the container of a service again, without waiting for it to be ready.
    ///
    /// # Errors
    ///
    /// If the fault does not name the service as a target, it is no container, or the engine
    /// refuses.
    pub async fn start_container(&self, service: &str) -> Result<(), Error> {
        self.may_touch(&Target::Service(service.to_owned()))?;
        let unit = self.world.service(service)?;
        unit.as_container()?.start_unready().await
    }

    /// Takes the container of a service out of its network.
    ///
    /// # Errors
    ///
    /// If the fault does not name the service as a target, it is no container, or the engine
    /// refuses.
    pub async fn disconnect_container(&self, service: &str) -> Result<(), Error> {
        self.may_touch(&Target::Service(service.to_owned()))?;
        let unit = self.world.service(service)?;
        unit.as_container()?.disconnect().await
    }
}
