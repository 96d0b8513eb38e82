//! The services under test, as fixtures.

use chaos_test::prelude::*;
use chaos_test::{http, log_line};

/// How long checkout waits for inventory at each try: far above what a busy machine needs,
/// and far below what customers would notice.
const TRY_LIMIT_MS: u32 = 400;

/// The service that checkout asks for stock.
#[chaos_fixture]
pub async fn inventory(chaos: &ChaosContext) -> chaos_test::Result<Service> {
    let program = Program::cargo_bin("examples-inventory").ready(http("/health").status(200));
    Ok(chaos.process("inventory", program).await?)
}

/// The service that customers use. It has a link of its own to inventory.
#[chaos_fixture]
pub async fn checkout(chaos: &ChaosContext, inventory: &Service) -> chaos_test::Result<Service> {
    let program = checkout_program(inventory.link("checkout").await?.address());
    Ok(chaos.process("checkout", program).await?)
}

/// Checkout, which asks for stock at this address. What several fixtures have in common is an
/// ordinary function.
pub fn checkout_program(inventory: Address) -> Program {
    Program::cargo_bin("examples-checkout")
        .env("INVENTORY", inventory)
        .env("TIMEOUT_MS", TRY_LIMIT_MS)
        .ready(http("/health").status(200))
}

/// Customers of a checkout, fifty in a second. Each of them is to be answered.
pub fn customers(chaos: &ChaosContext, checkout: &Service) -> Monitor {
    chaos.monitor(checkout.get("/checkout/42").status(200).every(ms(20)))
}

/// A real Redis.
#[chaos_fixture]
pub async fn cache(chaos: &ChaosContext) -> chaos_test::Result<Service> {
    let program = Program::new("redis-server")
        .listens(6379)
        .args([
            "--port",
            "{port}",
            "--bind",
            "127.0.0.1",
            "--dir",
            "{dir}",
            "--save",
            "",
        ])
        .ready(log_line("Ready to accept connections"));
    Ok(chaos.process("cache", program).await?)
}

/// Checkout with a cache in front of inventory.
#[chaos_fixture]
pub async fn cached_checkout(
    chaos: &ChaosContext,
    inventory: &Service,
    cache: &Service,
) -> chaos_test::Result<Service> {
    let program = checkout_program(inventory.first_address())
        .env("CACHE", cache.address(6379))
        .env("CACHE_TIMEOUT_MS", 500_u32);
    Ok(chaos.process("checkout", program).await?)
}
