//! Tasks on a runtime, in as few forms as there are kinds of answers.
//!
//! For each future that becomes a task the compiler makes some fifty functions out of the
//! runtime's, and a debug build makes them twice. Boxed, all futures with the same kind of answer
//! are one. It changes nothing of what a task does.

use std::future::Future;
use std::pin::Pin;

use tokio::runtime::Handle;
use tokio::task::JoinHandle;

/// Where tasks run.
#[derive(Debug, Clone)]
pub(crate) struct Spawner(Handle);

impl Spawner {
    pub(crate) fn new(runtime: &Handle) -> Self {
        Self(runtime.clone())
    }

    /// The runtime that this thread is in.
    ///
    /// # Panics
    ///
    /// Outside every runtime.
    #[track_caller]
    pub(crate) fn here() -> Self {
        Self(Handle::current())
    }

    pub(crate) fn runtime(&self) -> &Handle {
        &self.0
    }

    /// As [`Handle::spawn`].
    pub(crate) fn spawn<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<T> {
        let work: Pin<Box<dyn Future<Output = T> + Send>> = Box::pin(work);
        self.0.spawn(work)
    }

    /// As [`Handle::spawn_blocking`].
    pub(crate) fn spawn_blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> JoinHandle<T> {
        let work: Box<dyn FnOnce() -> T + Send> = Box::new(work);
        self.0.spawn_blocking(work)
    }

    /// As [`Handle::block_on`].
    pub(crate) fn block_on<T>(&self, work: impl Future<Output = T>) -> T {
        self.0.block_on(work)
    }
}
