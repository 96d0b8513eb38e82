//! Delays what passes through links.

use std::time::Duration;

use crate::error::Error;
use crate::model::units::human;
use crate::system::{Direction, Hits, Toxic};

use super::common::{OnLinks, link_fault_with_direction};
use super::{Links, Share};

/// Delays what passes through links; made by [`latency`].
///
/// ```no_run
/// # async fn body(chaos: &chaos_test::ChaosContext, cache: &chaos_test::Service) -> chaos_test::Result {
/// use chaos_test::{Direction, link, ms, percent};
/// let slow = link::latency(cache, ms(100)) // 80 to 120 ms
///     .jitter(ms(20))
///     .direction(Direction::Upstream) // what the service is asked
///     .share(percent(50)); // for every other connection
/// chaos.inject(slow).await?.lift().await?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct Latency {
    links: Links,
    share: Share,
    delay: Duration,
    jitter: Duration,
    direction: Direction,
}

/// Delays everything that the service answers through a link, or through all links of a
/// service, on open connections too. Throughput is not reduced until 4 MiB are under way.
/// It counts the chunks that it delayed.
///
/// ```no_run
/// # async fn body(chaos: &chaos_test::ChaosContext, cache: &chaos_test::Service) -> chaos_test::Result {
/// use chaos_test::{Direction, link, ms};
/// let slow = link::latency(cache, ms(100)).jitter(ms(20)).direction(Direction::Both);
/// let slow = chaos.inject(slow).await?;
/// slow.lift().await?;
/// # Ok(()) }
/// ```
#[must_use = "a fault does nothing until it is injected"]
pub fn latency(links: impl Into<Links>, delay: Duration) -> Latency {
    Latency {
        links: links.into(),
        share: Share::ALL,
        delay,
        jitter: Duration::ZERO,
        direction: Direction::Downstream,
    }
}

impl Latency {
    /// Varies each delay by up to so much either way, drawn from the test's seed.
    #[must_use = "a fault does nothing until it is injected"]
    pub fn jitter(mut self, jitter: Duration) -> Self {
        self.jitter = jitter;
        self
    }
}

link_fault_with_direction!(Latency, "link::latency(cache, ms(50))");

impl OnLinks for Latency {
    fn links(&self) -> &Links {
        &self.links
    }

    fn share(&self) -> Share {
        self.share
    }

    fn words(&self) -> String {
        let jitter = if self.jitter.is_zero() {
            String::new()
        } else {
            format!(" ± {}", human(self.jitter))
        };
        format!("delay {} by {}{jitter}", self.links, human(self.delay))
    }

    fn toxic(&self) -> Result<Toxic, Error> {
        if self.delay.is_zero() && self.jitter.is_zero() {
            return Err(Error::msg("a latency of zero has no effect"));
        }
        Ok(Toxic::Latency {
            delay: self.delay,
            jitter: self.jitter,
        })
    }

    fn direction(&self) -> Direction {
        self.direction
    }

    fn met(&self, hits: Hits) -> u64 {
        hits.chunks
    }
}
