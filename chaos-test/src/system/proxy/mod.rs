//! The in-process TCP fault proxy: links.
//!
//! Owns everything between a client's socket and a service's socket: the
//! stable address, the forwarding, and the toxics that act on the bytes.
//! It must never know who asked for a toxic or why, and it must never need an
//! ambient runtime: links are changed and closed from any thread.
//!
//! How it fits together: a [`Link`] accepts connections; every connection is
//! one task that pumps two flows, one per direction; every flow runs its bytes
//! through a chain of stages, one per toxic. A connection's whole state sits
//! behind one mutex that is only ever held for non-blocking work. Whoever
//! changes the link locks that state and changes it in place, so a change is
//! in force when the call returns, without waiting for any task or peer.

mod link;

mod accept;
mod chain;
mod connection;
mod flow;
mod item;
mod toxics;

mod attempts;
mod deadline;
mod hits;

#[cfg(test)]
mod tests;

pub use self::{
    deadline::sleep_until,
    hits::{Hits, Traffic},
    link::{Link, LinkConfig},
    toxics::{Direction, PartialToxic, Toxic, ToxicId},
};
