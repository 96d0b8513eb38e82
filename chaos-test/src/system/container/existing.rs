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

pub(crate) use locate::{Which, locate};
pub(crate) use unit::{ExistingContainer, Known};

/// How often it is looked whether its supervisor has brought it back.
const LOOK: Duration = Duration::from_millis(50);

/// Has a container of a run that may be dead run again: its supervisor first, if it has one.
///
/// # Errors
///
/// Where it is gone: it was not ours, and nobody can have it again.
pub(crate) async fn restore_container(
    url: &str,
    container: &str,
    supervised: Duration,
) -> Result<(), Error> {
    let engine: Arc<Engine> = Engine::at(url).await?;
    let until = Instant::now() + supervised;
    loop {
        let found = match acts::inspect(&engine, container).await {
            Ok(found) => found,
            Err(why) if why.is_missing() => return Err(gone(container)),
            Err(why) => return Err(failed(&why)),
        };
        match acts::state_of(&found) {
            ContainerState::Running => return Ok(()),
            ContainerState::Paused => {
                return acts::unpause(&engine, container)
                    .await
                    .map_err(|why| failed(&why));
            }
            ContainerState::Gone => return Err(gone(container)),
            _ if Instant::now() < until => tokio::time::sleep(LOOK).await,
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
