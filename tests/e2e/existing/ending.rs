//! What is being ended in order when the test dies or is stopped: it is put back once it has
//! ended, and not taken for well because it still runs.

use std::time::{Duration, Instant};

use chaos_test::prelude::*;
use chaos_test::{container, process};
use chaos_test_fixtures::rerun::{Folder, Rerun};

use super::foreign::{Foreign, How, Server, pongs, until};
use super::{described, told};
use crate::engine::Run;
use crate::subjects::say;

/// Answers no more as soon as it is asked to end, and takes a while to do so.
const SLOW: &str = "redis-server --bind 0.0.0.0 --protected-mode no --save '' & \
                    trap 'kill -9 $!; sleep 3; exit 0' TERM; while :; do sleep 0.05; done";

const BEGUN: &str = "the end begins";

#[chaos_fixture]
async fn slow_db(chaos: &ChaosContext) -> chaos_test::Result<Service> {
    let described = described().grace(secs(10));
    Ok(chaos.existing("slow-db", described).await?)
}

#[chaos_test(breaks(slow_db))]
#[ignore = "another test runs it as a child"]
async fn it_ends_what_was_there(chaos: &ChaosContext, slow_db: &Service) -> chaos_test::Result {
    say(BEGUN);
    let _fault = match told("EXISTING_FAULT").as_str() {
        "container::stop" => chaos.inject(container::stop(slow_db)).await?,
        "container::kill" => {
            let fault = container::kill(slow_db).with(Signal::Term);
            chaos.inject(fault).await?
        }
        "process::kill" => {
            let fault = process::kill(slow_db).with(Signal::Term);
            chaos.inject(fault).await?
        }
        "process::restart" => chaos.inject(process::restart(slow_db)).await?,
        other => panic!("{other}"),
    };
    std::future::pending::<()>().await;
    Ok(())
}

fn child(run: &str, what: &str, fault: &str) -> Rerun {
    Rerun::within(
        "existing::ending::it_ends_what_was_there",
        Folder::default(),
    )
    .env("EXISTING", what)
    .env("EXISTING_FAULT", fault)
    .env("CHAOS_RUN_ID", run)
}

fn started_at(db: &Foreign<'_>) -> String {
    let state = db.inspect().state.unwrap_or_default();
    state
        .started_at
        .map(|at| at.to_string())
        .unwrap_or_default()
}

#[test]
fn a_container_that_is_being_stopped_is_started_again() {
    let Some(run) = Run::new("a_container_that_is_being_stopped_is_started_again") else {
        return;
    };
    let how = How {
        command: Some(vec!["sh", "-c", SLOW]),
        ..How::default()
    };
    let db = Foreign::start(&run, how);
    let what = format!("container {}", db.name);
    for (fault, aborts) in [
        ("container::stop", false),
        ("container::kill", false),
        ("container::stop", true),
    ] {
        let before = started_at(&db);
        let folder = tempfile::tempdir().unwrap();
        let stop = folder.path().join("stop");
        let child = child(run.id(), &what, fault);
        let mut child = child.env("CHAOS_STOP_FILE", &stop).start();
        child.until_printed(BEGUN);
        until("it was asked to end", || !db.answers());
        assert_eq!(db.state(), "running", "{fault}: it has ended too early");
        let ended = if aborts {
            std::fs::write(&stop, "").unwrap();
            child.wait()
        } else {
            child.kill()
        };
        // Its watchdog, or the test itself, is done by now.
        assert_ne!(started_at(&db), before, "{fault}: {}", ended.output());
        assert_eq!(db.state(), "running", "{fault}: {}", ended.output());
        assert!(ended.leftovers().is_empty(), "{}", ended.output());
        until("it answers", || db.answers());
    }
}

#[test]
fn a_process_that_is_being_ended_is_started_again() {
    for fault in ["process::restart", "process::kill"] {
        let server = Server::below("kill -9 $!; sleep 3; exit 0");
        let what = format!("process {}", server.pid());
        let before = server.redis_pid();
        let child = child("ending", &what, fault).env("EXISTING_START", server.command());
        let mut child = child.start();
        child.until_printed(BEGUN);
        until("it was asked to end", || !pongs(server.address));
        let ended = child.kill();
        assert!(pongs(server.address), "{fault}: {}", ended.output());
        assert_ne!(server.redis_pid(), before, "{fault}: {}", ended.output());
        assert!(ended.leftovers().is_empty(), "{}", ended.output());
    }
}

/// One that shares its socket lives longer than the process that was ended.
#[test]
fn what_is_left_of_it_is_no_successor() {
    let server = Server::below("exit 0");
    let what = format!("process {}", server.pid());
    let heir = server.redis_pid();
    let began = Instant::now();
    let ended = super::breaks("heir", &what, "process::restart", Folder::default())
        .env("EXISTING_START", server.command())
        .run();
    assert!(ended.status.success(), "{}", ended.output());
    assert!(began.elapsed() < Duration::from_secs(60));
    assert!(pongs(server.address));
    assert_ne!(server.redis_pid(), heir, "{}", ended.output());
}
