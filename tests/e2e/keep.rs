//! `CHAOS_KEEP=failed`: the containers of a test that failed stay, and those of no other.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;

use chaos_test::prelude::*;
use chaos_test::{Error, Event, Outcome, Restoration, RunStatus, container};
use chaos_test_fixtures::rerun::{Ended, Folder};

use crate::containers_death::cache;
use crate::engine::{Run, name_of};
use crate::subjects::say;
use crate::victims::{inventory_program, processes_with};

#[chaos_test(requires(docker))]
#[ignore = "another test runs it as a child"]
async fn it_fails_with_two_containers(chaos: &ChaosContext) -> chaos_test::Result {
    let first = cache(chaos, "first").await?;
    chaos.process("inventory", inventory_program()).await?;
    cache(chaos, "second").await?;
    let _pause = chaos.inject(container::pause(&first)).await?;
    panic!("the body fell over");
}

#[chaos_test(requires(docker))]
#[ignore = "another test runs it as a child"]
async fn it_skips_itself_late(chaos: &ChaosContext) -> chaos_test::Result {
    cache(chaos, "cache").await?;
    Err(Error::skip("there is no moon tonight").into())
}

#[chaos_test(requires(docker))]
#[ignore = "another test runs it as a child"]
async fn it_passes(chaos: &ChaosContext) -> chaos_test::Result {
    let cache = cache(chaos, "cache").await?;
    let connects = chaos.monitor(cache.connect().every(ms(10)));
    let _kill = chaos.inject(container::kill(&cache)).await?;
    connects.over(ms(50)).await?;
    Ok(())
}

#[chaos_test(requires(docker))]
#[ignore = "another test runs it as a child"]
async fn it_fails_and_waits(chaos: &ChaosContext) -> chaos_test::Result {
    cache(chaos, "cache").await?;
    chaos.at_rollback("wait", || async {
        say("ready to be killed");
        std::future::pending::<()>().await;
        Ok::<_, TestError>(())
    })?;
    Ok(())
}

#[chaos_test(requires(docker))]
#[ignore = "another test runs it as a child"]
async fn it_waits_with_a_container(chaos: &ChaosContext) -> chaos_test::Result {
    let cache = cache(chaos, "cache").await?;
    let _pause = chaos.inject(container::pause(&cache)).await?;
    say("ready to be stopped");
    std::future::pending::<()>().await;
    Ok(())
}

/// Two contexts, one after the other, where there is a place for one container.
#[test]
#[ignore = "another test runs it as a child"]
fn it_fails_twice() {
    for _ in 0..2 {
        let chaos = ChaosContext::start_blocking().unwrap();
        chaos.block_on(cache(&chaos, "cache")).unwrap();
        chaos.note("it runs");
        let error = chaos.finish_blocking().unwrap_err();
        say(&format!("is_no_data: {}", error.is_no_data()));
    }
}

fn keeping(run: &Run, test: &str, folder: Folder) -> Ended {
    run.child(&format!("keep::{test}"), folder)
        .env("CHAOS_KEEP", "failed")
        .run()
}

/// How its only test ended.
fn outcome(run: &Run, ended: &Ended) -> Outcome {
    let journal = run.journal(ended);
    assert!(journal.pending().is_empty());
    match journal.records.last().map(|record| record.event.clone()) {
        Some(Event::Finished { outcome }) => outcome,
        other => panic!("{other:?}"),
    }
}

/// The line that removes everything, as it was printed.
fn removal(output: &str) -> String {
    let line = output
        .lines()
        .find_map(|it| it.trim().strip_prefix("remove: "));
    line.unwrap_or_else(|| panic!("{output}")).to_owned()
}

/// Does as a person would; where there is no `docker`, removes what the line names.
fn remove_by_hand(run: &Run, removal: &str) {
    let done = Command::new("sh").args(["-c", removal]).output().unwrap();
    // 127: the shell did not find it.
    if done.status.code() == Some(127) {
        return run.remove();
    }
    assert!(done.status.success(), "{removal}: {done:?}");
}

#[test]
fn the_containers_of_a_failed_test_stay_and_can_be_reached_and_removed() {
    let Some(run) = Run::new("the_containers_of_a_failed_test_stay") else {
        return;
    };
    let ended = keeping(&run, "it_fails_with_two_containers", Folder::default());
    let output = ended.output();
    assert!(!ended.status.success(), "{output}");
    let containers = run.containers();
    assert_eq!(containers.len(), 2, "{output}");
    assert_eq!(run.networks().len(), 1, "{output}");
    let removal = removal(&output);
    for container in &containers {
        let state = container.state.clone().unwrap();
        // The fault was lifted.
        assert_eq!((state.running, state.paused), (Some(true), Some(false)));
        let name = name_of(container);
        for expected in [format!("exec -it {name} sh"), format!("logs {name}")] {
            assert!(output.contains(&expected), "{expected}: {output}");
        }
        assert!(removal.contains(&name), "{removal}");
    }
    assert!(
        output.contains("restored: 1 fault, 1 other; 3 kept on purpose"),
        "{output}"
    );
    assert!(
        output.contains("links end with the test's process"),
        "{output}"
    );
    assert!(
        ended.junit().contains("3 kept on purpose"),
        "{}",
        ended.junit()
    );
    assert!(ended.junit().contains(&removal.replace("&&", "&amp;&amp;")));
    let addresses: Vec<&str> = output
        .lines()
        .filter_map(|line| line.trim().strip_prefix("port 6379 at "))
        .collect();
    // Once as it happened, once in the failure's text.
    assert_eq!(addresses.len(), 4, "{output}");
    for address in addresses {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(b"PING\r\n").unwrap();
        let mut answer = [0; 7];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"+PONG\r\n");
    }
    // Everything else ended, and there is nothing to sweep.
    let restoration = outcome(&run, &ended).restoration;
    assert!(
        matches!(
            restoration,
            Restoration::Restored {
                faults: 1,
                others: 1,
                kept: 3
            }
        ),
        "{restoration:?}"
    );
    assert!(ended.leftovers().is_empty(), "{:?}", ended.leftovers());
    let reports = ended.folder.reports();
    assert!(processes_with(&reports.to_string_lossy()).is_empty());

    // The same test starts beside them, and no later run removes them.
    let again = keeping(&run, "it_fails_with_two_containers", ended.folder);
    assert_eq!(run.containers().len(), 4, "{}", again.output());
    let next = run.sweep(Folder::default());
    let next = next.env("CHAOS_STATE_DIR", again.folder.state()).run();
    assert!(next.status.success(), "{}", next.output());
    assert_eq!(run.containers().len(), 4, "{}", next.output());

    remove_by_hand(&run, &removal);
    remove_by_hand(&run, &self::removal(&again.output()));
    run.assert_nothing_left(&output);
}

#[test]
fn nothing_stays_of_a_test_that_passed_or_was_skipped() {
    let Some(run) = Run::new("nothing_stays_of_a_test_that_passed_or_was_skipped") else {
        return;
    };
    for test in ["it_passes", "it_skips_itself_late"] {
        let child = run.child(&format!("keep::{test}"), Folder::default());
        let child = child.env("CHAOS_KEEP", "failed");
        let ended = child.env_remove("CHAOS_REQUIRE").run();
        assert!(ended.status.success(), "{}", ended.output());
        assert!(!ended.output().contains("kept"), "{}", ended.output());
        run.assert_nothing_left(&ended.output());
    }
}

/// Nobody learns anything from a container whose test was stopped before it could fail.
#[test]
fn nothing_stays_of_a_test_that_was_stopped() {
    let Some(run) = Run::new("nothing_stays_of_a_test_that_was_stopped") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let stop = folder.path().join("stop");
    let child = run.child("keep::it_waits_with_a_container", Folder::default());
    let child = child.env("CHAOS_KEEP", "failed");
    let mut child = child.env("CHAOS_STOP_FILE", &stop).start();
    child.until_printed("ready to be stopped");
    assert_eq!(run.containers().len(), 1, "{}", child.output());
    std::fs::write(&stop, "").unwrap();
    let ended = child.wait();
    let output = ended.output();
    assert!(!ended.status.success(), "{output}");
    let Outcome { status, .. } = outcome(&run, &ended);
    assert!(matches!(status, RunStatus::Interrupted(_)), "{status:?}");
    assert!(!output.contains("kept"), "{output}");
    assert!(ended.leftovers().is_empty(), "{output}");
    run.assert_nothing_left(&output);
}

#[test]
fn a_kept_container_takes_no_place_from_the_next_test() {
    let Some(run) = Run::new("a_kept_container_takes_no_place_from_the_next_test") else {
        return;
    };
    let child = run.child("keep::it_fails_twice", Folder::default());
    let child = child.env("CHAOS_KEEP", "failed");
    let ended = child.env("CHAOS_MAX_CONTAINERS", "1").run();
    assert!(ended.status.success(), "{}", ended.output());
    assert_eq!(run.containers().len(), 2, "{}", ended.output());
    assert_eq!(run.networks().len(), 2, "{}", ended.output());
    run.remove();
    run.assert_nothing_left(&ended.output());
}

#[test]
fn what_is_marked_stays_even_if_the_test_is_killed_in_its_rollback() {
    let Some(run) = Run::new("what_is_marked_stays_even_if_the_test_is_killed") else {
        return;
    };
    let child = run.child("keep::it_fails_and_waits", Folder::default());
    let mut child = child.env("CHAOS_KEEP", "failed").start();
    child.until_printed("ready to be killed");
    let ended = run.sweep(child.kill().folder).run();
    let output = ended.output();
    assert!(ended.status.success(), "{output}");
    assert!(ended.leftovers().is_empty(), "{output}");
    assert_eq!((run.containers().len(), run.networks().len()), (1, 1));
    // The sweep says it once more.
    remove_by_hand(&run, &removal(&output));
    run.assert_nothing_left(&output);
}
