//! The only unsafe room: the places where the C library calls us.
//!
//! One function runs before `main` in every program that links this library, because a
//! test binary's `main` belongs to libtest, to nextest's protocol or to the user, and the
//! gate must work alike in all of them. It looks at two environment variables and does
//! nothing else when they are not set. The other ones run when the process exits.

#![expect(
    unsafe_code,
    reason = "the C library's start-up and exit lists have no safe interface"
)]

use std::sync::OnceLock;

use super::{gate, registry};

extern "C" fn before_main() {
    if std::env::var_os(gate::VARIABLE).is_some() {
        gate::wait_and_become();
    }
    if std::env::var_os(registry::LIST_VARIABLE).is_some() {
        // Not now: the tests are all registered only once `main` begins.
        // SAFETY: the function has the signature that atexit(3) asks for and never unwinds.
        let _ = unsafe { libc::atexit(list_at_exit) };
    }
}

extern "C" fn list_at_exit() {
    // A panic must not cross into the C library.
    let _ = std::panic::catch_unwind(registry::write_list);
}

// SAFETY: the linker places the pointer in the list of functions that the C library calls,
// once and on the only thread, before `main` (System V ABI, "Initialization and
// Termination Functions"). The function takes no arguments, so the three that glibc passes
// and the none that musl passes are alike to it.
#[used]
#[unsafe(link_section = ".init_array")]
static BEFORE_MAIN: extern "C" fn() = before_main;

static AT_EXIT: OnceLock<fn()> = OnceLock::new();

extern "C" fn at_exit() {
    if let Some(run) = AT_EXIT.get() {
        // A panic must not cross into the C library.
        let _ = std::panic::catch_unwind(run);
    }
}

/// Has `run` called when the process exits: on success, on failure and on
/// `std::process::exit`, but not on `abort` or a signal. Only the first call counts.
pub(super) fn register_at_exit(run: fn()) {
    AT_EXIT.get_or_init(|| {
        // SAFETY: the function has the signature that atexit(3) asks for and never unwinds.
        let _ = unsafe { libc::atexit(at_exit) };
        run
    });
}

/// Ends the process at once, without calling the exit list again.
pub(super) fn exit_now(code: i32) -> ! {
    // SAFETY: _exit(2) has no preconditions.
    unsafe { libc::_exit(code) }
}
