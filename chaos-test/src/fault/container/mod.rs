//! Faults on services in containers. Kill, stop, pause and restart act on the container
//! itself, one at a time: a second one is refused while the guard of the first is there.
//! Disconnecting it from its network goes along with them, and so do faults on links.

mod disconnect;
mod kill;
mod pause;
mod restart;
mod stop;

use crate::error::Error;
use crate::model::target::Target;
use crate::system::ContainerState;

pub use super::process::ServiceName;
pub use disconnect::{Disconnect, disconnect};
pub use kill::{Kill, kill};
pub use pause::{Pause, pause};
pub use restart::{Restart, restart};
pub use stop::{Stop, stop};

/// Why a fault cannot act on a container in this state.
fn not_running(done: &str, state: ContainerState) -> Error {
    Error::msg(format!(
        "only a running container can be {done}, and it is {state}"
    ))
    .help(match state {
        ContainerState::Gone => "somebody else removed it, and what was in it cannot be had again",
        _ => {
            "lift what is in force on it first; if nothing is, somebody else did that, or it \
             ended by itself: `last_lines` of the service may tell why"
        }
    })
}

/// The service that a fault acts on, by name.
fn target(service: &str) -> Vec<Target> {
    vec![Target::Service(service.to_owned())]
}
