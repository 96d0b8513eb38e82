//! A service that is a closure of the test, in the place of one that belongs to somebody else.
//!
//! What to learn here: no program and no container is needed for what checkout talks to, and such
//! a service is broken as any other.

use std::sync::atomic::{AtomicU64, Ordering};

use chaos_test::prelude::*;
use chaos_test::process;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::services::{checkout_program, customers};

/// Answers what inventory would. The closure is called for each start, on a thread of its own, so
/// that it can be killed, stopped and restarted; what it captures, such as this counter, survives
/// that. With axum its body would be `axum::serve(listener, app()).await`.
#[chaos_fixture]
async fn stand_in(chaos: &ChaosContext) -> chaos_test::Result<Service> {
    let asked = AtomicU64::new(0);
    let stand_in = chaos.in_process("stand-in", async move |listener| -> std::io::Result<()> {
        loop {
            let (client, _) = listener.accept().await?;
            let number = asked.fetch_add(1, Ordering::Relaxed);
            tokio::spawn(async move {
                // Who hangs up early is no reason to end.
                let _ = answer(client, 1000 + number).await;
            });
        }
    });
    Ok(stand_in.await?)
}

/// One request, one answer.
async fn answer(mut client: TcpStream, stock: u64) -> std::io::Result<()> {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        request.push(client.read_u8().await?);
    }
    let body = format!(r#"{{"sku":"42","stock":{stock},"source":"inventory"}}"#);
    let length = body.len();
    let answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\
         connection: close\r\n\r\n{body}"
    );
    client.write_all(answer.as_bytes()).await
}

/// Checkout as ever: it is told another address, and knows nothing of all this.
#[chaos_fixture]
async fn checkout(chaos: &ChaosContext, stand_in: &Service) -> chaos_test::Result<Service> {
    let program = checkout_program(stand_in.first_address());
    Ok(chaos.process("checkout", program).await?)
}

/// Customers do not wait for an inventory that accepts their questions and never answers.
#[chaos_test(timeout = "60s", breaks(stand_in), tags("inventory"))]
async fn customers_do_not_wait_for_a_hanging_inventory(
    chaos: &ChaosContext,
    stand_in: &Service,
    checkout: &Service,
) -> chaos_test::Result {
    let requests = customers(chaos, checkout);
    let normal = requests.baseline(secs(1)).await?;

    let hang = chaos
        .during(process::stop(stand_in), async |_| {
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
        .since(hang.lifted())
        .within(secs(5))
        .await?;
    Ok(())
}
