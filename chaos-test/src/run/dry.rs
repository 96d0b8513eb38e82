//! Dry runs (`CHAOS_DRY_RUN=1`): everything but the breaking. Faults are held against the limits
//! and prepared, and what they would do is written down; what is judged afterwards is not judged,
//! because nothing was broken.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::decide::tolerance::Judgement;
use crate::error::{Error, Kind};
use crate::model::event::{Event, Met, Risk};
use crate::model::spec::TestSpec;
use crate::system::Ledger;

use super::injecting::injected::Injected;
use super::inner::Inner;
use super::judging;

const VARIABLE: &str = "CHAOS_DRY_RUN";
/// A window after a fault that was not injected need not be longer: nothing of it is judged.
const WINDOW: Duration = Duration::from_millis(100);

/// Whether this is to be a dry run.
pub(super) fn is_wanted() -> Result<bool, Error> {
    let set = std::env::var_os(VARIABLE).unwrap_or_default();
    parse(&set.to_string_lossy())
}

fn parse(text: &str) -> Result<bool, Error> {
    match text.trim().to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" => Ok(true),
        "" | "0" | "false" | "no" => Ok(false),
        _ => Err(Error::new(
            Kind::Usage,
            format!("{VARIABLE} is `{text}`, which is neither yes nor no"),
        )
        .help("`1` breaks nothing and shows what would be broken; leave it empty to test")),
    }
}

/// Writes down a fault in the place of injecting it.
pub(super) fn would_inject(
    inner: &Inner,
    fault: &Injected,
    risk: Risk,
    length: Option<Duration>,
    ends_within: Option<Duration>,
) {
    let now = inner.recorder.now();
    fault.dry.store(true, Ordering::SeqCst);
    fault.injected_at.get_or_init(|| now);
    inner.dry_since.get_or_init(|| now);
    inner.recorder.record(Event::WouldInject {
        entry: fault.entry,
        fault: fault.what.clone(),
        targets: fault.targets.clone(),
        risk,
        undo: fault.undo.to_string(),
        lasts_us: length
            .or(ends_within)
            .map(|length| u64::try_from(length.as_micros()).unwrap_or(u64::MAX)),
    });
    if length.is_none() && ends_within.is_some() {
        // It would be over by now, and its place free.
        fault.leave_place();
    }
}

/// Says which negative controls are not run.
pub(super) fn without_controls(inner: &Inner, spec: &'static TestSpec) {
    for weakened in spec.must_fail_when {
        inner.recorder.record(Event::Note {
            text: format!(
                "dry run: the negative control with {}={} is not run",
                weakened.variable, weakened.value
            ),
        });
    }
}

impl Inner {
    /// Whether what was seen until an instant was to be seen under, or after, a fault that was
    /// not injected because this is a dry run.
    pub(super) fn is_hypothetical(&self, until: Duration) -> bool {
        let since = self.dry_since.get();
        since.is_some_and(|since| until > *since)
    }

    /// As [`is_hypothetical`](Self::is_hypothetical), for what is judged now.
    pub(super) fn is_hypothetical_now(&self) -> bool {
        self.dry_since.get().is_some()
    }

    /// When a window is over: earlier in a dry run, where nothing of it is judged.
    pub(super) fn window_ends(&self, to: Duration, interval: Duration) -> Duration {
        let now = self.recorder.now();
        if self.is_hypothetical_now() {
            to.min(now + WINDOW.max(interval * 3))
        } else {
            to
        }
    }
}

/// Writes down that something is not judged.
pub(super) fn not_judged(inner: &Inner, judgement: &Judgement, at: &str) {
    judging::write(
        inner,
        &Judgement {
            actual: "nothing was broken, this is a dry run".to_owned(),
            met: Met::NotJudged,
            measured: Vec::new(),
            evidence: Vec::new(),
            ..judgement.clone()
        },
        at,
    );
}

/// Says that the steady state is not looked at again: it was never disturbed.
pub(super) fn steady_states_not_judged(inner: &Arc<Inner>, names: Vec<String>, expected: &str) {
    for name in names {
        let judgement = Judgement {
            what: format!("steady state of {name} after rollback"),
            expected: expected.to_owned(),
            actual: String::new(),
            met: Met::NotJudged,
            measured: Vec::new(),
            evidence: Vec::new(),
        };
        not_judged(inner, &judgement, "");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_clear_word_makes_a_dry_run_or_none() {
        for (text, expected) in [
            ("1", true),
            ("true", true),
            ("YES", true),
            ("", false),
            ("0", false),
            ("false", false),
            (" no ", false),
        ] {
            assert_eq!(parse(text).ok(), Some(expected), "{text:?}");
        }
        for text in ["2", "on", "dry", "ja", "\u{fffd}"] {
            let error = parse(text).unwrap_err().to_string();
            assert!(
                error.starts_with(&format!("CHAOS_DRY_RUN is `{text}`, which is neither")),
                "{error}"
            );
        }
    }
}
