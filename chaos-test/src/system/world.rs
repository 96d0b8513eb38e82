//! Everything that one context has made.

mod links;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use super::lock::lock;
use super::service::Unit;
use super::state_dir::StateDir;
use crate::error::{Error, Kind};
use crate::model::event::{Event, Risk};
use crate::model::target::Target;
use crate::model::undo::Undo;

pub(crate) use links::LinkUse;
use links::Links;

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
    /// The context's private network of containers, once there is one.
    #[cfg(feature = "containers")]
    pub(crate) network: tokio::sync::OnceCell<Arc<super::container::Network>>,
    made: Mutex<Made>,
    /// What others have made and this one uses, too, such as what tests share. It ends later.
    included: Mutex<Vec<Arc<World>>>,
    /// One change of links and their toxics at a time: a link that is made while a fault
    /// comes or goes has the fault's toxics exactly as long as the others.
    changing_links: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Made {
    services: BTreeMap<String, Arc<dyn Unit>>,
    /// Names of services that are being started.
    claimed: BTreeSet<String>,
    links: Links,
    copies: u64,
    /// Copies that no undo was performed with. When everything is put back, no journal
    /// names them.
    unused_copies: BTreeSet<String>,
}

impl World {
    pub(crate) fn new(state: StateDir, prefix: String) -> Self {
        Self {
            state,
            prefix,
            #[cfg(feature = "containers")]
            network: tokio::sync::OnceCell::new(),
            made: Mutex::default(),
            included: Mutex::default(),
            changing_links: tokio::sync::Mutex::default(),
        }
    }

    fn made(&self) -> MutexGuard<'_, Made> {
        lock(&self.made)
    }

    /// From now on the services of another world are known here, too.
    ///
    /// # Errors
    ///
    /// If one of them has a name that is taken here, be it by one that is only being started.
    pub(crate) fn include(&self, other: Arc<World>) -> Result<(), Error> {
        let services = other.services();
        let known = services.iter().map(|service| self.service(service.name()));
        let known: Vec<_> = known.map(Result::ok).collect();
        // From here on nobody takes a name.
        let made = self.made();
        for (service, known) in services.iter().zip(known) {
            let name = service.name();
            let mut known = known.iter().chain(made.services.get(name));
            let is_another = known.any(|known| !Arc::ptr_eq(known, service));
            if is_another || made.claimed.contains(name) {
                return Err(Error::new(
                    Kind::Usage,
                    format!(
                        "there are two services `{name}`, one of them in a fixture that tests \
                         share; give each one its own name"
                    ),
                ));
            }
        }
        let mut included = lock(&self.included);
        if !included.iter().any(|known| Arc::ptr_eq(known, &other)) {
            included.push(other);
        }
        Ok(())
    }

    fn included(&self) -> Vec<Arc<World>> {
        lock(&self.included).clone()
    }

    /// The included world that has made a service, where this one has not.
    fn home_of(&self, service: &str) -> Option<Arc<World>> {
        if self.made().services.contains_key(service) {
            return None;
        }
        let has_made = |world: &Arc<World>| world.made().services.contains_key(service);
        self.included().into_iter().find(has_made)
    }

    /// Takes a service's name, before anything of it is made. Whoever takes it adds the
    /// service or forgets the name.
    ///
    /// # Errors
    ///
    /// If the name is taken.
    pub(crate) fn claim_service(&self, name: &str) -> Result<(), Error> {
        let mut made = self.made();
        // Nobody includes another one meanwhile, which waits for what is locked here.
        let mut included = self.included().into_iter();
        let is_included = included.any(|world| world.made().services.contains_key(name));
        if is_included || made.services.contains_key(name) || !made.claimed.insert(name.to_owned())
        {
            return Err(Error::new(
                Kind::Usage,
                format!("the context already has a service `{name}`; give each one its own name"),
            ));
        }
        Ok(())
    }

    /// Adds a service whose name was taken for it.
    pub(crate) fn add_service(&self, service: Arc<dyn Unit>) {
        let name = service.name().to_owned();
        let mut made = self.made();
        made.claimed.remove(&name);
        made.services.insert(name, service);
    }

    /// Frees a service's name, whether it was added or not, and its links, which lead nowhere
    /// from now on.
    pub(crate) fn forget_service(&self, name: &str) {
        self.lead_nowhere(name);
        let mut made = self.made();
        made.claimed.remove(name);
        made.services.remove(name);
        let closed = made.links.take_of(name);
        drop(made);
        // Not under the lock: the last handle to a link closes it.
        drop(closed);
    }

    pub(crate) fn service(&self, name: &str) -> Result<Arc<dyn Unit>, Error> {
        if let Some(home) = self.home_of(name) {
            return home.service(name);
        }
        let there = self.made().services.get(name).cloned();
        there.ok_or_else(|| {
            let known = self.known_services();
            let known: Vec<_> = known.iter().map(|service| service.name()).collect();
            Error::new(
                Kind::Usage,
                format!(
                    "there is no service `{name}` in this context; it has: {}",
                    known.join(", ")
                ),
            )
        })
    }

    /// How long the services among some targets may take to end once they were asked to.
    pub(crate) fn grace_of(&self, targets: &[Target]) -> Duration {
        let services = targets.iter().filter_map(|target| match target {
            Target::Service(name) => self.service(name).ok(),
            _ => None,
        });
        services.fold(Duration::ZERO, |sum, service| {
            sum.saturating_add(service.grace())
        })
    }

    /// Everything that the context made, for the blast radius. What was there before is not
    /// among it.
    pub(crate) fn targets(&self) -> Vec<Target> {
        let made = self.made();
        let own = made.services.iter().filter(|(_, it)| !it.is_existing());
        own.map(|(name, _)| Target::Service(name.clone())).collect()
    }

    /// What targets are outside of this test: what was there before it is known there by another
    /// name than the test has chosen.
    #[cfg(feature = "environments")]
    pub(crate) fn as_they_are(&self, targets: &[Target]) -> Vec<Target> {
        let made = self.made();
        let as_it_is = |target: &Target| {
            let unit = made.services.get(target.service()?)?;
            unit.existing()
        };
        let targets = targets.iter();
        targets
            .map(|target| as_it_is(target).unwrap_or_else(|| target.clone()))
            .collect()
    }

    /// The risk of a fault with these targets: what was there before the test is used by others,
    /// too. A fault that ends with the test's process changes nothing of it.
    pub(crate) fn risk_of(&self, targets: &[Target], risk: Risk) -> Risk {
        let made = self.made();
        let mut services = targets.iter().filter_map(Target::service);
        let existing = |name: &str| made.services.get(name).is_some_and(|it| it.is_existing());
        if risk > Risk::Low && services.any(existing) {
            return risk.max(Risk::High);
        }
        risk
    }

    pub(crate) fn services(&self) -> Vec<Arc<dyn Unit>> {
        self.made().services.values().cloned().collect()
    }

    /// Its own services, and those of the worlds that it includes.
    pub(crate) fn known_services(&self) -> Vec<Arc<dyn Unit>> {
        let mut known = self.services();
        for world in self.included() {
            known.extend(world.services());
        }
        known
    }

    /// Closes all links, forgets the services, and removes the copies that were for nothing.
    pub(crate) async fn close(&self) {
        self.remove_unused_copies();
        let made = std::mem::take(&mut *self.made());
        made.links.close().await;
    }

    /// Removes the copies whose undo step was never planned, because the fault was refused
    /// or could not be prepared. Only for when everything was put back, or was tried to be:
    /// a copy whose undo failed stays for the next run.
    fn remove_unused_copies(&self) {
        let unused = std::mem::take(&mut self.made().unused_copies);
        for name in unused {
            // A sweep finds what cannot be removed now.
            let _ = self.state.copy(&name).and_then(std::fs::remove_file);
        }
    }

    /// An undo step is about to be written down: the copy that it needs stays until it was
    /// performed.
    pub(crate) fn keep_for(&self, undo: &Undo) {
        if let Undo::RestoreFile {
            copy: Some(name), ..
        } = undo
        {
            self.made().unused_copies.remove(name);
        }
    }

    pub(super) fn next_copy(&self) -> String {
        let mut made = self.made();
        made.copies += 1;
        let name = format!("{}-{}", self.prefix, made.copies);
        made.unused_copies.insert(name.clone());
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::existing::ExistingAddress;
    use crate::system::service::{Answer, ReadyCheck};

    /// An empty one, and the folder that it is in.
    pub(super) fn world() -> (tempfile::TempDir, Arc<World>) {
        let folder = tempfile::tempdir().unwrap();
        let state = StateDir::at(folder.path().join("state")).unwrap();
        (
            folder,
            Arc::new(World::new(state, "17-4-0badcafe-0".into())),
        )
    }

    #[test]
    fn a_name_is_taken_once_until_it_is_free_again() {
        let (_folder, world) = world();
        world.claim_service("a").unwrap();
        let error = world.claim_service("a").unwrap_err().to_string();
        assert!(error.contains("already has a service `a`"), "{error}");
        world.claim_service("b").unwrap();
        world.forget_service("a");
        world.claim_service("a").unwrap();
    }

    struct Always;

    impl ReadyCheck for Always {
        fn describe(&self) -> String {
            "nothing".into()
        }

        fn check<'a>(&'a self, _: &'a dyn Unit) -> Answer<'a, Result<(), String>> {
            Box::pin(async { Ok(()) })
        }
    }

    fn service(name: &str) -> Arc<dyn Unit> {
        Arc::new(ExistingAddress {
            service: name.into(),
            written: "127.0.0.1:1".into(),
            address: ([127, 0, 0, 1], 1).into(),
            log: "/nowhere".into(),
            writes_log: false,
            ready: Arc::new(Always),
            start_timeout: Duration::ZERO,
            kept: None,
        })
    }

    #[tokio::test]
    async fn what_tests_share_has_no_name_that_is_being_taken() {
        let (_folder, shared) = world();
        shared.add_service(service("a"));
        let (_own_folder, own) = world();
        own.claim_service("a").unwrap();
        let error = own.include(Arc::clone(&shared)).unwrap_err().to_string();
        assert!(error.contains("there are two services `a`"), "{error}");
        own.forget_service("a");
        own.include(Arc::clone(&shared)).unwrap();
        // Once more is no other one.
        own.include(Arc::clone(&shared)).unwrap();
        let error = own.claim_service("a").unwrap_err().to_string();
        assert!(error.contains("already has a service `a`"), "{error}");
        own.claim_service("b").unwrap();
    }

    #[tokio::test]
    async fn only_copies_that_were_for_nothing_go_at_the_end() {
        let (_folder, world) = world();
        let (unused, used) = (world.next_copy(), world.next_copy());
        for name in [&unused, &used] {
            std::fs::write(world.state.copy(name).unwrap(), "x").unwrap();
        }
        // Written down and never performed: the next run needs the copy.
        world.keep_for(&Undo::RestoreFile {
            path: "/file".into(),
            copy: Some(used.clone()),
        });
        world.close().await;
        assert!(!world.state.copy(&unused).unwrap().exists());
        assert!(world.state.copy(&used).unwrap().exists());
    }
}
