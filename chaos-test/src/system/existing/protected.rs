//! What no test may break, whatever it names: itself, what it runs under, and what puts things
//! back.

use std::io;

use crate::model::identity::ProcessIdentity;
use crate::system::aside::aside;
use crate::system::identity;
use crate::system::process::TOKEN;

/// The parts of container engines, by the names that the kernel has of them (15 bytes).
const ENGINES: [&str; 24] = [
    "aardvark-dns",
    "buildkitd",
    "catatonit",
    "conmon",
    "conmonrs",
    "containerd",
    "containerd-shim",
    "containerd-stargz-grpc",
    "crio",
    "crun",
    "docker-init",
    "docker-proxy",
    "dockerd",
    "fuse-overlayfs",
    "kubelet",
    "netavark",
    "pasta",
    "pasta.avx2",
    "podman",
    "rootlesskit",
    "rootlessport",
    "runc",
    "slirp4netns",
    "vpnkit",
];

/// Beginnings of such names, which have more behind them.
const ENGINES_BEGIN: [&str; 3] = ["rootlesskit-", "rootlessport-", "buildkit-"];

/// Why nobody may break a process or what it has started, all of which a fault on it hits; `None`
/// where a test may.
///
/// The first of them has to be the process itself.
pub(super) fn why_tree_protected(tree: &[ProcessIdentity]) -> Option<String> {
    aside(|| look_through(tree, why_protected))
}

/// As [`why_tree_protected`], of what was started for the tests of this run.
pub(super) fn why_kept_tree_protected(tree: &[ProcessIdentity]) -> Option<String> {
    aside(|| look_through(tree, why_protected_from_anybody))
}

fn look_through(
    tree: &[ProcessIdentity],
    why_protected: fn(&ProcessIdentity) -> Option<String>,
) -> Option<String> {
    for (index, one) in tree.iter().enumerate() {
        let why = why_protected(one).or_else(|| {
            let error = may_signal(one).err()?;
            // One that has just ended cannot be hit.
            if !identity::is_alive(one) {
                return None;
            }
            Some(format!(
                "it cannot be sent signals ({error}): run the test as its user, or as root"
            ))
        });
        match why {
            Some(why) if index == 0 => return Some(why),
            Some(why) => {
                let name = name_of(one.pid).unwrap_or_default();
                return Some(format!(
                    "a fault on it hits process {} (`{name}`), too, which it has started: {why}",
                    one.pid
                ));
            }
            None => {}
        }
    }
    None
}

/// Why nobody may break this process; `None` where a test may that has not started it.
pub(crate) fn why_protected(process: &ProcessIdentity) -> Option<String> {
    why_protected_from_anybody(process).or_else(|| of_a_test(process.pid))
}

/// Why no test may break this process, not even one that it was started for.
fn why_protected_from_anybody(process: &ProcessIdentity) -> Option<String> {
    let pid = process.pid;
    if pid == 1 {
        return Some("it is process 1, under which everything runs".to_owned());
    }
    if pid == std::process::id() {
        return Some("it is the test itself".to_owned());
    }
    let stat = identity::stat(pid)?;
    if pid == 2 || stat.parent == 2 {
        return Some("it is a thread of the kernel".to_owned());
    }
    if ancestors(std::process::id()).contains(&pid) {
        return Some(format!(
            "it is `{}`, under which the test runs",
            name_of(pid).unwrap_or_default()
        ));
    }
    let name = name_of(pid).unwrap_or_default();
    if name == "docker-proxy" {
        return Some(
            "it is `docker-proxy`, which the engine has for a port of a container; name the \
             container, with `existing::container(..)`"
                .to_owned(),
        );
    }
    let is_engines = ENGINES_BEGIN.iter().any(|begin| name.starts_with(begin))
        // The kernel keeps no more of a name.
        || ENGINES.iter().any(|engine| *engine == name || engine.get(..15) == Some(&name));
    if is_engines {
        return Some(format!("it is `{name}`, a part of the container engine"));
    }
    if let Some(id) = container_of(pid) {
        return Some(format!(
            "it runs in container {}; name the container, with `existing::container(..)`",
            &id[..12]
        ));
    }
    if name.starts_with("chaos-watchdog") {
        return Some("it is the watchdog of a chaos test".to_owned());
    }
    if name.starts_with("chaos-keeper") {
        return Some("it keeps a fixture for the tests of a run".to_owned());
    }
    None
}

fn of_a_test(pid: u32) -> Option<String> {
    let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    let service = format!("{TOKEN}=");
    if environment
        .split(|byte| *byte == 0)
        .any(|entry| entry.starts_with(service.as_bytes()))
    {
        return Some("a chaos test has started it, and breaks it under its own name".to_owned());
    }
    None
}

/// The container that a process is in, if that is none that we are in, too.
fn container_of(pid: u32) -> Option<String> {
    let groups = |pid: &str| std::fs::read_to_string(format!("/proc/{pid}/cgroup"));
    let own = containers_in(&groups("self").unwrap_or_default());
    let its = containers_in(&groups(&pid.to_string()).unwrap_or_default());
    its.into_iter().find(|id| !own.contains(id))
}

/// The ids of containers in the names of control groups: all engines write them as 64 digits,
/// as in `docker-<id>.scope`, `/docker/<id>` and `libpod-<id>.scope`.
fn containers_in(groups: &str) -> Vec<String> {
    let words = groups.split(|c: char| !c.is_ascii_alphanumeric());
    words
        .filter(|word| word.len() == 64 && word.bytes().all(|byte| byte.is_ascii_hexdigit()))
        .map(str::to_owned)
        .collect()
}

/// Whether we may send it signals at all.
///
/// # Errors
///
/// Where the kernel refuses.
pub(super) fn may_signal(process: &ProcessIdentity) -> io::Result<()> {
    let pid = i32::try_from(process.pid).ok();
    let Some(pid) = pid.and_then(rustix::process::Pid::from_raw) else {
        return Err(io::ErrorKind::NotFound.into());
    };
    Ok(rustix::process::test_kill_process(pid)?)
}

fn ancestors(pid: u32) -> Vec<u32> {
    let mut found = Vec::new();
    let mut next = pid;
    while let Some(stat) = identity::stat(next)
        && stat.parent > 0
        && !found.contains(&stat.parent)
    {
        found.push(stat.parent);
        next = stat.parent;
    }
    found
}

/// What the kernel calls a process.
pub(super) fn name_of(pid: u32) -> Option<String> {
    let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
    Some(name.trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Child, Command};
    use std::time::{Duration, Instant};

    struct Sleeper(Child);

    impl Drop for Sleeper {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    fn why(pid: u32) -> Option<String> {
        why_protected(&identity::of(pid).unwrap())
    }

    #[test]
    fn a_container_is_seen_in_the_control_groups_of_all_engines() {
        let id = "0badcafe".repeat(8);
        for groups in [
            format!("0::/system.slice/docker-{id}.scope\n"),
            format!("4:memory:/docker/{id}\n1:cpu:/\n"),
            format!("0::/user.slice/libpod-{id}.scope/container\n"),
            format!("0::/kubepods/pod7/{id}\n"),
            format!("0::/../{id}\n"),
        ] {
            assert_eq!(containers_in(&groups)[0], id, "{groups}");
        }
        for groups in [
            "0::/system.slice/redis.service\n".to_owned(),
            "4:memory:/process_api/f1adda3eebcb2529c67a01a25135d2a4\n".to_owned(),
            format!("0::/g{}\n", &id[1..]),
        ] {
            assert!(containers_in(&groups).is_empty(), "{groups}");
        }
    }

    #[test]
    fn whatever_the_test_needs_is_protected_and_others_are_not() {
        let own = std::process::id();
        assert!(why(own).unwrap().contains("the test itself"));
        assert!(why(1).unwrap().contains("process 1"));
        let above = ancestors(own);
        let parent = above.first().copied().filter(|pid| *pid > 1);
        if let Some(parent) = parent {
            let why = why(parent).unwrap();
            assert!(why.contains("under which the test runs"), "{why}");
        }
        let sleeper = |token: Option<&str>| {
            let mut command = Command::new("sleep");
            command.arg("66");
            if let Some(token) = token {
                command.env(TOKEN, token);
            }
            let sleeper = Sleeper(command.spawn().unwrap());
            // The kernel shows its environment a moment after it has become its program.
            let environment = format!("/proc/{}/environ", sleeper.0.id());
            let end = Instant::now() + Duration::from_secs(10);
            while std::fs::read(&environment).unwrap().is_empty() {
                assert!(Instant::now() < end, "it has no environment");
                std::thread::yield_now();
            }
            sleeper
        };
        let foreign = sleeper(None);
        assert_eq!(why(foreign.0.id()), None);
        may_signal(&identity::of(foreign.0.id()).unwrap()).unwrap();
        let service = sleeper(Some("cache"));
        let why = why(service.0.id()).unwrap();
        assert!(why.contains("a chaos test has started it"), "{why}");
    }
}
