//! What an objective leaves for failures, and how fast that is spent.
//!
//! Error budget and burn rate are those of the Site Reliability Workbook (Beyer et al., Google
//! 2018), chapters 2, "Implementing SLOs", and 5, "Alerting on SLOs": the budget is what an
//! objective leaves, one minus the objective; the burn rate is how fast it is spent, relative to
//! the objective: at 1 it lasts for just the objective's period.

use std::fmt;
use std::time::Duration;

use crate::model::units::{Percent, trimmed};

use super::Requests;

/// What an objective of availability leaves for failures, and how much of that was spent.
///
/// ```
/// use chaos_test::{ErrorBudget, Requests, percent, secs};
/// let budget = ErrorBudget::of(percent(99), Requests { total: 1000, failed: 20 });
/// assert!((budget.budget() - 0.01).abs() < 1e-9); // one in a hundred
/// assert_eq!(budget.allowed().round(), 10.0); // requests
/// assert_eq!(budget.burn_rate().round(), 2.0); // twice as many failed
/// let month = secs(30 * 24 * 60 * 60);
/// println!("an hour of this spends {:.4} of a month's", budget.spent_of(month, secs(60 * 60)));
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ErrorBudget {
    objective: Percent,
    requests: Requests,
}

impl ErrorBudget {
    /// Of these requests.
    #[must_use]
    pub fn of(objective: Percent, requests: Requests) -> Self {
        Self {
            objective,
            requests,
        }
    }

    /// The share of requests that may fail: one minus the objective.
    #[must_use]
    pub fn budget(&self) -> f64 {
        (1.0 - self.objective.as_fraction()).max(0.0)
    }

    /// How many of the requests may fail.
    #[must_use]
    pub fn allowed(&self) -> f64 {
        self.budget() * self.requests.total as f64
    }

    /// The share of the budget of these requests that was spent, more than 1 where it is
    /// exceeded. That is the burn rate, too: how fast the budget of any longer period would be
    /// spent if all of it were as this. Infinite where there is no budget and a request failed.
    #[must_use]
    pub fn burn_rate(&self) -> f64 {
        match (self.requests.failed, self.allowed()) {
            (0, _) => 0.0,
            (failed, allowed) => failed as f64 / allowed,
        }
    }

    /// The share of the budget of a whole period that an outage of this length, as bad as this
    /// test, spends.
    #[must_use]
    pub fn spent_of(&self, period: Duration, outage: Duration) -> f64 {
        self.burn_rate() * outage.as_secs_f64() / period.as_secs_f64()
    }
}

impl fmt::Display for ErrorBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Requests { total, failed } = self.requests;
        write!(
            f,
            "error budget {}, {} of {total} requests, {failed} spent, burn rate {}",
            Percent::from_fraction(self.budget()),
            trimmed(self.allowed()),
            match self.burn_rate() {
                rate if rate.is_finite() => trimmed(rate),
                _ => "without limit".to_owned(),
            }
        )
    }
}
