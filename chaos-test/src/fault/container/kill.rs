//! Ends a service's container with a signal.

use std::time::Duration;

use crate::error::{Error, Kind};
use crate::fault::{Effect, Fault};
use crate::model::target::Target;
use crate::model::undo::Undo;
use crate::model::units::human;
use crate::system::{ContainerState, Ending, ReadOnlySystem, Signal, System};

use super::ServiceName;

/// How long a container may take to end after its signal, unless its grace period is longer.
const EXIT_LIMIT: Duration = Duration::from_secs(10);

/// Ends the container of a service; made by [`kill`].
///
/// See [`kill`] for an example.
#[derive(Debug, Clone)]
pub struct Kill {
    service: String,
    signal: Signal,
}

/// Ends a service's container with SIGKILL, as a crash or the kernel's out-of-memory killer
/// does. What it wrote into its file system stays. Lifting it starts the same container
/// again and waits until it is ready; where it is `supervised`, its own supervisor is waited for
/// first.
///
/// ```no_run
/// # async fn body(chaos: &chaos_test::ChaosContext, cache: &chaos_test::Service) -> chaos_test::Result {
/// use chaos_test::{Signal, container};
/// let outage = chaos.inject(container::kill(cache).with(Signal::Term)).await?;
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
    /// With another signal, which goes to the container's first process. The container has
    /// its grace period to end, 10 s at least; where it survives that, the injection fails.
    /// The kernel keeps from a first process every signal that it has no handler for, but
    /// SIGKILL (pid_namespaces(7)).
    #[must_use = "a fault does nothing until it is injected"]
    pub fn with(mut self, signal: Signal) -> Self {
        self.signal = signal;
        self
    }
}

impl Fault for Kill {
    fn describe(&self) -> String {
        match self.signal {
            Signal::Kill => format!("kill container {}", self.service),
            signal => format!("kill container {} with {signal}", self.service),
        }
    }

    fn is_ours(&self) -> bool {
        true
    }

    fn targets(&self) -> Vec<Target> {
        super::target(&self.service)
    }

    async fn prepare(&self, system: &ReadOnlySystem) -> Result<Undo, Error> {
        if matches!(self.signal, Signal::Stop | Signal::Continue) {
            return Err(
                Error::new(Kind::Usage, format!("{} ends no container", self.signal))
                    .help("`container::pause` has one do nothing for a while"),
            );
        }
        match system.container_state(&self.service).await? {
            ContainerState::Running => {
                let within = match self.signal {
                    Signal::Kill => Duration::ZERO,
                    _ => EXIT_LIMIT.max(system.grace_period(&self.service)?),
                };
                system.undo_ending_within(&self.service, Ending::Killed, within)
            }
            state => Err(super::not_running("killed", state)),
        }
    }

    async fn apply(&self, system: &System) -> Result<(), Error> {
        let limit = EXIT_LIMIT.max(system.grace_period(&self.service)?);
        system.kill_container(&self.service, self.signal).await?;
        if system.container_exits(&self.service, limit).await? {
            return Ok(());
        }
        Err(Error::msg(format!(
            "its container still runs {} after {}",
            human(limit),
            self.signal
        ))
        .help(
            "its first process ignores that signal, as one without a handler for it does; use \
             another one, or run it under an init (`init` with `with_host_config_modifier`)",
        ))
    }

    async fn verify(&self, system: &ReadOnlySystem) -> Result<Effect, Error> {
        Ok(match system.container_state(&self.service).await? {
            // Its engine is about to start it again.
            ContainerState::Exited | ContainerState::Restarting => Effect::Active,
            ContainerState::Running if system.container_was_replaced(&self.service).await? => {
                Effect::Spent
            }
            state => Effect::Absent(format!("its container is {state}")),
        })
    }
}
