//! A program that is a supervisor: the service is what it starts, and starts again.

use std::io;
use std::time::{Duration, Instant};

use super::ServiceProcess;
use crate::error::{Error, Kind};
use crate::model::event::RestartedBy;
use crate::model::identity::ProcessIdentity;
use crate::system::existing::{kill_each, kill_these, listeners, with_descendants};
use crate::system::identity;
use crate::system::lock::lock;
use crate::system::process::{self, ProcessState, Signal};
use crate::system::service::{ProcessUnit, Unit};
use crate::system::supervision::{self, Successor};

/// How often it is looked whether something is gone.
const LOOK: Duration = Duration::from_millis(2);
/// How long the service of a supervisor that is killed may take to end with it.
const END_LIMIT: Duration = Duration::from_secs(5);

impl ServiceProcess {
    /// Whether it is a supervisor at all, where it is said to be one.
    pub(crate) fn check_supervisor(&self) -> Result<(), Error> {
        if self.supervision.is_none() {
            return Ok(());
        }
        let wrong = |why: &str, help: &'static str| {
            let what = format!("is `.supervised(..)`, and {why}");
            let name = &self.launch.name;
            Err(Error::new(Kind::Usage, format!("service `{name}` {what}")).help(help))
        };
        if self.launch.ports.is_empty() {
            return wrong(
                "listens on no port",
                "what its supervisor brings back is told by the port that it listens on",
            );
        }
        match (self.identity(), self.victim()) {
            (Some(own), Some(victim)) if own != victim => Ok(()),
            (_, Some(_)) => wrong(
                "is itself what listens on its port",
                "nobody would bring it back: name the program that starts it again, or leave \
                 `.supervised(..)` out",
            ),
            (_, None) => wrong(
                "nothing that it has started listens on its port",
                "have it listen on the port that it is given, before it counts as ready",
            ),
        }
    }

    /// What listens on its first port, of all that it has started: the one above the others.
    fn victim(&self) -> Option<ProcessIdentity> {
        let own = self.identity()?;
        let (_, port) = self.launch.ports.first()?;
        let listening = listeners(port.address())?;
        let started = process::survivors(&own, &self.launch.token);
        let found = started.iter().map(|one| one.pid);
        let mut found: Vec<u32> = found.filter(|pid| listening.contains(pid)).collect();
        let parents = found.clone();
        found
            .retain(|pid| identity::stat(*pid).is_some_and(|stat| !parents.contains(&stat.parent)));
        let oldest = found.into_iter().filter_map(|pid| identity::of(pid).ok());
        oldest.min_by_key(|one| (one.start_time, one.pid))
    }

    /// Its own state, whatever its service does.
    pub(super) fn own_state(&self) -> ProcessState {
        self.with_running(|running| match running {
            None => ProcessState::Gone,
            Some(running) if running.exit.borrow().is_some() => ProcessState::Gone,
            Some(running) => match process::state(&running.process) {
                ProcessState::Running if running.gate.is_some() => ProcessState::HeldAtStart,
                state => state,
            },
        })
    }

    /// The state of what a supervisor that runs has brought back, where that was killed.
    pub(super) fn state_under_supervisor(&self) -> ProcessState {
        let killed = lock(&self.killed).clone();
        if killed.is_empty() || killed.iter().any(identity::is_alive) {
            return ProcessState::Running;
        }
        match self.victim() {
            Some(victim) => process::state(&victim),
            None => ProcessState::Gone,
        }
    }

    /// What runs in the place of what was killed.
    pub(super) fn successor(&self) -> Option<Successor> {
        let killed = lock(&self.killed).clone();
        if killed.is_empty() || killed.iter().any(identity::is_alive) {
            return None;
        }
        let process = self.victim()?;
        Some(Successor {
            pid: process.pid,
            process: Some(process),
        })
    }

    /// Sends a signal to the service, and leaves its supervisor. SIGKILL goes to all that the
    /// service has started, too.
    pub(super) fn signal_under_supervisor(&self, signal: Signal) -> io::Result<bool> {
        let Some(victim) = self.victim() else {
            return Ok(false);
        };
        if self.identity().as_ref() == Some(&victim) {
            return Err(io::Error::other(
                "it is its supervisor itself that listens on its port",
            ));
        }
        // What it printed until now says nothing about its successor.
        self.printed_nothing_yet();
        // A worker that has its socket is no successor, and keeps that from the port.
        let mut all = with_descendants(&victim);
        if all.is_empty() {
            all.push(victim.clone());
        }
        *lock(&self.killed) = all;
        if let Some(supervision) = &self.supervision {
            supervision.died();
        }
        if signal == Signal::Kill {
            *lock(&self.killed) = kill_each(&victim)?;
            return Ok(true);
        }
        process::signal_one(&victim, signal)
    }

    /// Those that a fault has killed and that still live.
    pub(super) fn killed_that_live(&self) -> Vec<u32> {
        let killed = lock(&self.killed);
        let live = killed.iter().filter(|one| identity::is_alive(one));
        live.map(|one| one.pid).collect()
    }

    pub(super) async fn killed_are_gone_within(&self, limit: Duration) -> bool {
        let until = Instant::now() + limit;
        while !self.killed_that_live().is_empty() {
            if Instant::now() >= until {
                return false;
            }
            tokio::time::sleep(LOOK).await;
        }
        true
    }

    /// Whether its service has died, and nobody has brought that back yet.
    pub(super) fn awaits_supervisor(&self) -> bool {
        let Some(supervision) = &self.supervision else {
            return false;
        };
        if lock(&self.killed).first().is_some_and(identity::is_alive) {
            // The signal has not ended it.
            supervision.calm();
        }
        supervision.awaited_until().is_some()
    }

    /// Waits for the supervisor; where that is dead itself, or takes too long, all of it is
    /// started anew.
    pub(super) async fn brought_back(&self) -> Result<(), Error> {
        let mut rest = lock(&self.killed).clone();
        rest.retain(identity::is_alive);
        kill_these(&rest)
            .map_err(|error| self.error("is not wholly ended".into()).because(error))?;
        let lives = self.own_state() == ProcessState::Running;
        if lives && supervision::wait(self).await? {
            return Ok(());
        }
        self.clear().await?;
        self.killed_are_gone_within(END_LIMIT).await;
        self.spawn(false)?;
        self.until_ready().await?;
        if let Some(supervision) = &self.supervision {
            let process = self.victim().or_else(|| self.identity());
            let pid = process.as_ref().map_or(0, |process| process.pid);
            let successor = Successor { pid, process };
            supervision.is_back(self.name(), RestartedBy::Undo, successor);
        }
        Ok(())
    }

    fn printed_nothing_yet(&self) {
        if let Ok(since) = super::SinceStart::from_now(&self.launch.log) {
            *lock(&self.since_start) = since;
        }
    }
}
