//! Containers that cannot be had, made, started or waited for as they were asked for.

use std::net::TcpListener;
use std::path::PathBuf;

use chaos_test::prelude::*;
use chaos_test::testcontainers::bollard::models::VolumeCreateRequest;
use chaos_test::testcontainers::core::wait::ExitWaitStrategy;
use chaos_test::testcontainers::core::{Healthcheck, IntoContainerPort, Mount, WaitFor};
use chaos_test::testcontainers::runners::AsyncRunner;
use chaos_test::testcontainers::{GenericImage, ImageExt, ReuseDirective};
use chaos_test::{Container, log_line};
use chaos_test_fixtures::images;
use chaos_test_fixtures::rerun::Rerun;

use super::{docker, fails, forwarder, passes, path, run_as, says, script, works};
use crate::bad_input::nothing_left;

#[test]
fn an_image_that_cannot_be_had_says_so() {
    passes("requests::bad_images");
}

subject!(bad_images(chaos: &ChaosContext) {
    let cannot_be_had = [
        "the engine does not have it, and it cannot be pulled: ",
        "help: check its name and its tag; build, load or pull an image",
    ];
    let image = GenericImage::new("chaos-test-no-such-image", "1");
    let what = "service `cache` could not be made from image `chaos-test-no-such-image:1`: ";
    let [why, help] = cannot_be_had;
    fails(chaos, "cache", image, &[what, why, help]).await;

    // A port that nobody listens on, as long as this process holds it.
    let (_held, nowhere) = held_port()?;
    let image = GenericImage::new(format!("127.0.0.1:{nowhere}/cache"), "1".to_owned());
    let what = format!("image `127.0.0.1:{nowhere}/cache:1`");
    fails(chaos, "cache", image, &[&what, why, help]).await;

    let image = images::redis().await?.with_tag("no-such-tag");
    fails(chaos, "cache", image, &["redis:no-such-tag`: ", why, help]).await;

    for (name, tag, expected) in [
        ("Redis", "7", "upper case is not allowed in it"),
        ("my redis", "7", "only letters, digits, `-`, `_`, `.` and `/` are allowed in it"),
        ("redis", "7 alpine", "only letters, digits, `-`, `_` and `.` are allowed in its tag"),
        ("", "7", "it is empty"),
    ] {
        let what = format!("image `{name}:{tag}`: that is no image's name: {expected}");
        let help = "help: a name is written `redis` or `registry.example:5000/team/redis`";
        fails(chaos, "cache", GenericImage::new(name, tag), &[&what, help]).await;
    }
    works(chaos, "cache").await?;
    Ok(())
});

/// A port of this machine that is taken and refuses connections.
fn held_port() -> std::io::Result<(tokio::net::TcpSocket, u16)> {
    let socket = tokio::net::TcpSocket::new_v4()?;
    socket.bind((std::net::Ipv4Addr::LOCALHOST, 0).into())?;
    let port = socket.local_addr()?.port();
    Ok((socket, port))
}

#[test]
fn a_pull_that_hangs_is_told_of_and_ends_with_the_test() {
    let registry = forwarder::silent_registry();
    let image = format!("127.0.0.1:{registry}/hangs");
    let child = Rerun::of(&path("requests::a_pull_hangs")).env("HANGING_IMAGE", &image);
    let Some(ended) = run_as(child) else { return };
    assert!(!ended.status.success());
    says(
        ended.output(),
        &[
            &format!("chaos-test: pulling image {image}:1 for 10 s now"),
            "the body took longer than 11.5 s and was abandoned",
        ],
    );
    nothing_left(&ended);
}

subject!(#[timeout = "11500ms"] a_pull_hangs(chaos: &ChaosContext) {
    let image = GenericImage::new(std::env::var("HANGING_IMAGE")?, "1".to_owned());
    chaos.container("cache", image).await?;
    Ok(())
});

#[test]
fn a_program_that_cannot_run_says_so() {
    passes("requests::bad_programs");
}

subject!(bad_programs(chaos: &ChaosContext) {
    let image = images::redis().await?.with_entrypoint("/no/such/program");
    fails(chaos, "cache", image, &[
        "service `cache` could not be started: starting the container: ",
        "/no/such/program",
        "help: check `with_cmd` and `with_entrypoint`",
    ])
    .await;

    let ends = script("echo licence expired >&2; exit 3").await?;
    fails(chaos, "cache", Container::new(ends).ready(log_line("never")), &[
        "service `cache` ended before it was ready (exit code 3)",
        "help: its last lines, of ",
        "    licence expired",
    ])
    .await;

    let silent = script("exit 5").await?;
    fails(chaos, "cache", Container::new(silent).ready(log_line("never")), &[
        "service `cache` ended before it was ready (exit code 5)",
        "printed nothing",
    ])
    .await;

    let greedy = script("echo filling the memory; exec tail /dev/zero").await?;
    let greedy = greedy.with_host_config_modifier(|host| {
        super::with_volume(host);
        host.memory = Some(16 << 20);
        host.memory_swap = Some(16 << 20);
    });
    fails(chaos, "cache", Container::new(greedy).ready(log_line("never")), &[
        "service `cache` ended before it was ready (exit code 137, SIGKILL, out of memory)",
        "    filling the memory",
    ])
    .await;
    works(chaos, "cache").await?;
    Ok(())
});

#[test]
fn a_condition_that_does_not_come_says_which() {
    passes("requests::bad_conditions");
}

subject!(bad_conditions(chaos: &ChaosContext) {
    const WAITING: &str = "echo waiting for godot; exec sleep 600";
    let godot = vec![WaitFor::message_on_stdout("godot has come")];
    let late = Container::new(script(WAITING).await?.with_ready_conditions(godot)).start_timeout(secs(2));
    fails(chaos, "vladimir", late, &[
        "service `vladimir` did not become ready within 2 s (waiting for it to print `godot has \
         come`)",
        "help: its last lines, of ",
        "    waiting for godot",
    ])
    .await;

    let healthy = vec![WaitFor::healthcheck()];
    let unchecked = script(WAITING).await?.with_ready_conditions(healthy.clone());
    fails(chaos, "vladimir", unchecked, &[
        "service `vladimir` is to be ready once it is healthy, and neither it nor its image has \
         a health check: give it one with `with_health_check`, or another condition",
    ])
    .await;

    let check = Healthcheck::cmd_shell("echo the heart stands still; exit 1")
        .with_interval(ms(100))
        .with_retries(1);
    let unhealthy = script(WAITING).await?.with_ready_conditions(healthy).with_health_check(check);
    fails(chaos, "vladimir", unhealthy, &[
        "service `vladimir` is unhealthy: its health check ended with exit code 1 and printed \
         `the heart stands still`",
        "    waiting for godot",
    ])
    .await;

    let exit = vec![WaitFor::exit(ExitWaitStrategy::new().with_exit_code(0))];
    let job = script("echo migrating; exit 4").await?;
    fails(chaos, "vladimir", job.with_ready_conditions(exit), &[
        "service `vladimir` ended with exit code 4 instead of 0",
        "    migrating",
    ])
    .await;
    works(chaos, "vladimir").await?;
    Ok(())
});

#[test]
fn a_file_that_cannot_be_copied_says_so() {
    passes("requests::bad_copies");
}

subject!(bad_copies(chaos: &ChaosContext) {
    let image = images::redis().await?;
    let missing = image.clone().with_copy_to("/etc/a.conf", PathBuf::from("no/such.conf"));
    fails(chaos, "cache", missing, &[
        "could not be made from image",
        "no/such.conf cannot be copied to /etc/a.conf: No such file or directory",
        "help: a relative path begins at /",
    ])
    .await;

    let hidden = image.clone()
        .with_mount(Mount::tmpfs_mount("/small").with_size("1m"))
        .with_copy_to("/small/large", vec![7; 2 << 20]);
    fails(chaos, "cache", hidden, &[
        "the content of /small/large cannot be copied to /small/large: the file system in memory \
         at /small would hide it",
        "help: copy it to another place, or mount a volume there instead",
    ])
    .await;

    // A volume of a megabyte stands for a disk that is full.
    let name = format!("chaos-test-e2e-full-{}", std::process::id());
    let options = [("type", "tmpfs"), ("device", "tmpfs"), ("o", "size=1m")];
    let options = options.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let volume = VolumeCreateRequest {
        name: Some(name.clone()),
        driver_opts: Some(options.into()),
        ..VolumeCreateRequest::default()
    };
    docker().create_volume(volume).await?;
    let full = image
        .with_mount(Mount::volume_mount(name.clone(), "/small"))
        .with_copy_to("/small/large", vec![7; 2 << 20]);
    let error = chaos.container("cache", full).await.unwrap_err();
    // The volume is not ours, so it is there, and nobody uses it any more.
    docker().remove_volume(&name, None::<chaos_test::testcontainers::bollard::query_parameters::RemoveVolumeOptions>).await?;
    says(&error, &[
        "copying files into the container: ",
        "no space left on device",
        "help: a disk is full, of the engine, of a volume or of this machine",
    ]);
    assert_eq!(super::containers().await, Vec::<String>::new());
    works(chaos, "cache").await?;
    Ok(())
});

#[test]
fn a_folder_is_copied_as_it_is() {
    passes("requests::a_folder_to_copy");
}

subject!(a_folder_to_copy(chaos: &ChaosContext) {
    // Open to the container's own user.
    let folder = chaos.scratch_dir()?.join("outer");
    std::fs::create_dir_all(folder.join("inner"))?;
    std::fs::write(folder.join("inner/line"), "copied as it is\n")?;
    let reads = script("cat /in/inner/line; exec sleep 600").await?;
    let reads = reads.with_copy_to("/in", folder);
    chaos.container("reader", Container::new(reads).ready(log_line("copied as it is"))).await?;
    works(chaos, "cache").await?;
    Ok(())
});

#[test]
fn what_only_testcontainers_could_do_is_refused() {
    passes("requests::hidden_wishes");
}

subject!(hidden_wishes(chaos: &ChaosContext) {
    let image = images::redis().await?;
    for (request, what, help) in [
        (
            image.clone().with_ulimit("nofile", 64, None),
            "`with_ulimit`",
            "help: set `ulimits` with `with_host_config_modifier`",
        ),
        (
            image.clone().with_reuse(ReuseDirective::Always),
            "`with_reuse`",
            "help: a container belongs to its context; share it by a fixture",
        ),
    ] {
        let what = format!(
            "service `cache` cannot be a container: {what} cannot be taken over from \
             testcontainers"
        );
        fails(chaos, "cache", request, &[&what, help]).await;
    }
    works(chaos, "cache").await?;
    Ok(())
});

#[test]
fn a_name_that_is_taken_or_impossible_says_so() {
    passes("requests::bad_names");
}

subject!(bad_names(chaos: &ChaosContext) {
    let image = images::redis().await?;
    let name = format!("chaos-test-e2e-taken-{}", std::process::id());
    let other = image.clone().with_container_name(&name).start().await?;
    let taken = image.clone().with_container_name(&name);
    fails(chaos, "cache", taken, &[
        "service `cache` could not be made from image `chaos-test-fixtures/redis:",
        &format!("The container name \"/{name}\" is already in use by container \"{}\"", other.id()),
        "help: another container has that name, and it was left alone; leave \
         `with_container_name` out",
    ])
    .await;
    assert!(other.is_running().await?);
    other.rm().await?;

    let error = fails(chaos, "caché", image.clone(), &[
        "`caché` cannot be a container's name: ASCII letters, digits, `-`, `_` and `.` can",
    ])
    .await;
    assert!(!error.is_skip() && !error.is_service());
    fails(chaos, "a/b", image.clone(), &["`a/b` cannot be a service's name"]).await;
    works(chaos, "cache").await?;
    fails(chaos, "cache", image, &[
        "the context already has a service `cache`; give each one its own name",
    ])
    .await;
    Ok(())
});

#[test]
fn a_port_that_is_in_use_says_so() {
    passes("requests::a_mapped_port_in_use");
}

subject!(a_mapped_port_in_use(chaos: &ChaosContext) {
    let taken = TcpListener::bind("127.0.0.1:0")?;
    let port = taken.local_addr()?.port();
    let image = images::redis().await?.with_mapped_port(port, 6379.tcp());
    fails(chaos, "cache", image, &[
        "service `cache` could not be started: starting the container: ",
        &port.to_string(),
        "address already in use",
        "help: a port that `with_mapped_port` names is in use on this machine; leave it out",
    ])
    .await;
    works(chaos, "cache").await?;
    Ok(())
});
