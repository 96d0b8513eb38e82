//! Keepers that are killed, and what goes with them.

use chaos_test::prelude::*;
use chaos_test::process;
use chaos_test_fixtures::rerun::Rerun;

use super::super::outage;
use super::{
    Depot, as_cargo, depot, die, kept, kill, name, numbers, one_after_the_other, until_gone,
};
use crate::bad_input::nothing_left;
use crate::subjects::say;
use crate::victims::{inventory_program, watch};

#[chaos_test]
#[ignore = "another test runs it as a child"]
async fn one_kills_the_keeper(chaos: &ChaosContext, depot: &Depot) -> chaos_test::Result {
    say(&format!("killed: {}", depot.keeper));
    kill(depot.keeper);
    let own = chaos.process("own", inventory_program()).await?;
    outage(chaos, &own).await
}

#[test]
fn a_killed_keeper_leaves_nothing_and_has_a_successor() {
    let ended = one_after_the_other(&["keepers::one_kills_the_keeper", "other_uses_it"]);
    let output = ended.output();
    assert_eq!(output.matches("1 passed").count(), 2, "{output}");
    let (killed, next) = (numbers(&ended, "killed:"), numbers(&ended, "served by"));
    assert_eq!((killed.len(), next.len()), (1, 1), "{output}");
    assert_ne!(killed, next, "{output}");
    kept(&ended);
}

/// Others of its process look at what they have before they use it.
#[test]
fn a_killed_keeper_has_a_successor_in_the_same_process_too() {
    let ended = Rerun::of(&name("keepers::one_kills_the_keeper"))
        .beside(&name("other_uses_it"))
        .beside("--test-threads=1")
        .run();
    let output = ended.output();
    assert!(output.contains("2 passed"), "{output}");
    let (killed, next) = (numbers(&ended, "killed:"), numbers(&ended, "served by"));
    assert_eq!((killed.len(), next.len()), (1, 1), "{output}");
    assert_ne!(killed, next, "{output}");
    kept(&ended);
}

#[test]
fn a_keeper_ends_though_its_folder_is_gone() {
    let test = name("other_uses_it");
    let ended = as_cargo(&format!(
        "\"$0\" --exact {test} --include-ignored --nocapture; rm -rf \"$CHAOS_STATE_DIR\";"
    ));
    let output = ended.output();
    assert_eq!(output.matches("1 passed").count(), 1, "{output}");
    assert_eq!(numbers(&ended, "served by").len(), 1, "{output}");
    nothing_left(&ended);
}

/// What it breaks goes with its keeper before it is put back.
#[chaos_test(breaks(depot))]
#[ignore = "another test runs it as a child"]
async fn one_kills_the_keeper_in_the_midst(
    chaos: &ChaosContext,
    depot: &Depot,
) -> chaos_test::Result {
    let requests = watch(chaos, &depot.service);
    requests.baseline(ms(100)).await?;
    let hang = chaos.inject(process::stop(&depot.service)).await?;
    requests.over(ms(100)).await?;
    kill(depot.keeper);
    until_gone(depot.keeper).await;
    drop(hang);
    Ok(())
}

/// The same where the test, too, is killed.
#[chaos_test(breaks(depot))]
#[ignore = "another test runs it as a child"]
async fn one_dies_with_the_keeper(chaos: &ChaosContext, depot: &Depot) -> chaos_test::Result {
    chaos
        .during(process::stop(&depot.service), async |_| {
            kill(depot.keeper);
            die().await
        })
        .await
        .map(drop)
}

#[test]
fn what_goes_with_a_killed_keeper_is_not_to_be_put_back() {
    let ended = one_after_the_other(&[
        "keepers::one_kills_the_keeper_in_the_midst",
        "other_uses_it",
    ]);
    let output = ended.output();
    // Nobody has looked at what lifting came to, and it is no pass.
    assert!(
        output.contains("kept it for this run and has ended"),
        "{output}"
    );
    for never in ["NOT RESTORED", "could not undo"] {
        assert!(!output.contains(never), "{output}");
    }
    assert_eq!(output.matches("1 passed").count(), 1, "{output}");
    assert_eq!(
        output.matches("FAILED. 0 passed; 1 failed").count(),
        1,
        "{output}"
    );
    kept(&ended);
    let ended = one_after_the_other(&["keepers::one_dies_with_the_keeper", "other_uses_it"]);
    let output = ended.output();
    assert_eq!(output.matches("1 passed").count(), 1, "{output}");
    assert!(!output.contains("could not undo"), "{output}");
    kept(&ended);
}
