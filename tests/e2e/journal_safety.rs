//! Journals are replayed, so nobody may slip one in.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use chaos_test_fixtures::rerun::{Ended, Folder, Rerun};

/// A journal that would run a program of the forger's choice.
fn forged(marker: &Path) -> String {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let namespace =
        std::os::unix::fs::MetadataExt::ino(&std::fs::metadata("/proc/self/ns/pid").unwrap());
    format!(
        concat!(
            "{{\"seq\":1,\"at_us\":0,\"event\":\"started\",\"version\":1,\"run\":\"r\",\"test\":\"t\",",
            "\"process\":{{\"pid\":1,\"start_time\":1,\"boot_id\":\"{}\",\"namespace\":{}}},",
            "\"wall_clock_ms\":0,\"hypothesis\":\"\",\"seed\":0,\"tags\":[],\"reports\":\"/nowhere\",",
            "\"fragment\":\"f\",\"abandoned\":[]}}\n",
            "{{\"seq\":2,\"at_us\":0,\"event\":\"planned\",\"entry\":1,\"what\":\"w\",",
            "\"undo\":{{\"verb\":\"command\",\"argv\":[\"touch\",\"{}\"]}},\"fault\":true}}\n",
        ),
        boot.trim(),
        namespace,
        marker.display()
    )
}

/// Places a journal, lets a run sweep, and says whether the forger's program ran.
fn swept(place: impl FnOnce(&Path, &Path)) -> (Ended, bool) {
    let folder = Folder::default();
    let journals = folder.state().join("journals");
    std::fs::create_dir_all(&journals).unwrap();
    for path in [folder.state(), journals.clone()] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700)).unwrap();
    }
    let marker = folder.state().join("marker");
    place(&journals, &marker);
    let ended = Rerun::within("subjects::it_skips_itself", folder)
        .env_remove("CHAOS_REQUIRE")
        .run();
    let ran = marker.exists();
    (ended, ran)
}

fn write(path: &Path, text: &str, mode: u32) {
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_journal_of_ones_own_is_replayed() {
    // Without this the tests below could not fail.
    let (ended, ran) = swept(|journals, marker| {
        write(&journals.join("1-1-0.jsonl"), &forged(marker), 0o600);
    });
    assert!(ran, "{}", ended.output());
    assert!(ended.leftovers().is_empty(), "{:?}", ended.leftovers());
}

#[test]
fn a_journal_that_others_may_write_is_refused() {
    let (ended, ran) = swept(|journals, marker| {
        write(&journals.join("1-1-0.jsonl"), &forged(marker), 0o666);
    });
    assert!(!ran);
    assert!(
        ended
            .output()
            .contains("was left alone: others may write to it"),
        "{}",
        ended.output()
    );
}

#[test]
fn a_symbolic_link_is_refused() {
    let elsewhere = tempfile::tempdir().unwrap();
    let real = elsewhere.path().join("journal");
    let (ended, ran) = swept(|journals, marker| {
        write(&real, &forged(marker), 0o600);
        symlink(&real, journals.join("1-1-0.jsonl")).unwrap();
    });
    assert!(!ran);
    assert!(
        ended.output().contains("was left alone"),
        "{}",
        ended.output()
    );
    assert!(real.exists());
}

#[test]
fn a_journal_of_another_user_is_refused() {
    let probe = tempfile::NamedTempFile::new().unwrap();
    let own = std::os::unix::fs::MetadataExt::uid(&probe.as_file().metadata().unwrap());
    let other = if own == 65_534 { 65_533 } else { 65_534 };
    if std::os::unix::fs::chown(probe.path(), Some(other), None).is_err() {
        use std::io::Write as _;
        let required = std::env::var("CHAOS_REQUIRE").unwrap_or_default();
        let demanded = required
            .split(',')
            .any(|word| matches!(word.trim(), "all" | "root"));
        assert!(!demanded, "CHAOS_REQUIRE demands root");
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED a_journal_of_another_user_is_refused: only the superuser can give a file away"
        );
        return;
    }
    let (ended, ran) = swept(|journals, marker| {
        let path = journals.join("1-1-0.jsonl");
        write(&path, &forged(marker), 0o600);
        std::os::unix::fs::chown(path, Some(other), None).unwrap();
    });
    assert!(!ran);
    assert!(
        ended
            .output()
            .contains(&format!("it belongs to user {other}")),
        "{}",
        ended.output()
    );
}

#[test]
fn a_damaged_journal_is_left_for_a_person() {
    let (ended, ran) = swept(|journals, marker| {
        let damaged = forged(marker).replace("planned", "plammed");
        write(&journals.join("1-1-0.jsonl"), &damaged, 0o600);
    });
    assert!(!ran);
    assert!(
        ended.output().contains("line 2 is not a record"),
        "{}",
        ended.output()
    );
    assert_eq!(ended.leftovers().len(), 1);
}

#[test]
fn what_a_journal_that_is_left_alone_needs_stays_and_orphans_go() {
    let stem = |number: u32| format!("1-1-00000000-{number}");
    let (ended, _) = swept(|journals, marker| {
        let damaged = forged(marker).replace("planned", "plammed");
        write(
            &journals.join(format!("{}.jsonl", stem(0))),
            &damaged,
            0o600,
        );
        let copies = journals.with_file_name("copies");
        std::fs::create_dir(&copies).unwrap();
        std::fs::set_permissions(&copies, std::fs::Permissions::from_mode(0o700)).unwrap();
        for number in [0, 1] {
            write(&copies.join(format!("{}-1", stem(number))), "x", 0o600);
        }
    });
    let copies = Folder::files(&ended.folder.state().join("copies"));
    assert_eq!(copies.len(), 1, "{copies:?}");
    assert!(copies[0].ends_with(format!("{}-1", stem(0))), "{copies:?}");
}
