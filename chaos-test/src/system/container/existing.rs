//! A service that is a container which was there before the test: found once, then addressed by
//! its whole id. It is never removed, renamed or changed, and its state is put back.

mod as_unit;
mod locate;
mod unit;

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::acts;
use super::engine::{Engine, Refusal};
use super::unit::ContainerState;
use crate::error::{Error, Kind};

pub(crate) use locate::{Which, locate, locate_kept};
pub(crate) use unit::{ExistingContainer, Kept, Known};

/// How often it is looked whether its supervisor has brought it back.
const LOOK: Duration = Duration::from_millis(50);

/// How much longer than its grace period an end may take that was asked for: engines count in
/// whole seconds, and kill after that.
const MARGIN: Duration = Duration::from_secs(3);

/// Has a container of a run that may be dead run again: its supervisor first, if it has one.
/// `ends`: which of its starts was to be ended, and how long that may take. Engines go on with
/// what they were asked for when nobody waits for it any more, so while that start runs it is not
/// put back yet.
///
/// # Errors
///
/// Where it is gone: it was not ours, and nobody can have it again.
pub(crate) async fn restore_container(
    url: &str,
    container: &str,
    supervised: Duration,
    ends: Option<(&str, Duration)>,
) -> Result<(), Error> {
    let engine: Arc<Engine> = Engine::at(url).await?;
    let began = Instant::now();
    let mut dead_since = None;
    loop {
        let found = match acts::inspect(&engine, container).await {
            Ok(found) => found,
            Err(why) if why.is_missing() => return Err(gone(container)),
            Err(why) => return Err(failed(&why)),
        };
        match acts::state_of(&found) {
            ContainerState::Running => match ends {
                Some((start, grace))
                    if acts::start_of(&found).as_deref() == Some(start)
                        && began.elapsed() < grace.saturating_add(MARGIN) =>
                {
                    tokio::time::sleep(LOOK).await;
                }
                _ => return Ok(()),
            },
            ContainerState::Paused => {
                return acts::unpause(&engine, container)
                    .await
                    .map_err(|why| failed(&why));
            }
            ContainerState::Gone => return Err(gone(container)),
            _ if dead_since.get_or_insert_with(Instant::now).elapsed() < supervised => {
                tokio::time::sleep(LOOK).await;
            }
            _ => {
                return acts::start(&engine, container)
                    .await
                    .map_err(|why| failed(&why));
            }
        }
    }
}

/// What was not ours is not there any more.
pub(super) fn gone(container: &str) -> Error {
    Error::new(
        Kind::Lost,
        format!("container {container} is gone: somebody else removed it"),
    )
}

fn failed(why: &Refusal) -> Error {
    Error::new(Kind::Undo, why.to_string())
}
