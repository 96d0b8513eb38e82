//! Whether an abort condition has come true, sample by sample.
//!
//! Each sample is looked at twice: when it is answered and when it leaves the window. So a
//! judgement costs the same however long the window is.

use std::collections::VecDeque;
use std::time::Duration;

use crate::model::condition::{AbortCondition, Measured};
use crate::model::sample::{Reading, Sample};
use crate::model::units::human;

/// What has been seen of one condition so far.
#[derive(Debug)]
pub struct Watch {
    condition: AbortCondition,
    /// What was answered in the window, in that order.
    seen: VecDeque<Seen>,
    failed: usize,
    /// How many are above the limit, of a latency.
    slow: usize,
    /// Since when it has looked; a window that is not over yet says nothing.
    since: Duration,
    /// Since when each number has been beyond the limit.
    beyond_since: Option<Duration>,
    last_number: Option<f64>,
    last_error: Option<String>,
    /// Whether there was anything to look at.
    looked: bool,
}

#[derive(Debug, Clone, Copy)]
struct Seen {
    answered: Duration,
    failed: bool,
    slow: bool,
}

/// Samples that wait for their answers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Waiting {
    /// How many wait longer than the condition's limit.
    pub slow: usize,
}

impl Watch {
    /// From an instant on.
    #[must_use]
    pub fn new(condition: AbortCondition, since: Duration) -> Self {
        Self {
            condition,
            seen: VecDeque::new(),
            failed: 0,
            slow: 0,
            since,
            beyond_since: None,
            last_number: None,
            last_error: None,
            looked: false,
        }
    }

    /// What it watches for.
    pub fn condition(&self) -> &AbortCondition {
        &self.condition
    }

    /// Whether there was anything to look at so far.
    #[must_use]
    pub fn has_looked(&self) -> bool {
        self.looked
    }

    /// How long a sample may wait before it counts as slow.
    #[must_use]
    pub fn slow_after(&self) -> Option<Duration> {
        let is_upwards = self.condition.bound.is_upwards();
        let limit = self.condition.bound.limit();
        (matches!(self.condition.metric, Measured::Latency(_)) && is_upwards)
            .then(|| Duration::from_secs_f64(limit.max(0.0)))
    }

    /// One more sample was answered, at this time.
    pub fn sample(&mut self, sample: &Sample, answered: Duration) {
        self.looked = true;
        if let Reading::Bad(why) = &sample.reading {
            self.last_error = Some(why.clone());
        }
        if self.condition.is_instant() {
            if let Reading::Good(Some(number)) = sample.reading {
                self.number(number, answered);
            }
            return;
        }
        let failed = !sample.reading.is_good();
        let seen = Seen {
            answered,
            failed,
            // Whoever got no answer is slower than any limit.
            slow: failed || self.condition.bound.holds(sample.latency.as_secs_f64()),
        };
        self.failed += usize::from(seen.failed);
        self.slow += usize::from(seen.slow);
        self.seen.push_back(seen);
    }

    /// A number was seen, at this time.
    pub fn number(&mut self, number: f64, at: Duration) {
        self.looked = true;
        // A single one decides, whatever comes after it.
        if self.condition.length().is_zero() && self.beyond_since.is_some() {
            return;
        }
        self.last_number = Some(number);
        if self.condition.bound.holds(number) {
            self.beyond_since.get_or_insert(at);
        } else {
            self.beyond_since = None;
        }
    }

    /// Whether it is true now: then what was seen.
    pub fn judge(&mut self, now: Duration, waiting: Waiting) -> Option<String> {
        let length = self.condition.length();
        if self.condition.is_instant() {
            let since = self.beyond_since?;
            let number = self.last_number?;
            let lasted = now.saturating_sub(since);
            let number = self.condition.metric.number(number);
            return (lasted >= length).then(|| match length {
                Duration::ZERO => format!("it was {number}"),
                _ => format!("it was {number}, and has been beyond for {}", human(lasted)),
            });
        }
        self.forget_until(now.checked_sub(length)?);
        if now.saturating_sub(self.since) < length {
            return None;
        }
        let metric = self.condition.metric;
        let (count, holds, number) = match metric {
            Measured::Latency(at) => {
                // By nearest rank: beyond, where fewer than that many are within.
                let count = self.seen.len() + waiting.slow;
                let slow = self.slow + waiting.slow;
                let rank = ((at / 100.0 * count as f64).ceil() as usize).clamp(1, count.max(1));
                let upwards = self.condition.bound.is_upwards();
                // Those that are beyond are the last by rank, or the first.
                let holds = if upwards {
                    count - slow < rank
                } else {
                    slow - self.failed >= rank
                };
                let number = format!(
                    "{slow} of {count} {}",
                    if upwards {
                        "were slower"
                    } else {
                        "were quicker"
                    }
                );
                (count, holds, number)
            }
            Measured::Throughput => {
                let good = self.seen.len() - self.failed;
                let rate = good as f64 / length.as_secs_f64();
                // No answer at all is an answer, too.
                (1, self.condition.bound.holds(rate), metric.number(rate))
            }
            _ => {
                let count = self.seen.len();
                let failures = self.failed as f64 / count.max(1) as f64;
                let rate = match metric {
                    Measured::Availability => 1.0 - failures,
                    _ => failures,
                };
                let number = format!(
                    "{} ({} of {count} failed)",
                    metric.number(rate),
                    self.failed
                );
                (count, self.condition.bound.holds(rate), number)
            }
        };
        if count == 0 || !holds || !self.looked {
            return None;
        }
        let why = match &self.last_error {
            Some(why) if self.failed > 0 => format!("; the last failure: {why}"),
            _ => String::new(),
        };
        Some(format!("{number} in the last {}{why}", human(length)))
    }

    fn forget_until(&mut self, end: Duration) {
        while let Some(first) = self.seen.front().copied() {
            if first.answered > end {
                return;
            }
            self.failed -= usize::from(first.failed);
            self.slow -= usize::from(first.slow);
            self.seen.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::condition::Beyond;
    use crate::model::units::{ms, secs};

    fn watch(metric: Measured, bound: Beyond, window: Option<Duration>) -> Watch {
        Watch::new(AbortCondition::new(None, metric, bound, window), secs(0))
    }

    fn answered(latency: u64, good: bool) -> Sample {
        Sample {
            at: secs(0),
            sent: secs(0),
            latency: ms(latency),
            reading: if good {
                Reading::Good(None)
            } else {
                Reading::Bad("refused".into())
            },
        }
    }

    /// One answer every 10 ms, `.` good, `x` failed, `s` 80 ms slow; when it comes true.
    fn first(mut watch: Watch, pattern: &str) -> Option<(u64, String)> {
        for (index, kind) in pattern.chars().enumerate() {
            let now = index as u64 * 10;
            if kind != '_' {
                let sample = answered(if kind == 's' { 80 } else { 1 }, kind != 'x');
                watch.sample(&sample, ms(now));
            }
            if let Some(why) = watch.judge(ms(now), Waiting::default()) {
                return Some((now, why));
            }
        }
        None
    }

    #[test]
    fn a_rate_is_judged_over_a_whole_window() {
        let half = || watch(Measured::ErrorRate, Beyond::Above(0.5), Some(ms(100)));
        // Nine of the first ten have failed, but nothing is known before the window is full.
        assert_eq!(first(half(), "xxxxxxxxx."), None);
        let (at, why) = first(half(), &format!("{}xxxxxxxxxx", ".".repeat(20))).unwrap();
        assert_eq!(at, 250);
        assert_eq!(
            why,
            "60 % (6 of 10 failed) in the last 100 ms; the last failure: refused"
        );
        // As many as allowed are no more than allowed.
        assert_eq!(first(half(), &".x".repeat(50)), None);
        let available = watch(Measured::Availability, Beyond::Below(0.5), Some(ms(100)));
        assert_eq!(
            first(available, &format!("{}xxxxxx", ".".repeat(20)))
                .unwrap()
                .0,
            250
        );
    }

    #[test]
    fn without_samples_a_rate_says_nothing_and_a_throughput_does() {
        let rate = watch(Measured::ErrorRate, Beyond::AtLeast(0.0), Some(ms(50)));
        assert_eq!(first(rate, &"_".repeat(50)), None);
        let rate = watch(Measured::Throughput, Beyond::Below(50.0), Some(ms(100)));
        assert_eq!(first(rate, &"_".repeat(50)), None, "nothing was ever asked");
        let rate = watch(Measured::Throughput, Beyond::Below(50.0), Some(ms(100)));
        let pattern = format!("{}{}", ".".repeat(30), "_".repeat(30));
        let (at, why) = first(rate, &pattern).unwrap();
        assert_eq!(at, 350);
        assert_eq!(why, "40 /s in the last 100 ms");
    }

    #[test]
    fn a_percentile_is_that_of_the_nearest_rank() {
        let slow = || watch(Measured::Latency(90.0), Beyond::Above(0.05), Some(ms(100)));
        assert_eq!(first(slow(), &".........s".repeat(10)), None);
        let (_, why) = first(slow(), &"........ss".repeat(10)).unwrap();
        assert_eq!(why, "2 of 10 were slower in the last 100 ms");
        // A failure is slower than any limit.
        assert!(first(slow(), &"........xx".repeat(10)).is_some());
        let quick = watch(Measured::Latency(50.0), Beyond::Below(0.05), Some(ms(100)));
        assert_eq!(first(quick, &"xxxxxxs...".repeat(10)), None);
    }

    #[test]
    fn who_still_waits_is_slow_already() {
        let mut slow = watch(Measured::Latency(50.0), Beyond::Above(1.0), None);
        assert_eq!(slow.slow_after(), Some(secs(1)));
        for index in 0..10 {
            slow.sample(&answered(1, true), ms(index * 10));
        }
        assert_eq!(slow.judge(ms(1_001), Waiting { slow: 9 }), None);
        assert!(slow.judge(ms(1_001), Waiting { slow: 10 }).is_some());
    }

    #[test]
    fn numbers_are_judged_as_they_come_or_have_to_stay() {
        let mut lost = watch(Measured::Value, Beyond::Above(0.0), None);
        lost.number(0.0, ms(1));
        assert_eq!(lost.judge(ms(1), Waiting::default()), None);
        lost.number(3.0, ms(2));
        lost.number(0.0, ms(3));
        assert_eq!(
            lost.judge(ms(3), Waiting::default()).as_deref(),
            Some("it was 3")
        );
        let mut down = watch(Measured::FailedServices, Beyond::Above(2.0), Some(secs(1)));
        down.number(3.0, ms(0));
        assert_eq!(down.judge(ms(999), Waiting::default()), None);
        down.number(2.0, ms(999));
        assert_eq!(down.judge(secs(5), Waiting::default()), None);
        down.number(4.0, secs(6));
        assert_eq!(
            down.judge(secs(7), Waiting::default()).as_deref(),
            Some("it was 4, and has been beyond for 1 s")
        );
    }
}
