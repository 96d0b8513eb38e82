//! A chaos test without the macro: an ordinary test with a context of its own.
//!
//! What to learn here: `start` and `finish` are all that it takes, in any runtime and under any
//! test attribute. `finish` judges; a context that is only dropped puts everything back, and its
//! test stands as skipped in the report.

use chaos_test::prelude::*;
use chaos_test::{http, process};

#[tokio::test]
async fn a_dead_inventory_costs_no_answer() -> chaos_test::Result {
    let chaos = ChaosContext::start().await?;
    // Without fixtures, services are started where they are needed.
    let inventory = Program::cargo_bin("examples-inventory").ready(http("/health").status(200));
    let inventory = chaos.process("inventory", inventory).await?;
    let checkout = Program::cargo_bin("examples-checkout")
        .env("INVENTORY", inventory.first_address())
        .env("TIMEOUT_MS", 400_u32)
        .ready(http("/health").status(200));
    let checkout = chaos.process("checkout", checkout).await?;
    chaos.may_break(&inventory); // what `breaks(inventory)` says

    let requests = chaos.monitor(checkout.get("/checkout/42").status(200).every(ms(20)));
    let normal = requests.baseline(ms(500)).await?;
    let outage = chaos.inject(process::kill(&inventory)).await?;
    let seen = requests.over(secs(1)).await?;
    // What is missed is remembered: `finish` says it, with everything else.
    let _ = seen.expect(error_rate().at_most(percent(0))).check();
    let lifted = outage.lift().await?;
    let _ = requests
        .recovers_to(&normal)
        .since(lifted)
        .within(secs(5))
        .await;

    let outcome = chaos.finish().await?;
    assert!(outcome.passed(), "{outcome:?}");
    Ok(())
}
