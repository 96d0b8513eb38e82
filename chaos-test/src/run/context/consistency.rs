//! Whether records survive.

use std::fmt::Debug;
use std::sync::Arc;

use crate::run::consistency::Consistency;

use super::ChaosContext;

impl ChaosContext {
    /// Holds the records that are read after a fault against those whose writes were
    /// acknowledged, to see whether any were lost, doubled, changed, put out of order or
    /// invented. `name` is what they are called in reports. A record is a key and a value;
    /// where there is no value, `()`.
    ///
    /// It judges as the set checker of [Jepsen](https://github.com/jepsen-io/jepsen) does: an
    /// acknowledged write must be read, one whose outcome nobody knows may be, and nothing else.
    ///
    /// ```no_run
    /// # struct Orders;
    /// # impl Orders {
    /// #     async fn place(&self, _: u32, _: &str) -> std::io::Result<()> { Ok(()) }
    /// #     async fn all(&self) -> std::io::Result<Vec<(u32, String)>> { Ok(vec![]) }
    /// # }
    /// # async fn body(chaos: &chaos_test::ChaosContext, database: &chaos_test::Service, orders: Orders) -> chaos_test::Result {
    /// use chaos_test::prelude::*;
    /// use chaos_test::{changed, duplicated, lost, process, unexpected};
    ///
    /// let (mut acknowledged, mut uncertain) = (Vec::new(), Vec::new());
    /// let outage = chaos.inject(process::kill(database)).await?;
    /// for id in 0..500 {
    ///     match orders.place(id, "one book").await {
    ///         Ok(()) => acknowledged.push((id, "one book".to_owned())),
    ///         // It may have come through; only its answer did not.
    ///         Err(_) => uncertain.push((id, "one book".to_owned())),
    ///     }
    /// }
    /// outage.lift().await?;
    /// chaos
    ///     .consistency("orders", acknowledged, orders.all().await?)
    ///     .uncertain(uncertain)
    ///     .expect(lost().at_most(0))
    ///     .expect(changed().at_most(0))
    ///     .expect(unexpected().at_most(0))
    ///     .expect(duplicated().at_most(percent(1)))
    ///     .check()?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Panics
    ///
    /// If the name is empty.
    #[track_caller]
    pub fn consistency<K: Ord + Debug, V: PartialEq>(
        &self,
        name: impl Into<String>,
        acknowledged: impl IntoIterator<Item = (K, V)>,
        read: impl IntoIterator<Item = (K, V)>,
    ) -> Consistency<K, V> {
        Consistency::new(
            Arc::clone(&self.inner),
            name.into(),
            acknowledged.into_iter().collect(),
            read.into_iter().collect(),
        )
    }
}
