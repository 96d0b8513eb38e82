//! Decisions, apart from all effects: time, seed and samples come in as arguments.

pub mod consistency;
#[cfg(feature = "cli")]
pub mod diagnosis;
pub mod eventually;
pub mod limits;
pub mod measures;
pub mod recovery;
pub mod statistics;
pub mod tolerance;
pub mod turns;
pub mod verdict;
