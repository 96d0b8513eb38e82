//! What a client tried at a link: one attempt, with when it began and ended.

use std::time::Duration;

/// One try of a client, as a link saw it: a connection that it opened, or what it sent on an
/// open one after it had been answered there (a turn). The first turn of a connection belongs
/// to the attempt that opened it.
///
/// Instants are durations since the context started, as [`Moment`](crate::Moment)s are.
///
/// See [`RetriesSeen`](crate::RetriesSeen) for an example.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Attempt {
    /// The connection that it was made on, counted from 1 at each link.
    pub connection: u64,
    /// Whether it opened that connection.
    pub opened: bool,
    /// When it began: with the first that the client sent, else with the connection.
    pub began: Duration,
    /// Whether the client has sent anything.
    pub sent: bool,
    /// Whether the client got anything in answer.
    pub answered: bool,
    /// When it was over: with the last bytes that were handed to the client, or with the end
    /// of the connection, whoever ended it. `None` while the client still waits.
    pub ended: Option<Duration>,
}

/// What a link has kept of its attempts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Kept {
    /// In the order in which they began.
    pub(crate) attempts: Vec<Attempt>,
    /// When the latest one began of those that were not kept, for want of room.
    pub(crate) forgotten: Option<Duration>,
}

impl Kept {
    /// All that several links have kept.
    pub(crate) fn all(links: impl IntoIterator<Item = Self>) -> Self {
        let mut all = links.into_iter().fold(Self::default(), |mut all, link| {
            all.attempts.extend(link.attempts);
            all.forgotten = all.forgotten.max(link.forgotten);
            all
        });
        all.attempts.sort_by_key(|attempt| attempt.began);
        all
    }
}
