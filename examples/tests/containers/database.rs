//! What happens to orders when the container of the database fails.

use std::collections::BTreeSet;

use chaos_test::prelude::*;
use chaos_test::{MAX, container, link};
use chaos_test_fixtures::orders::Status;
use tokio_postgres::NoTls;

use crate::customers::{Customers, client, until};
use crate::services::{database, orders};

/// While the database hangs, orders are taken within three seconds, and old ones can be read.
/// Within ten seconds of its return both are as fast as before, and all orders that were taken
/// are stored exactly once.
#[chaos_test(timeout = "120s", requires(docker), breaks(database), tags("database"))]
async fn a_hanging_database_costs_no_order(
    chaos: &ChaosContext,
    database: &Service,
    orders: &Service,
) -> chaos_test::Result {
    let customers = Customers::of(orders, "/orders");
    customers.send().await;
    let placing = chaos.monitor(customers.clone().every(ms(50)).named("placing orders"));
    let old_order = orders.get("/orders/0").status(200);
    let reading = chaos.monitor(old_order.every(ms(100)).named("reading an order"));
    let placed = placing.baseline(secs(1)).await?;
    let read = reading.baseline(secs(1)).await?;

    let pause = chaos
        .during(container::pause(database), async |pause| {
            placing
                .over(secs(3))
                .await?
                .expect(error_rate().at_most(percent(0)))
                .expect(latency(P95).at_most(secs(3)))
                .check()?;
            reading
                .between(pause.injected(), chaos.now())
                .await?
                .expect(error_rate().at_most(percent(0)))
                .expect(latency(P95).at_most(secs(3)))
                .check()
        })
        .await?;

    let (lifted, limit) = (pause.lifted(), secs(10));
    placing
        .recovers_to(&placed)
        .since(lifted)
        .within(limit)
        .await?;
    reading
        .recovers_to(&read)
        .since(lifted)
        .within(limit)
        .await?;
    all_are_stored_exactly_once(chaos, database, orders, &customers).await
}

/// While everything that goes to and from the database takes two seconds, orders are taken within
/// a second and a half; once it is quick again all of them are stored exactly once.
#[chaos_test(
    timeout = "120s",
    requires(docker),
    breaks(database),
    tags("database", "network")
)]
async fn a_slow_database_makes_no_customer_wait(
    chaos: &ChaosContext,
    database: &Service,
    orders: &Service,
) -> chaos_test::Result {
    let customers = Customers::of(orders, "/orders");
    let placing = chaos.monitor(customers.clone().every(ms(50)).named("placing orders"));
    let placed = placing.baseline(secs(1)).await?;

    // The link is all that is slow: the database itself is as quick as ever, as it is where the
    // network between the two is to blame.
    let slow = chaos
        .during(link::latency(database, secs(2)), async |_| {
            placing
                .over(secs(4))
                .await?
                .expect(error_rate().at_most(percent(0)))
                .expect(latency(P95).at_most(ms(1500)))
                .check()
        })
        .await?;

    placing
        .recovers_to(&placed)
        .since(slow.lifted())
        .within(secs(10))
        .await?;
    all_are_stored_exactly_once(chaos, database, orders, &customers).await
}

/// A restart of the database under load refuses no order and loses none, and orders are taken
/// as fast as before within ten seconds.
#[chaos_test(
    timeout = "120s",
    requires(docker),
    breaks(database),
    tags("database", "deployment")
)]
async fn a_restart_of_the_database_costs_no_order(
    chaos: &ChaosContext,
    database: &Service,
    orders: &Service,
) -> chaos_test::Result {
    let customers = Customers::of(orders, "/orders");
    let placing = chaos.monitor(customers.clone().every(ms(20)).named("placing orders"));
    let placed = placing.baseline(secs(1)).await?;

    let before = chaos.now();
    let restart = container::restart(database).down_for(ms(500));
    let restarted = chaos.inject(restart).await?.lift().await?;
    placing
        .between(before, restarted)
        .await?
        .expect(error_rate().at_most(percent(1)))
        .check()?;

    let limit = secs(10);
    placing
        .recovers_to(&placed)
        .since(restarted)
        .within(limit)
        .await?;
    all_are_stored_exactly_once(chaos, database, orders, &customers).await
}

/// Waits until no order is queued, and counts what the table holds.
async fn all_are_stored_exactly_once(
    chaos: &ChaosContext,
    database: &Service,
    orders: &Service,
    customers: &Customers,
) -> chaos_test::Result {
    let accepted = customers.go_home();
    until("the queue is empty", secs(20), async || {
        queued(orders).await.is_ok_and(|queued| queued == 0)
    })
    .await;
    chaos.note(format!("{} orders were accepted", accepted.len()));

    let table = database.address(5432);
    let missing = move || {
        let accepted = accepted.clone();
        async move {
            let stored: BTreeSet<_> = stored(table).await?.into_iter().collect();
            Ok::<_, TestError>(accepted.difference(&stored).count())
        }
    };
    let twice = move || async move {
        let stored = stored(table).await?;
        let different: BTreeSet<_> = stored.iter().collect();
        Ok::<_, TestError>(stored.len() - different.len())
    };
    for ledger in [
        missing.every(ms(100)).named("lost orders"),
        twice.every(ms(100)).named("orders stored twice"),
    ] {
        chaos
            .monitor(ledger)
            .over(ms(300))
            .await?
            .expect(value().at(MAX).at_most(0.0))
            .check()?;
    }
    Ok(())
}

async fn queued(orders: &Service) -> chaos_test::Result<usize> {
    let answer = client().get(orders.url("/status")).send().await?;
    let status: Status = serde_json::from_slice(&answer.bytes().await?)?;
    Ok(status.queued)
}

/// The numbers of all orders in the table, as often as they are in it.
async fn stored(table: Address) -> chaos_test::Result<Vec<String>> {
    let mut server = tokio_postgres::Config::new();
    server
        .host(table.socket().ip().to_string())
        .port(table.port())
        .user("postgres")
        .dbname("postgres");
    let (client, connection) = server.connect(NoTls).await?;
    let connection = tokio::spawn(connection);
    let rows = client.query("SELECT id FROM orders", &[]).await;
    connection.abort();
    Ok(rows?.iter().map(|row| row.get(0)).collect())
}
