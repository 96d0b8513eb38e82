//! What clients of a service did while it was down or slow.

use std::sync::Arc;

use crate::model::target::Breakable;
use crate::run::retries::Retries;

use super::ChaosContext;

impl ChaosContext {
    /// Retries as the links saw them: those of one client by its own
    /// [`link`](crate::Service::link), or of all clients of a service.
    ///
    /// An attempt is a connection that a client opens, or what it sends on an open one after it
    /// has been answered there. So a request over HTTP/1.1 is one attempt, on a connection of its
    /// own or on a kept one. Where a protocol shakes hands (TLS, or a database's login), each of
    /// the client's turns counts, and requests of HTTP/2 that share a connection cannot be told
    /// apart.
    ///
    /// ```no_run
    /// # async fn body(chaos: &chaos_test::ChaosContext, inventory: &chaos_test::Service, shop: &chaos_test::Service) -> chaos_test::Result {
    /// use chaos_test::prelude::*;
    /// use chaos_test::{amplification, attempts, jitter, link, spacing};
    /// // The address of this link is what the shop was given.
    /// let way = inventory.link("shop").await?;
    /// let requests = chaos.monitor(shop.get("/orders/42").every(secs(1)));
    /// let outage = chaos
    ///     .during(link::down(&way), async |_| requests.over(secs(20)).await)
    ///     .await?;
    /// chaos
    ///     .retries(&way)
    ///     .calls(&requests)
    ///     .under(&outage)
    ///     .await?
    ///     .expect(attempts().at_most(4))
    ///     .expect(spacing().grows_by(2.0).within(percent(20)))
    ///     .expect(jitter().at_least(percent(10)))
    ///     .expect(amplification().at_most(3.0))
    ///     .check()?;
    /// # Ok(()) }
    /// ```
    pub fn retries(&self, of: &(impl Breakable + ?Sized)) -> Retries {
        Retries::new(Arc::clone(&self.inner), of.targets())
    }
}
