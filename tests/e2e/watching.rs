//! Monitors and links: what is asked, and who is hit.

use chaos_test::prelude::*;
use chaos_test::{HttpProbe, link, process};

use chaos_test_fixtures::rerun::Rerun;

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
    // A whole request: that a connection is reset behind its opening is seen too late by
    // whoever only opens it, on a busy machine.
    let probe = HttpProbe::get(format!("http://{}/health", late.address()));
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
            .last_lines(50)?
            .iter()
            .any(|line| line.contains("start 2"))
    );
    Ok(())
}

/// A probe that blocks its thread holds off neither a fault nor its own deadline; those
/// that it keeps from being sent are no errors.
#[chaos_test(breaks(inventory))]
#[ignore = "another test runs it as a child"]
async fn a_probe_blocks(chaos: &ChaosContext, inventory: &Service) -> chaos_test::Result {
    let probe = || async {
        std::thread::sleep(secs(6));
        Ok::<_, std::io::Error>(())
    };
    let pace = probe.every(ms(20)).sample_timeout(ms(100));
    let blocking = chaos.monitor(pace.named("blocking"));
    let begun = std::time::Instant::now();
    let hang = chaos.inject(process::stop(inventory)).await?;
    let seen = blocking.over(ms(200)).await?;
    hang.lift().await?;
    let took = begun.elapsed();
    assert!(took < secs(4), "it was held off for {took:?}");
    let all = blocking.between(ms(0), chaos.now()).await?;
    assert!(!all.samples().is_empty());
    for sample in all.samples() {
        assert_eq!(
            sample.reading,
            chaos_test::Reading::Bad("no answer within 100 ms".to_owned())
        );
        assert!(sample.latency < secs(1), "{:?}", sample.latency);
    }
    let judged = seen.expect(error_rate().at_most(percent(0))).check();
    assert!(judged.expect_err("samples are missing").is_no_data());
    Ok(())
}

#[test]
fn a_probe_that_blocks_holds_off_no_fault() {
    let ended = Rerun::of("watching::a_probe_blocks").run();
    let output = ended.output();
    let output = output.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(!ended.status.success(), "{output}");
    for expected in [
        "error rate of blocking over 200 ms",
        "more could not be sent, the monitor did not keep its pace",
    ] {
        assert!(output.contains(expected), "`{expected}` in:\n{output}");
    }
    assert!(!output.contains("held off"), "{output}");
}

/// Links that are asked for under one name at the same time are one link, and a fault on it
/// is lifted for all that hold it.
#[chaos_test(breaks(inventory))]
async fn a_link_that_is_asked_for_twice_at_once_is_one(
    chaos: &ChaosContext,
    inventory: &Service,
) -> chaos_test::Result {
    let mut pairs = Vec::new();
    for number in 0..100 {
        let name = format!("client-{number}");
        let (one, other) = tokio::join!(inventory.link(&name), inventory.link(&name));
        pairs.push((one?, other?));
    }
    for (one, other) in &pairs {
        assert_eq!(one.address(), other.address(), "{}", one.name());
    }
    let (one, _) = &pairs[0];
    let requests =
        chaos.monitor(HttpProbe::get(format!("http://{}/health", one.address())).every(ms(10)));
    let cut = chaos.inject(link::down(inventory)).await?;
    requests.over(ms(50)).await?;
    let lifted = cut.lift().await?;
    let after = requests
        .between(lifted, Moments::later(lifted, ms(100)))
        .await?;
    after.expect(error_rate().at_most(percent(0))).check()?;
    Ok(())
}
