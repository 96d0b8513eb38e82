//! Known gaps: a deviation that is expected, strictly so.

use chaos_test::prelude::*;
use chaos_test::{RunStatus, Verdict, process};
use chaos_test_fixtures::rerun::{Ended, Rerun};

use crate::bad_input::{nothing_left, outcome};
use crate::victims::{inventory, watch};

/// Nobody notices that inventory is down.
#[chaos_test(known_gap = "SHOP-12")]
#[ignore = "another test runs it as a child"]
async fn it_has_a_gap(chaos: &ChaosContext, inventory: &Service) -> chaos_test::Result {
    let requests = watch(chaos, inventory);
    requests.baseline(ms(100)).await?;
    let outage = chaos.inject(process::kill(inventory)).await?;
    let seen = requests.over(ms(100)).await?;
    outage.lift().await?;
    seen.expect(error_rate().at_most(percent(0))).check()?;
    Ok(())
}

/// Inventory comes back.
#[chaos_test(known_gap = "SHOP-12")]
#[ignore = "another test runs it as a child"]
async fn its_gap_is_closed(chaos: &ChaosContext, inventory: &Service) -> chaos_test::Result {
    let requests = watch(chaos, inventory);
    let normal = requests.baseline(ms(100)).await?;
    let outage = chaos.inject(process::kill(inventory)).await?;
    requests.over(ms(100)).await?;
    let lifted = outage.lift().await?;
    requests
        .recovers_to(&normal)
        .since(lifted)
        .within(secs(20))
        .await?;
    Ok(())
}

/// Nothing happens.
#[chaos_test(known_gap = "SHOP-12")]
#[ignore = "another test runs it as a child"]
async fn it_proves_nothing(chaos: &ChaosContext, inventory: &Service) -> chaos_test::Result {
    watch(chaos, inventory).over(ms(50)).await?;
    Ok(())
}

/// It fails before anything is broken.
#[chaos_test(known_gap = "SHOP-12")]
#[ignore = "another test runs it as a child"]
async fn it_fails_early(_chaos: &ChaosContext) -> chaos_test::Result {
    let _: u16 = "http://".parse()?;
    Ok(())
}

fn run(test: &str) -> Ended {
    let ended = Rerun::of(&format!("known_gaps::{test}")).run();
    nothing_left(&ended);
    ended
}

#[test]
fn a_known_gap_is_shown_and_does_not_fail() {
    let ended = run("it_has_a_gap");
    let output = ended.output();
    assert!(ended.status.success(), "{output}");
    for expected in [
        "chaos-test: KNOWN GAP SHOP-12: known_gaps::it_has_a_gap: hypothesis deviated: error rate of",
        "chaos-test: 1 chaos test, 0 failed, 0 skipped, 1 known gap; report: ",
        "chaos-test:   known gap SHOP-12: known_gaps::it_has_a_gap",
    ] {
        assert!(output.contains(expected), "{expected} in:\n{output}");
    }
    let junit = ended.junit();
    let skipped = "<skipped message=\"known gap SHOP-12: hypothesis deviated: error rate of";
    assert!(junit.contains(skipped), "{junit}");
    assert!(junit.contains("failures=\"0\" errors=\"0\""), "{junit}");
    let outcome = outcome(&ended);
    assert!(
        matches!(outcome.verdict, Verdict::Deviated(_)),
        "{outcome:?}"
    );
    assert_eq!(outcome.known_gap(), Some("SHOP-12"));
}

#[test]
fn a_gap_that_is_closed_fails_so_that_it_is_no_longer_called_known() {
    let ended = run("its_gap_is_closed");
    let output = ended.output();
    assert!(!ended.status.success(), "{output}");
    for expected in [
        "known_gaps::its_gap_is_closed: a known gap is closed",
        "the known gap `SHOP-12` is closed, the hypothesis held: take `known_gap` away",
    ] {
        assert!(output.contains(expected), "{expected} in:\n{output}");
    }
    assert!(
        ended.junit().contains("type=\"known gap closed\""),
        "{}",
        ended.junit()
    );
    assert!(!outcome(&ended).passed());
}

#[test]
fn a_known_gap_excuses_nothing_else() {
    for test in ["it_proves_nothing", "it_fails_early"] {
        excuses_nothing(test);
    }
}

fn excuses_nothing(test: &str) {
    let ended = run(test);
    assert!(!ended.status.success(), "{}", ended.output());
    let outcome = outcome(&ended);
    assert_eq!(outcome.status, RunStatus::Completed);
    assert!(
        matches!(outcome.verdict, Verdict::Unknown(_)),
        "{outcome:?}"
    );
    assert!(
        ended.output().contains("no chaos happened"),
        "{}",
        ended.output()
    );
}
