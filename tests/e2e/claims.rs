//! What a test claims in its head is held against what its body judged.

use chaos_test::prelude::*;
use chaos_test::{lost, process};
use chaos_test_fixtures::rerun::Rerun;

use crate::bad_input::nothing_left;
use crate::victims::{inventory, watch};

/// Inventory's callers are back within twenty seconds, and lose nothing.
#[chaos_test(expects(
    recovery <= 20s,
    inventory.error_rate <= 100%,
    "inventory/stock/42".max <= 5s,
    availability >= 50%,
    orders.lost <= 0,
    lost <= 1%,
))]
async fn what_is_claimed_is_borne_out(
    chaos: &ChaosContext,
    inventory: &Service,
) -> chaos_test::Result {
    let requests = watch(chaos, inventory);
    let normal = requests.baseline(ms(200)).await?;
    let before = requests.over(ms(100)).await?;
    before
        .expect(availability().at_least(percent(50)))
        .expect(latency(chaos_test::MAX).at_most(secs(5)))
        .check()?;
    let outage = chaos.inject(process::kill(inventory)).await?;
    let seen = requests.over(ms(100)).await?;
    let lifted = outage.lift().await?;
    requests
        .recovers_to(&normal)
        .since(lifted)
        .within(secs(20))
        .await?;
    seen.expect(error_rate().at_most(percent(100))).check()?;
    let orders = || (0..100).map(|number| (number, ()));
    chaos
        .consistency("orders", orders(), orders())
        .expect(lost().at_most(0))
        .check()?;
    Ok(())
}

/// It claims more than its body shows.
#[chaos_test(expects(error_rate <= 1%, checkout.error_rate <= 100%, recovery <= 5s))]
#[ignore = "another test runs it as a child"]
async fn it_claims_too_much(chaos: &ChaosContext, inventory: &Service) -> chaos_test::Result {
    let requests = watch(chaos, inventory);
    let outage = chaos.inject(process::kill(inventory)).await?;
    let seen = requests.over(ms(100)).await?;
    outage.lift().await?;
    seen.expect(error_rate().at_most(percent(100))).check()?;
    Ok(())
}

/// It does not come to what it claims.
#[chaos_test(expects(error_rate <= 100%, recovery <= 5s))]
#[ignore = "another test runs it as a child"]
async fn it_goes_wrong(chaos: &ChaosContext, inventory: &Service) -> chaos_test::Result {
    let requests = watch(chaos, inventory);
    let _outage = chaos.inject(process::kill(inventory)).await?;
    let seen = requests.over(ms(100)).await?;
    seen.expect(availability().at_least(percent(100))).check()?;
    Ok(())
}

fn fails(test: &str) -> String {
    let ended = Rerun::of(&format!("claims::{test}")).run();
    let output = ended.output();
    assert!(!ended.status.success(), "{output}");
    nothing_left(&ended);
    output.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn what_the_body_does_not_show_is_not_green() {
    let output = fails("it_claims_too_much");
    for expected in [
        "expects(error_rate <= 1%) expected: what the body judged bears it out actual: ",
        "%: error rate of inventory/stock/42 over 100 ms under \"kill inventory\"",
        "expects(checkout.error_rate <= 100%) expected: what the body judged bears it out actual: \
         the body never judged the error_rate of checkout",
        "expects(recovery <= 5s) expected: what the body judged bears it out actual: the body never \
         judged any recovery",
    ] {
        assert!(output.contains(expected), "{expected} in:\n{output}");
    }
}

#[test]
fn a_body_that_went_wrong_is_not_told_what_it_did_not_come_to() {
    let output = fails("it_goes_wrong");
    assert!(output.contains("availability of inventory"), "{output}");
    assert!(!output.contains("expects("), "{output}");
}
