//! Resets connections.

use std::time::Duration;

use crate::error::Error;
use crate::system::{Direction, Hits, Toxic};

use super::common::{OnLinks, link_fault};
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

    /// Whose first bytes meet the fault on a new connection: the service's (downstream, the
    /// default: the request has been received), or the client's (upstream: the service
    /// never sees the request).
    #[must_use = "a fault does nothing until it is injected"]
    pub fn direction(mut self, direction: Direction) -> Self {
        self.direction = direction;
        self
    }
}

link_fault!(Reset, "link::reset(cache)");

impl OnLinks for Reset {
    fn links(&self) -> &Links {
        &self.links
    }

    fn share(&self) -> Share {
        self.share
    }

    fn words(&self) -> String {
        format!("reset {}", self.links)
    }

    fn toxic(&self) -> Result<Toxic, Error> {
        Ok(Toxic::Reset { after: self.after })
    }

    fn direction(&self) -> Direction {
        self.direction
    }

    fn met(&self, hits: Hits) -> u64 {
        hits.reset
    }
}
