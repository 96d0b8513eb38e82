//! A test process that is killed: the next run first undoes what it left, and its own
//! report says what happened.

use chaos_test_fixtures::rerun::{Folder, Rerun};

use crate::victims::{processes_with, runs};

/// Kills a subject in the middle; what it left.
fn killed() -> (Folder, Vec<u32>) {
    let mut child = Rerun::of("subjects::it_waits_to_be_killed").start();
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
    let mut living = Rerun::of("subjects::it_waits_to_be_killed").start();
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
