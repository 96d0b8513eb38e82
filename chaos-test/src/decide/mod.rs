//! Decisions, apart from all effects: time, seed and samples come in as arguments.

pub mod abort;
pub mod again;
mod binomial;
pub mod claims;
mod comparison;
pub mod consistency;
pub mod delta;
#[cfg(feature = "cli")]
pub mod diagnosis;
#[cfg(feature = "environments")]
pub mod environment;
pub mod eventually;
mod interval;
pub mod invariant;
pub mod limits;
pub mod measures;
mod metric;
pub mod modes;
pub mod nearest;
pub mod phases;
pub mod progress;
pub mod radius;
pub(crate) mod rate;
pub mod recoveries;
pub mod recovery;
pub mod retries;
pub mod selection;
pub mod sharing;
#[cfg(test)]
mod simulated;
pub mod slo;
pub mod statistics;
pub mod terminal;
pub mod tolerance;
pub mod transitions;
pub mod turns;
pub mod verdict;
