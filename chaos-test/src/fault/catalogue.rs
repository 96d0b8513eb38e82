//! All faults in one table: it drives the shared contract test and the README's table.

use std::sync::Arc;

use crate::model::event::Risk;

use super::ErasedFault;
#[cfg(feature = "containers")]
use super::container;
use super::link::{self, Links};
use super::process::{self, ServiceName};
use crate::model::target::Target;
use crate::model::units::{kib, ms, percent};

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
/// assert_eq!(of_links[..3], ["link::latency", "link::down", "link::reset"]);
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
    Entry {
        name: "link::bandwidth",
        does: "carries so many bytes a second for each connection",
        parameters: "bytes a second, `.direction(Direction)`, `.share(Percent)`",
        lifting: "delivers at once what waits",
        risk: Risk::Low,
        example: |service| Arc::new(link::bandwidth(links(service), kib(1))),
    },
    Entry {
        name: "link::slow_close",
        does: "holds back the end of what passes",
        parameters: "delay, `.direction(Direction)`, `.share(Percent)`",
        lifting: "lets the ends go on",
        risk: Risk::Low,
        example: |service| Arc::new(link::slow_close(links(service), ms(50))),
    },
    Entry {
        name: "link::timeout",
        does: "loses what passes and keeps the connection open, or ends it after a time",
        parameters: "`.ends_after(Duration)`, `.direction(Direction)`, `.share(Percent)`",
        lifting: "ends what it met; new connections pass",
        risk: Risk::Low,
        example: |service| Arc::new(link::timeout(links(service))),
    },
    Entry {
        name: "link::slicer",
        does: "cuts what passes into small pieces",
        parameters: "average size in bytes, `.variation(u32)`, `.delay(Duration)`, `.direction(Direction)`, `.share(Percent)`",
        lifting: "sends the rest whole",
        risk: Risk::Low,
        example: |service| Arc::new(link::slicer(links(service), 8).delay(ms(20))),
    },
    Entry {
        name: "link::limit_data",
        does: "ends what passes after so many bytes",
        parameters: "bytes, `.direction(Direction)`, `.share(Percent)`",
        lifting: "new connections pass",
        risk: Risk::Low,
        example: |service| Arc::new(link::limit_data(links(service), 4)),
    },
    Entry {
        name: "link::corrupt",
        does: "flips one bit in a share of the bytes",
        parameters: "share of the bytes, `.direction(Direction)`, `.share(Percent)`",
        lifting: "bytes pass as they are",
        risk: Risk::Low,
        example: |service| Arc::new(link::corrupt(links(service), percent(20))),
    },
    Entry {
        name: "link::drop_chunks",
        does: "loses a share of the chunks",
        parameters: "share of the chunks, `.direction(Direction)`, `.share(Percent)`",
        lifting: "chunks pass",
        risk: Risk::Low,
        example: |service| Arc::new(link::drop_chunks(links(service), percent(100))),
    },
    Entry {
        name: "link::duplicate_chunks",
        does: "delivers a share of the chunks twice",
        parameters: "share of the chunks, `.direction(Direction)`, `.share(Percent)`",
        lifting: "chunks pass once",
        risk: Risk::Low,
        example: |service| Arc::new(link::duplicate_chunks(links(service), percent(100))),
    },
    Entry {
        name: "link::hang",
        does: "takes connections and answers nothing",
        parameters: "`.share(Percent)`",
        lifting: "everything goes on, nothing is lost",
        risk: Risk::Low,
        example: |service| Arc::new(link::hang(links(service))),
    },
    Entry {
        name: "link::accept_delay",
        does: "reaches the service only some time after a client has connected",
        parameters: "delay, `.share(Percent)`",
        lifting: "leads on at once who waits",
        risk: Risk::Low,
        example: |service| Arc::new(link::accept_delay(links(service), ms(50))),
    },
];

fn links(service: &str) -> Links {
    Links::of(Target::Service(service.to_owned()))
}
