//! Two windows compared: between which bounds the difference of their true numbers lies, and
//! whether that is tolerated. It knows no units and no words.
//!
//! The bounds come from those of each window by MOVER, the "method of variance estimates
//! recovery" (Zou & Donner 2008, *Statistics in Medicine* 27:1693; for rates method 10 of
//! Newcombe 1998): how far the difference may be off is the root of the squares of how far
//! each window may be off, towards the side in question. So nothing is assumed of the
//! distributions but that the two windows do not depend on each other.

use crate::model::event::Met;

use super::interval::Estimate;

/// What may have become of a number since the baseline.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Allowed {
    pub(super) direction: Direction,
    pub(super) by: By,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    Rises,
    Drops,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum By {
    /// In the number's own unit.
    Amount(f64),
    /// As a share of the baseline's number.
    Share(f64),
}

/// The bounds of something; an end may be open.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Interval {
    pub(super) low: f64,
    pub(super) high: f64,
}

/// A window beside its baseline.
#[derive(Debug, Clone)]
pub(super) struct Comparison {
    pub(super) before: Estimate,
    pub(super) now: Estimate,
    /// With which probability each bound may be wrong.
    tail: f64,
}

/// How many samples must be seen before "none of them failed" says anything.
pub(super) const ENOUGH_TO_BE_FLAWLESS: usize = 20;

impl Comparison {
    /// With so much confidence that both bounds are right, as a share.
    pub(super) fn new(mut before: Estimate, mut now: Estimate, confidence: f64) -> Self {
        // A window that saw no stall does not know of them: the other may.
        let independent = before.independent.min(now.independent);
        before.independent = independent;
        now.independent = independent;
        Self {
            before,
            now,
            tail: (1.0 - confidence) / 2.0,
        }
    }

    /// Whether it is tolerated; no data where both are possible.
    pub(super) fn judge(&self, allowed: Allowed) -> Met {
        if self.is_flawless(allowed) {
            return if self.now.count >= ENOUGH_TO_BE_FLAWLESS {
                Met::Yes
            } else {
                Met::NoData
            };
        }
        let excess = self.excess(allowed);
        // What is lost in turning a share into a limit must not decide.
        let rounding = match self.before.seen().abs().max(self.now.seen().abs()) {
            largest if largest.is_finite() => largest * 1e-12,
            _ => 0.0,
        };
        if excess.high <= rounding {
            Met::Yes
        } else if excess.low > rounding {
            Met::No
        } else {
            Met::NoData
        }
    }

    /// Whether nothing is allowed of a share, and nothing was seen of it: no interval ends
    /// there, because what was not seen may still be rare. That is judged by what was seen.
    pub(super) fn is_flawless(&self, allowed: Allowed) -> bool {
        let best = match allowed.direction {
            Direction::Rises => self.now.is_none(),
            Direction::Drops => self.now.is_all() && self.now.seen() >= self.before.seen(),
        };
        best && matches!(allowed.by, By::Amount(by) | By::Share(by) if by == 0.0)
    }

    /// By how much it is more than tolerated.
    fn excess(&self, allowed: Allowed) -> Interval {
        let (factor, by) = match (allowed.by, allowed.direction) {
            (By::Amount(by), _) => (1.0, by),
            (By::Share(share), Direction::Rises) => (1.0 + share, 0.0),
            (By::Share(share), Direction::Drops) => ((1.0 - share).max(0.0), 0.0),
        };
        let Interval { low, high } = self.difference(factor);
        match allowed.direction {
            Direction::Rises => Interval {
                low: low - by,
                high: high - by,
            },
            Direction::Drops => Interval {
                low: -high - by,
                high: -low - by,
            },
        }
    }

    /// The window's number less so many times the baseline's.
    pub(super) fn difference(&self, factor: f64) -> Interval {
        let (before, now) = (&self.before, &self.now);
        if !before.seen().is_finite() {
            return Interval {
                low: f64::NEG_INFINITY,
                high: f64::INFINITY,
            };
        }
        // An open end of what does not count at all is none.
        let times = |distance: f64| {
            if factor == 0.0 {
                0.0
            } else {
                distance * factor
            }
        };
        if !now.seen().is_finite() {
            // From infinity there is no distance, but each bound can be held to half of what
            // may be wrong, and then both are right often enough.
            let highest = times(before.high(self.tail / 2.0));
            return Interval {
                low: if highest.is_finite() {
                    now.low(self.tail / 2.0) - highest
                } else {
                    f64::NEG_INFINITY
                },
                high: f64::INFINITY,
            };
        }
        let seen = now.seen() - times(before.seen());
        let down = f64::hypot(
            now.seen() - now.low(self.tail),
            times(before.high(self.tail) - before.seen()),
        );
        let up = f64::hypot(
            now.high(self.tail) - now.seen(),
            times(before.seen() - before.low(self.tail)),
        );
        Interval {
            low: seen - down,
            high: seen + up,
        }
    }

    /// The window's number as a multiple of the baseline's (neither is below zero): all
    /// multiples that the difference does not rule out (as Donner & Zou 2012 do).
    pub(super) fn ratio(&self) -> Interval {
        // Both bounds of the difference fall as the multiple grows.
        let crossing = |bound: fn(Interval) -> f64| {
            let falls_to_zero = |multiple: f64| bound(self.difference(multiple)) <= 0.0;
            let (mut from, mut to) = (0.0, 1.0);
            while !falls_to_zero(to) {
                (from, to) = (to, to * 2.0);
                if to > 1e9 {
                    return f64::INFINITY;
                }
            }
            for _ in 0..50 {
                let middle = f64::midpoint(from, to);
                if falls_to_zero(middle) {
                    to = middle;
                } else {
                    from = middle;
                }
            }
            to
        };
        Interval {
            low: crossing(|difference| difference.low),
            high: crossing(|difference| difference.high),
        }
    }

    /// About how many samples the window and the baseline would need before it can be told
    /// what was seen here. `None` if that is more than a hundred times as many.
    pub(super) fn needs(&self, allowed: Allowed) -> Option<Needs> {
        if self.is_flawless(allowed) {
            return Some(Needs {
                now: ENOUGH_TO_BE_FLAWLESS,
                before: self.before.count,
            });
        }
        let tells = |now: f64, before: f64| {
            let larger = Self {
                now: self.now.clone().times(now),
                before: self.before.clone().times(before),
                tail: self.tail,
            };
            larger.judge(allowed) != Met::NoData
        };
        let needs = |now: f64, before: f64| Needs {
            now: (self.now.count as f64 * now).ceil() as usize,
            before: (self.before.count as f64 * before).ceil() as usize,
        };
        let mut fewest: Option<Needs> = None;
        // Only the one, only the other, both: what is fewest in all.
        for (now, before) in [(true, false), (false, true), (true, true)] {
            let grown = |larger: bool, by: f64| if larger { by } else { 1.0 };
            let mut by = 1.05;
            while by < FARTHEST_OFF && !tells(grown(now, by), grown(before, by)) {
                by *= 1.05;
            }
            if by < FARTHEST_OFF {
                let these = needs(grown(now, by), grown(before, by));
                if fewest.is_none_or(|fewest| these.now + these.before < fewest.now + fewest.before)
                {
                    fewest = Some(these);
                }
            }
        }
        fewest
    }
}

/// How many times as many samples are still worth asking for.
const FARTHEST_OFF: f64 = 100.0;

/// How many samples would tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Needs {
    pub(super) now: usize,
    pub(super) before: usize,
}
