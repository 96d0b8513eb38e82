//! How a program is described, and what its placeholders stand for.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::{Error, Kind};
use crate::probe::{AllPorts, Ready};
use crate::system::capability::find_program;
use crate::system::gate::Limits;

use super::service::{Address, DEFAULT_PORT};

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
        }
    }

    /// One more argument.
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
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl EnvValue) -> Self {
        self.env
            .insert(name.as_ref().to_owned(), Some(value.into_env()));
        self
    }

    /// Takes an environment variable away that it would inherit.
    pub fn env_remove(mut self, name: impl AsRef<OsStr>) -> Self {
        self.env.insert(name.as_ref().to_owned(), None);
        self
    }

    /// A port that it listens on, by the number that its users know. Where it really
    /// listens is chosen at start and handed over as `{port}` or `{port:<number>}`.
    pub fn listens(mut self, port: u16) -> Self {
        self.ports.get_or_insert_default().push(Port {
            known: port,
            fixed: false,
        });
        self
    }

    /// A port of 127.0.0.1 that it listens on whatever it is told. Two tests that start it
    /// cannot run at the same time.
    pub fn listens_at(mut self, port: u16) -> Self {
        self.ports.get_or_insert_default().push(Port {
            known: port,
            fixed: true,
        });
        self
    }

    /// It does not set SO_REUSEADDR on its listening socket. Its ports are then let go before
    /// its first start, and another program may be given one while this one is down.
    pub fn without_reuse_address(mut self) -> Self {
        self.keeps_ports = false;
        self
    }

    /// It listens on no port at all. Give it another ready check, such as
    /// [`log_line`](crate::log_line).
    pub fn without_port(mut self) -> Self {
        self.ports = Some(Vec::new());
        self
    }

    /// The folder that it runs in; that of the test by default.
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
    pub fn grace(mut self, limit: Duration) -> Self {
        self.grace = limit;
        self
    }

    /// How many files it may have open (RLIMIT_NOFILE).
    pub fn limit_open_files(mut self, files: u64) -> Self {
        self.limits.open_files = Some(files);
        self
    }

    /// How much address space it may use, in bytes (RLIMIT_AS).
    pub fn limit_memory(mut self, bytes: u64) -> Self {
        self.limits.memory = Some(bytes);
        self
    }

    /// How much processor time it may use, in whole seconds (RLIMIT_CPU).
    pub fn limit_cpu_seconds(mut self, seconds: u64) -> Self {
        self.limits.cpu_seconds = Some(seconds);
        self
    }

    /// How large a file it may write, in bytes (RLIMIT_FSIZE). Its log is such a file.
    pub fn limit_file_size(mut self, bytes: u64) -> Self {
        self.limits.file_size = Some(bytes);
        self
    }

    pub(super) fn plan(&self) -> Plan<'_> {
        let fixed = |port: &Port| if port.fixed { port.known } else { 0 };
        let ports = match &self.ports {
            None => vec![(DEFAULT_PORT, 0)],
            Some(ports) => ports.iter().map(|port| (port.known, fixed(port))).collect(),
        };
        Plan {
            program: self,
            ports,
        }
    }
}

/// What an environment variable can be set to: text, a number, an [`Address`].
pub trait EnvValue {
    /// As the program will see it.
    fn into_env(self) -> OsString;
}

impl EnvValue for &str {
    fn into_env(self) -> OsString {
        self.into()
    }
}

impl EnvValue for String {
    fn into_env(self) -> OsString {
        self.into()
    }
}

impl EnvValue for &OsStr {
    fn into_env(self) -> OsString {
        self.to_owned()
    }
}

impl EnvValue for OsString {
    fn into_env(self) -> OsString {
        self
    }
}

impl EnvValue for &OsString {
    fn into_env(self) -> OsString {
        self.clone()
    }
}

impl EnvValue for PathBuf {
    fn into_env(self) -> OsString {
        self.into_os_string()
    }
}

impl EnvValue for &PathBuf {
    fn into_env(self) -> OsString {
        self.as_os_str().to_owned()
    }
}

impl EnvValue for &Path {
    fn into_env(self) -> OsString {
        self.as_os_str().to_owned()
    }
}

macro_rules! shown {
    ($($value:ty),*) => {$(
        impl EnvValue for $value {
            fn into_env(self) -> OsString {
                self.to_string().into()
            }
        }
    )*};
}

shown!(
    &String, u16, u32, u64, usize, i32, i64, bool, SocketAddr, Address, &Address
);
/// A program with its ports decided.
pub(super) struct Plan<'a> {
    program: &'a Program,
    /// As users know it, and where it must listen (0: anywhere).
    pub(super) ports: Vec<(u16, u16)>,
}

impl Plan<'_> {
    /// Has it listen on these ports, unless it names its own.
    pub(super) fn take_ports(&mut self, reserved: Vec<u16>) {
        if self.program.ports.is_none() && !reserved.is_empty() {
            self.ports = reserved.into_iter().map(|port| (port, 0)).collect();
        }
    }

    pub(super) fn find(&self) -> Result<PathBuf, Error> {
        let found = match &self.program.program {
            Where::Path(path) => find_program(path),
            Where::CargoBin(name) => cargo_bin(name),
        };
        found.map_err(|why| Error::new(Kind::Service, why))
    }

    pub(super) fn needs_scratch(&self) -> bool {
        let values = self.program.env.values().flatten();
        self.program.args.iter().chain(values).any(|text| {
            text.as_encoded_bytes()
                .windows(5)
                .any(|part| part == b"{dir}")
        })
    }

    /// Arguments with placeholders filled in.
    pub(super) fn args(&self, filled: &Filled<'_>) -> Result<Vec<OsString>, Error> {
        self.program
            .args
            .iter()
            .map(|arg| filled.fill(arg))
            .collect()
    }

    /// The environment with placeholders filled in, and `PORT`.
    pub(super) fn env(
        &self,
        filled: &Filled<'_>,
    ) -> Result<BTreeMap<OsString, Option<OsString>>, Error> {
        let mut env = BTreeMap::new();
        if let Some((_, port)) = filled.ports.first() {
            env.insert("PORT".into(), Some(port.to_string().into()));
        }
        for (name, value) in &self.program.env {
            let value = match value {
                Some(value) => Some(filled.fill(value)?),
                None => None,
            };
            env.insert(name.clone(), value);
        }
        Ok(env)
    }

    pub(super) fn folder(&self) -> Result<Option<PathBuf>, Error> {
        match &self.program.folder {
            Some(folder) if !folder.is_dir() => Err(Error::new(
                Kind::Service,
                format!("its folder `{}` does not exist", folder.display()),
            )),
            folder => Ok(folder.clone()),
        }
    }

    pub(super) fn ready(&self) -> Ready {
        let ready = self.program.ready.clone();
        ready.unwrap_or_else(|| Ready::new(AllPorts))
    }

    pub(super) fn limits(&self) -> Limits {
        self.program.limits.clone()
    }

    pub(super) fn start_timeout(&self) -> Duration {
        self.program.start_timeout
    }

    pub(super) fn keeps_ports(&self) -> bool {
        self.program.keeps_ports
    }

    pub(super) fn grace(&self) -> Duration {
        self.program.grace
    }
}

/// What placeholders stand for.
pub(super) struct Filled<'a> {
    /// As users know it, and where it really is.
    pub(super) ports: &'a [(u16, u16)],
    pub(super) scratch: Option<&'a Path>,
}

impl Filled<'_> {
    fn fill(&self, text: &OsStr) -> Result<OsString, Error> {
        // What is not text can hold no placeholder of ours that matters.
        let Some(text) = text.to_str() else {
            return Ok(text.to_owned());
        };
        let mut filled = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{port") {
            filled.push_str(before);
            let (port, after) = self.port(text, after)?;
            filled.push_str(&port.to_string());
            rest = after;
        }
        filled.push_str(rest);
        if let Some(scratch) = self.scratch {
            filled = filled.replace("{dir}", &scratch.to_string_lossy());
        }
        Ok(filled.into())
    }

    fn port<'t>(&self, text: &str, after: &'t str) -> Result<(u16, &'t str), Error> {
        let wrong = |why: String| Err(Error::new(Kind::Usage, format!("in `{text}`: {why}")));
        let Some((inside, after)) = after.split_once('}') else {
            return wrong("`{port` has no closing brace".to_owned());
        };
        let known: Vec<String> = self
            .ports
            .iter()
            .map(|(known, _)| known.to_string())
            .collect();
        let port = match inside.strip_prefix(':') {
            None if inside.is_empty() => self.ports.first(),
            None => {
                return wrong(format!(
                    "`{{port{inside}}}` is neither `{{port}}` nor `{{port:6379}}`"
                ));
            }
            Some(number) => self
                .ports
                .iter()
                .find(|(known, _)| known.to_string() == number),
        };
        match port {
            Some((_, port)) => Ok((*port, after)),
            None => wrong(format!(
                "`{{port{inside}}}` is not one of its ports ({}); declare it with `.listens(..)`",
                known.join(", ")
            )),
        }
    }
}

/// Where cargo has put a binary of this package.
fn cargo_bin(name: &str) -> Result<PathBuf, String> {
    for variable in [
        format!("NEXTEST_BIN_EXE_{name}"),
        format!("CARGO_BIN_EXE_{name}"),
    ] {
        if let Some(path) = std::env::var_os(variable) {
            return find_program(Path::new(&path));
        }
    }
    let exe = std::env::current_exe().map_err(|error| error.to_string())?;
    // Tests lie in `target/debug/deps`, binaries one folder above.
    let folder = exe.parent().map(|folder| {
        if folder.ends_with("deps") || folder.ends_with("examples") {
            folder.parent().unwrap_or(folder)
        } else {
            folder
        }
    });
    let path = folder.unwrap_or(Path::new(".")).join(name);
    find_program(&path).map_err(|_| {
        format!(
            "cargo has built no binary `{name}` ({} is not there): name one of this package's \
             `[[bin]]` targets; for a unit test run `cargo build` first",
            path.display()
        )
    })
}
#[cfg(test)]
mod tests {
    use super::*;

    fn fill(text: &str) -> Result<String, String> {
        let filled = Filled {
            ports: &[(6379, 40001), (8080, 40002)],
            scratch: Some(Path::new("/s")),
        };
        filled
            .fill(OsStr::new(text))
            .map(|text| text.into_string().unwrap())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn placeholders_are_filled_in() {
        for (text, expected) in [
            ("plain", "plain"),
            ("--port={port}", "--port=40001"),
            ("{port:8080},{port:6379}", "40002,40001"),
            ("{dir}/data", "/s/data"),
            ("{other}", "{other}"),
        ] {
            assert_eq!(fill(text).as_deref(), Ok(expected));
        }
    }

    #[test]
    fn a_wrong_placeholder_names_what_there_is() {
        for (text, expected) in [
            (
                "{port:1}",
                "in `{port:1}`: `{port:1}` is not one of its ports (6379, 8080)",
            ),
            ("{port", "has no closing brace"),
            ("{ports}", "is neither `{port}` nor `{port:6379}`"),
        ] {
            let error = fill(text).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn a_program_without_ports_has_one_unless_it_says_otherwise() {
        assert_eq!(Program::new("a").plan().ports, [(0, 0)]);
        assert_eq!(Program::new("a").without_port().plan().ports, []);
        let two = Program::new("a").listens(80).listens_at(81);
        assert_eq!(two.plan().ports, [(80, 0), (81, 81)]);
        for (program, expected) in [
            (Program::new("a"), [(9092, 0), (9093, 0)].as_slice()),
            (Program::new("a").without_port(), [].as_slice()),
            (Program::new("a").listens(80), [(80, 0)].as_slice()),
        ] {
            let mut plan = program.plan();
            plan.take_ports(vec![9092, 9093]);
            assert_eq!(plan.ports, expected);
        }
    }

    #[test]
    fn only_what_names_the_folder_gets_one() {
        assert!(!Program::new("a").arg("{port}").plan().needs_scratch());
        assert!(
            Program::new("a")
                .env("DATA", "{dir}/x")
                .plan()
                .needs_scratch()
        );
    }
}
