//! What had failed when a run began: its own tests change what is remembered, and all its processes
//! are to choose alike.
//!
//! A run whose name is used again (`CHAOS_RUN_ID=ci`) begins anew where a program asks once more that
//! another runner has started: within one run each program has one.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::folder::{self, Fragments, about, replace};
use super::memory::{self, Failed, Remembered};
use super::name::fragment_name;
use super::{IsAlive, Lock, Reports, ended};
use crate::model::identity::ProcessIdentity;
use crate::model::test_report::TestReport;

const BEFORE: &str = "failed-before";

/// Who wants to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asker {
    /// The test program.
    pub program: PathBuf,
    /// The process that started it, such as cargo or nextest.
    pub runner: Option<ProcessIdentity>,
}

impl Asker {
    fn folder(&self) -> &Path {
        self.program.parent().unwrap_or(Path::new("."))
    }
}

/// What a run has written down.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Before {
    /// Who has asked, and who had started them.
    askers: Vec<(PathBuf, Option<ProcessIdentity>)>,
    failed: Vec<Remembered>,
}

impl Before {
    fn asked_by(&self, asker: &Asker) -> Asked {
        let mut askers = self.askers.iter();
        match askers.find(|(program, _)| *program == asker.program) {
            None => Asked::Not,
            Some((_, runner)) if *runner == asker.runner => Asked::Now,
            Some(_) => Asked::InAnotherRun,
        }
    }
}

/// Whether a program has asked.
#[derive(Debug, PartialEq, Eq)]
enum Asked {
    Not,
    Now,
    /// In a run of the same name.
    InAnotherRun,
}

impl Reports {
    /// The tests that had failed when this run began, and whether this is the first call of the
    /// run. All processes of a run get the same answer, whatever its tests do meanwhile.
    ///
    /// # Errors
    ///
    /// If the lock is not to be had, or it cannot be read or written down.
    pub fn failed_before(
        &self,
        asker: &Asker,
        is_alive: impl Fn(&ProcessIdentity) -> bool,
    ) -> io::Result<(Vec<Remembered>, bool)> {
        if let Some(before) = self.before()?
            && before.asked_by(asker) == Asked::Now
        {
            return Ok((before.failed, false));
        }
        let _lock = Lock::take(&self.root)?;
        // Another process may have been first.
        let known = self.before()?;
        let known = known.map(|before| (before.asked_by(asker), before));
        let (mut before, is_first) = match known {
            Some((Asked::Now, before)) => return Ok((before.failed, false)),
            Some((Asked::Not, before)) => (before, false),
            Some((Asked::InAnotherRun, _)) | None => {
                self.remember_dead(&self.folder(), &is_alive)?;
                let failed = memory::all(&self.root, asker.folder())?;
                let askers = Vec::new();
                (Before { askers, failed }, true)
            }
        };
        let own = (asker.program.clone(), asker.runner.clone());
        before.askers.push(own);
        replace(&self.folder().join(BEFORE), &serde_json::to_vec(&before)?)?;
        Ok((before.failed, is_first))
    }

    fn before(&self) -> io::Result<Option<Before>> {
        let path = self.folder().join(BEFORE);
        match fs::read(&path) {
            // What cannot be read is another version's.
            Ok(json) => Ok(serde_json::from_slice(&json).ok()),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(about("read", &path, &error)),
        }
    }

    /// Remembers the tests of a run that began and whose process is gone, unless a later attempt
    /// at them ended.
    pub(super) fn remember_dead(&self, run: &Path, is_alive: IsAlive<'_>) -> io::Result<()> {
        for report in folder::open_reports(run)? {
            if is_alive(&report.process) {
                continue;
            }
            let key = fragment_name(&report.binary, &report.name, report.attempt, None);
            let started = run.join(folder::FRAGMENTS).join(&key);
            // A context without the macro has another name.
            if !started.exists() || ended(&started).exists() {
                continue;
            }
            let is_earlier = Fragments::read(run)?.reports.iter().any(|later| {
                (&later.binary, &later.name) == (&report.binary, &report.name)
                    && later.attempt > report.attempt
                    && later.end.is_some()
            });
            if !is_earlier {
                memory::remember(&self.root, &key, &report)?;
            }
        }
        Ok(())
    }

    /// Forgets that a test failed, which is not there any more.
    ///
    /// # Errors
    ///
    /// If it cannot be forgotten.
    pub fn forget(&self, test: &Failed) -> io::Result<()> {
        memory::forget(&self.root, test)
    }

    /// Remembers that a test failed of which there is no report: it never began.
    ///
    /// # Errors
    ///
    /// If it cannot be written down.
    pub fn remember_failed(&self, key: &str, report: &TestReport) -> io::Result<()> {
        memory::remember(&self.root, key, report)
    }
}
