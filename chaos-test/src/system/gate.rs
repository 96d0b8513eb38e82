//! The spawn gate: a child of ours that runs its program only once we have written down
//! who it is.
//!
//! A process's number is unknown until after the spawn, so a kill in between would orphan
//! it. We therefore start our own executable, which waits at its standard input before it
//! becomes the program. If the test's process dies first, the socket closes and the child
//! ends without having done anything. The gate also gives the program a session of its
//! own, its limits, and `/dev/null` as standard input.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{Resource, Rlimit};

/// Set in the environment of a child that is to wait at the gate; holds its limits.
pub(crate) const VARIABLE: &str = "CHAOS_TEST_GATE";

/// What the parent sends to open the gate.
const OPEN: u8 = b'o';

/// What the child sends once it leads a session of its own.
const ARRIVED: u8 = b'a';

/// How long a child may take to arrive: a big executable on a busy machine.
const ARRIVAL_LIMIT: Duration = Duration::from_secs(20);

/// The parent's side of a gate. Dropping it ends a child that still waits there.
pub(super) struct Gate(UnixStream);

impl Gate {
    /// A gate, and what its child is to be given as standard input.
    ///
    /// # Errors
    ///
    /// Where the kernel has no descriptors left.
    pub(super) fn new() -> io::Result<(Self, Stdio)> {
        let (ours, theirs) = UnixStream::pair()?;
        ours.set_read_timeout(Some(ARRIVAL_LIMIT))?;
        Ok((Self(ours), Stdio::from(OwnedFd::from(theirs))))
    }

    /// Waits until the child leads a session: before that there is no group that a signal
    /// could be sent to.
    ///
    /// # Errors
    ///
    /// Where it ended, or does not come.
    pub(super) fn until_arrived(&mut self) -> io::Result<()> {
        let mut word = [0];
        self.0.read_exact(&mut word)?;
        if word == [ARRIVED] {
            return Ok(());
        }
        Err(io::Error::other("it said something else at the spawn gate"))
    }

    /// Lets the child become its program.
    ///
    /// # Errors
    ///
    /// Where it ended.
    pub(super) fn open(mut self) -> io::Result<()> {
        self.0.write_all(&[OPEN])
    }
}

/// Limits that the program runs under (setrlimit(2)).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Open files.
    pub(crate) open_files: Option<u64>,
    /// Address space in bytes.
    pub(crate) memory: Option<u64>,
    /// Processor time in seconds.
    pub(crate) cpu_seconds: Option<u64>,
    /// The largest file that it may write, in bytes.
    pub(crate) file_size: Option<u64>,
}

impl Limits {
    fn all(&self) -> [(char, Resource, Option<u64>); 4] {
        [
            ('n', Resource::Nofile, self.open_files),
            ('v', Resource::As, self.memory),
            ('t', Resource::Cpu, self.cpu_seconds),
            ('f', Resource::Fsize, self.file_size),
        ]
    }

    /// As the value of [`VARIABLE`], for example `n=64 v=1000000`.
    pub(super) fn encode(&self) -> String {
        self.all()
            .iter()
            .filter_map(|(letter, _, limit)| limit.map(|limit| format!("{letter}={limit}")))
            .collect::<Vec<_>>()
            .join(" ")
    }

    fn decode(text: &str) -> Self {
        let mut limits = Self::default();
        for (letter, number) in text.split(' ').filter_map(|word| word.split_once('=')) {
            let number = number.parse().ok();
            match letter {
                "n" => limits.open_files = number,
                "v" => limits.memory = number,
                "t" => limits.cpu_seconds = number,
                "f" => limits.file_size = number,
                _ => {}
            }
        }
        limits
    }

    fn apply(&self) -> std::io::Result<()> {
        for (_, resource, limit) in self.all() {
            if let Some(limit) = limit {
                rustix::process::setrlimit(
                    resource,
                    Rlimit {
                        current: Some(limit),
                        maximum: Some(limit),
                    },
                )?;
            }
        }
        Ok(())
    }
}

/// Runs before `main` in a child of ours; never returns to the program that it is a copy of.
pub(crate) fn wait_and_become() -> ! {
    let code = match try_to_become() {
        Ok(None) => 0,
        Ok(Some(problem)) => {
            // The parent reads this from the service's log.
            let _ = writeln!(std::io::stderr(), "chaos-test: {problem}");
            127
        }
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "chaos-test: at the spawn gate: {error}");
            126
        }
    };
    super::hook::exit_now(code)
}

fn try_to_become() -> std::io::Result<Option<String>> {
    let limits = std::env::var(VARIABLE).unwrap_or_default();
    // Fails only where we already lead a session, which is just as good.
    let _ = rustix::process::setsid();
    rustix::io::write(std::io::stdin(), &[ARRIVED])?;
    let mut word = [0];
    if std::io::stdin().read(&mut word)? == 0 || word[0] != OPEN {
        return Ok(None);
    }
    let null = File::open("/dev/null")?;
    rustix::stdio::dup2_stdin(&null)?;
    // Not `std::env::args`: before `main` it is empty with some C libraries.
    let line = std::fs::read("/proc/self/cmdline")?;
    let mut words = line
        .strip_suffix(&[0])
        .unwrap_or(&line)
        .split(|&byte| byte == 0)
        .skip(1)
        .map(|word| OsString::from_vec(word.to_vec()));
    let Some(program) = words.next() else {
        return Ok(Some("no program was named".to_owned()));
    };
    let mut command = Command::new(&program);
    command.args(words).env_remove(VARIABLE);
    Limits::decode(&limits).apply()?;
    let error = command.exec();
    Ok(Some(format!(
        "cannot execute {}: {error}",
        program.display()
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_survive_the_environment() {
        let limits = Limits {
            open_files: Some(64),
            memory: Some(1 << 30),
            cpu_seconds: None,
            file_size: Some(0),
        };
        assert_eq!(limits.encode(), "n=64 v=1073741824 f=0");
        assert_eq!(Limits::decode(&limits.encode()), limits);
        assert_eq!(Limits::decode(""), Limits::default());
    }
}
