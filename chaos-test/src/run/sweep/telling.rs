//! What a sweep has done and what it has to say about that, in words.
//!
//! Nothing here looks at a journal or undoes anything.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::model::event::{Kept, Started};
use crate::model::journal::Pending;
use crate::report::text::kept_lines;

use super::UNMADE_LIMIT;

/// What came of one step.
#[derive(Debug, Clone)]
pub enum Came {
    /// Nothing is left of it.
    Undone,
    /// There is nothing of it, yet: a later run looks for it once more.
    NotYet,
    /// What it undoes is left, and why.
    Failed(String),
    /// What it would put back is gone, and was not ours: nobody can do more about it.
    Lost(String),
}

/// What was done about one journal.
#[derive(Debug)]
pub struct Swept {
    /// Whose it was.
    pub started: Started,
    /// Whether that was killed; else it ended in order, and its rollback had failed.
    pub killed: bool,
    /// Its steps, in the order in which they ended.
    pub steps: Vec<(Pending, Came)>,
    /// What stays on purpose.
    pub kept: Vec<Kept>,
    /// Where the journal is, and why it could not be removed though nothing is left in it.
    pub stays: Option<(PathBuf, io::Error)>,
}

/// What a sweep has to tell.
#[derive(Debug)]
pub enum Told {
    /// A journal, or the folder of all of them, was left alone.
    LeftAlone(PathBuf, String),
    /// What was done about a dead run.
    Swept(Box<Swept>),
    /// A copy or scratch folder of a dead run could not be removed.
    Stays(PathBuf, io::Error),
    /// Something on the container engine that is past its time to live was removed, or could
    /// not be, and why.
    #[cfg(feature = "containers")]
    Expired(String, Option<String>),
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LeftAlone(path, why) => {
                write!(f, "chaos-test: {} was left alone: {why}", path.display())
            }
            Self::Swept(swept) => write!(f, "{swept}"),
            Self::Stays(path, why) => write!(
                f,
                "chaos-test: {}, which a dead run left, could not be removed: {why}",
                path.display()
            ),
            #[cfg(feature = "containers")]
            Self::Expired(what, None) => write!(
                f,
                "chaos-test: {what} was past its time to live, and was removed"
            ),
            #[cfg(feature = "containers")]
            Self::Expired(what, Some(why)) => write!(
                f,
                "chaos-test: {what} is past its time to live, and could not be removed: {why}"
            ),
        }
    }
}

impl fmt::Display for Swept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let test = &self.started.test;
        let (mut undone, mut awaited, mut left) = (0, Vec::new(), Vec::new());
        let mut lost = Vec::new();
        for (step, came) in &self.steps {
            let undo = &step.undo;
            match came {
                Came::Undone => undone += 1,
                Came::NotYet => awaited.push(undo.to_string()),
                // Told once: nobody can ever do more about it.
                Came::Lost(why) => lost.push(format!("{undo}: {why}")),
                Came::Failed(why) => {
                    left.push(format!("{undo}: {why} (by hand: {})", undo.by_hand()));
                }
            }
        }
        let steps = if undone == 1 {
            "step was"
        } else {
            "steps were"
        };
        let how = if self.killed {
            "was killed in"
        } else {
            "could not put everything back in"
        };
        // What a service or a link would have undone ended with its process.
        write!(
            f,
            "chaos-test: an earlier run {how} {test}; {undone} undo {steps} performed now"
        )?;
        if !awaited.is_empty() {
            write!(
                f,
                "; the engine was asked for what is not there, and may still make it, so runs \
                 within {} s look again:\n  {}",
                UNMADE_LIMIT.as_secs(),
                awaited.join("\n  ")
            )?;
        }
        if !lost.is_empty() {
            write!(
                f,
                "; what was not ours is gone, and cannot be put back:\n  {}",
                lost.join("\n  ")
            )?;
        }
        if !left.is_empty() {
            write!(f, "; {} failed:\n  {}", left.len(), left.join("\n  "))?;
        }
        let kept = kept_lines(&self.kept);
        if !kept.is_empty() {
            // Whoever marked it may have had no time to say so.
            write!(f, "\nchaos-test: {test}: {}", kept.join("\n"))?;
        }
        if let Some((path, why)) = &self.stays {
            write!(
                f,
                "\nchaos-test: {} could not be removed: {why}",
                path.display()
            )?;
        }
        Ok(())
    }
}
