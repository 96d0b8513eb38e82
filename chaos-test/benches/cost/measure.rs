//! Taking times.

use std::time::{Duration, Instant};

/// Times of one thing that was done again and again.
#[derive(Debug, Default)]
pub(crate) struct Times(Vec<Duration>);

impl Times {
    /// Does it once more and takes the time.
    pub(crate) fn take<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let done = work();
        self.add(start.elapsed());
        done
    }

    pub(crate) fn add(&mut self, time: Duration) {
        self.0.push(time);
    }

    pub(crate) fn append(&mut self, other: &mut Self) {
        self.0.append(&mut other.0);
    }

    pub(crate) fn median(&self) -> Duration {
        self.at(0.5)
    }

    /// The slowest one of fewer than a hundred.
    pub(crate) fn p99(&self) -> Duration {
        self.at(0.99)
    }

    /// By nearest rank.
    fn at(&self, share: f64) -> Duration {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let rank = (sorted.len() as f64 * share).ceil() as usize;
        let index = rank.saturating_sub(1);
        sorted.get(index).copied().unwrap_or_default()
    }
}
