//! The limit-data toxic: a stream that ends after so many bytes.
//!
//! Owns how many are left. It must never let one more pass.

use std::{
    collections::VecDeque,
    task::{Context, Poll},
};

use super::super::{hits::Tally, item::Item};
use super::{Encounter, Stage};

pub(super) struct LimitData {
    left: u64,
    passing: VecDeque<Item>,
    ended: bool,
    tally: Tally,
}

impl LimitData {
    pub(super) fn new(bytes: u64, encounter: Encounter) -> LimitData {
        LimitData {
            left: bytes,
            passing: VecDeque::new(),
            ended: false,
            tally: encounter.tally,
        }
    }
}

impl Stage for LimitData {
    fn has_room(&self) -> bool {
        self.passing.is_empty()
    }

    fn push(&mut self, item: Item) {
        if self.ended {
            if let Item::Data(chunk) = &item {
                self.tally.chunk(chunk.rest().len());
            }
            return;
        }
        let Item::Data(mut chunk) = item else {
            self.ended = true;
            self.passing.push_back(item);
            return;
        };
        let length = chunk.rest().len();
        let allowed = usize::try_from(self.left).unwrap_or(usize::MAX).min(length);
        self.left -= allowed as u64;
        if allowed == length && self.left > 0 {
            self.passing.push_back(Item::Data(chunk));
            return;
        }
        if allowed > 0 {
            self.passing.push_back(Item::Data(chunk.take(allowed)));
        }
        self.ended = true;
        self.tally.chunk(length - allowed);
        self.passing.push_back(Item::End);
    }

    fn poll_next(&mut self, _cx: &mut Context<'_>) -> Poll<Item> {
        match self.passing.pop_front() {
            Some(item) => Poll::Ready(item),
            None => Poll::Pending,
        }
    }

    fn release(&mut self) -> VecDeque<Item> {
        std::mem::take(&mut self.passing)
    }
}
