//! What killed runs left, for a person who asks: shown without touching it, or undone.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::model::event::{Kept, Started};
use crate::model::journal::{self, Journal, Pending};
use crate::system::identity;
use crate::system::journal_file::UNBORN;
use crate::system::state_dir::{self, StateDir};

use super::engine;
use super::sweep::looking::{Patience, Standing, is_abandoned, look};
use super::sweep::{self, Tell, Who};

/// What there is in a state directory.
#[derive(Debug, Default)]
pub struct Leftovers {
    /// The directory.
    pub state: PathBuf,
    /// Runs that were killed.
    pub dead: Vec<DeadRun>,
    /// Runs that were killed, and that somebody else undoes at this moment.
    pub under_way: Vec<Started>,
    /// Tests that run now; `None`: it has just begun.
    pub alive: Vec<Option<Started>>,
    /// Runs that were killed in another container, which only a run over there can undo.
    pub elsewhere: Vec<Started>,
    /// Journals that nobody may act on, and why.
    pub refused: Vec<(PathBuf, String)>,
    /// Journals of runs that were killed before they did anything.
    pub empty: Vec<PathBuf>,
    /// Copies and scratch folders that no journal names.
    pub orphans: Vec<PathBuf>,
    /// What is on the container engine; `None`: this was built without containers.
    pub engine: Option<OnEngine>,
}

/// What there is on a container engine of runs whose journals nobody can find.
#[derive(Debug)]
pub enum OnEngine {
    /// It could not be asked, and why.
    Unknown(String),
    /// It was asked.
    Known {
        /// Where it is.
        url: String,
        /// What is past its time to live, in words.
        expired: Vec<String>,
    },
}

impl Leftovers {
    /// Whether anything of a killed run is there.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.dead.is_empty()
            && self.under_way.is_empty()
            && self.elsewhere.is_empty()
            && self.refused.is_empty()
            && self.empty.is_empty()
            && self.orphans.is_empty()
            && self.expired().is_empty()
    }

    /// What is past its time to live on the container engine.
    #[must_use]
    pub fn expired(&self) -> &[String] {
        match &self.engine {
            Some(OnEngine::Known { expired, .. }) => expired,
            _ => &[],
        }
    }
}

/// A test whose process was killed.
#[derive(Debug)]
pub struct DeadRun {
    /// Its journal.
    pub journal: PathBuf,
    /// Whose it was.
    pub started: Started,
    /// Whether it was killed; else it ended in order, and its rollback had failed.
    pub killed: bool,
    /// What is to be undone, each with its place in the order of all that is.
    pub steps: Vec<(usize, Pending)>,
    /// What stays on purpose.
    pub kept: Vec<Kept>,
}

/// Looks at what is left and changes nothing.
///
/// # Errors
///
/// Where the state directory must not be acted on.
pub fn leftovers() -> Result<Leftovers, Error> {
    let mut found = in_state()?;
    found.engine = engine::own().block_on(on_engine(None));
    Ok(found)
}

/// Looks at what is left in the state directory.
pub(super) fn in_state() -> Result<Leftovers, Error> {
    in_state_at(StateDir::place())
}

fn in_state_at(place: PathBuf) -> Result<Leftovers, Error> {
    let mut found = Leftovers {
        state: place.clone(),
        ..Leftovers::default()
    };
    let Some(state) = StateDir::look_at(place)? else {
        return Ok(found);
    };
    let mut dead: Vec<(PathBuf, Journal)> = Vec::new();
    for path in files(&state.journals()) {
        if is_unborn(&path) {
            if is_abandoned(&path) {
                found.empty.push(path);
            }
            continue;
        }
        match look(&path, &Patience::none()) {
            Ok(Standing::Gone) => {}
            Ok(Standing::Alive) => match read(&path) {
                // Its watchdog has it, or a run that sweeps.
                Some(started) if !identity::is_alive(&started.process) => {
                    found.under_way.push(started);
                }
                started => found.alive.push(started),
            },
            Ok(Standing::Empty(_)) => found.empty.push(path),
            Ok(Standing::Elsewhere) => found.elsewhere.extend(read(&path)),
            // Its lock goes with the file: whoever sweeps now may have it.
            Ok(Standing::Dead(journal, _, _)) => dead.push((path, *journal)),
            Err(why) => found.refused.push((path, why)),
        }
    }
    let mut steps: Vec<Vec<_>> = dead.iter().map(|_| Vec::new()).collect();
    let ordered = sweep::in_order(dead.iter().map(|(_, journal)| journal));
    for (place, (journal, step)) in ordered.into_iter().enumerate() {
        steps[journal].push((place + 1, step));
    }
    let dead = dead.into_iter().zip(steps);
    found.dead = dead
        .map(|((path, journal), steps)| DeadRun {
            journal: path,
            kept: journal::kept(&journal.records),
            killed: !journal.finished(),
            started: journal.started,
            steps,
        })
        .collect();
    found.orphans = state.orphans();
    Ok(found)
}

/// Undoes what killed runs left, as the start of a run does, and looks again. What it does is
/// told as it comes.
///
/// # Errors
///
/// Where the state directory must not be acted on.
pub fn recover(tell: &Tell<'_>) -> Result<Leftovers, Error> {
    let place = StateDir::place();
    // Nothing is made where nothing is left.
    if StateDir::look_at(place.clone())?.is_some() {
        let state = StateDir::at(place.clone())?;
        engine::own().block_on(sweep::put_back(&state, &Who::Anyone, tell));
    }
    let mut found = in_state_at(place)?;
    found.engine = engine::own().block_on(on_engine(Some(tell)));
    Ok(found)
}

/// What is past its time to live on the container engine, after it was removed where somebody
/// is to be told of that.
#[cfg(feature = "containers")]
async fn on_engine(remove: Option<&Tell<'_>>) -> Option<OnEngine> {
    use super::sweep::Told;
    use crate::system::container::{Engine, expired};
    let engine = match Engine::find().await {
        Ok(engine) => engine,
        Err(why) => return Some(OnEngine::Unknown(why)),
    };
    let mut left = match expired::find(&engine).await {
        Ok(found) => found,
        Err(why) => return Some(OnEngine::Unknown(format!("{}: {why}", engine.url()))),
    };
    if let Some(tell) = remove {
        let mut stays = Vec::new();
        for thing in left {
            let done = thing.remove(&engine).await;
            tell(Told::Expired(
                thing.to_string(),
                done.as_ref().err().map(ToString::to_string),
            ));
            if done.is_err() {
                stays.push(thing);
            }
        }
        left = stays;
    }
    Some(OnEngine::Known {
        url: engine.url().to_owned(),
        expired: left.iter().map(ToString::to_string).collect(),
    })
}

#[cfg(not(feature = "containers"))]
async fn on_engine(_: Option<&Tell<'_>>) -> Option<OnEngine> {
    None
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut files: Vec<_> = entries.map(|entry| entry.path()).collect();
    files.sort();
    files
}

fn is_unborn(path: &Path) -> bool {
    path.file_name()
        .is_some_and(|name| name.to_string_lossy().starts_with(UNBORN))
}

/// Whose a journal is that nobody need lock.
fn read(path: &Path) -> Option<Started> {
    let mut file = state_dir::open_trusted(path).ok()?;
    let text = state_dir::read_whole(&mut file).ok()?;
    Some(Journal::read(&text).ok()?.started)
}
