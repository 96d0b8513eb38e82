//! What the faults on processes need of a process that the test did not start.

use std::io;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::tree;
use super::unit::ExistingProcess;
use crate::error::{Error, Kind};
use crate::model::event::RestartedBy;
use crate::model::identity::ProcessIdentity;
use crate::model::undo::Undo;
use crate::system::identity;
use crate::system::lock::lock;
use crate::system::process::{self, ProcessState, Signal};
use crate::system::service::{Answer, ProcessUnit, Unit};

/// How long it may take to end after any signal but SIGKILL, at least.
const SIGNAL_LIMIT: Duration = Duration::from_secs(5);

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
                self.mark_killed(
                    all,
                    match signal {
                        Signal::Kill => Duration::ZERO,
                        _ => self.known.grace.max(SIGNAL_LIMIT),
                    },
                );
                if let Some(supervision) = &self.known.supervision {
                    supervision.died();
                }
                if signal == Signal::Kill {
                    let killed = self.not_ended(tree::kill_each(&process))?;
                    lock(&self.live).killed = killed;
                    return Ok(true);
                }
                self.not_ended(tree::signal(&process, signal))
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
            keeper: self.known.found_by.keeper().cloned(),
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
        self.process() != killed || matches!(self.find_successor(), Ok(Some(_)))
    }
}
