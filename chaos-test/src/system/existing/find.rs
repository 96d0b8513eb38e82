//! Finds the process that a test means, again after each of its starts.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use super::{protected, sockets};
use crate::model::existing::{Before, Candidate, FoundBy};
use crate::model::identity::ProcessIdentity;
use crate::model::keeper::{Ask, Meant, Told};
use crate::system::aside::aside;
use crate::system::identity;
use crate::system::keeper;
use crate::system::process::{self, ProcessState};

/// What a process and its descendants look like before a fault ends them.
pub(super) fn before(tree: &[ProcessIdentity]) -> Before {
    aside(|| look_at(tree))
}

fn look_at(tree: &[ProcessIdentity]) -> Before {
    let mut before = Before {
        others: tree.iter().skip(1).cloned().collect(),
        user: tree.first().and_then(|root| identity::user_of(root.pid)),
        ticks: identity::ticks(),
        ..Before::default()
    };
    let stopped = |one: &&ProcessIdentity| process::state(one) == ProcessState::Stopped;
    before.stopped = tree.iter().filter(stopped).cloned().collect();
    before.programs = tree
        .iter()
        .filter_map(|one| identity::program_of(one.pid))
        .collect();
    before.programs.sort();
    before.programs.dedup();
    before
}

/// The process that runs in the place of others that were ended; `None` where there is none yet.
///
/// # Errors
///
/// Where it cannot be told which it is, or somebody else is there.
pub(super) fn successor(
    by: &FoundBy,
    ended: &[&ProcessIdentity],
    before: &Before,
) -> io::Result<Option<ProcessIdentity>> {
    aside(|| look_for_successor(by, ended, before))
}

fn look_for_successor(
    by: &FoundBy,
    ended: &[&ProcessIdentity],
    before: &Before,
) -> io::Result<Option<ProcessIdentity>> {
    let is_left = |pid: u32| {
        let mut left = ended.iter().copied().chain(&before.others);
        left.any(|one| one.pid == pid && identity::is_alive(one))
    };
    let found = match by {
        FoundBy::Address(address) => match sockets::listeners(*address) {
            None => None,
            Some(pids) => {
                // What was started by the one that was ended may have its socket.
                let others: Vec<u32> = pids.iter().copied().filter(|pid| !is_left(*pid)).collect();
                if others.is_empty() && !pids.is_empty() {
                    return Ok(None);
                }
                let parent = |pid| Some(identity::stat(pid)?.parent);
                alive(Some(first_of(&others, parent)?))
            }
        },
        _ => find(by)?.filter(|found| !is_left(found.pid)),
    };
    let Some(process) = found.filter(|found| !ended.contains(&found)) else {
        return Ok(None);
    };
    let pid = process.pid;
    let candidate = Candidate {
        program: identity::program_of(pid),
        user: identity::user_of(pid),
        process,
    };
    // Who keeps it knows which it is.
    let is_kept = matches!(by, FoundBy::Keeper { .. });
    let why = before.why_no_successor(&candidate).filter(|_| !is_kept);
    let protected = || match is_kept {
        true => None,
        false => protected::why_protected(&candidate.process),
    };
    match why.or_else(protected) {
        None => Ok(Some(candidate.process)),
        Some(why) => Err(io::Error::other(format!(
            "{by} is now {pid} (`{}`), which is somebody else: {why}",
            protected::name_of(pid).unwrap_or_default()
        ))),
    }
}

/// The process that is meant and runs now; `None` where there is none.
///
/// # Errors
///
/// Where it cannot be told which it is.
pub(crate) fn find(by: &FoundBy) -> io::Result<Option<ProcessIdentity>> {
    aside(|| look_for(by))
}

fn look_for(by: &FoundBy) -> io::Result<Option<ProcessIdentity>> {
    let pid = match by {
        FoundBy::Number(pid) => Some(*pid),
        FoundBy::PidFile(path) => number_in(path)?,
        FoundBy::Keeper {
            socket,
            keeper,
            service,
        } => return kept(socket, keeper, service),
        FoundBy::Address(address) => match sockets::listeners(*address) {
            None => None,
            Some(pids) => Some(first_of(&pids, |pid| Some(identity::stat(pid)?.parent))?),
        },
    };
    Ok(alive(pid))
}

/// The process of a service that is kept for a run.
fn kept(
    socket: &Path,
    keeper: &ProcessIdentity,
    service: &str,
) -> io::Result<Option<ProcessIdentity>> {
    let meant = Meant {
        keeper: keeper.clone(),
        service: service.to_owned(),
    };
    match keeper::ask(socket, &Ask::Which(meant))? {
        Told::Process(process) => Ok(process.filter(identity::is_alive)),
        Told::Refused(why) => Err(io::Error::other(why)),
        told => Err(io::Error::other(format!("its keeper says {told:?}"))),
    }
}

fn alive(pid: Option<u32>) -> Option<ProcessIdentity> {
    let process = pid.and_then(|pid| identity::of(pid).ok())?;
    identity::is_alive(&process).then_some(process)
}

/// A file that is being written, or is not there yet, names nobody.
fn number_in(path: &Path) -> io::Result<Option<u32>> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    // Some programs, PostgreSQL among them, write more lines.
    let Some(first) = text.lines().next() else {
        return Ok(None);
    };
    match first.trim().parse() {
        Ok(number) => Ok(Some(number)),
        Err(_) => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!(
                "{} holds `{first}`, which is no process number",
                path.display()
            ),
        )),
    }
}

/// Of processes that share one listener, the one that has started the others.
fn first_of(pids: &[u32], parent: impl Fn(u32) -> Option<u32>) -> io::Result<u32> {
    let all: BTreeSet<u32> = pids.iter().copied().collect();
    let has_ancestor_among = |pid: u32| {
        let mut next = parent(pid);
        // No longer than any chain of parents is.
        for _ in 0..64 {
            match next {
                Some(above) if all.contains(&above) => return true,
                Some(above) if above > 1 => next = parent(above),
                _ => return false,
            }
        }
        false
    };
    let first: Vec<u32> = all
        .iter()
        .copied()
        .filter(|pid| !has_ancestor_among(*pid))
        .collect();
    match first.as_slice() {
        [one] => Ok(*one),
        [] => Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            "somebody listens there, and which process that is cannot be seen: it is another \
             user's, or in a container; run the test as that user, or name the process or the \
             container itself",
        )),
        several => Err(io::Error::other(format!(
            "several processes listen there, and none has started the others: {several:?}; name \
             one by its number or its pid file"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_those_that_share_a_listener_it_is_the_one_above() {
        let parent = |pid| match pid {
            11 | 12 => Some(10),
            13 => Some(99),
            99 => Some(12),
            20 => Some(1),
            10 => Some(1),
            _ => None,
        };
        assert_eq!(first_of(&[11, 10, 12], parent).unwrap(), 10);
        assert_eq!(first_of(&[13, 10], parent).unwrap(), 10);
        assert_eq!(first_of(&[20], parent).unwrap(), 20);
        let several = first_of(&[20, 10], parent).unwrap_err().to_string();
        assert!(several.contains("[10, 20]"), "{several}");
        let nobody = first_of(&[], parent).unwrap_err().to_string();
        assert!(nobody.contains("another user's"), "{nobody}");
    }

    #[test]
    fn a_pid_file_names_a_process_by_its_first_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pid");
        let by = FoundBy::PidFile(path.clone());
        assert_eq!(find(&by).unwrap(), None);
        std::fs::write(&path, "").unwrap();
        assert_eq!(find(&by).unwrap(), None);
        let own = std::process::id();
        std::fs::write(&path, format!("{own}\n/data\n")).unwrap();
        assert_eq!(find(&by).unwrap(), Some(identity::own().unwrap()));
        std::fs::write(&path, "ready").unwrap();
        let error = find(&by).unwrap_err().to_string();
        assert!(error.contains("holds `ready`"), "{error}");
    }
}
