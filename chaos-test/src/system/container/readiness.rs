//! When a container counts as ready: by its image's own conditions, again after each start.

use std::time::Duration;

use testcontainers::bollard::models::Health;
use testcontainers::core::{ContainerState as TcState, ExecCommand, WaitFor};
use testcontainers::runners::AsyncRunner;
use testcontainers::{ContainerAsync, GenericImage, ImageExt, ReuseDirective, TestcontainersError};

use super::output::Output;
use super::parts::Condition;
use super::recipe::Recipe;
use super::remove::TOKEN_LABEL;
use super::unit::ServiceContainer;
use crate::error::with_causes;
use crate::system::service::{Answer, ReadyCheck, Unit, until_good};

/// How often the engine is asked for a container's health.
const HEALTH_PAUSE: Duration = Duration::from_millis(50);
/// After a restart: how long a container must print nothing before a message that it has
/// printed at its first start is not waited for any more.
const QUIET: Duration = Duration::from_secs(1);

/// What is waited for, for messages.
pub(super) fn describe(recipe: &Recipe) -> String {
    if let Some(ready) = &recipe.ready {
        return ready.describe();
    }
    let described: Vec<String> = recipe
        .conditions
        .iter()
        .filter_map(|condition| match condition {
            Condition::Printed { message, times, .. } => {
                let message = String::from_utf8_lossy(message);
                Some(match times {
                    1 => format!("waiting for it to print `{message}`"),
                    times => format!("waiting for it to print `{message}` {times} times"),
                })
            }
            Condition::Healthy => Some("waiting for it to be healthy".to_owned()),
            Condition::Exited(_) => Some("waiting for it to end".to_owned()),
            Condition::Foreign(_) => Some("waiting for a condition over HTTP".to_owned()),
            Condition::Pause(_) => None,
        })
        .collect();
    if described.is_empty() {
        "it has no condition".to_owned()
    } else {
        described.join(", then ")
    }
}

/// Waits until a container that was just started is ready; without a limit of its own.
pub(super) async fn until_ready(
    unit: &ServiceContainer,
    output: Output,
    first: bool,
) -> Result<(), String> {
    let may_end = unit.recipe().may_end();
    let ready = conditions(unit, output, first);
    let Some(mut exit) = unit.exit().filter(|_| !may_end) else {
        return ready.await;
    };
    tokio::select! {
        biased;
        // A container that ended can never become ready.
        how = exit.wait_for(Option::is_some) => {
            let how = how.ok().and_then(|how| how.clone());
            Err(format!(
                "ended before it was ready ({})",
                how.map_or_else(|| "somehow".to_owned(), |ended| ended.how)
            ))
        }
        ready = ready => ready,
    }
}

/// Waits until a container that has run all the time answers again.
pub(super) async fn still_ready(unit: &ServiceContainer) -> Result<(), crate::error::Error> {
    match &unit.recipe().ready {
        Some(check) => checked(unit, &**check).await.map_err(|why| unit.error(why)),
        None => Ok(()),
    }
}

async fn conditions(unit: &ServiceContainer, output: Output, first: bool) -> Result<(), String> {
    let failed = |error: TestcontainersError| unasked(with_causes(&error));
    if unit.recipe().may_end() {
        // Nothing can be run in a container that may have ended, and testcontainers would
        // start it a second time.
        return ready(unit, output, first).await;
    }
    let Some(hooks) = &unit.recipe().hooks else {
        return ready(unit, output, first).await;
    };
    let handle = handle(unit).await.map_err(failed)?;
    if first {
        let state = TcState::from_container(&handle).await.map_err(failed)?;
        run(&handle, hooks.before_ready(state).map_err(failed)?).await?;
    }
    ready(unit, output, first).await?;
    let state = TcState::from_container(&handle).await.map_err(failed)?;
    run(&handle, hooks.after_start(state).map_err(failed)?).await
}

async fn ready(unit: &ServiceContainer, output: Output, first: bool) -> Result<(), String> {
    match &unit.recipe().ready {
        Some(check) => checked(unit, &**check).await,
        None => own_conditions(unit, output, first).await,
    }
}

async fn run(
    handle: &ContainerAsync<GenericImage>,
    commands: Vec<ExecCommand>,
) -> Result<(), String> {
    for command in commands {
        handle.exec(command).await.map_err(|error| {
            format!(
                "could not run a command that its image asks for: {}",
                with_causes(&error)
            )
        })?;
    }
    Ok(())
}

async fn own_conditions(
    unit: &ServiceContainer,
    mut output: Output,
    first: bool,
) -> Result<(), String> {
    let mut printed = 0;
    for condition in &unit.recipe().conditions {
        match condition {
            Condition::Pause(time) => tokio::time::sleep(*time).await,
            Condition::Printed { message, .. } => {
                until_printed(unit, &mut output, printed, message, first).await;
                printed += 1;
            }
            Condition::Healthy => until_healthy(unit).await?,
            Condition::Exited(code) => until_exited(unit, *code).await?,
            Condition::Foreign(condition) => foreign(unit, condition.clone()).await?,
        }
    }
    Ok(())
}

/// Waits for a message. After a restart, one that belongs to the setting up of a volume
/// does not come again: it is not waited for any more once another one came and the
/// container is silent.
async fn until_printed(
    unit: &ServiceContainer,
    output: &mut Output,
    number: usize,
    message: &[u8],
    first: bool,
) {
    while !output.has(number) {
        let progress = output.progress();
        if !first && progress.met > 0 && progress.quiet >= QUIET {
            unit.note(format!(
                "{} did not print `{}` again after its restart, printed nothing for {} s and \
                 counts as ready",
                unit.name(),
                String::from_utf8_lossy(message),
                QUIET.as_secs()
            ));
            return;
        }
        output.changed(Duration::from_millis(100)).await;
    }
}

async fn until_healthy(unit: &ServiceContainer) -> Result<(), String> {
    use testcontainers::bollard::models::HealthStatusEnum::{HEALTHY, STARTING, UNHEALTHY};
    loop {
        let found = unit.inspect().await.map_err(unasked)?;
        let health = found.state.and_then(|state| state.health);
        let health = health.unwrap_or_default();
        match health.status {
            Some(HEALTHY) => return Ok(()),
            Some(STARTING) => tokio::time::sleep(HEALTH_PAUSE).await,
            Some(UNHEALTHY) => return Err(unhealthy(&health)),
            _ => {
                return Err(
                    "is to be ready once it is healthy, and neither it nor its image has a \
                     health check: give it one with `with_health_check`, or another condition"
                        .to_owned(),
                );
            }
        }
    }
}

/// What its health check saw last.
fn unhealthy(health: &Health) -> String {
    let last = health.log.as_ref().and_then(|log| log.last());
    match last {
        Some(last) => format!(
            "is unhealthy: its health check ended with exit code {} and printed `{}`",
            last.exit_code.unwrap_or_default(),
            last.output.as_deref().unwrap_or_default().trim()
        ),
        None => "is unhealthy".to_owned(),
    }
}

async fn until_exited(unit: &ServiceContainer, expected: Option<i64>) -> Result<(), String> {
    let Some(mut exit) = unit.exit() else {
        return Err("did not become ready: it was never started".to_owned());
    };
    let ended = match exit.wait_for(Option::is_some).await {
        Ok(ended) => ended.clone(),
        Err(_) => None,
    };
    let Some(ended) = ended else {
        return Err("did not become ready: nobody saw it end".to_owned());
    };
    match expected {
        Some(expected) if ended.code != Some(expected) => {
            Err(format!("ended with {} instead of {expected}", ended.how))
        }
        _ => Ok(()),
    }
}

/// Whether it is ready could not be seen.
fn unasked(why: impl std::fmt::Display) -> String {
    format!("did not become ready: {why}")
}

/// A condition that only testcontainers can ask: it waits for it behind a command, and
/// which one that is does not matter.
async fn foreign(unit: &ServiceContainer, condition: WaitFor) -> Result<(), String> {
    let failed = |error: TestcontainersError| unasked(with_causes(&error));
    let handle = handle(unit).await.map_err(failed)?;
    let command = ExecCommand::new(["true"]).with_container_ready_conditions(vec![condition]);
    handle.exec(command).await.map(drop).map_err(failed)
}

/// Asks a check of ours until it is content.
async fn checked(unit: &ServiceContainer, check: &dyn ReadyCheck) -> Result<(), String> {
    if unit.has_ports() && unit.endpoints().is_empty() && !unit.is_connected().await.unwrap_or(true)
    {
        unit.note(format!(
            "{} is out of its network: whether it is ready is seen once it is back",
            unit.name()
        ));
        return Ok(());
    }
    let ask = || -> Answer<'_, _> { Box::pin(asked(unit, check)) };
    until_good(check, ask, |seen| unit.seen(seen)).await;
    Ok(())
}

async fn asked(unit: &ServiceContainer, check: &dyn ReadyCheck) -> Result<(), String> {
    if unit.has_ports() && unit.endpoints().is_empty() {
        return Err("its ports are not published".to_owned());
    }
    check.check(unit).await
}

/// What testcontainers calls a container: a handle to ours, which it does not remove. It is
/// needed for whatever testcontainers keeps to itself: an image's commands, and conditions
/// over HTTP.
async fn handle(
    unit: &ServiceContainer,
) -> Result<ContainerAsync<GenericImage>, TestcontainersError> {
    let token = unit.labels().get(TOKEN_LABEL).cloned().unwrap_or_default();
    GenericImage::new("chaos-test", "handle")
        .with_container_name(unit.container())
        .with_labels([(TOKEN_LABEL, token)])
        .with_reuse(ReuseDirective::Always)
        .start()
        .await
}
