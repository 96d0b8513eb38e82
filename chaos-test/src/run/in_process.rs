//! Services in the test's own process: how one is described, and starting it.

use std::fmt;
use std::future::IntoFuture;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;

use crate::error::{Error, TestError};
use crate::model::undo::Undo;
use crate::probe::{AllPorts, Ready};
use crate::system::Ledger;
use crate::system::lock::lock;
use crate::system::service::Unit;
use crate::system::service::task::{Code, Serve, ServiceTask};

use super::engine;
use super::inner::Inner;
use super::reserving::Slot;
use super::rollback::Closure;
use super::service::{DEFAULT_PORT, Service};
use super::starting::{in_front_of, lead_reserved, ledger, log_of, reserve_port};

/// Code of the test's own process that is about to be started as a service; made by
/// [`ChaosContext::in_process`](crate::ChaosContext::in_process), started when it is awaited.
///
/// Each start gets a thread of its own with a single-threaded tokio runtime on it, so what
/// it runs need not be `Send`; only the closure must be, with what it captures. State that
/// is to survive a restart lives in what it captures, state that is to be lost in the
/// closure's body.
///
/// The faults on processes act on that thread:
///
/// | fault | does |
/// |---|---|
/// | [`kill`](crate::process::kill) | drops everything on its runtime at once, at the next await: tasks, connections, the listener |
/// | [`stop`](crate::process::stop) | blocks its thread: the kernel accepts connections, nobody answers |
/// | [`restart`](crate::process::restart) | as `kill`, and starts it again; nothing asks it to end first |
/// | [`hang_at_start`](crate::process::hang_at_start) | as `kill`, and holds the new thread before it listens |
///
/// Signals other than SIGKILL, SIGSTOP and SIGCONT are refused, because they would reach the
/// whole test. Code that blocks its thread for ever cannot be ended: that is given up after
/// five seconds and stands in the report. Neither can `tokio::task::spawn_blocking` and threads
/// that it starts: they go on after a kill.
///
/// If the closure returns or panics though nobody asked for it, the service is dead, as a
/// process that exits. Its log has its starts and ends only; what it prints is the
/// output of the test's process.
///
/// ```no_run
/// # async fn body(chaos: &chaos_test::ChaosContext) -> chaos_test::Result {
/// use chaos_test::{process, secs};
/// let orders = chaos.in_process("orders", async |listener| -> std::io::Result<()> {
///     loop {
///         let (client, _) = listener.accept().await?;
///         client.writable().await?;
///         client.try_write(b"17 orders\n")?;
///     }
/// });
/// let orders = orders.start_timeout(secs(5)).await?;
/// chaos.inject(process::kill(&orders)).await?.lift().await?;
/// # Ok(()) }
/// ```
#[must_use = "it starts when it is awaited"]
pub struct InProcess {
    inner: Arc<Inner>,
    slot: Slot,
    serve: Serve,
    ready: Option<Ready>,
    start_timeout: Duration,
}

impl fmt::Debug for InProcess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InProcess")
            .field("slot", &self.slot)
            .finish_non_exhaustive()
    }
}

impl InProcess {
    pub(super) fn new<F, O>(inner: Arc<Inner>, slot: Slot, serve: F) -> Self
    where
        F: AsyncFn(TcpListener) -> O + Send + Sync + 'static,
        O: Served + 'static,
    {
        let serve = Arc::new(serve);
        Self {
            inner,
            slot,
            serve: Arc::new(move |listener| {
                let serve = Arc::clone(&serve);
                Box::pin(async move { serve(listener).await.into_served() })
            }),
            ready: None,
            start_timeout: Duration::from_secs(30),
        }
    }

    /// How to see that it is ready: asked after every start. Its port accepts a connection,
    /// by default.
    ///
    /// ```no_run
    /// # async fn body(chaos: &chaos_test::ChaosContext) -> chaos_test::Result {
    /// # async fn serve(_: tokio::net::TcpListener) {}
    /// use chaos_test::http;
    /// let orders = chaos.in_process("orders", serve).ready(http("/health").status(200)).await?;
    /// # Ok(()) }
    /// ```
    pub fn ready(mut self, check: impl Into<Ready>) -> Self {
        self.ready = Some(check.into());
        self
    }

    /// How long it may take to become ready; 30 seconds by default.
    pub fn start_timeout(mut self, limit: Duration) -> Self {
        self.start_timeout = limit;
        self
    }
}

impl IntoFuture for InProcess {
    type Output = Result<Service, Error>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(engine::run_on(engine::own(), start_named(self)))
    }
}

async fn start_named(described: InProcess) -> Result<Service, Error> {
    let InProcess {
        inner,
        slot,
        serve,
        ready,
        start_timeout,
    } = described;
    let _call = inner.enter().await?;
    let name = slot.claim(&inner)?;
    let code = code(&inner, &name, serve, ready, start_timeout);
    let started = match code {
        Ok(code) => start(&inner, code).await,
        Err(error) => Err(error),
    };
    if started.is_err() {
        inner.world.forget_service(&name);
    }
    started
}

fn code(
    inner: &Inner,
    name: &str,
    serve: Serve,
    ready: Option<Ready>,
    start_timeout: Duration,
) -> Result<Code, Error> {
    // Its users know its port by the number that was reserved, if there is one.
    let known = inner.world.linked_ports(name);
    Ok(Code {
        name: name.to_owned(),
        serve,
        port: (
            known.first().copied().unwrap_or(DEFAULT_PORT),
            reserve_port(0)?,
        ),
        log: log_of(inner, name)?,
        ready: ready.unwrap_or_else(|| Ready::new(AllPorts)).0,
        start_timeout,
    })
}

/// Starts a service whose name is taken for it.
async fn start(inner: &Arc<Inner>, code: Code) -> Result<Service, Error> {
    let name = code.name.clone();
    let ledger = ledger(inner);
    let task = Arc::new(ServiceTask::new(code, Arc::downgrade(&ledger)));
    lead_reserved(inner, &name, &task.endpoints())?;
    // Its place in the rollback is that of its first start; nothing of it outlives us.
    let what = format!("start `{name}` in the test's process");
    let entry = inner.recorder.plan(&what, Undo::Nothing, false)?;
    inner.world.add_service(task.clone());
    let started = tokio::select! {
        started = task.start() => started,
        ended = inner.until_ended() => Err(ended),
    };
    let service = match started {
        Ok(()) => in_front_of(inner, &*task).await,
        Err(error) => Err(error),
    };
    if service.is_err() {
        // Nobody has a handle to it: what was started ends now, not with the context.
        let ended = task.end(false).await;
        if ended.is_ok() {
            inner.recorder.undone(entry);
            return service;
        }
    }
    let closure = Closure {
        entry,
        run: Box::new(move || {
            Box::pin(async move { task.end(false).await.map_err(TestError::from) })
        }),
    };
    lock(&inner.closures).push(closure);
    service
}

/// What a service in the test's own process may return: nothing, or a `Result` whose error
/// can be shown.
///
/// ```
/// use chaos_test::Served;
/// let full = Err::<(), _>(std::io::Error::other("the disk is full"));
/// assert_eq!(full.into_served(), Err("the disk is full".to_owned()));
/// assert_eq!(().into_served(), Ok(()));
/// ```
#[diagnostic::on_unimplemented(
    message = "a service in the test's own process cannot return `{Self}`",
    note = "it returns `()` or a `Result` whose error implements `Display`"
)]
pub trait Served {
    /// The error in words.
    ///
    /// # Errors
    ///
    /// That which the service has returned, as `Display` shows it.
    fn into_served(self) -> Result<(), String>;
}

impl Served for () {
    fn into_served(self) -> Result<(), String> {
        Ok(())
    }
}

impl<T, E: fmt::Display> Served for Result<T, E> {
    fn into_served(self) -> Result<(), String> {
        self.map(drop).map_err(|error| error.to_string())
    }
}

/// A service that serves for ever.
impl Served for Never {
    fn into_served(self) -> Result<(), String> {
        self
    }
}

/// `!`, which has no name of its own outside of return types yet.
type Never = <fn() -> ! as Returns>::Type;

#[doc(hidden)]
pub trait Returns {
    type Type;
}

impl<T> Returns for fn() -> T {
    type Type = T;
}
