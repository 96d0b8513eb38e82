//! Restarts a service's process so that it hangs before its first instruction.

use crate::error::Error;
use crate::fault::{Effect, Fault};
use crate::model::target::Target;
use crate::model::undo::Undo;
use crate::system::{ProcessState, ReadOnlySystem, System};

use super::ServiceName;

/// Has the process of a service hang at its start; made by [`hang_at_start`].
///
/// See [`hang_at_start`] for an example.
#[derive(Debug, Clone)]
pub struct HangAtStart {
    service: String,
}

/// Kills the process of a service and starts one that is held before its first
/// instruction: it is there, and it does not listen. Lifting lets it go on and waits until
/// it is ready.
///
/// ```no_run
/// # async fn body(chaos: &chaos_test::ChaosContext, cache: &chaos_test::Service) -> chaos_test::Result {
/// use chaos_test::process;
/// let hang = chaos.inject(process::hang_at_start(cache)).await?;
/// hang.lift().await?;
/// # Ok(()) }
/// ```
#[must_use = "a fault does nothing until it is injected"]
pub fn hang_at_start(service: impl Into<ServiceName>) -> HangAtStart {
    HangAtStart {
        service: service.into().0,
    }
}

impl Fault for HangAtStart {
    fn describe(&self) -> String {
        format!("hang {} at its start", self.service)
    }

    fn is_ours(&self) -> bool {
        true
    }

    fn targets(&self) -> Vec<Target> {
        super::target(&self.service)
    }

    async fn prepare(&self, system: &ReadOnlySystem) -> Result<Undo, Error> {
        system.can_be_held_at_start(&self.service)?;
        system.undo_running(&self.service)
    }

    async fn apply(&self, system: &System) -> Result<(), Error> {
        system.end_process(&self.service, false).await?;
        system.start_process(&self.service, true).await
    }

    async fn verify(&self, system: &ReadOnlySystem) -> Result<Effect, Error> {
        Ok(match system.process_state(&self.service)? {
            ProcessState::HeldAtStart => Effect::Active,
            state => Effect::Absent(format!("its process is {state}")),
        })
    }
}
