//! Who a process is, so that nothing is ever done to a namesake.

use serde::{Deserialize, Serialize};

/// A process, told apart from every other one that had or will have the same number.
///
/// A process number alone is reused by the kernel. Together with the start time, the boot
/// and the process-number namespace it names one process for ever.
///
/// ```
/// use chaos_test::Journal;
///
/// /// Whether one process wrote both; equal numbers alone would not tell.
/// fn by_the_same_process(one: &Journal, other: &Journal) -> bool {
///     one.started.process == other.started.process
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ProcessIdentity {
    /// The process number, as seen in `namespace`.
    pub pid: u32,
    /// Start time in clock ticks since boot: field 22 of `/proc/<pid>/stat` (proc(5)).
    pub start_time: u64,
    /// `/proc/sys/kernel/random/boot_id`.
    pub boot_id: String,
    /// The inode of `/proc/self/ns/pid`.
    pub namespace: u64,
}
