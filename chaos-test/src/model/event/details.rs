//! What single events hold: how risky a fault is, what was met, how a body ended.

use std::fmt;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::model::undo::Undo;

/// How much damage a fault can do when it goes wrong.
///
/// ```
/// use chaos_test::Risk;
///
/// assert!(Risk::Low < Risk::Medium && Risk::Medium < Risk::High);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Risk {
    /// It ends with the test's process, whatever happens (a toxic on a link).
    Low,
    /// It changes something outside the test's process that the context made.
    Medium,
    /// It touches something that others use too.
    High,
}

impl fmt::Display for Risk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        })
    }
}

/// Who had a service run again that had died.
///
/// See [`Restarted`](crate::Restarted) for an example.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RestartedBy {
    /// Its own supervisor.
    Supervisor,
    /// The undo of the fault that had ended it, because its supervisor had not in time.
    Undo,
}

/// What the pre-flight calls the steady state.
pub(crate) const STEADY_STATE: &str = "steady state";

/// One thing that is looked at before a fault.
///
/// ```
/// use chaos_test::{Event, Record};
///
/// /// Why a fault was not injected.
/// fn missing(record: &Record) -> Vec<&str> {
///     let Event::Preflight { items, .. } = &record.event else {
///         return Vec::new();
///     };
///     items.iter().filter(|item| !item.ok).map(|item| item.detail.as_str()).collect()
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PreflightItem {
    /// What it is called: `steady state`, `undo`, `capabilities`, `limits` or `other experiments`.
    pub check: String,
    /// Whether it is as it must be.
    pub ok: bool,
    /// What was found, in words.
    pub detail: String,
}

impl PreflightItem {
    pub(crate) fn is_not_steady(&self) -> bool {
        !self.ok && self.check == STEADY_STATE
    }
}

/// Something that stays after its test.
///
/// ```
/// use chaos_test::{Event, Record};
///
/// /// The commands that remove what `CHAOS_KEEP=failed` has left.
/// fn by_hand(record: &Record) -> Vec<String> {
///     match &record.event {
///         Event::Kept { kept } => kept.iter().map(|one| one.undo.by_hand()).collect(),
///         _ => Vec::new(),
///     }
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Kept {
    /// The entry's number in the rollback.
    pub entry: u64,
    /// The step that is left to a person.
    pub undo: Undo,
    /// Whether it runs, if it is a container.
    pub runs: bool,
    /// Where the engine publishes a container's ports, by the port in the container.
    pub ports: Vec<(u16, SocketAddr)>,
}

/// The answer to one judgement.
///
/// ```
/// use chaos_test::{Comparison, Met, lost};
/// let nothing = Comparison::of::<u32, ()>(&[], &[], &[]);
/// assert_eq!(lost().at_most(0).judge("orders", &nothing).met, Met::NoData);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Met {
    /// As expected.
    Yes,
    /// Not as expected.
    No,
    /// There was not enough data to tell.
    NoData,
    /// It was not judged: this is a dry run, and nothing was broken.
    NotJudged,
}

/// How a body ended.
///
/// ```
/// use chaos_test::{BodyEnd, Event, Journal};
///
/// fn took_too_long(journal: &Journal) -> bool {
///     let mut records = journal.records.iter();
///     records.any(|record| matches!(record.event, Event::BodyEnded { how: BodyEnd::TimedOut(_) }))
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", content = "why", rename_all = "snake_case")]
#[non_exhaustive]
pub enum BodyEnd {
    /// It was stopped from outside.
    Interrupted(String),
    /// An abort condition came true.
    Aborted(String),
    /// It returned, without an error.
    Returned,
    /// It returned an error of its own.
    Failed(String),
    /// It returned an error of the harness: the experiment could not be carried out.
    Errored(String),
    /// It panicked.
    Panicked(String),
    /// It panicked, as `#[should_panic]` says it should.
    PanickedAsExpected(String),
    /// It took too long and was abandoned.
    TimedOut(String),
    /// It said that something it needs is not there.
    Skipped(String),
    /// Its process ended in the middle of it.
    ProcessExited(String),
    /// There is no body: the context was used without the macro and has been finished.
    None,
    /// There is no body, and the context was dropped without being finished: nobody asked
    /// for a verdict.
    Dropped,
}
