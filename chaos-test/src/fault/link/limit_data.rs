//! Ends connections after so many bytes.

use crate::error::Error;
use crate::system::{Direction, Toxic};

use super::common::{OnLinks, link_fault_with_direction};
use super::{Links, Share};

/// Ends connections after so many bytes; made by [`limit_data`].
#[derive(Debug, Clone)]
pub struct LimitData {
    links: Links,
    share: Share,
    bytes: u64,
    direction: Direction,
}

/// Ends what the service answers through a link, or through all links of a service, after so many
/// bytes of each connection, counted from when the fault met it: answers that break off. It counts
/// the connections that it ended.
///
/// Lifted, it lets all bytes of new connections pass, and of those that had not come so far.
///
/// ```no_run
/// # async fn body(chaos: &chaos_test::ChaosContext, cache: &chaos_test::Service) -> chaos_test::Result {
/// use chaos_test::{kib, link};
/// let short = chaos.inject(link::limit_data(cache, kib(1))).await?;
/// short.lift().await?;
/// # Ok(()) }
/// ```
#[must_use = "a fault does nothing until it is injected"]
pub fn limit_data(links: impl Into<Links>, bytes: u64) -> LimitData {
    LimitData {
        links: links.into(),
        share: Share::ALL,
        bytes,
        direction: Direction::Downstream,
    }
}

link_fault_with_direction!(LimitData, "link::limit_data(cache, kib(1))");

impl OnLinks for LimitData {
    fn links(&self) -> &Links {
        &self.links
    }

    fn share(&self) -> Share {
        self.share
    }

    fn words(&self) -> String {
        format!(
            "end the streams of {} after {} bytes",
            self.links, self.bytes
        )
    }

    fn toxic(&self) -> Result<Toxic, Error> {
        Ok(Toxic::LimitData { bytes: self.bytes })
    }

    fn direction(&self) -> Direction {
        self.direction
    }
}
