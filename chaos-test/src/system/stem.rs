//! How the names begin of what a context keeps in the state directory.
//!
//! A journal is called `<stem>.jsonl`, a copy or scratch folder of its context `<stem>-<k>`.
//! The stem is `<pid>-<start time>-<boot>-<n>`. It only tells names apart and finds what
//! nobody can know of any more; everything else is read from the journal itself.

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
        boot_digits(&process.boot_id)
    )
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
    let Some((pid, start_time, boot)) = process(stem) else {
        return true;
    };
    boot == boot_digits(identity::boot_id())
        && identity::is_alive(&ProcessIdentity {
            pid,
            start_time,
            boot_id: identity::boot_id().to_owned(),
            namespace: identity::namespace(),
        })
}

fn process(stem: &str) -> Option<(u32, u64, &str)> {
    let mut parts = stem.split('-');
    let (pid, start_time) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    let boot = parts.next()?;
    parts.next()?.parse::<u64>().ok()?;
    let ours = parts.next().is_none() && boot.bytes().all(|byte| byte.is_ascii_hexdigit());
    ours.then_some((pid, start_time, boot))
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
    fn we_live_and_another_boot_is_dead() {
        let own = identity::own().unwrap();
        assert!(may_live(&format!("{}-0", of(&own))));
        let namesake = ProcessIdentity {
            start_time: own.start_time + 1,
            ..own.clone()
        };
        assert!(!may_live(&format!("{}-0", of(&namesake))));
        let earlier_boot = ProcessIdentity {
            boot_id: "00000000-0000".into(),
            ..own
        };
        assert!(!may_live(&format!("{}-0", of(&earlier_boot))));
        assert!(may_live("what is not ours"));
    }
}
