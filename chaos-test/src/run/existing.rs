//! What was there before the test: how it is named, and how it becomes a service.
//!
//! ```no_run
//! use chaos_test::prelude::*;
//! use chaos_test::{container, existing};
//!
//! #[chaos_fixture]
//! async fn orders_db(chaos: &ChaosContext) -> chaos_test::Result<Service> {
//!     Ok(chaos.existing("orders-db", existing::compose("shop", "db")).await?)
//! }
//!
//! /// Orders are taken while the database of the staging environment hangs.
//! #[chaos_test(requires(docker), breaks(orders_db))]
//! async fn orders_survive_a_hanging_database(
//!     chaos: &ChaosContext,
//!     orders_db: &Service,
//! ) -> chaos_test::Result {
//!     let hang = chaos.inject(container::pause(orders_db)).await?;
//!     // Monitors watch here what its clients see.
//!     hang.lift().await?;
//!     Ok(())
//! }
//! # fn main() {}
//! ```

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::decide::turns::EXISTING;
use crate::error::{Error, Kind};
use crate::model::event::Event;
use crate::model::existing::FoundBy;
use crate::model::identity::ProcessIdentity;
use crate::probe::{AllPorts, Ready};
use crate::system::Ledger;
use crate::system::existing::{
    ExistingAddress, ExistingProcess, Known, find, ports_of, with_descendants,
};
use crate::system::service::Unit;
use crate::system::spawner::Spawner;
use crate::system::supervision::Supervision;

use super::inner::Inner;
use super::leases;
use super::reserving::Slot;
use super::service::Service;
use super::starting::{in_front_of, lead_reserved, ledger, log_of};

#[cfg(feature = "containers")]
mod container;

/// How long it may take to be ready, unless told otherwise.
const START_LIMIT: Duration = Duration::from_secs(30);
/// How long it may take to end once it was asked to: that of `docker stop`.
const GRACE: Duration = Duration::from_secs(10);
/// The longest name that a lease may have.
const LONGEST_LEASE: usize = 80;

/// Something that runs already and that the test did not make; pass it to
/// [`ChaosContext::existing`](crate::ChaosContext::existing).
///
/// ```no_run
/// # async fn body(chaos: &chaos_test::ChaosContext) -> chaos_test::Result {
/// use chaos_test::{existing, secs, tcp};
/// let redis = existing::pid_file("/run/redis/redis-server.pid")
///     .ready(tcp())
///     .grace(secs(5))
///     .supervised(secs(10)) // systemd has so long to bring it back
///     .start_with(["systemctl", "start", "redis-server"]) // what is done if it does not
///     .start_timeout(secs(10))
///     .log("/var/log/redis/redis-server.log");
/// let redis = chaos.existing("redis", redis).await?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
#[must_use = "it becomes a service once it is passed to `chaos.existing(..)`"]
pub struct Existing {
    what: What,
    ready: Option<Ready>,
    start_timeout: Duration,
    grace: Duration,
    supervised: Option<Duration>,
    start_with: Vec<String>,
    log: Option<PathBuf>,
}

#[derive(Debug, Clone)]
enum What {
    #[cfg(feature = "containers")]
    Container(crate::system::container::Which),
    Process(FoundBy),
    /// By an address that is not looked up yet.
    ListensOn(String),
    Address(String),
}

/// A container by its name, or its id.
///
/// ```
/// let db = chaos_test::existing::container("shop_db_1");
/// ```
#[cfg(feature = "containers")]
pub fn container(name: impl Into<String>) -> Existing {
    let which = crate::system::container::Which::Name(name.into());
    Existing::new(What::Container(which))
}

/// The one container with a label.
///
/// ```
/// let orders = chaos_test::existing::label("app", "orders");
/// ```
#[cfg(feature = "containers")]
pub fn label(name: impl Into<String>, value: impl Into<String>) -> Existing {
    let which = crate::system::container::Which::Label(name.into(), value.into());
    Existing::new(What::Container(which))
}

/// The one container of a service of Compose, by its project and its name there.
///
/// ```
/// let db = chaos_test::existing::compose("shop", "db");
/// ```
#[cfg(feature = "containers")]
pub fn compose(project: impl Into<String>, service: impl Into<String>) -> Existing {
    let which = crate::system::container::Which::Compose(project.into(), service.into());
    Existing::new(What::Container(which))
}

/// A process by its number.
///
/// ```
/// let redis = chaos_test::existing::process(4711);
/// ```
pub fn process(pid: u32) -> Existing {
    Existing::new(What::Process(FoundBy::Number(pid)))
}

/// A process by the file that it writes its number to, where it is found again after each of
/// its starts.
///
/// ```
/// let postgres = chaos_test::existing::pid_file("/run/postgresql/15-main.pid");
/// ```
pub fn pid_file(path: impl AsRef<Path>) -> Existing {
    Existing::new(What::Process(FoundBy::PidFile(path.as_ref().to_owned())))
}

/// The process that listens on a TCP address of this machine, where it is found again after
/// each of its starts.
///
/// ```
/// let postgres = chaos_test::existing::listening_on("127.0.0.1:5432");
/// ```
pub fn listening_on(address: impl Into<String>) -> Existing {
    Existing::new(What::ListensOn(address.into()))
}

/// A TCP address, on whatever machine: only the links in front of it can be broken, and they
/// reach the clients of this test.
///
/// ```
/// let db = chaos_test::existing::address("db.staging.example:5432");
/// ```
pub fn address(address: impl Into<String>) -> Existing {
    Existing::new(What::Address(address.into()))
}

impl Existing {
    fn new(what: What) -> Self {
        Self {
            what,
            ready: None,
            start_timeout: START_LIMIT,
            grace: GRACE,
            supervised: None,
            start_with: Vec::new(),
            log: None,
        }
    }

    /// How to see that it is ready: asked when it becomes a service, and after each time that it
    /// was broken. All its ports accept a connection, by default.
    pub fn ready(mut self, check: impl Into<Ready>) -> Self {
        self.ready = Some(check.into());
        self
    }

    /// How long it may take to become ready; 30 seconds by default.
    pub fn start_timeout(mut self, limit: Duration) -> Self {
        self.start_timeout = limit;
        self
    }

    /// How long it may take to end after it was asked to before it is killed; 10 seconds by
    /// default.
    pub fn grace(mut self, limit: Duration) -> Self {
        self.grace = limit;
        self
    }

    /// Somebody else brings it back when it dies: the restart policy of a container, systemd, a
    /// loop of a shell. After a kill that is waited for, this long from the kill on; only what is
    /// still dead then is started by the undo. [`Service::restarted`](crate::Service::restarted)
    /// says who it was.
    ///
    /// See [`Existing`] for an example.
    pub fn supervised(mut self, within: Duration) -> Self {
        self.supervised = Some(within);
        self
    }

    /// What starts a process again that a fault has ended: a program, and its arguments. It is
    /// run in `/`, with the environment of the test, and without input and output; it may stay,
    /// or end with 0 once it has had somebody else start it (`systemctl start`). It is written
    /// to the journal, so that it is run after a killed test, too.
    ///
    /// ```
    /// let redis = chaos_test::existing::listening_on("127.0.0.1:6379")
    ///     .start_with(["systemctl", "start", "redis-server"]);
    /// ```
    pub fn start_with<S: Into<String>>(mut self, argv: impl IntoIterator<Item = S>) -> Self {
        self.start_with = argv.into_iter().map(Into::into).collect();
        self
    }

    /// The file that a process writes its log to: without it nothing can be asked of what it
    /// prints, with [`Service::log`](crate::Service::log) and its like. That of a container is
    /// read by itself, from the moment when it becomes a service.
    pub fn log(mut self, path: impl AsRef<Path>) -> Self {
        self.log = Some(path.as_ref().to_owned());
        self
    }

    fn ready_check(&self) -> Arc<dyn crate::system::service::ReadyCheck> {
        let chosen = self.ready.clone();
        chosen.unwrap_or_else(|| Ready::new(AllPorts)).0
    }

    fn refuse(&self, name: &str, what: &str, why: &str) -> Error {
        Error::new(
            Kind::Usage,
            format!("service `{name}` cannot be {what}: {why}"),
        )
    }
}

/// Takes what is there as a service of the context, for the time of the test.
pub(super) async fn existing(
    inner: Arc<Inner>,
    slot: Slot,
    described: Existing,
) -> Result<Service, Error> {
    let name = slot.claim(&inner)?;
    let found = found(&inner, &name, described).await;
    if found.is_err() {
        inner.world.forget_service(&name);
    }
    found
}

async fn found(inner: &Arc<Inner>, name: &str, described: Existing) -> Result<Service, Error> {
    match described.what.clone() {
        #[cfg(feature = "containers")]
        What::Container(which) => container::found(inner, name, described, which).await,
        What::Process(found_by) => found_process(inner, name, described, found_by).await,
        What::ListensOn(at) => {
            let found_by = FoundBy::Address(look_up(name, &at).await?);
            found_process(inner, name, described, found_by).await
        }
        What::Address(at) => found_address(inner, name, described, &at).await,
    }
}

async fn found_address(
    inner: &Arc<Inner>,
    name: &str,
    described: Existing,
    at: &str,
) -> Result<Service, Error> {
    if described.supervised.is_some() || !described.start_with.is_empty() {
        return Err(described.refuse(
            name,
            &format!("address {at}"),
            "nothing but its links can be broken, so nobody brings it back: leave `supervised` \
             and `start_with` out",
        ));
    }
    let address = look_up(name, at).await?;
    hold(inner, name, &format!("address {address}")).await?;
    let unit = Arc::new(ExistingAddress {
        service: name.to_owned(),
        written: at.to_owned(),
        address,
        log: log_for(inner, name, &described)?,
        writes_log: described.log.is_some(),
        ready: described.ready_check(),
        start_timeout: described.start_timeout,
        kept: None,
    });
    let what = match at == address.to_string() {
        true => format!("address {address}"),
        false => format!("address {at} ({address})"),
    };
    into_service(inner, unit, what, 0).await
}

async fn found_process(
    inner: &Arc<Inner>,
    name: &str,
    described: Existing,
    found_by: FoundBy,
) -> Result<Service, Error> {
    let argv = prepared(name, &described)?;
    // What was left of it by a killed test is undone by whoever has its lease.
    hold_place(inner, name, &found_by).await?;
    let process = loop {
        let process = one(name, &found_by)?;
        hold(
            inner,
            name,
            &format!("process {}-{}", process.pid, process.start_time),
        )
        .await?;
        // It may have been replaced while its lease was waited for.
        if one(name, &found_by)? == process {
            break process;
        }
    };
    ExistingProcess::check(name, &process)?;
    let pids: Vec<u32> = with_descendants(&process)
        .iter()
        .map(|one| one.pid)
        .collect();
    let mut addresses = ports_of(&pids);
    if let FoundBy::Address(address) = &found_by {
        // Users know it by that, whatever else it listens on.
        addresses.retain(|other| other.port() != address.port());
        addresses.insert(0, *address);
    }
    let found_by = found_again(name, &described, found_by, &addresses)?;
    let supervision = described
        .supervised
        .map(|within| Supervision::new(within, Arc::downgrade(&ledger(inner))));
    let known = Known {
        service: name.to_owned(),
        found_by,
        argv,
        ports: addresses.iter().map(|at| (at.port(), *at)).collect(),
        log: log_for(inner, name, &described)?,
        writes_log: described.log.is_some(),
        ready: described.ready_check(),
        start_timeout: described.start_timeout,
        grace: described.grace,
        supervision,
        kept: false,
    };
    let pid = process.pid;
    let program = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    let unit = Arc::new(ExistingProcess::new(known, process));
    let what = format!("process {pid} ({})", program.trim_end());
    into_service(inner, unit, what, pid).await
}

/// Puts links in front of what was found, once it is ready.
pub(super) async fn into_service(
    inner: &Arc<Inner>,
    unit: Arc<dyn Unit>,
    what: String,
    pid: u32,
) -> Result<Service, Error> {
    let _call = inner.enter().await?;
    lead_reserved(inner, unit.name(), &unit.endpoints())?;
    inner.world.add_service(Arc::clone(&unit));
    let ready = tokio::select! {
        // Looked at only: nothing is done to it before a fault is.
        ready = unit.until_ready_again() => ready,
        ended = inner.until_ended() => Err(ended),
    };
    ready?;
    inner.recorder.record(Event::ServiceFound {
        service: unit.name().to_owned(),
        what,
        pid,
        ports: unit.endpoints().iter().map(|(_, at)| at.port()).collect(),
    });
    in_front_of(inner, &*unit).await
}

fn one(name: &str, found_by: &FoundBy) -> Result<ProcessIdentity, Error> {
    let what = format!("service `{name}` cannot be {found_by}");
    match find(found_by) {
        Ok(Some(process)) => Ok(process),
        Ok(None) => Err(Error::new(Kind::Service, format!("{what}: there is none"))),
        Err(error) => Err(Error::new(Kind::Service, what).because(error)),
    }
}

/// How it is found again once it has ended, where somebody is to start it again.
fn found_again(
    name: &str,
    described: &Existing,
    found_by: FoundBy,
    addresses: &[SocketAddr],
) -> Result<FoundBy, Error> {
    let comes_back = described.supervised.is_some() || !described.start_with.is_empty();
    match (&found_by, addresses.first()) {
        (FoundBy::Number(_), Some(address)) if comes_back => Ok(FoundBy::Address(*address)),
        (FoundBy::Number(pid), None) if comes_back => Err(described.refuse(
            name,
            &format!("process {pid}"),
            "its successor will have another number, and it listens on no port: name it by its \
             pid file",
        )),
        _ => Ok(found_by),
    }
}

/// What starts it, as whoever undoes it can run it.
fn prepared(name: &str, described: &Existing) -> Result<Vec<String>, Error> {
    if described.start_with.is_empty() {
        return Ok(Vec::new());
    }
    use crate::model::undo::Undo;
    let command = Undo::command(described.start_with.clone());
    match crate::system::undo::prepared(command) {
        Ok(Undo::Command { argv }) => Ok(argv),
        Ok(_) => Ok(described.start_with.clone()),
        Err(why) => Err(described.refuse(
            name,
            &format!("started with `{}`", described.start_with.join(" ")),
            &why.to_string(),
        )),
    }
}

/// The log that it writes itself, else one of ours with what we know.
fn log_for(inner: &Inner, name: &str, described: &Existing) -> Result<PathBuf, Error> {
    match &described.log {
        Some(path) => Ok(path.clone()),
        None => log_of(inner, name),
    }
}

async fn look_up(name: &str, at: &str) -> Result<SocketAddr, Error> {
    let wrong = |why: String| {
        Error::new(
            Kind::Usage,
            format!("service `{name}` has no address `{at}`: {why}"),
        )
        .help("write a host and a port, such as `127.0.0.1:5432`")
    };
    let asked = at.to_owned();
    let found = Spawner::here()
        .spawn_blocking(move || asked.to_socket_addrs())
        .await;
    let found = match found {
        Ok(Ok(found)) => found,
        Ok(Err(error)) => return Err(wrong(error.to_string())),
        Err(error) => return Err(wrong(error.to_string())),
    };
    let mut found: Vec<SocketAddr> = found.collect();
    // Names of this machine have both kinds, and most servers listen on the older one.
    found.sort_by_key(|address| !address.is_ipv4());
    match found.first() {
        Some(address) if address.port() != 0 => Ok(*address),
        Some(_) => Err(wrong("0 is no port".to_owned())),
        None => Err(wrong("it has no address".to_owned())),
    }
}

/// Holds the place where a process is found, which outlives the process.
async fn hold_place(inner: &Arc<Inner>, name: &str, found_by: &FoundBy) -> Result<(), Error> {
    match found_by {
        FoundBy::Number(_) | FoundBy::Keeper { .. } => Ok(()),
        FoundBy::Address(address) => hold(inner, name, &format!("address {address}")).await,
        FoundBy::PidFile(path) => {
            let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.clone());
            hold(inner, name, &format!("pid file {}", path.display())).await
        }
    }
}

/// Holds a target against all other tests, for the time of this one.
async fn hold(inner: &Arc<Inner>, service: &str, what: &str) -> Result<(), Error> {
    let mut name = format!("{EXISTING}{what}");
    if name.len() > LONGEST_LEASE {
        // Two that end alike wait for each other, which does no harm.
        let mut from = name.len() - (LONGEST_LEASE - "..".len() - EXISTING.len());
        while !name.is_char_boundary(from) {
            from += 1;
        }
        name = format!("{EXISTING}..{}", &name[from..]);
    }
    let name = name.replace(|c: char| c.is_control(), "?");
    leases::take_existing(Arc::clone(inner), name, service).await
}
