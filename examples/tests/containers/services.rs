//! The services under test, as fixtures: what they need runs in containers, they themselves
//! run as processes, or in containers too.

use std::path::Path;

use chaos_test::prelude::*;
use chaos_test::testcontainers::core::ContainerRequest;
use chaos_test::testcontainers::{GenericImage, ImageExt};
use chaos_test::{Container, http};
use chaos_test_fixtures::images;

/// How long services wait for what they need, at each try: far above what a busy machine needs,
/// and below what customers would mind.
const TRY_LIMIT_MS: u32 = 500;

/// Redis.
#[chaos_fixture]
pub async fn cache(chaos: &ChaosContext) -> chaos_test::Result<Service> {
    let redis = Container::new(images::redis().await?).grace(secs(2));
    Ok(chaos.container("cache", redis).await?)
}

/// PostgreSQL.
#[chaos_fixture]
pub async fn database(chaos: &ChaosContext) -> chaos_test::Result<Service> {
    Ok(chaos
        .container("database", images::postgres().await?)
        .await?)
}

/// NATS with JetStream.
#[chaos_fixture]
pub async fn broker(chaos: &ChaosContext) -> chaos_test::Result<Service> {
    Ok(chaos.container("broker", images::nats().await?).await?)
}

/// The service that checkout asks for stock.
#[chaos_fixture]
pub async fn inventory(chaos: &ChaosContext) -> chaos_test::Result<Service> {
    let program = Program::cargo_bin("examples-inventory").ready(http("/health").status(200));
    Ok(chaos.process("inventory", program).await?)
}

/// Checkout with a cache in front of inventory.
#[chaos_fixture]
pub async fn checkout(
    chaos: &ChaosContext,
    inventory: &Service,
    cache: &Service,
) -> chaos_test::Result<Service> {
    let program = Program::cargo_bin("examples-checkout")
        .env("INVENTORY", inventory.first_address())
        .env("TIMEOUT_MS", TRY_LIMIT_MS)
        .env("CACHE", cache.address(6379))
        .env("CACHE_TIMEOUT_MS", TRY_LIMIT_MS)
        .ready(http("/checkout/42").status(200));
    Ok(chaos.process("checkout", program).await?)
}

/// Keeps orders in the database.
#[chaos_fixture]
pub async fn orders(chaos: &ChaosContext, database: &Service) -> chaos_test::Result<Service> {
    let program = Program::cargo_bin("examples-orders")
        .env("DATABASE", database.address(5432))
        .env("TIMEOUT_MS", TRY_LIMIT_MS)
        .ready(http("/ready").status(200));
    Ok(chaos.process("orders", program).await?)
}

/// Hands parcels on through the broker.
#[chaos_fixture]
pub async fn parcels(chaos: &ChaosContext, broker: &Service) -> chaos_test::Result<Service> {
    let program = Program::cargo_bin("examples-parcels")
        .env("BROKER", broker.address(4222))
        .ready(http("/ready").status(200));
    Ok(chaos.process("parcels", program).await?)
}

/// The service that checkout asks for stock, in a container.
#[chaos_fixture]
pub async fn contained_inventory(chaos: &ChaosContext) -> chaos_test::Result<Service> {
    let binary = Path::new(env!("CARGO_BIN_EXE_examples-inventory"));
    let image = images::inventory(binary).await?;
    let inventory = Container::new(image).ready(http("/health").status(200));
    Ok(chaos.container("inventory", inventory).await?)
}

/// Checkout in a container: it reaches inventory through a link of its own, and the cache
/// directly, under its name.
#[chaos_fixture]
pub async fn contained_checkout(
    chaos: &ChaosContext,
    contained_inventory: &Service,
    cache: &Service,
) -> chaos_test::Result<Service> {
    let inventory = contained_inventory.link("checkout").await?;
    let binary = Path::new(env!("CARGO_BIN_EXE_examples-checkout"));
    let request = images::checkout(binary)
        .await?
        .with_env_var(
            "INVENTORY",
            inventory.address_for_containers().await?.to_string(),
        )
        .with_env_var("TIMEOUT_MS", TRY_LIMIT_MS.to_string())
        .with_env_var("CACHE", format!("{}:6379", cache.name()))
        .with_env_var("CACHE_TIMEOUT_MS", TRY_LIMIT_MS.to_string());
    let request = Container::new(with_switches(request));
    let checkout = request.ready(http("/checkout/42").status(200));
    Ok(chaos.container("checkout", checkout).await?)
}

/// Containers do not inherit the test's environment, so what switches a protection off is
/// passed on.
fn with_switches(request: ContainerRequest<GenericImage>) -> ContainerRequest<GenericImage> {
    ["FALLBACK", "CACHE_TOLERANT"]
        .into_iter()
        .filter_map(|switch| Some((switch, std::env::var(switch).ok()?)))
        .fold(request, |request, (switch, value)| {
            request.with_env_var(switch, value)
        })
}
