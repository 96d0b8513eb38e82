//! What is asked of one container, whoever made it: by its name or id, each request within its
//! limit.

use std::time::Duration;

use testcontainers::bollard::models::{ContainerInspectResponse, ContainerStateStatusEnum};
use testcontainers::bollard::query_parameters::{
    KillContainerOptionsBuilder, StopContainerOptionsBuilder,
};

use super::engine::{Engine, Refusal};
use super::unit::{ASK_LIMIT, ContainerState, START_LIMIT};
use crate::error::Error;
use crate::system::identity;
use crate::system::process::{self, Signal};

/// How often freezing a container's processes is tried, and what lies between two tries.
const FREEZE_TRIES: u32 = 10;
const FREEZE_PAUSE: Duration = Duration::from_millis(50);

pub(super) async fn inspect(
    engine: &Engine,
    container: &str,
) -> Result<ContainerInspectResponse, Refusal> {
    let asked = engine.docker().inspect_container(container, None);
    engine
        .ask("looking at the container", ASK_LIMIT, asked)
        .await
}

/// What a container is doing, as the engine says.
pub(super) fn state_of(found: &ContainerInspectResponse) -> ContainerState {
    match found.state.as_ref().and_then(|state| state.status) {
        Some(ContainerStateStatusEnum::RUNNING) => ContainerState::Running,
        Some(ContainerStateStatusEnum::PAUSED) => ContainerState::Paused,
        Some(ContainerStateStatusEnum::RESTARTING) => ContainerState::Restarting,
        Some(ContainerStateStatusEnum::CREATED) => ContainerState::Created,
        Some(ContainerStateStatusEnum::REMOVING | ContainerStateStatusEnum::DEAD) => {
            ContainerState::Gone
        }
        _ => ContainerState::Exited,
    }
}

/// Which of its starts runs, or ran last: the instant of it.
pub(super) fn start_of(found: &ContainerInspectResponse) -> Option<String> {
    let started = found.state.as_ref()?.started_at.as_ref()?;
    Some(started.to_string())
}

pub(super) async fn start(engine: &Engine, container: &str) -> Result<(), Refusal> {
    let asked = engine.docker().start_container(container, None);
    engine
        .ask("starting the container", START_LIMIT, asked)
        .await
}

/// Has the engine send a signal to the first process. The engine takes it for the wish that the
/// container ends, and does not restart it, whatever its restart policy.
pub(super) async fn kill(engine: &Engine, container: &str, signal: Signal) -> Result<(), Refusal> {
    let options = KillContainerOptionsBuilder::default()
        .signal(&signal.to_string())
        .build();
    let sent = engine.docker().kill_container(container, Some(options));
    engine
        .ask(&format!("sending {signal}"), ASK_LIMIT, sent)
        .await
}

/// Sends a signal to the first process past the engine, as the kernel does to one that runs out
/// of memory: then its restart policy counts.
pub(super) async fn kill_past_engine(
    engine: &Engine,
    container: &str,
    signal: Signal,
) -> Result<(), Error> {
    const WHY: &str = "an engine restarts nothing that it was told to kill, so the signal has to \
                       come from the kernel of its machine: run the test there, as root or the \
                       container's user, or leave `.supervised(..)` out";
    let found = inspect(engine, container)
        .await
        .map_err(|why| Error::msg(why.to_string()))?;
    let id = found.id.clone().unwrap_or_default();
    let pid = found.state.and_then(|state| state.pid).unwrap_or_default();
    let first = u32::try_from(pid).ok().filter(|pid| *pid > 1);
    let first = first.filter(|_| engine.is_here());
    let first = first.and_then(|pid| identity::of(pid).ok());
    // The engine may count its processes in another namespace than ours.
    let Some(first) = first.filter(|first| !id.is_empty() && belongs_to(first.pid, &id)) else {
        return Err(Error::msg(format!(
            "its first process, {pid} on the engine's machine, cannot be seen from here"
        ))
        .help(WHY));
    };
    match process::signal_one(&first, signal) {
        Ok(true) => Ok(()),
        Ok(false) => Err(Error::msg("its first process ended before the signal")),
        Err(error) => Err(Error::msg(format!(
            "{signal} could not be sent to its first process {}",
            first.pid
        ))
        .because(error)
        .help(WHY)),
    }
}

/// Whether a process is one of a container: of its control group, or with its files.
fn belongs_to(pid: u32, id: &str) -> bool {
    ["cgroup", "mountinfo"].iter().any(|file| {
        std::fs::read_to_string(format!("/proc/{pid}/{file}")).is_ok_and(|text| text.contains(id))
    })
}

/// Asks it to end and has it killed after a time, in whole seconds.
pub(super) async fn stop(engine: &Engine, container: &str, grace: Duration) -> Result<(), Refusal> {
    let seconds = i32::try_from(grace.as_millis().div_ceil(1000)).unwrap_or(i32::MAX);
    let options = StopContainerOptionsBuilder::default().t(seconds).build();
    let limit = grace.saturating_add(START_LIMIT);
    let stopped = engine.docker().stop_container(container, Some(options));
    engine.ask("stopping the container", limit, stopped).await
}

pub(super) async fn pause(engine: &Engine, container: &str) -> Result<(), Refusal> {
    let mut tries = FREEZE_TRIES;
    loop {
        let paused = engine.docker().pause_container(container);
        let paused = engine.ask("pausing the container", ASK_LIMIT, paused);
        tries -= 1;
        match paused.await {
            // With cgroup v1, runc gives up where the kernel has not frozen all processes
            // fast enough, and has them go on: on a busy machine that happens by chance.
            Err(Refusal::Answered(why)) if tries > 0 && why.contains("unable to freeze") => {
                tokio::time::sleep(FREEZE_PAUSE).await;
            }
            done => return done,
        }
    }
}

pub(super) async fn unpause(engine: &Engine, container: &str) -> Result<(), Refusal> {
    let done = engine.docker().unpause_container(container);
    engine
        .ask("having the container go on", ASK_LIMIT, done)
        .await
}
