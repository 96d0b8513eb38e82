//! Services as tests see them: how a running one is addressed and linked to.

mod command;
mod link;
mod resources;
mod written;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use crate::error::{Error, Kind};
use crate::fault::link::Links;
use crate::fault::process::ServiceName;
use crate::model::target::{Breakable, Target};
use crate::probe::{TcpProbe, with_slash};
use crate::system::{Restarted, proxy};

use super::engine;
use super::inner::Inner;
use super::service_log::ServiceLog;

pub use link::Link;

/// The port that a program has when it names none.
pub(super) const DEFAULT_PORT: u16 = 0;

/// An address that clients can keep: it survives stop, start, kill and restart of the
/// service behind it. Shown as `127.0.0.1:40112`.
///
/// ```no_run
/// # fn body(cache: &chaos_test::Service) {
/// let shop = chaos_test::Program::new("shop").env("CACHE", cache.address(6379));
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Address(SocketAddr);

impl Address {
    pub(super) fn of(link: &proxy::Link) -> Self {
        Self(link.address())
    }

    /// As a socket address.
    ///
    /// ```no_run
    /// # async fn body(cache: &chaos_test::Service) -> chaos_test::Result {
    /// let address = cache.address(6379);
    /// let client = std::net::TcpStream::connect(address.socket())?;
    /// println!("{client:?} came through port {}", address.port());
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn socket(self) -> SocketAddr {
        self.0
    }

    /// The port alone.
    ///
    /// See [`socket`](Self::socket) for an example.
    #[must_use]
    pub fn port(self) -> u16 {
        self.0.port()
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl From<Address> for SocketAddr {
    fn from(address: Address) -> Self {
        address.0
    }
}
/// A running service, with stable addresses and faults that can be injected into it.
///
/// A cheap handle: the service itself belongs to the context that started it, and ends
/// with it.
///
/// ```no_run
/// # async fn body(cache: &chaos_test::Service) -> chaos_test::Result {
/// use chaos_test::prelude::*;
/// println!("{} is at {}", cache.name(), cache.address(6379));
/// let way = cache.link("shop").await?; // for one client alone
/// let connects = cache.connect().every(ms(20)); // a probe
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Service {
    pub(super) name: Arc<str>,
    /// As users know it, and the link that leads there.
    pub(super) ports: Arc<[(u16, proxy::Link)]>,
    pub(super) inner: Arc<Inner>,
}

impl std::fmt::Debug for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ports: Vec<_> = self
            .ports
            .iter()
            .map(|(known, link)| (known, link.address()))
            .collect();
        f.debug_struct("Service")
            .field("name", &self.name)
            .field("ports", &ports)
            .finish_non_exhaustive()
    }
}

impl Service {
    /// The name that it was started under.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The stable address of a port, by the number that was declared with
    /// [`Program::listens`](crate::Program::listens).
    ///
    /// # Panics
    ///
    /// If it has no such port; the message lists those that it has.
    #[must_use]
    #[track_caller]
    pub fn address(&self, port: u16) -> Address {
        Address(self.link_at(port).address())
    }

    /// The stable address of its first port.
    ///
    /// ```no_run
    /// # fn body(shop: &chaos_test::Service) {
    /// assert_eq!(shop.url("/orders"), format!("http://{}/orders", shop.first_address()));
    /// # }
    /// ```
    ///
    /// # Panics
    ///
    /// If it has no port.
    #[must_use]
    #[track_caller]
    pub fn first_address(&self) -> Address {
        Address(self.first().1.address())
    }

    /// The stable address of a port for containers of the same context: the same link as
    /// [`address`](Self::address), which listens on the gateway of their private network,
    /// too. So a fault on the link meets them as it meets processes.
    ///
    /// ```no_run
    /// # async fn body(chaos: &chaos_test::ChaosContext, cache: &chaos_test::Service) -> chaos_test::Result {
    /// use chaos_test::testcontainers::{GenericImage, ImageExt};
    /// let cache = cache.address_for_containers(6379).await?;
    /// let shop = GenericImage::new("shop", "1").with_env_var("CACHE", cache.to_string());
    /// chaos.container("shop", shop).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// If no engine answers ([`Error::is_skip`]), or its containers cannot reach this
    /// process: it runs on another machine, beside the container that the test runs in, or
    /// in a network of its own (rootless).
    ///
    /// # Panics
    ///
    /// If it has no such port; the message lists those that it has.
    #[cfg(feature = "containers")]
    pub async fn address_for_containers(&self, port: u16) -> Result<Address, Error> {
        for_containers(&self.inner, self.link_at(port)).await
    }

    /// `http://<first address><path>`.
    ///
    /// See [`first_address`](Self::first_address) for an example.
    ///
    /// # Panics
    ///
    /// If it has no port.
    #[must_use]
    #[track_caller]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{}", self.first_address(), with_slash(path))
    }

    /// A link of its own to the first port, for one client: a fault on it leaves all other
    /// clients alone. Asked for again under the same name, it is the same link.
    ///
    /// ```no_run
    /// # async fn body(chaos: &chaos_test::ChaosContext, cache: &chaos_test::Service) -> chaos_test::Result {
    /// use chaos_test::{Program, link, ms};
    /// let way = cache.link("shop").await?;
    /// let shop = chaos.process("shop", Program::cargo_bin("shop").env("CACHE", way.address())).await?;
    /// let slow = chaos.inject(link::latency(&way, ms(200))).await?; // for the shop alone
    /// slow.lift().await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// If the service has no port, or the context has ended.
    pub async fn link(&self, client: &str) -> Result<Link, Error> {
        let Some((port, link)) = self.ports.first() else {
            return Err(Error::new(
                Kind::Usage,
                format!("service `{}` has no port to link to", self.name),
            ));
        };
        self.make_link(client, *port, link.upstream()).await
    }

    /// As [`link`](Self::link), to a port by the number that was declared.
    ///
    /// ```no_run
    /// # async fn body(broker: &chaos_test::Service) -> chaos_test::Result {
    /// let admin = broker.link_to("admin", 9644).await?;
    /// assert_eq!(admin.name(), "admin->broker:9644");
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// If the service has no such port, or the context has ended.
    pub async fn link_to(&self, client: &str, port: u16) -> Result<Link, Error> {
        let upstream = self.link_at(port).upstream();
        self.make_link(client, port, upstream).await
    }

    async fn make_link(
        &self,
        client: &str,
        port: u16,
        upstream: SocketAddr,
    ) -> Result<Link, Error> {
        let inner = Arc::clone(&self.inner);
        #[cfg(feature = "containers")]
        let of = Arc::clone(&inner);
        let service = Arc::clone(&self.name);
        let name = link_name(client, &service, port);
        let link = engine::run_on(engine::own(), async move {
            let _call = inner.enter().await?;
            if let Some(link) = inner.world.link(&name) {
                return Ok(link);
            }
            let link = inner.open_link(name, upstream)?;
            // Somebody else may have made it meanwhile.
            Ok::<_, Error>(inner.world.add_link(&service, port, link).await)
        })
        .await?;
        Ok(Link {
            service: Arc::clone(&self.name),
            link,
            #[cfg(feature = "containers")]
            inner: of,
        })
    }

    /// A probe that sends GET to a path, through the link.
    ///
    /// ```no_run
    /// # async fn body(chaos: &chaos_test::ChaosContext, shop: &chaos_test::Service) -> chaos_test::Result {
    /// use chaos_test::prelude::*;
    /// let orders = chaos.monitor(shop.get("/orders/42").status(200).every(ms(50)));
    /// orders.over(secs(2)).await?.expect(latency(P95).at_most(ms(250))).check()?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Panics
    ///
    /// If the service has no port.
    #[cfg(feature = "http")]
    #[must_use]
    #[track_caller]
    pub fn get(&self, path: &str) -> crate::probe::HttpProbe {
        let name = format!("{}{}", self.name, with_slash(path));
        crate::probe::HttpProbe::get(self.url(path)).of_service(&self.name, name)
    }

    /// A probe that opens a connection to the first port, through the link.
    ///
    /// ```no_run
    /// # async fn body(chaos: &chaos_test::ChaosContext, cache: &chaos_test::Service) -> chaos_test::Result {
    /// use chaos_test::prelude::*;
    /// let connects = chaos.monitor(cache.connect().every(ms(20)).sample_timeout(secs(1)));
    /// let normal = connects.baseline(secs(2)).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Panics
    ///
    /// If the service has no port.
    #[must_use]
    #[track_caller]
    pub fn connect(&self) -> TcpProbe {
        TcpProbe {
            name: format!("{} tcp", self.name),
            service: Some(self.name.to_string()),
            address: self.first_address().to_string(),
        }
    }

    /// The last lines that it printed.
    ///
    /// ```no_run
    /// # async fn body(shop: &chaos_test::Service) -> chaos_test::Result {
    /// println!("the shop said last: {:?}", shop.last_lines(3)?);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// If nobody knows where it prints: it is a process or an address from before the test, and
    /// is described without [`Existing::log`](crate::Existing::log).
    pub fn last_lines(&self, count: usize) -> Result<Vec<String>, Error> {
        let log = self.log_file()?;
        Ok(crate::system::service::last_lines(&log, count))
    }

    /// The file that what it prints is in.
    pub(super) fn log_file(&self) -> Result<PathBuf, Error> {
        let unit = self.inner.world.service(&self.name)?;
        unit.log_is_known()?;
        Ok(unit.log().to_owned())
    }

    /// All that it prints in this test, over all its starts; for
    /// [`eventually`](crate::ChaosContext::eventually).
    ///
    /// ```no_run
    /// # async fn body(chaos: &chaos_test::ChaosContext, shop: &chaos_test::Service) -> chaos_test::Result {
    /// use chaos_test::prelude::*;
    /// let line: String = chaos
    ///     .eventually("the shop has warmed up", shop.log()?.contains("cache is warm"))
    ///     .within(secs(5))
    ///     .await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`last_lines`](Self::last_lines).
    pub fn log(&self) -> Result<ServiceLog, Error> {
        ServiceLog::new(self, false)
    }

    /// What it prints from now on; for [`eventually`](crate::ChaosContext::eventually). Taken
    /// before a fault, it holds what the fault had it print, and nothing older.
    ///
    /// ```no_run
    /// # async fn body(chaos: &chaos_test::ChaosContext, cache: &chaos_test::Service, shop: &chaos_test::Service) -> chaos_test::Result {
    /// use chaos_test::prelude::*;
    /// use chaos_test::process;
    /// let log = shop.log_from_now()?;
    /// let outage = chaos.inject(process::kill(cache)).await?;
    /// chaos.eventually("an alert was raised", log.contains("ALERT")).within(secs(5)).await?;
    /// outage.lift().await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`last_lines`](Self::last_lines).
    pub fn log_from_now(&self) -> Result<ServiceLog, Error> {
        ServiceLog::new(self, true)
    }

    /// Who brought it back after its latest death, where it is supervised
    /// ([`Program::supervised`](crate::Program::supervised),
    /// [`Existing::supervised`](crate::Existing::supervised)); nothing while it is dead, and
    /// where it never died.
    ///
    /// ```no_run
    /// # async fn body(chaos: &chaos_test::ChaosContext, shop: &chaos_test::Service) -> chaos_test::Result {
    /// use chaos_test::{RestartedBy, process, secs};
    /// let outage = chaos.inject(process::kill(shop)).await?;
    /// let shop = shop.clone();
    /// let back = chaos
    ///     .eventually("the shop is back", async move || shop.restarted())
    ///     .within(secs(10))
    ///     .await?;
    /// outage.lift().await?;
    /// assert_eq!(back.by(), RestartedBy::Supervisor);
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn restarted(&self) -> Option<Restarted> {
        let unit = self.inner.world.service(&self.name).ok()?;
        unit.supervision()?.last()
    }

    #[track_caller]
    fn link_at(&self, port: u16) -> &proxy::Link {
        at_port(&self.name, &self.ports, port)
    }

    #[track_caller]
    fn first(&self) -> &(u16, proxy::Link) {
        match self.ports.first() {
            Some(first) => first,
            None => panic!("service `{}` has no port", self.name),
        }
    }
}

impl Breakable for Service {
    fn targets(&self) -> Vec<Target> {
        vec![Target::Service(self.name.to_string())]
    }
}

#[cfg(feature = "containers")]
pub(super) async fn for_containers(
    inner: &Arc<Inner>,
    link: &proxy::Link,
) -> Result<Address, Error> {
    let (inner, link) = (Arc::clone(inner), link.clone());
    let opened = super::container::address_for_containers(inner, link);
    engine::run_on(engine::own(), opened).await.map(Address)
}

/// The link to a port of a service.
#[track_caller]
pub(super) fn at_port<'a>(
    name: &str,
    ports: &'a [(u16, proxy::Link)],
    port: u16,
) -> &'a proxy::Link {
    let Some((_, link)) = ports.iter().find(|(known, _)| *known == port) else {
        let known: Vec<_> = ports.iter().map(|(known, _)| known.to_string()).collect();
        panic!(
            "service `{name}` has no port {port}; it has: {}",
            if known.is_empty() {
                "none".to_owned()
            } else {
                known.join(", ")
            }
        );
    };
    link
}

/// How a link is called: who uses it, what it leads to, and by which port.
pub(super) fn link_name(client: &str, service: &str, port: u16) -> String {
    if port == DEFAULT_PORT {
        format!("{client}->{service}")
    } else {
        format!("{client}->{service}:{port}")
    }
}

impl From<&Service> for ServiceName {
    fn from(service: &Service) -> Self {
        Self::new(service.name())
    }
}

/// What `chaos.fixture(..)` hands out.
impl From<&Arc<Service>> for ServiceName {
    fn from(service: &Arc<Service>) -> Self {
        Self::new(service.name())
    }
}

impl From<&Arc<Service>> for Links {
    fn from(service: &Arc<Service>) -> Self {
        Self::from(&**service)
    }
}

impl From<&Service> for Links {
    fn from(service: &Service) -> Self {
        Self::of(Target::Service(service.name().to_owned()))
    }
}
