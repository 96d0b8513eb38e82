//! What is measured of a window: its name, its number, its unit.

use std::time::Duration;

use crate::model::units::{Percent, human, trimmed};

use super::interval::Estimate;
use super::statistics::{Latency, MAX, Percentile, Summary};

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Metric {
    ErrorRate,
    Availability,
    Latency(Percentile),
    Throughput,
    Value(Percentile),
}

impl Metric {
    pub(super) fn name(self) -> String {
        match self {
            Self::ErrorRate => "error rate".to_owned(),
            Self::Availability => "availability".to_owned(),
            Self::Latency(at) => format!("{at} latency"),
            Self::Throughput => "throughput".to_owned(),
            Self::Value(at) => format!("{at} value"),
        }
    }

    /// As `expects(..)` and `abort_if(..)` call it.
    pub(super) fn key(self) -> String {
        match self {
            Self::ErrorRate => "error_rate".to_owned(),
            Self::Availability => "availability".to_owned(),
            Self::Latency(at) if at == MAX => "max".to_owned(),
            Self::Latency(at) => at.to_string(),
            Self::Throughput => "throughput".to_owned(),
            Self::Value(_) => "value".to_owned(),
        }
    }

    /// What was seen.
    pub(super) fn read(self, summary: &Summary) -> Option<f64> {
        match self {
            Self::ErrorRate => summary.error_rate(),
            Self::Availability => summary.error_rate().map(|rate| 1.0 - rate),
            Self::Latency(at) => summary.latency(at).map(|latency| match latency {
                Latency::Of(latency) => latency.as_secs_f64(),
                Latency::NoAnswer => f64::INFINITY,
            }),
            Self::Throughput => summary.throughput(),
            Self::Value(at) => summary.value(at),
        }
    }

    pub(super) fn unit(self, number: f64) -> String {
        match self {
            Self::ErrorRate | Self::Availability => Percent::from_fraction(number).to_string(),
            Self::Latency(_) if number.is_finite() => {
                human(Duration::from_secs_f64(number.max(0.0)))
            }
            Self::Latency(_) => "no answer".to_owned(),
            Self::Throughput => format!("{} /s", trimmed(number)),
            Self::Value(_) => trimmed(number),
        }
    }

    /// A difference of two of its numbers.
    pub(super) fn difference(self, number: f64) -> String {
        match self {
            Self::ErrorRate | Self::Availability => {
                format!("{} points", Percent::from_fraction(number))
            }
            _ => self.unit(number),
        }
    }

    /// What is known of its true number, to compare it with another window's.
    pub(super) fn estimate(self, summary: &Summary) -> Option<Estimate> {
        let succeeded = || summary.latencies_in_time().iter().map(Option::is_some);
        match self {
            Self::ErrorRate => {
                let failed: Vec<bool> = succeeded().map(|succeeded| !succeeded).collect();
                Estimate::of_share(&failed, 1.0)
            }
            Self::Availability => Estimate::of_share(&succeeded().collect::<Vec<_>>(), 1.0),
            Self::Throughput => {
                Estimate::of_share(&succeeded().collect::<Vec<_>>(), summary.pace()?)
            }
            Self::Latency(at) => {
                let seconds = |latency: &Option<Duration>| {
                    latency.map_or(f64::INFINITY, |latency| latency.as_secs_f64())
                };
                let latencies: Vec<f64> = summary.latencies_in_time().iter().map(seconds).collect();
                Estimate::of_percentile(&latencies, at, 0.0)
            }
            Self::Value(at) => {
                Estimate::of_percentile(summary.values_in_time(), at, f64::NEG_INFINITY)
            }
        }
    }

    /// A number of a window, and from how many samples it is.
    pub(super) fn describe(self, number: Option<f64>, summary: &Summary) -> String {
        let Some(number) = number else {
            return match self {
                Self::Value(_) if summary.count > 0 => format!(
                    "no number ({} samples, {} failed)",
                    summary.count, summary.errors
                ),
                _ => format!("no data ({} samples)", summary.count),
            };
        };
        let number = self.unit(number);
        match self {
            Self::ErrorRate => {
                format!("{number} ({} of {} failed)", summary.errors, summary.count)
            }
            Self::Availability => format!(
                "{number} ({} of {} succeeded)",
                summary.count - summary.errors,
                summary.count
            ),
            _ if summary.errors > 0 => format!(
                "{number} ({} samples, {} failed)",
                summary.count, summary.errors
            ),
            _ => format!("{number} ({} samples)", summary.count),
        }
    }
}

/// What is known of the latest failure.
pub(super) fn last_failure(summary: &Summary) -> String {
    match &summary.last_error {
        Some(why) => format!(", the last: {why}"),
        None => String::new(),
    }
}
