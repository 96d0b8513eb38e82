//! What a client's retries were like: how many, how far apart, by what factor the pauses grow, how
//! much they vary, and how many attempts a call came to.
//!
//! All of it comes from the attempts that links saw and from the calls that monitors made. Where
//! the two do not say which attempt belongs to which call, because callers overlap, there is no
//! data: a wrong number would be worse.

mod tried;

use std::time::Duration;

use crate::model::event::Met;
use crate::model::measure::Measure;
use crate::model::units::{Percent, human, trimmed};

use super::tolerance::{Bound, Judgement};

use tried::Found;
pub(crate) use tried::Tried;

pub use crate::model::attempt::Attempt;

/// What of retries is judged. Made by [`attempts`], [`spacing`], [`jitter`] and
/// [`amplification`].
///
/// See [`RetryExpectations`](crate::RetryExpectations) for an example.
#[derive(Debug, Clone)]
#[must_use = "a tolerance judges nothing until it is passed to `expect`"]
pub struct RetryTolerance {
    of: Of,
    bound: Bound,
}

#[derive(Debug, Clone)]
enum Of {
    Attempts,
    Shortest,
    Longest,
    /// By what factor, and how far off it may be, as a share of it.
    Growth(f64, Percent),
    Jitter,
    Amplification,
    /// As often as normally.
    AmplificationOver(Box<Tried>),
}

/// The most attempts that one call made; the number of all attempts in the window, where no
/// monitor was named whose calls they belong to.
///
/// ```
/// use chaos_test::attempts;
/// let polite = attempts().at_most(4);
/// let retries_at_all = attempts().at_least(2);
/// ```
pub fn attempts() -> AttemptsPerCall {
    AttemptsPerCall(())
}

/// The pauses between the attempts of one call: from the end of an attempt to the begin of the
/// next.
///
/// ```
/// use chaos_test::{ms, percent, spacing};
/// let no_hammering = spacing().at_least(ms(10));
/// let exponential = spacing().grows_by(2.0).within(percent(20));
/// ```
pub fn spacing() -> Spacing {
    Spacing(())
}

/// How much pauses of the same place in their calls vary: 20 % where they are 80 to 120 ms.
///
/// ```
/// use chaos_test::{jitter, percent};
/// let no_thundering_herd = jitter().at_least(percent(10));
/// ```
pub fn jitter() -> Jitter {
    Jitter(())
}

/// How many attempts a call came to: those of all clients of the link, divided by the calls that
/// the named monitors made.
///
/// ```
/// use chaos_test::amplification;
/// let no_retry_storm = amplification().at_most(3.0);
/// ```
pub fn amplification() -> Amplification {
    Amplification(Of::Amplification)
}

/// The most attempts of one call; see [`attempts`].
///
/// See [`attempts`] for an example.
#[derive(Debug, Clone, Copy)]
#[must_use = "say how many, for example with `at_most`"]
pub struct AttemptsPerCall(());

impl AttemptsPerCall {
    /// No call made more than so many.
    pub fn at_most(self, attempts: usize) -> RetryTolerance {
        RetryTolerance::new(Of::Attempts, Bound::AtMost(attempts as f64))
    }

    /// At least one call made so many.
    pub fn at_least(self, attempts: usize) -> RetryTolerance {
        RetryTolerance::new(Of::Attempts, Bound::AtLeast(attempts as f64))
    }
}

/// The pauses between attempts; see [`spacing`].
///
/// ```
/// use chaos_test::{ms, percent, secs, spacing};
/// let no_hammering = spacing().at_least(ms(10)); // each pause
/// let no_sleeping = spacing().at_most(secs(5));
/// let doubling = spacing().grows_by(2.0).within(percent(20)); // 1.6 to 2.4 times the one before
/// ```
#[derive(Debug, Clone, Copy)]
#[must_use = "say how long, for example with `at_least`"]
pub struct Spacing(());

impl Spacing {
    /// Every pause is at least so long.
    pub fn at_least(self, pause: Duration) -> RetryTolerance {
        RetryTolerance::new(Of::Shortest, Bound::AtLeast(pause.as_secs_f64()))
    }

    /// Every pause is at most so long.
    pub fn at_most(self, pause: Duration) -> RetryTolerance {
        RetryTolerance::new(Of::Longest, Bound::AtMost(pause.as_secs_f64()))
    }

    /// Each pause is so many times the one before it: 2 for a backoff that doubles, 1 for pauses
    /// that stay the same.
    ///
    /// # Panics
    ///
    /// If the factor is not a finite number above zero.
    #[track_caller]
    pub fn grows_by(self, factor: f64) -> Growth {
        assert!(
            factor.is_finite() && factor > 0.0,
            "a factor is a finite number above zero, not {factor}"
        );
        Growth(factor)
    }
}

/// By what factor pauses grow; see [`Spacing::grows_by`].
///
/// See [`Spacing`] for an example.
#[derive(Debug, Clone, Copy)]
#[must_use = "say how far off it may be, with `within`"]
pub struct Growth(f64);

impl Growth {
    /// How far off the factor may be, as a share of it: 2 within 20 % is 1.6 to 2.4.
    pub fn within(self, share: Percent) -> RetryTolerance {
        // Both sides are judged; which bound it is called matters to no one.
        RetryTolerance::new(Of::Growth(self.0, share), Bound::AtMost(self.0))
    }
}

/// How much pauses vary; see [`jitter`].
///
/// See [`jitter`] for an example.
#[derive(Debug, Clone, Copy)]
#[must_use = "say how much, for example with `at_least`"]
pub struct Jitter(());

impl Jitter {
    /// At least by this share.
    pub fn at_least(self, share: Percent) -> RetryTolerance {
        RetryTolerance::new(Of::Jitter, Bound::AtLeast(share.as_fraction()))
    }

    /// At most by this share.
    pub fn at_most(self, share: Percent) -> RetryTolerance {
        RetryTolerance::new(Of::Jitter, Bound::AtMost(share.as_fraction()))
    }
}

/// How many attempts a call came to; see [`amplification`].
///
/// ```no_run
/// # fn body(normal: &chaos_test::RetriesSeen) {
/// use chaos_test::amplification;
/// let no_storm = amplification().at_most(3.0); // attempts for each call
/// let no_worse = amplification().over(normal).at_most(4.0); // times as many as normally
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use = "say how many, for example with `at_most`"]
pub struct Amplification(Of);

impl Amplification {
    /// As a multiple of what was normal: with 0.5 attempts a call before a fault, because of a
    /// cache, and 2 under it, it is 4.
    pub fn over(self, normal: &impl HasTried) -> Self {
        Self(Of::AmplificationOver(Box::new(normal.tried(Token(())))))
    }

    /// At most so many.
    pub fn at_most(self, times: f64) -> RetryTolerance {
        RetryTolerance::new(self.0, Bound::AtMost(times))
    }

    /// At least so many.
    pub fn at_least(self, times: f64) -> RetryTolerance {
        RetryTolerance::new(self.0, Bound::AtLeast(times))
    }
}

/// What holds attempts: [`RetriesSeen`](crate::RetriesSeen).
///
/// ```
/// use chaos_test::{HasTried, RetryTolerance, amplification};
///
/// fn no_retry_storm(normal: &impl HasTried) -> RetryTolerance {
///     amplification().over(normal).at_most(4.0)
/// }
/// ```
pub trait HasTried {
    #[doc(hidden)]
    #[allow(private_interfaces, reason = "nobody else can call or implement it")]
    fn tried(&self, token: Token) -> Tried;
}

/// Keeps [`HasTried`] ours.
#[derive(Debug)]
pub struct Token(());

impl RetryTolerance {
    fn new(of: Of, bound: Bound) -> Self {
        Self { of, bound }
    }

    /// Judges the attempts of a window.
    pub(crate) fn judge(&self, tried: &Tried) -> Judgement {
        let found = self.find(tried);
        let (expected, met) = match (&self.of, self.bound) {
            (Of::Growth(factor, share), _) => {
                let off = share.as_fraction() * factor * (1.0 + 1e-12);
                let met = |seen: f64| (seen - factor).abs() <= off;
                (
                    format!("a factor of {} within {share}", trimmed(*factor)),
                    found.as_ref().map(|(seen, _)| met(*seen)),
                )
            }
            (_, Bound::AtMost(limit)) => (
                format!("at most {}", self.unit(limit)),
                found.as_ref().map(|(seen, _)| *seen <= limit),
            ),
            (_, Bound::AtLeast(limit)) => (
                format!("at least {}", self.unit(limit)),
                found.as_ref().map(|(seen, _)| *seen >= limit),
            ),
        };
        let met = match met {
            Ok(true) => Met::Yes,
            Ok(false) => Met::No,
            Err(_) => Met::NoData,
        };
        let measured = found.as_ref().ok().map(|(seen, _)| {
            let at_most = matches!(self.bound, Bound::AtMost(_));
            Measure::new(self.key(), *seen, at_most)
        });
        Judgement {
            what: self.name(tried).to_owned(),
            expected,
            actual: match found {
                Ok((seen, from)) => format!("{} ({from})", self.unit(seen)),
                Err(why) => format!("no data: {why}"),
            },
            met,
            measured: measured.into_iter().collect(),
            evidence: Vec::new(),
        }
    }

    fn name(&self, tried: &Tried) -> &'static str {
        match self.of {
            Of::Attempts if tried.calls.is_none() => "attempts",
            Of::Attempts => "attempts per call",
            Of::Shortest => "shortest pause between attempts",
            Of::Longest => "longest pause between attempts",
            Of::Growth(..) => "growth of the pauses between attempts",
            Of::Jitter => "jitter of the pauses between attempts",
            Of::Amplification => "amplification",
            Of::AmplificationOver(_) => "amplification over normal",
        }
    }

    /// As reports call the number.
    fn key(&self) -> &'static str {
        match self.of {
            Of::Attempts => "attempts",
            Of::Shortest | Of::Longest => "spacing",
            Of::Growth(..) => "backoff",
            Of::Jitter => "jitter",
            Of::Amplification | Of::AmplificationOver(_) => "amplification",
        }
    }

    fn unit(&self, number: f64) -> String {
        match self.of {
            Of::Shortest | Of::Longest => human(Duration::from_secs_f64(number)),
            Of::Jitter => Percent::from_fraction(number).to_string(),
            _ => trimmed(number),
        }
    }

    fn find(&self, tried: &Tried) -> Found {
        tried.is_whole()?;
        match &self.of {
            Of::Attempts => tried.most_attempts(),
            Of::Shortest => tried.pause(f64::min),
            Of::Longest => tried.pause(f64::max),
            Of::Growth(..) => tried.growth(),
            Of::Jitter => tried.jitter(),
            Of::Amplification => tried.amplification(),
            Of::AmplificationOver(normal) => {
                normal
                    .is_whole()
                    .map_err(|why| format!("normally: {why}"))?;
                let (before, from_before) = normal
                    .amplification()
                    .map_err(|why| format!("normally: {why}"))?;
                if before == 0.0 {
                    return Err("normally there is no attempt to compare with".to_owned());
                }
                let (now, from_now) = tried.amplification()?;
                Ok((now / before, format!("{from_now}; normally {from_before}")))
            }
        }
    }
}

#[cfg(test)]
mod tests;
