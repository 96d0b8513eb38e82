//! Services with a supervisor of their own: who brings them back after a kill, and how long that
//! takes.

use chaos_test::prelude::*;
use chaos_test::testcontainers::ImageExt;
use chaos_test::testcontainers::bollard::models::{RestartPolicy, RestartPolicyNameEnum};
use chaos_test::{Container, Event, Journal, RestartedBy, container, log_line, process};
use chaos_test_fixtures::images;
use chaos_test_fixtures::rerun::{Folder, Rerun};

use crate::engine::Run;
use crate::existing::foreign::{Foreign, How, Server, pongs, until};
use crate::existing::inherited;
use crate::existing::{READY, breaks, inject, journal, orders_db};
use crate::subjects::say;
use crate::victims::come_in;

async fn redis_with(policy: Option<RestartPolicyNameEnum>) -> chaos_test::Result<Container> {
    let image = images::redis().await?;
    let image = image.with_host_config_modifier(move |host| {
        host.restart_policy = policy.map(|name| RestartPolicy {
            name: Some(name),
            maximum_retry_count: None,
        });
    });
    Ok(Container::new(image))
}

#[chaos_fixture]
async fn cache(chaos: &ChaosContext) -> chaos_test::Result<Service> {
    let redis = redis_with(Some(RestartPolicyNameEnum::ALWAYS)).await?;
    Ok(chaos.container("cache", redis.supervised(secs(30))).await?)
}

/// Waits for it as a body does.
async fn until_back(
    chaos: &ChaosContext,
    service: &Service,
) -> chaos_test::Result<chaos_test::Restarted> {
    let service = service.clone();
    let back = chaos
        .eventually("it is back", async move || service.restarted())
        .within(secs(30))
        .await?;
    Ok(back)
}

/// An engine brings its container back, again and again, and its links lead there.
#[chaos_test(requires(docker), breaks(cache))]
async fn an_engine_brings_its_container_back(
    chaos: &ChaosContext,
    cache: &Service,
) -> chaos_test::Result {
    let address = cache.address(6379).socket();
    for _ in 0..2 {
        assert!(
            cache
                .restarted()
                .is_none_or(|it| it.by() == RestartedBy::Supervisor)
        );
        let outage = chaos.inject(container::kill(cache)).await?;
        come_in(cache).await?;
        let back = until_back(chaos, cache).await?;
        assert_eq!(back.by(), RestartedBy::Supervisor);
        assert!(
            back.to_string()
                .starts_with("brought back by its own supervisor after")
        );
        assert!(pongs(address), "its links lead elsewhere");
        outage.lift().await?;
        assert!(pongs(address));
    }
    // What somebody stops on purpose, its engine does not bring back.
    let outage = chaos.inject(container::stop(cache)).await?;
    come_in(cache).await?;
    let began = std::time::Instant::now();
    outage.lift().await?;
    assert!(began.elapsed() < secs(25), "it waited for a supervisor");
    assert!(pongs(address));
    Ok(())
}

/// Lifting does not start what its supervisor starts in a moment.
#[chaos_test(requires(docker), breaks(cache))]
async fn lifting_waits_for_the_supervisor(
    chaos: &ChaosContext,
    cache: &Service,
) -> chaos_test::Result {
    let outage = chaos.inject(container::kill(cache)).await?;
    come_in(cache).await?;
    outage.lift().await?;
    let back = cache.restarted().map(|it| it.by());
    assert_eq!(back, Some(RestartedBy::Supervisor));
    assert!(pongs(cache.address(6379).socket()));
    Ok(())
}

#[chaos_test(requires(docker))]
#[ignore = "another test runs it as a child"]
async fn it_asks_for_what_contradicts_itself(chaos: &ChaosContext) -> chaos_test::Result {
    let always = redis_with(Some(RestartPolicyNameEnum::ALWAYS)).await?;
    let unsaid = chaos.container("unsaid", always).await.unwrap_err();
    say(&unsaid.to_string());
    let never = redis_with(None).await?.supervised(secs(1));
    let nobody = chaos.container("nobody", never).await.unwrap_err();
    say(&nobody.to_string());
    Ok(())
}

#[test]
fn a_restart_policy_and_a_supervisor_go_together() {
    let Some(run) = Run::new("a_restart_policy_and_a_supervisor_go_together") else {
        return;
    };
    let test = "supervised::it_asks_for_what_contradicts_itself";
    let ended = run.child(test, Folder::default()).run();
    let output = ended.output();
    for expected in [
        "`unsaid` asks the engine to restart it (`always`)",
        "with `.supervised(secs(10))`",
        "`nobody` is `.supervised(..)`, and has no restart policy",
    ] {
        assert!(
            output.contains(expected),
            "`{expected}` is not in:\n{output}"
        );
    }
    run.assert_nothing_left(&output);
}

/// Who brought it back, as a journal has it.
#[track_caller]
fn restarted(journal: &Journal) -> (RestartedBy, u64, u32) {
    let mut events = journal.records.iter().map(|record| &record.event);
    let found = events.find_map(|event| match event {
        Event::Restarted {
            by,
            after_us,
            pid,
            process,
            ..
        } => {
            assert!(process.as_ref().is_none_or(|it| it.pid == *pid));
            Some((*by, *after_us, *pid))
        }
        _ => None,
    });
    found.expect("nobody brought it back")
}

#[test]
fn an_existing_container_is_brought_back_by_its_engine_or_by_us() {
    let Some(run) = Run::new("an_existing_container_is_brought_back_by_its_engine_or_by_us") else {
        return;
    };
    for (restarts, within, by) in [
        (true, "30000", RestartedBy::Supervisor),
        (false, "300", RestartedBy::Undo),
    ] {
        let how = How {
            restarts,
            ..How::default()
        };
        let db = Foreign::start(&run, how);
        let before = db.looks();
        let what = format!("container {}", db.name);
        let child = breaks(run.id(), &what, "container::kill", Folder::default());
        let ended = child.env("EXISTING_SUPERVISED", within).run();
        assert!(ended.status.success(), "{}", ended.output());
        assert_eq!(db.looks(), before);
        assert!(db.answers());
        let (who, after, pid) = restarted(&journal(&ended, run.id()));
        assert_eq!(who, by, "{}", ended.output());
        assert!(after > 0 && pid > 0);
        if by == RestartedBy::Undo {
            assert!(after >= 300_000, "{after}");
        }
    }
}

#[test]
fn an_existing_process_is_brought_back_by_its_loop_or_by_us() {
    for (holds, within, by) in [
        (false, "30000", RestartedBy::Supervisor),
        (true, "300", RestartedBy::Undo),
    ] {
        let redis = Server::in_a_loop();
        if holds {
            redis.hold();
        }
        let before = redis.redis_pid();
        for what in [
            format!("listening_on {}", redis.address),
            format!("pid_file {}", redis.pid_file().display()),
        ] {
            let child = breaks("supervised", &what, "process::kill", Folder::default());
            let child = child.env("EXISTING_SUPERVISED", within);
            let ended = child.env("EXISTING_START", redis.command()).run();
            assert!(ended.status.success(), "{}", ended.output());
            assert!(pongs(redis.address));
            let (who, _, pid) = restarted(&journal(&ended, "supervised"));
            assert_eq!(who, by, "{what}: {}", ended.output());
            assert_eq!(pid, redis.redis_pid());
            assert_ne!(pid, before);
            let timeline = ended.junit();
            let words = match by {
                RestartedBy::Supervisor => "orders-db brought back by its own supervisor after",
                _ => "orders-db still dead, and started again by us after",
            };
            assert!(timeline.contains(words), "{timeline}");
        }
    }
}

#[test]
fn a_restart_of_a_supervised_process_is_its_supervisors() {
    let redis = Server::in_a_loop();
    let before = redis.redis_pid();
    let what = format!("listening_on {}", redis.address);
    let child = breaks("supervised", &what, "process::restart", Folder::default());
    let ended = child.env("EXISTING_SUPERVISED", "30000").run();
    assert!(ended.status.success(), "{}", ended.output());
    assert!(pongs(redis.address));
    assert_ne!(redis.redis_pid(), before);
}

/// Nobody brings it back, and nobody knows what starts it.
#[test]
fn what_stays_dead_is_told() {
    let redis = Server::in_a_loop();
    redis.hold();
    let what = format!("listening_on {}", redis.address);
    let child = breaks("supervised", &what, "process::kill", Folder::default());
    let ended = child.env("EXISTING_SUPERVISED", "200").run();
    let output = ended.output();
    assert!(!ended.status.success(), "{output}");
    assert!(output.contains("its supervisor had 200 ms"), "{output}");
    assert!(output.contains("is still dead"), "{output}");
    assert_eq!(ended.leftovers().len(), 1, "{output}");
    // The next run waits again, and finds it back.
    std::fs::remove_file(redis.folder.path().join("hold")).unwrap();
    until("its loop goes on", || pongs(redis.address));
    let next = Rerun::within("subjects::it_skips_itself", ended.folder)
        .env_remove("CHAOS_REQUIRE")
        .run();
    assert!(next.leftovers().is_empty(), "{}", next.output());
}

#[chaos_test(breaks(orders_db))]
#[ignore = "another test runs it as a child"]
async fn it_is_killed_while_its_service_is_dead(
    chaos: &ChaosContext,
    orders_db: &Service,
) -> chaos_test::Result {
    let _outage = inject(chaos, orders_db).await?;
    say(READY);
    std::future::pending::<()>().await;
    Ok(())
}

#[test]
fn a_killed_test_leaves_it_to_the_supervisor_first() {
    let redis = Server::in_a_loop();
    redis.hold();
    let child = |folder: Folder, within: &str| {
        Rerun::within("supervised::it_is_killed_while_its_service_is_dead", folder)
            .unwatched()
            .env("EXISTING", format!("listening_on {}", redis.address))
            .env("EXISTING_FAULT", "process::kill")
            .env("EXISTING_SUPERVISED", within)
            .env("EXISTING_START", redis.command())
    };
    let sweep = |folder: Folder| {
        let next = Rerun::within("subjects::it_skips_itself", folder);
        next.env_remove("CHAOS_REQUIRE").start()
    };
    // Its loop goes on in time, and it is the loop's.
    let mut killed = child(Folder::default(), "60000").start();
    killed.until_printed(READY);
    let next = sweep(killed.kill().folder);
    std::fs::remove_file(redis.folder.path().join("hold")).unwrap();
    let ended = next.wait();
    assert!(ended.leftovers().is_empty(), "{}", ended.output());
    let parent = |pid: u32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        let (_, fields) = stat.rsplit_once(')').unwrap();
        fields
            .split_whitespace()
            .nth(1)
            .unwrap()
            .parse::<u32>()
            .unwrap()
    };
    until("its loop has it", || {
        parent(redis.redis_pid()) == redis.pid()
    });
    // It does not, and it is ours.
    redis.hold();
    let mut killed = child(Folder::default(), "200").start();
    killed.until_printed(READY);
    let ended = sweep(killed.kill().folder).wait();
    assert!(ended.leftovers().is_empty(), "{}", ended.output());
    assert!(pongs(redis.address));
    assert_ne!(parent(redis.redis_pid()), redis.pid());
}

/// A loop of a shell, and a Redis in it, which it starts so many times.
fn looping(times: u32) -> Program {
    let script = "while [ $TIMES -gt 0 ]; do TIMES=$((TIMES - 1)); \
                  redis-server --port $PORT --bind 127.0.0.1 --dir $HERE --save ''; done; sleep 999";
    Program::new("sh")
        .args(["-c", script])
        .env("HERE", "{dir}")
        .env("TIMES", times.to_string())
}

#[chaos_fixture]
async fn looped(chaos: &ChaosContext) -> chaos_test::Result<Service> {
    Ok(chaos
        .process("looped", looping(99).supervised(secs(30)))
        .await?)
}

#[chaos_fixture]
async fn given_up(chaos: &ChaosContext) -> chaos_test::Result<Service> {
    Ok(chaos
        .process("given-up", looping(1).supervised(ms(300)))
        .await?)
}

/// A supervisor that gives up is started anew, with its service.
#[chaos_test(requires(program("redis-server")), breaks(given_up))]
async fn a_supervisor_that_gives_up_is_started_anew(
    chaos: &ChaosContext,
    given_up: &Service,
) -> chaos_test::Result {
    let outage = chaos.inject(process::kill(given_up)).await?;
    come_in(given_up).await?;
    assert!(given_up.restarted().is_none());
    outage.lift().await?;
    let back = given_up.restarted().expect("it is back");
    assert_eq!(back.by(), RestartedBy::Undo);
    assert!(back.after() >= ms(300), "{back}");
    assert!(
        back.to_string()
            .contains("which had 300 ms: we started it again"),
        "{back}"
    );
    assert!(pongs(given_up.first_address().socket()));
    Ok(())
}

/// Who listens on the port has to be somebody else than who brings it back.
#[tokio::test]
async fn a_program_that_is_no_supervisor_is_refused() {
    let chaos = ChaosContext::start().await.unwrap();
    let redis = Program::new("redis-server")
        .args(["--port", "{port}", "--dir", "{dir}", "--save", ""])
        .supervised(secs(1));
    let error = chaos.process("alone", redis).await.unwrap_err().to_string();
    assert!(
        error.contains("is itself what listens on its port"),
        "{error}"
    );
    let silent = Program::new("sleep").arg("77").without_port();
    let silent = silent.supervised(secs(1));
    let error = chaos.process("silent", silent).await.unwrap_err();
    let error = error.to_string();
    assert!(error.contains("listens on no port"), "{error}");
    drop(chaos);
}

/// A kill ends what the supervisor brings back, and not the supervisor.
#[chaos_test(requires(program("redis-server")), breaks(looped))]
async fn a_program_that_is_a_supervisor_brings_its_service_back(
    chaos: &ChaosContext,
    looped: &Service,
) -> chaos_test::Result {
    for _ in 0..2 {
        let outage = chaos.inject(process::kill(looped)).await?;
        come_in(looped).await?;
        let back = until_back(chaos, looped).await?;
        assert_eq!(back.by(), RestartedBy::Supervisor);
        assert!(pongs(looped.first_address().socket()));
        outage.lift().await?;
    }
    // All of it stops and goes on.
    let hang = chaos.inject(process::stop(looped)).await?;
    come_in(looped).await?;
    assert!(!pongs(looped.first_address().socket()));
    hang.lift().await?;
    assert!(pongs(looped.first_address().socket()));
    let restart = chaos.inject(process::restart(looped)).await?;
    come_in(looped).await?;
    restart.lift().await?;
    assert!(pongs(looped.first_address().socket()));
    Ok(())
}

/// A Redis in a loop of a shell, whose second one listens and ends without ever being ready.
#[chaos_fixture]
async fn crashing(chaos: &ChaosContext) -> chaos_test::Result<Service> {
    let script = "redis() { redis-server --port $PORT --bind 127.0.0.1 --dir $HERE --save '' $@; }; \
                  redis; timeout -s KILL 0.7 redis-server --port $PORT --bind 127.0.0.1 \
                  --dir $HERE --save '' --loglevel warning; while :; do redis; done";
    let program = Program::new("sh")
        .args(["-c", script])
        .env("HERE", "{dir}")
        .ready(log_line("Ready to accept connections"))
        .supervised(secs(30));
    Ok(chaos.process("crashing", program).await?)
}

/// What ends before it is ready is not back: the next one may be.
#[chaos_test(requires(program("redis-server")), breaks(crashing))]
async fn a_successor_that_crashes_is_waited_past(
    chaos: &ChaosContext,
    crashing: &Service,
) -> chaos_test::Result {
    let outage = chaos.inject(process::kill(crashing)).await?;
    come_in(crashing).await?;
    let back = until_back(chaos, crashing).await?;
    assert_eq!(back.by(), RestartedBy::Supervisor, "{back}");
    assert!(back.after() >= ms(700), "{back}");
    // The first one and the third, and it is the third that is written down.
    let ready = "Ready to accept connections";
    let lines = crashing.last_lines(200)?;
    let ready = lines.iter().filter(|line| line.contains(ready)).count();
    assert_eq!(ready, 2, "{lines:#?}");
    outage.lift().await?;
    assert!(pongs(crashing.first_address().socket()));
    Ok(())
}

/// A server in a loop of a shell, with a worker that has its socket.
#[chaos_fixture]
async fn with_a_worker(chaos: &ChaosContext) -> chaos_test::Result<Service> {
    let folder = std::env::temp_dir();
    let served = inherited::serves(0, &folder);
    let again = r#"export INHERITED_PORT=$PORT INHERITED_FOLDER=$HERE; while :; do "$@"; done"#;
    let program = Program::new("sh").args(["-c", again, "sh"]);
    let words = std::iter::once(served.get_program()).chain(served.get_args());
    let program = words.fold(program, |program, word| {
        program.arg(word.to_str().expect("it is text"))
    });
    let program = program.env("HERE", "{dir}").grace(ms(100));
    let program = program.supervised(secs(30));
    Ok(chaos.process("with-a-worker", program).await?)
}

/// A kill ends the worker, too; one that outlives its master is no successor, and is ended
/// before its supervisor is waited for.
#[chaos_test(timeout = "120s", breaks(with_a_worker))]
async fn a_worker_with_its_socket_is_no_successor(
    chaos: &ChaosContext,
    with_a_worker: &Service,
) -> chaos_test::Result {
    let address = with_a_worker.first_address().socket();
    let outage = chaos.inject(process::kill(with_a_worker)).await?;
    come_in(with_a_worker).await?;
    let back = until_back(chaos, with_a_worker).await?;
    assert_eq!(back.by(), RestartedBy::Supervisor);
    assert!(pongs(address));
    outage.lift().await?;

    let left = process::kill(with_a_worker).with(Signal::Term);
    let error = chaos.inject(left).await.unwrap_err().to_string();
    assert!(error.contains("its process is still there"), "{error}");
    let back = with_a_worker.restarted().expect("it was put back");
    assert_eq!(back.by(), RestartedBy::Supervisor);
    assert!(
        pongs(address),
        "a worker that answers nobody was taken for it"
    );
    Ok(())
}
