//! Services: what the rooms above need of one, whatever it runs in.

pub(crate) mod log;
pub(crate) mod process;
pub(crate) mod task;

use std::future::Future;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

#[cfg(feature = "containers")]
use super::container::ContainerState;
use super::process::{ProcessState, Signal};
use super::supervision::{Successor, Supervision};
use crate::error::{Error, Kind};
use crate::model::identity::ProcessIdentity;
#[cfg(feature = "containers")]
use crate::model::resource::{Found, Resource};
use crate::model::target::Target;
use crate::model::undo::Undo;
use crate::model::units::human;

pub(crate) use log::last_lines;

/// What a unit answers once it has done its work.
pub(crate) type Answer<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Says whether a service is ready: asked again and again until it is.
pub(crate) trait ReadyCheck: Send + Sync {
    /// What is asked, for messages.
    fn describe(&self) -> String;

    /// Asked once; the error says what was seen instead.
    fn check<'a>(&'a self, service: &'a dyn Unit) -> Answer<'a, Result<(), String>>;

    /// Whether it has somebody do something, so that it is not asked twice at once.
    fn is_command(&self) -> bool {
        false
    }
}

/// How long an answer to a ready check is waited for before it is asked again beside that. A
/// connection that was opened too early may hang for good, such as one that an engine's proxy
/// accepts before its container can be reached.
const PATIENCE: Duration = Duration::from_secs(3);
/// How many answers are waited for at once.
const ASKED_AT_ONCE: usize = 4;

/// Asks a check again and again until one answer is good; `seen` hears the others.
pub(crate) async fn until_good<'a>(
    check: &dyn ReadyCheck,
    ask: impl Fn() -> Answer<'a, Result<(), String>>,
    mut seen: impl FnMut(String),
) {
    let at_once = if check.is_command() { 1 } else { ASKED_AT_ONCE };
    let mut asked = Vec::new();
    let mut pause = Duration::from_millis(1);
    loop {
        if asked.len() < at_once {
            asked.push(ask());
        }
        match tokio::time::timeout(PATIENCE, first_of(&mut asked)).await {
            Ok(Ok(())) => return,
            Ok(Err(what)) => {
                seen(what);
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(Duration::from_millis(50));
            }
            Err(_) => seen(format!("no answer within {}", human(PATIENCE))),
        }
    }
}

/// The first of several answers, which is none of them any more.
async fn first_of<T>(asked: &mut Vec<Answer<'_, T>>) -> T {
    std::future::poll_fn(|cx| {
        for place in 0..asked.len() {
            if let Poll::Ready(answer) = asked[place].as_mut().poll(cx) {
                drop(asked.swap_remove(place));
                return Poll::Ready(answer);
            }
        }
        Poll::Pending
    })
    .await
}

/// Why a service that was started is not ready.
pub(crate) enum NotReady {
    /// It ended first.
    Ended,
    /// It took too long; what was seen instead, in words.
    Late(String),
}

/// Asks a service that was started again and again until it is ready, or has ended.
pub(crate) async fn until_ready(
    unit: &dyn Unit,
    ready: &dyn ReadyCheck,
    ended: impl Future<Output = ()> + Send,
) -> Result<(), NotReady> {
    let limit = unit.start_timeout();
    let mut last = None;
    let good = until_good(ready, || ready.check(unit), |seen| last = Some(seen));
    tokio::select! {
        biased;
        // A service that ended can never become ready, even if somebody else answers at its port.
        () = ended => return Err(NotReady::Ended),
        good = tokio::time::timeout(limit, good) => if good.is_ok() {
            return Ok(());
        },
    }
    Err(NotReady::Late(format!(
        "did not become ready within {} ({}): {}",
        human(limit),
        ready.describe(),
        last.as_deref().unwrap_or("no answer")
    )))
}

/// How a fault ends a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// As a crash does: a supervisor brings it back.
    Killed,
    /// In order, as somebody who means it does.
    Stopped,
}

/// One service, whether it runs at the moment or not: the same thing under its name from
/// its first start until its context ends.
pub(crate) trait Unit: Send + Sync {
    fn name(&self) -> &str;

    /// Where its output goes.
    fn log(&self) -> &Path;

    /// Whether what it prints is in its log.
    ///
    /// # Errors
    ///
    /// Where nobody has said where it prints; says how to say so.
    fn log_is_known(&self) -> Result<(), Error> {
        Ok(())
    }

    /// Where it itself listens now, by the port that its users know.
    fn endpoints(&self) -> Vec<(u16, SocketAddr)>;

    /// How long it may take to end once it was asked to.
    fn grace(&self) -> Duration;

    /// How long it may take to become ready.
    fn start_timeout(&self) -> Duration;

    /// Whether it has printed this text since its latest start, always asked with the same
    /// one; the error says what was seen instead.
    fn has_printed(&self, text: &str) -> Result<(), String>;

    /// Has it run and be ready, whatever state it is in. Nothing happens where it already
    /// does.
    fn ensure_running(&self) -> Answer<'_, Result<(), Error>>;

    /// Ends it: asks first, and kills what is still there after the grace period.
    fn end(&self, ask_first: bool) -> Answer<'_, Result<(), Error>>;

    /// What it is, where it was there before the test and stays after it: only what a test names
    /// may break it, and the test has chosen its name as a service.
    fn existing(&self) -> Option<Target> {
        None
    }

    /// Whether it was there before the test and stays after it.
    fn is_existing(&self) -> bool {
        self.existing().is_some()
    }

    /// Its supervisor, if it has one of its own.
    fn supervision(&self) -> Option<&Supervision> {
        None
    }

    /// Takes in what its supervisor has started in the place of what died; `None` where nothing
    /// runs there yet. Asked as often as one likes.
    fn take_in(&self) -> Answer<'_, Result<Option<Successor>, Error>> {
        Box::pin(async { Ok(None) })
    }

    /// Waits until what was taken in is ready.
    fn until_ready_again(&self) -> Answer<'_, Result<(), Error>> {
        Box::pin(async { Ok(()) })
    }

    /// Itself, where the faults on processes can act on it.
    ///
    /// # Errors
    ///
    /// Says what it is instead, and which faults it has.
    fn as_process(&self) -> Result<&dyn ProcessUnit, Error>;

    /// Itself, where the faults on containers can act on it.
    ///
    /// # Errors
    ///
    /// Says what it is instead, and which faults it has.
    #[cfg(feature = "containers")]
    fn as_container(&self) -> Result<&dyn ContainerUnit, Error> {
        Err(Error::new(
            Kind::Usage,
            format!("service `{}` does not run in a container", self.name()),
        )
        .help("the faults on processes are in `chaos_test::process`"))
    }

    /// Itself, where it is a container that the context made.
    #[cfg(feature = "containers")]
    fn as_own_container(&self) -> Option<&super::container::ServiceContainer> {
        None
    }

    /// The undo that has it run and be ready again, with the time that this may take.
    fn undo_running(&self) -> Undo {
        let waited = self.supervision().map(Supervision::within);
        let limit = self
            .start_timeout()
            .saturating_add(self.grace())
            .saturating_add(waited.unwrap_or_default());
        Undo::RunService {
            service: self.name().to_owned(),
            start_ms: millis(limit),
        }
    }

    /// As [`undo_running`](Self::undo_running), for a fault that ends it within a time from when
    /// it is asked to.
    ///
    /// # Errors
    ///
    /// Where what was ended could not be had again.
    fn undo_ending(&self, _: Ending, _within: Duration) -> Result<Undo, Error> {
        Ok(self.undo_running())
    }

    /// Whether a fault on it reaches only what a test may break.
    ///
    /// # Errors
    ///
    /// Says what it would hit, or could not.
    fn may_be_broken(&self) -> Result<(), Error> {
        Ok(())
    }

    fn error(&self, what: String) -> Error {
        Error::new(Kind::Service, format!("service `{}` {what}", self.name()))
    }
}

/// What the faults on processes need of a service.
pub(crate) trait ProcessUnit: Send + Sync {
    fn state(&self) -> ProcessState;

    /// Which process it runs in, if that is one of its own that was started.
    fn identity(&self) -> Option<ProcessIdentity>;

    /// How often it was started.
    fn starts(&self) -> u32;

    /// Sends a signal to all of it. `false` where nothing runs.
    fn signal(&self, signal: Signal) -> std::io::Result<bool>;

    /// The undo that has it go on after a stop.
    fn undo_stopping(&self) -> Undo;

    /// Whether all of it is stopped.
    fn is_wholly_stopped(&self) -> bool;

    /// The numbers of all that is left of it and of what it started.
    fn leftovers(&self) -> Vec<u32>;

    /// As [`leftovers`](Self::leftovers), with those that have ended and were not waited for:
    /// what they did is not their parents' yet.
    fn members(&self) -> Vec<u32> {
        self.leftovers()
    }

    /// Whether it is a part of the test's own process.
    fn is_in_test(&self) -> bool {
        false
    }

    /// Whether it is gone within a time.
    fn exits_within(&self, limit: Duration) -> Answer<'_, bool>;

    /// Starts it without waiting for it to be ready; `held`: it stays before its first
    /// instruction.
    fn start_unready(&self, held: bool) -> Answer<'_, Result<(), Error>>;

    /// Whether it can be held before its first instruction.
    ///
    /// # Errors
    ///
    /// Says why not.
    fn can_be_held(&self) -> Result<(), Error> {
        Ok(())
    }

    /// Whether what a fault has killed is gone, and its supervisor has something else run in
    /// its place.
    fn was_replaced(&self) -> bool {
        false
    }
}

/// What the faults on containers need of a service.
#[cfg(feature = "containers")]
pub(crate) trait ContainerUnit: Unit {
    /// Its name on the engine.
    fn container(&self) -> &str;

    /// What it is doing, as the engine says now.
    fn state(&self) -> Answer<'_, Result<ContainerState, Error>>;

    /// How often it was started, as far as that is known here.
    fn starts(&self) -> u32;

    /// What it uses, as the engine says, or why nothing can be said of that now.
    fn uses(&self, what: Resource) -> Answer<'_, Result<Found, String>>;

    /// The network that faults take it out of, or all of them.
    fn network_name(&self) -> String;

    /// Whether it is there.
    fn is_connected(&self) -> Answer<'_, Result<bool, Error>>;

    /// The undo that puts it back there.
    fn undo_disconnecting(&self) -> Answer<'_, Result<Undo, Error>>;

    /// Sends a signal to its first process. Where its own supervisor is to bring it back, the
    /// kernel does it, because an engine restarts nothing that it was told to kill.
    fn kill(&self, signal: Signal) -> Answer<'_, Result<(), Error>>;

    /// Waits until what was ended does not run any more; `false` where it still does after a
    /// time.
    fn exits_within(&self, limit: Duration) -> Answer<'_, bool>;

    /// Asks it to end and has it killed after its grace period.
    fn stop(&self, grace: Duration) -> Answer<'_, Result<(), Error>>;

    fn pause(&self) -> Answer<'_, Result<(), Error>>;

    /// Starts it without waiting for it to be ready.
    fn start_unready(&self) -> Answer<'_, Result<(), Error>>;

    fn disconnect(&self) -> Answer<'_, Result<(), Error>>;

    fn connect(&self) -> Answer<'_, Result<(), Error>>;

    /// Whether what a fault has killed is gone, and its supervisor has started it again.
    fn was_replaced(&self) -> Answer<'_, Result<bool, Error>>;
}

/// Why nothing can be told of what a service prints that was there before the test.
pub(crate) fn unknown_log(service: &str, what: &str) -> Error {
    Error::new(
        Kind::Usage,
        format!(
            "what service `{service}` prints is not known, because it is {what} which the test did \
             not start"
        ),
    )
    .help("name the file that it writes its log to, with `.log(path)` on what describes it")
}

pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
