//! A chaos test that others start as a child, and kill or list.

use std::path::PathBuf;

use chaos_test::prelude::*;
use chaos_test::{Effect, Error, ReadOnlySystem, System, Target, Undo, log_line, process};

#[derive(Debug)]
struct Overwrite(PathBuf);

impl Fault for Overwrite {
    fn targets(&self) -> Vec<Target> {
        vec![Target::File(self.0.clone())]
    }

    async fn prepare(&self, system: &ReadOnlySystem) -> Result<Undo, Error> {
        system.undo_restoring(&self.0)
    }

    async fn apply(&self, _: &System) -> Result<(), Error> {
        std::fs::write(&self.0, "broken").map_err(|error| Error::msg(error.to_string()))
    }

    async fn verify(&self, _: &ReadOnlySystem) -> Result<Effect, Error> {
        match std::fs::read_to_string(&self.0) {
            Ok(text) if text == "broken" => Ok(Effect::Active),
            other => Ok(Effect::Absent(format!("{other:?}"))),
        }
    }
}

/// It is killed while its service hangs and its file is broken.
#[chaos_test(tags("slow", "death"), requires(program("sh")), timeout = "2m")]
#[ignore = "another test runs it as a child"]
async fn it_waits_to_be_killed(chaos: &ChaosContext) -> chaos_test::Result {
    let file = PathBuf::from(std::env::var_os("BROKEN_FILE").expect("it is run as a child"));
    std::fs::write(&file, "sound")?;
    std::fs::write(chaos.scratch_dir()?.join("dump"), "x")?;
    let program = Program::new("sh")
        .args(["-c", "setsid sleep 600 & echo ready; exec sleep 600"])
        .without_port()
        .ready(log_line("ready"));
    let sleeper = chaos.process("sleeper", program).await?;
    chaos.may_break(&Target::File(file.clone()));
    chaos.may_break(&sleeper);
    let _broken = chaos.inject(Overwrite(file)).await?;
    let _hang = chaos.inject(process::stop(&sleeper)).await?;
    // `eprintln!` would be captured where it is.
    use std::io::Write as _;
    let _ = writeln!(std::io::stderr(), "ready to be killed");
    std::future::pending::<()>().await;
    Ok(())
}

/// It is never run.
#[chaos_test(breaks(nothing), blast_radius(services <= 1, connections <= 10%))]
#[ignore = "it is only listed"]
async fn it_is_only_listed(_chaos: &ChaosContext, nothing: &Nothing) {
    let _ = nothing;
}

#[derive(Debug)]
struct Nothing;

impl chaos_test::Breakable for Nothing {
    fn targets(&self) -> Vec<Target> {
        Vec::new()
    }
}

#[chaos_fixture]
async fn nothing() -> chaos_test::Result<Nothing> {
    Ok(Nothing)
}
