//! The environment that a context is in.

use crate::model::environment::Environment;

use super::ChaosContext;

impl ChaosContext {
    /// The environment that this run is for: `CHAOS_ENVIRONMENT`, else the `default` of the
    /// configuration, else `development`; with its zones and thresholds. What its policy forbids
    /// is refused by [`inject`](Self::inject).
    ///
    /// # Panics
    ///
    /// Never: a context whose environment cannot be told is not handed out.
    ///
    /// ```no_run
    /// # async fn body(chaos: &chaos_test::ChaosContext, shop: &chaos_test::Service) -> chaos_test::Result {
    /// use chaos_test::prelude::*;
    ///
    /// let tolerated = chaos.environment().thresholds().error_rate.unwrap_or(percent(10));
    /// let requests = chaos.monitor(shop.get("/orders/42").every(ms(20)));
    /// requests.over(secs(2)).await?.expect(error_rate().at_most(tolerated)).check()?;
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn environment(&self) -> &Environment {
        let here = self.inner.environment.get();
        here.expect("it is known before anybody has the context")
            .environment()
    }
}
