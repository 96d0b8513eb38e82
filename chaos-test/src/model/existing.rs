//! What was there before the test: how it is found again, and how it was connected.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::identity::ProcessIdentity;

/// How a process that the test did not start is found, again after each of its starts.
///
/// ```
/// use chaos_test::FoundBy;
/// let postgres = FoundBy::PidFile("/run/postgresql/15-main.pid".into());
/// assert_eq!(postgres.to_string(), "the process of /run/postgresql/15-main.pid");
/// assert_eq!(FoundBy::Number(4711).to_string(), "process 4711");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FoundBy {
    /// By its number, which its successor will not have.
    Number(u32),
    /// By the file that it writes its number to.
    PidFile(PathBuf),
    /// By the TCP address that it listens on.
    Address(SocketAddr),
    /// By whoever keeps it for the tests of a run, and starts it again.
    Keeper {
        /// The socket that the keeper is asked through.
        socket: PathBuf,
        /// Who that is: what another one keeps there later is something else.
        keeper: ProcessIdentity,
        /// Its name there.
        service: String,
    },
}

impl FoundBy {
    /// Who keeps it for a run, where somebody does.
    pub(crate) fn keeper(&self) -> Option<&ProcessIdentity> {
        match self {
            Self::Keeper { keeper, .. } => Some(keeper),
            Self::Number(_) | Self::PidFile(_) | Self::Address(_) => None,
        }
    }
}

impl fmt::Display for FoundBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(pid) => write!(f, "process {pid}"),
            Self::PidFile(path) => write!(f, "the process of {}", path.display()),
            Self::Address(address) => write!(f, "the process that listens on {address}"),
            Self::Keeper { service, .. } => write!(f, "the process of `{service}` of this run"),
        }
    }
}

/// What is known of a process that a fault is about to end. By it, what runs in its place later is
/// told from what is left of it, and from strangers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Before {
    /// What it had started: none of that is its successor.
    pub others: Vec<ProcessIdentity>,
    /// What of all that was stopped, and stays so.
    pub stopped: Vec<ProcessIdentity>,
    /// The executables of all that, as far as they could be seen.
    pub programs: Vec<PathBuf>,
    /// The user that it ran as.
    pub user: Option<u32>,
    /// When this was written down, as the kernel counts the starts of processes: in hundredths of
    /// a second since the start of the machine. What is older than that is no successor.
    pub ticks: u64,
}

/// A process that may run in the place of another one.
#[derive(Debug, Clone)]
pub(crate) struct Candidate {
    pub(crate) process: ProcessIdentity,
    /// Its executable, where that can be seen.
    pub(crate) program: Option<PathBuf>,
    pub(crate) user: Option<u32>,
}

impl Before {
    /// Why a process does not run in the place of the one that was ended; `None` where it does.
    pub(crate) fn why_no_successor(&self, candidate: &Candidate) -> Option<String> {
        if self.others.contains(&candidate.process) {
            return Some("it is left of what was ended".to_owned());
        }
        if candidate.process.start_time < self.ticks {
            return Some("it had been started before the fault".to_owned());
        }
        match &candidate.program {
            Some(program) if !self.programs.is_empty() => {
                let same = self.programs.contains(program);
                (!same).then(|| format!("it runs {}, which that did not", program.display()))
            }
            _ => {
                let (before, now) = (self.user?, candidate.user?);
                (before != now).then(|| format!("it runs as user {now}, and that ran as {before}"))
            }
        }
    }
}

/// How a container is connected to one network.
///
/// ```
/// use chaos_test::{Attachment, Undo};
///
/// /// How a container that was taken out of its networks will be connected again.
/// fn networks(undo: &Undo) -> &[Attachment] {
///     match undo {
///         Undo::RejoinNetworks { networks, .. } => networks,
///         _ => &[],
///     }
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Attachment {
    /// The network's name, for people.
    pub name: String,
    /// Its id.
    pub network: String,
    /// The names that the container has in it.
    pub aliases: Vec<String>,
    /// Other containers by other names, as `container:name`.
    #[serde(default)]
    pub links: Vec<String>,
    /// The address that it has; none while it does not run.
    pub address: Option<String>,
    /// The addresses that were chosen for it, IPv4 and IPv6; without one the engine chose.
    #[serde(default)]
    pub chosen: [Option<String>; 2],
    /// What its driver was told.
    #[serde(default)]
    pub options: BTreeMap<String, String>,
}

impl Attachment {
    /// The command that connects a container in this way.
    pub(crate) fn by_hand(&self, engine: &str, container: &str) -> String {
        let mut command = format!("docker --host {engine} network connect");
        for alias in &self.aliases {
            command.push_str(&format!(" --alias {alias}"));
        }
        for link in &self.links {
            command.push_str(&format!(" --link {link}"));
        }
        if let Some(address) = &self.chosen[0] {
            command.push_str(&format!(" --ip {address}"));
        }
        if let Some(address) = &self.chosen[1] {
            command.push_str(&format!(" --ip6 {address}"));
        }
        for (name, value) in &self.options {
            command.push_str(&format!(" --driver-opt {name}={value}"));
        }
        format!("{command} {} {container}", self.network)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_successor_is_younger_and_of_the_same_program() {
        let process = |pid, start_time| ProcessIdentity {
            pid,
            start_time,
            boot_id: String::new(),
            namespace: 1,
        };
        let before = Before {
            others: vec![process(11, 101)],
            programs: vec!["/bin/sh".into(), "/bin/redis".into()],
            user: Some(7),
            ticks: 100,
            ..Before::default()
        };
        let why = |before: &Before, pid, start_time, program: Option<&str>, user| {
            let candidate = Candidate {
                process: process(pid, start_time),
                program: program.map(PathBuf::from),
                user,
            };
            before.why_no_successor(&candidate).unwrap_or_default()
        };
        let redis = Some("/bin/redis");
        assert_eq!(why(&before, 12, 100, redis, Some(8)), "");
        assert_eq!(why(&before, 12, 100, Some("/bin/sh"), None), "");
        assert!(why(&before, 11, 101, redis, Some(7)).contains("left of what was ended"));
        // A number is given away again, and then it is somebody else.
        assert_eq!(why(&before, 11, 102, redis, Some(7)), "");
        assert!(why(&before, 12, 99, redis, Some(7)).contains("started before the fault"));
        assert!(why(&before, 12, 100, Some("/bin/nc"), Some(7)).contains("/bin/nc"));
        // What cannot be seen is judged by its user.
        assert_eq!(why(&before, 12, 100, None, Some(7)), "");
        assert!(why(&before, 12, 100, None, Some(8)).contains("user 8"));
        // An older journal says nothing of all that.
        assert_eq!(why(&Before::default(), 12, 1, redis, Some(8)), "");
    }

    #[test]
    fn an_attachment_can_be_made_by_hand() {
        let attachment = Attachment {
            name: "shop_default".into(),
            network: "0badcafe".into(),
            aliases: vec!["db".into()],
            links: Vec::new(),
            address: Some("10.9.0.7".into()),
            chosen: [Some("10.9.0.7".into()), None],
            options: BTreeMap::new(),
        };
        assert_eq!(
            attachment.by_hand("unix:///s", "17"),
            "docker --host unix:///s network connect --alias db --ip 10.9.0.7 0badcafe 17"
        );
    }
}
