//! Monitors: probes that are asked from now on.

use std::sync::Arc;

use crate::model::condition::AbortCondition;
use crate::probe::Pace;
use crate::run::aborting;
use crate::run::monitor::{Monitor, Watcher};
use crate::system::lock::lock;

use super::ChaosContext;

impl ChaosContext {
    /// Asks a probe at its pace, from now on until the context ends.
    ///
    /// ```no_run
    /// # async fn body(chaos: &chaos_test::ChaosContext, shop: &chaos_test::Service) -> chaos_test::Result {
    /// use chaos_test::prelude::*;
    /// let requests = chaos.monitor(shop.connect().every(ms(20)));
    /// let normal = requests.baseline(secs(1)).await?;
    /// # Ok(()) }
    /// ```
    pub fn monitor(&self, pace: Pace) -> Monitor {
        // Asked for before the lock: it is the user's code, and may panic.
        let wanted = pace.name.clone().unwrap_or_else(|| pace.probe.name());
        let mut monitors = lock(&self.inner.monitors);
        let taken = |name: &str| monitors.iter().any(|watcher| watcher.name == name);
        // Two monitors of one probe are told apart in reports.
        let name = (1..)
            .map(|number| match number {
                1 => wanted.clone(),
                number => format!("{wanted} #{number}"),
            })
            .find(|name| !taken(name))
            .unwrap_or_default();
        let watcher = Watcher::start(name, pace, &self.inner);
        // One that comes too late, after the context has ended, asks nothing.
        if *self.inner.ended.borrow() {
            watcher.stop();
        }
        monitors.push(Arc::clone(&watcher));
        Monitor {
            watcher,
            inner: Arc::clone(&self.inner),
        }
    }

    /// Ends the test as soon as a condition comes true: everything is put back at once, and
    /// the verdict is "aborted", with the condition and what was seen. The body ends at its
    /// next await; what it does before that is not waited for.
    ///
    /// `#[chaos_test(abort_if(..))]` does the same from the beginning of the body on. A
    /// condition that never has anything to look at fails the test.
    ///
    /// ```no_run
    /// # async fn body(chaos: &chaos_test::ChaosContext, shop: &chaos_test::Service) -> chaos_test::Result {
    /// use chaos_test::prelude::*;
    /// let requests = chaos.monitor(shop.connect().every(ms(20)).named("shop"));
    /// chaos.abort_if(error_rate().above(percent(50)).over(secs(2)).of("shop"));
    /// chaos.abort_if(latency(P99).above(secs(5)));
    /// # Ok(()) }
    /// ```
    pub fn abort_if(&self, condition: AbortCondition) {
        aborting::watch(&self.inner, condition);
    }
}
