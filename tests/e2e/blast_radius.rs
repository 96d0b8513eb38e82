//! How much may be broken at once: what goes beyond it is refused before anything is touched,
//! whatever else is in force, and what lasts too long is lifted.

use std::net::TcpStream;

use chaos_test::prelude::*;
use chaos_test::{BlastRadius, Risk, Verdict, link, process};
use chaos_test_fixtures::rerun::{Ended, Rerun};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::bad_input::{nothing_left, outcome};
use crate::victims::{come_in, inventory, inventory_program, watch};

#[chaos_fixture]
async fn spare(chaos: &ChaosContext) -> chaos_test::Result<Service> {
    Ok(chaos.process("spare", inventory_program()).await?)
}

fn answers(service: &Service) -> bool {
    TcpStream::connect(service.first_address().socket()).is_ok()
}

/// One service is broken after the other, and never two.
#[chaos_test(
    breaks(inventory, spare),
    blast_radius(services <= 1, instances <= 1, duration <= 1min, risk <= medium)
)]
async fn never_more_than_one_is_broken(
    chaos: &ChaosContext,
    inventory: &Service,
    spare: &Service,
) -> chaos_test::Result {
    let requests = watch(chaos, inventory);
    let outage = chaos.inject(process::stop(inventory)).await?;
    // Another fault on the same service is none too many.
    let slow = chaos.inject(link::latency(inventory, ms(1))).await?;
    for refused in [
        chaos.inject(process::kill(spare)).await,
        chaos.inject(link::down(spare)).await,
        chaos
            .inject(link::down(&spare.link("visitor").await?))
            .await,
    ] {
        let error = refused.unwrap_err();
        assert!(error.is_refused(), "{error}");
        let expected = "was refused, nothing was touched: blast radius: 2 services would be broken at \
                        once (`spare`; `inventory` by `stop inventory`, `delay inventory by 1.0 \
                        ms`, which are in force), `services <= 1` is allowed";
        assert!(error.to_string().contains(expected), "{error}");
    }
    assert!(answers(spare));
    come_in(inventory).await?;
    outage.lift().await?;
    requests.over(ms(50)).await?;
    slow.lift().await?;
    // What was lifted counts no more.
    chaos
        .during(process::kill(spare), async |_| come_in(spare).await)
        .await?;
    Ok(())
}

/// Two faults are injected at the same time, and one of them is refused.
#[chaos_test(blast_radius(instances <= 1))]
async fn faults_at_the_same_time_count_together(
    chaos: &ChaosContext,
    inventory: &Service,
    spare: &Service,
) -> chaos_test::Result {
    let (one, other) = tokio::join!(
        chaos.inject(process::kill(inventory)),
        chaos.inject(process::kill(spare)),
    );
    assert!(one.is_ok() != other.is_ok(), "{one:?} {other:?}");
    let (broken, whole) = if one.is_ok() {
        (inventory, spare)
    } else {
        (spare, inventory)
    };
    assert!(answers(whole));
    let error = one.as_ref().err().or(other.as_ref().err()).unwrap();
    assert!(error.is_refused(), "{error}");
    assert!(
        error.to_string().contains("`instances <= 1` is allowed"),
        "{error}"
    );
    // A link fault breaks no instance.
    let _slow = chaos.inject(link::latency(whole, ms(1))).await?;
    watch(chaos, whole).over(ms(50)).await?;
    come_in(broken).await?;
    Ok(())
}

/// Limits that are given while the test runs hold as well, and only become stricter.
#[chaos_test(blast_radius(duration <= 20s))]
async fn limits_only_become_stricter(
    chaos: &ChaosContext,
    inventory: &Service,
    spare: &Service,
) -> chaos_test::Result {
    chaos.group("region eu", [inventory])?;
    let us = chaos.group("region us", [spare])?;
    assert_eq!(
        (us.name(), us.services().collect()),
        ("region us", vec!["spare"])
    );
    assert_eq!(us.targets(), spare.targets());
    for wrong in [
        chaos.group("region us", [inventory]),
        chaos.group(" ", [inventory]),
        chaos.group("nobody", []),
    ] {
        assert!(wrong.unwrap_err().to_string().contains("group"));
    }
    chaos.blast_radius(BlastRadius::new().groups(1).duration(secs(60)));
    let fault = || process::kill(spare);
    let error = chaos.inject(fault().lasting(secs(21))).await.unwrap_err();
    assert!(
        error
            .to_string()
            .contains("it may be in force for 21 s, `duration <= 20 s` is allowed"),
        "{error}"
    );
    let restart = process::restart(spare).down_for(secs(21));
    let error = chaos.inject(restart).await.unwrap_err();
    assert!(error.is_refused(), "{error}");
    let outage = chaos
        .inject(process::stop(inventory).lasting(secs(20)))
        .await?;
    let error = chaos.inject(fault()).await.unwrap_err();
    assert!(
        error.to_string().contains(
            "2 groups would be hit at once (`region us`; `region eu` by `stop inventory`, which is \
             in force), `groups <= 1` is allowed"
        ),
        "{error}"
    );
    come_in(inventory).await?;
    outage.lift().await?;
    // A restart is over once it is applied: its guard keeps nobody off.
    let restart = chaos.inject(process::restart(inventory)).await?;
    come_in(inventory).await?;
    let outage = chaos.inject(fault()).await?;
    come_in(spare).await?;
    outage.lift().await?;
    restart.lift().await?;
    chaos.blast_radius(BlastRadius::new().risk(Risk::Low));
    let error = chaos.inject(fault()).await.unwrap_err();
    assert!(
        error
            .to_string()
            .contains("its risk is medium, `risk <= low` is allowed"),
        "{error}"
    );
    assert!(answers(spare));
    Ok(())
}

/// Only a part of the connections may be hit.
#[chaos_test(blast_radius(connections <= 50%))]
async fn what_hits_all_connections_is_refused(
    chaos: &ChaosContext,
    inventory: &Service,
) -> chaos_test::Result {
    for refused in [
        chaos.inject(link::down(inventory)).await,
        chaos.inject(process::kill(inventory)).await,
    ] {
        let error = refused.unwrap_err();
        assert!(
            error.to_string().contains(
                "up to 100 % of the connections to service `inventory` would be hit, \
                 `connections <= 50 %` is allowed"
            ),
            "{error}"
        );
    }
    let cut = |share: u32| link::down(inventory).share(percent(share));
    let error = chaos.inject(cut(51)).await.unwrap_err();
    assert!(error.is_refused(), "{error}");
    for wrong in [0, 101] {
        let error = chaos.inject(cut(wrong)).await.unwrap_err();
        assert!(!error.is_refused() || wrong == 101, "{error}");
    }
    let half = chaos.inject(cut(50)).await?;
    let error = chaos.inject(cut(1)).await.unwrap_err();
    assert!(
        error.to_string().contains(
            "up to 51 % of the connections to service `inventory` would be hit by `cut inventory \
             on 50 % of the connections`, which is in force"
        ),
        "{error}"
    );
    // Each asks on a connection of its own, and is either cut or served.
    let mut served = 0;
    for _ in 0..60 {
        let mut answer = Vec::new();
        let asked = async {
            let socket = inventory.first_address().socket();
            let mut client = tokio::net::TcpStream::connect(socket).await?;
            client.write_all(b"GET /health HTTP/1.0\r\n\r\n").await?;
            client.read_to_end(&mut answer).await
        };
        let asked = asked.await;
        assert_eq!(
            asked.is_ok(),
            answer.starts_with(b"HTTP/1.0 200"),
            "{asked:?}"
        );
        served += u32::from(asked.is_ok());
    }
    assert!((10..=50).contains(&served), "{served} of 60");
    half.lift().await?;
    assert!(answers(inventory));
    Ok(())
}

/// Nobody lifts what it breaks.
#[chaos_test(blast_radius(duration <= 300ms))]
#[ignore = "another test runs it as a child"]
async fn it_lasts_too_long(chaos: &ChaosContext, inventory: &Service) -> chaos_test::Result {
    let requests = watch(chaos, inventory);
    let outage = chaos.inject(process::kill(inventory)).await?;
    requests.over(ms(50)).await?;
    outage.ended().await?;
    assert!(answers(inventory));
    // What is seen now is not seen under a fault any more.
    let seen = requests.over(ms(50)).await?;
    seen.expect(availability().at_most(percent(0))).check()?;
    Ok(())
}

/// Nobody lifts what it breaks, in a test that is expected to deviate.
#[chaos_test(blast_radius(duration <= 300ms), known_gap = "SHOP-12")]
#[ignore = "another test runs it as a child"]
async fn it_lasts_too_long_in_a_known_gap(
    chaos: &ChaosContext,
    inventory: &Service,
) -> chaos_test::Result {
    let outage = chaos.inject(process::kill(inventory)).await?;
    come_in(inventory).await?;
    outage.ended().await?;
    Err(TestError::msg("there was no outage"))
}

fn run(test: &str) -> Ended {
    let ended = Rerun::of(&format!("blast_radius::{test}")).run();
    nothing_left(&ended);
    ended
}

#[test]
fn a_fault_that_promises_no_end_is_lifted_and_that_fails() {
    for test in ["it_lasts_too_long", "it_lasts_too_long_in_a_known_gap"] {
        let ended = run(test);
        let output = ended.output();
        assert!(!ended.status.success(), "{output}");
        let outcome = outcome(&ended);
        let Verdict::Unknown(why) = &outcome.verdict else {
            panic!("{outcome:?}\n{output}");
        };
        let reached = "blast radius: `kill inventory` was in force for 300 ms, the most that is \
                       allowed; it was lifted";
        assert!(why.starts_with(reached), "{why}");
        for expected in [
            "a limit of the blast radius was reached",
            "blast radius: duration <= 300 ms",
            "! blast radius: `kill inventory` was in force for 300 ms",
            "restored: everything",
        ] {
            assert!(output.contains(expected), "{expected} in:\n{output}");
        }
        let junit = ended.junit();
        assert!(junit.contains("type=\"unknown\""), "{junit}");
    }
}
