//! The runtimes that do the work: never the one that a test's body runs on.
//!
//! A body that blocks its thread or spins cannot hold off a rollback, a time limit or a
//! link. Code of the user has runtimes of its own, so that it cannot hold off ours either.

use std::any::Any;
use std::future::Future;
use std::sync::OnceLock;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::{AbortHandle, JoinHandle};

use crate::error::{Error, Kind};
use crate::system::spawner::Spawner;

/// A runtime and where its tasks are spawned. It is never shut down.
type Running = OnceLock<(Runtime, Spawner)>;

/// Runs our own work: links, time limits, undo steps.
pub(crate) fn own() -> &'static Spawner {
    static OWN: Running = OnceLock::new();
    &OWN.get_or_init(|| build("chaos-engine")).1
}

/// Whether this thread belongs to our own runtime.
pub(crate) fn is_own_thread() -> bool {
    is_on(own())
}

fn is_on(spawner: &Spawner) -> bool {
    Handle::try_current().is_ok_and(|current| current.id() == spawner.runtime().id())
}

/// Runs what users wrote: fixtures and faults.
pub(crate) fn users() -> &'static Spawner {
    static USERS: Running = OnceLock::new();
    &USERS.get_or_init(|| build("chaos-user")).1
}

/// Runs the probes of monitors. One that blocks its thread holds off other probes at most,
/// never a fault or a fixture of a test.
pub(crate) fn probes() -> &'static Spawner {
    static PROBES: Running = OnceLock::new();
    &PROBES.get_or_init(|| build("chaos-probe")).1
}

fn build(name: &str) -> (Runtime, Spawner) {
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
    let runtime = std::thread::scope(|scope| scope.spawn(build).join())
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    let spawner = Spawner::new(runtime.handle());
    (runtime, spawner)
}

/// What some work came to. One type for all, so that all work is one kind of task.
type Answer = Box<dyn Any + Send>;

fn begin<T: Send + 'static>(
    spawner: &Spawner,
    work: impl Future<Output = T> + Send + 'static,
) -> JoinHandle<Answer> {
    spawner.spawn(async move { Box::new(work.await) as Answer })
}

fn typed<T: 'static>(answer: Answer) -> T {
    *answer
        .downcast()
        .expect("whoever begins the work asks for its type")
}

/// Waits for work that only ends early with a panic, which goes on here.
async fn answer(task: JoinHandle<Answer>) -> Answer {
    match task.await {
        Ok(answer) => answer,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // Only a process that ends shuts our runtimes down.
            Err(_) => std::future::pending().await,
        },
    }
}

/// Runs a future on a runtime and waits for it from any other, or from none.
///
/// The work goes on if the waiting future is dropped: what it made is then dropped, too,
/// and cleans up after itself.
pub(crate) async fn run_on<T: Send + 'static>(
    spawner: &Spawner,
    work: impl Future<Output = T> + Send + 'static,
) -> T {
    typed(answer(begin(spawner, work)).await)
}

/// As [`run_on`], but the work ends with the future that waits for it.
pub(crate) async fn run_while_awaited<T: Send + 'static>(
    spawner: &Spawner,
    work: impl Future<Output = T> + Send + 'static,
) -> T {
    let task = begin(spawner, work);
    let _ends_with_this = Abort(task.abort_handle());
    typed(answer(task).await)
}

/// Ends a task when it is dropped; one that is over stays as it is.
struct Abort(AbortHandle);

impl Drop for Abort {
    fn drop(&mut self) {
        self.0.abort();
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
    let (done, wait) = mpsc::sync_channel::<Answer>(1);
    own().spawn(async move {
        // Nobody may wait any more.
        let _ = done.send(Box::new(work.await));
    });
    let waited = if is_on(users()) {
        // A worker that waits must not keep the others from what it waits for.
        tokio::task::block_in_place(|| wait.recv_timeout(limit))
    } else {
        wait.recv_timeout(limit)
    };
    waited.map(typed).map_err(|error| match error {
        RecvTimeoutError::Timeout => Error::new(
            Kind::TimedOut,
            format!("it took longer than {}", crate::model::units::human(limit)),
        ),
        RecvTimeoutError::Disconnected => Error::new(Kind::Ended, "it panicked"),
    })
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    /// Polls once, and drops it.
    async fn begin_and_drop(waiting: impl Future<Output = ()>) {
        tokio::select! {
            biased;
            () = waiting => panic!("it is over already"),
            () = std::future::ready(()) => {}
        }
    }

    #[tokio::test]
    async fn work_goes_on_without_whoever_waits_for_it() {
        let (go, gone) = oneshot::channel();
        let (tell, told) = oneshot::channel();
        let work = async move {
            gone.await.unwrap();
            tell.send("done").unwrap();
        };
        begin_and_drop(run_on(own(), work)).await;
        go.send(()).unwrap();
        assert_eq!(told.await, Ok("done"));
    }

    #[tokio::test]
    async fn work_ends_with_whoever_waits_for_it_where_that_is_asked_for() {
        let (held, dropped) = oneshot::channel::<()>();
        let work = async move {
            std::future::pending::<()>().await;
            drop(held);
        };
        begin_and_drop(run_while_awaited(own(), work)).await;
        assert!(dropped.await.is_err());
    }

    #[tokio::test]
    async fn what_work_comes_to_is_what_whoever_waits_gets() {
        assert_eq!(run_on(own(), async { "on" }).await, "on");
        assert_eq!(run_while_awaited(own(), async { 5_u8 }).await, 5);
        let blocked = std::thread::spawn(|| block_on_own(Duration::MAX, async { 'b' }));
        assert_eq!(blocked.join().unwrap().unwrap(), 'b');
    }

    #[tokio::test]
    #[should_panic(expected = "over the edge")]
    async fn a_panic_goes_on_in_whoever_waits() {
        run_on::<()>(own(), async { panic!("over the edge") }).await;
    }
}
