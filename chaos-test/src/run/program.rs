//! How a program is described.

mod cargo_bin;
mod env_value;
pub(super) mod placeholders;
pub(super) mod plan;

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::time::Duration;

use crate::probe::Ready;
use crate::system::gate::Limits;

pub use env_value::EnvValue;
use plan::Plan;

/// A program to run as a service: no container engine and no privileges needed.
///
/// Each port is a free one of 127.0.0.1, chosen when the service starts and kept for it
/// while it is down. The program learns it from the environment variable `PORT` (the first
/// one), and from `{port}` or `{port:6379}` in arguments and environment values. `{dir}`
/// stands for a scratch folder that is removed afterwards. Programs must set SO_REUSEADDR
/// on their listening socket, as nearly all servers do; see
/// [`without_reuse_address`](Self::without_reuse_address) for the others.
///
/// It inherits the environment of the test, so that `FALLBACK=off cargo test` weakens it.
///
/// ```
/// use chaos_test::{Program, secs};
/// let redis = Program::new("redis-server")
///     .listens(6379)
///     .args(["--port", "{port}", "--dir", "{dir}", "--save", ""])
///     .start_timeout(secs(10));
/// ```
#[derive(Debug, Clone)]
#[must_use = "a program runs once it is passed to `chaos.process(..)`"]
pub struct Program {
    program: Where,
    args: Vec<OsString>,
    env: BTreeMap<OsString, Option<OsString>>,
    /// `None`: it named none, so it has one by default.
    ports: Option<Vec<Port>>,
    folder: Option<PathBuf>,
    ready: Option<Ready>,
    limits: Limits,
    start_timeout: Duration,
    grace: Duration,
    keeps_ports: bool,
    supervised: Option<Duration>,
}

#[derive(Debug, Clone)]
enum Where {
    Path(PathBuf),
    CargoBin(String),
}

#[derive(Debug, Clone, Copy)]
struct Port {
    /// As users of the service know it.
    known: u16,
    /// Where it must listen, if it cannot be told.
    fixed: bool,
}

impl Program {
    /// A program on the `PATH`, or by its path.
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        Self::at(Where::Path(PathBuf::from(program.as_ref())))
    }

    /// A binary of the package that the test is in, which cargo has built with the test.
    ///
    /// It is looked up when the service starts, so that it also works from `src/`. For
    /// tests in `tests/` cargo builds the package's binaries by itself; for unit tests run
    /// `cargo build` first.
    ///
    /// ```
    /// use chaos_test::{Program, tcp};
    /// let shop = Program::cargo_bin("shop").env("CACHE", "127.0.0.1:6379").ready(tcp());
    /// ```
    pub fn cargo_bin(name: impl Into<String>) -> Self {
        Self::at(Where::CargoBin(name.into()))
    }

    fn at(program: Where) -> Self {
        Self {
            program,
            args: Vec::new(),
            env: BTreeMap::new(),
            ports: None,
            folder: None,
            ready: None,
            limits: Limits::default(),
            start_timeout: Duration::from_secs(30),
            grace: Duration::from_secs(2),
            keeps_ports: true,
            supervised: None,
        }
    }

    /// One more argument.
    ///
    /// ```
    /// use chaos_test::Program;
    /// let redis = Program::new("redis-server").arg("--port").arg("{port}").args(["--save", ""]);
    /// ```
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    /// More arguments.
    pub fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.args
            .extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// Sets an environment variable.
    ///
    /// ```
    /// use chaos_test::Program;
    /// let shop = Program::cargo_bin("shop").env("TIMEOUT_MS", 250).env_remove("HTTP_PROXY");
    /// ```
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl EnvValue) -> Self {
        self.env
            .insert(name.as_ref().to_owned(), Some(value.into_env()));
        self
    }

    /// Takes an environment variable away that it would inherit.
    ///
    /// See [`env`](Self::env) for an example.
    pub fn env_remove(mut self, name: impl AsRef<OsStr>) -> Self {
        self.env.insert(name.as_ref().to_owned(), None);
        self
    }

    /// A port that it listens on, by the number that its users know. Where it really
    /// listens is chosen at start and handed over as `{port}` or `{port:<number>}`.
    ///
    /// ```
    /// use chaos_test::Program;
    /// let broker = Program::new("broker").listens(9092).listens(9093).env("PORTS", "{port:9092},{port:9093}");
    /// ```
    pub fn listens(mut self, port: u16) -> Self {
        self.ports.get_or_insert_default().push(Port {
            known: port,
            fixed: false,
        });
        self
    }

    /// A port of 127.0.0.1 that it listens on whatever it is told. Two tests that start it
    /// cannot run at the same time.
    ///
    /// ```
    /// use chaos_test::Program;
    /// let legacy = Program::new("/opt/legacy/server").listens_at(7070).without_reuse_address();
    /// ```
    pub fn listens_at(mut self, port: u16) -> Self {
        self.ports.get_or_insert_default().push(Port {
            known: port,
            fixed: true,
        });
        self
    }

    /// It does not set SO_REUSEADDR on its listening socket. Its ports are then let go before
    /// its first start, and another program may be given one while this one is down.
    ///
    /// See [`listens_at`](Self::listens_at) for an example.
    pub fn without_reuse_address(mut self) -> Self {
        self.keeps_ports = false;
        self
    }

    /// It listens on no port at all. Give it another ready check, such as
    /// [`log_line`](crate::log_line).
    ///
    /// ```
    /// use chaos_test::{Program, log_line};
    /// let worker = Program::cargo_bin("worker").without_port().ready(log_line("waiting for jobs"));
    /// ```
    pub fn without_port(mut self) -> Self {
        self.ports = Some(Vec::new());
        self
    }

    /// The folder that it runs in; that of the test by default.
    ///
    /// ```
    /// use chaos_test::{Program, log_line, secs};
    /// let shop = Program::cargo_bin("shop")
    ///     .current_dir("/srv/shop")
    ///     .ready(log_line("taking orders"))
    ///     .start_timeout(secs(10))
    ///     .grace(secs(5));
    /// ```
    pub fn current_dir(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folder = Some(folder.into());
        self
    }

    /// How to see that it is ready: asked after every start. All its ports accept a
    /// connection, by default.
    pub fn ready(mut self, check: impl Into<Ready>) -> Self {
        self.ready = Some(check.into());
        self
    }

    /// How long it may take to become ready; 30 seconds by default.
    pub fn start_timeout(mut self, limit: Duration) -> Self {
        self.start_timeout = limit;
        self
    }

    /// How long it may take to end after SIGTERM before it is killed; 2 seconds by default.
    ///
    /// See [`current_dir`](Self::current_dir) for an example.
    pub fn grace(mut self, limit: Duration) -> Self {
        self.grace = limit;
        self
    }

    /// It is a supervisor, such as a loop of a shell: the service is what it starts, and starts
    /// again when that dies. `process::kill` then ends the process that listens on the first
    /// port, with its descendants, and leaves the supervisor. It is waited for, this long from
    /// the kill on; only where nothing listens by then, the undo starts all of it anew.
    /// [`Service::restarted`](crate::Service::restarted) says who it was. The other faults act on
    /// supervisor and service alike.
    ///
    /// ```
    /// use chaos_test::{Program, secs};
    /// let loops = "while :; do redis-server --port $PORT --save ''; done";
    /// let redis = Program::new("sh").args(["-c", loops]).supervised(secs(10));
    /// ```
    pub fn supervised(mut self, within: Duration) -> Self {
        self.supervised = Some(within);
        self
    }

    /// How many files it may have open (RLIMIT_NOFILE).
    ///
    /// ```
    /// use chaos_test::Program;
    /// let shop = Program::cargo_bin("shop")
    ///     .limit_open_files(64)
    ///     .limit_memory(512 << 20) // 512 MiB
    ///     .limit_cpu_seconds(30)
    ///     .limit_file_size(10 << 20);
    /// ```
    pub fn limit_open_files(mut self, files: u64) -> Self {
        self.limits.open_files = Some(files);
        self
    }

    /// How much address space it may use, in bytes (RLIMIT_AS).
    ///
    /// See [`limit_open_files`](Self::limit_open_files) for an example.
    pub fn limit_memory(mut self, bytes: u64) -> Self {
        self.limits.memory = Some(bytes);
        self
    }

    /// How much processor time it may use, in whole seconds (RLIMIT_CPU).
    ///
    /// See [`limit_open_files`](Self::limit_open_files) for an example.
    pub fn limit_cpu_seconds(mut self, seconds: u64) -> Self {
        self.limits.cpu_seconds = Some(seconds);
        self
    }

    /// How large a file it may write, in bytes (RLIMIT_FSIZE). Its log is such a file.
    ///
    /// See [`limit_open_files`](Self::limit_open_files) for an example.
    pub fn limit_file_size(mut self, bytes: u64) -> Self {
        self.limits.file_size = Some(bytes);
        self
    }

    pub(super) fn plan(&self) -> Plan<'_> {
        Plan::of(self)
    }
}
