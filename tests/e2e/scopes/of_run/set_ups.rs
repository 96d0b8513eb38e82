//! Set-ups for a run that hang or fail, and values that nobody can read.

use std::time::{Duration, Instant};

use chaos_test::prelude::*;
use chaos_test_fixtures::rerun::{Folder, Rerun};

use super::super::outage;
use super::{by_nextest, kept, mark, name, one_after_the_other};
use crate::subjects::say;
use crate::victims::inventory_program;

/// It does not come up as long as anybody waits.
#[chaos_fixture(scope = "run")]
async fn endless(chaos: &ChaosContext) -> chaos_test::Result<Service> {
    let service = chaos.process("endless", inventory_program()).await?;
    say("endless has begun");
    std::future::pending::<()>().await;
    Ok(service)
}

#[chaos_test]
#[ignore = "another test runs it as a child"]
async fn one_waits_for_ever(chaos: &ChaosContext, endless: &Service) -> chaos_test::Result {
    outage(chaos, endless).await
}

#[test]
fn a_set_up_that_nobody_waits_for_any_more_is_put_back() {
    let child = Rerun::of(&name("set_ups::one_waits_for_ever")).start();
    let logs = child.folder().reports().join("child/logs");
    let until = Instant::now() + Duration::from_secs(60);
    let has_begun = || {
        let logs = Folder::files(&logs);
        let mut texts = logs
            .iter()
            .filter_map(|log| std::fs::read_to_string(log).ok());
        texts.any(|text| text.contains("endless has begun"))
    };
    while !has_begun() {
        assert!(Instant::now() < until, "{}", child.output());
        std::thread::sleep(Duration::from_millis(5));
    }
    let killed = Instant::now();
    let ended = child.kill();
    // Its set-up would have ten minutes.
    assert!(killed.elapsed() < Duration::from_secs(120));
    // The child had broken nothing, so its own journal waits for the next run.
    let next = Rerun::within(&name("other_uses_it"), ended.folder).run();
    assert!(next.status.success(), "{}", next.output());
    kept(&next);
}

/// It fails when it is set up for the first time.
#[chaos_fixture(scope = "run")]
async fn unsteady(chaos: &ChaosContext) -> chaos_test::Result<Service> {
    if !mark().exists() {
        std::fs::write(mark(), "")?;
        return Err(TestError::msg("not this time"));
    }
    Ok(chaos.process("unsteady", inventory_program()).await?)
}

#[chaos_test(breaks(unsteady))]
#[ignore = "another test runs it as a child"]
async fn one_tries_again(chaos: &ChaosContext, unsteady: &Service) -> chaos_test::Result {
    outage(chaos, unsteady).await
}

#[test]
fn another_attempt_has_another_set_up() {
    let Some(ended) = by_nextest(&["--retries", "1"], &["set_ups::one_tries_again"]) else {
        return;
    };
    let output = ended.output();
    assert!(ended.status.success(), "{output}");
    assert!(output.contains("not this time"), "{output}");
    assert!(output.contains("1 flaky"), "{output}");
    kept(&ended);
}

/// Half of it comes up.
#[chaos_fixture(scope = "run")]
async fn half_a_depot(chaos: &ChaosContext) -> chaos_test::Result<Service> {
    chaos.process("half", inventory_program()).await?;
    let program = Program::new("sh").args(["-c", "echo these are my last words; exit 3"]);
    Ok(chaos.process("talker", program).await?)
}

#[chaos_test]
#[ignore = "another test runs it as a child"]
async fn a_needs_half(chaos: &ChaosContext, half_a_depot: &Service) -> chaos_test::Result {
    outage(chaos, half_a_depot).await
}

#[chaos_test]
#[ignore = "another test runs it as a child"]
async fn b_needs_half(chaos: &ChaosContext, half_a_depot: &Service) -> chaos_test::Result {
    outage(chaos, half_a_depot).await
}

#[test]
fn a_failure_is_told_once_in_a_run() {
    let ended = one_after_the_other(&["set_ups::a_needs_half", "set_ups::b_needs_half"]);
    let output = ended.output();
    assert_eq!(
        output
            .matches("test result: FAILED. 0 passed; 1 failed")
            .count(),
        2,
        "{output}"
    );
    assert_eq!(
        output.matches("these are my last words").count(),
        1,
        "{output}"
    );
    let points = "(set up once in this run, for scopes::of_run::set_ups::a_needs_half (";
    assert!(output.contains(points), "{output}");
    kept(&ended);
}

/// What it returns cannot be read by others.
#[chaos_fixture(scope = "run")]
async fn unreadable() -> std::collections::BTreeMap<(u8, u8), u8> {
    [((1, 2), 3)].into()
}

#[chaos_test]
#[ignore = "another test runs it as a child"]
async fn one_cannot_read_it(
    _chaos: &ChaosContext,
    unreadable: &std::collections::BTreeMap<(u8, u8), u8>,
) {
    assert_eq!(unreadable.len(), 1);
}

#[test]
fn a_value_that_cannot_be_written_down_says_so() {
    let ended = Rerun::of(&name("set_ups::one_cannot_read_it")).run();
    let output = ended.output();
    assert!(!ended.status.success(), "{output}");
    let expected = "fixture `unreadable` failed: its value cannot be written down: key must be a";
    assert!(output.contains(expected), "{output}");
    kept(&ended);
}
