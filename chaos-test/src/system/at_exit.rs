//! What is to happen when the process exits.

/// Has `run` called when the process exits. Only the first call counts.
pub(crate) fn register(run: fn()) {
    super::hook::register_at_exit(run);
}

/// Has the tests of this program written down when it exits, for `cargo chaos list`.
pub(crate) fn list_tests() {
    super::hook::list_at_exit();
}

/// Ends the process at once with an exit code.
pub(crate) fn exit_now(code: i32) -> ! {
    super::progress::end();
    super::hook::exit_now(code)
}
