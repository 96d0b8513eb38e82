//! The runtimes that do the work: never the one that a test's body runs on.
//!
//! A body that blocks its thread or spins cannot hold off a rollback, a time limit or a
//! link. Code of the user has runtimes of its own, so that it cannot hold off ours either.

use std::future::Future;
use std::sync::OnceLock;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::JoinSet;

use crate::error::{Error, Kind};

/// Runs our own work: links, time limits, undo steps.
pub(crate) fn own() -> &'static Handle {
    static OWN: OnceLock<Runtime> = OnceLock::new();
    OWN.get_or_init(|| build("chaos-engine")).handle()
}

/// Whether this thread belongs to our own runtime.
pub(crate) fn is_own_thread() -> bool {
    is_on(own())
}

fn is_on(runtime: &Handle) -> bool {
    Handle::try_current().is_ok_and(|current| current.id() == runtime.id())
}

/// Runs what users wrote: fixtures and faults.
pub(crate) fn users() -> &'static Handle {
    static USERS: OnceLock<Runtime> = OnceLock::new();
    USERS.get_or_init(|| build("chaos-user")).handle()
}

/// Runs the probes of monitors. One that blocks its thread holds off other probes at most,
/// never a fault or a fixture of a test.
pub(crate) fn probes() -> &'static Handle {
    static PROBES: OnceLock<Runtime> = OnceLock::new();
    PROBES.get_or_init(|| build("chaos-probe")).handle()
}

fn build(name: &str) -> Runtime {
    let build = || {
        Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name(name)
            .enable_all()
            .build()
            .expect("the kernel gives a process threads and a poll descriptor")
    };
    // On a thread of its own: one that has called `exit` has lost its thread-local values,
    // and no runtime can be made on it any more.
    std::thread::scope(|scope| scope.spawn(build).join())
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Runs a future on a runtime and waits for it from any other, or from none.
///
/// The work goes on if the waiting future is dropped: what it made is then dropped, too,
/// and cleans up after itself.
pub(crate) async fn run_on<T: Send + 'static>(
    runtime: &Handle,
    work: impl Future<Output = T> + Send + 'static,
) -> T {
    match runtime.spawn(work).await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // Only a process that ends shuts our runtimes down.
            Err(_) => std::future::pending().await,
        },
    }
}

/// As [`run_on`], but the work ends with the future that waits for it.
pub(crate) async fn run_while_awaited<T: Send + 'static>(
    runtime: &Handle,
    work: impl Future<Output = T> + Send + 'static,
) -> T {
    // A set of tasks ends them when it is dropped; a task alone would go on.
    let mut tasks = JoinSet::new();
    tasks.spawn_on(work, runtime);
    match tasks.join_next().await {
        Some(Ok(done)) => done,
        Some(Err(error)) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        // Only a process that ends shuts our runtimes down.
        _ => std::future::pending().await,
    }
}

/// Runs a future on our own runtime and blocks this thread for at most `limit`.
///
/// # Errors
///
/// If it takes longer; it goes on nevertheless.
pub(crate) fn block_on_own<T: Send + 'static>(
    limit: Duration,
    work: impl Future<Output = T> + Send + 'static,
) -> Result<T, Error> {
    let (done, wait) = mpsc::sync_channel(1);
    own().spawn(async move {
        // Nobody may wait any more.
        let _ = done.send(work.await);
    });
    let waited = if is_on(users()) {
        // A worker that waits must not keep the others from what it waits for.
        tokio::task::block_in_place(|| wait.recv_timeout(limit))
    } else {
        wait.recv_timeout(limit)
    };
    waited.map_err(|error| match error {
        RecvTimeoutError::Timeout => Error::new(
            Kind::TimedOut,
            format!("it took longer than {}", crate::model::units::human(limit)),
        ),
        RecvTimeoutError::Disconnected => Error::new(Kind::Ended, "it panicked"),
    })
}
