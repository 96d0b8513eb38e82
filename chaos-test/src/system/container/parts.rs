//! The parts of a recipe that are ours: what is copied into a container, and when it is ready.

use std::path::PathBuf;
use std::time::Duration;

use testcontainers::core::WaitFor;

/// A file or folder that is put into the container before it starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Copy {
    pub(super) target: String,
    pub(super) mode: Option<u32>,
    pub(super) source: CopySource,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum CopySource {
    File(PathBuf),
    Data(Vec<u8>),
}

/// Which of a container's streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stream {
    Out,
    Err,
    Both,
}

/// When a container is ready: all of its image's conditions, one after the other.
#[derive(Debug, Clone)]
pub(super) enum Condition {
    Printed {
        stream: Stream,
        message: Vec<u8>,
        times: usize,
    },
    Pause(Duration),
    Healthy,
    Exited(Option<i64>),
    /// One that only testcontainers can ask.
    Foreign(WaitFor),
}
