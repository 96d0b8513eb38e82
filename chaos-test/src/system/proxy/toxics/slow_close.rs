//! The slow-close toxic: a stream whose end comes late.
//!
//! Owns when the end goes on. It must never hold back a byte.

use std::{
    collections::VecDeque,
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use super::super::{
    deadline::{Timer, later},
    hits::Tally,
    item::Item,
};
use super::{Encounter, Stage};

pub(super) struct SlowClose {
    delay: Duration,
    passing: VecDeque<Item>,
    /// When the end goes on that waits in front.
    ends_at: Option<Instant>,
    timer: Timer,
    tally: Tally,
}

impl SlowClose {
    pub(super) fn new(delay: Duration, encounter: Encounter) -> SlowClose {
        SlowClose {
            delay,
            passing: VecDeque::new(),
            ends_at: None,
            timer: Timer::default(),
            tally: encounter.tally,
        }
    }
}

impl Stage for SlowClose {
    fn has_room(&self) -> bool {
        self.passing.is_empty()
    }

    fn push(&mut self, item: Item) {
        if !matches!(item, Item::Data(_)) {
            self.tally.meet();
            self.ends_at
                .get_or_insert(later(Instant::now(), self.delay));
        }
        self.passing.push_back(item);
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Item> {
        if let (Some(Item::End | Item::Abort), Some(at)) = (self.passing.front(), self.ends_at) {
            ready!(self.timer.poll_until(at, cx));
        }
        match self.passing.pop_front() {
            Some(item) => Poll::Ready(item),
            None => Poll::Pending,
        }
    }

    fn release(&mut self) -> VecDeque<Item> {
        std::mem::take(&mut self.passing)
    }
}
