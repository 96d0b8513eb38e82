//! Signals that ask this process to end, heard where nobody else hears them (signal(7)).

use std::fmt;
use std::future::poll_fn;
use std::task::Poll;

use tokio::signal::unix::{Signal as Stream, SignalKind, signal};

use super::hook;

/// A signal that asks a process to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Request {
    /// SIGHUP: the terminal is gone.
    Hup,
    /// SIGINT: Ctrl-C.
    Int,
    /// SIGTERM.
    Term,
}

impl Request {
    const ALL: [Self; 3] = [Self::Hup, Self::Int, Self::Term];

    fn number(self) -> i32 {
        self.kind().as_raw_value()
    }

    fn kind(self) -> SignalKind {
        match self {
            Self::Hup => SignalKind::hangup(),
            Self::Int => SignalKind::interrupt(),
            Self::Term => SignalKind::terminate(),
        }
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hup => "SIGHUP",
            Self::Int => "SIGINT",
            Self::Term => "SIGTERM",
        })
    }
}

/// The requests that would end this process: none that it ignores, as under `nohup`, and
/// none that the program handles itself. To be called in a runtime.
pub(crate) fn that_would_end_us() -> Option<Requests> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let taken = mask(&status, "SigIgn:")? | mask(&status, "SigCgt:")?;
    let free = Request::ALL
        .into_iter()
        .filter(|request| taken & (1 << (request.number() - 1)) == 0);
    let streams: Vec<_> = free
        .filter_map(|request| Some((request, signal(request.kind()).ok()?)))
        .collect();
    (!streams.is_empty()).then_some(Requests(streams))
}

/// One of the sets of signals in proc(5), `/proc/<pid>/status`.
fn mask(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

/// Requests as they come.
pub(crate) struct Requests(Vec<(Request, Stream)>);

impl Requests {
    /// The next one.
    pub(crate) async fn next(&mut self) -> Request {
        poll_fn(|cx| {
            for (request, stream) in &mut self.0 {
                if stream.poll_recv(cx).is_ready() {
                    return Poll::Ready(*request);
                }
            }
            Poll::Pending
        })
        .await
    }
}

/// Ends this process as the signal would have, had nobody heard it.
pub(crate) fn die_of(request: Request) -> ! {
    super::progress::end();
    hook::die_of(request.number())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sets_of_the_kernel_are_read() {
        let status = "Name:\tx\nSigIgn:\t0000000000001000\nSigCgt:\t0000000180004002\n";
        assert_eq!(mask(status, "SigIgn:"), Some(0x1000));
        assert_eq!(mask(status, "SigCgt:"), Some(0x1_8000_4002));
        assert_eq!(mask(status, "SigBlk:"), None);
        let own = std::fs::read_to_string("/proc/self/status").unwrap();
        // The Rust runtime ignores SIGPIPE.
        assert_ne!(mask(&own, "SigIgn:").unwrap() & (1 << 12), 0);
    }
}
