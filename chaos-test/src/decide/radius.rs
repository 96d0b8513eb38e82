//! Whether a fault fits into the blast radius, beside all that is in force: pure counting.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::model::blast_radius::BlastRadius;
use crate::model::event::Risk;
use crate::model::target::Target;
use crate::model::units::{Percent, human};

/// What one fault takes of a blast radius.
#[derive(Debug, Clone, PartialEq)]
pub struct Reach {
    /// The fault, in words.
    pub what: String,
    /// Everything that it touches.
    pub targets: Vec<Target>,
    /// What of that it breaks itself.
    pub instances: Vec<Target>,
    /// The share of the connections to its targets that it may hit, from 0 to 1.
    pub share: f64,
    /// Its risk class.
    pub risk: Risk,
    /// When it has ended by itself at the latest, if it says so.
    pub ends_within: Option<Duration>,
}

/// Groups of services, by name.
pub type Groups = BTreeMap<String, BTreeSet<String>>;

/// Checks a fault; the error says what it would come to, what is in force, and what is allowed.
///
/// # Errors
///
/// Each limit that it would break.
pub fn check(
    radius: &BlastRadius,
    asked: &Reach,
    in_force: &[&Reach],
    groups: &Groups,
) -> Result<(), String> {
    let all = || in_force.iter().copied().chain([asked]);
    let mut broken = Vec::new();
    if let Some(most) = radius.most_services() {
        let services = |fault: &Reach| named(services_of(fault));
        let said = counted("service", "broken", most, asked, in_force, services);
        broken.extend(said.map(|said| format!("{said}, `services <= {most}` is allowed")));
    }
    if let Some(most) = radius.most_instances() {
        let instances = |fault: &Reach| fault.instances.iter().map(ToString::to_string).collect();
        let said = counted("instance", "broken", most, asked, in_force, instances);
        broken.extend(said.map(|said| format!("{said}, `instances <= {most}` is allowed")));
    }
    if let Some(most) = radius.most_groups() {
        let groups = |fault: &Reach| named(groups_of(fault, groups));
        let said = counted("group", "hit", most, asked, in_force, groups);
        broken.extend(said.map(|said| format!("{said}, `groups <= {most}` is allowed")));
    }
    if let Some(most) = radius.most_connections()
        && let Some((target, share)) = highest_share(asked, all())
        // The sum of 10 % and 20 % is no more than 30 %, whatever the last digit says.
        && share > most + 1e-9
    {
        let with = beside(in_force.iter().copied(), |fault| {
            fault.targets.iter().any(|other| overlap(other, target))
        });
        broken.push(format!(
            "up to {} of the connections to {target} would be hit{with}, `connections <= {}` is \
             allowed",
            Percent::from_fraction(share),
            Percent::from_fraction(most),
        ));
    }
    if let (Some(longest), Some(length)) = (radius.longest(), asked.ends_within)
        && length > longest
    {
        let (length, longest) = (human(length), human(longest));
        broken.push(format!(
            "it may be in force for {length}, `duration <= {longest}` is allowed"
        ));
    }
    if let Some(highest) = radius.highest_risk()
        && asked.risk > highest
    {
        broken.push(format!(
            "its risk is {}, `risk <= {highest}` is allowed",
            asked.risk
        ));
    }
    if broken.is_empty() {
        Ok(())
    } else {
        Err(broken.join("; "))
    }
}

/// How many there would be in all, where that is too many and the fault adds to them.
fn counted(
    one: &str,
    done: &str,
    most: usize,
    asked: &Reach,
    in_force: &[&Reach],
    of: impl Fn(&Reach) -> BTreeSet<String>,
) -> Option<String> {
    let before: BTreeSet<String> = in_force.iter().flat_map(|fault| of(fault)).collect();
    let new: Vec<String> = of(asked).difference(&before).cloned().collect();
    let count = before.len() + new.len();
    // A fault on what is broken already is none too many.
    if new.is_empty() || count <= most {
        return None;
    }
    let with = beside(in_force.iter().copied(), |fault| !of(fault).is_empty());
    Some(format!(
        "{count} {one}{} would be {done} at once ({}{})",
        if count == 1 { "" } else { "s" },
        new.join(", "),
        match before.len() {
            0 => String::new(),
            _ => format!("; {}{with}", join(&before)),
        },
    ))
}

fn join(names: &BTreeSet<String>) -> String {
    names
        .iter()
        .map(String::as_str)
        .collect::<Vec<_>>()
        .join(", ")
}

fn named<'a>(names: impl Iterator<Item = &'a str>) -> BTreeSet<String> {
    names.map(|name| format!("`{name}`")).collect()
}

/// Which of the faults in force have to do with it.
fn beside<'a>(
    in_force: impl Iterator<Item = &'a Reach>,
    has_to_do: impl Fn(&Reach) -> bool,
) -> String {
    let faults: Vec<String> = in_force
        .filter(|fault| has_to_do(fault))
        .map(|fault| format!("`{}`", fault.what))
        .collect();
    match faults.as_slice() {
        [] => String::new(),
        [one] => format!(" by {one}, which is in force"),
        _ => format!(" by {}, which are in force", faults.join(", ")),
    }
}

fn services_of(fault: &Reach) -> impl Iterator<Item = &str> {
    fault.targets.iter().filter_map(Target::service)
}

fn groups_of<'a>(fault: &'a Reach, groups: &'a Groups) -> impl Iterator<Item = &'a str> {
    let hit = |members: &BTreeSet<String>| services_of(fault).any(|one| members.contains(one));
    groups
        .iter()
        .filter(move |(_, members)| hit(members))
        .map(|(name, _)| name.as_str())
}

/// The target of which the largest share of connections may be hit, and that share. Two faults
/// may hit different connections, so their shares add up.
fn highest_share<'a>(
    asked: &Reach,
    faults: impl Iterator<Item = &'a Reach> + Clone,
) -> Option<(&'a Target, f64)> {
    let targets = faults.clone().flat_map(|fault| &fault.targets);
    targets
        .filter(|target| asked.targets.iter().any(|other| overlap(other, target)))
        .map(|target| {
            let hits = |fault: &&Reach| fault.targets.iter().any(|other| other.covers(target));
            let share: f64 = faults.clone().filter(hits).map(|fault| fault.share).sum();
            (target, share.min(1.0))
        })
        .max_by(|one, other| one.1.total_cmp(&other.1))
}

fn overlap(one: &Target, other: &Target) -> bool {
    one.covers(other) || other.covers(one)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::units::{percent, secs};

    fn service(name: &str) -> Target {
        Target::Service(name.into())
    }

    fn kill(name: &str) -> Reach {
        Reach {
            what: format!("kill {name}"),
            targets: vec![service(name)],
            instances: vec![service(name)],
            share: 1.0,
            risk: Risk::Medium,
            ends_within: None,
        }
    }

    fn slow(target: Target, share: f64) -> Reach {
        Reach {
            what: format!("delay {target}"),
            targets: vec![target],
            instances: vec![],
            share,
            risk: Risk::Low,
            ends_within: None,
        }
    }

    fn link(service: &str, name: &str) -> Target {
        Target::Link {
            service: service.into(),
            link: name.into(),
        }
    }

    fn lasting(length: Duration) -> Reach {
        Reach {
            ends_within: Some(length),
            ..kill("cache")
        }
    }

    fn answer(radius: BlastRadius, asked: &Reach, in_force: &[Reach]) -> Result<(), String> {
        let groups = [("eu", ["cache", "shop"]), ("us", ["orders", "shop"])];
        let groups = groups
            .into_iter()
            .map(|(name, members)| (name.to_owned(), members.map(str::to_owned).into()))
            .collect();
        let in_force: Vec<&Reach> = in_force.iter().collect();
        check(&radius, asked, &in_force, &groups)
    }

    #[test]
    fn what_fits_is_allowed() {
        let radius = BlastRadius::new;
        let cases = [
            (radius(), kill("a"), vec![kill("b"), kill("c")]),
            (radius().services(1), kill("a"), vec![]),
            // The same service once more.
            (
                radius().services(1),
                slow(link("a", "x"), 1.0),
                vec![kill("a")],
            ),
            (radius().services(2), kill("a"), vec![kill("b")]),
            // A link breaks no instance.
            (radius().instances(0), slow(service("a"), 1.0), vec![]),
            (
                radius().instances(1),
                slow(service("a"), 1.0),
                vec![kill("b")],
            ),
            // In no group.
            (radius().groups(0), kill("other"), vec![]),
            (radius().groups(1), kill("cache"), vec![kill("other")]),
            (
                radius().connections(percent(10)),
                slow(service("a"), 0.1),
                vec![],
            ),
            (
                radius().connections(percent(30)),
                slow(service("a"), 0.1),
                vec![slow(service("a"), 0.2), slow(service("b"), 0.3)],
            ),
            // Each is a tenth of its own link.
            (
                radius().connections(percent(10)),
                slow(link("a", "x"), 0.1),
                vec![slow(link("a", "y"), 0.1)],
            ),
            (radius().duration(secs(30)), lasting(secs(30)), vec![]),
            // What promises nothing is lifted in time.
            (radius().duration(secs(30)), kill("a"), vec![]),
            (radius().risk(Risk::Medium), kill("a"), vec![]),
        ];
        for (radius, asked, in_force) in cases {
            let answer = answer(radius, &asked, &in_force);
            assert_eq!(
                answer,
                Ok(()),
                "{radius}: {} beside {in_force:?}",
                asked.what
            );
        }
    }

    #[test]
    fn what_goes_beyond_is_refused_with_what_is_in_force_and_what_is_allowed() {
        let radius = BlastRadius::new;
        let cases = [
            (
                radius().services(1),
                slow(link("shop", "x"), 1.0),
                vec![kill("cache")],
                "2 services would be broken at once (`shop`; `cache` by `kill cache`, which is in \
                 force), `services <= 1` is allowed",
            ),
            (
                radius().instances(1),
                kill("shop"),
                vec![kill("cache"), slow(service("orders"), 1.0)],
                "2 instances would be broken at once (service `shop`; service `cache` by `kill \
                 cache`, which is in force), `instances <= 1` is allowed",
            ),
            (
                radius().instances(0),
                kill("shop"),
                vec![],
                "1 instance would be broken at once (service `shop`), `instances <= 0` is allowed",
            ),
            (
                radius().groups(1),
                kill("orders"),
                vec![kill("cache")],
                "2 groups would be hit at once (`us`; `eu` by `kill cache`, which is in force), \
                 `groups <= 1` is allowed",
            ),
            (
                radius().groups(1),
                kill("shop"),
                vec![],
                "2 groups would be hit at once (`eu`, `us`), `groups <= 1` is allowed",
            ),
            (
                radius().connections(percent(10)),
                slow(service("a"), 0.2),
                vec![],
                "up to 20 % of the connections to service `a` would be hit, `connections <= 10 %` \
                 is allowed",
            ),
            (
                radius().connections(percent(10)),
                slow(link("a", "x"), 0.1),
                vec![slow(service("a"), 0.05)],
                "up to 15 % of the connections to link `x` would be hit by `delay service `a``, \
                 which is in force, `connections <= 10 %` is allowed",
            ),
            (
                radius().duration(secs(30)),
                lasting(secs(31)),
                vec![],
                "it may be in force for 31 s, `duration <= 30 s` is allowed",
            ),
            (
                radius().risk(Risk::Low).services(1),
                kill("a"),
                vec![kill("b")],
                "2 services would be broken at once (`a`; `b` by `kill b`, which is in force), \
                 `services <= 1` is allowed; its risk is medium, `risk <= low` is allowed",
            ),
        ];
        for (radius, asked, in_force, expected) in cases {
            let answer = answer(radius, &asked, &in_force);
            assert_eq!(answer, Err(expected.to_owned()), "{radius}");
        }
    }
}
