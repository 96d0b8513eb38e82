//! The latency toxic: a delay line.
//!
//! Owns what is in flight and when it is due. It must never reorder.

use std::{
    collections::VecDeque,
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use chacha20::{ChaCha8Rng, rand_core::Rng};

use super::super::{
    deadline::{Timer, later},
    hits::Tally,
    item::Item,
};
use super::{Encounter, Stage};

/// How much may be in flight before the sender is held back.
const CAPACITY: usize = 4 << 20;

pub(super) struct Latency {
    delay: Delay,
    line: VecDeque<(Instant, Item)>,
    weight: usize,
    timer: Timer,
    tally: Tally,
}

impl Latency {
    pub(super) fn new(delay: Duration, jitter: Duration, encounter: Encounter) -> Latency {
        Latency {
            delay: Delay {
                delay,
                jitter,
                random: encounter.random(),
            },
            line: VecDeque::new(),
            weight: 0,
            timer: Timer::default(),
            tally: encounter.tally,
        }
    }
}

impl Stage for Latency {
    fn has_room(&self) -> bool {
        self.weight < CAPACITY
    }

    fn push(&mut self, item: Item) {
        if let Item::Data(chunk) = &item {
            self.tally.chunk(chunk.rest().len());
        }
        self.weight += item.weight();
        self.line
            .push_back((later(Instant::now(), self.delay.draw()), item));
    }

    // Only the head is ever looked at, so an item whose jitter makes it due
    // before its predecessor leaves right behind it.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Item> {
        let Some((due, _)) = self.line.front() else {
            return Poll::Pending;
        };
        ready!(self.timer.poll_until(*due, cx));
        match self.line.pop_front() {
            Some((_, item)) => {
                self.weight -= item.weight();
                Poll::Ready(item)
            }
            None => Poll::Pending,
        }
    }

    fn release(&mut self) -> VecDeque<Item> {
        self.weight = 0;
        self.line.drain(..).map(|(_, item)| item).collect()
    }
}

/// A delay and the random numbers that vary it.
struct Delay {
    delay: Duration,
    jitter: Duration,
    random: ChaCha8Rng,
}

impl Delay {
    /// The next delay, uniform in `delay - jitter ..= delay + jitter`, but not
    /// below zero. The arithmetic is spelled out because a library's sampling
    /// may change between versions, and a seed's delays must not.
    fn draw(&mut self) -> Duration {
        if self.jitter.is_zero() {
            return self.delay;
        }
        let jitter = u64::try_from(self.jitter.as_nanos()).unwrap_or(u64::MAX / 4);
        let span = u128::from(jitter) * 2 + 1;
        let drawn = (u128::from(self.random.next_u64()) * span) >> 64;
        let drawn = Duration::from_nanos(u64::try_from(drawn).unwrap_or(u64::MAX));
        self.delay
            .saturating_add(drawn)
            .saturating_sub(Duration::from_nanos(jitter))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use chacha20::rand_core::SeedableRng;

    use super::super::super::hits::Counters;
    use super::super::{ToxicId, Way};
    use super::*;

    fn delays(seed: u64, connection: u64, toxic: u64, way: Way) -> [u128; 4] {
        let encounter = Encounter {
            seed,
            connection,
            toxic: ToxicId(toxic),
            way,
            opening: false,
            tally: Tally::new(&Arc::new(Counters::default())),
        };
        let mut delay = Delay {
            delay: Duration::from_millis(10),
            jitter: Duration::from_millis(4),
            random: encounter.random(),
        };
        [(); 4].map(|()| delay.draw().as_nanos())
    }

    #[test]
    fn jitter_is_the_same_for_the_same_seed() {
        assert_eq!(
            delays(7, 1, 1, Way::Up),
            [11_951_025, 13_794_776, 10_536_037, 12_513_199]
        );
        assert_eq!(delays(7, 1, 1, Way::Up), delays(7, 1, 1, Way::Up));
        let others = [
            delays(8, 1, 1, Way::Up),
            delays(7, 2, 1, Way::Up),
            delays(7, 1, 2, Way::Up),
            delays(7, 1, 1, Way::Down),
        ];
        assert!(!others.contains(&delays(7, 1, 1, Way::Up)));
    }

    #[test]
    fn jitter_stays_within_its_bounds() {
        let check = |delay, jitter, least: Duration, most: Duration| {
            let mut drawn = Delay {
                delay,
                jitter,
                random: ChaCha8Rng::seed_from_u64(1),
            };
            let mut seen = (Duration::MAX, Duration::ZERO);
            for _ in 0..10_000 {
                let delay = drawn.draw();
                assert!((least..=most).contains(&delay), "{delay:?}");
                seen = (seen.0.min(delay), seen.1.max(delay));
            }
            let tolerance = jitter / 50;
            assert!(seen.0 <= least + tolerance && seen.1 + tolerance >= most);
        };
        check(
            Duration::from_millis(10),
            Duration::from_millis(4),
            Duration::from_millis(6),
            Duration::from_millis(14),
        );
        check(
            Duration::from_millis(10),
            Duration::from_millis(0),
            Duration::from_millis(10),
            Duration::from_millis(10),
        );
        check(
            Duration::from_millis(2),
            Duration::from_millis(5),
            Duration::from_millis(0),
            Duration::from_millis(7),
        );
    }
}
