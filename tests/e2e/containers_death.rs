//! Containers of tests that are killed, or end in other bad ways: nothing of them is left.

use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, Instant};

use chaos_test::prelude::*;
use chaos_test::testcontainers::ImageExt;
use chaos_test::testcontainers::bollard::models::{ContainerCreateBody, NetworkCreateRequest};
use chaos_test::testcontainers::bollard::query_parameters::{
    CreateContainerOptionsBuilder, RemoveContainerOptions,
};
use chaos_test::{Event, Journal, Pending, Record, Undo, container};
use chaos_test_fixtures::images;
use chaos_test_fixtures::rerun::{Ended, Folder, Started};

use crate::engine::{Run, anonymous_volume, name_of};
use crate::subjects::say;

/// What a child says when the time has come.
pub const READY: &str = "ready to be killed";
const LABELS: [&str; 8] = [
    "chaos-test.run",
    "chaos-test.test",
    "chaos-test.pid",
    "chaos-test.start-time",
    "chaos-test.boot",
    "chaos-test.pid-namespace",
    "chaos-test.expires",
    "chaos-test.token",
];

/// Redis with an anonymous volume.
pub async fn cache(chaos: &ChaosContext, name: &str) -> chaos_test::Result<Service> {
    let image = images::redis().await?;
    let image = image.with_host_config_modifier(|host| {
        host.mounts = Some(vec![anonymous_volume()]);
    });
    Ok(chaos.container(name, image).await?)
}

async fn wait_to_be_killed() {
    say(READY);
    std::future::pending::<()>().await;
}

#[chaos_test(requires(docker))]
#[ignore = "another test runs it as a child"]
async fn it_has_a_container(chaos: &ChaosContext) -> chaos_test::Result {
    cache(chaos, "cache").await?;
    wait_to_be_killed().await;
    Ok(())
}

#[chaos_test(requires(docker))]
#[ignore = "another test runs it as a child"]
async fn it_has_a_paused_container(chaos: &ChaosContext) -> chaos_test::Result {
    let cache = cache(chaos, "cache").await?;
    let _pause = chaos.inject(container::pause(&cache)).await?;
    wait_to_be_killed().await;
    Ok(())
}

#[chaos_test(requires(docker))]
#[ignore = "another test runs it as a child"]
async fn its_rollback_waits(chaos: &ChaosContext) -> chaos_test::Result {
    cache(chaos, "early").await?;
    cache(chaos, "middle").await?;
    chaos.at_rollback("wait", || async {
        wait_to_be_killed().await;
        Ok::<_, TestError>(())
    })?;
    cache(chaos, "late").await?;
    Ok(())
}

#[chaos_test(requires(docker))]
#[ignore = "another test runs it as a child"]
async fn it_ends_with_containers(chaos: &ChaosContext) -> chaos_test::Result {
    for name in ["a", "b", "c"] {
        cache(chaos, name).await?;
    }
    say(READY);
    Ok(())
}

#[chaos_test(requires(docker))]
#[ignore = "another test runs it as a child"]
async fn it_exits_with_a_container(chaos: &ChaosContext) -> chaos_test::Result {
    cache(chaos, "cache").await?;
    std::process::exit(0);
}

#[chaos_test(requires(docker))]
#[ignore = "another test runs it as a child"]
async fn it_panics_with_a_container(chaos: &ChaosContext) -> chaos_test::Result {
    let cache = cache(chaos, "cache").await?;
    let _pause = chaos.inject(container::pause(&cache)).await?;
    panic!("the body fell over");
}

#[chaos_fixture]
async fn ready_cache(chaos: &ChaosContext) -> chaos_test::Result<Service> {
    cache(chaos, "cache").await
}

#[chaos_test(requires(docker), timeout = "200ms", breaks(ready_cache))]
#[ignore = "another test runs it as a child"]
async fn it_takes_too_long_with_a_container(
    chaos: &ChaosContext,
    ready_cache: &Service,
) -> chaos_test::Result {
    let _pause = chaos.inject(container::pause(ready_cache)).await?;
    std::future::pending::<()>().await;
    Ok(())
}

#[chaos_fixture]
async fn half_made(chaos: &ChaosContext) -> chaos_test::Result<u32> {
    cache(chaos, "cache").await?;
    Ok("no number".parse()?)
}

#[chaos_test(requires(docker))]
#[ignore = "another test runs it as a child"]
async fn its_fixture_fails_with_a_container(
    _chaos: &ChaosContext,
    half_made: &u32,
) -> chaos_test::Result {
    let _ = half_made;
    Ok(())
}

fn subject(name: &str) -> String {
    format!("containers_death::{name}")
}

/// A child that has come to where it waits.
fn waiting(run: &Run, name: &str, folder: Folder) -> Started {
    let mut child = run.child(&subject(name), folder).start();
    child.until_printed(READY);
    child
}

/// Whether this is what a kill in the middle of making a journal leaves: nothing was done, and
/// it goes after a minute.
fn is_unborn(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().starts_with(".new-")
}

/// Whether a journal holds nothing any more but what the engine was asked for and never said
/// to have made.
pub fn only_awaits(path: &Path) -> bool {
    let awaited = |step: &Pending| {
        let engine_makes = matches!(
            step.undo,
            Undo::RemoveContainer { .. } | Undo::RemoveNetwork { .. }
        );
        engine_makes && !step.made
    };
    let text = std::fs::read_to_string(path).unwrap_or_default();
    Journal::read(&text).is_ok_and(|journal| {
        let pending = journal.pending();
        !pending.is_empty() && pending.iter().all(awaited)
    })
}

/// The next run sweeps, and leaves nothing.
fn assert_swept(run: &Run, folder: Folder) -> Ended {
    let ended = run.sweep(folder).run();
    assert!(ended.status.success(), "{}", ended.output());
    run.assert_nothing_left(&ended.output());
    // What the engine was asked for at the very end is looked for again: it may come late.
    let mut left = ended.leftovers();
    left.retain(|path| !only_awaits(path) && !is_unborn(path));
    assert!(left.is_empty(), "{left:?}\n{}", ended.output());
    ended
}

/// Moves the journals of several dead runs to one place, where one sweep finds all of them.
fn gather(folders: &[Folder], into: &Path) {
    for folder in folders {
        for journal in Folder::files(&folder.state().join("journals")) {
            let name = journal.file_name().unwrap();
            std::fs::rename(&journal, into.join("journals").join(name)).unwrap();
        }
    }
}

/// Kills `count` children, four at a time, each when `until` says so of its number; one
/// sweep follows.
fn kill_many(run: &Run, name: &str, count: u64, until: impl Fn(u64, &mut Started) + Sync) {
    let test = subject(name);
    let mut children: Vec<_> = (0..count)
        .map(|number| (number, run.child(&test, Folder::default())))
        .collect();
    let until = &until;
    let folders: Vec<Folder> = std::thread::scope(|scope| {
        let mut lanes = Vec::new();
        for left in (1..=4).rev() {
            let lane = children.split_off(children.len() - children.len() / left);
            lanes.push(scope.spawn(move || -> Vec<Folder> {
                let killed = lane.into_iter().map(|(number, child)| {
                    let mut child = child.start();
                    until(number, &mut child);
                    child.kill().folder
                });
                killed.collect()
            }));
        }
        let killed = lanes.into_iter().flat_map(|lane| lane.join().unwrap());
        killed.collect()
    });
    let last = waiting(run, "it_has_a_container", Folder::default());
    let last = last.kill().folder;
    gather(&folders, &last.state());
    assert!(!run.left().is_empty());
    assert_swept(run, last);
}

#[test]
fn a_kill_at_any_instant_of_a_start_leaves_nothing() {
    let Some(run) = Run::new("a_kill_at_any_instant_of_a_start_leaves_nothing") else {
        return;
    };
    kill_many(&run, "it_has_a_container", 20, |number, child| {
        // The instants themselves are what is tried, so this waits for a time.
        let instant = number * 100 + u64::from(child.pid()) % 100;
        std::thread::sleep(Duration::from_millis(instant));
    });
}

#[test]
fn a_kill_at_any_instant_of_a_rollback_leaves_nothing() {
    let Some(run) = Run::new("a_kill_at_any_instant_of_a_rollback_leaves_nothing") else {
        return;
    };
    kill_many(&run, "it_ends_with_containers", 8, |number, child| {
        child.until_printed(READY);
        std::thread::sleep(Duration::from_millis(number * 50));
    });
}

#[test]
fn a_kill_in_the_middle_of_a_rollback_leaves_what_the_next_run_removes() {
    let Some(run) = Run::new("a_kill_in_the_middle_of_a_rollback") else {
        return;
    };
    let folder = waiting(&run, "its_rollback_waits", Folder::default());
    let folder = folder.kill().folder;
    // The newest one went before, the others wait for the step between.
    let left: Vec<String> = run.containers().iter().map(name_of).collect();
    assert_eq!(left.len(), 2, "{left:?}");
    assert!(left[0].ends_with("-early") && left[1].ends_with("-middle"));
    assert_swept(&run, folder);
}

#[test]
fn a_kill_while_a_container_is_paused_leaves_nothing() {
    let Some(run) = Run::new("a_kill_while_a_container_is_paused_leaves_nothing") else {
        return;
    };
    let child = waiting(&run, "it_has_a_paused_container", Folder::default());
    let paused = run.containers()[0].state.clone().unwrap();
    assert_eq!(paused.paused, Some(true));
    assert_swept(&run, child.kill().folder);
}

#[test]
fn runs_that_live_are_never_swept() {
    let Some(run) = Run::new("runs_that_live_are_never_swept") else {
        return;
    };
    let first = waiting(&run, "it_has_a_container", Folder::default());
    let mut second = run
        .child(&subject("it_has_a_container"), Folder::default())
        .env("CHAOS_STATE_DIR", first.folder().state())
        .start();
    second.until_printed(READY);
    let ids = || -> Vec<_> {
        let running = |it: &_| {
            let it: &chaos_test::testcontainers::bollard::models::ContainerInspectResponse = it;
            it.state.as_ref().and_then(|state| state.running) == Some(true)
        };
        let found = run.containers().into_iter().filter(running);
        found.filter_map(|it| it.id).collect()
    };
    let both = ids();
    assert_eq!(both.len(), 2);
    for sweep in [
        run.sweep(Folder::default())
            .env("CHAOS_STATE_DIR", first.folder().state()),
        run.sweep(Folder::default()),
    ] {
        let ended = sweep.run();
        assert!(ended.status.success(), "{}", ended.output());
        assert_eq!(ids(), both, "{}", ended.output());
        assert_eq!(run.networks().len(), 2);
    }
    // One of them dies, and only that one is swept.
    let state = first.folder().state();
    let folder = first.kill().folder;
    let ended = run
        .sweep(Folder::default())
        .env("CHAOS_STATE_DIR", state)
        .run();
    let one = ids();
    assert_eq!(one.len(), 1, "{}", ended.output());
    assert!(both.contains(&one[0]));
    assert_eq!(run.networks().len(), 1);
    drop(second.kill());
    assert_swept(&run, folder);
}

#[test]
fn containers_and_networks_say_whose_they_are() {
    let Some(run) = Run::new("containers_and_networks_say_whose_they_are") else {
        return;
    };
    let child = waiting(&run, "it_has_a_container", Folder::default());
    let containers = run.containers();
    let labels = containers[0].config.clone().and_then(|it| it.labels);
    let labels = [labels, run.networks()[0].labels.clone()];
    for labels in labels.map(Option::unwrap) {
        for label in LABELS {
            let value = labels.get(label);
            assert!(
                value.is_some_and(|it| !it.is_empty()),
                "{label}: {labels:?}"
            );
        }
        assert_eq!(labels["chaos-test.pid"], child.pid().to_string());
        assert_eq!(
            labels["chaos-test.test"],
            "containers_death::it_has_a_container"
        );
        let expires: u64 = labels["chaos-test.expires"].parse().unwrap();
        let now = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap();
        assert!(expires > now.as_secs());
    }
    assert_swept(&run, child.kill().folder);
}

#[test]
fn a_namesake_with_another_token_is_not_touched() {
    let Some(run) = Run::new("a_namesake_with_another_token_is_not_touched") else {
        return;
    };
    let folder = waiting(&run, "it_has_a_container", Folder::default());
    let folder = folder.kill().folder;
    let container = run.containers().remove(0);
    let network = run.networks().remove(0);
    let labels = |labels: Option<HashMap<String, String>>| {
        let mut labels = labels.unwrap();
        labels.insert("chaos-test.token".to_owned(), "another".to_owned());
        Some(labels)
    };
    run.remove();
    let network_name = network.name.clone().unwrap();
    run.wait_for(async {
        let config = container.config.clone().unwrap();
        let options = CreateContainerOptionsBuilder::new()
            .name(&name_of(&container))
            .build();
        let body = ContainerCreateBody {
            image: config.image,
            labels: labels(config.labels),
            ..ContainerCreateBody::default()
        };
        let made = run.docker().create_container(Some(options), body);
        made.await.unwrap();
        let request = NetworkCreateRequest {
            name: network_name,
            labels: labels(network.labels),
            ..NetworkCreateRequest::default()
        };
        run.docker().create_network(request).await.unwrap();
    });
    let ended = run.sweep(folder).run();
    assert!(ended.status.success(), "{}", ended.output());
    assert!(ended.leftovers().is_empty(), "{:?}", ended.leftovers());
    assert_eq!(run.containers().len(), 1, "{}", ended.output());
    assert_eq!(run.networks().len(), 1, "{}", ended.output());
    run.remove();
    run.assert_nothing_left(&ended.output());
}

/// What nobody has a journal of, because the whole machine that ran the test is gone, goes with
/// any run that comes after its time.
#[test]
fn what_is_past_its_time_goes_with_any_later_run() {
    let Some(run) = Run::new("what_is_past_its_time_goes_with_any_later_run") else {
        return;
    };
    let child = waiting(&run, "it_has_a_container", Folder::default());
    let container = run.containers().remove(0);
    let folder = child.kill().folder;
    let labels = |name: &str, expires: &str| {
        let mut labels = container.config.clone().and_then(|it| it.labels).unwrap();
        labels.insert("chaos-test.token".to_owned(), name.to_owned());
        labels.insert("chaos-test.boot".to_owned(), "another".to_owned());
        labels.insert("chaos-test.expires".to_owned(), expires.to_owned());
        labels
    };
    let image = container.config.clone().and_then(|it| it.image);
    let id = run.id().to_owned();
    run.wait_for(async {
        for (name, expires) in [("late", "1"), ("early", "99999999999")] {
            let name = format!("{id}-{name}");
            let options = CreateContainerOptionsBuilder::new().name(&name).build();
            let body = ContainerCreateBody {
                image: image.clone(),
                labels: Some(labels(&name, expires)),
                ..ContainerCreateBody::default()
            };
            let made = run.docker().create_container(Some(options), body);
            made.await.unwrap();
            let request = NetworkCreateRequest {
                name: name.clone(),
                labels: Some(labels(&name, expires)),
                ..NetworkCreateRequest::default()
            };
            run.docker().create_network(request).await.unwrap();
        }
    });
    // Somebody else's run, with a state directory of its own. Any other one may do the same
    // before it, so nobody in particular says so.
    let child = waiting(&run, "it_has_a_container", Folder::default());
    let late = format!("{id}-late");
    let is_there = || {
        let containers = run.containers().iter().any(|it| name_of(it) == late);
        let mut networks = run.networks().into_iter().filter_map(|it| it.name);
        containers || networks.any(|name| name == late)
    };
    let end = Instant::now() + Duration::from_secs(60);
    while is_there() {
        assert!(Instant::now() < end, "{:?}\n{}", run.left(), child.output());
        std::thread::sleep(Duration::from_millis(20));
    }
    let names: Vec<_> = run.containers().iter().map(name_of).collect();
    assert!(!names.contains(&late), "{names:?}");
    assert!(names.contains(&format!("{id}-early")), "{names:?}");
    assert_eq!(run.networks().len(), 3);
    // Those of a process that is dead and has a journal are left to that.
    assert!(names.contains(&name_of(&container)), "{names:?}");
    run.wait_for(async {
        let early = format!("{id}-early");
        let options = None::<RemoveContainerOptions>;
        run.docker()
            .remove_container(&early, options)
            .await
            .unwrap();
        run.docker().remove_network(&early).await.unwrap();
    });
    let second = child.kill().folder;
    gather(&[folder], &second.state());
    assert_swept(&run, second);
}

#[test]
fn every_bad_end_of_a_test_leaves_nothing_by_itself() {
    let Some(run) = Run::new("every_bad_end_of_a_test_leaves_nothing_by_itself") else {
        return;
    };
    let names = [
        "it_exits_with_a_container",
        "it_panics_with_a_container",
        "it_takes_too_long_with_a_container",
        "its_fixture_fails_with_a_container",
    ];
    // At the same time, because each waits for the engine most of the time.
    let children = names.map(|name| run.child(&subject(name), Folder::default()).start());
    for (name, child) in names.into_iter().zip(children) {
        let ended = child.wait();
        let output = ended.output();
        assert!(!ended.status.success(), "{name}: {output}");
        assert!(ended.leftovers().is_empty(), "{name}: {output}");
        let journal = run.journal(&ended);
        let started = |record: &Record| matches!(record.event, Event::ServiceStarted { .. });
        assert!(journal.records.iter().any(started), "{name}: {output}");
    }
    run.assert_nothing_left("");
}
