//! What happens to customers when the container of the cache fails.

use chaos_test::prelude::*;
use chaos_test::{Fault, container};

use crate::services::{cache, checkout};

/// A cache that was stopped costs customers nothing: checkout asks inventory instead.
#[chaos_test(timeout = "120s", requires(docker), breaks(cache), tags("cache"))]
async fn customers_do_not_notice_a_stopped_cache(
    chaos: &ChaosContext,
    cache: &Service,
    checkout: &Service,
) -> chaos_test::Result {
    customers_do_not_notice(chaos, checkout, container::stop(cache)).await
}

/// A cache that died costs customers nothing either.
#[chaos_test(timeout = "120s", requires(docker), breaks(cache), tags("cache"))]
async fn customers_do_not_notice_a_killed_cache(
    chaos: &ChaosContext,
    cache: &Service,
    checkout: &Service,
) -> chaos_test::Result {
    customers_do_not_notice(chaos, checkout, container::kill(cache)).await
}

/// A cache that hangs costs customers less than three seconds.
#[chaos_test(
    timeout = "120s",
    requires(docker),
    breaks(cache),
    tags("cache", "slow")
)]
async fn customers_do_not_wait_for_a_hanging_cache(
    chaos: &ChaosContext,
    cache: &Service,
    checkout: &Service,
) -> chaos_test::Result {
    customers_do_not_notice(chaos, checkout, container::pause(cache)).await
}

/// A new version of the cache under load: no customer goes without an answer, and five seconds
/// later everything is as before.
#[chaos_test(
    timeout = "120s",
    requires(docker),
    breaks(cache),
    tags("cache", "deployment")
)]
async fn a_deployment_of_the_cache_costs_no_answer(
    chaos: &ChaosContext,
    cache: &Service,
    checkout: &Service,
) -> chaos_test::Result {
    let requests = chaos.monitor(checkout.get("/checkout/42").status(200).every(ms(20)));
    let normal = requests.baseline(secs(1)).await?;

    let before = chaos.now();
    let restart = container::restart(cache).down_for(ms(500));
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

async fn customers_do_not_notice(
    chaos: &ChaosContext,
    checkout: &Service,
    fault: impl Fault,
) -> chaos_test::Result {
    let requests = chaos.monitor(checkout.get("/checkout/42").status(200).every(ms(20)));
    let normal = requests.baseline(secs(1)).await?;

    let outage = chaos
        .during(fault, async |_| {
            requests
                .over(secs(3))
                .await?
                .expect(error_rate().at_most(percent(0)))
                .expect(latency(P95).at_most(secs(3)))
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
