//! Engines that are not there, are too old, are reached by TCP, or stop answering in the
//! middle.

use std::borrow::Cow;

use chaos_test::prelude::*;
use chaos_test::testcontainers::core::WaitFor;
use chaos_test::testcontainers::{GenericImage, Image};
use chaos_test::{Container, container};
use chaos_test_fixtures::images;
use chaos_test_fixtures::rerun::{Ended, Folder, Rerun};

use super::forwarder::{Forwarder, old_engine, order};
use super::{containers, is_felt, left_on_engine, meets, path, run_as, says, works};
use crate::bad_input::nothing_left;
use crate::victims::{inventory, processes_with};

/// Checks that a child skips for want of an engine and says why, and fails where it may not
/// skip.
fn skips(host: &str, reason: &str) {
    for subject in ["engine::it_needs_docker", "engine::it_needs_docker_later"] {
        let child = || Rerun::of(&path(subject)).env("DOCKER_HOST", host);
        let ended = child().env_remove("CHAOS_REQUIRE").run();
        assert!(ended.status.success(), "{}", ended.output());
        let reason = format!("no container engine answers ({reason}");
        says(ended.output(), &["SKIPPED", &reason, "1 skipped"]);
        assert!(ended.junit().contains("<skipped"), "{}", ended.junit());
        nothing_left(&ended);

        let ended = child().env("CHAOS_REQUIRE", "docker").run();
        assert!(!ended.status.success(), "{}", ended.output());
        says(
            ended.output(),
            &["it may not be skipped (CHAOS_REQUIRE)", &reason],
        );
        nothing_left(&ended);
    }
}

subject!(it_needs_docker(chaos: &ChaosContext) { works(chaos, "redis").await });

#[chaos_test]
#[ignore = "another test runs it as a child"]
async fn it_needs_docker_later(chaos: &ChaosContext) -> chaos_test::Result {
    let image = chaos_test::testcontainers::GenericImage::new("redis", "7");
    chaos.container("redis", image).await?;
    Ok(())
}

#[test]
fn without_an_engine_a_test_is_skipped_and_says_why() {
    skips("unix:///no/such.sock", "there is no socket /no/such.sock");
    skips("tcp://127.0.0.1:1", "tcp://127.0.0.1:1: ");
    skips(
        "nonsense",
        "DOCKER_HOST is `nonsense`; write unix:///path or tcp://host:port",
    );
    skips(
        "ssh://somewhere",
        "DOCKER_HOST is `ssh://somewhere`; only unix://, tcp://, http:// and https:// are \
         understood",
    );
}

#[test]
fn an_engine_that_is_too_old_says_so() {
    let url = format!("tcp://{}", old_engine());
    let reason =
        format!("the engine at {url} speaks version 1.40 of the API, and at least 1.41 is needed");
    skips(&url, &reason);
}

#[test]
fn an_engine_that_never_answers_says_so() {
    let forwarder = Forwarder::start();
    forwarder.obey("silent");
    let subject = path("engine::it_needs_docker");
    let child = behind(&forwarder, &subject, Folder::default());
    let ended = child.env_remove("CHAOS_REQUIRE").run();
    assert!(ended.status.success(), "{}", ended.output());
    let [(_, host), _] = forwarder.environment();
    let reason = format!("no container engine answers ({host} did not answer within 10 s)");
    says(ended.output(), &["SKIPPED", &reason, "1 skipped"]);
    nothing_left(&ended);
}

fn behind(forwarder: &Forwarder, subject: &str, folder: Folder) -> Rerun {
    let child = Rerun::within(subject, folder);
    let environment = forwarder.environment().into_iter();
    environment.fold(child, |child, (name, value)| child.env(name, value))
}

/// Runs a subject behind a forwarder; it must pass, and leave nothing.
fn passes_behind_a_forwarder(subject: &str) -> Option<Ended> {
    let forwarder = Forwarder::start();
    let ended = run_as(behind(&forwarder, subject, Folder::default()))?;
    assert!(ended.status.success(), "{}", ended.output());
    nothing_left(&ended);
    Some(ended)
}

#[test]
fn an_engine_is_reached_by_tcp() {
    passes_behind_a_forwarder("containers::a_restarted_container_is_the_same_one");
}

#[test]
fn an_engine_that_is_silent_for_seconds_is_waited_for() {
    passes_behind_a_forwarder(&path("engine::it_pauses"));
}

/// Silent for a while, and then there again.
fn pause_of_the_engine() {
    order("silent");
    std::thread::spawn(|| {
        std::thread::sleep(secs(2));
        order("open");
    });
}

subject!(it_pauses(chaos: &ChaosContext) {
    let image = images::redis().await?;
    pause_of_the_engine();
    let redis = chaos.container("redis", image).await?;
    pause_of_the_engine();
    let hang = chaos.inject(container::pause(&redis)).await?;
    meets(&redis).await;
    pause_of_the_engine();
    hang.lift().await?;
    is_felt(chaos, &redis).await?;
    pause_of_the_engine();
    Ok(())
});

#[test]
fn an_engine_that_falls_silent_in_a_start_is_told_of_and_the_next_start_works() {
    passes_behind_a_forwarder(&path("engine::silent_in_a_start"));
}

subject!(#[timeout = "120s"] silent_in_a_start(chaos: &ChaosContext) {
    let image = images::redis().await?;
    order("/attach?");
    let error = chaos.container("redis", image).await.unwrap_err();
    says(&error, &[
        "service `redis` could not be started: the container engine did not answer within 10 s: \
         taking hold of its output",
        "help: nor could it be removed (the container engine did not answer within 10 s: \
         looking for the container); the end of the test tries again, and `docker --host tcp://",
        " rm --force --volumes chaos-",
    ]);
    order("open");
    works(chaos, "another").await?;
    assert_eq!(containers().await.len(), 2, "the first one is removed at the end");
    Ok(())
});

#[test]
fn an_engine_that_falls_silent_in_an_injection_is_told_of_and_it_is_put_back() {
    let subject = path("engine::silent_in_an_injection");
    passes_behind_a_forwarder(&subject);
}

subject!(#[timeout = "120s"] silent_in_an_injection(chaos: &ChaosContext) {
    let redis = Container::new(images::redis().await?);
    let redis = chaos.container("redis", redis).await?;
    order("/pause");
    let error = chaos.inject(container::pause(&redis)).await.map(drop).unwrap_err();
    says(&error, &[
        "pause container redis could not be injected: service `redis`: the container engine did \
         not answer within 8 s: pausing the container",
        "help: nor could it be put back: ",
    ]);
    order("silent");
    let error = chaos.inject(container::kill(&redis)).await.map(drop).unwrap_err();
    says(&error, &[
        "kill container redis could not be prepared: ",
        "the container engine did not answer within 8 s: looking at the container",
    ]);
    // Now the engine gets what it was asked for, too late.
    order("open");
    works(chaos, "another").await
});

/// Whatever the engine makes after its client was killed is removed, by the run after it was
/// made.
fn made_after_the_kill(request: &str) {
    let forwarder = Forwarder::start();
    forwarder.obey(&format!("hold {request}"));
    let child = behind(&forwarder, &path("engine::it_lasts"), Folder::default());
    let mut child = child.unwatched().start();
    if child.prints_before("SKIPPED", "ready to be killed") {
        return;
    }
    forwarder.until_held();
    let pid = child.pid();
    let mut folder = child.kill().folder;
    let mut next = || {
        let subject = path("engine::it_needs_docker");
        let ended = behind(&forwarder, &subject, std::mem::take(&mut folder)).run();
        assert!(ended.status.success(), "{}", ended.output());
        let (output, journals) = (ended.output(), ended.leftovers());
        folder = ended.folder;
        (output, journals)
    };
    let (output, journals) = next();
    says(
        &output,
        &["may still make it, so runs within 90 s look again:\n  "],
    );
    assert_eq!(journals.len(), 1, "{journals:?}\n{output}");
    let before = left_on_engine(pid);
    forwarder.obey("release");
    let end = std::time::Instant::now() + secs(60);
    while left_on_engine(pid) == before {
        assert!(std::time::Instant::now() < end, "the engine never made it");
        std::thread::sleep(ms(20));
    }
    let (output, journals) = next();
    says(&output, &["1 undo step was performed now\n"]);
    assert_eq!(left_on_engine(pid), Vec::<String>::new(), "{output}");
    assert!(journals.is_empty(), "{journals:?}\n{output}");
}

subject!(it_lasts(chaos: &ChaosContext) {
    let image = images::redis().await?;
    crate::subjects::say("ready to be killed");
    chaos.container("redis", image).await?;
    std::future::pending::<()>().await;
    Ok(())
});

/// The watchdog needs no other run for that.
#[test]
fn a_watchdog_stays_for_what_the_engine_makes_after_the_kill() {
    let forwarder = Forwarder::start();
    forwarder.obey("hold /containers/create");
    let mut child = behind(&forwarder, &path("engine::it_lasts"), Folder::default()).start();
    if child.prints_before("SKIPPED", "ready to be killed") {
        return;
    }
    forwarder.until_held();
    let pid = child.pid();
    let (ended, _) = child.kill_itself();
    let network = left_on_engine(pid);
    assert_eq!(network.len(), 1, "{network:?}");
    forwarder.obey("release");
    watched_over(&ended, pid);
}

/// An engine that answers nothing for a while, as one that is being restarted, is asked again.
#[test]
fn a_watchdog_asks_a_silent_engine_again() {
    let forwarder = Forwarder::start();
    let child = behind(&forwarder, &path("engine::it_runs"), Folder::default());
    let mut child = child.start();
    if child.prints_before("SKIPPED", "ready to be killed") {
        return;
    }
    let pid = child.pid();
    assert_eq!(left_on_engine(pid).len(), 2);
    forwarder.obey("silent");
    let (ended, _) = child.kill_itself();
    // Until it has failed once, and its step stands in the journal as failed.
    let journals = ended.folder.state().join("journals");
    let failed = |path: &std::path::PathBuf| {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        text.contains("\"event\":\"undo_failed\"")
    };
    let end = std::time::Instant::now() + secs(100);
    while !Folder::files(&journals).iter().any(failed) {
        assert!(std::time::Instant::now() < end, "it never failed");
        std::thread::sleep(ms(50));
    }
    assert_eq!(left_on_engine(pid).len(), 2);
    forwarder.obey("open");
    watched_over(&ended, pid);
}

/// Nothing is left once the watchdog has ended.
#[track_caller]
fn watched_over(ended: &Ended, pid: u32) {
    let end = std::time::Instant::now() + secs(170);
    while !ended.folder.watchdogs().is_empty() {
        assert!(std::time::Instant::now() < end, "its watchdog does not end");
        std::thread::sleep(ms(20));
    }
    assert_eq!(left_on_engine(pid), Vec::<String>::new());
    nothing_left(ended);
}

subject!(it_runs(chaos: &ChaosContext) {
    works(chaos, "redis").await?;
    crate::subjects::say("ready to be killed");
    std::future::pending::<()>().await;
    Ok(())
});

#[test]
fn a_container_that_is_made_after_the_kill_is_removed() {
    made_after_the_kill("/containers/create");
}

#[test]
fn a_network_that_is_made_after_the_kill_is_removed() {
    made_after_the_kill("/networks/create");
}

#[test]
fn an_engine_that_is_silent_in_the_rollback_is_told_of_and_the_next_run_puts_back() {
    let forwarder = Forwarder::start();
    let subject = path("engine::silent_in_the_rollback");
    let child = behind(&forwarder, &subject, Folder::default());
    let child = child.unwatched().start();
    let pid = child.pid();
    let ended = child.wait();
    if ended.output().contains("SKIPPED") {
        return;
    }
    assert!(!ended.status.success(), "{}", ended.output());
    let left = left_on_engine(pid);
    let [container, network] = left.as_slice() else {
        panic!("{left:?}\n{}", ended.output());
    };
    let [(_, host), _] = forwarder.environment();
    let container = container.trim_start_matches('/');
    says(
        ended.output(),
        &[
            "the container engine did not answer within 10 s: looking for the container",
            &format!("docker --host {host} rm --force --volumes {container}"),
            "the container engine did not answer within 10 s: looking for the network",
            &format!("docker --host {host} network rm {network}"),
        ],
    );
    // Everything else was put back.
    let reports = ended.folder.reports();
    assert_eq!(
        processes_with(&reports.to_string_lossy()),
        Vec::<u32>::new()
    );

    forwarder.obey("open");
    let subject = path("engine::it_needs_docker");
    let next = behind(&forwarder, &subject, ended.folder).run();
    assert!(next.status.success(), "{}", next.output());
    says(
        next.output(),
        &[
            "an earlier run could not put everything back in",
            "2 undo steps were performed now\n",
        ],
    );
    assert_eq!(left_on_engine(pid), Vec::<String>::new());
    nothing_left(&next);
}

subject!(silent_in_the_rollback(chaos: &ChaosContext, inventory: &Service) {
    let _ = inventory;
    works(chaos, "redis").await?;
    order("silent");
    Ok(())
});

#[test]
fn an_engine_that_falls_silent_in_a_wait_is_what_is_named() {
    passes_behind_a_forwarder(&path("engine::silent_in_a_wait"));
}

/// An image of one's own, which may have commands to be run in its container: for those
/// testcontainers looks for it.
#[derive(Debug)]
struct Own(GenericImage);

impl Image for Own {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn tag(&self) -> &str {
        self.0.tag()
    }

    fn ready_conditions(&self) -> Vec<WaitFor> {
        vec![WaitFor::message_on_stdout("never")]
    }

    fn entrypoint(&self) -> Option<&str> {
        Some("sleep")
    }

    fn cmd(&self) -> impl IntoIterator<Item = impl Into<Cow<'_, str>>> {
        ["600"]
    }
}

subject!(#[timeout = "120s"] silent_in_a_wait(chaos: &ChaosContext) {
    let never = Own(images::redis().await?);
    // What it is asked for once the container runs.
    order("%22name%22");
    let never = Container::new(never).start_timeout(secs(2));
    let error = chaos.container("redis", never).await.unwrap_err();
    says(&error, &[
        "service `redis` did not become ready within 2 s (waiting for it to print `never`): the \
         container engine did not answer within 8 s: looking at the container",
        " rm --force --volumes chaos-",
    ]);
    order("open");
    works(chaos, "another").await
});

#[test]
fn connections_to_the_engine_that_break_are_no_end_of_a_container() {
    let subject = path("engine::it_is_cut_off");
    let Some(ended) = passes_behind_a_forwarder(&subject) else {
        return;
    };
    let journal = ended.journals().concat();
    assert!(!journal.contains("service_died"), "{journal}");
}

subject!(it_is_cut_off(chaos: &ChaosContext) {
    let redis = chaos.container("redis", images::redis().await?).await?;
    order("cut");
    tokio::time::sleep(ms(300)).await;
    // Its links still lead there, and its end is still seen.
    is_felt(chaos, &redis).await?;
    let outage = chaos.inject(container::kill(&redis)).await?;
    meets(&redis).await;
    outage.lift().await?;
    is_felt(chaos, &redis).await
});

#[test]
fn an_engine_that_falls_silent_over_a_network_is_told_of_and_the_next_attempt_works() {
    passes_behind_a_forwarder(&path("engine::silent_over_a_network"));
}

subject!(#[timeout = "120s"] silent_over_a_network(chaos: &ChaosContext) {
    let image = images::redis().await?;
    order("/networks/create");
    let error = chaos.container("redis", image).await.unwrap_err();
    says(&error, &[
        "service `redis` has no network: the container engine did not answer within 30 s: making \
         the network",
        "help: `docker network ls` shows whether network chaos-",
    ]);
    // Now the engine makes one that nobody waits for, and is asked for another.
    order("open");
    works(chaos, "redis").await
});
