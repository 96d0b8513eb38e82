//! Names and addresses that are reserved for a service before it starts.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::{Error, Kind};
use crate::system::proxy;

use super::inner::Inner;
#[cfg(feature = "containers")]
use super::service::for_containers;
use super::service::{Address, at_port, link_name};
use super::starting::{EVERYBODY, check_name};

/// The name and the stable addresses of a service that is not started yet; made by
/// [`ChaosContext::reserve`](crate::ChaosContext::reserve).
///
/// Pass it to [`process`](crate::ChaosContext::process),
/// [`in_process`](crate::ChaosContext::in_process) or `container` in place of a name, once; by reference
/// where it is still needed, for example for an address in the same call. Until then its
/// addresses serve nobody: each connection is reset. When it is dropped without having been
/// passed on, its name and addresses are free again.
///
/// ```no_run
/// # async fn body(chaos: &chaos_test::ChaosContext) -> chaos_test::Result {
/// use chaos_test::Program;
/// let reserved = chaos.reserve("broker", 9092).await?;
/// let program = Program::new("broker").env("ADVERTISED", reserved.address(9092));
/// let broker = chaos.process(&reserved, program).await?;
/// assert_eq!(broker.address(9092), reserved.address(9092));
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Reserved(Arc<Reservation>);

struct Reservation {
    inner: Arc<Inner>,
    name: String,
    links: Vec<(u16, proxy::Link)>,
    /// Whether a service has it now.
    taken: AtomicBool,
}

impl fmt::Debug for Reserved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reserved")
            .field("name", &self.0.name)
            .finish_non_exhaustive()
    }
}

impl Reserved {
    /// The name that the service will have.
    ///
    /// ```no_run
    /// # async fn body(chaos: &chaos_test::ChaosContext) -> chaos_test::Result {
    /// let broker = chaos.reserve("broker", [9092, 9644]).await?;
    /// println!("{} will be at {} and {}", broker.name(), broker.address(9092), broker.address(9644));
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The stable address of a port: that of the service once it runs.
    ///
    /// # Panics
    ///
    /// If the port was not reserved; the message lists those that were.
    #[must_use]
    #[track_caller]
    pub fn address(&self, port: u16) -> Address {
        Address::of(at_port(&self.0.name, &self.0.links, port))
    }
}

#[cfg(feature = "containers")]
impl Reserved {
    /// The stable address of a port for containers of the same context; see
    /// [`Service::address_for_containers`](crate::Service::address_for_containers).
    ///
    /// ```no_run
    /// # async fn body(chaos: &chaos_test::ChaosContext) -> chaos_test::Result {
    /// use chaos_test::testcontainers::{GenericImage, ImageExt};
    /// let reserved = chaos.reserve("broker", 9092).await?;
    /// let address = reserved.address_for_containers(9092).await?;
    /// let broker = GenericImage::new("broker", "1").with_env_var("ADVERTISED", address.to_string());
    /// let broker = chaos.container(&reserved, broker).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// If no engine answers ([`Error::is_skip`]), or its containers cannot reach this
    /// process.
    ///
    /// # Panics
    ///
    /// If the port was not reserved; the message lists those that were.
    pub async fn address_for_containers(&self, port: u16) -> Result<Address, Error> {
        let link = at_port(&self.0.name, &self.0.links, port);
        for_containers(&self.0.inner, link).await
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if !self.taken.load(Ordering::SeqCst) {
            self.inner.world.forget_service(&self.name);
        }
    }
}

/// Takes a name, and opens links that lead nowhere yet.
pub(super) async fn reserve(
    inner: Arc<Inner>,
    name: String,
    Ports(ports): Ports,
) -> Result<Reserved, Error> {
    let _call = inner.enter().await?;
    check_name(&name)?;
    let wrong = |why: &str| {
        let what = format!("no address can be reserved for `{name}`: {why}");
        Err(Error::new(Kind::Usage, what))
    };
    if ports.is_empty() {
        return wrong("it names no port");
    }
    if ports.contains(&0) {
        return wrong("0 is no port; give the number that its users know, such as 9092");
    }
    let mut sorted = ports.clone();
    sorted.sort_unstable();
    if let Some(twice) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
        return wrong(&format!("it names port {} twice", twice[0]));
    }
    inner.world.claim_service(&name)?;
    // From here on its drop frees the name.
    let mut reserved = Reservation {
        inner: Arc::clone(&inner),
        name,
        links: Vec::new(),
        taken: AtomicBool::new(false),
    };
    for port in ports {
        let name = link_name(EVERYBODY, &reserved.name, port);
        // Nobody knows its address before it is led nowhere.
        let link = inner.open_link(name, SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)))?;
        inner
            .world
            .add_link(&reserved.name, port, link.clone())
            .await;
        reserved.links.push((port, link));
    }
    inner.world.lead_nowhere(&reserved.name);
    Ok(Reserved(Arc::new(reserved)))
}

/// The ports of a service by the numbers that its users know: one, or several.
///
/// ```no_run
/// # async fn body(chaos: &chaos_test::ChaosContext) -> chaos_test::Result {
/// let broker = chaos.reserve("broker", 9092).await?;
/// let node = chaos.reserve("node", [9300, 9200]).await?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct Ports(Vec<u16>);

impl From<u16> for Ports {
    fn from(port: u16) -> Self {
        Self(vec![port])
    }
}

impl<const N: usize> From<[u16; N]> for Ports {
    fn from(ports: [u16; N]) -> Self {
        Self(ports.into())
    }
}

impl From<&[u16]> for Ports {
    fn from(ports: &[u16]) -> Self {
        Self(ports.to_vec())
    }
}

impl From<Vec<u16>> for Ports {
    fn from(ports: Vec<u16>) -> Self {
        Self(ports)
    }
}

/// What a service is started under: a name, or what was [`Reserved`] for it.
///
/// ```
/// use chaos_test::{ChaosContext, Error, Program, Service, Slot};
///
/// /// A broker under a name, or at the addresses that were reserved for it.
/// async fn broker(chaos: &ChaosContext, slot: impl Into<Slot>) -> Result<Service, Error> {
///     chaos.process(slot, Program::new("broker").listens(9092)).await
/// }
/// ```
#[derive(Debug, Clone)]
pub struct Slot(Under);

#[derive(Debug, Clone)]
enum Under {
    Name(String),
    Reserved(Reserved),
}

impl Slot {
    /// Takes the name for a service that is about to be started. Whoever takes it starts the
    /// service or forgets the name.
    pub(super) fn claim(self, inner: &Arc<Inner>) -> Result<String, Error> {
        match self.0 {
            Under::Name(name) => {
                check_name(&name)?;
                inner.world.claim_service(&name)?;
                Ok(name)
            }
            Under::Reserved(Reserved(reserved)) => {
                let name = &reserved.name;
                if !Arc::ptr_eq(&reserved.inner, inner) {
                    return Err(Error::new(
                        Kind::Usage,
                        format!("`{name}` was reserved in another context than this one"),
                    ));
                }
                if reserved.taken.swap(true, Ordering::SeqCst) {
                    return Err(Error::new(
                        Kind::Usage,
                        format!("what was reserved for `{name}` was already passed to a service"),
                    )
                    .help("it is used up by the first start, also by one that failed"));
                }
                Ok(name.clone())
            }
        }
    }
}

impl From<&str> for Slot {
    fn from(name: &str) -> Self {
        Self(Under::Name(name.to_owned()))
    }
}

impl From<String> for Slot {
    fn from(name: String) -> Self {
        Self(Under::Name(name))
    }
}

impl From<&String> for Slot {
    fn from(name: &String) -> Self {
        Self(Under::Name(name.clone()))
    }
}

impl From<Reserved> for Slot {
    fn from(reserved: Reserved) -> Self {
        Self(Under::Reserved(reserved))
    }
}

impl From<&Reserved> for Slot {
    fn from(reserved: &Reserved) -> Self {
        Self(Under::Reserved(reserved.clone()))
    }
}
