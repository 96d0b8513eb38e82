//! What all faults on links have in common: which connections they hit, and how they become toxics.

use crate::error::Error;
use crate::system::{Direction, Hits, Toxic};

use super::{Links, Share};

/// What one fault on links says of itself. [`link_fault`] makes a [`Fault`](crate::Fault) of it.
pub(super) trait OnLinks {
    fn links(&self) -> &Links;

    fn share(&self) -> Share;

    /// What it does to the links, without the share.
    fn words(&self) -> String;

    /// # Errors
    ///
    /// Where what it is asked for makes no sense.
    fn toxic(&self) -> Result<Toxic, Error>;

    fn direction(&self) -> Direction;

    /// What counts as having met it.
    fn met(&self, hits: Hits) -> u64 {
        hits.connections
    }
}

/// Makes a fault of what is [`OnLinks`], with the share of the connections that it hits: the type
/// needs a field for that, and the code of one for the examples.
macro_rules! link_fault {
    ($fault:ident, $example:literal) => {
        impl $fault {
            /// Hits only this share of the connections, drawn once for each from the test's seed:
            /// one that is spared is spared as long as it is open. All of them by default.
            #[doc = concat!("
```no_run
# async fn body(chaos: &chaos_test::ChaosContext, cache: &chaos_test::Service) -> chaos_test::Result {
use chaos_test::prelude::*;
use chaos_test::{kib, link};
let some = ", $example, ".share(percent(10));
chaos.inject(some).await?.lift().await?;
# Ok(()) }
```")]
            #[must_use = "a fault does nothing until it is injected"]
            pub fn share(mut self, share: $crate::model::units::Percent) -> Self {
                self.share = $crate::fault::link::Share(share);
                self
            }
        }

        impl $crate::fault::Lasting<$fault> {
            #[doc = concat!("As [`", stringify!($fault), "::share`], where its length was said \
                             first; both orders are the same.

```no_run
# async fn body(chaos: &chaos_test::ChaosContext, cache: &chaos_test::Service) -> chaos_test::Result {
use chaos_test::prelude::*;
use chaos_test::{kib, link};
let first = ", $example, ".share(percent(10)).lasting(secs(5));
let last = ", $example, ".lasting(secs(5)).share(percent(10));
assert_eq!(format!(\"{first:?}\"), format!(\"{last:?}\"));
chaos.inject(last).await?.ended().await?;
# Ok(()) }
```")]
            #[must_use = "a fault does nothing until it is injected"]
            pub fn share(self, share: $crate::model::units::Percent) -> Self {
                self.with(|fault| fault.share(share))
            }
        }

        impl $crate::fault::Fault for $fault {
            fn describe(&self) -> String {
                format!("{}{}", self.words(), OnLinks::share(self))
            }

            fn is_ours(&self) -> bool {
                true
            }

            fn targets(&self) -> Vec<$crate::model::target::Target> {
                vec![self.links().0.clone()]
            }

            fn risk(&self) -> $crate::model::event::Risk {
                $crate::model::event::Risk::Low
            }

            fn instances(&self) -> Vec<$crate::model::target::Target> {
                Vec::new()
            }

            fn share(&self) -> f64 {
                OnLinks::share(self).of_connections()
            }

            async fn prepare(
                &self,
                system: &$crate::system::ReadOnlySystem,
            ) -> Result<$crate::model::undo::Undo, $crate::error::Error> {
                self.toxic()?;
                OnLinks::share(self).check()?;
                self.links().prepare(system)
            }

            async fn apply(
                &self,
                system: &$crate::system::System,
            ) -> Result<(), $crate::error::Error> {
                let (toxic, share) = (self.toxic()?, OnLinks::share(self).0);
                system
                    .add_toxic_to_share(&self.links().0, toxic, OnLinks::direction(self), share)
                    .await
            }

            async fn verify(
                &self,
                system: &$crate::system::ReadOnlySystem,
            ) -> Result<$crate::fault::Effect, $crate::error::Error> {
                Ok($crate::fault::link::Links::effect(system))
            }

            fn hits(&self, system: &$crate::system::ReadOnlySystem) -> Option<u64> {
                system.toxic_hits().map(|hits| self.met(hits))
            }
        }
    };
}

/// The same, with the direction that it acts on: the type needs a field for that, too.
macro_rules! link_fault_with_direction {
    ($fault:ident, $example:literal) => {
        $crate::fault::link::common::link_fault!($fault, $example);

        impl $fault {
            /// Which way it acts on: what the service answers (downstream, the default), what it
            /// is asked (upstream), or both.
            #[doc = concat!("
```no_run
# async fn body(chaos: &chaos_test::ChaosContext, cache: &chaos_test::Service) -> chaos_test::Result {
use chaos_test::prelude::*;
use chaos_test::{kib, link};
let requests = ", $example, ".direction(Direction::Upstream);
chaos.inject(requests).await?.lift().await?;
# Ok(()) }
```")]
            #[must_use = "a fault does nothing until it is injected"]
            pub fn direction(mut self, direction: $crate::system::Direction) -> Self {
                self.direction = direction;
                self
            }
        }
    };
}

pub(super) use {link_fault, link_fault_with_direction};
