//! One direction of one connection: read, run through the toxics, write.
//!
//! Owns the order of a stream's bytes and how its end is passed on. It must
//! never block, and it must never know which toxics there are.

use std::{
    cell::RefCell,
    collections::VecDeque,
    io,
    pin::Pin,
    sync::atomic::{
        AtomicU64, AtomicUsize,
        Ordering::{Acquire, Relaxed},
    },
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

use super::{
    attempts::Turns,
    chain::Chain,
    item::{Chunk, Item},
    toxics::Way,
};

/// The most that is read at once.
const SCRATCH: usize = 256 << 10;

/// How much a flow moves before other tasks of its worker get a turn.
const TURN: usize = 1 << 20;

thread_local! {
    // Reading into one buffer per worker, and keeping only what the receiver
    // did not take, gives every connection large reads while an idle one holds
    // no buffer at all.
    static BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; SCRATCH].into());
}

/// What a turn of [`Flow::pump`] ended with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// Nothing can be done until a waker is called.
    Waiting,
    /// More could be done, but it is somebody else's turn.
    Spent,
    /// Somebody waits to change the chain and calls the waker afterwards.
    Interrupted,
    /// The receiver is gone.
    SinkLost,
    /// The connection is to be reset on both sides.
    Reset,
}

/// The sockets and counters that a flow works with.
pub(super) struct Ends<'a> {
    pub(super) from: &'a mut TcpStream,
    pub(super) to: &'a mut TcpStream,
    pub(super) delivered: &'a AtomicU64,
    pub(super) changes: &'a AtomicUsize,
    pub(super) turns: &'a mut Turns,
    pub(super) way: Way,
}

impl Ends<'_> {
    fn delivered(&mut self, bytes: usize) {
        self.delivered.fetch_add(bytes as u64, Relaxed);
        if self.way == Way::Down {
            self.turns.answered();
        }
    }
}

#[derive(Default)]
pub(super) struct Flow {
    chain: Chain,
    /// What has passed all toxics and waits for the receiver.
    outbox: VecDeque<Item>,
    source: Source,
    sink: Sink,
}

#[derive(Default, PartialEq, Eq)]
enum Source {
    #[default]
    Open,
    /// A write to that peer failed, so the end that will be read is no clean one.
    Lost,
    Ended,
}

#[derive(Default, PartialEq, Eq)]
enum Sink {
    #[default]
    Open,
    Ended,
    Lost,
}

impl Flow {
    pub(super) fn chain(&mut self) -> &mut Chain {
        &mut self.chain
    }

    /// Puts items that a removed toxic held in front of the receiver.
    pub(super) fn deliver(&mut self, items: VecDeque<Item>) {
        self.outbox.extend(items);
    }

    /// Whether nothing will ever be written again.
    pub(super) fn finished(&self) -> bool {
        self.sink != Sink::Open && self.outbox.is_empty()
    }

    pub(super) fn sink_lost(&self) -> bool {
        self.sink == Sink::Lost
    }

    /// Notes that writing to this flow's sender failed: it is gone, and what
    /// it sent before is followed by a reset.
    pub(super) fn lose_source(&mut self) {
        match self.source {
            Source::Open | Source::Lost => self.source = Source::Lost,
            Source::Ended => self.accept(Item::Abort),
        }
    }

    /// Moves what can be moved now.
    pub(super) fn pump(&mut self, cx: &mut Context<'_>, mut ends: Ends<'_>) -> Turn {
        let mut left = TURN;
        loop {
            if ends.changes.load(Acquire) > 0 {
                return Turn::Interrupted;
            }
            if self.sink == Sink::Lost {
                return Turn::Waiting;
            }
            if self.chain.wants_reset(cx) {
                return Turn::Reset;
            }
            if left == 0 {
                return Turn::Spent;
            }
            if let Some(turn) = self.write(cx, &mut ends, &mut left) {
                return turn;
            }
            if self.outbox.is_empty()
                && let Poll::Ready(item) = self.chain.poll_next(cx)
            {
                self.outbox.push_back(item);
                continue;
            }
            let room = if self.chain.is_empty() {
                self.outbox.is_empty()
            } else {
                self.chain.has_room()
            };
            if self.source == Source::Ended || !room {
                return Turn::Waiting;
            }
            match self.read(cx, &mut ends, &mut left) {
                Poll::Pending => return Turn::Waiting,
                Poll::Ready(None) => {}
                Poll::Ready(Some(turn)) => return turn,
            }
        }
    }

    /// Writes the outbox as far as the receiver takes it.
    fn write(
        &mut self,
        cx: &mut Context<'_>,
        ends: &mut Ends<'_>,
        left: &mut usize,
    ) -> Option<Turn> {
        while let Some(item) = self.outbox.front_mut() {
            match item {
                Item::Data(chunk) => match Pin::new(&mut *ends.to).poll_write(cx, chunk.rest()) {
                    Poll::Ready(Ok(written)) => {
                        chunk.advance(written);
                        ends.delivered(written);
                        spend(left, written);
                        if !chunk.rest().is_empty() {
                            continue;
                        }
                    }
                    Poll::Ready(Err(_)) => return Some(self.lose_sink()),
                    // A reset does not queue behind what nobody reads.
                    Poll::Pending if matches!(self.outbox.back(), Some(Item::Abort)) => {
                        return Some(Turn::Reset);
                    }
                    Poll::Pending => return None,
                },
                Item::End => {
                    // This fails only where the peer is gone already, which
                    // the other direction finds out and passes on.
                    let _ = Pin::new(&mut *ends.to).poll_shutdown(cx);
                    self.sink = Sink::Ended;
                }
                Item::Abort => return Some(Turn::Reset),
            }
            self.outbox.pop_front();
        }
        None
    }

    /// Reads once; where there is no toxic, the bytes go straight to the receiver.
    fn read(
        &mut self,
        cx: &mut Context<'_>,
        ends: &mut Ends<'_>,
        left: &mut usize,
    ) -> Poll<Option<Turn>> {
        BUFFER.with_borrow_mut(|buffer| {
            let mut target = ReadBuf::new(buffer);
            let result = std::task::ready!(Pin::new(&mut *ends.from).poll_read(cx, &mut target));
            let bytes = target.filled();
            if ends.way == Way::Up {
                match result {
                    Ok(()) if !bytes.is_empty() => ends.turns.asked(),
                    _ => ends.turns.left(),
                }
            }
            match result {
                Ok(()) if !bytes.is_empty() => {
                    spend(left, bytes.len());
                    let rest = if self.chain.is_empty() {
                        match write_through(cx, ends, bytes) {
                            Ok(rest) => rest,
                            Err(_) => return Poll::Ready(Some(self.lose_sink())),
                        }
                    } else {
                        bytes
                    };
                    if !rest.is_empty() {
                        self.accept(Item::Data(Chunk::copy_of(rest)));
                    }
                }
                Ok(()) if self.source == Source::Open => {
                    self.source = Source::Ended;
                    self.accept(Item::End);
                }
                Ok(()) | Err(_) => {
                    self.source = Source::Ended;
                    self.accept(Item::Abort);
                }
            }
            Poll::Ready(None)
        })
    }

    fn accept(&mut self, item: Item) {
        if let Some(item) = self.chain.push(item) {
            self.outbox.push_back(item);
        }
    }

    fn lose_sink(&mut self) -> Turn {
        self.sink = Sink::Lost;
        self.outbox.clear();
        Turn::SinkLost
    }
}

/// Writes as much as the receiver takes and returns what is left.
fn write_through<'b>(
    cx: &mut Context<'_>,
    ends: &mut Ends<'_>,
    mut bytes: &'b [u8],
) -> io::Result<&'b [u8]> {
    while !bytes.is_empty()
        && let Poll::Ready(written) = Pin::new(&mut *ends.to).poll_write(cx, bytes)
    {
        let written = written?;
        ends.delivered(written);
        bytes = &bytes[written..];
    }
    Ok(bytes)
}

/// Takes a piece of work off a turn; tiny ones cost system calls all the same.
fn spend(left: &mut usize, bytes: usize) {
    *left = left.saturating_sub(bytes.max(4 << 10));
}
