//! Cases and values: each is a test of its own, with its own name, report and negative control.

mod given;

use std::process::Command;

use chaos_test::prelude::*;
use chaos_test::process;
use chaos_test_fixtures::rerun::Rerun;

use crate::bad_input::nothing_left;
use crate::victims::shared::inventory;
use crate::victims::watch;

/// Breaks inventory, and looks at it for a while.
async fn broken(chaos: &ChaosContext, inventory: &Service) -> chaos_test::Result {
    let requests = watch(chaos, inventory);
    let _outage = chaos.inject(process::kill(inventory)).await?;
    requests.over(ms(50)).await?;
    Ok(())
}

const TWICE: u32 = 2;

/// Callers wait for inventory.
#[chaos_test(breaks(inventory))]
#[case::light(TWICE, "it is \"light\"")]
/// Heavy is what the shop has seen once.
#[case::heavy({ let half = 10; half * 2 }, concat!("hea", "vy"))]
async fn callers_wait(
    chaos: &ChaosContext,
    #[case] turns: u32,
    inventory: &Service,
    #[case] name: &'static str,
    #[values(Direction::Upstream, Direction::Downstream)] direction: Direction,
    #[values(1, -1)] step: i8,
) -> chaos_test::Result {
    assert!((turns, name) == (2, "it is \"light\"") || (turns, name) == (20, "heavy"));
    let own = chaos_test::registered();
    let own = own
        .iter()
        .filter(|test| test.path().contains("callers_wait::"));
    let paths: Vec<_> = own.map(chaos_test::Registered::path).collect();
    let me = format!(
        "{}::direction_Direction_{direction:?}::step_1{}",
        if turns == 2 { "light" } else { "heavy" },
        if step == 1 { "" } else { "_2" },
    );
    let me = format!("cases::callers_wait::{me}");
    assert!(paths.contains(&me), "{me} in {paths:?}");
    assert_eq!(std::thread::current().name(), Some(me.as_str()));
    broken(chaos, inventory).await
}

/// Callers are told how many there are, by values alone.
#[chaos_test(breaks(inventory))]
fn values_alone(
    chaos: &ChaosContext,
    inventory: &Service,
    #[values(|x| x + 1, double)] change: fn(u32) -> u32,
) -> chaos_test::Result {
    assert!([2, 3, 4].contains(&change(2)));
    chaos.block_on(broken(chaos, inventory))
}

fn double(x: u32) -> u32 {
    x * 2
}

mod subjects {
    use super::*;
    use crate::victims::inventory;

    /// Callers bear an outage.
    #[chaos_test(breaks(inventory))]
    #[ignore = "another test runs it as a child"]
    #[case(percent(100))]
    /// Nobody bears this.
    #[case::strict(percent(0))]
    async fn callers_bear(
        chaos: &ChaosContext,
        inventory: &Service,
        #[case] errors: chaos_test::Percent,
    ) -> chaos_test::Result {
        let requests = watch(chaos, inventory);
        let _outage = chaos.inject(process::kill(inventory)).await?;
        let seen = requests.over(ms(100)).await?;
        seen.expect(error_rate().at_most(errors)).check()?;
        Ok(())
    }

    /// Callers bear an outage, unless somebody takes that away.
    #[chaos_test(
        must_fail_when(env("TOLERANCE" = "off") => "error rate of inventory"),
        leases("cases-db"),
        exclusive
    )]
    #[ignore = "another test runs it as a child"]
    #[case::proves(true)]
    #[case::proves_nothing(false)]
    async fn controlled(
        chaos: &ChaosContext,
        inventory: &Service,
        #[case] looks: bool,
    ) -> chaos_test::Result {
        let off = std::env::var("TOLERANCE").is_ok_and(|value| value == "off");
        let requests = watch(chaos, inventory);
        let outage = chaos.inject(process::kill(inventory)).await?;
        let seen = requests.over(ms(100)).await?;
        outage.lift().await?;
        let tolerated = percent(if off && looks { 0 } else { 100 });
        seen.expect(error_rate().at_most(tolerated)).check()?;
        Ok(())
    }

    /// Nothing holds here.
    #[chaos_test(known_gap = "SHOP-12")]
    #[ignore = "another test runs it as a child"]
    #[case::open(percent(0))]
    #[case::closed(percent(100))]
    async fn gaps(
        chaos: &ChaosContext,
        inventory: &Service,
        #[case] errors: chaos_test::Percent,
    ) -> chaos_test::Result {
        let requests = watch(chaos, inventory);
        let _outage = chaos.inject(process::kill(inventory)).await?;
        let seen = requests.over(ms(100)).await?;
        seen.expect(error_rate().at_most(errors)).check()?;
        Ok(())
    }

    #[chaos_test]
    #[ignore = "another test runs it as a child"]
    #[should_panic(expected = "case 2")]
    fn panics(chaos: &ChaosContext, inventory: &Service, #[values(1, 2)] number: u8) {
        chaos.block_on(broken(chaos, inventory)).unwrap();
        panic!("case {number}");
    }
}

/// What libtest lists.
fn listed(filter: &[&str]) -> Vec<String> {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--list", "--format", "terse"])
        .args(filter)
        .output()
        .unwrap();
    let output = String::from_utf8(output.stdout).unwrap();
    let tests = output
        .lines()
        .filter_map(|line| line.strip_suffix(": test"));
    tests.map(str::to_owned).collect()
}

#[test]
fn each_case_is_a_test_with_a_name_of_its_own() {
    let mut expected = Vec::new();
    for case in ["heavy", "light"] {
        for direction in ["Downstream", "Upstream"] {
            for step in ["step_1", "step_1_2"] {
                let values = format!("direction_Direction_{direction}::{step}");
                expected.push(format!("cases::callers_wait::{case}::{values}"));
            }
        }
    }
    assert_eq!(listed(&["cases::callers_wait"]), expected);
    assert_eq!(
        listed(&["callers_wait::heavy::direction_Direction_Upstream"]).len(),
        2
    );
    assert_eq!(listed(&["--exact", &expected[3]]), expected[3..4]);
    assert_eq!(
        listed(&["cases::values_alone"]),
        [
            "cases::values_alone::change_double",
            "cases::values_alone::change_x_x_1"
        ]
    );
    // The library knows the same ones as libtest.
    let known = chaos_test::registered();
    let known: Vec<_> = known
        .iter()
        .map(chaos_test::Registered::path)
        .filter(|path| path.starts_with("cases::"))
        .collect();
    let chaos: Vec<_> = listed(&["cases::"])
        .into_iter()
        .filter(|test| known.contains(test))
        .collect();
    assert_eq!(chaos, known);
}

#[test]
fn a_case_is_reported_with_its_name_its_words_and_what_it_was_given() {
    let ended = Rerun::of("cases::subjects::callers_bear::strict").run();
    let (output, junit) = (ended.output(), ended.junit());
    assert!(!ended.status.success(), "{output}");
    nothing_left(&ended);
    for expected in [
        "cases::subjects::callers_bear::strict: hypothesis deviated",
        "Callers bear an outage.",
        "Nobody bears this.",
        "with errors = percent(0)",
    ] {
        assert!(output.contains(expected), "{expected} in:\n{output}");
    }
    for expected in [
        "<testcase name=\"cases::subjects::callers_bear::strict\"",
        "hypothesis: Callers bear an outage. Nobody bears this.",
        "case: errors = percent(0)",
    ] {
        assert!(junit.contains(expected), "{expected} in:\n{junit}");
    }
    let journal = ended.journals().concat();
    assert!(
        journal.contains("\"arguments\":[\"errors = percent(0)\"]"),
        "{journal}"
    );

    let ended = Rerun::of("cases::subjects::callers_bear::case_1").run();
    assert!(ended.status.success(), "{}", ended.output());
    let junit = ended.junit();
    assert!(!junit.contains("Nobody bears this"), "{junit}");
}

#[test]
fn a_control_runs_its_own_case_again() {
    let ended = Rerun::of("cases::subjects::controlled::proves").run();
    assert!(ended.status.success(), "{}", ended.output());
    let junit = ended.junit();
    let control = "<testcase name=\"cases::subjects::controlled::proves [TOLERANCE=off]\"";
    assert!(junit.contains(control), "{junit}");
    assert!(junit.contains("tests=\"2\" failures=\"0\""), "{junit}");

    let ended = Rerun::of("cases::subjects::controlled::proves_nothing").run();
    assert!(!ended.status.success(), "{}", ended.output());
    let junit = ended.junit();
    assert!(junit.contains("type=\"control held\""), "{junit}");
    assert!(!junit.contains("controlled::proves [TOLERANCE"), "{junit}");
}

#[test]
fn what_a_test_says_holds_for_each_case() {
    for (test, passes) in [
        ("gaps::open", true),
        ("gaps::closed", false),
        ("panics::number_1", false),
        ("panics::number_2", true),
    ] {
        let ended = Rerun::of(&format!("cases::subjects::{test}")).run();
        assert_eq!(ended.status.success(), passes, "{}", ended.output());
        nothing_left(&ended);
    }
}
