//! Through which states a system under test goes.

use std::fmt::Display;
use std::future::Future;
use std::time::Duration;

use crate::error::Error;
use crate::run::service::Service;
use crate::run::transitions::{States, Transitions};

use super::ChaosContext;

impl ChaosContext {
    /// Looks at what a system under test shows of its state, every so often from now on: a
    /// circuit breaker, a leader election, a mode. `of` is what it is called in reports; each
    /// transition stands in the timeline.
    ///
    /// The closure returns a `Result`: the state as a text or anything that can be shown, or an
    /// [`Observed`](crate::Observed) with counts; or why it cannot be asked. It is asked one look
    /// after the other, never twice at once.
    ///
    /// A state is seen at those instants only: one that is shorter than the interval may be
    /// missed. Where the victim counts its transitions, pass the counts on; where it logs them,
    /// use [`transitions_logged`](Self::transitions_logged). Neither misses any.
    ///
    /// ```no_run
    /// # #[derive(Clone)] struct Shop;
    /// # struct Status { breaker: String, opened: u64, tries: u64 }
    /// # impl Shop { async fn status(&self) -> std::io::Result<Status> { todo!() } }
    /// # async fn body(chaos: &chaos_test::ChaosContext, shop: Shop, cache: &chaos_test::Service) -> chaos_test::Result {
    /// use chaos_test::prelude::*;
    /// use chaos_test::{Error, Observed, link};
    /// let look = move || {
    ///     let shop = shop.clone();
    ///     async move {
    ///         let status = shop.status().await.map_err(|error| Error::msg(error.to_string()))?;
    ///         Ok::<_, Error>(Observed::state(status.breaker).counted("open", status.opened).calls(status.tries))
    ///     }
    /// };
    /// let breaker = chaos.transitions("breaker", look, ms(10));
    /// let outage = chaos.inject(link::down(cache)).await?;
    /// breaker.reaches("open").since(outage.injected()).within_calls(5).await?;
    /// let lifted = outage.lift().await?;
    /// breaker.goes_through(["half-open", "closed"]).since(lifted).within(secs(5)).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Panics
    ///
    /// If the name is empty or the interval is zero.
    #[track_caller]
    pub fn transitions<F, Answer, T, E>(
        &self,
        of: impl Into<String>,
        look: F,
        every: Duration,
    ) -> Transitions
    where
        F: Fn() -> Answer + Send + Sync + 'static,
        Answer: Future<Output = Result<T, E>> + Send + 'static,
        T: States,
        E: Display,
    {
        Transitions::seen(&self.inner, of.into(), look, every)
    }

    /// As [`transitions`](Self::transitions), from what a service prints from now on: a table of
    /// texts and of the states that a line with that text tells of. The first text that a line
    /// contains counts. No state is missed, however short it is; when it was entered is known to
    /// the interval at which the log is read.
    ///
    /// ```no_run
    /// # async fn body(chaos: &chaos_test::ChaosContext, shop: &chaos_test::Service) -> chaos_test::Result {
    /// use chaos_test::prelude::*;
    /// let lines = [("breaker opened", "open"), ("breaker half-open", "half-open"), ("breaker closed", "closed")];
    /// let breaker = chaos.transitions_logged("breaker", shop, lines, ms(20))?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Panics
    ///
    /// If the name or a text is empty, a text has more than one line, or the interval is zero.
    ///
    /// # Errors
    ///
    /// If nobody knows where the service prints, as for
    /// [`Service::last_lines`](crate::Service::last_lines).
    #[track_caller]
    pub fn transitions_logged<L: Into<String>, S: Display>(
        &self,
        of: impl Into<String>,
        service: &Service,
        lines: impl IntoIterator<Item = (L, S)>,
        every: Duration,
    ) -> Result<Transitions, Error> {
        let states = lines
            .into_iter()
            .map(|(text, state)| (text.into(), state.to_string()))
            .collect();
        Transitions::logged(&self.inner, of.into(), service, states, every)
    }
}
