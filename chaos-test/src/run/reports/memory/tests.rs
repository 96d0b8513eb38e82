//! What is remembered, and what a run sees of it.

use super::super::{Asker, Reports};
use super::*;
use crate::model::identity::ProcessIdentity;
use crate::model::outcome::{Control, RunStatus, Verdict};
use crate::model::test_report::TestEnd;

fn held() -> Outcome {
    Outcome::example(RunStatus::Completed, Verdict::Held)
}

fn deviated() -> Outcome {
    Outcome::example(RunStatus::Completed, Verdict::Deviated("too slow".into()))
}

fn skipped() -> Outcome {
    let verdict = Verdict::Unknown("it was skipped".into());
    Outcome::example(RunStatus::Skipped("no docker".into()), verdict)
}

fn report(name: &str, attempt: u32, outcome: Option<Outcome>) -> TestReport {
    TestReport {
        attempt,
        end: outcome.map(TestEnd::example),
        ..TestReport::example("shop::chaos", name)
    }
}

fn write(reports: &Reports, name: &str, attempt: u32, outcome: Option<Outcome>) {
    let key = fragment_name("shop::chaos", name, attempt, None);
    reports
        .write(&key, &report(name, attempt, outcome))
        .unwrap();
}

/// The names that a run finds, and whether it was the first to look.
fn found(reports: &Reports) -> (Vec<String>, bool) {
    asked(reports, &asker("chaos", 1))
}

fn asked(reports: &Reports, asker: &Asker) -> (Vec<String>, bool) {
    let (failed, first) = reports.failed_before(asker, nobody).unwrap();
    let names = failed.into_iter().map(|failed| failed.test.name);
    (names.collect(), first)
}

/// A program in a folder without others, started by a runner of that number.
fn asker(program: &str, runner: u32) -> Asker {
    let runner = ProcessIdentity {
        pid: runner,
        start_time: 1,
        boot_id: "b".into(),
        namespace: 1,
    };
    Asker {
        program: Path::new("/nowhere").join(program),
        runner: Some(runner),
    }
}

fn nobody(_: &ProcessIdentity) -> bool {
    false
}

#[test]
fn the_last_end_that_says_something_is_remembered() {
    let root = tempfile::tempdir().unwrap();
    let run = |id| Reports::open(root.path(), id).unwrap();
    assert_eq!(found(&run("first")), (vec![], true));
    let second = run("second");
    let gap = Outcome {
        known_gap: Some("SHOP-12".to_owned()),
        ..deviated()
    };
    for (name, ends) in [
        ("fails", vec![deviated()]),
        ("passes", vec![held()]),
        ("is_repaired", vec![deviated(), held()]),
        ("breaks", vec![held(), deviated()]),
        ("failed_and_is_skipped", vec![deviated(), skipped()]),
        ("passed_and_is_skipped", vec![held(), skipped()]),
        ("has_a_gap", vec![gap]),
    ] {
        for end in ends {
            write(&second, name, 1, None);
            write(&second, name, 1, Some(end));
        }
    }
    let expected = ["breaks", "failed_and_is_skipped", "fails"].map(str::to_owned);
    assert_eq!(found(&run("third")), (expected.to_vec(), true));
    // The name of an attempt's file differs, the test is the same.
    write(&second, "fails", 2, Some(held()));
    let expected = ["breaks", "failed_and_is_skipped"].map(str::to_owned);
    assert_eq!(found(&run("fourth")), (expected.to_vec(), true));
}

#[test]
fn a_run_sees_what_was_there_when_it_began() {
    let root = tempfile::tempdir().unwrap();
    let before = Reports::open(root.path(), "before").unwrap();
    write(&before, "fails", 1, Some(deviated()));
    let run = Reports::open(root.path(), "run").unwrap();
    assert_eq!(found(&run), (vec!["fails".to_owned()], true));
    write(&run, "fails", 1, Some(held()));
    write(&run, "another", 1, Some(deviated()));
    let another_process = Reports::open(root.path(), "run").unwrap();
    assert_eq!(found(&another_process), (vec!["fails".to_owned()], false));
    let next = Reports::open(root.path(), "next").unwrap();
    assert_eq!(found(&next), (vec!["another".to_owned()], true));
}

#[test]
fn only_tests_that_can_be_chosen_are_remembered() {
    let root = tempfile::tempdir().unwrap();
    let run = Reports::open(root.path(), "run").unwrap();
    let control = Outcome {
        control: Some(Control {
            changed: "FALLBACK=off".into(),
            reason: None,
            deviated: None,
        }),
        ..held()
    };
    write(&run, "test [FALLBACK=off]", 1, Some(control));
    let plain = fragment_name("shop::chaos", "plain 0", 1, Some(7));
    run.write(&plain, &report("plain", 1, Some(deviated())))
        .unwrap();
    assert_eq!(found(&run), (vec![], true));
}

#[test]
fn a_test_that_died_with_its_process_has_failed() {
    let root = tempfile::tempdir().unwrap();
    let dead = Reports::open(root.path(), "dead").unwrap();
    dead.become_current(nobody).unwrap();
    write(&dead, "dies", 1, None);
    let plain = fragment_name("shop::chaos", "plain 0", 1, Some(7));
    dead.write(&plain, &report("plain", 1, None)).unwrap();
    let next = Reports::open(root.path(), "next").unwrap();
    next.become_current(nobody).unwrap();
    assert_eq!(found(&next), (vec!["dies".to_owned()], true));
}

#[test]
fn a_run_whose_name_is_used_again_begins_anew() {
    let root = tempfile::tempdir().unwrap();
    let run = Reports::open(root.path(), "ci").unwrap();
    write(&run, "fails", 1, Some(deviated()));
    let failed = |names: &[&str], first| (names.iter().map(|it| (*it).to_owned()).collect(), first);
    assert_eq!(asked(&run, &asker("a", 1)), failed(&["fails"], true));
    write(&run, "fails", 1, Some(held()));
    write(&run, "another", 1, Some(deviated()));
    // The same program of the same runner, another program, and one of a second runner of the run.
    assert_eq!(asked(&run, &asker("a", 1)), failed(&["fails"], false));
    assert_eq!(asked(&run, &asker("b", 1)), failed(&["fails"], false));
    assert_eq!(asked(&run, &asker("c", 2)), failed(&["fails"], false));
    assert_eq!(asked(&run, &asker("c", 2)), failed(&["fails"], false));
    assert_eq!(asked(&run, &asker("a", 3)), failed(&["another"], true));
    assert_eq!(asked(&run, &asker("c", 4)), failed(&["another"], false));
}

#[test]
fn a_test_that_died_in_a_run_that_was_put_together_since_has_failed_once() {
    let root = tempfile::tempdir().unwrap();
    let dead = Reports::open(root.path(), "dead").unwrap();
    dead.become_current(nobody).unwrap();
    write(&dead, "dies", 1, None);
    write(&dead, "dies_at_first", 1, None);
    write(&dead, "dies_at_first", 2, Some(held()));
    later();
    // Another process of the run ends in order.
    dead.merge().unwrap();
    later();
    let next = Reports::open(root.path(), "next").unwrap();
    next.become_current(nobody).unwrap();
    assert_eq!(found(&next), (vec!["dies".to_owned()], true));
    write(&next, "dies", 1, Some(held()));
    // What that run left says nothing any more.
    let last = Reports::open(root.path(), "last").unwrap();
    last.become_current(nobody).unwrap();
    assert_eq!(found(&last), (vec![], true));
}

/// Two times of files that are this far apart differ.
fn later() {
    std::thread::sleep(std::time::Duration::from_millis(50));
}

#[test]
fn a_test_that_died_in_an_earlier_run_of_the_same_name_has_failed() {
    let root = tempfile::tempdir().unwrap();
    let run = Reports::open(root.path(), "ci").unwrap();
    run.become_current(nobody).unwrap();
    assert_eq!(asked(&run, &asker("a", 1)), (vec![], true));
    write(&run, "dies", 1, None);
    run.become_current(nobody).unwrap();
    assert_eq!(asked(&run, &asker("a", 1)), (vec![], false));
    assert_eq!(asked(&run, &asker("a", 2)), (vec!["dies".to_owned()], true));
}

#[test]
fn what_nothing_is_left_of_is_forgotten_and_what_is_half_there_counts_nowhere_else() {
    let root = tempfile::tempdir().unwrap();
    let run = Reports::open(root.path(), "run").unwrap();
    let here = root.path().join("here");
    std::fs::write(&here, "").unwrap();
    let gone = root.path().join("gone");
    let elsewhere = Path::new("/elsewhere/here").to_owned();
    for (name, program, source) in [
        ("both", Some(&here), Some(&here)),
        ("unpacked_elsewhere", Some(&elsewhere), None),
        ("unknown", None, None),
        ("without_a_program", Some(&gone), Some(&here)),
        ("without_a_source", Some(&here), Some(&gone)),
        ("without_both", Some(&gone), Some(&gone)),
    ] {
        let failed = TestReport {
            program: program.cloned(),
            source: source.cloned(),
            ..report(name, 1, Some(deviated()))
        };
        let key = fragment_name("shop::chaos", name, 1, None);
        run.write(&key, &failed).unwrap();
    }
    let mut asker = asker("program", 1);
    asker.program = root.path().join("program");
    let (failed, _) = run.failed_before(&asker, nobody).unwrap();
    let names = |failed: &mut dyn Iterator<Item = Remembered>| {
        failed.map(|it| it.test.name).collect::<Vec<_>>()
    };
    let known = failed.iter().filter(|it| it.may_be_there(root.path()));
    assert_eq!(
        names(&mut known.cloned()),
        ["both", "unknown", "unpacked_elsewhere"]
    );
    let rest = failed.iter().filter(|it| !it.may_be_there(root.path()));
    assert_eq!(
        names(&mut rest.cloned()),
        ["without_a_program", "without_a_source"]
    );
    let forgotten = place(
        root.path(),
        &Remembered::of(&report("without_both", 1, None)).test,
    );
    assert!(!forgotten.exists());
}
