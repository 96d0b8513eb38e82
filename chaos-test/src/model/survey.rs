//! What a machine was found to have, before anybody judges it.

use std::path::PathBuf;

/// All that `cargo chaos doctor` looks at.
#[derive(Debug, Clone)]
pub struct Survey {
    /// The kernel's name and release.
    pub kernel: String,
    /// Whether processes can be told apart by `/proc`, or why not.
    pub proc: Result<(), String>,
    /// The state directory.
    pub state: Folder,
    /// The environment that tests would be in, or why that cannot be told.
    pub environment: Result<EnvironmentFound, String>,
    /// What killed runs left in it; nothing where it cannot be used.
    pub journals: Journals,
    /// Where reports go; `None`: there is no package here whose they would be.
    pub reports: Option<Folder>,
    /// The container engine, or why there is none.
    pub engine: Result<EngineFound, String>,
    /// How many containers may run at once, or why that makes no sense.
    pub containers: Result<usize, String>,
    /// How many files a process may have open: now, and at most; `None`: as many as it likes.
    pub open_files: (Option<u64>, Option<u64>),
    /// What the kernel can do, and what this user may do with it.
    pub features: Vec<(Feature, Presence)>,
    /// Programs by their names, and where they are.
    pub programs: Vec<(&'static str, Option<PathBuf>)>,
    /// The environment variables that are set and begin as ours do.
    pub variables: Vec<Variable>,
}

/// A folder that is made where it is needed.
#[derive(Debug, Clone)]
pub struct Folder {
    /// Where it is, or would be.
    pub path: PathBuf,
    /// What is there.
    pub is: FolderIs,
}

/// What there is in the place of a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FolderIs {
    /// One that can be used, with this mode.
    Ready(u32),
    /// Nothing, and it can be made.
    NotYet,
    /// It cannot be used, or not be made.
    Unusable(String),
}

/// How many journals there are of each kind.
#[derive(Debug, Clone, Copy, Default)]
pub struct Journals {
    /// Of tests that run now.
    pub alive: usize,
    /// Of runs that were killed.
    pub dead: usize,
    /// That nobody may act on, or not here.
    pub left_alone: usize,
}

/// A container engine that answers.
#[derive(Debug, Clone)]
pub struct EngineFound {
    /// How it is reached.
    pub url: String,
    /// What it says that it is, with its version.
    pub name: String,
    /// The version of its interface that is spoken.
    pub api: String,
    /// Where it is, in words.
    pub place: &'static str,
    /// Whether it runs without root.
    pub rootless: bool,
    /// Why containers cannot reach links of a test; `None` where they can.
    pub why_unreachable: Option<String>,
}

/// The environment that tests would be in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvironmentFound {
    /// Its name.
    pub name: String,
    /// Who says that it is this one, in words.
    pub chosen_by: String,
    /// The configuration, if there is one.
    pub file: Option<PathBuf>,
}

/// Something that a kernel has, or that a user may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Feature {
    /// To be the superuser.
    Root,
    /// To change networks (`CAP_NET_ADMIN`).
    NetAdmin,
    /// User namespaces, for this user.
    UserNamespaces,
    /// Network namespaces, for this user.
    NetworkNamespaces,
    /// Time namespaces, for this user.
    TimeNamespaces,
    /// The queueing discipline netem.
    Netem,
    /// Packet filters by nftables.
    Nftables,
    /// Packets handed to a program (nfnetlink_queue).
    PacketQueue,
    /// Control groups that can be frozen.
    Freezer,
    /// File systems in programs.
    Fuse,
}

/// Whether something is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Presence {
    /// It is, and how.
    Present(String),
    /// It is not, and why.
    Absent(String),
    /// There is no telling, and why.
    Unknown(String),
}

/// An environment variable that begins as ours do.
#[derive(Debug, Clone)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
    /// What it is good for.
    pub is: VariableIs,
}

/// What a variable is good for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VariableIs {
    /// It is one of ours, and makes sense.
    Sound,
    /// It makes sense and may not be what was meant.
    Doubtful(String),
    /// No test can run with it, or not as it was meant.
    Wrong(String),
    /// It is none of ours.
    Unknown,
}

/// Something that somebody says must be there.
#[derive(Debug, Clone)]
pub struct Demand {
    /// Its name, as in `requires(..)` and `CHAOS_REQUIRE`.
    pub word: String,
    /// Whether it is there, or why not.
    pub met: Result<(), String>,
}
