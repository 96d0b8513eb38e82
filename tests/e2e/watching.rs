//! Monitors and links: what is asked, and who is hit.

use chaos_test::prelude::*;
use chaos_test::{TcpProbe, link, process};

use crate::victims::{inventory, watch};

/// A client with a link of its own is cut off alone; the address stays the same.
#[chaos_test(breaks(inventory))]
async fn one_client_is_cut_off_and_another_is_not(
    chaos: &ChaosContext,
    inventory: &Service,
) -> chaos_test::Result {
    let own = inventory.link("shop").await?;
    let url = format!("http://{}/stock/42", own.address());
    let shop = chaos.monitor(chaos_test::HttpProbe::get(url).every(ms(10)).named("shop"));
    let others = watch(chaos, inventory);
    shop.baseline(ms(100)).await?;
    others.baseline(ms(100)).await?;
    let address = own.address();
    let cut = chaos.inject(link::down(&own)).await?;
    let (cut_off, fine) = tokio::join!(shop.over(ms(200)), others.over(ms(200)));
    cut_off?
        .expect(error_rate().at_least(percent(100)))
        .check()?;
    fine?.expect(error_rate().at_most(percent(0))).check()?;
    cut.lift().await?;
    assert_eq!(inventory.link("shop").await?.address(), address);
    assert!(own.traffic().accepted > 0);
    Ok(())
}

/// A link that is made while its whole service is cut is cut, too.
#[chaos_test(breaks(inventory))]
async fn a_link_made_under_a_fault_has_it(
    chaos: &ChaosContext,
    inventory: &Service,
) -> chaos_test::Result {
    let cut = chaos.inject(link::down(inventory)).await?;
    let late = inventory.link("late").await?;
    let probe = TcpProbe::new(late.address().to_string());
    let connects = chaos.monitor(probe.every(ms(20)));
    connects
        .over(ms(100))
        .await?
        .expect(error_rate().at_least(percent(100)))
        .check()?;
    let lifted = cut.lift().await?;
    let after = connects
        .between(lifted, Moments::later(lifted, ms(100)))
        .await?;
    after.expect(error_rate().at_most(percent(0))).check()?;
    Ok(())
}

struct Moments;

impl Moments {
    fn later(moment: chaos_test::Moment, by: std::time::Duration) -> std::time::Duration {
        std::time::Duration::from(moment) + by
    }
}

/// The address that clients hold survives a kill, and a fault that ends by itself ends.
#[chaos_test(breaks(inventory))]
async fn an_address_survives_a_kill(
    chaos: &ChaosContext,
    inventory: &Service,
) -> chaos_test::Result {
    let address = inventory.first_address();
    let requests = watch(chaos, inventory);
    let normal = requests.baseline(ms(100)).await?;
    let outage = chaos
        .inject(process::kill(inventory).lasting(ms(100)))
        .await?;
    let lifted = outage.ended().await?;
    requests
        .recovers_to(&normal)
        .since(lifted)
        .within(secs(5))
        .await?;
    assert_eq!(inventory.first_address(), address);
    assert!(
        inventory
            .last_lines(50)
            .iter()
            .any(|line| line.contains("start 2"))
    );
    Ok(())
}
