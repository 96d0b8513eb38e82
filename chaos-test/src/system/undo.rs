//! Performs one undo step. Each is idempotent, and "already gone" is success.

use std::fs;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

#[cfg(feature = "containers")]
use super::container::{rejoin, remove_container, remove_network, restore_container};
use super::existing;
use super::identity;
use super::kept_file::{gone_is_fine, restore};
use super::process;
use super::spawner::Spawner;
use super::state_dir::StateDir;
use super::world::World;
use crate::error::{Error, Kind};
use crate::model::identity::ProcessIdentity;
use crate::model::journal::Pending;
use crate::model::undo::Undo;
use crate::model::units::human;

/// How much of what a failing command says is shown.
const SAID_LIMIT: usize = 4096;

/// How long a keeper may take to end of which something is gone, and how often it is looked.
const KEEPER_LIMIT: Duration = Duration::from_secs(5);
const KEEPER_LOOK: Duration = Duration::from_millis(10);

/// A step to perform.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Step<'a> {
    /// What to do.
    pub(crate) undo: &'a Undo,
    /// Its entry; a fault's number.
    pub(crate) entry: u64,
    /// Whether the thing is known to have been made.
    pub(crate) made: bool,
}

impl<'a> From<&'a Pending> for Step<'a> {
    fn from(pending: &'a Pending) -> Self {
        Self {
            undo: &pending.undo,
            entry: pending.entry,
            made: pending.made,
        }
    }
}

/// Performs a step within its deadline. `live` is the world that it belongs to, or `None`
/// where that test is dead.
///
/// # Errors
///
/// Where something is left, or may still come.
pub(crate) async fn perform(
    step: Step<'_>,
    state: &StateDir,
    live: Option<&World>,
) -> Result<(), Error> {
    if ended_keeper(step.undo).is_some() {
        return Ok(());
    }
    let deadline = step.undo.deadline();
    let done = match tokio::time::timeout(deadline, put_back(step, state, live)).await {
        Ok(done) => done,
        Err(_) => Err(Error::new(
            Kind::Undo,
            format!("it took longer than {}", human(deadline)),
        )),
    };
    match done {
        Err(error) if step.undo.keeper().is_some() => {
            unless_its_keeper_ends(step.undo, error).await
        }
        done => done,
    }
}

/// What is kept for a run is gone a little before its keeper is: then there is nothing to put back.
async fn unless_its_keeper_ends(undo: &Undo, error: Error) -> Result<(), Error> {
    let until = Instant::now() + KEEPER_LIMIT;
    while ended_keeper(undo).is_none() {
        if Instant::now() >= until {
            // Nobody but its keeper has removed it, which may be about to end.
            return Err(Error::new(Kind::Undo, error.to_string()));
        }
        tokio::time::sleep(KEEPER_LOOK).await;
    }
    Ok(())
}

/// Who kept what a step puts back, where that has ended: what was kept for a run goes with its
/// keeper, and whoever undoes what that had begun removes it.
pub(crate) fn ended_keeper(undo: &Undo) -> Option<&ProcessIdentity> {
    undo.keeper().filter(|keeper| !identity::is_alive(keeper))
}

async fn put_back(step: Step<'_>, state: &StateDir, live: Option<&World>) -> Result<(), Error> {
    let made = step.made;
    match step.undo {
        Undo::Nothing => Ok(()),
        Undo::EndProcess {
            process,
            token,
            service,
            ..
        } => {
            // A live service is ended by its own room, which knows how to ask first.
            if let Some(service) = live.and_then(|world| world.service(service).ok())
                && let Ok(unit) = service.as_process()
                && unit.identity().as_ref() == Some(process)
            {
                return service.end(true).await;
            }
            let (process, token, limit) = (process.clone(), token.clone(), step.undo.deadline());
            blocking(move || process::end(&process, &token, limit * 4 / 5)).await
        }
        Undo::ContinueProcess { process, .. } => {
            let process = process.clone();
            blocking(move || process::continue_group(&process)).await
        }
        Undo::ContinueExisting {
            process,
            others,
            stopped,
            ..
        } => {
            let (process, others) = (process.clone(), others.clone());
            let stopped = stopped.clone();
            let done = move || existing::continue_process(&process, &others, &stopped);
            Spawner::here().spawn_blocking(done).await.map_err(failed)?
        }
        Undo::RunExisting {
            service,
            process,
            found_by,
            argv,
            supervised_ms,
            start_ms,
            grace_ms,
            before,
        } => {
            // A live one sees that it is ready again, too.
            if let Some(unit) = live.and_then(|world| world.service(service).ok()) {
                return unit.ensure_running().await;
            }
            let millis = [*supervised_ms, *start_ms, *grace_ms];
            let [supervised, start, grace] = millis.map(Duration::from_millis);
            let lost = existing::Lost {
                process,
                found_by,
                argv,
                before,
                supervised,
                start,
            };
            existing::run_again(lost, grace).await
        }
        Undo::RestoreContainer {
            service,
            engine,
            container,
            supervised_ms,
            ends_start,
            grace_ms,
            ..
        } => {
            if let Some(unit) = live.and_then(|world| world.service(service).ok()) {
                return unit.ensure_running().await;
            }
            let [supervised, grace] = [*supervised_ms, *grace_ms].map(Duration::from_millis);
            let ends = ends_start.as_deref().map(|start| (start, grace));
            restore_container(engine, container, supervised, ends).await
        }
        Undo::RejoinNetworks {
            service,
            engine,
            container,
            networks,
            ..
        } => {
            if live.is_some_and(|world| world.service(service).is_ok()) {
                return connect(live, service).await;
            }
            rejoin(engine, container, networks).await
        }
        Undo::RemoveContainer {
            service,
            engine,
            container,
            token,
        } => {
            if let Some(done) = remove_live(live, service, container, made).await {
                return done;
            }
            remove_container(engine, container, token, made).await
        }
        Undo::RemoveNetwork {
            engine,
            network,
            token,
        } => remove_network(engine, network, token, made).await,
        Undo::ConnectContainer { service, .. } => connect(live, service).await,
        Undo::RunService { service, .. } => match live {
            Some(world) => world.service(service)?.ensure_running().await,
            None => Ok(()),
        },
        Undo::ClearLinks { .. } => {
            if let Some(world) = live {
                world.clear_links(step.entry).await;
            }
            Ok(())
        }
        Undo::RemoveScratch { name } => {
            let path = state.scratch(name).map_err(failed)?;
            blocking(move || gone_is_fine(fs::remove_dir_all(path))).await
        }
        Undo::RestoreFile { path, copy } => {
            let copy = match copy {
                Some(name) => Some(state.copy(name).map_err(failed)?),
                None => None,
            };
            let path = path.clone();
            blocking(move || restore(&path, copy.as_deref())).await
        }
        Undo::Command { argv } => command(argv).await,
        Undo::Http { method, url, body } => http(method, url, body.as_deref()).await,
    }
}

fn failed(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::new(Kind::Undo, "it could not be undone").because(error)
}

async fn blocking(work: impl FnOnce() -> io::Result<()> + Send + 'static) -> Result<(), Error> {
    match Spawner::here().spawn_blocking(work).await {
        Ok(done) => done.map_err(failed),
        Err(error) => Err(failed(error)),
    }
}

async fn command(argv: &[String]) -> Result<(), Error> {
    let [program, arguments @ ..] = argv else {
        return Err(failed("the command is empty"));
    };
    let cannot = |error: io::Error| failed(format!("`{program}`: {error}"));
    // A file and not a pipe: what the command leaves running may keep its end for ever, and
    // must not die of ours being closed.
    let said = rustix::fs::memfd_create("chaos-test-undo", rustix::fs::MemfdFlags::CLOEXEC)
        .map_err(|error| cannot(error.into()))?;
    let said = fs::File::from(said);
    let status = tokio::process::Command::new(program)
        .args(arguments)
        // It is no watchdog where one performs this.
        .env_remove(super::watchdog::VARIABLE)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(said.try_clone().map_err(cannot)?)
        .kill_on_drop(true)
        .status()
        .await
        .map_err(cannot)?;
    if status.success() {
        return Ok(());
    }
    let mut start = vec![0; SAID_LIMIT];
    // Without its words the exit status still says that it failed.
    let length = said.read_at(&mut start, 0).unwrap_or_default();
    let said = String::from_utf8_lossy(&start[..length]);
    Err(failed(format!(
        "`{}` ended with {status}: {}",
        argv.join(" "),
        said.trim()
    )))
}

/// A live one knows that its end is expected. `None` where it is none of the world's.
#[cfg(feature = "containers")]
async fn remove_live(
    live: Option<&World>,
    service: &str,
    container: &str,
    made: bool,
) -> Option<Result<(), Error>> {
    let unit = live?.service(service).ok()?;
    let unit = unit.as_own_container()?;
    (unit.container() == container).then_some(())?;
    Some(unit.remove(made).await)
}

#[cfg(feature = "containers")]
async fn connect(live: Option<&World>, service: &str) -> Result<(), Error> {
    match live {
        Some(world) => world.service(service)?.as_container()?.connect().await,
        // The container is removed by its own entry.
        None => Ok(()),
    }
}

#[cfg(not(feature = "containers"))]
async fn remove_live(_: Option<&World>, _: &str, _: &str, _: bool) -> Option<Result<(), Error>> {
    None
}

#[cfg(not(feature = "containers"))]
async fn remove_container(_: &str, container: &str, _: &str, _: bool) -> Result<(), Error> {
    Err(failed(format!("container {container}: {NEEDS_CONTAINERS}")))
}

#[cfg(not(feature = "containers"))]
async fn remove_network(_: &str, network: &str, _: &str, _: bool) -> Result<(), Error> {
    Err(failed(format!("network {network}: {NEEDS_CONTAINERS}")))
}

#[cfg(not(feature = "containers"))]
async fn restore_container(
    _: &str,
    container: &str,
    _: Duration,
    _: Option<(&str, Duration)>,
) -> Result<(), Error> {
    Err(failed(format!("container {container}: {NEEDS_CONTAINERS}")))
}

#[cfg(not(feature = "containers"))]
async fn rejoin(
    _: &str,
    container: &str,
    _: &[crate::model::existing::Attachment],
) -> Result<(), Error> {
    Err(failed(format!("container {container}: {NEEDS_CONTAINERS}")))
}

#[cfg(not(feature = "containers"))]
async fn connect(_: Option<&World>, service: &str) -> Result<(), Error> {
    Err(failed(format!("service {service}: {NEEDS_CONTAINERS}")))
}

#[cfg(not(feature = "containers"))]
const NEEDS_CONTAINERS: &str = "it needs chaos-test with the feature `containers`";

#[cfg(feature = "http")]
async fn http(method: &str, url: &str, body: Option<&str>) -> Result<(), Error> {
    let verb = reqwest::Method::from_bytes(method.as_bytes()).map_err(failed)?;
    let mut request = reqwest::Client::new().request(verb.clone(), url);
    if let Some(body) = body {
        request = request.body(body.to_owned());
    }
    let answer = request.send().await.map_err(failed)?;
    let status = answer.status();
    let gone = verb == reqwest::Method::DELETE && status == reqwest::StatusCode::NOT_FOUND;
    if status.as_u16() < 400 || gone {
        Ok(())
    } else {
        Err(failed(format!("{method} {url} was answered with {status}")))
    }
}

#[cfg(not(feature = "http"))]
async fn http(method: &str, url: &str, _body: Option<&str>) -> Result<(), Error> {
    Err(failed(format!(
        "{method} {url} needs chaos-test with the feature `http`"
    )))
}

/// The step as it is written down, asked for before anything is injected: whoever performs
/// it may have another working directory and another PATH, so a program is named by its
/// absolute path. Its arguments stay as they are.
///
/// # Errors
///
/// Says what is missing, where this build or machine cannot perform the step at all.
pub(crate) fn prepared(undo: Undo) -> Result<Undo, Error> {
    match undo {
        Undo::Http { .. } if cfg!(not(feature = "http")) => Err(Error::new(
            Kind::Usage,
            "its undo is an HTTP request, which needs chaos-test with the feature `http`",
        )),
        Undo::Command { mut argv } => {
            let Some(program) = argv.first_mut() else {
                return Err(Error::new(Kind::Usage, "its undo is an empty command"));
            };
            let cannot =
                |why: String| Error::new(Kind::Usage, format!("its undo cannot be run: {why}"));
            let found = super::capability::find_program(Path::new(program)).map_err(cannot)?;
            let found = std::path::absolute(found).map_err(|error| cannot(error.to_string()))?;
            *program = found
                .into_os_string()
                .into_string()
                .map_err(|path| cannot(format!("the path {} is not UTF-8", path.display())))?;
            Ok(Undo::Command { argv })
        }
        undo => Ok(undo),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Place {
        folder: tempfile::TempDir,
        state: StateDir,
    }

    fn place() -> Place {
        let folder = tempfile::tempdir().unwrap();
        let state = StateDir::at(folder.path().join("state")).unwrap();
        Place { folder, state }
    }

    async fn undo(place: &Place, undo: &Undo) -> Result<(), Error> {
        let step = Step {
            undo,
            entry: 0,
            made: true,
        };
        perform(step, &place.state, None).await
    }

    #[tokio::test]
    async fn a_command_that_fails_says_what_it_said() {
        let place = place();
        undo(&place, &Undo::command(["true"])).await.unwrap();
        let step = Undo::command(["sh", "-c", "echo no such rule >&2; exit 3"]);
        let error = undo(&place, &step).await.unwrap_err().to_string();
        assert!(error.contains("exit status: 3: no such rule"), "{error}");
        assert!(prepared(Undo::command(["no-such-program-here"])).is_err());
        assert!(prepared(Undo::command(Vec::<String>::new())).is_err());
    }

    #[tokio::test]
    async fn a_command_may_leave_something_running() {
        let place = place();
        let started = std::time::Instant::now();
        let pid = place.folder.path().join("pid");
        let script = format!("sleep 40 & echo $! > '{}'; exit 0", pid.display());
        let done = undo(&place, &Undo::command(["sh", "-c", &script])).await;
        let pid: i32 = fs::read_to_string(pid).unwrap().trim().parse().unwrap();
        let pid = rustix::process::Pid::from_raw(pid).unwrap();
        // Before the checks, so that a failure leaves nothing behind either.
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
        done.unwrap();
        assert!(started.elapsed() < std::time::Duration::from_secs(10));
    }

    #[tokio::test]
    async fn a_command_that_says_much_is_cut_short() {
        let script = "head -c 1000000 /dev/zero | tr '\\0' x >&2; exit 1";
        let step = Undo::command(["sh", "-c", script]);
        let error = undo(&place(), &step).await.unwrap_err().to_string();
        assert!(
            error.contains("xxx") && error.len() < 5000,
            "{}",
            error.len()
        );
    }

    #[test]
    fn a_program_is_written_down_by_its_absolute_path() {
        let argv = |undo: Undo| match prepared(undo).unwrap() {
            Undo::Command { argv } => argv,
            other => panic!("{other}"),
        };
        let found = argv(Undo::command(["sh", "-c", "exit 0"]));
        assert!(Path::new(&found[0]).is_absolute(), "{found:?}");
        assert!(
            found[0].ends_with("/sh") && found[1..] == ["-c", "exit 0"],
            "{found:?}"
        );
        // Tests share one working directory, so the way to it is looked for, not changed.
        let here = std::env::current_dir().unwrap();
        let up = "../".repeat(here.components().count() - 1);
        let found = argv(Undo::command([format!("{up}bin/sh")]));
        assert!(Path::new(&found[0]).is_absolute(), "{found:?}");
        assert!(Path::new(&found[0]).exists(), "{found:?}");
    }

    #[tokio::test]
    async fn a_scratch_folder_goes_and_may_already_be_gone() {
        let place = place();
        let path = place.state.create_scratch("s-1").unwrap();
        fs::write(path.join("dump"), "x").unwrap();
        let step = Undo::RemoveScratch { name: "s-1".into() };
        undo(&place, &step).await.unwrap();
        assert!(!path.exists());
        undo(&place, &step).await.unwrap();
        let outside = Undo::RemoveScratch { name: "..".into() };
        assert!(undo(&place, &outside).await.is_err());
        assert!(place.state.path().exists());
    }
}
