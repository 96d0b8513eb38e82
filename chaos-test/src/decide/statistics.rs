//! Summaries of samples.
//!
//! Percentiles are exact: the nearest-rank method over all samples of a window, which are
//! kept anyway for deltas and for the report's charts. (A histogram would round a p95 of
//! 250.0 ms to 250.1 ms and break a limit of 250 ms.)

use std::time::Duration;

use crate::model::sample::{Reading, Sample, Window};
use crate::model::units::{human, significant, trimmed};

/// A percentile, from 0 to 100.
///
/// ```
/// use chaos_test::{MAX, P95, latency, ms, percentile};
///
/// let most = latency(P95).at_most(ms(250));
/// let nearly_all = latency(percentile(99.9)).at_most(ms(500));
/// let each = latency(MAX).at_most(ms(900));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Percentile(pub(crate) f64);

/// The median.
///
/// ```
/// assert_eq!(chaos_test::P50, chaos_test::percentile(50));
/// ```
pub const P50: Percentile = Percentile(50.0);
/// Nine of ten are at most this.
///
/// ```
/// assert_eq!(chaos_test::P90, chaos_test::percentile(90));
/// ```
pub const P90: Percentile = Percentile(90.0);
/// Nineteen of twenty are at most this.
///
/// ```
/// assert_eq!(chaos_test::P95, chaos_test::percentile(95));
/// ```
pub const P95: Percentile = Percentile(95.0);
/// Ninety-nine of a hundred are at most this.
///
/// ```
/// assert_eq!(chaos_test::P99, chaos_test::percentile(99));
/// ```
pub const P99: Percentile = Percentile(99.0);
/// The slowest.
///
/// ```
/// assert_eq!(chaos_test::MAX, chaos_test::percentile(100));
/// ```
pub const MAX: Percentile = Percentile(100.0);

/// Any percentile above 0 and up to 100.
///
/// # Panics
///
/// If the number is not above 0 and at most 100.
///
/// ```
/// assert_eq!(chaos_test::percentile(99.9).to_string(), "p99.9");
/// ```
#[must_use]
#[track_caller]
pub fn percentile(rank: impl Into<f64>) -> Percentile {
    let rank = rank.into();
    assert!(
        rank > 0.0 && rank <= 100.0,
        "a percentile is above 0 and at most 100, not {rank}"
    );
    Percentile(rank)
}

impl Percentile {
    pub(super) fn as_fraction(self) -> f64 {
        self.0 / 100.0
    }
}

impl std::fmt::Display for Percentile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0 >= 100.0 {
            write!(f, "maximum")
        } else {
            write!(f, "p{}", self.0)
        }
    }
}

/// A latency at some percentile: a request that failed was never answered, so it counts as
/// slower than any limit.
///
/// ```
/// use chaos_test::{Latency, secs};
/// assert!(Latency::Of(secs(60)) < Latency::NoAnswer);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Latency {
    /// So long.
    Of(Duration),
    /// At this percentile there was no answer.
    NoAnswer,
}

/// What the samples of a window come to.
///
/// ```no_run
/// # fn body(normal: &chaos_test::Baseline) {
/// use chaos_test::{BaselineSummary, Latency, P95};
/// let normal = normal.summary();
/// println!("{}", normal.in_words()); // `p50 1 ms, p95 3 ms, 50 /s, 0 errors (100 samples)`
/// if let Some(Latency::Of(slow)) = normal.latency(P95) {
///     println!("one in twenty takes longer than {slow:?}");
/// }
/// # }
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    /// The window.
    pub window: Window,
    /// How many samples.
    pub count: usize,
    /// How many of them failed.
    pub errors: usize,
    /// How many more were due and not sent, because the monitor could not keep its pace.
    /// They are no errors of the system under test, and what they would have seen is not
    /// known.
    pub unsent: usize,
    /// The latencies of those that succeeded, sorted.
    latencies: Vec<Duration>,
    /// The numbers that probes returned, sorted.
    values: Vec<f64>,
    /// The latencies of all samples in the order of time; none where one failed. Comparing
    /// needs the order, because neighbours may depend on each other.
    latencies_in_time: Vec<Option<Duration>>,
    /// The numbers in the order of time.
    values_in_time: Vec<f64>,
    /// When the first and the last of them were due.
    due: Option<(Duration, Duration)>,
    /// The most recent failure's message.
    pub last_error: Option<String>,
}

impl Summary {
    /// Summarises the samples whose intended time lies in the window. They are in the order
    /// of that time, as those of a monitor are.
    ///
    /// ```
    /// use chaos_test::{Event, Record, Summary, Window};
    ///
    /// /// What a monitor saw in a window, by its journal.
    /// fn in_words(record: &Record, window: Window) -> Option<String> {
    ///     match &record.event {
    ///         Event::Samples { samples, .. } => Some(Summary::of(samples, window).in_words()),
    ///         _ => None,
    ///     }
    /// }
    /// ```
    #[must_use]
    pub fn of(samples: &[Sample], window: Window) -> Self {
        let mut summary = Self {
            window,
            count: 0,
            errors: 0,
            unsent: 0,
            latencies: Vec::new(),
            values: Vec::new(),
            latencies_in_time: Vec::new(),
            values_in_time: Vec::new(),
            due: None,
            last_error: None,
        };
        for sample in samples.iter().filter(|sample| window.contains(sample.at)) {
            summary.count += 1;
            let first = summary.due.map_or(sample.at, |(first, _)| first);
            summary.due = Some((first, sample.at));
            let answered = sample.reading.is_good().then_some(sample.latency);
            summary.latencies_in_time.push(answered);
            match &sample.reading {
                Reading::Good(value) => {
                    summary.latencies.push(sample.latency);
                    summary.values_in_time.extend(value);
                }
                Reading::Bad(why) => {
                    summary.errors += 1;
                    summary.last_error = Some(why.clone());
                }
            }
        }
        summary.values.clone_from(&summary.values_in_time);
        summary.latencies.sort_unstable();
        summary.values.sort_unstable_by(f64::total_cmp);
        summary
    }

    pub(crate) fn with_unsent(mut self, unsent: usize) -> Self {
        self.unsent = unsent;
        self
    }

    /// All that a person asks of it first, in one line.
    #[must_use]
    pub fn in_words(&self) -> String {
        let errors = match self.errors {
            1 => "1 error".to_owned(),
            errors => format!("{errors} errors"),
        };
        let errors = format!("{errors} ({} samples)", self.count);
        if let (Some(median), Some(most)) = (self.value(P50), self.value(MAX)) {
            let (median, most) = (significant(median), significant(most));
            return format!("p50 value {median}, at most {most}, {errors}");
        }
        let latency = |at| match self.latency(at) {
            Some(Latency::Of(latency)) => human(latency),
            Some(Latency::NoAnswer) | None => "no answer".to_owned(),
        };
        let throughput = trimmed(self.throughput().unwrap_or_default());
        let (median, slow) = (latency(P50), latency(P95));
        format!("p50 {median}, p95 {slow}, {throughput} /s, {errors}")
    }

    /// The share of samples that failed, from 0 to 1; `None` without samples.
    ///
    /// ```no_run
    /// # fn body(normal: &chaos_test::Baseline) {
    /// use chaos_test::{BaselineSummary, P50};
    /// let normal = normal.summary();
    /// println!("{} of {} samples failed: {:?}", normal.errors, normal.count, normal.error_rate());
    /// println!("{:?} answered well per second, median number {:?}", normal.throughput(), normal.value(P50));
    /// # }
    /// ```
    #[must_use]
    pub fn error_rate(&self) -> Option<f64> {
        (self.count > 0).then(|| self.errors as f64 / self.count as f64)
    }

    /// The latency at a percentile over all samples; `None` without samples.
    #[must_use]
    pub fn latency(&self, at: Percentile) -> Option<Latency> {
        if self.count == 0 {
            return None;
        }
        Some(match self.latencies.get(rank(at, self.count)) {
            Some(&latency) => Latency::Of(latency),
            None => Latency::NoAnswer,
        })
    }

    /// Samples due per second, from how far they are apart: whether one more or less lies in
    /// the window is chance. `None` for fewer than two.
    pub(super) fn pace(&self) -> Option<f64> {
        let (first, last) = self.due?;
        let between = last.saturating_sub(first).as_secs_f64();
        (between > 0.0).then(|| (self.count - 1) as f64 / between)
    }

    pub(super) fn latencies_in_time(&self) -> &[Option<Duration>] {
        &self.latencies_in_time
    }

    pub(super) fn values_in_time(&self) -> &[f64] {
        &self.values_in_time
    }

    /// Successful samples per second of the window; `None` for an empty window.
    ///
    /// See [`error_rate`](Self::error_rate) for an example.
    #[must_use]
    pub fn throughput(&self) -> Option<f64> {
        let length = self.window.length().as_secs_f64();
        (length > 0.0 && self.count > 0).then(|| self.latencies.len() as f64 / length)
    }

    /// The number at a percentile over all that the probe returned; `None` where it
    /// returned none.
    ///
    /// See [`error_rate`](Self::error_rate) for an example.
    #[must_use]
    pub fn value(&self, at: Percentile) -> Option<f64> {
        let last = self.values.len().checked_sub(1)?;
        Some(self.values[rank(at, self.values.len()).min(last)])
    }
}

/// The nearest rank, from 0.
pub(super) fn rank(at: Percentile, count: usize) -> usize {
    let rank = (at.0 / 100.0 * count as f64).ceil() as usize;
    rank.clamp(1, count) - 1
}

/// Samples as one line of blocks, lowest to highest: failures stand out as `x` below it.
#[must_use]
pub fn sparkline(samples: &[Sample], width: usize) -> (String, String) {
    let slowest = samples.iter().map(|sample| sample.latency).max();
    let slowest = slowest.unwrap_or_default().as_secs_f64();
    let heights = blocks(samples, width, |sample| {
        if slowest > 0.0 {
            sample.latency.as_secs_f64() / slowest
        } else {
            0.0
        }
    });
    let failures = buckets(samples, width).map(|bucket| {
        let failed = bucket.iter().any(|sample| !sample.reading.is_good());
        if failed { 'x' } else { '.' }
    });
    (heights, failures.collect())
}

/// Samples as one line of blocks, each as high as the highest that it stands for, from 0 to 1.
#[must_use]
pub fn blocks(samples: &[Sample], width: usize, height: impl Fn(&Sample) -> f64) -> String {
    const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    buckets(samples, width)
        .map(|bucket| {
            let highest = bucket.iter().map(&height).fold(0.0, f64::max);
            BLOCKS[((highest * 7.0).round() as usize).min(7)]
        })
        .collect()
}

/// Samples in at most `width` groups of neighbours, about as many in each.
fn buckets(samples: &[Sample], width: usize) -> impl Iterator<Item = &[Sample]> {
    let buckets = width.min(samples.len());
    (0..buckets).map(move |index| {
        let from = index * samples.len() / buckets;
        let to = ((index + 1) * samples.len() / buckets).max(from + 1);
        &samples[from..to]
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::units::{ms, secs};

    fn sample(at: u64, latency: u64, good: bool) -> Sample {
        Sample {
            at: ms(at),
            sent: ms(at),
            latency: ms(latency),
            reading: if good {
                Reading::Good(Some(latency as f64))
            } else {
                Reading::Bad("refused".into())
            },
        }
    }

    fn window(from: u64, to: u64) -> Window {
        Window {
            from: ms(from),
            to: ms(to),
        }
    }

    #[test]
    fn percentiles_are_nearest_rank() {
        let samples: Vec<_> = (1..=100).map(|n| sample(n, n, true)).collect();
        let summary = Summary::of(&samples, window(0, 1000));
        for (at, expected) in [(P50, 50), (P90, 90), (P95, 95), (P99, 99), (MAX, 100)] {
            assert_eq!(summary.latency(at), Some(Latency::Of(ms(expected))), "{at}");
        }
        assert_eq!(summary.value(P50), Some(50.0));
    }

    #[test]
    fn a_failed_request_is_slower_than_any_limit() {
        let mut samples: Vec<_> = (0..9).map(|n| sample(n, 5, true)).collect();
        samples.push(sample(9, 1, false));
        let summary = Summary::of(&samples, window(0, 1000));
        assert_eq!(summary.latency(P90), Some(Latency::Of(ms(5))));
        assert_eq!(summary.latency(P95), Some(Latency::NoAnswer));
        assert_eq!(summary.error_rate(), Some(0.1));
        assert_eq!(summary.throughput(), Some(9.0));
    }

    #[test]
    fn only_samples_meant_for_the_window_count() {
        let samples = [sample(0, 1, true), sample(10, 1, true), sample(20, 1, true)];
        assert_eq!(Summary::of(&samples, window(10, 20)).count, 1);
    }

    #[test]
    fn without_samples_there_is_no_answer() {
        let empty = Summary::of(
            &[],
            Window {
                from: secs(0),
                to: secs(1),
            },
        );
        assert_eq!(empty.error_rate(), None);
        assert_eq!(empty.latency(P50), None);
        assert_eq!(empty.throughput(), None);
        assert_eq!(empty.value(P50), None);
    }

    #[test]
    fn the_sparkline_shows_height_and_failures() {
        let samples = [sample(0, 1, true), sample(1, 8, false), sample(2, 4, true)];
        assert_eq!(sparkline(&samples, 10), ("▂█▅".into(), ".x.".into()));
    }
}
