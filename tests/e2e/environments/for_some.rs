//! Tests that are for some environments, and runs that are for others.

use chaos_test::RunStatus;
use chaos_test::prelude::*;
use chaos_test::process;
use chaos_test_fixtures::rerun::Ended;

use super::{Child, says};
use crate::bad_input::outcome;
use crate::subjects::say;
use crate::victims::{inventory, watch};

async fn break_it(chaos: &ChaosContext, inventory: &Service) -> chaos_test::Result {
    say("the body began");
    let requests = watch(chaos, inventory);
    let outage = chaos.inject(process::stop(inventory)).await?;
    requests.over(ms(50)).await?;
    outage.lift().await?;
    Ok(())
}

/// It is for staging.
#[chaos_test(environment = "staging")]
#[ignore = "another test runs it as a child"]
async fn staging(chaos: &ChaosContext, inventory: &Service) -> chaos_test::Result {
    break_it(chaos, inventory).await
}

/// It is for two.
#[chaos_test(environment("development", "qa"))]
#[ignore = "another test runs it as a child"]
async fn two(chaos: &ChaosContext, inventory: &Service) -> chaos_test::Result {
    let environment = chaos.environment();
    let zones = environment.zones().iter();
    let zones: Vec<_> = zones.map(|zone| (zone.name(), zone.targets())).collect();
    say(&format!(
        "{} {zones:?} {:?}",
        environment.name(),
        environment.thresholds().mttr
    ));
    break_it(chaos, inventory).await
}

const QA: &str = "[environment.qa]\nmade_by_test = true\nmax_risk = 'medium'\nconfirm = false\n\
                  [environment.qa.zones.eu-1]\ntargets = ['inventory']\n\
                  [environment.qa.thresholds]\nmttr = '1m 30s'\n";

fn child(test: &str) -> Child {
    Child::of(&format!("for_some::{test}"))
}

#[track_caller]
fn skipped(ended: &Ended, why: &str) {
    says(
        ended,
        &["SKIPPED environments::for_some::", why, "1 skipped"],
    );
    assert!(
        !ended.output().contains("the body began"),
        "{}",
        ended.output()
    );
    assert!(
        ended
            .junit()
            .contains(&format!("<skipped message=\"{why}\"")),
        "{}",
        ended.junit()
    );
    let RunStatus::Skipped(said) = outcome(ended).status else {
        panic!("{:?}", outcome(ended));
    };
    assert_eq!(said, why);
}

#[test]
fn a_test_for_another_environment_is_skipped_in_sight() {
    skipped(
        &child("staging").run(true),
        "it is for staging, this run is for development (the default)",
    );
    skipped(
        &child("staging").within("production").run(true),
        "it is for staging, this run is for production (CHAOS_ENVIRONMENT)",
    );
    skipped(
        &child("two").config(QA).within("staging").run(true),
        "it is for development or qa, this run is for staging (CHAOS_ENVIRONMENT)",
    );
    // A run is for one environment, so that nothing lacks that could be had.
    let child = child("staging").env("CHAOS_REQUIRE", "all");
    skipped(
        &child.run(true),
        "it is for staging, this run is for development (the default)",
    );
}

#[test]
fn a_run_may_demand_that_no_test_is_for_another_environment() {
    for demand in ["environment", "all,environment"] {
        let ended = child("staging").env("CHAOS_REQUIRE", demand).run(false);
        says(
            &ended,
            &[
                "it may not be skipped (CHAOS_REQUIRE): it is for staging, this run is for development",
            ],
        );
        assert!(
            !ended.output().contains("the body began"),
            "{}",
            ended.output()
        );
    }
    child("staging")
        .within("staging")
        .env("CHAOS_REQUIRE", "environment")
        .run(true);
    let ended = child("staging")
        .env("CHAOS_REQUIRE", "enviroment")
        .run(false);
    says(&ended, &["CHAOS_REQUIRE names `enviroment`"]);
}

#[test]
fn a_test_knows_its_environment() {
    let ended = child("two").config(QA).within("qa").run(true);
    says(&ended, &["qa [(\"eu-1\", [\"inventory\"])] Some(90s)"]);
    let ended = child("two").config(QA).run(true);
    says(&ended, &["development [] None"]);
}

#[test]
fn a_test_for_an_environment_that_nobody_knows_is_an_error() {
    let ended = child("two").run(false);
    says(
        &ended,
        &[
            "it is for the environment `qa`, which nobody has defined: use `development`, `production` \
           or `staging`",
        ],
    );
    assert!(matches!(outcome(&ended).status, RunStatus::Errored(_)));
}
