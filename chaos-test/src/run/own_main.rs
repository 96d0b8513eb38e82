//! A `main` for chaos tests, in the place of libtest's: the same tests, and skips that are shown
//! as such. It runs them and judges nothing itself.

use std::process::ExitCode;

use libtest_mimic::{Arguments, Completion, Failed, Trial};

use crate::model::concluded::How;
use crate::system::registry::{self, Registration};
use crate::system::terminal::say;

/// The `main` of a test target with `harness = false`: runs the chaos tests of this program and
/// shows them as libtest does, but for skipped ones and known gaps, which are `ignored` with
/// their reason and not `ok`.
///
/// It takes libtest's arguments: a filter, `--exact`, `--skip`, `--ignored`, `--include-ignored`,
/// `--list`, `--format`, `--test-threads` (and `RUST_TEST_THREADS`), and has what cargo-nextest
/// asks for. It captures no output, and takes one filter. Ordinary `#[test]` functions are not
/// compiled in such a target. Return what it returns: 0, or 101 where a test failed or
/// `--test-threads` is 0.
///
/// # Panics
///
/// If `RUST_TEST_THREADS` is no number above zero, as libtest does.
///
/// ```no_run
/// use chaos_test::prelude::*;
///
/// #[chaos_test]
/// async fn the_shop_survives_an_outage(chaos: &ChaosContext) {
///     // ..
/// }
///
/// fn main() -> std::process::ExitCode {
///     chaos_test::main()
/// }
/// ```
#[must_use = "a test that failed would be green"]
pub fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    if arguments.test_threads == Some(0) {
        // With the text and the code of libtest; libtest-mimic would wait for ever.
        say("error: argument for --test-threads must not be 0");
        return ExitCode::from(101);
    }
    arguments.test_threads = arguments.test_threads.or_else(threads);
    libtest_mimic::run(&arguments, trials()).exit_code()
}

/// What libtest reads from the environment.
fn threads() -> Option<usize> {
    let text = std::env::var("RUST_TEST_THREADS").ok()?;
    let threads = text.parse().ok().filter(|threads| *threads > 0);
    Some(
        threads.unwrap_or_else(|| {
            panic!("RUST_TEST_THREADS is `{text}`, which is no number above zero")
        }),
    )
}

fn trials() -> Vec<Trial> {
    let registrations = registry::registrations().into_iter();
    registrations.map(trial).collect()
}

fn trial(registration: &'static Registration) -> Trial {
    let Registration { spec, run } = registration;
    Trial::ignorable_test(spec.path(), move || match run().how {
        How::Passed | How::PanickedAsExpected(_) => Ok(Completion::Completed),
        How::Skipped(why) => Ok(Completion::ignored_with(one_line(&why))),
        How::KnownGap(gap) => Ok(Completion::ignored_with(format!("known gap {gap}"))),
        How::Failed { explained, .. } => Err(Failed::from(explained)),
    })
    .with_ignored_flag(spec.ignored)
}

/// A test is a line of the list.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
