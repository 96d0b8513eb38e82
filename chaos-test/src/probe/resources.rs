//! Samples of what services, the test's own process and the machine use.

use std::sync::Arc;

use super::Probe;
use crate::decide::rate::{Rate, rate};
use crate::model::resource::{Found, Resource, Total, Waited};
use crate::model::sample::Reading;
use crate::system::resources;
use crate::system::service::Unit;

/// A look at what something uses: the number is the sample's value, so
/// [`value`](crate::value) judges it.
///
/// Of a service that is a program, it is the sum over all its processes: those of its session, and
/// whatever else it has started. Of one in a container, it is what the engine says of that. A
/// sample of something that does not run is a failed one.
///
/// | | number | process | container | machine |
/// |---|---|---|---|---|
/// | `cpu` | cores in use: 1 is one core, fully used | yes | yes | yes |
/// | `memory` | bytes: resident ones of a process, where pages that several share count for each; of a container and the machine those that are not there for being given back (`docker stats` and `free` say the same) | yes | yes | yes |
/// | `disk_read`, `disk_written` | bytes per second that go to disks, and not only to the page cache | yes | yes | physical disks |
/// | `received`, `sent` | bytes per second over network interfaces | no: an error | yes | all but `lo` |
/// | `open_files` | open descriptors | yes | no: an error | yes |
/// | `threads` | threads | yes | yes | yes |
///
/// What is per second, `cpu` and pressure are rates: of the time since the sample before. So the
/// first sample has no number, neither has the first one after a restart. Where samples are closer
/// than 20 ms, the latest rate stands until it can be told anew. What a container engine counts
/// nothing of, such as the disk before there was any of it, has no number either.
///
/// A look at a program reads some files of `/proc` for each process of the machine that is younger
/// than it; one at a container is a request to its engine, which looks
/// once a second: a sample takes until then, and several get the same look.
///
/// ```no_run
/// # async fn body(chaos: &chaos_test::ChaosContext, shop: &chaos_test::Service) -> chaos_test::Result {
/// use chaos_test::prelude::*;
/// let memory = chaos.monitor(shop.memory().every(ms(50)));
/// memory.over(secs(5)).await?.expect(value().at_most(200e6)).check()?; // bytes
/// # Ok(()) }
/// ```
pub struct ResourceProbe {
    name: String,
    of: Of,
    what: Resource,
    /// The look before, and the rate that was told last.
    before: tokio::sync::Mutex<Option<(Total, Option<f64>)>>,
}

enum Of {
    Service(Arc<dyn Unit>),
    OwnProcess,
    Machine,
    /// Nothing any more, and why.
    Nothing(String),
}

impl std::fmt::Debug for ResourceProbe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ResourceProbe")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl ResourceProbe {
    fn new(name: String, of: Of, what: Resource) -> Self {
        Self {
            name,
            of,
            what,
            before: tokio::sync::Mutex::new(None),
        }
    }

    /// Of a service; the error says why there is none.
    pub(crate) fn of_service(
        name: &str,
        unit: Result<Arc<dyn Unit>, String>,
        what: Resource,
    ) -> Self {
        let of = unit.map_or_else(Of::Nothing, Of::Service);
        Self::new(format!("{name} {}", what.name()), of, what)
    }

    async fn look(&self) -> Result<Option<f64>, String> {
        let found = match &self.of {
            Of::Service(unit) => resources::of_service(&**unit, self.what).await,
            Of::OwnProcess => resources::of_own_process(self.what).await,
            Of::Machine => resources::of_machine(self.what).await,
            Of::Nothing(why) => Err(why.clone()),
        };
        let mut before = self.before.lock().await;
        let now = match found {
            Ok(Found::Total(now)) => now,
            Ok(Found::Level(level)) => return Ok(Some(level)),
            #[cfg(feature = "containers")]
            Ok(Found::Nothing) => return Ok(None),
            Err(why) => {
                *before = None;
                return Err(why);
            }
        };
        let rate = before.as_ref().map(|(before, _)| rate(before, &now));
        let told = match rate {
            Some(Rate::TooSoon) => return Ok(before.as_ref().and_then(|(_, told)| *told)),
            Some(Rate::Of(rate)) => Some(rate),
            Some(Rate::Anew) | None => None,
        };
        *before = Some((now, told));
        Ok(told)
    }
}

impl Probe for ResourceProbe {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn service(&self) -> Option<&str> {
        match &self.of {
            Of::Service(unit) => Some(unit.name()),
            Of::OwnProcess | Of::Machine | Of::Nothing(_) => None,
        }
    }

    fn unusable(&self) -> Option<String> {
        match &self.of {
            Of::Service(unit) => resources::why_never(&**unit, self.what),
            Of::OwnProcess => resources::why_never_own(self.what),
            Of::Machine => resources::why_never_machine(self.what),
            Of::Nothing(why) => Some(why.clone()),
        }
    }

    fn makes_requests(&self) -> bool {
        false
    }

    async fn sample(&self) -> Reading {
        match self.look().await {
            Ok(number) => Reading::Good(number),
            Err(why) => Reading::Bad(why),
        }
    }
}

/// The machine that the test runs on, with everything else that runs there.
///
/// ```no_run
/// # async fn body(chaos: &chaos_test::ChaosContext) -> chaos_test::Result {
/// use chaos_test::prelude::*;
/// use chaos_test::{MAX, resources};
/// let memory = chaos.monitor(resources::machine().memory_share().every(ms(200)));
/// memory.over(secs(5)).await?.expect(value().at(MAX).at_most(0.9)).check()?;
/// # Ok(()) }
/// ```
pub fn machine() -> Machine {
    Machine(())
}

/// The process of the test itself, with the services that run in it.
///
/// ```no_run
/// # async fn body(chaos: &chaos_test::ChaosContext) -> chaos_test::Result {
/// use chaos_test::prelude::*;
/// use chaos_test::resources;
/// let memory = chaos.monitor(resources::own_process().memory().every(ms(200)));
/// chaos.abort_if(value().above(2e9).of("own process memory"));
/// # Ok(()) }
/// ```
pub fn own_process() -> OwnProcess {
    OwnProcess(())
}

/// See [`machine`].
#[derive(Debug, Clone, Copy)]
#[must_use = "say what is to be looked at"]
pub struct Machine(());

/// See [`own_process`].
#[derive(Debug, Clone, Copy)]
#[must_use = "say what is to be looked at"]
pub struct OwnProcess(());

macro_rules! looks {
    ($of:expr, $called:literal: $($(#[$doc:meta])* $name:ident => $what:expr;)*) => {$(
        $(#[$doc])*
        #[must_use]
        pub fn $name(self) -> ResourceProbe {
            let what = $what;
            ResourceProbe::new(format!("{} {}", $called, what.name()), $of, what)
        }
    )*};
}

impl Machine {
    looks! { Of::Machine, "machine":
        /// How many cores are busy.
        cpu => Resource::Cpu;
        /// The share of all cores that is busy, from 0 to 1.
        cpu_share => Resource::CpuShare;
        /// Bytes of memory that are not available.
        memory => Resource::Memory;
        /// The share of the memory that is not available, from 0 to 1.
        memory_share => Resource::MemoryShare;
        /// Bytes per second that are read from physical disks.
        disk_read => Resource::DiskRead;
        /// Bytes per second that are written to physical disks.
        disk_written => Resource::DiskWritten;
        /// Bytes per second that are received over all network interfaces but `lo`.
        received => Resource::Received;
        /// Bytes per second that are sent over all network interfaces but `lo`.
        sent => Resource::Sent;
        /// Files that are open, of all processes.
        open_files => Resource::OpenFiles;
        /// Threads, of all processes.
        threads => Resource::Threads;
        /// The share of time, from 0 to 1, in which something waited for a core (the line `some`
        /// of `/proc/pressure/cpu`). An error where the kernel does not count that.
        cpu_pressure => Resource::Pressure(Waited::Cpu);
        /// The share of time, from 0 to 1, in which something waited for memory.
        memory_pressure => Resource::Pressure(Waited::Memory);
        /// The share of time, from 0 to 1, in which something waited for input or output.
        io_pressure => Resource::Pressure(Waited::Io);
    }
}

impl OwnProcess {
    looks! { Of::OwnProcess, "own process":
        /// How many cores it uses.
        cpu => Resource::Cpu;
        /// Its resident memory in bytes.
        memory => Resource::Memory;
        /// Bytes per second that it reads from disks, with what ended children of it have read.
        disk_read => Resource::DiskRead;
        /// Bytes per second that it writes to disks, with what ended children of it have written.
        disk_written => Resource::DiskWritten;
        /// Its open descriptors.
        open_files => Resource::OpenFiles;
        /// Its threads.
        threads => Resource::Threads;
    }
}
