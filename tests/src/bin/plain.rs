//! A program with a `main` of its own, in the place of a test runner's.
//!
//! `alone` is one experiment, which waits to be killed. `runner` runs its experiments as a
//! runner does, each one on a thread, and waits in the second one; `in-order` ends after the
//! first one. The environment names the folder that they break things in.

#[path = "../../e2e/overwrite.rs"]
mod overwrite;

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use chaos_test::prelude::*;
use chaos_test::{Injection, Target, log_line};

use overwrite::Overwrite;

fn main() -> Result<(), TestError> {
    let folder = std::env::var_os("PLAIN_FOLDER").map(PathBuf::from);
    let folder = folder.ok_or_else(|| TestError::msg("PLAIN_FOLDER names no folder"))?;
    // Whoever is executed once more from this program must not come here, with whatever
    // arguments.
    let mut mains = OpenOptions::new();
    let mut mains = mains.create(true).append(true).open(folder.join("mains"))?;
    writeln!(mains, "main")?;
    let how = std::env::args().nth(1).unwrap_or_default();
    match how.as_str() {
        "alone" => waits(&folder),
        "runner" => {
            run("the first one", passes, &folder)?;
            run("the second one", waits, &folder)
        }
        "in-order" => run("the first one", passes, &folder),
        other => Err(TestError::msg(format!("there is no `{other}`"))),
    }
}

type Experiment = fn(&Path) -> Result<(), TestError>;

fn run(name: &'static str, experiment: Experiment, folder: &Path) -> Result<(), TestError> {
    let folder = folder.to_owned();
    let thread = std::thread::Builder::new().name(name.to_owned());
    let thread = thread.spawn(move || experiment(&folder))?;
    thread.join().expect("an experiment does not panic")?;
    eprintln!("{name} passed");
    Ok(())
}

fn passes(folder: &Path) -> Result<(), TestError> {
    let chaos = ChaosContext::start_blocking()?;
    let broken = break_all(&chaos, folder)?;
    chaos.block_on(broken.lift())?;
    chaos.finish_blocking()?;
    Ok(())
}

fn waits(folder: &Path) -> Result<(), TestError> {
    let chaos = ChaosContext::start_blocking()?;
    let _broken = break_all(&chaos, folder)?;
    eprintln!("ready to be killed");
    loop {
        std::thread::park();
    }
}

/// A process, another one that has left its session, and a file that is overwritten.
fn break_all(chaos: &ChaosContext, folder: &Path) -> Result<Injection, TestError> {
    let sleeper = Program::new("sh")
        .args(["-c", "setsid sleep 600 & echo ready; exec sleep 600"])
        .without_port()
        .ready(log_line("ready"));
    chaos.block_on(chaos.process("sleeper", sleeper))?;
    let file = folder.join("file");
    chaos.may_break(&Target::File(file.clone()));
    Ok(chaos.block_on(chaos.inject(Overwrite(file)))?)
}
