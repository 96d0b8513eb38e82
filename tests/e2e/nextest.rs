//! A real nextest that runs tests of this program, or of another one, as those of a package
//! called `shop`. Nothing is built: nextest is told where the program is.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use chaos_test_fixtures::rerun::{Ended, Folder, Rerun};
use serde_json::{Value, json};

const MANIFEST: &str =
    "[package]\nname = \"shop\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[workspace]\n";

/// Whether there is a nextest; a skip that is seen where there is none, and a failure where
/// nothing may be skipped.
pub fn is_there() -> bool {
    let version = cargo().args(["nextest", "--version"]).output();
    if version.is_ok_and(|version| version.status.success()) {
        return true;
    }
    let required = std::env::var("CHAOS_REQUIRE").unwrap_or_default();
    assert!(!required.contains("all"), "cargo-nextest is required");
    let _ = writeln!(std::io::stderr(), "skipped: no cargo-nextest");
    false
}

fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// `cargo nextest run` with these arguments, on the tests of a program.
pub fn run(program: &Path, folder: Folder, arguments: &[&str]) -> Rerun {
    let package = folder.reports().with_file_name("shop");
    let write = |name: &str, text: &str| {
        let path = package.join(name);
        std::fs::create_dir_all(path.parent().expect("it has one")).expect("a folder can be made");
        std::fs::write(&path, text).expect("a file can be written");
        path
    };
    write("Cargo.toml", MANIFEST);
    write("src/lib.rs", "");
    let metadata = cargo()
        .args(["metadata", "--format-version", "1", "--offline"])
        .current_dir(&package)
        .stderr(Stdio::inherit())
        .output()
        .expect("cargo can be run");
    let metadata = String::from_utf8(metadata.stdout).expect("it is text");
    let described: Value = serde_json::from_str(&metadata).expect("it is JSON");
    let built = json!({
        "rust-build-meta": {
            "target-directory": described["target_directory"],
            "base-output-directories": ["debug"],
            "non-test-binaries": {},
            "build-script-out-dirs": {},
            "linked-paths": [],
            "target-platform": null,
        },
        "rust-binaries": {
            "shop::chaos": {
                "binary-id": "shop::chaos",
                "binary-name": "chaos",
                "package-id": described["packages"][0]["id"],
                "kind": "test",
                "binary-path": program,
                "build-platform": "target",
            },
        },
    });
    let mut nextest = cargo();
    nextest
        .args(["nextest", "run", "--no-fail-fast", "--run-ignored", "all"])
        .arg("--cargo-metadata")
        .arg(write("metadata.json", &metadata))
        .arg("--binaries-metadata")
        .arg(write("binaries.json", &built.to_string()))
        .args(arguments)
        .current_dir(&package);
    Rerun::program(nextest, folder)
}

/// The same, to its end, of the tests of this program.
pub fn of_this_program(folder: Folder, arguments: &[&str]) -> Ended {
    let program = std::env::current_exe().expect("a test program has a path");
    run(&program, folder, arguments).run()
}
