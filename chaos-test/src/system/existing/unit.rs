//! A service that is a process which was there before the test.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::{again, find, protected, tree};
use crate::error::{Error, Kind};
use crate::model::event::RestartedBy;
use crate::model::existing::FoundBy;
use crate::model::identity::ProcessIdentity;
use crate::model::target::Target;
use crate::model::undo::Undo;
use crate::system::identity;
use crate::system::lock::lock;
use crate::system::process::{self, ProcessState, Signal};
use crate::system::service::{
    Answer, Ending, NotReady, ProcessUnit, ReadyCheck, Unit, millis, until_ready,
};
use crate::system::supervision::{self, Successor, Supervision};

/// How often it is looked whether it is gone.
const LOOK: Duration = Duration::from_millis(2);
/// How long what was killed may take to be gone.
const EXIT_LIMIT: Duration = Duration::from_secs(8);

/// What is known of a process that was there before the test.
pub(crate) struct Known {
    pub(crate) service: String,
    /// How it is found again after it has ended.
    pub(crate) found_by: FoundBy,
    /// What starts it, by an absolute path; empty where nobody said so.
    pub(crate) argv: Vec<String>,
    pub(crate) ports: Vec<(u16, SocketAddr)>,
    pub(crate) log: PathBuf,
    pub(crate) ready: Arc<dyn ReadyCheck>,
    pub(crate) start_timeout: Duration,
    pub(crate) grace: Duration,
    pub(crate) supervision: Option<Supervision>,
}

/// A service in a process that the test did not start.
pub(crate) struct ExistingProcess {
    known: Known,
    /// What the kernel calls it.
    program: String,
    live: Mutex<Live>,
    starts: AtomicU32,
    /// One change at a time; a fault and a restart must not cross.
    changing: tokio::sync::Mutex<()>,
}

struct Live {
    process: ProcessIdentity,
    /// What a fault has ended, the process itself first.
    killed: Vec<ProcessIdentity>,
    /// What it had started that was stopped before a fault, and stays so.
    stopped: Vec<ProcessIdentity>,
}

impl ExistingProcess {
    pub(crate) fn new(known: Known, process: ProcessIdentity) -> Self {
        Self {
            known,
            program: protected::name_of(process.pid).unwrap_or_default(),
            live: Mutex::new(Live {
                process,
                killed: Vec::new(),
                stopped: Vec::new(),
            }),
            starts: AtomicU32::new(1),
            changing: tokio::sync::Mutex::new(()),
        }
    }

    /// Whether a test may break this process at all.
    ///
    /// # Errors
    ///
    /// Says why not. Nothing was touched.
    pub(crate) fn check(service: &str, process: &ProcessIdentity) -> Result<(), Error> {
        let refused = |why: String| {
            Error::new(
                Kind::Refused,
                format!(
                    "service `{service}` cannot be process {}: {why}",
                    process.pid
                ),
            )
        };
        if let Some(why) = protected::why_protected(process) {
            return Err(refused(why));
        }
        protected::may_signal(process).map_err(|error| {
            refused(format!("it cannot be sent signals ({error})"))
                .help("run the test as the process's user, or as root")
        })?;
        match process::state(process) {
            ProcessState::Running => Ok(()),
            state => Err(refused(format!("it is {state}, and is left as it is"))
                .help("only what runs can be broken and put back")),
        }
    }

    fn process(&self) -> ProcessIdentity {
        lock(&self.live).process.clone()
    }

    /// Another process than before runs in its place.
    fn take(&self, process: ProcessIdentity) {
        self.starts.fetch_add(1, Ordering::SeqCst);
        lock(&self.live).process = process;
    }

    fn killed(&self) -> Option<ProcessIdentity> {
        lock(&self.live).killed.first().cloned()
    }

    async fn until_ready(&self) -> Result<(), Error> {
        let process = self.process();
        let ended = async {
            while identity::is_alive(&process) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        until_ready(self, &*self.known.ready, ended)
            .await
            .map_err(|why| match why {
                NotReady::Ended => self.error("ended before it was ready".to_owned()),
                NotReady::Late(what) => self.error(what),
            })
    }

    /// Has it run where it does not: by its supervisor, else by what starts it.
    async fn run_again(&self) -> Result<RestartedBy, Error> {
        if supervision::wait(self).await? {
            return Ok(RestartedBy::Supervisor);
        }
        let before = self.process();
        let waited = self.known.supervision.as_ref().map(Supervision::within);
        let found = again::started(
            &before,
            &self.known.found_by,
            &self.known.argv,
            waited.unwrap_or_default(),
            self.known.start_timeout,
        )
        .await
        .map_err(|error| self.error("does not run again".to_owned()).because(error))?;
        self.take(found);
        Ok(RestartedBy::Undo)
    }

    async fn is_gone_within(&self, process: &ProcessIdentity, limit: Duration) -> bool {
        let until = Instant::now() + limit;
        while identity::is_alive(process) {
            if Instant::now() >= until {
                return false;
            }
            tokio::time::sleep(LOOK).await;
        }
        true
    }

    /// Why what is ended could not be had again; `None` where it can.
    fn why_lost(&self) -> Option<Error> {
        if self.known.supervision.is_some() || !self.known.argv.is_empty() {
            return None;
        }
        let process = self.process().pid;
        Some(
            Error::new(
                Kind::Refused,
                format!(
                    "service `{}` is process {process}, which the test did not start and could not \
                     start again",
                    self.known.service
                ),
            )
            .help(
                "say who brings it back, with `.supervised(secs(10))`, or what starts it, with \
                 `.start_with([..])`; `process::stop` needs neither",
            ),
        )
    }
}

impl Unit for ExistingProcess {
    fn name(&self) -> &str {
        &self.known.service
    }

    fn log(&self) -> &Path {
        &self.known.log
    }

    fn endpoints(&self) -> Vec<(u16, SocketAddr)> {
        self.known.ports.clone()
    }

    fn grace(&self) -> Duration {
        self.known.grace
    }

    fn start_timeout(&self) -> Duration {
        self.known.start_timeout
    }

    fn has_printed(&self, _: &str) -> Result<(), String> {
        Err(
            "what a process printed that was there before the test is not waited for; use another \
             ready check"
                .to_owned(),
        )
    }

    fn ensure_running(&self) -> Answer<'_, Result<(), Error>> {
        Box::pin(async move {
            let _change = self.changing.lock().await;
            let process = self.process();
            if identity::is_alive(&process) {
                let replaced = self.killed().is_some_and(|killed| killed != process);
                if !replaced {
                    // It was not killed after all, or only stopped for that.
                    let stopped = lock(&self.live).stopped.clone();
                    again::continue_process(&process, &[], &stopped)?;
                }
                self.until_ready().await?;
                match &self.known.supervision {
                    Some(supervision) if replaced => {
                        let by = RestartedBy::Supervisor;
                        supervision.is_back(self.name(), by, self.successor());
                    }
                    Some(supervision) => supervision.calm(),
                    None => {}
                }
                return Ok(());
            }
            if self.run_again().await? == RestartedBy::Supervisor {
                return Ok(());
            }
            self.until_ready().await?;
            if let Some(supervision) = &self.known.supervision {
                supervision.is_back(self.name(), RestartedBy::Undo, self.successor());
            }
            Ok(())
        })
    }

    /// As a deployment ends it, and only for a fault: nothing else ever ends it.
    fn end(&self, ask_first: bool) -> Answer<'_, Result<(), Error>> {
        Box::pin(async move {
            let _change = self.changing.lock().await;
            let process = self.process();
            let failed = |error: io::Error| self.error("could not be ended".into()).because(error);
            lock(&self.live).killed = tree::with_descendants(&process);
            if let Some(supervision) = &self.known.supervision {
                supervision.died();
            }
            if ask_first {
                tree::signal(&process, Signal::Term).map_err(failed)?;
                if self.is_gone_within(&process, self.known.grace).await {
                    return Ok(());
                }
            }
            tree::kill_each(&process).map_err(failed)?;
            if self.is_gone_within(&process, EXIT_LIMIT).await {
                return Ok(());
            }
            Err(self.error("is still there after SIGKILL".to_owned()))
        })
    }

    fn as_process(&self) -> Result<&dyn ProcessUnit, Error> {
        Ok(self)
    }

    fn existing(&self) -> Option<Target> {
        let program = &self.program;
        Some(Target::Process(match self.known.ports.first() {
            Some((_, at)) => format!("{program}@{at}"),
            None => program.clone(),
        }))
    }

    fn supervision(&self) -> Option<&Supervision> {
        self.known.supervision.as_ref()
    }

    fn take_in(&self) -> Answer<'_, Result<Option<Successor>, Error>> {
        Box::pin(async move {
            let process = self.process();
            let replaced = self.killed().is_some_and(|killed| killed != process);
            if replaced && identity::is_alive(&process) {
                return Ok(Some(self.successor()));
            }
            // What cannot be told now may be told in a moment.
            let Ok(Some(found)) = find(&self.known.found_by) else {
                return Ok(None);
            };
            if found == process {
                return Ok(None);
            }
            self.take(found);
            Ok(Some(self.successor()))
        })
    }

    fn until_ready_again(&self) -> Answer<'_, Result<(), Error>> {
        Box::pin(self.until_ready())
    }

    fn undo_running(&self) -> Undo {
        let waited = self.known.supervision.as_ref().map(Supervision::within);
        let process = self.process();
        let mut stopped = tree::with_descendants(&process);
        stopped.retain(|one| process::state(one) == ProcessState::Stopped);
        lock(&self.live).stopped = stopped;
        Undo::RunExisting {
            service: self.known.service.clone(),
            process,
            found_by: self.known.found_by.clone(),
            argv: self.known.argv.clone(),
            supervised_ms: millis(waited.unwrap_or_default()),
            start_ms: millis(self.known.start_timeout.saturating_add(self.known.grace)),
        }
    }

    fn undo_ending(&self, _: Ending) -> Result<Undo, Error> {
        match self.why_lost() {
            None => Ok(self.undo_running()),
            Some(why) => Err(why),
        }
    }
}

impl ExistingProcess {
    fn successor(&self) -> Successor {
        let process = self.process();
        Successor {
            pid: process.pid,
            process: Some(process),
        }
    }
}

impl ProcessUnit for ExistingProcess {
    fn state(&self) -> ProcessState {
        process::state(&self.process())
    }

    fn identity(&self) -> Option<ProcessIdentity> {
        Some(self.process())
    }

    fn starts(&self) -> u32 {
        self.starts.load(Ordering::SeqCst)
    }

    fn signal(&self, signal: Signal) -> io::Result<bool> {
        let process = self.process();
        match signal {
            Signal::Stop => tree::stop(&process, &[]),
            Signal::Continue => {
                let all = tree::with_descendants(&process);
                tree::continue_each(&all).map(|()| !all.is_empty())
            }
            signal => {
                let all = tree::with_descendants(&process);
                if all.is_empty() {
                    return Ok(false);
                }
                lock(&self.live).killed = all;
                if let Some(supervision) = &self.known.supervision {
                    supervision.died();
                }
                if signal == Signal::Kill {
                    lock(&self.live).killed = tree::kill_each(&process)?;
                    return Ok(true);
                }
                tree::signal(&process, signal)
            }
        }
    }

    fn undo_stopping(&self) -> Undo {
        let process = self.process();
        let others = tree::with_descendants(&process).into_iter().skip(1);
        let (stopped, others) =
            others.partition(|one| process::state(one) == ProcessState::Stopped);
        Undo::ContinueExisting {
            service: self.known.service.clone(),
            process,
            others,
            stopped,
        }
    }

    fn is_wholly_stopped(&self) -> bool {
        let all = tree::with_descendants(&self.process());
        let stopped = |one: &ProcessIdentity| process::state(one) == ProcessState::Stopped;
        !all.is_empty() && all.iter().all(stopped)
    }

    fn leftovers(&self) -> Vec<u32> {
        let live = lock(&self.live);
        let left = live.killed.iter().filter(|one| identity::is_alive(one));
        left.map(|one| one.pid).collect()
    }

    fn exits_within(&self, limit: Duration) -> Answer<'_, bool> {
        Box::pin(async move {
            let process = self.killed().unwrap_or_else(|| self.process());
            self.is_gone_within(&process, limit).await
        })
    }

    fn start_unready(&self, held: bool) -> Answer<'_, Result<(), Error>> {
        Box::pin(async move {
            if held {
                return self.can_be_held();
            }
            let _change = self.changing.lock().await;
            if self.run_again().await? == RestartedBy::Undo
                && let Some(supervision) = &self.known.supervision
            {
                supervision.is_back(self.name(), RestartedBy::Undo, self.successor());
            }
            Ok(())
        })
    }

    fn can_be_held(&self) -> Result<(), Error> {
        Err(Error::new(
            Kind::Usage,
            format!(
                "service `{}` is a process that the test did not start, and nobody can hold it at \
                 its start",
                self.known.service
            ),
        ))
    }

    fn was_replaced(&self) -> bool {
        let Some(killed) = self.killed() else {
            return false;
        };
        if self.known.supervision.is_none() || identity::is_alive(&killed) {
            return false;
        }
        self.process() != killed || matches!(find(&self.known.found_by), Ok(Some(_)))
    }
}
