//! Containers: the engine, the context's network, and services that are containers.

mod acts;
mod advice;
mod archive;
mod debug_form;
mod engine;
mod existing;
pub(crate) mod expired;
mod image;
mod network;
mod output;
mod parts;
mod permits;
mod readiness;
mod recipe;
mod rejoin;
mod remove;
mod stamp;
mod unit;
mod uses;

pub(crate) use engine::Engine;
pub(crate) use existing::{
    ExistingContainer, Kept, Known, Which, locate, locate_kept, restore_container,
};
pub(crate) use network::{Network, make_network};
#[cfg(feature = "cli")]
pub(crate) use permits::most as most_containers;
pub(crate) use permits::{Permit, somebody_waits};
pub(crate) use recipe::Recipe;
pub(crate) use rejoin::rejoin;
pub(crate) use remove::{TOKEN_LABEL, remove_container, remove_network};
pub use unit::ContainerState;
pub(crate) use unit::{Made, ServiceContainer};
