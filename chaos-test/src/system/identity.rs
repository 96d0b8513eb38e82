//! Who processes are, read from `/proc` (proc(5)).

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::OnceLock;

use crate::model::identity::ProcessIdentity;

/// What `/proc/<pid>/stat` says, as far as we use it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stat {
    pub(crate) state: char,
    pub(crate) parent: u32,
    pub(crate) group: u32,
    pub(crate) session: u32,
    pub(crate) start_time: u64,
}

/// Reads `/proc/<pid>/stat`; `None` where there is no such process.
pub(crate) fn stat(pid: u32) -> Option<Stat> {
    parse_stat(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

fn parse_stat(text: &str) -> Option<Stat> {
    // The name in parentheses may itself hold spaces and parentheses.
    let (_, fields) = text.rsplit_once(')')?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    Some(Stat {
        state: fields.first()?.chars().next()?,
        parent: fields.get(1)?.parse().ok()?,
        group: fields.get(2)?.parse().ok()?,
        session: fields.get(3)?.parse().ok()?,
        start_time: fields.get(19)?.parse().ok()?,
    })
}

/// This boot of this machine.
pub(crate) fn boot_id() -> &'static str {
    static BOOT: OnceLock<String> = OnceLock::new();
    BOOT.get_or_init(|| {
        std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
            .map(|id| id.trim().to_owned())
            .unwrap_or_default()
    })
}

/// The namespace that our process numbers are of.
pub(crate) fn namespace() -> u64 {
    static NAMESPACE: OnceLock<u64> = OnceLock::new();
    *NAMESPACE
        .get_or_init(|| std::fs::metadata("/proc/self/ns/pid").map_or(0, |metadata| metadata.ino()))
}

/// The identity of a process that exists now.
///
/// # Errors
///
/// Where there is no such process, or no `/proc`.
pub(crate) fn of(pid: u32) -> io::Result<ProcessIdentity> {
    let stat = stat(pid).ok_or_else(|| {
        io::Error::new(
            io::ErrorKind::NotFound,
            format!("there is no readable /proc/{pid}/stat"),
        )
    })?;
    Ok(ProcessIdentity {
        pid,
        start_time: stat.start_time,
        boot_id: boot_id().to_owned(),
        namespace: namespace(),
    })
}

/// The identity of a process's parent, where both can be seen.
pub(crate) fn parent_of(pid: u32) -> Option<ProcessIdentity> {
    of(stat(pid)?.parent).ok()
}

/// Our own identity.
///
/// # Errors
///
/// Where there is no `/proc`.
pub(crate) fn own() -> io::Result<ProcessIdentity> {
    static OWN: OnceLock<ProcessIdentity> = OnceLock::new();
    if let Some(own) = OWN.get() {
        return Ok(own.clone());
    }
    let own = of(std::process::id())?;
    Ok(OWN.get_or_init(|| own).clone())
}

/// Whether exactly this process still runs. A zombie does not.
///
/// A process of another namespace cannot be looked at; it counts as running, so that
/// nothing is ever done to it by mistake.
pub(crate) fn is_alive(process: &ProcessIdentity) -> bool {
    if process.boot_id != boot_id() {
        return false;
    }
    if process.namespace != namespace() {
        return true;
    }
    stat(process.pid)
        .is_some_and(|stat| stat.start_time == process.start_time && !is_dead(stat.state))
}

/// Whether a state letter of proc(5) stands for a process that runs no more.
pub(crate) fn is_dead(state: char) -> bool {
    matches!(state, 'Z' | 'X' | 'x')
}

/// The numbers of all processes that can be seen.
pub(crate) fn all() -> Vec<u32> {
    let Ok(entries) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect()
}

/// The time now as the kernel counts the starts of processes: in hundredths of a second since the
/// start of the machine, whatever its own clock ticks (USER_HZ of proc(5)).
pub(crate) fn ticks() -> u64 {
    // What cannot be told is before everything.
    let text = std::fs::read_to_string("/proc/uptime").unwrap_or_default();
    let up = text
        .split_whitespace()
        .next()
        .and_then(|up| up.parse().ok());
    // Both are cut off and not rounded, so what is started from here on bears no smaller number.
    up.map_or(0, |up: f64| (up * 100.0).round() as u64)
}

/// The file that a process runs, where we may see it.
pub(crate) fn program_of(pid: u32) -> Option<PathBuf> {
    let path = std::fs::read_link(format!("/proc/{pid}/exe")).ok()?;
    // So the kernel marks one that was replaced meanwhile, as an upgrade does.
    match path
        .to_str()
        .and_then(|path| path.strip_suffix(" (deleted)"))
    {
        Some(before) => Some(PathBuf::from(before)),
        None => Some(path),
    }
}

/// The user that a process runs as.
pub(crate) fn user_of(pid: u32) -> Option<u32> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Whether a process carries `name=value` in the environment that it was started with.
pub(crate) fn has_in_environment(pid: u32, name: &str, value: &str) -> bool {
    let wanted = format!("{name}={value}");
    std::fs::read(format!("/proc/{pid}/environ")).is_ok_and(|environment| {
        environment
            .split(|&byte| byte == 0)
            .any(|entry| entry == wanted.as_bytes())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_and_spaces_does_not_shift_the_fields() {
        let text = "42 (a) b (c)) S 7 42 41 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 987654 1 2";
        let stat = parse_stat(text).unwrap();
        assert_eq!(
            (
                stat.state,
                stat.parent,
                stat.group,
                stat.session,
                stat.start_time
            ),
            ('S', 7, 42, 41, 987_654)
        );
    }

    #[test]
    fn what_is_started_from_now_on_is_no_older_than_now() {
        for _ in 0..20 {
            let before = ticks();
            let mut child = std::process::Command::new("true").spawn().unwrap();
            let start = of(child.id()).unwrap().start_time;
            child.wait().unwrap();
            assert!(before > 0 && start >= before, "{start} {before}");
            assert!(start <= ticks() + 1);
        }
        let own = std::process::id();
        assert_eq!(program_of(own), std::env::current_exe().ok());
        assert_eq!(user_of(own), Some(rustix::process::getuid().as_raw()));
    }

    #[test]
    fn we_are_alive_and_a_namesake_is_not_us() {
        let own = own().unwrap();
        assert!(is_alive(&own));
        let namesake = ProcessIdentity {
            start_time: own.start_time + 1,
            ..own.clone()
        };
        assert!(!is_alive(&namesake));
        let earlier_boot = ProcessIdentity {
            boot_id: "another".into(),
            ..own
        };
        assert!(!is_alive(&earlier_boot));
    }
}
