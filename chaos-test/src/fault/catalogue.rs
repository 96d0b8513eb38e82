//! All faults in one table: it drives the shared contract test and the README's table.

use std::sync::Arc;

use crate::error::Error;
use crate::model::event::Risk;
use crate::run::{ChaosContext, Injection, Service};

use super::{ErasedFault, link, process};
use crate::model::units::ms;

/// One fault of the library, as documentation names it.
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
    example: fn(&Service) -> Arc<dyn ErasedFault>,
}

impl Entry {
    /// Injects it with usual parameters: for tests that go through all faults.
    ///
    /// # Errors
    ///
    /// Those of [`ChaosContext::inject`].
    pub async fn inject(
        &self,
        chaos: &ChaosContext,
        service: &Service,
    ) -> Result<Injection, Error> {
        chaos.inject_erased((self.example)(service)).await
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
pub const CATALOGUE: &[Entry] = &[
    Entry {
        name: "process::kill",
        does: "ends the process group with a signal, SIGKILL by default",
        parameters: "`.with(Signal)`",
        lifting: "starts it again, waits until it is ready",
        risk: Risk::Medium,
        example: |service| Arc::new(process::kill(service)),
    },
    Entry {
        name: "process::stop",
        does: "stops the process group (SIGSTOP): it is there and answers nothing",
        parameters: "",
        lifting: "continues it",
        risk: Risk::Medium,
        example: |service| Arc::new(process::stop(service)),
    },
    Entry {
        name: "process::restart",
        does: "ends the process as a deployment does and starts it again",
        parameters: "`.down_for(Duration)`",
        lifting: "waits until it is ready",
        risk: Risk::Medium,
        example: |service| Arc::new(process::restart(service).down_for(ms(50))),
    },
    Entry {
        name: "process::hang_at_start",
        does: "restarts the process so that it hangs before its first instruction",
        parameters: "",
        lifting: "lets it go on, waits until it is ready",
        risk: Risk::Medium,
        example: |service| Arc::new(process::hang_at_start(service)),
    },
    Entry {
        name: "link::latency",
        does: "delays what passes through, on open connections too",
        parameters: "delay, `.jitter(Duration)`, `.direction(Direction)`",
        lifting: "delivers at once what is under way",
        risk: Risk::Low,
        example: |service| Arc::new(link::latency(service, ms(50))),
    },
    Entry {
        name: "link::down",
        does: "resets every open connection, and each new one as soon as it is accepted",
        parameters: "",
        lifting: "new connections pass",
        risk: Risk::Low,
        example: |service| Arc::new(link::down(service)),
    },
    Entry {
        name: "link::reset",
        does: "resets open connections at once, and new ones when they carry data (TCP RST)",
        parameters: "`.after(Duration)`, `.direction(Direction)`",
        lifting: "new connections pass",
        risk: Risk::Low,
        example: |service| Arc::new(link::reset(service)),
    },
];
