//! Which tests are run at all: by their tags, and those that failed when they last ran.

use std::path::{Path, PathBuf};

use chaos_test::Target;
use chaos_test::prelude::*;
use chaos_test_fixtures::rerun::{Ended, Folder, Rerun};
use serde_json::Value;

use crate::bad_input::nothing_left;
use crate::nextest;
use crate::overwrite::Overwrite;
use crate::subjects::say;

/// Breaks a file, and fails if it is asked to.
async fn break_a_file(chaos: &ChaosContext, name: &str) -> chaos_test::Result {
    say(&format!("{name} runs"));
    let file = chaos.scratch_dir()?.join("file");
    std::fs::write(&file, "sound")?;
    chaos.may_break(&Target::File(file.clone()));
    chaos.inject(Overwrite(file)).await?.lift().await?;
    let failing = std::env::var("SELECTING_FAILS").unwrap_or_default();
    assert!(!failing.contains(name), "{name} is asked to fail");
    Ok(())
}

#[chaos_test(tags("network"))]
#[ignore = "another test runs it as a child"]
async fn alpha(chaos: &ChaosContext) -> chaos_test::Result {
    break_a_file(chaos, "alpha").await
}

#[chaos_test(tags("network", "slow"))]
#[ignore = "another test runs it as a child"]
async fn beta(chaos: &ChaosContext) -> chaos_test::Result {
    break_a_file(chaos, "beta").await
}

#[chaos_test]
#[ignore = "another test runs it as a child"]
async fn gamma(chaos: &ChaosContext) -> chaos_test::Result {
    break_a_file(chaos, "gamma").await
}

/// Runs wherever the others are ignored.
#[chaos_test]
async fn plain(chaos: &ChaosContext) -> chaos_test::Result {
    break_a_file(chaos, "plain").await
}

#[chaos_test]
#[ignore = "another test runs it as a child"]
async fn it_hangs(_chaos: &ChaosContext) -> chaos_test::Result {
    say("it hangs");
    std::future::pending().await
}

/// All three, in folders of an earlier run, with variables.
fn run(folder: Folder, run: &str, variables: &[(&str, &str)]) -> Ended {
    let all = Rerun::within("selecting::alpha", folder)
        .beside("selecting::beta")
        .beside("selecting::gamma")
        .env("CHAOS_RUN_ID", run);
    let set = |child: Rerun, (name, value): &(&str, &str)| child.env(name, value);
    let ended = variables.iter().fold(all, set).run();
    nothing_left(&ended);
    ended
}

/// Fails unless exactly these tests have run, and the others are shown as deselected.
fn expect(ended: &Ended, names: &[&str], passed: bool) {
    let output = ended.output();
    assert_eq!(ended.status.success(), passed, "{output}");
    for name in ["alpha", "beta", "gamma"] {
        let ran = output.contains(&format!("{name} runs"));
        assert_eq!(ran, names.contains(&name), "{name} in:\n{output}");
        let shown = output.contains(&format!("chaos-test: DESELECTED selecting::{name}: "));
        assert_eq!(shown, !ran, "{name} in:\n{output}");
    }
    let deselected = match 3 - names.len() {
        0 => "skipped; report".to_owned(),
        count => format!("skipped, {count} deselected; report"),
    };
    assert!(output.contains(&deselected), "{output}");
}

#[test]
fn tags_choose_tests_and_the_others_are_seen_and_are_no_failures() {
    let ended = run(
        Folder::default(),
        "tags",
        &[
            ("CHAOS_TAGS", " network  and not slow"),
            ("CHAOS_REQUIRE", "all,environment"),
        ],
    );
    expect(&ended, &["alpha"], true);
    let output = ended.output();
    let why = "deselected by CHAOS_TAGS=`network and not slow`";
    assert!(
        output.contains(&format!("chaos-test:   {why}: 2\n")),
        "{output}"
    );
    let junit = ended.junit();
    let skipped = format!("<skipped message=\"{why}\" type=\"skipped\"");
    assert_eq!(junit.matches(&skipped).count(), 2, "{junit}");
}

#[test]
fn an_expression_that_makes_no_sense_fails_and_is_marked() {
    let ended = run(
        Folder::default(),
        "wrong",
        &[("CHAOS_TAGS", "network and and slow")],
    );
    let output = ended.output();
    assert!(!ended.status.success(), "{output}");
    assert!(!output.contains(" runs"), "{output}");
    let expected = "selecting::alpha: CHAOS_TAGS makes no sense: a tag is missing before `and`\n  \
                    network and and slow\n              ^^^\n  help: it is made of tags";
    assert!(output.contains(expected), "{output}");
    assert!(output.contains("3 failed"), "{output}");
}

#[test]
fn what_selects_nothing_says_so_and_what_was_probably_meant() {
    let ended = run(Folder::default(), "none", &[("CHAOS_TAGS", "netwrk")]);
    expect(&ended, &[], true);
    let output = ended.output();
    for expected in [
        "CHAOS_TAGS=`netwrk` selects none of the chaos tests of this program: their tags are ",
        "no chaos test of this program has the tag `netwrk`, did you mean `network`?",
    ] {
        assert!(output.contains(expected), "{expected} in:\n{output}");
    }
}

#[test]
fn each_test_of_nextest_says_what_was_probably_meant() {
    if !nextest::is_there() {
        return;
    }
    let program = std::env::current_exe().expect("a test program has a path");
    let arguments = ["-E", "test(=selecting::alpha)", "--success-output", "final"];
    let ended = nextest::run(&program, Folder::default(), &arguments)
        .env("CHAOS_TAGS", "netwrk")
        .run();
    let output = ended.output();
    let said = "DESELECTED selecting::alpha: deselected by CHAOS_TAGS=`netwrk`; ";
    assert!(output.contains(said), "{output}");
    let meant = "no chaos test of this program has the tag `netwrk`, did you mean `network`?";
    assert!(output.contains(meant), "{output}");
}

#[test]
fn only_what_failed_last_time_is_run_again() {
    const ONLY: (&str, &str) = ("CHAOS_LAST_FAILED", "1");
    let all = ["alpha", "beta", "gamma"];
    let said = "no test is known to have failed when it last ran, so all are run";

    let first = run(
        Folder::default(),
        "1",
        &[ONLY, ("SELECTING_FAILS", "beta gamma")],
    );
    expect(&first, &all, false);
    assert_eq!(
        first.output().matches(said).count(),
        1,
        "{}",
        first.output()
    );

    // Who is not asked keeps what is known of it.
    let tags = ("CHAOS_TAGS", "slow");
    let second = run(first.folder, "2", &[ONLY, tags]);
    expect(&second, &["beta"], true);

    let third = run(second.folder, "3", &[ONLY, ("CHAOS_REQUIRE", "all")]);
    expect(&third, &["gamma"], true);
    let why = "chaos-test:   deselected by CHAOS_LAST_FAILED: it did not fail last time: 2\n";
    assert!(third.output().contains(why), "{}", third.output());
    // Another process of the same run sees what this one saw.
    let again = run(third.folder, "3", &[ONLY]);
    expect(&again, &["gamma"], true);

    let fourth = run(again.folder, "4", &[ONLY]);
    expect(&fourth, &all, true);
    assert!(fourth.output().contains(said), "{}", fourth.output());

    let nonsense = run(fourth.folder, "5", &[("CHAOS_LAST_FAILED", "perhaps")]);
    let output = nonsense.output();
    assert!(!nonsense.status.success(), "{output}");
    let expected = "CHAOS_LAST_FAILED is `perhaps`, which is neither yes nor no";
    assert!(output.contains(expected), "{output}");
}

#[test]
fn a_killed_test_has_failed_last_time() {
    let mut child = Rerun::of("selecting::it_hangs")
        .env("CHAOS_RUN_ID", "killed")
        .start();
    child.until_printed("it hangs");
    let killed = child.kill();
    let again = Rerun::within("selecting::alpha", killed.folder)
        .env("CHAOS_RUN_ID", "again")
        .env("CHAOS_LAST_FAILED", "1")
        .run();
    let output = again.output();
    assert!(
        output.contains("DESELECTED selecting::alpha: deselected by CHAOS_LAST_FAILED"),
        "{output}"
    );
    let remembered = again.folder.reports().join(".failed");
    assert_eq!(Folder::files(&remembered).len(), 1, "{remembered:?}");
}

/// What is remembered of the tests that failed last.
fn remembered(folder: &Folder) -> Vec<PathBuf> {
    let files = std::fs::read_dir(folder.reports().join(".failed"));
    let files = files.into_iter().flatten().flatten();
    files.map(|file| file.path()).collect()
}

/// Makes the one test that is remembered another one: it is this one of this binary, in that program.
fn remember_another(folder: &Folder, binary: &str, name: &str, program: &Path) {
    let [known] = &remembered(folder)[..] else {
        panic!("one failure is known: {:?}", remembered(folder));
    };
    let text = std::fs::read(known).unwrap();
    let mut test: Value = serde_json::from_slice(&text).unwrap();
    let this = std::env::current_exe().unwrap();
    assert_eq!(test["program"], this.to_str().unwrap(), "{test}");
    let source = Path::new(test["source"].as_str().unwrap());
    assert!(source.ends_with("tests/e2e/selecting.rs"), "{test}");
    test["binary"] = binary.into();
    test["name"] = name.into();
    test["program"] = program.to_str().unwrap().into();
    std::fs::write(known, test.to_string()).unwrap();
}

#[test]
fn a_test_that_was_renamed_is_forgotten_and_holds_up_nobody() {
    const ONLY: (&str, &str) = ("CHAOS_LAST_FAILED", "1");
    let all = ["alpha", "beta", "gamma"];
    let first = run(Folder::default(), "1", &[("SELECTING_FAILS", "beta")]);
    let this = std::env::current_exe().unwrap();
    remember_another(
        &first.folder,
        "chaos-test-e2e::e2e",
        "selecting::delta",
        &this,
    );
    let second = run(first.folder, "2", &[ONLY]);
    expect(&second, &all, true);
    let said = "none of the tests that failed when they last ran is there any more, so all are run";
    assert!(second.output().contains(said), "{}", second.output());
    assert_eq!(remembered(&second.folder), [] as [PathBuf; 0]);

    // One of a program that is gone does not keep this one's tests from being run.
    let third = run(second.folder, "3", &[("SELECTING_FAILS", "beta")]);
    let gone = Path::new("/nowhere/chaos");
    remember_another(&third.folder, "shop::chaos", "selecting::beta", gone);
    let fourth = run(third.folder, "4", &[ONLY]);
    expect(&fourth, &all, true);
}

#[test]
fn a_failed_test_that_is_ignored_is_told_where_nothing_is_run() {
    let failed = run(Folder::default(), "1", &[("SELECTING_FAILS", "beta")]);
    let mut plain = std::process::Command::new(std::env::current_exe().unwrap());
    plain.args(["selecting::plain", "selecting::beta", "--nocapture"]);
    let plain = Rerun::program(plain, failed.folder)
        .env("CHAOS_RUN_ID", "2")
        .env("CHAOS_LAST_FAILED", "1")
        .run();
    let output = plain.output();
    assert!(
        plain.status.success() && !output.contains("plain runs"),
        "{output}"
    );
    let said = "CHAOS_LAST_FAILED: of the chaos tests that failed last time none has been run here \
                (selecting::beta): they carry #[ignore], and `-- --include-ignored` runs them";
    assert!(output.contains(said), "{output}");
}

#[test]
fn a_test_that_failed_before_it_began_has_failed_last_time() {
    let alpha = |folder, run: &str| {
        let test = Rerun::within("selecting::alpha", folder);
        test.env("CHAOS_RUN_ID", run).run()
    };
    let passed = alpha(Folder::default(), "1");
    let fragments = |run: &str| passed.folder.reports().join(run).join("fragments");
    let ended = std::fs::read_dir(fragments("1")).unwrap().flatten().next();
    let ended = ended.unwrap().file_name().into_string().unwrap();
    // Where its report goes there is a folder.
    let started = ended.replace(".end.json", ".json");
    std::fs::create_dir_all(fragments("2").join(started).join("x")).unwrap();
    let failed = alpha(passed.folder, "2");
    let output = failed.output();
    assert!(
        output.contains("the report could not be written"),
        "{output}"
    );
    assert_eq!(remembered(&failed.folder).len(), 1, "{output}");
}

#[test]
fn a_run_whose_name_is_used_again_chooses_anew() {
    // Each round has a runner of its own, as with one cargo after the other.
    let round = |folder: Folder, fails: &str| {
        let mut runner = std::process::Command::new("sh");
        runner.args(["-c", "\"$@\"; exit $?", "sh"]);
        let ended = Rerun::by(runner, "selecting::alpha", folder)
            .beside("selecting::beta")
            .env("CHAOS_RUN_ID", "ci")
            .env("CHAOS_LAST_FAILED", "1")
            .env("SELECTING_FAILS", fails)
            .run();
        let output = ended.output();
        let ran = |name: &str| output.contains(&format!("{name} runs"));
        (ended.folder, ran("alpha"), ran("beta"))
    };
    let (folder, alpha, beta) = round(Folder::default(), "alpha beta");
    assert!(alpha && beta);
    let (folder, alpha, beta) = round(folder, "beta");
    assert!(alpha && beta);
    let (_folder, alpha, beta) = round(folder, "");
    assert!(!alpha && beta);
}

#[test]
fn every_process_of_nextest_chooses_alike() {
    if !nextest::is_there() {
        return;
    }
    let run = |folder, fails: &str| {
        let program = std::env::current_exe().expect("a test program has a path");
        let three = "test(/^selecting::(alpha|beta|gamma)$/)";
        let arguments = ["-E", three, "--test-threads", "1", "--no-capture"];
        let ended = nextest::run(&program, folder, &arguments)
            .env("CHAOS_LAST_FAILED", "1")
            .env("SELECTING_FAILS", fails)
            .run();
        nothing_left(&ended);
        ended
    };
    let ran = |ended: &Ended| {
        let output = ended.output();
        let names = ["alpha", "beta", "gamma"].into_iter();
        let ran = names.filter(|name| output.contains(&format!("{name} runs")));
        ran.collect::<Vec<_>>()
    };
    let first = run(Folder::default(), "alpha beta");
    assert_eq!(ran(&first), ["alpha", "beta", "gamma"]);
    // The first one passes now, and the second one is run for all that.
    let second = run(first.folder, "");
    assert_eq!(ran(&second), ["alpha", "beta"], "{}", second.output());
    assert!(second.status.success(), "{}", second.output());
}
