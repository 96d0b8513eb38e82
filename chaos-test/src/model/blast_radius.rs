//! How much a test may break at once, how badly and for how long: plain numbers, which only
//! ever become stricter.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::event::Risk;
use super::units::{Percent, human};

/// How much may be broken at once, how badly, and for how long.
///
/// It is held against everything that is in force in a context, nested and combined faults
/// counted together, and against each fault alone. What goes beyond it is refused before
/// anything is touched. What a fault may touch at all is another matter: see `breaks(..)` and
/// [`ChaosContext::may_break`](crate::ChaosContext::may_break).
///
/// A limit that is not set allows anything. Given to
/// [`ChaosContext::blast_radius`](crate::ChaosContext::blast_radius), or written as
/// `#[chaos_test(blast_radius(services <= 1, duration <= 30s))]`; the strictest of all holds.
///
/// ```
/// use chaos_test::{BlastRadius, Risk, percent, secs};
///
/// let radius = BlastRadius::new()
///     .services(1)
///     .connections(percent(10))
///     .duration(secs(30))
///     .risk(Risk::Medium);
/// assert_eq!(
///     radius.to_string(),
///     "services <= 1, connections <= 10 %, duration <= 30 s, risk <= medium"
/// );
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
#[must_use = "a blast radius limits nothing until it is given to a context"]
pub struct BlastRadius {
    #[serde(skip_serializing_if = "Option::is_none")]
    services: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    instances: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    groups: Option<usize>,
    /// From 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    connections: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration: Option<Duration>,
    #[serde(skip_serializing_if = "Option::is_none")]
    risk: Option<Risk>,
}

impl BlastRadius {
    /// One that limits nothing yet.
    pub const fn new() -> Self {
        Self {
            services: None,
            instances: None,
            groups: None,
            connections: None,
            duration: None,
            risk: None,
        }
    }

    /// At most so many services with a fault in force, on themselves or on one of their links.
    ///
    /// # Panics
    ///
    /// If it is zero: nothing could be tested.
    #[track_caller]
    pub const fn services(mut self, most: usize) -> Self {
        assert!(most > 0, "a blast radius of no service tests nothing");
        self.services = Some(most);
        self
    }

    /// At most so many processes, containers and targets of your own faults that are broken
    /// themselves ([`Fault::instances`](crate::Fault::instances)). A fault on a link breaks
    /// none, so zero allows faults on links only.
    ///
    /// ```
    /// use chaos_test::BlastRadius;
    /// let links_only = BlastRadius::new().instances(0);
    /// let one_region = BlastRadius::new().groups(1);
    /// let both = links_only.tightened(one_region);
    /// assert_eq!(both.to_string(), "instances <= 0, groups <= 1");
    /// assert!(both.is_set() && !BlastRadius::new().is_set());
    /// ```
    pub const fn instances(mut self, most: usize) -> Self {
        self.instances = Some(most);
        self
    }

    /// At most so many [groups](crate::ChaosContext::group) of which a service has a fault in
    /// force. Zero allows faults on services that are in no group.
    ///
    /// See [`instances`](Self::instances) for an example.
    pub const fn groups(mut self, most: usize) -> Self {
        self.groups = Some(most);
        self
    }

    /// Of the connections to any target at most this share
    /// ([`Fault::share`](crate::Fault::share)). The shares of faults on the same target add up.
    ///
    /// # Panics
    ///
    /// If it is zero or more than 100 percent.
    #[track_caller]
    pub fn connections(mut self, most: Percent) -> Self {
        let share = most.as_fraction();
        assert!(
            share > 0.0 && share <= 1.0,
            "a share of connections is more than 0 % and at most 100 %, not {most}"
        );
        self.connections = Some(share);
        self
    }

    /// Each fault for at most so long. One that says that it lasts longer is refused; one that
    /// does not say how long it lasts is lifted when this time is over, and the test fails.
    ///
    /// # Panics
    ///
    /// If it is zero.
    #[track_caller]
    pub const fn duration(mut self, most: Duration) -> Self {
        assert!(!most.is_zero(), "a fault needs some time");
        self.duration = Some(most);
        self
    }

    /// Only faults of this class of risk, or a lower one.
    pub const fn risk(mut self, most: Risk) -> Self {
        self.risk = Some(most);
        self
    }

    /// As the macro writes it, which has judged the numbers.
    #[doc(hidden)]
    pub const fn of_macro(
        services: Option<usize>,
        instances: Option<usize>,
        groups: Option<usize>,
        connections: Option<f64>,
        duration: Option<Duration>,
        risk: Option<Risk>,
    ) -> Self {
        Self {
            services,
            instances,
            groups,
            connections,
            duration,
            risk,
        }
    }

    /// The stricter one of each limit.
    ///
    /// See [`instances`](Self::instances) for an example.
    pub fn tightened(self, other: Self) -> Self {
        fn stricter<T: PartialOrd>(one: Option<T>, other: Option<T>) -> Option<T> {
            match (one, other) {
                (Some(one), Some(other)) => Some(if other < one { other } else { one }),
                (one, other) => one.or(other),
            }
        }
        Self {
            services: stricter(self.services, other.services),
            instances: stricter(self.instances, other.instances),
            groups: stricter(self.groups, other.groups),
            connections: stricter(self.connections, other.connections),
            duration: stricter(self.duration, other.duration),
            risk: stricter(self.risk, other.risk),
        }
    }

    /// Whether it limits anything.
    #[must_use]
    pub fn is_set(&self) -> bool {
        *self != Self::new()
    }

    pub(crate) fn most_services(&self) -> Option<usize> {
        self.services
    }

    pub(crate) fn most_instances(&self) -> Option<usize> {
        self.instances
    }

    pub(crate) fn most_groups(&self) -> Option<usize> {
        self.groups
    }

    pub(crate) fn most_connections(&self) -> Option<f64> {
        self.connections
    }

    pub(crate) fn longest(&self) -> Option<Duration> {
        self.duration
    }

    pub(crate) fn highest_risk(&self) -> Option<Risk> {
        self.risk
    }
}

impl BlastRadius {
    /// Each limit that it has, as it is written in the head of a test.
    pub(crate) fn limits(&self) -> Vec<String> {
        let limits = [
            self.services.map(|most| format!("services <= {most}")),
            self.instances.map(|most| format!("instances <= {most}")),
            self.groups.map(|most| format!("groups <= {most}")),
            self.connections
                .map(|most| format!("connections <= {}", Percent::from_fraction(most))),
            self.duration
                .map(|most| format!("duration <= {}", human(most))),
            self.risk.map(|most| format!("risk <= {most}")),
        ];
        limits.into_iter().flatten().collect()
    }
}

/// As it is written in the head of a test; nothing where it limits nothing.
impl fmt::Display for BlastRadius {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.limits().join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::units::{percent, secs};

    #[test]
    fn of_two_the_stricter_limit_holds() {
        let one = BlastRadius::new()
            .services(2)
            .connections(percent(10))
            .risk(Risk::Low);
        let other = BlastRadius::new()
            .services(1)
            .connections(percent(50))
            .duration(secs(30))
            .risk(Risk::High);
        let expected = "services <= 1, connections <= 10 %, duration <= 30 s, risk <= low";
        assert_eq!(one.tightened(other).to_string(), expected);
        assert_eq!(other.tightened(one).to_string(), expected);
        assert!(!BlastRadius::new().is_set() && one.is_set());
        assert_eq!(one.tightened(BlastRadius::new()), one);
    }

    #[test]
    fn what_would_allow_nothing_is_refused() {
        for wrong in [
            || BlastRadius::new().services(0),
            || BlastRadius::new().connections(percent(0)),
            || BlastRadius::new().connections(percent(101)),
            || BlastRadius::new().duration(Duration::ZERO),
        ] {
            assert!(std::panic::catch_unwind(wrong).is_err());
        }
    }
}
