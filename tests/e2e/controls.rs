//! Negative controls: the same test once more, with what it tests weakened, must deviate.

use std::time::{Duration, Instant};

use chaos_test::prelude::*;
use chaos_test::process;
use chaos_test_fixtures::rerun::{Ended, Rerun};

use crate::bad_input::nothing_left;
use crate::victims::{inventory, processes_with, watch};

/// Whether something is switched off.
fn is_off(name: &str) -> bool {
    std::env::var(name).is_ok_and(|value| value == "off")
}

/// Breaks inventory; its callers bear that unless `TOLERANCE` is off.
async fn callers_bear_it(chaos: &ChaosContext, inventory: &Service) -> chaos_test::Result {
    let requests = watch(chaos, inventory);
    let outage = chaos.inject(process::kill(inventory)).await?;
    let seen = requests.over(ms(100)).await?;
    outage.lift().await?;
    let tolerated = if is_off("TOLERANCE") { 0 } else { 100 };
    seen.expect(error_rate().at_most(percent(tolerated)))
        .check()?;
    Ok(())
}

/// Callers bear an outage of inventory.
#[chaos_test(must_fail_when(env("TOLERANCE" = "off") => "error rate of inventory"))]
#[ignore = "another test runs it as a child"]
async fn it_proves_something(chaos: &ChaosContext, inventory: &Service) -> chaos_test::Result {
    callers_bear_it(chaos, inventory).await
}

/// One of its two controls changes nothing.
#[chaos_test(must_fail_when(env("TOLERANCE" = "off"), env("NOBODY_READS_THIS" = "off")))]
#[ignore = "another test runs it as a child"]
async fn it_proves_nothing(chaos: &ChaosContext, inventory: &Service) -> chaos_test::Result {
    callers_bear_it(chaos, inventory).await
}

/// It deviates because of something else.
#[chaos_test(must_fail_when(env("TOLERANCE" = "off") => "p95 latency"), exclusive)]
#[ignore = "another test runs it as a child"]
async fn it_has_another_reason(chaos: &ChaosContext, inventory: &Service) -> chaos_test::Result {
    callers_bear_it(chaos, inventory).await
}

/// Its control never breaks anything.
#[chaos_test(must_fail_when(env("TOLERANCE" = "off")))]
#[ignore = "another test runs it as a child"]
async fn its_control_cannot_begin(chaos: &ChaosContext, inventory: &Service) -> chaos_test::Result {
    if is_off("TOLERANCE") {
        chaos
            .process("nothing", Program::new("/nowhere/at/all"))
            .await?;
    }
    callers_bear_it(chaos, inventory).await
}

/// Its control crashes.
#[chaos_test(must_fail_when(env("TOLERANCE" = "off")))]
#[ignore = "another test runs it as a child"]
async fn its_control_crashes(chaos: &ChaosContext, inventory: &Service) -> chaos_test::Result {
    if is_off("TOLERANCE") {
        std::process::abort();
    }
    callers_bear_it(chaos, inventory).await
}

/// Its control fails before anything is broken.
#[chaos_test(must_fail_when(env("TOLERANCE" = "off")))]
#[ignore = "another test runs it as a child"]
async fn its_control_breaks_nothing(
    chaos: &ChaosContext,
    inventory: &Service,
) -> chaos_test::Result {
    assert!(!is_off("TOLERANCE"), "a slip in the test itself");
    callers_bear_it(chaos, inventory).await
}

/// Its control goes too far, and is aborted for that.
#[chaos_test(
    must_fail_when(env("TOLERANCE" = "off") => "lost.value > 0"),
    abort_if(lost > 0)
)]
#[ignore = "another test runs it as a child"]
async fn its_control_goes_too_far(chaos: &ChaosContext, inventory: &Service) -> chaos_test::Result {
    let lost = async || Ok::<_, std::io::Error>(0);
    chaos.monitor(lost.every(ms(10)).named("lost"));
    let _outage = chaos.inject(process::kill(inventory)).await?;
    watch(chaos, inventory).over(ms(100)).await?;
    if is_off("TOLERANCE") {
        let lost = async || Ok::<_, std::io::Error>(3);
        chaos.abort_if(value().above(2.0).of("many"));
        chaos.monitor(lost.every(ms(10)).named("many"));
        std::future::pending::<()>().await;
    }
    Ok(())
}

/// Its control waits until somebody ends it.
#[chaos_test(must_fail_when(env("TOLERANCE" = "off")))]
#[ignore = "another test runs it as a child"]
async fn its_control_waits(chaos: &ChaosContext, inventory: &Service) -> chaos_test::Result {
    let _outage = chaos.inject(process::kill(inventory)).await?;
    watch(chaos, inventory).over(ms(50)).await?;
    std::fs::write(std::env::var("CONTROL_IS_READY")?, "")?;
    std::future::pending::<()>().await;
    Ok(())
}

#[track_caller]
fn run(test: &str, passes: bool, in_output: &[&str], in_junit: &[&str]) -> Ended {
    let ended = Rerun::of(&format!("controls::{test}")).run();
    let output = ended.output();
    assert_eq!(ended.status.success(), passes, "{output}");
    nothing_left(&ended);
    let plain = output.split_whitespace().collect::<Vec<_>>().join(" ");
    for expected in in_output {
        assert!(plain.contains(expected), "{expected} in:\n{output}");
    }
    let junit = ended.junit();
    let junit = junit.split_whitespace().collect::<Vec<_>>().join(" ");
    for expected in in_junit {
        assert!(junit.contains(expected), "{expected} in:\n{junit}");
    }
    ended
}

#[test]
fn a_control_that_deviates_shows_that_the_test_can_fail() {
    run(
        "it_proves_something",
        true,
        &["chaos-test: 1 chaos test, 0 failed, 0 skipped"],
        &[
            "<testcase name=\"controls::it_proves_something\"",
            "<testcase name=\"controls::it_proves_something [TOLERANCE=off]\"",
            "tests=\"2\" failures=\"0\" errors=\"0\"",
            "held: negative control with TOLERANCE=off: it deviated: error rate of inventory",
        ],
    );
}

#[test]
fn a_control_that_holds_fails_the_test() {
    run(
        "it_proves_nothing",
        false,
        &[
            "negative control with NOBODY_READS_THIS=off expected: a deviation actual: the hypothesis \
             held with NOBODY_READS_THIS=off, which was to weaken it: the test proves nothing",
        ],
        &[
            "controls::it_proves_nothing [TOLERANCE=off]",
            "type=\"control held\"",
            "tests=\"3\" failures=\"2\" errors=\"0\"",
        ],
    );
}

#[test]
fn a_control_has_to_deviate_for_the_reason_that_is_named() {
    run(
        "it_has_another_reason",
        false,
        &[
            "expected: a deviation because of `p95 latency` actual: the negative control with \
             TOLERANCE=off deviated, but not because of `p95 latency`: error rate of inventory",
        ],
        &["tests=\"2\" failures=\"2\" errors=\"0\""],
    );
}

#[test]
fn a_control_may_go_too_far_and_must_have_broken_something() {
    run(
        "its_control_breaks_nothing",
        false,
        &["no chaos happened: nothing was injected before it deviated: the body panicked: a slip"],
        &["failures=\"2\""],
    );
    run(
        "its_control_goes_too_far",
        false,
        &["deviated, but not because of `lost.value > 0`: many.value > 2: it was 3"],
        &["tests=\"2\""],
    );
}

#[test]
fn a_control_ends_with_the_test_that_runs_it() {
    let folder = tempfile::tempdir().unwrap();
    let ready = folder.path().join("ready");
    let child = Rerun::of("controls::its_control_waits").env("CONTROL_IS_READY", &ready);
    let child = child.start();
    let end = Instant::now() + Duration::from_secs(60);
    while !ready.exists() {
        assert!(Instant::now() < end, "{}", child.output());
        std::thread::sleep(Duration::from_millis(5));
    }
    let (ended, _) = child.kill_itself();
    let state = ended.folder.state();
    let mark = state.to_string_lossy();
    while !processes_with(&mark).is_empty() {
        assert!(Instant::now() < end, "{:?}", processes_with(&mark));
        std::thread::sleep(Duration::from_millis(5));
    }
    // Of the test itself there is a journal without a step: it had done nothing, so nobody watched
    // over it.
    let next = Rerun::within("subjects::it_skips_itself", ended.folder);
    nothing_left(&next.env_remove("CHAOS_REQUIRE").run());
}

#[test]
fn a_control_that_says_nothing_is_not_green() {
    run(
        "its_control_cannot_begin",
        false,
        &["actual: the harness could not go on: service `nothing`"],
        &["failures=\"1\" errors=\"1\""],
    );
    run(
        "its_control_crashes",
        false,
        &["actual: it did not come to an end (signal: 6"],
        &["failures=\"1\" errors=\"1\""],
    );
}
