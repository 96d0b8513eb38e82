//! Checks that hold at certain times of a test, invariants, and several recoveries together.

use std::sync::Arc;

use crate::decide::recoveries::attempts;
use crate::model::slos::Slos;
use crate::probe::Pace;
use crate::run::checks::{self, Check};
use crate::run::invariants::Invariant;
use crate::run::recoveries::Recoveries;
use crate::run::slos::SloCheck;

use super::ChaosContext;

impl ChaosContext {
    /// Has something judged at the end of the test that must hold before, after or during the
    /// faults, or all the time; see [`Must`](crate::Must) for the modes.
    ///
    /// A miss fails the test, and so does a time without samples. Checks are judged where the body
    /// has ended by itself, with or without an error.
    ///
    /// ```no_run
    /// # async fn body(chaos: &chaos_test::ChaosContext, requests: &chaos_test::Monitor) -> chaos_test::Result {
    /// use chaos_test::prelude::*;
    /// chaos.check(requests.must(error_rate().at_most(percent(0))).before_and_after());
    /// chaos.check(requests.must(error_rate().at_most(percent(20))).during_faults());
    /// chaos.check(requests.must(latency(P95).at_most(ms(250))).continuously().over(secs(2)));
    /// # Ok(()) }
    /// ```
    ///
    /// # Panics
    ///
    /// If the monitor belongs to another context, or the end of the test is to wait for more than
    /// 60 seconds.
    #[track_caller]
    pub fn check(&self, check: Check) {
        checks::declare(&self.inner, check);
    }

    /// Has a probe asked from now on, each single sample of which must succeed; see
    /// [`Invariant`]. `what` says in words what it is.
    ///
    /// ```no_run
    /// # #[derive(Clone)] struct Shop;
    /// # impl Shop { async fn lost_orders(&self) -> std::io::Result<u32> { Ok(0) } }
    /// # async fn body(chaos: &chaos_test::ChaosContext, shop: Shop) -> chaos_test::Result {
    /// use chaos_test::prelude::*;
    /// let lost = move || { let shop = shop.clone(); async move { shop.lost_orders().await } };
    /// chaos
    ///     .invariant("no order is lost", lost.every(ms(50)))
    ///     .keeping(value().at_most(0.0))
    ///     .or_abort();
    /// # Ok(()) }
    /// ```
    ///
    /// # Panics
    ///
    /// If `what` is empty.
    #[track_caller]
    pub fn invariant(&self, what: impl Into<String>, pace: Pace) -> Invariant {
        let what = what.into();
        assert!(
            !what.trim().is_empty(),
            "an invariant needs words: say what always holds, as in \"no order is lost\""
        );
        let monitor = self.monitor(pace.named(what.clone()).without_requests());
        Invariant::from_the_first(&monitor, what)
    }

    /// The recoveries that this test has waited for so far, to judge their mean and how many of
    /// them came: with [`mttr`](crate::mttr), [`recovery_time`](crate::recovery_time) and
    /// [`recovery_rate`](crate::recovery_rate).
    ///
    /// A recovery that never came took longer than any limit. What never degraded did not
    /// recover, and does not count.
    ///
    /// ```no_run
    /// # async fn body(chaos: &chaos_test::ChaosContext, cache: &chaos_test::Service, requests: &chaos_test::Monitor) -> chaos_test::Result {
    /// use chaos_test::prelude::*;
    /// use chaos_test::{mttr, process, recovery_rate};
    /// let normal = requests.baseline(secs(1)).await?;
    /// for _ in 0..5 {
    ///     let outage = chaos.inject(process::kill(cache)).await?;
    ///     let lifted = outage.lift().await?;
    ///     requests.recovers_to(&normal).since(lifted).within(secs(5)).await?;
    /// }
    /// chaos
    ///     .recoveries()
    ///     .expect(mttr().at_most(secs(2)))
    ///     .expect(recovery_rate().at_least(percent(95)))
    ///     .check()?;
    /// # Ok(()) }
    /// ```
    pub fn recoveries(&self) -> Recoveries {
        let attempts = attempts(&self.inner.recorder.records());
        Recoveries::new(Arc::clone(&self.inner), attempts)
    }

    /// Holds what this test has seen so far against service level objectives; see [`SloCheck`].
    ///
    /// ```no_run
    /// # async fn body(chaos: &chaos_test::ChaosContext, requests: &chaos_test::Monitor) -> chaos_test::Result {
    /// use chaos_test::Slos;
    /// let slos = Slos { mttr: None, ..Slos::staging() };
    /// let validation = chaos.slos(slos).of(requests).check().await?;
    /// println!("{validation}");
    /// # Ok(()) }
    /// ```
    #[track_caller]
    pub fn slos(&self, slos: Slos) -> SloCheck {
        SloCheck::new(Arc::clone(&self.inner), slos)
    }
}
