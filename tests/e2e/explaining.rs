//! What a person reads when a test failed, and that its last line runs exactly that again.

use std::process::Command;

use chaos_test::prelude::*;
use chaos_test::{Slos, attempts, link, lost, mttr, process};
use chaos_test_fixtures::rerun::{Folder, Rerun, as_in_a_shell};

use crate::bad_input::nothing_left;
use crate::victims::{inventory, watch};

/// Nothing of what can be expected of inventory holds while it is dead.
#[chaos_test(timeout = "120s", breaks(inventory))]
#[ignore = "another test runs it as a child"]
async fn everything_is_missed(chaos: &ChaosContext, inventory: &Service) -> chaos_test::Result {
    let requests = watch(chaos, inventory);
    let stock = chaos.monitor(
        (async || Ok::<_, TestError>(17.0))
            .every(ms(20))
            .named("stock"),
    );
    let normal = requests.baseline(secs(1)).await?;
    stock.baseline(ms(200)).await?;
    chaos.check(
        requests
            .must(error_rate().at_most(percent(0)))
            .during_faults(),
    );
    let _kept = requests.always(error_rate().at_most(percent(0)));
    for _ in 0..2 {
        let outage = chaos
            .during(process::kill(inventory), async |_| {
                let _ = requests
                    .over(ms(400))
                    .await?
                    .expect(error_rate().at_most(percent(0)))
                    .expect(availability().at_least(percent(99.9)))
                    .expect(latency(P95).at_most(ms(5)))
                    .expect(throughput().drops_at_most(percent(20)).from(&normal))
                    .check();
                let _ = stock
                    .over(ms(400))
                    .await?
                    .expect(chaos_test::value().at_most(3.0))
                    .check();
                Ok::<_, TestError>(())
            })
            .await?;
        let _ = requests
            .recovers_to(&normal)
            .since(outage.injected())
            .within(ms(1))
            .await;
    }
    let outage = chaos
        .during(link::latency(inventory, ms(1)), async |_| {
            requests.over(ms(300)).await?;
            Ok::<_, TestError>(())
        })
        .await?;
    let _ = requests
        .degrades_then_recovers(&normal)
        .under(&outage)
        .by(error_rate().at_least(percent(100)))
        .await;
    let _ = chaos.recoveries().expect(mttr().at_most(ms(1))).check();
    let _ = chaos.slos(Slos::production()).of(&requests).check().await;
    let _ = chaos
        .consistency("orders", [(17, "a"), (23, "b")], [(17, "a")])
        .expect(lost().at_most(0))
        .check();
    let _ = chaos
        .retries(inventory)
        .calls(&requests)
        .under(&outage)
        .await?
        .expect(attempts().at_least(1000))
        .check();
    let _ = chaos
        .eventually("the moon rises", async || false)
        .within(ms(200))
        .await;
    Ok(())
}

/// One thing is missed.
#[chaos_test(timeout = "60s", breaks(inventory))]
#[ignore = "another test runs it as a child"]
async fn one_thing_is_missed(chaos: &ChaosContext, inventory: &Service) -> chaos_test::Result {
    chaos.note(format!(
        "the mark is {}",
        std::env::var("CHAOS_MARK").unwrap_or_default()
    ));
    let requests = watch(chaos, inventory);
    let _outage = chaos.inject(process::kill(inventory)).await?;
    let seen = requests.over(ms(100)).await?;
    seen.expect(error_rate().at_most(percent(0))).check()?;
    Ok(())
}

/// A terminal's or a file's own variables are not those of whoever runs these tests.
fn child(test: &str) -> Rerun {
    let child = Rerun::of(&format!("explaining::{test}"))
        .env("COLUMNS", "80")
        .env("LC_ALL", "C.UTF-8")
        .env("TERM", "xterm");
    [
        "NO_COLOR",
        "CLICOLOR",
        "CLICOLOR_FORCE",
        "CI",
        "GITHUB_ACTIONS",
    ]
    .iter()
    .fold(child, |child, name| child.env_remove(name))
}

/// The paragraph of an explanation that begins with a text.
fn paragraph<'a>(output: &'a str, beginning: &str) -> &'a str {
    let from = output
        .find(&format!("\n  {beginning}"))
        .unwrap_or_else(|| panic!("`{beginning}` is missing in\n{output}"));
    let rest = &output[from + 1..];
    &rest[..rest.find("\n\n").unwrap_or(rest.len())]
}

/// The number of the line of this file that holds a text.
fn line_of(text: &str) -> usize {
    let source = include_str!("explaining.rs");
    1 + source
        .lines()
        .position(|line| line.trim_start().starts_with(text))
        .unwrap_or_else(|| panic!("`{text}` is not here"))
}

#[test]
fn each_miss_says_what_was_expected_and_shows_what_was_seen() {
    let ended = child("everything_is_missed").run();
    let output = ended.output();
    assert!(!ended.status.success(), "{output}");
    nothing_left(&ended);
    let named = [
        "error rate of inventory/stock/42 over 400 ms under \"kill inventory\"",
        "availability of inventory/stock/42 over 400 ms",
        "p95 latency of inventory/stock/42 over 400 ms",
        "throughput of inventory/stock/42 over 400 ms",
        "recovery of inventory/stock/42",
        "degradation of inventory/stock/42 under \"delay inventory by 1.0 ms\":",
        "SLO error rate of inventory/stock/42",
        "SLO availability of inventory/stock/42",
        "invariant \"inventory/stock/42: error rate at most 0 %\"",
        "error rate of inventory/stock/42 under \"kill inventory\"",
    ];
    for beginning in named {
        let miss = paragraph(&output, beginning);
        for part in ["expected: ", "actual:   ", "baseline: ", "window:   "] {
            assert!(
                miss.contains(part),
                "`{part}` is missing in\n{miss}\n\n{output}"
            );
        }
        let course = ["latency, up to", ", drawn above"];
        assert!(
            course.iter().any(|part| miss.contains(part)),
            "{miss}\n\n{output}"
        );
        let place = "at tests/e2e/explaining.rs:";
        assert!(miss.contains(place), "{miss}");
    }
    for (beginning, parts) in [
        (
            "p50 value of stock",
            &["17", "value, always 17", "p50 value 17"][..],
        ),
        ("mean time to recovery", &["at most 1.0 ms"]),
        ("lost records of orders", &["23, expected none"]),
        ("attempts per call", &["attempts", "window"]),
        ("the moon rises", &["calls", "within 200 ms"]),
    ] {
        let miss = paragraph(&output, beginning);
        for part in parts {
            assert!(
                miss.contains(part),
                "`{part}` is missing in\n{miss}\n\n{output}"
            );
        }
    }
    // Where it was expected, and not where all of them were judged.
    let line = line_of(".expect(availability()");
    let miss = paragraph(&output, "availability of inventory");
    assert!(miss.contains(&format!("explaining.rs:{line}:")), "{miss}");
    assert!(
        output.contains("lines of inventory, the victim (all: "),
        "{output}"
    );
    for line in output.lines().filter(|line| line.starts_with("     ")) {
        assert!(
            line.chars().count() <= 80 || line.contains(" at "),
            "{line}"
        );
    }
}

#[test]
fn the_last_line_runs_exactly_this_again() {
    let first = child("one_thing_is_missed")
        .env("CHAOS_SEED", "0x5eed")
        .env("CHAOS_MARK", "it's a mark")
        .run();
    assert!(!first.status.success(), "{}", first.output());
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let line = |output: &str| {
        let line = output
            .lines()
            .find_map(|line| line.strip_prefix("  again:  "));
        line.unwrap_or_else(|| panic!("nothing says how to run it again:\n{output}"))
            .to_owned()
    };
    let mut again = line(&first.output());
    if !again.contains("--features") {
        // No cargo runs this test, so nobody knows the features; one that does knows them.
        let mut cargo = as_in_a_shell(Command::new("cargo"));
        cargo
            .current_dir(root)
            .args(["test", "--features", "chaos,cli", "--test", "e2e", "--"]);
        cargo.args([
            "--exact",
            "explaining::one_thing_is_missed",
            "--include-ignored",
        ]);
        let ended = Rerun::program(cargo, Folder::default())
            .env("CHAOS_SEED", "0x5eed")
            .env("CHAOS_MARK", "it's a mark")
            .env("COLUMNS", "80")
            .run();
        again = line(&ended.output());
    }
    assert!(again.starts_with("CHAOS_SEED=0x5eed "), "{again}");
    assert!(again.contains(" --test e2e "), "{again}");
    let mut shell = as_in_a_shell(Command::new("sh"));
    shell.current_dir(root).args(["-c", &again]);
    let second = Rerun::program(shell, Folder::default())
        .env("COLUMNS", "80")
        .run();
    let output = second.output();
    assert!(!second.status.success(), "{again}\n{output}");
    for text in [
        "explaining::one_thing_is_missed: hypothesis deviated",
        "seed 0x5eed",
        "the mark is it's a mark",
        "error rate of inventory/stock/42 over 100 ms under \"kill inventory\"",
    ] {
        assert!(
            output.contains(text),
            "`{text}` is missing:\n{again}\n{output}"
        );
    }
    let alone = ["running 1 test\n", "1 test run"];
    assert!(
        alone.iter().any(|text| output.contains(text)),
        "{again}\n{output}"
    );
}

#[test]
fn colours_and_characters_are_those_that_are_asked_for() {
    let plain = child("one_thing_is_missed").run();
    let output = plain.output();
    assert!(
        !output.contains('\u{1b}') && output.contains('━'),
        "{output}"
    );
    let forced = child("one_thing_is_missed").env("CLICOLOR_FORCE", "1");
    let forced = forced.env("CI", "true").run();
    assert!(
        forced.output().contains("\u{1b}[31m"),
        "{}",
        forced.output()
    );
    assert!(!forced.junit().contains('\u{1b}'), "{}", forced.junit());
    let refused = child("one_thing_is_missed").env("CLICOLOR_FORCE", "1");
    let refused = refused.env("NO_COLOR", "1").env("LC_ALL", "C").run();
    let output = refused.output();
    assert!(!output.contains('\u{1b}') && output.is_ascii(), "{output}");
    assert!(
        output.contains("===") && refused.junit().contains('━'),
        "{output}"
    );
}
