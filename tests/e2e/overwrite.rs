//! A fault of our own: it overwrites a file. It says nothing about who runs it, so that
//! programs without a test runner can have it, too.

use std::path::PathBuf;

use chaos_test::{Effect, Error, Fault, ReadOnlySystem, System, Target, Undo};

/// What stands in the file meanwhile.
pub const BROKEN: &str = "broken";

/// A file that a fault overwrites.
#[derive(Debug)]
pub struct Overwrite(pub PathBuf);

impl Fault for Overwrite {
    fn targets(&self) -> Vec<Target> {
        vec![Target::File(self.0.clone())]
    }

    async fn prepare(&self, system: &ReadOnlySystem) -> Result<Undo, Error> {
        system.undo_restoring(&self.0)
    }

    async fn apply(&self, _: &System) -> Result<(), Error> {
        std::fs::write(&self.0, BROKEN).map_err(|error| Error::msg(error.to_string()))
    }

    async fn verify(&self, _: &ReadOnlySystem) -> Result<Effect, Error> {
        match std::fs::read_to_string(&self.0) {
            Ok(text) if text == BROKEN => Ok(Effect::Active),
            other => Ok(Effect::Absent(format!("{other:?}"))),
        }
    }

    fn hits(&self, _: &ReadOnlySystem) -> Option<u64> {
        // Its `verify` has read it.
        Some(1)
    }
}
