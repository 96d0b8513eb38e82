//! Fixtures that a whole run shares, in all its processes: set up once by a process that keeps
//! them, broken by one test at a time, and gone with the run, however its processes end.

mod containers;
mod keepers;
mod set_ups;

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use chaos_test::prelude::*;
use chaos_test::{CATALOGUE, process};
use chaos_test_fixtures::rerun::{Ended, Folder, Rerun};
use rustix::process::{Pid, Signal as Raw, kill_process};
use serde::{Deserialize, Serialize};

use super::outage;
use crate::bad_input::nothing_left;
use crate::contract::requests_feel;
use crate::nextest;
use crate::subjects::say;
use crate::victims::{inventory_program, runs, watch};

/// A service, and who keeps it.
#[derive(Serialize, Deserialize)]
struct Depot {
    service: Service,
    keeper: u32,
    weak: bool,
}

impl chaos_test::Breakable for Depot {
    fn targets(&self) -> Vec<chaos_test::Target> {
        self.service.targets()
    }
}

#[chaos_fixture(scope = "run")]
async fn depot(chaos: &ChaosContext) -> chaos_test::Result<Depot> {
    say("depot is set up");
    chaos.at_rollback("say so", async || {
        say("depot is torn down");
        Ok::<_, TestError>(())
    })?;
    Ok(Depot {
        service: chaos.process("depot", inventory_program()).await?,
        keeper: std::process::id(),
        weak: std::env::var_os("WEAK").is_some(),
    })
}

/// Another one that needs it.
#[chaos_fixture(scope = "run")]
async fn outlet(chaos: &ChaosContext, depot: &Depot) -> chaos_test::Result<Vec<Service>> {
    tokio::net::TcpStream::connect(depot.service.first_address().socket()).await?;
    say("outlet is set up");
    chaos.at_rollback("say so", async || {
        say("outlet is torn down");
        Ok::<_, TestError>(())
    })?;
    let own = chaos.process("outlet", inventory_program()).await?;
    Ok(vec![own, depot.service.clone()])
}

/// A file that is there while a test breaks what others use.
fn mark() -> PathBuf {
    PathBuf::from(std::env::var_os("CHAOS_STATE_DIR").expect("every child has one")).join("mark")
}

#[chaos_test]
#[ignore = "another test runs it as a child"]
async fn one_uses_both(
    chaos: &ChaosContext,
    outlet: &Vec<Service>,
    depot: &Depot,
) -> chaos_test::Result {
    say(&format!("one is served by {}", depot.keeper));
    let [own, needed] = outlet.as_slice() else {
        panic!("{outlet:?}");
    };
    assert_eq!((own.name(), needed.name()), ("outlet", "depot"));
    assert_eq!(needed.first_address(), depot.service.first_address());
    let requests = watch(chaos, own);
    assert!(!mark().exists(), "somebody breaks it");
    let normal = requests.over(ms(200)).await?;
    normal.expect(error_rate().at_most(percent(0))).check()?;
    assert!(!mark().exists(), "somebody breaks it");
    let own = chaos.process("own", inventory_program()).await?;
    outage(chaos, &own).await
}

#[chaos_test]
#[ignore = "another test runs it as a child"]
async fn other_uses_it(chaos: &ChaosContext, depot: &Depot) -> chaos_test::Result {
    say(&format!("other is served by {}", depot.keeper));
    let requests = watch(chaos, &depot.service);
    assert!(!mark().exists(), "somebody breaks it");
    let normal = requests.over(ms(200)).await?;
    normal.expect(error_rate().at_most(percent(0))).check()?;
    assert!(!mark().exists(), "somebody breaks it");
    let own = chaos.process("own", inventory_program()).await?;
    outage(chaos, &own).await
}

#[chaos_test(breaks(depot))]
#[ignore = "another test runs it as a child"]
async fn one_breaks_it(chaos: &ChaosContext, depot: &Depot) -> chaos_test::Result {
    std::fs::write(mark(), "")?;
    outage(chaos, &depot.service).await?;
    let hang = chaos.inject(process::stop(&depot.service)).await?;
    hang.lift().await?;
    outage(chaos, &depot.service).await?;
    std::fs::remove_file(mark())?;
    say(&format!("one has broken what {} keeps", depot.keeper));
    Ok(())
}

/// It shares it with others, and has not asked for more.
#[chaos_test]
#[ignore = "another test runs it as a child"]
async fn one_breaks_what_others_use(chaos: &ChaosContext, depot: &Depot) -> chaos_test::Result {
    outage(chaos, &depot.service).await
}

#[chaos_test(breaks(depot))]
#[ignore = "another test runs it as a child"]
async fn one_dies_in_the_midst(chaos: &ChaosContext, depot: &Depot) -> chaos_test::Result {
    say(&format!("the dead one was served by {}", depot.keeper));
    chaos
        .during(process::kill(&depot.service), async |_| die().await)
        .await
        .map(drop)
}

/// Kills a process.
fn kill(process: u32) {
    let process = Pid::from_raw(process.cast_signed()).expect("it has a number");
    kill_process(process, Raw::KILL).expect("it is one of ours");
}

/// Waits until a process has ended.
async fn until_gone(process: u32) {
    while runs(process) {
        tokio::time::sleep(ms(5)).await;
    }
}

/// Ends this process, in the midst of whatever it does.
async fn die() -> chaos_test::Result {
    kill(std::process::id());
    std::future::pending().await
}

/// The path of a test of this room, or of one below it.
fn name(test: &str) -> String {
    format!("scopes::of_run::{test}")
}

/// Several runs of this program, one after the other, as one `cargo test` has them: by a shell
/// that the kernel knows as `cargo`.
fn one_after_the_other(tests: &[&str]) -> Ended {
    let mut script = String::new();
    for test in tests {
        let test = name(test);
        script += &format!("\"$0\" --exact {test} --include-ignored --nocapture; ");
    }
    as_cargo(&script)
}

fn as_cargo(script: &str) -> Ended {
    let folder = Folder::default();
    let cargo = folder.reports().with_file_name("cargo");
    std::fs::copy("/bin/sh", &cargo).unwrap();
    std::fs::set_permissions(&cargo, PermissionsExt::from_mode(0o755)).unwrap();
    let mut launcher = Command::new(cargo);
    launcher.args(["-c", &format!("{script} exit 0")]);
    Rerun::by(launcher, "unused", folder)
        .env_remove("CHAOS_RUN_ID")
        .run()
}

/// Tests of a run of nextest, each in a process of its own, with these arguments; `None` where
/// there is no nextest.
fn by_nextest(arguments: &[&str], tests: &[&str]) -> Option<Ended> {
    if !nextest::is_there() {
        return None;
    }
    let tests: Vec<_> = tests.iter().map(|test| name(test)).collect();
    let mut all = arguments.to_vec();
    all.extend(["--success-output", "final", "--", "--exact"]);
    all.extend(tests.iter().map(String::as_str));
    Some(nextest::of_this_program(Folder::default(), &all))
}

/// The numbers that stand behind a text in what was said.
fn numbers(ended: &Ended, text: &str) -> Vec<u32> {
    let output = ended.output();
    let said = output.lines().filter_map(|line| line.split_once(text));
    let number = |(_, rest): (&str, &str)| {
        let digits = rest.trim_start().split(|c: char| !c.is_ascii_digit());
        digits.into_iter().next()?.parse().ok()
    };
    said.filter_map(number).collect()
}

/// What the keepers and their fixtures have said, and that nothing of them is left.
fn kept(ended: &Ended) -> String {
    let folder = &ended.folder;
    let until = Instant::now() + Duration::from_secs(60);
    // What a killed one leaves, its watchdog removes.
    loop {
        let mut left = Folder::files(&folder.state().join("keepers"));
        let locks = Folder::files(&folder.state().join("leases"));
        let of_run = |path: &PathBuf| path.to_string_lossy().contains("run-");
        left.extend(locks.into_iter().filter(of_run));
        if left.is_empty() {
            break;
        }
        assert!(Instant::now() < until, "{left:?}\n{}", ended.output());
        std::thread::sleep(Duration::from_millis(10));
    }
    nothing_left(ended);
    let mut said = String::new();
    for run in Folder::files(&folder.reports()) {
        for log in Folder::files(&run.join("logs")) {
            let is_keepers = log.to_string_lossy().contains("/keeper-");
            if is_keepers {
                said += &std::fs::read_to_string(log).unwrap();
            }
        }
    }
    said
}

#[test]
fn all_processes_of_a_nextest_run_share_it() {
    let tests = ["one_uses_both", "other_uses_it", "one_breaks_it"];
    let Some(ended) = by_nextest(&["--test-threads", "3"], &tests) else {
        return;
    };
    let output = ended.output();
    assert!(ended.status.success(), "{output}");
    assert!(output.contains("3 passed"), "{output}");
    let mut by = numbers(&ended, "served by");
    by.extend(numbers(&ended, "has broken what"));
    assert!(by.len() >= 3, "{output}");
    assert!(by.iter().all(|keeper| *keeper == by[0]), "{output}");
    let said = kept(&ended);
    for once in ["depot is set up", "outlet is set up", "depot is torn down"] {
        assert_eq!(said.matches(once).count(), 1, "{said}\n{output}");
    }
    // Its memory is gone, and with that its name, a moment before it has ended.
    let until = Instant::now() + Duration::from_secs(60);
    while runs(by[0]) {
        assert!(Instant::now() < until, "{} does not end", by[0]);
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn it_lives_from_one_program_of_a_run_to_the_next() {
    let ended = one_after_the_other(&["other_uses_it", "one_breaks_it", "other_uses_it"]);
    let output = ended.output();
    assert_eq!(output.matches("1 passed").count(), 3, "{output}");
    let mut by = numbers(&ended, "served by");
    by.extend(numbers(&ended, "has broken what"));
    assert_eq!(by.len(), 3, "{output}");
    assert!(by.iter().all(|keeper| *keeper == by[0]), "{output}");
    let said = kept(&ended);
    assert_eq!(said.matches("depot is set up").count(), 1, "{said}");
    assert_eq!(said.matches("depot is torn down").count(), 1, "{said}");
}

#[test]
fn without_a_runner_it_ends_with_those_who_use_it() {
    let ended = Rerun::of(&name("one_uses_both"))
        .beside(&name("other_uses_it"))
        .run();
    let output = ended.output();
    assert!(ended.status.success(), "{output}");
    let said = kept(&ended);
    assert_eq!(said.matches("is torn down").count(), 2, "{said}");
}

#[test]
fn only_who_names_it_may_break_it() {
    let ended = Rerun::of(&name("one_breaks_what_others_use")).run();
    let output = ended.output();
    assert!(!ended.status.success(), "{output}");
    let expected = "service `depot` belongs to fixture `depot` (scope \"run\"), which other tests \
                    may use now";
    assert!(output.contains(expected), "{output}");
    kept(&ended);
}

#[test]
fn what_a_killed_test_broke_is_whole_for_the_next() {
    let ended = one_after_the_other(&["one_dies_in_the_midst", "other_uses_it"]);
    let output = ended.output();
    assert_eq!(output.matches("1 passed").count(), 1, "{output}");
    let by = numbers(&ended, "served by");
    assert_eq!((by.len(), by[0]), (2, by[1]), "{output}");
    kept(&ended);
}

#[chaos_fixture(scope = "run")]
async fn small() -> u32 {
    17
}

/// It has something of the run already, and so is not to wait for more.
#[chaos_test]
#[ignore = "another test runs it as a child"]
async fn one_asks_for_more(chaos: &ChaosContext, small: &u32) -> chaos_test::Result {
    assert_eq!(*small, 17);
    let until = Instant::now() + Duration::from_secs(60);
    while !mark().exists() {
        assert!(Instant::now() < until, "nobody breaks it");
        tokio::time::sleep(ms(1)).await;
    }
    let mut refused = 0;
    let depot = loop {
        match chaos.fixture(depot).await {
            Ok(depot) => break depot,
            Err(error) => {
                assert!(
                    error.to_string().contains("must not wait for it"),
                    "{error}"
                );
                refused += 1;
            }
        }
        assert!(Instant::now() < until, "it is never free");
        tokio::time::sleep(ms(1)).await;
    };
    assert!(!mark().exists(), "somebody breaks it");
    say(&format!(
        "refused {refused} times, then served by {}",
        depot.keeper
    ));
    let own = chaos.process("own", inventory_program()).await?;
    outage(chaos, &own).await
}

#[test]
fn who_was_refused_once_is_refused_as_long_as_another_process_has_it() {
    let tests = ["one_asks_for_more", "one_breaks_it"];
    let Some(ended) = by_nextest(&["--test-threads", "2"], &tests) else {
        return;
    };
    let output = ended.output();
    assert!(ended.status.success(), "{output}");
    assert!(numbers(&ended, "refused")[0] > 1, "{output}");
    kept(&ended);
}

/// It is weakened by what its fixture was set up with.
#[chaos_test(must_fail_when(env("WEAK" = "on") => "it is weak"))]
#[ignore = "another test runs it as a child"]
async fn one_has_a_control(chaos: &ChaosContext, depot: &Depot) -> chaos_test::Result {
    say(&format!("weak {} served by {}", depot.weak, depot.keeper));
    let own = chaos.process("own", inventory_program()).await?;
    outage(chaos, &own).await?;
    assert!(!depot.weak, "it is weak");
    Ok(())
}

#[test]
fn a_control_has_one_of_its_own() {
    let ended = one_after_the_other(&["one_has_a_control", "other_uses_it"]);
    let output = ended.output();
    assert_eq!(output.matches("1 passed").count(), 2, "{output}");
    let by = numbers(&ended, "served by");
    let last = by.last().copied();
    assert_eq!(
        by.iter().filter(|keeper| Some(**keeper) == last).count(),
        2,
        "{output}"
    );
    kept(&ended);
}

/// Each fault of a family is lifted, and its service answers as before at the same address.
async fn each_fault(
    chaos: &ChaosContext,
    service: &Service,
    requests: &Monitor,
    family: &str,
) -> chaos_test::Result {
    let normal = requests.baseline(ms(300)).await?;
    let address = service.first_address();
    let of_family = CATALOGUE
        .iter()
        .filter(|entry| entry.family() == family && requests_feel(entry));
    // That one is held by whoever starts it, and that is another process.
    let faults = of_family.filter(|entry| entry.name != "process::hang_at_start");
    let mut lifted = 0;
    for entry in faults {
        chaos.note(entry.name);
        let injection = chaos.inject_entry(entry, service).await?;
        requests.over(ms(100)).await?;
        let since = injection.lift().await?;
        requests
            .recovers_to(&normal)
            .since(since)
            .within(secs(20))
            .await?;
        assert_eq!(service.first_address(), address);
        lifted += 1;
    }
    assert!(lifted > 2, "{lifted} faults of {family}");
    Ok(())
}

#[chaos_test(breaks(depot), timeout = "180s")]
#[ignore = "another test runs it as a child"]
async fn each_fault_on_a_process(chaos: &ChaosContext, depot: &Depot) -> chaos_test::Result {
    let requests = watch(chaos, &depot.service);
    each_fault(chaos, &depot.service, &requests, "process").await?;
    each_fault(chaos, &depot.service, &requests, "link").await?;
    say("the depot is whole");
    Ok(())
}

#[chaos_test(breaks(depot))]
#[ignore = "another test runs it as a child"]
async fn one_holds_it_at_its_start(chaos: &ChaosContext, depot: &Depot) -> chaos_test::Result {
    let held = chaos.inject(process::hang_at_start(&depot.service)).await?;
    held.lift().await.map(drop).map_err(Into::into)
}

#[test]
fn what_another_process_starts_cannot_be_held_at_its_start() {
    let ended = Rerun::of(&name("one_holds_it_at_its_start")).run();
    let output = ended.output();
    assert!(!ended.status.success(), "{output}");
    assert!(
        output.contains("nobody can hold it at its start"),
        "{output}"
    );
    kept(&ended);
}

#[test]
fn each_fault_on_what_a_run_shares_is_lifted() {
    let ended = one_after_the_other(&["each_fault_on_a_process", "other_uses_it"]);
    let output = ended.output();
    assert_eq!(output.matches("1 passed").count(), 2, "{output}");
    assert!(output.contains("the depot is whole"), "{output}");
    kept(&ended);
}
