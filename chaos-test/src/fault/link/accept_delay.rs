//! Takes connections late.

use std::time::Duration;

use crate::error::Error;
use crate::model::units::human;
use crate::system::{Direction, Toxic};

use super::common::{OnLinks, link_fault};
use super::{Links, Share};

/// Takes connections late; made by [`accept_delay`].
#[derive(Debug, Clone)]
pub struct AcceptDelay {
    links: Links,
    share: Share,
    delay: Duration,
}

/// Leads new connections through a link, or through all links of a service, to the service only some
/// time after they came: clients connect as fast as ever, because the kernel does that, and wait for
/// their first answer. Open connections are left alone. It counts the connections that it delayed.
///
/// Lifted, it leads on at once who waits.
///
/// ```no_run
/// # async fn body(chaos: &chaos_test::ChaosContext, cache: &chaos_test::Service) -> chaos_test::Result {
/// use chaos_test::{link, ms};
/// let late = chaos.inject(link::accept_delay(cache, ms(300))).await?;
/// late.lift().await?;
/// # Ok(()) }
/// ```
#[must_use = "a fault does nothing until it is injected"]
pub fn accept_delay(links: impl Into<Links>, delay: Duration) -> AcceptDelay {
    AcceptDelay {
        links: links.into(),
        share: Share::ALL,
        delay,
    }
}

link_fault!(AcceptDelay, "link::accept_delay(cache, ms(300))");

impl OnLinks for AcceptDelay {
    fn links(&self) -> &Links {
        &self.links
    }

    fn share(&self) -> Share {
        self.share
    }

    fn words(&self) -> String {
        format!(
            "take connections to {} by {} later",
            self.links,
            human(self.delay)
        )
    }

    fn toxic(&self) -> Result<Toxic, Error> {
        if self.delay.is_zero() {
            return Err(Error::msg("an accept delay of no time has no effect"));
        }
        Ok(Toxic::AcceptDelay { delay: self.delay })
    }

    fn direction(&self) -> Direction {
        Direction::Both
    }
}
