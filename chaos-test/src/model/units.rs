//! Durations and shares as test bodies write them, and how they read in messages.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// So many milliseconds.
///
/// ```
/// assert_eq!(chaos_test::ms(250), std::time::Duration::from_millis(250));
/// ```
#[must_use]
pub const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// So many seconds.
///
/// ```
/// assert_eq!(chaos_test::secs(2), chaos_test::ms(2000));
/// ```
#[must_use]
pub const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// So many KiB, in bytes.
///
/// ```
/// assert_eq!(chaos_test::kib(64), 65_536);
/// ```
///
/// # Panics
///
/// If these are more bytes than a `u64` holds.
#[must_use]
pub const fn kib(kibibytes: u64) -> u64 {
    match kibibytes.checked_mul(1024) {
        Some(bytes) => bytes,
        None => panic!("that many KiB are more bytes than a u64 holds"),
    }
}

/// So many MiB, in bytes.
///
/// ```
/// assert_eq!(chaos_test::mib(1), chaos_test::kib(1024));
/// ```
///
/// # Panics
///
/// If these are more bytes than a `u64` holds.
#[must_use]
pub const fn mib(mebibytes: u64) -> u64 {
    match mebibytes.checked_mul(1024) {
        Some(kibibytes) => kib(kibibytes),
        None => panic!("that many MiB are more bytes than a u64 holds"),
    }
}

/// A share in percent: 0 is none, 100 is all.
///
/// ```
/// use chaos_test::percent;
///
/// assert_eq!(percent(5).as_fraction(), 0.05);
/// assert_eq!(percent(99.9).to_string(), "99.9 %");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Percent(f64);

/// A share in percent, for tolerances such as `error_rate().at_most(percent(1))`.
///
/// # Panics
///
/// If the number is negative or not finite. Values above 100 are allowed, because a
/// latency can rise by 250 percent.
///
/// ```
/// use chaos_test::percent;
/// assert_eq!(percent(5).as_fraction(), 0.05);
/// assert_eq!(percent(0.1).to_string(), "0.1 %");
/// ```
#[must_use]
#[track_caller]
pub fn percent(share: impl Into<f64>) -> Percent {
    let share = share.into();
    assert!(
        share.is_finite() && share >= 0.0,
        "a percentage is a finite number from 0 up, not {share}"
    );
    Percent(share)
}

impl Percent {
    /// All of it.
    pub(crate) const ALL: Self = Self(100.0);

    /// The share as a number from 0 to 1 (more for shares above 100 percent).
    #[must_use]
    pub fn as_fraction(self) -> f64 {
        self.0 / 100.0
    }

    pub(crate) fn from_fraction(fraction: f64) -> Self {
        Self(fraction * 100.0)
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} %", trimmed(self.0))
    }
}

/// A number with at most two decimals, and none that are zero.
pub(crate) fn trimmed(number: f64) -> String {
    let text = format!("{number:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A number with as many digits as a person compares: all before the point, and three in all
/// behind leading zeros.
pub(crate) fn significant(number: f64) -> String {
    let size = number.abs();
    if size == 0.0 || size >= 100.0 || !size.is_finite() {
        return trimmed(number.round());
    }
    // The exponent of a number below 100 is small.
    let digits = (2 - size.log10().floor() as i32).clamp(0, 12) as usize;
    let text = format!("{number:.digits$}");
    if !text.contains('.') {
        return text;
    }
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A duration in the unit that a person would choose, with up to three digits.
pub(crate) fn human(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    if duration.is_zero() {
        "0 s".to_owned()
    } else if seconds >= 120.0 {
        format!("{} min", trimmed(seconds / 60.0))
    } else if seconds >= 1.0 {
        format!("{} s", trimmed(seconds))
    } else if seconds >= 0.001 {
        let millis = seconds * 1e3;
        if millis >= 100.0 {
            format!("{millis:.0} ms")
        } else {
            format!("{millis:.1} ms")
        }
    } else {
        format!("{:.0} µs", seconds * 1e6)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_a_person_would_write_them() {
        for (duration, text) in [
            (Duration::ZERO, "0 s"),
            (Duration::from_micros(85), "85 µs"),
            (Duration::from_micros(3_140), "3.1 ms"),
            (ms(231), "231 ms"),
            (ms(5_000), "5 s"),
            (ms(7_560), "7.56 s"),
            (secs(300), "5 min"),
        ] {
            assert_eq!(human(duration), text);
        }
    }

    #[test]
    fn numbers_have_the_digits_that_a_person_compares() {
        for (number, text) in [
            (0.0, "0"),
            (0.000_123_456, "0.000123"),
            (0.5, "0.5"),
            (2.34567, "2.35"),
            (42.0, "42"),
            (99.96, "100"),
            (123.456, "123"),
            (-7.255, "-7.25"),
            (1_234_567.8, "1234568"),
        ] {
            assert_eq!(significant(number), text);
        }
    }

    #[test]
    #[should_panic(expected = "a percentage is a finite number from 0 up, not -1")]
    fn a_negative_percentage_is_refused() {
        let _ = percent(-1);
    }
}
