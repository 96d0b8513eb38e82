//! Where everything runs in containers: checkout reaches inventory through a link of its own,
//! and the cache under its name, with nothing in between.

use chaos_test::prelude::*;
use chaos_test::{container, link};

use crate::services::{cache, contained_checkout, contained_inventory};

/// Where the way from checkout to inventory is cut, checkout answers from its fallback, and
/// everybody else reaches inventory as before.
#[chaos_test(
    timeout = "120s",
    requires(docker),
    breaks(contained_inventory),
    tags("inventory", "network")
)]
async fn a_cut_between_two_containers_is_noticed_by_nobody(
    chaos: &ChaosContext,
    contained_inventory: &Service,
    contained_checkout: &Service,
) -> chaos_test::Result {
    let requests = contained_checkout.get("/checkout/42").status(200);
    let requests = chaos.monitor(requests.every(ms(20)));
    let others = contained_inventory.get("/stock/42").status(200);
    let others = chaos.monitor(others.every(ms(50)));
    let normal = requests.baseline(secs(1)).await?;

    let way = contained_inventory.link("checkout").await?;
    let cut = chaos
        .during(link::down(&way), async |cut| {
            requests
                .over(secs(3))
                .await?
                .expect(error_rate().at_most(percent(0)))
                .expect(latency(P95).at_most(secs(3)))
                .check()?;
            others
                .between(cut.injected(), chaos.now())
                .await?
                .expect(error_rate().at_most(percent(0)))
                .check()
        })
        .await?;

    requests
        .recovers_to(&normal)
        .since(cut.lifted())
        .within(secs(5))
        .await?;
    Ok(())
}

/// A cache that is taken out of the network, and that checkout reaches under its name, costs
/// customers no answer.
#[chaos_test(
    timeout = "120s",
    requires(docker),
    breaks(cache),
    tags("cache", "network")
)]
async fn a_cache_out_of_the_network_costs_no_answer(
    chaos: &ChaosContext,
    cache: &Service,
    contained_checkout: &Service,
) -> chaos_test::Result {
    let requests = contained_checkout.get("/checkout/42").status(200);
    let requests = chaos.monitor(requests.every(ms(20)));
    let normal = requests.baseline(secs(1)).await?;
    // Checkout's way to it leads past its link, so somebody else has to see that it is gone.
    let others = chaos.monitor(cache.connect().every(ms(100)).named("the cache's link"));

    let cut = chaos
        .during(container::disconnect(cache), async |cut| {
            requests
                .over(secs(3))
                .await?
                .expect(error_rate().at_most(percent(0)))
                .check()?;
            others
                .between(cut.injected(), chaos.now())
                .await?
                .expect(error_rate().at_least(percent(50)))
                .check()
        })
        .await?;

    requests
        .recovers_to(&normal)
        .since(cut.lifted())
        .within(secs(10))
        .await?;
    Ok(())
}
