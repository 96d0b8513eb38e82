//! A service that is a process which was there before the test.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::again::{self, Lost, MARGIN};
use super::find::{before, successor};
use super::{protected, tree};
use crate::error::{Error, Kind};
use crate::model::event::RestartedBy;
use crate::model::existing::{Before, FoundBy};
use crate::model::identity::ProcessIdentity;
use crate::model::target::Target;
use crate::model::undo::Undo;
use crate::system::identity;
use crate::system::lock::lock;
use crate::system::process::{self, ProcessState, Signal};
use crate::system::service::{
    Answer, Ending, NotReady, ProcessUnit, ReadyCheck, Unit, millis, unknown_log, until_ready,
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
    /// Whether it writes that file itself.
    pub(crate) writes_log: bool,
    pub(crate) ready: Arc<dyn ReadyCheck>,
    pub(crate) start_timeout: Duration,
    pub(crate) grace: Duration,
    pub(crate) supervision: Option<Supervision>,
    /// Whether it was made for the tests of this run, which another process does.
    pub(crate) kept: bool,
}

/// A service in a process that the test did not start.
pub(crate) struct ExistingProcess {
    pub(super) known: Known,
    /// What the kernel calls it.
    program: String,
    pub(super) live: Mutex<Live>,
    pub(super) starts: AtomicU32,
    /// One change at a time; a fault and a restart must not cross.
    pub(super) changing: tokio::sync::Mutex<()>,
}

pub(super) struct Live {
    process: ProcessIdentity,
    /// What a fault has ended, the process itself first.
    pub(super) killed: Vec<ProcessIdentity>,
    /// Until when that end may still come.
    ends_by: Option<Instant>,
    /// What it was like before a fault.
    before: Before,
}

impl ExistingProcess {
    pub(crate) fn new(known: Known, process: ProcessIdentity) -> Self {
        Self {
            known,
            program: protected::name_of(process.pid).unwrap_or_default(),
            live: Mutex::new(Live {
                process,
                killed: Vec::new(),
                ends_by: None,
                before: Before::default(),
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
        if let Some(why) = protected::why_tree_protected(&tree::with_descendants(process)) {
            return Err(refused(why));
        }
        match process::state(process) {
            ProcessState::Running => Ok(()),
            state => Err(refused(format!("it is {state}, and is left as it is"))
                .help("only what runs can be broken and put back")),
        }
    }

    pub(super) fn process(&self) -> ProcessIdentity {
        lock(&self.live).process.clone()
    }

    /// Another process than before runs in its place.
    fn take(&self, process: ProcessIdentity) {
        self.starts.fetch_add(1, Ordering::SeqCst);
        lock(&self.live).process = process;
    }

    pub(super) fn killed(&self) -> Option<ProcessIdentity> {
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

    /// A fault is about to end all of this within a time.
    pub(super) fn mark_killed(&self, all: Vec<ProcessIdentity>, within: Duration) {
        let mut live = lock(&self.live);
        if !all.is_empty() {
            live.before = before(&all);
        }
        live.killed = all;
        live.ends_by = Instant::now().checked_add(within.saturating_add(MARGIN));
    }

    /// No end is to come, because the signal for it was not sent.
    pub(super) fn not_ended<T>(&self, failed: io::Result<T>) -> io::Result<T> {
        if failed.is_err() {
            lock(&self.live).ends_by = None;
        }
        failed
    }

    fn ends_by(&self) -> Instant {
        lock(&self.live).ends_by.unwrap_or_else(Instant::now)
    }

    /// What runs in its place.
    pub(super) fn find_successor(&self) -> io::Result<Option<ProcessIdentity>> {
        let (process, killed, before) = {
            let live = lock(&self.live);
            (
                live.process.clone(),
                live.killed.clone(),
                live.before.clone(),
            )
        };
        let ended: Vec<_> = std::iter::once(&process).chain(&killed).collect();
        successor(&self.known.found_by, &ended, &before)
    }

    /// Has it run where it does not: by its supervisor, else by what starts it.
    pub(super) async fn run_again(&self) -> Result<RestartedBy, Error> {
        if !matches!(self.find_successor(), Ok(Some(_))) {
            let rest = lock(&self.live).killed.clone();
            again::end_the_rest(&rest, self.ends_by())
                .await
                .map_err(|error| self.error("is not wholly ended".to_owned()).because(error))?;
        }
        if supervision::wait(self).await? {
            return Ok(RestartedBy::Supervisor);
        }
        let (process, before) = {
            let live = lock(&self.live);
            (live.process.clone(), live.before.clone())
        };
        if identity::is_alive(&process) {
            // Its supervisor's is there, and only not ready: a second one had no place.
            self.until_ready().await?;
            return Ok(RestartedBy::Supervisor);
        }
        let waited = self.known.supervision.as_ref().map(Supervision::within);
        let found = again::started(Lost {
            process: &process,
            found_by: &self.known.found_by,
            argv: &self.known.argv,
            before: &before,
            supervised: waited.unwrap_or_default(),
            start: self.known.start_timeout,
        })
        .await
        .map_err(|error| self.error("does not run again".to_owned()).because(error))?;
        self.take(found);
        Ok(RestartedBy::Undo)
    }

    pub(super) async fn is_gone_within(&self, process: &ProcessIdentity, limit: Duration) -> bool {
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
        if self.known.kept || self.known.supervision.is_some() || !self.known.argv.is_empty() {
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

    fn log_is_known(&self) -> Result<(), Error> {
        match self.known.writes_log {
            true => Ok(()),
            false => Err(unknown_log(&self.known.service, "a process")),
        }
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
            if again::has_no_keeper(&self.known.found_by) {
                return Ok(());
            }
            let process = self.process();
            let killed = self.killed();
            let replaced = killed.as_ref().is_some_and(|killed| *killed != process);
            if identity::is_alive(&process) && !replaced {
                // It was not killed after all, or only stopped for that.
                let known = lock(&self.live).before.clone();
                again::go_on(&process, &known.others, &known.stopped)?;
                if killed.is_some() {
                    // Whoever waited for its end may have been stopped, and it may still come.
                    let left = self.ends_by().saturating_duration_since(Instant::now());
                    self.is_gone_within(&process, left).await;
                }
            }
            if identity::is_alive(&process) {
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
            let grace = self.known.grace;
            let within = if ask_first { grace } else { Duration::ZERO };
            self.mark_killed(tree::with_descendants(&process), within);
            let asked_until = Instant::now() + within;
            if let Some(supervision) = &self.known.supervision {
                supervision.died();
            }
            if ask_first {
                self.not_ended(tree::signal(&process, Signal::Term))
                    .map_err(failed)?;
                if self.is_gone_within(&process, grace).await {
                    // What it has left would keep its successor from its address.
                    let rest = lock(&self.live).killed.clone();
                    return again::end_the_rest(&rest, asked_until).await;
                }
            }
            self.not_ended(tree::kill_each(&process)).map_err(failed)?;
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
        if self.known.kept {
            return None;
        }
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
            let Ok(Some(found)) = self.find_successor() else {
                return Ok(None);
            };
            self.take(found);
            Ok(Some(self.successor()))
        })
    }

    fn until_ready_again(&self) -> Answer<'_, Result<(), Error>> {
        Box::pin(self.until_ready())
    }

    fn undo_running(&self) -> Undo {
        self.undo_within(self.known.grace)
    }

    fn undo_ending(&self, _: Ending, within: Duration) -> Result<Undo, Error> {
        match self.why_lost() {
            None => Ok(self.undo_within(within)),
            Some(why) => Err(why),
        }
    }

    fn may_be_broken(&self) -> Result<(), Error> {
        let process = self.process();
        let tree = tree::with_descendants(&process);
        let why = match self.known.kept {
            true => protected::why_kept_tree_protected(&tree),
            false => protected::why_tree_protected(&tree),
        };
        match why {
            None => Ok(()),
            Some(why) => Err(Error::new(
                Kind::Refused,
                format!(
                    "service `{}` is process {}, which no fault may hit now: {why}",
                    self.known.service, process.pid
                ),
            )),
        }
    }
}

impl ExistingProcess {
    fn undo_within(&self, grace: Duration) -> Undo {
        let waited = self.known.supervision.as_ref().map(Supervision::within);
        let process = self.process();
        let known = before(&tree::with_descendants(&process));
        lock(&self.live).before.clone_from(&known);
        Undo::RunExisting {
            service: self.known.service.clone(),
            process,
            found_by: self.known.found_by.clone(),
            argv: self.known.argv.clone(),
            supervised_ms: millis(waited.unwrap_or_default()),
            start_ms: millis(self.known.start_timeout.saturating_add(self.known.grace)),
            grace_ms: millis(grace),
            before: Box::new(known),
        }
    }

    pub(super) fn successor(&self) -> Successor {
        let process = self.process();
        Successor {
            pid: process.pid,
            process: Some(process),
        }
    }
}
