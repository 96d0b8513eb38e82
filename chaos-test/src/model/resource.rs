//! What can be measured of a process, a container or the machine, and how much there was of it.

use std::collections::BTreeMap;
use std::time::Duration;

/// One thing that can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Resource {
    /// Processor time per time: 1 is one core, fully used.
    Cpu,
    /// As [`Cpu`](Self::Cpu), as a share of all cores.
    CpuShare,
    /// Bytes.
    Memory,
    /// Memory as a share of all that there is.
    MemoryShare,
    /// Bytes per second, as are the next three.
    DiskRead,
    DiskWritten,
    Received,
    Sent,
    OpenFiles,
    Threads,
    /// The share of time in which something waited for it.
    Pressure(Waited),
}

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Waited {
    Cpu,
    Memory,
    Io,
}

impl Resource {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::CpuShare => "cpu share",
            Self::Memory => "memory",
            Self::MemoryShare => "memory share",
            Self::DiskRead => "disk read",
            Self::DiskWritten => "disk written",
            Self::Received => "received",
            Self::Sent => "sent",
            Self::OpenFiles => "open files",
            Self::Threads => "threads",
            Self::Pressure(Waited::Cpu) => "cpu pressure",
            Self::Pressure(Waited::Memory) => "memory pressure",
            Self::Pressure(Waited::Io) => "io pressure",
        }
    }
}

/// What one look found.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Found {
    /// So much at the moment.
    Level(f64),
    /// So much since some beginning.
    Total(Total),
    /// Its engine says nothing of it, neither that there is some nor that there is none.
    #[cfg(feature = "containers")]
    Nothing,
}

/// What has been counted up to an instant.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Total {
    /// Which counter it is: what is started anew counts from zero again.
    pub(crate) of: String,
    /// Since any beginning, always the same one.
    pub(crate) at: Duration,
    pub(crate) amount: f64,
    /// The parts of those that did it themselves, by who they are; empty where nobody knows.
    pub(crate) own: BTreeMap<(u32, u64), f64>,
}
