//! What the faults of one context take of its blast radius. Each takes its place before anything
//! is touched, under one lock, so that faults that are injected at the same time count together.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::decide::radius::{self, Groups, Reach};
use crate::error::{Error, Kind};
use crate::model::blast_radius::BlastRadius;
use crate::model::target::Target;
use crate::system::lock::lock;

/// The blast radius of one context, and what is taken of it.
pub(super) struct Taken {
    state: Mutex<State>,
    /// Held from when a fault takes its place until its pre-flight is over: nothing else is
    /// broken while the steady state is looked at.
    pub(super) first: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    radius: BlastRadius,
    groups: Groups,
    places: BTreeMap<u64, Reach>,
    next: u64,
}

impl Taken {
    pub(super) fn new(radius: BlastRadius) -> Self {
        Self {
            state: Mutex::new(State {
                radius,
                ..State::default()
            }),
            first: tokio::sync::Mutex::default(),
        }
    }

    /// The limits that hold from now on.
    pub(super) fn tighten(&self, radius: BlastRadius) -> BlastRadius {
        let mut state = lock(&self.state);
        state.radius = state.radius.tightened(radius);
        state.radius
    }

    pub(super) fn radius(&self) -> BlastRadius {
        lock(&self.state).radius
    }

    /// Takes a group in, from which on it counts.
    pub(super) fn add_group(&self, name: &str, services: BTreeSet<String>) -> Result<(), Error> {
        let mut state = lock(&self.state);
        if state.groups.contains_key(name) {
            return Err(
                Error::new(Kind::Usage, format!("there is a group `{name}` already"))
                    .help("make it once, and hand the value on"),
            );
        }
        state.groups.insert(name.to_owned(), services);
        Ok(())
    }

    /// The fault that has broken something, if one has.
    pub(super) fn who_breaks(&self, target: &Target) -> Option<String> {
        let state = lock(&self.state);
        let mut faults = state.places.values();
        let breaks = |fault: &&Reach| {
            let mut others = fault.targets.iter();
            others.any(|other| other.covers(target) || target.covers(other))
        };
        faults.find(breaks).map(|fault| fault.what.clone())
    }

    /// Whether a fault would fit in now.
    pub(super) fn check(&self, asked: &Reach) -> Result<(), Error> {
        lock(&self.state).check(asked)
    }

    /// Takes the place of a fault, and says whether it is the only one.
    pub(super) fn take(self: &Arc<Self>, asked: Reach) -> Result<(Place, bool), Error> {
        let mut state = lock(&self.state);
        state.check(&asked)?;
        let first = state.places.is_empty();
        let number = state.next;
        state.next += 1;
        state.places.insert(number, asked);
        let place = Place {
            taken: Arc::clone(self),
            number,
        };
        Ok((place, first))
    }

    /// How long a fault may be in force that does not say itself when it ends.
    pub(super) fn longest(&self) -> Option<Duration> {
        self.radius().longest()
    }
}

impl State {
    fn check(&self, asked: &Reach) -> Result<(), Error> {
        let in_force: Vec<&Reach> = self.places.values().collect();
        radius::check(&self.radius, asked, &in_force, &self.groups).map_err(|why| {
            Error::new(
                Kind::Refused,
                format!(
                    "{} was refused, nothing was touched: blast radius: {why}",
                    asked.what
                ),
            )
            .help("break less at once, or allow more in `blast_radius(..)`")
        })
    }
}

/// The place of one fault; free once it is dropped.
pub(super) struct Place {
    taken: Arc<Taken>,
    number: u64,
}

impl std::fmt::Debug for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Place").field(&self.number).finish()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        lock(&self.taken.state).places.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::event::Risk;

    fn kill(service: &str) -> Reach {
        let target = Target::Service(service.to_owned());
        Reach {
            what: format!("kill {service}"),
            targets: vec![target.clone()],
            instances: vec![target],
            share: 1.0,
            risk: Risk::Medium,
            ends_within: None,
        }
    }

    /// Two that are injected at the same time have both been checked before either has its place.
    #[test]
    fn a_place_is_judged_when_it_is_taken_and_free_when_it_is_left() {
        let taken = Arc::new(Taken::new(BlastRadius::new().services(1)));
        assert!(taken.check(&kill("a")).is_ok() && taken.check(&kill("b")).is_ok());
        let (place, first) = taken.take(kill("a")).unwrap();
        assert!(first);
        let refused = taken.take(kill("b")).unwrap_err();
        assert!(refused.is_refused(), "{refused}");
        let (again, first) = taken.take(kill("a")).unwrap();
        assert!(!first);
        let target = Target::Service("a".to_owned());
        assert_eq!(taken.who_breaks(&target).as_deref(), Some("kill a"));
        drop((place, again));
        assert_eq!(taken.who_breaks(&target), None);
        let (_place, first) = taken.take(kill("b")).unwrap();
        assert!(first);
    }
}
