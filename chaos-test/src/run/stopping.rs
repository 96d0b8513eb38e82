//! Stopping other processes' runs, for a person who asks.

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt;
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime};

use crate::error::{Error, Kind};
use crate::model::event::Started;
use crate::model::identity::ProcessIdentity;
use crate::system::identity;
use crate::system::place;
use crate::system::state_dir::StateDir;

use super::recovering;

/// How often it is looked at who is still there.
const PACE: Duration = Duration::from_millis(20);
/// After this time nobody needs to be told any more that a run was stopped.
const STALE: Duration = Duration::from_secs(24 * 60 * 60);

/// What came of it.
#[derive(Debug, Default)]
pub struct Stopped {
    /// Tests that have ended since.
    pub ended: Vec<Started>,
    /// Tests that had not ended when the patience was over.
    pub still: Vec<Started>,
    /// Runs that were asked for and have no test that runs.
    pub unknown: Option<String>,
}

/// Has every test of a run, or of all runs, roll back and end; none of these runs begins
/// another one. Waits until they have ended.
///
/// # Errors
///
/// Where the state directory cannot be used.
pub fn stop_runs(run: Option<&str>, patience: Duration) -> Result<Stopped, Error> {
    let place = StateDir::place();
    let mut stopped = Stopped::default();
    if StateDir::look_at(place.clone())?.is_some() {
        let state = StateDir::at(place)?;
        // Ids that are no bare names are written in another way.
        let wanted = |started: &Started| {
            run.is_none_or(|run| run == started.run || place::bare(run) == started.run)
        };
        let tests: Vec<Started> = alive()?.into_iter().filter(wanted).collect();
        let runs: BTreeSet<&str> = tests.iter().map(|test| &*test.run).collect();
        forget_stale(&state);
        for run in &runs {
            let processes = tests.iter().filter(|test| test.run == *run);
            mark(&state, run, processes.map(|test| &test.process))?;
        }
        wait(tests, patience, &mut stopped)?;
    }
    if stopped.ended.is_empty() && stopped.still.is_empty() {
        stopped.unknown = run.map(str::to_owned);
    }
    Ok(stopped)
}

fn wait(mut tests: Vec<Started>, patience: Duration, stopped: &mut Stopped) -> Result<(), Error> {
    let until = Instant::now() + patience;
    while !tests.is_empty() {
        let now = alive()?;
        let goes_on = |test: &Started| {
            let same = |other: &Started| {
                (&other.process, &other.test) == (&test.process, &test.test)
                    && other.wall_clock_ms == test.wall_clock_ms
            };
            now.iter().any(same)
        };
        let (still, ended): (Vec<_>, Vec<_>) = tests.into_iter().partition(goes_on);
        stopped.ended.extend(ended);
        tests = still;
        if Instant::now() >= until {
            break;
        }
        sleep(PACE);
    }
    stopped.still = tests;
    Ok(())
}

/// The tests that run now. One that has just begun is found once its journal has a line.
fn alive() -> Result<Vec<Started>, Error> {
    let found = recovering::leftovers()?;
    Ok(found.alive.into_iter().flatten().collect())
}

/// Says who is meant: these processes, and whoever has the same parent, the runner. A later
/// run of the same name has another one.
fn mark<'a>(
    state: &StateDir,
    run: &str,
    processes: impl Iterator<Item = &'a ProcessIdentity>,
) -> Result<(), Error> {
    let path = state.stop_mark(run);
    let meant: Vec<ProcessIdentity> = processes
        .flat_map(|process| [Some(process.clone()), identity::parent_of(process.pid)])
        .flatten()
        .collect();
    let written = serde_json::to_vec(&meant)
        .map_err(io::Error::from)
        .and_then(|text| {
            let mut options = OpenOptions::new();
            options.create(true).write(true).truncate(true).mode(0o600);
            options.open(&path)?.write_all(&text)
        });
    written.map_err(|error| {
        let what = format!("run {run} cannot be stopped: {}", path.display());
        Error::new(Kind::State, what).because(error)
    })
}

fn forget_stale(state: &StateDir) {
    let folder = state.stop_mark("");
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let modified = entry.metadata().and_then(|metadata| metadata.modified());
        let age = modified
            .ok()
            .and_then(|at| SystemTime::now().duration_since(at).ok());
        if age.is_some_and(|age| age > STALE) {
            // Another one may do the same.
            let _ = fs::remove_file(entry.path());
        }
    }
}
