//! Retries as the links saw them: of a real client with backoff, of one without, and of several
//! that cannot be told apart.

use std::net::SocketAddr;

use chaos_test::prelude::*;
use chaos_test::{Error, amplification, attempts, http, jitter, link, process, spacing};
use chaos_test_fixtures::rerun::Rerun;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::subjects::say;
use crate::victims::inventory;

/// Checkout, whose client of inventory tries three times, with pauses of 20 to 40 and then of 40
/// to 80 ms. Without its breaker, which would spare inventory the calls that are looked at here.
#[chaos_fixture]
async fn checkout(chaos: &ChaosContext, inventory: &Service) -> chaos_test::Result<Service> {
    let program = Program::cargo_bin("e2e-checkout")
        .env("INVENTORY", inventory.link("checkout").await?.address())
        .env("TIMEOUT_MS", 2_000_u32)
        .env("BREAKER", "off")
        .ready(http("/health").status(200));
    Ok(chaos.process("checkout", program).await?)
}

/// Checkout tries again while inventory is cut off, a little later each time and not as often as
/// it could; normally it asks once.
#[chaos_test(
    timeout = "120s",
    breaks(inventory),
    must_fail_when(env("RETRY" = "off") => "attempts per call at link `checkout->inventory`")
)]
async fn checkout_backs_off(
    chaos: &ChaosContext,
    inventory: &Service,
    checkout: &Service,
) -> chaos_test::Result {
    let way = inventory.link("checkout").await?;
    // Longer than a call takes with its retries, also where both cores are busy.
    let requests = chaos.monitor(checkout.get("/checkout/42").every(ms(400)));
    let retries = chaos.retries(&way).calls(&requests);
    let before = chaos.now();
    requests.baseline(secs(3)).await?;
    let normal = retries.between(before, chaos.now()).await?;
    let outage = chaos
        .during(link::down(&way), async |_| {
            tokio::time::sleep(secs(8)).await;
            Ok::<_, TestError>(())
        })
        .await?;
    let seen = retries.under(&outage).await?;
    assert!(seen.attempts().len() > 10, "{:?}", seen.attempts());
    assert!(seen.attempts().iter().all(|attempt| !attempt.answered));
    seen.expect(attempts().at_least(2))
        .expect(attempts().at_most(3))
        .expect(spacing().at_least(ms(15)))
        .expect(spacing().grows_by(2.0).within(percent(40)))
        .expect(jitter().at_least(percent(5)))
        .expect(amplification().at_most(3.0))
        .expect(amplification().at_least(2.0))
        .expect(amplification().over(&normal).at_most(3.5))
        .check()?;
    normal
        .expect(attempts().at_most(1))
        .expect(amplification().at_most(1.0))
        .check()?;
    Ok(())
}

/// Comes again and again, with the same pause each time, until it has come so often.
async fn hammer(at: SocketAddr, times: usize) {
    for _ in 0..times {
        if let Ok(mut client) = TcpStream::connect(at).await {
            let _ = client.write_all(b"GET /stock/42 HTTP/1.1\r\n\r\n").await;
            let _ = client.read(&mut [0]).await;
        }
        tokio::time::sleep(ms(10)).await;
    }
}

/// A client that hammers, and clients that cannot be told apart.
#[chaos_test(breaks(inventory))]
#[ignore = "another test runs it as a child"]
async fn clients_hammer(chaos: &ChaosContext, inventory: &Service) -> chaos_test::Result {
    let way = inventory.link("hammer").await?;
    let outage = chaos
        .during(process::kill(inventory), async |_| {
            hammer(way.address().socket(), 20).await;
            Ok::<_, TestError>(())
        })
        .await?;
    let expected: Result<(), Error> = chaos
        .retries(&way)
        .under(&outage)
        .await?
        .expect(attempts().at_most(4))
        .expect(spacing().at_least(secs(1)))
        .expect(spacing().grows_by(2.0).within(percent(20)))
        .check();
    say(&format!(
        "deviation: {}",
        expected.is_err_and(|error| error.is_deviation())
    ));

    // Each waits for an answer while the others come.
    let hang = chaos.inject(process::stop(inventory)).await?;
    let from = chaos.now();
    let mut clients = Vec::new();
    for _ in 0..5 {
        let mut client = TcpStream::connect(inventory.first_address().socket()).await?;
        client.write_all(b"GET /stock/42 HTTP/1.1\r\n\r\n").await?;
        clients.push(client);
        tokio::time::sleep(ms(20)).await;
    }
    hang.lift().await?;
    let several = chaos.retries(inventory).between(from, chaos.now()).await?;
    say(&format!(
        "attempts of several: {}",
        several.attempts().len()
    ));
    let error = several.expect(spacing().at_least(ms(1))).check();
    say(&format!(
        "no data: {}",
        error.is_err_and(|error| error.is_no_data())
    ));

    let unused = inventory.link("nobody").await?;
    let from = chaos.now();
    let requests = chaos.monitor(inventory.get("/stock/42").every(ms(20)));
    requests.over(ms(100)).await?;
    let nobody = chaos.retries(&unused).calls(&requests);
    let _ = nobody
        .between(from, chaos.now())
        .await?
        .expect(amplification().at_most(3.0))
        .check();
    let file = chaos_test::Target::File("/tmp/nothing".into());
    struct NoLink(chaos_test::Target);
    impl Breakable for NoLink {
        fn targets(&self) -> Vec<chaos_test::Target> {
            vec![self.0.clone()]
        }
    }
    let error = chaos.retries(&NoLink(file)).between(from, from).await;
    say(&error.expect_err("it has no link").to_string());
    Ok(())
}

#[test]
fn who_hammers_is_told_so_and_who_cannot_be_told_apart_is_not_judged() {
    let ended = Rerun::of("retries::clients_hammer").run();
    let output = ended.output();
    assert!(!ended.status.success(), "{output}");
    // However wide the lines are.
    let output = output.split_whitespace().collect::<Vec<_>>().join(" ");
    for expected in [
        "deviation: true",
        "attempts at link `hammer->inventory` over ",
        "expected: at most 4 actual: 20 (all taken as one call's)",
        "shortest pause between attempts at link `hammer->inventory` over ",
        "expected: at least 1 s",
        "growth of the pauses between attempts at link `hammer->inventory` over ",
        "expected: a factor of 2 within 20 %",
        "(the median of 18 ratios of successive pauses)",
        "attempts of several: 5",
        "no data: true",
        "an attempt began before the one before it had ended: several callers use the link",
        "amplification at link `nobody->inventory` over ",
        "no data: nobody has ever connected to it",
        "file `/tmp/nothing` has no link that could have seen retries",
        "at tests/e2e/retries.rs:",
    ] {
        assert!(output.contains(expected), "`{expected}` in:\n{output}");
    }
}
