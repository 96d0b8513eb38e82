//! In which order leases are asked for, which of them may be waited for, and when a wait is
//! told.

use std::time::Duration;

/// How long a lease's name may be, in bytes: each may take three in the name of its file.
const LONGEST_NAME: usize = 80;

/// How the names of leases begin that are taken by themselves, on what was there before the test.
pub const EXISTING: &str = "existing ";

/// How long a lease is waited for against the order while somebody waits for what the test holds:
/// the two may wait for each other.
const PATIENCE: Duration = Duration::from_secs(60);
/// How much longer, where that somebody came later. Of two who wait for each other only one is to
/// give up.
const FORBEARANCE: Duration = Duration::from_secs(15);
/// How long it is waited for against the order in any case.
const LONGEST_AGAINST_THE_ORDER: Duration = Duration::from_secs(600);

/// A wait is told after this time.
const TOLD_AFTER: Duration = Duration::from_secs(2);
/// And then as often.
const TOLD_EVERY: Duration = Duration::from_secs(10);

/// Checks the name of a lease. The macro has the same rules for names that it is given.
///
/// # Errors
///
/// What is wrong with it.
pub fn check_name(name: &str) -> Result<(), String> {
    if name.trim().is_empty() {
        return Err("a lease is named after what is shared: its name is not empty".to_owned());
    }
    if name.len() > LONGEST_NAME {
        let length = name.len();
        return Err(format!(
            "a lease's name has at most {LONGEST_NAME} bytes, and `{name}` has {length}"
        ));
    }
    if name.contains(char::is_control) {
        return Err(format!(
            "a lease's name is one line of text, which {name:?} is not"
        ));
    }
    Ok(())
}

/// Where a lease comes in the order: by its name, and those on what was there before the test
/// after all that the test names, which has these when it begins.
fn rank(name: &str) -> (bool, &str) {
    (name.starts_with(EXISTING), name)
}

/// The leases of a test in the order in which all tests ask for them, each once. Where each
/// waits only for what sorts after all that it holds, none waits in a circle.
pub fn in_order<'a>(names: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let mut names: Vec<&str> = names.into_iter().collect();
    names.sort_unstable_by_key(|name| rank(name));
    names.dedup();
    names
}

/// The leases in hand because of which another one may not be waited for, or not without end:
/// those that sort after it.
pub fn in_the_way<'a>(held: impl IntoIterator<Item = &'a str>, wanted: &str) -> Vec<&'a str> {
    let held = held.into_iter();
    held.filter(|held| rank(held) > rank(wanted)).collect()
}

/// Whether a wait against the order is given up, which could be part of a circle: after how long,
/// and for how long by then somebody has waited for what the test holds, who may have `come_later`.
pub fn gives_up(waited: Duration, wanted_for: Option<Duration>, come_later: bool) -> bool {
    let patience = if come_later {
        PATIENCE + FORBEARANCE
    } else {
        PATIENCE
    };
    waited >= LONGEST_AGAINST_THE_ORDER || wanted_for.is_some_and(|time| time >= patience)
}

/// After how long a wait is told, where it was told so many times before.
pub fn told_after(times: u32) -> Duration {
    TOLD_AFTER + TOLD_EVERY * times
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::units::secs;

    #[test]
    fn a_name_says_something_on_one_line() {
        for name in ["orders-db", "https://staging.example/orders", "Straße 7"] {
            assert_eq!(check_name(name), Ok(()), "{name}");
        }
        for name in ["", "  ", "a\nb", "\0", &"x".repeat(81), &"ü".repeat(41)] {
            assert!(check_name(name).is_err(), "{name:?}");
        }
        assert_eq!(check_name(&"ü".repeat(40)), Ok(()));
    }

    #[test]
    fn all_tests_ask_in_one_order_and_once() {
        let asked = in_order(["orders-db", "broker", "orders-db", "Cache"]);
        assert_eq!(asked, ["Cache", "broker", "orders-db"]);
        // What was there before comes last.
        let asked = in_order([
            "existing process 1-2",
            "orders-db",
            "a",
            "existing address b",
        ]);
        let expected = [
            "a",
            "orders-db",
            "existing address b",
            "existing process 1-2",
        ];
        assert_eq!(asked, expected);
    }

    #[test]
    fn what_was_there_before_may_be_waited_for_beside_all_that_a_test_names() {
        assert!(in_the_way(["a", "orders-db"], "existing address b").is_empty());
        assert_eq!(
            in_the_way(["existing address b"], "zoo"),
            ["existing address b"]
        );
        let held = ["orders-db", "existing process 1-2"];
        assert_eq!(
            in_the_way(held, "existing address b"),
            ["existing process 1-2"]
        );
        // A name that only begins alike is one that somebody chose.
        assert_eq!(in_the_way(["existing-db"], "a"), ["existing-db"]);
    }

    #[test]
    fn a_wait_against_the_order_ends() {
        for (waited, wanted_for, come_later, expected) in [
            (secs(99), Some(secs(59)), false, false),
            (secs(99), Some(secs(60)), false, true),
            (secs(99), Some(secs(74)), true, false),
            (secs(99), Some(secs(75)), true, true),
            // Nobody waits for this test, so it is in no circle.
            (secs(599), None, false, false),
            (secs(600), None, false, true),
        ] {
            let told = format!("{waited:?} {wanted_for:?} {come_later}");
            assert_eq!(gives_up(waited, wanted_for, come_later), expected, "{told}");
        }
    }

    #[test]
    fn waiting_is_told_after_two_seconds_and_then_every_ten() {
        assert_eq!([0, 1, 2].map(told_after), [secs(2), secs(12), secs(22)]);
    }
}
