//! The chaos tests of a package, found through cargo and the test programs themselves.
//!
//! The package is a small one of our own, so that nothing is built but what is tested. Its test
//! program starts this one, whose chaos tests are in [`crate::subject`].

use std::path::Path;

use serde_json::Value;

use crate::kit::{Room, Said};

const MANIFEST: &str = r#"
[package]
name = "shop"
version = "0.0.0"
edition = "2024"

[features]
hangs = []
broken = []
refuses = []

[[test]]
name = "chaos"
harness = false

[workspace]
"#;

const CHAOS: &str = r#"
fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    assert_eq!(arguments, ["--list"]);
    if cfg!(feature = "hangs") {
        loop {
            std::thread::park();
        }
    }
    if cfg!(feature = "refuses") {
        std::process::exit(3);
    }
    let subject = std::process::Command::new(env!("SUBJECT")).arg("--list").status();
    assert!(subject.unwrap().success());
}
"#;

/// A package with chaos tests, and with ordinary ones.
fn package() -> Room {
    let room = Room::new();
    let write = |name: &str, text: &str| {
        let path = room.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write("Cargo.toml", MANIFEST);
    write(
        "src/lib.rs",
        "#[cfg(feature = \"broken\")]\ncompile_error!(\"out of stock\");\n#[test]\nfn ordinary() {}",
    );
    write("tests/chaos.rs", CHAOS);
    room
}

fn list(room: &Room, arguments: &[&str]) -> Said {
    let mut command = room.cargo_chaos();
    command
        .args(["chaos", "list"])
        .args(arguments)
        .env("SUBJECT", std::env::current_exe().unwrap())
        .env("CARGO_TARGET_DIR", room.path().join("target"));
    Said::by(&mut command)
}

#[test]
fn the_chaos_tests_of_a_package_are_listed_with_what_they_claim() {
    let room = package();
    let said = list(&room, &[]);
    said.expect(
        0,
        &[
            "chaos-test (test chaos)\n",
            "  subject::it_is_only_listed  chaos-test/tests/command_line/subject.rs:",
            "    It is never run.\n",
            "    breaks nothing; blast radius services <= 1, connections <= 10 %; timeout 5 min; ignored\n",
            "  subject::it_waits_to_be_killed  chaos-test/tests/command_line/subject.rs:",
            "    It is killed while its service hangs and its file is broken.\n",
            "    breaks anything that it makes; requires program:sh; timeout 2 min; tags slow, \
             death; ignored\n",
            "2 chaos tests in 1 of 2 test programs\n",
        ],
    );
    assert!(!room.state().exists(), "nothing was run");

    let said = list(
        &room,
        &[
            "--json",
            "--tags",
            "death and not none",
            "--",
            "--test",
            "chaos",
        ],
    );
    let tests: Value = serde_json::from_str(&said.out).unwrap();
    let tests = tests.as_array().unwrap();
    assert_eq!(tests.len(), 1, "{tests:?}");
    assert_eq!(tests[0]["program"], "test chaos");
    assert_eq!(tests[0]["test"], "subject::it_waits_to_be_killed");
    assert_eq!(tests[0]["tags"], serde_json::json!(["slow", "death"]));
    assert_eq!(tests[0]["breaks"], Value::Null);
    assert_eq!(tests[0]["blast_radius"], serde_json::json!([]));
    assert_eq!(tests[0]["timeout_ms"], 120_000);

    let tags = list(&room, &["--tags"]);
    tags.expect(
        0,
        &[
            "death  1 test\n",
            "slow   1 test\n",
            "\n2 tags; 1 of 2 chaos tests in 2 test programs without any\n",
        ],
    );
    let misspelt = list(&room, &["--tags", "deth", "--", "--test", "chaos"]);
    misspelt.expect_complaint(0, "no chaos test has the tag `deth`, did you mean `death`?");
    misspelt.expect(0, &["0 chaos tests in 0 of 1 test programs"]);

    list(&room, &["--", "--lib"]).expect(0, &["0 chaos tests in 0 of 1 test programs"]);
}

#[test]
fn a_program_that_cannot_be_asked_is_named_and_the_others_are_listed() {
    let room = package();
    let hangs = list(&room, &["--wait", "1", "--", "--features", "hangs"]);
    hangs.expect_complaint(1, "with `--list` it did not end within 1 s, and was killed");
    assert!(
        hangs.err.contains("the tests of test chaos ("),
        "{}",
        hangs.err
    );
    hangs.expect(1, &["0 chaos tests in 0 of 2 test programs"]);
    let refuses = list(&room, &["--", "--features", "refuses"]);
    refuses.expect_complaint(1, "with `--list` it ended with exit status: 3");
}

#[test]
fn what_cargo_says_is_shown_and_its_code_is_passed_on() {
    let room = package();
    let broken = list(&room, &["--", "--features", "broken"]);
    broken.expect_complaint(101, "out of stock");
    let wrong = list(&room, &["--", "--no-such-option"]);
    assert!(wrong.err.contains("--no-such-option"), "{}", wrong.err);
    assert_eq!(wrong.code, Some(1), "{wrong:#?}");
    let nowhere = list(&Room::new(), &[]);
    nowhere.expect_complaint(101, "could not find `Cargo.toml`");
    let mut without = room.cargo_chaos();
    without
        .arg("list")
        .env("CARGO", Path::new("/no/such/cargo"));
    Said::by(&mut without).expect_complaint(1, "cannot start `/no/such/cargo`");
}

#[test]
fn a_program_writes_its_list_when_it_exits_and_only_then() {
    let room = Room::new();
    let path = room.path().join("list");
    let mut command = room.command(std::env::current_exe().unwrap());
    let said = Said::by(command.arg("--list").env("CHAOS_LIST", &path));
    said.expect(0, &["subject::it_is_only_listed: test"]);
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(text.lines().count(), 2, "{text}");
    let mut command = room.command(std::env::current_exe().unwrap());
    let said = Said::by(command.arg("--list").env("CHAOS_LIST", room.path()));
    said.expect_complaint(0, "which CHAOS_LIST names, cannot be written");
}
