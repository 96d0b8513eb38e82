//! Which test a context belongs to, and the seed that it draws from.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::decide::again::{self, HowRun, Target};
use crate::error::{Error, Kind};
use crate::model::blast_radius::BlastRadius;
use crate::model::event::{Event, JOURNAL_VERSION, Started};
use crate::model::outcome::Control;
use crate::model::spec::{Claim, MustFailWhen, Requirement, TestSpec};
use crate::model::test_report::{TestEnd, TestReport};
use crate::model::trace::TraceId;
use crate::system::place;

use super::control;
use super::dry;
use super::keep;
use super::process_run::{self, ProcessRun};
use super::reports::fragment_name;
use super::selection;

/// How long a context without the macro is taken to last, which nobody limits.
const PLAIN_LIMIT: Duration = Duration::from_secs(20 * 60 * 60);

/// Which test a context belongs to.
#[derive(Clone)]
pub(crate) struct TestIdentity {
    pub(super) run: Arc<ProcessRun>,
    pub(super) package: String,
    pub(super) binary: String,
    pub(super) name: String,
    pub(super) hypothesis: String,
    pub(super) tags: Vec<String>,
    /// What it is given as a case, as it is written.
    arguments: Vec<String>,
    pub(super) seed: u64,
    pub(super) names_breakables: bool,
    pub(super) blast_radius: BlastRadius,
    /// Why it is not run, where it is not among the tests that were asked for.
    pub(super) deselected: Option<String>,
    /// Whether nothing is to be broken.
    pub(super) dry_run: bool,
    /// What the machine must have.
    pub(super) requires: &'static [Requirement],
    /// The gap because of which it is expected to deviate.
    known_gap: Option<String>,
    /// What its body has to judge.
    pub(super) claims: &'static [Claim],
    /// Set where it runs as its own negative control.
    control: Option<Control>,
    /// How long its body may take.
    pub(super) body_limit: Duration,
    /// Whether its containers stay if it fails.
    pub(super) keeps_failed: bool,
    /// The macro's tests turn the process red when it exits in the middle of them.
    pub(super) from_macro: bool,
    /// The module whose tests share a fixture of that scope, without the crate.
    pub(super) module: String,
    /// Whether it is no test, but what some share.
    pub(super) is_shared_fixture: bool,
    /// The bare name of its files below the run's folder.
    pub(super) fragment: String,
    started_ms: u64,
    /// What of its package it is in.
    target: Target,
    /// Whether it carries `#[ignore]`.
    ignored: bool,
    /// The file that it is written in, where that is there.
    source: Option<PathBuf>,
}

impl TestIdentity {
    /// The identity of a `#[chaos_test]`.
    pub(super) fn of_spec(spec: &'static TestSpec) -> Result<Self, Error> {
        let seed = chosen_seed(spec.seed)?;
        let keeps_failed = keep::is_wanted()?;
        let dry_run = dry::is_wanted()?;
        selection::check_variables()?;
        let run = process_run::current(spec.target_tmpdir)?;
        let deselected = selection::deselected(spec, &run)?;
        let control = control::role(spec).map(MustFailWhen::control);
        let name = match &control {
            Some(control) => control::name(&spec.path(), control),
            None => spec.path(),
        };
        let mut identity = Self::new(run, place::binary_id(spec), name, seed, true);
        identity.control = control;
        identity.package = spec.package.to_owned();
        identity.hypothesis = spec.hypothesis.to_owned();
        identity.claims = spec.expects;
        identity.known_gap = spec.known_gap.map(str::to_owned);
        identity.tags = spec.tags.iter().map(|&tag| tag.to_owned()).collect();
        identity.arguments = spec.arguments();
        identity.names_breakables = spec.breaks.is_some();
        identity.blast_radius = spec.blast_radius;
        identity.requires = spec.requires;
        identity.keeps_failed = keeps_failed;
        identity.dry_run = dry_run;
        identity.deselected = deselected;
        identity.body_limit = spec.body_limit();
        identity.module = spec.fixture_module().to_owned();
        identity.target = place::target(spec);
        identity.ignored = spec.ignored;
        identity.source = place::source(spec);
        Ok(identity)
    }

    /// The identity of what a test and others share: a fixture in the same run.
    pub(super) fn of_shared_fixture(&self, fixture: &str) -> Self {
        let (run, binary) = (Arc::clone(&self.run), self.binary.clone());
        let name = format!("fixture {fixture}");
        let mut identity = Self::new(run, binary, name, self.seed, false);
        identity.package.clone_from(&self.package);
        identity.keeps_failed = self.keeps_failed;
        identity.dry_run = self.dry_run;
        identity.module.clone_from(&self.module);
        identity.is_shared_fixture = true;
        identity
    }

    /// The identity of a context without the macro.
    pub(super) fn plain(name: &str) -> Result<Self, Error> {
        let seed = chosen_seed(None)?;
        let keeps_failed = keep::is_wanted()?;
        let dry_run = dry::is_wanted()?;
        let run = process_run::current(None)?;
        let program = std::env::current_exe()
            .ok()
            .and_then(|exe| Some(exe.file_stem()?.to_string_lossy().into_owned()))
            .unwrap_or_else(|| "program".to_owned());
        let variable = |name| std::env::var(name).ok();
        let package = variable("CARGO_PKG_NAME").unwrap_or_else(|| program.clone());
        let binary = variable("NEXTEST_BINARY_ID").unwrap_or_else(|| {
            // Cargo ends the names of test binaries with a hash.
            let bare = program
                .rsplit_once('-')
                .map_or(program.as_str(), |(bare, _)| bare);
            if bare.replace('_', "-") == package.replace('_', "-") {
                package.clone()
            } else {
                format!("{package}::{bare}")
            }
        });
        let mut identity = Self::new(run, binary, name.to_owned(), seed, false);
        identity.package = package;
        identity.keeps_failed = keeps_failed;
        identity.dry_run = dry_run;
        Ok(identity)
    }

    fn new(run: Arc<ProcessRun>, binary: String, name: String, seed: u64, macros: bool) -> Self {
        // Without the macro several contexts may have one name: they are told apart by the
        // process and a number.
        static NUMBER: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let attempt = place::attempt();
        let fragment = if macros {
            fragment_name(&binary, &name, attempt, None)
        } else {
            let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let own = format!("{name} {number}");
            fragment_name(&binary, &own, attempt, Some(run.process.pid))
        };
        Self {
            package: binary.clone(),
            binary,
            hypothesis: String::new(),
            tags: Vec::new(),
            arguments: Vec::new(),
            seed,
            names_breakables: false,
            blast_radius: BlastRadius::new(),
            deselected: None,
            dry_run: false,
            requires: &[],
            known_gap: None,
            claims: &[],
            control: None,
            body_limit: PLAIN_LIMIT,
            keeps_failed: false,
            from_macro: macros,
            module: module_of(&name).to_owned(),
            is_shared_fixture: false,
            fragment,
            name,
            started_ms: now_ms(),
            target: Target::Unknown,
            ignored: false,
            source: None,
            run,
        }
    }

    /// Remembers that it failed before there could be a report of it.
    pub(super) fn never_began(&self) {
        // One that was not asked for says nothing of itself.
        if self.deselected.is_none() {
            // Where that cannot be written down, the failure itself is told all the same.
            let _ = self
                .run
                .reports
                .remember_failed(&self.fragment, &self.report(None));
        }
    }

    /// The bare name of its journal and its folder of logs.
    pub(super) fn stem(&self) -> &str {
        self.fragment
            .strip_suffix(".json")
            .unwrap_or(&self.fragment)
    }

    /// Whether it runs as its own negative control.
    pub(super) fn is_control(&self) -> bool {
        self.control.is_some()
    }

    /// The command that runs it again, and nothing else. Without the macro the name of a context
    /// is that of its thread, which libtest names after the test.
    pub(super) fn command_again(&self) -> String {
        let mut variables = Vec::new();
        let mut name = self.name.as_str();
        if let Some(control) = &self.control {
            let suffix = format!(" [{}]", control.changed);
            name = self.name.strip_suffix(&suffix).unwrap_or(&self.name);
            let changed = control.changed.split_once('=').unwrap_or_default();
            variables.push((changed.0.to_owned(), changed.1.to_owned()));
        }
        variables.push(("CHAOS_SEED".to_owned(), format!("{:#x}", self.seed)));
        let set = std::env::vars_os().filter_map(|(name, value)| {
            let pair = (name.into_string().ok()?, value.into_string().ok()?);
            (again::is_kept(&pair.0) && !pair.1.is_empty()).then_some(pair)
        });
        let mut set: Vec<_> = set.collect();
        set.sort();
        variables.extend(set);
        again::command(&HowRun {
            runner: place::runner(),
            package: self.package.clone(),
            target: self.target.clone(),
            name: name.to_owned(),
            ignored: self.ignored,
            variables,
        })
    }

    /// What is known of the test, for the reports.
    pub(super) fn report(&self, end: Option<TestEnd>) -> TestReport {
        TestReport {
            run: self.run.id.clone(),
            binary: self.binary.clone(),
            name: self.name.clone(),
            attempt: place::attempt(),
            process: self.run.process.clone(),
            started_ms: self.started_ms,
            hypothesis: self.hypothesis.clone(),
            seed: self.seed,
            tags: self.tags.clone(),
            arguments: self.arguments.clone(),
            program: place::program().map(Path::to_owned),
            source: self.source.clone(),
            end,
        }
    }

    /// The first line of its journal.
    pub(super) fn started(&self) -> Event {
        Event::Started(Box::new(self.first_line()))
    }

    /// The trace that its samples belong to.
    pub(super) fn trace(&self) -> TraceId {
        TraceId::of(&self.first_line())
    }

    fn first_line(&self) -> Started {
        Started {
            version: JOURNAL_VERSION,
            run: self.run.id.clone(),
            test: format!("{}${}", self.binary, self.name),
            process: self.run.process.clone(),
            wall_clock_ms: self.started_ms,
            hypothesis: self.hypothesis.clone(),
            seed: self.seed,
            tags: self.tags.clone(),
            arguments: self.arguments.clone(),
            reports: self.run.reports.folder(),
            fragment: self.stem().to_owned(),
            abandoned: process_run::abandoned(),
            attempt: place::attempt(),
            known_gap: self.known_gap.clone(),
            control: self.control.clone(),
        }
    }
}

/// The module of a test, by its name as libtest prints it.
fn module_of(test: &str) -> &str {
    test.rsplit_once("::").map_or("", |(module, _)| module)
}

/// Whether `CHAOS_SEED` makes sense.
#[cfg(feature = "cli")]
pub(super) fn check_seed() -> Result<(), Error> {
    chosen_seed(None).map(drop)
}

fn chosen_seed(of_test: Option<u64>) -> Result<u64, Error> {
    if let Ok(text) = std::env::var("CHAOS_SEED")
        && !text.is_empty()
    {
        return parse_seed(&text).ok_or_else(|| {
            Error::new(
                Kind::Usage,
                format!("CHAOS_SEED is `{text}`, which is no number such as 42 or 0x5eed"),
            )
        });
    }
    Ok(of_test.unwrap_or_else(|| {
        use std::hash::{BuildHasher, Hasher};
        // Seeded by the operating system; short, because people copy it.
        let random = std::collections::hash_map::RandomState::new();
        random.build_hasher().finish() & 0xffff_ffff
    }))
}

fn parse_seed(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

fn now_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| {
            u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_are_decimal_or_hexadecimal() {
        for (text, seed) in [
            ("42", Some(42)),
            ("0x5eed", Some(0x5eed)),
            ("x", None),
            ("-1", None),
        ] {
            assert_eq!(parse_seed(text), seed, "{text}");
        }
    }
}
