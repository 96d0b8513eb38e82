//! Shared fixtures that fail, and what may not be done with them.

use std::sync::atomic::{AtomicBool, Ordering};

use chaos_test::prelude::*;
use chaos_test::{Target, process};
use chaos_test_fixtures::rerun::Rerun;

use super::{outage, warehouse};
use crate::bad_input::nothing_left;
use crate::subjects::say;
use crate::victims::{inventory_program, watch};

/// Half of it comes up.
#[chaos_fixture(scope = "binary")]
async fn broken(chaos: &ChaosContext) -> chaos_test::Result<Service> {
    say("broken is set up");
    let half = chaos.process("half", inventory_program()).await?;
    let _ = half;
    let program = Program::new("sh").args(["-c", "echo these are my last words; exit 3"]);
    Ok(chaos.process("talker", program).await?)
}

#[chaos_test(breaks(broken))]
#[ignore = "another test runs it as a child"]
async fn a_needs_it(chaos: &ChaosContext, broken: &Service) -> chaos_test::Result {
    outage(chaos, broken).await
}

#[chaos_test(breaks(broken))]
#[ignore = "another test runs it as a child"]
async fn b_needs_it(chaos: &ChaosContext, broken: &Service) -> chaos_test::Result {
    outage(chaos, broken).await
}

#[test]
fn a_failure_is_told_once_and_the_others_point_at_it() {
    let ended = Rerun::of("scopes::wrong::a_needs_it")
        .beside("scopes::wrong::b_needs_it")
        .beside("--test-threads=1")
        .run();
    let output = ended.output();
    assert!(!ended.status.success(), "{output}");
    assert!(output.contains("2 failed"), "{output}");
    assert_eq!(output.matches("broken is set up").count(), 1, "{output}");
    let junit = ended.junit();
    let told = "(set up once, for scopes::wrong::a_needs_it)";
    assert_eq!(junit.matches("<error").count(), 2, "{junit}");
    assert!(output.contains(told), "{output}");
    let first = junit.find("a_needs_it").unwrap();
    let second = junit.find("b_needs_it\"").unwrap();
    let (of_first, of_second) = junit.split_at(second.max(first));
    assert!(of_first.contains("these are my last words"), "{junit}");
    assert!(!of_second.contains("these are my last words"), "{junit}");
    nothing_left(&ended);
}

#[chaos_fixture(scope = "binary")]
async fn unhappy(chaos: &ChaosContext) -> chaos_test::Result<u16> {
    chaos.at_rollback("leave in peace", async || {
        Err::<(), _>(TestError::msg("it does not go"))
    })?;
    Ok(1)
}

#[chaos_fixture(scope = "module")]
async fn unhappy_module(chaos: &ChaosContext) -> chaos_test::Result<u16> {
    chaos.at_rollback("leave in peace", async || {
        Err::<(), _>(TestError::msg("it does not go"))
    })?;
    Ok(1)
}

mod lonely {
    use super::*;

    #[chaos_test]
    #[ignore = "another test runs it as a child"]
    async fn one(chaos: &ChaosContext, unhappy_module: &u16) -> chaos_test::Result {
        let _ = unhappy_module;
        let own = chaos.process("own", inventory_program()).await?;
        outage(chaos, &own).await
    }
}

#[chaos_test]
#[ignore = "another test runs it as a child"]
async fn one_takes_the_unhappy(chaos: &ChaosContext, unhappy: &u16) -> chaos_test::Result {
    let _ = unhappy;
    let own = chaos.process("own", inventory_program()).await?;
    outage(chaos, &own).await
}

/// Every test is green by then, and the process is not.
#[test]
fn what_is_not_put_back_turns_the_process_red() {
    for test in ["one_takes_the_unhappy", "lonely::one"] {
        let ended = Rerun::of(&format!("scopes::wrong::{test}")).run();
        let output = ended.output();
        assert!(output.contains("test result: ok. 1 passed"), "{output}");
        assert_eq!(ended.status.code(), Some(101), "{output}");
        assert!(output.contains("not everything was put back"), "{output}");
        let junit = ended.junit();
        assert!(
            junit.contains("fixture") && junit.contains("it does not go"),
            "{junit}"
        );
    }
}

#[chaos_fixture]
async fn short() -> u16 {
    1
}

#[chaos_fixture(scope = "binary")]
async fn long(short: &u16) -> u16 {
    *short
}

#[chaos_test]
#[ignore = "another test runs it as a child"]
async fn one_takes_what_ends_too_soon(_chaos: &ChaosContext, long: &u16) -> chaos_test::Result {
    let _ = long;
    Ok(())
}

#[chaos_fixture(scope = "binary")]
async fn watcher(chaos: &ChaosContext) -> chaos_test::Result<Monitor> {
    let service = chaos.process("watched", inventory_program()).await?;
    Ok(watch(chaos, &service))
}

#[chaos_test]
#[ignore = "another test runs it as a child"]
async fn one_takes_a_monitor(_chaos: &ChaosContext, watcher: &Monitor) -> chaos_test::Result {
    let _ = watcher;
    Ok(())
}

#[chaos_fixture(scope = "binary")]
async fn aborter(chaos: &ChaosContext) -> chaos_test::Result<Service> {
    chaos.abort_if(error_rate().above(percent(50)).over(secs(2)).of("aborted"));
    Ok(chaos.process("aborted", inventory_program()).await?)
}

#[chaos_test]
#[ignore = "another test runs it as a child"]
async fn one_takes_an_abort(_chaos: &ChaosContext, aborter: &Service) -> chaos_test::Result {
    let _ = aborter;
    Ok(())
}

#[chaos_fixture(scope = "binary")]
async fn states(chaos: &ChaosContext) -> chaos_test::Result<u16> {
    let look = || async { Ok::<_, String>("primary") };
    let _states = chaos.transitions("role", look, ms(5));
    Ok(1)
}

#[chaos_test]
#[ignore = "another test runs it as a child"]
async fn one_takes_states(_chaos: &ChaosContext, states: &u16) -> chaos_test::Result {
    let _ = states;
    Ok(())
}

#[chaos_fixture(scope = "binary")]
async fn lessee(chaos: &ChaosContext) -> chaos_test::Result<u16> {
    chaos.lease("something").await?;
    Ok(1)
}

#[chaos_test]
#[ignore = "another test runs it as a child"]
async fn one_takes_a_lease(_chaos: &ChaosContext, lessee: &u16) -> chaos_test::Result {
    let _ = lessee;
    Ok(())
}

#[chaos_test]
#[ignore = "another test runs it as a child"]
async fn one_breaks_without_a_word(
    chaos: &ChaosContext,
    warehouse: &Service,
) -> chaos_test::Result {
    let _refused = chaos.inject(process::kill(warehouse)).await?;
    Ok(())
}

/// Both of them, under another name.
#[derive(Debug)]
struct Bundle(Service);

impl chaos_test::Breakable for Bundle {
    fn targets(&self) -> Vec<Target> {
        self.0.targets()
    }
}

#[chaos_fixture]
fn bundle(warehouse: &Service) -> Bundle {
    Bundle(warehouse.clone())
}

#[chaos_test(breaks(bundle))]
#[ignore = "another test runs it as a child"]
async fn one_breaks_it_by_another_name(
    chaos: &ChaosContext,
    bundle: &Bundle,
) -> chaos_test::Result {
    let _refused = chaos.inject(process::kill(&bundle.0)).await?;
    Ok(())
}

#[chaos_test]
#[ignore = "another test runs it as a child"]
async fn one_takes_its_name(chaos: &ChaosContext, warehouse: &Service) -> chaos_test::Result {
    let _ = warehouse;
    chaos.process("warehouse", inventory_program()).await?;
    Ok(())
}

static HAS_THE_LEASE: AtomicBool = AtomicBool::new(false);

#[chaos_test]
#[ignore = "another test runs it as a child"]
async fn one_wants_a_lease(chaos: &ChaosContext, warehouse: &Service) -> chaos_test::Result {
    let _ = warehouse;
    // Somebody has its lease, and waits for the fixture that this one uses.
    std::thread::spawn(|| {
        let other = ChaosContext::start_blocking().unwrap();
        other.block_on(other.lease("till")).unwrap();
        HAS_THE_LEASE.store(true, Ordering::SeqCst);
        // It may come, or this process ends before.
        let _ = other.block_on(other.fixture_alone(self::warehouse));
    });
    let held = async || HAS_THE_LEASE.load(Ordering::SeqCst);
    let held = chaos.eventually("the other one has its lease", held);
    held.within(secs(60)).await?;
    let refused = chaos.lease("till").await.unwrap_err();
    assert!(refused.is_refused(), "{refused}");
    assert!(
        refused.to_string().contains("leases(\"till\")"),
        "{refused}"
    );
    let own = chaos.process("own", inventory_program()).await?;
    outage(chaos, &own).await
}

/// Either would wait for the other for ever.
#[test]
fn who_uses_what_others_share_waits_for_no_lease() {
    let ended = Rerun::of("scopes::wrong::one_wants_a_lease").run();
    assert!(ended.status.success(), "{}", ended.output());
    nothing_left(&ended);
}

#[test]
fn what_cannot_be_shared_is_refused_with_the_way_out() {
    for (test, expected) in [
        (
            "one_takes_what_ends_too_soon",
            "fixture `long` (scope \"binary\") cannot need `short` (scope \"test\"), which ends \
             before it: long -> short",
        ),
        (
            "one_takes_a_monitor",
            "fixture `watcher` is shared by tests, and watches something with a monitor",
        ),
        (
            "one_takes_an_abort",
            "fixture `aborter` is shared by tests, and says when to abort, which no test",
        ),
        (
            "one_takes_states",
            "fixture `states` is shared by tests, and watches the states of something, which no",
        ),
        (
            "one_takes_a_lease",
            "fixture `lessee` is shared by tests and cannot hold the lease `something`",
        ),
        (
            "one_breaks_without_a_word",
            "take the fixture as a parameter and name it in `breaks(warehouse)`",
        ),
        (
            "one_breaks_it_by_another_name",
            "service `warehouse` belongs to fixture `warehouse` (scope \"binary\"), which other \
             tests may use now",
        ),
        ("one_takes_its_name", "already has a service `warehouse`"),
    ] {
        let ended = Rerun::of(&format!("scopes::wrong::{test}")).run();
        let output = ended.output();
        assert!(!ended.status.success(), "{test}: {output}");
        assert!(output.contains(expected), "{test}: {output}");
        nothing_left(&ended);
    }
}
