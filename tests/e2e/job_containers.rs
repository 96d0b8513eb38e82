//! Jobs in containers of their own: each has its own process numbers and state directory, and
//! what they make is on one engine.

use std::process::Command;
use std::time::{Duration, Instant};

use chaos_test::Journal;
use chaos_test_fixtures::rerun::{Folder, Rerun, Started};

use crate::containers_death::READY;
use crate::engine::{Run, name_of};
use crate::subjects::say;

/// A child in a namespace of process numbers of its own, which ends with it as a container does.
fn job(run: &Run, test: &str, folder: Folder) -> Rerun {
    let mut launcher = Command::new("unshare");
    launcher.args(["--pid", "--fork", "--mount-proc", "--kill-child=SIGKILL"]);
    Rerun::by(launcher, test, folder).env("CHAOS_RUN_ID", run.id())
}

/// Whether jobs can be started here.
fn can_start_jobs(test: &str) -> bool {
    let tried = Command::new("unshare")
        .args(["--pid", "--fork", "--mount-proc", "true"])
        .output();
    let why = match tried {
        Ok(tried) if tried.status.success() => return true,
        Ok(tried) => String::from_utf8_lossy(&tried.stderr).trim().to_owned(),
        Err(error) => format!("`unshare`: {error}"),
    };
    let required = std::env::var("CHAOS_REQUIRE").unwrap_or_default();
    let mut required = required.split(',').map(str::trim);
    assert!(!required.any(|word| word == "all"), "{test}: {why}");
    say(&format!("SKIPPED {test}: {why}"));
    false
}

fn journal(job: &Started) -> Journal {
    let files = Folder::files(&job.folder().state().join("journals"));
    assert_eq!(files.len(), 1, "{files:?}");
    Journal::read(&std::fs::read_to_string(&files[0]).unwrap()).unwrap()
}

#[test]
fn a_job_that_goes_with_its_watchdog_takes_nothing_of_another_one_along() {
    let name = "a_job_that_goes_with_its_watchdog_takes_nothing_of_another_one_along";
    let Some(run) = Run::new(name) else { return };
    if !can_start_jobs(name) {
        return;
    }
    let test = "containers_death::it_has_a_paused_container";
    // As near to each other as can be: they have the same process number, and often have
    // started in the same tick.
    let [mut first, mut second] = [(); 2].map(|()| job(&run, test, Folder::default()).start());
    for job in [&mut first, &mut second] {
        job.until_printed(READY);
    }
    let [one, other] = [&first, &second].map(|job| journal(job).started.process);
    assert_eq!(one.pid, other.pid);
    assert_ne!(one.namespace, other.namespace);
    assert_eq!(run.networks().len(), 2, "{:?}", run.left());
    let before = left(&run);
    assert_eq!(before.len(), 6, "{before:?}");

    let (ended, _) = first.kill_itself();
    // Another machine's job cannot tell whether it has ended, and its time is not over.
    let state = ended.folder.state();
    let swept = run.sweep(ended.folder).run();
    assert!(swept.status.success(), "{}", swept.output());
    assert_eq!(left(&run), before, "{}", swept.output());
    assert_eq!(Folder::files(&state.join("journals")).len(), 1);

    // The other one ends in order, and takes its own along.
    let inner = inner_pid(&second);
    rustix::process::kill_process(inner, rustix::process::Signal::TERM).unwrap();
    let ended = second.wait();
    let output = ended.output();
    assert!(output.contains("everything is put back"), "{output}");
    let end = Instant::now() + Duration::from_secs(30);
    while run.left().len() > 3 && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(10));
    }
    let left = left(&run);
    let [container] = &run.containers()[..] else {
        panic!("{left:?}\n{output}");
    };
    let namespace =
        &container.config.as_ref().unwrap().labels.as_ref().unwrap()["chaos-test.pid-namespace"];
    assert_eq!(*namespace, one.namespace.to_string());
    assert!(before.contains(&left[0]), "{left:?}");
    assert_eq!(left.len(), 3, "{left:?}");
    assert!(name_of(container).contains(&format!("{:x}", one.namespace)));
    run.remove();
    run.assert_nothing_left(&output);
}

/// What there is of a run, in order.
fn left(run: &Run) -> Vec<String> {
    let mut left = run.left();
    left.sort();
    left
}

/// The process of a job's test, by the number that it has here.
fn inner_pid(job: &Started) -> rustix::process::Pid {
    let pid = job.pid();
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    let child = children.split_whitespace().next().unwrap();
    rustix::process::Pid::from_raw(child.parse().unwrap()).unwrap()
}
