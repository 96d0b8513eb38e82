//! Narrows links.

use std::num::NonZeroU64;

use crate::error::Error;
use crate::system::{Direction, Hits, Toxic};

use super::common::{OnLinks, link_fault_with_direction};
use super::{Links, Share};

/// Narrows links; made by [`bandwidth`].
#[derive(Debug, Clone)]
pub struct Bandwidth {
    links: Links,
    share: Share,
    rate: u64,
    direction: Direction,
}

/// Lets a link, or all links of a service, carry so many bytes a second in each direction that it
/// acts on, for each connection. What is sent faster waits, and then its sender does: a tenth of a
/// second of the rate (4 KiB at least) is taken in. It counts the chunks that had to pass.
///
/// Lifted, it delivers at once what waits.
///
/// ```no_run
/// # async fn body(chaos: &chaos_test::ChaosContext, cache: &chaos_test::Service) -> chaos_test::Result {
/// use chaos_test::{kib, link};
/// // 100 KiB a second.
/// let narrow = chaos.inject(link::bandwidth(cache, kib(100))).await?;
/// narrow.lift().await?;
/// # Ok(()) }
/// ```
#[must_use = "a fault does nothing until it is injected"]
pub fn bandwidth(links: impl Into<Links>, bytes_per_second: u64) -> Bandwidth {
    Bandwidth {
        links: links.into(),
        share: Share::ALL,
        rate: bytes_per_second,
        direction: Direction::Downstream,
    }
}

link_fault_with_direction!(Bandwidth, "link::bandwidth(cache, kib(100))");

impl OnLinks for Bandwidth {
    fn links(&self) -> &Links {
        &self.links
    }

    fn share(&self) -> Share {
        self.share
    }

    fn words(&self) -> String {
        format!("carry {} bytes a second on {}", self.rate, self.links)
    }

    fn toxic(&self) -> Result<Toxic, Error> {
        let rate = NonZeroU64::new(self.rate).ok_or_else(|| {
            Error::msg("a bandwidth of no bytes a second lets nothing through")
                .help("`link::hang` does that, and `link::timeout` ends the connections, too")
        })?;
        Ok(Toxic::Bandwidth { rate })
    }

    fn direction(&self) -> Direction {
        self.direction
    }

    fn met(&self, hits: Hits) -> u64 {
        hits.chunks
    }
}
