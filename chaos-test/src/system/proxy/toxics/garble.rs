//! The toxics that change what passes: bytes with a flipped bit, chunks that are lost or come twice.
//!
//! Owns which bytes and chunks these are. It must never change the length of what it lets pass, or
//! the end of a stream.

use std::{
    collections::VecDeque,
    task::{Context, Poll},
};

use chacha20::{ChaCha8Rng, rand_core::Rng};

use super::super::{
    hits::Tally,
    item::{Chunk, Item},
};
use super::{Encounter, Stage};

/// What happens to what is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    FlipBits,
    DropChunks,
    DuplicateChunks,
}

pub(super) struct Garble {
    what: What,
    /// What is drawn below that is hit: of 2^32.
    below: u64,
    passing: VecDeque<Item>,
    random: ChaCha8Rng,
    tally: Tally,
}

impl Garble {
    pub(super) fn new(what: What, share: f64, encounter: Encounter) -> Garble {
        Garble {
            what,
            // As a float it is exact up to 2^53.
            below: (share.clamp(0.0, 1.0) * (1_u64 << 32) as f64) as u64,
            passing: VecDeque::new(),
            random: encounter.random(),
            tally: encounter.tally,
        }
    }

    fn is_hit(&mut self) -> bool {
        u64::from(self.random.next_u32()) < self.below
    }

    /// Flips one bit of each byte that is drawn; how many these are.
    fn flip(&mut self, chunk: &mut Chunk) -> usize {
        let mut flipped = 0;
        for byte in chunk.rest_mut() {
            if self.is_hit() {
                *byte ^= 1 << (self.random.next_u32() % 8);
                flipped += 1;
            }
        }
        flipped
    }
}

impl Stage for Garble {
    fn has_room(&self) -> bool {
        self.passing.is_empty()
    }

    fn push(&mut self, item: Item) {
        let Item::Data(mut chunk) = item else {
            self.passing.push_back(item);
            return;
        };
        let length = chunk.rest().len();
        match self.what {
            What::FlipBits => {
                let flipped = self.flip(&mut chunk);
                if flipped > 0 {
                    self.tally.chunk(flipped);
                }
            }
            What::DropChunks | What::DuplicateChunks => {
                if self.is_hit() {
                    self.tally.chunk(length);
                    if self.what == What::DropChunks {
                        return;
                    }
                    self.passing.push_back(Item::Data(chunk.clone()));
                }
            }
        }
        self.passing.push_back(Item::Data(chunk));
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
