//! Everything that one context has made.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use super::lock::lock;
use super::ports::ReservedPort;
use super::proxy::{Direction, Link, Toxic, ToxicId};
use super::service::Unit;
use super::state_dir::StateDir;
use crate::error::{Error, Kind};
use crate::model::event::Event;
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

/// What has passed through some links.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct LinkUse {
    pub(crate) accepted: u64,
    pub(crate) bytes: u64,
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
    /// One change of links and their toxics at a time: a link that is made while a fault
    /// comes or goes has the fault's toxics exactly as long as the others.
    changing_links: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Made {
    services: BTreeMap<String, Arc<dyn Unit>>,
    /// Names of services that are being started.
    claimed: BTreeSet<String>,
    links: Vec<MadeLink>,
    /// Where links lead while their services are nowhere; it refuses at once.
    nowhere: Option<ReservedPort>,
    /// Toxics that are in force on whole services: links that are made later get them too.
    wide: Vec<WideToxic>,
    copies: u64,
    /// Copies that no undo was performed with. When everything is put back, no journal
    /// names them.
    unused_copies: BTreeSet<String>,
}

#[derive(Clone)]
struct MadeLink {
    service: String,
    /// As users of the service know it.
    port: u16,
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

impl Made {
    /// The links of a service, shared and per-client ones.
    fn links_to(&self, service: &str) -> impl Iterator<Item = &MadeLink> {
        self.links
            .iter()
            .filter(move |made| made.service == service)
    }

    /// An address that refuses every connection at once.
    fn nowhere(&mut self) -> SocketAddr {
        if self.nowhere.is_none() {
            self.nowhere = ReservedPort::new(0).ok();
        }
        match &self.nowhere {
            Some(port) => port.address(),
            // Where no port can be had, one that hardly anybody listens on must do.
            None => (Ipv4Addr::LOCALHOST, 1).into(),
        }
    }
}

impl World {
    pub(crate) fn new(state: StateDir, prefix: String) -> Self {
        Self {
            state,
            prefix,
            #[cfg(feature = "containers")]
            network: tokio::sync::OnceCell::new(),
            made: Mutex::default(),
            changing_links: tokio::sync::Mutex::default(),
        }
    }

    fn made(&self) -> MutexGuard<'_, Made> {
        lock(&self.made)
    }

    /// Takes a service's name, before anything of it is made. Whoever takes it adds the
    /// service or forgets the name.
    ///
    /// # Errors
    ///
    /// If the name is taken.
    pub(crate) fn claim_service(&self, name: &str) -> Result<(), Error> {
        let mut made = self.made();
        if made.services.contains_key(name) || !made.claimed.insert(name.to_owned()) {
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
        let links = std::mem::take(&mut made.links);
        let (closed, kept) = links.into_iter().partition(|one| one.service == name);
        made.links = kept;
        drop(made);
        // Not under the lock: the last handle to a link closes it.
        drop::<Vec<MadeLink>>(closed);
    }

    pub(crate) fn service(&self, name: &str) -> Result<Arc<dyn Unit>, Error> {
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

    /// Adds a link to a port of a service. It leads where the other links to that port lead
    /// by now, and has the toxics that are in force on its service. Where there is one of its
    /// name already, it is that one which stays and is returned.
    pub(crate) async fn add_link(&self, service: &str, port: u16, link: Link) -> Link {
        let _change = self.changing_links.lock().await;
        let wide: Vec<WideToxic> = {
            let mut made = self.made();
            let mut links = made.links.iter();
            if let Some(there) = links.find(|made| made.link.name() == link.name()) {
                return there.link.clone();
            }
            if let Some(other) = made.links_to(service).find(|other| other.port == port) {
                link.set_upstream(other.link.upstream());
            }
            made.links.push(MadeLink {
                service: service.to_owned(),
                port,
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
        link
    }

    /// Has all links of a service lead to where its ports are now. A port that is not
    /// named keeps its place.
    pub(crate) fn lead_to(&self, service: &str, endpoints: &[(u16, SocketAddr)]) {
        let made = self.made();
        for one in made.links_to(service) {
            let endpoint = endpoints.iter().find(|(known, _)| *known == one.port);
            if let Some((_, address)) = endpoint {
                one.link.set_upstream(*address);
            }
        }
    }

    /// The ports that a service has links to, in the order in which they were made.
    pub(crate) fn linked_ports(&self, service: &str) -> Vec<u16> {
        let mut ports = Vec::new();
        for one in self.made().links_to(service) {
            if !ports.contains(&one.port) {
                ports.push(one.port);
            }
        }
        ports
    }

    /// Has all links of a service lead to where every connection is refused at once.
    pub(crate) fn lead_nowhere(&self, service: &str) {
        let mut made = self.made();
        if made.links_to(service).next().is_none() {
            return;
        }
        let nowhere = made.nowhere();
        for one in made.links_to(service) {
            one.link.set_upstream(nowhere);
        }
    }

    /// Adds a toxic to the links of a target.
    ///
    /// # Errors
    ///
    /// If it has none.
    pub(super) async fn add_toxic(
        &self,
        injection: u64,
        target: &Target,
        toxic: Toxic,
        direction: Direction,
    ) -> Result<(), Error> {
        let _change = self.changing_links.lock().await;
        let links = self.links_of(target);
        if links.is_empty() {
            return Err(Error::new(
                Kind::Usage,
                format!("{target} has no link that a fault could act on"),
            ));
        }
        if let Target::Service(service) = target {
            self.made().wide.push(WideToxic {
                injection,
                service: service.clone(),
                toxic,
                direction,
            });
        }
        for link in links {
            self.add_to_link(injection, &link, toxic, direction).await;
        }
        Ok(())
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

    /// What has passed through the links of some targets; `None` where they have none.
    pub(crate) fn link_use(&self, targets: &[Target]) -> Option<LinkUse> {
        let links: Vec<Link> = targets
            .iter()
            .flat_map(|target| self.links_of(target))
            .collect();
        let traffic = links.iter().map(Link::traffic);
        (!links.is_empty()).then(|| {
            traffic.fold(LinkUse::default(), |sum, traffic| LinkUse {
                accepted: sum.accepted + traffic.accepted,
                bytes: sum.bytes + traffic.bytes_upstream + traffic.bytes_downstream,
            })
        })
    }

    /// How long the services among some targets may take to end once they were asked to.
    pub(crate) fn grace_of(&self, targets: &[Target]) -> Duration {
        let made = self.made();
        let services = targets.iter().filter_map(|target| match target {
            Target::Service(name) => made.services.get(name),
            _ => None,
        });
        services.fold(Duration::ZERO, |sum, service| {
            sum.saturating_add(service.grace())
        })
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
        let _change = self.changing_links.lock().await;
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

    pub(super) fn toxics(&self, injection: u64) -> Vec<(Link, ToxicId)> {
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

    pub(crate) fn services(&self) -> Vec<Arc<dyn Unit>> {
        self.made().services.values().cloned().collect()
    }

    /// Closes all links, forgets the services, and removes the copies that were for nothing.
    pub(crate) async fn close(&self) {
        self.remove_unused_copies();
        let made = std::mem::take(&mut *self.made());
        for made in made.links {
            made.link.close().await;
        }
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
    use crate::system::proxy::LinkConfig;

    fn world() -> (tempfile::TempDir, Arc<World>) {
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

    fn link(name: &str) -> Link {
        let config = LinkConfig {
            name: name.into(),
            upstream: "127.0.0.1:9".parse().unwrap(),
            seed: 0,
        };
        Link::open(&tokio::runtime::Handle::current(), config).unwrap()
    }

    #[tokio::test]
    async fn a_link_has_the_toxics_of_its_service_as_long_as_the_others() {
        let (_folder, world) = world();
        let target = Target::Service("shop".into());
        let links = [link("first"), link("second")];
        world.add_link("shop", 80, links[0].clone()).await;
        let toxic = world.add_toxic(1, &target, Toxic::Down, Direction::Both);
        toxic.await.unwrap();
        world.add_link("shop", 80, links[1].clone()).await;
        assert!(links.iter().all(|link| link.active().len() == 1));
        world.clear_links(1).await;
        assert!(links.iter().all(|link| link.active().is_empty()));
        world.close().await;
    }

    #[tokio::test]
    async fn all_links_of_a_port_lead_to_the_same_place() {
        let (_folder, world) = world();
        let address = |port: u16| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let [shared, mine, admin, other, late] =
            ["any", "mine", "admin", "other", "late"].map(link);
        world.add_link("shop", 80, shared.clone()).await;
        world.add_link("shop", 81, admin.clone()).await;
        world.add_link("cache", 80, other.clone()).await;
        world.add_link("shop", 80, mine.clone()).await;
        world.lead_to("shop", &[(80, address(4000)), (82, address(4002))]);
        // It was made while its service went elsewhere.
        world.add_link("shop", 80, late.clone()).await;
        let upstreams = || [&shared, &mine, &late, &admin, &other].map(Link::upstream);
        assert_eq!(upstreams(), [4000, 4000, 4000, 9, 9].map(address));
        world.lead_nowhere("shop");
        let nowhere = shared.upstream();
        assert_eq!(upstreams()[..4], [nowhere; 4]);
        assert_eq!(other.upstream(), address(9));
        let refused = std::net::TcpStream::connect(nowhere).unwrap_err();
        assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
        world.close().await;
    }

    /// What would go wrong needs two threads within some instructions of each other, so
    /// that none begins before another one is over is what is tested.
    #[tokio::test]
    async fn links_and_their_toxics_change_one_at_a_time() {
        async fn is_over_at_once(change: impl Future) -> bool {
            tokio::select! {
                biased;
                _ = change => true,
                () = std::future::ready(()) => false,
            }
        }
        let (_folder, world) = world();
        let target = Target::Service("shop".into());
        world.add_link("shop", 80, link("first")).await;
        let held = world.changing_links.lock().await;
        let toxic = || world.add_toxic(1, &target, Toxic::Down, Direction::Both);
        assert!(!is_over_at_once(world.add_link("shop", 80, link("second"))).await);
        assert!(!is_over_at_once(toxic()).await);
        assert!(!is_over_at_once(world.clear_links(1)).await);
        assert_eq!(world.links_of(&target).len(), 1);
        drop(held);
        assert!(is_over_at_once(world.add_link("shop", 80, link("second"))).await);
        assert!(is_over_at_once(toxic()).await);
        assert!(is_over_at_once(world.clear_links(1)).await);
        world.close().await;
    }
}
