//! Faults on services in containers. Kill, stop, pause and restart act on the container
//! itself, one at a time: a second one is refused while the guard of the first is there.
//! Disconnecting it from its network goes along with them, and so do faults on links.

mod disconnect;
mod kill;
mod pause;
mod restart;
mod stop;

use crate::model::target::Target;

pub use super::process::ServiceName;
pub use disconnect::{Disconnect, disconnect};
pub use kill::{Kill, kill};
pub use pause::{Pause, pause};
pub use restart::{Restart, restart};
pub use stop::{Stop, stop};

/// The service that a fault acts on, by name.
fn target(service: &str) -> Vec<Target> {
    vec![Target::Service(service.to_owned())]
}
