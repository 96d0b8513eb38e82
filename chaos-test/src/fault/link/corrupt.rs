//! Corrupts what passes through links.

use crate::error::Error;
use crate::model::units::Percent;
use crate::system::{Direction, Hits, Toxic};

use super::common::{OnLinks, link_fault_with_direction};
use super::{Links, Share};

/// Corrupts what passes through links; made by [`corrupt`].
#[derive(Debug, Clone)]
pub struct Corrupt {
    links: Links,
    share: Share,
    of: Percent,
    direction: Direction,
}

/// Flips one bit in a share of the bytes that the service answers through a link, or through all
/// links of a service; which ones is drawn from the test's seed. It counts the chunks with a
/// changed byte.
///
/// Lifted, bytes pass as they are.
///
/// ```no_run
/// # async fn body(chaos: &chaos_test::ChaosContext, cache: &chaos_test::Service) -> chaos_test::Result {
/// use chaos_test::{link, percent};
/// let noisy = chaos.inject(link::corrupt(cache, percent(0.1))).await?;
/// noisy.lift().await?;
/// # Ok(()) }
/// ```
#[must_use = "a fault does nothing until it is injected"]
pub fn corrupt(links: impl Into<Links>, bytes: Percent) -> Corrupt {
    Corrupt {
        links: links.into(),
        share: Share::ALL,
        of: bytes,
        direction: Direction::Downstream,
    }
}

link_fault_with_direction!(Corrupt, "link::corrupt(cache, percent(1))");

impl OnLinks for Corrupt {
    fn links(&self) -> &Links {
        &self.links
    }

    fn share(&self) -> Share {
        self.share
    }

    fn words(&self) -> String {
        format!("corrupt {} of the bytes through {}", self.of, self.links)
    }

    fn toxic(&self) -> Result<Toxic, Error> {
        Ok(Toxic::Corrupt {
            share: self.of.of_what_passes("bytes")?,
        })
    }

    fn direction(&self) -> Direction {
        self.direction
    }

    fn met(&self, hits: Hits) -> u64 {
        hits.chunks
    }
}
