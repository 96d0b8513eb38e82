//! The down toxic: nobody gets through.
//!
//! Owns only the decision to reset. It must never let a byte pass.

use std::{
    collections::VecDeque,
    task::{Context, Poll},
};

use super::super::{hits::Tally, item::Item};
use super::{Encounter, Stage};

pub(super) struct Down {
    opening: bool,
    tally: Tally,
}

impl Down {
    pub(super) fn new(encounter: Encounter) -> Down {
        Down {
            opening: encounter.opening,
            tally: encounter.tally,
        }
    }
}

impl Stage for Down {
    fn has_room(&self) -> bool {
        false
    }

    // The connection is reset before anything else happens to it, so what the
    // toxic before this one may still hand over has no receiver.
    fn push(&mut self, _item: Item) {}

    fn poll_next(&mut self, _cx: &mut Context<'_>) -> Poll<Item> {
        Poll::Pending
    }

    fn poll_reset(&mut self, _cx: &mut Context<'_>) -> Poll<()> {
        if self.opening {
            self.tally.refused();
        } else {
            self.tally.reset();
        }
        Poll::Ready(())
    }

    fn release(&mut self) -> VecDeque<Item> {
        VecDeque::new()
    }
}
