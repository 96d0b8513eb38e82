//! Chaos tests also fit beside the code that they are about.

/// How many of `wanted` can be sold, given what the inventory said, if it said anything.
#[must_use]
pub fn sellable(wanted: u32, stock: Option<u32>) -> u32 {
    stock.map_or(0, |stock| wanted.min(stock))
}

#[cfg(all(test, feature = "chaos"))]
#[path = "../tests/proof/mod.rs"]
mod proof;

#[cfg(all(test, feature = "chaos"))]
mod tests {
    use chaos_test::prelude::*;
    use chaos_test::{http, process};

    use super::proof::hypothesis;
    use super::sellable;

    #[chaos_fixture]
    async fn inventory(chaos: &ChaosContext) -> chaos_test::Result<Service> {
        let program = Program::cargo_bin("examples-inventory").ready(http("/health").status(200));
        Ok(chaos.process("inventory", program).await?)
    }

    /// Nothing is sold that nobody counted.
    #[chaos_test(breaks(inventory))]
    async fn nothing_is_sold_without_an_inventory(
        chaos: &ChaosContext,
        inventory: &Service,
    ) -> chaos_test::Result {
        let address = inventory.first_address().socket();
        // As a real client would: no answer, no stock.
        let asks = move || async move {
            let stock = ask(address).await.ok();
            Ok::<_, TestError>(victim()(5, stock))
        };
        let sold = chaos.monitor(asks.every(ms(20)).named("sold"));
        let normal = sold.baseline(ms(300)).await?;
        let outage = chaos
            .during(process::kill(inventory), async |_| {
                sold.over(ms(300))
                    .await?
                    .expect(value().at(chaos_test::MAX).at_most(0.0))
                    .check()
            })
            .await?;
        sold.recovers_to(&normal).since(outage.lifted()).await?;
        Ok(())
    }

    /// The sound one, or with `COUNTED=off` one that sells whatever is wanted: the hypothesis
    /// has to notice.
    fn victim() -> fn(u32, Option<u32>) -> u32 {
        match std::env::var("COUNTED").as_deref() {
            Ok("off") => |wanted, _| wanted,
            _ => sellable,
        }
    }

    #[test]
    fn proof_of_nothing_sold_without_an_inventory() {
        hypothesis("tests::nothing_is_sold_without_an_inventory")
            .quick()
            .fails_without("COUNTED", "value of sold")
            .holds();
    }

    async fn ask(address: std::net::SocketAddr) -> std::io::Result<u32> {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let mut stream = tokio::net::TcpStream::connect(address).await?;
        let request = "GET /stock/42 HTTP/1.1\r\nhost: inventory\r\nconnection: close\r\n\r\n";
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        let stock = answer.rsplit_once("\"stock\":").map(|(_, rest)| rest);
        let digits = stock
            .unwrap_or_default()
            .split(',')
            .next()
            .unwrap_or_default();
        digits.parse().map_err(std::io::Error::other)
    }
}
