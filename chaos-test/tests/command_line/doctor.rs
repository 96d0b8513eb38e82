//! What the machine has, as a person and as a machine reads it.

use serde_json::Value;

use crate::kit::{Room, Said};

fn without_engine(arguments: &[&str]) -> Said {
    let room = Room::new();
    let mut command = room.cargo_chaos();
    Said::by(
        command
            .env("DOCKER_HOST", "unix:///no/such.sock")
            .arg("doctor")
            .args(arguments),
    )
}

#[test]
fn a_machine_without_an_engine_is_fine_unless_one_is_demanded() {
    let why = "there is no socket /no/such.sock";
    without_engine(&[]).expect(0, &["-- docker", why, "-> ", "chaos tests can run here"]);
    let demanded = without_engine(&["--require", "docker"]);
    demanded.expect(1, &["--require:", "!! docker", why, "wrong: docker"]);
    let listed = without_engine(&[
        "--require",
        "program:sh,env:PATH",
        "--require",
        "env:NO_SUCH",
    ]);
    listed.expect(
        1,
        &[
            "ok program:sh",
            "ok env:PATH",
            "!! env:NO_SUCH",
            "is not set",
            "wrong: env:NO_SUCH",
        ],
    );
    without_engine(&["--require", "program:sh,env:PATH"]).expect(0, &["ok program:sh"]);
}

#[test]
fn an_engine_that_is_demanded_is_found_where_tests_find_it() {
    let room = Room::new();
    let said = room.chaos(&["doctor", "--require", "docker"]);
    // As for the tests of this package: with an engine, or without.
    if said.code == Some(0) {
        said.expect(
            0,
            &["ok docker", "(API 1.", "://", "--require:", "ok docker"],
        );
    } else {
        said.expect(1, &["-- docker", "!! docker"]);
    }
}

#[test]
fn it_is_asked_outside_of_every_package_too() {
    let room = Room::new();
    let mut command = room.cargo_chaos();
    let said = Said::by(
        command
            .env_remove("CHAOS_DIR")
            .current_dir("/")
            .arg("doctor"),
    );
    said.expect(0, &["ok reports", "there is no package here"]);
}

#[test]
fn machines_read_it_as_json() {
    let said = without_engine(&["--json", "--require", "docker"]);
    assert_eq!(said.code, Some(1), "{said:#?}");
    let diagnosis: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(diagnosis["fine"], false);
    let findings = diagnosis["findings"].as_array().unwrap();
    let sign = |area: &str, name: &str| {
        let finding = findings
            .iter()
            .find(|finding| finding["area"] == area && finding["name"] == name);
        finding.unwrap_or_else(|| panic!("{name} is missing:\n{}", said.out))["sign"].clone()
    };
    assert_eq!(sign("services in containers need", "docker"), "missing");
    assert_eq!(sign("--require", "docker"), "wrong");
    assert_eq!(sign("every chaos test needs", "/proc"), "works");
    let fine: Value = serde_json::from_str(&without_engine(&["--json"]).out).unwrap();
    assert_eq!(fine["fine"], true);
}

#[test]
fn variables_that_make_no_sense_are_wrong_and_strangers_are_named() {
    let room = Room::new();
    let mut command = room.cargo_chaos();
    let said = Said::by(
        command
            .env("CHAOS_SEED", "a lot")
            .env("CHAOS_REQUIRE", "dokcer")
            .env("CHAOS_MAX_CONTAINERS", "0")
            .env("CHAOS_KEEP", "failed")
            .env("CHAOS_STATEDIR", "/tmp")
            .arg("doctor"),
    );
    said.expect(
        1,
        &[
            "ok CHAOS_KEEP",
            "!! CHAOS_MAX_CONTAINERS",
            "it must be a number above 0",
            "!! CHAOS_REQUIRE",
            "`dokcer`, which is nothing that a test can need",
            "!! CHAOS_SEED",
            "no number such as 42 or 0x5eed",
            "!  CHAOS_STATEDIR",
            "is its name misspelt?",
            "wrong: CHAOS_MAX_CONTAINERS, CHAOS_REQUIRE, CHAOS_SEED",
        ],
    );
}

#[test]
fn colours_are_for_terminals_and_for_those_who_ask() {
    let room = Room::new();
    let escapes = |name: &str, value: &str| {
        let mut command = room.cargo_chaos();
        let said = Said::by(command.env(name, value).arg("doctor"));
        said.out.contains('\u{1b}')
    };
    assert!(!escapes("TERM", "xterm"));
    assert!(escapes("CLICOLOR_FORCE", "1"));
    let mut both = room.cargo_chaos();
    both.env("CLICOLOR_FORCE", "1").env("NO_COLOR", "1");
    assert!(!Said::by(both.arg("doctor")).out.contains('\u{1b}'));
}

#[test]
fn the_environment_and_its_file_are_shown() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("chaos-test.toml");
    let doctor = |text: &str, environment: &str| {
        std::fs::write(&file, text).unwrap();
        let room = Room::new();
        let mut command = room.cargo_chaos();
        let command = command
            .env("DOCKER_HOST", "unix:///no/such.sock")
            .env("CHAOS_CONFIG", &file)
            .env("CHAOS_ENVIRONMENT", environment);
        Said::by(command.arg("doctor"))
    };
    let path = file.to_string_lossy();
    doctor("default = 'staging'", "").expect(
        0,
        &[
            "ok environment",
            "staging (`default`, ",
            "ok configuration",
            &path,
        ],
    );
    doctor("", "production").expect(0, &["ok environment", "production (CHAOS_ENVIRONMENT)"]);
    doctor("", "prodution").expect(1, &["!! environment", "did you mean `production`?"]);
    doctor("\ndefualt = 1", "").expect(
        1,
        &[
            "!! environment",
            "chaos-test.toml:2:1: unknown key `defualt`, did you mean `default`?",
            "every test fails before it touches anything",
            "wrong: environment",
        ],
    );
}
