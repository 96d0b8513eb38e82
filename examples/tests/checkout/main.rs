//! What checkout promises while the services that it needs are broken.
//!
//! `checkout` answers requests by asking `inventory`, with time limits, retries, a circuit
//! breaker and a fallback. Each of them can be switched off by an environment variable,
//! and [`proofs`] shows that the same tests then fail.

mod cache;
mod inventory;
mod proofs;
mod services;

#[path = "../proof/mod.rs"]
mod proof;
