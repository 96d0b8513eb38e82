//! Tests that nextest tries again: what the earlier attempts came to is never lost.

use chaos_test::Journal;
use chaos_test::Target;
use chaos_test::prelude::*;
use chaos_test_fixtures::rerun::{Ended, Folder};

use crate::bad_input::nothing_left;
use crate::nextest;
use crate::overwrite::Overwrite;

/// Fails until it has been tried this often, by what nextest says.
async fn pass_on_attempt(chaos: &ChaosContext, attempt: u32) -> chaos_test::Result {
    let file = chaos.scratch_dir()?.join("file");
    std::fs::write(&file, "sound")?;
    chaos.may_break(&Target::File(file.clone()));
    chaos.inject(Overwrite(file)).await?.lift().await?;
    let now: u32 = std::env::var("NEXTEST_ATTEMPT")?.parse()?;
    assert!(now >= attempt, "attempt {now} is asked to fail");
    Ok(())
}

#[chaos_test]
#[ignore = "nextest runs it"]
async fn it_passes_at_once(chaos: &ChaosContext) -> chaos_test::Result {
    pass_on_attempt(chaos, 1).await
}

#[chaos_test]
#[ignore = "nextest runs it"]
async fn it_passes_on_the_third_try(chaos: &ChaosContext) -> chaos_test::Result {
    pass_on_attempt(chaos, 3).await
}

#[chaos_test]
#[ignore = "nextest runs it"]
async fn it_never_passes(chaos: &ChaosContext) -> chaos_test::Result {
    pass_on_attempt(chaos, 4).await
}

/// One test, tried three times at most, and all that nextest shows.
fn tried(test: &str) -> Ended {
    let one = format!("test(=retried::{test})");
    let arguments = ["--retries", "2", "--no-capture", "-E", &one];
    let ended = nextest::of_this_program(Folder::default(), &arguments);
    nothing_left(&ended);
    ended
}

/// The attempts that the journals beside the reports are of.
fn attempts(ended: &Ended) -> Vec<u32> {
    let runs = Folder::files(&ended.folder.reports());
    let journals = runs
        .iter()
        .flat_map(|run| Folder::files(&run.join("journals")));
    let mut attempts: Vec<u32> = journals
        .map(|path| {
            let text = std::fs::read_to_string(path).expect("a journal can be read");
            let journal = Journal::read(&text).expect("it is one");
            journal.started.attempt
        })
        .collect();
    attempts.sort_unstable();
    attempts
}

#[test]
fn a_pass_on_a_later_attempt_is_no_silent_pass() {
    if !nextest::is_there() {
        return;
    }
    let ended = tried("it_passes_on_the_third_try");
    let output = ended.output();
    assert!(ended.status.success(), "{output}");
    let expected = "chaos-test: FLAKY retried::it_passes_on_the_third_try: passed on attempt 3 of 3, \
                    not before\nchaos-test:   attempt 1: ";
    assert!(output.contains(expected), "{output}");
    for attempt in [1, 2] {
        let line = format!("chaos-test:   attempt {attempt}: ");
        let mut lines = output.lines().filter(|shown| shown.starts_with(&line));
        let why = lines.next().expect("it is told");
        assert!(
            why.contains(&format!("attempt {attempt} is asked to fail")),
            "{why}"
        );
    }
    assert_eq!(attempts(&ended), [1, 2, 3]);
    let junit = ended.junit();
    assert!(
        junit.contains("tests=\"1\" failures=\"0\" errors=\"0\""),
        "{junit}"
    );
    assert_eq!(
        junit.matches("<flakyFailure message=\"attempt ").count(),
        2,
        "{junit}"
    );
    assert!(
        !junit.contains("<failure") && !junit.contains("rerun"),
        "{junit}"
    );
    assert!(junit.contains("\nattempt: 3\n"), "{junit}");
}

#[test]
fn a_test_that_never_passes_keeps_all_its_failures() {
    if !nextest::is_there() {
        return;
    }
    let ended = tried("it_never_passes");
    let output = ended.output();
    assert!(!ended.status.success(), "{output}");
    assert!(!output.contains("FLAKY retried"), "{output}");
    assert_eq!(attempts(&ended), [1, 2, 3]);
    let junit = ended.junit();
    assert!(
        junit.contains("tests=\"1\" failures=\"1\" errors=\"0\""),
        "{junit}"
    );
    assert_eq!(
        junit.matches("<rerunFailure message=\"attempt ").count(),
        2,
        "{junit}"
    );
    assert_eq!(junit.matches("<failure ").count(), 1, "{junit}");
    assert!(!junit.contains("flaky"), "{junit}");
}

#[test]
fn a_first_attempt_says_nothing_of_attempts() {
    if !nextest::is_there() {
        return;
    }
    let ended = tried("it_passes_at_once");
    let output = ended.output();
    assert!(ended.status.success(), "{output}");
    assert!(!output.contains("FLAKY"), "{output}");
    assert_eq!(attempts(&ended), [1]);
    let junit = ended.junit();
    assert!(!junit.contains("attempt"), "{junit}");
}
