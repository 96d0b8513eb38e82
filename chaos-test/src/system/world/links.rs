//! The links of one context: where they lead, the toxics on them, and what has passed.

use std::net::{Ipv4Addr, SocketAddr};

use super::World;
use crate::error::{Error, Kind};
use crate::model::target::Target;
use crate::system::ports::ReservedPort;
use crate::system::proxy::{Link, PartialToxic, ToxicId};

/// What has passed through some links.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct LinkUse {
    pub(crate) accepted: u64,
    pub(crate) bytes: u64,
}

/// The links of a context, and what is in force on them.
#[derive(Default)]
pub(super) struct Links {
    all: Vec<MadeLink>,
    /// Where links lead while their services are nowhere; it refuses at once.
    nowhere: Option<ReservedPort>,
    /// Toxics that are in force on whole services: links that are made later get them too.
    wide: Vec<WideToxic>,
}

#[derive(Clone)]
pub(super) struct MadeLink {
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
    toxic: PartialToxic,
}

impl Links {
    /// The links of a service, shared and per-client ones.
    fn to(&self, service: &str) -> impl Iterator<Item = &MadeLink> {
        self.all.iter().filter(move |made| made.service == service)
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

    /// Takes the links of a service out. They must be dropped under no lock: the last
    /// handle to a link closes it.
    pub(super) fn take_of(&mut self, service: &str) -> Vec<MadeLink> {
        let all = std::mem::take(&mut self.all);
        let (taken, kept) = all.into_iter().partition(|one| one.service == service);
        self.all = kept;
        taken
    }

    /// Closes all of them.
    pub(super) async fn close(self) {
        for made in self.all {
            made.link.close().await;
        }
    }
}

impl World {
    /// Adds a link to a port of a service. It leads where the other links to that port lead
    /// by now, and has the toxics that are in force on its service. Where there is one of its
    /// name already, it is that one which stays and is returned.
    pub(crate) async fn add_link(&self, service: &str, port: u16, link: Link) -> Link {
        let _change = self.changing_links.lock().await;
        let wide: Vec<WideToxic> = {
            let mut made = self.made();
            let mut links = made.links.all.iter();
            if let Some(there) = links.find(|made| made.link.name() == link.name()) {
                return there.link.clone();
            }
            if let Some(other) = made.links.to(service).find(|other| other.port == port) {
                link.set_upstream(other.link.upstream());
            }
            made.links.all.push(MadeLink {
                service: service.to_owned(),
                port,
                link: link.clone(),
                toxics: Vec::new(),
            });
            let wide = made
                .links
                .wide
                .iter()
                .filter(|wide| wide.service == service);
            wide.cloned().collect()
        };
        for wide in wide {
            self.add_to_link(wide.injection, &link, wide.toxic).await;
        }
        link
    }

    /// Has all links of a service lead to where its ports are now. A port that is not
    /// named keeps its place.
    pub(crate) fn lead_to(&self, service: &str, endpoints: &[(u16, SocketAddr)]) {
        let made = self.made();
        for one in made.links.to(service) {
            let endpoint = endpoints.iter().find(|(known, _)| *known == one.port);
            if let Some((_, address)) = endpoint {
                one.link.set_upstream(*address);
            }
        }
    }

    /// The ports that a service has links to, in the order in which they were made.
    pub(crate) fn linked_ports(&self, service: &str) -> Vec<u16> {
        let mut ports = Vec::new();
        for one in self.made().links.to(service) {
            if !ports.contains(&one.port) {
                ports.push(one.port);
            }
        }
        ports
    }

    /// Has all links of a service lead to where every connection is refused at once.
    pub(crate) fn lead_nowhere(&self, service: &str) {
        let mut made = self.made();
        if made.links.to(service).next().is_none() {
            return;
        }
        let nowhere = made.links.nowhere();
        for one in made.links.to(service) {
            one.link.set_upstream(nowhere);
        }
    }

    /// Adds a toxic to the links of a target.
    ///
    /// # Errors
    ///
    /// If it has none.
    pub(in crate::system) async fn add_toxic(
        &self,
        injection: u64,
        target: &Target,
        toxic: PartialToxic,
    ) -> Result<(), Error> {
        if let Some(home) = self.home_of_target(target) {
            return home.add_own_toxic(injection, target, toxic).await;
        }
        self.add_own_toxic(injection, target, toxic).await
    }

    async fn add_own_toxic(
        &self,
        injection: u64,
        target: &Target,
        toxic: PartialToxic,
    ) -> Result<(), Error> {
        let _change = self.changing_links.lock().await;
        let links = self.own_links_of(target);
        if links.is_empty() {
            return Err(Error::new(
                Kind::Usage,
                format!("{target} has no link that a fault could act on"),
            ));
        }
        if let Target::Service(service) = target {
            self.made().links.wide.push(WideToxic {
                injection,
                service: service.clone(),
                toxic,
            });
        }
        for link in links {
            self.add_to_link(injection, &link, toxic).await;
        }
        Ok(())
    }

    pub(crate) fn link(&self, name: &str) -> Option<Link> {
        let made = self.made();
        let mut links = made.links.all.iter();
        links
            .find(|made| made.link.name() == name)
            .map(|made| made.link.clone())
    }

    /// The links that a target stands for: one, or all of a service.
    pub(crate) fn links_of(&self, target: &Target) -> Vec<Link> {
        if let Some(home) = self.home_of_target(target) {
            return home.own_links_of(target);
        }
        self.own_links_of(target)
    }

    /// The included world that has made what a target belongs to.
    fn home_of_target(&self, target: &Target) -> Option<std::sync::Arc<Self>> {
        self.home_of(target.service()?)
    }

    fn own_links_of(&self, target: &Target) -> Vec<Link> {
        self.made()
            .links
            .all
            .iter()
            .filter(|made| match target {
                Target::Service(service) => made.service == *service,
                Target::Link { link, .. } => made.link.name() == link,
                _ => false,
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

    async fn add_to_link(&self, injection: u64, link: &Link, toxic: PartialToxic) {
        let id = link.add_to_share(toxic).await;
        let mut made = self.made();
        if let Some(made) = made
            .links
            .all
            .iter_mut()
            .find(|made| made.link.name() == link.name())
        {
            made.toxics.push((injection, id));
        }
    }

    /// Takes all toxics of one injection off, everywhere.
    pub(crate) async fn clear_links(&self, injection: u64) {
        for home in self.included() {
            home.clear_own_links(injection).await;
        }
        self.clear_own_links(injection).await;
    }

    async fn clear_own_links(&self, injection: u64) {
        let _change = self.changing_links.lock().await;
        let toxics: Vec<(Link, ToxicId)> = {
            let mut made = self.made();
            made.links.wide.retain(|wide| wide.injection != injection);
            let links = made.links.all.iter();
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

    pub(in crate::system) fn toxics(&self, injection: u64) -> Vec<(Link, ToxicId)> {
        let included = self.included();
        let mut toxics: Vec<_> = included
            .iter()
            .flat_map(|home| home.own_toxics(injection))
            .collect();
        toxics.extend(self.own_toxics(injection));
        toxics
    }

    fn own_toxics(&self, injection: u64) -> Vec<(Link, ToxicId)> {
        let made = self.made();
        let links = made.links.all.iter();
        links
            .flat_map(|made| {
                let mine = made.toxics.iter().filter(|(of, _)| *of == injection);
                mine.map(|(_, id)| (made.link.clone(), *id))
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::world;
    use super::*;
    use crate::system::proxy::{Direction, LinkConfig, Toxic};

    const DOWN: PartialToxic = PartialToxic {
        toxic: Toxic::Down,
        direction: Direction::Both,
        share: 1.0,
    };

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
        let toxic = world.add_toxic(1, &target, DOWN);
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
        let toxic = || world.add_toxic(1, &target, DOWN);
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
