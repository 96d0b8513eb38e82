//! Cuts into small pieces what passes through links.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::error::Error;
use crate::system::{Direction, Hits, Toxic};

use super::common::{OnLinks, link_fault_with_direction};
use super::{Links, Share};

/// Cuts what passes through links into small pieces; made by [`slicer`].
#[derive(Debug, Clone)]
pub struct Slicer {
    links: Links,
    share: Share,
    average: u32,
    variation: u32,
    delay: Duration,
    direction: Direction,
}

/// Cuts what the service answers through a link, or through all links of a service, into pieces of
/// so many bytes on average, which are sent one by one: clients that take one read for one message
/// show it. It counts the chunks that it cut.
///
/// Lifted, it sends the rest whole.
///
/// ```no_run
/// # async fn body(chaos: &chaos_test::ChaosContext, cache: &chaos_test::Service) -> chaos_test::Result {
/// use chaos_test::{link, ms};
/// let small = link::slicer(cache, 16).variation(8).delay(ms(1));
/// let small = chaos.inject(small).await?;
/// small.lift().await?;
/// # Ok(()) }
/// ```
#[must_use = "a fault does nothing until it is injected"]
pub fn slicer(links: impl Into<Links>, average_size: u32) -> Slicer {
    Slicer {
        links: links.into(),
        share: Share::ALL,
        average: average_size,
        variation: 0,
        delay: Duration::ZERO,
        direction: Direction::Downstream,
    }
}

impl Slicer {
    /// How far the size of a piece may be off the average, either way, in bytes, drawn from the
    /// test's seed; not at all by default. No piece has less than one byte.
    ///
    /// See [`slicer`] for an example.
    #[must_use = "a fault does nothing until it is injected"]
    pub fn variation(mut self, bytes: u32) -> Self {
        self.variation = bytes;
        self
    }

    /// What lies between two pieces; nothing by default.
    ///
    /// See [`slicer`] for an example.
    #[must_use = "a fault does nothing until it is injected"]
    pub fn delay(mut self, time: Duration) -> Self {
        self.delay = time;
        self
    }
}

link_fault_with_direction!(Slicer, "link::slicer(cache, 16)");

impl OnLinks for Slicer {
    fn links(&self) -> &Links {
        &self.links
    }

    fn share(&self) -> Share {
        self.share
    }

    fn words(&self) -> String {
        format!(
            "cut what passes {} into {} bytes each",
            self.links, self.average
        )
    }

    fn toxic(&self) -> Result<Toxic, Error> {
        let average = NonZeroU32::new(self.average)
            .ok_or_else(|| Error::msg("a piece has one byte at least, and none was asked for"))?;
        Ok(Toxic::Slicer {
            average,
            variation: self.variation,
            delay: self.delay,
        })
    }

    fn direction(&self) -> Direction {
        self.direction
    }

    fn met(&self, hits: Hits) -> u64 {
        hits.chunks
    }
}
