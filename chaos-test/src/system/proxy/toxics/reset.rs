//! The reset toxic: a connection that breaks off some time after it was met.
//!
//! Owns the moment of the reset, decided once per connection. It must never
//! hold back or change a byte before that moment.

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

pub(super) struct Reset {
    after: Duration,
    /// None as long as a new connection has not carried a byte.
    at: Option<Instant>,
    passing: VecDeque<Item>,
    timer: Timer,
    tally: Tally,
}

impl Reset {
    pub(super) fn new(after: Duration, encounter: Encounter) -> Reset {
        Reset {
            after,
            at: (!encounter.opening).then(|| later(Instant::now(), after)),
            passing: VecDeque::new(),
            timer: Timer::default(),
            tally: encounter.tally,
        }
    }
}

impl Stage for Reset {
    fn has_room(&self) -> bool {
        self.passing.is_empty()
    }

    fn push(&mut self, item: Item) {
        if self.at.is_none() && matches!(item, Item::Data(_)) {
            self.at = Some(later(Instant::now(), self.after));
        }
        self.passing.push_back(item);
    }

    fn poll_next(&mut self, _cx: &mut Context<'_>) -> Poll<Item> {
        match self.passing.pop_front() {
            Some(item) => Poll::Ready(item),
            None => Poll::Pending,
        }
    }

    fn poll_reset(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(at) = self.at else {
            return Poll::Pending;
        };
        ready!(self.timer.poll_until(at, cx));
        self.tally.reset();
        Poll::Ready(())
    }

    fn release(&mut self) -> VecDeque<Item> {
        std::mem::take(&mut self.passing)
    }
}
