//! Tests that name what another crate offers as if it were their own.

use chaos_test::prelude::*;
use chaos_test::{MAX, process};
use shop_fixtures::{Shop, shop, stock};

/// Customers are told of the stock again within five seconds.
#[chaos_test(timeout = "60s", breaks(stock))]
async fn a_broken_stock_is_back_in_time(
    chaos: &ChaosContext,
    stock: &Service,
    shop: &Shop,
) -> chaos_test::Result {
    let shop = shop.clone();
    let asks = move || shop.clone().pieces();
    let pieces = chaos.monitor(asks.every(ms(10)).named("pieces"));
    let normal = pieces.baseline(ms(300)).await?;
    let outage = chaos
        .during(process::kill(stock), async |_| {
            let seen = pieces.over(ms(300)).await?;
            seen.expect(error_rate().at_least(percent(50))).check()
        })
        .await?;
    pieces
        .recovers_to(&normal)
        .since(outage.lifted())
        .within(secs(5))
        .await?;
    let after = pieces.over(ms(100)).await?;
    after.expect(value().at(MAX).at_most(55.0)).check()?;
    Ok(())
}

/// A blast radius without that fixture keeps it whole.
#[chaos_test(timeout = "60s", breaks(other))]
async fn nothing_else_is_broken(
    chaos: &ChaosContext,
    stock: &Service,
    #[from(own)] other: &Service,
) -> chaos_test::Result {
    let connects = chaos.monitor(other.connect().every(ms(10)));
    let refused = chaos.inject(process::kill(stock)).await.unwrap_err();
    assert!(refused.is_refused(), "{refused}");
    let outage = chaos.inject(process::kill(other)).await?;
    connects.over(ms(100)).await?;
    outage.lift().await?;
    Ok(())
}

#[chaos_fixture]
async fn own(chaos: &ChaosContext, stock: &Service) -> chaos_test::Result<Service> {
    let stock = stock.first_address().socket();
    let own = chaos.in_process("own", async move |listener| -> std::io::Result<()> {
        loop {
            let (client, _) = listener.accept().await?;
            // One that closes without a word would not count as ready.
            client.writable().await?;
            client.try_write(&stock.port().to_be_bytes())?;
        }
    });
    Ok(own.await?)
}
