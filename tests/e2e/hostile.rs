//! Code of users that panics, blocks, lies or comes too late never keeps the harness from
//! putting things back and telling the truth.

use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Instant;

use chaos_test::prelude::*;
use chaos_test::{
    Effect, Error, ReadOnlySystem, Reading, RunStatus, System, Target, Undo, Verdict, process,
};
use chaos_test_fixtures::rerun::{Ended, Folder, Rerun};

use crate::bad_input::{nothing_left, outcome};
use crate::victims::{inventory, inventory_program};

/// A fault on a file that misbehaves in one way.
#[derive(Debug, Clone)]
struct Hostile {
    path: PathBuf,
    how: How,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum How {
    StaysActive,
    PanicsInHits,
    PanicsInApply,
    WritesLate,
    BlocksAndWritesLate,
    NeverEnds,
}

impl Fault for Hostile {
    fn describe(&self) -> String {
        "a hostile fault".to_owned()
    }

    fn targets(&self) -> Vec<Target> {
        vec![Target::File(self.path.clone())]
    }

    async fn prepare(&self, system: &ReadOnlySystem) -> Result<Undo, Error> {
        system.undo_restoring(&self.path)
    }

    async fn apply(&self, _: &System) -> Result<(), Error> {
        match self.how {
            How::WritesLate => tokio::time::sleep(secs(60)).await,
            How::BlocksAndWritesLate => std::thread::sleep(secs(7)),
            How::NeverEnds => {
                std::fs::write(&self.path, "broken").unwrap();
                loop {
                    std::thread::park();
                }
            }
            How::PanicsInApply => panic!("apply fell over"),
            How::StaysActive | How::PanicsInHits => {}
        }
        std::fs::write(&self.path, "broken").map_err(|error| Error::msg(error.to_string()))
    }

    async fn verify(&self, _: &ReadOnlySystem) -> Result<Effect, Error> {
        let text = std::fs::read_to_string(&self.path).unwrap_or_default();
        if self.how == How::StaysActive || text == "broken" {
            Ok(Effect::Active)
        } else {
            Ok(Effect::Absent(text))
        }
    }

    fn hits(&self, _: &ReadOnlySystem) -> Option<u64> {
        assert!(self.how != How::PanicsInHits, "hits fell over");
        Some(1)
    }
}

/// The folder that the parent looks into.
fn folder_of_child() -> PathBuf {
    let folder = std::env::var_os("HOSTILE_FOLDER").expect("the parent names a folder");
    folder.into()
}

/// A sound file in there.
fn sound_file(chaos: &ChaosContext, how: How) -> Hostile {
    let path = folder_of_child().join("file");
    std::fs::write(&path, "sound").unwrap();
    chaos.may_break(&Target::File(path.clone()));
    Hostile { path, how }
}

#[chaos_test]
#[ignore = "another test runs it as a child"]
async fn it_stays_in_effect(chaos: &ChaosContext) -> chaos_test::Result {
    let fault = sound_file(chaos, How::StaysActive);
    drop(chaos.inject(fault).await?);
    Ok(())
}

#[chaos_test]
#[ignore = "another test runs it as a child"]
async fn its_hits_panic(chaos: &ChaosContext) -> chaos_test::Result {
    let fault = sound_file(chaos, How::PanicsInHits);
    chaos.inject(fault).await?.lift().await?;
    Ok(())
}

#[chaos_test]
#[ignore = "another test runs it as a child"]
async fn its_apply_panics(chaos: &ChaosContext) -> chaos_test::Result {
    let _guard = chaos.inject(sound_file(chaos, How::PanicsInApply)).await?;
    Ok(())
}

#[chaos_test(timeout = "300ms")]
#[ignore = "another test runs it as a child"]
async fn its_apply_comes_late(chaos: &ChaosContext) -> chaos_test::Result {
    let _guard = chaos.inject(sound_file(chaos, How::WritesLate)).await?;
    Ok(())
}

#[chaos_test(timeout = "300ms")]
#[ignore = "another test runs it as a child"]
async fn its_apply_blocks(chaos: &ChaosContext) -> chaos_test::Result {
    let late = sound_file(chaos, How::BlocksAndWritesLate);
    let _guard = chaos.inject(late).await?;
    Ok(())
}

#[chaos_test(timeout = "300ms")]
#[ignore = "another test runs it as a child"]
async fn its_apply_never_ends(chaos: &ChaosContext) -> chaos_test::Result {
    let _guard = chaos.inject(sound_file(chaos, How::NeverEnds)).await?;
    Ok(())
}

/// Keeps its process there until it is told to go.
#[test]
#[ignore = "another test runs it as a child"]
fn it_stays_until_it_is_told_to_go() {
    let go = folder_of_child().join("go");
    let end = Instant::now() + secs(120);
    while !go.exists() && Instant::now() < end {
        std::thread::sleep(ms(5));
    }
}

#[chaos_test]
#[ignore = "another test runs it as a child"]
async fn another_contexts_error_is_passed_on(_chaos: &ChaosContext) -> chaos_test::Result {
    ChaosContext::start().await?.finish().await?;
    Ok(())
}

#[chaos_test]
#[ignore = "another test runs it as a child"]
async fn its_closure_panics(chaos: &ChaosContext, inventory: &Service) -> chaos_test::Result {
    #[allow(unreachable_code)]
    chaos.at_rollback("fall over", || {
        panic!("the closure fell over");
        async { Ok::<_, TestError>(()) }
    })?;
    chaos.inject(process::kill(inventory)).await?.lift().await?;
    Ok(())
}

/// A probe that cannot even say its name.
#[derive(Debug)]
struct Nameless;

impl Probe for Nameless {
    fn name(&self) -> String {
        panic!("the name fell over")
    }

    async fn sample(&self) -> Reading {
        Reading::Good(None)
    }
}

#[chaos_test]
#[ignore = "another test runs it as a child"]
async fn its_probe_has_no_name(chaos: &ChaosContext, inventory: &Service) -> chaos_test::Result {
    let _ = inventory;
    chaos.monitor(Nameless.every(ms(10)));
    Ok(())
}

#[chaos_test]
#[ignore = "another test runs it as a child"]
async fn nobody_uses_what_it_kills(
    chaos: &ChaosContext,
    inventory: &Service,
) -> chaos_test::Result {
    let fine = chaos.monitor(
        (async || Ok::<_, TestError>(()))
            .every(ms(5))
            .named("unrelated"),
    );
    let _outage = chaos.inject(process::kill(inventory)).await?;
    fine.over(ms(50)).await?;
    Ok(())
}

static HELD: Mutex<Option<ChaosContext>> = Mutex::new(None);

#[test]
#[ignore = "another test runs it as a child"]
fn a_context_stays_in_a_static() {
    let chaos = ChaosContext::start_blocking().unwrap();
    chaos
        .block_on(chaos.process("inventory", inventory_program()))
        .unwrap();
    *HELD.lock().unwrap() = Some(chaos);
}

struct Ran {
    ended: Ended,
    folder: tempfile::TempDir,
}

fn run(test: &str) -> Ran {
    run_as(test, |child| child)
}

/// Runs a test whose watchdog would mend what is looked at.
fn run_unwatched(test: &str) -> Ran {
    run_as(test, Rerun::unwatched)
}

fn run_as(test: &str, change: impl FnOnce(Rerun) -> Rerun) -> Ran {
    let folder = tempfile::tempdir().unwrap();
    let child = Rerun::of(&format!("hostile::{test}")).env("HOSTILE_FOLDER", folder.path());
    let ended = change(child).run();
    Ran { ended, folder }
}

impl Ran {
    fn failed(self) -> Self {
        assert!(
            !self.ended.status.success(),
            "it passed:\n{}",
            self.ended.output()
        );
        self
    }

    fn file(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("file")).unwrap()
    }

    fn says(&self, expected: &str) {
        let output = self.ended.output();
        assert!(
            output.contains(expected),
            "`{expected}` is missing in:\n{output}"
        );
    }
}

#[test]
fn a_fault_that_stays_in_effect_is_not_restored() {
    let ran = run_unwatched("it_stays_in_effect").failed();
    ran.says("its undo was performed, and it is still in effect");
    assert_eq!(
        ran.ended.leftovers().len(),
        1,
        "its journal is left for the next run"
    );
}

#[test]
fn a_panic_in_a_fault_does_not_stop_the_rollback() {
    for (test, expected) in [
        ("its_hits_panic", "`hits` of the fault panicked"),
        ("its_apply_panics", "apply fell over"),
    ] {
        let ran = run(test).failed();
        ran.says(expected);
        assert_eq!(ran.file(), "sound");
        nothing_left(&ran.ended);
    }
}

#[test]
fn an_apply_that_comes_too_late_is_given_up_and_undone() {
    let ran = run("its_apply_comes_late").failed();
    assert!(matches!(outcome(&ran.ended).status, RunStatus::TimedOut(_)));
    assert_eq!(ran.file(), "sound");
    nothing_left(&ran.ended);
}

#[test]
fn an_apply_that_cannot_be_given_up_is_left_to_the_next_run() {
    let ran = run_unwatched("its_apply_blocks").failed();
    ran.says(
        "it is still being applied and does not end; it is undone once this process has ended",
    );
    // The process has ended, so nothing comes late any more.
    let folder = ran.ended.folder;
    std::fs::write(ran.folder.path().join("file"), "broken").unwrap();
    let next = Rerun::within("subjects::it_skips_itself", folder)
        .env_remove("CHAOS_REQUIRE")
        .run();
    assert!(next.status.success(), "{}", next.output());
    let file = std::fs::read_to_string(ran.folder.path().join("file")).unwrap();
    assert_eq!(file, "sound", "{}", next.output());
    nothing_left(&next);
}

/// What still writes would write behind the back of whoever undid it.
#[test]
fn what_never_ends_is_undone_by_nobody_before_its_process_has_ended() {
    let folder = tempfile::tempdir().unwrap();
    let file = || std::fs::read_to_string(folder.path().join("file")).unwrap();
    let mut child = Rerun::of("hostile::its_apply_never_ends")
        .beside("hostile::it_stays_until_it_is_told_to_go")
        .env("RUST_TEST_THREADS", "2")
        .env("HOSTILE_FOLDER", folder.path())
        .start();
    // Its test is over, and its process is not.
    child.until_printed("its_apply_never_ends: not everything was put back; its watchdog tries");
    let journals = child.folder().state().join("journals");
    let journal = Folder::files(&journals);
    assert_eq!(journal.len(), 1, "{}", child.output());
    let other = Rerun::of("subjects::it_skips_itself")
        .env("CHAOS_STATE_DIR", child.folder().state())
        .env_remove("CHAOS_REQUIRE")
        .run();
    let output = other.output();
    assert!(other.status.success(), "{output}");
    assert!(!output.contains("an earlier run was killed"), "{output}");
    assert_eq!(file(), "broken", "{output}");
    assert_eq!(Folder::files(&journals), journal, "{output}");

    std::fs::write(folder.path().join("go"), "").unwrap();
    let ended = child.wait();
    assert!(!ended.status.success(), "{}", ended.output());
    assert_eq!(file(), "sound", "{}", ended.output());
    nothing_left(&ended);
}

#[test]
fn the_error_of_another_context_is_not_taken_for_judged() {
    let ran = run("another_contexts_error_is_passed_on").failed();
    ran.says("nothing was injected");
}

#[test]
fn a_panic_in_a_closure_or_a_name_does_not_stop_the_rollback() {
    let ran = run("its_closure_panics").failed();
    ran.says("the closure fell over");
    assert_eq!(
        crate::victims::processes_with(&ran.ended.folder.reports().to_string_lossy()),
        Vec::<u32>::new()
    );
    let ran = run("its_probe_has_no_name").failed();
    let Verdict::Deviated(why) = outcome(&ran.ended).verdict else {
        panic!("{:?}", outcome(&ran.ended));
    };
    assert!(why.contains("the name fell over"), "{why}");
    nothing_left(&ran.ended);
}

#[test]
fn a_sample_of_something_else_meets_no_fault() {
    let ran = run("nobody_uses_what_it_kills").failed();
    let Verdict::Unknown(why) = outcome(&ran.ended).verdict else {
        panic!("{:?}", outcome(&ran.ended));
    };
    assert!(
        why.contains("nothing met it (0 connections, 0 bytes)"),
        "{why}"
    );
}

#[test]
fn a_context_in_a_static_is_put_back_at_the_exit() {
    let ran = run("a_context_stays_in_a_static");
    assert!(ran.ended.status.success(), "{}", ran.ended.output());
    nothing_left(&ran.ended);
    assert!(
        !ran.ended.junit().contains("<error"),
        "{}",
        ran.ended.junit()
    );
}

/// Guards that are dropped on the threads of fixtures and in `block_on` are lifted, and the
/// caller waits for it.
#[chaos_test(breaks(inventory))]
fn guards_may_be_dropped_in_blocking_code(
    chaos: &ChaosContext,
    inventory: &Service,
) -> chaos_test::Result {
    let address = inventory.first_address().socket();
    let answers = || {
        use std::io::{Read, Write};
        let mut stream = std::net::TcpStream::connect(address)?;
        stream.set_read_timeout(Some(secs(5)))?;
        stream.write_all(b"GET /health HTTP/1.0\r\n\r\n")?;
        stream.read(&mut [0; 16])
    };
    chaos.block_on(async {
        let guard = chaos.inject(process::kill(inventory)).await.unwrap();
        let dead = answers();
        assert!(
            !matches!(dead, Ok(1..)),
            "it answered while it was dead: {dead:?}"
        );
        drop(guard);
        // Lifted means ready again, and dropping has waited for that.
        assert!(matches!(answers(), Ok(1..)));
    });
    Ok(())
}

/// A monitor that asks rarely is given the time that its streak needs.
#[chaos_test(breaks(inventory))]
async fn a_slow_monitor_is_waited_for(
    chaos: &ChaosContext,
    inventory: &Service,
) -> chaos_test::Result {
    let rarely = chaos.monitor(inventory.get("/stock/42").every(ms(3500)));
    rarely.baseline(ms(3500)).await?;
    let outage = chaos.inject(process::kill(inventory)).await?;
    let _ = std::net::TcpStream::connect(inventory.first_address().socket());
    outage.lift().await?;
    Ok(())
}
