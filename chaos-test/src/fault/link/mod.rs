//! Faults on links: what happens to the connections between a client and a service.

mod common;

mod accept_delay;
mod bandwidth;
mod corrupt;
mod down;
mod drop_chunks;
mod duplicate_chunks;
mod hang;
mod latency;
mod limit_data;
mod reset;
mod slicer;
mod slow_close;
mod timeout;

use crate::error::Error;
use crate::fault::Effect;
use crate::model::target::Target;
use crate::model::undo::Undo;
use crate::model::units::Percent;
use crate::system::ReadOnlySystem;

pub use crate::system::Direction;
pub use accept_delay::{AcceptDelay, accept_delay};
pub use bandwidth::{Bandwidth, bandwidth};
pub use corrupt::{Corrupt, corrupt};
pub use down::{Down, down};
pub use drop_chunks::{DropChunks, drop_chunks};
pub use duplicate_chunks::{DuplicateChunks, duplicate_chunks};
pub use hang::{Hang, hang};
pub use latency::{Latency, latency};
pub use limit_data::{LimitData, limit_data};
pub use reset::{Reset, reset};
pub use slicer::{Slicer, slicer};
pub use slow_close::{SlowClose, slow_close};
pub use timeout::{Timeout, timeout};

/// What a link fault acts on: one client's link, or all links of a service; made from a
/// `&Link` or a `&Service`.
///
/// ```no_run
/// # async fn body(chaos: &chaos_test::ChaosContext, cache: &chaos_test::Service) -> chaos_test::Result {
/// use chaos_test::{link, ms};
/// let way = cache.link("shop").await?; // the address that only the shop was given
/// let for_the_shop = chaos.inject(link::latency(&way, ms(200))).await?;
/// let for_all = chaos.inject(link::down(cache)).await?;
/// # for_all.lift().await?; for_the_shop.lift().await?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct Links(Target);

impl std::fmt::Display for Links {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0 {
            Target::Service(name) | Target::Link { link: name, .. } => f.write_str(name),
            other => other.fmt(f),
        }
    }
}

/// The share of connections that a fault hits.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Share(Percent);

impl Share {
    const ALL: Self = Self(Percent::ALL);

    /// From 0 to 1; what is more than all is refused later on.
    fn of_connections(self) -> f64 {
        self.0.as_fraction().min(1.0)
    }

    fn check(self) -> Result<(), Error> {
        self.0.of_what_passes("connections").map(drop)
    }
}

impl Percent {
    /// The share of bytes or chunks that a fault hits, from 0 to 1.
    ///
    /// # Errors
    ///
    /// Where it is none, or more than all.
    fn of_what_passes(self, what: &str) -> Result<f64, Error> {
        let share = self.as_fraction();
        if share > 0.0 && share <= 1.0 {
            return Ok(share);
        }
        Err(Error::msg(format!(
            "a share of {what} is more than 0 % and at most 100 %, not {self}"
        )))
    }
}

/// What to add to a fault's words.
impl std::fmt::Display for Share {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if *self == Self::ALL {
            return Ok(());
        }
        write!(f, " on {} of the connections", self.0)
    }
}

impl Links {
    pub(crate) fn of(target: Target) -> Self {
        Self(target)
    }

    fn prepare(&self, system: &ReadOnlySystem) -> Result<Undo, Error> {
        if system.link_count(&self.0) == 0 {
            return Err(Error::msg(format!("{} has no link", self.0)));
        }
        Ok(Undo::ClearLinks {
            target: self.0.to_string(),
        })
    }

    fn effect(system: &ReadOnlySystem) -> Effect {
        match system.toxics_in_force() {
            Some(true) => Effect::Active,
            Some(false) | None => Effect::Absent("not all of its toxics are in force".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::Fault;
    use crate::model::units::{ms, percent, secs};

    /// What a fault says of itself.
    fn said(fault: &impl Fault) -> String {
        let (share, length) = (Fault::share(fault), fault.duration());
        format!("{}; {share}; {length:?}; {fault:?}", fault.describe())
    }

    #[test]
    fn a_share_and_a_length_come_in_any_order() {
        let cache = || Links::of(Target::Service("cache".to_owned()));
        let (tenth, length) = (percent(10), secs(5));
        let shared = said(&down(cache()).share(tenth).lasting(length));
        assert_eq!(said(&down(cache()).lasting(length).share(tenth)), shared);
        let words = "cut cache on 10 % of the connections; 0.1; Some(5s); ";
        assert!(shared.starts_with(words), "{shared}");
        let slow = || latency(cache(), ms(50));
        assert_eq!(
            said(&slow().lasting(length).share(tenth)),
            said(&slow().share(tenth).lasting(length))
        );
        assert_eq!(
            said(&reset(cache()).lasting(length).share(tenth)),
            said(&reset(cache()).share(tenth).lasting(length))
        );
    }
}
