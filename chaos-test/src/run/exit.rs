//! What happens when the process exits: what is still live is put back, the reports are merged,
//! and the tests are summed up.

use std::sync::Arc;
use std::time::Duration;

use crate::system::{at_exit, progress, terminal};

use super::finish::{self, Ending};
use super::fixtures::shared;
use super::{engine, process_run, stop, summary};

/// How long the rollback of all contexts may take when the process exits.
pub(super) const EXIT_LIMIT: Duration = Duration::from_secs(180);

/// Runs when the process exits: ends what is still live, merges the reports, sums up.
pub(super) fn on_exit() {
    if process_run::is_a_copy() {
        return;
    }
    process_run::refuse_contexts();
    // What is put back now is shown no more: libtest has said its last words.
    progress::end();
    let mut red = false;
    // Tests on other threads still run, and may end in between; none may begin any more.
    while let Some(inner) = process_run::newest_live() {
        let why = "the process exited in the middle of the test (`std::process::exit`, or the end \
                   of `main`)";
        let ending = if inner.identity.from_macro {
            red = true;
            terminal::say(&format!("chaos-test: {}: {why}", inner.identity.name));
            Ending::ProcessExits(why.to_owned())
        } else {
            // One that is kept in a static is only put back, as when it is dropped.
            Ending::Dropped
        };
        let ended = engine::block_on_own(EXIT_LIMIT, {
            let inner = Arc::clone(&inner);
            async move { finish::end(&inner, ending).await }
        });
        if ended.is_err() {
            process_run::forget(&inner);
        }
    }
    if shared::is_any() {
        let restored = engine::block_on_own(EXIT_LIMIT, shared::end_all());
        if !restored.unwrap_or(false) {
            red = true;
            terminal::say("chaos-test: what tests shared was not wholly put back");
        }
    }
    stop::wait_if_dying(EXIT_LIMIT);
    wind_up();
    if red {
        // A body that exits with 0 would otherwise turn a broken test green.
        at_exit::exit_now(101);
    }
}

/// Merges the reports, sums up and lets the watchdog go.
pub(super) fn wind_up() {
    let Some(run) = process_run::begun() else {
        return;
    };
    match run.reports.merge() {
        Ok(path) => {
            if !run.state.has_journal_of(&run.process) {
                run.farewell();
            }
            // Last, because it may have no reader.
            summary::sum_up(&path.to_string_lossy());
        }
        Err(error) => terminal::say(&format!(
            "chaos-test: the reports could not be merged: {error}"
        )),
    }
}
