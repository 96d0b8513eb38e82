//! What happens to parcels when the container of the broker dies.

use std::collections::BTreeSet;

use chaos_test::prelude::*;
use chaos_test::{MAX, container, link};
use chaos_test_fixtures::parcels::Status;

use crate::customers::{Customers, client, until};
use crate::services::{broker, parcels};

/// A broker far away dies in the middle of a stream of parcels. Parcels are accepted all the
/// same, and twenty seconds after its return each of them was delivered, also those that were
/// on their way to it.
#[chaos_test(timeout = "120s", requires(docker), breaks(broker), tags("broker"))]
async fn a_killed_broker_costs_no_parcel(
    chaos: &ChaosContext,
    broker: &Service,
    parcels: &Service,
) -> chaos_test::Result {
    let customers = Customers::of(parcels, "/parcels");
    let sending = chaos.monitor(customers.clone().every(ms(20)).named("sending parcels"));
    let normal = sending.baseline(secs(1)).await?;

    // Whatever was sent in the last 100 ms has not arrived yet.
    let far = chaos.inject(link::latency(broker, ms(100))).await?;
    sending.over(ms(500)).await?;
    let outage = chaos
        .during(container::kill(broker), async |_| {
            sending
                .over(secs(1))
                .await?
                .expect(error_rate().at_most(percent(0)))
                .expect(latency(P95).at_most(secs(3)))
                .check()
        })
        .await?;
    far.lift().await?;

    sending
        .recovers_to(&normal)
        .since(outage.lifted())
        .within(secs(5))
        .await?;
    let accepted = customers.go_home();
    until("nothing is under way", secs(20), async || {
        under_way(parcels).await.is_ok_and(|number| number == 0)
    })
    .await;
    chaos.note(format!("{} parcels were accepted", accepted.len()));

    let url = parcels.url("/delivered");
    let missing = move || {
        let (accepted, url) = (accepted.clone(), url.clone());
        async move {
            let delivered = delivered(&url).await?;
            Ok::<_, TestError>(accepted.difference(&delivered).count())
        }
    };
    chaos
        .monitor(missing.every(ms(100)).named("lost parcels"))
        .over(ms(300))
        .await?
        .expect(value().at(MAX).at_most(0.0))
        .check()?;
    Ok(())
}

/// How many parcels have been accepted and not received, as the service itself counts.
async fn under_way(parcels: &Service) -> chaos_test::Result<u64> {
    let answer = client().get(parcels.url("/status")).send().await?;
    let status: Status = serde_json::from_slice(&answer.bytes().await?)?;
    Ok(status.outbox as u64 + status.undelivered)
}

async fn delivered(url: &str) -> chaos_test::Result<BTreeSet<String>> {
    let answer = client().get(url).send().await?;
    Ok(serde_json::from_slice(&answer.bytes().await?)?)
}
