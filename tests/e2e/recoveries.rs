//! Degrading and recovering, once and several times, and the objectives about that.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chaos_test::prelude::*;
use chaos_test::{
    Actual, Slos, link, lost, mttr, process, recovery_rate, recovery_time, resources,
};
use chaos_test_fixtures::rerun::Rerun;

use crate::bad_input::{judged, nothing_left};
use crate::victims::{checkout, inventory, watch};

/// Inventory's callers feel each of its deaths, and are back each time.
#[chaos_test(
    timeout = "120s",
    breaks(inventory),
    expects(
        recovery <= 20s,
        inventory.first_success <= 20s,
        throughput_recovery <= 20s,
        mttr <= 20s,
        recovery_rate >= 100%,
    ),
)]
async fn it_degrades_and_recovers_each_time(
    chaos: &ChaosContext,
    inventory: &Service,
) -> chaos_test::Result {
    let requests = watch(chaos, inventory);
    let normal = requests.baseline(secs(1)).await?;
    for _ in 0..3 {
        let outage = chaos
            .during(process::kill(inventory), async |_| {
                requests.over(ms(300)).await
            })
            .await?;
        let recovery = requests
            .degrades_then_recovers(&normal)
            .under(&outage)
            .by(throughput().at_most_share(percent(50)).of(&normal))
            .within(secs(20))
            .in_a_row(5)
            .allowing(1)
            .await?;
        assert!(recovery.was_degraded());
        assert!(recovery.lost() > 0, "{recovery:?}");
        assert!(recovery.outage() > Some(ms(250)), "{recovery:?}");
        assert!(recovery.first_success() <= recovery.time(), "{recovery:?}");
        let again = requests
            .recovers_to(&normal)
            .since(outage.lifted())
            .within(secs(20))
            .first_success_within(secs(20))
            .throughput_back_within(secs(20), percent(10))
            .await?;
        assert!(again.throughput_back().is_some(), "{again:?}");
    }
    let all = chaos.recoveries().of(&requests);
    // Each was judged twice.
    assert_eq!(all.summary().count(), 3);
    all.expect(mttr().at_most(secs(20)))
        .expect(recovery_time(P95).at_most(secs(20)))
        .expect(recovery_rate().at_least(percent(100)))
        .check()?;
    Ok(())
}

/// One answer is late after a fault that nobody felt: that is no outage.
#[chaos_test(timeout = "60s", breaks(inventory))]
async fn one_late_answer_counts_in_no_mean(
    chaos: &ChaosContext,
    inventory: &Service,
) -> chaos_test::Result {
    let late = Arc::new(AtomicBool::new(false));
    let probe = {
        let late = Arc::clone(&late);
        move || {
            let late = late.swap(false, Ordering::SeqCst);
            async move {
                if late {
                    tokio::time::sleep(secs(2)).await;
                }
                Ok::<_, chaos_test::Error>(())
            }
        }
    };
    let visitors = watch(chaos, inventory);
    let requests = chaos.monitor(probe.every(ms(100)));
    let normal = requests.baseline(secs(1)).await?;
    let slow = chaos
        .during(link::latency(inventory, ms(1)), async |_| {
            visitors.over(ms(300)).await
        })
        .await?;
    late.store(true, Ordering::SeqCst);
    let recovery = requests
        .recovers_to(&normal)
        .since(slow.lifted())
        .in_a_row(5)
        .within(secs(20))
        .await?;
    assert!(!late.load(Ordering::SeqCst), "one was late");
    assert!(recovery.time() > Duration::ZERO, "{recovery:?}");
    assert!(!recovery.was_degraded(), "{recovery:?}");
    assert_eq!(chaos.recoveries().summary().count(), 0);
    Ok(())
}

/// What makes no requests does not make failures look rare.
#[chaos_test(timeout = "60s", breaks(inventory))]
async fn requests_are_those_of_what_asks(
    chaos: &ChaosContext,
    inventory: &Service,
) -> chaos_test::Result {
    let requests = watch(chaos, inventory);
    let memory = chaos.monitor(resources::own_process().memory().every(ms(2)));
    let fine = || async { Ok::<_, chaos_test::Error>(()) };
    let _always = chaos.invariant("all is well", fine.every(ms(2)));
    requests.baseline(ms(500)).await?;
    let outage = chaos.inject(process::kill(inventory)).await?;
    requests.over(secs(1)).await?;
    let failing = Slos {
        availability: Some(percent(0)),
        ..Slos::default()
    };
    let validation = chaos.slos(failing).check().await?;
    // With a hundred times as many that succeed it would be nearly all.
    let Ok(Actual::Share(share)) = &validation.results[0].actual else {
        panic!("{validation}");
    };
    assert!(*share < 0.5, "{validation}");
    outage.lift().await?;
    drop(memory);
    Ok(())
}

/// With a guard that is still in force, it waits for the fault's end.
#[chaos_test(timeout = "60s", breaks(inventory))]
async fn a_fault_that_ends_by_itself_is_waited_for(
    chaos: &ChaosContext,
    inventory: &Service,
) -> chaos_test::Result {
    let requests = watch(chaos, inventory);
    let normal = requests.baseline(ms(500)).await?;
    let outage = chaos
        .inject(process::stop(inventory).lasting(ms(800)))
        .await?;
    let recovery = requests
        .degrades_then_recovers(&normal)
        .under(&outage)
        .within(secs(20))
        .await?;
    assert!(recovery.outage() > Some(ms(500)), "{recovery:?}");
    Ok(())
}

/// Customers of checkout are within the objectives of production while inventory is dead.
#[chaos_test(
    timeout = "120s",
    breaks(inventory),
    must_fail_when(env("FALLBACK" = "off") => "SLO availability of checkout/checkout/42"),
)]
async fn objectives_are_met(
    chaos: &ChaosContext,
    inventory: &Service,
    checkout: &Service,
) -> chaos_test::Result {
    let customers = chaos.monitor(checkout.get("/checkout/42").status(200).every(ms(20)));
    let backend = watch(chaos, inventory);
    customers.baseline(ms(500)).await?;
    let normal = backend.baseline(ms(500)).await?;
    for _ in 0..2 {
        let outage = chaos.inject(process::kill(inventory)).await?;
        customers.over(ms(500)).await?;
        let lifted = outage.lift().await?;
        backend
            .recovers_to(&normal)
            .since(lifted)
            .within(secs(20))
            .await?;
    }
    let orders = || (0..100).map(|number| (number, ()));
    let records = chaos.consistency("orders", orders(), orders());
    records.expect(lost().at_most(0)).check()?;
    let of_requests = Slos {
        mttr: None,
        recovery_time: None,
        latency_degradation: Some(secs(2)),
        consistency: Some(percent(100)),
        ..Slos::production()
    };
    let validation = chaos.slos(of_requests).of(&customers).check().await?;
    assert!(validation.passed());
    assert_eq!(validation.results.len(), 4);
    let of_recoveries = Slos {
        mttr: Some(secs(20)),
        recovery_time: Some(secs(20)),
        recovery_rate: Some(percent(100)),
        ..Slos::default()
    };
    chaos.slos(of_recoveries).of(&backend).check().await?;
    Ok(())
}

/// A fault that nobody feels: that is no recovery, and the report says so.
#[chaos_test(timeout = "60s", breaks(inventory))]
#[ignore = "another test runs it as a child"]
async fn nobody_feels_it(chaos: &ChaosContext, inventory: &Service) -> chaos_test::Result {
    let requests = watch(chaos, inventory);
    let normal = requests.baseline(ms(500)).await?;
    let slow = chaos
        .during(link::latency(inventory, ms(1)), async |_| {
            requests.over(ms(300)).await
        })
        .await?;
    let lifted = slow.lifted();
    let recovery = requests
        .recovers_to(&normal)
        .since(lifted)
        .in_a_row(3)
        .allowing(2)
        .await?;
    assert!(!recovery.was_degraded());
    assert_eq!(recovery.outage(), None);
    if std::env::var_os("MUST_FEEL_IT").is_some() {
        requests
            .degrades_then_recovers(&normal)
            .under(&slow)
            .await?;
    }
    Ok(())
}

/// It does not come back in time, there is one recovery only, and somebody forgets to ask.
#[chaos_test(timeout = "60s", breaks(inventory))]
#[ignore = "another test runs it as a child"]
async fn it_does_not_recover(chaos: &ChaosContext, inventory: &Service) -> chaos_test::Result {
    let requests = watch(chaos, inventory);
    let normal = requests.baseline(secs(1)).await?;
    let early = chaos.slos(Slos {
        availability: Some(percent(50)),
        ..Slos::default()
    });
    let _ = early.check().await;
    let outage = chaos.inject(process::kill(inventory)).await?;
    let _ = requests
        .recovers_to(&normal)
        .since(outage.injected())
        .within(ms(300))
        .first_success_within(ms(200))
        .throughput_back_within(ms(200), percent(10))
        .await;
    let _ = chaos.recoveries().expect(mttr().at_most(secs(5))).check();
    // Judged twice under one fault it would be one outage still.
    outage.lift().await?;
    let outage = chaos.inject(process::kill(inventory)).await?;
    let _ = requests
        .recovers_to(&normal)
        .since(outage.injected())
        .within(ms(100))
        .await;
    let _ = chaos
        .recoveries()
        .expect(mttr().at_most(secs(5)))
        .expect(recovery_rate().at_least(percent(50)))
        .check();
    let _ = chaos
        .recoveries()
        .expect(recovery_time(P50).at_most(secs(7)));
    let _ = chaos.slos(Slos::reference()).of(&requests).check().await;
    let _ = chaos.slos(Slos::default()).check().await;
    let _ = chaos.slos(Slos::default());
    outage.lift().await?;
    let _ = requests.degrades_then_recovers(&normal);
    Ok(())
}

#[test]
fn what_never_degraded_is_told_as_such() {
    let ended = Rerun::of("recoveries::nobody_feels_it").run();
    assert!(ended.status.success(), "{}", ended.output());
    let junit = ended.junit();
    for expected in [
        "inventory/stock/42 never degraded: nothing to recover from",
        "held: recovery of inventory/stock/42: never degraded: all ",
    ] {
        let plain = junit.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(plain.contains(expected), "`{expected}` in:\n{junit}");
    }

    let ended = Rerun::of("recoveries::nobody_feels_it")
        .env("MUST_FEEL_IT", "1")
        .run();
    let output = ended.output();
    assert!(!ended.status.success(), "{output}");
    nothing_left(&ended);
    let plain = judged(&ended);
    for expected in [
        "degradation of inventory/stock/42 under \"delay inventory by 1.0 ms\" \
         expected: ",
        "out of steady state: a failure, or 3 answers in a row slower than ",
        "actual: never degraded: ",
    ] {
        assert!(plain.contains(expected), "`{expected}` in:\n{output}");
    }
}

#[test]
fn what_does_not_recover_is_told_with_its_numbers() {
    let ended = Rerun::of("recoveries::it_does_not_recover").run();
    let output = ended.output();
    assert!(!ended.status.success(), "{output}");
    nothing_left(&ended);
    let plain = output.split_whitespace().collect::<Vec<_>>().join(" ") + "\n" + &judged(&ended);
    for expected in [
        "recovery of inventory/stock/42 expected: within 300 ms, 3 samples in a row actual: not \
         yet, 0 steady in a row of ",
        "first success of inventory/stock/42 expected: within 200 ms actual: none of ",
        "return of throughput of inventory/stock/42 expected: within 200 ms, at most 10 % below \
         the baseline's actual: not back; the last 50 samples: 0 /s",
        "mean time to recovery expected: at most 5 s actual: 1 recovery, 1 of them never came: it \
         takes at least 2",
        "mean time to recovery expected: at most 5 s actual: without an end, 2 recoveries, 2 of \
         them never came",
        "recovery rate expected: at least 50 % actual: 0 % (0 of 2 in time), 2 recoveries",
        "p50 recovery time expected: at most 7 s actual: was never judged: call `.check()`",
        "SLO availability expected: at least 50 % actual: not measured: no request was seen since \
         the first fault",
        "SLO mttr of inventory/stock/42 expected: at most 30 s actual: without an end (2 \
         recoveries, 2 of them never came)",
        "SLO error rate of inventory/stock/42 expected: at most 5 % actual: ",
        "SLO availability of inventory/stock/42 expected: at least 95 % actual: ",
        "(error budget 5 %, ",
        "SLO latency degradation of inventory/stock/42 expected: at most 500 ms actual: without \
         an end",
        "SLO recovery time of inventory/stock/42 expected: at most 10 s actual: without an end",
        "SLOs expected: at least one objective actual: none is set",
        "SLOs expected: each is met actual: was never judged: call `.check()`",
        "degradation of inventory/stock/42 expected: out of steady state",
        "! inventory/stock/42 did not recover within 300 ms",
    ] {
        assert!(plain.contains(expected), "`{expected}` in:\n{output}");
    }
}
