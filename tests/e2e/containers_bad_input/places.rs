//! Places for containers, and disks, that are too few or full.

use std::process::Command;

use chaos_test::prelude::*;
use chaos_test_fixtures::images;
use chaos_test_fixtures::rerun::{Ended, Folder, Rerun, Started};

use super::{fails, is_felt, left_on_engine, passes, path, run_as, says, works};
use crate::bad_input::nothing_left;

const MOST: &str = "CHAOS_MAX_CONTAINERS";

#[test]
fn a_number_of_places_that_is_none_says_so() {
    for wrong in ["many", "0", "-1", ""] {
        let child = Rerun::of(&path("engine::it_needs_docker")).env(MOST, wrong);
        let Some(ended) = run_as(child) else { return };
        assert!(!ended.status.success(), "{}", ended.output());
        says(
            ended.output(),
            &[&format!(
                "the places for containers cannot be counted: {MOST} is `{wrong}`; it must be a \
                 number above 0"
            )],
        );
        nothing_left(&ended);
    }
}

/// Starts children that share one place.
fn sharing_a_place(subject: &str, number: usize, state: &Folder) -> Vec<Started> {
    let child = || {
        Rerun::of(&path(subject))
            .env(MOST, "1")
            .env("CHAOS_STATE_DIR", state.state())
            .start()
    };
    (0..number).map(|_| child()).collect()
}

fn all_passed(ended: &[Ended]) {
    for ended in ended {
        assert!(ended.status.success(), "{}", ended.output());
        println!("{}", ended.output());
    }
}

#[test]
fn tests_wait_for_each_others_containers_and_finish() {
    let state = Folder::default();
    let children = sharing_a_place("places::one_container", 3, &state);
    let pids: Vec<u32> = children.iter().map(Started::pid).collect();
    let waiting = std::thread::spawn(|| children.into_iter().map(Started::wait).collect());
    while !waiting.is_finished() {
        let left = pids.iter().flat_map(|pid| left_on_engine(*pid));
        let containers: Vec<_> = left.filter(|name| name.starts_with('/')).collect();
        assert!(containers.len() <= 1, "{containers:?}");
        std::thread::sleep(ms(20));
    }
    let ended: Vec<Ended> = waiting.join().unwrap();
    all_passed(&ended);
    assert!(pids.iter().all(|pid| left_on_engine(*pid).is_empty()));
}

subject!(one_container(chaos: &ChaosContext) {
    works(chaos, "redis").await?;
    tokio::time::sleep(ms(300)).await;
    Ok(())
});

/// A context that waited for a second place while it holds the only one would wait for ever.
#[test]
fn a_context_with_two_containers_needs_one_place() {
    let state = Folder::default();
    let children = sharing_a_place("places::two_containers", 2, &state);
    let pids: Vec<u32> = children.iter().map(Started::pid).collect();
    let ended: Vec<Ended> = children.into_iter().map(Started::wait).collect();
    all_passed(&ended);
    for ended in &ended {
        let journal = ended.journals().concat();
        let skipped = ended.output().contains("SKIPPED");
        assert!(skipped || journal.contains("is one container more than may run at once"));
    }
    assert!(pids.iter().all(|pid| left_on_engine(*pid).is_empty()));
}

subject!(#[timeout = "120s"] two_containers(chaos: &ChaosContext) {
    let image = images::redis().await?;
    let (first, second) = tokio::join!(
        chaos.container("first", image.clone()),
        chaos.container("second", image),
    );
    is_felt(chaos, &first?).await?;
    is_felt(chaos, &second?).await
});

#[test]
fn a_full_disk_for_logs_says_so() {
    let may_mount = Command::new("unshare").args(["--mount", "true"]).status();
    if !may_mount.is_ok_and(|status| status.success()) {
        println!("skipped: this user may not mount anything");
        return;
    }
    // Nobody but the child sees this file system.
    let mut small = Command::new("unshare");
    small.args([
        "--mount",
        "sh",
        "-c",
        "mkdir -p \"$CHAOS_DIR\" && mount -t tmpfs -o size=256k none \"$CHAOS_DIR\" && exec \"$@\"",
        "sh",
    ]);
    let child = Rerun::by(small, &path("places::a_full_disk"), Folder::default());
    let Some(ended) = run_as(child) else { return };
    assert!(ended.status.success(), "{}", ended.output());
    nothing_left(&ended);
}

subject!(a_full_disk(chaos: &ChaosContext) {
    let filler = std::path::PathBuf::from(std::env::var("CHAOS_DIR")?).join("filler");
    let full = std::fs::write(&filler, vec![0; 1 << 20]).unwrap_err();
    assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
    fails(chaos, "cache", images::redis().await?, &[
        "service `cache` could not be started: its log ",
        "cannot be written: No space left on device",
        "help: a disk is full, of the engine, of a volume or of this machine",
    ])
    .await;
    std::fs::remove_file(&filler)?;
    works(chaos, "cache").await
});

#[test]
fn a_container_whose_own_disk_is_full_shows_what_it_said() {
    passes("places::a_full_disk_within");
}

subject!(a_full_disk_within(chaos: &ChaosContext) {
    use chaos_test::testcontainers::ImageExt;
    use chaos_test::testcontainers::core::Mount;
    let writes = super::script("head -c 2M /dev/zero > /small/file && exec sleep 600").await?;
    let writes = writes.with_mount(Mount::tmpfs_mount("/small").with_size("1m"));
    let writes = chaos_test::Container::new(writes).ready(chaos_test::log_line("never"));
    fails(chaos, "cache", writes, &[
        "service `cache` ended before it was ready (exit code 1)",
        "No space left on device",
    ])
    .await;
    works(chaos, "cache").await
});
