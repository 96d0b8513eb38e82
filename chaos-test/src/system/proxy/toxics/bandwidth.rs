//! The bandwidth toxic: a wire that carries so many bytes a second.
//!
//! Owns when the wire is free again. It must never send two pieces at once, and never save up
//! time in which nothing was sent.

use std::{
    collections::VecDeque,
    num::NonZeroU64,
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use super::super::{
    deadline::{Timer, later},
    hits::Tally,
    item::{Chunk, Item},
};
use super::{Encounter, Stage};

/// How long the wire is busy with one piece, at most: what is longer is sent in pieces, so that a
/// receiver sees a stream and not heaps.
const PIECE: Duration = Duration::from_millis(10);
/// The smallest and the largest piece, where the rate would have others, in bytes.
const PIECES: std::ops::RangeInclusive<u64> = 1..=64 << 10;
/// How far the wire may lag behind its rate and still catch up: what a late wake-up costs.
const LAG: Duration = Duration::from_millis(50);

pub(super) struct Bandwidth {
    rate: NonZeroU64,
    waiting: VecDeque<Item>,
    weight: usize,
    /// What is on the wire, and when it has left it.
    sending: Option<(Instant, Chunk)>,
    free_at: Instant,
    timer: Timer,
    tally: Tally,
}

impl Bandwidth {
    pub(super) fn new(rate: NonZeroU64, encounter: Encounter) -> Bandwidth {
        Bandwidth {
            rate,
            waiting: VecDeque::new(),
            weight: 0,
            sending: None,
            free_at: Instant::now(),
            timer: Timer::default(),
            tally: encounter.tally,
        }
    }

    /// How long the wire is busy with so many bytes.
    fn takes(&self, bytes: usize) -> Duration {
        let nanos = bytes as u128 * 1_000_000_000 / u128::from(self.rate.get());
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    fn piece(&self) -> usize {
        let bytes = u128::from(self.rate.get()) * PIECE.as_nanos() / 1_000_000_000;
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        bytes.clamp(*PIECES.start(), *PIECES.end()) as usize
    }

    /// How much may wait: a tenth of a second of the wire, because a line that takes more than it
    /// can carry hides from its sender how slow it is.
    fn capacity(&self) -> usize {
        (self.rate.get() / 10).clamp(4 << 10, 4 << 20) as usize
    }
}

impl Stage for Bandwidth {
    fn has_room(&self) -> bool {
        self.weight < self.capacity()
    }

    fn push(&mut self, item: Item) {
        if let Item::Data(chunk) = &item {
            self.tally.chunk(chunk.rest().len());
        }
        if self.waiting.is_empty() && self.sending.is_none() {
            // The wire was idle, and no time is saved up by that.
            self.free_at = self.free_at.max(Instant::now());
        }
        self.weight += item.weight();
        self.waiting.push_back(item);
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Item> {
        if self.sending.is_none() {
            let piece = self.piece();
            match self.waiting.front_mut() {
                None => return Poll::Pending,
                Some(Item::Data(chunk)) => {
                    let before = chunk.rest().len();
                    let taken = chunk.take(before.min(piece));
                    self.weight -= taken.rest().len();
                    if chunk.rest().is_empty()
                        && let Some(empty) = self.waiting.pop_front()
                    {
                        self.weight -= empty.weight();
                    }
                    let earliest = Instant::now().checked_sub(LAG);
                    let from = self.free_at.max(earliest.unwrap_or(self.free_at));
                    let left = later(from, self.takes(taken.rest().len()));
                    self.free_at = left;
                    self.sending = Some((left, taken));
                }
                Some(_) => {
                    let Some(end) = self.waiting.pop_front() else {
                        return Poll::Pending;
                    };
                    self.weight -= end.weight();
                    return Poll::Ready(end);
                }
            }
        }
        if let Some((left, _)) = &self.sending {
            ready!(self.timer.poll_until(*left, cx));
        }
        match self.sending.take() {
            Some((_, chunk)) => Poll::Ready(Item::Data(chunk)),
            None => Poll::Pending,
        }
    }

    fn release(&mut self) -> VecDeque<Item> {
        self.weight = 0;
        let sending = self.sending.take().map(|(_, chunk)| Item::Data(chunk));
        sending.into_iter().chain(self.waiting.drain(..)).collect()
    }
}
