//! Faults on the process of a service, one at a time: a second one is refused while the guard
//! of the first is there, because lifting either would end both. Faults on links go along
//! with them.

mod hang_at_start;
mod kill;
mod restart;
mod stop;

use crate::model::target::Target;

pub use hang_at_start::{HangAtStart, hang_at_start};
pub use kill::{Kill, kill};
pub use restart::{Restart, restart};
pub use stop::{Stop, stop};

/// The service that a fault acts on; made from a `&Service`.
///
/// ```
/// use chaos_test::process::{self, Restart, ServiceName};
/// use chaos_test::ms;
///
/// /// What a deployment does to a service.
/// fn deployment(service: impl Into<ServiceName>) -> Restart {
///     process::restart(service).down_for(ms(500))
/// }
/// ```
#[derive(Debug, Clone)]
pub struct ServiceName(pub(in crate::fault) String);

impl ServiceName {
    pub(crate) fn new(name: &str) -> Self {
        Self(name.to_owned())
    }
}

/// The service that a fault acts on, by name.
fn target(service: &str) -> Vec<Target> {
    vec![Target::Service(service.to_owned())]
}
