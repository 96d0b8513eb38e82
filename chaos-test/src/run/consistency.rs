//! Records that were written and read again: what is expected of them, and judging it.

use std::fmt::Debug;
use std::sync::Arc;

use crate::decide::consistency::{Comparison, RecordTolerance};
use crate::error::Error;

use super::inner::Inner;
use super::judging::Judging;

/// Records that were written, and those that were read afterwards; made by
/// [`ChaosContext::consistency`](crate::ChaosContext::consistency).
///
/// What was written and was neither acknowledged nor refused, because its answer was lost, say,
/// belongs into [`uncertain`](Self::uncertain): it may be there or not.
///
/// Keys tell records apart. A key that was written twice is expected twice; for one that was
/// overwritten, pass its latest record only.
///
/// ```no_run
/// # async fn body(chaos: &chaos_test::ChaosContext) -> chaos_test::Result {
/// use chaos_test::prelude::*;
/// use chaos_test::lost;
/// let acknowledged = [(17, "teapot"), (18, "cup")];
/// let timed_out = [(19, "spoon")];
/// let read = [(17, "teapot"), (18, "cup")];
/// chaos.consistency("orders", acknowledged, read).uncertain(timed_out).expect(lost().at_most(0)).check()?;
/// # Ok(()) }
/// ```
#[must_use = "nothing is judged until something is expected of it"]
pub struct Consistency<K, V> {
    inner: Arc<Inner>,
    name: String,
    acknowledged: Vec<(K, V)>,
    uncertain: Vec<(K, V)>,
    read: Vec<(K, V)>,
}

impl<K, V> std::fmt::Debug for Consistency<K, V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Consistency")
            .field("name", &self.name)
            .field("acknowledged", &self.acknowledged.len())
            .field("uncertain", &self.uncertain.len())
            .field("read", &self.read.len())
            .finish_non_exhaustive()
    }
}

impl<K: Ord + Debug, V: PartialEq> Consistency<K, V> {
    #[track_caller]
    pub(super) fn new(
        inner: Arc<Inner>,
        name: String,
        acknowledged: Vec<(K, V)>,
        read: Vec<(K, V)>,
    ) -> Self {
        assert!(
            !name.trim().is_empty(),
            "records need a name: say what they are, as in \"orders\""
        );
        Self {
            inner,
            name,
            acknowledged,
            uncertain: Vec::new(),
            read,
        }
    }

    /// Records that somebody tried to write, and of which nobody knows whether they were.
    pub fn uncertain(mut self, records: impl IntoIterator<Item = (K, V)>) -> Self {
        self.uncertain.extend(records);
        self
    }

    /// How what was read compares with what was written; judges nothing.
    ///
    /// ```no_run
    /// # fn body(orders: &chaos_test::Consistency<u32, String>) {
    /// use chaos_test::lost;
    /// let compared = orders.compare();
    /// println!("{} lost, the first of them {:?}", compared.count(lost()), compared.first_keys(lost()));
    /// # }
    /// ```
    #[must_use]
    pub fn compare(&self) -> Comparison {
        Comparison::of(&self.acknowledged, &self.uncertain, &self.read)
    }

    /// Expects something of them; judged by [`RecordExpectations::check`].
    #[track_caller]
    pub fn expect(self, tolerance: RecordTolerance) -> RecordExpectations {
        let expectations = RecordExpectations {
            comparison: self.compare(),
            name: self.name,
            judging: Judging::new(self.inner),
        };
        expectations.expect(tolerance)
    }
}

/// What is expected of some records; judged all together by [`check`](Self::check).
///
/// Where they are dropped without it the test cannot pass: it says that they were never
/// judged.
///
/// ```no_run
/// # fn body(orders: chaos_test::Consistency<u32, String>) -> chaos_test::Result {
/// use chaos_test::{duplicated, lost, percent, unexpected};
/// orders
///     .expect(lost().at_most(0))
///     .expect(unexpected().at_most(0))
///     .expect(duplicated().at_most(percent(1)))
///     .check()?;
/// # Ok(()) }
/// ```
#[derive(Debug)]
#[must_use = "nothing is judged until `check` is called"]
pub struct RecordExpectations {
    name: String,
    comparison: Comparison,
    judging: Judging,
}

impl RecordExpectations {
    /// Expects one thing more.
    #[track_caller]
    pub fn expect(mut self, tolerance: RecordTolerance) -> Self {
        self.judging
            .add(tolerance.judge(&self.name, &self.comparison));
        self
    }

    /// Judges all of them and reports every miss, with the first keys of each.
    ///
    /// The judgement stands: a miss fails the test even if the error is swallowed.
    ///
    /// # Errors
    ///
    /// If at least one is missed ([`Error::is_deviation`]), or cannot be judged for want
    /// of records ([`Error::is_no_data`]).
    #[track_caller]
    pub fn check(self) -> Result<(), Error> {
        self.judging.check()
    }
}
