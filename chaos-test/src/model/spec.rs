//! What a test declares about itself: written by the macro, read by the runner.

use std::fmt;
use std::time::Duration;

use super::blast_radius::BlastRadius;
use super::condition::AbortCondition;

/// One `#[chaos_test]`, as the macro saw it.
#[derive(Debug, Clone)]
pub struct TestSpec {
    /// The function's name; of a case, its own name and those of its values.
    pub name: &'static str,
    /// The module that it is in, with the crate's name first.
    pub module: &'static str,
    /// The source file, as the compiler was given it.
    pub file: &'static str,
    /// The line of the function's name.
    pub line: u32,
    /// `CARGO_PKG_NAME` when it was compiled.
    pub package: &'static str,
    /// `CARGO_MANIFEST_DIR` when it was compiled.
    pub manifest_dir: &'static str,
    /// `CARGO_BIN_NAME` when it was compiled, for a test inside a program.
    pub bin_name: Option<&'static str>,
    /// `CARGO_TARGET_TMPDIR` when it was compiled, for an integration test.
    pub target_tmpdir: Option<&'static str>,
    /// What the test claims, in words.
    pub hypothesis: &'static str,
    /// What it is given as a case: the parameters, each with the expression as it is written.
    pub arguments: &'static [(&'static str, &'static str)],
    /// The fixtures that it may break; `None`: anything that its context made.
    pub breaks: Option<&'static [&'static str]>,
    /// The environments that it is for; none: all of them.
    pub environments: &'static [&'static str],
    /// How much may be broken at once, and for how long.
    pub blast_radius: BlastRadius,
    /// Words to select it by.
    pub tags: &'static [&'static str],
    /// What the machine must have.
    pub requires: &'static [Requirement],
    /// The targets that it shares with other tests, and holds as long as it runs.
    pub leases: &'static [&'static str],
    /// Whether no other chaos test may run beside it.
    pub exclusive: bool,
    /// Under which conditions it is aborted.
    pub abort_if: &'static [AbortCondition],
    /// What its body has to judge, and what has to come of it.
    pub expects: &'static [Claim],
    /// The gap because of which it is expected to deviate.
    pub known_gap: Option<&'static str>,
    /// What weakens that which it tests: then it must deviate.
    pub must_fail_when: &'static [MustFailWhen],
    /// How long the body may take; `None`: five minutes.
    pub timeout: Option<Duration>,
    /// The seed of everything drawn by chance; `None`: a new one each time.
    pub seed: Option<u64>,
    /// Whether the body is to panic.
    pub should_panic: ShouldPanic,
    /// Whether the function carries `#[ignore]`.
    pub ignored: bool,
}

/// How long a body may take where its test does not say.
const BODY_LIMIT: Duration = Duration::from_secs(300);

impl TestSpec {
    /// One that declares nothing, from nowhere in particular.
    #[must_use]
    pub const fn bare(module: &'static str, name: &'static str) -> Self {
        Self {
            name,
            module,
            file: "",
            line: 0,
            package: "",
            manifest_dir: "",
            bin_name: None,
            target_tmpdir: None,
            hypothesis: "",
            arguments: &[],
            breaks: None,
            environments: &[],
            blast_radius: BlastRadius::new(),
            tags: &[],
            requires: &[],
            leases: &[],
            exclusive: false,
            abort_if: &[],
            expects: &[],
            known_gap: None,
            must_fail_when: &[],
            timeout: None,
            seed: None,
            should_panic: ShouldPanic::No,
            ignored: false,
        }
    }

    /// One case of this test.
    #[must_use]
    pub const fn case(
        self,
        module: &'static str,
        name: &'static str,
        line: u32,
        hypothesis: &'static str,
        arguments: &'static [(&'static str, &'static str)],
        ignored: bool,
    ) -> Self {
        Self {
            module,
            name,
            line,
            hypothesis,
            arguments,
            ignored,
            ..self
        }
    }

    /// What it is given as a case, as reports show it.
    #[must_use]
    pub fn arguments(&self) -> Vec<String> {
        let arguments = self.arguments.iter();
        arguments
            .map(|(parameter, written)| format!("{parameter} = {written}"))
            .collect()
    }

    /// How long the body may take.
    #[must_use]
    pub fn body_limit(&self) -> Duration {
        self.timeout.unwrap_or(BODY_LIMIT)
    }

    /// The module whose tests share fixtures of that scope, without the crate.
    #[must_use]
    pub fn fixture_module(&self) -> &'static str {
        let module = self
            .module
            .split_once("::")
            .map_or("", |(_, module)| module);
        if self.arguments.is_empty() {
            return module;
        }
        // The cases of a test are in a module of its name, which nobody has written.
        module.rsplit_once("::").map_or("", |(module, _)| module)
    }

    /// The test's path as `cargo test` and nextest print it: modules and name, without the
    /// crate.
    #[must_use]
    pub fn path(&self) -> String {
        match self.module.split_once("::") {
            Some((_, modules)) => format!("{modules}::{}", self.name),
            None => self.name.to_owned(),
        }
    }
}

/// The measurable half of what a test claims.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Claim {
    /// The monitor, service or records that it is about; any.
    pub source: Option<&'static str>,
    /// What is measured.
    pub metric: &'static str,
    /// Whether the limit is an upper one.
    pub at_most: bool,
    /// The limit: a share from 0 to 1, seconds, or a plain number.
    pub limit: f64,
    /// As it was written.
    pub text: &'static str,
}

impl Claim {
    /// Whether it is about a length of time.
    #[must_use]
    pub fn is_duration(&self) -> bool {
        let percentile = self.metric.strip_prefix('p').unwrap_or_default();
        let is_time = matches!(
            self.metric,
            "recovery" | "first_success" | "throughput_recovery" | "mttr" | "max"
        );
        is_time || percentile.parse::<f64>().is_ok()
    }
}

/// A negative control: a change of the environment with which the test must deviate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MustFailWhen {
    /// The variable.
    pub variable: &'static str,
    /// What it is set to.
    pub value: &'static str,
    /// What the reason of the deviation must contain.
    pub reason: Option<&'static str>,
}

/// Whether a test is to panic, from `#[should_panic]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ShouldPanic {
    /// A panic is a failure.
    No,
    /// Any panic is the expected end.
    Yes,
    /// A panic whose message contains this text is the expected end.
    With(&'static str),
}

/// Something that a test needs from the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Requirement {
    /// A container engine that answers.
    Docker,
    /// The capability to change networks (`CAP_NET_ADMIN`).
    NetAdmin,
    /// To run as the superuser.
    Root,
    /// A program on the `PATH`.
    Program(&'static str),
    /// An environment variable that is set and not empty.
    Env(&'static str),
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Docker => write!(f, "docker"),
            Self::NetAdmin => write!(f, "netadmin"),
            Self::Root => write!(f, "root"),
            Self::Program(name) => write!(f, "program:{name}"),
            Self::Env(name) => write!(f, "env:{name}"),
        }
    }
}

#[cfg(test)]
impl TestSpec {
    /// For tests: one that declares nothing, in the library of a package `shop`.
    pub(crate) const fn example() -> Self {
        Self {
            file: "src/lib.rs",
            line: 1,
            package: "shop",
            manifest_dir: "/shop",
            ..Self::bare("shop", "survives")
        }
    }
}
