//! The unsafe calls of the C library that have no safe interface anywhere: what happens when
//! a process ends, and what it holds and hears when it begins.

#![expect(unsafe_code, reason = "these calls have no safe interface")]

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::registry;

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

extern "C" fn write_list() {
    // A panic must not cross into the C library.
    let _ = std::panic::catch_unwind(registry::write_list);
}

/// Has the tests of this program written down when it exits. It may be called before `main`,
/// when they are not all registered yet.
pub(super) fn list_at_exit() {
    // SAFETY: the function has the signature that atexit(3) asks for and never unwinds.
    let _ = unsafe { libc::atexit(write_list) };
}

/// Ends the process at once, without calling the exit list again.
pub(super) fn exit_now(code: i32) -> ! {
    // SAFETY: _exit(2) has no preconditions.
    unsafe { libc::_exit(code) }
}

/// Closes every descriptor but standard input, output and error. To be called where nothing
/// else has been opened yet: whatever is there was inherited.
pub(super) fn close_what_was_inherited() {
    let open: Vec<i32> = std::fs::read_dir("/proc/self/fd")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect();
    for descriptor in open.into_iter().filter(|&descriptor| descriptor > 2) {
        // SAFETY: nothing of this process owns one yet. The one that the folder was read
        // through is closed already; closing a closed one does nothing.
        unsafe { libc::close(descriptor) };
    }
}

/// Ends the process as a signal would that nobody handles.
pub(super) fn die_of(signal: i32) -> ! {
    // SAFETY: the default action of a signal is no code of ours.
    unsafe { libc::signal(signal, libc::SIG_DFL) };
    // SAFETY: raise(3) has no preconditions.
    unsafe { libc::raise(signal) };
    // Only where the signal is blocked, or none that ends.
    exit_now(128 + signal)
}

/// The processor time of all threads that a process has, and has had, to the nanosecond; none
/// where the kernel does not tell.
pub(super) fn cpu_time_of(pid: u32) -> Option<Duration> {
    // The clock of a whole process, as clock_getcpuclockid(3) makes it: the number's complement
    // above three bits, of which `2` asks for time as the scheduler counts it.
    let clock = !libc::clockid_t::try_from(pid).ok()? << 3 | 2;
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the time is ours, and the kernel checks the clock.
    let told = unsafe { libc::clock_gettime(clock, &mut time) } == 0;
    let seconds = u64::try_from(time.tv_sec).ok()?;
    let nanoseconds = u32::try_from(time.tv_nsec).ok()?;
    told.then(|| Duration::new(seconds, nanoseconds))
}

/// Whether the last row of the terminal is set apart, for a process that dies of itself.
static TERMINAL_IS_TAKEN: OnceLock<&'static AtomicBool> = OnceLock::new();
/// All rows are everybody's again, and the last one is empty.
const GIVE_BACK: &[u8] = b"\x1b7\x1b[r\x1b[999;1H\x1b[2K\x1b8";

/// Gives the terminal back, where it is taken. Atomics and write(2) are all that is called: each is
/// safe in the middle of anything.
fn give_back() {
    if TERMINAL_IS_TAKEN
        .get()
        .is_some_and(|taken| taken.swap(false, Ordering::SeqCst))
    {
        // SAFETY: the bytes are there as long as the program.
        let _ = unsafe { libc::write(2, GIVE_BACK.as_ptr().cast(), GIVE_BACK.len()) };
    }
}

extern "C" fn give_back_and_die(signal: libc::c_int) {
    give_back();
    // SAFETY: the default action of a signal is no code of ours, and signal(2) and raise(3) are
    // safe in the middle of anything.
    unsafe { libc::signal(signal, libc::SIG_DFL) };
    // SAFETY: as above.
    unsafe { libc::raise(signal) };
}

extern "C" fn give_back_and_stop(signal: libc::c_int) {
    let handler = give_back_and_stop as extern "C" fn(libc::c_int);
    // SAFETY: the set is ours, and all of these are safe in the middle of anything. The signal is
    // blocked while its handler runs: let through, the default action stops the process here,
    // or does nothing where nobody could have it go on. What was interrupted goes on with the
    // error that it may be about to read.
    unsafe {
        let error = *libc::__errno_location();
        give_back();
        let mut set = std::mem::zeroed::<libc::sigset_t>();
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, signal);
        libc::signal(signal, libc::SIG_DFL);
        libc::pthread_sigmask(libc::SIG_UNBLOCK, &raw const set, std::ptr::null_mut());
        libc::raise(signal);
        libc::signal(signal, handler as usize);
        *libc::__errno_location() = error;
    }
}

/// Has the terminal given back when this process aborts, quits or is stopped (Ctrl-Z) while its
/// last row is set apart, unless somebody else sees to these signals. `taken` is no more then.
pub(super) fn give_back_terminal_when_dying(taken: &'static AtomicBool) {
    TERMINAL_IS_TAKEN.get_or_init(|| {
        let die = give_back_and_die as extern "C" fn(libc::c_int);
        let stop = give_back_and_stop as extern "C" fn(libc::c_int);
        for (signal, handler) in [
            (libc::SIGABRT, die),
            (libc::SIGQUIT, die),
            (libc::SIGTSTP, stop),
        ] {
            // SAFETY: the handler has the signature that signal(2) asks for, and only calls what
            // is safe in the middle of anything.
            let before = unsafe { libc::signal(signal, handler as usize) };
            if before != libc::SIG_DFL && before != libc::SIG_ERR {
                // SAFETY: it is what was there before.
                unsafe { libc::signal(signal, before) };
            }
        }
        taken
    });
}

extern "C" fn nothing(_: libc::c_int) {}

/// Makes signals that ask a process to end do nothing, and the one for writing to what nobody
/// reads, which Rust's own start would ignore. A program that it executes has them as usual
/// again.
pub(super) fn hear_no_signal() {
    for signal in [
        libc::SIGINT,
        libc::SIGTERM,
        libc::SIGHUP,
        libc::SIGQUIT,
        libc::SIGPIPE,
    ] {
        // SAFETY: the handler does nothing, so it is safe in the middle of anything.
        unsafe { libc::signal(signal, nothing as extern "C" fn(libc::c_int) as usize) };
    }
}

/// Makes writing to what nobody reads an error, as Rust's own start does: a keeper never comes
/// to that.
pub(super) fn hear_no_broken_pipe() {
    // SAFETY: ignoring a signal runs no code of ours.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
}

/// Takes a variable out of the environment. To be called before `main` only.
pub(super) fn forget_variable(name: &str) {
    // SAFETY: before `main` there is one thread, and it reads nothing meanwhile.
    unsafe { std::env::remove_var(name) };
}
