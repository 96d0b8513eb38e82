//! The binomial distribution, as far as intervals need it: its tails, and the bounds of a
//! share. Nothing in here knows what is measured.
//!
//! Numbers of trials need not be whole, because samples that depend on each other count as
//! fewer than they are.

/// The probability of `successes` or fewer among so many trials that succeed with the
/// probability `share` each.
pub(super) fn at_most(successes: f64, trials: f64, share: f64) -> f64 {
    if successes < 0.0 {
        0.0
    } else if successes >= trials {
        1.0
    } else {
        incomplete_beta(trials - successes, successes + 1.0, 1.0 - share)
    }
}

/// The probability of `successes` or more.
pub(super) fn at_least(successes: f64, trials: f64, share: f64) -> f64 {
    if successes <= 0.0 {
        1.0
    } else if successes > trials {
        0.0
    } else {
        incomplete_beta(successes, trials - successes + 1.0, share)
    }
}

/// The lower bound of a share of which so many successes were seen: above the true share
/// with at most the probability `tail` (Clopper & Pearson 1934).
pub(super) fn share_low(successes: f64, trials: f64, tail: f64) -> f64 {
    if successes <= 0.0 {
        return 0.0;
    }
    bisect(|share| at_least(successes, trials, share) > tail)
}

/// The upper bound of such a share: below the true share with at most that probability.
pub(super) fn share_high(successes: f64, trials: f64, tail: f64) -> f64 {
    if successes >= trials {
        return 1.0;
    }
    bisect(|share| at_most(successes, trials, share) <= tail)
}

/// Where between 0 and 1 a condition begins to hold.
fn bisect(holds: impl Fn(f64) -> bool) -> f64 {
    let (mut from, mut to) = (0.0, 1.0);
    // Each step is one more binary digit.
    for _ in 0..52 {
        let middle = f64::midpoint(from, to);
        if holds(middle) {
            to = middle;
        } else {
            from = middle;
        }
    }
    f64::midpoint(from, to)
}

/// The regularised incomplete beta function, by its continued fraction (Abramowitz & Stegun
/// 26.5.8), evaluated after Lentz.
fn incomplete_beta(a: f64, b: f64, x: f64) -> f64 {
    if x <= 0.0 {
        return 0.0;
    }
    if x >= 1.0 {
        return 1.0;
    }
    // The fraction converges fast on this side of the mean only.
    if x > (a + 1.0) / (a + b + 2.0) {
        return 1.0 - incomplete_beta(b, a, 1.0 - x);
    }
    let front = a * x.ln() + b * (-x).ln_1p() + ln_gamma(a + b) - ln_gamma(a) - ln_gamma(b);
    front.exp() / a / continued_fraction(a, b, x)
}

fn continued_fraction(a: f64, b: f64, x: f64) -> f64 {
    const TINY: f64 = 1e-300;
    let away_from_zero = |number: f64| if number.abs() < TINY { TINY } else { number };
    let mut fraction = 1.0;
    let (mut c, mut d) = (1.0, 0.0);
    // Some roots of the larger parameter are enough; this is far beyond that.
    for step in 1..10_000 {
        let m = f64::from(step / 2);
        let coefficient = if step % 2 == 0 {
            m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m))
        } else {
            -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0))
        };
        d = 1.0 / away_from_zero(1.0 + coefficient * d);
        c = away_from_zero(1.0 + coefficient / c);
        fraction *= c * d;
        if (c * d - 1.0).abs() < 1e-14 {
            break;
        }
    }
    fraction
}

/// The logarithm of the gamma function for positive numbers: Stirling's series, after
/// stepping up to where its error is below 1e-14.
fn ln_gamma(mut x: f64) -> f64 {
    let mut stepped = 0.0;
    while x < 15.0 {
        stepped += x.ln();
        x += 1.0;
    }
    let square = x * x;
    let series =
        (1.0 / 12.0 - (1.0 / 360.0 - (1.0 / 1260.0 - 1.0 / 1680.0 / square) / square) / square) / x;
    (x - 0.5) * x.ln() - x + 0.5 * std::f64::consts::TAU.ln() + series - stepped
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Term by term, for a few trials.
    fn summed(from: u32, to: u32, trials: u32, share: f64) -> f64 {
        (from..=to)
            .map(|successes| {
                let ways: f64 = (0..successes)
                    .map(|n| f64::from(trials - n) / f64::from(n + 1))
                    .product();
                ways * share.powi(successes as i32)
                    * (1.0 - share).powi((trials - successes) as i32)
            })
            .sum()
    }

    #[test]
    fn tails_are_the_sums_of_their_terms() {
        for trials in [1, 2, 20, 100, 500] {
            for share in [0.001, 0.05, 0.5, 0.95, 0.999] {
                for successes in [0, 1, trials / 3, trials * 19 / 20, trials - 1, trials] {
                    let (k, n) = (f64::from(successes), f64::from(trials));
                    let lower = summed(0, successes, trials, share);
                    let upper = summed(successes, trials, trials, share);
                    let case = format!("{successes} of {trials} at {share}");
                    assert!((at_most(k, n, share) - lower).abs() < 1e-11, "{case}");
                    assert!((at_least(k, n, share) - upper).abs() < 1e-11, "{case}");
                }
            }
        }
    }

    #[test]
    fn bounds_of_a_share_are_those_of_the_tables() {
        // Clopper & Pearson's 95 % interval for 1 of 10 is 0.0025 to 0.4450, for 0 of 20
        // 0 to 0.1684, and for 50 of 100 0.3983 to 0.6017.
        for (successes, trials, low, high) in [
            (1.0, 10.0, 0.0025, 0.4450),
            (0.0, 20.0, 0.0, 0.1684),
            (20.0, 20.0, 0.8316, 1.0),
            (50.0, 100.0, 0.3983, 0.6017),
        ] {
            let case = format!("{successes} of {trials}");
            assert!(
                (share_low(successes, trials, 0.025) - low).abs() < 5e-5,
                "{case}"
            );
            assert!(
                (share_high(successes, trials, 0.025) - high).abs() < 5e-5,
                "{case}"
            );
        }
    }

    #[test]
    fn many_trials_are_no_trouble() {
        let high = share_high(500.0, 10_000.0, 0.025);
        assert!((high - 0.054_46).abs() < 1e-4, "{high}");
        assert!((at_most(500_000.0, 1e6, 0.5) - 0.5).abs() < 1e-3);
    }
}
