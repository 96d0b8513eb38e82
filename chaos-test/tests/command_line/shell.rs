//! The command line itself: help, mistakes, completions, the manual page.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::kit::Room;

#[test]
fn cargo_puts_its_own_word_first() {
    let room = Room::new();
    let version = format!("cargo-chaos {}", env!("CARGO_PKG_VERSION"));
    room.chaos(&["chaos", "--version"]).expect(0, &[&version]);
    room.chaos(&["--version"]).expect(0, &[&version]);
    room.chaos(&["chaos", "recover", "--help"])
        .expect(0, &["Usage: cargo chaos recover", "--dry-run", "Examples:"]);
}

#[test]
fn what_makes_no_sense_ends_with_2_and_a_hint() {
    let room = Room::new();
    let wrong = |arguments: &[&str], hint: &str| {
        room.chaos(arguments).expect_complaint(2, hint);
    };
    wrong(&[], "Usage: cargo chaos <COMMAND>");
    wrong(&["docter"], "a similar subcommand exists: 'doctor'");
    wrong(
        &["recover", "--dry-ru"],
        "a similar argument exists: '--dry-run'",
    );
    wrong(
        &["doctor", "--require", "dokcer"],
        "all, docker, netadmin, root, program:NAME",
    );
    wrong(&["completions", "tcsh"], "possible values: bash");
    wrong(
        &["list", "--workspace"],
        "to pass '--workspace' as a value, use '-- --workspace'",
    );
}

#[test]
fn completions_are_printed_for_each_shell() {
    let room = Room::new();
    for shell in ["bash", "zsh", "fish"] {
        let said = room.chaos(&["completions", shell]);
        said.expect(0, &["cargo-chaos"]);
        for word in ["doctor", "recover", "dry-run", "require"] {
            assert!(
                said.out.contains(word),
                "{shell} has no {word}:\n{}",
                said.out
            );
        }
        let checker = Command::new(shell)
            .arg("-n")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn();
        // Where the shell is not there, nobody can tell.
        if let Ok(mut checker) = checker {
            checker
                .stdin
                .take()
                .unwrap()
                .write_all(said.out.as_bytes())
                .unwrap();
            assert!(checker.wait().unwrap().success(), "{shell}");
        }
    }
}

#[test]
fn the_manual_page_is_printed() {
    let said = Room::new().chaos(&["man"]);
    said.expect(
        0,
        &[
            ".TH cargo-chaos 1",
            ".SH SUBCOMMANDS",
            "doctor",
            "Exit codes:",
        ],
    );
}
