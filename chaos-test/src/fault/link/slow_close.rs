//! Ends connections late.

use std::time::Duration;

use crate::error::Error;
use crate::model::units::human;
use crate::system::{Direction, Toxic};

use super::common::{OnLinks, link_fault_with_direction};
use super::{Links, Share};

/// Ends connections late; made by [`slow_close`].
#[derive(Debug, Clone)]
pub struct SlowClose {
    links: Links,
    share: Share,
    delay: Duration,
    direction: Direction,
}

/// Holds back the end of what the service answers through a link, or through all links of a
/// service: the bytes pass, and a client that reads up to the end waits. It counts the connections
/// whose end it held back.
///
/// Lifted, it lets the ends go on at once.
///
/// ```no_run
/// # async fn body(chaos: &chaos_test::ChaosContext, cache: &chaos_test::Service) -> chaos_test::Result {
/// use chaos_test::{link, ms};
/// let late = chaos.inject(link::slow_close(cache, ms(500))).await?;
/// late.lift().await?;
/// # Ok(()) }
/// ```
#[must_use = "a fault does nothing until it is injected"]
pub fn slow_close(links: impl Into<Links>, delay: Duration) -> SlowClose {
    SlowClose {
        links: links.into(),
        share: Share::ALL,
        delay,
        direction: Direction::Downstream,
    }
}

link_fault_with_direction!(SlowClose, "link::slow_close(cache, ms(500))");

impl OnLinks for SlowClose {
    fn links(&self) -> &Links {
        &self.links
    }

    fn share(&self) -> Share {
        self.share
    }

    fn words(&self) -> String {
        format!(
            "end the streams of {} by {} later",
            self.links,
            human(self.delay)
        )
    }

    fn toxic(&self) -> Result<Toxic, Error> {
        if self.delay.is_zero() {
            return Err(Error::msg("a slow close of no time has no effect"));
        }
        Ok(Toxic::SlowClose { delay: self.delay })
    }

    fn direction(&self) -> Direction {
        self.direction
    }
}
