//! How fast a counter grows, from two looks at it.

use std::time::Duration;

use crate::model::resource::Total;

/// The shortest time that a rate is told from: the kernel counts some things in steps of 10 ms.
const SHORTEST: Duration = Duration::from_millis(20);

/// What two looks come to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Rate {
    /// So much per second.
    Of(f64),
    /// They lie too close together to tell.
    TooSoon,
    /// They are of different counters, or it began anew in between.
    Anew,
}

/// How fast it grew from one look to a later one.
///
/// Of processes two numbers are known, and neither is ever too high: by how much all of them
/// grew, with what ended children left to their parents, and by how much those grew that are
/// there. The first one misses children that nobody waited for, the second one those that came
/// and went in between. So the higher one is closer.
pub(crate) fn rate(before: &Total, now: &Total) -> Rate {
    let shrunk = now.amount < before.amount;
    if before.of != now.of || (shrunk && now.own.is_empty()) {
        return Rate::Anew;
    }
    let Some(elapsed) = now
        .at
        .checked_sub(before.at)
        .filter(|time| *time >= SHORTEST)
    else {
        return Rate::TooSoon;
    };
    let own = |(who, amount): (&(u32, u64), &f64)| {
        let before = before.own.get(who).copied().unwrap_or_default();
        (amount - before).max(0.0)
    };
    let own: f64 = now.own.iter().map(own).sum();
    let grown = (now.amount - before.amount).max(own);
    Rate::Of(grown / elapsed.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::units::ms;

    fn total(of: &str, at: u64, amount: f64, own: &[(u32, f64)]) -> Total {
        Total {
            of: of.to_owned(),
            at: ms(at),
            amount,
            own: own.iter().map(|(pid, own)| ((*pid, 0), *own)).collect(),
        }
    }

    #[test]
    fn rates_are_told_from_two_looks() {
        for (before, now, expected) in [
            (
                total("a", 0, 5.0, &[]),
                total("a", 500, 6.0, &[]),
                Rate::Of(2.0),
            ),
            (
                total("a", 0, 5.0, &[]),
                total("a", 500, 5.0, &[]),
                Rate::Of(0.0),
            ),
            // A restart, and a counter that began anew without one that we know of.
            (
                total("a", 0, 5.0, &[]),
                total("b", 500, 6.0, &[]),
                Rate::Anew,
            ),
            (
                total("a", 0, 5.0, &[]),
                total("a", 500, 1.0, &[]),
                Rate::Anew,
            ),
            (
                total("a", 490, 5.0, &[]),
                total("a", 500, 6.0, &[]),
                Rate::TooSoon,
            ),
            // Samples may overtake each other.
            (
                total("a", 600, 5.0, &[]),
                total("a", 500, 6.0, &[]),
                Rate::TooSoon,
            ),
            // Child 2 ended, and what it had done is its parent's now.
            (
                total("a", 0, 9.0, &[(1, 1.0), (2, 8.0)]),
                total("a", 1000, 9.5, &[(1, 1.25)]),
                Rate::Of(0.5),
            ),
            // It ended, and nobody waited for it.
            (
                total("a", 0, 9.0, &[(1, 1.0), (2, 8.0)]),
                total("a", 1000, 1.25, &[(1, 1.25)]),
                Rate::Of(0.25),
            ),
            // It is new.
            (
                total("a", 0, 1.0, &[(1, 1.0)]),
                total("a", 1000, 1.75, &[(1, 1.0), (2, 0.75)]),
                Rate::Of(0.75),
            ),
        ] {
            assert_eq!(rate(&before, &now), expected, "{before:?} {now:?}");
        }
    }
}
