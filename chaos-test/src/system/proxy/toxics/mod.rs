//! The toxics: what can happen to a connection's bytes.
//!
//! Owns the closed list of toxics and the contract by which a connection runs
//! them. A toxic must never touch a socket, and nothing outside this folder
//! may name a particular one. Adding one: a file here, a variant of [`Toxic`]
//! and an arm in [`Toxic::stage`].

mod accept_delay;
mod bandwidth;
mod down;
mod garble;
mod hang;
mod latency;
mod limit_data;
mod reset;
mod slicer;
mod slow_close;
mod timeout;

use std::{
    collections::VecDeque,
    fmt,
    num::{NonZeroU32, NonZeroU64},
    task::{Context, Poll},
    time::Duration,
};

use chacha20::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};

use super::{hits::Tally, item::Item};
use garble::What;

/// A transformation of a link's streams.
///
/// ```
/// use chaos_test::{Direction, Error, System, Target, Toxic, ms};
///
/// /// `apply` of a fault that delays what a service answers.
/// async fn apply(system: &System) -> Result<(), Error> {
///     let cache = Target::Service("cache".to_owned());
///     let slow = Toxic::Latency { delay: ms(200), jitter: ms(50) };
///     system.add_toxic(&cache, slow, Direction::Downstream).await
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Toxic {
    /// Delivers everything, including the end of the stream, `delay` later,
    /// varied by up to `jitter` either way (never below zero).
    ///
    /// It is a delay line: chunks overlap in flight, so throughput is not
    /// reduced until 4 MiB per direction are in flight, and order is kept
    /// whatever the jitter. The jitter is drawn from the link's seed, the
    /// connection's number, the toxic's id and the direction. On removal
    /// everything still in flight is delivered at once.
    Latency {
        /// How much later everything arrives.
        delay: Duration,
        /// How far a single delay may be off, either way.
        jitter: Duration,
    },
    /// Resets open connections at once, and every new one as soon as it has
    /// been accepted.
    ///
    /// The link keeps listening, because a closed listener could not count
    /// whom it turned away; a client therefore sees a reset, while connecting
    /// or right after, where a closed port would refuse the connection. The
    /// direction makes no difference.
    Down,
    /// Resets every connection once, some time after the toxic met it.
    ///
    /// The time runs from now for a connection that is open, and from the
    /// first byte in the toxic's direction for a new one. With zero, that
    /// first byte is not delivered.
    Reset {
        /// How long a connection that was met still lives.
        after: Duration,
    },
    /// Carries so many bytes a second in each direction that it is on, for each connection.
    ///
    /// Pieces leave evenly, the longest in 10 ms. A tenth of a second of the rate is taken in
    /// beforehand (4 KiB at least); then the sender is held back. On removal what waits is
    /// delivered at once.
    Bandwidth {
        /// Bytes a second.
        rate: NonZeroU64,
    },
    /// Holds back the end of a stream; bytes pass.
    SlowClose {
        /// How much later the end arrives.
        delay: Duration,
    },
    /// Lets nothing through, and ends the stream after a time, whether data comes or not.
    ///
    /// What was sent meanwhile is lost, so a stream that was met ends on removal, too.
    Timeout {
        /// How long after it was met the stream ends; not by itself where there is no time.
        after: Option<Duration>,
    },
    /// Cuts the stream into small pieces.
    Slicer {
        /// The average size of a piece, in bytes.
        average: NonZeroU32,
        /// How far the size of a piece may be off, either way, in bytes; none has less than one.
        variation: u32,
        /// What lies between two pieces.
        delay: Duration,
    },
    /// Ends the stream after so many bytes, counted from when it was met.
    LimitData {
        /// How many bytes pass.
        bytes: u64,
    },
    /// Flips one bit in a share of the bytes, drawn from the link's seed.
    Corrupt {
        /// The share of bytes, from 0 to 1.
        share: f64,
    },
    /// Loses a share of the chunks. How a stream is cut into chunks is up to the kernel; what
    /// follows a lost one closes up.
    DropChunks {
        /// The share of chunks, from 0 to 1.
        share: f64,
    },
    /// Delivers a share of the chunks twice.
    DuplicateChunks {
        /// The share of chunks, from 0 to 1.
        share: f64,
    },
    /// Takes new connections and never reaches the service; nothing passes on open ones.
    ///
    /// Senders are held back by their own kernels, as by a process that is stopped. On removal
    /// everything goes on, and nothing is lost.
    Hang,
    /// Reaches the service only some time after a client has connected.
    ///
    /// The kernel completes the client's connection by itself, so connecting is not slower; its
    /// first answer is.
    AcceptDelay {
        /// How long after that.
        delay: Duration,
    },
}

impl Toxic {
    /// The part of this toxic in one direction of one connection.
    pub(super) fn stage(&self, encounter: Encounter) -> Box<dyn Stage> {
        match *self {
            Toxic::Latency { delay, jitter } => {
                Box::new(latency::Latency::new(delay, jitter, encounter))
            }
            Toxic::Down => Box::new(down::Down::new(encounter)),
            Toxic::Reset { after } => Box::new(reset::Reset::new(after, encounter)),
            Toxic::Bandwidth { rate } => Box::new(bandwidth::Bandwidth::new(rate, encounter)),
            Toxic::SlowClose { delay } => Box::new(slow_close::SlowClose::new(delay, encounter)),
            Toxic::Timeout { after } => Box::new(timeout::Timeout::new(after, encounter)),
            Toxic::Slicer {
                average,
                variation,
                delay,
            } => Box::new(slicer::Slicer::new(average, variation, delay, encounter)),
            Toxic::LimitData { bytes } => Box::new(limit_data::LimitData::new(bytes, encounter)),
            Toxic::Corrupt { share } => garbled(What::FlipBits, share, encounter),
            Toxic::DropChunks { share } => garbled(What::DropChunks, share, encounter),
            Toxic::DuplicateChunks { share } => garbled(What::DuplicateChunks, share, encounter),
            Toxic::Hang => Box::new(hang::Hang::new(encounter)),
            Toxic::AcceptDelay { delay } => {
                Box::new(accept_delay::AcceptDelay::new(delay, encounter))
            }
        }
    }
}

fn garbled(what: What, share: f64, encounter: Encounter) -> Box<dyn Stage> {
    Box::new(garble::Garble::new(what, share, encounter))
}

/// Which of a connection's streams a toxic acts on.
///
/// ```no_run
/// # async fn body(chaos: &chaos_test::ChaosContext, cache: &chaos_test::Service) -> chaos_test::Result {
/// use chaos_test::prelude::*;
/// use chaos_test::link;
/// // Questions arrive at once, answers take 200 ms.
/// let slow = link::latency(cache, ms(200)).direction(Direction::Downstream);
/// chaos.inject(slow).await?.lift().await?;
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the client to the service.
    Upstream,
    /// From the service to the client.
    Downstream,
    /// Both of them.
    Both,
}

impl Direction {
    pub(super) fn covers(self, way: Way) -> bool {
        matches!(
            (self, way),
            (Direction::Both, _)
                | (Direction::Upstream, Way::Up)
                | (Direction::Downstream, Way::Down)
        )
    }
}

/// A toxic on one or both streams of a share of the connections.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PartialToxic {
    /// What it does.
    pub toxic: Toxic,
    /// Where.
    pub direction: Direction,
    /// From 0, which is none, to 1, which is all.
    pub share: f64,
}

/// Whether a toxic meets a connection at all: drawn once, so that both streams are met or none,
/// and the same for the same seed, link, connection and toxic. The link's name is part of it,
/// because where each client has a link of its own, all of their first connections would else be
/// drawn alike.
pub(super) fn is_drawn(seed: u64, link: &str, connection: u64, toxic: ToxicId, share: f64) -> bool {
    if share >= 1.0 {
        return true;
    }
    // FNV-1a, spelled out, because a library's hash may change between versions.
    let name = link.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let drawn = random([seed, connection, toxic.0, name]).next_u64();
    // The upper 53 bits, which a float holds exactly.
    ((drawn >> 11) as f64) < share * (1_u64 << 53) as f64
}

/// Random numbers that are the same for the same parts, on every platform.
fn random(parts: [u64; 4]) -> ChaCha8Rng {
    let mut seed = [0; 32];
    for (place, part) in seed.chunks_exact_mut(8).zip(parts) {
        place.copy_from_slice(&part.to_le_bytes());
    }
    ChaCha8Rng::from_seed(seed)
}

/// One toxic of one link: the first one added is 1, and numbers are never used
/// again, so that a replay that adds the same toxics draws the same numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ToxicId(pub(super) u64);

impl fmt::Display for ToxicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One of a connection's two streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// From the client to the service.
    Up,
    /// From the service to the client.
    Down,
}

/// A toxic's meeting with one direction of one connection.
#[derive(Debug)]
pub(super) struct Encounter {
    pub(super) seed: u64,
    pub(super) connection: u64,
    pub(super) toxic: ToxicId,
    pub(super) way: Way,
    /// Whether the connection is only just coming in.
    pub(super) opening: bool,
    pub(super) tally: Tally,
}

impl Encounter {
    /// The random numbers of this meeting: the same for the same seed,
    /// connection, toxic and direction, on every platform.
    pub(super) fn random(&self) -> ChaCha8Rng {
        let way = match self.way {
            Way::Up => 0_u64,
            Way::Down => 1,
        };
        random([self.seed, self.connection, self.toxic.0, way])
    }
}

/// One toxic in one direction of one connection.
///
/// A flow calls it with its connection locked, so nothing here may block, and
/// a stage that waits for time registers the context's waker. Every item that
/// is pushed comes out of [`Stage::poll_next`] or [`Stage::release`], in order;
/// a stage that drops or changes data does so on purpose, never by accident.
pub(super) trait Stage: Send {
    /// Whether more may be pushed; this is what bounds the memory of a line.
    fn has_room(&self) -> bool;

    /// Takes over the next item of the stream. Also called without room when
    /// the toxic before this one was removed and hands over what it held.
    fn push(&mut self, item: Item);

    /// The next item for whoever comes after. Pending without a waker is fine
    /// where only a push can help.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Item>;

    /// Ready when this connection is to be reset. Asked before anything else
    /// in every turn, and once when the stage is added; never again after it
    /// was ready, so a stage counts its reset here.
    fn poll_reset(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let _ = cx;
        Poll::Pending
    }

    /// Ready when the service may be reached, for a connection that is only just coming in.
    fn may_dial(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let _ = cx;
        Poll::Ready(())
    }

    /// The toxic was removed: everything that is still held, in order.
    fn release(&mut self) -> VecDeque<Item>;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(seed: u64, link: &str, toxic: u64, share: f64) -> Vec<u64> {
        let is_drawn = |number: &u64| is_drawn(seed, link, *number, ToxicId(toxic), share);
        (1..=1000).filter(is_drawn).collect()
    }

    #[test]
    fn a_share_of_the_connections_is_drawn_from_the_seed() {
        let tenth = drawn(7, "shop->cache:6379", 1, 0.1);
        // Pinned: the same in every version and on every platform.
        assert_eq!(tenth[..6], [11, 24, 29, 31, 45, 46]);
        assert!((70..=130).contains(&tenth.len()), "{}", tenth.len());
        assert_eq!(tenth, drawn(7, "shop->cache:6379", 1, 0.1));
        for other in [
            drawn(8, "shop->cache:6379", 1, 0.1),
            drawn(7, "jobs->cache:6379", 1, 0.1),
            drawn(7, "shop->cache:6379", 2, 0.1),
        ] {
            assert_ne!(tenth, other);
        }
        // A larger share is a superset, and the ends are none and all.
        let half = drawn(7, "shop->cache:6379", 1, 0.5);
        assert!(tenth.iter().all(|one| half.contains(one)));
        assert_eq!(drawn(7, "a", 1, 0.0).len(), 0);
        assert_eq!(drawn(7, "a", 1, 1.0).len(), 1000);
    }
}
