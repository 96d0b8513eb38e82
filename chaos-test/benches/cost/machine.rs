//! Names the machine and the build that the figures are from.

use std::fs;
use std::path::Path;
use std::thread;

/// One line: processor, cores, kernel, file system, load, profile. What cannot be told is
/// left out.
pub(crate) fn described(folder: &Path) -> String {
    let cores = thread::available_parallelism().map_or(0, usize::from);
    let profile = if cfg!(debug_assertions) {
        "without optimization (`--profile dev`)"
    } else {
        "optimized"
    };
    let parts = [
        processor(),
        Some(format!("{cores} cores")),
        kernel(),
        file_system(folder),
        load(),
        Some(format!("built {profile}")),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn processor() -> Option<String> {
    let text = fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn kernel() -> Option<String> {
    let text = fs::read_to_string("/proc/sys/kernel/osrelease").ok()?;
    Some(format!("Linux {}", text.trim()))
}

/// The kind of the file system that journals are written to.
fn file_system(folder: &Path) -> Option<String> {
    let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
    mounts
        .lines()
        .filter_map(|line| {
            let mut words = line.split(' ').skip(1);
            let (place, kind) = (words.next()?, words.next()?);
            folder.starts_with(place).then_some((place.len(), kind))
        })
        .max_by_key(|(length, _)| *length)
        .map(|(_, kind)| kind.to_owned())
}

/// How many threads wanted a core in the last minute, ours included.
fn load() -> Option<String> {
    let text = fs::read_to_string("/proc/loadavg").ok()?;
    Some(format!("load {}", text.split(' ').next()?))
}
