//! Faults on the process of a service.

mod hang_at_start;
mod kill;
mod restart;
mod stop;

use crate::model::target::Target;
use crate::run::Service;

pub use hang_at_start::{HangAtStart, hang_at_start};
pub use kill::{Kill, kill};
pub use restart::{Restart, restart};
pub use stop::{Stop, stop};

/// The service that a fault acts on, by name.
fn target(service: &str) -> Vec<Target> {
    vec![Target::Service(service.to_owned())]
}

fn name(service: &Service) -> String {
    service.name().to_owned()
}
