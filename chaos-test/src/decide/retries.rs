//! What a client's retries were like: how many, how far apart, by what factor the pauses grow, how
//! much they vary, and how many attempts a call came to.
//!
//! All of it comes from the attempts that links saw and from the calls that monitors made. Where
//! the two do not say which attempt belongs to which call, because callers overlap, there is no
//! data: a wrong number would be worse.
//!
//! The methods, for whoever doubts a number:
//!
//! * A pause is the time from the end of one attempt to the begin of the next one of the same call,
//!   so that how long an attempt takes does not blur it.
//! * The factor is the median of all ratios of a pause to the one before it in its call. Jitter that
//!   is drawn alike for each pause makes a ratio as likely too high as too low, so the median is
//!   that of the pauses without jitter.
//! * Jitter is half the width of the uniform distribution that has the same quartiles as the pauses
//!   of the same place in their calls (all first ones, all second ones, ...), relative to its middle;
//!   over several places the median. For pauses of 100 ms ± 20 % it is 20 %; outliers hardly move it.
//! * Amplification is the number of attempts in a window divided by that of the calls which were
//!   under way in it. A call that lies only partly in the window counts as a whole, so the edges
//!   can make it too low and never too high.

use std::time::Duration;

use crate::model::attempt::Kept;
use crate::model::event::Met;
use crate::model::measure::Measure;
use crate::model::sample::Window;
use crate::model::units::{Percent, human, trimmed};

use super::tolerance::{Bound, Judgement, unsent};

pub use crate::model::attempt::Attempt;

/// How many ratios of successive pauses the factor needs.
const FEWEST_RATIOS: usize = 5;
/// How many pauses of the same place jitter needs.
const FEWEST_PAUSES: usize = 8;
/// What a pause counts as at least where it is divided by: far below what a client waits on
/// purpose, so that immediate retries grow by about 1.
const SHORTEST: Duration = Duration::from_micros(100);
/// An attempt may seem to begin so long before the last one has ended: the link hears of both
/// from different sockets, on a machine that may be busy.
const SLACK: Duration = Duration::from_millis(10);

/// Attempts at some links, and the calls that may have led to them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tried {
    pub(crate) window: Option<Window>,
    pub(crate) kept: Kept,
    /// From when it was sent until it was answered, for each call that was under way in the
    /// window; none where nobody named a monitor.
    pub(crate) calls: Option<Vec<Window>>,
    /// How many more calls were due in the window and not sent.
    pub(crate) unsent: usize,
}

/// What of retries is judged. Made by [`attempts`], [`spacing`], [`jitter`] and
/// [`amplification`].
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
pub trait HasTried {
    #[doc(hidden)]
    #[allow(private_interfaces, reason = "nobody else can call or implement it")]
    fn tried(&self, token: Token) -> Tried;
}

/// Keeps [`HasTried`] ours.
#[derive(Debug)]
pub struct Token(());

/// A number that was found, with what it came from; or why there is none.
type Found = Result<(f64, String), String>;

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

impl Tried {
    /// The attempts that began in a span of time. A connection on which nothing was sent yet is
    /// a spare one of a pool, and no attempt.
    pub(crate) fn within(&self, span: Window) -> impl Iterator<Item = &Attempt> {
        let attempts = self.kept.attempts.iter();
        attempts
            .filter(|attempt| attempt.sent || attempt.ended.is_some())
            .filter(move |attempt| span.contains(attempt.began))
    }

    fn window(&self) -> Window {
        self.window.unwrap_or(Window {
            from: Duration::ZERO,
            to: Duration::MAX,
        })
    }

    /// Whether there is anything to go by, and nothing of the window is missing.
    fn is_whole(&self) -> Result<(), String> {
        if let Some(forgotten) = self.kept.forgotten
            && forgotten >= self.span().from
        {
            return Err(
                "the link has forgotten attempts of that time: it keeps the latest 65536".into(),
            );
        }
        if self.kept.attempts.is_empty() {
            return Err("nobody has ever connected to it".to_owned());
        }
        if self.unsent > 0 {
            return Err(format!("not all calls were made{}", unsent(self.unsent)));
        }
        Ok(())
    }

    /// From the first call that was under way to the last; the window where there are none.
    fn span(&self) -> Window {
        let window = self.window();
        let calls = self.calls.iter().flatten();
        calls.fold(window, |span, call| Window {
            from: span.from.min(call.from),
            to: span.to.max(call.to),
        })
    }

    /// The attempts of each call, in the order of time.
    fn of_calls(&self) -> Result<Vec<Vec<&Attempt>>, String> {
        let Some(calls) = &self.calls else {
            return Ok(vec![self.within(self.window()).collect()]);
        };
        let mut calls = calls.clone();
        calls.sort_by_key(|call| call.from);
        let overlapping = calls.windows(2).filter(|two| two[1].from < two[0].to);
        let overlapping = overlapping.count();
        if overlapping > 0 {
            return Err(format!(
                "{overlapping} of {} calls began before the one before them was answered, so nobody \
                 knows whose attempts these are: have the monitor ask less often",
                calls.len()
            ));
        }
        let mut of: Vec<Vec<&Attempt>> = vec![Vec::new(); calls.len()];
        let mut strays = 0;
        for attempt in self.within(self.span()) {
            let next = calls.partition_point(|call| call.from <= attempt.began);
            let call = next.checked_sub(1);
            match call.filter(|call| attempt.began <= calls[*call].to) {
                Some(call) => of[call].push(attempt),
                // Those before the first call belong to one that was over before the window.
                None if call.is_none() => {}
                None => strays += 1,
            }
        }
        if strays > 0 {
            return Err(format!(
                "{strays} attempts were made while no call was under way: something else uses the \
                 link, or it is tried again after the call was answered"
            ));
        }
        Ok(of)
    }

    fn most_attempts(&self) -> Found {
        let of_calls = self.of_calls()?;
        let all: usize = of_calls.iter().map(Vec::len).sum();
        if all == 0 {
            return Err("nobody tried anything in that time".to_owned());
        }
        let most = of_calls.iter().map(Vec::len).max().unwrap_or_default();
        let from = match &self.calls {
            Some(calls) => format!("the most of {} calls, {all} in all", calls.len()),
            None => "all taken as one call's".to_owned(),
        };
        Ok((most as f64, from))
    }

    /// The pauses of each call, in seconds.
    fn pauses(&self) -> Result<Vec<Vec<f64>>, String> {
        let between = |two: &[&Attempt]| {
            let ended = two[0].ended.filter(|ended| *ended <= two[1].began + SLACK);
            let ended = ended.ok_or_else(|| {
                "an attempt began before the one before it had ended: several callers use the link; \
                 give each its own, and have it do one call at a time"
                    .to_owned()
            })?;
            Ok(two[1].began.saturating_sub(ended).as_secs_f64())
        };
        let of_call = |call: &Vec<&Attempt>| call.windows(2).map(between).collect();
        let pauses: Vec<Vec<f64>> = self
            .of_calls()?
            .iter()
            .map(of_call)
            .collect::<Result<_, String>>()?;
        if pauses.iter().all(Vec::is_empty) {
            return Err("nothing was tried twice".to_owned());
        }
        Ok(pauses)
    }

    fn pause(&self, choose: fn(f64, f64) -> f64) -> Found {
        let pauses = self.pauses()?;
        let all: Vec<f64> = pauses.into_iter().flatten().collect();
        let first = all[0];
        let chosen = all.iter().copied().fold(first, choose);
        Ok((chosen, format!("of {} pauses", all.len())))
    }

    fn growth(&self) -> Found {
        let ratio = |two: &[f64]| two[1] / two[0].max(SHORTEST.as_secs_f64());
        let mut ratios: Vec<f64> = self
            .pauses()?
            .iter()
            .flat_map(|call| call.windows(2).map(ratio).collect::<Vec<_>>())
            .collect();
        if ratios.len() < FEWEST_RATIOS {
            return Err(format!(
                "{} times a pause came after another one in the same call, {FEWEST_RATIOS} are needed",
                ratios.len()
            ));
        }
        let from = format!("the median of {} ratios of successive pauses", ratios.len());
        Ok((quantile(&mut ratios, 0.5), from))
    }

    fn jitter(&self) -> Found {
        let pauses = self.pauses()?;
        let longest = pauses.iter().map(Vec::len).max().unwrap_or_default();
        let place = |place: usize| -> Vec<f64> {
            let at = pauses.iter().filter_map(|call| call.get(place));
            at.copied().collect()
        };
        let places: Vec<Vec<f64>> = (0..longest).map(place).collect();
        let most = places.iter().map(Vec::len).max().unwrap_or_default();
        if most < FEWEST_PAUSES {
            return Err(format!(
                "jitter is told from pauses of the same place in {FEWEST_PAUSES} calls or more, and \
                 there are {most}"
            ));
        }
        let mut spreads: Vec<f64> = places
            .into_iter()
            .filter(|pauses| pauses.len() >= FEWEST_PAUSES)
            .map(|mut pauses| {
                let (low, high) = (quantile(&mut pauses, 0.25), quantile(&mut pauses, 0.75));
                // Nothing varies where nothing is waited for.
                2.0 * (high - low) / (high + low).max(SHORTEST.as_secs_f64())
            })
            .collect();
        let from = format!("from the pauses of {most} calls");
        Ok((quantile(&mut spreads, 0.5), from))
    }

    fn amplification(&self) -> Found {
        let calls = match &self.calls {
            None => {
                return Err("say whose calls, with `.calls(&monitor)`".to_owned());
            }
            Some(calls) if calls.is_empty() => return Err("no call was made".to_owned()),
            Some(calls) => calls.len(),
        };
        let attempts = self.within(self.window()).count();
        Ok((
            attempts as f64 / calls as f64,
            format!("{attempts} attempts, {calls} calls"),
        ))
    }
}

/// Between the two numbers that are closest to it by rank. Sorts them; there is at least one.
fn quantile(numbers: &mut [f64], at: f64) -> f64 {
    numbers.sort_unstable_by(f64::total_cmp);
    let rank = at * (numbers.len() - 1) as f64;
    let (low, high) = (
        numbers[rank.floor() as usize],
        numbers[rank.ceil() as usize],
    );
    low + (high - low) * rank.fract()
}

#[cfg(test)]
mod tests;
