//! Asks one test program which chaos tests it holds.

use std::fs::File;
use std::io::{Read, Seek};
use std::os::fd::AsRawFd;
use std::process::Stdio;
use std::time::Duration;

use chaos_test::__cli::{self, Listed};
use rustix::fs::{MemfdFlags, memfd_create};
use tokio::process::Command;

use super::TestProgram;

/// The chaos tests of a program; none where it does not hold this library.
///
/// # Errors
///
/// Why they cannot be known.
pub(super) fn tests_of(program: &TestProgram, limit: Duration) -> Result<Vec<Listed>, String> {
    // In memory, so that nothing is left however this ends.
    let list = memfd_create("chaos-test-list", MemfdFlags::CLOEXEC);
    let mut list = File::from(list.map_err(|error| format!("there is no memory: {error}"))?);
    let place = format!("/proc/{}/fd/{}", std::process::id(), list.as_raw_fd());
    run(program, &place, limit)?;
    let mut text = String::new();
    list.rewind()
        .and_then(|()| list.read_to_string(&mut text))
        .map_err(|error| format!("what it says cannot be read: {error}"))?;
    parse(&text)
}

fn run(program: &TestProgram, place: &str, limit: Duration) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    let mut command = Command::new(&program.executable);
    command
        .arg("--list")
        .current_dir(&program.folder)
        .env(__cli::LIST_VARIABLE, place)
        .env("LD_LIBRARY_PATH", library_path(program))
        .stdin(Stdio::null())
        // What libtest lists are ordinary tests, too.
        .stdout(Stdio::null())
        .kill_on_drop(true);
    let status = runtime.block_on(async {
        let mut child = command.spawn()?;
        match tokio::time::timeout(limit, child.wait()).await {
            Ok(ended) => ended.map(Some),
            Err(_) => child.kill().await.map(|()| None),
        }
    });
    match status {
        Ok(Some(status)) if status.success() => Ok(()),
        Ok(Some(status)) => Err(format!("with `--list` it ended with {status}")),
        Ok(None) => Err(format!(
            "with `--list` it did not end within {}, and was killed",
            __cli::human(limit)
        )),
        Err(error) => Err(format!("it cannot be run: {error}")),
    }
}

/// Where it finds shared libraries, as cargo has it.
fn library_path(program: &TestProgram) -> std::ffi::OsString {
    let inherited = std::env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
    let inherited: Vec<_> = std::env::split_paths(&inherited).collect();
    let folders = program.libraries.iter().chain(&inherited);
    // A folder with a colon in its name cannot be told at all.
    std::env::join_paths(folders.filter(|folder| !folder.as_os_str().is_empty()))
        .unwrap_or_default()
}

/// What a program has written: one test a line.
fn parse(text: &str) -> Result<Vec<Listed>, String> {
    let lines = text.lines().enumerate();
    let tests = lines.map(|(number, line)| {
        serde_json::from_str(line).map_err(|error| {
            format!(
                "line {} of its list cannot be read ({error}); is its chaos-test of another \
                 version than {}?",
                number + 1,
                env!("CARGO_PKG_VERSION")
            )
        })
    });
    let mut tests: Vec<Listed> = tests.collect::<Result<_, String>>()?;
    tests.sort();
    // A program that starts itself is told twice.
    tests.dedup();
    Ok(tests)
}
