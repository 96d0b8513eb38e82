//! Runs a program for each sample.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use super::trace::commands;
use super::{Probe, traceparent};
use crate::model::sample::Reading;
use crate::system::capability::find_program;
use crate::system::command::{Done, Order};

/// How much of what a program printed is shown.
const SHOWN: usize = 160;
/// The convention for `traceparent` between processes.
const TRACEPARENT: &str = "TRACEPARENT";

/// Runs a program for each sample: good if it ends with exit code 0, or as is said below.
///
/// The program has its own session, no standard input, the environment of the test, and the
/// sample's [`traceparent`] in the variable `TRACEPARENT`, unless you set that yourself. The first
/// 64 KiB of each of its outputs are kept. One that takes longer than the monitor's
/// [`sample_timeout`](super::Pace::sample_timeout) is killed with everything that it has started;
/// so are those that run when the test ends, or is killed. What a program leaves behind in its
/// process group ends with it, what has left that with the test.
///
/// A sample costs the start of two programs: of the test's own executable, which waits until it is
/// certain that the other one cannot outlive the test, and then becomes that. So ask a few times a
/// second, and not as often as over HTTP.
///
/// A monitor whose program cannot be found, or whose folder is not there, is an error wherever it
/// is looked at: nothing that it says is a sign of the system under test.
///
/// ```
/// use chaos_test::{Probe, command, ms};
/// let pings = command(["redis-cli", "-p", "6379", "ping"]).stdout_contains("PONG");
/// let waiting = command(["sh", "-c", "ls /var/spool/shop | wc -l"]).number().named("waiting");
/// let pace = pings.every(ms(200));
/// ```
#[derive(Debug, Clone)]
pub struct CommandProbe {
    name: String,
    /// The service that it asks.
    service: Option<String>,
    argv: Vec<OsString>,
    env: Vec<(OsString, Option<OsString>)>,
    folder: Option<PathBuf>,
    code: i32,
    wanted: Wanted,
}

#[derive(Debug, Clone)]
enum Wanted {
    Nothing,
    Text(String),
    Number,
}

/// A program with its arguments, as a probe; see [`CommandProbe`].
///
/// [`Service::command`](crate::Service::command) fills in the ports of a service.
///
/// ```
/// use chaos_test::command;
/// let ping = command(["redis-cli", "-p", "6379", "ping"]).stdout_contains("PONG");
/// ```
///
/// # Panics
///
/// If no program is named.
#[must_use]
#[track_caller]
pub fn command<S: AsRef<OsStr>>(argv: impl IntoIterator<Item = S>) -> CommandProbe {
    let argv: Vec<OsString> = argv
        .into_iter()
        .map(|arg| arg.as_ref().to_owned())
        .collect();
    assert!(
        argv.first().is_some_and(|program| !program.is_empty()),
        "a command needs a program"
    );
    CommandProbe {
        name: words(&argv),
        service: None,
        argv,
        env: Vec::new(),
        folder: None,
        code: 0,
        wanted: Wanted::Nothing,
    }
}

fn words(argv: &[OsString]) -> String {
    let words: Vec<_> = argv.iter().map(|word| word.to_string_lossy()).collect();
    words.join(" ")
}

impl CommandProbe {
    /// Another name in reports than the command itself.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Sets an environment variable.
    ///
    /// ```
    /// use chaos_test::command;
    /// let backup = command(["./bin/backup", "--check"])
    ///     .current_dir("/srv/shop")
    ///     .env("LEVEL", "warn")
    ///     .env_remove("HTTP_PROXY")
    ///     .exit_code(3); // 3: there is nothing to do
    /// ```
    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        let value = Some(value.as_ref().to_owned());
        self.env.push((name.as_ref().to_owned(), value));
        self
    }

    /// Takes an environment variable away that it would inherit.
    ///
    /// See [`env`](Self::env) for an example.
    #[must_use]
    pub fn env_remove(mut self, name: impl AsRef<OsStr>) -> Self {
        self.env.push((name.as_ref().to_owned(), None));
        self
    }

    /// The folder that it runs in; that of the test by default.
    ///
    /// See [`env`](Self::env) for an example.
    #[must_use]
    pub fn current_dir(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folder = Some(folder.into());
        self
    }

    /// Only exit code 0 is good, whatever it prints: the default.
    #[must_use]
    pub fn success(mut self) -> Self {
        self.code = 0;
        self.wanted = Wanted::Nothing;
        self
    }

    /// Only this exit code is good.
    ///
    /// See [`env`](Self::env) for an example.
    #[must_use]
    pub fn exit_code(mut self, code: i32) -> Self {
        self.code = code;
        self
    }

    /// It is good only if it also prints this, within the first 64 KiB of its standard output.
    #[must_use]
    pub fn stdout_contains(mut self, text: impl Into<String>) -> Self {
        self.wanted = Wanted::Text(text.into());
        self
    }

    /// Its standard output is a number, the sample's value; anything else is a failed sample.
    #[must_use]
    pub fn number(mut self) -> Self {
        self.wanted = Wanted::Number;
        self
    }

    pub(crate) fn of_service(mut self, service: &str) -> Self {
        self.service = Some(service.to_owned());
        self.name = format!("{service}: {}", words(&self.argv));
        self
    }

    /// What is to be run; the error says why it cannot.
    fn order(&self) -> Result<Order, String> {
        let [program, args @ ..] = self.argv.as_slice() else {
            return Err("no program was named".to_owned());
        };
        let found = find_program(Path::new(program))?;
        if let Some(folder) = &self.folder
            && !folder.is_dir()
        {
            return Err(format!("its folder `{}` does not exist", folder.display()));
        }
        Ok(Order {
            program: std::path::absolute(&found).unwrap_or(found),
            args: args.to_vec(),
            env: self.env.clone(),
            folder: self.folder.clone(),
        })
    }

    async fn ask(&self) -> Result<Option<f64>, String> {
        let commands = commands().ok_or(
            "a command runs only for a monitor or an `eventually` of a test, which ends it in any \
             case",
        )?;
        let mut order = self.order()?;
        if !self.env.iter().any(|(name, _)| name == TRACEPARENT) {
            let parent = traceparent().map(OsString::from);
            order.env.push((TRACEPARENT.into(), parent));
        }
        self.judge(&commands.run(order).await?)
    }

    fn judge(&self, done: &Done) -> Result<Option<f64>, String> {
        if done.status.code() != Some(self.code) {
            let said = match shown(&done.stderr) {
                said if said.is_empty() => shown(&done.stdout),
                said => said,
            };
            let colon = if said.is_empty() { "" } else { ": " };
            return Err(format!("it ended with {}{colon}{said}", done.status));
        }
        let stdout = String::from_utf8_lossy(&done.stdout);
        match &self.wanted {
            Wanted::Nothing => Ok(None),
            Wanted::Text(text) if stdout.contains(text.as_str()) => Ok(None),
            Wanted::Text(text) => Err(format!(
                "it printed `{}`, which does not contain `{text}`",
                shown(&done.stdout)
            )),
            Wanted::Number => match stdout.trim().parse::<f64>() {
                Ok(number) if number.is_finite() => Ok(Some(number)),
                _ => Err(format!(
                    "it printed `{}`, which is no number",
                    shown(&done.stdout)
                )),
            },
        }
    }
}

/// The last line, as far as a message has room for it.
fn shown(output: &[u8]) -> String {
    let text = String::from_utf8_lossy(output);
    let line = text.trim().lines().last().unwrap_or_default();
    match line.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None => line.to_owned(),
    }
}

impl Probe for CommandProbe {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn service(&self) -> Option<&str> {
        self.service.as_deref()
    }

    fn unusable(&self) -> Option<String> {
        self.order().err()
    }

    async fn sample(&self) -> Reading {
        match self.ask().await {
            Ok(number) => Reading::Good(number),
            Err(why) => Reading::Bad(why),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;
    use std::process::ExitStatus;

    #[test]
    fn what_a_program_did_is_judged() {
        let cat = || command(["cat", "file"]);
        for (probe, code, stdout, stderr, expected) in [
            (cat(), 0, "", "", Ok(None)),
            (cat().exit_code(3), 3, "", "", Ok(None)),
            (
                cat().exit_code(3),
                0,
                "fine\n",
                "",
                Err("it ended with exit status: 0: fine"),
            ),
            (
                cat(),
                1,
                "out",
                "first\nno such file\n",
                Err("exit status: 1: no such file"),
            ),
            (cat().stdout_contains("PONG"), 0, "PONG\n", "", Ok(None)),
            (
                cat().stdout_contains("PONG"),
                0,
                "LOADING\n",
                "",
                Err("it printed `LOADING`, which does not contain `PONG`"),
            ),
            (cat().number(), 0, " 12.5\n", "", Ok(Some(12.5))),
            (
                cat().number(),
                0,
                "12 orders",
                "",
                Err("it printed `12 orders`, which is no number"),
            ),
            (cat().number(), 0, "inf", "", Err("which is no number")),
            (
                cat().number(),
                0,
                "",
                "",
                Err("it printed ``, which is no number"),
            ),
            (
                cat().number(),
                2,
                "7",
                "",
                Err("it ended with exit status: 2: 7"),
            ),
            (cat().number().success(), 0, "x", "", Ok(None)),
        ] {
            let done = Done {
                status: ExitStatus::from_raw(code << 8),
                stdout: stdout.into(),
                stderr: stderr.into(),
            };
            match (probe.judge(&done), expected) {
                (Ok(seen), Ok(expected)) => assert_eq!(seen, expected),
                (Err(seen), Err(expected)) => assert!(seen.contains(expected), "{seen}"),
                (seen, expected) => panic!("{seen:?} for {expected:?}"),
            }
        }
        let killed = Done {
            status: ExitStatus::from_raw(9),
            stdout: vec![b'x'; 1000],
            stderr: Vec::new(),
        };
        let why = cat().judge(&killed).unwrap_err();
        assert!(
            why.starts_with("it ended with signal: 9 (SIGKILL): xxx"),
            "{why}"
        );
        assert!(why.len() < 250, "{why}");
    }

    #[test]
    fn what_can_never_be_run_is_said() {
        for (probe, expected) in [
            (command(["no-such-program-here"]), "is not on the PATH"),
            (command(["/no/such/program", "x"]), "there is no program"),
            (
                command(["sh"]).current_dir("/no/such/folder"),
                "its folder `/no/such/folder` does not exist",
            ),
        ] {
            let why = probe.unusable().expect("it cannot be run");
            assert!(why.contains(expected), "{why}");
        }
        assert_eq!(command(["sh", "-c", "exit 1"]).unusable(), None);
    }

    #[tokio::test]
    async fn outside_of_a_test_nothing_is_run() {
        let Reading::Bad(why) = command(["true"]).sample().await else {
            panic!("it ran");
        };
        assert!(why.contains("only for a monitor"), "{why}");
    }

    #[test]
    #[should_panic(expected = "a command needs a program")]
    fn a_command_needs_a_program() {
        let _ = command([""]);
    }
}
