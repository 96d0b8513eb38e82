//! Faults that do not fit their service, and containers that somebody else changes.

use std::time::Duration;

use chaos_test::prelude::*;
use chaos_test::testcontainers::bollard::models::NetworkDisconnectRequest;
use chaos_test::testcontainers::bollard::query_parameters::{
    InspectContainerOptions, RemoveContainerOptionsBuilder, StartContainerOptions,
    StopContainerOptionsBuilder,
};
use chaos_test::{Container, Fault, Signal, container, log_line, process};
use chaos_test_fixtures::images;

use super::{containers, docker, is_felt, meets, passes, run, says, script, works};
use crate::bad_input::nothing_left;
use crate::containers::ask;
use crate::victims::inventory;

/// An injection that must fail, and say why.
async fn cannot(chaos: &ChaosContext, fault: impl Fault, expected: &[&str]) {
    let error = chaos.inject(fault).await.map(drop).unwrap_err();
    assert!(error.is_fault() || error.is_refused(), "{error}");
    says(&error, expected);
}

async fn redis(chaos: &ChaosContext) -> Result<Service, TestError> {
    let grace = Container::new(images::redis().await?).grace(secs(2));
    Ok(chaos.container("redis", grace).await?)
}

/// The name of the only container of this process.
async fn name() -> String {
    let names = containers().await;
    assert_eq!(names.len(), 1, "{names:?}");
    names[0].trim_start_matches('/').to_owned()
}

async fn remove(name: &str) -> chaos_test::Result {
    let force = RemoveContainerOptionsBuilder::default().force(true).build();
    docker().remove_container(name, Some(force)).await?;
    Ok(())
}

/// Its first process and when that started.
async fn start_of(name: &str) -> Result<(Option<i64>, Option<String>), TestError> {
    let found = docker()
        .inspect_container(name, None::<InspectContainerOptions>)
        .await?;
    let state = found.state.unwrap_or_default();
    Ok((state.pid, state.started_at.map(|at| at.to_string())))
}

#[test]
fn a_fault_of_the_wrong_family_says_which_is_right() {
    passes("faults::wrong_families");
}

subject!(wrong_families(chaos: &ChaosContext, inventory: &Service) {
    let redis = redis(chaos).await?;
    let before = start_of(&name().await).await?;
    let pid = |service: &Service| service.first_address();
    let known = pid(inventory);
    cannot(chaos, process::kill(&redis), &[
        "kill redis could not be prepared: service `redis` is a container, not a process",
        "help: the faults on containers are in `chaos_test::container`",
    ])
    .await;
    cannot(chaos, container::kill(inventory), &[
        "kill container inventory could not be prepared: service `inventory` does not run in a \
         container",
        "help: the faults on processes are in `chaos_test::process`",
    ])
    .await;
    assert_eq!(start_of(&name().await).await?, before);
    assert_eq!(pid(inventory), known);
    is_felt(chaos, &redis).await
});

#[test]
fn a_fault_in_the_wrong_state_says_what_it_found() {
    passes("faults::wrong_states");
}

subject!(wrong_states(chaos: &ChaosContext) {
    let redis = redis(chaos).await?;
    let help = "help: lift what is in force on it first";
    let hang = chaos.inject(container::pause(&redis)).await?;
    cannot(chaos, container::kill(&redis), &[
        "kill container redis could not be prepared: only a running container can be killed, and \
         it is paused",
        help,
    ])
    .await;
    meets(&redis).await;
    hang.lift().await?;
    is_felt(chaos, &redis).await?;

    let outage = chaos.inject(container::stop(&redis).grace(Duration::ZERO)).await?;
    cannot(chaos, container::pause(&redis), &[
        "pause container redis could not be prepared: only a running container can be paused, \
         and it is not running",
        help,
    ])
    .await;
    meets(&redis).await;
    outage.lift().await?;
    is_felt(chaos, &redis).await?;

    let cut = chaos.inject(container::disconnect(&redis)).await?;
    cannot(chaos, container::disconnect(&redis), &[
        "disconnect container redis could not be prepared: its container is not in network chaos-",
        "help: lift the fault that took it out first",
    ])
    .await;
    meets(&redis).await;
    cut.lift().await?;
    is_felt(chaos, &redis).await
});

#[test]
fn a_stop_without_grace_ends_what_ignores_it() {
    passes("faults::no_grace");
}

subject!(no_grace(chaos: &ChaosContext) {
    let stubborn = script("trap '' TERM; echo up; while :; do sleep 0.1; done").await?;
    let stubborn = Container::new(stubborn).ready(log_line("up"));
    let stubborn = chaos.container("stubborn", stubborn).await?;
    let asked = std::time::Instant::now();
    let outage = chaos.inject(container::stop(&stubborn).grace(Duration::ZERO)).await?;
    assert!(asked.elapsed() < secs(9), "{:?}", asked.elapsed());
    meets(&stubborn).await;
    outage.lift().await?;
    works(chaos, "redis").await
});

#[test]
fn a_signal_that_is_ignored_says_so_and_the_container_is_as_before() {
    passes("faults::an_ignored_signal");
}

subject!(an_ignored_signal(chaos: &ChaosContext) {
    let deaf = script("echo up; while :; do sleep 0.1; done").await?;
    let deaf = Container::new(deaf).ready(log_line("up")).grace(secs(1));
    let deaf = chaos.container("deaf", deaf).await?;
    let before = start_of(&name().await).await?;
    let asked = std::time::Instant::now();
    cannot(chaos, container::kill(&deaf).with(Signal::Hup), &[
        "kill container deaf with SIGHUP could not be injected: its container still runs 10 s \
         after SIGHUP",
        "help: its first process ignores that signal, as one without a handler for it does",
    ])
    .await;
    assert!(asked.elapsed() < secs(30), "{:?}", asked.elapsed());
    assert_eq!(start_of(&name().await).await?, before);
    works(chaos, "redis").await
});

#[test]
fn a_container_that_somebody_removes_in_a_fault_is_told_of() {
    let Some(ended) = run("faults::removed_in_a_fault") else {
        return;
    };
    assert!(!ended.status.success());
    says(
        ended.output(),
        &[
            "kill container redis could not be lifted: service `redis` has lost its container \
             chaos-",
            "help: somebody else removed it, and what was in it cannot be had again",
        ],
    );
    assert!(
        ended.output().contains("the next attempt works"),
        "{}",
        ended.output()
    );
}

subject!(removed_in_a_fault(chaos: &ChaosContext) {
    let service = redis(chaos).await?;
    let outage = chaos.inject(container::kill(&service)).await?;
    remove(&name().await).await?;
    let error = outage.lift().await.unwrap_err();
    works(chaos, "another").await?;
    println!("the next attempt works");
    Err(error.into())
});

#[test]
fn a_container_that_somebody_removes_is_told_of() {
    let Some(ended) = run("faults::removed") else {
        return;
    };
    assert!(ended.status.success(), "{}", ended.output());
    nothing_left(&ended);
    let journal = ended.journals().concat();
    assert!(journal.contains("somebody removed it"), "{journal}");
}

subject!(removed(chaos: &ChaosContext) {
    let service = redis(chaos).await?;
    is_felt(chaos, &service).await?;
    let name = name().await;
    remove(&name).await?;
    cannot(chaos, container::kill(&service), &[
        "only a running container can be killed, and it is gone",
        "help: somebody else removed it, and what was in it cannot be had again",
    ])
    .await;
    works(chaos, "another").await
});

#[test]
fn what_somebody_else_does_to_a_container_is_seen_and_put_back() {
    passes("faults::other_hands");
}

subject!(#[timeout = "120s"] other_hands(chaos: &ChaosContext) {
    let service = redis(chaos).await?;
    let (docker, name) = (docker(), name().await);

    // Paused by somebody else, and going on again.
    docker.pause_container(&name).await?;
    cannot(chaos, container::stop(&service), &["can be stopped, and it is paused"]).await;
    docker.unpause_container(&name).await?;
    is_felt(chaos, &service).await?;

    // Somebody else has it go on while it is paused by us.
    let hang = chaos.inject(container::pause(&service)).await?;
    docker.unpause_container(&name).await?;
    meets(&service).await;
    hang.lift().await?;
    is_felt(chaos, &service).await?;

    // Somebody else starts what was killed by us: with another port, and ready when it likes.
    let outage = chaos.inject(container::kill(&service)).await?;
    meets(&service).await;
    docker
        .start_container(&name, None::<StartContainerOptions>)
        .await?;
    outage.lift().await?;
    let until = std::time::Instant::now() + secs(20);
    while ask(service.address(6379), "PING").await.is_err() {
        assert!(std::time::Instant::now() < until, "its link leads nowhere");
        tokio::time::sleep(ms(20)).await;
    }
    is_felt(chaos, &service).await?;

    // Somebody else takes it out of its network, and again while we have put it back.
    let found = docker.inspect_container(&name, None::<InspectContainerOptions>).await?;
    let networks = found.network_settings.and_then(|settings| settings.networks);
    let network = networks.into_iter().flatten().map(|(name, _)| name).next().unwrap();
    let cut = NetworkDisconnectRequest { container: name.clone(), force: Some(false) };
    docker.disconnect_network(&network, cut).await?;
    cannot(chaos, container::disconnect(&service), &[
        &format!("its container is not in network {network}"),
        "if there is none, somebody else did",
    ])
    .await;

    // Stopped by somebody else.
    let now = StopContainerOptionsBuilder::default().t(0).build();
    docker.stop_container(&name, Some(now)).await?;
    cannot(chaos, container::pause(&service), &["can be paused, and it is not running"]).await;
    works(chaos, "another").await
});

#[test]
fn a_network_that_somebody_removes_is_told_of() {
    let Some(ended) = run("faults::the_network_is_removed") else {
        return;
    };
    assert!(!ended.status.success());
    says(
        ended.output(),
        &[
            "kill container redis could not be lifted: service `redis` could not be started",
            "help: somebody removed its network, and a container cannot run without it",
        ],
    );
}

subject!(the_network_is_removed(chaos: &ChaosContext) {
    let service = redis(chaos).await?;
    let name = name().await;
    let found = docker().inspect_container(&name, None::<InspectContainerOptions>).await?;
    let networks = found.network_settings.and_then(|settings| settings.networks);
    let network = networks.into_iter().flatten().map(|(name, _)| name).next().unwrap();
    let outage = chaos.inject(container::kill(&service)).await?;
    docker().remove_network(&network).await?;
    meets(&service).await;
    outage.lift().await?;
    Ok(())
});
