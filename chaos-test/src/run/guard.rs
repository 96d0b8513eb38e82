//! The guard of a fault.

use std::sync::Arc;

use crate::error::Error;

use super::engine;
use super::injecting::calling::VERIFY_LIMIT;
use super::injecting::injected::Injected;
use super::injecting::lifting::{self, Lifting};
use super::inner::Inner;
use super::moment::Moment;

/// A fault in force. Dropping it lifts the fault, and blocks until that is done or the
/// undo's time limit is over.
///
/// ```no_run
/// # async fn body(chaos: &chaos_test::ChaosContext, cache: &chaos_test::Service, requests: &chaos_test::Monitor) -> chaos_test::Result {
/// use chaos_test::prelude::*;
/// use chaos_test::process;
/// let hang = chaos.inject(process::stop(cache)).await?; // `let _ = ..` would lift it at once
/// requests.over(secs(1)).await?;
/// let lifted = hang.lift().await?;
/// println!("it was over at {lifted:?}");
/// # Ok(()) }
/// ```
#[must_use = "dropping this lifts the fault"]
pub struct Injection {
    pub(super) inner: Arc<Inner>,
    pub(super) fault: Arc<Injected>,
}

impl std::fmt::Debug for Injection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Injection")
            .field("fault", &self.fault.what)
            .field("injected", &self.fault.injected_at())
            .finish_non_exhaustive()
    }
}

impl Injection {
    /// When it was verified to be in effect.
    #[must_use]
    pub fn injected(&self) -> Moment {
        Moment(self.fault.injected_at())
    }

    /// Lifts the fault and verifies that it is no longer in effect.
    ///
    /// ```no_run
    /// # async fn body(chaos: &chaos_test::ChaosContext, cache: &chaos_test::Service, requests: &chaos_test::Monitor, normal: &chaos_test::Baseline) -> chaos_test::Result {
    /// use chaos_test::{process, secs};
    /// let outage = chaos.inject(process::kill(cache)).await?;
    /// let injected = outage.injected();
    /// let lifted = outage.lift().await?;
    /// println!("it was broken for {:?}", lifted - injected);
    /// requests.recovers_to(normal).since(lifted).within(secs(5)).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// If it could not be undone; then the test is not restored, and the report says what
    /// is left. A fault that has already ended by itself is lifted: that is no error.
    pub async fn lift(self) -> Result<Moment, Error> {
        let (inner, fault) = (Arc::clone(&self.inner), Arc::clone(&self.fault));
        engine::run_on(engine::own(), async move {
            lifting::lift(&inner, &fault, Lifting::Asked)
                .await
                .map(Moment)
        })
        .await
    }

    /// Waits until a fault that ends by itself ([`lasting`](crate::Fault::lasting)) has
    /// ended. Without such an end it waits until somebody else ends it.
    ///
    /// ```no_run
    /// # async fn body(chaos: &chaos_test::ChaosContext, cache: &chaos_test::Service) -> chaos_test::Result {
    /// use chaos_test::prelude::*;
    /// use chaos_test::link;
    /// let slow = chaos.inject(link::latency(cache, ms(200)).lasting(secs(5))).await?;
    /// let ended = slow.ended().await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// If it could not be undone, or the context ends.
    pub async fn ended(self) -> Result<Moment, Error> {
        let (inner, fault) = (Arc::clone(&self.inner), Arc::clone(&self.fault));
        engine::run_on(engine::own(), async move {
            tokio::select! {
                lifted = fault.until_lifted() => lifted.map(Moment),
                ended = inner.until_ended() => Err(ended),
            }
        })
        .await
    }
}

impl Drop for Injection {
    fn drop(&mut self) {
        if !self.fault.in_force() {
            return;
        }
        let (inner, fault) = (Arc::clone(&self.inner), Arc::clone(&self.fault));
        let limit = self.fault.undo.deadline() + VERIFY_LIMIT;
        if engine::is_own_thread() {
            // Nobody waits for a call that was cancelled, and a worker of the engine that
            // waits for the engine would hold it up.
            engine::own()
                .spawn(async move { lifting::lift(&inner, &fault, Lifting::Cancelled).await });
            return;
        }
        // What does not end in time goes on, and is in the journal. Its failure is judged
        // when the context ends, not here.
        let _ = engine::block_on_own(limit, async move {
            let _ = lifting::lift(&inner, &fault, Lifting::Dropped).await;
        });
    }
}

/// What came of a block under a fault.
///
/// ```no_run
/// # async fn body(chaos: &chaos_test::ChaosContext, cache: &chaos_test::Service, requests: &chaos_test::Monitor) -> chaos_test::Result {
/// use chaos_test::prelude::*;
/// use chaos_test::process;
/// let outage = chaos.during(process::kill(cache), async |_| requests.over(secs(1)).await).await?;
/// println!("{} samples", outage.value.samples().len());
/// println!("it lasted {:?}", outage.lifted() - outage.injected());
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Copy)]
pub struct During<T> {
    /// What the block returned.
    pub value: T,
    pub(super) entry: u64,
    pub(super) injected: Moment,
    pub(super) lifted: Moment,
}

impl<T> During<T> {
    /// When the fault was verified to be in effect.
    #[must_use]
    pub fn injected(&self) -> Moment {
        self.injected
    }

    /// When the fault was lifted and that was verified: where recovery begins.
    #[must_use]
    pub fn lifted(&self) -> Moment {
        self.lifted
    }
}
