//! What clients tried at a link: when they came, spoke, were answered and left.
//!
//! Owns the list of attempts, which is bounded: the oldest are forgotten first, and that they
//! were is known. It must never hold up what passes through the link: it is one reading of the
//! clock for each chunk that is read from a client or handed to one, and a short lock for each
//! attempt's begin and end.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use crate::model::attempt::{Attempt, Kept};

/// How many attempts a link keeps: about 4 MiB of them.
const MOST: usize = 1 << 16;

/// The attempts that one link has seen.
#[derive(Debug)]
pub(super) struct Attempts {
    most: usize,
    list: Mutex<List>,
}

#[derive(Debug, Default)]
struct List {
    kept: VecDeque<Seen>,
    /// How many of the first ones were forgotten; the number of the first that is kept.
    forgotten: u64,
    /// When the latest of those began.
    forgotten_until: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    connection: u64,
    opened: bool,
    sent: bool,
    began: Instant,
    answered: bool,
    ended: Option<Instant>,
}

impl Default for Attempts {
    fn default() -> Self {
        Attempts {
            most: MOST,
            list: Mutex::default(),
        }
    }
}

impl Attempts {
    /// A connection was accepted.
    pub(super) fn come(self: &Arc<Self>, connection: u64) -> Turns {
        let current = self.begin(connection, true, Instant::now());
        Turns {
            attempts: Arc::clone(self),
            connection,
            current,
            spoke: false,
            answered: None,
            left: None,
            over: false,
        }
    }

    /// What is kept of them, with instants since `started`.
    pub(super) fn kept(&self, started: Instant) -> Kept {
        let since = |at: Instant| at.saturating_duration_since(started);
        let list = self.list();
        let attempts = list.kept.iter().map(|seen| Attempt {
            connection: seen.connection,
            opened: seen.opened,
            sent: seen.sent,
            began: since(seen.began),
            answered: seen.answered,
            ended: seen.ended.map(since),
        });
        let mut attempts: Vec<Attempt> = attempts.collect();
        // One that opened its connection long before it sent anything is out of its place.
        attempts.sort_by_key(|attempt| attempt.began);
        Kept {
            attempts,
            forgotten: list.forgotten_until.map(since),
        }
    }

    fn begin(&self, connection: u64, opened: bool, began: Instant) -> u64 {
        let mut list = self.list();
        if list.kept.len() >= self.most
            && let Some(oldest) = list.kept.pop_front()
        {
            list.forgotten += 1;
            list.forgotten_until = Some(oldest.began);
        }
        list.kept.push_back(Seen {
            connection,
            opened,
            sent: !opened,
            began,
            answered: false,
            ended: None,
        });
        list.forgotten + list.kept.len() as u64 - 1
    }

    fn end(&self, number: u64, answered: bool, ended: Instant) {
        self.change(number, |seen| {
            seen.answered = answered;
            seen.ended = Some(ended);
        });
    }

    /// Changes an attempt, unless it was forgotten.
    fn change(&self, number: u64, change: impl FnOnce(&mut Seen)) {
        let mut list = self.list();
        let place = number.checked_sub(list.forgotten);
        let place = place.and_then(|place| usize::try_from(place).ok());
        if let Some(seen) = place.and_then(|place| list.kept.get_mut(place)) {
            change(seen);
        }
    }

    fn list(&self) -> MutexGuard<'_, List> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The turns of one connection. Dropping it ends the attempt that is under way.
#[derive(Debug)]
pub(super) struct Turns {
    attempts: Arc<Attempts>,
    connection: u64,
    /// The number of the attempt that is under way, or was last.
    current: u64,
    /// Whether the client has sent anything.
    spoke: bool,
    /// When the client was last handed anything in this attempt.
    answered: Option<Instant>,
    /// When the client ended its side.
    left: Option<Instant>,
    over: bool,
}

impl Turns {
    /// The client has sent something.
    pub(super) fn asked(&mut self) {
        // What a server says before it was asked anything is a greeting and no answer.
        if !std::mem::replace(&mut self.spoke, true) {
            self.answered = None;
            let now = Instant::now();
            self.attempts.change(self.current, |seen| {
                seen.sent = true;
                seen.began = now;
            });
            return;
        }
        if let Some(answered) = self.answered.take() {
            self.attempts.end(self.current, true, answered);
            let now = Instant::now();
            self.current = self.attempts.begin(self.connection, false, now);
        }
    }

    /// The client was handed something.
    pub(super) fn answered(&mut self) {
        let now = Instant::now();
        self.answered = Some(now);
        if self.left.is_some() {
            // It ended only its sending side, and waits for this.
            self.attempts.end(self.current, self.spoke, now);
        }
    }

    /// The client sends nothing any more.
    pub(super) fn left(&mut self) {
        let now = Instant::now();
        self.left = Some(now);
        self.settle(now);
    }

    /// The connection is at its end, whoever ended it.
    pub(super) fn over(&mut self) {
        if !std::mem::replace(&mut self.over, true) && self.left.is_none() {
            self.settle(Instant::now());
        }
    }

    /// Ends the attempt with its answer, or now where there was none.
    fn settle(&self, now: Instant) {
        let answered = self.answered.filter(|_| self.spoke);
        self.attempts
            .end(self.current, answered.is_some(), answered.unwrap_or(now));
    }
}

impl Drop for Turns {
    fn drop(&mut self) {
        self.over();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_are_forgotten_and_that_is_known() {
        let attempts = Arc::new(Attempts {
            most: 2,
            list: Mutex::default(),
        });
        let started = Instant::now();
        let mut first = attempts.come(1);
        first.asked();
        first.answered();
        assert_eq!(attempts.kept(started).forgotten, None);
        // Its second and third turn; the first is forgotten with the second connection.
        first.asked();
        first.answered();
        first.asked();
        let kept = attempts.kept(started);
        assert!(kept.forgotten.is_some());
        let opened: Vec<_> = kept.attempts.iter().map(|one| one.opened).collect();
        assert_eq!(opened, [false, false]);
        let second = attempts.come(2);
        drop(second);
        drop(first);
        let kept = attempts.kept(started);
        let of: Vec<_> = kept.attempts.iter().map(|one| one.connection).collect();
        assert_eq!(of, [1, 2]);
        assert!(kept.attempts.iter().all(|one| one.ended.is_some()));
    }

    #[test]
    fn a_greeting_is_no_answer_and_half_an_end_no_end() {
        let attempts = Arc::new(Attempts::default());
        let started = Instant::now();
        let last = || *attempts.kept(started).attempts.last().unwrap();
        let mut turns = attempts.come(1);
        turns.answered();
        turns.asked();
        assert_eq!(attempts.kept(started).attempts.len(), 1);
        turns.left();
        assert!(!last().answered);
        let left = last().ended.unwrap();
        turns.answered();
        assert!(last().answered && last().ended.unwrap() >= left);
        let answered = last().ended;
        drop(turns);
        assert_eq!(last().ended, answered);
    }
}
