//! The arithmetic of retries: from attempts and calls to numbers, or to why there is none.
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

use crate::decide::tolerance::unsent;
use crate::model::attempt::{Attempt, Kept};
use crate::model::sample::Window;

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

/// A number that was found, with what it came from; or why there is none.
pub(super) type Found = Result<(f64, String), String>;

impl Tried {
    /// The attempts that began in a span of time. A connection on which nothing was sent yet is
    /// a spare one of a pool, and no attempt.
    pub(crate) fn within(&self, span: Window) -> impl Iterator<Item = &Attempt> {
        let attempts = self.kept.attempts.iter();
        attempts
            .filter(|attempt| attempt.sent || attempt.ended.is_some())
            .filter(move |attempt| span.contains(attempt.began))
    }

    pub(super) fn window(&self) -> Window {
        self.window.unwrap_or(Window {
            from: Duration::ZERO,
            to: Duration::MAX,
        })
    }

    /// Whether there is anything to go by, and nothing of the window is missing.
    pub(super) fn is_whole(&self) -> Result<(), String> {
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

    pub(super) fn most_attempts(&self) -> Found {
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

    pub(super) fn pause(&self, choose: fn(f64, f64) -> f64) -> Found {
        let pauses = self.pauses()?;
        let all: Vec<f64> = pauses.into_iter().flatten().collect();
        let first = all[0];
        let chosen = all.iter().copied().fold(first, choose);
        Ok((chosen, format!("of {} pauses", all.len())))
    }

    pub(super) fn growth(&self) -> Found {
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

    pub(super) fn jitter(&self) -> Found {
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

    pub(super) fn amplification(&self) -> Found {
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
