//! The accept-delay toxic: a service that is late to take a connection.
//!
//! Owns when the service is dialled. It must never touch what passes afterwards.

use std::{
    collections::VecDeque,
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use super::super::{
    deadline::{Timer, later},
    item::Item,
};
use super::{Encounter, Stage};

pub(super) struct AcceptDelay {
    /// None for a connection that was open when it was met.
    until: Option<Instant>,
    passing: VecDeque<Item>,
    timer: Timer,
}

impl AcceptDelay {
    pub(super) fn new(delay: Duration, encounter: Encounter) -> AcceptDelay {
        if encounter.opening {
            encounter.tally.meet();
        }
        AcceptDelay {
            until: encounter.opening.then(|| later(Instant::now(), delay)),
            passing: VecDeque::new(),
            timer: Timer::default(),
        }
    }
}

impl Stage for AcceptDelay {
    fn has_room(&self) -> bool {
        self.passing.is_empty()
    }

    fn push(&mut self, item: Item) {
        self.passing.push_back(item);
    }

    fn poll_next(&mut self, _cx: &mut Context<'_>) -> Poll<Item> {
        match self.passing.pop_front() {
            Some(item) => Poll::Ready(item),
            None => Poll::Pending,
        }
    }

    fn may_dial(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(until) = self.until {
            ready!(self.timer.poll_until(until, cx));
            self.until = None;
        }
        Poll::Ready(())
    }

    fn release(&mut self) -> VecDeque<Item> {
        std::mem::take(&mut self.passing)
    }
}
