//! What checkout promises while the services that it needs are broken.
//!
//! `checkout` answers requests by asking `inventory`, with time limits, retries, a circuit
//! breaker and a fallback. Each of them can be switched off by an environment variable,
//! and [`proofs`] shows that the same tests then fail.
//!
//! Each of the other files shows one thing that the library lets its users do themselves.

mod cache;
mod inventory;
mod services;

mod in_process;
mod own_fault;
mod own_probe;
mod without_macro;
mod worker;

mod proofs;

#[path = "../proof/mod.rs"]
mod proof;
