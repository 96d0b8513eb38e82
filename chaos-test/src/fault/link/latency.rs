//! Delays what passes through links.

use std::time::Duration;

use crate::error::Error;
use crate::fault::{Effect, Fault, Lasting};
use crate::model::event::Risk;
use crate::model::target::Target;
use crate::model::undo::Undo;
use crate::model::units::{Percent, human};
use crate::system::{Direction, ReadOnlySystem, System, Toxic};

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

    /// Hits only this share of the connections, drawn once for each from the test's seed: one
    /// that is spared is spared as long as it is open. All of them by default.
    #[must_use = "a fault does nothing until it is injected"]
    pub fn share(mut self, share: Percent) -> Self {
        self.share = Share(share);
        self
    }

    /// Which way is delayed: what the service answers (downstream, the default), what it
    /// is asked (upstream), or both, each by the whole delay.
    #[must_use = "a fault does nothing until it is injected"]
    pub fn direction(mut self, direction: Direction) -> Self {
        self.direction = direction;
        self
    }
}

impl Lasting<Latency> {
    /// As [`Latency::share`], where its length was said first; both orders are the same.
    ///
    /// ```no_run
    /// # async fn body(chaos: &chaos_test::ChaosContext, cache: &chaos_test::Service) -> chaos_test::Result {
    /// use chaos_test::{Fault, link, ms, percent, secs};
    /// let first = link::latency(cache, ms(50)).share(percent(10)).lasting(secs(5));
    /// let last = link::latency(cache, ms(50)).lasting(secs(5)).share(percent(10));
    /// assert_eq!(format!("{first:?}"), format!("{last:?}"));
    /// chaos.inject(last).await?.ended().await?;
    /// # Ok(()) }
    /// ```
    #[must_use = "a fault does nothing until it is injected"]
    pub fn share(self, share: Percent) -> Self {
        self.with(|fault| fault.share(share))
    }
}

impl Fault for Latency {
    fn describe(&self) -> String {
        let jitter = if self.jitter.is_zero() {
            String::new()
        } else {
            format!(" ± {}", human(self.jitter))
        };
        format!(
            "delay {} by {}{jitter}{}",
            self.links,
            human(self.delay),
            self.share
        )
    }

    fn is_ours(&self) -> bool {
        true
    }

    fn targets(&self) -> Vec<Target> {
        vec![self.links.0.clone()]
    }

    fn risk(&self) -> Risk {
        Risk::Low
    }

    fn instances(&self) -> Vec<Target> {
        Vec::new()
    }

    fn share(&self) -> f64 {
        self.share.of_connections()
    }

    async fn prepare(&self, system: &ReadOnlySystem) -> Result<Undo, Error> {
        if self.delay.is_zero() && self.jitter.is_zero() {
            return Err(Error::msg("a latency of zero has no effect"));
        }
        self.share.check()?;
        self.links.prepare(system)
    }

    async fn apply(&self, system: &System) -> Result<(), Error> {
        let toxic = Toxic::Latency {
            delay: self.delay,
            jitter: self.jitter,
        };
        system
            .add_toxic_to_share(&self.links.0, toxic, self.direction, self.share.0)
            .await
    }

    async fn verify(&self, system: &ReadOnlySystem) -> Result<Effect, Error> {
        Ok(Links::effect(system))
    }

    fn hits(&self, system: &ReadOnlySystem) -> Option<u64> {
        system.toxic_hits().map(|hits| hits.chunks)
    }
}
