//! A journal on disk while its test runs: locked, append-only, one write a line.
//!
//! "On disk" means that write(2) returned: that survives the process, not a power cut, and
//! so do the faults.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::model::event::Record;
use crate::model::identity::ProcessIdentity;
use crate::system::stem;

/// How the name of a journal begins that is not locked yet, and must not be swept.
pub(crate) const UNBORN: &str = ".new-";

/// How the name of a journal ends.
pub(crate) const ENDING: &str = "jsonl";

/// The open journal of a running test. Its lock says that the test is alive.
#[derive(Debug)]
pub(crate) struct JournalFile {
    file: File,
    path: PathBuf,
    length: u64,
    broken: bool,
}

impl JournalFile {
    /// Creates a journal with a name of its own and locks it.
    pub(crate) fn create(folder: &Path, process: &ProcessIdentity) -> io::Result<Self> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        loop {
            let number = NUMBER.fetch_add(1, Ordering::Relaxed);
            match Self::create_as(folder, &format!("{}-{number}", stem::of(process))) {
                // Somebody with our numbers left it: what it says is still to be undone.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                created => return created,
            }
        }
    }

    fn create_as(folder: &Path, stem: &str) -> io::Result<Self> {
        let name = format!("{stem}.{ENDING}");
        let unborn = folder.join(format!("{UNBORN}{name}"));
        let path = folder.join(name);
        let file = OpenOptions::new()
            .append(true)
            .create_new(true)
            .mode(0o600)
            .open(&unborn)?;
        // Locked before it gets its name, so that no sweep can take it for a dead one.
        let born = file.lock().and_then(|()| give_name(&unborn, &path));
        if let Err(error) = born {
            let _ = fs::remove_file(&unborn);
            return Err(error);
        }
        Ok(Self {
            file,
            path,
            length: 0,
            broken: false,
        })
    }

    /// Takes over a journal that somebody left, to write what was done about it.
    pub(crate) fn adopt(file: File, path: PathBuf, whole: u64) -> io::Result<Self> {
        // A torn last line is cut off, or the next line would be glued to it.
        file.set_len(whole)?;
        Ok(Self {
            file,
            path,
            length: whole,
            broken: false,
        })
    }

    /// Appends one line, wholly or not at all.
    pub(crate) fn append(&mut self, record: &Record) -> io::Result<()> {
        if self.broken {
            return Err(io::Error::other(
                "an earlier line could not be written whole, so nothing may follow it",
            ));
        }
        let mut line = serde_json::to_vec(record)?;
        line.push(b'\n');
        match self.file.write_all(&line) {
            Ok(()) => {
                self.length += line.len() as u64;
                #[cfg(feature = "kill-points")]
                super::kill_point::written();
                Ok(())
            }
            Err(error) => {
                // A full disk may have taken half of it.
                self.broken = self.file.set_len(self.length).is_err();
                Err(error)
            }
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Closes it for good: there is nothing left to undo.
    pub(crate) fn remove(self) -> io::Result<()> {
        fs::remove_file(&self.path)
    }
}

/// Renames, and never over a journal that is there: then it fails with `AlreadyExists`.
fn give_name(unborn: &Path, path: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    match renameat_with(CWD, unborn, CWD, path, RenameFlags::NOREPLACE) {
        // Some file systems, NFS for one, cannot.
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => give_second_name(unborn, path),
        done => Ok(done?),
    }
}

/// As [`give_name`], in two steps: a sweep that looks in between leaves a file with two
/// names alone.
fn give_second_name(unborn: &Path, path: &Path) -> io::Result<()> {
    fs::hard_link(unborn, path)?;
    fs::remove_file(unborn)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::event::Event;
    use crate::system::identity;

    fn note(seq: u64) -> Record {
        Record {
            seq,
            at_us: 0,
            event: Event::Note {
                text: "x".repeat(100),
            },
        }
    }

    #[test]
    fn it_is_locked_from_the_moment_that_it_has_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let journal = JournalFile::create(folder.path(), &identity::own().unwrap()).unwrap();
        let other = File::open(journal.path()).unwrap();
        assert!(other.try_lock().is_err());
        let path = journal.path().to_owned();
        drop(journal);
        assert!(other.try_lock().is_ok());
        assert!(path.exists());
    }

    #[test]
    fn a_journal_that_is_there_is_never_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("left.jsonl");
        fs::write(&path, "what is still to be undone").unwrap();
        for name in [give_name, give_second_name] {
            let unborn = folder.path().join(".new-left.jsonl");
            fs::write(&unborn, "new").unwrap();
            let error = name(&unborn, &path).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
            assert_eq!(
                fs::read_to_string(&path).unwrap(),
                "what is still to be undone"
            );
            let free = folder.path().join("free.jsonl");
            name(&unborn, &free).unwrap();
            assert!(!unborn.exists());
            fs::remove_file(free).unwrap();
        }
    }

    #[test]
    fn a_taken_name_makes_it_take_the_next_number() {
        let folder = tempfile::tempdir().unwrap();
        let process = identity::own().unwrap();
        let first = JournalFile::create(folder.path(), &process).unwrap();
        let stem = first.path().file_stem().unwrap().to_str().unwrap();
        let (start, number) = stem.rsplit_once('-').unwrap();
        assert_eq!(start, stem::of(&process));
        // Other tests of this process take numbers, too.
        let number: u64 = number.parse().unwrap();
        for taken in number + 1..number + 50 {
            fs::write(folder.path().join(format!("{start}-{taken}.jsonl")), "left").unwrap();
        }
        let second = JournalFile::create(folder.path(), &process).unwrap();
        assert_eq!(fs::read(second.path()).unwrap(), b"");
        for taken in number + 1..number + 50 {
            let path = folder.path().join(format!("{start}-{taken}.jsonl"));
            assert_eq!(fs::read_to_string(path).unwrap(), "left");
        }
    }

    #[test]
    fn a_line_that_does_not_fit_leaves_no_half_of_it() {
        // The kernel's own full disk: writes to /dev/full fail, and so does cutting it.
        let file = OpenOptions::new().append(true).open("/dev/full").unwrap();
        let mut journal = JournalFile {
            file,
            path: "/dev/full".into(),
            length: 0,
            broken: false,
        };
        assert!(journal.append(&note(1)).is_err());
        assert!(journal.broken);
        let error = journal.append(&note(2)).unwrap_err();
        assert!(error.to_string().contains("earlier line"), "{error}");
    }
}
