//! The hang toxic: a peer that is there and answers nothing.
//!
//! Owns what came before it was met. It must never lose a byte: what waits goes on once it is
//! removed.

use std::{
    collections::VecDeque,
    task::{Context, Poll},
};

use super::super::{hits::Tally, item::Item};
use super::{Encounter, Stage};

pub(super) struct Hang {
    opening: bool,
    waiting: VecDeque<Item>,
    tally: Tally,
}

impl Hang {
    pub(super) fn new(encounter: Encounter) -> Hang {
        if encounter.opening {
            encounter.tally.meet();
        }
        Hang {
            opening: encounter.opening,
            waiting: VecDeque::new(),
            tally: encounter.tally,
        }
    }
}

impl Stage for Hang {
    // One chunk is read, so that whoever was hit is counted; then the sender is held back by its
    // own kernel, as by a process that does not read.
    fn has_room(&self) -> bool {
        self.waiting.is_empty()
    }

    fn push(&mut self, item: Item) {
        if let Item::Data(chunk) = &item {
            self.tally.chunk(chunk.rest().len());
        }
        self.waiting.push_back(item);
    }

    fn poll_next(&mut self, _cx: &mut Context<'_>) -> Poll<Item> {
        Poll::Pending
    }

    fn may_dial(&mut self, _cx: &mut Context<'_>) -> Poll<()> {
        if self.opening {
            return Poll::Pending;
        }
        Poll::Ready(())
    }

    fn release(&mut self) -> VecDeque<Item> {
        std::mem::take(&mut self.waiting)
    }
}
