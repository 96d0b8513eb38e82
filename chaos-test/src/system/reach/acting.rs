//! What a fault may do, to what it named as its targets and to nothing else.

use std::time::Duration;

use super::ReadOnlySystem;
use crate::error::{Error, Kind};
use crate::model::target::Target;
use crate::model::units::Percent;
use crate::system::process::Signal;
use crate::system::proxy::{Direction, PartialToxic, Toxic};
use crate::system::supervision;

/// What a fault may do. Everything is done to the context's own services and links, and
/// only to those that the fault names as its targets: anything else is refused. A fault of
/// your own may of course also do what the standard library offers.
///
/// ```
/// use chaos_test::{Error, Signal, System};
///
/// /// `apply` of a fault whose target is the service `cache`.
/// async fn apply(system: &System) -> Result<(), Error> {
///     system.signal("cache", Signal::Stop).await
/// }
/// ```
#[derive(Debug, Clone)]
pub struct System {
    pub(crate) read: ReadOnlySystem,
}

impl std::ops::Deref for System {
    type Target = ReadOnlySystem;

    fn deref(&self) -> &ReadOnlySystem {
        &self.read
    }
}

impl System {
    /// Sends a signal to the whole process group of a service. SIGKILL goes to everything
    /// that it started, wherever that went, as in a crash of the whole service.
    ///
    /// # Errors
    ///
    /// If the fault does not name the service as a target, the context has no such service,
    /// or nothing of it runs.
    pub async fn signal(&self, service: &str, signal: Signal) -> Result<(), Error> {
        self.may_touch(&Target::Service(service.to_owned()))?;
        let unit = self.world.service(service)?;
        match unit.as_process()?.signal(signal) {
            Ok(true) => {
                supervision::follow(&unit);
                Ok(())
            }
            Ok(false) => Err(Error::new(
                Kind::Service,
                format!("service `{service}` does not run, so it cannot get {signal}"),
            )),
            Err(error) => Err(Error::new(
                Kind::Service,
                format!("{signal} could not be sent to service `{service}`"),
            )
            .because(error)),
        }
    }

    /// Waits until the process of a service is gone; `false` where it is still there after
    /// `limit`.
    ///
    /// ```
    /// use chaos_test::{Error, Signal, System};
    ///
    /// /// `apply` of a fault that asks a service to end.
    /// async fn apply(system: &System) -> Result<(), Error> {
    ///     system.signal("cache", Signal::Term).await?;
    ///     match system.process_exits("cache", system.grace_period("cache")?).await? {
    ///         true => Ok(()),
    ///         false => Err(Error::msg("it survived SIGTERM")),
    ///     }
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// If the context has no such service.
    pub async fn process_exits(&self, service: &str, limit: Duration) -> Result<bool, Error> {
        let unit = self.world.service(service)?;
        Ok(unit.as_process()?.exits_within(limit).await)
    }

    /// Ends the process of a service: asks first (SIGTERM, with the service's grace period)
    /// or kills at once.
    ///
    /// ```
    /// use chaos_test::{Error, ReadOnlySystem, System, Undo};
    ///
    /// /// `prepare` of a fault that restarts a service as a deployment does.
    /// fn prepare(system: &ReadOnlySystem) -> Result<Undo, Error> {
    ///     system.undo_ending("cache")
    /// }
    ///
    /// /// Its `apply`.
    /// async fn apply(system: &System) -> Result<(), Error> {
    ///     system.end_process("cache", true).await?; // it is asked first
    ///     system.start_process("cache", false).await // it is not held at its start
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// If the fault does not name the service as a target, the context has no such service,
    /// or it cannot be ended.
    pub async fn end_process(&self, service: &str, ask_first: bool) -> Result<(), Error> {
        self.may_touch(&Target::Service(service.to_owned()))?;
        let unit = self.world.service(service)?;
        unit.as_process()?;
        unit.end(ask_first).await
    }

    /// Starts the process of a service again, without waiting for it to be ready. `held`
    /// keeps it before its first instruction.
    ///
    /// See [`end_process`](Self::end_process) for an example.
    ///
    /// # Errors
    ///
    /// If the fault does not name the service as a target, the context has no such service,
    /// or its program cannot be started.
    pub async fn start_process(&self, service: &str, held: bool) -> Result<(), Error> {
        self.may_touch(&Target::Service(service.to_owned()))?;
        let unit = self.world.service(service)?;
        unit.as_process()?.start_unready(held).await
    }

    /// Adds a toxic to the links of a target: to one, or to all of a service, those made
    /// later included. Returns when it is in force on every open connection.
    ///
    /// See [`Toxic`] for an example.
    ///
    /// # Errors
    ///
    /// If the fault does not name the target as one of its own, or the target has no link.
    pub async fn add_toxic(
        &self,
        target: &Target,
        toxic: Toxic,
        direction: Direction,
    ) -> Result<(), Error> {
        self.add_toxic_to_share(target, toxic, direction, Percent::ALL)
            .await
    }

    /// As [`add_toxic`](Self::add_toxic), for a share of the connections only: which ones is
    /// drawn once for each, from the test's seed.
    ///
    /// See [`Fault::share`](crate::Fault::share) for an example.
    ///
    /// # Errors
    ///
    /// Those of [`add_toxic`](Self::add_toxic).
    pub async fn add_toxic_to_share(
        &self,
        target: &Target,
        toxic: Toxic,
        direction: Direction,
        share: Percent,
    ) -> Result<(), Error> {
        self.may_touch(target)?;
        let toxic = PartialToxic {
            toxic,
            direction,
            share: share.as_fraction(),
        };
        self.world.add_toxic(self.injection, target, toxic).await
    }
}
