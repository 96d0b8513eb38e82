//! Plain data: what an experiment is made of and what happened in it.
//!
//! Nothing here has a clock, randomness, asynchronous code or input and output of its own.

pub mod attempt;
pub mod blast_radius;
pub mod concluded;
pub mod condition;
#[cfg(feature = "environments")]
pub mod environment;
pub mod event;
pub mod evidence;
pub mod existing;
pub(crate) mod fingerprint;
pub mod identity;
pub mod journal;
pub(crate) mod keeper;
pub mod listed;
pub mod measure;
pub mod outcome;
pub(crate) mod resource;
pub mod sample;
pub mod scope;
pub mod slos;
pub mod spec;
#[cfg(feature = "cli")]
pub mod survey;
pub mod target;
pub mod test_report;
pub(crate) mod trace;
pub mod undo;
pub mod units;
