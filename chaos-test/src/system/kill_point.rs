//! Kills this process with SIGKILL after a journal write of choice, so that tests can try
//! every one. Only with the feature `kill-points`.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::process::{Signal, getpid, kill_process};

/// After which journal write this process kills itself, counted from 1.
pub(crate) const VARIABLE: &str = "CHAOS_TEST_KILL_AT";
/// The same for its watchdog.
pub(crate) const OF_WATCHDOG: &str = "CHAOS_TEST_KILL_WATCHDOG_AT";

static WRITES: AtomicU64 = AtomicU64::new(0);

/// A line is in a journal.
pub(super) fn written() {
    static CHOSEN: OnceLock<Option<u64>> = OnceLock::new();
    let chosen = *CHOSEN.get_or_init(|| std::env::var(VARIABLE).ok()?.parse().ok());
    let number = WRITES.fetch_add(1, Ordering::SeqCst) + 1;
    if chosen == Some(number) {
        let _ = kill_process(getpid(), Signal::KILL);
        // The kernel may let this thread go on for a moment.
        loop {
            std::thread::park();
        }
    }
}

/// Has a watchdog obey its own choice and not ours.
pub(super) fn hand_on(command: &mut std::process::Command) {
    match std::env::var_os(OF_WATCHDOG) {
        Some(number) => command.env(VARIABLE, number),
        None => command.env_remove(VARIABLE),
    };
}
