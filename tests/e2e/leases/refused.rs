//! What cannot be had, or is not wanted any more, is a clear error and leaves nothing behind.

use chaos_test::prelude::*;
use chaos_test::{Restoration, RunStatus};
use chaos_test_fixtures::rerun::Folder;

use super::stage::{Play, Stage, act, break_nothing, open_files, passed, until_waits, who};
use crate::bad_input::{nothing_left, outcome};
use crate::engine::Run;

/// Takes what is free and sorts before what it holds; is refused what is not.
#[chaos_test(leases("zoo"))]
#[ignore = "another test runs it as a child"]
async fn asks_in_the_wrong_order(chaos: &ChaosContext) -> chaos_test::Result {
    for name in ["zoo", "zoo keeper", "Straße 7/\u{1f418}", "aviary"] {
        chaos.lease(name).await?;
    }
    let taken = chaos.lease("orders-db").await;
    let unnamed = chaos.lease(" ").await.unwrap_err();
    assert!(
        unnamed.to_string().contains("its name is not empty"),
        "{unnamed}"
    );
    break_nothing(chaos).await?;
    if let Err(error) = &taken {
        crate::subjects::say(&format!("is_refused: {}", error.is_refused()));
    }
    Ok(taken?)
}

#[test]
fn a_lease_out_of_order_is_refused_while_somebody_holds_it() {
    let play = Play::new();
    let holder = play.enters("first");
    let ended = play.child("refused::asks_in_the_wrong_order").run();
    let output = ended.output();
    assert!(!ended.status.success(), "{output}");
    for expected in [
        "is_refused: true",
        &format!(
            "the lease `orders-db` is held by {}, for ",
            who("first", &holder)
        ),
        "this test must not wait for it, because it holds `zoo`, `zoo keeper`: two tests \
         could wait for each other for ever",
        "help: name all of them in `#[chaos_test(leases(\"orders-db\", \"zoo\", \"zoo keeper\"))]`, \
         or ask for `orders-db` before `zoo`, `zoo keeper`: leases are waited for in alphabetical \
         order",
    ] {
        let plain = output.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(
            plain.contains(expected),
            "`{expected}` is missing in:\n{output}"
        );
    }
    assert!(matches!(outcome(&ended).status, RunStatus::Errored(_)));
    nothing_left(&ended);
    play.tell_to_go("first");
    play.all_pass([holder]);
}

/// Asks for a lease, and gives up while it waits.
#[chaos_test]
#[ignore = "another test runs it as a child"]
async fn gives_up(chaos: &ChaosContext) -> chaos_test::Result {
    let stage = Stage::of_child();
    let waits = async {
        until_waits(&stage, "refused::gives_up").await;
        assert_ne!(open_files("/lease-orders-db"), 0);
    };
    tokio::select! {
        taken = chaos.lease("orders-db") => panic!("it was free: {taken:?}"),
        () = waits => {}
    }
    while open_files("/lease-orders-db") + open_files("/next-orders-db") > 0 {
        tokio::time::sleep(ms(2)).await;
    }
    act(chaos, "refused::gives_up").await
}

#[test]
fn a_wait_that_was_given_up_holds_nothing_afterwards() {
    let play = Play::new();
    let holder = play.enters("first");
    let gave_up = play.enters("refused::gives_up");
    play.tell_to_go("first");
    passed(&holder.wait());
    // Free, while the one that gave up is still there.
    passed(&play.child("brief").run());
    play.tell_to_go("refused::gives_up");
    play.all_pass([gave_up]);
}

/// Opens a context while somebody is alone, and gives up.
#[tokio::test]
#[ignore = "another test runs it as a child"]
async fn gives_up_its_turn() {
    let stage = Stage::of_child();
    tokio::select! {
        opened = ChaosContext::start() => panic!("nobody is alone: {opened:?}"),
        () = until_waits(&stage, "refused::gives_up_its_turn") => {}
    }
    while open_files("/leases/all") + open_files("/leases/all-next") > 0 {
        tokio::time::sleep(ms(2)).await;
    }
}

#[test]
fn a_context_that_was_given_up_before_its_turn_is_gone() {
    let play = Play::new();
    let alone = play.enters("alone");
    passed(&play.child("refused::gives_up_its_turn").run());
    play.tell_to_go("alone");
    play.all_pass([alone]);
}

/// Ends while a call waits that nobody asks any more, and that nobody has dropped.
#[chaos_test]
#[ignore = "another test runs it as a child"]
async fn ends_while_it_waits(chaos: &ChaosContext) -> chaos_test::Result {
    let stage = Stage::of_child();
    chaos.at_rollback("look at what is held", async || {
        while open_files("/lease-orders-db") + open_files("/next-orders-db") > 0 {
            tokio::time::sleep(ms(2)).await;
        }
        Ok::<_, TestError>(())
    })?;
    break_nothing(chaos).await?;
    let mut call = Box::pin(chaos.lease("orders-db"));
    tokio::select! {
        taken = &mut call => panic!("it was free: {taken:?}"),
        () = until_waits(&stage, "refused::ends_while_it_waits") => {}
    }
    std::mem::forget(call);
    Ok(())
}

#[test]
fn a_context_that_ends_waits_no_longer() {
    let play = Play::new();
    let holder = play.enters("first");
    passed(&play.child("refused::ends_while_it_waits").run());
    play.tell_to_go("first");
    play.all_pass([holder]);
}

/// Asks once more when its time is over.
#[chaos_test(timeout = "300ms")]
#[ignore = "another test runs it as a child"]
async fn asks_after_its_end(chaos: &ChaosContext) -> chaos_test::Result {
    let stage = Stage::of_child();
    let rollback = stage.clone();
    chaos.at_rollback("look at what was refused", async move || {
        rollback.happens("rollback begins");
        rollback.until("refused: true");
        assert_eq!(open_files("/lease-orders-db"), 0);
        Ok::<_, TestError>(())
    })?;
    stage.until("rollback begins");
    let error = chaos.lease("orders-db").await.unwrap_err();
    stage.happens(&format!("refused: {}", error.is_ended()));
    Err(error.into())
}

#[test]
fn a_context_that_has_ended_takes_no_lease() {
    let play = Play::new();
    let ended = play.child("refused::asks_after_its_end").run();
    assert!(!ended.status.success(), "{}", ended.output());
    let outcome = outcome(&ended);
    assert!(
        matches!(outcome.status, RunStatus::TimedOut(_)),
        "{outcome:?}"
    );
    // The closure in its rollback found all as it should be.
    let restored = matches!(outcome.restoration, Restoration::Restored { .. });
    assert!(restored, "{outcome:?}");
    play.all_pass([]);
}

#[test]
fn a_lease_that_cannot_be_taken_is_an_error_and_nothing_is_touched() {
    for (file, test, what) in [
        (
            "lease-orders-db",
            "first",
            "the lease `orders-db` cannot be taken",
        ),
        ("all", "first", "its turn cannot be taken"),
        (
            "all",
            "alone::without_the_macro",
            "is_state: true, its turn cannot be taken",
        ),
    ] {
        let play = Play::new();
        std::fs::create_dir_all(play.state().join("leases").join(file)).unwrap();
        let ended = play.child(test).run();
        let output = ended.output();
        assert!(!ended.status.success(), "{output}");
        let plain = output.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(
            plain.contains(&format!("{what}, so nothing was done")),
            "{output}"
        );
        assert!(
            matches!(outcome(&ended).status, RunStatus::Errored(_)),
            "{output}"
        );
        assert!(ended.junit().contains("<error"), "{}", ended.junit());
        assert!(play.events().is_empty(), "{:?}", play.events());
        play.all_pass([]);
    }
}

/// Asks for a lease once it has a container, for which others may wait who hold that lease.
#[chaos_test(requires(docker))]
#[ignore = "another test runs it as a child"]
async fn asks_beside_a_container(chaos: &ChaosContext) -> chaos_test::Result {
    crate::containers_death::cache(chaos, "cache").await?;
    chaos.lease("nobody has it").await?;
    let error = chaos.lease("orders-db").await.unwrap_err();
    crate::subjects::say(&format!("is_refused: {}, {error}", error.is_refused()));
    let second = ChaosContext::start().await?;
    let error = second.lease("orders-db").await.unwrap_err();
    crate::subjects::say(&format!(
        "second is_refused: {}, {error}",
        error.is_refused()
    ));
    // There is one place, and its own test has it.
    crate::containers_death::cache(&second, "beside").await?;
    drop(second);
    break_nothing(chaos).await
}

#[test]
fn a_lease_is_not_waited_for_beside_a_container() {
    let Some(run) = Run::new("a_lease_is_not_waited_for_beside_a_container") else {
        return;
    };
    let play = Play::new();
    let holder = play.enters("first");
    let child = run.child(
        "leases::refused::asks_beside_a_container",
        Folder::default(),
    );
    let ended = child
        .env("CHAOS_STATE_DIR", play.state())
        .env("CHAOS_MAX_CONTAINERS", "1")
        .run();
    let output = ended.output();
    assert!(ended.status.success(), "{output}");
    for expected in [
        "\nis_refused: true, the lease `orders-db` is held by leases::first",
        "second is_refused: true, the lease `orders-db` is held by leases::first",
        "because it holds a place for a container",
        "help: name it in `#[chaos_test(leases(\"orders-db\"))]`, or ask for it before the first \
         container",
    ] {
        assert!(
            output.contains(expected),
            "`{expected}` is missing in:\n{output}"
        );
    }
    play.tell_to_go("first");
    play.all_pass([holder]);
    run.assert_nothing_left(&output);
}
