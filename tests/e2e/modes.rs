//! What must hold before, after and during faults, and in every single sample.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use chaos_test::prelude::*;
use chaos_test::{RunStatus, log_line, process};
use chaos_test_fixtures::rerun::{Ended, Rerun};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufStream};
use tokio::net::TcpStream;

use crate::bad_input::{judged, nothing_left, outcome};
use crate::victims::{checkout, inventory, watch};

/// Customers get an answer before, during and after an outage of inventory, and each of them does.
#[chaos_test(
    timeout = "60s",
    breaks(inventory),
    expects(checkout.error_rate <= 0%),
    must_fail_when(
        env("FALLBACK" = "off") => "error rate of checkout/checkout/42 under \"kill inventory\"",
    ),
)]
async fn what_must_hold_at_its_time_holds(
    chaos: &ChaosContext,
    inventory: &Service,
    checkout: &Service,
) -> chaos_test::Result {
    let requests = chaos.monitor(checkout.get("/checkout/42").status(200).every(ms(20)));
    let none = || requests.must(error_rate().at_most(percent(0)));
    chaos.check(none().before_and_after().over(ms(300)));
    chaos.check(none().during_faults());
    chaos.check(none().on_fault().over(ms(100)));
    chaos.check(none().continuously().over(ms(200)));
    requests.always(error_rate().at_most(percent(0)));
    let normal = requests.baseline(ms(300)).await?;
    let outage = chaos.inject(process::kill(inventory)).await?;
    requests.over(ms(500)).await?;
    let lifted = outage.lift().await?;
    requests
        .recovers_to(&normal)
        .since(lifted)
        .within(secs(20))
        .await?;
    Ok(())
}

/// A real Redis, which puts each write on disk before it acknowledges it, unless `DURABLE` is `off`.
#[chaos_fixture]
async fn store(chaos: &ChaosContext) -> chaos_test::Result<Service> {
    let is_durable = std::env::var_os("DURABLE").is_none_or(|durable| durable != "off");
    let append = if is_durable { "yes" } else { "no" };
    let program = Program::new("redis-server")
        .listens(6379)
        .args(["--port", "{port}", "--bind", "127.0.0.1", "--dir", "{dir}"])
        .args(["--save", "", "--appendfsync", "always"])
        .args(["--appendonly", append])
        .ready(log_line("Ready to accept connections"));
    Ok(chaos.process("store", program).await?)
}

/// Sends a command that is answered with a number.
async fn number(store: SocketAddr, command: &str) -> std::io::Result<u64> {
    let mut client = BufStream::new(TcpStream::connect(store).await?);
    client
        .write_all(format!("{command}\r\n").as_bytes())
        .await?;
    client.flush().await?;
    let mut answer = String::new();
    client.read_line(&mut answer).await?;
    let number = answer.trim_end().strip_prefix(':').map(str::parse);
    match number {
        Some(Ok(number)) => Ok(number),
        _ => Err(std::io::Error::other(format!("answered {answer:?}"))),
    }
}

/// Redis loses no write that it has acknowledged, however it dies.
#[chaos_test(
    timeout = "60s",
    requires(program("redis-server")),
    breaks(store),
    must_fail_when(env("DURABLE" = "off") => "invariant \"no write is lost\""),
)]
async fn no_acknowledged_write_is_lost(
    chaos: &ChaosContext,
    store: &Service,
) -> chaos_test::Result {
    let address = store.first_address().socket();
    let acknowledged = Arc::new(AtomicU64::new(0));
    let newest = Arc::clone(&acknowledged);
    let write = move || {
        let newest = Arc::clone(&newest);
        async move {
            let written = number(address, "INCR writes").await?;
            newest.fetch_max(written, Ordering::SeqCst);
            Ok::<_, std::io::Error>(())
        }
    };
    let writes = chaos.monitor(write.every(ms(20)).named("writes"));
    let lost = move || {
        let before = acknowledged.load(Ordering::SeqCst);
        async move {
            // It adds nothing, and is answered with a number, as a look at a text would not be.
            let there = number(address, "INCRBY writes 0").await?;
            Ok::<_, std::io::Error>(before.saturating_sub(there))
        }
    };
    chaos
        .invariant("no write is lost", lost.every(ms(20)))
        .keeping(value().at_most(0.0))
        .gaps_at_most(secs(20));
    let normal = writes.baseline(ms(400)).await?;
    let outage = chaos.inject(process::kill(store)).await?;
    writes.over(ms(200)).await?;
    let lifted = outage.lift().await?;
    writes
        .recovers_to(&normal)
        .since(lifted)
        .within(secs(20))
        .await?;
    writes.over(ms(200)).await?;
    Ok(())
}

/// A number that is none at first and grows from a certain look on.
fn losing(from: u32) -> impl chaos_test::Probe {
    let looks = Arc::new(AtomicU32::new(0));
    move || {
        let lost = (looks.fetch_add(1, Ordering::SeqCst) + 1).saturating_sub(from);
        async move { Ok::<_, String>(lost) }
    }
}

/// Inventory is dead, and each mode sees it at its time.
#[chaos_test(timeout = "60s")]
#[ignore = "another test runs it as a child"]
async fn nothing_holds_at_its_time(
    chaos: &ChaosContext,
    inventory: &Service,
) -> chaos_test::Result {
    let requests = watch(chaos, inventory);
    let gone = chaos.monitor(inventory.get("/nowhere").every(ms(10)));
    let none = || requests.must(error_rate().at_most(percent(0)));
    chaos.check(
        gone.must(availability().at_least(percent(50)))
            .before_and_after()
            .over(ms(200)),
    );
    chaos.check(none().before());
    chaos.check(none().during_faults());
    chaos.check(none().continuously().over(ms(200)));
    chaos.check(none().on_fault().over(ms(200)));
    let _ = none().after();
    requests.over(ms(600)).await?;
    let outage = chaos.inject(process::kill(inventory)).await?;
    chaos.check(none().before());
    requests.over(ms(500)).await?;
    outage.lift().await?;
    chaos.check(none().during_faults());
    Ok(())
}

/// Invariants that are violated, that see nothing, and that see little.
#[chaos_test(timeout = "60s")]
#[ignore = "another test runs it as a child"]
async fn invariants_do_not_hold(chaos: &ChaosContext, inventory: &Service) -> chaos_test::Result {
    chaos
        .invariant("no order is lost", losing(20).every(ms(10)))
        .keeping(value().at_most(0.0));
    chaos
        .invariant(
            "the shop has a number",
            inventory.get("/stock/42").every(ms(10)),
        )
        .keeping(value().at_most(1.0));
    let requests = watch(chaos, inventory);
    requests.always(error_rate().at_most(percent(0)));
    let rarely = async || Ok::<_, String>(());
    let rarely = move || rarely();
    let _outage = chaos.inject(process::kill(inventory)).await?;
    requests.over(ms(500)).await?;
    chaos
        .invariant("it is looked at often", rarely.every(secs(60)))
        .gaps_at_most(ms(100));
    tokio::time::sleep(ms(300)).await;
    Ok(())
}

/// An order is lost, and the test goes no further.
#[chaos_test(timeout = "60s")]
#[ignore = "another test runs it as a child"]
async fn an_invariant_aborts(chaos: &ChaosContext, inventory: &Service) -> chaos_test::Result {
    watch(chaos, inventory);
    let _outage = chaos.inject(process::kill(inventory)).await?;
    chaos
        .invariant("no order is lost", losing(10).every(ms(10)))
        .keeping(value().at_most(0.0))
        .or_abort();
    tokio::time::sleep(secs(50)).await;
    panic!("it goes on");
}

fn fails(test: &str) -> (Ended, String) {
    let ended = Rerun::of(&format!("modes::{test}")).run();
    let output = ended.output();
    assert!(!ended.status.success(), "{output}");
    nothing_left(&ended);
    let plain = output.split_whitespace().collect::<Vec<_>>().join(" ");
    let plain = plain + "\n" + &judged(&ended);
    (ended, plain)
}

#[track_caller]
fn says(plain: &str, texts: &[&str]) {
    for text in texts {
        assert!(plain.contains(text), "`{text}` in:\n{plain}");
    }
}

#[test]
fn what_does_not_hold_at_its_time_is_told_with_its_time() {
    let (_, plain) = fails("nothing_holds_at_its_time");
    says(
        &plain,
        &[
            "availability of inventory/nowhere before the first fault expected: at least 50 % \
             actual: 0 % (0 of ",
            "availability of inventory/nowhere after the last fault expected: at least 50 % \
             actual: 0 % (0 of ",
            "error rate of inventory/stock/42 under \"kill inventory\" expected: at most 0 % \
             actual: ",
            "error rate of inventory/stock/42 continuously expected: at most 0 % actual: not in ",
            "error rate of inventory/stock/42 on fault expected: at most 0 % actual: not in ",
            "pieces of 200 ms, the first at ",
            " under \"kill inventory\": ",
            "error rate of inventory/stock/42 after the last fault expected: at most 0 % actual: \
             was never judged: pass it to `chaos.check(..)`",
            "error rate of inventory/stock/42 before the first fault expected: at most 0 % actual: \
             \"kill inventory\" was injected before this was declared",
            "error rate of inventory/stock/42 during each fault expected: at most 0 % actual: no \
             fault was in force since this was declared",
            "held: error rate of inventory/stock/42 before the first fault: 0 % (0 of ",
        ],
    );
}

#[test]
fn a_violation_is_told_with_its_sample_and_silence_is_no_data() {
    let (ended, plain) = fails("invariants_do_not_hold");
    says(
        &plain,
        &[
            "invariant \"no order is lost\" expected: each sample: value at most 0 actual: \
             violated by ",
            ": 1; at ",
            "! violated: no order is lost: the sample of ",
            "invariant \"the shop has a number\" expected: each sample: value at most 1 actual: no \
             sample said anything, the last of ",
            "invariant \"inventory/stock/42: error rate at most 0 %\" expected: each sample: error \
             rate at most 0 % actual: violated by ",
            " s under \"kill inventory\": ",
            "invariant \"it is looked at often\" expected: each sample succeeds, none missing for \
             longer than 100 ms actual: kept by 1 samples; nothing was seen for ",
        ],
    );
    let journal = ended.journals().concat();
    let violated = journal.matches("\"event\":\"violated\"").count();
    assert!(
        (1..=20).contains(&violated),
        "ten of each at most: {violated}"
    );
}

#[test]
fn an_invariant_ends_a_test_that_it_is_to_end() {
    let (ended, plain) = fails("an_invariant_aborts");
    let outcome = outcome(&ended);
    let RunStatus::Aborted(why) = &outcome.status else {
        panic!("{outcome:?}\n{plain}");
    };
    assert!(
        why.starts_with("invariant \"no order is lost\": the sample of "),
        "{why}"
    );
    assert!(why.ends_with(" s: 1"), "{why}");
    assert!(!plain.contains("it goes on"), "{plain}");
    says(
        &plain,
        &["invariant \"no order is lost\" expected: each sample: value at most 0"],
    );
}

#[test]
#[should_panic(
    expected = "an invariant is about each single sample, and `throughput at least 5 /s`"
)]
fn what_no_single_sample_can_show_is_refused() {
    let chaos = ChaosContext::start_blocking().expect("a context can be opened");
    let _ = chaos
        .invariant("it goes on", losing(1).every(ms(10)))
        .keeping(throughput().at_least(5.0));
}
