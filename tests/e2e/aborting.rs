//! Abort conditions: what comes true is rolled back at once, with its own verdict; what never
//! had anything to watch is not green.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use chaos_test::prelude::*;
use chaos_test::{Restoration, RunStatus, process};
use chaos_test_fixtures::rerun::{Ended, Rerun};

use crate::bad_input::{nothing_left, outcome};
use crate::victims::{inventory, inventory_program, watch};

/// Inventory is down for longer than the test tolerates.
#[chaos_test(
    abort_if(inventory.error_rate > 50% for 200ms, availability < 1% for 1h),
    timeout = "60s"
)]
#[ignore = "another test runs it as a child"]
async fn too_many_errors(chaos: &ChaosContext, inventory: &Service) -> chaos_test::Result {
    let requests = watch(chaos, inventory);
    requests.baseline(ms(300)).await?;
    let _outage = chaos.inject(process::kill(inventory)).await?;
    requests.over(secs(50)).await?;
    panic!("it goes on");
}

/// As above, with a body that never comes to an await.
#[chaos_test(abort_if(inventory.error_rate > 50% for 200ms), timeout = "60s")]
#[ignore = "another test runs it as a child"]
async fn too_many_errors_in_a_body_that_spins(
    chaos: &ChaosContext,
    inventory: &Service,
) -> chaos_test::Result {
    let requests = watch(chaos, inventory);
    requests.over(ms(300)).await?;
    let _outage = chaos.inject(process::kill(inventory)).await?;
    loop {
        std::hint::spin_loop();
    }
}

/// As above, in a plain function.
#[chaos_test(abort_if(inventory.error_rate > 50% for 200ms), timeout = "60s")]
#[ignore = "another test runs it as a child"]
fn too_many_errors_in_a_plain_function(
    chaos: &ChaosContext,
    inventory: &Service,
) -> chaos_test::Result {
    let requests = watch(chaos, inventory);
    chaos.block_on(requests.over(ms(300)))?;
    let _outage = chaos.block_on(chaos.inject(process::kill(inventory)))?;
    loop {
        std::thread::park();
    }
}

/// Nobody answers, and nobody has to wait until that is an error.
#[chaos_test(abort_if("inventory/stock/42".p90 > 100ms for 300ms), timeout = "60s")]
#[ignore = "another test runs it as a child"]
async fn no_answers(chaos: &ChaosContext, inventory: &Service) -> chaos_test::Result {
    let requests = watch(chaos, inventory);
    requests.over(ms(300)).await?;
    let _hang = chaos.inject(process::stop(inventory)).await?;
    requests.over(secs(50)).await?;
    Ok(())
}

/// A number that a probe returns.
#[chaos_test(abort_if(lost > 2), timeout = "60s")]
#[ignore = "another test runs it as a child"]
async fn too_many_lost(chaos: &ChaosContext, inventory: &Service) -> chaos_test::Result {
    let count = Arc::new(AtomicU32::new(0));
    let lost = move || {
        let count = count.fetch_add(1, Ordering::SeqCst);
        async move { Ok::<_, std::io::Error>(count) }
    };
    chaos.monitor(lost.every(ms(10)).named("lost"));
    let _outage = chaos.inject(process::kill(inventory)).await?;
    std::future::pending::<()>().await;
    Ok(())
}

/// A service that dies by itself, while another one is broken on purpose.
#[chaos_test(abort_if(failed_services > 0), timeout = "60s")]
#[ignore = "another test runs it as a child"]
async fn a_service_dies(chaos: &ChaosContext, inventory: &Service) -> chaos_test::Result {
    let requests = watch(chaos, inventory);
    let _outage = chaos.inject(process::kill(inventory)).await?;
    requests.over(ms(100)).await?;
    let program = Program::new("sh")
        .args(["-c", "echo ready; sleep 0.3; exit 7"])
        .without_port()
        .ready(chaos_test::log_line("ready"));
    chaos.process("brief", program).await?;
    std::future::pending::<()>().await;
    Ok(())
}

#[tokio::test]
#[ignore = "another test runs it as a child"]
async fn without_the_macro() {
    let chaos = ChaosContext::start().await.unwrap();
    let program = inventory_program();
    let inventory = chaos.process("inventory", program).await.unwrap();
    chaos.abort_if(
        error_rate()
            .above(percent(50))
            .over(ms(200))
            .of("inventory"),
    );
    let requests = watch(&chaos, &inventory);
    requests.over(ms(300)).await.unwrap();
    let _outage = chaos.inject(process::kill(&inventory)).await.unwrap();
    let error = requests.over(secs(50)).await.unwrap_err();
    assert!(error.is_ended(), "{error}");
    let error = chaos.finish().await.unwrap_err();
    assert!(error.is_aborted(), "{error}");
    assert!(
        error.to_string().contains("failed) in the last 200 ms"),
        "{error}"
    );
}

/// It watches for what nobody measures.
#[chaos_test(
    abort_if(checkout.error_rate > 50%, inventory > 5, vitcim.failed_services > 0),
    timeout = "60s"
)]
#[ignore = "another test runs it as a child"]
async fn nothing_to_watch(chaos: &ChaosContext, inventory: &Service) -> chaos_test::Result {
    let requests = watch(chaos, inventory);
    let outage = chaos.inject(process::kill(inventory)).await?;
    requests.over(ms(100)).await?;
    outage.lift().await?;
    Ok(())
}

/// Inventory's callers bear an outage that is shorter than what is tolerated.
#[chaos_test(
    abort_if(
        inventory.error_rate > 99% for 10s,
        inventory.p50 > 5s,
        throughput < 1 for 30s,
        failed_services > 0,
        "inventory/stock/42".availability < 1% for 10s,
    ),
    timeout = "60s"
)]
async fn conditions_that_never_come_true_change_nothing(
    chaos: &ChaosContext,
    inventory: &Service,
) -> chaos_test::Result {
    let requests = watch(chaos, inventory);
    let normal = requests.baseline(ms(200)).await?;
    let outage = chaos.inject(process::kill(inventory)).await?;
    requests.over(ms(200)).await?;
    let lifted = outage.lift().await?;
    requests
        .recovers_to(&normal)
        .since(lifted)
        .within(secs(20))
        .await?;
    Ok(())
}

fn run(test: &str) -> Ended {
    Rerun::of(&format!("aborting::{test}")).run()
}

/// It was aborted for this reason, and everything was put back.
#[track_caller]
fn aborted(test: &str, condition: &str, seen: &str) -> Ended {
    let ended = run(test);
    let output = ended.output();
    assert!(!ended.status.success(), "{output}");
    nothing_left(&ended);
    let outcome = outcome(&ended);
    let RunStatus::Aborted(why) = &outcome.status else {
        panic!("{outcome:?}\n{output}");
    };
    assert!(why.starts_with(&format!("{condition}: ")), "{why}");
    assert!(why.contains(seen), "{why}");
    let restored = matches!(outcome.restoration, Restoration::Restored { faults: 1, .. });
    assert!(restored, "{outcome:?}");
    let junit = ended.junit();
    assert!(junit.contains("type=\"aborted\""), "{junit}");
    assert!(output.contains("! aborted: "), "{output}");
    ended
}

#[test]
fn what_goes_too_far_is_rolled_back_at_once() {
    let condition = "inventory.error_rate > 50 % for 200 ms";
    let ended = aborted("too_many_errors", condition, "failed) in the last 200 ms");
    assert!(!ended.output().contains("it goes on"), "{}", ended.output());
}

#[test]
fn no_body_can_hold_off_an_abort() {
    let condition = "inventory.error_rate > 50 % for 200 ms";
    for test in [
        "too_many_errors_in_a_body_that_spins",
        "too_many_errors_in_a_plain_function",
    ] {
        aborted(test, condition, "failed) in the last 200 ms");
    }
}

#[test]
fn what_still_waits_counts_as_slow() {
    let condition = "inventory/stock/42.p90 > 100 ms for 300 ms";
    aborted("no_answers", condition, "were slower in the last 300 ms");
}

#[test]
fn numbers_and_dead_services_abort_too() {
    // 3, or 4 where a busy machine has the next sample answered first.
    aborted("too_many_lost", "lost.value > 2", "it was ");
    let ended = aborted("a_service_dies", "failed_services > 0", "it was 1");
    assert!(
        ended.output().contains("! brief died"),
        "{}",
        ended.output()
    );
}

#[test]
fn a_context_without_the_macro_has_them_too() {
    let ended = run("without_the_macro");
    assert!(ended.status.success(), "{}", ended.output());
    assert!(
        ended.junit().contains("type=\"aborted\""),
        "{}",
        ended.junit()
    );
    nothing_left(&ended);
}

#[test]
fn a_condition_without_anything_to_watch_is_not_green() {
    let ended = run("nothing_to_watch");
    let output = ended.output();
    assert!(!ended.status.success(), "{output}");
    let plain = output.split_whitespace().collect::<Vec<_>>().join(" ");
    for expected in [
        "abort condition `checkout.error_rate > 50 %` expected: something to watch actual: no \
         sample came from a monitor or a service called `checkout`; there is `inventory/stock/42`",
        "abort condition `inventory.value > 5` expected: something to watch actual: no number came \
         from a monitor or a service called `inventory`; there is `inventory/stock/42`",
        "abort condition `vitcim.failed_services > 0` expected: something to watch actual: there is \
         no service called `vitcim`",
    ] {
        assert!(plain.contains(expected), "{expected} in:\n{output}");
    }
    nothing_left(&ended);
}
