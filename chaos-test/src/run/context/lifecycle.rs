//! Starting a context without the macro, and ending one.

use std::sync::Arc;
use std::time::Duration;

use crate::error::{Error, Kind};
use crate::model::event::BodyEnd;
use crate::model::outcome::Outcome;
use crate::run::engine;
use crate::run::environment;
use crate::run::finish::{self, Ending};
use crate::run::leases::{self, Turn};
use crate::run::stop;
use crate::run::test_identity::TestIdentity;
use crate::system::lease::Side;

use super::ChaosContext;

impl ChaosContext {
    /// Starts a context outside `#[chaos_test]`, named after the current thread, which
    /// libtest names after the test. While an `exclusive` test runs it waits for that; one
    /// that is opened on the thread of a `#[chaos_test]`'s body belongs to that test.
    ///
    /// # Errors
    ///
    /// If the state directory or the report folder cannot be used.
    ///
    /// ```no_run
    /// # async fn body() -> chaos_test::Result {
    /// use chaos_test::{ChaosContext, Program};
    /// let chaos = ChaosContext::start().await?;
    /// let cache = chaos.process("cache", Program::new("redis-server").args(["--port", "{port}"])).await?;
    /// chaos.finish().await?;
    /// # Ok(()) }
    /// ```
    pub async fn start() -> Result<Self, Error> {
        let (name, outer) = (this_thread(), leases::turn_of_this_thread());
        let open = move || Self::open_plain(&name, outer);
        let opened = engine::own().spawn_blocking(open).await;
        let opened =
            opened.unwrap_or_else(|error| Err(Error::new(Kind::State, error.to_string())))?;
        if opened.inner.leases.has_turn() {
            return Ok(opened);
        }
        engine::run_while_awaited(engine::own(), opened.until_its_turn()).await
    }

    /// As [`start`](Self::start), in a function without a runtime.
    ///
    /// ```no_run
    /// # fn body() -> chaos_test::Result {
    /// use chaos_test::{ChaosContext, Program};
    /// let chaos = ChaosContext::start_blocking()?;
    /// let cache = Program::new("redis-server").args(["--port", "{port}"]);
    /// let cache = chaos.block_on(chaos.process("cache", cache))?;
    /// chaos.finish_blocking()?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// If the state directory or the report folder cannot be used.
    pub fn start_blocking() -> Result<Self, Error> {
        let opened = Self::open_plain(&this_thread(), leases::turn_of_this_thread())?;
        if opened.inner.leases.has_turn() {
            return Ok(opened);
        }
        // It comes when others have ended, however long they take.
        engine::block_on_own(Duration::MAX, opened.until_its_turn()).and_then(|begun| begun)
    }

    /// Without a turn where somebody is in the way.
    fn open_plain(name: &str, outer: Option<Arc<Turn>>) -> Result<Self, Error> {
        let identity = TestIdentity::plain(name)?;
        stop::listen(&identity.run);
        stop::refuse_if_stopped()?;
        let environment = environment::read_plain()?;
        let opened = Self::open(identity)?;
        environment::enter(&opened.inner, environment);
        leases::take_turn_at_once(&opened.inner, outer);
        Ok(opened)
    }

    async fn until_its_turn(self) -> Result<Self, Error> {
        if let Err(error) = leases::take_turn(&self.inner, Side::Shared, None).await {
            let ending = Ending::Body(BodyEnd::Errored(error.to_string()));
            let inner = Arc::clone(&self.inner);
            // It goes on where nobody waits for this any more.
            let _ = engine::own()
                .spawn(async move { finish::end(&inner, ending).await })
                .await;
            return Err(error);
        }
        Ok(self)
    }

    /// Ends the context: lifts what is still in force, checks the steady state, puts
    /// everything back, and judges.
    ///
    /// See [`start`](Self::start) for an example.
    ///
    /// # Errors
    ///
    /// If the hypothesis did not hold, no chaos happened, or something was not put back;
    /// the message is the whole explanation.
    pub async fn finish(self) -> Result<Outcome, Error> {
        let inner = Arc::clone(&self.inner);
        engine::run_on(engine::own(), async move {
            let outcome = finish::end(&inner, Ending::Finished).await;
            finish::as_result(&inner, outcome)
        })
        .await
    }

    /// As [`finish`](Self::finish), in a function without a runtime.
    ///
    /// See [`start_blocking`](Self::start_blocking) for an example.
    ///
    /// # Errors
    ///
    /// As [`finish`](Self::finish).
    pub fn finish_blocking(self) -> Result<Outcome, Error> {
        let inner = Arc::clone(&self.inner);
        let outcome = finish::end_blocking(&inner, Ending::Finished);
        finish::as_result(&inner, outcome)
    }
}

impl Drop for ChaosContext {
    fn drop(&mut self) {
        if self.owner {
            finish::end_blocking(&self.inner, Ending::Dropped);
        }
    }
}

/// Libtest names a test's thread after it.
fn this_thread() -> String {
    let thread = std::thread::current();
    thread.name().unwrap_or("context").to_owned()
}
