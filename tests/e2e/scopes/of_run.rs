//! Fixtures that a whole run shares, in all its processes: set up once by a process that keeps
//! them, broken by one test at a time, and gone with the run, however its processes end.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use chaos_test::prelude::*;
use chaos_test::{CATALOGUE, Container, container, process};
use chaos_test_fixtures::images;
use chaos_test_fixtures::rerun::{Ended, Folder, Rerun};
use rustix::process::{Pid, Signal as Raw, kill_process};
use serde::{Deserialize, Serialize};

use super::outage;
use crate::bad_input::nothing_left;
use crate::containers::ask;
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
        .during(process::kill(&depot.service), async |_| {
            kill_process(Pid::from_raw(std::process::id() as i32).unwrap(), Raw::KILL)?;
            std::future::pending::<chaos_test::Result>().await
        })
        .await
        .map(drop)
}

#[chaos_test]
#[ignore = "another test runs it as a child"]
async fn one_kills_the_keeper(chaos: &ChaosContext, depot: &Depot) -> chaos_test::Result {
    say(&format!("killed: {}", depot.keeper));
    let keeper = Pid::from_raw(i32::try_from(depot.keeper)?).unwrap();
    kill_process(keeper, Raw::KILL)?;
    let own = chaos.process("own", inventory_program()).await?;
    outage(chaos, &own).await
}

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
    if !nextest::is_there() {
        return;
    }
    let program = std::env::current_exe().unwrap();
    let tests = ["one_uses_both", "other_uses_it", "one_breaks_it"].map(name);
    let mut arguments = vec![
        "--test-threads",
        "3",
        "--success-output",
        "final",
        "--",
        "--exact",
    ];
    arguments.extend(tests.iter().map(String::as_str));
    let ended = nextest::run(&program, Folder::default(), &arguments).run();
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
    assert!(!runs(by[0]));
}

#[test]
fn it_lives_from_one_program_of_a_run_to_the_next() {
    let ended = one_after_the_other(&["other_uses_it", "one_breaks_it", "other_uses_it"]);
    let output = ended.output();
    assert!(!output.contains("NOT RESTORED"), "{output}");
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

#[test]
fn a_killed_keeper_leaves_nothing_and_has_a_successor() {
    let ended = one_after_the_other(&["one_kills_the_keeper", "other_uses_it"]);
    let output = ended.output();
    assert_eq!(output.matches("1 passed").count(), 2, "{output}");
    let (killed, next) = (numbers(&ended, "killed:"), numbers(&ended, "served by"));
    assert_eq!((killed.len(), next.len()), (1, 1), "{output}");
    assert_ne!(killed, next, "{output}");
    kept(&ended);
}

/// Others of its process look at what they have before they use it.
#[test]
fn a_killed_keeper_has_a_successor_in_the_same_process_too() {
    let ended = Rerun::of(&name("one_kills_the_keeper"))
        .beside(&name("other_uses_it"))
        .beside("--test-threads=1")
        .run();
    let output = ended.output();
    assert!(output.contains("2 passed"), "{output}");
    let (killed, next) = (numbers(&ended, "killed:"), numbers(&ended, "served by"));
    assert_eq!((killed.len(), next.len()), (1, 1), "{output}");
    assert_ne!(killed, next, "{output}");
    kept(&ended);
}

#[test]
fn a_keeper_ends_though_its_folder_is_gone() {
    let test = name("other_uses_it");
    let ended = as_cargo(&format!(
        "\"$0\" --exact {test} --include-ignored --nocapture; rm -rf \"$CHAOS_STATE_DIR\";"
    ));
    let output = ended.output();
    assert_eq!(output.matches("1 passed").count(), 1, "{output}");
    assert_eq!(numbers(&ended, "served by").len(), 1, "{output}");
    nothing_left(&ended);
}

/// It does not come up as long as anybody waits.
#[chaos_fixture(scope = "run")]
async fn endless(chaos: &ChaosContext) -> chaos_test::Result<Service> {
    let service = chaos.process("endless", inventory_program()).await?;
    say("endless has begun");
    std::future::pending::<()>().await;
    Ok(service)
}

#[chaos_test]
#[ignore = "another test runs it as a child"]
async fn one_waits_for_ever(chaos: &ChaosContext, endless: &Service) -> chaos_test::Result {
    outage(chaos, endless).await
}

#[test]
fn a_set_up_that_nobody_waits_for_any_more_is_put_back() {
    let child = Rerun::of(&name("one_waits_for_ever")).start();
    let logs = child.folder().reports().join("child/logs");
    let until = Instant::now() + Duration::from_secs(60);
    let has_begun = || {
        let logs = Folder::files(&logs);
        let mut texts = logs
            .iter()
            .filter_map(|log| std::fs::read_to_string(log).ok());
        texts.any(|text| text.contains("endless has begun"))
    };
    while !has_begun() {
        assert!(Instant::now() < until, "{}", child.output());
        std::thread::sleep(Duration::from_millis(5));
    }
    let killed = Instant::now();
    let ended = child.kill();
    // Its set-up would have ten minutes.
    assert!(killed.elapsed() < Duration::from_secs(120));
    // The child had broken nothing, so its own journal waits for the next run.
    let next = Rerun::within(&name("other_uses_it"), ended.folder).run();
    assert!(next.status.success(), "{}", next.output());
    kept(&next);
}

/// It fails when it is set up for the first time.
#[chaos_fixture(scope = "run")]
async fn unsteady(chaos: &ChaosContext) -> chaos_test::Result<Service> {
    if !mark().exists() {
        std::fs::write(mark(), "")?;
        return Err(TestError::msg("not this time"));
    }
    Ok(chaos.process("unsteady", inventory_program()).await?)
}

#[chaos_test(breaks(unsteady))]
#[ignore = "another test runs it as a child"]
async fn one_tries_again(chaos: &ChaosContext, unsteady: &Service) -> chaos_test::Result {
    outage(chaos, unsteady).await
}

#[test]
fn another_attempt_has_another_set_up() {
    if !nextest::is_there() {
        return;
    }
    let program = std::env::current_exe().unwrap();
    let test = name("one_tries_again");
    let arguments = ["--retries", "1", "--", "--exact", &test];
    let ended = nextest::run(&program, Folder::default(), &arguments).run();
    let output = ended.output();
    assert!(ended.status.success(), "{output}");
    assert!(output.contains("not this time"), "{output}");
    assert!(output.contains("1 flaky"), "{output}");
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
    if !nextest::is_there() {
        return;
    }
    let program = std::env::current_exe().unwrap();
    let tests = ["one_asks_for_more", "one_breaks_it"].map(name);
    let mut arguments = vec![
        "--test-threads",
        "2",
        "--success-output",
        "final",
        "--",
        "--exact",
    ];
    arguments.extend(tests.iter().map(String::as_str));
    let ended = nextest::run(&program, Folder::default(), &arguments).run();
    let output = ended.output();
    assert!(ended.status.success(), "{output}");
    assert!(numbers(&ended, "refused")[0] > 1, "{output}");
    kept(&ended);
}

/// Half of it comes up.
#[chaos_fixture(scope = "run")]
async fn half_a_depot(chaos: &ChaosContext) -> chaos_test::Result<Service> {
    chaos.process("half", inventory_program()).await?;
    let program = Program::new("sh").args(["-c", "echo these are my last words; exit 3"]);
    Ok(chaos.process("talker", program).await?)
}

#[chaos_test]
#[ignore = "another test runs it as a child"]
async fn a_needs_half(chaos: &ChaosContext, half_a_depot: &Service) -> chaos_test::Result {
    outage(chaos, half_a_depot).await
}

#[chaos_test]
#[ignore = "another test runs it as a child"]
async fn b_needs_half(chaos: &ChaosContext, half_a_depot: &Service) -> chaos_test::Result {
    outage(chaos, half_a_depot).await
}

#[test]
fn a_failure_is_told_once_in_a_run() {
    let ended = one_after_the_other(&["a_needs_half", "b_needs_half"]);
    let output = ended.output();
    assert_eq!(
        output
            .matches("test result: FAILED. 0 passed; 1 failed")
            .count(),
        2,
        "{output}"
    );
    assert_eq!(
        output.matches("these are my last words").count(),
        1,
        "{output}"
    );
    let points = "(set up once in this run, for scopes::of_run::a_needs_half (";
    assert!(output.contains(points), "{output}");
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

/// What it returns cannot be read by others.
#[chaos_fixture(scope = "run")]
async fn unreadable() -> std::collections::BTreeMap<(u8, u8), u8> {
    [((1, 2), 3)].into()
}

#[chaos_test]
#[ignore = "another test runs it as a child"]
async fn one_cannot_read_it(
    _chaos: &ChaosContext,
    unreadable: &std::collections::BTreeMap<(u8, u8), u8>,
) {
    assert_eq!(unreadable.len(), 1);
}

#[test]
fn a_value_that_cannot_be_written_down_says_so() {
    let ended = Rerun::of(&name("one_cannot_read_it")).run();
    let output = ended.output();
    assert!(!ended.status.success(), "{output}");
    let expected = "fixture `unreadable` failed: its value cannot be written down: key must be a";
    assert!(output.contains(expected), "{output}");
    kept(&ended);
}

/// What it breaks goes with its keeper before it is put back.
#[chaos_test(breaks(depot))]
#[ignore = "another test runs it as a child"]
async fn one_kills_the_keeper_in_the_midst(
    chaos: &ChaosContext,
    depot: &Depot,
) -> chaos_test::Result {
    let requests = watch(chaos, &depot.service);
    requests.baseline(ms(100)).await?;
    let hang = chaos.inject(process::stop(&depot.service)).await?;
    requests.over(ms(100)).await?;
    kill_process(
        Pid::from_raw(depot.keeper.cast_signed()).unwrap(),
        Raw::KILL,
    )?;
    until_gone(depot.keeper).await;
    drop(hang);
    Ok(())
}

/// The same where the test, too, is killed.
#[chaos_test(breaks(depot))]
#[ignore = "another test runs it as a child"]
async fn one_dies_with_the_keeper(chaos: &ChaosContext, depot: &Depot) -> chaos_test::Result {
    let keeper = Pid::from_raw(depot.keeper.cast_signed()).unwrap();
    chaos
        .during(process::stop(&depot.service), async |_| {
            kill_process(keeper, Raw::KILL)?;
            kill_process(rustix::process::getpid(), Raw::KILL)?;
            std::future::pending::<chaos_test::Result>().await
        })
        .await
        .map(drop)
}

/// Waits until a process has ended.
async fn until_gone(process: u32) {
    while runs(process) {
        tokio::time::sleep(ms(5)).await;
    }
}

#[test]
fn what_goes_with_a_killed_keeper_is_not_to_be_put_back() {
    let ended = one_after_the_other(&["one_kills_the_keeper_in_the_midst", "other_uses_it"]);
    let output = ended.output();
    // Nobody has looked at what lifting came to, and it is no pass.
    let expected = "actual:   process ";
    assert!(output.contains(expected), "{output}");
    assert!(
        output.contains("kept it for this run and has ended"),
        "{output}"
    );
    for never in ["NOT RESTORED", "could not undo"] {
        assert!(!output.contains(never), "{output}");
    }
    assert_eq!(output.matches("1 passed").count(), 1, "{output}");
    assert_eq!(output.matches("1 failed").count(), 2, "{output}");
    kept(&ended);
    let ended = one_after_the_other(&["one_dies_with_the_keeper", "other_uses_it"]);
    let output = ended.output();
    assert_eq!(output.matches("1 passed").count(), 1, "{output}");
    assert!(!output.contains("could not undo"), "{output}");
    kept(&ended);
}

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
        .during(container::kill(&cellar.service), async |_| {
            kill_process(Pid::from_raw(std::process::id() as i32).unwrap(), Raw::KILL)?;
            std::future::pending::<chaos_test::Result>().await
        })
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
    kill_process(
        Pid::from_raw(cellar.keeper.cast_signed()).unwrap(),
        Raw::KILL,
    )?;
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

/// Dead, killed in the midst, and asked for again: it is one container.
#[chaos_test(requires(docker))]
async fn a_container_lives_through_a_run(chaos: &ChaosContext) -> chaos_test::Result {
    let own = chaos.process("own", inventory_program()).await?;
    outage(chaos, &own).await?;
    let ran = tokio::task::spawn_blocking(|| {
        one_after_the_other(&[
            "each_fault_on_a_container",
            "one_dies_in_the_cellar",
            "each_fault_on_a_container",
            "one_kills_its_keeper",
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
