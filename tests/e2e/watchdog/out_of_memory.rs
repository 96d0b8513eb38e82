//! The kernel kills a test for want of memory. Its watchdog is in the same group of processes,
//! as it is in a container, and has to outlive that.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use chaos_test::Error;
use chaos_test::prelude::*;
use chaos_test_fixtures::rerun::Rerun;
use rustix::process::{Signal, kill_process};

use super::{READY, break_all, put_back, rustix_pid};
use crate::subjects::say;
use crate::victims::runs;

/// Names a group to a child, or says why there is none.
const GROUP: &str = "OUT_OF_MEMORY_GROUP";
const WHY_NOT: &str = "OUT_OF_MEMORY_WHY_NOT";
/// How a line begins that the library says about a test it skips.
const SKIPPED: &str = "chaos-test: SKIPPED ";
/// What the group may have: much for the services and the watchdog, little for who eats it up.
const LIMIT: usize = 64 << 20;
const BITE: usize = 1 << 20;

#[chaos_test(requires(root))]
#[ignore = "another test runs it as a child"]
async fn it_runs_out_of_memory(chaos: &ChaosContext) -> chaos_test::Result {
    if let Ok(why) = std::env::var(WHY_NOT) {
        let why = format!("no group of processes with little memory can be made: {why}");
        return Err(Error::skip(why).into());
    }
    // Before its first step, so that its watchdog is in there, too.
    let group = PathBuf::from(std::env::var(GROUP)?);
    fs::write(group.join("cgroup.procs"), std::process::id().to_string())?;
    let eat = async || {
        let mut eaten = Vec::new();
        // More than there is, in case that nobody stops it.
        while eaten.len() < 4 * LIMIT / BITE {
            eaten.push(std::hint::black_box(vec![1_u8; BITE]));
        }
        say("nobody has stopped it");
    };
    break_all(chaos, eat).await
}

/// A group of processes with little memory (cgroups(7)), of either version. It is removed with
/// this.
struct Group {
    path: PathBuf,
    /// Where the kernel counts whom it killed.
    events: &'static str,
}

impl Group {
    /// Below the group of this process, or next to it: version 2 allows no processes beside
    /// groups with limits.
    fn new() -> Result<Self, String> {
        let (root, own, version) = hierarchy().ok_or("the kernel offers no memory groups")?;
        let mut why = String::new();
        for above in Path::new(&own).ancestors() {
            let above = root.join(above.strip_prefix("/").unwrap_or(above));
            let path = above.join(format!("chaos-test-{}", std::process::id()));
            if let Err(error) = fs::create_dir(&path) {
                why = format!("{}: {error}", path.display());
                continue;
            }
            let group = Self {
                path,
                events: version.events,
            };
            match fs::write(group.path.join(version.limit), LIMIT.to_string()) {
                Ok(()) => {
                    // A file of a kernel that can swap; then this must not help.
                    let (swap, limit) = version.swap;
                    let _ = fs::write(group.path.join(swap), limit.to_string());
                    return Ok(group);
                }
                Err(error) => why = format!("{}: {error}", version.limit),
            }
        }
        Err(why)
    }

    fn killed(&self) -> u32 {
        let events = fs::read_to_string(self.path.join(self.events)).unwrap();
        let killed = events
            .lines()
            .find_map(|line| line.strip_prefix("oom_kill "));
        killed.expect("the kernel counts them").parse().unwrap()
    }

    fn processes(&self) -> Vec<u32> {
        let processes = fs::read_to_string(self.path.join("cgroup.procs")).unwrap_or_default();
        let processes = processes.lines();
        processes.map(|line| line.parse().unwrap()).collect()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let end = Instant::now() + Duration::from_secs(10);
        // A process counts until somebody has asked how it ended.
        while let Err(error) = fs::remove_dir(&self.path) {
            // Only where the test failed is there anybody who does not end.
            for pid in self.processes() {
                let _ = kill_process(rustix_pid(pid), Signal::KILL);
            }
            if Instant::now() > end {
                say(&format!("{} is left: {error}", self.path.display()));
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// What the files of a version are called.
struct Version {
    limit: &'static str,
    swap: (&'static str, usize),
    events: &'static str,
}

/// Where memory groups are, and which one this process is in.
fn hierarchy() -> Option<(PathBuf, String, Version)> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let group_of = |wanted: &str| {
        groups.lines().find_map(|line| {
            let (_, line) = line.split_once(':')?;
            let (controllers, path) = line.split_once(':')?;
            let found = controllers.split(',').any(|name| name == wanted);
            found.then(|| path.to_owned())
        })
    };
    if let Some(own) = group_of("memory") {
        let version = Version {
            limit: "memory.limit_in_bytes",
            // Both together.
            swap: ("memory.memsw.limit_in_bytes", LIMIT),
            events: "memory.oom_control",
        };
        return Some(("/sys/fs/cgroup/memory".into(), own, version));
    }
    let version = Version {
        limit: "memory.max",
        swap: ("memory.swap.max", 0),
        events: "memory.events",
    };
    Some(("/sys/fs/cgroup".into(), group_of("")?, version))
}

#[test]
fn what_a_test_leaves_that_ran_out_of_memory_is_put_back_by_its_watchdog() {
    let group = Group::new();
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), "sound").unwrap();
    let child = Rerun::of("watchdog::out_of_memory::it_runs_out_of_memory");
    let child = match &group {
        Ok(group) => child.env(GROUP, &group.path),
        Err(why) => child.env(WHY_NOT, why),
    };
    let mut child = child.env("WATCHDOG_FILE", file.path()).start();
    if !child.prints_before(READY, SKIPPED) {
        // It says why, and fails where nothing may be skipped.
        let ended = child.wait();
        let output = ended.output();
        assert!(ended.status.success(), "{output}");
        let skipped = output.lines().find(|line| line.contains(SKIPPED));
        return say(skipped.unwrap_or_default());
    }
    let group = group.expect("it was not skipped");
    let ended = child.wait();
    assert_eq!(ended.status.signal(), Some(9), "{}", ended.output());
    // The test and nobody else: what eats least is spared.
    assert_eq!(group.killed(), 1, "{}", ended.output());
    put_back(&ended, file.path());
    let left: Vec<_> = group
        .processes()
        .into_iter()
        .filter(|pid| runs(*pid))
        .collect();
    assert!(left.is_empty(), "{left:?}");
    let path = group.path.clone();
    drop(group);
    assert!(!path.exists(), "{} is left", path.display());
}
