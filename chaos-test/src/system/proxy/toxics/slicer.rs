//! The slicer toxic: a stream that comes in small pieces.
//!
//! Owns how large the pieces are and what lies between them. It must never change a byte or the
//! order of two.

use std::{
    collections::VecDeque,
    num::NonZeroU32,
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

pub(super) struct Slicer {
    size: Size,
    delay: Duration,
    waiting: VecDeque<Item>,
    /// When the next piece may go.
    next_at: Option<Instant>,
    timer: Timer,
    tally: Tally,
}

impl Slicer {
    pub(super) fn new(
        average: NonZeroU32,
        variation: u32,
        delay: Duration,
        encounter: Encounter,
    ) -> Slicer {
        Slicer {
            size: Size {
                average,
                variation,
                random: encounter.random(),
            },
            delay,
            waiting: VecDeque::new(),
            next_at: None,
            timer: Timer::default(),
            tally: encounter.tally,
        }
    }
}

impl Stage for Slicer {
    fn has_room(&self) -> bool {
        self.waiting.is_empty()
    }

    fn push(&mut self, item: Item) {
        if let Item::Data(chunk) = &item {
            self.tally.chunk(chunk.rest().len());
        }
        self.waiting.push_back(item);
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Item> {
        if self.waiting.is_empty() {
            return Poll::Pending;
        }
        if let Some(at) = self.next_at {
            ready!(self.timer.poll_until(at, cx));
        }
        self.next_at = (!self.delay.is_zero()).then(|| later(Instant::now(), self.delay));
        if let Some(Item::Data(chunk)) = self.waiting.front_mut() {
            let size = self.size.draw();
            if chunk.rest().len() > size {
                return Poll::Ready(Item::Data(chunk.take(size)));
            }
        }
        match self.waiting.pop_front() {
            Some(item) => Poll::Ready(item),
            None => Poll::Pending,
        }
    }

    fn release(&mut self) -> VecDeque<Item> {
        std::mem::take(&mut self.waiting)
    }
}

/// The size of pieces and the random numbers that vary it.
struct Size {
    average: NonZeroU32,
    variation: u32,
    random: ChaCha8Rng,
}

impl Size {
    /// The next size in bytes, uniform in `average - variation ..= average + variation`, and one at
    /// least.
    fn draw(&mut self) -> usize {
        let average = u64::from(self.average.get());
        if self.variation == 0 {
            return average as usize;
        }
        let variation = u64::from(self.variation);
        let span = u128::from(variation) * 2 + 1;
        let drawn = ((u128::from(self.random.next_u64()) * span) >> 64) as u64;
        (average + drawn).saturating_sub(variation).max(1) as usize
    }
}

#[cfg(test)]
mod tests {
    use chacha20::rand_core::SeedableRng;

    use super::*;

    #[test]
    fn pieces_are_as_large_as_they_may_be_and_never_empty() {
        let sizes = |average, variation| {
            let mut size = Size {
                average: NonZeroU32::new(average).unwrap(),
                variation,
                random: ChaCha8Rng::seed_from_u64(1),
            };
            let sizes: Vec<usize> = (0..10_000).map(|_| size.draw()).collect();
            (*sizes.iter().min().unwrap(), *sizes.iter().max().unwrap())
        };
        assert_eq!(sizes(10, 0), (10, 10));
        assert_eq!(sizes(10, 3), (7, 13));
        // What other implementations divide by, or never get done with.
        assert_eq!(sizes(1, 0), (1, 1));
        assert_eq!(sizes(1, 1), (1, 2));
        assert_eq!(sizes(2, 9), (1, 11));
        let (least, most) = sizes(u32::MAX, u32::MAX);
        assert!(least >= 1 && most > u32::MAX as usize);
    }
}
