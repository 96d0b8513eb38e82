//! Everything that one context has made, and what faults may do with it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use super::process::{ProcessState, Signal};
use super::proxy::{Direction, Hits, Link, Toxic, ToxicId, Traffic};
use super::service::ServiceProcess;
use super::state_dir::StateDir;
use crate::error::{Error, Kind};
use crate::model::event::Event;
use crate::model::identity::ProcessIdentity;
use crate::model::target::Target;
use crate::model::undo::Undo;

/// Where the world writes down what it does; the recorder of the rooms above.
pub(crate) trait Ledger: Send + Sync {
    /// Writes an undo step to disk before the thing itself is done; its entry's number.
    fn plan(&self, what: &str, undo: Undo, fault: bool) -> Result<u64, Error>;
    /// Writes that a step was performed.
    fn undone(&self, entry: u64);
    /// Writes anything else that happened.
    fn record(&self, event: Event);
}

/// Everything that one context has made.
pub(crate) struct World {
    pub(crate) state: StateDir,
    /// Begins the names of our files below the state directory.
    pub(crate) prefix: String,
    made: Mutex<Made>,
}

#[derive(Default)]
struct Made {
    services: BTreeMap<String, Arc<ServiceProcess>>,
    links: Vec<MadeLink>,
    /// Toxics that are in force on whole services: links that are made later get them too.
    wide: Vec<WideToxic>,
    copies: u64,
}

#[derive(Clone)]
struct MadeLink {
    service: String,
    link: Link,
    toxics: Vec<(u64, ToxicId)>,
}

#[derive(Clone)]
struct WideToxic {
    injection: u64,
    service: String,
    toxic: Toxic,
    direction: Direction,
}

impl World {
    pub(crate) fn new(state: StateDir, prefix: String) -> Self {
        Self {
            state,
            prefix,
            made: Mutex::default(),
        }
    }

    fn made(&self) -> MutexGuard<'_, Made> {
        self.made.lock().expect("no panic while held")
    }

    pub(crate) fn add_service(&self, service: Arc<ServiceProcess>) {
        self.made()
            .services
            .insert(service.name().to_owned(), service);
    }

    pub(crate) fn forget_service(&self, name: &str) {
        self.made().services.remove(name);
    }

    pub(crate) fn has_service(&self, name: &str) -> bool {
        self.made().services.contains_key(name)
    }

    pub(crate) fn service(&self, name: &str) -> Result<Arc<ServiceProcess>, Error> {
        let made = self.made();
        made.services.get(name).cloned().ok_or_else(|| {
            let known: Vec<_> = made.services.keys().map(String::as_str).collect();
            Error::new(
                Kind::Usage,
                format!(
                    "there is no service `{name}` in this context; it has: {}",
                    known.join(", ")
                ),
            )
        })
    }

    /// Adds a link, with the toxics that are in force on its service.
    pub(crate) async fn add_link(&self, service: &str, link: Link) {
        let wide: Vec<WideToxic> = {
            let mut made = self.made();
            made.links.push(MadeLink {
                service: service.to_owned(),
                link: link.clone(),
                toxics: Vec::new(),
            });
            let wide = made.wide.iter().filter(|wide| wide.service == service);
            wide.cloned().collect()
        };
        for wide in wide {
            self.add_to_link(wide.injection, &link, wide.toxic, wide.direction)
                .await;
        }
    }

    pub(crate) fn link(&self, name: &str) -> Option<Link> {
        let made = self.made();
        let mut links = made.links.iter();
        links
            .find(|made| made.link.name() == name)
            .map(|made| made.link.clone())
    }

    /// The links that a target stands for: one, or all of a service.
    pub(crate) fn links_of(&self, target: &Target) -> Vec<Link> {
        self.made()
            .links
            .iter()
            .filter(|made| match target {
                Target::Service(service) => made.service == *service,
                Target::Link { link, .. } => made.link.name() == link,
                Target::File(_) | Target::Other(_) => false,
            })
            .map(|made| made.link.clone())
            .collect()
    }

    /// How many connections the links of some targets have accepted so far.
    pub(crate) fn connections(&self, targets: &[Target]) -> u64 {
        let links = targets.iter().flat_map(|target| self.links_of(target));
        links.map(|link| link.traffic().accepted).sum()
    }

    async fn add_to_link(&self, injection: u64, link: &Link, toxic: Toxic, direction: Direction) {
        let id = link.add(toxic, direction).await;
        let mut made = self.made();
        if let Some(made) = made
            .links
            .iter_mut()
            .find(|made| made.link.name() == link.name())
        {
            made.toxics.push((injection, id));
        }
    }

    /// Takes all toxics of one injection off, everywhere.
    pub(crate) async fn clear_links(&self, injection: u64) {
        let toxics: Vec<(Link, ToxicId)> = {
            let mut made = self.made();
            made.wide.retain(|wide| wide.injection != injection);
            let links = made.links.iter();
            links
                .flat_map(|made| {
                    let mine = made.toxics.iter().filter(|(of, _)| *of == injection);
                    mine.map(|(_, id)| (made.link.clone(), *id))
                })
                .collect()
        };
        // Kept in the list, because their hits are asked for afterwards.
        for (link, id) in toxics {
            link.remove(id).await;
        }
    }

    fn toxics(&self, injection: u64) -> Vec<(Link, ToxicId)> {
        let made = self.made();
        let links = made.links.iter();
        links
            .flat_map(|made| {
                let mine = made.toxics.iter().filter(|(of, _)| *of == injection);
                mine.map(|(_, id)| (made.link.clone(), *id))
            })
            .collect()
    }

    /// Everything that the context made, for the blast radius.
    pub(crate) fn targets(&self) -> Vec<Target> {
        let made = self.made();
        made.services.keys().cloned().map(Target::Service).collect()
    }

    pub(crate) fn services(&self) -> Vec<Arc<ServiceProcess>> {
        self.made().services.values().cloned().collect()
    }

    /// Closes all links and forgets the services.
    pub(crate) async fn close(&self) {
        let made = std::mem::take(&mut *self.made());
        for made in made.links {
            made.link.close().await;
        }
    }

    fn next_copy(&self) -> String {
        let mut made = self.made();
        made.copies += 1;
        format!("{}-{}", self.prefix, made.copies)
    }
}

/// What a fault may look at while it prepares and verifies: the context's services and
/// links, and nothing that changes them.
#[derive(Clone)]
pub struct ReadOnlySystem {
    pub(crate) world: Arc<World>,
    pub(crate) injection: u64,
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
    /// If the context has no such service.
    pub fn process_state(&self, service: &str) -> Result<ProcessState, Error> {
        Ok(self.world.service(service)?.state())
    }

    /// The numbers of the processes that are left of a service: its own, all in its session
    /// or process group, and all that it started, wherever they went.
    ///
    /// # Errors
    ///
    /// If the context has no such service.
    pub fn leftover_processes(&self, service: &str) -> Result<Vec<u32>, Error> {
        Ok(self.world.service(service)?.leftovers())
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
        Ok(self.world.service(service)?.undo_running())
    }

    /// The process number of a service; `None` while none was started.
    ///
    /// # Errors
    ///
    /// If the context has no such service.
    pub fn process_id(&self, service: &str) -> Result<Option<u32>, Error> {
        let process = self.world.service(service)?.process();
        Ok(process.map(|process| process.pid))
    }

    /// Which process a service runs in, for an undo; `None` while none was started.
    ///
    /// # Errors
    ///
    /// If the context has no such service.
    pub fn process_identity(&self, service: &str) -> Result<Option<ProcessIdentity>, Error> {
        Ok(self.world.service(service)?.process())
    }

    /// Whether every process of a service's group is stopped.
    ///
    /// # Errors
    ///
    /// If the context has no such service.
    pub fn group_is_stopped(&self, service: &str) -> Result<bool, Error> {
        let process = self.world.service(service)?.process();
        Ok(process.is_some_and(|process| super::process::group_is_stopped(&process)))
    }

    /// Where a service itself listens, without a link in between.
    ///
    /// # Errors
    ///
    /// If the context has no such service, or it has no port.
    pub fn address_behind_link(&self, service: &str) -> Result<SocketAddr, Error> {
        let process = self.world.service(service)?;
        match process.ports() {
            [(_, port), ..] => Ok(port.address()),
            [] => Err(Error::new(
                Kind::Usage,
                format!("service `{service}` has no port"),
            )),
        }
    }

    /// The undo that puts a file back, byte for byte, with its mode; or removes it where it
    /// is not there now. The copy is taken by this call.
    ///
    /// # Errors
    ///
    /// If the path is not absolute, is not a regular file, or cannot be copied.
    pub fn undo_restoring(&self, path: &Path) -> Result<Undo, Error> {
        super::undo::keep_copy(&self.world.state, &self.world.next_copy(), path)
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

/// What a fault may do. Everything is done to the context's own services and links;
/// a fault of your own may of course also do what the standard library offers.
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
    /// If the context has no such service, or nothing of it runs.
    pub async fn signal(&self, service: &str, signal: Signal) -> Result<(), Error> {
        let process = self.world.service(service)?;
        match process.signal(signal) {
            Ok(true) => Ok(()),
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
        Ok(self.world.service(service)?.exits_within(limit).await)
    }

    /// Ends the process of a service: asks first (SIGTERM, with the service's grace period)
    /// or kills at once.
    ///
    /// # Errors
    ///
    /// If the context has no such service, or it cannot be ended.
    pub async fn end_process(&self, service: &str, ask_first: bool) -> Result<(), Error> {
        self.world.service(service)?.end(ask_first).await
    }

    /// Starts the process of a service again, without waiting for it to be ready. `held`
    /// keeps it before its first instruction.
    ///
    /// # Errors
    ///
    /// If the context has no such service, or its program cannot be started.
    pub async fn start_process(&self, service: &str, held: bool) -> Result<(), Error> {
        self.world.service(service)?.start_unready(held).await
    }

    /// Adds a toxic to the links of a target: to one, or to all of a service, those made
    /// later included. Returns when it is in force on every open connection.
    ///
    /// # Errors
    ///
    /// If the target has no link.
    pub async fn add_toxic(
        &self,
        target: &Target,
        toxic: Toxic,
        direction: Direction,
    ) -> Result<(), Error> {
        let links = self.world.links_of(target);
        if links.is_empty() {
            return Err(Error::new(
                Kind::Usage,
                format!("{target} has no link that a fault could act on"),
            ));
        }
        if let Target::Service(service) = target {
            self.world.made().wide.push(WideToxic {
                injection: self.injection,
                service: service.clone(),
                toxic,
                direction,
            });
        }
        for link in links {
            self.world
                .add_to_link(self.injection, &link, toxic, direction)
                .await;
        }
        Ok(())
    }
}
