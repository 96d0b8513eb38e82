//! Calls the methods of a fault, which a user may have written: each within its time limit, and a
//! panic in it is an error.

use std::sync::Arc;
use std::time::Duration;

use crate::error::{Error, Kind};
use crate::fault::ErasedFault;
use crate::model::target::Target;
use crate::model::units::human;
use crate::run::inner::Inner;
use crate::run::{Boxed, engine};
use crate::system::ReadOnlySystem;

/// How long a fault may take to prepare or to be verified.
pub(in crate::run) const VERIFY_LIMIT: Duration = Duration::from_secs(10);
/// How long a method that was given up may take to end.
const ABORT_LIMIT: Duration = Duration::from_secs(5);

/// Runs what a user wrote; a panic in it is an error.
pub(super) fn guarded<T>(method: &str, ask: impl FnOnce() -> T) -> Result<T, Error> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(ask))
        .map_err(|_| Error::new(Kind::Inject, format!("`{method}` of the fault panicked")))
}

pub(super) fn read_only(inner: &Inner, injection: u64, targets: &[Target]) -> ReadOnlySystem {
    ReadOnlySystem {
        world: Arc::clone(&inner.world),
        injection,
        targets: targets.into(),
    }
}

/// How one method of a fault ended.
pub(super) enum Call<T> {
    Answered(Result<T, Error>),
    /// It was given up, and has ended.
    GivenUp(Error),
    /// It was given up, and still runs: it blocks its thread.
    Stuck(Error),
}

impl<T> Call<T> {
    pub(super) fn answer(self) -> Result<T, Error> {
        match self {
            Self::Answered(answer) => answer,
            Self::GivenUp(error) | Self::Stuck(error) => Err(error),
        }
    }
}

/// Runs one method of a fault on the users' runtime, within a time limit; a panic in it is
/// an error. With `ends`, it is given up when the context ends.
pub(super) async fn call<T: Send + 'static>(
    fault: &Arc<dyn ErasedFault>,
    method: &str,
    limit: Duration,
    ends: Option<&Inner>,
    ask: impl FnOnce(Arc<dyn ErasedFault>) -> Boxed<Result<T, Error>> + Send + 'static,
) -> Call<T> {
    let ours = fault.is_ours();
    let fault = Arc::clone(fault);
    let ended = async {
        match ends {
            Some(inner) => inner.until_ended().await,
            None => std::future::pending().await,
        }
    };
    let late = || {
        Error::new(
            Kind::Inject,
            format!("`{method}` took longer than {}", human(limit)),
        )
    };
    if ours {
        // Each hand-over to another thread costs more than what a link fault does.
        return tokio::select! {
            answer = ask(fault) => Call::Answered(answer),
            () = tokio::time::sleep(limit) => Call::GivenUp(late()),
            ended = ended => Call::GivenUp(ended),
        };
    }
    let mut task = engine::users().spawn(async move { ask(fault).await });
    let why = tokio::select! {
        answer = &mut task => return Call::Answered(answer.unwrap_or_else(|panic| {
            Err(Error::new(Kind::Inject, format!("`{method}` panicked: {panic}")))
        })),
        () = tokio::time::sleep(limit) => late(),
        ended = ended => ended,
    };
    task.abort();
    // It ends at its next await, unless it blocks.
    match tokio::time::timeout(ABORT_LIMIT, task).await {
        Ok(_) => Call::GivenUp(why),
        Err(_) => Call::Stuck(why),
    }
}
