//! What a fault can reach: the handles that it is given on its context's world.
//!
//! They look at everything and change only what the fault named as its targets.

mod acting;
#[cfg(feature = "containers")]
mod containers;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::process::ProcessState;
use super::proxy::{Hits, Link, ToxicId, Traffic};
use super::service::Ending;
use super::world::World;
use crate::error::{Error, Kind};
use crate::model::identity::ProcessIdentity;
use crate::model::target::Target;
use crate::model::undo::Undo;

pub use acting::System;

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
    /// See [`ProcessState`] for an example.
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
    /// ```
    /// use chaos_test::{Effect, Error, ReadOnlySystem};
    ///
    /// /// `verify` of a fault that ends a service with all that it started.
    /// fn verify(system: &ReadOnlySystem) -> Result<Effect, Error> {
    ///     Ok(match system.leftover_processes("cache")?.as_slice() {
    ///         [] => Effect::Active,
    ///         left => Effect::Absent(format!("{left:?} still run")),
    ///     })
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// If the context has no such service.
    pub fn leftover_processes(&self, service: &str) -> Result<Vec<u32>, Error> {
        Ok(self.world.service(service)?.as_process()?.leftovers())
    }

    /// How long a service may take to end once it was asked to.
    ///
    /// See [`System::process_exits`] for an example.
    ///
    /// # Errors
    ///
    /// If the context has no such service.
    pub fn grace_period(&self, service: &str) -> Result<Duration, Error> {
        Ok(self.world.service(service)?.grace())
    }

    /// The undo that has a service run and be ready again, within the limits of its program.
    ///
    /// ```
    /// use chaos_test::{Error, ReadOnlySystem, Undo};
    ///
    /// /// `prepare` of a fault that starts a service anew, and holds it there.
    /// fn prepare(system: &ReadOnlySystem) -> Result<Undo, Error> {
    ///     system.can_be_held_at_start("cache")?;
    ///     system.undo_running("cache")
    /// }
    /// ```
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
    /// See [`System::end_process`] for an example.
    ///
    /// # Errors
    ///
    /// As for [`undo_killing`](Self::undo_killing).
    pub fn undo_ending(&self, service: &str) -> Result<Undo, Error> {
        self.undo_ending_within(service, Ending::Stopped, self.grace_period(service)?)
    }

    /// Whether the process of a service can be held before its first instruction.
    ///
    /// See [`undo_running`](Self::undo_running) for an example.
    ///
    /// # Errors
    ///
    /// Says why not.
    pub fn can_be_held_at_start(&self, service: &str) -> Result<(), Error> {
        self.world.service(service)?.as_process()?.can_be_held()
    }

    /// Whether a service has a supervisor of its own.
    ///
    /// ```
    /// use chaos_test::{Error, ReadOnlySystem};
    ///
    /// /// Whether a fault that kills is over, because a supervisor was quick.
    /// fn is_back(system: &ReadOnlySystem) -> Result<bool, Error> {
    ///     Ok(system.is_supervised("cache")? && system.process_was_replaced("cache")?)
    /// }
    /// ```
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
    /// See [`is_supervised`](Self::is_supervised) for an example.
    ///
    /// # Errors
    ///
    /// If the context has no such service, or it is no process.
    pub fn process_was_replaced(&self, service: &str) -> Result<bool, Error> {
        Ok(self.world.service(service)?.as_process()?.was_replaced())
    }

    /// The undo that has the process of a service go on after a stop.
    ///
    /// ```
    /// use chaos_test::{Effect, Error, ReadOnlySystem, Undo};
    ///
    /// /// `prepare` of a fault that stops a process.
    /// fn prepare(system: &ReadOnlySystem) -> Result<Undo, Error> {
    ///     system.undo_stopping("cache")
    /// }
    ///
    /// /// Its `verify`.
    /// fn verify(system: &ReadOnlySystem) -> Result<Effect, Error> {
    ///     Ok(match system.group_is_stopped("cache")? {
    ///         true => Effect::Active,
    ///         false => Effect::Absent("a process of it runs".to_owned()),
    ///     })
    /// }
    /// ```
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
    /// ```
    /// use chaos_test::{Effect, Error, ReadOnlySystem};
    ///
    /// /// `verify` of a fault that restarts a service; `before` was asked in its `prepare`.
    /// fn verify(system: &ReadOnlySystem, before: u32) -> Result<Effect, Error> {
    ///     Ok(match system.process_starts("cache")? > before {
    ///         true => Effect::Spent,
    ///         false => Effect::Absent("it was not started again".to_owned()),
    ///     })
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// If the context has no such service, or it is no process.
    pub fn process_starts(&self, service: &str) -> Result<u32, Error> {
        Ok(self.world.service(service)?.as_process()?.starts())
    }

    /// Which process a service runs in, for an undo; `None` while none was started.
    ///
    /// ```
    /// use chaos_test::{Error, ReadOnlySystem, Undo};
    ///
    /// /// `prepare` of a fault that stops a process, and nothing that this has started.
    /// fn prepare(system: &ReadOnlySystem) -> Result<Undo, Error> {
    ///     let process = system.process_identity("cache")?.ok_or(Error::msg("it was never started"))?;
    ///     Ok(Undo::ContinueProcess { service: "cache".to_owned(), process })
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// If the context has no such service.
    pub fn process_identity(&self, service: &str) -> Result<Option<ProcessIdentity>, Error> {
        Ok(self.world.service(service)?.as_process()?.identity())
    }

    /// Whether every process of a service's group is stopped.
    ///
    /// See [`undo_stopping`](Self::undo_stopping) for an example.
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
    /// ```
    /// use chaos_test::{Effect, Error, ReadOnlySystem};
    ///
    /// /// `verify` of a fault after which a service takes no connections.
    /// fn verify(system: &ReadOnlySystem) -> Result<Effect, Error> {
    ///     Ok(match std::net::TcpStream::connect(system.address_behind_link("cache")?) {
    ///         Err(_) => Effect::Active,
    ///         Ok(_) => Effect::Absent("it took one".to_owned()),
    ///     })
    /// }
    /// ```
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
    /// See [`Fault`](crate::Fault) for an example.
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
    ///
    /// See [`Fault::share`](crate::Fault::share) for an example.
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
    ///
    /// See [`Fault::share`](crate::Fault::share) for an example.
    #[must_use]
    pub fn toxics_in_force(&self) -> Option<bool> {
        let toxics = self.world.toxics(self.injection);
        let in_force = |(link, id): &(Link, ToxicId)| link.active().contains(id);
        (!toxics.is_empty()).then(|| toxics.iter().all(in_force))
    }

    /// What has passed through the links of a target.
    ///
    /// See [`Traffic`] for what that is.
    #[must_use]
    pub fn traffic(&self, target: &Target) -> Vec<Traffic> {
        let links = self.world.links_of(target);
        links.iter().map(Link::traffic).collect()
    }

    /// How many links a target has.
    ///
    /// ```
    /// use chaos_test::{Error, ReadOnlySystem, Target};
    ///
    /// /// What a fault on links notes in its `prepare`: how many connections there were before.
    /// fn connections(system: &ReadOnlySystem) -> Result<u64, Error> {
    ///     let cache = Target::Service("cache".to_owned());
    ///     match system.link_count(&cache) {
    ///         0 => Err(Error::msg("the cache has no link")),
    ///         _ => Ok(system.traffic(&cache).iter().map(|traffic| traffic.accepted).sum()),
    ///     }
    /// }
    /// ```
    #[must_use]
    pub fn link_count(&self, target: &Target) -> usize {
        self.world.links_of(target).len()
    }
}

#[cfg(test)]
mod tests;
