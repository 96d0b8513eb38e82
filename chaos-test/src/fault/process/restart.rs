//! Restarts a service's process.

use std::time::Duration;

use crate::error::Error;
use crate::fault::{APPLY_LIMIT, Effect, Fault};
use crate::model::target::Target;
use crate::model::undo::Undo;
use crate::system::{ProcessState, ReadOnlySystem, System};

use super::ServiceName;

/// Restarts the process of a service; made by [`restart`].
///
/// See [`restart`] for an example.
#[derive(Debug, Clone)]
pub struct Restart {
    service: String,
    down_for: Duration,
}

/// Ends the process of a service as a deployment does (SIGTERM, then SIGKILL after its
/// grace period) and starts it again. The injection returns once the new process was
/// started; lifting waits until it is ready.
///
/// ```no_run
/// # async fn body(chaos: &chaos_test::ChaosContext, cache: &chaos_test::Service) -> chaos_test::Result {
/// use chaos_test::{ms, process};
/// let restart = chaos.inject(process::restart(cache).down_for(ms(200))).await?;
/// restart.lift().await?;
/// # Ok(()) }
/// ```
#[must_use = "a fault does nothing until it is injected"]
pub fn restart(service: impl Into<ServiceName>) -> Restart {
    Restart {
        service: service.into().0,
        down_for: Duration::ZERO,
    }
}

impl Restart {
    /// How long it stays down between its end and its start; not at all by default.
    #[must_use = "a fault does nothing until it is injected"]
    pub fn down_for(mut self, time: Duration) -> Self {
        self.down_for = time;
        self
    }
}

impl Fault for Restart {
    fn describe(&self) -> String {
        format!("restart {}", self.service)
    }

    fn is_ours(&self) -> bool {
        true
    }

    fn targets(&self) -> Vec<Target> {
        super::target(&self.service)
    }

    fn ends_within(&self) -> Option<Duration> {
        Some(self.down_for)
    }

    async fn prepare(&self, system: &ReadOnlySystem) -> Result<Undo, Error> {
        match system.process_state(&self.service)? {
            ProcessState::Running => system.undo_ending(&self.service),
            state => Err(Error::msg(format!(
                "only a running process can be restarted, and it is {state}"
            ))),
        }
    }

    async fn apply(&self, system: &System) -> Result<(), Error> {
        let before = system.process_starts(&self.service)?;
        system.end_process(&self.service, true).await?;
        tokio::time::sleep(self.down_for).await;
        system.start_process(&self.service, false).await?;
        if system.process_starts(&self.service)? == before {
            return Err(Error::msg(
                "the process after the restart is the one before",
            ));
        }
        Ok(())
    }

    fn apply_limit(&self) -> Duration {
        self.down_for.saturating_add(APPLY_LIMIT)
    }

    async fn verify(&self, system: &ReadOnlySystem) -> Result<Effect, Error> {
        Ok(match system.process_state(&self.service)? {
            ProcessState::Running => Effect::Spent,
            state => Effect::Absent(format!("its new process is {state}")),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_that_it_stays_down_is_not_taken_from_its_limit() {
        let service = || ServiceName::new("cache");
        assert_eq!(restart(service()).apply_limit(), APPLY_LIMIT);
        let long = restart(service()).down_for(Duration::from_secs(90));
        assert_eq!(long.apply_limit(), Duration::from_secs(150));
        let lasting = long.lasting(Duration::from_secs(1));
        assert_eq!(lasting.apply_limit(), Duration::from_secs(150));
        assert_eq!(lasting.ends_within(), Some(Duration::from_secs(90)));
    }
}
