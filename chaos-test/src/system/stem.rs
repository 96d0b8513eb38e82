//! How the names begin of what a context keeps in the state directory.
//!
//! A journal is called `<stem>.jsonl`, a copy or scratch folder of its context `<stem>-<k>`.
//! The stem is `<pid>-<start time>-<place>-<n>`, where the place is the boot and the namespace
//! of process numbers: two containers of one machine, started in the same tick, may each have
//! a process 2, and share an engine. It only tells names apart and finds what nobody can know
//! of any more; everything else is read from the journal itself.

use super::identity;
use crate::model::identity::ProcessIdentity;

/// How many digits of the boot's number a name carries.
const BOOT_DIGITS: usize = 8;

/// The part of the stem that all contexts of a process share.
pub(crate) fn of(process: &ProcessIdentity) -> String {
    format!(
        "{}-{}-{}",
        process.pid,
        process.start_time,
        place(&process.boot_id, process.namespace)
    )
}

/// What tells processes of one number and start time apart: the digits of a boot and of a
/// namespace of process numbers.
pub(crate) fn place(boot_id: &str, namespace: u64) -> String {
    format!("{}{namespace:x}", boot_digits(boot_id))
}

/// Whether a journal's name is that of a context of this process.
pub(crate) fn is_of(name: &str, process: &ProcessIdentity) -> bool {
    let number = name
        .strip_prefix(&of(process))
        .and_then(|rest| rest.strip_prefix('-'))
        .and_then(|rest| rest.split('.').next());
    number.is_some_and(|number| number.parse::<u64>().is_ok())
}

fn boot_digits(boot_id: &str) -> String {
    let digits = boot_id.chars().filter(char::is_ascii_hexdigit);
    digits.take(BOOT_DIGITS).collect()
}

/// The stem of a copy or scratch folder; `None` where the name is not one of ours.
pub(crate) fn of_kept(name: &str) -> Option<&str> {
    let (stem, number) = name.rsplit_once('-')?;
    number.parse::<u64>().ok()?;
    process(stem).map(|_| stem)
}

/// Whether the process that a stem names may still run.
pub(crate) fn may_live(stem: &str) -> bool {
    let Some((pid, start_time, place)) = process(stem) else {
        return true;
    };
    let (boot_id, namespace) = (identity::boot_id(), identity::namespace());
    if place != self::place(boot_id, namespace) {
        // In another namespace of this boot nobody here can tell.
        return place.starts_with(&boot_digits(boot_id));
    }
    identity::is_alive(&ProcessIdentity {
        pid,
        start_time,
        boot_id: boot_id.to_owned(),
        namespace,
    })
}

fn process(stem: &str) -> Option<(u32, u64, &str)> {
    let mut parts = stem.split('-');
    let (pid, start_time) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    let place = parts.next()?;
    parts.next()?.parse::<u64>().ok()?;
    let ours = parts.next().is_none() && place.bytes().all(|byte| byte.is_ascii_hexdigit());
    ours.then_some((pid, start_time, place))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_ours_have_a_stem() {
        for (name, stem) in [
            ("17-4-0badcafe-3-1", Some("17-4-0badcafe-3")),
            ("17-4-0badcafe-3", None),
            ("17-4-0badcafe-3-x", None),
            ("17-4-nothex-3-1", None),
            ("17-4-0badcafe-3-2-1", None),
            ("kept-by-the-test", None),
            ("", None),
        ] {
            assert_eq!(of_kept(name), stem, "{name}");
        }
    }

    #[test]
    fn namesakes_of_two_containers_have_two_names() {
        let own = identity::own().unwrap();
        let contained = ProcessIdentity {
            namespace: own.namespace + 1,
            ..own.clone()
        };
        assert_ne!(of(&own), of(&contained));
        assert!(!is_of(&format!("{}-0.jsonl", of(&contained)), &own));
    }

    #[test]
    fn we_live_and_another_boot_is_dead() {
        let own = identity::own().unwrap();
        assert!(may_live(&format!("{}-0", of(&own))));
        let namesake = ProcessIdentity {
            start_time: own.start_time + 1,
            ..own.clone()
        };
        assert!(!may_live(&format!("{}-0", of(&namesake))));
        let contained = ProcessIdentity {
            namespace: own.namespace + 1,
            ..namesake
        };
        assert!(may_live(&format!("{}-0", of(&contained))));
        let earlier_boot = ProcessIdentity {
            boot_id: "00000000-0000".into(),
            ..own
        };
        assert!(!may_live(&format!("{}-0", of(&earlier_boot))));
        assert!(may_live("what is not ours"));
    }
}
