//! All faults in one table: it drives the shared contract test and the README's table.

use std::sync::Arc;

use crate::model::event::Risk;

use super::ErasedFault;
#[cfg(feature = "containers")]
use super::container;
use super::link::{self, Links};
use super::process::{self, ServiceName};
use crate::model::target::Target;
use crate::model::units::ms;

/// One fault of the library, as documentation names it.
///
/// See [`CATALOGUE`] for an example.
#[non_exhaustive]
pub struct Entry {
    /// Its path, without the crate: `process::kill`.
    pub name: &'static str,
    /// What it does, in one sentence.
    pub does: &'static str,
    /// Its parameters with their units.
    pub parameters: &'static str,
    /// What lifting it does.
    pub lifting: &'static str,
    /// Its risk class.
    pub risk: Risk,
    /// One with usual parameters, on a service.
    pub(crate) example: fn(&str) -> Arc<dyn ErasedFault>,
}

impl Entry {
    /// What kind of thing it acts on: the first part of its name, such as `process` or
    /// `link`.
    #[must_use]
    pub fn family(&self) -> &'static str {
        self.name.split("::").next().unwrap_or_default()
    }
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Entry")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// All faults, in the order in which documentation shows them.
///
/// ```
/// let of_links: Vec<_> = chaos_test::CATALOGUE
///     .iter()
///     .filter(|entry| entry.family() == "link")
///     .map(|entry| entry.name)
///     .collect();
/// assert_eq!(of_links, ["link::latency", "link::down", "link::reset"]);
/// ```
pub const CATALOGUE: &[Entry] = &[
    Entry {
        name: "process::kill",
        does: "ends the processes of a service with a signal, SIGKILL by default",
        parameters: "`.with(Signal)`",
        lifting: "starts it again, waits until it is ready",
        risk: Risk::Medium,
        example: |service| Arc::new(process::kill(ServiceName::new(service))),
    },
    Entry {
        name: "process::stop",
        does: "stops the process group (SIGSTOP): it is there and answers nothing",
        parameters: "",
        lifting: "continues it",
        risk: Risk::Medium,
        example: |service| Arc::new(process::stop(ServiceName::new(service))),
    },
    Entry {
        name: "process::restart",
        does: "ends the process as a deployment does and starts it again",
        parameters: "`.down_for(Duration)`",
        lifting: "waits until it is ready",
        risk: Risk::Medium,
        example: |service| Arc::new(process::restart(ServiceName::new(service)).down_for(ms(50))),
    },
    Entry {
        name: "process::hang_at_start",
        does: "restarts the process so that it hangs before its first instruction",
        parameters: "",
        lifting: "lets it go on, waits until it is ready",
        risk: Risk::Medium,
        example: |service| Arc::new(process::hang_at_start(ServiceName::new(service))),
    },
    #[cfg(feature = "containers")]
    Entry {
        name: "container::kill",
        does: "ends the container of a service with a signal, SIGKILL by default",
        parameters: "`.with(Signal)`",
        lifting: "starts the same container again, waits until it is ready",
        risk: Risk::Medium,
        example: |service| Arc::new(container::kill(ServiceName::new(service))),
    },
    #[cfg(feature = "containers")]
    Entry {
        name: "container::stop",
        does: "ends the container in order: its stop signal, SIGKILL after a grace period",
        parameters: "`.grace(Duration)`",
        lifting: "starts the same container again, waits until it is ready",
        risk: Risk::Medium,
        example: |service| Arc::new(container::stop(ServiceName::new(service))),
    },
    #[cfg(feature = "containers")]
    Entry {
        name: "container::pause",
        does: "freezes the container: it is there and answers nothing",
        parameters: "",
        lifting: "has it go on",
        risk: Risk::Medium,
        example: |service| Arc::new(container::pause(ServiceName::new(service))),
    },
    #[cfg(feature = "containers")]
    Entry {
        name: "container::restart",
        does: "ends the container in order and starts it again",
        parameters: "`.down_for(Duration)`",
        lifting: "waits until it is ready",
        risk: Risk::Medium,
        example: |service| Arc::new(container::restart(ServiceName::new(service)).down_for(ms(50))),
    },
    #[cfg(feature = "containers")]
    Entry {
        name: "container::disconnect",
        does: "takes the container out of its network; it runs on",
        parameters: "",
        lifting: "puts it back under its aliases and its address",
        risk: Risk::Medium,
        example: |service| Arc::new(container::disconnect(ServiceName::new(service))),
    },
    Entry {
        name: "link::latency",
        does: "delays what passes through, on open connections too",
        parameters: "delay, `.jitter(Duration)`, `.direction(Direction)`, `.share(Percent)`",
        lifting: "delivers at once what is under way",
        risk: Risk::Low,
        example: |service| Arc::new(link::latency(links(service), ms(50))),
    },
    Entry {
        name: "link::down",
        does: "resets every open connection, and each new one as soon as it is accepted",
        parameters: "`.share(Percent)`",
        lifting: "new connections pass",
        risk: Risk::Low,
        example: |service| Arc::new(link::down(links(service))),
    },
    Entry {
        name: "link::reset",
        does: "resets open connections at once, and new ones when they carry data (TCP RST)",
        parameters: "`.after(Duration)`, `.direction(Direction)`, `.share(Percent)`",
        lifting: "new connections pass",
        risk: Risk::Low,
        example: |service| Arc::new(link::reset(links(service))),
    },
];

fn links(service: &str) -> Links {
    Links::of(Target::Service(service.to_owned()))
}
