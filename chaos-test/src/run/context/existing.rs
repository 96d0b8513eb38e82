//! What was there before the test.

use std::sync::Arc;

use crate::error::Error;
use crate::run::engine;
use crate::run::existing::{self, Existing};
use crate::run::reserving::Slot;
use crate::run::service::Service;

use super::ChaosContext;

impl ChaosContext {
    /// Takes something that runs already as a service, under a name of the test's own: a
    /// container, a process or an address; see [`existing`](crate::existing). It is never ended
    /// for good, removed or renamed, and every fault on it is put back to what was before, also
    /// after a killed test.
    ///
    /// Links stand in front of it as in front of every service: clients that are to meet faults
    /// on links use [`Service::address`] in place of its own address.
    ///
    /// A fault may touch it only where the test names it, with `breaks(..)` or
    /// [`may_break`](Self::may_break), and counts as one of high risk. No other test of this user
    /// on this machine has it meanwhile: this takes a lease on it, as [`lease`](Self::lease)
    /// does, and waits for it whatever the test holds: until somebody has waited for a minute for
    /// that, or for 10 minutes, where it comes before what is held.
    ///
    /// ```no_run
    /// # async fn body(chaos: &chaos_test::ChaosContext) -> chaos_test::Result {
    /// use chaos_test::{existing, process};
    /// let redis = existing::listening_on("127.0.0.1:6379");
    /// let redis = chaos.existing("redis", redis).await?;
    /// chaos.may_break(&redis);
    /// let hang = chaos.inject(process::stop(&redis)).await?;
    /// hang.lift().await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// If there is no such thing, or several (the message lists them), or it does not run or is
    /// not ready; if it is the test itself, what it runs under, or a part of the container
    /// engine, or what another chaos test made ([`Error::is_refused`]); if no engine answers
    /// ([`Error::is_skip`]); or if another test has it and may not be waited for any longer ([`Error::is_refused`]). Nothing was
    /// touched.
    pub async fn existing(
        &self,
        name: impl Into<Slot>,
        existing: Existing,
    ) -> Result<Service, Error> {
        let (inner, slot) = (Arc::clone(&self.inner), name.into());
        let found = existing::existing(inner, slot, existing);
        engine::run_on(engine::own(), found).await
    }
}
