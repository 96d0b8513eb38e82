//! Every form that a chaos test may have is an ordinary test.

use chaos_test::prelude::*;
use chaos_test::{link, process, registered};

use crate::victims::{inventory, watch};

/// An asynchronous body that returns a result.
#[chaos_test(breaks(inventory), tags("form"))]
async fn an_async_body_with_a_result(
    chaos: &ChaosContext,
    inventory: &Service,
) -> chaos_test::Result {
    let requests = watch(chaos, inventory);
    let normal = requests.baseline(ms(200)).await?;
    let outage = chaos.inject(process::kill(inventory)).await?;
    requests
        .over(ms(200))
        .await?
        .expect(error_rate().at_least(percent(100)))
        .check()?;
    let lifted = outage.lift().await?;
    let recovery = requests
        .recovers_to(&normal)
        .since(lifted)
        .within(secs(5))
        .await?;
    assert!(recovery.time() < secs(5));
    Ok(())
}

/// An asynchronous body that returns nothing.
#[chaos_test]
async fn an_async_body_without_a_result(chaos: &ChaosContext, inventory: &Service) {
    let requests = watch(chaos, inventory);
    let hang = chaos.inject(process::stop(inventory)).await.unwrap();
    let samples = requests.over(ms(50));
    tokio::time::sleep(ms(60)).await;
    hang.lift().await.unwrap();
    assert!(samples.await.unwrap().samples().len() > 1);
}

/// A plain function.
#[chaos_test(breaks(inventory))]
fn a_plain_function(chaos: &ChaosContext, inventory: &Service) -> chaos_test::Result {
    let address = inventory.first_address().socket();
    let cut = chaos.block_on(chaos.inject(link::down(inventory)))?;
    // A blocking client, as a plain function would have.
    let connected = std::net::TcpStream::connect(address);
    let broken = match connected {
        Err(_) => true,
        Ok(mut stream) => {
            use std::io::Read;
            stream.set_read_timeout(Some(secs(5)))?;
            stream.read(&mut [0]).is_err()
        }
    };
    assert!(broken, "a cut link let a connection through");
    chaos.block_on(cut.lift())?;
    Ok(())
}

/// Any error fits through `?`.
#[chaos_test]
async fn any_error_type(
    chaos: &ChaosContext,
    inventory: &Service,
) -> Result<(), Box<dyn std::error::Error>> {
    let requests = watch(chaos, inventory);
    chaos
        .during(link::latency(inventory, ms(40)), async |_| {
            requests
                .over(ms(300))
                .await?
                .expect(latency(P50).at_least(ms(40)))
                .expect(error_rate().at_most(percent(0)))
                .check()
        })
        .await?;
    let number: u16 = "17".parse()?;
    assert_eq!(number, 17);
    Ok(())
}

/// A panic that is expected, with chaos around it.
#[chaos_test]
#[should_panic(expected = "no stock")]
async fn an_expected_panic(chaos: &ChaosContext, inventory: &Service) {
    let requests = watch(chaos, inventory);
    let _outage = chaos.inject(process::kill(inventory)).await.unwrap();
    requests.over(ms(30)).await.unwrap();
    panic!("no stock left");
}

/// Ignored, as in ordinary tests.
#[chaos_test]
#[ignore = "to see that it is"]
async fn an_ignored_test(_chaos: &ChaosContext) {
    panic!("it was not ignored");
}

#[test]
fn every_chaos_test_is_registered_with_its_hypothesis() {
    let tests = registered();
    let this = tests
        .iter()
        .find(|test| test.path() == "ordinary::an_async_body_with_a_result")
        .expect("it is registered");
    assert_eq!(
        this.hypothesis(),
        "An asynchronous body that returns a result."
    );
    assert_eq!(this.tags(), ["form"]);
    assert_eq!(this.breaks(), Some(["inventory"].as_slice()));
}
