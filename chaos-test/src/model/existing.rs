//! What was there before the test: how it is found again, and how it was connected.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// How a process that the test did not start is found, again after each of its starts.
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
}

impl fmt::Display for FoundBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(pid) => write!(f, "process {pid}"),
            Self::PidFile(path) => write!(f, "the process of {}", path.display()),
            Self::Address(address) => write!(f, "the process that listens on {address}"),
        }
    }
}

/// How a container is connected to one network.
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
