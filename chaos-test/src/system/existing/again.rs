//! Puts back a process that was there before the test: for the test itself, and for whoever
//! undoes what a dead run left.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::{find, tree};
use crate::error::{Error, Kind};
use crate::model::existing::FoundBy;
use crate::model::identity::ProcessIdentity;
use crate::model::units::human;
use crate::system::{gate, identity, watchdog};

/// How often it is looked whether it is there.
const LOOK: Duration = Duration::from_millis(10);

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
        .map_err(|error| Error::new(Kind::Undo, "it could not be continued").because(error))?;
    if process.namespace == identity::namespace() && !identity::is_alive(process) {
        return Err(Error::new(
            Kind::Lost,
            format!("process {} is gone: somebody else ended it", process.pid),
        ));
    }
    Ok(())
}

/// Has somebody run in the place of a process that was ended: waits for its supervisor, then
/// runs what starts it. Nothing happens where it still runs.
///
/// # Errors
///
/// Where nobody does in time.
pub(crate) async fn run_again(
    process: &ProcessIdentity,
    found_by: &FoundBy,
    argv: &[String],
    supervised: Duration,
    start: Duration,
) -> Result<(), Error> {
    // After a start of the machine there is nothing to put back.
    if process.boot_id != identity::boot_id() {
        return Ok(());
    }
    if identity::is_alive(process) {
        // It was about to be killed, for which it is stopped first.
        return continue_process(process, &[], &[]);
    }
    if until_found(process, found_by, supervised).await?.is_some() {
        return Ok(());
    }
    started(process, found_by, argv, supervised, start)
        .await
        .map(drop)
}

/// Runs what starts it, and waits until it is found.
pub(super) async fn started(
    before: &ProcessIdentity,
    found_by: &FoundBy,
    argv: &[String],
    supervised: Duration,
    limit: Duration,
) -> Result<ProcessIdentity, Error> {
    let Some((program, arguments)) = argv.split_first() else {
        return Err(Error::new(
            Kind::Undo,
            format!(
                "its supervisor had {}, and {found_by} is still dead; nothing is known that starts \
                 it",
                human(supervised)
            ),
        ));
    };
    if let Ok(Some(found)) = find(found_by)
        && found != *before
    {
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
        let left = until.saturating_duration_since(Instant::now()).min(LOOK);
        if let Some(found) = until_found(before, found_by, left).await? {
            break Some(found);
        }
        if Instant::now() >= until {
            break None;
        }
        if !ended {
            match child.try_wait() {
                Ok(Some(status)) if status.success() => ended = true,
                Ok(Some(status)) => return Err(failed(format!("ended with {status}"))),
                Ok(None) | Err(_) => {}
            }
        }
    };
    if !ended {
        // So that no zombie stays where it ends before us.
        let _ = std::thread::Builder::new()
            .name("chaos-reap".to_owned())
            .stack_size(64 * 1024)
            .spawn(move || child.wait());
    }
    found.ok_or_else(|| {
        failed(format!(
            "was run, and {found_by} was not there within {}",
            human(limit)
        ))
    })
}

/// Waits until somebody else than `before` is found.
pub(super) async fn until_found(
    before: &ProcessIdentity,
    found_by: &FoundBy,
    limit: Duration,
) -> Result<Option<ProcessIdentity>, Error> {
    let until = Instant::now() + limit;
    loop {
        // What cannot be told yet may be told in a moment: two share a listener while one hands
        // over to the other.
        let found = find(found_by);
        if let Ok(Some(found)) = &found
            && found != before
        {
            return Ok(Some(found.clone()));
        }
        if Instant::now() >= until {
            return match found {
                Ok(_) => Ok(None),
                Err(error) => Err(Error::new(Kind::Undo, error.to_string())),
            };
        }
        tokio::time::sleep(LOOK).await;
    }
}
