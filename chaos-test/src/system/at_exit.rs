//! What is to happen when the process exits.

/// Has `run` called when the process exits. Only the first call counts.
pub(crate) fn register(run: fn()) {
    super::hook::register_at_exit(run);
}

/// Ends the process at once with an exit code.
pub(crate) fn exit_now(code: i32) -> ! {
    super::hook::exit_now(code)
}
