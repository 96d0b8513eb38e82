//! The per-user directory that holds what must outlive a killed test: journals, scratch
//! folders and copies of files; and the locks of all its tests.
//!
//! Journals are replayed, so nobody else may be able to write one. The directory belongs
//! to the user and has mode 0700; anything in it that is a symbolic link, belongs to
//! somebody else, is writable by others or has a second name is refused and never acted on.
//!
//! It belongs to one machine. Where several share it, as a home directory on NFS, one of them
//! takes the journals that another one's dead run left for those of an earlier boot: files
//! are put back, but processes over there are not ended. Name a local directory with
//! `CHAOS_STATE_DIR` then.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::journal_file::ENDING;
use super::stem;
use crate::error::{Error, Kind};
use crate::model::identity::ProcessIdentity;

/// What is in it.
const FOLDERS: [&str; 6] = [
    "journals", "scratch", "copies", "stops", "leases", "keepers",
];

/// The directory, checked.
#[derive(Debug, Clone)]
pub(crate) struct StateDir {
    path: PathBuf,
}

impl StateDir {
    /// Finds, creates and checks the directory: `CHAOS_STATE_DIR`, else
    /// `$XDG_STATE_HOME/chaos-test`, else `/var/tmp/chaos-test-<uid>`.
    pub(crate) fn open() -> Result<Self, Error> {
        Self::at(Self::place())
    }

    /// Where it is, or would be.
    pub(crate) fn place() -> PathBuf {
        place(|name| std::env::var_os(name).map(PathBuf::from))
    }

    /// Creates and checks a directory.
    pub(crate) fn at(path: PathBuf) -> Result<Self, Error> {
        let failed = |error| unusable(&path, error);
        is_absolute(&path).map_err(failed)?;
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(failed)?;
        }
        make_private(&path).map_err(failed)?;
        for folder in FOLDERS {
            make_private(&path.join(folder)).map_err(failed)?;
        }
        Ok(Self { path })
    }

    /// Checks a directory as [`at`](Self::at) does, and changes nothing; `None` where there
    /// is none.
    #[cfg(feature = "cli")]
    pub(crate) fn look_at(path: PathBuf) -> Result<Option<Self>, Error> {
        let failed = |error| unusable(&path, error);
        is_absolute(&path).map_err(failed)?;
        if is_missing(&path) {
            return Ok(None);
        }
        check(&path).map_err(failed)?;
        for folder in FOLDERS.map(|folder| path.join(folder)) {
            if !is_missing(&folder) {
                check(&folder).map_err(failed)?;
            }
        }
        Ok(Some(Self { path }))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Where it is written down that a run is to stop, by its bare name.
    pub(crate) fn stop_mark(&self, run: &str) -> PathBuf {
        self.path.join("stops").join(run)
    }

    pub(crate) fn journals(&self) -> PathBuf {
        self.path.join("journals")
    }

    /// The folder with the locks that tests hold against each other.
    pub(crate) fn leases(&self) -> PathBuf {
        self.path.join("leases")
    }

    /// The folder with the sockets of those who keep what a whole run shares.
    pub(crate) fn keepers(&self) -> PathBuf {
        self.path.join("keepers")
    }

    /// Whether a context of this process has not closed its journal, as far as can be seen.
    pub(crate) fn has_journal_of(&self, process: &ProcessIdentity) -> bool {
        match fs::read_dir(self.journals()) {
            Ok(journals) => {
                let mut names = journals.flatten().map(|entry| entry.file_name());
                names.any(|name| stem::is_of(&name.to_string_lossy(), process))
            }
            Err(error) => error.kind() != io::ErrorKind::NotFound,
        }
    }

    /// A scratch folder of ours. The name must be bare.
    pub(crate) fn scratch(&self, name: &str) -> io::Result<PathBuf> {
        Ok(self.path.join("scratch").join(bare(name)?))
    }

    /// A copy of a file. The name must be bare.
    pub(crate) fn copy(&self, name: &str) -> io::Result<PathBuf> {
        Ok(self.path.join("copies").join(bare(name)?))
    }

    /// The copies and scratch folders that no journal can name any more, because it is gone
    /// and so is its process: left by a kill between the copy and its undo step.
    pub(crate) fn orphans(&self) -> Vec<PathBuf> {
        let folders = ["copies", "scratch"].map(|folder| self.path.join(folder));
        let kept = folders
            .iter()
            .filter_map(|folder| fs::read_dir(folder).ok())
            .flat_map(Iterator::flatten);
        kept.filter(|entry| {
            // The journal is looked for now, after the name was seen, so that none is missed
            // that was made in between. Another container's process cannot be seen at all,
            // but its journal can.
            entry
                .file_name()
                .to_str()
                .and_then(stem::of_kept)
                .is_some_and(|stem| {
                    let journal = self.journals().join(format!("{stem}.{ENDING}"));
                    is_missing(&journal) && !stem::may_live(stem)
                })
        })
        .map(|entry| entry.path())
        .collect()
    }

    /// Removes the orphans. What could not be removed is returned.
    pub(crate) fn remove_orphans(&self) -> Vec<(PathBuf, io::Error)> {
        let orphans = self.orphans().into_iter();
        orphans
            .filter_map(|path| {
                let removed = match fs::symlink_metadata(&path) {
                    Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(&path),
                    _ => fs::remove_file(&path),
                };
                // Another run may sweep at the same time.
                let failed = removed.err()?;
                (failed.kind() != io::ErrorKind::NotFound).then_some((path, failed))
            })
            .collect()
    }

    /// The folder with one lock for each container that may run at once.
    #[cfg(feature = "containers")]
    pub(crate) fn permits(&self) -> io::Result<PathBuf> {
        let path = self.path.join("permits");
        match DirBuilder::new().mode(0o700).create(&path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            _ => Ok(path),
        }
    }

    /// Creates a new private folder for scratch files.
    pub(crate) fn create_scratch(&self, name: &str) -> io::Result<PathBuf> {
        let path = self.scratch(name)?;
        DirBuilder::new().mode(0o700).create(&path)?;
        Ok(path)
    }
}

fn place(variable: impl Fn(&str) -> Option<PathBuf>) -> PathBuf {
    let set = |name| variable(name).filter(|path| !path.as_os_str().is_empty());
    if let Some(path) = set("CHAOS_STATE_DIR") {
        return path;
    }
    // The XDG specification has relative paths ignored.
    match set("XDG_STATE_HOME").filter(|path| path.is_absolute()) {
        Some(path) => path.join("chaos-test"),
        None => PathBuf::from(format!(
            "/var/tmp/chaos-test-{}",
            rustix::process::geteuid().as_raw()
        )),
    }
}

/// A name without separators, so that no journal can make us leave our own directory.
fn bare(name: &str) -> io::Result<&str> {
    let safe = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if !name.is_empty() && !name.starts_with('.') && name.bytes().all(safe) {
        Ok(name)
    } else {
        Err(io::Error::other(format!(
            "`{name}` is not a bare name of ours"
        )))
    }
}

/// Whether there is certainly nothing at a path.
fn is_missing(path: &Path) -> bool {
    fs::symlink_metadata(path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
}

fn is_absolute(path: &Path) -> io::Result<()> {
    if path.is_absolute() {
        return Ok(());
    }
    Err(io::Error::other("CHAOS_STATE_DIR must be an absolute path"))
}

fn unusable(path: &Path, error: io::Error) -> Error {
    Error::new(
        Kind::State,
        format!("cannot use the state directory {}", path.display()),
    )
    .because(error)
    .help(
        "undo steps are written there before a fault is injected, so nothing is injected \
         without it; name a directory of your own with CHAOS_STATE_DIR",
    )
}

fn make_private(path: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error),
    }
    if check(path)?.mode() & 0o777 != 0o700 {
        fs::set_permissions(path, fs::Permissions::from_mode(0o700))?;
    }
    Ok(())
}

/// Refuses a directory that is not ours alone to write to.
fn check(path: &Path) -> io::Result<fs::Metadata> {
    let metadata = fs::symlink_metadata(path)?;
    let refuse = |why: String| Err(io::Error::other(format!("{}: {why}", path.display())));
    if metadata.is_symlink() {
        return refuse("it is a symbolic link, which somebody else may have placed".into());
    }
    if !metadata.is_dir() {
        return refuse("it is not a directory".into());
    }
    let user = rustix::process::geteuid().as_raw();
    if metadata.uid() != user {
        return refuse(format!(
            "it belongs to user {}, not to user {user}",
            metadata.uid()
        ));
    }
    if metadata.mode() & 0o022 != 0 {
        return refuse(format!(
            "others may write to it (mode {:o}), so what it holds may be forged; look at it, \
             then `chmod 700` it",
            metadata.mode() & 0o7777
        ));
    }
    // Its owner may be kept out by its mode, which we would put right.
    let closed = metadata.mode() & 0o700 != 0o700;
    if !closed && rustix::fs::access(path, rustix::fs::Access::WRITE_OK).is_err() {
        return refuse("it is read-only".into());
    }
    Ok(metadata)
}

/// Opens a journal that another process left, if it can be trusted.
///
/// # Errors
///
/// Where it cannot be opened, or must not be acted on.
pub(crate) fn open_trusted(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new()
        .read(true)
        .append(true)
        .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed())
        .open(path)?;
    // The open file is what is checked, so that nobody can swap it in between.
    let metadata = file.metadata()?;
    let user = rustix::process::geteuid().as_raw();
    let why = if !metadata.is_file() {
        "it is not a regular file".to_owned()
    } else if metadata.uid() != user {
        format!("it belongs to user {}, not to user {user}", metadata.uid())
    } else if metadata.mode() & 0o022 != 0 {
        format!(
            "others may write to it (mode {:o})",
            metadata.mode() & 0o7777
        )
    } else if metadata.nlink() > 1 {
        "it has a second name".to_owned()
    } else {
        return Ok(file);
    };
    Err(io::Error::new(io::ErrorKind::PermissionDenied, why))
}

/// Reads a trusted journal whole.
pub(crate) fn read_whole(file: &mut File) -> io::Result<String> {
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    // A line may be torn in the middle of a character.
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().unwrap()
    }

    fn refused(path: PathBuf, expected: &str) {
        let error = StateDir::at(path).unwrap_err();
        assert!(error.is_state());
        assert!(error.to_string().contains(expected), "{error}");
    }

    #[test]
    fn it_is_made_private_with_its_parents() {
        let folder = folder();
        let state = StateDir::at(folder.path().join("a/b")).unwrap();
        let mode = fs::metadata(state.path()).unwrap().mode();
        assert_eq!(mode & 0o777, 0o700);
        StateDir::at(state.path().to_owned()).unwrap();
    }

    #[test]
    fn what_others_may_have_touched_is_refused() {
        let folder = folder();
        let real = folder.path().join("real");
        fs::create_dir(&real).unwrap();
        let link = folder.path().join("link");
        symlink(&real, &link).unwrap();
        refused(link, "symbolic link");
        fs::set_permissions(&real, fs::Permissions::from_mode(0o777)).unwrap();
        refused(real, "others may write to it (mode 777)");
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        refused(file, "not a directory");
        refused(PathBuf::from("relative"), "absolute");
    }

    #[cfg(feature = "cli")]
    #[test]
    fn looking_at_it_changes_nothing_and_refuses_what_opening_refuses() {
        let folder = folder();
        let path = folder.path().join("state");
        assert!(StateDir::look_at(path.clone()).unwrap().is_none());
        assert!(!path.exists());
        StateDir::at(path.clone()).unwrap();
        let copies = path.join("copies");
        fs::set_permissions(&copies, fs::Permissions::from_mode(0o755)).unwrap();
        assert!(StateDir::look_at(path.clone()).unwrap().is_some());
        assert_eq!(fs::metadata(&copies).unwrap().mode() & 0o777, 0o755);
        fs::set_permissions(&copies, fs::Permissions::from_mode(0o775)).unwrap();
        let error = StateDir::look_at(path.clone()).unwrap_err().to_string();
        assert!(
            error.contains("others may write to it (mode 775)"),
            "{error}"
        );
        let link = folder.path().join("link");
        symlink(&path, &link).unwrap();
        for path in [link, PathBuf::from("relative")] {
            assert!(StateDir::look_at(path).is_err());
        }
    }

    #[test]
    fn a_directory_that_only_others_can_read_is_closed_to_them() {
        let folder = folder();
        let path = folder.path().join("state");
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        StateDir::at(path.clone()).unwrap();
        assert_eq!(fs::metadata(path).unwrap().mode() & 0o777, 0o700);
    }

    #[test]
    fn a_journal_that_may_be_forged_is_not_opened() {
        let folder = folder();
        let good = folder.path().join("good");
        fs::write(&good, "x").unwrap();
        fs::set_permissions(&good, fs::Permissions::from_mode(0o600)).unwrap();
        assert!(open_trusted(&good).is_ok());
        let link = folder.path().join("link");
        symlink(&good, &link).unwrap();
        assert!(open_trusted(&link).is_err());
        let second = folder.path().join("second");
        fs::hard_link(&good, &second).unwrap();
        assert!(
            open_trusted(&good)
                .unwrap_err()
                .to_string()
                .contains("second name")
        );
        fs::remove_file(second).unwrap();
        fs::set_permissions(&good, fs::Permissions::from_mode(0o666)).unwrap();
        assert!(
            open_trusted(&good)
                .unwrap_err()
                .to_string()
                .contains("others may write")
        );
    }

    #[test]
    fn names_cannot_leave_the_directory() {
        let folder = folder();
        let state = StateDir::at(folder.path().join("state")).unwrap();
        for name in ["", "..", ".hidden", "a/b", "/etc", "a\0b"] {
            assert!(state.scratch(name).is_err(), "{name:?}");
            assert!(state.copy(name).is_err(), "{name:?}");
        }
        assert!(state.scratch("17f3-1").is_ok());
    }

    #[test]
    fn only_what_nobody_can_know_of_is_an_orphan() {
        let folder = folder();
        let state = StateDir::at(folder.path().join("state")).unwrap();
        let own = super::super::identity::own().unwrap();
        let dead = |n: u32| format!("{}-{}-00000000-{n}", own.pid, own.start_time);
        let living = format!("{}-77", stem::of(&own));
        let place = |name: &str| {
            fs::write(state.copy(name).unwrap(), "x").unwrap();
            fs::write(state.create_scratch(name).unwrap().join("y"), "z").unwrap();
        };
        let (orphan, known) = (format!("{}-1", dead(1)), format!("{}-1", dead(2)));
        let (alive, foreign) = (format!("{living}-1"), "kept-by-the-test".to_owned());
        for name in [&orphan, &known, &alive, &foreign] {
            place(name);
        }
        let journal = state.journals().join(format!("{}.jsonl", dead(2)));
        fs::write(&journal, "").unwrap();
        assert!(state.remove_orphans().is_empty());
        let there = |name: &str| {
            let there = [
                state.copy(name).unwrap().exists(),
                state.scratch(name).unwrap().exists(),
            ];
            assert_eq!(there[0], there[1], "{name}");
            there[0]
        };
        assert!(!there(&orphan));
        assert!(there(&known) && there(&alive) && there(&foreign));
        fs::remove_file(journal).unwrap();
        assert!(state.remove_orphans().is_empty());
        assert!(!there(&known));
        assert!(there(&alive) && there(&foreign));
    }

    #[test]
    fn the_place_follows_the_environment() {
        let with = |set: &'static [(&str, &str)]| {
            place(move |asked| {
                set.iter()
                    .find(|(name, _)| *name == asked)
                    .map(|(_, value)| PathBuf::from(value))
            })
        };
        let own = |path: PathBuf| path.starts_with("/var/tmp");
        assert_eq!(with(&[("CHAOS_STATE_DIR", "/s")]), PathBuf::from("/s"));
        assert_eq!(
            with(&[("XDG_STATE_HOME", "/x")]),
            PathBuf::from("/x/chaos-test")
        );
        assert!(own(with(&[("XDG_STATE_HOME", "x")])));
        assert!(own(with(&[("CHAOS_STATE_DIR", "")])));
    }
}
