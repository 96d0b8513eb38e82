//! What a process that keeps a fixture for a whole run, and those that use it, tell each other:
//! one JSON object a line, a question and its answer.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::identity::ProcessIdentity;

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Ask {
    /// For the fixture, which is kept as long as this connection is open.
    Use(User),
    /// Which process a service runs in.
    Which(Meant),
    /// To have a service run and be ready, whatever state it is in.
    Run(Meant),
}

/// A service, of one keeper and of none that has its place later.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Meant {
    pub(crate) keeper: ProcessIdentity,
    pub(crate) service: String,
}

/// Who uses a fixture.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct User {
    /// Another version speaks otherwise.
    pub(crate) version: String,
    /// The test, with its binary.
    pub(crate) test: String,
    /// The runner that it belongs to, with which the run ends.
    pub(crate) runner: Option<ProcessIdentity>,
    /// Which attempt of a runner that tries again it is.
    pub(crate) attempt: u32,
}

/// What is answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Told {
    /// It is set up.
    Ready(Kept),
    /// Its set-up failed.
    Failed(Failed),
    /// The process that was asked for, where it runs.
    Process(Option<ProcessIdentity>),
    /// It runs and is ready.
    Runs,
    /// It could not be done.
    Refused(String),
    /// The keeper that is meant has ended, and this is another one.
    Another,
}

/// A fixture that is set up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Kept {
    /// Who keeps it.
    pub(crate) keeper: ProcessIdentity,
    /// Its value, as JSON.
    pub(crate) value: String,
    /// What it has made.
    pub(crate) services: Vec<KeptService>,
    /// The places of the other fixtures of the run that it uses.
    pub(crate) needs: Vec<String>,
}

/// A service that is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KeptService {
    pub(crate) name: String,
    pub(crate) what: What,
    /// Where clients find it as long as it is kept, by the ports that they know.
    pub(crate) addresses: Vec<(u16, SocketAddr)>,
    pub(crate) log: PathBuf,
    pub(crate) grace_ms: u64,
    pub(crate) start_ms: u64,
    /// How long its own supervisor may take to bring it back, where it has one.
    pub(crate) supervised_ms: Option<u64>,
}

/// What a service is to those that did not start it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum What {
    Process(ProcessIdentity),
    /// By its name on the engine.
    Container(String),
    /// A part of the process that keeps it.
    Address,
}

/// A set-up that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Failed {
    pub(crate) message: String,
    /// Set where it skipped: with what is missing, where that is known.
    pub(crate) skip: Option<Option<String>>,
    /// The test that it was set up for.
    pub(crate) first: String,
    /// The last lines of its services, for that test's report.
    pub(crate) tails: Vec<Tail>,
}

/// The last lines of one service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tail {
    pub(crate) service: String,
    pub(crate) path: PathBuf,
    pub(crate) lines: Vec<String>,
}
