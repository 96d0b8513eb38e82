//! Puts back a process that was there before the test: for the test itself, and for whoever
//! undoes what a dead run left.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::find::successor;
use super::tree;
use crate::error::{Error, Kind};
use crate::model::existing::{Before, FoundBy};
use crate::model::identity::ProcessIdentity;
use crate::model::keeper::{Ask, Meant, Told};
use crate::model::units::human;
use crate::system::spawner::Spawner;
use crate::system::{gate, identity, keeper, watchdog};

/// How often it is looked whether it is there.
const LOOK: Duration = Duration::from_millis(10);
/// How much longer than its grace period an end may take that was asked for.
pub(super) const MARGIN: Duration = Duration::from_secs(2);
/// How long what was killed may take to be gone.
const REST_LIMIT: Duration = Duration::from_secs(8);

/// Continues a process and what it had started, but for what was stopped before.
///
/// # Errors
///
/// Where it is gone: nobody can continue it, and it was not ours.
pub(crate) fn continue_process(
    process: &ProcessIdentity,
    others: &[ProcessIdentity],
    stopped: &[ProcessIdentity],
) -> Result<(), Error> {
    if process.boot_id != identity::boot_id() {
        return Ok(());
    }
    go_on(process, others, stopped)?;
    if process.namespace == identity::namespace() && !identity::is_alive(process) {
        return Err(Error::new(
            Kind::Lost,
            format!("process {} is gone: somebody else ended it", process.pid),
        ));
    }
    Ok(())
}

/// As [`continue_process`], of what may be gone or about to be.
pub(super) fn go_on(
    process: &ProcessIdentity,
    others: &[ProcessIdentity],
    stopped: &[ProcessIdentity],
) -> Result<(), Error> {
    let mut all = Vec::new();
    for one in std::iter::once(process).chain(others) {
        // Also what they started after they were written down.
        for one in tree::with_descendants(one) {
            if !all.contains(&one) && !stopped.contains(&one) {
                all.push(one);
            }
        }
    }
    all.reverse();
    tree::continue_each(&all)
        .map_err(|error| Error::new(Kind::Undo, "it could not be continued").because(error))
}

/// Ends what is left of a process that was ended: it may go by itself until then, and is killed
/// after that. It would keep the address from its successor.
pub(super) async fn end_the_rest(rest: &[ProcessIdentity], until: Instant) -> Result<(), Error> {
    let kill_at = Instant::now().max(until);
    let mut killed = false;
    loop {
        let left: Vec<_> = rest.iter().filter(|one| identity::is_alive(one)).collect();
        let Some(first) = left.first() else {
            return Ok(());
        };
        let failed = |why: String| {
            Error::new(
                Kind::Undo,
                format!("process {}, which it had started, {why}", first.pid),
            )
        };
        if Instant::now() >= kill_at + REST_LIMIT {
            return Err(failed("is still there after SIGKILL".to_owned()));
        }
        if Instant::now() >= kill_at && !killed {
            killed = true;
            let left: Vec<ProcessIdentity> = left.iter().map(|one| (*one).clone()).collect();
            tree::kill_these(&left)
                .map_err(|error| failed("could not be ended".to_owned()).because(error))?;
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// What a fault has ended, and how to have it again.
#[derive(Clone, Copy)]
pub(crate) struct Lost<'a> {
    pub(crate) process: &'a ProcessIdentity,
    /// How to find what runs in its place.
    pub(crate) found_by: &'a FoundBy,
    /// What starts it; empty where nobody said so.
    pub(crate) argv: &'a [String],
    pub(crate) before: &'a Before,
    /// How long its supervisor may take.
    pub(crate) supervised: Duration,
    /// How long its start may take.
    pub(crate) start: Duration,
}

impl Lost<'_> {
    fn successor(&self) -> std::io::Result<Option<ProcessIdentity>> {
        successor(self.found_by, &[self.process], self.before)
    }
}

/// Has somebody run in the place of a process that was ended: waits for its supervisor, then
/// runs what starts it. `grace`: how long it may take to end after it was asked to. Nothing
/// happens where it is still there after that.
///
/// # Errors
///
/// Where nobody does in time.
pub(crate) async fn run_again(lost: Lost<'_>, grace: Duration) -> Result<(), Error> {
    let Lost {
        process, before, ..
    } = lost;
    // After a start of the machine there is nothing to put back.
    if process.boot_id != identity::boot_id() {
        return Ok(());
    }
    let until = Instant::now() + grace.saturating_add(MARGIN);
    if identity::is_alive(process) {
        // It was about to be killed, for which it is stopped first.
        go_on(process, &before.others, &before.stopped)?;
        // It may have been asked to end, and whoever would have waited for that is dead.
        while identity::is_alive(process) {
            if Instant::now() >= until {
                return Ok(());
            }
            tokio::time::sleep(LOOK).await;
        }
    }
    if matches!(lost.successor(), Ok(Some(_))) {
        return Ok(());
    }
    end_the_rest(&before.others, until).await?;
    if until_found(lost, lost.supervised).await?.is_some() {
        return Ok(());
    }
    started(lost).await.map(drop)
}

/// Whether it was kept for a run, and is not any more: it goes with its keeper, and there is
/// nothing to put back.
pub(super) fn has_no_keeper(found_by: &FoundBy) -> bool {
    found_by
        .keeper()
        .is_some_and(|keeper| !identity::is_alive(keeper))
}

/// Has whoever keeps it for a run start it, and finds it.
async fn kept_again(lost: Lost<'_>, socket: &Path, meant: Meant) -> Result<ProcessIdentity, Error> {
    let service = meant.service.clone();
    let failed = |why: String| {
        let what = format!("`{service}`, which is kept for this run, does not run again: {why}");
        Error::new(Kind::Undo, what)
    };
    let (socket, ask) = (socket.to_owned(), Ask::Run(meant));
    let told = Spawner::here()
        .spawn_blocking(move || keeper::ask(&socket, &ask))
        .await;
    match told {
        Ok(Ok(Told::Runs)) => {}
        Ok(Ok(Told::Refused(why))) => return Err(failed(why)),
        Ok(Ok(told)) => return Err(failed(format!("its keeper says {told:?}"))),
        Ok(Err(error)) => return Err(failed(error.to_string())),
        Err(error) => return Err(failed(error.to_string())),
    }
    match lost.successor() {
        Ok(Some(found)) => Ok(found),
        Ok(None) => Err(failed("it ended again at once".to_owned())),
        Err(error) => Err(failed(error.to_string())),
    }
}

/// Runs what starts it, and waits until it is found.
pub(super) async fn started(lost: Lost<'_>) -> Result<ProcessIdentity, Error> {
    let Lost {
        found_by,
        argv,
        supervised,
        start: limit,
        ..
    } = lost;
    if let FoundBy::Keeper {
        socket,
        keeper,
        service,
    } = found_by
    {
        let meant = Meant {
            keeper: keeper.clone(),
            service: service.clone(),
        };
        return kept_again(lost, socket, meant).await;
    }
    let Some((program, arguments)) = argv.split_first() else {
        // Somebody else may be in its place, which says more.
        if let Err(error) = lost.successor() {
            return Err(Error::new(Kind::Undo, error.to_string()));
        }
        return Err(Error::new(
            Kind::Undo,
            format!(
                "its supervisor had {}, and {found_by} is still dead; nothing is known that starts \
                 it",
                human(supervised)
            ),
        ));
    };
    if let Ok(Some(found)) = lost.successor() {
        // Its supervisor was quicker by a hair.
        return Ok(found);
    }
    let failed = |why: String| {
        let what = format!("`{}`, which is to start it, {why}", argv.join(" "));
        Error::new(Kind::Undo, what).help("run it by hand to see what it says")
    };
    let mut command = Command::new(program);
    command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .current_dir(Path::new("/"))
        // It is no child of the test's terminal, and outlives the test.
        .process_group(0)
        .env_remove(watchdog::VARIABLE)
        .env_remove(gate::VARIABLE);
    let mut child = command
        .spawn()
        .map_err(|error| failed(format!("cannot be run: {error}")))?;
    let mut ended = false;
    let until = Instant::now() + limit;
    let found = loop {
        // What cannot be told yet, or is a wrapper that will become it, may be told in a moment.
        let found = lost.successor();
        match found {
            Ok(Some(found)) => break Ok(found),
            Ok(None) if Instant::now() >= until => {
                break Err(format!("{found_by} was not there within {}", human(limit)));
            }
            Err(error) if Instant::now() >= until => break Err(error.to_string()),
            _ => {}
        }
        if !ended {
            match child.try_wait() {
                Ok(Some(status)) if status.success() => ended = true,
                Ok(Some(status)) => return Err(failed(format!("ended with {status}"))),
                Ok(None) | Err(_) => {}
            }
        }
        tokio::time::sleep(LOOK).await;
    };
    if !ended {
        // So that no zombie stays where it ends before us.
        let _ = std::thread::Builder::new()
            .name("chaos-reap".to_owned())
            .stack_size(64 * 1024)
            .spawn(move || child.wait());
    }
    found.map_err(|why| failed(format!("was run, and {why}")))
}

/// Waits until somebody runs in its place.
async fn until_found(lost: Lost<'_>, limit: Duration) -> Result<Option<ProcessIdentity>, Error> {
    let until = Instant::now() + limit;
    loop {
        // What cannot be told yet may be told in a moment: two share a listener while one hands
        // over to the other.
        let found = lost.successor();
        if let Ok(Some(found)) = &found {
            return Ok(Some(found.clone()));
        }
        if Instant::now() >= until {
            return match found {
                Ok(_) => Ok(None),
                // What starts it fails at the address, and says so better.
                Err(_) if !lost.argv.is_empty() => Ok(None),
                Err(error) => Err(Error::new(Kind::Undo, error.to_string())),
            };
        }
        tokio::time::sleep(LOOK).await;
    }
}
