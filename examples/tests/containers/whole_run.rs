//! One container for a whole run: started by the first test that needs it, in whatever process
//! that is, and gone with `cargo test` or nextest.
//!
//! Tests that share a thing keep apart what they store in it, here by a prefix of their own, and
//! one that breaks it has it for itself.

use chaos_test::prelude::*;
use chaos_test::{Container, container, http, process};
use chaos_test_fixtures::images;

/// What it is for its users: redis, and nothing of the harness.
async fn connect(cache: &Service) -> chaos_test::Result<redis::aio::MultiplexedConnection> {
    let client = redis::Client::open(format!("redis://{}", cache.address(6379)))?;
    Ok(client.get_multiplexed_async_connection().await?)
}

/// The cache of this run. Its value goes from process to process, as a service can.
#[chaos_fixture(scope = "run")]
async fn shared_cache(chaos: &ChaosContext) -> chaos_test::Result<Service> {
    let redis = Container::new(images::redis().await?).grace(secs(2));
    Ok(chaos.container("shared-cache", redis).await?)
}

/// What a till has stored survives its death. Only the till is broken, which is this test's own;
/// so it runs beside all others that use the cache.
#[chaos_test(requires(docker), breaks(till), tags("cache"))]
async fn a_dead_till_costs_nothing_in_the_cache(
    chaos: &ChaosContext,
    shared_cache: &Service,
    till: &Service,
) -> chaos_test::Result {
    let mut cache = connect(shared_cache).await?;
    let () = redis::cmd("SET")
        .arg("till:receipt")
        .arg(42)
        .query_async(&mut cache)
        .await?;
    let requests = chaos.monitor(till.get("/health").every(ms(20)));
    let normal = requests.baseline(ms(300)).await?;
    let outage = chaos
        .during(process::kill(till), async |_| requests.over(ms(300)).await)
        .await?;
    let recovered = requests.recovers_to(&normal).since(outage.lifted());
    recovered.within(secs(10)).await?;
    let receipt: u32 = redis::cmd("GET")
        .arg("till:receipt")
        .query_async(&mut cache)
        .await?;
    assert_eq!(receipt, 42);
    Ok(())
}

/// This test's own.
#[chaos_fixture]
async fn till(chaos: &ChaosContext) -> chaos_test::Result<Service> {
    let program = Program::cargo_bin("examples-inventory").ready(http("/health").status(200));
    Ok(chaos.process("till", program).await?)
}

/// The cache is back with its clients after it was killed. Nobody else uses it meanwhile.
#[chaos_test(requires(docker), breaks(shared_cache), tags("cache"))]
async fn a_killed_shared_cache_is_back_for_all(
    chaos: &ChaosContext,
    shared_cache: &Service,
) -> chaos_test::Result {
    let requests = chaos.monitor(shared_cache.connect().every(ms(20)));
    let normal = requests.baseline(ms(300)).await?;
    let outage = chaos
        .during(container::kill(shared_cache), async |_| {
            requests.over(ms(500)).await
        })
        .await?;
    let recovered = requests.recovers_to(&normal).since(outage.lifted());
    recovered.within(secs(20)).await?;
    let mut cache = connect(shared_cache).await?;
    let pong: String = redis::cmd("PING").query_async(&mut cache).await?;
    assert_eq!(pong, "PONG");
    Ok(())
}
