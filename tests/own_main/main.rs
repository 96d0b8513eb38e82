//! Chaos tests with a `main` of their own (`harness = false`): they run as all others do, and
//! skips are shown as such.
//!
//! Tests that end badly, or that are skipped, are ignored by a plain run. Others run them as
//! children, and break a file meanwhile, because a chaos test without chaos would fail.

#[path = "../e2e/nextest.rs"]
mod nextest;
#[path = "../e2e/overwrite.rs"]
mod overwrite;

use std::process::ExitCode;

use chaos_test::Target;
use chaos_test::prelude::*;
use chaos_test_fixtures::rerun::{Ended, Folder, Rerun};

use overwrite::Overwrite;

fn main() -> ExitCode {
    chaos_test::main()
}

/// Calls something while a file is broken.
async fn with_a_broken_file(
    chaos: &ChaosContext,
    what: impl FnOnce() + Send + 'static,
) -> chaos_test::Result {
    let file = chaos.scratch_dir()?.join("file");
    std::fs::write(&file, "sound")?;
    chaos.may_break(&Target::File(file.clone()));
    let broken = chaos.inject(Overwrite(file)).await?;
    tokio::task::spawn_blocking(what).await?;
    broken.lift().await?;
    Ok(())
}

mod subjects {
    use super::*;

    #[chaos_test(tags("one"))]
    #[ignore = "another test runs it as a child"]
    async fn it_passes(chaos: &ChaosContext) -> chaos_test::Result {
        with_a_broken_file(chaos, || {}).await
    }

    #[chaos_test(requires(program("no-such-program-of-anybody")))]
    #[ignore = "another test runs it as a child"]
    async fn it_is_skipped(_chaos: &ChaosContext) {}

    #[chaos_test]
    #[ignore = "another test runs it as a child"]
    async fn it_fails(chaos: &ChaosContext) -> chaos_test::Result {
        with_a_broken_file(chaos, || panic!("out of stock")).await
    }

    #[chaos_test(known_gap = "SHOP-12")]
    #[ignore = "another test runs it as a child"]
    async fn it_has_a_gap(chaos: &ChaosContext) -> chaos_test::Result {
        with_a_broken_file(chaos, || panic!("out of stock")).await
    }

    #[chaos_test]
    #[ignore = "another test runs it as a child"]
    #[should_panic(expected = "out of stock")]
    fn it_is_to_panic(chaos: &ChaosContext) {
        let broken = chaos.block_on(with_a_broken_file(chaos, || {}));
        broken.expect("a file can be broken");
        panic!("it is out of stock");
    }

    #[chaos_test]
    #[ignore = "another test runs it as a child"]
    #[should_panic]
    async fn it_should_have_panicked(chaos: &ChaosContext) -> chaos_test::Result {
        with_a_broken_file(chaos, || {}).await
    }

    #[chaos_test]
    #[ignore = "another test runs it as a child"]
    async fn it_exits(chaos: &ChaosContext) -> chaos_test::Result {
        with_a_broken_file(chaos, || std::process::exit(0)).await
    }
}

fn child(test: &str) -> Rerun {
    Rerun::of(&format!("subjects::{test}")).env_remove("CHAOS_REQUIRE")
}

/// Fails unless a child ended with this code, and printed these texts; its report has the
/// last one.
fn expect(ended: &Ended, code: i32, printed: &[&str], reported: &str) {
    let output = ended.output();
    if ended.status.code() != Some(code) {
        eprintln!("it ended with {}, not with {code}:\n{output}", ended.status);
        // Not by a panic: a `main` that calls failures green would call this one green, too.
        std::process::exit(1);
    }
    for expected in printed {
        assert!(output.contains(expected), "{expected} in:\n{output}");
    }
    let junit = ended.junit();
    assert!(junit.contains(reported), "{reported} in:\n{junit}");
    assert!(ended.leftovers().is_empty(), "{output}");
}

/// A pass is a pass, with the report that every run has.
#[chaos_test]
async fn a_test_runs_and_its_report_is_merged(chaos: &ChaosContext) -> chaos_test::Result {
    with_a_broken_file(chaos, || {
        expect(
            &child("it_passes").run(),
            0,
            &[
                "test subjects::it_passes ... ok",
                "1 passed; 0 failed; 0 ignored",
                "chaos-test: 1 chaos test, 0 failed, 0 skipped; report: ",
            ],
            "tests=\"1\" failures=\"0\" errors=\"0\"",
        );
        let panics = child("it_is_to_panic").run();
        expect(&panics, 0, &["it_is_to_panic ... ok"], "failures=\"0\"");
    })
    .await
}

/// A skip is shown as one.
#[chaos_test]
async fn skips_are_shown_as_such_with_their_reason(chaos: &ChaosContext) -> chaos_test::Result {
    with_a_broken_file(chaos, || {
        expect(
            &child("it_is_skipped").run(),
            0,
            &[
                "test subjects::it_is_skipped ... ignored (it needs program:no-such-program-of-anybody: ",
                "0 passed; 0 failed; 1 ignored",
            ],
            "<skipped message=\"it needs program:no-such-program-of-anybody",
        );
        expect(
            &child("it_passes").env("CHAOS_TAGS", "not one").run(),
            0,
            &["test subjects::it_passes ... ignored (deselected by CHAOS_TAGS=`not one`)"],
            "<skipped message=\"deselected by",
        );
        expect(
            &child("it_has_a_gap").run(),
            0,
            &["test subjects::it_has_a_gap ... ignored (known gap SHOP-12)"],
            "<skipped message=\"known gap SHOP-12",
        );
        expect(
            &child("it_is_skipped").env("CHAOS_REQUIRE", "all").run(),
            101,
            &["test subjects::it_is_skipped ... FAILED", "CHAOS_REQUIRE"],
            "<error message=",
        );
    })
    .await
}

/// A failure is red, and explained once.
#[chaos_test]
async fn failures_are_red_and_explained_once(chaos: &ChaosContext) -> chaos_test::Result {
    with_a_broken_file(chaos, || {
        let fails = child("it_fails").run();
        let printed = [
            "test subjects::it_fails ... FAILED",
            "timeline",
            "out of stock",
        ];
        expect(&fails, 101, &printed, "failures=\"1\"");
        let output = fails.output();
        assert_eq!(output.matches("  timeline ").count(), 1, "{output}");
        let returned = child("it_should_have_panicked").run();
        expect(
            &returned,
            101,
            &["it_should_have_panicked ... FAILED"],
            "failures=\"1\"",
        );
        let exits = child("it_exits").run();
        expect(
            &exits,
            101,
            &["the process exited in the middle"],
            "<testcase",
        );
    })
    .await
}

/// nextest finds these tests, and each is a process of its run.
#[chaos_test]
async fn nextest_runs_them(chaos: &ChaosContext) -> chaos_test::Result {
    with_a_broken_file(chaos, || {
        if !nextest::is_there() {
            return;
        }
        let both = "test(/^subjects::it_(passes|is_to_panic)$/)";
        let ended = nextest::of_this_program(Folder::default(), &["-E", both]);
        expect(
            &ended,
            0,
            &["2 tests run: 2 passed"],
            "<testcase name=\"subjects::it_passes\" classname=\"shop::chaos\"",
        );
        let fails = ["-E", "test(=subjects::it_fails)", "--retries", "1"];
        let ended = nextest::of_this_program(Folder::default(), &fails);
        expect(
            &ended,
            100,
            &["1 test run: 0 passed, 1 failed"],
            "<rerunFailure",
        );
    })
    .await
}

/// What libtest refuses is refused with its words, and at once.
#[chaos_test]
async fn no_threads_at_all_are_refused(chaos: &ChaosContext) -> chaos_test::Result {
    with_a_broken_file(chaos, || {
        let none = child("it_passes").beside("--test-threads=0").run();
        let output = none.output();
        assert_eq!(none.status.code(), Some(101), "{output}");
        assert_eq!(output, "error: argument for --test-threads must not be 0\n");
    })
    .await
}
