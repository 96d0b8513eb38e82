//! Performs one undo step. Each is idempotent, and "already gone" is success.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;

use super::process;
use super::state_dir::StateDir;
use super::world::World;
use crate::error::{Error, Kind};
use crate::model::undo::Undo;
use crate::model::units::human;

/// Performs a step within its deadline. `live` is the world that it belongs to, or `None`
/// where that test is dead; `injection` is the fault's number.
///
/// # Errors
///
/// Where something is left.
pub(crate) async fn perform(
    undo: &Undo,
    injection: u64,
    state: &StateDir,
    live: Option<&World>,
) -> Result<(), Error> {
    let deadline = undo.deadline();
    match tokio::time::timeout(deadline, step(undo, injection, state, live)).await {
        Ok(done) => done,
        Err(_) => Err(Error::new(
            Kind::Undo,
            format!("it took longer than {}", human(deadline)),
        )),
    }
}

async fn step(
    undo: &Undo,
    injection: u64,
    state: &StateDir,
    live: Option<&World>,
) -> Result<(), Error> {
    match undo {
        Undo::Nothing => Ok(()),
        Undo::EndProcess {
            process,
            token,
            service,
            ..
        } => {
            // A live service is ended by its own room, which knows how to ask first.
            if let Some(service) = live.and_then(|world| world.service(service).ok())
                && service.process().as_ref() == Some(process)
            {
                return service.end(true).await;
            }
            let (process, token, limit) = (process.clone(), token.clone(), undo.deadline());
            blocking(move || process::end(&process, &token, limit * 4 / 5)).await
        }
        Undo::ContinueProcess { process, .. } => {
            let process = process.clone();
            blocking(move || process::continue_group(&process)).await
        }
        Undo::RunService { service, .. } => match live {
            Some(world) => world.service(service)?.ensure_running().await,
            None => Ok(()),
        },
        Undo::ClearLinks { .. } => {
            if let Some(world) = live {
                world.clear_links(injection).await;
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
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done.map_err(failed),
        Err(error) => Err(failed(error)),
    }
}

fn gone_is_fine(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

/// Copies a file aside and returns the undo that puts it back.
pub(super) fn keep_copy(state: &StateDir, name: &str, path: &Path) -> Result<Undo, Error> {
    let refuse = |why: String| {
        Error::new(
            Kind::Usage,
            format!("cannot keep a copy of `{}`: {why}", path.display()),
        )
    };
    if !path.is_absolute() {
        return Err(refuse("the path must be absolute".to_owned()));
    }
    let copy = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(refuse(error.to_string())),
        Ok(metadata) if !metadata.is_file() => {
            return Err(refuse("it is not a regular file".to_owned()));
        }
        Ok(_) => {
            let place = state.copy(name).map_err(failed)?;
            fs::copy(path, place).map_err(|error| refuse(error.to_string()))?;
            Some(name.to_owned())
        }
    };
    Ok(Undo::RestoreFile {
        path: path.to_owned(),
        copy,
    })
}

fn restore(path: &Path, copy: Option<&Path>) -> io::Result<()> {
    let Some(copy) = copy else {
        return gone_is_fine(fs::remove_file(path));
    };
    // The copy is removed last, so a copy that is gone means that this was already done.
    let permissions = match fs::metadata(copy) {
        Ok(metadata) => metadata.permissions(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let folder = path
        .parent()
        .ok_or_else(|| io::Error::other("the path has no folder"))?;
    let name = path
        .file_name()
        .ok_or_else(|| io::Error::other("the path has no name"))?;
    let mut fresh = std::ffi::OsString::from(".chaos-restore-");
    fresh.push(name);
    let fresh = folder.join(fresh);
    // A reader sees the broken file or the whole one, never a half.
    let put_back = fs::copy(copy, &fresh)
        .and_then(|_| {
            let mode = permissions.mode();
            fs::set_permissions(&fresh, fs::Permissions::from_mode(mode))
        })
        .and_then(|()| fs::rename(&fresh, path));
    if let Err(error) = put_back {
        let _ = fs::remove_file(&fresh);
        return Err(error);
    }
    gone_is_fine(fs::remove_file(copy))
}

async fn command(argv: &[String]) -> Result<(), Error> {
    let [program, arguments @ ..] = argv else {
        return Err(failed("the command is empty"));
    };
    let output = tokio::process::Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(|error| failed(format!("`{program}`: {error}")))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(failed(format!(
        "`{}` ended with {}: {}",
        argv.join(" "),
        output.status,
        said.trim()
    )))
}

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

/// Whether this build can perform the step at all; asked before anything is injected.
///
/// # Errors
///
/// Says what is missing.
pub(crate) fn can_perform(undo: &Undo) -> Result<(), Error> {
    match undo {
        Undo::Http { .. } if cfg!(not(feature = "http")) => Err(Error::new(
            Kind::Usage,
            "its undo is an HTTP request, which needs chaos-test with the feature `http`",
        )),
        Undo::Command { argv } => match argv.first() {
            None => Err(Error::new(Kind::Usage, "its undo is an empty command")),
            Some(program) => super::capability::find_program(Path::new(program))
                .map(drop)
                .map_err(|why| Error::new(Kind::Usage, format!("its undo cannot be run: {why}"))),
        },
        _ => Ok(()),
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
        perform(undo, 0, &place.state, None).await
    }

    #[tokio::test]
    async fn a_file_comes_back_byte_for_byte_with_its_mode_and_only_once() {
        let place = place();
        let path = place.folder.path().join("config");
        fs::write(&path, b"a\0b").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let step = keep_copy(&place.state, "copy-1", &path).unwrap();
        fs::write(&path, "broken").unwrap();
        undo(&place, &step).await.unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"a\0b");
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o640
        );
        fs::write(&path, "changed by its owner since").unwrap();
        undo(&place, &step).await.unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"changed by its owner since");
        let names: Vec<_> = fs::read_dir(place.folder.path()).unwrap().collect();
        assert_eq!(names.len(), 2, "{names:?}");
    }

    #[tokio::test]
    async fn a_file_that_was_not_there_goes_again() {
        let place = place();
        let path = place.folder.path().join("new");
        let step = keep_copy(&place.state, "copy-2", &path).unwrap();
        fs::write(&path, "x").unwrap();
        undo(&place, &step).await.unwrap();
        assert!(!path.exists());
        undo(&place, &step).await.unwrap();
    }

    #[tokio::test]
    async fn a_command_that_fails_says_what_it_said() {
        let place = place();
        undo(&place, &Undo::command(["true"])).await.unwrap();
        let step = Undo::command(["sh", "-c", "echo no such rule >&2; exit 3"]);
        let error = undo(&place, &step).await.unwrap_err().to_string();
        assert!(error.contains("exit status: 3: no such rule"), "{error}");
        assert!(can_perform(&Undo::command(["no-such-program-here"])).is_err());
        assert!(can_perform(&Undo::command(Vec::<String>::new())).is_err());
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
