//! Everything that can happen in a test, as one ordered list.
//!
//! Verdicts and reports are pure functions of these records. Each is one line of the
//! journal.

mod details;
mod started;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::blast_radius::BlastRadius;
use super::evidence::Evidence;
use super::identity::ProcessIdentity;
use super::measure::Measure;
use super::outcome::Outcome;
use super::sample::{Sample, Window};
use super::target::Target;
use super::undo::Undo;

pub(crate) use details::STEADY_STATE;
pub use details::{BodyEnd, Kept, Met, PreflightItem, RestartedBy, Risk};
pub use started::{JOURNAL_VERSION, Started};

/// One event, with its place in the order of the whole process and its time.
///
/// ```
/// use chaos_test::Journal;
///
/// fn print_timeline(journal: &Journal) {
///     for record in &journal.records {
///         println!("{:>8} ms  {:?}", record.at_us / 1000, record.event);
///     }
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Record {
    /// Its number: one sequence for all tests of a process, so that what was done last can
    /// be undone first.
    pub seq: u64,
    /// Microseconds since the context started.
    pub at_us: u64,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

/// What happened.
///
/// ```
/// use chaos_test::{Event, Journal};
///
/// fn notes(journal: &Journal) -> Vec<&str> {
///     let records = journal.records.iter();
///     let notes = records.filter_map(|record| match &record.event {
///         Event::Note { text } => Some(text.as_str()),
///         _ => None, // there are more, and later versions have others
///     });
///     notes.collect()
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event {
    /// The first line of every journal.
    Started(Box<Started>),
    /// It waits for other tests to end, for longer than a moment.
    Waiting {
        /// The lease that it waits for; none where it waits for its turn among all tests.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        lease: Option<String>,
        /// Who has that, in words.
        held: String,
    },
    /// It has what it waited for.
    Waited {
        /// The lease; none where it waited for its turn among all tests.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        lease: Option<String>,
        /// How long it waited, in microseconds.
        took_us: u64,
    },
    /// A fixture's set-up ended.
    FixtureReady {
        /// Its name.
        fixture: String,
        /// How long its set-up took, in microseconds.
        took_us: u64,
    },
    /// A fixture's set-up failed.
    FixtureFailed {
        /// Its name.
        fixture: String,
        /// Its own message.
        why: String,
    },
    /// A fixture's set-up skipped: something that it needs is missing.
    FixtureSkipped {
        /// Its name.
        fixture: String,
        /// What is missing.
        why: String,
    },
    /// Set-up is over; the body begins.
    BodyStarted,
    /// A service runs and is ready, or is meant to hang.
    ServiceStarted {
        /// Its name.
        service: String,
        /// Its process number; that of the test where it runs in the test's own process.
        pid: u32,
        /// The name of its container, if it runs in one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        container: Option<String>,
        /// Where it listens itself, without a link in between.
        ports: Vec<u16>,
        /// Where its output goes.
        log: Option<PathBuf>,
        /// How long the start took, in microseconds.
        took_us: u64,
    },
    /// A service is something that was there before the test, and stays after it.
    ServiceFound {
        /// Its name in the test.
        service: String,
        /// What it is, in words.
        what: String,
        /// Its process number; 0 where it has none that is known.
        #[serde(default)]
        pid: u32,
        /// Where it listens itself, without a link in between.
        #[serde(default)]
        ports: Vec<u16>,
    },
    /// A service that had died runs and is ready again.
    Restarted {
        /// Its name.
        service: String,
        /// Who brought it back.
        by: RestartedBy,
        /// Since when it had been dead, in microseconds.
        after_us: u64,
        /// The process that runs now; that of the engine's machine, for a container.
        #[serde(default)]
        pid: u32,
        /// The same, where it can be told from a namesake.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        process: Option<ProcessIdentity>,
    },
    /// A service's process ended though nobody asked for it.
    ServiceDied {
        /// Its name.
        service: String,
        /// How it ended.
        how: String,
    },
    /// Something is about to be done; this is how it is undone. On disk before it happens.
    Planned {
        /// The entry's number in the rollback.
        entry: u64,
        /// What will be done, in words.
        what: String,
        /// How it is undone.
        undo: Undo,
        /// Whether it is a fault (and not a service, a scratch folder, ...).
        fault: bool,
    },
    /// What a step planned was made: whoever was asked for it has said so. Only written where
    /// somebody else makes it, who may still be at it when the test is dead.
    Made {
        /// The entry's number in the rollback.
        entry: u64,
    },
    /// A fault is in effect.
    Injected {
        /// The entry's number in the rollback.
        entry: u64,
        /// The fault, in words.
        fault: String,
        /// What it touches.
        targets: Vec<Target>,
        /// Its risk class.
        risk: Risk,
        /// From the call until it was verified to be in effect, in microseconds.
        took_us: u64,
    },
    /// This is a dry run (`CHAOS_DRY_RUN`): nothing is broken.
    DryRun,
    /// A fault that would be in effect now, if this were no dry run.
    WouldInject {
        /// Its number.
        entry: u64,
        /// The fault, in words.
        fault: String,
        /// What it would touch.
        targets: Vec<Target>,
        /// Its risk class.
        risk: Risk,
        /// How it would be undone, in words.
        undo: String,
        /// When it would have ended by itself, in microseconds, if it would.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        lasts_us: Option<u64>,
    },
    /// What was looked at before a fault, while nothing else was in force.
    Preflight {
        /// The fault, in words.
        fault: String,
        /// Each thing that was looked at.
        items: Vec<PreflightItem>,
    },
    /// How much may be broken at once from now on.
    BlastRadius {
        /// The strictest of all limits that were given so far.
        radius: BlastRadius,
    },
    /// A fault was in force for as long as the blast radius allows, and is lifted for that: what
    /// the test saw from then on is not what it takes it for.
    LimitReached {
        /// The entry's number in the rollback.
        entry: u64,
        /// The fault, in words.
        fault: String,
        /// What is allowed, in microseconds.
        limit_us: u64,
    },
    /// A fault could not be injected; what it may have changed was put back.
    InjectFailed {
        /// The fault, in words.
        fault: String,
        /// Why not.
        why: String,
    },
    /// A fault was lifted.
    Lifted {
        /// The entry's number in the rollback.
        entry: u64,
        /// The fault, in words.
        fault: String,
        /// How long it was in effect, in microseconds.
        lasted_us: u64,
        /// How often something met it: connections, samples, whatever the fault counts.
        hits: u64,
        /// Where its guard was dropped, if nobody lifted it by name.
        dropped: bool,
        /// Whether the call that injected it was cancelled, so that nobody ever had its
        /// guard: then it need not have been met, and does not count as chaos.
        cancelled: bool,
        /// What would have counted as a hit, for the message where there was none.
        counts: String,
    },
    /// An undo step was performed, or it was already done.
    Undone {
        /// The entry's number in the rollback.
        entry: u64,
        /// What was undone, in words.
        what: String,
        /// Whether it was a fault's.
        fault: bool,
    },
    /// An undo step failed.
    UndoFailed {
        /// The entry's number in the rollback.
        entry: u64,
        /// What was to be undone, in words.
        what: String,
        /// Why it failed.
        why: String,
        /// What a person can do.
        by_hand: String,
    },
    /// Containers and their network stay on purpose (`CHAOS_KEEP=failed`): nobody performs
    /// these steps any more. All of them in one event, so that none stays without the others.
    Kept {
        /// What stays, newest first.
        kept: Vec<Kept>,
    },
    /// The environment that the test is in; left out where nobody speaks of one.
    Environment {
        /// Its name.
        name: String,
        /// Who says that it is this one, in words.
        chosen_by: String,
        /// The configuration.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        file: Option<PathBuf>,
    },
    /// The environment permits a fault on somebody's word, or for a time; nothing is touched yet.
    Permitted {
        /// What is to be injected.
        fault: String,
        /// The environment's name.
        environment: String,
        /// The confirmations that it took, as `production/orders-db`.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        confirmed: Vec<String>,
        /// What was attested and by whom, as `reviewed=alice 2026-11-20`.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        attested: Vec<String>,
        /// The window that is open, as the configuration has it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        window: Option<String>,
    },
    /// A baseline was taken.
    Baseline {
        /// The monitor's name.
        monitor: String,
        /// What it looked at.
        window: Window,
        /// What it found, in words.
        summary: String,
    },
    /// Something was judged.
    Judged {
        /// What, for example `error rate of checkout over 5 s under "kill inventory"`.
        what: String,
        /// What was expected.
        expected: String,
        /// What was seen.
        actual: String,
        /// Whether that is as expected.
        met: Met,
        /// Where in the source it was judged.
        at: String,
        /// The numbers that it was made of.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        measured: Vec<Measure>,
        /// The samples that it is about.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        evidence: Vec<Evidence>,
    },
    /// A system under test was back within the limit.
    Recovered {
        /// The monitor's name.
        monitor: String,
        /// Time from the named instant to the first sample of the streak, in microseconds.
        recovery_us: u64,
        /// Whether any sample was out of its steady state, under the fault or since then.
        degraded: bool,
        /// Time from the named instant to the first sample that succeeded, in microseconds.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        first_success_us: Option<u64>,
        /// From the first sample out of steady state to the recovery, in microseconds.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        outage_us: Option<u64>,
        /// How many samples failed in that time.
        #[serde(default)]
        lost: u64,
        /// The rollback entry of the fault that it recovered from, if there was one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        entry: Option<u64>,
    },
    /// A system under test was not back within the limit.
    NotRecovered {
        /// The monitor's name.
        monitor: String,
        /// The limit, in microseconds.
        limit_us: u64,
        /// When it was back nevertheless, if that was seen, in microseconds since the named
        /// instant.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        recovery_us: Option<u64>,
        /// The rollback entry of the fault that it was to recover from, if there was one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        entry: Option<u64>,
    },
    /// A sample violated an invariant.
    Violated {
        /// The invariant, in words.
        invariant: String,
        /// The sample.
        sample: Sample,
        /// What is wrong with it.
        why: String,
    },
    /// What a system under test shows of its state has changed.
    Transition {
        /// Whose state, as its watcher is called.
        of: String,
        /// The state before, where one was known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from: Option<String>,
        /// The state since then.
        to: String,
        /// Whether it was only counted or logged, and never seen itself.
        #[serde(default)]
        unseen: bool,
    },
    /// The samples of a monitor, written once when it ends.
    Samples {
        /// The monitor's name.
        monitor: String,
        /// All of them, in the order of their intended times.
        samples: Vec<Sample>,
    },
    /// The first sample was sent with the test's trace.
    Traced {
        /// The id of the trace, as W3C's `traceparent` has it.
        trace: String,
    },
    /// The body ended.
    BodyEnded {
        /// How.
        how: BodyEnd,
    },
    /// A stage of the harness itself failed; the other stages went on.
    HarnessFailed {
        /// Which, and how.
        why: String,
    },
    /// A note for people.
    Note {
        /// What there is to say.
        text: String,
    },
    /// The last line of a journal that was closed in order.
    Finished {
        /// All three answers.
        outcome: Outcome,
    },
}
