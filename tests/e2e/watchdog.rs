//! A test process that ends in a bad way: its watchdog puts everything back, and no other
//! run is needed for that.

mod missing;
mod out_of_memory;

use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::{Duration, Instant};

use chaos_test::prelude::*;
use chaos_test::{Journal, Target, process};
use chaos_test_fixtures::rerun::{Ended, Folder, Rerun, Started};

use crate::overwrite::Overwrite;
use crate::subjects::say;
use crate::victims::{inventory_program, processes_with, runs, watch};

/// What a child says when the time has come.
const READY: &str = "ready for its end";

/// Has two processes, one of them stopped, a scratch folder and a changed file; says so, and
/// does what is asked for.
async fn break_all(chaos: &ChaosContext, end: impl AsyncFnOnce()) -> chaos_test::Result {
    let file = std::path::PathBuf::from(std::env::var("WATCHDOG_FILE")?);
    std::fs::write(chaos.scratch_dir()?.join("dump"), "of no use")?;
    let sleeper = Program::new("sh")
        .args(["-c", "setsid sleep 600 & echo ready; exec sleep 600"])
        .without_port()
        .ready(chaos_test::log_line("ready"));
    chaos.process("sleeper", sleeper).await?;
    let inventory = chaos.process("inventory", inventory_program()).await?;
    let requests = watch(chaos, &inventory);
    chaos.may_break(&Target::File(file.clone()));
    chaos.may_break(&inventory);
    let _changed = chaos.inject(Overwrite(file)).await?;
    let _hang = chaos.inject(process::stop(&inventory)).await?;
    requests.over(ms(1)).await?;
    say(READY);
    end().await;
    Ok(())
}

/// A child that ends as its environment says.
#[chaos_test]
#[ignore = "another test runs it as a child"]
async fn it_ends_badly(chaos: &ChaosContext) -> chaos_test::Result {
    let end = std::env::var("WATCHDOG_END")?;
    let end = async || match end.as_str() {
        "abort" => std::process::abort(),
        "overflow" => overflow(0),
        "waits" => std::future::pending::<()>().await,
        other => panic!("{other}"),
    };
    break_all(chaos, end).await
}

/// Runs out of stack.
#[expect(unconditional_recursion, reason = "that is what it is for")]
fn overflow(depth: u64) {
    let room = std::hint::black_box([depth; 512]);
    overflow(room[7] + 1);
    std::hint::black_box(room);
}

#[chaos_test]
#[ignore = "another test runs it as a child"]
async fn it_does_nothing(chaos: &ChaosContext) -> chaos_test::Result {
    chaos.note("nothing was done");
    say(READY);
    std::future::pending::<()>().await;
    Ok(())
}

/// A child in its world.
struct Scene {
    child: Started,
    file: tempfile::NamedTempFile,
}

fn scene(end: &str) -> Scene {
    scene_with(end, Rerun::of("watchdog::it_ends_badly"))
}

fn scene_with(end: &str, child: Rerun) -> Scene {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "sound").unwrap();
    let child = child
        .env("WATCHDOG_FILE", file.path())
        .env("WATCHDOG_END", end);
    let mut child = child.start();
    child.until_printed(READY);
    Scene { child, file }
}

impl Scene {
    /// All its processes but itself and its watchdog.
    fn services(&self) -> Vec<u32> {
        let token = self.child.folder().reports();
        let mut services = processes_with(&token.to_string_lossy());
        let watchdogs = self.child.folder().watchdogs();
        services.retain(|pid| *pid != self.child.pid() && !watchdogs.contains(pid));
        services
    }

    fn watchdog(&self) -> u32 {
        let watchdogs = self.child.folder().watchdogs();
        let [watchdog] = watchdogs.as_slice() else {
            panic!("{watchdogs:?}");
        };
        *watchdog
    }
}

/// Nothing is left of a child, and its report says how it ended.
#[track_caller]
fn put_back(ended: &Ended, file: &std::path::Path) {
    let output = ended.output();
    assert!(!ended.status.success(), "{output}");
    assert_eq!(std::fs::read_to_string(file).unwrap(), "sound", "{output}");
    crate::bad_input::nothing_left(ended);
    let junit = ended.junit();
    assert!(junit.contains("watchdog::"), "{junit}");
    assert!(
        junit.contains("the test started and never ended"),
        "{junit}"
    );
    // Who undid it stands in the journal beside the report.
    let [journal] = ended.journals().try_into().expect("there is one test");
    let journal = Journal::read(&journal).unwrap();
    assert!(journal.pending().is_empty(), "{:?}", journal.pending());
}

#[test]
fn what_a_killed_test_leaves_is_put_back_by_its_watchdog() {
    let scene = scene("waits");
    let services = scene.services();
    assert_eq!(services.len(), 3, "{services:?}");
    let ended = scene.child.kill();
    put_back(&ended, scene.file.path());
    assert!(services.iter().all(|pid| !runs(*pid)), "{services:?}");
}

#[test]
fn what_a_crashed_test_leaves_is_put_back_by_its_watchdog() {
    for end in ["abort", "overflow"] {
        let scene = scene(end);
        let ended = scene.child.wait();
        put_back(&ended, scene.file.path());
    }
}

/// As nextest ends a test that takes too long.
#[test]
fn a_watchdog_outlives_the_process_group_of_its_test() {
    let mut launcher = Command::new("env");
    launcher.process_group(0);
    let child = Rerun::by(launcher, "watchdog::it_ends_badly", Folder::default());
    let scene = scene_with("waits", child);
    let group = rustix_pid(scene.child.pid());
    rustix::process::kill_process_group(group, rustix::process::Signal::KILL).unwrap();
    put_back(&scene.child.wait(), scene.file.path());
}

fn rustix_pid(pid: u32) -> rustix::process::Pid {
    rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap()
}

#[test]
fn where_the_watchdog_is_killed_too_the_next_run_puts_back() {
    let scene = scene("waits");
    let (services, watchdog) = (scene.services(), scene.watchdog());
    rustix::process::kill_process(rustix_pid(watchdog), rustix::process::Signal::KILL).unwrap();
    let ended = scene.child.kill();
    assert_eq!(
        std::fs::read_to_string(scene.file.path()).unwrap(),
        "broken"
    );
    assert!(services.iter().all(|pid| runs(*pid)), "{services:?}");
    let next = Rerun::within("subjects::it_skips_itself", ended.folder)
        .env_remove("CHAOS_REQUIRE")
        .run();
    let output = next.output();
    assert!(next.status.success(), "{output}");
    assert!(output.contains("an earlier run was killed in"), "{output}");
    assert_eq!(
        std::fs::read_to_string(scene.file.path()).unwrap(),
        "sound",
        "{output}"
    );
    crate::bad_input::nothing_left(&next);
}

/// Nobody waits for a watchdog that holds nothing of the test's: no runner for its output,
/// no shell for its folder.
#[test]
fn a_watchdog_holds_nothing_of_its_test() {
    let scene = scene("waits");
    let watchdog = scene.watchdog();
    let link = |path: &str| {
        let link = std::fs::read_link(format!("/proc/{watchdog}/{path}")).unwrap();
        link.to_string_lossy().into_owned()
    };
    let open: Vec<_> = std::fs::read_dir(format!("/proc/{watchdog}/fd"))
        .unwrap()
        .flatten()
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    for number in open {
        let leads = link(&format!("fd/{number}"));
        match number.as_str() {
            "0" => assert!(leads.starts_with("socket:"), "{leads}"),
            "1" | "2" => assert_eq!(leads, "/dev/null"),
            _ => assert!(leads.contains("[pidfd]"), "{number}: {leads}"),
        }
    }
    assert_eq!(link("cwd"), "/");
    // No signal ends it but SIGKILL: SIGHUP, SIGINT, SIGQUIT, SIGPIPE and SIGTERM are caught.
    let status = std::fs::read_to_string(format!("/proc/{watchdog}/status")).unwrap();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    let caught = u64::from_str_radix(caught.unwrap().trim(), 16).unwrap();
    for signal in [1, 2, 3, 13, 15] {
        assert_ne!(caught & (1 << (signal - 1)), 0, "{signal}: {caught:x}");
    }
    let stat = std::fs::read_to_string(format!("/proc/{watchdog}/stat")).unwrap();
    let fields: Vec<_> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    // Its group and its session are its own.
    assert_eq!(fields[2], watchdog.to_string());
    assert_eq!(fields[3], watchdog.to_string());
    put_back(&scene.child.kill(), scene.file.path());
}

#[test]
fn a_test_without_any_effect_has_no_watchdog_and_a_true_report_later() {
    let mut child = Rerun::of("watchdog::it_does_nothing").start();
    child.until_printed(READY);
    assert!(child.folder().watchdogs().is_empty());
    let ended = child.kill();
    let next = Rerun::within("subjects::it_skips_itself", ended.folder)
        .env_remove("CHAOS_REQUIRE")
        .run();
    crate::bad_input::nothing_left(&next);
    let junit = next.junit();
    assert!(junit.contains("it_does_nothing"), "{junit}");
    assert!(
        junit.contains("the test started and never ended"),
        "{junit}"
    );
}

#[test]
fn a_test_that_ends_in_order_takes_its_watchdog_along() {
    let child = Rerun::of("ordinary::an_async_body_with_a_result").start();
    let folder = child.folder().reports();
    let end = Instant::now() + Duration::from_secs(60);
    while child.folder().watchdogs().is_empty() {
        assert!(Instant::now() < end, "there is none:\n{}", child.output());
        std::thread::sleep(Duration::from_millis(1));
    }
    let ended = child.wait();
    // On a busy machine it may fail; that is not what is looked at.
    assert!(ended.status.code().is_some(), "{}", ended.output());
    assert!(
        !ended.output().contains("no watchdog"),
        "{}",
        ended.output()
    );
    assert!(processes_with(&folder.to_string_lossy()).is_empty());
}

#[test]
fn without_a_watchdog_the_journal_says_so_and_nonsense_is_refused() {
    let child = |value| {
        let child = Rerun::of("ordinary::an_async_body_with_a_result");
        child.env("CHAOS_WATCHDOG", value).run()
    };
    let ended = child("off");
    // On a busy machine it may fail; that is not what is looked at.
    assert!(ended.status.code().is_some(), "{}", ended.output());
    let journals = ended.journals().concat();
    assert!(
        journals.contains("no watchdog: CHAOS_WATCHDOG=off"),
        "{journals}"
    );
    let ended = child("no");
    assert!(!ended.status.success(), "{}", ended.output());
    let expected = "CHAOS_WATCHDOG is `no`; it is `on`, as without it, or `off`";
    assert!(ended.output().contains(expected), "{}", ended.output());
}
