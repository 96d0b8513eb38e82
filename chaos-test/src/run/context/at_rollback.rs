//! What a test has put back or removed at the rollback.

use std::future::Future;
use std::path::PathBuf;

use crate::error::{Error, TestError};
use crate::model::undo::Undo;
use crate::run::rollback::Closure;
use crate::system::lock::lock;
use crate::system::{Ledger, undo};

use super::ChaosContext;

impl ChaosContext {
    /// Runs a closure when everything is rolled back, in its place of the reverse order.
    ///
    /// It is lost if the test is killed: no closure can be written to disk. Where that
    /// matters, use [`undo_at_rollback`](Self::undo_at_rollback).
    ///
    /// ```no_run
    /// # async fn body(chaos: &chaos_test::ChaosContext) -> chaos_test::Result {
    /// let orders = std::path::Path::new("/var/spool/shop/test-17");
    /// std::fs::create_dir(orders)?;
    /// chaos.at_rollback("remove the test's orders", move || async move { std::fs::remove_dir_all(orders) })?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// If the context has ended.
    pub fn at_rollback<F, E>(
        &self,
        what: impl Into<String>,
        closure: impl FnOnce() -> F + Send + 'static,
    ) -> Result<(), Error>
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
        TestError: From<E>,
    {
        self.inner.refuse_if_ended()?;
        let what = what.into();
        let entry = self.inner.recorder.plan(&what, Undo::Nothing, false)?;
        let closure = Closure {
            entry,
            run: Box::new(move || {
                let work = closure();
                Box::pin(async move { work.await.map_err(TestError::from) })
            }),
        };
        let mut closures = lock(&self.inner.closures);
        closures.push(closure);
        Ok(())
    }

    /// Writes an undo step to disk, to be performed when everything is rolled back, by
    /// whoever is still alive then. Call it before you do what it undoes.
    ///
    /// ```no_run
    /// # async fn body(chaos: &chaos_test::ChaosContext) -> chaos_test::Result {
    /// use chaos_test::Undo;
    /// chaos.undo_at_rollback("make a tenant", Undo::command(["shopctl", "tenant", "delete", "chaos"]))?;
    /// // and only now: shopctl tenant create chaos
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// If it is not on disk: then do not do what it would undo.
    pub fn undo_at_rollback(&self, what: impl Into<String>, undo: Undo) -> Result<(), Error> {
        self.inner.refuse_if_ended()?;
        let undo = undo::prepared(undo)?;
        self.inner.world.keep_for(&undo);
        self.inner.recorder.plan(&what.into(), undo, false)?;
        Ok(())
    }

    /// A new private folder, removed with everything in it when the context ends.
    ///
    /// ```no_run
    /// # async fn body(chaos: &chaos_test::ChaosContext) -> chaos_test::Result {
    /// let prices = chaos.scratch_dir()?.join("prices");
    /// std::fs::write(&prices, "teapot 55")?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// If it cannot be made.
    pub fn scratch_dir(&self) -> Result<PathBuf, Error> {
        self.inner.refuse_if_ended()?;
        self.inner.make_scratch()
    }
}
