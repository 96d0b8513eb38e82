//! Copies of files that faults change, and how those files are put back: content, mode,
//! owner and extended attributes.
//!
//! The copy itself carries the owner, the mode and the attributes, so that whatever cannot
//! be given back shows when the copy is taken, before anything is changed.

use std::fs::{self, File, OpenOptions};
use std::hash::{BuildHasher, Hasher};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use rustix::fs::{OFlags, XattrFlags};
use rustix::io::Errno;

use super::state_dir::StateDir;
use crate::error::{Error, Kind};
use crate::model::undo::Undo;

/// The security label of a file follows from its folder, and few may set it.
const LABEL: &str = "security.selinux";

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
        Ok(metadata) => {
            restorable(&metadata).map_err(|why| refuse(why.to_owned()))?;
            let place = state
                .copy(name)
                .map_err(|error| refuse(error.to_string()))?;
            open(path)
                .and_then(|file| copy_to(&file, &place))
                .map_err(|error| refuse(error.to_string()))?;
            Some(name.to_owned())
        }
    };
    Ok(Undo::RestoreFile {
        path: path.to_owned(),
        copy,
    })
}

fn restorable(metadata: &fs::Metadata) -> Result<(), &'static str> {
    if !metadata.is_file() {
        return Err("it is not a regular file");
    }
    if metadata.nlink() > 1 {
        return Err(
            "it has other names (hard links), which would not lead to the file any more that \
             is put back",
        );
    }
    Ok(())
}

/// Puts a file back from its copy, or removes it where there was none. The copy is removed
/// last, so a copy that is gone means that this was already done.
pub(super) fn restore(path: &Path, copy: Option<&Path>) -> io::Result<()> {
    let Some(copy) = copy else {
        return gone_is_fine(fs::remove_file(path));
    };
    let kept = match open(copy) {
        Ok(kept) => kept,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let folder = path
        .parent()
        .ok_or_else(|| io::Error::other("the path has no folder"))?;
    // Nobody who may write to the folder can know the name beforehand.
    let random = std::hash::RandomState::new().build_hasher().finish();
    let fresh = folder.join(format!(".chaos-restore-{random:016x}"));
    // A reader sees the broken file or the whole one, never a half.
    copy_to(&kept, &fresh)?;
    if let Err(error) = fs::rename(&fresh, path) {
        let _ = fs::remove_file(&fresh);
        return Err(error);
    }
    gone_is_fine(fs::remove_file(copy))
}

pub(super) fn gone_is_fine(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

/// Opens a file that is neither a symbolic link nor a pipe that somebody put there.
fn open(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed())
        .open(path)?;
    // The open file is what is checked, so that nobody can swap it in between.
    restorable(&file.metadata()?).map_err(io::Error::other)?;
    Ok(file)
}

/// Copies a file with its owner, mode and attributes to a path where nothing is yet; wholly
/// or not at all.
fn copy_to(from: &File, path: &Path) -> io::Result<()> {
    let mut to = OpenOptions::new()
        .write(true)
        .create_new(true)
        .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
        .mode(0o600)
        .open(path)?;
    let copied = copy_all(from, &mut to);
    if copied.is_err() {
        let _ = fs::remove_file(path);
    }
    copied
}

fn copy_all(mut from: &File, to: &mut File) -> io::Result<()> {
    io::copy(&mut from, to)?;
    let wanted = from.metadata()?;
    // In this order: a new owner clears special mode bits and capabilities.
    give_owner(&wanted, to)?;
    to.set_permissions(fs::Permissions::from_mode(wanted.mode() & 0o7777))?;
    copy_attributes(from, to)
}

fn give_owner(wanted: &fs::Metadata, to: &File) -> io::Result<()> {
    let given = std::os::unix::fs::fchown(to, Some(wanted.uid()), Some(wanted.gid()));
    let now = to.metadata()?;
    if (now.uid(), now.gid()) == (wanted.uid(), wanted.gid()) {
        return Ok(());
    }
    let why = given.err().map_or(String::new(), |why| format!(": {why}"));
    Err(io::Error::other(format!(
        "it belongs to user {} and group {}, and what is put back would belong to user {} and \
         group {}{why}",
        wanted.uid(),
        wanted.gid(),
        now.uid(),
        now.gid(),
    )))
}

/// Copies the extended attributes, access lists included.
fn copy_attributes(from: &File, to: &File) -> io::Result<()> {
    for name in attributes(from)? {
        let Some(value) = attribute(from, &name)? else {
            continue;
        };
        if attribute(to, &name)?.as_ref() == Some(&value) {
            continue;
        }
        match rustix::fs::fsetxattr(to, name.as_str(), &value, XattrFlags::empty()) {
            Ok(()) => {}
            Err(_) if name == LABEL => {}
            Err(error) => {
                return Err(io::Error::other(format!(
                    "its extended attribute `{name}` cannot be kept: {error}"
                )));
            }
        }
    }
    Ok(())
}

fn attributes(file: &File) -> io::Result<Vec<String>> {
    let mut names = vec![0_u8; LONGEST];
    let length = match rustix::fs::flistxattr(file, &mut names[..]) {
        Ok(length) => length,
        Err(Errno::NOTSUP) => 0,
        Err(error) => return Err(error.into()),
    };
    let names = names[..length].split(|&byte| byte == 0);
    Ok(names
        .filter(|name| !name.is_empty())
        .map(|name| String::from_utf8_lossy(name).into_owned())
        .collect())
}

fn attribute(file: &File, name: &str) -> io::Result<Option<Vec<u8>>> {
    let mut value = vec![0_u8; LONGEST];
    match rustix::fs::fgetxattr(file, name, &mut value[..]) {
        Ok(length) => {
            value.truncate(length);
            Ok(Some(value))
        }
        Err(Errno::NODATA | Errno::NOTSUP) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The kernel has neither longer lists of names nor longer values (xattr(7)).
const LONGEST: usize = 65_536;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{chown, symlink};
    use std::path::PathBuf;

    use super::*;

    struct Place {
        folder: tempfile::TempDir,
        state: StateDir,
        path: PathBuf,
    }

    fn place() -> Place {
        let folder = tempfile::tempdir().unwrap();
        let state = StateDir::at(folder.path().join("state")).unwrap();
        let path = folder.path().join("config");
        fs::write(&path, b"a\0b").unwrap();
        Place {
            folder,
            state,
            path,
        }
    }

    fn put_back(place: &Place, undo: &Undo) -> io::Result<()> {
        let Undo::RestoreFile { path, copy } = undo else {
            panic!("{undo}");
        };
        let copy = copy.as_ref().map(|name| place.state.copy(name).unwrap());
        restore(path, copy.as_deref())
    }

    fn copies(place: &Place) -> usize {
        fs::read_dir(place.state.path().join("copies"))
            .unwrap()
            .count()
    }

    #[test]
    fn a_file_comes_back_byte_for_byte_with_its_mode_and_only_once() {
        let place = place();
        let mode = |mode| fs::set_permissions(&place.path, fs::Permissions::from_mode(mode));
        mode(0o2640).unwrap();
        let step = keep_copy(&place.state, "copy-1", &place.path).unwrap();
        fs::write(&place.path, "broken").unwrap();
        mode(0o600).unwrap();
        put_back(&place, &step).unwrap();
        assert_eq!(fs::read(&place.path).unwrap(), b"a\0b");
        assert_eq!(fs::metadata(&place.path).unwrap().mode() & 0o7777, 0o2640);
        assert_eq!(copies(&place), 0);
        fs::write(&place.path, "changed by its owner since").unwrap();
        put_back(&place, &step).unwrap();
        assert_eq!(
            fs::read(&place.path).unwrap(),
            b"changed by its owner since"
        );
        let names: Vec<_> = fs::read_dir(place.folder.path()).unwrap().collect();
        assert_eq!(names.len(), 2, "{names:?}");
    }

    #[test]
    fn a_file_that_was_not_there_goes_again() {
        let place = place();
        let path = place.folder.path().join("new");
        let step = keep_copy(&place.state, "copy-2", &path).unwrap();
        fs::write(&path, "x").unwrap();
        put_back(&place, &step).unwrap();
        assert!(!path.exists());
        put_back(&place, &step).unwrap();
    }

    #[test]
    fn its_owner_comes_back_where_that_can_be_done() {
        let place = place();
        if chown(&place.path, Some(1234), Some(4321)).is_err() {
            // Only the superuser can give files away; for anybody else they stay their own.
            let step = keep_copy(&place.state, "copy-1", &place.path).unwrap();
            return put_back(&place, &step).unwrap();
        }
        let step = keep_copy(&place.state, "copy-1", &place.path).unwrap();
        fs::remove_file(&place.path).unwrap();
        fs::write(&place.path, "broken").unwrap();
        put_back(&place, &step).unwrap();
        let metadata = fs::metadata(&place.path).unwrap();
        assert_eq!((metadata.uid(), metadata.gid()), (1234, 4321));
    }

    #[test]
    fn an_owner_that_cannot_be_given_is_an_error_that_says_so() {
        let place = place();
        // Through such a descriptor nobody can change an owner, the superuser neither.
        let target = OpenOptions::new()
            .read(true)
            .custom_flags(OFlags::PATH.bits().cast_signed())
            .open(&place.path)
            .unwrap();
        give_owner(&fs::metadata(&place.path).unwrap(), &target).unwrap();
        let other = place.folder.path().join("other");
        fs::write(&other, "").unwrap();
        let foreign = match chown(&other, Some(1234), None) {
            Ok(()) => fs::metadata(other).unwrap(),
            Err(_) => fs::metadata("/").unwrap(),
        };
        let error = give_owner(&foreign, &target).unwrap_err().to_string();
        let expected = format!("it belongs to user {} and group", foreign.uid());
        assert!(error.starts_with(&expected), "{error}");
    }

    #[test]
    fn its_extended_attributes_come_back() {
        let place = place();
        let file = File::open(&place.path).unwrap();
        let name = "user.chaos-test";
        if rustix::fs::fsetxattr(&file, name, b"kept", XattrFlags::empty()).is_err() {
            // This file system has none.
            return;
        }
        let step = keep_copy(&place.state, "copy-1", &place.path).unwrap();
        fs::remove_file(&place.path).unwrap();
        fs::write(&place.path, "broken").unwrap();
        put_back(&place, &step).unwrap();
        let file = File::open(&place.path).unwrap();
        assert_eq!(attribute(&file, name).unwrap().unwrap(), b"kept");
    }

    #[test]
    fn what_could_not_be_put_back_is_refused_and_leaves_no_copy() {
        let place = place();
        let refused = |path: &Path, expected: &str| {
            let error = keep_copy(&place.state, "copy-1", path).unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
            assert_eq!(copies(&place), 0);
        };
        refused(Path::new("relative"), "must be absolute");
        refused(place.folder.path(), "not a regular file");
        let link = place.folder.path().join("link");
        symlink(&place.path, &link).unwrap();
        refused(&link, "not a regular file");
        fs::hard_link(&place.path, place.folder.path().join("second")).unwrap();
        refused(&place.path, "other names (hard links)");
    }

    #[test]
    fn nobody_can_lay_a_link_where_the_file_is_prepared() {
        let place = place();
        let victim = place.folder.path().join("victim");
        fs::write(&victim, "untouched").unwrap();
        let step = keep_copy(&place.state, "copy-1", &place.path).unwrap();
        fs::write(&place.path, "broken").unwrap();
        symlink(&victim, place.folder.path().join(".chaos-restore-config")).unwrap();
        put_back(&place, &step).unwrap();
        assert_eq!(fs::read_to_string(&victim).unwrap(), "untouched");
        assert_eq!(fs::read(&place.path).unwrap(), b"a\0b");
        // Whatever the name is: nothing is written to what is there.
        let taken = place.folder.path().join("taken");
        symlink(&victim, &taken).unwrap();
        let kept = File::open(&place.path).unwrap();
        assert!(copy_to(&kept, &taken).is_err());
        assert_eq!(fs::read_to_string(&victim).unwrap(), "untouched");
    }
}
