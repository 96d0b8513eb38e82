//! One service that is code of the test's own process: a thread of its own, and on it a
//! runtime of its own, for each start.
//!
//! It must never end or stop anything but that thread, and never wait for it without limit.

mod remote;

use std::any::Any;
use std::fs::OpenOptions;
use std::future::Future;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, Weak, mpsc};
use std::time::{Duration, Instant};

use tokio::net::{TcpListener, TcpSocket};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;

use super::log::{SinceStart, last_lines};
use super::{Answer, NotReady, ProcessUnit, ReadyCheck, Unit, until_ready};
use crate::error::{Error, Kind};
use crate::model::event::Event;
use crate::model::identity::ProcessIdentity;
use crate::model::undo::Undo;
use crate::model::units::human;
use crate::system::lock::lock;
use crate::system::ports::ReservedPort;
use crate::system::process::{ProcessState, Signal};
use crate::system::world::Ledger;

use remote::{Order, Remote};

/// How long its thread may take to end: what it runs must come to an await for that.
const END_LIMIT: Duration = Duration::from_secs(5);
/// How long the first step of what it runs is waited for, which says whether it serves; and
/// how often it is looked at after that, while it is still at work.
const FIRST_STEP: Duration = Duration::from_secs(1);
const NEXT_LOOK: Duration = Duration::from_millis(100);
/// How long its address may be taken when it starts, and what lies between two tries.
const LISTEN_LIMIT: Duration = Duration::from_secs(2);
const LISTEN_PAUSE: Duration = Duration::from_millis(2);
/// How many clients may wait to be accepted.
const BACKLOG: u32 = 1024;

/// What serves, from one start on; the error is its own, in words.
pub(crate) type Serving = Pin<Box<dyn Future<Output = Result<(), String>>>>;

/// Called on the service's own thread, for each start.
pub(crate) type Serve = Arc<dyn Fn(TcpListener) -> Serving + Send + Sync>;

/// What a service in the test's own process is, each time that it is started.
pub(crate) struct Code {
    pub(crate) name: String,
    pub(crate) serve: Serve,
    pub(crate) port: (u16, ReservedPort),
    pub(crate) log: PathBuf,
    pub(crate) ready: Arc<dyn ReadyCheck>,
    pub(crate) start_timeout: Duration,
}

/// A service in the test's own process, whether it runs at the moment or not.
pub(crate) struct ServiceTask {
    code: Arc<Code>,
    ledger: Weak<dyn Ledger>,
    running: Mutex<Option<Running>>,
    starts: AtomicU32,
    /// One change at a time; a fault and a restart must not cross.
    changing: tokio::sync::Mutex<()>,
}

struct Running {
    remote: Arc<Remote>,
    exit: Exit,
}

/// How it ended, in words, once it has.
type Exit = watch::Receiver<Option<String>>;

impl ServiceTask {
    pub(crate) fn new(code: Code, ledger: Weak<dyn Ledger>) -> Self {
        Self {
            code: Arc::new(code),
            ledger,
            running: Mutex::new(None),
            starts: AtomicU32::new(0),
            changing: tokio::sync::Mutex::new(()),
        }
    }

    /// Starts it and waits until it is ready.
    pub(crate) async fn start(&self) -> Result<(), Error> {
        let _change = self.changing.lock().await;
        self.spawn(Order::Run)?;
        self.until_ready().await
    }

    fn spawn(&self, order: Order) -> Result<(), Error> {
        let ledger = self
            .ledger
            .upgrade()
            .ok_or_else(|| Error::new(Kind::Ended, "the context of this service has ended"))?;
        let started = Instant::now();
        let cannot = |error: io::Error| self.error("could not be started".into()).because(error);
        let number = self.starts.fetch_add(1, Ordering::SeqCst) + 1;
        let mark = format!("--- chaos-test: start {number} of `{}` ---", self.code.name);
        SinceStart::mark(&self.code.log, &mark).map_err(cannot)?;
        let remote = Arc::new(Remote::new(order));
        let (report, exit) = watch::channel(None);
        // Its start is written down before anything of it can be.
        let (go, gone) = mpsc::channel::<()>();
        let thread = {
            let (code, remote) = (Arc::clone(&self.code), Arc::clone(&remote));
            let ledger = Weak::clone(&self.ledger);
            move || {
                let _ = gone.recv();
                let how = code.run(&remote);
                let asked = remote.wanted() == Order::End;
                code.note(&format!("ended: {how}"));
                if let Some(ledger) = ledger.upgrade()
                    && !asked
                {
                    ledger.record(Event::ServiceDied {
                        service: code.name.clone(),
                        how: how.clone(),
                    });
                }
                report.send_replace(Some(how));
            }
        };
        std::thread::Builder::new()
            .name(self.code.thread_name())
            .spawn(thread)
            .map_err(cannot)?;
        *lock(&self.running) = Some(Running { remote, exit });
        ledger.record(Event::ServiceStarted {
            service: self.code.name.clone(),
            pid: std::process::id(),
            container: None,
            ports: vec![self.code.port.1.port()],
            log: Some(self.code.log.clone()),
            took_us: u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX),
        });
        drop(go);
        Ok(())
    }

    async fn until_ready(&self) -> Result<(), Error> {
        let (remote, mut exit) = self
            .with_running(|one| (Arc::clone(&one.remote), one.exit.clone()))
            .ok_or_else(|| self.error("is not running".into()))?;
        // The kernel accepts connections for it as soon as it listens, so that is no sign
        // that it does not give up at once. One that blocks here is asked like any other; one
        // that computes may be about to panic, which takes its time with a backtrace.
        let mut stepped = remote.stepped();
        tokio::select! {
            _ = stepped.wait_for(|stepped| *stepped) => {}
            _ = exit.wait_for(Option::is_some) => {}
            () = still_computing(&remote, self.code.start_timeout) => {}
        }
        let ended = async {
            let _ = exit.wait_for(Option::is_some).await;
        };
        until_ready(self, &*self.code.ready, ended)
            .await
            .map_err(|why| match why {
                NotReady::Ended => {
                    let how = self.with_running(|one| one.exit.borrow().clone());
                    let how = how.flatten().unwrap_or_else(|| "somehow".to_owned());
                    self.error(format!("ended before it was ready ({how})"))
                }
                NotReady::Late(what) => self.error(what),
            })
    }

    /// Ends whatever is left of it.
    async fn clear(&self) -> Result<(), Error> {
        let Some(remote) = self.with_running(|one| Arc::clone(&one.remote)) else {
            return Ok(());
        };
        remote.order(Order::End);
        if !self.exits_within(END_LIMIT).await {
            return Err(self
                .error(format!(
                    "could not be ended within {}: its code blocks its thread `{}`, which lives \
                     until the test's process ends",
                    human(END_LIMIT),
                    self.code.thread_name(),
                ))
                .help(
                    "what blocks must be awaited, or run with `tokio::task::spawn_blocking`; or \
                     make it a program of its own and start it with `chaos.process(..)`",
                ));
        }
        *lock(&self.running) = None;
        Ok(())
    }

    fn with_running<T>(&self, ask: impl FnOnce(&Running) -> T) -> Option<T> {
        lock(&self.running).as_ref().map(ask)
    }
}

impl Unit for ServiceTask {
    fn name(&self) -> &str {
        &self.code.name
    }

    fn log(&self) -> &Path {
        &self.code.log
    }

    fn endpoints(&self) -> Vec<(u16, SocketAddr)> {
        let (known, port) = &self.code.port;
        vec![(*known, port.address())]
    }

    /// Nothing asks it to end: it is dropped.
    fn grace(&self) -> Duration {
        Duration::ZERO
    }

    fn start_timeout(&self) -> Duration {
        self.code.start_timeout
    }

    fn has_printed(&self, _: &str) -> Result<(), String> {
        let last = last_lines(&self.code.log, 1).concat();
        Err(format!(
            "what a service in the test's own process prints is the test's own output; its log \
             has only its starts and ends, the last one `{last}`"
        ))
    }

    fn ensure_running(&self) -> Answer<'_, Result<(), Error>> {
        Box::pin(async move {
            let _change = self.changing.lock().await;
            let wanted = self.with_running(|one| one.remote.wanted());
            match (self.state(), wanted) {
                (ProcessState::Gone, _) | (_, Some(Order::End)) => {
                    self.clear().await?;
                    self.spawn(Order::Run)?;
                }
                _ => {
                    self.with_running(|one| one.remote.order(Order::Run));
                }
            }
            self.until_ready().await
        })
    }

    fn end(&self, _ask_first: bool) -> Answer<'_, Result<(), Error>> {
        Box::pin(async move {
            let _change = self.changing.lock().await;
            self.clear().await
        })
    }

    fn as_process(&self) -> Result<&dyn ProcessUnit, Error> {
        Ok(self)
    }
}

impl ProcessUnit for ServiceTask {
    fn state(&self) -> ProcessState {
        let state = self.with_running(|one| match *one.exit.borrow() {
            Some(_) => ProcessState::Gone,
            None => one.remote.state(),
        });
        state.unwrap_or(ProcessState::Gone)
    }

    /// None of its own.
    fn identity(&self) -> Option<ProcessIdentity> {
        None
    }

    fn starts(&self) -> u32 {
        self.starts.load(Ordering::SeqCst)
    }

    fn signal(&self, signal: Signal) -> io::Result<bool> {
        let order = match signal {
            Signal::Kill => Order::End,
            Signal::Stop => Order::Stop,
            Signal::Continue => Order::Run,
            other => {
                return Err(io::Error::new(
                    io::ErrorKind::Unsupported,
                    format!(
                        "it runs in the test's own process, which {other} would reach as a whole; \
                         it can take {}, {} and {}",
                        Signal::Kill,
                        Signal::Stop,
                        Signal::Continue
                    ),
                ));
            }
        };
        if self.state() == ProcessState::Gone {
            return Ok(false);
        }
        self.with_running(|one| one.remote.order(order));
        Ok(true)
    }

    fn undo_stopping(&self) -> Undo {
        self.undo_running()
    }

    fn is_wholly_stopped(&self) -> bool {
        self.state() == ProcessState::Stopped
    }

    /// Our own number, where its listener outlives its runtime: it was given to a thread.
    fn leftovers(&self) -> Vec<u32> {
        let listens = || {
            let free = std::net::TcpListener::bind(self.code.port.1.address());
            free.is_err_and(|error| error.kind() == io::ErrorKind::AddrInUse)
        };
        if self.state() == ProcessState::Gone && listens() {
            vec![std::process::id()]
        } else {
            Vec::new()
        }
    }

    fn is_in_test(&self) -> bool {
        true
    }

    fn exits_within(&self, limit: Duration) -> Answer<'_, bool> {
        Box::pin(async move {
            let Some(mut exit) = self.with_running(|one| one.exit.clone()) else {
                return true;
            };
            let gone = exit.wait_for(Option::is_some);
            tokio::time::timeout(limit, gone)
                .await
                .is_ok_and(|gone| gone.is_ok())
        })
    }

    fn start_unready(&self, held: bool) -> Answer<'_, Result<(), Error>> {
        Box::pin(async move {
            let _change = self.changing.lock().await;
            self.clear().await?;
            self.spawn(if held { Order::Hold } else { Order::Run })
        })
    }
}

impl Code {
    fn thread_name(&self) -> String {
        format!("chaos-in-{}", self.name)
    }

    /// Runs it to its end on this thread. How it ended, in words.
    fn run(&self, remote: &Remote) -> String {
        remote.arrive();
        if remote.obey() == Order::End {
            return "before its start".to_owned();
        }
        let runtime = match Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => return format!("it has no runtime: {error}"),
        };
        let served = catch_unwind(AssertUnwindSafe(|| runtime.block_on(self.serve(remote))));
        let how = served.unwrap_or_else(|panic| format!("it panicked: {}", words(&*panic)));
        // Drops all that it spawned. What runs on a thread by `spawn_blocking` cannot be
        // ended by anybody, and is not waited for.
        let _ = catch_unwind(AssertUnwindSafe(|| Runtime::shutdown_background(runtime)));
        how
    }

    async fn serve(&self, remote: &Remote) -> String {
        let listened = tokio::select! {
            biased;
            () = remote.until_ended() => return "it was asked to".to_owned(),
            listened = listen(self.port.1.address()) => listened,
        };
        let listener = match listened {
            Ok(listener) => listener,
            Err(error) => {
                let address = self.port.1.address();
                let hint = match error.kind() {
                    io::ErrorKind::AddrInUse => "; a thread that it started may hold its listener",
                    _ => "",
                };
                return format!("it cannot listen on {address}: {error}{hint}");
            }
        };
        remote.listen();
        let mut serving = pin!(async { (self.serve)(listener).await });
        let stepped = std::future::poll_fn(|cx| {
            let polled = serving.as_mut().poll(cx);
            if polled.is_pending() {
                remote.step();
            }
            polled
        });
        tokio::select! {
            biased;
            () = remote.until_ended() => "it was asked to".to_owned(),
            served = stepped => match served {
                Ok(()) => "it returned".to_owned(),
                Err(error) => format!("it returned an error: {error}"),
            },
        }
    }

    /// A line in its log; the reports show the last ones.
    fn note(&self, line: &str) {
        let log = OpenOptions::new().append(true).open(&self.log);
        // Without its log it still runs, and its end stands in the journal.
        let _ = log.and_then(|mut log| writeln!(log, "{line}"));
    }
}

/// Waits as long as a first step may take: longer where its thread is at work, or waits for its
/// address.
async fn still_computing(remote: &Remote, limit: Duration) {
    let began = Instant::now();
    tokio::time::sleep(FIRST_STEP).await;
    while (remote.is_computing() || !remote.listens()) && began.elapsed() < limit {
        tokio::time::sleep(NEXT_LOOK).await;
    }
}

/// Listens beside the reserved socket. Until a program runs that this process has just started, it
/// has the listener of an earlier start.
async fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let until = Instant::now() + LISTEN_LIMIT;
    loop {
        match listen_now(address) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && Instant::now() < until => {
                tokio::time::sleep(LISTEN_PAUSE).await;
            }
            listened => return listened,
        }
    }
}

fn listen_now(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// What was said by `panic!`.
fn words(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("without words")
}

#[cfg(test)]
mod tests;
