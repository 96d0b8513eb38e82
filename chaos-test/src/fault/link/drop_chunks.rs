//! Loses a part of what passes through links.

use crate::error::Error;
use crate::model::units::Percent;
use crate::system::{Direction, Hits, Toxic};

use super::common::{OnLinks, link_fault_with_direction};
use super::{Links, Share};

/// Loses a part of what passes through links; made by [`drop_chunks`].
#[derive(Debug, Clone)]
pub struct DropChunks {
    links: Links,
    share: Share,
    of: Percent,
    direction: Direction,
}

/// Loses a share of the chunks that the service answers through a link, or through all links of a
/// service; which ones is drawn from the test's seed. A chunk is what the kernel hands out at once:
/// an answer to one small request is one, a long one comes in several. It counts the lost ones.
///
/// This is no loss of packets, which TCP makes up for: the bytes are gone.
///
/// ```no_run
/// # async fn body(chaos: &chaos_test::ChaosContext, cache: &chaos_test::Service) -> chaos_test::Result {
/// use chaos_test::{link, percent};
/// let lossy = chaos.inject(link::drop_chunks(cache, percent(5))).await?;
/// lossy.lift().await?;
/// # Ok(()) }
/// ```
#[must_use = "a fault does nothing until it is injected"]
pub fn drop_chunks(links: impl Into<Links>, chunks: Percent) -> DropChunks {
    DropChunks {
        links: links.into(),
        share: Share::ALL,
        of: chunks,
        direction: Direction::Downstream,
    }
}

link_fault_with_direction!(DropChunks, "link::drop_chunks(cache, percent(1))");

impl OnLinks for DropChunks {
    fn links(&self) -> &Links {
        &self.links
    }

    fn share(&self) -> Share {
        self.share
    }

    fn words(&self) -> String {
        format!("lose {} of the chunks through {}", self.of, self.links)
    }

    fn toxic(&self) -> Result<Toxic, Error> {
        Ok(Toxic::DropChunks {
            share: self.of.of_what_passes("chunks")?,
        })
    }

    fn direction(&self) -> Direction {
        self.direction
    }

    fn met(&self, hits: Hits) -> u64 {
        hits.chunks
    }
}
