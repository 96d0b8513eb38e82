//! Conditions that must come true.

use std::sync::Arc;

use crate::probe::Condition;
use crate::run::eventually::Eventually;

use super::ChaosContext;

impl ChaosContext {
    /// Expects a condition to come true within a limit, and waits until it does: for what no
    /// monitor sees, such as an alert that was raised or a queue that was emptied. `what` says
    /// in words what is to be true; it stands in the report, with what was seen last if it does
    /// not come.
    ///
    /// The judgement stands: a miss fails the test even if the error is swallowed. See
    /// [`Eventually`] for what counts, and [`Condition`] for what may be asked.
    ///
    /// ```no_run
    /// # #[derive(Clone)] struct Pager;
    /// # #[derive(Debug)] struct Alert;
    /// # impl Pager {
    /// #     async fn newest_alert(&self) -> std::io::Result<Option<Alert>> { Ok(None) }
    /// #     async fn open_alerts(&self) -> std::io::Result<usize> { Ok(0) }
    /// # }
    /// # async fn body(chaos: &chaos_test::ChaosContext, pager: Pager) -> chaos_test::Result {
    /// use chaos_test::prelude::*;
    ///
    /// let asked = pager.clone();
    /// let alert: Alert = chaos
    ///     .eventually("an alert was raised", async move || asked.newest_alert().await)
    ///     .within(secs(5))
    ///     .await?;
    ///
    /// // What else was seen is worth saying: "not after 100 calls, the last saw 3".
    /// let asked = pager.clone();
    /// chaos
    ///     .eventually("all alerts are closed", async move || {
    ///         let open = asked.open_alerts().await?;
    ///         Ok::<_, std::io::Error>((open == 0, open))
    ///     })
    ///     .every(ms(200))
    ///     .await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// Once it is awaited: if it does not come true within the limit
    /// ([`Error::is_deviation`](crate::Error::is_deviation)), no call was answered in that time
    /// ([`Error::is_no_data`](crate::Error::is_no_data)), or the context ends.
    ///
    /// # Panics
    ///
    /// If `what` is empty.
    #[track_caller]
    pub fn eventually<C: Condition>(&self, what: impl Into<String>, condition: C) -> Eventually<C> {
        Eventually::new(Arc::clone(&self.inner), what.into(), condition)
    }
}
