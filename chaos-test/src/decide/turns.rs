//! In which order leases are asked for, which of them may be waited for, and when a wait is
//! told.

use std::collections::BTreeSet;
use std::time::Duration;

/// How long a lease's name may be, in bytes: each may take three in the name of its file.
const LONGEST_NAME: usize = 80;

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

/// The leases of a test in the order in which all tests ask for them, each once. Where each
/// waits only for what sorts after all that it holds, none waits in a circle.
pub fn in_order<'a>(names: impl IntoIterator<Item = &'a str>) -> BTreeSet<&'a str> {
    names.into_iter().collect()
}

/// The leases in hand because of which another one may not be waited for: those that sort
/// after it.
pub fn in_the_way<'a>(held: impl IntoIterator<Item = &'a str>, wanted: &str) -> Vec<&'a str> {
    held.into_iter().filter(|held| *held > wanted).collect()
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
        assert_eq!(Vec::from_iter(asked), ["Cache", "broker", "orders-db"]);
    }

    #[test]
    fn only_what_sorts_after_all_that_is_held_may_be_waited_for() {
        assert!(in_the_way([], "a").is_empty());
        assert!(in_the_way(["a", "b"], "c").is_empty());
        assert_eq!(in_the_way(["a", "c", "d"], "b"), ["c", "d"]);
        // Bytes are compared, everywhere alike: no locale, no folding of letters.
        assert_eq!(in_the_way(["b"], "Z"), ["b"]);
    }

    #[test]
    fn waiting_is_told_after_two_seconds_and_then_every_ten() {
        assert_eq!([0, 1, 2].map(told_after), [secs(2), secs(12), secs(22)]);
    }
}
