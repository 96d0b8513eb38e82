//! An exclusive test runs alone, is not overtaken, and does not wait for itself.

use chaos_test::prelude::*;
use chaos_test_fixtures::rerun::Rerun;

use super::stage::{Play, Stage, act, break_nothing, open_files, passed, says, who};
use crate::bad_input::nothing_left;

#[test]
fn an_exclusive_test_runs_alone_and_is_not_overtaken() {
    let play = Play::new();
    let beside = play.enters("first");
    let alone = play.queues("alone");
    // The first one would let it in.
    let newcomer = play.queues("third");
    play.tell_to_go("first");
    play.until("in alone");
    play.tell_to_go("alone");
    play.until("in third");
    play.tell_to_go("third");
    play.all_pass([beside, alone, newcomer]);
    play.assert_order(&["in first", "out first", "in alone", "out alone", "in third"]);
    play.assert_alone("alone");
}

#[test]
fn in_one_process_an_exclusive_test_runs_alone_too() {
    let play = Play::new();
    let child = play
        .child("alone")
        .beside("leases::first")
        .beside("leases::third")
        .env("RUST_TEST_THREADS", "3")
        .start();
    let others = ["first", "third"];
    play.until_so("one is in", || {
        ["alone", "first", "third"]
            .iter()
            .any(|test| play.has(&format!("in {test}")))
    });
    if play.has("in alone") {
        others.iter().for_each(|test| play.until_waits(test));
    } else {
        play.until_waits("alone");
    }
    ["alone", "first", "third"]
        .iter()
        .for_each(|test| play.tell_to_go(test));
    play.all_pass([child]);
    play.assert_alone("alone");
}

#[test]
fn who_waits_to_be_alone_is_told_who_runs() {
    let play = Play::new();
    let beside = play.enters("first");
    let mut alone = play.child("alone").start();
    says(
        &mut alone,
        "leases::alone waits for its turn to be alone (`exclusive`)",
        &format!("not ended: {} for ", who("first", &beside)),
    );
    let mut newcomer = play.child("third").start();
    says(
        &mut newcomer,
        "leases::third waits for its turn",
        &format!(
            "{} is exclusive, comes first, and has waited for ",
            who("alone", &alone)
        ),
    );
    play.tell_to_go("first");
    play.until("in alone");
    let mut late = play.child("second").start();
    says(
        &mut late,
        "leases::second waits for its turn",
        &format!(
            "{} is exclusive and has been alone for ",
            who("alone", &alone)
        ),
    );
    for test in ["alone", "second", "third"] {
        play.tell_to_go(test);
    }
    play.all_pass([beside, alone, newcomer, late]);
}

/// Opens a second context on its own thread, which holds what the test holds.
async fn open_another(chaos: &ChaosContext) -> chaos_test::Result {
    let another = ChaosContext::start().await?;
    another.lease("orders-db").await?;
    another.lease("zoo").await?;
    break_nothing(&another).await?;
    assert!(another.finish().await?.passed());
    // What only the other one asked for is free with its end.
    assert_eq!(open_files("/lease-zoo"), 0);
    assert_ne!(open_files("/lease-orders-db"), 0);
    chaos.lease("zoo").await?;
    Ok(())
}

#[chaos_test(exclusive, leases("orders-db"))]
#[ignore = "another test runs it as a child"]
async fn alone_with_another_context(chaos: &ChaosContext) -> chaos_test::Result {
    open_another(chaos).await?;
    let blocking = ChaosContext::start_blocking()?;
    break_nothing(&blocking).await?;
    assert!(blocking.finish_blocking()?.passed());
    break_nothing(chaos).await
}

#[chaos_test(exclusive, leases("orders-db"))]
#[ignore = "another test runs it as a child"]
fn alone_with_another_context_in_a_plain_function(chaos: &ChaosContext) -> chaos_test::Result {
    chaos.block_on(open_another(chaos))?;
    chaos.block_on(break_nothing(chaos))
}

#[test]
fn what_an_exclusive_test_opens_is_part_of_it() {
    for test in [
        "alone::alone_with_another_context",
        "alone::alone_with_another_context_in_a_plain_function",
    ] {
        passed(&Rerun::of(&format!("leases::{test}")).run());
    }
}

/// Opens contexts while an exclusive test waits for it.
#[chaos_test(leases("orders-db"))]
#[ignore = "another test runs it as a child"]
async fn opens_more(chaos: &ChaosContext) -> chaos_test::Result {
    act(chaos, "alone::opens_more").await?;
    open_another(chaos).await?;
    let elsewhere = std::thread::spawn(|| {
        let chaos = ChaosContext::start_blocking()?;
        chaos.block_on(break_nothing(&chaos))?;
        chaos.finish_blocking()?;
        Ok::<_, TestError>(())
    });
    elsewhere.join().expect("it does not panic")?;
    Stage::of_child().happens("opened more");
    Ok(())
}

#[test]
fn a_test_that_somebody_waits_for_can_open_more_contexts() {
    let play = Play::new();
    let beside = play.enters("alone::opens_more");
    let alone = play.queues("alone");
    play.tell_to_go("alone::opens_more");
    play.tell_to_go("alone");
    play.all_pass([beside, alone]);
    play.assert_order(&["opened more", "out alone::opens_more", "in alone"]);
    play.assert_alone("alone");
}

#[test]
#[ignore = "another test runs it as a child"]
fn without_the_macro() {
    let chaos = match ChaosContext::start_blocking() {
        Ok(chaos) => chaos,
        Err(error) => panic!("is_state: {}, {error}", error.is_state()),
    };
    chaos.block_on(async {
        chaos.lease("orders-db").await.unwrap();
        act(&chaos, "alone::without_the_macro").await.unwrap();
    });
    assert!(chaos.finish_blocking().unwrap().passed());
}

#[test]
fn a_context_without_the_macro_waits_like_any_other() {
    let play = Play::new();
    let alone = play.enters("alone");
    let plain = play.queues("alone::without_the_macro");
    play.tell_to_go("alone");
    play.until("in alone::without_the_macro");
    let next = play.queues("alone");
    play.tell_to_go("alone::without_the_macro");
    play.all_pass([alone, plain, next]);
    play.assert_order(&[
        "out alone",
        "in alone::without_the_macro",
        "out alone::without_the_macro",
        "in alone",
    ]);
}

/// A test that calls another one, which would wait for it.
#[chaos_test]
#[ignore = "another test runs it as a child"]
fn calls_an_exclusive_test(chaos: &ChaosContext) {
    let _ = chaos;
    alone_with_another_context();
}

#[test]
fn an_exclusive_test_within_another_one_is_an_error() {
    let ended = Rerun::of("leases::alone::calls_an_exclusive_test").run();
    let output = ended.output();
    assert!(!ended.status.success(), "{output}");
    let expected = "an exclusive test cannot begin within another test";
    assert!(output.contains(expected), "{output}");
    nothing_left(&ended);
}
