//! What checkout promises while the services that it needs are broken.
//!
//! `checkout` answers requests by asking `inventory`, with time limits, retries, a circuit
//! breaker and a fallback. Each of them can be switched off by an environment variable,
//! and [`negative_control`] shows that the same tests then fail.

mod cache;
mod inventory;
mod negative_control;
mod services;

#[path = "../weakened/mod.rs"]
mod weakened;
