//! One service that is a process: started at the gate, restarted, killed, watched.

mod as_process;
mod launch;
mod supervised;

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, Weak, mpsc};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::log::{SinceStart, last_lines};
use super::{Answer, NotReady, ProcessUnit, Unit};
use crate::error::{Error, Kind};
use crate::model::event::Event;
use crate::model::identity::ProcessIdentity;
use crate::model::undo::Undo;
use crate::system::gate::{self, Gate};
use crate::system::identity;
use crate::system::lock::lock;
use crate::system::process::{self, ProcessState, Signal, TOKEN};
use crate::system::spawner::Spawner;
use crate::system::supervision::{Successor, Supervision};
use crate::system::world::Ledger;

pub(crate) use launch::Launch;

/// A service, whether its process runs at the moment or not.
pub(crate) struct ServiceProcess {
    launch: Launch,
    ledger: Weak<dyn Ledger>,
    running: Mutex<Option<Running>>,
    starts: AtomicU32,
    since_start: Mutex<SinceStart>,
    /// One change at a time; a fault and a restart must not cross.
    changing: tokio::sync::Mutex<()>,
    supervision: Option<Supervision>,
    /// What a fault has killed under the supervisor, in this start of that.
    killed: Mutex<Vec<ProcessIdentity>>,
}

type Exit = watch::Receiver<Option<ExitStatus>>;

struct Running {
    process: ProcessIdentity,
    entry: u64,
    /// Held while the process waits at the gate.
    gate: Option<Gate>,
    exit: Exit,
    /// Set once we ended it ourselves.
    expected: Arc<AtomicBool>,
}

impl ServiceProcess {
    pub(crate) fn new(launch: Launch, ledger: Weak<dyn Ledger>) -> Self {
        let within = launch.supervised;
        let supervision = within.map(|within| Supervision::new(within, Weak::clone(&ledger)));
        Self {
            supervision,
            killed: Mutex::default(),
            launch,
            ledger,
            running: Mutex::new(None),
            starts: AtomicU32::new(0),
            since_start: Mutex::default(),
            changing: tokio::sync::Mutex::new(()),
        }
    }

    /// Starts the process and waits until it is ready.
    pub(crate) async fn start(&self) -> Result<(), Error> {
        let _change = self.changing.lock().await;
        self.spawn(false)?;
        self.until_ready().await
    }

    fn spawn(&self, held: bool) -> Result<(), Error> {
        let ledger = self.ledger()?;
        lock(&self.killed).clear();
        let started = Instant::now();
        let expected = Arc::new(AtomicBool::new(false));
        // First of all, so that there is no child yet where no thread can be had.
        let (waiter, exit) = self.waiter(Arc::clone(&expected))?;
        let (mut gate, child) = Gate::new()
            .and_then(|(gate, stdin)| Ok((gate, self.command(stdin)?.spawn()?)))
            .map_err(|error| self.error("could not be started".into()).because(error))?;
        let (entry, process) = match self.plan_and_meet(&*ledger, &child, &mut gate) {
            Ok(planned) => planned,
            Err(error) => {
                drop(gate);
                end_at_gate(child);
                return Err(error);
            }
        };
        // It ends only once it was given a child.
        let _ = waiter.send(child);
        *lock(&self.running) = Some(Running {
            process: process.clone(),
            entry,
            gate: Some(gate),
            exit,
            expected,
        });
        if !held {
            self.open_gate()?;
        }
        ledger.record(Event::ServiceStarted {
            service: self.launch.name.clone(),
            pid: process.pid,
            container: None,
            ports: self
                .launch
                .ports
                .iter()
                .map(|(_, port)| port.port())
                .collect(),
            log: Some(self.launch.log.clone()),
            took_us: micros(started.elapsed()),
        });
        Ok(())
    }

    /// Writes down who the child is, and waits until it leads its session.
    fn plan_and_meet(
        &self,
        ledger: &dyn Ledger,
        child: &Child,
        gate: &mut Gate,
    ) -> Result<(u64, ProcessIdentity), Error> {
        let process = identity::of(child.id())
            .map_err(|error| self.error("has no identity in /proc".into()).because(error))?;
        let undo = Undo::EndProcess {
            service: self.launch.name.clone(),
            process: process.clone(),
            token: self.launch.token.clone(),
            grace_ms: millis(self.launch.grace),
        };
        let what = format!("start process {} of `{}`", process.pid, self.launch.name);
        let entry = ledger.plan(&what, undo, false)?;
        gate.until_arrived().map_err(|error| {
            // The caller ends it, and its undo has nothing left to do.
            ledger.undone(entry);
            self.error("did not reach its start".into()).because(error)
        })?;
        Ok((entry, process))
    }

    fn command(&self, stdin: Stdio) -> io::Result<Command> {
        let start = self.starts.fetch_add(1, Ordering::SeqCst) + 1;
        let mark = format!(
            "--- chaos-test: start {start} of `{}` ---",
            self.launch.name
        );
        let (log, since) = SinceStart::mark(&self.launch.log, &mark)?;
        *lock(&self.since_start) = since;
        let mut command = Command::new("/proc/self/exe");
        command
            .arg(&self.launch.program)
            .args(&self.launch.args)
            .stdin(stdin)
            .stdout(log.try_clone()?)
            .stderr(log);
        for (name, value) in &self.launch.env {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command
            .env(TOKEN, &self.launch.token)
            .env(gate::VARIABLE, self.launch.limits.encode());
        if let Some(folder) = &self.launch.folder {
            command.current_dir(folder);
        }
        Ok(command)
    }

    fn open_gate(&self) -> Result<(), Error> {
        let gate = self.with_running_mut(|running| running.and_then(|running| running.gate.take()));
        match gate {
            Some(gate) => gate
                .open()
                .map_err(|error| self.error("ended before its start".into()).because(error)),
            None => Ok(()),
        }
    }

    /// A thread that waits for the child that it is given: an end is seen at once and no
    /// zombie stays.
    fn waiter(&self, expected: Arc<AtomicBool>) -> Result<(mpsc::Sender<Child>, Exit), Error> {
        let (report, exit) = watch::channel(None);
        let (give, given) = mpsc::channel::<Child>();
        let ledger = Weak::clone(&self.ledger);
        let service = self.launch.name.clone();
        std::thread::Builder::new()
            .name(format!("chaos-wait-{service}"))
            .stack_size(128 * 1024)
            .spawn(move || {
                let Ok(mut child) = given.recv() else { return };
                let Ok(status) = child.wait() else { return };
                if !expected.load(Ordering::SeqCst)
                    && let Some(ledger) = ledger.upgrade()
                {
                    ledger.record(Event::ServiceDied {
                        service,
                        how: status.to_string(),
                    });
                }
                report.send_replace(Some(status));
            })
            .map_err(|error| self.error("cannot be watched".into()).because(error))?;
        Ok((give, exit))
    }

    async fn until_ready(&self) -> Result<(), Error> {
        let mut exit = self
            .with_running(|running| running.map(|running| running.exit.clone()))
            .ok_or_else(|| self.error("is not running".into()))?;
        let ended = async {
            let _ = exit.wait_for(Option::is_some).await;
        };
        super::until_ready(self, &*self.launch.ready, ended)
            .await
            .map_err(|why| match why {
                NotReady::Ended => self.ended(),
                NotReady::Late(what) => self.error(what).help(self.log_help()),
            })
    }

    fn ended(&self) -> Error {
        let how = self
            .with_running(|running| *running?.exit.borrow())
            .map_or_else(|| "somehow".to_owned(), |status| status.to_string());
        self.error(format!("ended before it was ready ({how})"))
            .help(self.log_help())
    }

    /// Ends whatever is left of the process and says so in the journal.
    async fn clear(&self) -> Result<(), Error> {
        let Some((process, entry)) = self.with_running_mut(|running| {
            let running = running?;
            running.expect_end();
            // A process that waits at the gate sees it close and ends.
            running.gate = None;
            Some((running.process.clone(), running.entry))
        }) else {
            return Ok(());
        };
        let token = self.launch.token.clone();
        let ended = Spawner::here()
            .spawn_blocking(move || process::end(&process, &token, Duration::from_secs(8)))
            .await
            .map_err(io::Error::other)
            .flatten();
        ended.map_err(|error| self.error("could not be ended".into()).because(error))?;
        self.exits_within(Duration::from_secs(5)).await;
        *lock(&self.running) = None;
        if let Ok(ledger) = self.ledger() {
            ledger.undone(entry);
        }
        Ok(())
    }

    fn with_running<T>(&self, ask: impl FnOnce(Option<&Running>) -> T) -> T {
        ask(lock(&self.running).as_ref())
    }

    fn with_running_mut<T>(&self, ask: impl FnOnce(Option<&mut Running>) -> T) -> T {
        ask(lock(&self.running).as_mut())
    }

    fn ledger(&self) -> Result<Arc<dyn Ledger>, Error> {
        self.ledger
            .upgrade()
            .ok_or_else(|| Error::new(Kind::Ended, "the context of this service has ended"))
    }

    /// The last lines of the log, where a person would look first.
    fn log_help(&self) -> String {
        let lines = last_lines(&self.launch.log, 8);
        if lines.is_empty() {
            return format!(
                "it printed nothing; it was started as `{}`",
                self.launch.program.display()
            );
        }
        format!(
            "its last lines, of {}:\n    {}",
            self.launch.log.display(),
            lines.join("\n    ")
        )
    }
}

impl Unit for ServiceProcess {
    fn name(&self) -> &str {
        &self.launch.name
    }

    fn log(&self) -> &Path {
        &self.launch.log
    }

    fn endpoints(&self) -> Vec<(u16, SocketAddr)> {
        let ports = self.launch.ports.iter();
        ports
            .map(|(known, port)| (*known, port.address()))
            .collect()
    }

    fn grace(&self) -> Duration {
        self.launch.grace
    }

    fn start_timeout(&self) -> Duration {
        self.launch.start_timeout
    }

    fn has_printed(&self, text: &str) -> Result<(), String> {
        let mut since = lock(&self.since_start);
        match since.holds(&self.launch.log, text) {
            Ok(true) => Ok(()),
            Ok(false) if since.is_silent() => Err("it has printed nothing".to_owned()),
            Ok(false) => {
                let last = last_lines(&self.launch.log, 1);
                Err(format!("the last line is `{}`", last.concat()))
            }
            Err(error) => Err(format!("its log cannot be read: {error}")),
        }
    }

    fn ensure_running(&self) -> Answer<'_, Result<(), Error>> {
        Box::pin(async move {
            let _change = self.changing.lock().await;
            if self.awaits_supervisor() {
                return self.brought_back().await;
            }
            match self.state() {
                ProcessState::Running => {}
                ProcessState::Stopped => {
                    self.signal(Signal::Continue).map_err(|error| {
                        self.error("could not be continued".into()).because(error)
                    })?;
                }
                ProcessState::HeldAtStart => self.open_gate()?,
                ProcessState::Gone => {
                    self.clear().await?;
                    self.spawn(false)?;
                }
            }
            self.until_ready().await
        })
    }

    fn end(&self, ask_first: bool) -> Answer<'_, Result<(), Error>> {
        Box::pin(async move {
            let _change = self.changing.lock().await;
            if ask_first && self.state() == ProcessState::Running {
                let _ = self.signal(Signal::Term);
                self.exits_within(self.launch.grace).await;
            }
            self.clear().await
        })
    }

    fn as_process(&self) -> Result<&dyn ProcessUnit, Error> {
        Ok(self)
    }

    fn supervision(&self) -> Option<&Supervision> {
        self.supervision.as_ref()
    }

    fn take_in(&self) -> Answer<'_, Result<Option<Successor>, Error>> {
        Box::pin(async move { Ok(self.successor()) })
    }

    fn until_ready_again(&self) -> Answer<'_, Result<(), Error>> {
        Box::pin(self.until_ready())
    }
}

impl Running {
    fn expect_end(&self) {
        self.expected.store(true, Ordering::SeqCst);
    }
}

/// Ends a child that never became its program, and leaves no zombie.
fn end_at_gate(mut child: Child) {
    let _ = child.kill();
    let _ = child.wait();
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
