//! Whether an abort condition has come true, sample by sample.
//!
//! Each sample is looked at twice: when it is answered and when it leaves the window. So a
//! judgement costs the same however long the window is.

use std::collections::{BTreeMap, VecDeque};
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
    /// Since when there is something to look at; a window that is not over yet says nothing.
    since: Option<Duration>,
    /// The latest sample that was due and not sent: what it would have seen is not known.
    unsent: Option<Duration>,
    /// The numbers that are beyond the limit, by who returned them.
    beyond: BTreeMap<String, Streak>,
    last_error: Option<String>,
    /// Whether a whole window was judged.
    judged: bool,
}

/// Numbers beyond the limit without a break.
#[derive(Debug, Clone, Copy)]
struct Streak {
    since: Duration,
    until: Duration,
    last: f64,
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
    /// Before there is anything to look at.
    #[must_use]
    pub fn new(condition: AbortCondition) -> Self {
        Self {
            condition,
            seen: VecDeque::new(),
            failed: 0,
            slow: 0,
            since: None,
            unsent: None,
            beyond: BTreeMap::new(),
            last_error: None,
            judged: false,
        }
    }

    /// What it watches for.
    pub fn condition(&self) -> &AbortCondition {
        &self.condition
    }

    /// Whether there was anything to look at so far.
    #[must_use]
    pub fn has_looked(&self) -> bool {
        self.since.is_some()
    }

    /// Whether it was judged at all: its window was full once.
    #[must_use]
    pub fn was_judged(&self) -> bool {
        self.judged
    }

    /// How long a sample may wait before it counts as slow.
    #[must_use]
    pub fn slow_after(&self) -> Option<Duration> {
        let is_upwards = self.condition.bound.is_upwards();
        let limit = self.condition.bound.limit();
        (matches!(self.condition.metric, Measured::Latency(_)) && is_upwards)
            .then(|| Duration::try_from_secs_f64(limit.max(0.0)).unwrap_or(Duration::MAX))
    }

    /// One more sample of a monitor was answered, at this time.
    pub fn sample(&mut self, monitor: &str, sample: &Sample, answered: Duration) {
        if let Reading::Bad(why) = &sample.reading {
            self.last_error = Some(why.clone());
        }
        if self.condition.is_instant() {
            match sample.reading {
                Reading::Good(Some(number)) => self.number(monitor, number, answered),
                Reading::Good(None) => {}
                // Nobody knows what it is now.
                Reading::Bad(_) if !self.condition.length().is_zero() => {
                    self.beyond.remove(monitor);
                }
                Reading::Bad(_) => {}
            }
            return;
        }
        self.since.get_or_insert(answered);
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

    /// Somebody it watches has begun to be asked, at this time.
    pub fn begins(&mut self, at: Duration) {
        self.since.get_or_insert(at);
    }

    /// A sample was due at this time and could not be sent.
    pub fn unsent(&mut self, at: Duration) {
        self.unsent = self.unsent.max(Some(at));
    }

    /// Somebody returned a number, at this time.
    pub fn number(&mut self, of: &str, number: f64, at: Duration) {
        self.since.get_or_insert(at);
        self.judged = true;
        if self.condition.bound.holds(number) {
            let streak = self.beyond.entry(of.to_owned()).or_insert(Streak {
                since: at,
                until: at,
                last: number,
            });
            (streak.until, streak.last) = (at, number);
        } else if !self.condition.length().is_zero() {
            self.beyond.remove(of);
        }
        // Where a single one decides, it does so whatever comes after it.
    }

    /// Whether it is true now: then what was seen.
    pub fn judge(&mut self, now: Duration, waiting: Waiting) -> Option<String> {
        let length = self.condition.length();
        if self.condition.is_instant() {
            let lasted = |streak: &Streak| streak.until.saturating_sub(streak.since);
            let streak = self
                .beyond
                .values()
                .find(|streak| lasted(streak) >= length)?;
            let number = self.condition.metric.number(streak.last);
            return Some(match length {
                Duration::ZERO => format!("it was {number}"),
                _ => format!(
                    "it was {number}, and has been beyond for {}",
                    human(lasted(streak))
                ),
            });
        }
        let begin = now.checked_sub(length)?;
        self.forget_until(begin);
        // A gap is never judged.
        if self.since? > begin || self.unsent.is_some_and(|unsent| unsent > begin) {
            return None;
        }
        self.judged = true;
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
        if count == 0 || !holds {
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
        Watch::new(AbortCondition::new(None, metric, bound, window))
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
                watch.sample("shop", &sample, ms(now));
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
        slow.begins(ms(0));
        assert_eq!(slow.slow_after(), Some(secs(1)));
        for index in 0..10 {
            slow.sample("shop", &answered(1, true), ms(index * 10));
        }
        assert_eq!(slow.judge(ms(1_001), Waiting { slow: 9 }), None);
        assert!(slow.judge(ms(1_001), Waiting { slow: 10 }).is_some());
    }

    #[test]
    fn numbers_are_judged_as_they_come_or_have_to_stay() {
        let mut lost = watch(Measured::Value, Beyond::Above(0.0), None);
        lost.number("lost", 0.0, ms(1));
        assert_eq!(lost.judge(ms(1), Waiting::default()), None);
        lost.number("lost", 3.0, ms(2));
        lost.number("lost", 0.0, ms(3));
        assert_eq!(
            lost.judge(ms(3), Waiting::default()).as_deref(),
            Some("it was 3")
        );
        let mut down = watch(Measured::FailedServices, Beyond::Above(2.0), Some(secs(1)));
        down.number("services", 3.0, ms(0));
        assert_eq!(down.judge(ms(999), Waiting::default()), None);
        down.number("services", 2.0, ms(999));
        assert_eq!(down.judge(secs(5), Waiting::default()), None);
        down.number("services", 4.0, secs(6));
        // It must have been seen again.
        assert_eq!(down.judge(secs(7), Waiting::default()), None);
        down.number("services", 4.0, secs(7));
        assert_eq!(
            down.judge(secs(7), Waiting::default()).as_deref(),
            Some("it was 4, and has been beyond for 1 s")
        );
    }

    #[test]
    fn numbers_of_one_monitor_do_not_excuse_those_of_another() {
        let mut long = watch(Measured::Value, Beyond::Above(2.0), Some(ms(200)));
        for index in 0..=20 {
            long.number("queue", 5.0, ms(index * 10));
            long.number("lost", 0.0, ms(index * 10));
        }
        assert!(long.judge(ms(200), Waiting::default()).is_some());
        // Nobody knows what it is while it cannot be asked.
        long.sample("queue", &answered(1, false), ms(210));
        assert_eq!(long.judge(ms(400), Waiting::default()), None);
    }

    #[test]
    fn a_value_that_is_no_number_is_nothing_to_look_at() {
        let mut value = watch(Measured::Value, Beyond::Above(2.0), None);
        value.sample("shop", &answered(1, true), ms(1));
        assert!(!value.has_looked());
    }

    #[test]
    fn a_gap_is_never_judged() {
        let mut slow = watch(Measured::Throughput, Beyond::Below(50.0), Some(ms(100)));
        slow.begins(ms(0));
        slow.unsent(ms(150));
        assert_eq!(slow.judge(ms(200), Waiting::default()), None);
        assert!(slow.judge(ms(251), Waiting::default()).is_some());
    }

    #[test]
    fn a_window_begins_with_what_it_watches() {
        let mut slow = watch(Measured::Throughput, Beyond::Below(20.0), None);
        assert_eq!(slow.judge(secs(5), Waiting::default()), None);
        slow.sample("late", &answered(1, true), secs(5));
        assert_eq!(slow.judge(ms(5_500), Waiting::default()), None);
        assert!(!slow.was_judged());
        assert!(slow.judge(ms(6_001), Waiting::default()).is_some());
    }
}
