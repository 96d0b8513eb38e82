//! What was there before the test: processes and addresses that it did not make, and that stay.
//!
//! A process is hit by its number together with its start, boot and namespace, and never by its
//! group or session, in which there may be others. Nothing here ends or removes anything for
//! good.

mod address;
mod again;
mod as_process;
mod find;
mod protected;
mod sockets;
mod tree;
mod unit;

pub(crate) use address::ExistingAddress;
pub(crate) use again::{Lost, continue_process, run_again};
pub(crate) use find::find;
pub(crate) use sockets::{listeners, ports_of};
pub(crate) use tree::{kill_each, kill_these, with_descendants};
pub(crate) use unit::{ExistingProcess, Known};

#[cfg(test)]
mod tests;
