//! Chaos tests beside your code: ordinary `cargo test` breaks real services and proves
//! that they recover. It runs on Linux.
//!
// The guide is a file of its own: it is as long as all else here, and reads better there.
#![doc = include_str!("../docs/guide.md")]
#![deny(missing_docs)]

#[cfg(not(target_os = "linux"))]
compile_error!(
    "chaos-test runs on Linux for now: it tells processes apart by /proc and holds them at a gate \
     before their start; keep it out of other builds with an optional dependency"
);

mod entry;
mod error;
mod model;

mod decide;

mod system;

mod fault;
mod probe;
mod report;

mod run;

pub use chaos_test_macros::{chaos_fixture, chaos_test};

pub use decide::consistency::{
    Amount, Anomaly, Comparison, RecordTolerance, changed, duplicated, lost, out_of_order,
    unexpected,
};
pub use decide::delta::Delta;
pub use decide::measures::{
    Change, FailedServices, LatencyOf, Rate, ShareOfThroughput, Throughput, ValueOf, availability,
    error_rate, failed_services, latency, throughput, value,
};
pub use decide::recoveries::{
    RecoveryRate, RecoverySummary, RecoveryTimes, RecoveryTolerance, mttr, recovery_rate,
    recovery_time,
};
pub use decide::retries::{
    Amplification, Attempt, AttemptsPerCall, Growth, HasTried, Jitter, RetryTolerance, Spacing,
    amplification, attempts, jitter, spacing,
};
pub use decide::slo::{
    Actual, ConsistencyShare, ErrorBudget, Requests, SloMeasured, SloResult, SloValidation,
    Target as SloTarget,
};
pub use decide::statistics::{Latency, Summary};
pub use decide::statistics::{MAX, P50, P90, P95, P99, Percentile, percentile};
pub use decide::tolerance::{BaselineSummary, Judgement, Tolerance};
pub use error::{Error, Result, TestError, TestOutcome};
#[cfg(feature = "containers")]
pub use fault::container;
pub use fault::{CATALOGUE, Effect, Entry, Fault, Lasting, link, process};
pub use model::blast_radius::BlastRadius;
pub use model::condition::AbortCondition;
#[cfg(feature = "environments")]
pub use model::environment::{Environment, Zone};
pub use model::event::{
    BodyEnd, Event, JOURNAL_VERSION, Kept, Met, PreflightItem, Record, RestartedBy, Risk, Started,
};
pub use model::evidence::{Evidence, Shows};
pub use model::existing::{Attachment, FoundBy};
pub use model::identity::ProcessIdentity;
pub use model::journal::{Journal, Pending, Unreadable};
pub use model::measure::Measure;
pub use model::outcome::{Control, Leftover, Outcome, Restoration, RunStatus, Verdict};
pub use model::sample::{Reading, Sample, Window};
pub use model::slos::Slos;
pub use model::target::{Breakable, Target};
pub use model::test_report::{TestEnd, TestReport};
pub use model::undo::Undo;
pub use model::units::{Percent, kib, mib, ms, percent, secs};
pub use probe::{CommandProbe, Condition, IntoSeen, Seen, command, traceparent};
#[cfg(feature = "http")]
pub use probe::{HttpProbe, HttpRequest, http};
pub use probe::{
    IntoReading, IntoValue, LogLine, Pace, Probe, Ready, TcpProbe, TcpReady, log_line, tcp,
};
pub use probe::{ResourceProbe, resources};
pub use run::existing;
pub use run::existing::Existing;
#[cfg(feature = "main")]
pub use run::main;
pub use run::{
    Address, Baseline, ChaosContext, Consistency, During, EnvValue, Eventually, Expectations,
    Fixture, Group, InProcess, Injection, Link, LogContains, Moment, Monitor, Ports, Program,
    RecordExpectations, Recovers, Recovery, Reserved, RunValue, Samples, Served, Service,
    ServiceLog, Slot,
};
pub use run::{
    Check, DegradesThenRecovers, Faulted, Invariant, Must, Observed, Reached, Recoveries,
    RecoveriesExpected, SloCheck, States, Transitions,
};
#[cfg(feature = "containers")]
pub use run::{Container, IntoContainer};
pub use run::{Retries, RetriesSeen, RetryExpectations};
#[cfg(feature = "containers")]
pub use system::ContainerState;
pub use system::{
    Direction, Hits, ProcessState, ReadOnlySystem, Restarted, Signal, System, Toxic, Traffic,
};
#[cfg(feature = "containers")]
#[doc(no_inline)]
pub use testcontainers;

/// What nearly every chaos test names: types, traits, tolerances and units, and no module,
/// because a glob-imported module named like a crate makes that crate ambiguous.
pub mod prelude {
    pub use crate::{
        Address, Breakable, ChaosContext, Direction, Fault, Link, Monitor, P50, P90, P95, P99,
        Probe, Program, Service, Signal, TestError, availability, chaos_fixture, chaos_test,
        error_rate, failed_services, latency, ms, percent, secs, throughput, value,
    };
}

/// A test as it was registered at compile time; see [`registered`].
///
/// ```
/// let tests = chaos_test::registered();
/// let slow = tests.iter().filter(|test| test.tags().contains(&"slow"));
/// println!("{} of {} tests are slow", slow.count(), tests.len());
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Registered {
    spec: &'static model::spec::TestSpec,
}

impl Registered {
    /// Its path within the binary, as `cargo test` prints it.
    #[must_use]
    pub fn path(&self) -> String {
        self.spec.path()
    }

    /// What it claims, in words.
    ///
    /// See [`registered`] for an example.
    #[must_use]
    pub fn hypothesis(&self) -> &'static str {
        self.spec.hypothesis
    }

    /// Its tags.
    #[must_use]
    pub fn tags(&self) -> &'static [&'static str] {
        self.spec.tags
    }

    /// The fixtures that it may break; `None`: anything that its context made.
    ///
    /// ```
    /// // Tests that could run beside any other one.
    /// for test in chaos_test::registered() {
    ///     if !test.is_exclusive() && test.leases().is_empty() {
    ///         println!("{} breaks {:?}", test.path(), test.breaks());
    ///     }
    /// }
    /// ```
    #[must_use]
    pub fn breaks(&self) -> Option<&'static [&'static str]> {
        self.spec.breaks
    }

    /// The targets that it shares with other tests, and holds while it runs.
    ///
    /// See [`breaks`](Self::breaks) for an example.
    #[must_use]
    pub fn leases(&self) -> &'static [&'static str] {
        self.spec.leases
    }

    /// Whether no other chaos test runs beside it.
    ///
    /// See [`breaks`](Self::breaks) for an example.
    #[must_use]
    pub fn is_exclusive(&self) -> bool {
        self.spec.exclusive
    }
}

/// All chaos tests of this binary, by their paths.
///
/// ```
/// for test in chaos_test::registered() {
///     println!("{}: {}", test.path(), test.hypothesis());
/// }
/// ```
#[must_use]
pub fn registered() -> Vec<Registered> {
    let specs = system::registry::specs().into_iter();
    specs.map(|spec| Registered { spec }).collect()
}

/// The README's examples are compiled like any other.
#[cfg(doctest)]
#[cfg(all(feature = "environments", feature = "http", feature = "main"))]
#[doc = include_str!("../../README.md")]
mod readme {}

/// What the command line may name, and nobody else: thin functions over the rooms that do the
/// work. It changes without notice.
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod __cli {
    pub use crate::decide::diagnosis::{Finding, Sign, diagnose, is_fine};
    pub use crate::decide::selection::{Selection, Unknown};
    pub use crate::model::listed::Listed;
    pub use crate::model::{event, journal, survey};
    pub use crate::report::text::kept_lines;
    pub use crate::run::checkup::{demand, demands, survey as survey_machine};
    pub use crate::run::recovering::{DeadRun, Leftovers, OnEngine, leftovers, recover};
    pub use crate::run::stopping::{Stopped, stop_runs};
    pub use crate::run::{Came, Swept, Told, UNMADE_LIMIT};

    /// Names the file that a test program writes its tests to.
    pub const LIST_VARIABLE: &str = crate::system::registry::LIST_VARIABLE;

    /// Whether there is nothing to do once the process of its test has ended.
    #[must_use]
    pub fn ends_with_its_test(undo: &crate::Undo) -> bool {
        undo.ends_with_its_test()
    }

    /// A duration in the unit that a person would choose.
    #[must_use]
    pub fn human(duration: std::time::Duration) -> String {
        crate::model::units::human(duration)
    }

    /// Milliseconds since 1970 as a person writes them, in UTC.
    #[must_use]
    pub fn date_and_time(ms: u64) -> String {
        let stamp = crate::report::junit::timestamp(ms);
        format!("{} {} UTC", &stamp[..10], &stamp[11..19])
    }
}

/// What the macros may name, and nobody else.
#[doc(hidden)]
pub mod __private {
    pub use inventory;
    pub use linkme;

    pub use crate::model::blast_radius::BlastRadius;
    pub use crate::model::concluded::Concluded;
    pub use crate::model::condition::{AbortCondition, Beyond, Measured};
    pub use crate::model::event::Risk;
    pub use crate::model::scope::Scope;
    pub use crate::model::spec::{Claim, MustFailWhen, Requirement, ShouldPanic, TestSpec};
    pub use crate::run::{
        FixtureRun, Needed, RUN_FIXTURES, RunFixture, Running, keep_fixture, needed, optional,
        run_async_test, run_sync_test, shown, tell_libtest,
    };
    pub use crate::system::registry::Registration;

    use crate::error::{TestError, TestOutcome};
    use crate::run::Fixture;

    pub fn outcome(outcome: impl TestOutcome) -> Result<(), TestError> {
        outcome.into_result()
    }

    pub fn fixture<T, F, Fut>(
        name: &'static str,
        path: &'static str,
        _file: &'static str,
        _line: u32,
        set_up: F,
    ) -> Fixture<T>
    where
        T: Send + Sync + 'static,
        F: FnOnce(FixtureRun) -> Fut + Send + 'static,
        Fut: Future<Output = Result<T, TestError>> + Send + 'static,
    {
        Fixture::new(name, path, |run| Box::pin(set_up(run)))
    }

    pub fn fixture_with_values<T, G, O, F, Fut>(
        name: &'static str,
        path: &'static str,
        _file: &'static str,
        _line: u32,
        open: O,
    ) -> Fixture<T, G>
    where
        T: Send + Sync + 'static,
        O: FnOnce(G) -> (String, F) + Send + 'static,
        F: FnOnce(FixtureRun) -> Fut + Send + 'static,
        Fut: Future<Output = Result<T, TestError>> + Send + 'static,
    {
        Fixture::with_values(name, path, |given| {
            let (values, set_up) = open(given);
            (values, Box::new(|run| Box::pin(set_up(run))))
        })
    }

    pub fn fixture_value<T, E>(value: Result<T, E>) -> Result<T, TestError>
    where
        Result<(), E>: TestOutcome,
    {
        // A fixture's error may be whatever a test's may be.
        value.map_err(|error| match Err::<(), E>(error).into_result() {
            Err(error) => error,
            Ok(()) => TestError::msg("it returned an error"),
        })
    }
}
