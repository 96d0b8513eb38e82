//! What the test that moved over can do from then on: break its container.

use chaos_test::container;
use chaos_test::prelude::*;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{AsyncCommands, Client};

use crate::proof::hypothesis;

/// A client of Redis that lost its connection finds the next Redis at the same address, within
/// ten seconds of its return.
#[chaos_test(timeout = "120s", requires(docker))]
async fn a_client_finds_its_cache_again(chaos: &ChaosContext) -> chaos_test::Result {
    let Some(image) = crate::redis_image().await else {
        return Err(chaos_test::Error::skip("there is no image of Redis").into());
    };
    let redis = chaos.container("redis", image).await?;

    let client = Client::open(("127.0.0.1", redis.address(6379).port()))?;
    // One try to connect for each command: the monitor asks again.
    let once = ConnectionManagerConfig::new().set_number_of_retries(0);
    let connection = ConnectionManager::new_lazy_with_config(client.clone(), once)?;
    let first = client.get_multiplexed_async_connection().await?;
    let reconnects = std::env::var("RECONNECT").as_deref() != Ok("off");
    let keep = move || {
        let (mut connection, mut first) = (connection.clone(), first.clone());
        async move {
            // The weakened client has its first connection only.
            if !reconnects {
                first.set::<_, _, ()>("stock:42", 55).await?;
                return first.get::<_, u64>("stock:42").await;
            }
            connection.set::<_, _, ()>("stock:42", 55).await?;
            connection.get::<_, u64>("stock:42").await
        }
    };
    let cache = chaos.monitor(keep.every(ms(20)).sample_timeout(secs(2)).named("cache"));
    let normal = cache.baseline(secs(1)).await?;

    let outage = chaos
        .during(container::kill(&redis), async |_| {
            // It is really gone.
            let gone = cache.over(ms(500)).await?;
            gone.expect(error_rate().at_least(percent(90))).check()
        })
        .await?;

    cache
        .recovers_to(&normal)
        .since(outage.lifted())
        .within(secs(10))
        .await?;
    Ok(())
}

#[test]
fn proof_of_a_client_that_finds_its_cache_again() {
    hypothesis("breaking::a_client_finds_its_cache_again")
        .fails_without("RECONNECT", "recovery of cache")
        .holds();
}
