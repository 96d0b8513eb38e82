//! A context without the macro, in any runtime or none.

use chaos_test::prelude::*;
use chaos_test::{Restoration, process};
use chaos_test_fixtures::rerun::Rerun;

use crate::victims::{inventory_program, runs, watch};

#[tokio::test]
async fn in_a_runtime_of_ones_own() {
    let chaos = ChaosContext::start().await.unwrap();
    let inventory = chaos
        .process("inventory", inventory_program())
        .await
        .unwrap();
    let requests = watch(&chaos, &inventory);
    let normal = requests.baseline(ms(100)).await.unwrap();
    let outage = chaos.inject(process::kill(&inventory)).await.unwrap();
    requests.over(ms(50)).await.unwrap();
    let lifted = outage.lift().await.unwrap();
    requests
        .recovers_to(&normal)
        .since(lifted)
        .within(secs(5))
        .await
        .unwrap();
    let outcome = chaos.finish().await.unwrap();
    assert!(outcome.passed(), "{outcome:?}");
}

#[test]
fn without_any_runtime() {
    let chaos = ChaosContext::start_blocking().unwrap();
    let inventory = chaos
        .block_on(chaos.process("inventory", inventory_program()))
        .unwrap();
    let requests = watch(&chaos, &inventory);
    let outage = chaos
        .block_on(chaos.inject(process::stop(&inventory)))
        .unwrap();
    chaos.block_on(async {
        let samples = requests.over(ms(30));
        tokio::time::sleep(ms(40)).await;
        drop(outage);
        samples.await.unwrap();
    });
    let outcome = chaos.finish_blocking().unwrap();
    assert!(
        matches!(outcome.restoration, Restoration::Restored { faults: 1, .. }),
        "{outcome:?}"
    );
}

/// Runs a test that drops its contexts as a child: nobody judges those, and their reports
/// would stand as skipped among ours.
fn passes_unjudged(test: &str) {
    let ended = Rerun::of(&format!("without_macro::{test}")).run();
    assert!(ended.status.success(), "{}", ended.output());
    let junit = ended.junit();
    assert!(
        junit.contains("<skipped message=\"not judged: its context was dropped"),
        "{junit}"
    );
    assert!(
        !junit.contains("<failure") && !junit.contains("<error"),
        "{junit}"
    );
    crate::bad_input::nothing_left(&ended);
}

#[test]
fn dropped_anywhere_it_puts_everything_back() {
    passes_unjudged("dropped_anywhere");
}

#[test]
fn an_ended_context_refuses_every_call() {
    passes_unjudged("used_after_its_end");
}

#[test]
fn finishing_judges() {
    let ended = Rerun::of("subjects::it_finishes_without_chaos").run();
    assert!(!ended.status.success());
    assert!(
        ended.output().contains("is_no_data: true"),
        "{}",
        ended.output()
    );
    assert!(
        ended.junit().contains("nothing was injected"),
        "{}",
        ended.junit()
    );
}

/// A guard and a context that are dropped anywhere put everything back: in a runtime that
/// shuts down, while unwinding, in a thread's own storage.
#[test]
#[ignore = "another test runs it as a child"]
fn dropped_anywhere() {
    let start = || {
        let chaos = ChaosContext::start_blocking().unwrap();
        let inventory = chaos
            .block_on(chaos.process("inventory", inventory_program()))
            .unwrap();
        let outage = chaos
            .block_on(chaos.inject(process::stop(&inventory)))
            .unwrap();
        let log = inventory.last_lines(50).unwrap();
        assert!(!log.is_empty());
        (chaos, inventory, outage)
    };
    let gone = |inventory: &Service| {
        let address = inventory.first_address().socket();
        std::net::TcpStream::connect(address).is_err()
    };

    // While a current-thread runtime shuts down.
    let (chaos, inventory, outage) = start();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.spawn(async move {
        let _held = (chaos, outage);
        std::future::pending::<()>().await;
    });
    runtime.block_on(tokio::task::yield_now());
    drop(runtime);
    assert!(gone(&inventory));

    // While unwinding.
    let (chaos, inventory, outage) = start();
    let panicked = std::thread::spawn(move || {
        let _held = (chaos, outage);
        panic!("on purpose");
    })
    .join();
    assert!(panicked.is_err());
    assert!(gone(&inventory));

    // In a thread's own storage, when the thread ends.
    thread_local!(static HELD: std::cell::RefCell<Option<(ChaosContext, chaos_test::Injection)>> =
        const { std::cell::RefCell::new(None) });
    let (chaos, inventory, outage) = start();
    std::thread::spawn(move || HELD.with(|held| *held.borrow_mut() = Some((chaos, outage))))
        .join()
        .unwrap();
    assert!(gone(&inventory));
}

#[test]
#[ignore = "another test runs it as a child"]
fn used_after_its_end() {
    let chaos = ChaosContext::start_blocking().unwrap();
    let inventory = chaos
        .block_on(chaos.process("inventory", inventory_program()))
        .unwrap();
    let requests = watch(&chaos, &inventory);
    drop(chaos);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let error = runtime.block_on(requests.over(ms(10))).unwrap_err();
    assert!(error.is_ended(), "{error}");
    let error = runtime.block_on(inventory.link("late")).unwrap_err();
    assert!(error.is_ended(), "{error}");
    assert!(!runs(u32::MAX));
}
