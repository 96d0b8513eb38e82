//! How a fault, or anything else that we set up, is put back: data, so that whoever is
//! still alive can do it.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::existing::{Attachment, Before, FoundBy};
use super::identity::ProcessIdentity;

/// How to put one thing back.
///
/// An undo is written to the journal on disk before the thing that it undoes is done. It
/// is idempotent: performing it twice, or after a half-failed apply, or after the target
/// is gone, is a success.
///
/// ```
/// use chaos_test::Undo;
///
/// let undo = Undo::command(["redis-cli", "config", "set", "maxmemory", "0"]);
/// assert_eq!(undo.by_hand(), "redis-cli config set maxmemory 0");
/// assert_eq!(undo.deadline().as_secs(), 30);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verb", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Undo {
    /// There is nothing to put back.
    Nothing,
    /// End a process, everything in its session and everything that carries its token.
    EndProcess {
        /// The service's name, for people.
        service: String,
        /// The process that leads the session.
        process: ProcessIdentity,
        /// The value of `CHAOS_TEST_SERVICE` in the environment of all that it started.
        token: String,
        /// How long the process may take to end once it was asked to, in milliseconds.
        #[serde(default)]
        grace_ms: u64,
    },
    /// Continue a process that was stopped, and its whole process group (SIGCONT).
    ContinueProcess {
        /// The service's name, for people.
        service: String,
        /// The process that leads the group.
        process: ProcessIdentity,
    },
    /// Have a service of the context run and be ready again. It ends with its context: in
    /// the journal of a dead run there is nothing to do, because the service itself is
    /// ended by its own entry.
    RunService {
        /// The service's name.
        service: String,
        /// How long it may take to end what is left of it and to be ready again, in
        /// milliseconds.
        #[serde(default)]
        start_ms: u64,
    },
    /// Remove a container that we made, with its anonymous volumes.
    RemoveContainer {
        /// The service's name, for people.
        service: String,
        /// Where the engine is, as `DOCKER_HOST` spells it.
        engine: String,
        /// The container's name, chosen before it was made.
        container: String,
        /// The value of its label `chaos-test.token`: a namesake without it is not ours.
        token: String,
    },
    /// Remove a network that we made.
    RemoveNetwork {
        /// Where the engine is, as `DOCKER_HOST` spells it.
        engine: String,
        /// The network's name, chosen before it was made.
        network: String,
        /// The value of its label `chaos-test.token`: a namesake without it is not ours.
        token: String,
    },
    /// Put the container of a service back into its network, with the aliases and the
    /// address that it had. In the journal of a dead run there is nothing to do, because
    /// the container itself is removed by its own entry.
    ConnectContainer {
        /// The service's name.
        service: String,
        /// The network's name, for people.
        network: String,
    },
    /// Have a container run again that was there before the test, as it did then. It is never
    /// removed. One that is gone is an error: it was not ours, and nobody can have it again.
    RestoreContainer {
        /// The service's name.
        service: String,
        /// Where the engine is, as `DOCKER_HOST` spells it.
        engine: String,
        /// The container's whole id: a namesake has another one.
        container: String,
        /// The container's name, for people.
        name: String,
        /// How long its own supervisor may take to bring it back before it is started, in
        /// milliseconds.
        #[serde(default)]
        supervised_ms: u64,
        /// How long it may take to be ready again, in milliseconds.
        #[serde(default)]
        start_ms: u64,
        /// The start of it that the fault is to end, as the engine has its instant; none where
        /// the fault ends nothing. While that one runs, its end may still come.
        #[serde(default)]
        ends_start: Option<String>,
        /// How long it may take to end once it was asked to, in milliseconds.
        #[serde(default)]
        grace_ms: u64,
        /// Who keeps it for a run, where somebody does: once that has ended, there is nothing to
        /// put back.
        #[serde(default)]
        keeper: Option<ProcessIdentity>,
    },
    /// Put a container that was there before the test back into its networks, with the
    /// aliases and the addresses that it had.
    RejoinNetworks {
        /// The service's name.
        service: String,
        /// Where the engine is, as `DOCKER_HOST` spells it.
        engine: String,
        /// The container's whole id.
        container: String,
        /// The container's name, for people.
        name: String,
        /// How it was connected.
        networks: Vec<Attachment>,
        /// Who keeps it for a run, where somebody does: once that has ended, there is nothing to
        /// put back.
        #[serde(default)]
        keeper: Option<ProcessIdentity>,
    },
    /// Continue a process that was there before the test, and what it has started (SIGCONT to
    /// each of them, never to a group, which may hold others).
    ContinueExisting {
        /// The service's name.
        service: String,
        /// The process.
        process: ProcessIdentity,
        /// What it had started, as far as it was known before.
        others: Vec<ProcessIdentity>,
        /// What of that was stopped before, and stays so.
        stopped: Vec<ProcessIdentity>,
        /// Who keeps it for a run, where somebody does: once that has ended, there is nothing to
        /// put back.
        #[serde(default)]
        keeper: Option<ProcessIdentity>,
    },
    /// Have a process run again that was there before the test and that was ended: wait for
    /// its own supervisor, and start it where that does nothing.
    RunExisting {
        /// The service's name.
        service: String,
        /// The process that was ended.
        process: ProcessIdentity,
        /// How to find the one that runs in its place.
        found_by: FoundBy,
        /// What starts it, if the test says so: a program and its arguments.
        argv: Vec<String>,
        /// How long its own supervisor may take, in milliseconds; 0: it has none.
        #[serde(default)]
        supervised_ms: u64,
        /// How long it may take to be there again, in milliseconds.
        #[serde(default)]
        start_ms: u64,
        /// How long it may take to end once it was asked to, in milliseconds.
        #[serde(default)]
        grace_ms: u64,
        /// What tells its successor from anybody else.
        #[serde(default)]
        before: Box<Before>,
    },
    /// Take the fault's toxics off the links of the context. Links live in the test's
    /// process and end with it.
    ClearLinks {
        /// The service or link, for people.
        target: String,
    },
    /// Remove a scratch folder of ours, by its bare name below the state directory.
    RemoveScratch {
        /// A name without any separator.
        name: String,
    },
    /// Put a file back, byte for byte, from the copy below the state directory. If there
    /// was no file before, remove it.
    RestoreFile {
        /// The absolute path.
        path: PathBuf,
        /// The bare name of the copy below the state directory; `None` if there was no
        /// file before.
        copy: Option<String>,
    },
    /// Run a program; exit code 0 is success. It must be safe to run more than once.
    Command {
        /// The program and its arguments.
        argv: Vec<String>,
    },
    /// Send an HTTP request; a status below 400, or 404 for a DELETE, is success. It must
    /// be safe to send more than once. Needs the feature `http`.
    Http {
        /// The method, for example `DELETE`.
        method: String,
        /// The address.
        url: String,
        /// The body, if any.
        body: Option<String>,
    },
}

impl Undo {
    /// A program as undo: it survives a hard kill of the test, unlike a closure.
    ///
    /// ```
    /// use chaos_test::Undo;
    /// let undo = Undo::command(["ip", "link", "set", "veth0", "up"]);
    /// assert_eq!(undo.to_string(), "run `ip link set veth0 up`");
    /// ```
    #[must_use]
    pub fn command<S: Into<String>>(argv: impl IntoIterator<Item = S>) -> Self {
        Self::Command {
            argv: argv.into_iter().map(Into::into).collect(),
        }
    }

    /// An HTTP request as undo: it survives a hard kill of the test, unlike a closure.
    ///
    /// ```
    /// use chaos_test::Undo;
    /// let undo = Undo::http("DELETE", "http://127.0.0.1:8474/faults/1");
    /// assert_eq!(undo.to_string(), "send DELETE http://127.0.0.1:8474/faults/1");
    /// ```
    #[must_use]
    pub fn http(method: impl Into<String>, url: impl Into<String>) -> Self {
        Self::Http {
            method: method.into(),
            url: url.into(),
            body: None,
        }
    }

    /// How long the step may take before it counts as failed.
    #[must_use]
    pub fn deadline(&self) -> Duration {
        match self {
            Self::Nothing | Self::ClearLinks { .. } => Duration::from_secs(5),
            Self::ContinueProcess { .. } | Self::ContinueExisting { .. } => Duration::from_secs(10),
            // Each request to an engine has its own limit, the longest of which is a minute.
            Self::RestoreContainer {
                supervised_ms,
                start_ms,
                grace_ms,
                ..
            } => longer(sum([*supervised_ms, *start_ms, *grace_ms]), 80),
            // With the time to end what is left of it.
            Self::RunExisting {
                supervised_ms,
                start_ms,
                grace_ms,
                ..
            } => longer(sum([*supervised_ms, *start_ms, *grace_ms]), 30),
            // What the service itself may take, and time to kill what is left of it.
            Self::EndProcess { grace_ms, .. } => longer(*grace_ms, 10),
            Self::RunService { start_ms, .. } => longer(*start_ms, 15),
            Self::RemoveScratch { .. } | Self::RestoreFile { .. } => Duration::from_secs(30),
            // Two seconds of it for one that the engine may still be making.
            Self::RemoveContainer { .. }
            | Self::RemoveNetwork { .. }
            | Self::RejoinNetworks { .. }
            | Self::ConnectContainer { .. } => Duration::from_secs(45),
            Self::Command { .. } | Self::Http { .. } => Duration::from_secs(30),
        }
    }

    /// What it puts back, where only one fault at a time may have broken that: the process
    /// or container of a service, or its place in a network.
    pub(crate) fn puts_back(&self) -> Option<(&str, &'static str)> {
        match self {
            Self::ContinueProcess { service, .. }
            | Self::ContinueExisting { service, .. }
            | Self::RunExisting { service, .. }
            | Self::RestoreContainer { service, .. }
            | Self::RunService { service, .. } => Some((service, "process or container")),
            Self::ConnectContainer { service, .. } | Self::RejoinNetworks { service, .. } => {
                Some((service, "place in its network"))
            }
            _ => None,
        }
    }

    /// Who keeps what it puts back, where that is kept for a run and goes with its keeper.
    pub(crate) fn keeper(&self) -> Option<&ProcessIdentity> {
        match self {
            Self::RestoreContainer { keeper, .. }
            | Self::RejoinNetworks { keeper, .. }
            | Self::ContinueExisting { keeper, .. } => keeper.as_ref(),
            Self::RunExisting { found_by, .. } => found_by.keeper(),
            _ => None,
        }
    }

    /// Whether there is nothing to do once the process of its test has ended.
    pub(crate) fn ends_with_its_test(&self) -> bool {
        matches!(
            self,
            Self::Nothing
                | Self::RunService { .. }
                | Self::ConnectContainer { .. }
                | Self::ClearLinks { .. }
        )
    }

    /// What a person has to do where the step could not be performed.
    #[must_use]
    pub fn by_hand(&self) -> String {
        match self {
            Self::Nothing
            | Self::RunService { .. }
            | Self::ConnectContainer { .. }
            | Self::ClearLinks { .. } => "end the test's process".to_owned(),
            Self::RemoveContainer {
                engine, container, ..
            } => format!("docker --host {engine} rm --force --volumes {container}"),
            Self::RemoveNetwork {
                engine, network, ..
            } => format!("docker --host {engine} network rm {network}"),
            Self::RestoreContainer {
                engine, container, ..
            } => format!(
                "docker --host {engine} start {container} (`unpause` in place of `start`, if it is \
                 paused)"
            ),
            Self::RejoinNetworks {
                engine,
                container,
                networks,
                ..
            } => {
                let commands = networks.iter();
                let commands = commands.map(|one| one.by_hand(engine, container));
                commands.collect::<Vec<_>>().join(" && ")
            }
            Self::ContinueExisting {
                process, others, ..
            } => {
                let all = std::iter::once(process).chain(others);
                let all: Vec<_> = all.map(|one| one.pid.to_string()).collect();
                format!("kill -CONT {}", all.join(" "))
            }
            Self::RunExisting {
                found_by: FoundBy::Keeper { .. },
                ..
            } => "nothing: it ends with its run".to_owned(),
            Self::RunExisting { argv, found_by, .. } if argv.is_empty() => {
                format!("have its supervisor start {found_by} again")
            }
            Self::RunExisting { argv, .. } => argv.join(" "),
            Self::EndProcess { process, .. } => format!("kill -KILL -- -{}", process.pid),
            Self::ContinueProcess { process, .. } => format!("kill -CONT -- -{}", process.pid),
            Self::RemoveScratch { name } => {
                format!("remove the folder `scratch/{name}` below the state directory")
            }
            Self::RestoreFile { path, copy: None } => format!("rm -f '{}'", path.display()),
            Self::RestoreFile {
                path,
                copy: Some(copy),
            } => format!(
                "copy `copies/{copy}` below the state directory to '{}'",
                path.display()
            ),
            Self::Command { argv } => argv.join(" "),
            Self::Http { method, url, .. } => format!("curl -X {method} '{url}'"),
        }
    }
}

fn sum(millis: [u64; 3]) -> u64 {
    millis.into_iter().fold(0, u64::saturating_add)
}

fn longer(millis: u64, seconds: u64) -> Duration {
    Duration::from_millis(millis).saturating_add(Duration::from_secs(seconds))
}

impl fmt::Display for Undo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => write!(f, "nothing to undo"),
            Self::EndProcess {
                service, process, ..
            } => {
                write!(f, "end process {} of `{service}`", process.pid)
            }
            Self::ContinueProcess { service, process } => {
                write!(f, "continue process {} of `{service}`", process.pid)
            }
            Self::RemoveContainer {
                service, container, ..
            } => write!(f, "remove container {container} of `{service}`"),
            Self::RemoveNetwork { network, .. } => write!(f, "remove network {network}"),
            Self::ConnectContainer { service, network } => {
                write!(f, "put `{service}` back into network {network}")
            }
            Self::RestoreContainer { service, name, .. } => {
                write!(
                    f,
                    "have container {name} of `{service}` run again, as before"
                )
            }
            Self::RejoinNetworks {
                service,
                name,
                networks,
                ..
            } => {
                let networks: Vec<_> = networks.iter().map(|one| one.name.as_str()).collect();
                let networks = networks.join(", ");
                write!(
                    f,
                    "put container {name} of `{service}` back into {networks}"
                )
            }
            Self::ContinueExisting {
                service, process, ..
            } => write!(f, "continue process {} of `{service}`", process.pid),
            Self::RunExisting {
                service, found_by, ..
            } => write!(f, "have `{service}` run again ({found_by})"),
            Self::RunService { service, .. } => write!(f, "have `{service}` run again"),
            Self::ClearLinks { target } => write!(f, "clear {target}"),
            Self::RemoveScratch { name } => write!(f, "remove scratch folder {name}"),
            Self::RestoreFile { path, .. } => write!(f, "restore `{}`", path.display()),
            Self::Command { argv } => write!(f, "run `{}`", argv.join(" ")),
            Self::Http { method, url, .. } => write!(f, "send {method} {url}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_may_take_as_long_as_its_service_may() {
        let process = ProcessIdentity {
            pid: 1,
            start_time: 1,
            boot_id: String::new(),
            namespace: 1,
        };
        let end = |grace_ms| Undo::EndProcess {
            service: "slow".to_owned(),
            process: process.clone(),
            token: String::new(),
            grace_ms,
        };
        assert_eq!(end(15_000).deadline(), Duration::from_secs(25));
        assert!(end(u64::MAX).deadline() > Duration::from_secs(1_000_000));
        let run = Undo::RunService {
            service: "slow".to_owned(),
            start_ms: 120_000,
        };
        assert_eq!(run.deadline(), Duration::from_secs(135));
    }

    #[test]
    fn the_journal_of_an_older_version_can_be_read() {
        let old = r#"{"verb":"run_service","service":"cache"}"#;
        let undo: Undo = serde_json::from_str(old).unwrap();
        assert_eq!(undo.to_string(), "have `cache` run again");
        let old = r#"{"verb":"run_existing","service":"db","process":{"pid":7,"start_time":1,
            "boot_id":"b","namespace":1},"found_by":{"number":7},"argv":["db"]}"#;
        let Undo::RunExisting { before, .. } = serde_json::from_str(old).unwrap() else {
            panic!("it is another one");
        };
        assert_eq!(*before, Before::default());
        let old = r#"{"verb":"restore_container","service":"db","engine":"unix:///s",
            "container":"17","name":"db"}"#;
        let undo: Undo = serde_json::from_str(old).unwrap();
        assert_eq!(undo.deadline(), Duration::from_secs(80));
    }
}
