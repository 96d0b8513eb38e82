//! What the faults on processes need of a service that is one.

use std::io;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::ServiceProcess;
use crate::error::Error;
use crate::model::identity::ProcessIdentity;
use crate::model::undo::Undo;
use crate::system::lock::lock;
use crate::system::process::{self, ProcessState, Signal};
use crate::system::service::{Answer, ProcessUnit};

impl ProcessUnit for ServiceProcess {
    fn state(&self) -> ProcessState {
        match self.own_state() {
            // Of one that was killed, it is its service that counts.
            ProcessState::Running => self.state_under_supervisor(),
            state => state,
        }
    }

    fn identity(&self) -> Option<ProcessIdentity> {
        self.with_running(|running| running.map(|running| running.process.clone()))
    }

    fn starts(&self) -> u32 {
        self.starts.load(Ordering::SeqCst)
    }

    fn signal(&self, signal: Signal) -> io::Result<bool> {
        let supervised = self.supervision.is_some();
        let Some(process) = self.with_running(|running| {
            let running = running?;
            if !supervised && !matches!(signal, Signal::Stop | Signal::Continue) {
                running.expect_end();
            }
            Some(running.process.clone())
        }) else {
            return Ok(false);
        };
        if self.supervision.is_some() && !matches!(signal, Signal::Stop | Signal::Continue) {
            return self.signal_under_supervisor(signal);
        }
        match signal {
            // A crash takes what has left the group, too.
            Signal::Kill => process::kill_all(&process, &self.launch.token),
            _ => process::signal_group(&process, signal),
        }
    }

    fn undo_stopping(&self) -> Undo {
        match self.identity() {
            Some(process) => Undo::ContinueProcess {
                service: self.launch.name.clone(),
                process,
            },
            None => Undo::Nothing,
        }
    }

    fn is_wholly_stopped(&self) -> bool {
        self.identity()
            .is_some_and(|process| process::group_is_stopped(&process))
    }

    fn leftovers(&self) -> Vec<u32> {
        if self.supervision.is_some() {
            return self.killed_that_live();
        }
        let Some(process) = self.identity() else {
            return Vec::new();
        };
        let left = process::survivors(&process, &self.launch.token);
        left.iter().map(|one| one.pid).collect()
    }

    fn members(&self) -> Vec<u32> {
        let process = self.identity();
        process.map_or_else(Vec::new, |process| {
            process::members(&process, &self.launch.token)
        })
    }

    fn exits_within(&self, limit: Duration) -> Answer<'_, bool> {
        Box::pin(async move {
            if !lock(&self.killed).is_empty() {
                return self.killed_are_gone_within(limit).await;
            }
            let Some(mut exit) =
                self.with_running(|running| running.map(|running| running.exit.clone()))
            else {
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
            self.spawn(held)
        })
    }

    fn was_replaced(&self) -> bool {
        self.successor().is_some()
    }
}
