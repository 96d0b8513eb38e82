//! Ends a service's process with a signal.

use std::time::{Duration, Instant};

use crate::error::Error;
use crate::fault::{Effect, Fault};
use crate::model::target::Target;
use crate::model::undo::Undo;
use crate::model::units::human;
use crate::system::{Ending, ProcessState, ReadOnlySystem, Signal, System};

use super::ServiceName;

/// How long a process may take to end after its signal, unless its grace period is longer.
const EXIT_LIMIT: Duration = Duration::from_secs(5);

/// How often it is looked whether what runs is a successor.
const LOOKS: u32 = 5;

/// Ends the process of a service; made by [`kill`].
///
/// See [`kill`] for an example.
#[derive(Debug, Clone)]
pub struct Kill {
    service: String,
    signal: Signal,
}

/// Ends a service with SIGKILL: its process group and everything else that it started, as
/// a crash of the machine that it runs on does. Lifting it starts the service again and
/// waits until it is ready.
///
/// Of a service that is `supervised`, it ends what the supervisor brings back, and not the
/// supervisor; lifting waits for that first. Of a process that was there before the test, it
/// ends that and its descendants.
///
/// ```no_run
/// # async fn body(chaos: &chaos_test::ChaosContext, cache: &chaos_test::Service) -> chaos_test::Result {
/// use chaos_test::{Signal, process};
/// let outage = chaos.inject(process::kill(cache).with(Signal::Term)).await?;
/// outage.lift().await?;
/// # Ok(()) }
/// ```
#[must_use = "a fault does nothing until it is injected"]
pub fn kill(service: impl Into<ServiceName>) -> Kill {
    Kill {
        service: service.into().0,
        signal: Signal::Kill,
    }
}

impl Kill {
    /// With another signal, which goes to the process group only. The service has its grace
    /// period to end, 5 s at least; where it or anything that it started survives that, the
    /// injection fails.
    #[must_use = "a fault does nothing until it is injected"]
    pub fn with(mut self, signal: Signal) -> Self {
        self.signal = signal;
        self
    }
}

impl Fault for Kill {
    fn describe(&self) -> String {
        match self.signal {
            Signal::Kill => format!("kill {}", self.service),
            signal => format!("kill {} with {signal}", self.service),
        }
    }

    fn is_ours(&self) -> bool {
        true
    }

    fn targets(&self) -> Vec<Target> {
        super::target(&self.service)
    }

    async fn prepare(&self, system: &ReadOnlySystem) -> Result<Undo, Error> {
        match system.process_state(&self.service)? {
            ProcessState::Gone => Err(Error::msg("its process is already gone")),
            _ => {
                let within = match self.signal {
                    Signal::Kill => Duration::ZERO,
                    _ => EXIT_LIMIT.max(system.grace_period(&self.service)?),
                };
                system.undo_ending_within(&self.service, Ending::Killed, within)
            }
        }
    }

    async fn apply(&self, system: &System) -> Result<(), Error> {
        let limit = match self.signal {
            Signal::Kill => EXIT_LIMIT,
            // Its program may take its time to end when it is asked to.
            _ => EXIT_LIMIT.max(system.grace_period(&self.service)?),
        };
        let until = Instant::now() + limit;
        system.signal(&self.service, self.signal).await?;
        if !system.process_exits(&self.service, limit).await? {
            return Err(Error::msg(format!(
                "its process is still there {} after {}",
                human(limit),
                self.signal
            )));
        }
        if system.is_supervised(&self.service)? {
            // Killed once more it would be its successor that dies.
            return Ok(());
        }
        // The others of its group may take longer than their leader, and a process may have
        // been forked while the signals were sent. `verify` judges what is left.
        let mut pause = Duration::from_micros(200);
        while !system.leftover_processes(&self.service)?.is_empty() && Instant::now() < until {
            if self.signal == Signal::Kill {
                // It fails where the last one has just ended.
                let _ = system.signal(&self.service, self.signal).await;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(20));
        }
        Ok(())
    }

    async fn verify(&self, system: &ReadOnlySystem) -> Result<Effect, Error> {
        // A successor that crashes may be there for the first look and gone for the second.
        for tries_left in (0..LOOKS).rev() {
            let state = system.process_state(&self.service)?;
            if state == ProcessState::Gone {
                break;
            }
            if system.process_was_replaced(&self.service)? {
                return Ok(Effect::Spent);
            }
            if tries_left == 0 {
                return Ok(Effect::Absent(format!("its process is {state}")));
            }
        }
        // A wrapper may be gone while the server that it started still serves.
        Ok(match system.leftover_processes(&self.service)?.first() {
            None => Effect::Active,
            Some(pid) => Effect::Absent(format!("process {pid} of it still runs")),
        })
    }
}
