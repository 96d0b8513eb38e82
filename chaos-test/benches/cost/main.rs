//! What the harness costs: `cargo bench -p chaos-test --bench cost` prints a table.
//!
//! The figures are for people. Nothing here may fail because a machine is slow: a goal that
//! is missed is printed as missed. Where something comparable exists it is measured in the
//! same run, in turns with ours, because only their difference means anything on a machine
//! that does other work, too.
//!
//! `--profile dev` measures what most users run: their tests, and this library with them,
//! without optimization.

#![expect(clippy::print_stdout, reason = "the table is what it is for")]

mod abort;
mod empty_test;
mod journal;
mod link_fault;
mod machine;
mod measure;
mod recovery;
mod rollback;
mod table;

use std::env;
use std::error::Error;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, ExitCode};

use table::Table;

/// What one part returns: its failures are broken set-ups, never bad figures.
type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// The words that this program is called with by itself.
const MEASURE: &str = "measure";
const LISTEN: &str = "listen";
const CHAOS_TEST: &str = "one-chaos-test";
const PLAIN_TEST: &str = "one-plain-test";

fn main() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).collect();
    let done = match words.first().map(String::as_str) {
        Some(MEASURE) => measure_all(),
        Some(LISTEN) => link_fault::listen(),
        Some(CHAOS_TEST) => {
            empty_test::chaos();
            Ok(())
        }
        Some(PLAIN_TEST) => {
            empty_test::plain();
            Ok(())
        }
        // What `cargo bench` passes and `cargo test --benches` does not.
        _ if words.iter().any(|word| word == "--bench") => in_private_folders(),
        _ => Ok(()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("cost: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the measurements in a process of their own, whose journals and reports go to a
/// folder that is removed afterwards.
fn in_private_folders() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let said = folder.path().join("stderr");
    let measured = this_program(MEASURE, folder.path())?
        .stderr(File::create(&said)?)
        .status()?;
    if measured.success() {
        return Ok(());
    }
    Err(format!("{measured}\n{}", fs::read_to_string(said)?).into())
}

/// This program once more, with state and reports below a folder.
fn this_program(word: &str, folder: &Path) -> Result<Command> {
    let mut command = Command::new(env::current_exe()?);
    command
        .arg(word)
        .env("CHAOS_STATE_DIR", folder.join("state"))
        .env("CHAOS_DIR", folder.join("reports"))
        // What a developer has set for tests must not change figures.
        .env_remove("CHAOS_REQUIRE")
        .env_remove("CHAOS_SEED")
        .env_remove("CHAOS_RUN_ID");
    Ok(command)
}

fn measure_all() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut table = Table::default();
    empty_test::measure(folder.path(), &mut table)?;
    link_fault::measure(folder.path(), &mut table)?;
    rollback::measure(folder.path(), &mut table)?;
    recovery::measure(&mut table)?;
    abort::measure(&mut table)?;
    journal::measure(folder.path(), &mut table)?;
    println!("{}\n\n{table}", machine::described(folder.path()));
    Ok(())
}
