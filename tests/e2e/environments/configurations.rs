//! Configurations that cannot be read, or make no sense: every test fails before it touches
//! anything.

use std::os::unix::fs::symlink;

use chaos_test::RunStatus;

use super::{Child, says};
use crate::bad_input::outcome;

#[track_caller]
fn refused(child: Child, expected: &[&str]) {
    let ended = child.run(false);
    says(&ended, expected);
    let output = ended.output();
    assert!(!output.contains("the body began"), "{output}");
    assert!(!output.contains("inventory started"), "{output}");
    assert!(matches!(outcome(&ended).status, RunStatus::Errored(_)));
    // It stands in the report as well.
    assert!(ended.junit().contains("errors=\"1\""), "{}", ended.junit());
}

#[test]
fn a_mistake_in_the_file_is_told_with_its_place() {
    for (text, expected) in [
        (
            "default = \"stagin\"\n[environment.production]\n  may_brake = []\n",
            &[
                "the configuration makes no sense:",
                "chaos-test.toml:1:11: there is no environment `stagin`, did you mean `staging`?",
                "chaos-test.toml:3:3: unknown key `may_brake` in [environment.production], did you \
                 mean `may_break`?",
            ][..],
        ),
        ("x = [", &["chaos-test.toml:1:"]),
        (
            "[environment.production]\nwindows = ['Mon 09:00-10:00 Europe/Berlim']",
            &[
                "chaos-test.toml:2:12: this machine knows no time zone `Europe/Berlim`, did you mean \
               `Europe/Berlin`?",
            ],
        ),
        (
            "[environment.production]\nwindows = ['Mon 09:00-10:00 +25:00']",
            &["chaos-test.toml:2:12: `+25:00` is no offset: write one such as `+01:00`"],
        ),
    ] {
        refused(Child::of("kills_its_own").config(text), expected);
    }
}

#[test]
fn what_is_no_file_of_text_is_an_error_and_not_no_configuration() {
    let child = || Child::of("kills_its_own");
    let named = |child: Child, name: &str| {
        let path = child.path(name);
        child.env("CHAOS_CONFIG", path)
    };
    refused(
        named(child(), "nowhere"),
        &["nowhere cannot be read: No such file"],
    );
    let directory = child();
    std::fs::create_dir(directory.path("folder")).unwrap();
    refused(
        named(directory, "folder"),
        &["folder cannot be read: it is not a regular file"],
    );
    let huge = child();
    let file = std::fs::File::create(huge.path("huge")).unwrap();
    file.set_len(1 << 30).unwrap();
    refused(
        named(huge, "huge"),
        &["huge cannot be read: it is longer than 1048576 bytes"],
    );
    let binary = child();
    std::fs::write(binary.path("binary"), b"# \xff").unwrap();
    refused(
        named(binary, "binary"),
        &["binary cannot be read: line 1 is not valid UTF-8"],
    );
    let dangling = child();
    symlink("nowhere", dangling.path("dangling")).unwrap();
    refused(
        named(dangling, "dangling"),
        &["dangling cannot be read: No such file"],
    );
}

#[test]
fn an_empty_file_and_a_link_to_one_say_nothing() {
    Child::of("kills_its_own").config("").run(true);
    let child = Child::of("kills_its_own");
    std::fs::write(child.path("real"), "default = 'staging'").unwrap();
    symlink("real", child.path("link")).unwrap();
    let path = child.path("link");
    let ended = child.env("CHAOS_CONFIG", path).run(true);
    says(&ended, &["killed in staging"]);
    Child::of("kills_its_own").env("CHAOS_CONFIG", "").run(true);
}
