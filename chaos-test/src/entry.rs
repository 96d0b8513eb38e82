//! What runs before `main` in every program that links this library.
//!
//! A test binary's `main` belongs to libtest, to nextest's protocol or to the user, and our
//! own children must work alike in all of them. So one function stands in the list that the
//! C library calls first. It looks at the environment, and does nothing else where the
//! process is none of those children, and nobody asks for the list of its tests.

#![expect(
    unsafe_code,
    reason = "the C library's start-up list has no safe interface"
)]

use crate::run::{aftermath, keeper};
use crate::system::{at_exit, gate, keeper as keeper_orders, registry, watchdog};

extern "C" fn before_main() {
    if std::env::var_os(gate::VARIABLE).is_some() {
        gate::wait_and_become();
    }
    if let Some(orders) = std::env::var_os(watchdog::VARIABLE) {
        // A panic must not cross into the C library, nor go on into the user's `main`.
        let _ = std::panic::catch_unwind(|| aftermath::stand_by(&orders));
        at_exit::exit_now(0);
    }
    if let Some(orders) = std::env::var_os(keeper_orders::VARIABLE) {
        let _ = std::panic::catch_unwind(|| keeper::keep(&orders));
        at_exit::exit_now(1);
    }
    if std::env::var_os(registry::LIST_VARIABLE).is_some() {
        at_exit::list_tests();
    }
}

// SAFETY: the linker places the pointer in the list of functions that the C library calls,
// once and on the only thread, before `main` (System V ABI, "Initialization and
// Termination Functions"). The function takes no arguments, so the three that glibc passes
// and the none that musl passes are alike to it.
#[used]
#[unsafe(link_section = ".init_array")]
static BEFORE_MAIN: extern "C" fn() = before_main;
