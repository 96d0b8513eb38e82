//! Cuts links.

use crate::error::Error;
use crate::system::{Direction, Toxic};

use super::common::{OnLinks, link_fault};
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

link_fault!(Down, "link::down(cache)");

impl OnLinks for Down {
    fn links(&self) -> &Links {
        &self.links
    }

    fn share(&self) -> Share {
        self.share
    }

    fn words(&self) -> String {
        format!("cut {}", self.links)
    }

    fn toxic(&self) -> Result<Toxic, Error> {
        Ok(Toxic::Down)
    }

    fn direction(&self) -> Direction {
        Direction::Both
    }
}
