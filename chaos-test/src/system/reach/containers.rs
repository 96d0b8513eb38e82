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
    /// See [`ContainerState`] for an example.
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
    /// See [`process_starts`](Self::process_starts) for an example with a process.
    ///
    /// # Errors
    ///
    /// If the context has no such service, or it is no container.
    pub fn container_starts(&self, service: &str) -> Result<u32, Error> {
        Ok(self.world.service(service)?.as_container()?.starts())
    }

    /// The name of the container of a service, as the engine knows it.
    ///
    /// ```
    /// use chaos_test::{Error, ReadOnlySystem, Undo};
    ///
    /// /// `prepare` of a fault that gives a container little memory.
    /// fn prepare(system: &ReadOnlySystem) -> Result<Undo, Error> {
    ///     let name = system.container_name("cache")?;
    ///     Ok(Undo::command(["docker", "update", "--memory", "512m", &name]))
    /// }
    /// ```
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
    /// ```
    /// use chaos_test::{Error, ReadOnlySystem, Undo};
    ///
    /// /// `prepare` of a fault that takes a name of a container out of its network.
    /// fn prepare(system: &ReadOnlySystem) -> Result<Undo, Error> {
    ///     let (network, name) = (system.container_network("cache")?, system.container_name("cache")?);
    ///     Ok(Undo::command(["docker", "network", "connect", "--alias", "cache", &network, &name]))
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// If the context has no such service, or it is no container.
    pub fn container_network(&self, service: &str) -> Result<String, Error> {
        Ok(self.world.service(service)?.as_container()?.network_name())
    }

    /// The undo that puts the container of a service back into its network.
    ///
    /// See [`System::disconnect_container`] for an example.
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
    /// See [`is_supervised`](Self::is_supervised) for an example with a process.
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
    /// See [`System::disconnect_container`] for an example.
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
    /// ```
    /// use chaos_test::{Error, Signal, System, secs};
    ///
    /// /// `apply` of a fault that asks a container to end.
    /// async fn apply(system: &System) -> Result<(), Error> {
    ///     system.kill_container("cache", Signal::Term).await?;
    ///     match system.container_exits("cache", secs(10)).await? {
    ///         true => Ok(()),
    ///         false => Err(Error::msg("it survived SIGTERM for 10 s")),
    ///     }
    /// }
    /// ```
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
    /// See [`kill_container`](Self::kill_container) for an example.
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
    /// ```
    /// use chaos_test::{Error, System, secs};
    ///
    /// /// `apply` of a fault that restarts a container.
    /// async fn apply(system: &System) -> Result<(), Error> {
    ///     system.stop_container("cache", secs(2)).await?; // then it is killed
    ///     system.start_container("cache").await
    /// }
    /// ```
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
    /// ```
    /// use chaos_test::{Error, System};
    ///
    /// /// `apply` of a fault that pauses a container.
    /// async fn apply(system: &System) -> Result<(), Error> {
    ///     system.pause_container("cache").await
    /// }
    /// ```
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
    /// See [`stop_container`](Self::stop_container) for an example.
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
    /// ```
    /// use chaos_test::{Effect, Error, ReadOnlySystem, System, Undo};
    ///
    /// /// `prepare` of a fault that takes a container out of its network.
    /// async fn prepare(system: &ReadOnlySystem) -> Result<Undo, Error> {
    ///     system.undo_disconnecting("cache").await
    /// }
    ///
    /// /// Its `apply`.
    /// async fn apply(system: &System) -> Result<(), Error> {
    ///     system.disconnect_container("cache").await
    /// }
    ///
    /// /// Its `verify`.
    /// async fn verify(system: &ReadOnlySystem) -> Result<Effect, Error> {
    ///     Ok(match system.container_is_connected("cache").await? {
    ///         false => Effect::Active,
    ///         true => Effect::Absent("it is in its network".to_owned()),
    ///     })
    /// }
    /// ```
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
