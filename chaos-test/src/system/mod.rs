//! The only room that touches the world: processes, links, files, the clock.
//!
//! It never judges and never decides what is to be done; the rooms above tell it.

mod aside;
pub(crate) mod at_exit;
pub(crate) mod capability;
pub(crate) mod command;
#[cfg(feature = "containers")]
pub(crate) mod container;
pub(crate) mod environment;
pub(crate) mod existing;
pub(crate) mod gate;
mod hook;
pub(crate) mod identity;
pub(crate) mod journal_file;
pub(crate) mod keeper;
mod kept_file;
#[cfg(feature = "kill-points")]
pub(crate) mod kill_point;
pub(crate) mod lease;
pub(crate) mod lock;
pub(crate) mod place;
pub(crate) mod ports;
pub(crate) mod process;
pub(crate) mod progress;
#[allow(
    dead_code,
    reason = "the link engine offers more than the first toxics need"
)]
pub(crate) mod proxy;
mod reach;
pub(crate) mod registry;
pub(crate) mod resources;
pub(crate) mod service;
pub(crate) mod signals;
pub(crate) mod spawner;
pub(crate) mod state_dir;
pub(crate) mod stem;
pub(crate) mod supervision;
#[cfg(feature = "cli")]
pub(crate) mod survey;
pub(crate) mod terminal;
pub(crate) mod undo;
pub(crate) mod watchdog;
mod world;

#[cfg(feature = "containers")]
pub use container::ContainerState;
pub use process::{ProcessState, Signal};
pub use proxy::{Direction, Hits, Toxic, Traffic};
pub use reach::{ReadOnlySystem, System};
pub use supervision::Restarted;

pub(crate) use service::Ending;
pub(crate) use world::{Ledger, LinkUse, World};
