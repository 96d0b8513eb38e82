//! The three answers that a test gives. They are never one boolean.

use serde::{Deserialize, Serialize};

/// Did the run finish?
///
/// ```
/// use chaos_test::{Outcome, RunStatus};
///
/// /// Whether it was not the system under test that ended it.
/// fn is_worth_another_try(outcome: &Outcome) -> bool {
///     matches!(outcome.status, RunStatus::Errored(_) | RunStatus::Interrupted(_))
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", content = "why", rename_all = "snake_case")]
#[non_exhaustive]
pub enum RunStatus {
    /// The body ran to its end, by returning, by an error of its own or by a panic.
    Completed,
    /// Something that the test needs is not there.
    Skipped(String),
    /// An abort condition was met.
    Aborted(String),
    /// The body took longer than its time limit.
    TimedOut(String),
    /// Somebody stopped the run.
    Interrupted(String),
    /// The harness could not do its part: a fixture, a fault or the journal failed.
    Errored(String),
}

/// Did the hypothesis hold?
///
/// ```
/// use chaos_test::{Outcome, Verdict};
///
/// fn in_words(outcome: &Outcome) -> &str {
///     match &outcome.verdict {
///         Verdict::Held => "it held",
///         Verdict::Deviated(why) | Verdict::Unknown(why) => why,
///         _ => "a later version knows more",
///     }
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", content = "why", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Verdict {
    /// Everything that was judged was as expected, and chaos happened.
    Held,
    /// At least one thing was not as expected.
    Deviated(String),
    /// There is no telling: no chaos happened, there was no data, or the run did not
    /// finish. This fails.
    Unknown(String),
}

/// Was everything put back?
///
/// ```
/// use chaos_test::{Outcome, Restoration};
///
/// fn left(outcome: &Outcome) -> Vec<&str> {
///     match &outcome.restoration {
///         Restoration::Unrestored { left } => left.iter().map(|one| one.by_hand.as_str()).collect(),
///         _ => Vec::new(),
///     }
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Restoration {
    /// Everything was put back, but for what was kept on purpose.
    Restored {
        /// How many faults were lifted.
        faults: usize,
        /// How many other things (processes, folders, ...) were put back.
        others: usize,
        /// How many containers and networks were left on purpose (`CHAOS_KEEP=failed`).
        #[serde(default)]
        kept: usize,
    },
    /// Something was not put back.
    Unrestored {
        /// What is left, and how a person can undo it.
        left: Vec<Leftover>,
    },
}

/// Something that could not be put back.
///
/// See [`Restoration`] for an example.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Leftover {
    /// What was to be undone.
    pub what: String,
    /// Why that failed.
    pub why: String,
    /// What a person can do about it.
    pub by_hand: String,
}

/// A test that runs as its own negative control: what it tests is weakened, and it must
/// deviate.
///
/// ```
/// use chaos_test::Outcome;
///
/// /// What was weakened without being noticed.
/// fn unnoticed(outcome: &Outcome) -> Option<&str> {
///     let control = outcome.control.as_ref()?;
///     (!control.is_as_expected()).then_some(control.changed.as_str())
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Control {
    /// What was changed, as `NAME=value`.
    pub changed: String,
    /// What the reason of the deviation must contain, if that matters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Why it deviated, after something was broken. Going too far for an abort condition, and
    /// taking too long, are deviations here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deviated: Option<String>,
}

impl Control {
    /// Whether it deviated for the reason that it names.
    #[must_use]
    pub fn is_as_expected(&self) -> bool {
        let reason = self.reason.as_deref().unwrap_or_default();
        self.deviated
            .as_deref()
            .is_some_and(|why| why.contains(reason))
    }
}

/// All three answers of one test.
///
/// ```no_run
/// # async fn body(chaos: chaos_test::ChaosContext) -> chaos_test::Result {
/// use chaos_test::{Restoration, Verdict};
/// let outcome = chaos.finish().await?; // an error where the hypothesis did not hold
/// assert!(outcome.passed() || outcome.skipped().is_some());
/// assert!(matches!(outcome.restoration, Restoration::Restored { .. }));
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Outcome {
    /// Did the run finish?
    pub status: RunStatus,
    /// Did the hypothesis hold?
    pub verdict: Verdict,
    /// Was everything put back?
    pub restoration: Restoration,
    /// The name of the gap that is known (`known_gap = "SHOP-12"`): then the hypothesis is
    /// expected to deviate, and strictly so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known_gap: Option<String>,
    /// Set where this was a negative control (`must_fail_when(..)`): then the hypothesis must
    /// deviate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub control: Option<Control>,
}

impl Outcome {
    /// Completed, held and restored: the only way to pass. A test with a known gap that holds
    /// does not: the gap is closed, and should not be called known any more. Nor does a negative
    /// control: that has to deviate, for the reason that it names.
    ///
    /// See [`known_gap`](Self::known_gap) for an example.
    #[must_use]
    pub fn passed(&self) -> bool {
        let as_expected = match &self.control {
            Some(control) => control.is_as_expected(),
            None => {
                matches!(self.status, RunStatus::Completed)
                    && matches!(self.verdict, Verdict::Held)
                    && self.known_gap.is_none()
            }
        };
        as_expected && matches!(self.restoration, Restoration::Restored { .. })
    }

    /// The name of the known gap, where the hypothesis deviated as expected and all else is
    /// as it should be. That is neither a pass nor a failure.
    ///
    /// ```
    /// use chaos_test::Outcome;
    ///
    /// fn in_a_word(outcome: &Outcome) -> &str {
    ///     match (outcome.known_gap(), outcome.skipped()) {
    ///         _ if outcome.passed() => "passed",
    ///         (Some(_), _) => "known gap",
    ///         (_, Some(_)) => "skipped",
    ///         _ => "failed",
    ///     }
    /// }
    /// ```
    #[must_use]
    pub fn known_gap(&self) -> Option<&str> {
        match (&self.status, &self.verdict, &self.restoration) {
            (RunStatus::Completed, Verdict::Deviated(_), Restoration::Restored { .. }) => {
                self.known_gap.as_deref()
            }
            _ => None,
        }
    }

    /// Why the test was skipped, if it was, missed nothing and left nothing behind.
    ///
    /// See [`known_gap`](Self::known_gap) for an example.
    #[must_use]
    pub fn skipped(&self) -> Option<&str> {
        match (&self.status, &self.verdict, &self.restoration) {
            (_, Verdict::Deviated(_), _) => None,
            (RunStatus::Skipped(why), _, Restoration::Restored { .. }) => Some(why),
            _ => None,
        }
    }
}

#[cfg(test)]
impl Outcome {
    /// For tests: everything is put back, and one fault was injected.
    pub(crate) fn example(status: RunStatus, verdict: Verdict) -> Self {
        Self {
            status,
            verdict,
            restoration: Restoration::Restored {
                faults: 1,
                others: 0,
                kept: 0,
            },
            known_gap: None,
            control: None,
        }
    }
}
