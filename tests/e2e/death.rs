//! A test process that is killed, and no watchdog beside it: the next run first undoes what
//! it left, and its own report says what happened.

use chaos_test::prelude::*;
use chaos_test::{Effect, Error, Fault, ReadOnlySystem, System, Target, Undo};
use chaos_test_fixtures::rerun::{Folder, Rerun};

use crate::overwrite::Overwrite;
use crate::subjects::say;
use crate::victims::{processes_with, runs};

/// Kills a subject in the middle; what it left.
fn killed() -> (Folder, Vec<u32>) {
    let child = Rerun::of("subjects::it_waits_to_be_killed");
    let mut child = child.unwatched().start();
    child.until_printed("ready to be killed");
    let token = child.folder().reports().to_string_lossy().into_owned();
    let services: Vec<u32> = processes_with(&token)
        .into_iter()
        .filter(|pid| *pid != child.pid())
        .collect();
    let ended = child.kill();
    (ended.folder, services)
}

#[test]
fn the_next_run_undoes_what_a_killed_one_left() {
    let (folder, services) = killed();
    // The program, what it started in a session of its own, and inventory, stopped.
    assert_eq!(services.len(), 3, "{services:?}");
    assert!(services.iter().all(|pid| runs(*pid)), "{services:?}");

    let ended = Rerun::within("subjects::it_skips_itself", folder)
        .env_remove("CHAOS_REQUIRE")
        .run();
    let output = ended.output();
    assert!(ended.status.success(), "{output}");
    assert!(output.contains("an earlier run was killed in"), "{output}");
    assert!(output.contains("it_waits_to_be_killed"), "{output}");
    let left: Vec<_> = services.into_iter().filter(|pid| runs(*pid)).collect();
    assert!(left.is_empty(), "{left:?} still run:\n{output}");
    let leftovers: Vec<_> = ended
        .leftovers()
        .into_iter()
        .filter(|path| !path.ends_with("kept-by-the-test"))
        .collect();
    assert!(leftovers.is_empty(), "{leftovers:?}");
    // Its own report says that it never ended.
    let junit = ended.junit();
    assert!(junit.contains("it_waits_to_be_killed"), "{junit}");
    assert!(
        junit.contains("the test started and never ended"),
        "{junit}"
    );
}

#[test]
fn a_killed_run_of_its_own_is_an_error_in_its_own_report() {
    let (folder, _) = killed();
    let ended = Rerun::within("subjects::it_skips_itself", folder)
        .env("CHAOS_RUN_ID", "the-next")
        .env_remove("CHAOS_REQUIRE")
        .run();
    let own = ended.folder.reports().join("child/junit.xml");
    let own = std::fs::read_to_string(&own).expect("the dead run has its report");
    assert!(own.contains("<error"), "{own}");
    assert!(own.contains("the test started and never ended"), "{own}");
    // The report at the top is that of the new run.
    assert!(
        !ended.junit().contains("it_waits_to_be_killed"),
        "{}",
        ended.junit()
    );
    assert!(
        ended.junit().contains("it_skips_itself"),
        "{}",
        ended.junit()
    );
}

#[test]
fn a_run_that_lives_is_never_swept() {
    let living = Rerun::of("subjects::it_waits_to_be_killed");
    let mut living = living.unwatched().start();
    living.until_printed("ready to be killed");
    let token = living.folder().reports().to_string_lossy().into_owned();
    let services = processes_with(&token);
    let journals = Folder::files(&living.folder().state().join("journals"));
    assert_eq!(journals.len(), 1);

    let other = Rerun::of("subjects::it_skips_itself")
        .env("CHAOS_STATE_DIR", living.folder().state())
        .env_remove("CHAOS_REQUIRE")
        .run();
    assert!(other.status.success(), "{}", other.output());
    assert!(
        !other.output().contains("an earlier run was killed"),
        "{}",
        other.output()
    );
    assert!(services.iter().all(|pid| runs(*pid)), "{services:?}");
    assert_eq!(
        Folder::files(&living.folder().state().join("journals")),
        journals
    );

    // What the kill leaves is undone like any other.
    let folder = living.kill().folder;
    let _ = Rerun::within("subjects::it_skips_itself", folder).run();
    assert!(services.iter().all(|pid| !runs(*pid)), "{services:?}");
}

/// What happens after the copy is taken and before its undo step is on disk.
#[derive(Debug, Clone, Copy, PartialEq)]
enum AfterCopy {
    GoOn,
    Panic,
    WaitToBeKilled,
}

/// An [`Overwrite`] whose copy is taken, and whose undo step may never come.
#[derive(Debug)]
struct OverwriteAfter(Overwrite, AfterCopy);

impl Fault for OverwriteAfter {
    fn targets(&self) -> Vec<Target> {
        self.0.targets()
    }

    async fn prepare(&self, system: &ReadOnlySystem) -> Result<Undo, Error> {
        let undo = self.0.prepare(system).await?;
        match self.1 {
            AfterCopy::GoOn => {}
            AfterCopy::Panic => panic!("after the copy"),
            AfterCopy::WaitToBeKilled => {
                say("ready to be killed");
                std::future::pending::<()>().await;
            }
        }
        Ok(undo)
    }

    async fn apply(&self, system: &System) -> Result<(), Error> {
        self.0.apply(system).await
    }

    async fn verify(&self, system: &ReadOnlySystem) -> Result<Effect, Error> {
        self.0.verify(system).await
    }

    fn hits(&self, system: &ReadOnlySystem) -> Option<u64> {
        self.0.hits(system)
    }
}

async fn overwrite(chaos: &ChaosContext, after_copy: AfterCopy) -> chaos_test::Result {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("config");
    std::fs::write(&path, "sound")?;
    chaos.may_break(&Target::File(path.clone()));
    let fault = OverwriteAfter(Overwrite(path), after_copy);
    let injected = chaos.inject(fault).await;
    assert_eq!(injected.is_ok(), after_copy == AfterCopy::GoOn);
    Ok(())
}

#[chaos_test]
#[ignore = "another test runs it as a child"]
async fn its_fault_fails_after_the_copy(chaos: &ChaosContext) -> chaos_test::Result {
    overwrite(chaos, AfterCopy::Panic).await?;
    overwrite(chaos, AfterCopy::GoOn).await
}

#[chaos_test]
#[ignore = "another test runs it as a child"]
async fn it_is_killed_after_the_copy(chaos: &ChaosContext) -> chaos_test::Result {
    overwrite(chaos, AfterCopy::WaitToBeKilled).await
}

#[test]
fn a_copy_that_nobody_needs_goes_with_its_context() {
    let ended = Rerun::of("death::its_fault_fails_after_the_copy").run();
    assert!(ended.status.success(), "{}", ended.output());
    assert!(ended.leftovers().is_empty(), "{:?}", ended.leftovers());
}

#[test]
fn a_copy_that_nobody_knows_of_goes_with_the_next_run() {
    let child = Rerun::of("death::it_is_killed_after_the_copy");
    let mut child = child.unwatched().start();
    child.until_printed("ready to be killed");
    let copies = child.folder().state().join("copies");
    assert_eq!(Folder::files(&copies).len(), 1);

    // A run that is alive keeps its copies, whoever else sweeps meanwhile.
    let other = Rerun::of("subjects::it_skips_itself")
        .env("CHAOS_STATE_DIR", child.folder().state())
        .env_remove("CHAOS_REQUIRE")
        .run();
    assert!(other.status.success(), "{}", other.output());
    assert_eq!(Folder::files(&copies).len(), 1);

    let folder = child.kill().folder;
    let ended = Rerun::within("subjects::it_skips_itself", folder)
        .env_remove("CHAOS_REQUIRE")
        .run();
    assert!(ended.status.success(), "{}", ended.output());
    assert!(ended.leftovers().is_empty(), "{:?}", ended.leftovers());
}
