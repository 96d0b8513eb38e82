//! What happens to customers when the cache fails. Needs the program `redis-server`; where
//! it is missing the test is skipped, visibly.

use chaos_test::prelude::*;
use chaos_test::process;

use crate::services::{cache, cached_checkout, customers};

/// A dead cache costs customers nothing: checkout asks inventory instead.
#[chaos_test(
    timeout = "60s",
    requires(program("redis-server")),
    breaks(cache),
    tags("cache")
)]
async fn customers_do_not_notice_a_dead_cache(
    chaos: &ChaosContext,
    cache: &Service,
    cached_checkout: &Service,
) -> chaos_test::Result {
    let requests = customers(chaos, cached_checkout);
    let normal = requests.baseline(secs(1)).await?;

    let outage = chaos
        .during(process::kill(cache), async |_| {
            requests
                .over(secs(2))
                .await?
                .expect(error_rate().at_most(percent(0)))
                .expect(latency(P95).at_most(secs(1)))
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
