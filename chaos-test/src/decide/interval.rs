//! What one window tells about the time it was taken from: a number, and between which
//! bounds the true one lies.
//!
//! A share (of samples that failed) has the bounds of Clopper & Pearson (1934): exact, so
//! that each is wrong as seldom as it says, which those of Wilson (1927) are not for rare
//! failures. A percentile has the order statistics whose ranks the binomial distribution
//! names (Hahn & Meeker, *Statistical Intervals*): true for any distribution, and open
//! where the sample is too small for a bound.
//!
//! Both hold for samples that are independent. A stall hits neighbours, so samples that are
//! alike count as fewer (Bayley & Hammersley 1946), judged by whether they lie beyond the
//! number in question, as Vehtari et al. (2021) do for quantiles.

use super::binomial;
use super::statistics::{P50, Percentile, rank};

/// What is known of one number of a window.
#[derive(Debug, Clone)]
pub(super) struct Estimate {
    kind: Kind,
    /// How many samples there are.
    pub(super) count: usize,
    /// Which share of them counts as independent.
    pub(super) independent: f64,
}

#[derive(Debug, Clone)]
enum Kind {
    /// So many of all, times what all would be.
    Share { share: f64, whole: f64 },
    /// The sample at a percentile of all, sorted.
    Ranked {
        sorted: Vec<f64>,
        at: Percentile,
        least: f64,
    },
}

impl Estimate {
    /// A share of samples, from whether each counts, in the order of time; times `whole`,
    /// which is what it would be if each did. `None` without samples.
    pub(super) fn of_share(counts: &[bool], whole: f64) -> Option<Self> {
        let all = counts.len();
        let counted = counts.iter().filter(|&&counts| counts).count();
        (all > 0).then(|| Self {
            kind: Kind::Share {
                share: counted as f64 / all as f64,
                whole,
            },
            count: all,
            independent: independent(counts),
        })
    }

    /// A percentile of numbers in the order of time, none of which can be below `least`.
    /// `None` without numbers, and where one is not a number.
    pub(super) fn of_percentile(in_time: &[f64], at: Percentile, least: f64) -> Option<Self> {
        if in_time.is_empty() || in_time.iter().any(|number| number.is_nan()) {
            return None;
        }
        let mut sorted = in_time.to_vec();
        sorted.sort_unstable_by(f64::total_cmp);
        // What matters is how those beyond the percentile depend on each other, but they are
        // few, and show it late. The median shows it earlier.
        let largest = sorted[sorted.len() - 1];
        let counted = [at, P50].map(|at| {
            let level = sorted[rank(at, sorted.len())];
            // Where nothing lies beyond it, as with failures, what is like it says as much.
            let beyond = |&number: &f64| number > level || (level == largest && number == level);
            independent(&in_time.iter().map(beyond).collect::<Vec<_>>())
        });
        Some(Self {
            count: in_time.len(),
            independent: counted[0].min(counted[1]),
            kind: Kind::Ranked { sorted, at, least },
        })
    }

    /// What was seen.
    pub(super) fn seen(&self) -> f64 {
        match &self.kind {
            Kind::Share { share, whole } => share * whole,
            Kind::Ranked { sorted, at, .. } => sorted[rank(*at, sorted.len())],
        }
    }

    /// The lower bound: above the true number with at most the probability `tail`.
    pub(super) fn low(&self, tail: f64) -> f64 {
        match &self.kind {
            Kind::Share { share, whole } => {
                binomial::share_low(share * self.worth(), self.worth(), tail) * whole
            }
            Kind::Ranked { sorted, at, least } => {
                let (worth, share) = (self.worth().floor(), at.as_fraction());
                // The highest rank that is above the true number seldom enough.
                let rank = last(worth as usize, |rank| {
                    binomial::at_most(rank as f64 - 1.0, worth, share) <= tail
                });
                let rank = (rank as f64 * scale(sorted.len(), worth)).floor() as usize;
                match rank.checked_sub(1) {
                    Some(index) => sorted[index],
                    None => *least,
                }
            }
        }
    }

    /// The upper bound: below the true number with at most the probability `tail`.
    pub(super) fn high(&self, tail: f64) -> f64 {
        match &self.kind {
            Kind::Share { share, whole } => {
                binomial::share_high(share * self.worth(), self.worth(), tail) * whole
            }
            Kind::Ranked { sorted, at, .. } => {
                let (worth, share) = (self.worth().floor(), at.as_fraction());
                // One above the highest rank that is not below it seldom enough.
                let below = last(worth as usize, |rank| {
                    binomial::at_least(rank as f64, worth, share) > tail
                });
                if below >= worth as usize {
                    return f64::INFINITY;
                }
                let rank = ((below + 1) as f64 * scale(sorted.len(), worth)).ceil() as usize;
                sorted[rank.min(sorted.len()) - 1]
            }
        }
    }

    /// Whether so many of all in another window may be no more than what this one knows, with
    /// each bound wrong as seldom as `tail` says. Samples there hang together as they do here:
    /// that they do more so may be the very thing that is looked for.
    pub(super) fn explains(&self, counted: usize, all: usize, tail: f64) -> bool {
        let (counted, all) = (counted as f64, all as f64);
        let independent = self.independent;
        binomial::share_low(counted * independent, all * independent, tail) <= self.high(tail)
    }

    /// Whether it is a share of which there was nothing.
    pub(super) fn is_none(&self) -> bool {
        matches!(self.kind, Kind::Share { share, .. } if share == 0.0)
    }

    /// Whether it is a share that was everything.
    pub(super) fn is_all(&self) -> bool {
        matches!(self.kind, Kind::Share { share, .. } if share == 1.0)
    }

    /// Whether no number of samples gives it an upper bound.
    pub(super) fn is_maximum(&self) -> bool {
        matches!(self.kind, Kind::Ranked { at, .. } if at.as_fraction() >= 1.0)
    }

    /// How many independent samples it is worth.
    fn worth(&self) -> f64 {
        self.count as f64 * self.independent
    }

    /// The same, had there been so many times as many samples of the same kind.
    pub(super) fn times(mut self, factor: f64) -> Self {
        self.independent *= factor;
        self
    }
}

/// A rank among so many independent samples is which among all of them.
fn scale(count: usize, worth: f64) -> f64 {
    (count as f64 + 1.0) / (worth + 1.0)
}

/// The last number from 0 to `most` for which a condition holds that holds for 0 and, once
/// it does not, for none that follows.
fn last(most: usize, holds: impl Fn(usize) -> bool) -> usize {
    let (mut from, mut beyond) = (0, most + 1);
    while beyond - from > 1 {
        let middle = usize::midpoint(from, beyond);
        if holds(middle) {
            from = middle;
        } else {
            beyond = middle;
        }
    }
    from
}

/// Which share of samples counts as independent, from a property that each has or not, in
/// the order of time: 1 / (1 + 2 (r1 + r2 + ..)), where rk is how much samples have in common
/// that are k apart (their autocorrelation). The sum ends where noise begins: at the first
/// pair of neighbouring r that is not positive (Geyer 1992, "initial monotone sequence").
fn independent(has: &[bool]) -> f64 {
    let count = has.len() as f64;
    let mean = has.iter().filter(|&&has| has).count() as f64 / count;
    let spread = count * mean * (1.0 - mean);
    // Samples that are all the same show nothing of how they depend on each other.
    if spread == 0.0 {
        return 1.0;
    }
    let deviations: Vec<f64> = has
        .iter()
        .map(|&has| f64::from(u8::from(has)) - mean)
        .collect();
    let in_common = |apart: usize| {
        let later = deviations.iter().skip(apart);
        let products = deviations.iter().zip(later).map(|(one, other)| one * other);
        let seen = products.sum::<f64>() / spread;
        // The mean was taken from the same samples, which takes about so much away.
        seen + (1.0 - seen) / count
    };
    let mut pairs = 0.0;
    let mut lowest = f64::INFINITY;
    for pair in 0..(has.len() / 4).min(FARTHEST / 2) {
        let next = in_common(2 * pair) + in_common(2 * pair + 1);
        if next <= 2.0 / count {
            break;
        }
        lowest = next.min(lowest);
        pairs += lowest;
    }
    let each_stands_for = (2.0 * pairs - 1.0).max(1.0);
    // What is slower than the window itself cannot be seen in it in full.
    let each_stands_for = each_stands_for / (1.0 - ((each_stands_for - 1.0) / count).min(0.5));
    each_stands_for.recip()
}

/// How far apart samples are compared, at most, which bounds the work.
const FARTHEST: usize = 1000;

/// The numbers from 0 up to so many, in an order that has no memory.
#[cfg(test)]
pub(super) fn shuffled(count: usize) -> Vec<usize> {
    let mut numbers: Vec<usize> = (0..count).collect();
    numbers.sort_by_key(|&number| {
        let mixed = (number as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed ^ mixed >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9)
    });
    numbers
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::statistics::{MAX, P95, P99};

    /// 1 to so many, in an order that has no memory.
    fn ranks(count: usize) -> Vec<f64> {
        let ranks = shuffled(count).into_iter();
        ranks.map(|number| number as f64 + 1.0).collect()
    }

    fn percentile(numbers: &[f64], at: Percentile) -> Estimate {
        let mut estimate = Estimate::of_percentile(numbers, at, 0.0).unwrap();
        estimate.independent = 1.0;
        estimate
    }

    #[test]
    fn percentiles_lie_between_the_ranks_of_the_tables() {
        // Hahn & Meeker, table A.15: for the median of 100, ranks 40 and 61.
        let median = percentile(&ranks(100), P50);
        assert_eq!(
            (median.low(0.025), median.seen(), median.high(0.025)),
            (40.0, 50.0, 61.0)
        );
        // 5 of 100 lie above a p95 on average, and seldom fewer than 1 or more than 10.
        let p95 = percentile(&ranks(100), P95);
        assert_eq!((p95.low(0.025), p95.high(0.025)), (90.0, 100.0));
    }

    #[test]
    fn a_sample_that_is_too_small_has_an_open_end() {
        assert_eq!(percentile(&ranks(71), P95).high(0.025), f64::INFINITY);
        assert_eq!(percentile(&ranks(72), P95).high(0.025), 72.0);
        assert_eq!(percentile(&ranks(367), P99).high(0.025), f64::INFINITY);
        assert_eq!(percentile(&ranks(368), P99).high(0.025), 368.0);
        assert_eq!(percentile(&ranks(5), P50).low(0.025), 0.0);
        assert_eq!(percentile(&ranks(9999), MAX).high(0.025), f64::INFINITY);
    }

    #[test]
    fn failures_have_no_end_and_are_counted() {
        let mut numbers = ranks(100);
        // One in ten of them.
        for number in numbers.iter_mut().filter(|number| **number > 90.0) {
            *number = f64::INFINITY;
        }
        let p95 = percentile(&numbers, P95);
        assert_eq!((p95.low(0.025), p95.seen()), (90.0, f64::INFINITY));
        assert_eq!(percentile(&numbers, P50).high(0.025), 61.0);
    }

    #[test]
    fn samples_that_are_alike_count_as_fewer() {
        let worth = |has: &[bool]| (has.len() as f64 * independent(has)).round();
        let alternating: Vec<bool> = (0..200).map(|index| index % 2 == 0).collect();
        let in_fives: Vec<bool> = ranks(40)
            .iter()
            .flat_map(|number| [*number > 20.0; 5])
            .collect();
        let in_halves: Vec<bool> = (0..200).map(|index| index < 100).collect();
        assert_eq!(worth(&alternating), 200.0);
        assert!(
            (30.0..=50.0).contains(&worth(&in_fives)),
            "{}",
            worth(&in_fives)
        );
        assert!(worth(&in_halves) <= 5.0, "{}", worth(&in_halves));
        assert_eq!(worth(&[true; 200]), 200.0);
    }

    #[test]
    fn what_is_not_a_number_cannot_be_compared() {
        assert!(Estimate::of_percentile(&[1.0, f64::NAN], P50, 0.0).is_none());
        assert!(Estimate::of_percentile(&[], P50, 0.0).is_none());
        assert!(Estimate::of_share(&[], 1.0).is_none());
    }
}
