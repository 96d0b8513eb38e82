//! Tests that share a target take turns, tests that are `exclusive` run alone, and the others
//! run beside each other; in one process and across processes.

mod alone;
mod broken;
mod refused;
mod stage;

use chaos_test::prelude::*;
use chaos_test::{Undo, registered};
use chaos_test_fixtures::rerun::{Rerun, Started};

use stage::{Play, Stage, act, break_nothing, open_files, passed, says, waited, who};

#[chaos_test(leases("orders-db"))]
#[ignore = "another test runs it as a child"]
async fn first(chaos: &ChaosContext) -> chaos_test::Result {
    act(chaos, "first").await
}

#[chaos_test(leases("warehouse", "orders-db"))]
#[ignore = "another test runs it as a child"]
async fn second(chaos: &ChaosContext) -> chaos_test::Result {
    act(chaos, "second").await
}

#[chaos_test(leases("broker"))]
#[ignore = "another test runs it as a child"]
async fn third(chaos: &ChaosContext) -> chaos_test::Result {
    act(chaos, "third").await
}

#[chaos_test(exclusive, leases("orders-db"))]
#[ignore = "another test runs it as a child"]
async fn alone(chaos: &ChaosContext) -> chaos_test::Result {
    act(chaos, "alone").await
}

/// Its body may take less time than a wait that is shown.
#[chaos_test(leases("orders-db"), timeout = "1500ms")]
#[ignore = "another test runs it as a child"]
async fn brief(chaos: &ChaosContext) -> chaos_test::Result {
    break_nothing(chaos).await
}

/// Two tests that name one target, and a third one that names another.
fn two_share_and_the_third_does_not(play: &Play, children: Vec<Started>) {
    play.until_so("one of the two is in", || {
        play.has("in first") || play.has("in second")
    });
    let (holder, waiter) = match play.has("in first") {
        true => ("first", "second"),
        false => ("second", "first"),
    };
    play.until_waits(waiter);
    // Beside the holder, which stays in until it is told to go.
    play.until("in third");
    assert!(!play.has(&format!("in {waiter}")), "{:?}", play.events());
    play.tell_to_go(holder);
    play.until(&format!("in {waiter}"));
    play.tell_to_go(waiter);
    play.tell_to_go("third");
    play.all_pass(children);
    let [out, next] = [format!("out {holder}"), format!("in {waiter}")];
    play.assert_order(&["in third", &out, &next]);
}

#[test]
fn in_one_process_tests_wait_only_for_those_that_share_their_target() {
    let play = Play::new();
    let child = play
        .child("first")
        .beside("leases::second")
        .beside("leases::third")
        .env("RUST_TEST_THREADS", "3")
        .start();
    two_share_and_the_third_does_not(&play, vec![child]);
}

#[test]
fn across_processes_tests_wait_only_for_those_that_share_their_target() {
    let play = Play::new();
    let children = ["first", "second", "third"].map(|test| play.child(test).start());
    two_share_and_the_third_does_not(&play, children.into());
}

#[test]
fn a_wait_is_shown_and_takes_no_time_of_the_body() {
    for test in ["brief", "asks_late"] {
        let play = Play::new();
        let holder = play.enters("first");
        let mut waiter = play.child(test).start();
        says(
            &mut waiter,
            &format!("leases::{test} waits for the lease `orders-db`"),
            &format!("{} has held it for ", who("first", &holder)),
        );
        play.tell_to_go("first");
        let ended = waiter.wait();
        passed(&ended);
        let (lease, waited) = waited(&ended);
        assert_eq!(lease.as_deref(), Some("orders-db"));
        assert!(waited >= secs(2), "{waited:?}");
        let shown = "waits for the lease `orders-db`: leases::first";
        assert!(ended.junit().contains(shown), "{}", ended.junit());
        play.all_pass([holder]);
    }
}

#[chaos_test(leases("orders-db"))]
#[ignore = "another test runs it as a child"]
async fn breaks_what_is_shared(chaos: &ChaosContext) -> chaos_test::Result {
    let stage = Stage::of_child();
    let broken = stage.0.join("broken");
    let argv = ["rm", &broken.to_string_lossy()].map(str::to_owned).into();
    chaos.undo_at_rollback("break the database", Undo::Command { argv })?;
    std::fs::write(&broken, "")?;
    act(chaos, "breaks_what_is_shared").await
}

/// Asks for its lease while it runs, and finds the target sound. It has less time than a wait
/// that is shown takes.
#[chaos_test(timeout = "1500ms")]
#[ignore = "another test runs it as a child"]
async fn asks_late(chaos: &ChaosContext) -> chaos_test::Result {
    chaos.lease("orders-db").await?;
    chaos.lease("orders-db").await?;
    let broken = Stage::of_child().0.join("broken");
    assert!(
        !broken.exists(),
        "what its last holder broke is still broken"
    );
    Stage::of_child().happens("in asks_late");
    break_nothing(chaos).await
}

/// The last step of its rollback finds that it still holds what it was given.
#[chaos_test(leases("orders-db"))]
#[ignore = "another test runs it as a child"]
async fn looks_in_its_rollback(chaos: &ChaosContext) -> chaos_test::Result {
    chaos.at_rollback("look at what is held", async || {
        for file in ["/leases/all", "/leases/lease-orders-db"] {
            if open_files(file) == 0 {
                return Err(TestError::msg(format!("{file} is let go")));
            }
        }
        Ok(())
    })?;
    break_nothing(chaos).await
}

#[test]
fn leases_are_held_until_everything_is_put_back() {
    passed(&Rerun::of("leases::looks_in_its_rollback").run());
}

#[test]
fn a_killed_holder_has_no_lease_and_what_it_broke_is_put_back_first() {
    let play = Play::new();
    let holder = play.enters("breaks_what_is_shared");
    // It has swept what dead runs left before the holder dies.
    let waiter = play.queues("asks_late");
    let _ = holder.kill();
    play.all_pass([waiter]);
    assert!(play.has("in asks_late"), "{:?}", play.events());
}

#[test]
fn the_lease_of_a_killed_holder_is_free_at_once() {
    let play = Play::new();
    let holder = play.enters("first");
    let _ = holder.kill();
    // This one does not wait for it.
    play.all_pass([play.child("refused::asks_in_the_wrong_order").start()]);
}

#[test]
fn what_a_test_holds_is_registered() {
    let tests = registered();
    let test = |path| tests.iter().find(|test| test.path() == path).unwrap();
    let second = test("leases::second");
    assert_eq!(second.leases(), ["warehouse", "orders-db"]);
    assert!(!second.is_exclusive());
    assert!(test("leases::alone").is_exclusive());
}
