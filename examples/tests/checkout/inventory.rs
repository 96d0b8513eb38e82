//! What happens to customers when inventory fails.

use chaos_test::prelude::*;
use chaos_test::{link, process};

use crate::services::{checkout, customers, inventory};

/// Customers get an answer from the fallback while inventory is dead, and real stock again
/// within five seconds of its return.
#[chaos_test(timeout = "60s", breaks(inventory), tags("inventory"))]
async fn customers_do_not_notice_a_dead_inventory(
    chaos: &ChaosContext,
    inventory: &Service,
    checkout: &Service,
) -> chaos_test::Result {
    let requests = customers(chaos, checkout);
    let normal = requests.baseline(secs(1)).await?;

    let outage = chaos
        .during(process::kill(inventory), async |_| {
            requests
                .over(secs(2))
                .await?
                .expect(error_rate().at_most(percent(0)))
                .expect(latency(P95).at_most(secs(1)))
                .expect(throughput().drops_at_most(percent(10)).from(&normal))
                .check()
        })
        .await?;

    requests
        .recovers_to(&normal)
        .since(outage.lifted())
        .within(secs(5))
        .await?;
    Ok(())
}

/// A slow inventory does not make checkout slow: it gives up in time and answers from its
/// fallback.
#[chaos_test(timeout = "60s", breaks(inventory), tags("inventory", "slow"))]
async fn a_slow_inventory_does_not_make_checkout_slow(
    chaos: &ChaosContext,
    inventory: &Service,
    checkout: &Service,
) -> chaos_test::Result {
    let requests = customers(chaos, checkout);
    let normal = requests.baseline(secs(1)).await?;

    let slow = chaos
        .during(link::latency(inventory, secs(2)), async |_| {
            requests
                .over(secs(3))
                .await?
                .expect(error_rate().at_most(percent(0)))
                .expect(latency(P95).at_most(ms(1500)))
                .check()
        })
        .await?;

    requests
        .recovers_to(&normal)
        .since(slow.lifted())
        .within(secs(5))
        .await?;
    Ok(())
}

/// While inventory resets every connection, the circuit breaker spares customers the
/// retries: half of them are answered within 70 ms.
#[chaos_test(timeout = "60s", breaks(inventory), tags("inventory"))]
async fn broken_connections_do_not_slow_customers_down(
    chaos: &ChaosContext,
    inventory: &Service,
    checkout: &Service,
) -> chaos_test::Result {
    let requests = customers(chaos, checkout);
    let normal = requests.baseline(secs(1)).await?;

    let resets = chaos.inject(link::reset(inventory)).await?;
    requests
        .over(secs(3))
        .await?
        .expect(error_rate().at_most(percent(0)))
        .expect(latency(P50).at_most(ms(70)))
        .check()?;
    let lifted = resets.lift().await?;

    requests
        .recovers_to(&normal)
        .since(lifted)
        .within(secs(5))
        .await?;
    Ok(())
}

/// A deployment of inventory costs no customer an answer.
#[chaos_test(timeout = "60s", breaks(inventory), tags("inventory", "deployment"))]
async fn a_deployment_of_inventory_costs_no_answer(
    chaos: &ChaosContext,
    inventory: &Service,
    checkout: &Service,
) -> chaos_test::Result {
    let requests = customers(chaos, checkout);
    let normal = requests.baseline(secs(1)).await?;

    let restart = process::restart(inventory).down_for(ms(300));
    let before = chaos.now();
    let restarted = chaos.inject(restart).await?.lift().await?;
    requests
        .between(before, restarted)
        .await?
        .expect(error_rate().at_most(percent(0)))
        .check()?;

    requests
        .recovers_to(&normal)
        .since(restarted)
        .within(secs(5))
        .await?;
    Ok(())
}
