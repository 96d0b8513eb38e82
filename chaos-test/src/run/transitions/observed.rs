//! What a closure that looks at a state returns.

use std::fmt::Display;

/// What a look at a victim's state has seen.
///
/// A state alone is a text, or anything that can be shown. A victim that counts more than that
/// makes what is judged exact:
///
/// ```
/// use chaos_test::Observed;
/// # let (breaker, opened, requests) = ("closed", 1, 20);
/// Observed::state(breaker)
///     .counted("open", opened) // how often it was entered: none is missed between two looks
///     .calls(requests); // for "opens within 5 calls"
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "return it from the closure"]
pub struct Observed {
    pub(super) state: String,
    pub(super) counted: Vec<(String, u64)>,
    pub(super) calls: Option<u64>,
}

impl Observed {
    /// The present state.
    pub fn state(state: impl Display) -> Self {
        Self {
            state: state.to_string(),
            counted: Vec::new(),
            calls: None,
        }
    }

    /// How often a state was entered since the victim's start.
    pub fn counted(mut self, state: impl Display, entered: u64) -> Self {
        self.counted.push((state.to_string(), entered));
        self
    }

    /// How many calls the victim has made since its start.
    pub fn calls(mut self, calls: u64) -> Self {
        self.calls = Some(calls);
        self
    }
}

/// What a closure that looks at a state may return in its `Result`.
///
/// ```
/// use chaos_test::{Observed, States};
/// assert_eq!("half-open".into_observed(), Observed::state("half-open"));
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no state",
    label = "return a text, something that implements `Display`, or an `Observed`"
)]
pub trait States {
    /// As what was observed.
    fn into_observed(self) -> Observed;
}

impl States for Observed {
    fn into_observed(self) -> Observed {
        self
    }
}

impl<T: Display> States for T {
    fn into_observed(self) -> Observed {
        Observed::state(self)
    }
}
