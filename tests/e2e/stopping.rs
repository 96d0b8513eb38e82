//! The emergency stop: everything is put back at once, and what was stopped says so.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use chaos_test::prelude::*;
use chaos_test::{Injection, process};
use chaos_test_fixtures::rerun::{Ended, Folder, Rerun, Started};
use rustix::process::{Pid, Signal as Raw, kill_process};

use crate::bad_input::nothing_left;
use crate::subjects::say;
use crate::victims::{inventory, processes_with, runs, watch};

/// What a child says when the time has come.
const READY: &str = "ready to be stopped";

/// A fault in force that something has met.
async fn break_something(
    chaos: &ChaosContext,
    inventory: &Service,
) -> chaos_test::Result<Injection> {
    let requests = watch(chaos, inventory);
    let hang = chaos.inject(process::stop(inventory)).await?;
    requests.over(ms(1)).await?;
    say(READY);
    Ok(hang)
}

#[chaos_test]
#[ignore = "another test runs it as a child"]
async fn it_waits(chaos: &ChaosContext, inventory: &Service) -> chaos_test::Result {
    let _hang = break_something(chaos, inventory).await?;
    std::future::pending::<()>().await;
    Ok(())
}

#[chaos_test]
#[ignore = "another test runs it as a child"]
async fn it_spins(chaos: &ChaosContext, inventory: &Service) -> chaos_test::Result {
    let _hang = break_something(chaos, inventory).await?;
    loop {
        std::hint::spin_loop();
    }
}

#[chaos_test]
#[ignore = "another test runs it as a child"]
fn it_blocks(chaos: &ChaosContext, inventory: &Service) -> chaos_test::Result {
    let _hang = chaos.block_on(break_something(chaos, inventory))?;
    loop {
        std::thread::park();
    }
}

/// It says nothing on standard error, which nobody may read.
#[chaos_test]
#[ignore = "another test runs it as a child"]
async fn silently_it_waits(chaos: &ChaosContext, inventory: &Service) -> chaos_test::Result {
    let requests = watch(chaos, inventory);
    let _hang = chaos.inject(process::stop(inventory)).await?;
    requests.over(ms(1)).await?;
    chaos.note(READY);
    std::future::pending::<()>().await;
    Ok(())
}

/// Its rollback does not come to an end.
#[chaos_test]
#[ignore = "another test runs it as a child"]
async fn it_waits_in_its_rollback(chaos: &ChaosContext, inventory: &Service) -> chaos_test::Result {
    chaos.at_rollback("wait", || async {
        say("it rolls back");
        std::future::pending::<()>().await;
        Ok::<_, TestError>(())
    })?;
    let _hang = break_something(chaos, inventory).await?;
    std::future::pending::<()>().await;
    Ok(())
}

/// A context without the macro.
#[tokio::test]
#[ignore = "another test runs it as a child"]
async fn a_plain_one_waits() {
    let chaos = ChaosContext::start().await.unwrap();
    let inventory = crate::victims::inventory_program();
    let inventory = chaos.process("inventory", inventory).await.unwrap();
    let _hang = break_something(&chaos, &inventory).await.unwrap();
    let error = loop {
        match chaos.scratch_dir() {
            Ok(_) => tokio::time::sleep(ms(1)).await,
            Err(error) => break error,
        }
    };
    assert!(error.is_ended(), "{error}");
    let error = chaos.finish().await.unwrap_err();
    assert!(error.is_interrupted(), "{error}");
    let error = ChaosContext::start().await.unwrap_err();
    assert!(error.is_interrupted(), "{error}");
}

fn ready(child: Rerun) -> Started {
    let mut child = child.start();
    child.until_printed(READY);
    child
}

fn subject(name: &str) -> Rerun {
    // So that nobody else puts anything back.
    watched(name, Folder::default()).unwatched()
}

fn watched(name: &str, folder: Folder) -> Rerun {
    // Whoever runs these tests may ignore such signals, as `nohup` does, and a shell for what it
    // runs in the background; children would do the same.
    let mut launcher = Command::new("env");
    launcher.arg("--default-signal=HUP,INT,TERM");
    Rerun::by(launcher, &format!("stopping::{name}"), folder)
}

fn send(child: &Started, signal: Raw) {
    let pid = Pid::from_raw(i32::try_from(child.pid()).unwrap()).unwrap();
    kill_process(pid, signal).unwrap();
}

/// It was put back, and says why it ended.
#[track_caller]
fn interrupted(ended: &Ended, why: &str) {
    nothing_left(ended);
    let junit = ended.junit();
    let expected = format!("<error message=\"interrupted: {why}");
    assert!(junit.contains(&expected), "{expected} in:\n{junit}");
    assert!(junit.contains("type=\"interrupted\""), "{junit}");
}

#[test]
fn a_signal_puts_everything_back_and_ends_the_process_as_ever() {
    for (signal, name) in [
        (Raw::INT, "SIGINT"),
        (Raw::TERM, "SIGTERM"),
        (Raw::HUP, "SIGHUP"),
    ] {
        for body in ["it_waits", "it_spins", "it_blocks"] {
            let child = ready(subject(body));
            send(&child, signal);
            let ended = child.wait();
            let expected = Some(signal.as_raw());
            assert_eq!(ended.status.signal(), expected, "{}", ended.output());
            interrupted(&ended, name);
        }
    }
}

#[test]
fn a_signal_that_the_process_ignores_stays_ignored() {
    let mut launcher = Command::new("env");
    launcher.args(["--default-signal=TERM", "--ignore-signal=HUP"]);
    let child = Rerun::by(launcher, "stopping::it_waits", Folder::default());
    let child = ready(child.unwatched());
    send(&child, Raw::HUP);
    send(&child, Raw::TERM);
    let ended = child.wait();
    assert_eq!(ended.status.signal(), Some(Raw::TERM.as_raw()));
    interrupted(&ended, "SIGTERM");
}

#[test]
fn a_second_signal_ends_it_at_once_and_the_watchdog_does_the_rest() {
    let mut child = ready(watched("it_waits_in_its_rollback", Folder::default()));
    send(&child, Raw::INT);
    child.until_printed("it rolls back");
    send(&child, Raw::INT);
    let ended = child.wait();
    assert_eq!(ended.status.signal(), Some(Raw::INT.as_raw()));
    nothing_left(&ended);
}

/// A pipe that nobody reads, and that takes nothing more. It is one as long as it is open.
fn full_pipe(path: &Path) -> std::fs::File {
    let made = Command::new("mkfifo").arg(path).status().unwrap();
    assert!(made.success(), "{made}");
    let mut options = std::fs::File::options();
    // Only this side does not wait for room: who opens it by its name does.
    options
        .read(true)
        .write(true)
        .custom_flags(libc::O_NONBLOCK);
    let mut pipe = options.open(path).unwrap();
    let full = loop {
        if let Err(error) = pipe.write(b"x") {
            break error;
        }
    };
    assert_eq!(full.kind(), std::io::ErrorKind::WouldBlock);
    pipe
}

fn until(what: &str, child: &Started, so: impl Fn(&Started) -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !so(child) {
        let output = child.output();
        assert!(
            Instant::now() < end,
            "it never came to this: {what}\n{output}"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// As where a terminal is held (Ctrl-S), or a pager is not scrolled.
#[test]
fn nobody_needs_to_read_what_is_said_for_everything_to_be_put_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("stderr");
    let pipe = full_pipe(&path);
    let mut launcher = Command::new("sh");
    let script = r#"exec env --default-signal=TERM "$@" 2>"$0""#;
    launcher.args(["-c", script]).arg(&path);
    let child = Rerun::by(launcher, "stopping::silently_it_waits", Folder::default());
    // After one that has passed, so that there is a sum to be said at the end.
    let child = child.beside("contract::a_fault_of_ones_own");
    let child = child.env("RUST_TEST_THREADS", "1").unwatched().start();
    let journals = |child: &Started| Folder::files(&child.folder().state().join("journals"));
    let text = |path: &std::path::PathBuf| std::fs::read_to_string(path).unwrap_or_default();
    until("it breaks something", &child, |child| {
        journals(child)
            .iter()
            .any(|path| text(path).contains(READY))
    });
    let reports = child.folder().reports().to_string_lossy().into_owned();
    let others = |child: &Started| {
        let mut others = processes_with(&reports);
        others.retain(|pid| *pid != child.pid());
        others
    };
    assert_ne!(others(&child), Vec::<u32>::new());
    send(&child, Raw::TERM);
    until("everything is put back", &child, |child| {
        others(child).is_empty() && journals(child).is_empty()
    });
    until("it dies of the signal", &child, |child| !runs(child.pid()));
    let ended = child.wait();
    assert_eq!(ended.status.signal(), Some(Raw::TERM.as_raw()));
    interrupted(&ended, "SIGTERM");
    drop(pipe);
}

/// Two tests, one after the other: the first one is stopped, the second one never begins.
fn stopped_by(change: impl FnOnce(Rerun, &Path) -> Rerun, stop: impl FnOnce(&Folder), why: &str) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("stop");
    let mut launcher = Command::new("sh");
    // In place of one test by its whole path, all whose paths begin with it.
    let script = r#"exec "$1" "$3" --include-ignored --nocapture --test-threads=1"#;
    launcher.args(["-c", script, "sh"]);
    let child = Rerun::by(launcher, "stopping::it_waits", Folder::default()).unwatched();
    let child = ready(change(child, &file));
    let began = Instant::now();
    stop(child.folder());
    if file.parent().is_some_and(Path::exists) {
        std::fs::write(&file, "").unwrap();
    }
    let ended = child.wait();
    let output = ended.output();
    assert!(began.elapsed() < Duration::from_secs(20), "{output}");
    assert!(!ended.status.success(), "{output}");
    // The second one has never come to where it says so.
    assert_eq!(output.matches(READY).count(), 1, "{output}");
    assert!(output.contains("2 failed"), "{output}");
    interrupted(&ended, why);
}

#[test]
fn a_file_stops_everything_that_goes_on_and_all_that_would_begin() {
    stopped_by(
        |child, file| child.env("CHAOS_STOP_FILE", file),
        |_| {},
        "the file /",
    );
}

#[test]
fn a_run_is_stopped_by_its_name() {
    stopped_by(
        |child, _| child,
        |folder| std::fs::write(folder.state().join("stops/child"), "").unwrap(),
        "by `cargo chaos stop`",
    );
}

/// A mark of an earlier run of the same name, which had other processes.
#[test]
fn a_mark_that_means_others_stops_nobody() {
    let folder = Folder::default();
    let stops = folder.state().join("stops");
    std::fs::create_dir_all(&stops).unwrap();
    for path in [folder.state(), stops.clone()] {
        let private = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        std::fs::set_permissions(path, private).unwrap();
    }
    let other = r#"[{"pid":1,"start_time":1,"boot_id":"another","namespace":1}]"#;
    std::fs::write(stops.join("child"), other).unwrap();
    let child = watched("it_waits", folder).unwatched();
    let child = ready(child);
    send(&child, Raw::TERM);
    interrupted(&child.wait(), "SIGTERM");
}

#[test]
fn a_plain_context_is_stopped_too() {
    let child = subject("a_plain_one_waits");
    let child = ready(child);
    std::fs::write(child.folder().state().join("stops/child"), "").unwrap();
    let ended = child.wait();
    assert!(ended.status.success(), "{}", ended.output());
    interrupted(&ended, "by `cargo chaos stop`");
}

#[test]
fn nothing_begins_where_the_environment_says_stop() {
    let ended = subject("it_waits").env("CHAOS_STOP", "1").run();
    assert!(!ended.status.success(), "{}", ended.output());
    assert!(!ended.output().contains(READY), "{}", ended.output());
    interrupted(&ended, "CHAOS_STOP is set");
}
