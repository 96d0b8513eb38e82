//! Has links answer nothing.

use crate::error::Error;
use crate::system::{Direction, Toxic};

use super::common::{OnLinks, link_fault};
use super::{Links, Share};

/// Has links answer nothing; made by [`hang`].
#[derive(Debug, Clone)]
pub struct Hang {
    links: Links,
    share: Share,
}

/// Has a link, or all links of a service, take connections and answer nothing, as a service does
/// that hangs: new connections are accepted and go nowhere, nothing passes on open ones, neither
/// way. It counts the connections that it met.
///
/// Lifted, everything goes on, and nothing is lost.
///
/// ```no_run
/// # async fn body(chaos: &chaos_test::ChaosContext, cache: &chaos_test::Service) -> chaos_test::Result {
/// use chaos_test::{link};
/// let hang = chaos.inject(link::hang(cache)).await?;
/// hang.lift().await?;
/// # Ok(()) }
/// ```
#[must_use = "a fault does nothing until it is injected"]
pub fn hang(links: impl Into<Links>) -> Hang {
    Hang {
        links: links.into(),
        share: Share::ALL,
    }
}

link_fault!(Hang, "link::hang(cache)");

impl OnLinks for Hang {
    fn links(&self) -> &Links {
        &self.links
    }

    fn share(&self) -> Share {
        self.share
    }

    fn words(&self) -> String {
        format!("have {} hang", self.links)
    }

    fn toxic(&self) -> Result<Toxic, Error> {
        Ok(Toxic::Hang)
    }

    fn direction(&self) -> Direction {
        Direction::Both
    }
}
