//! What services promise while the containers that they need are broken: a cache, a database
//! and a broker.
//!
//! Where no container engine answers, all of them are skipped, visibly. The images are built
//! here, because the tests need no registry; `chaos.container(..)` takes any image of
//! testcontainers.

mod broker;
mod cache;
mod customers;
mod database;
mod only_containers;
mod proofs;
mod services;
mod whole_run;

#[path = "../proof/mod.rs"]
mod proof;
