//! Tests that share what was there before them: whatever else they hold, the second one waits; and
//! of two that wait for each other, one says so and the other goes on.

use chaos_test::existing;
use chaos_test::prelude::*;
use chaos_test::process;
use chaos_test_fixtures::rerun::{Folder, Rerun, Started};

use super::foreign::{Server, pongs};
use super::{READY, breaks};
use crate::bad_input::nothing_left;
use crate::engine::Run;
use crate::subjects::say;

/// The places that the parent names, in the order in which they are taken.
const PLACES: &str = "SHARING_PLACES";
/// A file that has to be there before the last one is taken.
const GO: &str = "SHARING_GO";

/// Takes all that the parent names, and breaks the last of it.
async fn take_and_break(chaos: &ChaosContext) -> chaos_test::Result {
    let places = std::env::var(PLACES)?;
    let places: Vec<&str> = places.split(' ').collect();
    let mut last = None;
    for (number, place) in places.iter().enumerate() {
        if number + 1 == places.len()
            && let Some(go) = std::env::var_os(GO)
        {
            say(READY);
            while !std::path::Path::new(&go).exists() {
                tokio::time::sleep(ms(5)).await;
            }
        }
        let name = format!("redis-{number}");
        last = Some(
            chaos
                .existing(&name, existing::listening_on(*place))
                .await?,
        );
    }
    let redis = last.expect("the parent names one");
    chaos.may_break(&redis);
    let hang = chaos.inject(process::stop(&redis)).await?;
    crate::victims::come_in(&redis).await?;
    hang.lift().await?;
    Ok(())
}

#[chaos_test]
#[ignore = "another test runs it as a child"]
async fn takes_them(chaos: &ChaosContext) -> chaos_test::Result {
    take_and_break(chaos).await
}

#[chaos_test(leases("zoo"))]
#[ignore = "another test runs it as a child"]
async fn takes_them_beside_a_lease(chaos: &ChaosContext) -> chaos_test::Result {
    take_and_break(chaos).await
}

#[chaos_test(requires(docker))]
#[ignore = "another test runs it as a child"]
async fn takes_them_beside_a_container(chaos: &ChaosContext) -> chaos_test::Result {
    crate::containers_death::cache(chaos, "cache").await?;
    take_and_break(chaos).await
}

/// A test that has broken a server, until it is killed.
fn holder(shared: &Server) -> Started {
    let what = format!("listening_on {}", shared.address);
    let child = breaks("existing", &what, "process::stop", Folder::default());
    let mut child = child.env("EXISTING_WAITS", "yes").start();
    child.until_printed(READY);
    child
}

/// It waits for the server that another test has, and then has its turn.
#[track_caller]
fn waits_for_its_turn(test: Rerun, places: &[&Server]) {
    let shared = places.last().expect("one is shared");
    let first = holder(shared);
    let named: Vec<String> = places.iter().map(|one| one.address.to_string()).collect();
    let mut second = test
        .env(PLACES, named.join(" "))
        .env("CHAOS_STATE_DIR", first.folder().state())
        .start();
    second.until_printed(&format!(
        "waits for the lease `existing address {}`, for 2 s now",
        shared.address
    ));
    let folder = first.kill().folder;
    let ended = second.wait();
    assert!(ended.status.success(), "{}", ended.output());
    nothing_left(&ended);
    assert!(Folder::files(&folder.state().join("journals")).is_empty());
    assert!(pongs(shared.address));
}

#[test]
fn a_second_target_of_a_test_is_waited_for() {
    let (own, shared) = (Server::start(), Server::start());
    let test = Rerun::of("existing::sharing::takes_them");
    waits_for_its_turn(test, &[&own, &shared]);
}

#[test]
fn a_target_is_waited_for_beside_any_lease() {
    let shared = Server::start();
    let test = Rerun::of("existing::sharing::takes_them_beside_a_lease");
    waits_for_its_turn(test, &[&shared]);
}

#[test]
fn a_target_is_waited_for_beside_a_container() {
    let Some(run) = Run::new("a_target_is_waited_for_beside_a_container") else {
        return;
    };
    let shared = Server::start();
    let test = "existing::sharing::takes_them_beside_a_container";
    waits_for_its_turn(run.child(test, Folder::default()), &[&shared]);
}

#[test]
fn of_two_that_wait_for_each_other_one_gives_up() {
    let (one, other) = (Server::start(), Server::start());
    let folder = tempfile::tempdir().unwrap();
    let (go, state) = (folder.path().join("go"), folder.path().join("state"));
    let mut children = [[&one, &other], [&other, &one]].map(|places| {
        let child = Rerun::of("existing::sharing::takes_them")
            .env(PLACES, places.map(|one| one.address.to_string()).join(" "))
            .env("CHAOS_STATE_DIR", &state)
            .env(GO, &go);
        let mut child = child.start();
        child.until_printed(READY);
        child
    });
    std::fs::write(&go, "").unwrap();
    for child in &mut children {
        child.until_printed("waits for the lease `existing address ");
    }
    let ended = children.map(Started::wait);
    let outputs = [ended[0].output(), ended[1].output()];
    let both = outputs.join("\n");
    let passed = ended.iter().filter(|one| one.status.success()).count();
    assert_eq!(passed, 1, "{both}");
    let refused = usize::from(ended[0].status.success());
    let plain = outputs[refused].split_whitespace().collect::<Vec<_>>();
    let plain = plain.join(" ");
    for expected in [
        "s for it and waits no longer, because it holds `existing ",
        "existing::sharing::takes_them (process ",
        "waits for `existing address ",
        "two tests could wait for each other for ever",
        "help: tests that take the same things in another order wait for each other: name one \
         lease for them in each of these tests, such as `#[chaos_test(leases(\"redis-1\"))]`",
    ] {
        assert!(plain.contains(expected), "`{expected}` is missing:\n{both}");
    }
    ended.iter().for_each(nothing_left);
    assert!(pongs(one.address) && pongs(other.address));
}
