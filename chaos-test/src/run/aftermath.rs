//! What is done once a test's process is gone: by its watchdog, which has waited for that.
//!
//! It performs what the process's journals still hold, newest first, as the next run's sweep
//! would, writes into the reports how the tests ended, and merges them.

use std::ffi::OsStr;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::system::keeper;
use crate::system::state_dir::StateDir;
use crate::system::watchdog::{self, Orders, Parent};

use super::engine;
use super::reports::Reports;
use super::sweep::{self, Who};

/// How long what cannot be undone is tried again, for an engine that is being restarted, say.
/// Then it is left to the next run.
const PATIENCE: Duration = Duration::from_secs(120);
/// The pauses between two tries: they double from the first to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LAST_PAUSE: Duration = Duration::from_secs(5);

/// The whole life of a watchdog.
pub(crate) fn stand_by(orders: &OsStr) {
    // Nobody hears what it could say; what it leaves, the next run finds.
    let Ok((orders, Parent::Ended)) = watchdog::watch(orders) else {
        return;
    };
    // Whoever removed these folders meanwhile wants nothing in them.
    if orders.state.exists()
        && let Ok(state) = StateDir::at(orders.state.clone())
    {
        put_back(&orders, &state);
        // It may have been one itself.
        keeper::remove_stale(&state);
    }
    if orders.reports.exists()
        && let Ok(reports) = Reports::open(&orders.reports, &orders.run)
    {
        let _ = reports.merge();
    }
}

fn put_back(orders: &Orders, state: &StateDir) {
    let began = Instant::now();
    let mut pause = FIRST_PAUSE;
    loop {
        let who = Who::Process(orders.process.clone());
        let put_back = {
            let state = state.clone();
            // Each step has a limit of its own.
            engine::block_on_own(
                Duration::MAX,
                // Nobody hears what it could say.
                async move { sweep::put_back(&state, &who, &|_| {}).await },
            )
        };
        // One whose lock somebody still holds, such as a copy of the process that goes on, has
        // not even been looked at.
        let done = put_back.is_ok_and(|nothing_left| nothing_left)
            && !state.has_journal_of(&orders.process);
        if done || began.elapsed() >= PATIENCE {
            return;
        }
        sleep(pause);
        pause = (pause * 2).min(LAST_PAUSE);
    }
}
