//! Files and folders of the reports: read them, replace them whole, remove old ones.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use super::name;
use crate::model::test_report::TestReport;

pub(super) const FRAGMENTS: &str = "fragments";
/// How the name of an ended test's fragment ends.
const ENDED: &str = ".end.json";
const TEMPORARY: &str = ".tmp-";
/// Nobody writes one file for as long as this.
const ABANDONED: Duration = Duration::from_secs(3600);

/// The fragments of one run.
pub(super) struct Fragments {
    pub(super) reports: Vec<TestReport>,
    /// One line for each file that is no report.
    pub(super) unreadable: Vec<String>,
}

impl Fragments {
    /// Reads those that are there; a run's folder without any is a run without tests.
    pub(super) fn read(run: &Path) -> io::Result<Self> {
        let mut fragments = Self {
            reports: Vec::new(),
            unreadable: Vec::new(),
        };
        for path in fragment_paths(run)? {
            match read_report(&path) {
                Ok(report) => fragments.reports.push(report),
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => fragments.unreadable.push(error.to_string()),
            }
        }
        fragments.unreadable.sort();
        Ok(fragments)
    }
}

/// Tests of a run that started and have no end, or had none when they were looked at.
pub(super) fn open_reports(run: &Path) -> io::Result<Vec<TestReport>> {
    let mut open = Vec::new();
    for path in fragment_paths(run)? {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        // What cannot be read is told of where the run is put together.
        if !name.ends_with(ENDED)
            && let Ok(report) = read_report(&path)
            && report.end.is_none()
        {
            open.push(report);
        }
    }
    Ok(open)
}

/// Reads one fragment.
pub(super) fn read_report(path: &Path) -> io::Result<TestReport> {
    let json = fs::read(path).map_err(|error| about("read", path, &error))?;
    serde_json::from_slice(&json).map_err(|error| about("read", path, &error.into()))
}

fn fragment_paths(run: &Path) -> io::Result<Vec<PathBuf>> {
    let folder = run.join(FRAGMENTS);
    let entries = match fs::read_dir(&folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(|error| about("read", &folder, &error))?,
    };
    let mut paths = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|error| about("read", &folder, &error))?;
        if entry.file_name().to_str().is_some_and(name::is_fragment) {
            paths.push(entry.path());
        }
    }
    Ok(paths)
}

/// Whether a run's report is missing or may lack a fragment. The folder's own time is that
/// of the last rename into it. Two times that are equal say nothing, because a file system's
/// clock stands still for some milliseconds.
pub(super) fn is_stale(run: &Path, report: &str) -> bool {
    let changed = |path: &Path| {
        fs::symlink_metadata(path)
            .and_then(|file| file.modified())
            .ok()
    };
    let Some(reported) = changed(&run.join(report)) else {
        return true;
    };
    let Ok(mut paths) = fragment_paths(run) else {
        return true;
    };
    paths.push(run.join(FRAGMENTS));
    paths
        .iter()
        .filter_map(|path| changed(path))
        .any(|at| at >= reported)
}

/// The runs below a root, each with when something was last written for it. Links are not
/// followed, and what has no fragments is not a run.
pub(super) fn runs(root: &Path) -> Vec<(SystemTime, String)> {
    let Ok(entries) = fs::read_dir(root) else {
        return Vec::new();
    };
    entries
        .filter_map(|entry| {
            let name = entry.ok()?.file_name().into_string().ok()?;
            let run = root.join(&name);
            let fragments = run.join(FRAGMENTS);
            if !name::is_run_folder(&name) || !is_folder(&run) || !is_folder(&fragments) {
                return None;
            }
            Some((fs::symlink_metadata(fragments).ok()?.modified().ok()?, name))
        })
        .collect()
}

fn is_folder(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|file| file.is_dir())
}

/// Removes a run. It gets a temporary name first, so that whoever is killed meanwhile leaves
/// no half of a run.
pub(super) fn remove_run(root: &Path, name: &str) -> io::Result<()> {
    let run = root.join(name);
    let removed = root.join(temporary_name());
    fs::rename(&run, &removed).map_err(|error| about("remove", &run, &error))?;
    fs::remove_dir_all(&removed).map_err(|error| about("remove", &removed, &error))
}

/// Removes what killed processes left, and says nothing where it cannot: the next run tries
/// again.
pub(super) fn remove_old_temporaries(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let old = || {
            let changed = entry.metadata().and_then(|file| file.modified()).ok()?;
            changed.elapsed().ok()
        };
        let ours = entry
            .file_name()
            .to_str()
            .is_some_and(|name| name.starts_with(TEMPORARY));
        if ours && old().is_some_and(|age| age > ABANDONED) {
            let path = entry.path();
            // Neither follows links.
            let _ = if is_folder(&path) {
                fs::remove_dir_all(path)
            } else {
                fs::remove_file(path)
            };
        }
    }
}

/// Writes a file so that a reader sees the old one or the new one, whole.
pub(super) fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    Replacement::begin(path)?.finish(content)
}

/// A file that will take the place of another one.
pub(super) struct Replacement {
    path: PathBuf,
    temporary: PathBuf,
    file: File,
}

impl Replacement {
    pub(super) fn begin(path: &Path) -> io::Result<Self> {
        let (file, temporary) = create_temporary(path.parent().unwrap_or(Path::new(".")))?;
        let path = path.to_owned();
        Ok(Self {
            path,
            temporary,
            file,
        })
    }

    /// Writes it. Its time is that of its beginning, by the file system's own clock: what
    /// changed while it was being made is newer than it.
    pub(super) fn finish(mut self, content: &[u8]) -> io::Result<()> {
        let begun = self.file.metadata().and_then(|file| file.modified());
        let written = self.file.write_all(content).and_then(|()| {
            if let Ok(begun) = begun {
                // Where that fails, the next run makes the report once more or not at all.
                let _ = self.file.set_modified(begun);
            }
            drop(self.file);
            fs::rename(&self.temporary, &self.path)
        });
        written.map_err(|error| {
            let _ = fs::remove_file(&self.temporary);
            about("write", &self.path, &error)
        })
    }
}

fn create_temporary(folder: &Path) -> io::Result<(File, PathBuf)> {
    loop {
        let path = folder.join(temporary_name());
        match File::create_new(&path) {
            Ok(file) => return Ok((file, path)),
            // A process of the same number, in another container or before a restart.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(about("create", &path, &error)),
        }
    }
}

fn temporary_name() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!(
        "{TEMPORARY}{}-{}",
        process::id(),
        NEXT.fetch_add(1, Ordering::Relaxed)
    )
}

/// The same error, with what was to be done to what.
pub(super) fn about(verb: &str, path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(
        error.kind(),
        format!("cannot {verb} {}: {error}", path.display()),
    )
}
