//! Leases that a test takes while it runs.

use std::sync::Arc;

use crate::error::Error;
use crate::run::{engine, leases};

use super::ChaosContext;

impl ChaosContext {
    /// Holds a target that tests share, until the context has ended and everything is put
    /// back: no two tests of this user on this machine hold the same name at once, in
    /// whatever process they run. It waits while another test holds it, and says so on
    /// standard error; that does not count against the body's time limit. What a test knows
    /// before it runs belongs into `#[chaos_test(leases("orders-db"))]`, which waits before the
    /// set-up.
    ///
    /// A name is any text on one line, of at most 80 bytes. One that the test holds already is
    /// held on.
    ///
    /// Two tests that wait for each other would wait for ever. So a lease is waited for only
    /// where its name sorts after all that the test holds, and before its first container;
    /// else it is taken if it is free, and refused if it is not.
    ///
    /// ```no_run
    /// use chaos_test::prelude::*;
    ///
    /// /// The shop survives an outage of whichever database this environment has.
    /// #[chaos_test(requires(env("SHARED_DATABASE")))]
    /// async fn the_shop_survives(chaos: &ChaosContext) -> chaos_test::Result {
    ///     let database = std::env::var("SHARED_DATABASE")?;
    ///     chaos.lease(database.as_str()).await?;
    ///     // Nobody else breaks it now.
    ///     Ok(())
    /// }
    /// # fn main() {}
    /// ```
    ///
    /// # Errors
    ///
    /// If somebody holds it and it may not be waited for ([`Error::is_refused`]; the message
    /// says who, and what to do), the state directory cannot be used ([`Error::is_state`]),
    /// or the context ends. Then the lease is not held, and a call that is dropped does not
    /// take it later.
    pub async fn lease(&self, name: impl Into<String>) -> Result<(), Error> {
        let (inner, name) = (Arc::clone(&self.inner), name.into());
        engine::run_while_awaited(engine::own(), leases::take_lease(inner, name)).await
    }
}
