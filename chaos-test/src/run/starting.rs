//! Starts a program as a service: ports, links, scratch folder, process, ready.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use crate::error::{Error, Kind};
use crate::system::Ledger;
use crate::system::ports::ReservedPort;
use crate::system::proxy;
use crate::system::service::Unit;
use crate::system::service::process::{Launch, ServiceProcess};

use super::inner::Inner;
use super::program::Program;
use super::program::placeholders::Filled;
use super::program::plan::Plan;
use super::reserving::Slot;
use super::service::{DEFAULT_PORT, Service, link_name};

/// The client's name of the link that everybody shares.
pub(super) const EVERYBODY: &str = "any";

pub(super) async fn process(
    inner: Arc<Inner>,
    slot: Slot,
    program: Program,
) -> Result<Service, Error> {
    let _call = inner.enter().await?;
    let name = slot.claim(&inner)?;
    let started = start(&inner, &name, &program).await;
    if started.is_err() {
        inner.world.forget_service(&name);
    }
    started
}

/// Starts a service whose name is taken for it.
async fn start(inner: &Arc<Inner>, name: &str, program: &Program) -> Result<Service, Error> {
    let failed = |error: Error| {
        Error::new(
            Kind::Service,
            format!("service `{name}` could not be started"),
        )
        .because(error)
    };
    let mut plan = program.plan();
    plan.take_ports(inner.world.linked_ports(name));
    let path = plan.find().map_err(failed)?;
    let ports = reserve(&plan).map_err(failed)?;
    let launch = launch(inner, name, &plan, path, ports).map_err(failed)?;
    let ledger = ledger(inner);
    let process = Arc::new(ServiceProcess::new(launch, Arc::downgrade(&ledger)));
    lead_reserved(inner, name, &process.endpoints())?;
    let unit: Arc<dyn Unit> = process.clone();
    inner.world.add_service(unit);
    let _going = inner.going(format!("waiting for {name} to be ready"));
    let started = tokio::select! {
        started = process.start() => started,
        ended = inner.until_ended() => Err(ended),
    };
    if let Err(error) = started.and_then(|()| process.check_supervisor()) {
        // Nobody has a handle to it: what was started ends now, not with the context.
        let _ = process.end(false).await;
        return Err(error);
    }
    in_front_of(inner, &*process).await
}

/// The handle of a unit that runs, with the links in front of it.
pub(super) async fn in_front_of(inner: &Arc<Inner>, unit: &dyn Unit) -> Result<Service, Error> {
    let links = open_links(inner, unit.name(), &unit.endpoints()).await?;
    Ok(Service {
        name: unit.name().into(),
        ports: links.into(),
        inner: Arc::clone(inner),
    })
}

/// Has the links that were reserved for a service lead to it: it may come to itself through
/// them before it is ready.
pub(super) fn lead_reserved(
    inner: &Inner,
    name: &str,
    endpoints: &[(u16, SocketAddr)],
) -> Result<(), Error> {
    let missing = inner.world.linked_ports(name).into_iter();
    let mut missing = missing.filter(|port| endpoints.iter().all(|(known, _)| known != port));
    if let Some(port) = missing.next() {
        let known: Vec<_> = endpoints
            .iter()
            .map(|(known, _)| match *known {
                DEFAULT_PORT => "one without a number".to_owned(),
                known => known.to_string(),
            })
            .collect();
        return Err(Error::new(
            Kind::Usage,
            format!(
                "port {port} was reserved for service `{name}`, which does not declare it; it has: \
                 {}",
                if known.is_empty() {
                    "none".to_owned()
                } else {
                    known.join(", ")
                }
            ),
        )
        .help("declare the port, or do not reserve it"));
    }
    inner.world.lead_to(name, endpoints);
    Ok(())
}

/// The links that everybody shares, by the ports of a service that runs: those that were
/// reserved, and new ones.
pub(super) async fn open_links(
    inner: &Inner,
    name: &str,
    endpoints: &[(u16, SocketAddr)],
) -> Result<Vec<(u16, proxy::Link)>, Error> {
    lead_reserved(inner, name, endpoints)?;
    let mut links = Vec::new();
    for &(known, address) in endpoints {
        let called = link_name(EVERYBODY, name, known);
        let link = match inner.world.link(&called) {
            Some(reserved) => reserved,
            None => {
                let link = inner.open_link(called, address)?;
                inner.world.add_link(name, known, link).await
            }
        };
        links.push((known, link));
    }
    Ok(links)
}

/// Where a service writes down what happens to it.
pub(super) fn ledger(inner: &Inner) -> Arc<dyn Ledger> {
    inner.recorder.clone()
}

/// A port of 127.0.0.1 for a service; any free one (0) or one in particular.
pub(super) fn reserve_port(wanted: u16) -> Result<ReservedPort, Error> {
    ReservedPort::new(wanted).map_err(|error| {
        if error.kind() == std::io::ErrorKind::AddrInUse {
            Error::new(
                Kind::Service,
                format!("port {wanted} of 127.0.0.1 is in use"),
            )
            .help(format!(
                "`ss -ltnp 'sport = :{wanted}'` shows by whom; declare the port with \
                 `.listens({wanted})` and `{{port}}` to have a free one chosen"
            ))
        } else {
            Error::new(Kind::Service, "no port could be reserved").because(error)
        }
    })
}

/// The log of a service, in a folder that is there.
pub(super) fn log_of(inner: &Inner, name: &str) -> Result<PathBuf, Error> {
    std::fs::create_dir_all(&inner.logs).map_err(|error| {
        Error::new(
            Kind::State,
            format!(
                "the folder for logs {} cannot be made",
                inner.logs.display()
            ),
        )
        .because(error)
    })?;
    Ok(inner.logs.join(format!("{name}.log")))
}

pub(super) fn check_name(name: &str) -> Result<(), Error> {
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.is_empty() || name.starts_with('.') || !name.chars().all(plain) {
        return Err(Error::new(
            Kind::Usage,
            format!("`{name}` cannot be a service's name: letters, digits, `-`, `_` and `.` can"),
        ));
    }
    Ok(())
}

fn reserve(plan: &Plan<'_>) -> Result<Vec<(u16, ReservedPort)>, Error> {
    plan.ports
        .iter()
        .map(|&(known, wanted)| Ok((known, reserve_port(wanted)?)))
        .collect()
}

fn launch(
    inner: &Arc<Inner>,
    name: &str,
    plan: &Plan<'_>,
    program: PathBuf,
    mut ports: Vec<(u16, ReservedPort)>,
) -> Result<Launch, Error> {
    let real: Vec<(u16, u16)> = ports
        .iter()
        .map(|(known, port)| (*known, port.port()))
        .collect();
    if !plan.keeps_ports() {
        ports.iter_mut().for_each(|(_, port)| port.release());
    }
    let folder = plan.folder()?;
    let scratch = if plan.needs_scratch() {
        Some(inner.make_scratch()?)
    } else {
        None
    };
    let filled = Filled {
        ports: &real,
        scratch: scratch.as_deref(),
    };
    Ok(Launch {
        name: name.to_owned(),
        // The gate may run in another folder than we do.
        program: std::path::absolute(&program).unwrap_or(program),
        args: plan.args(&filled)?,
        env: plan.env(&filled)?,
        folder,
        log: log_of(inner, name)?,
        limits: plan.limits(),
        token: format!("{}-{name}", inner.world.prefix),
        ports,
        supervised: plan.supervised(),
        ready: plan.ready().0,
        start_timeout: plan.start_timeout(),
        grace: plan.grace(),
    })
}
