//! When a system under test is back to its steady state.

use std::time::Duration;

use crate::model::sample::{Reading, Sample};
use crate::model::units::human;

use super::statistics::{Latency, P99, Summary};

/// What one sample must be like to count as steady.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Steady {
    /// The slowest answer that still counts.
    pub slowest: Duration,
}

impl Steady {
    /// Derived from a baseline: it must succeed, and its latency be at most twice the
    /// baseline's p99, or 100 ms above it where that is more.
    ///
    /// The slack keeps a busy machine from prolonging a recovery; assertions on latency
    /// say how fast it has to be. It is never more than `timeout`, which no answer can
    /// outlast: a recovery is waited for as long as its last sample may take.
    #[must_use]
    pub fn of(baseline: &Summary, timeout: Duration) -> Self {
        let slowest = match baseline.latency(P99) {
            Some(Latency::Of(p99)) => (p99 * 2).max(p99 + Duration::from_millis(100)),
            // With failures among the slowest hundredth only success can be asked for.
            Some(Latency::NoAnswer) | None => timeout,
        };
        Self {
            slowest: slowest.min(timeout),
        }
    }

    /// Whether a sample is steady; otherwise what is wrong with it.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn check(&self, sample: &Sample) -> Result<(), String> {
        match &sample.reading {
            Reading::Bad(why) => Err(why.clone()),
            Reading::Good(_) if sample.latency > self.slowest => Err(format!(
                "answered in {}, slower than {}",
                human(sample.latency),
                human(self.slowest)
            )),
            Reading::Good(_) => Ok(()),
        }
    }
}

/// How far a recovery has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// The streak is complete.
    Recovered {
        /// When the streak's first sample was sent.
        at: Duration,
        /// Whether a sample before the streak was not steady.
        degraded: bool,
        /// How many before it were due that the monitor did not send: it may have been
        /// earlier.
        unsent: usize,
    },
    /// Not yet.
    NotYet {
        /// How many samples there were since the named instant.
        seen: usize,
        /// How many steady ones in a row there are at the end.
        streak: usize,
        /// How many more were due that the monitor did not send.
        unsent: usize,
        /// What was wrong with the last one that was not steady.
        last_problem: Option<String>,
    },
}

/// Looks for the first streak of `in_a_row` steady samples, one sample after the other.
///
/// It is shown them in the order of their intended times, without a gap: a sample that is
/// still waiting for its answer ends what it may be shown, because nobody knows yet whether
/// it breaks the streak.
#[derive(Debug)]
pub struct Streak {
    steady: Steady,
    in_a_row: usize,
    /// When the first of the present streak was sent, and how many it has.
    present: Option<(Duration, usize)>,
    recovered: Option<Duration>,
    degraded: bool,
    seen: usize,
    unsent: usize,
    last_problem: Option<String>,
}

impl Streak {
    /// Before the first sample.
    #[must_use]
    pub fn new(steady: Steady, in_a_row: usize) -> Self {
        Self {
            steady,
            in_a_row,
            present: None,
            recovered: None,
            degraded: false,
            seen: 0,
            unsent: 0,
            last_problem: None,
        }
    }

    /// The next sample. Whether the streak is complete; nothing changes that afterwards.
    pub fn sample(&mut self, sample: &Sample) -> bool {
        if self.recovered.is_some() {
            return true;
        }
        self.seen += 1;
        match self.steady.check(sample) {
            Ok(()) => {
                // Not its intended time: a sample that was sent late proves nothing about
                // the time before.
                let (first, count) = self.present.unwrap_or((sample.sent, 0));
                self.present = Some((first, count + 1));
                if count + 1 >= self.in_a_row {
                    self.recovered = Some(first);
                }
            }
            Err(problem) => {
                self.degraded = true;
                self.present = None;
                self.last_problem = Some(problem);
            }
        }
        self.recovered.is_some()
    }

    /// One that was due and not sent: it is no sign of trouble, and the samples around it
    /// are not in a row.
    pub fn unsent(&mut self) {
        if self.recovered.is_none() {
            self.unsent += 1;
            self.present = None;
        }
    }

    /// How far it has come.
    #[must_use]
    pub fn progress(&self) -> Progress {
        match self.recovered {
            Some(at) => Progress::Recovered {
                at,
                degraded: self.degraded,
                unsent: self.unsent,
            },
            None => Progress::NotYet {
                seen: self.seen,
                streak: self.present.map_or(0, |(_, count)| count),
                unsent: self.unsent,
                last_problem: self.last_problem.clone(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::units::ms;

    const STEADY: Steady = Steady {
        slowest: Duration::from_millis(50),
    };

    /// `.` steady, `x` failed, `s` slow; one sample every 10 ms.
    fn samples(pattern: &str) -> Vec<Sample> {
        pattern
            .chars()
            .enumerate()
            .map(|(index, kind)| Sample {
                at: ms(index as u64 * 10),
                sent: ms(index as u64 * 10),
                latency: if kind == 's' { ms(80) } else { ms(1) },
                reading: if kind == 'x' {
                    Reading::Bad("refused".into())
                } else {
                    Reading::Good(None)
                },
            })
            .collect()
    }

    /// All of a pattern; `_` was not sent.
    fn progress(pattern: &str, since: u64) -> Progress {
        let mut looking = Streak::new(STEADY, 3);
        for (sample, kind) in samples(pattern).iter().zip(pattern.chars()) {
            if sample.at < ms(since) {
                continue;
            }
            if kind == '_' {
                looking.unsent();
            } else {
                looking.sample(sample);
            }
        }
        looking.progress()
    }

    fn recovered(at: u64, degraded: bool) -> Progress {
        Progress::Recovered {
            at: ms(at),
            degraded,
            unsent: 0,
        }
    }

    #[test]
    fn recovery_is_the_first_sample_of_the_first_whole_streak() {
        for (pattern, since, expected) in [
            ("xxx...", 0, recovered(30, true)),
            ("xx.x...", 0, recovered(40, true)),
            ("ss...", 0, recovered(20, true)),
            ("......", 0, recovered(0, false)),
            ("xxx......", 40, recovered(40, false)),
            ("xxx...xxx...", 0, recovered(30, true)),
        ] {
            assert_eq!(progress(pattern, since), expected, "{pattern}");
        }
    }

    #[test]
    fn samples_that_were_not_sent_are_no_trouble_and_no_part_of_a_streak() {
        assert_eq!(
            progress("..__...", 0),
            Progress::Recovered {
                at: ms(40),
                degraded: false,
                unsent: 2
            }
        );
    }

    #[test]
    fn an_unfinished_streak_is_not_a_recovery() {
        assert_eq!(
            progress("x_x..", 0),
            Progress::NotYet {
                seen: 4,
                streak: 2,
                unsent: 1,
                last_problem: Some("refused".into())
            }
        );
    }

    #[test]
    fn no_sample_is_no_recovery() {
        assert_eq!(
            progress("...", 500),
            Progress::NotYet {
                seen: 0,
                streak: 0,
                unsent: 0,
                last_problem: None
            }
        );
    }

    #[test]
    fn no_answer_has_to_be_waited_for_longer_than_a_sample_may_take() {
        let window = crate::model::sample::Window {
            from: ms(0),
            to: ms(1000),
        };
        for (pattern, expected) in [("....", ms(101)), (".x..", ms(200)), ("ssss", ms(180))] {
            let normal = Summary::of(&samples(pattern), window);
            assert_eq!(Steady::of(&normal, ms(200)).slowest, expected, "{pattern}");
        }
        let slow = Summary::of(&samples("ssss"), window);
        assert_eq!(Steady::of(&slow, ms(100)).slowest, ms(100));
    }
}
