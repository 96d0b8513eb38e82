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
    /// baseline's p99, or 25 ms above it where that is more.
    ///
    /// The slack keeps a busy machine from prolonging a recovery; assertions on latency
    /// say how fast it has to be.
    #[must_use]
    pub fn of(baseline: &Summary) -> Self {
        let p99 = match baseline.latency(P99) {
            Some(Latency::Of(latency)) => latency,
            // With failures among the slowest hundredth only success can be asked for.
            Some(Latency::NoAnswer) | None => Duration::from_secs(3600),
        };
        Self {
            slowest: (p99 * 2).max(p99 + Duration::from_millis(25)),
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
    },
    /// Not yet.
    NotYet {
        /// How many samples there were since the named instant.
        seen: usize,
        /// How many steady ones in a row there are at the end.
        streak: usize,
        /// What was wrong with the last one that was not steady.
        last_problem: Option<String>,
    },
}

/// Looks for the first streak of `in_a_row` steady samples among those meant for `since` or
/// later.
///
/// `samples` are in the order of their intended times, without a gap: a sample that is
/// still waiting for its answer ends the list, because nobody knows yet whether it breaks
/// the streak.
#[must_use]
pub fn progress(samples: &[Sample], steady: Steady, since: Duration, in_a_row: usize) -> Progress {
    let mut streak: Option<(Duration, usize)> = None;
    let mut last_problem = None;
    let mut degraded = false;
    let mut seen = 0;
    for sample in samples.iter().filter(|sample| sample.at >= since) {
        seen += 1;
        match steady.check(sample) {
            Ok(()) => {
                // Not its intended time: a sample that was sent late proves nothing about
                // the time before.
                let (first, count) = streak.unwrap_or((sample.sent, 0));
                if count + 1 >= in_a_row {
                    return Progress::Recovered {
                        at: first,
                        degraded,
                    };
                }
                streak = Some((first, count + 1));
            }
            Err(problem) => {
                degraded = true;
                streak = None;
                last_problem = Some(problem);
            }
        }
    }
    Progress::NotYet {
        seen,
        streak: streak.map_or(0, |(_, count)| count),
        last_problem,
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

    fn recovered(at: u64, degraded: bool) -> Progress {
        Progress::Recovered {
            at: ms(at),
            degraded,
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
        ] {
            assert_eq!(
                progress(&samples(pattern), STEADY, ms(since), 3),
                expected,
                "{pattern}"
            );
        }
    }

    #[test]
    fn an_unfinished_streak_is_not_a_recovery() {
        assert_eq!(
            progress(&samples("xx.."), STEADY, ms(0), 3),
            Progress::NotYet {
                seen: 4,
                streak: 2,
                last_problem: Some("refused".into())
            }
        );
    }

    #[test]
    fn no_sample_is_no_recovery() {
        assert_eq!(
            progress(&samples("..."), STEADY, ms(500), 1),
            Progress::NotYet {
                seen: 0,
                streak: 0,
                last_problem: None
            }
        );
    }
}
