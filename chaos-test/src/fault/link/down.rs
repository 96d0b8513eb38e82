//! Cuts links.

use crate::error::Error;
use crate::fault::{Effect, Fault, Lasting};
use crate::model::event::Risk;
use crate::model::target::Target;
use crate::model::undo::Undo;
use crate::model::units::Percent;
use crate::system::{Direction, ReadOnlySystem, System, Toxic};

use super::{Links, Share};

/// Cuts links; made by [`down`].
///
/// ```no_run
/// # async fn body(chaos: &chaos_test::ChaosContext, cache: &chaos_test::Service) -> chaos_test::Result {
/// use chaos_test::{Fault, link, percent, secs};
/// let some = link::down(cache).share(percent(10)); // one connection in ten
/// chaos.inject(some.lasting(secs(5))).await?.ended().await?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct Down {
    links: Links,
    share: Share,
}

/// Cuts a link, or all links of a service: open connections are reset at once, new ones as
/// soon as they are accepted. The service itself runs on. It counts the connections that
/// it cut or refused.
///
/// ```no_run
/// # async fn body(chaos: &chaos_test::ChaosContext, cache: &chaos_test::Service) -> chaos_test::Result {
/// use chaos_test::link;
/// let cut = chaos.inject(link::down(cache)).await?;
/// cut.lift().await?;
/// # Ok(()) }
/// ```
#[must_use = "a fault does nothing until it is injected"]
pub fn down(links: impl Into<Links>) -> Down {
    Down {
        links: links.into(),
        share: Share::ALL,
    }
}

impl Down {
    /// Hits only this share of the connections, drawn once for each from the test's seed: one
    /// that is spared is spared as long as it is open. All of them by default.
    #[must_use = "a fault does nothing until it is injected"]
    pub fn share(mut self, share: Percent) -> Self {
        self.share = Share(share);
        self
    }
}

impl Lasting<Down> {
    /// As [`Down::share`], where its length was said first; both orders are the same.
    ///
    /// ```no_run
    /// # async fn body(chaos: &chaos_test::ChaosContext, cache: &chaos_test::Service) -> chaos_test::Result {
    /// use chaos_test::{Fault, link, percent, secs};
    /// let first = link::down(cache).share(percent(10)).lasting(secs(5));
    /// let last = link::down(cache).lasting(secs(5)).share(percent(10));
    /// assert_eq!(format!("{first:?}"), format!("{last:?}"));
    /// chaos.inject(last).await?.ended().await?;
    /// # Ok(()) }
    /// ```
    #[must_use = "a fault does nothing until it is injected"]
    pub fn share(self, share: Percent) -> Self {
        self.with(|fault| fault.share(share))
    }
}

impl Fault for Down {
    fn describe(&self) -> String {
        format!("cut {}{}", self.links, self.share)
    }

    fn is_ours(&self) -> bool {
        true
    }

    fn targets(&self) -> Vec<Target> {
        vec![self.links.0.clone()]
    }

    fn risk(&self) -> Risk {
        Risk::Low
    }

    fn instances(&self) -> Vec<Target> {
        Vec::new()
    }

    fn share(&self) -> f64 {
        self.share.of_connections()
    }

    async fn prepare(&self, system: &ReadOnlySystem) -> Result<Undo, Error> {
        self.share.check()?;
        self.links.prepare(system)
    }

    async fn apply(&self, system: &System) -> Result<(), Error> {
        system
            .add_toxic_to_share(&self.links.0, Toxic::Down, Direction::Both, self.share.0)
            .await
    }

    async fn verify(&self, system: &ReadOnlySystem) -> Result<Effect, Error> {
        Ok(Links::effect(system))
    }

    fn hits(&self, system: &ReadOnlySystem) -> Option<u64> {
        system.toxic_hits().map(|hits| hits.connections)
    }
}
