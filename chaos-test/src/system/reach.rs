//! What a fault can reach: the handles that it is given on its context's world.
//!
//! They look at everything and change only what the fault named as its targets.

#[cfg(feature = "containers")]
mod containers;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::process::{ProcessState, Signal};
use super::proxy::{Direction, Hits, Link, PartialToxic, Toxic, ToxicId, Traffic};
use super::service::Ending;
use super::supervision;
use super::world::World;
use crate::error::{Error, Kind};
use crate::model::identity::ProcessIdentity;
use crate::model::target::Target;
use crate::model::undo::Undo;
use crate::model::units::Percent;

/// What a fault may look at while it prepares and verifies: the context's services and
/// links, and nothing that changes them.
///
/// ```
/// use chaos_test::{Error, ReadOnlySystem, Undo};
///
/// /// `prepare` of a fault that ends a service and starts it again.
/// fn prepare(system: &ReadOnlySystem) -> Result<Undo, Error> {
///     system.undo_killing("cache")
/// }
/// ```
#[derive(Clone)]
pub struct ReadOnlySystem {
    pub(crate) world: Arc<World>,
    pub(crate) injection: u64,
    /// What the fault says that it touches, as the blast radius was asked for it.
    pub(crate) targets: Arc<[Target]>,
}

impl std::fmt::Debug for ReadOnlySystem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ReadOnlySystem")
            .field("injection", &self.injection)
            .finish_non_exhaustive()
    }
}

impl ReadOnlySystem {
    /// The number of this injection, different for each one of a context: part of the name
    /// of whatever the fault creates.
    #[must_use]
    pub fn injection(&self) -> u64 {
        self.injection
    }

    /// What state a service's process is in.
    ///
    /// # Errors
    ///
    /// If the context has no such service, or it is no process.
    pub fn process_state(&self, service: &str) -> Result<ProcessState, Error> {
        Ok(self.world.service(service)?.as_process()?.state())
    }

    /// The numbers of the processes that are left of a service: its own, all in its session
    /// or process group, and all that it started, wherever they went.
    ///
    /// # Errors
    ///
    /// If the context has no such service.
    pub fn leftover_processes(&self, service: &str) -> Result<Vec<u32>, Error> {
        Ok(self.world.service(service)?.as_process()?.leftovers())
    }

    /// How long a service may take to end once it was asked to.
    ///
    /// # Errors
    ///
    /// If the context has no such service.
    pub fn grace_period(&self, service: &str) -> Result<Duration, Error> {
        Ok(self.world.service(service)?.grace())
    }

    /// The undo that has a service run and be ready again, within the limits of its program.
    ///
    /// # Errors
    ///
    /// If the context has no such service.
    pub fn undo_running(&self, service: &str) -> Result<Undo, Error> {
        let unit = self.world.service(service)?;
        unit.may_be_broken()?;
        Ok(unit.undo_running())
    }

    /// As [`undo_running`](Self::undo_running), for a fault that ends the service as a crash
    /// does: where it has a supervisor of its own, that is waited for first.
    ///
    /// # Errors
    ///
    /// If the context has no such service, or it was there before the test and could not be had
    /// again.
    pub fn undo_killing(&self, service: &str) -> Result<Undo, Error> {
        self.undo_ending_within(service, Ending::Killed, self.grace_period(service)?)
    }

    /// As [`undo_killing`](Self::undo_killing) and [`undo_ending`](Self::undo_ending), where the
    /// service ends within another time than its grace period, or is killed there and then.
    pub(crate) fn undo_ending_within(
        &self,
        service: &str,
        how: Ending,
        within: Duration,
    ) -> Result<Undo, Error> {
        let unit = self.world.service(service)?;
        unit.may_be_broken()?;
        unit.undo_ending(how, within)
    }

    /// As [`undo_running`](Self::undo_running), for a fault that ends the service in order.
    ///
    /// # Errors
    ///
    /// As for [`undo_killing`](Self::undo_killing).
    pub fn undo_ending(&self, service: &str) -> Result<Undo, Error> {
        self.undo_ending_within(service, Ending::Stopped, self.grace_period(service)?)
    }

    /// Whether the process of a service can be held before its first instruction.
    ///
    /// # Errors
    ///
    /// Says why not.
    pub fn can_be_held_at_start(&self, service: &str) -> Result<(), Error> {
        self.world.service(service)?.as_process()?.can_be_held()
    }

    /// Whether a service has a supervisor of its own.
    ///
    /// # Errors
    ///
    /// If the context has no such service.
    pub fn is_supervised(&self, service: &str) -> Result<bool, Error> {
        Ok(self.world.service(service)?.supervision().is_some())
    }

    /// Whether what was killed of a service is gone, and its own supervisor has something else
    /// run in its place.
    ///
    /// # Errors
    ///
    /// If the context has no such service, or it is no process.
    pub fn process_was_replaced(&self, service: &str) -> Result<bool, Error> {
        Ok(self.world.service(service)?.as_process()?.was_replaced())
    }

    /// The undo that has the process of a service go on after a stop.
    ///
    /// # Errors
    ///
    /// If the context has no such service, or it is no process.
    pub fn undo_stopping(&self, service: &str) -> Result<Undo, Error> {
        let unit = self.world.service(service)?;
        unit.may_be_broken()?;
        Ok(unit.as_process()?.undo_stopping())
    }

    /// How often the process of a service was started.
    ///
    /// # Errors
    ///
    /// If the context has no such service, or it is no process.
    pub fn process_starts(&self, service: &str) -> Result<u32, Error> {
        Ok(self.world.service(service)?.as_process()?.starts())
    }

    /// Which process a service runs in, for an undo; `None` while none was started.
    ///
    /// # Errors
    ///
    /// If the context has no such service.
    pub fn process_identity(&self, service: &str) -> Result<Option<ProcessIdentity>, Error> {
        Ok(self.world.service(service)?.as_process()?.identity())
    }

    /// Whether every process of a service's group is stopped.
    ///
    /// # Errors
    ///
    /// If the context has no such service.
    pub fn group_is_stopped(&self, service: &str) -> Result<bool, Error> {
        let unit = self.world.service(service)?;
        Ok(unit.as_process()?.is_wholly_stopped())
    }

    /// Where a service itself listens, without a link in between.
    ///
    /// # Errors
    ///
    /// If the context has no such service, or it has no port.
    pub fn address_behind_link(&self, service: &str) -> Result<SocketAddr, Error> {
        let endpoints = self.world.service(service)?.endpoints();
        match endpoints.first() {
            Some((_, address)) => Ok(*address),
            None => Err(Error::new(
                Kind::Usage,
                format!("service `{service}` has no port"),
            )),
        }
    }

    /// The undo that puts a file back, byte for byte, with its mode, owner and extended
    /// attributes; or removes it where it is not there now. The copy is taken by this call.
    ///
    /// # Errors
    ///
    /// If the file is not among the fault's targets, its path is not absolute, or it could
    /// not be put back as it is: it is not a regular file, has other names (hard links),
    /// cannot be copied, or belongs to somebody that we cannot give files to.
    pub fn undo_restoring(&self, path: &Path) -> Result<Undo, Error> {
        self.may_touch(&Target::File(path.to_owned()))?;
        super::kept_file::keep_copy(&self.world.state, &self.world.next_copy(), path)
    }

    /// Whether the fault named a target, or something that covers it.
    fn may_touch(&self, target: &Target) -> Result<(), Error> {
        if self.targets.iter().any(|named| named.covers(target)) {
            return Ok(());
        }
        let named: Vec<_> = self.targets.iter().map(ToString::to_string).collect();
        Err(Error::new(
            Kind::Refused,
            format!(
                "the fault may not touch {target}, because its `targets` name only {}",
                named.join(", ")
            ),
        ))
    }

    /// What the toxics that this injection added have done so far: none where it added none.
    #[must_use]
    pub fn toxic_hits(&self) -> Option<Hits> {
        let toxics = self.world.toxics(self.injection);
        let mut hits = toxics.iter().map(|(link, id)| link.hits(*id));
        let first = hits.next()?;
        Some(hits.fold(first, |mut sum, hits| {
            sum.connections += hits.connections;
            sum.chunks += hits.chunks;
            sum.bytes += hits.bytes;
            sum.refused += hits.refused;
            sum.reset += hits.reset;
            sum.spared += hits.spared;
            sum
        }))
    }

    /// Whether every toxic that this injection added is in force; `None` where it added
    /// none.
    #[must_use]
    pub fn toxics_in_force(&self) -> Option<bool> {
        let toxics = self.world.toxics(self.injection);
        let in_force = |(link, id): &(Link, ToxicId)| link.active().contains(id);
        (!toxics.is_empty()).then(|| toxics.iter().all(in_force))
    }

    /// What has passed through the links of a target.
    #[must_use]
    pub fn traffic(&self, target: &Target) -> Vec<Traffic> {
        let links = self.world.links_of(target);
        links.iter().map(Link::traffic).collect()
    }

    /// How many links a target has.
    #[must_use]
    pub fn link_count(&self, target: &Target) -> usize {
        self.world.links_of(target).len()
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::state_dir::StateDir;

    #[tokio::test]
    async fn what_is_no_target_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let state = StateDir::at(folder.path().join("state")).unwrap();
        let link = |service: &str| Target::Link {
            service: service.into(),
            link: "any".into(),
        };
        let system = System {
            read: ReadOnlySystem {
                world: Arc::new(World::new(state, "17-4-0badcafe-0".into())),
                injection: 1,
                targets: [
                    Target::Service("a".into()),
                    Target::File(folder.path().join("named")),
                ]
                .into(),
            },
        };
        // There is no service at all, so what is allowed fails for that reason.
        for (service, refused) in [("a", false), ("b", true)] {
            let down = (Toxic::Down, Direction::Both);
            let whole = Target::Service(service.into());
            for done in [
                system.signal(service, Signal::Stop).await,
                system.end_process(service, false).await,
                system.start_process(service, false).await,
                system.add_toxic(&whole, down.0, down.1).await,
                system.add_toxic(&link(service), down.0, down.1).await,
            ] {
                let error = done.unwrap_err();
                assert_eq!(error.is_refused(), refused, "{error}");
            }
        }
        let restoring = |name: &str| system.undo_restoring(&folder.path().join(name));
        restoring("named").unwrap();
        let error = restoring("other").unwrap_err();
        assert!(error.is_refused(), "{error}");
        assert!(
            error.to_string().contains("name only service `a`, file"),
            "{error}"
        );
        assert!(restoring("named/../other").unwrap_err().is_refused());
    }
}
