//! Deadlines that are met more exactly than a runtime's timer meets them.
//!
//! Owns the one thread of this process that waits for toxics' delays. It must
//! never run anything but wakers, and never wake or drop one under its lock.
//!
//! A runtime's timer counts in milliseconds and adds more than one to every
//! delay. This thread waits on a condition variable with the smallest timer
//! slack that the kernel grants (elsewhere than on Linux: with the default).
//! It starts with the first deadline and sleeps while there is none.

use std::{
    collections::BTreeMap,
    future::poll_fn,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
    thread,
    time::{Duration, Instant},
};

/// Waits until `at`, to a fraction of a millisecond.
///
/// Works on every runtime and may be dropped at any time.
pub async fn sleep_until(at: Instant) {
    let mut timer = Timer::default();
    poll_fn(|cx| timer.poll_until(at, cx)).await;
}

/// The instant `delay` after `from`; a delay beyond the clock's range becomes
/// one that nobody lives to see.
pub(super) fn later(from: Instant, delay: Duration) -> Instant {
    const AGES: Duration = Duration::from_secs(30 * 365 * 24 * 3600);
    from.checked_add(delay).unwrap_or_else(|| from + AGES)
}

/// One place in the book of deadlines, given back on drop.
#[derive(Debug, Default)]
pub(super) struct Timer {
    booked: Option<Key>,
}

impl Timer {
    /// Is ready from `at` on; until then the context's waker is called at `at`.
    ///
    /// Polling with another instant moves the deadline.
    pub(super) fn poll_until(&mut self, at: Instant, cx: &mut Context<'_>) -> Poll<()> {
        if at <= Instant::now() {
            self.cancel();
            return Poll::Ready(());
        }
        if self.booked.is_some_and(|key| key.0 != at) {
            self.cancel();
        }
        let mut book = CLOCKWORK.book();
        let key = match self.booked {
            Some(key) => key,
            None => {
                book.next += 1;
                (at, book.next)
            }
        };
        self.booked = Some(key);
        let replaced = book.entries.insert(key, cx.waker().clone());
        let earliest = book.entries.first_key_value().map(|(first, _)| *first) == Some(key);
        let running = book.running || CLOCKWORK.start(&mut book);
        drop(book);
        if !running {
            // Without a thread, polling again and again still meets the
            // deadline, at the price of a core, and each turn tries anew.
            cx.waker().wake_by_ref();
        } else if earliest && replaced.is_none() {
            CLOCKWORK.changed.notify_one();
        }
        Poll::Pending
    }

    fn cancel(&mut self) {
        if let Some(key) = self.booked.take() {
            // The waker may be the last owner of a task that holds another
            // timer, so it is dropped when the book is closed again.
            let waker = CLOCKWORK.book().entries.remove(&key);
            drop(waker);
        }
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.cancel();
    }
}

/// An instant, and a number that tells equal instants apart.
type Key = (Instant, u64);

struct Book {
    entries: BTreeMap<Key, Waker>,
    next: u64,
    running: bool,
}

struct Clockwork {
    book: Mutex<Book>,
    changed: Condvar,
}

static CLOCKWORK: Clockwork = Clockwork {
    book: Mutex::new(Book {
        entries: BTreeMap::new(),
        next: 0,
        running: false,
    }),
    changed: Condvar::new(),
};

impl Clockwork {
    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn start(&'static self, book: &mut Book) -> bool {
        let thread = thread::Builder::new().name("chaos-deadlines".into());
        book.running = thread.spawn(|| self.run()).is_ok();
        book.running
    }

    fn run(&self) {
        tighten_timer_slack();
        let mut due = Vec::new();
        let mut book = self.book();
        loop {
            let now = Instant::now();
            while let Some(first) = book.entries.first_entry()
                && first.key().0 <= now
            {
                due.push(first.remove());
            }
            if !due.is_empty() {
                drop(book);
                due.drain(..).for_each(Waker::wake);
                book = self.book();
                continue;
            }
            book = match book.entries.first_key_value() {
                None => self
                    .changed
                    .wait(book)
                    .unwrap_or_else(PoisonError::into_inner),
                Some((first, _)) => {
                    let left = first.0 - now;
                    self.changed
                        .wait_timeout(book, left)
                        .unwrap_or_else(PoisonError::into_inner)
                        .0
                }
            };
        }
    }
}

#[cfg(target_os = "linux")]
fn tighten_timer_slack() {
    // A kernel that refuses only makes the deadlines a little later.
    let _ = rustix::thread::set_current_timer_slack(std::num::NonZeroU64::new(1));
}

#[cfg(not(target_os = "linux"))]
fn tighten_timer_slack() {}
