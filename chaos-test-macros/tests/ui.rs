//! Compile errors as users see them: each file in `ui/` with the messages beside it.

use std::env;
use std::process::Command;

/// Cargo puts this program before its calls of rustc, in the package that trybuild makes.
const WRAPPER: (&str, &str) = (
    "RUSTC_WORKSPACE_WRAPPER",
    concat!(env!("CARGO_MANIFEST_DIR"), "/tests/as_a_test.sh"),
);

#[test]
fn compile_errors() {
    let (variable, wrapper) = WRAPPER;
    if env::var_os(variable).is_some_and(|value| value == wrapper) {
        trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
        return;
    }
    // A process cannot safely change its own environment: this test runs itself with it.
    let itself = env::current_exe().expect("a running program has a path");
    let output = Command::new(itself)
        .args(["--exact", "compile_errors", "--nocapture"])
        .env(variable, wrapper)
        // Nobody debugs what is only checked.
        .env("CARGO_PROFILE_DEV_DEBUG", "false")
        .output()
        .expect("this program runs");
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}
