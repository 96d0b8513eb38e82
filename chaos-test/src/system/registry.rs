//! The tests of this program, as they were registered at link time, and telling them to
//! `cargo chaos list`.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::Path;

use super::terminal::say;
use crate::model::concluded::Concluded;
use crate::model::listed::Listed;
use crate::model::spec::TestSpec;

/// Names the file that a program writes its tests to when it exits, one JSON object a line.
pub(crate) const LIST_VARIABLE: &str = "CHAOS_LIST";

/// A test, as the macro registers it.
#[derive(Debug)]
pub struct Registration {
    /// What it declares.
    pub spec: &'static TestSpec,
    /// Runs it.
    pub run: fn() -> Concluded,
}

inventory::collect!(Registration);

/// All tests of this program, by their paths. Complete only once `main` has begun.
pub(crate) fn specs() -> Vec<&'static TestSpec> {
    let registrations = registrations().into_iter();
    registrations
        .map(|registration| registration.spec)
        .collect()
}

/// As [`specs`], with how they are run.
pub(crate) fn registrations() -> Vec<&'static Registration> {
    let mut registrations: Vec<_> = inventory::iter::<Registration>.into_iter().collect();
    registrations.sort_by_key(|registration| registration.spec.path());
    registrations
}

/// Writes the tests of this program to the file that the environment names.
pub(super) fn write_list() {
    let Some(path) = std::env::var_os(LIST_VARIABLE) else {
        return;
    };
    let path = Path::new(&path);
    if let Err(error) = append_list(path) {
        say(&format!(
            "chaos-test: {}, which {LIST_VARIABLE} names, cannot be written: {error}",
            path.display()
        ));
    }
}

/// Appends, because a program may hold two versions of this library, each with tests of its
/// own.
fn append_list(path: &Path) -> io::Result<()> {
    let mut lines = Vec::new();
    for spec in specs() {
        serde_json::to_writer(&mut lines, &Listed::from(spec))?;
        lines.push(b'\n');
    }
    let mut file = OpenOptions::new().append(true).create(true).open(path)?;
    file.write_all(&lines)
}
