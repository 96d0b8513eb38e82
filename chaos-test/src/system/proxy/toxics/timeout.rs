//! The timeout toxic: nothing gets through, and after a time the stream ends.
//!
//! Owns the moment of the end. It must never let a byte pass, also not once it is removed: a
//! stream with a hole would look like a whole one.

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

pub(super) struct Timeout {
    /// None where it never ends.
    at: Option<Instant>,
    timer: Timer,
    /// What ends it, once the sender has, or its time is over.
    end: Option<Item>,
    ended: bool,
    tally: Tally,
}

impl Timeout {
    pub(super) fn new(after: Option<Duration>, encounter: Encounter) -> Timeout {
        Timeout {
            at: after.map(|after| later(Instant::now(), after)),
            timer: Timer::default(),
            end: None,
            ended: false,
            tally: encounter.tally,
        }
    }
}

impl Stage for Timeout {
    fn has_room(&self) -> bool {
        true
    }

    fn push(&mut self, item: Item) {
        match item {
            Item::Data(chunk) => self.tally.chunk(chunk.rest().len()),
            // A peer that is gone is gone, whatever was lost before.
            Item::Abort if !self.ended => self.end = Some(Item::Abort),
            Item::Abort | Item::End => self.tally.meet(),
        }
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Item> {
        if self.ended {
            return Poll::Pending;
        }
        if self.end.is_none() {
            let Some(at) = self.at else {
                return Poll::Pending;
            };
            ready!(self.timer.poll_until(at, cx));
            self.tally.meet();
        }
        self.ended = true;
        Poll::Ready(self.end.take().unwrap_or(Item::End))
    }

    fn release(&mut self) -> VecDeque<Item> {
        let ended = std::mem::replace(&mut self.ended, true);
        let end = self.end.take().unwrap_or(Item::End);
        (!ended).then_some(end).into_iter().collect()
    }
}
