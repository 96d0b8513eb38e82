//! Faults, and what they may break.

use std::sync::Arc;

use crate::error::Error;
use crate::fault::{Entry, ErasedFault, Fault};
use crate::model::target::Breakable;
use crate::run::guard::{During, Injection};
use crate::run::service::Service;
use crate::run::{engine, injecting};

use super::ChaosContext;

impl ChaosContext {
    /// Injects a fault. It is in effect when this returns, and is lifted when the guard is
    /// lifted or dropped, and in any case when the context ends.
    ///
    /// The order is always: blast radius, pre-flight where nothing else is in force, prepare, undo on
    /// disk, apply, verify. In the pre-flight every monitor with a baseline has to be steady, for
    /// which it waits some ten seconds at most.
    ///
    /// ```no_run
    /// # async fn body(chaos: &chaos_test::ChaosContext, cache: &chaos_test::Service, requests: &chaos_test::Monitor) -> chaos_test::Result {
    /// use chaos_test::prelude::*;
    /// use chaos_test::process;
    /// let outage = chaos.inject(process::kill(cache)).await?;
    /// requests.over(secs(1)).await?;
    /// let lifted = outage.lift().await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// If the fault lies outside the blast radius ([`Error::is_refused`]; nothing was
    /// touched), the steady state does not hold ([`Error::is_not_steady`]; nothing was touched, and
    /// the test fails as "not tested"), its undo cannot be written ([`Error::is_state`]; nothing was touched), or
    /// it cannot be applied or is not in effect ([`Error::is_fault`]; it was put back).
    pub async fn inject(&self, fault: impl Fault) -> Result<Injection, Error> {
        self.inject_erased(Arc::new(fault)).await
    }

    /// Injects a fault of the [`CATALOGUE`](crate::CATALOGUE) into a service, with usual
    /// parameters: for tests that go through all faults.
    ///
    /// ```no_run
    /// # async fn body(chaos: &chaos_test::ChaosContext, cache: &chaos_test::Service, requests: &chaos_test::Monitor) -> chaos_test::Result {
    /// use chaos_test::{CATALOGUE, secs};
    /// for entry in CATALOGUE.iter().filter(|entry| entry.family() == "process") {
    ///     let fault = chaos.inject_entry(entry, cache).await?;
    ///     requests.over(secs(1)).await?;
    ///     fault.lift().await?;
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`inject`](Self::inject).
    pub async fn inject_entry(&self, entry: &Entry, service: &Service) -> Result<Injection, Error> {
        self.inject_erased((entry.example)(service.name())).await
    }

    async fn inject_erased(&self, fault: Arc<dyn ErasedFault>) -> Result<Injection, Error> {
        let inner = Arc::clone(&self.inner);
        let injection = engine::run_on(engine::own(), injecting::inject(inner, fault)).await?;
        injection.fault.hand_out();
        Ok(injection)
    }

    /// Injects a fault, runs a block, and lifts the fault on every way out of it.
    ///
    /// A block that does not end with a call of this library needs its type said once:
    /// `async |_| -> chaos_test::Result { ...; Ok(()) }`.
    ///
    /// # Errors
    ///
    /// Those of [`inject`](Self::inject), that of the block, or if the fault could not be
    /// lifted.
    ///
    /// ```no_run
    /// # async fn body(chaos: &chaos_test::ChaosContext, cache: &chaos_test::Service, requests: &chaos_test::Monitor) -> chaos_test::Result {
    /// use chaos_test::prelude::*;
    /// use chaos_test::process;
    /// let outage = chaos.during(process::kill(cache), async |_| {
    ///     requests.over(secs(2)).await?.expect(error_rate().at_most(percent(0))).check()
    /// }).await?;
    /// println!("it lasted {:?}", outage.lifted() - outage.injected());
    /// # Ok(()) }
    /// ```
    pub async fn during<T, E>(
        &self,
        fault: impl Fault,
        block: impl AsyncFnOnce(&Injection) -> Result<T, E>,
    ) -> Result<During<T>, E>
    where
        E: From<Error>,
    {
        let injection = self.inject(fault).await?;
        let (entry, injected) = (injection.fault.entry, injection.injected());
        let value = block(&injection).await;
        let lifted = injection.lift().await;
        let value = value?;
        Ok(During {
            value,
            entry,
            injected,
            lifted: lifted?,
        })
    }

    /// Names something that may be broken. From the first name on, only what was named may
    /// be; before that, anything that the context itself made.
    ///
    /// ```no_run
    /// # async fn body(chaos: &chaos_test::ChaosContext, cache: &chaos_test::Service) -> chaos_test::Result {
    /// use chaos_test::Target;
    /// chaos.may_break(cache);
    /// chaos.may_break(&Target::File("/srv/shop/prices".into()));
    /// # Ok(()) }
    /// ```
    pub fn may_break(&self, target: &(impl Breakable + ?Sized)) {
        let targets = target.targets();
        let name = targets
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(", ");
        self.inner.name_breakable(&name, target);
    }
}
