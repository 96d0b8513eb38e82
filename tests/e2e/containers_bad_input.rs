//! Bad input and bad engines, for services in containers: an error says what was wrong,
//! where, and what to do; nothing is left on the engine, and the next attempt works.
//!
//! The chaos tests themselves are subjects, run as children whose things on the engine are
//! known by the child's process number.

/// A chaos test on containers that another test runs as a child.
macro_rules! subject {
    ($(#[$($argument_of:tt)*])* $name:ident($($argument:ident: $type:ty),*) $body:block) => {
        #[chaos_test(requires(docker), $($($argument_of)*)*)]
        #[ignore = "another test runs it as a child"]
        async fn $name($($argument: $type),*) -> chaos_test::Result $body
    };
}

mod engine;
mod faults;
pub mod forwarder;
mod places;
mod requests;

use std::collections::HashMap;

use chaos_test::link;
use chaos_test::prelude::*;
use chaos_test::testcontainers::bollard::Docker;
use chaos_test::testcontainers::bollard::models::{
    HostConfig, Mount, MountType, MountVolumeOptions,
};
use chaos_test::testcontainers::bollard::query_parameters::{
    ListContainersOptionsBuilder, ListNetworksOptionsBuilder, ListVolumesOptionsBuilder,
};
use chaos_test::testcontainers::core::ContainerRequest;
use chaos_test::testcontainers::{GenericImage, ImageExt};
use chaos_test_fixtures::images;
use chaos_test_fixtures::rerun::{Ended, Rerun};

use crate::bad_input::nothing_left;
use crate::containers::ask;

/// Runs a subject of one of these rooms; `None` where it was skipped, for want of an engine.
fn run(subject: &str) -> Option<Ended> {
    run_as(Rerun::of(&path(subject)))
}

fn path(subject: &str) -> String {
    format!("containers_bad_input::{subject}")
}

/// Runs a child, and checks that nothing of it is left on the engine.
fn run_as(child: Rerun) -> Option<Ended> {
    let child = child.start();
    let pid = child.pid();
    let ended = child.wait();
    if ended.output().contains("SKIPPED") {
        return None;
    }
    assert_eq!(
        left_on_engine(pid),
        Vec::<String>::new(),
        "{}",
        ended.output()
    );
    Some(ended)
}

/// Runs a subject that must pass and leave nothing at all.
fn passes(subject: &str) {
    if let Some(ended) = run(subject) {
        assert!(ended.status.success(), "{}", ended.output());
        nothing_left(&ended);
    }
}

/// What the tests of a process have on the engine, containers first.
fn left_on_engine(pid: u32) -> Vec<String> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime can be made")
        .block_on(on_engine(pid))
}

async fn on_engine(pid: u32) -> Vec<String> {
    let docker = docker();
    let filters = HashMap::from([("label", vec![format!("chaos-test.pid={pid}")])]);
    let containers = ListContainersOptionsBuilder::default()
        .all(true)
        .filters(&filters)
        .build();
    let containers = docker.list_containers(Some(containers)).await.unwrap();
    let networks = ListNetworksOptionsBuilder::default()
        .filters(&filters)
        .build();
    let networks = docker.list_networks(Some(networks)).await.unwrap();
    let volumes = ListVolumesOptionsBuilder::default()
        .filters(&filters)
        .build();
    let volumes = docker.list_volumes(Some(volumes)).await.unwrap();
    let containers = containers.into_iter().flat_map(|one| one.names).flatten();
    let networks = networks.into_iter().filter_map(|one| one.name);
    let volumes = volumes.volumes.into_iter().flatten().map(|one| one.name);
    containers.chain(networks).chain(volumes).collect()
}

/// The containers that this process has on the engine; their names begin with a slash.
async fn containers() -> Vec<String> {
    let names = on_engine(std::process::id()).await.into_iter();
    names.filter(|name| name.starts_with('/')).collect()
}

/// The engine, asked without the library under test.
fn docker() -> Docker {
    Docker::connect_with_defaults().unwrap()
}

/// A container that runs a script. It has an anonymous volume, which is to go with it.
async fn script(text: &str) -> Result<ContainerRequest<GenericImage>, TestError> {
    let image = images::redis().await?.with_entrypoint("bash");
    let request = image.with_cmd(["-c", text]).with_ready_conditions(vec![]);
    Ok(request.with_host_config_modifier(with_volume))
}

fn with_volume(host: &mut HostConfig) {
    let label = ("chaos-test.pid".to_owned(), std::process::id().to_string());
    host.mounts.get_or_insert_default().push(Mount {
        typ: Some(MountType::VOLUME),
        target: Some("/volume".to_owned()),
        volume_options: Some(MountVolumeOptions {
            labels: Some(HashMap::from([label])),
            ..MountVolumeOptions::default()
        }),
        ..Mount::default()
    });
}

/// Checks a message that a user would read.
#[track_caller]
fn says(message: impl ToString, expected: &[&str]) {
    let message = message.to_string();
    for text in expected {
        assert!(message.contains(text), "`{text}` is missing in:\n{message}");
    }
}

/// An attempt that must fail, say why, and leave nothing; what was there before stays.
async fn fails<How>(
    chaos: &ChaosContext,
    name: &str,
    container: impl chaos_test::IntoContainer<How>,
    expected: &[&str],
) -> chaos_test::Error {
    let on_engine = || async {
        let mut names = on_engine(std::process::id()).await;
        // The network stays for the next container.
        names.retain(|name| !name.starts_with("chaos-"));
        names
    };
    let before = on_engine().await;
    let error = chaos.container(name, container).await.unwrap_err();
    says(&error, expected);
    assert_eq!(on_engine().await, before, "{error}");
    error
}

/// A next attempt works, under a name that has failed before, and a fault on it is felt.
async fn works(chaos: &ChaosContext, name: &str) -> chaos_test::Result {
    let redis = chaos.container(name, images::redis().await?).await?;
    is_felt(chaos, &redis).await
}

/// Uses a service while a fault is in force on it.
async fn meets(service: &Service) {
    // Whether it is answered depends on the fault.
    let _ = tokio::time::timeout(ms(100), ask(service.address(6379), "PING")).await;
}

async fn is_felt(chaos: &ChaosContext, redis: &Service) -> chaos_test::Result {
    let slow = chaos.inject(link::latency(redis, ms(1))).await?;
    assert_eq!(ask(redis.address(6379), "PING").await?, "+PONG");
    slow.lift().await?;
    Ok(())
}
