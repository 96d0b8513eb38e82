//! What toxics did and what links carried, in numbers.
//!
//! Owns the counters. It must never decide anything: a count is the proof that
//! a fault met traffic, and the judgement is made elsewhere.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
};

/// What one toxic has done since it was added; kept after its removal.
///
/// ```
/// use chaos_test::ReadOnlySystem;
///
/// /// `hits` of a fault that refuses connections: how many it met.
/// fn hits(system: &ReadOnlySystem) -> Option<u64> {
///     let hits = system.toxic_hits()?;
///     Some(hits.refused + hits.reset)
/// }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Hits {
    /// Connections that it acted on in any way, each counted once.
    pub connections: u64,
    /// Chunks that it held back or changed. How a stream is cut into chunks is
    /// up to the kernel; only a request that waits for its answer is one chunk.
    pub chunks: u64,
    /// Bytes in these chunks.
    pub bytes: u64,
    /// New connections that it turned away.
    pub refused: u64,
    /// Open connections that it reset.
    pub reset: u64,
    /// Connections that it let alone, because it hits a share of them only.
    pub spared: u64,
}

/// What a link has carried since it was opened.
///
/// ```no_run
/// # async fn body(cache: &chaos_test::Service) -> chaos_test::Result {
/// let way = cache.link("shop").await?;
/// // .. whoever was given `way.address()` asks the cache ..
/// let traffic = way.traffic();
/// println!("{} connections, {} bytes of answers", traffic.accepted, traffic.bytes_downstream);
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Traffic {
    /// Connections accepted from clients, including those that a toxic refused.
    pub accepted: u64,
    /// Connections for which the upstream could not be reached, or was lost
    /// before it was seen to be reached. Their clients were reset.
    pub dial_failures: u64,
    /// Connections open now, including those still being dialled.
    pub open: u64,
    /// Bytes handed to the upstream.
    pub bytes_upstream: u64,
    /// Bytes handed to clients.
    pub bytes_downstream: u64,
}

/// One toxic's counters, shared by all connections that it meets.
#[derive(Debug, Default)]
pub(super) struct Counters {
    connections: AtomicU64,
    chunks: AtomicU64,
    bytes: AtomicU64,
    refused: AtomicU64,
    reset: AtomicU64,
    spared: AtomicU64,
}

impl Counters {
    /// A connection was let alone.
    pub(super) fn spared(&self) {
        self.spared.fetch_add(1, Relaxed);
    }

    pub(super) fn hits(&self) -> Hits {
        Hits {
            connections: self.connections.load(Relaxed),
            chunks: self.chunks.load(Relaxed),
            bytes: self.bytes.load(Relaxed),
            refused: self.refused.load(Relaxed),
            reset: self.reset.load(Relaxed),
            spared: self.spared.load(Relaxed),
        }
    }
}

/// Where one toxic notes what it does to one connection.
///
/// Both directions hold a clone, so that the connection is counted once.
#[derive(Clone, Debug)]
pub(super) struct Tally {
    counters: Arc<Counters>,
    met: Arc<AtomicBool>,
}

impl Tally {
    pub(super) fn new(counters: &Arc<Counters>) -> Tally {
        Tally {
            counters: Arc::clone(counters),
            met: Arc::new(AtomicBool::new(false)),
        }
    }

    /// A chunk of `bytes` bytes was held back or changed.
    pub(super) fn chunk(&self, bytes: usize) {
        self.meet();
        self.counters.chunks.fetch_add(1, Relaxed);
        self.counters.bytes.fetch_add(bytes as u64, Relaxed);
    }

    /// The connection was turned away when it came in.
    pub(super) fn refused(&self) {
        self.meet();
        self.counters.refused.fetch_add(1, Relaxed);
    }

    /// The connection was open and is reset.
    pub(super) fn reset(&self) {
        self.meet();
        self.counters.reset.fetch_add(1, Relaxed);
    }

    /// The connection was acted on in a way that no other counter tells.
    pub(super) fn meet(&self) {
        if !self.met.swap(true, Relaxed) {
            self.counters.connections.fetch_add(1, Relaxed);
        }
    }
}

/// A link's running totals.
#[derive(Debug, Default)]
pub(super) struct Meters {
    pub(super) accepted: AtomicU64,
    pub(super) dial_failures: AtomicU64,
    pub(super) bytes_upstream: AtomicU64,
    pub(super) bytes_downstream: AtomicU64,
}

impl Meters {
    pub(super) fn traffic(&self, open: usize) -> Traffic {
        Traffic {
            accepted: self.accepted.load(Relaxed),
            dial_failures: self.dial_failures.load(Relaxed),
            open: open as u64,
            bytes_upstream: self.bytes_upstream.load(Relaxed),
            bytes_downstream: self.bytes_downstream.load(Relaxed),
        }
    }
}
