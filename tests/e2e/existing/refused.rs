//! What cannot be broken, and what cannot be told: an error that says so, and nothing is touched.

use chaos_test::prelude::*;
use chaos_test::{Error, Existing, existing, process};
use chaos_test_fixtures::rerun::{Folder, Rerun};

use super::foreign::{self, Foreign, How, Server};
use super::{breaks, described};
use crate::engine::Run;
use crate::subjects::say;

async fn why_not(chaos: &ChaosContext, what: Existing) -> String {
    match chaos.existing("orders-db", what).await {
        Ok(_) => "nobody refused it".to_owned(),
        Err(error) => error.to_string(),
    }
}

#[track_caller]
fn says(text: &str, expected: &[&str]) {
    for expected in expected {
        assert!(text.contains(expected), "`{expected}` is not in:\n{text}");
    }
}

fn ancestors() -> Vec<u32> {
    let mut found = vec![std::process::id()];
    while let Ok(stat) = std::fs::read_to_string(format!("/proc/{}/stat", found[found.len() - 1]))
        && let Some((_, fields)) = stat.rsplit_once(')')
        && let Some(Ok(parent)) = fields.split_whitespace().nth(1).map(str::parse)
        && parent > 0
    {
        found.push(parent);
    }
    found
}

#[tokio::test]
async fn nobody_breaks_what_the_test_runs_under() {
    let chaos = ChaosContext::start().await.unwrap();
    let above = ancestors();
    assert!(above.len() > 2, "{above:?}");
    for pid in above {
        let why = why_not(&chaos, existing::process(pid)).await;
        let expected = match pid {
            1 => "under which everything runs",
            pid if pid == std::process::id() => "it is the test itself",
            _ => "under which the test runs",
        };
        says(&why, &[&format!("cannot be process {pid}"), expected]);
    }
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let why = why_not(&chaos, existing::listening_on(address)).await;
    says(&why, &["it is the test itself"]);
    let own = Program::new("redis-server")
        .args(["--port", "{port}", "--dir", "{dir}", "--save", ""])
        .listens(6379);
    let own = chaos.process("own", own).await.unwrap();
    let why = why_not(
        &chaos,
        existing::listening_on(own.first_address().to_string()),
    )
    .await;
    says(&why, &["it is the test itself"]);
    drop(chaos);
}

/// The engine itself, where it runs among the processes that we see.
#[tokio::test]
async fn nobody_breaks_the_engine() {
    let names = std::fs::read_dir("/proc").unwrap().flatten();
    let engine = names
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .find(|pid| {
            let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            name.trim() == "dockerd"
        });
    let Some(engine) = engine else {
        say("SKIPPED nobody_breaks_the_engine: it does not run here");
        return;
    };
    let chaos = ChaosContext::start().await.unwrap();
    let why = why_not(&chaos, existing::process(engine)).await;
    says(&why, &["it is `dockerd`, a part of the container engine"]);
    drop(chaos);
}

#[tokio::test]
async fn what_is_not_there_or_makes_no_sense_is_said() {
    let chaos = ChaosContext::start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("none.pid");
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = closed.local_addr().unwrap().to_string();
    drop(closed);
    let quick = |what: Existing| what.start_timeout(ms(50));
    for (what, expected) in [
        (
            existing::process(u32::MAX),
            "cannot be process 4294967295: there is none",
        ),
        (existing::pid_file(&missing), "none.pid: there is none"),
        (existing::listening_on(address.clone()), "there is none"),
        (existing::listening_on("5432"), "write a host and a port"),
        (existing::address("127.0.0.1:0"), "0 is no port"),
        (
            quick(existing::address(address)),
            "did not become ready within 50.0 ms",
        ),
        (
            existing::address("127.0.0.1:1").supervised(secs(1)),
            "leave `supervised` and `start_with` out",
        ),
        (
            existing::process(1).start_with(["no-such-program-here"]),
            "no-such-program-here",
        ),
    ] {
        let why = why_not(&chaos, what).await;
        says(&why, &["`orders-db`", expected]);
    }
    drop(chaos);
}

/// Nothing is found in a log that nobody writes, so it is not looked for.
#[tokio::test]
async fn what_prints_to_a_place_that_nobody_knows_is_not_read() {
    let chaos = ChaosContext::start().await.unwrap();
    let redis = Server::start();
    let address = redis.address.to_string();
    let log = redis.folder.path().join("log");
    let lines = [("opened", "open")];
    for (number, (what, is)) in [
        (existing::process(redis.redis_pid()), "a process"),
        (existing::address(&address), "an address"),
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("db-{number}");
        let db = chaos.existing(&name, what.clone()).await.unwrap();
        let refused: [Error; 4] = [
            db.log().unwrap_err(),
            db.log_from_now().unwrap_err(),
            db.last_lines(5).unwrap_err(),
            chaos
                .transitions_logged("breaker", &db, lines, ms(5))
                .unwrap_err(),
        ];
        for error in refused {
            let expected = format!("what service `{name}` prints is not known, because it is {is}");
            says(&error.to_string(), &[&expected, "with `.log(path)`"]);
        }
        // Whoever says where it is has it read, what is there from before included.
        std::fs::write(&log, "said before\n").unwrap();
        let named = format!("named-{number}");
        let db = chaos.existing(&named, what.log(&log)).await.unwrap();
        assert_eq!(db.last_lines(5).unwrap(), ["said before"]);
        let breaker = chaos.transitions_logged("breaker", &db, lines, ms(5));
        let breaker = breaker.unwrap();
        std::fs::write(&log, "said before\nit opened\n").unwrap();
        breaker.reaches("open").within(secs(30)).await.unwrap();
        let said = chaos.eventually("it opened", db.log().unwrap().contains("opened"));
        assert_eq!(said.await.unwrap(), "it opened");
    }
    drop(chaos);
}

#[test]
fn which_container_is_meant_must_be_clear() {
    let Some(run) = Run::new("which_container_is_meant_must_be_clear") else {
        return;
    };
    let app = foreign::name();
    let how = || How {
        labels: vec![("app", app.clone())],
        ..How::default()
    };
    let (one, other) = (Foreign::start(&run, how()), Foreign::start(&run, how()));
    let refused = |what: String, fault: &str| {
        let ended = breaks(run.id(), &what, fault, Folder::default()).run();
        assert!(!ended.status.success(), "{}", ended.output());
        assert!(ended.leftovers().is_empty(), "{}", ended.output());
        ended.output()
    };
    let pause = "container::pause";
    let output = refused(format!("label app {app}"), pause);
    says(&output, &["there are 2", &one.name, &other.name]);
    let output = refused(format!("container {app}-none"), pause);
    says(
        &output,
        &["there is none", &format!("{} (running)", one.name)],
    );
    // What is stopped or paused stays so.
    other.stop();
    let output = refused(format!("container {}", other.name), pause);
    says(&output, &["it is not running, and is left as it is"]);
    assert_eq!(other.state(), "exited");
    one.pause();
    let output = refused(format!("container {}", one.name), "container::kill");
    says(&output, &["it is paused, and is left as it is"]);
    assert_eq!(one.state(), "paused");
}

#[test]
fn what_could_not_be_had_again_is_not_ended() {
    let redis = Server::start();
    let pid = redis.redis_pid();
    let what = format!("process {pid}");
    for fault in [
        "process::kill",
        "process::restart",
        "process::hang_at_start",
    ] {
        let ended = breaks("existing", &what, fault, Folder::default()).run();
        assert!(!ended.status.success(), "{}", ended.output());
        let expected = match fault {
            "process::hang_at_start" => "nobody can hold it at its start",
            _ => "which the test did not start and could not start again",
        };
        says(&ended.output(), &[expected]);
        assert_eq!(redis.redis_pid(), pid);
        assert!(foreign::pongs(redis.address), "{fault}");
    }
    let Some(run) = Run::new("what_could_not_be_had_again_is_not_ended") else {
        return;
    };
    let how = How {
        goes_when_it_ends: true,
        ..How::default()
    };
    let db = Foreign::start(&run, how);
    let what = format!("container {}", db.name);
    for fault in ["container::kill", "container::stop", "container::restart"] {
        let ended = breaks(run.id(), &what, fault, Folder::default()).run();
        assert!(!ended.status.success(), "{}", ended.output());
        says(
            &ended.output(),
            &["which the engine removes as soon as it ends"],
        );
    }
    // Nor is its process hit behind the back of its engine.
    let pid = db.inspect().state.and_then(|state| state.pid).unwrap();
    if std::fs::read_to_string(format!("/proc/{pid}/cgroup")).is_ok_and(|it| it.contains(&db.id)) {
        let what = format!("process {pid}");
        let ended = breaks(run.id(), &what, "process::stop", Folder::default()).run();
        assert!(!ended.status.success(), "{}", ended.output());
        let words = format!("it runs in container {}", &db.id[..12]);
        says(&ended.output(), &[&words, "name the container"]);
    } else {
        say("SKIPPED: its engine counts its processes elsewhere");
    }
    assert!(db.answers());
}

#[chaos_test]
#[ignore = "another test runs it as a child"]
async fn it_names_nothing(chaos: &ChaosContext) -> chaos_test::Result {
    let db = chaos.existing("orders-db", described()).await?;
    let refused = chaos.inject(process::stop(&db)).await.unwrap_err();
    say(&format!("is_refused: {}", refused.is_refused()));
    let link = chaos.inject(chaos_test::link::down(&db)).await.unwrap_err();
    say(&format!("link is_refused: {}", link.is_refused()));
    Err(refused.into())
}

#[test]
fn what_the_test_does_not_name_is_not_touched() {
    let redis = Server::start();
    let ended = Rerun::of("existing::refused::it_names_nothing")
        .env("EXISTING", format!("process {}", redis.pid()))
        .run();
    let output = ended.output();
    says(
        &output,
        &[
            "is_refused: true",
            "link is_refused: true",
            "service `orders-db` is outside the blast radius",
            "`breaks(..)`, or with `chaos.may_break(..)`",
        ],
    );
    // It may just be at work.
    assert!(matches!(redis.state(), 'S' | 'R'), "{}", redis.state());
}
