//! What travels through a chain of toxics.
//!
//! Owns the unit of one direction's stream: bytes and the two ways in which
//! they can end. It must never know about sockets.

/// One element of a direction's stream, in order.
#[derive(Debug)]
pub(super) enum Item {
    /// Bytes that were read together.
    Data(Chunk),
    /// The sender has finished; the other direction goes on.
    End,
    /// The sender is gone; whoever receives this gets a reset.
    Abort,
}

impl Item {
    /// What holding this item costs in memory, including its bookkeeping, so
    /// that a limit on bytes also limits a flood of tiny chunks.
    pub(super) fn weight(&self) -> usize {
        const BOOKKEEPING: usize = 96;
        match self {
            Item::Data(chunk) => chunk.rest().len() + BOOKKEEPING,
            Item::End | Item::Abort => BOOKKEEPING,
        }
    }
}

/// Bytes of which a part may already have been written.
#[derive(Clone, Debug)]
pub(super) struct Chunk {
    bytes: Box<[u8]>,
    start: usize,
}

impl Chunk {
    /// Copies `bytes` out of a buffer that is about to be used again.
    pub(super) fn copy_of(bytes: &[u8]) -> Chunk {
        Chunk {
            bytes: bytes.into(),
            start: 0,
        }
    }

    /// The bytes that have not been written yet.
    pub(super) fn rest(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    /// The same, to be changed.
    pub(super) fn rest_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[self.start..]
    }

    /// Takes the first `count` bytes of the rest away, as a chunk of their own.
    pub(super) fn take(&mut self, count: usize) -> Chunk {
        let taken = Chunk::copy_of(&self.rest()[..count]);
        self.advance(count);
        taken
    }

    /// Notes that the first `count` bytes of the rest have been written.
    pub(super) fn advance(&mut self, count: usize) {
        self.start += count;
    }
}
