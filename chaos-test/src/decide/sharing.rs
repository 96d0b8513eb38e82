//! Who may use what tests share, and who has to wait.
//!
//! A test that breaks a shared thing has it for itself; the others use it side by side. A test
//! asks for all that it needs at once and holds nothing while it waits, and whoever has anything
//! for itself never waits: so no two tests ever wait for each other.

use std::collections::BTreeMap;

/// How somebody holds a thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hold {
    /// Beside others.
    Shared,
    /// For itself.
    Alone,
}

/// What somebody holds, or asks for: each thing by its name.
pub type Holds = BTreeMap<String, Hold>;

/// Whether two may hold these at the same time.
fn go_together(one: &Holds, other: &Holds) -> bool {
    one.iter().all(|(thing, hold)| {
        let same = other.get(thing);
        same.is_none_or(|same| *same == Hold::Shared && *hold == Hold::Shared)
    })
}

/// The first of some holders that is in the way of what is asked for.
pub fn in_the_way<'a, H>(
    asked: &Holds,
    holders: impl IntoIterator<Item = (&'a H, &'a Holds)>,
) -> Option<&'a H> {
    holders
        .into_iter()
        .find(|(_, holds)| !go_together(asked, holds))
        .map(|(holder, _)| holder)
}

/// Whether anything of it is held alone.
#[must_use]
pub fn has_anything_alone(holds: &Holds) -> bool {
    holds.values().any(|hold| *hold == Hold::Alone)
}

/// What is asked for beyond what is held already.
#[must_use]
pub fn missing(asked: &Holds, held: &Holds) -> Holds {
    asked
        .iter()
        .filter(|(thing, hold)| held.get(*thing).is_none_or(|held| held < hold))
        .map(|(thing, hold)| (thing.clone(), *hold))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(all: &[(&str, Hold)]) -> Holds {
        let all = all.iter();
        all.map(|(thing, hold)| ((*thing).to_owned(), *hold))
            .collect()
    }

    #[test]
    fn a_thing_is_used_by_many_or_broken_by_one() {
        let (one, two) = ("one".to_owned(), "two".to_owned());
        let uses = holds(&[("db", Hold::Shared), ("cache", Hold::Shared)]);
        let breaks = holds(&[("db", Hold::Alone)]);
        let other = holds(&[("broker", Hold::Alone)]);
        assert_eq!(in_the_way(&uses, [(&one, &uses), (&two, &uses)]), None);
        assert_eq!(
            in_the_way(&uses, [(&one, &other), (&two, &breaks)]),
            Some(&two)
        );
        assert_eq!(in_the_way(&breaks, [(&one, &uses)]), Some(&one));
        assert_eq!(in_the_way(&breaks, [(&one, &breaks)]), Some(&one));
        assert_eq!(in_the_way(&other, [(&one, &uses), (&two, &breaks)]), None);
    }

    #[test]
    fn only_what_is_not_held_well_enough_is_missing() {
        let held = holds(&[("db", Hold::Shared), ("cache", Hold::Alone)]);
        let asked = holds(&[
            ("db", Hold::Alone),
            ("cache", Hold::Shared),
            ("broker", Hold::Shared),
        ]);
        let expected = holds(&[("db", Hold::Alone), ("broker", Hold::Shared)]);
        assert_eq!(missing(&asked, &held), expected);
        assert!(has_anything_alone(&held) && !has_anything_alone(&holds(&[])));
    }
}
