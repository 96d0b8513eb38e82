//! Many processes, dead runs and foreign files in one folder.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use super::*;
use crate::model::outcome::{Outcome, RunStatus, Verdict};
use crate::model::test_report::TestEnd;

const LIVING: u32 = 1;
const DEAD: u32 = 2;

fn is_alive(process: &ProcessIdentity) -> bool {
    process.pid == LIVING
}

fn report(run: &str, name: &str, pid: u32, ended: bool) -> TestReport {
    let outcome = Outcome::example(RunStatus::Completed, Verdict::Held);
    let mut report = TestReport::example("shop::chaos", name);
    report.run = run.into();
    report.process.pid = pid;
    report.end = ended.then(|| TestEnd {
        details: "    1.000  a line of the timeline\n".repeat(60),
        ..TestEnd::example(outcome)
    });
    report
}

fn write(reports: &Reports, name: &str, pid: u32, ended: bool) {
    let key = fragment_name("shop::chaos", name, 1, None);
    reports
        .write(&key, &report(&reports.name, name, pid, ended))
        .unwrap();
}

fn opened(root: &Path, run: &str) -> Reports {
    Reports::open(root, run).unwrap()
}

fn text(path: impl AsRef<Path>) -> String {
    fs::read_to_string(path.as_ref()).unwrap_or_default()
}

/// How often a test's name is in a document.
fn cases(document: &str) -> usize {
    document.matches("<testcase ").count()
}

fn age(path: &Path, by: Duration) {
    let file = File::open(path).unwrap();
    file.set_modified(SystemTime::now() - by).unwrap();
}

fn temporaries(folder: &Path) -> usize {
    let entries = fs::read_dir(folder).unwrap().flatten();
    entries
        .filter(|it| it.file_name().to_string_lossy().starts_with(".tmp-"))
        .count()
}

#[test]
fn merging_twice_gives_the_same_file_and_the_copy_of_the_current_run() {
    let root = tempfile::tempdir().unwrap();
    let run = opened(root.path(), "a");
    run.become_current(is_alive).unwrap();
    assert_eq!(
        cases(&text(root.path().join(JUNIT))),
        0,
        "the file is there at once"
    );
    write(&run, "one", DEAD, false);
    write(&run, "one", DEAD, true);
    write(&run, "two", DEAD, true);
    let path = run.merge().unwrap();
    let first = text(&path);
    assert_eq!((path, cases(&first)), (root.path().join("a/junit.xml"), 2));
    assert_eq!(run.merge().map(text).unwrap(), first);
    assert_eq!(text(root.path().join(JUNIT)), first);
    let key = fragment_name("shop::chaos", "one", 1, None);
    assert!(
        folder::read_report(&ended(&run.fragment(&key).unwrap()))
            .unwrap()
            .end
            .is_some()
    );
}

#[test]
fn what_is_no_report_is_left_out_and_said_once() {
    let root = tempfile::tempdir().unwrap();
    let run = opened(root.path(), "a");
    write(&run, "good", DEAD, true);
    let fragments = run.folder().join(folder::FRAGMENTS);
    fs::write(fragments.join("torn.json"), "{\"run\":\"a\"").unwrap();
    fs::write(fragments.join(".tmp-9-9"), "half").unwrap();
    fs::create_dir(fragments.join("folder.json")).unwrap();
    for _ in 0..2 {
        assert_eq!(cases(&text(run.merge().unwrap())), 1);
    }
    let told = run.told.lock().unwrap();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(
        told.iter().any(|line| line.contains("torn.json")),
        "{told:?}"
    );
}

#[test]
fn a_new_run_finishes_the_reports_of_dead_ones_and_takes_the_top() {
    let root = tempfile::tempdir().unwrap();
    let dead = opened(root.path(), "dead");
    dead.become_current(is_alive).unwrap();
    write(&dead, "killed", DEAD, false);
    let living = opened(root.path(), "living");
    write(&living, "goes_on", LIVING, false);

    let new = opened(root.path(), "new");
    write(&new, "first", LIVING, false);
    new.become_current(is_alive).unwrap();
    assert!(text(dead.folder().join(JUNIT)).contains("started and never ended"));
    assert!(
        !living.folder().join(JUNIT).exists(),
        "a living run writes its own"
    );
    assert!(text(root.path().join(JUNIT)).contains("name=\"first\""));
    assert_eq!(text(root.path().join(CURRENT)), "new\n");
}

#[test]
fn a_report_that_lacks_nothing_is_not_made_again() {
    let root = tempfile::tempdir().unwrap();
    let run = opened(root.path(), "a");
    write(&run, "one", DEAD, true);
    let stale = || folder::is_stale(&run.folder(), JUNIT);
    assert!(stale(), "it is missing");
    age(&run.folder().join("fragments"), Duration::from_secs(60));
    let key = fragment_name("shop::chaos", "one", 1, None);
    let fragment = ended(&run.fragment(&key).unwrap());
    age(&fragment, Duration::from_secs(60));
    run.merge().unwrap();
    assert!(!stale());

    // A fragment that appears while the report is being made.
    let report = Replacement::begin(&run.folder().join(JUNIT)).unwrap();
    thread::sleep(Duration::from_millis(20));
    write(&run, "two", DEAD, true);
    thread::sleep(Duration::from_millis(20));
    report.finish(b"without it").unwrap();
    assert!(stale());
}

#[test]
fn a_merge_that_others_have_done_meanwhile_is_not_done_again() {
    let root = tempfile::tempdir().unwrap();
    let run = opened(root.path(), "a");
    run.become_current(is_alive).unwrap();
    write(&run, "one", DEAD, true);
    run.merge().unwrap();
    let held = Lock::take(root.path()).unwrap();
    thread::scope(|scope| {
        let waiting = scope.spawn(|| run.merge().unwrap());
        thread::sleep(Duration::from_millis(200));
        // As two other processes would leave it.
        fs::write(run.folder().join(JUNIT), "theirs").unwrap();
        fs::write(run.folder().join(MERGED), "3").unwrap();
        drop(held);
        assert_eq!(text(waiting.join().unwrap()), "theirs");
    });
    assert_eq!(
        cases(&text(run.merge().unwrap())),
        1,
        "nobody else has since"
    );
}

#[test]
fn of_two_living_runs_the_one_that_began_later_is_current() {
    let root = tempfile::tempdir().unwrap();
    let earlier = opened(root.path(), "earlier");
    earlier.become_current(is_alive).unwrap();
    write(&earlier, "e", LIVING, false);
    let later = opened(root.path(), "later");
    later.become_current(is_alive).unwrap();
    write(&later, "l", LIVING, false);

    // The next process of the earlier run.
    let next = opened(root.path(), "earlier");
    next.become_current(is_alive).unwrap();
    assert_eq!(text(root.path().join(CURRENT)), "later\n");
    assert_eq!(cases(&text(next.merge().unwrap())), 1);
    assert_eq!(cases(&text(root.path().join(JUNIT))), 0);

    // Once the later one has ended, an identity that is used again gets to the top again,
    write(&later, "l", LIVING, true);
    next.become_current(is_alive).unwrap();
    assert_eq!(text(root.path().join(CURRENT)), "earlier\n");
    // and the one that began later takes it back whenever it likes.
    later.become_current(is_alive).unwrap();
    assert_eq!(text(root.path().join(CURRENT)), "later\n");
}

#[test]
fn only_old_dead_runs_of_ours_are_removed() {
    let root = tempfile::tempdir().unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    fs::create_dir_all(elsewhere.path().join("real/fragments")).unwrap();
    for number in 0..14 {
        let run = opened(root.path(), &format!("run{number:02}"));
        let living = number == 1;
        write(&run, "test", if living { LIVING } else { DEAD }, !living);
        age(
            &run.folder().join("fragments"),
            Duration::from_secs(7_200 - number * 60),
        );
    }
    for foreign in ["notes", "no.run/fragments", "link-inside"] {
        fs::create_dir_all(root.path().join(foreign)).unwrap();
    }
    #[cfg(unix)]
    for (from, to) in [
        ("real", "link"),
        ("real/fragments", "link-inside/fragments"),
    ] {
        std::os::unix::fs::symlink(elsewhere.path().join(from), root.path().join(to)).unwrap();
    }
    let temporary = root.path().join(".tmp-1-1");
    File::create(&temporary).unwrap();
    age(&temporary, Duration::from_secs(4_000));
    File::create(root.path().join(".tmp-1-2")).unwrap();

    let new = opened(root.path(), "new");
    new.become_current(is_alive).unwrap();
    let left: BTreeSet<String> = fs::read_dir(root.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let kept: Vec<&str> = left.iter().map(String::as_str).collect();
    let mut expected = vec![".lock", ".tmp-1-2", CURRENT, JUNIT];
    expected.extend(if cfg!(unix) {
        &["link", "link-inside"][..]
    } else {
        &["link-inside"]
    });
    expected.extend(["new", "no.run", "notes", "run01"]);
    let newest: Vec<String> = (5..14).map(|number| format!("run{number:02}")).collect();
    expected.extend(newest.iter().map(String::as_str));
    assert_eq!(kept, expected);
}

#[test]
fn errors_name_the_path() {
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("file");
    File::create(&file).unwrap();
    let error = Reports::open(&file, "a").unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with(&format!("cannot create {}", file.display()))
    );
    let run = opened(root.path(), "../a/b c");
    assert_eq!(run.folder().parent(), Some(root.path()));
    let error = run
        .write("../x.json", &report("a", "t", 1, true))
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    // `cargo clean` in the middle of a run.
    fs::remove_dir_all(run.folder()).unwrap();
    write(&run, "again", DEAD, true);
    assert_eq!(cases(&text(run.merge().unwrap())), 1);
}

#[cfg(unix)]
#[test]
fn a_root_that_is_a_link_is_followed() {
    let place = tempfile::tempdir().unwrap();
    let root = place.path().join("link");
    std::os::unix::fs::symlink(place.path().join("gone"), &root).unwrap();
    let error = Reports::open(&root, "a").unwrap_err().to_string();
    assert!(
        error.starts_with(&format!("cannot create {}", root.display())),
        "{error}"
    );
    fs::create_dir(place.path().join("gone")).unwrap();
    opened(&root, "a").become_current(is_alive).unwrap();
    assert!(place.path().join("gone/junit.xml").exists());
}

#[test]
fn many_threads_and_processes_share_one_run() {
    const NAME: &str = "run::reports::tests::many_threads_and_processes_share_one_run";
    const PLACE: &str = "CHAOS_TEST_SHARED_REPORTS";
    let work = |root: &Path, who: &str| {
        let run = opened(root, "shared");
        run.become_current(is_alive).unwrap();
        for number in 0..10 {
            let name = format!("{who}_{number}");
            write(&run, &name, DEAD, false);
            write(&run, &name, DEAD, true);
            run.merge().unwrap();
        }
    };
    if let Some(root) = std::env::var_os(PLACE) {
        work(Path::new(&root), &format!("process_{}", std::process::id()));
        return;
    }
    let root = tempfile::tempdir().unwrap();
    let this = std::env::current_exe().unwrap();
    let children: Vec<_> = (0..4)
        .map(|_| {
            let mut child = Command::new(&this);
            child.args([NAME, "--exact"]).env(PLACE, root.path());
            child.stdout(std::process::Stdio::null()).spawn().unwrap()
        })
        .collect();
    thread::scope(|scope| {
        for number in 0..4 {
            let (root, work) = (root.path(), &work);
            scope.spawn(move || work(root, &format!("thread_{number}")));
        }
    });
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    let document = text(root.path().join(JUNIT));
    assert_eq!(cases(&document), 80);
    assert_eq!(document, text(root.path().join("shared/junit.xml")));
    assert!(!document.contains("<error"), "a fragment was lost");
    for folder in [".", "shared", "shared/fragments"] {
        assert_eq!(temporaries(&root.path().join(folder)), 0);
    }
}

/// A bound that a busy machine keeps too; on an idle one it is a tenth of it.
#[test]
fn a_thousand_fragments_merge() {
    let root = tempfile::tempdir().unwrap();
    let run = opened(root.path(), "large");
    run.become_current(is_alive).unwrap();
    for number in 0..1_000 {
        write(&run, &format!("test_{number}"), DEAD, true);
    }
    let since = Instant::now();
    run.merge().unwrap();
    let took = since.elapsed();
    // For whoever looks: a busy machine must not fail it.
    let _ = writeln!(io::stderr(), "1,000 fragments merged in {took:?}");
    let document = fs::read_to_string(root.path().join("junit.xml")).unwrap();
    assert!(document.contains("tests=\"1000\""), "{document}");
}
