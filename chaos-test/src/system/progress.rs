//! Shows what takes long while it goes on, past libtest's capture: one line on a terminal, a line
//! now and then elsewhere. One thread for all, which sleeps until there is something to show.
//!
//! On a terminal the last row is set apart (DECSTBM), and everything else scrolls above it:
//! whatever libtest, a test or a service writes meanwhile, the two never mix.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, Once, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use crate::decide::progress::{Act, Doing, Place, Shown, is_wanted, step};
use crate::decide::terminal;

use super::hook;
use super::lock::lock;
use super::terminal::{say, variable};

const VARIABLE: &str = "CHAOS_PROGRESS";
/// A terminal of fewer rows has none to spare.
const FEWEST_ROWS: u16 = 5;
/// How long the end waits for a line that is just being written.
const END_LIMIT: Duration = Duration::from_millis(200);

/// What goes on. Held for moments only, never while something is written.
static GOING_ON: Mutex<GoingOn> = Mutex::new(GoingOn {
    doing: BTreeMap::new(),
    next: 0,
    changes: 0,
    started: None,
    over: false,
});
static NEWS: Condvar = Condvar::new();
/// What was made of the terminal. Held while something is written.
static SCREEN: Mutex<Screen> = Mutex::new(Screen { rows: None });
/// Whether a line stands on a terminal.
static DRAWN: AtomicBool = AtomicBool::new(false);

struct GoingOn {
    doing: BTreeMap<u64, Doing>,
    next: u64,
    /// How often the thread was to look again.
    changes: u64,
    /// When the first thing began.
    started: Option<Instant>,
    /// Nothing is shown any more.
    over: bool,
}

struct Screen {
    /// How many rows the terminal had when its last one was set apart.
    rows: Option<u16>,
}

/// Something that goes on until this is dropped.
#[must_use = "what goes on is over when this is dropped"]
pub(crate) struct Going(Option<u64>);

/// Something begins that may take long.
pub(crate) fn begin(test: &str, what: impl Into<String>) -> Going {
    add(test, what.into(), false)
}

/// As [`begin`], by somebody who says it where it is not [drawn](is_drawn).
pub(crate) fn begin_told(test: &str, what: impl Into<String>) -> Going {
    add(test, what.into(), true)
}

/// Whether what takes long stands in a line on a terminal, so that nobody has to say it.
pub(crate) fn is_drawn() -> bool {
    DRAWN.load(Ordering::SeqCst)
}

fn add(test: &str, what: String, says_itself: bool) -> Going {
    static THREAD: Once = Once::new();
    THREAD.call_once(|| {
        if is_wanted(&variable(VARIABLE).unwrap_or_default()) == Ok(false) {
            lock(&GOING_ON).over = true;
            return;
        }
        // Without the thread nothing is shown, and nothing else is missing.
        let thread = std::thread::Builder::new().name("chaos-progress".to_owned());
        let _ = thread.spawn(show);
    });
    let mut going_on = lock(&GOING_ON);
    if going_on.over {
        return Going(None);
    }
    let since = going_on.started.get_or_insert_with(Instant::now).elapsed();
    let number = going_on.next;
    going_on.next += 1;
    // Where something goes on the thread looks again before there is anything to show of this.
    let wake = going_on.doing.values().all(|one| one.says_itself);
    going_on.doing.insert(
        number,
        Doing {
            test: test.to_owned(),
            what,
            since,
            says_itself,
        },
    );
    news(going_on, wake);
    Going(Some(number))
}

impl Drop for Going {
    fn drop(&mut self) {
        let Some(number) = self.0 else { return };
        let mut going_on = lock(&GOING_ON);
        going_on.doing.remove(&number);
        news(going_on, is_drawn());
    }
}

fn news(mut going_on: MutexGuard<'_, GoingOn>, wake: bool) {
    if wake {
        going_on.changes += 1;
        drop(going_on);
        NEWS.notify_one();
    }
}

/// Nothing is shown from now on, and the terminal is as it was: before the process ends.
pub(crate) fn end() {
    lock(&GOING_ON).over = true;
    NEWS.notify_one();
    // Whoever writes to a terminal that is held up is not waited for without end.
    if let Some(mut screen) = within(END_LIMIT, &SCREEN) {
        screen.give_back();
    }
}

/// What a lock is for, once nobody holds it. Also where nothing is drawn yet: somebody may hold it
/// who is about to.
fn within<T>(limit: Duration, mutex: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
    let until = Instant::now() + limit;
    loop {
        match mutex.try_lock() {
            Ok(guard) => return Some(guard),
            Err(TryLockError::Poisoned(poisoned)) => return Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) if Instant::now() < until => {
                std::thread::sleep(Duration::from_millis(1));
            }
            Err(TryLockError::WouldBlock) => return None,
        }
    }
}

fn show() {
    let mut shown = Shown::default();
    loop {
        let (place, rows) = place();
        let mut screen = lock(&SCREEN);
        let going_on = lock(&GOING_ON);
        if going_on.over {
            return;
        }
        let seen = going_on.changes;
        let now = going_on.started.map_or(Duration::ZERO, |at| at.elapsed());
        let doing: Vec<Doing> = going_on.doing.values().cloned().collect();
        drop(going_on);
        let (act, next) = step(&doing, place, &mut shown, now);
        match act {
            Act::Nothing => {}
            Act::Draw(line) => screen.draw(rows, &line),
            Act::Erase => screen.give_back(),
            Act::Say(line) => say(&line),
        }
        drop(screen);
        let going_on = lock(&GOING_ON);
        let nothing_new = |going_on: &mut GoingOn| going_on.changes == seen && !going_on.over;
        match next {
            Some(next) => {
                let begun = going_on.started.map_or(Duration::ZERO, |at| at.elapsed());
                let wait = next.saturating_sub(begun).max(Duration::from_millis(1));
                let waited = NEWS.wait_timeout_while(going_on, wait, nothing_new);
                drop(waited.unwrap_or_else(PoisonError::into_inner));
            }
            None => {
                let waited = NEWS.wait_while(going_on, nothing_new);
                drop(waited.unwrap_or_else(PoisonError::into_inner));
            }
        }
    }
}

/// Where it is shown, and of how many rows.
fn place() -> (Place, u16) {
    // A pager that standard output leads to has the screen for itself, and so has whoever is in
    // the foreground.
    let is_terminal = std::io::stderr().is_terminal()
        && std::io::stdout().is_terminal()
        && rustix::termios::tcgetpgrp(rustix::stdio::stderr())
            .is_ok_and(|front| front == rustix::process::getpgrp());
    if terminal::moves_cursor(&variable, is_terminal)
        && let Ok(size) = rustix::termios::tcgetwinsize(rustix::stdio::stderr())
        && size.ws_row >= FEWEST_ROWS
        && size.ws_col > 0
    {
        let columns = usize::from(size.ws_col);
        return (Place::Terminal { columns }, size.ws_row);
    }
    (Place::Lines, 0)
}

impl Screen {
    /// Writes a line into the last row, which is set apart for it.
    fn draw(&mut self, rows: u16, line: &str) {
        let mut text = String::new();
        // Whoever was stopped meanwhile has given it back.
        if self.rows != Some(rows) || !is_drawn() {
            if self.rows.is_some() {
                text += "\x1b7\x1b[r\x1b8";
            }
            // Down and up again, which keeps the column: then the cursor is not in the last row.
            // Setting rows apart moves it, so its place is kept meanwhile.
            text += &format!("\x1bD\x1bM\x1b7\x1b[1;{}r\x1b8", rows - 1);
            self.rows = Some(rows);
            DRAWN.store(true, Ordering::SeqCst);
            hook::give_back_terminal_when_dying(&DRAWN);
        }
        // Set apart again: another program may have taken that back.
        text += &format!("\x1b7\x1b[1;{}r\x1b[{rows};1H\x1b[2K{line}\x1b8", rows - 1);
        write(&text);
    }

    /// Clears the last row, and gives it back to everybody.
    fn give_back(&mut self) {
        if let Some(rows) = self.rows.take()
            && DRAWN.swap(false, Ordering::SeqCst)
        {
            write(&format!("\x1b7\x1b[r\x1b[{rows};1H\x1b[2K\x1b8"));
        }
    }
}

/// One write, so that it is in one piece. Nobody can be told where standard error is gone.
fn write(text: &str) {
    let _ = std::io::stderr().write_all(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_waits_for_whoever_is_about_to_draw_and_not_without_end() {
        let mutex = Mutex::new("nothing");
        let held = lock(&mutex);
        assert!(within(Duration::from_millis(20), &mutex).is_none());
        std::thread::scope(|scope| {
            let end = scope.spawn(|| within(Duration::from_secs(60), &mutex).map(|seen| *seen));
            let mut held = held;
            std::thread::sleep(Duration::from_millis(20));
            *held = "a line";
            drop(held);
            assert_eq!(end.join().unwrap(), Some("a line"));
        });
    }
}
