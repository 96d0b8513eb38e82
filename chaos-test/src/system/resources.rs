//! Looks at what processes, services and the machine use, as `/proc` says (proc(5)).
//!
//! It only reads, and never estimates: what cannot be read is an error with the file's name.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use super::service::Unit;
use super::spawner::Spawner;
use super::{hook, identity, process::ProcessState};
use crate::model::resource::{Found, Resource, Total, Waited};

/// The kernel's unit for processor time in `/proc`, on all that Linux runs on today.
const TICKS_PER_SECOND: f64 = 100.0;
/// How the kernel counts disk sectors, whatever the disk's own are.
const SECTOR: f64 = 512.0;

/// Why nothing can ever be said of a service's resource, whatever state it is in.
pub(crate) fn why_never(unit: &dyn Unit, what: Resource) -> Option<String> {
    let name = unit.name();
    #[cfg(feature = "containers")]
    if unit.as_container().is_ok() {
        return (what == Resource::OpenFiles).then(|| {
            format!("the container engine does not tell the open files of service `{name}`")
        });
    }
    match unit.as_process() {
        Ok(process) if process.is_in_test() => Some(format!(
            "service `{name}` runs in the test's own process, which does not tell whose {} it is; \
             look at `resources::own_process()`, or make it a program of its own",
            what.name()
        )),
        Ok(_) if is_network(what) => Some(NO_NETWORK.to_owned()),
        Ok(_) => None,
        Err(why) => Some(why.to_string()),
    }
}

/// Why nothing can ever be said of the test's own process.
pub(crate) fn why_never_own(what: Resource) -> Option<String> {
    is_network(what).then(|| NO_NETWORK.to_owned())
}

/// Why nothing can ever be said of the machine.
pub(crate) fn why_never_machine(what: Resource) -> Option<String> {
    let Resource::Pressure(waited) = what else {
        return None;
    };
    let path = pressure_file(waited);
    fs::read_to_string(path).err().map(|error| {
        format!("{path} cannot be read, so the kernel has no pressure stall information: {error}")
    })
}

const NO_NETWORK: &str = "a process has no network of its own that could be counted; look at the \
                          traffic of its links, or have it run in a container";

fn is_network(what: Resource) -> bool {
    matches!(what, Resource::Received | Resource::Sent)
}

/// Looks at a service.
///
/// # Errors
///
/// Why nothing can be said of it now: it does not run, or something cannot be read.
pub(crate) async fn of_service(unit: &dyn Unit, what: Resource) -> Result<Found, String> {
    #[cfg(feature = "containers")]
    if let Ok(container) = unit.as_container() {
        return container.uses(what).await;
    }
    let process = unit.as_process().map_err(|error| error.to_string())?;
    match process.state() {
        ProcessState::Gone => return Err("it is not running".to_owned()),
        ProcessState::HeldAtStart => return Err("it is held at its start".to_owned()),
        ProcessState::Running | ProcessState::Stopped => {}
    }
    let leader = process.identity().ok_or("it is not running")?;
    let members = process.members();
    if members.is_empty() {
        return Err("it is not running".to_owned());
    }
    let of = format!("{} {}", leader.pid, leader.start_time);
    // A scan of /proc takes milliseconds on a big machine.
    blocking(move || of_processes(of, &members, what, true)).await
}

/// Looks at the test's own process.
pub(crate) async fn of_own_process(what: Resource) -> Result<Found, String> {
    let own = [std::process::id()];
    blocking(move || of_processes(String::new(), &own, what, false)).await
}

/// Looks at the machine.
pub(crate) async fn of_machine(what: Resource) -> Result<Found, String> {
    blocking(move || machine(what)).await
}

async fn blocking(
    look: impl FnOnce() -> Result<Found, String> + Send + 'static,
) -> Result<Found, String> {
    let looked = Spawner::here().spawn_blocking(look).await;
    looked.unwrap_or_else(|error| Err(error.to_string()))
}

/// What some processes use, all together.
fn of_processes(
    of: String,
    pids: &[u32],
    what: Resource,
    with_children: bool,
) -> Result<Found, String> {
    let mut own = BTreeMap::new();
    let mut sum = 0.0;
    let mut running = 0;
    for &pid in pids {
        // One that has just ended uses nothing.
        let Some(stat) = gone_is_none(read(&format!("/proc/{pid}/stat")))? else {
            continue;
        };
        let has_ended = has_ended(&stat);
        // It has counted until its end; it holds nothing any more.
        if has_ended && !is_counted(what) {
            continue;
        }
        let Some(used) = gone_is_none(of_process(pid, &stat, what))? else {
            continue;
        };
        sum += used;
        running += usize::from(!has_ended);
        if what == Resource::Cpu {
            let start = identity::stat(pid).map_or(0, |stat| stat.start_time);
            own.insert((pid, start), used);
            if with_children {
                sum += (stat_field(&stat, 13) + stat_field(&stat, 14)) / TICKS_PER_SECOND;
            }
        }
    }
    // All that were there when they were listed have ended since: that is not using nothing.
    if running == 0 {
        return Err("it is not running".to_owned());
    }
    Ok(if is_counted(what) {
        total(of, Instant::now(), sum, own)
    } else {
        Found::Level(sum)
    })
}

fn is_counted(what: Resource) -> bool {
    matches!(
        what,
        Resource::Cpu | Resource::DiskRead | Resource::DiskWritten
    )
}

/// Whether it has ended and was not waited for, from its `stat`.
fn has_ended(stat: &str) -> bool {
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
    fields.trim_start().starts_with(['Z', 'X', 'x'])
}

fn of_process(pid: u32, stat: &str, what: Resource) -> io::Result<f64> {
    let file = |name: &str| read(&format!("/proc/{pid}/{name}"));
    Ok(match what {
        Resource::Cpu => match hook::cpu_time_of(pid) {
            Some(time) => time.as_secs_f64(),
            None => (stat_field(stat, 11) + stat_field(stat, 12)) / TICKS_PER_SECOND,
        },
        Resource::Memory => resident(&file("status")?)? * 1024.0,
        Resource::Threads => stat_field(stat, 17),
        Resource::DiskRead => needed(&file("io")?, "read_bytes:")?,
        Resource::DiskWritten => needed(&file("io")?, "write_bytes:")?,
        Resource::OpenFiles => {
            let path = format!("/proc/{pid}/fd");
            let entries = fs::read_dir(&path).map_err(|error| named(&path, &error))?;
            let open = entries.count() as f64;
            // It closes them at its end, where it has no memory any more.
            resident(&file("status")?)?;
            open
        }
        _ => {
            return Err(io::Error::other(format!(
                "a process has no {}",
                what.name()
            )));
        }
    })
}

/// The resident memory of a process in KiB; one that is at its end has none, and is gone.
fn resident(status: &str) -> io::Result<f64> {
    field(status, "VmRSS:").ok_or_else(|| io::ErrorKind::NotFound.into())
}

fn machine(what: Resource) -> Result<Found, String> {
    let look = || -> io::Result<Found> {
        Ok(match what {
            Resource::Cpu => counted(busy(&read("/proc/stat")?)),
            Resource::CpuShare => {
                let cores = std::thread::available_parallelism().map_or(1, usize::from);
                let cores = cores_of(&read("/proc/stat")?).unwrap_or(cores);
                counted(busy(&read("/proc/stat")?) / cores as f64)
            }
            Resource::Memory | Resource::MemoryShare => {
                let text = read("/proc/meminfo")?;
                let all = needed(&text, "MemTotal:")?;
                let used = all - needed(&text, "MemAvailable:")?;
                Found::Level(match what {
                    Resource::Memory => used * 1024.0,
                    _ => used / all,
                })
            }
            Resource::DiskRead => counted(disks(&read("/proc/diskstats")?, 5, is_disk) * SECTOR),
            Resource::DiskWritten => counted(disks(&read("/proc/diskstats")?, 9, is_disk) * SECTOR),
            Resource::Received => counted(interfaces(&read("/proc/net/dev")?, 0)),
            Resource::Sent => counted(interfaces(&read("/proc/net/dev")?, 8)),
            Resource::OpenFiles => {
                let text = read("/proc/sys/fs/file-nr")?;
                Found::Level(number(text.split_whitespace().next()))
            }
            Resource::Threads => {
                let text = read("/proc/loadavg")?;
                let threads = text.split_whitespace().nth(3);
                Found::Level(number(threads.and_then(|two| two.split('/').nth(1))))
            }
            Resource::Pressure(waited) => {
                let text = read(pressure_file(waited))?;
                counted(stalled(&text).ok_or_else(|| io::Error::other("it has no total"))? / 1e6)
            }
        })
    };
    look().map_err(|error| error.to_string())
}

fn pressure_file(waited: Waited) -> &'static str {
    match waited {
        Waited::Cpu => "/proc/pressure/cpu",
        Waited::Memory => "/proc/pressure/memory",
        Waited::Io => "/proc/pressure/io",
    }
}

fn counted(amount: f64) -> Found {
    total(String::new(), Instant::now(), amount, BTreeMap::new())
}

/// What was counted up to an instant.
pub(super) fn total(of: String, at: Instant, amount: f64, own: BTreeMap<(u32, u64), f64>) -> Found {
    static BEGAN: OnceLock<Instant> = OnceLock::new();
    let at: Duration = at.saturating_duration_since(*BEGAN.get_or_init(|| at));
    Found::Total(Total {
        of,
        at,
        amount,
        own,
    })
}

fn read(path: &str) -> io::Result<String> {
    // A process's name in `stat` need not be text.
    let bytes = fs::read(path).map_err(|error| named(path, &error))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn named(path: &str, error: &io::Error) -> io::Error {
    let gone = error.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error());
    let kind = if gone {
        io::ErrorKind::NotFound
    } else {
        error.kind()
    };
    io::Error::new(kind, format!("{path} cannot be read: {error}"))
}

fn gone_is_none<T>(looked: io::Result<T>) -> Result<Option<T>, String> {
    match looked {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.to_string()),
    }
}

/// A field of `stat`, counted from the one after the name.
fn stat_field(stat: &str, place: usize) -> f64 {
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
    number(fields.split_whitespace().nth(place))
}

fn number(word: Option<&str>) -> f64 {
    word.and_then(|word| word.parse().ok()).unwrap_or(0.0)
}

/// The number after a name at the begin of a line.
fn field(text: &str, name: &str) -> Option<f64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    rest.split_whitespace().next()?.parse().ok()
}

fn needed(text: &str, name: &str) -> io::Result<f64> {
    field(text, name).ok_or_else(|| io::Error::other(format!("there is no `{name}` in it")))
}

/// The seconds that all cores together were busy, from `/proc/stat`.
fn busy(text: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix("cpu "));
    let ticks: Vec<f64> = line
        .unwrap_or_default()
        .split_whitespace()
        .map(|word| number(Some(word)))
        .collect();
    // user, nice, system, (idle, iowait,) irq, softirq, steal. Guests are in user already.
    let busy = [0, 1, 2, 5, 6, 7]
        .into_iter()
        .filter_map(|at| ticks.get(at));
    busy.sum::<f64>() / TICKS_PER_SECOND
}

fn cores_of(text: &str) -> Option<usize> {
    let cores = text.lines().filter(|line| {
        let rest = line.strip_prefix("cpu");
        rest.is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_digit()))
    });
    Some(cores.count()).filter(|cores| *cores > 0)
}

/// The sum of a column of `/proc/diskstats` over whole disks: what goes to a partition or a
/// mapped device goes to its disk, and would count twice.
fn disks(text: &str, column: usize, is_disk: impl Fn(&str) -> bool) -> f64 {
    text.lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .filter(|words| words.get(2).is_some_and(|name| is_disk(name)))
        .map(|words| number(words.get(column).copied()))
        .sum()
}

fn is_disk(name: &str) -> bool {
    Path::new("/sys/block").join(name).join("device").exists()
}

/// The sum of a column of `/proc/net/dev` over all interfaces but the machine's own.
fn interfaces(text: &str, column: usize) -> f64 {
    text.lines()
        .filter_map(|line| line.split_once(':'))
        .filter(|(name, _)| name.trim() != "lo")
        .map(|(_, numbers)| number(numbers.split_whitespace().nth(column)))
        .sum()
}

/// The microseconds for which something waited, from a file of `/proc/pressure`.
fn stalled(text: &str) -> Option<f64> {
    let some = text.lines().find(|line| line.starts_with("some "))?;
    let total = some
        .split_whitespace()
        .find_map(|word| word.strip_prefix("total="))?;
    total.parse().ok()
}

#[cfg(test)]
mod tests;
