//! Lets nothing through links.

use std::time::Duration;

use crate::error::Error;
use crate::system::{Direction, Toxic};

use super::common::{OnLinks, link_fault_with_direction};
use super::{Links, Share};

/// Lets nothing through links; made by [`timeout`].
#[derive(Debug, Clone)]
pub struct Timeout {
    links: Links,
    share: Share,
    after: Option<Duration>,
    direction: Direction,
}

/// Lets nothing of what the service answers through a link, or through all links of a service:
/// bytes are lost, and connections stay open. It counts the connections that it met.
///
/// Lifted, it ends the connections that it met, because what they lost is lost: a client that goes
/// on would read an answer with a hole. Where nothing may be lost, there is [`hang`](super::hang()).
///
/// ```no_run
/// # async fn body(chaos: &chaos_test::ChaosContext, cache: &chaos_test::Service) -> chaos_test::Result {
/// use chaos_test::{link, secs};
/// // Nothing comes, and after 3 s an end.
/// let silent = link::timeout(cache).ends_after(secs(3));
/// let silent = chaos.inject(silent).await?;
/// silent.lift().await?;
/// # Ok(()) }
/// ```
#[must_use = "a fault does nothing until it is injected"]
pub fn timeout(links: impl Into<Links>) -> Timeout {
    Timeout {
        links: links.into(),
        share: Share::ALL,
        after: None,
        direction: Direction::Downstream,
    }
}

impl Timeout {
    /// Ends a connection's stream so long after the fault met it, also while data flows; not before
    /// it is lifted by default.
    ///
    /// See [`timeout`] for an example.
    #[must_use = "a fault does nothing until it is injected"]
    pub fn ends_after(mut self, time: Duration) -> Self {
        self.after = Some(time);
        self
    }
}

link_fault_with_direction!(Timeout, "link::timeout(cache)");

impl OnLinks for Timeout {
    fn links(&self) -> &Links {
        &self.links
    }

    fn share(&self) -> Share {
        self.share
    }

    fn words(&self) -> String {
        format!("let nothing through {}", self.links)
    }

    fn toxic(&self) -> Result<Toxic, Error> {
        Ok(Toxic::Timeout { after: self.after })
    }

    fn direction(&self) -> Direction {
        self.direction
    }
}
