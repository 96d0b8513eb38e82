//! Service level objectives, held against what a test has measured.

mod budget;

use std::fmt;
use std::time::Duration;

use crate::model::event::{Event, Met, Record};
use crate::model::measure::Measure;
use crate::model::slos::Slos;
use crate::model::units::{Percent, human};

use super::recoveries::RecoverySummary;
use super::statistics::{Latency, P95, Summary};
use super::tolerance::Judgement;

pub use budget::ErrorBudget;

impl Slos {
    /// Holds what was measured against each objective that is set.
    ///
    /// See [`SloMeasured`] for an example.
    #[must_use]
    pub fn validate(&self, measured: &SloMeasured) -> SloValidation {
        let recoveries = &measured.recoveries;
        let whole = measured.unsent == 0;
        let rates = measured
            .requests
            .filter(|requests| whole && requests.total > 0);
        let no_requests = || match measured.unsent {
            0 => "no request was seen since the first fault".to_owned(),
            count => format!("{count} requests could not be sent"),
        };
        let no_recovery = || match recoveries.told() {
            told if told.starts_with("0 recoveries;") => told,
            _ => "no recovery was waited for".to_owned(),
        };
        let mut results = Vec::new();
        let mut add = |metric, target: Option<Target>, actual: Result<Actual, String>, told| {
            if let Some(target) = target {
                results.push(SloResult::new(metric, target, actual, told));
            }
        };
        add(
            "mttr",
            self.mttr.map(Target::AtMost),
            match recoveries.count() {
                0 => Err(no_recovery()),
                1 => Err("1 recovery, and a mean is over two or more".to_owned()),
                _ => Ok(Actual::time(recoveries.mean())),
            },
            recoveries.told(),
        );
        let budget = |target: Percent| {
            rates.map_or(String::new(), |requests| {
                ErrorBudget::of(target, requests).to_string()
            })
        };
        add(
            "error_rate",
            self.error_rate.map(Target::ShareAtMost),
            rates
                .map(|requests| Actual::Share(requests.error_rate()))
                .ok_or_else(no_requests),
            rates.map_or(String::new(), |requests| {
                format!("{} of {} failed", requests.failed, requests.total)
            }),
        );
        add(
            "availability",
            self.availability.map(Target::ShareAtLeast),
            rates
                .map(|requests| Actual::Share(1.0 - requests.error_rate()))
                .ok_or_else(no_requests),
            self.availability.map(budget).unwrap_or_default(),
        );
        add(
            "latency_degradation",
            self.latency_degradation.map(Target::AtMost),
            match (measured.latency_degradation, whole) {
                (Some(latency), true) => Ok(Actual::latency(latency)),
                (None, true) if rates.is_some() => Err("there is no baseline".to_owned()),
                _ => Err(no_requests()),
            },
            "p95 since the first fault, against the baseline's".to_owned(),
        );
        add(
            "recovery_time",
            self.recovery_time.map(Target::AtMost),
            match recoveries.count() {
                0 => Err(no_recovery()),
                _ => Ok(Actual::time(recoveries.longest())),
            },
            format!("the longest; {}", recoveries.told()),
        );
        add(
            "recovery_rate",
            self.recovery_rate.map(Target::ShareAtLeast),
            recoveries
                .rate()
                .map(|rate| Actual::Share(rate.as_fraction()))
                .ok_or_else(no_recovery),
            recoveries.told(),
        );
        add(
            "consistency",
            self.consistency.map(Target::ShareAtLeast),
            measured
                .consistency
                .as_ref()
                .map(|consistency| Actual::Share(consistency.share))
                .ok_or("the body never compared records".to_owned()),
            measured
                .consistency
                .as_ref()
                .map_or(String::new(), |consistency| consistency.told.clone()),
        );
        SloValidation { results }
    }
}

/// Requests, and how many of them failed.
///
/// See [`ErrorBudget`] for an example.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Requests {
    /// All of them.
    pub total: usize,
    /// Those that failed.
    pub failed: usize,
}

impl Requests {
    fn error_rate(self) -> f64 {
        self.failed as f64 / self.total as f64
    }
}

/// What a test has measured of what objectives are about. What is missing was not measured.
///
/// ```
/// use chaos_test::{Latency, RecoverySummary, Requests, SloMeasured, Slos, ms, percent};
/// let measured = SloMeasured {
///     requests: Some(Requests { total: 1000, failed: 2 }),
///     unsent: 0,
///     latency_degradation: Some(Latency::Of(ms(30))),
///     recoveries: RecoverySummary::of(&[]),
///     consistency: None,
/// };
/// let slos = Slos { availability: Some(percent(99.5)), ..Slos::default() };
/// assert!(slos.validate(&measured).passed());
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct SloMeasured {
    /// The requests since the first fault.
    pub requests: Option<Requests>,
    /// How many more were due and could not be sent. Where there are any, requests and latencies
    /// count as not measured: those may have been the ones that failed.
    pub unsent: usize,
    /// By how much the p95 since the first fault is above the baseline's; the worst of all
    /// monitors that have a baseline.
    pub latency_degradation: Option<Latency>,
    /// The recoveries that were waited for.
    pub recoveries: RecoverySummary,
    /// What became of records.
    pub consistency: Option<ConsistencyShare>,
}

/// The share of acknowledged records that are there as they were written.
///
/// ```
/// use chaos_test::{ConsistencyShare, Journal, Unreadable};
///
/// /// From 0 to 1; nothing where no records were compared.
/// fn kept(journal: &str) -> Result<Option<f64>, Unreadable> {
///     let records = Journal::read(journal)?.records;
///     Ok(ConsistencyShare::judged(&records).map(|judged| judged.share))
/// }
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct ConsistencyShare {
    /// From 0 to 1.
    pub share: f64,
    /// Of which records, and what was looked for.
    pub told: String,
}

impl ConsistencyShare {
    /// From what a body judged with `chaos.consistency(..)`: one minus the shares of acknowledged
    /// records that were lost, changed, duplicated or out of order, as far as it looked for them;
    /// of the records that are worst.
    #[must_use]
    pub fn judged(records: &[Record]) -> Option<Self> {
        const KINDS: [&str; 4] = ["lost%", "changed%", "duplicated%", "out_of_order%"];
        let mut found: std::collections::BTreeMap<&str, Vec<(&str, f64)>> = Default::default();
        for record in records {
            let Event::Judged { measured, .. } = &record.event else {
                continue;
            };
            for measure in measured {
                let (Some(kind), Some(of), Some(share)) = (
                    KINDS.iter().find(|kind| **kind == measure.metric),
                    measure.of.first(),
                    measure.number,
                ) else {
                    continue;
                };
                let kinds = found.entry(of).or_default();
                match kinds.iter_mut().find(|(known, _)| known == kind) {
                    Some((_, worst)) => *worst = worst.max(share),
                    None => kinds.push((kind, share)),
                }
            }
        }
        let of_each = found.into_iter().map(|(of, kinds)| {
            let wrong: f64 = kinds.iter().map(|(_, share)| share).sum();
            let names: Vec<String> = kinds
                .iter()
                .map(|(kind, share)| {
                    let kind = kind.trim_end_matches('%').replace('_', " ");
                    format!("{} {kind}", Percent::from_fraction(*share))
                })
                .collect();
            Self {
                share: (1.0 - wrong).max(0.0),
                told: format!("{of}: {}", names.join(", ")),
            }
        });
        of_each.min_by(|one, other| one.share.total_cmp(&other.share))
    }
}

/// By how much the p95 of a window is above that of a baseline; zero where it is below. None where
/// one of them has no samples.
#[must_use]
pub fn degradation(normal: &Summary, window: &Summary) -> Option<Latency> {
    Some(match (normal.latency(P95)?, window.latency(P95)?) {
        (Latency::Of(normal), Latency::Of(now)) => Latency::Of(now.saturating_sub(normal)),
        _ => Latency::NoAnswer,
    })
}

/// What an objective asks for.
///
/// ```
/// use chaos_test::{SloTarget, percent, secs};
/// assert_eq!(SloTarget::AtMost(secs(30)).to_string(), "at most 30 s");
/// assert_eq!(SloTarget::ShareAtLeast(percent(99.5)).to_string(), "at least 99.5 %");
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Target {
    /// At most so long.
    AtMost(Duration),
    /// At most this share.
    ShareAtMost(Percent),
    /// At least this share.
    ShareAtLeast(Percent),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtMost(limit) => write!(f, "at most {}", human(*limit)),
            Self::ShareAtMost(limit) => write!(f, "at most {limit}"),
            Self::ShareAtLeast(limit) => write!(f, "at least {limit}"),
        }
    }
}

/// What was measured.
///
/// ```
/// use chaos_test::{Actual, secs};
/// assert_eq!(Actual::Time(secs(12)).to_string(), "12 s");
/// assert_eq!(Actual::Share(0.995).to_string(), "99.5 %");
/// assert_eq!(Actual::WithoutEnd.to_string(), "without an end");
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Actual {
    /// So long.
    Time(Duration),
    /// It never ended, or there was no answer.
    WithoutEnd,
    /// This share, from 0 to 1.
    Share(f64),
}

impl Actual {
    fn time(time: Option<Duration>) -> Self {
        time.map_or(Self::WithoutEnd, Self::Time)
    }

    fn latency(latency: Latency) -> Self {
        match latency {
            Latency::Of(latency) => Self::Time(latency),
            Latency::NoAnswer => Self::WithoutEnd,
        }
    }

    fn number(self) -> f64 {
        match self {
            Self::Time(time) => time.as_secs_f64(),
            Self::WithoutEnd => f64::INFINITY,
            Self::Share(share) => share,
        }
    }
}

impl fmt::Display for Actual {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Time(time) => f.write_str(&human(*time)),
            Self::WithoutEnd => f.write_str("without an end"),
            Self::Share(share) => Percent::from_fraction(*share).fmt(f),
        }
    }
}

/// One objective, and what came of it.
///
/// ```
/// use chaos_test::SloResult;
///
/// fn in_words(result: &SloResult) -> String {
///     match &result.actual {
///         Ok(actual) => format!("{}: {actual}, target {}", result.slo, result.target),
///         Err(why) => format!("{}: not measured: {why}", result.slo),
///     }
/// }
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct SloResult {
    /// Which, as the field of [`Slos`] is called.
    pub slo: &'static str,
    /// What it asks for.
    pub target: Target,
    /// What was measured; or why it was not.
    pub actual: Result<Actual, String>,
    /// More about it, in words.
    pub told: String,
    /// Met, violated, or not measured.
    pub met: Met,
}

impl SloResult {
    fn new(
        slo: &'static str,
        target: Target,
        actual: Result<Actual, String>,
        told: String,
    ) -> Self {
        // A share that is just the target must not be missed by what a division loses.
        const ROUNDING: f64 = 1e-9;
        let met = match (&actual, target) {
            (Err(_), _) => Met::NoData,
            (Ok(actual), Target::AtMost(limit)) => met(actual.number() <= limit.as_secs_f64()),
            (Ok(actual), Target::ShareAtMost(limit)) => {
                met(actual.number() <= limit.as_fraction() + ROUNDING)
            }
            (Ok(actual), Target::ShareAtLeast(limit)) => {
                met(actual.number() >= limit.as_fraction() - ROUNDING)
            }
        };
        Self {
            slo,
            target,
            actual,
            told,
            met,
        }
    }

    /// Whether it is about requests, and not about recoveries or records.
    pub(crate) fn is_about_requests(&self) -> bool {
        matches!(
            self.slo,
            "error_rate" | "availability" | "latency_degradation"
        )
    }

    /// As a judgement, for whoever records it.
    pub(crate) fn judgement(&self, of: &str) -> Judgement {
        let at_most = !matches!(self.target, Target::ShareAtLeast(_));
        let metric = match self.slo {
            "recovery_time" => "recovery",
            other => other,
        };
        Judgement {
            what: format!("SLO {}{of}", self.slo.replace('_', " ")),
            expected: self.target.to_string(),
            actual: self.actual_told(),
            met: self.met,
            measured: match self.actual {
                Ok(actual) => vec![Measure::new(metric, actual.number(), at_most)],
                Err(_) => Vec::new(),
            },
            evidence: Vec::new(),
        }
    }

    fn actual_told(&self) -> String {
        match &self.actual {
            Err(why) => format!("not measured: {why}"),
            Ok(actual) if self.told.is_empty() => actual.to_string(),
            Ok(actual) => format!("{actual} ({})", self.told),
        }
    }
}

fn met(holds: bool) -> Met {
    if holds { Met::Yes } else { Met::No }
}

/// What came of all objectives that were set.
///
/// ```
/// use chaos_test::{Met, SloValidation};
///
/// fn violated(validation: &SloValidation) -> Vec<&str> {
///     let results = validation.results.iter();
///     results.filter(|result| result.met == Met::No).map(|result| result.slo).collect()
/// }
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct SloValidation {
    /// One for each, in the order of the fields of [`Slos`].
    pub results: Vec<SloResult>,
}

impl SloValidation {
    /// Whether each was measured and met. Without any objective nothing was validated.
    ///
    /// See [`SloMeasured`] for an example.
    #[must_use]
    pub fn passed(&self) -> bool {
        !self.results.is_empty() && self.results.iter().all(|result| result.met == Met::Yes)
    }
}

/// A line for each objective: target, actual, met or not.
impl fmt::Display for SloValidation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, result) in self.results.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            let met = match result.met {
                Met::Yes => "met",
                Met::No => "violated",
                Met::NoData | Met::NotJudged => "failed",
            };
            write!(
                f,
                "{}: {met}: {}, target {}",
                result.slo,
                result.actual_told(),
                result.target
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
