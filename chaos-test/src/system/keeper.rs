//! A process that keeps a fixture for all tests of a run, and what it is asked.
//!
//! It is our own executable, which [`entry`](crate::entry) keeps from its `main`, in a session of
//! its own; it listens on a socket below the state directory. Whoever starts or ends one holds
//! the lock beside that socket, so that there is one at most.

mod process;
mod socket;

pub(crate) use process::{Begun, Orders, VARIABLE, begin, start};
pub(crate) use socket::{Connection, Place, ask, listen, nobody_listens, remove_stale};
