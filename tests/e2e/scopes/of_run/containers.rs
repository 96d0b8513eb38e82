//! Containers that a run shares.

use chaos_test::prelude::*;
use chaos_test::{Container, container};
use chaos_test_fixtures::images;

use super::super::outage;
use super::{Depot, die, each_fault, kept, kill, one_after_the_other, until_gone};
use crate::containers::ask;
use crate::subjects::say;
use crate::victims::inventory_program;

/// A container that all use.
#[chaos_fixture(scope = "run")]
async fn cellar(chaos: &ChaosContext) -> chaos_test::Result<Depot> {
    say("cellar is set up");
    let image = images::redis().await?;
    let redis = Container::new(image).grace(secs(2));
    Ok(Depot {
        service: chaos.container("cellar", redis).await?,
        keeper: std::process::id(),
        weak: false,
    })
}

#[chaos_test(requires(docker), breaks(cellar), timeout = "180s")]
#[ignore = "another test runs it as a child"]
async fn each_fault_on_a_container(chaos: &ChaosContext, cellar: &Depot) -> chaos_test::Result {
    let cellar = &cellar.service;
    let answer = ask(cellar.address(6379), "SET mark here").await?;
    assert_eq!(answer, "+OK");
    let requests = chaos.monitor(cellar.connect().every(ms(20)));
    each_fault(chaos, cellar, &requests, "container").await?;
    say("the cellar is whole");
    Ok(())
}

#[chaos_test(requires(docker), breaks(cellar))]
#[ignore = "another test runs it as a child"]
async fn one_dies_in_the_cellar(chaos: &ChaosContext, cellar: &Depot) -> chaos_test::Result {
    chaos
        .during(container::kill(&cellar.service), async |_| die().await)
        .await
        .map(drop)
}

#[chaos_test(requires(docker), breaks(cellar))]
#[ignore = "another test runs it as a child"]
async fn one_kills_its_keeper(chaos: &ChaosContext, cellar: &Depot) -> chaos_test::Result {
    let requests = chaos.monitor(cellar.service.connect().every(ms(20)));
    requests.baseline(ms(100)).await?;
    let cut = chaos.inject(container::disconnect(&cellar.service)).await?;
    requests.over(ms(100)).await?;
    let dead = chaos.inject(container::kill(&cellar.service)).await?;
    kill(cellar.keeper);
    until_gone(cellar.keeper).await;
    for lost in [dead.lift().await, cut.lift().await] {
        let error = lost.unwrap_err().to_string();
        assert!(
            error.contains("kept it for this run and has ended"),
            "{error}"
        );
    }
    say("the cellar is gone");
    Ok(())
}

/// Dead, killed in the midst, and asked for again: it is one container.
#[chaos_test(requires(docker))]
async fn a_container_lives_through_a_run(chaos: &ChaosContext) -> chaos_test::Result {
    let own = chaos.process("own", inventory_program()).await?;
    outage(chaos, &own).await?;
    let ran = tokio::task::spawn_blocking(|| {
        one_after_the_other(&[
            "containers::each_fault_on_a_container",
            "containers::one_dies_in_the_cellar",
            "containers::each_fault_on_a_container",
            "containers::one_kills_its_keeper",
        ])
    });
    let ended = ran.await?;
    let output = ended.output();
    assert_eq!(output.matches("the cellar is whole").count(), 2, "{output}");
    assert!(output.contains("the cellar is gone"), "{output}");
    assert!(!output.contains("NOT RESTORED"), "{output}");
    // But for the one that died, and the one that lost it.
    assert_eq!(output.matches("1 passed").count(), 2, "{output}");
    let said = kept(&ended);
    assert_eq!(
        said.matches("cellar is set up").count(),
        1,
        "{said}\n{output}"
    );
    Ok(())
}
