//! Resets connections.

use std::time::Duration;

use crate::error::Error;
use crate::fault::{Effect, Fault, Lasting};
use crate::model::event::Risk;
use crate::model::target::Target;
use crate::model::undo::Undo;
use crate::model::units::Percent;
use crate::system::{Direction, ReadOnlySystem, System, Toxic};

use super::{Links, Share};

/// Resets connections; made by [`reset`].
///
/// ```no_run
/// # async fn body(chaos: &chaos_test::ChaosContext, cache: &chaos_test::Service) -> chaos_test::Result {
/// use chaos_test::{Direction, link, ms, percent};
/// let resets = link::reset(cache)
///     .after(ms(200)) // the time that a connection has left
///     .direction(Direction::Upstream) // a new one: from when the client first sends
///     .share(percent(10));
/// chaos.inject(resets).await?.lift().await?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct Reset {
    links: Links,
    share: Share,
    after: Duration,
    direction: Direction,
}

/// Resets the connections of a link, or of all links of a service, with a TCP RST: open
/// ones at once, new ones when the service's first bytes come back. It counts the
/// connections that it reset.
///
/// ```no_run
/// # async fn body(chaos: &chaos_test::ChaosContext, cache: &chaos_test::Service) -> chaos_test::Result {
/// use chaos_test::link;
/// let resets = chaos.inject(link::reset(cache)).await?;
/// resets.lift().await?;
/// # Ok(()) }
/// ```
#[must_use = "a fault does nothing until it is injected"]
pub fn reset(links: impl Into<Links>) -> Reset {
    Reset {
        links: links.into(),
        share: Share::ALL,
        after: Duration::ZERO,
        direction: Direction::Downstream,
    }
}

impl Reset {
    /// How long a connection lives on from the moment that the fault met it; not at all by
    /// default.
    #[must_use = "a fault does nothing until it is injected"]
    pub fn after(mut self, time: Duration) -> Self {
        self.after = time;
        self
    }

    /// Hits only this share of the connections, drawn once for each from the test's seed: one
    /// that is spared is spared as long as it is open. All of them by default.
    #[must_use = "a fault does nothing until it is injected"]
    pub fn share(mut self, share: Percent) -> Self {
        self.share = Share(share);
        self
    }

    /// Whose first bytes meet the fault on a new connection: the service's (downstream, the
    /// default: the request has been received), or the client's (upstream: the service
    /// never sees the request).
    #[must_use = "a fault does nothing until it is injected"]
    pub fn direction(mut self, direction: Direction) -> Self {
        self.direction = direction;
        self
    }
}

impl Lasting<Reset> {
    /// As [`Reset::share`], where its length was said first; both orders are the same.
    ///
    /// ```no_run
    /// # async fn body(chaos: &chaos_test::ChaosContext, cache: &chaos_test::Service) -> chaos_test::Result {
    /// use chaos_test::{Fault, link, percent, secs};
    /// let first = link::reset(cache).share(percent(10)).lasting(secs(5));
    /// let last = link::reset(cache).lasting(secs(5)).share(percent(10));
    /// assert_eq!(format!("{first:?}"), format!("{last:?}"));
    /// chaos.inject(last).await?.ended().await?;
    /// # Ok(()) }
    /// ```
    #[must_use = "a fault does nothing until it is injected"]
    pub fn share(self, share: Percent) -> Self {
        self.with(|fault| fault.share(share))
    }
}

impl Fault for Reset {
    fn describe(&self) -> String {
        format!("reset {}{}", self.links, self.share)
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
        let toxic = Toxic::Reset { after: self.after };
        system
            .add_toxic_to_share(&self.links.0, toxic, self.direction, self.share.0)
            .await
    }

    async fn verify(&self, system: &ReadOnlySystem) -> Result<Effect, Error> {
        Ok(Links::effect(system))
    }

    fn hits(&self, system: &ReadOnlySystem) -> Option<u64> {
        system.toxic_hits().map(|hits| hits.reset)
    }
}
