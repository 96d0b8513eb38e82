//! `CHAOS_KEEP=failed`: the containers of a test that failed stay, to be looked at.
//!
//! It only decides and marks what stays. Whatever is not marked is put back as always.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::decide::verdict;
use crate::error::{Error, Kind};
use crate::model::event::{Event, Kept};
use crate::report::text::kept_lines;
use crate::system::Ledger;
use crate::system::terminal::say;

use super::inner::Inner;

const VARIABLE: &str = "CHAOS_KEEP";

/// Whether the containers of failed tests are to stay.
pub(super) fn is_wanted() -> Result<bool, Error> {
    parse(&std::env::var(VARIABLE).unwrap_or_default())
}

fn parse(text: &str) -> Result<bool, Error> {
    match text.trim() {
        "" => Ok(false),
        "failed" => Ok(true),
        _ => Err(Error::new(
            Kind::Usage,
            format!("{VARIABLE} is `{text}`, which names nothing that can be kept"),
        )
        .help("`failed` keeps the containers of tests that fail; leave it empty to keep nothing")),
    }
}

/// Marks what stays of a test that has failed by now. Its faults have been lifted.
pub(super) async fn mark(inner: &Arc<Inner>) {
    if !inner.identity.keeps_failed {
        return;
    }
    let records = inner.recorder.records();
    // What tests share ends without a verdict of its own, also where it never came to be.
    let shared_failed = inner.shared().is_some_and(|shared| {
        shared.used_by_failed.load(Ordering::SeqCst) || verdict::set_up_failed(&records)
    });
    if !shared_failed && !verdict::has_failed(&records) {
        return;
    }
    let kept = what_stays(inner).await;
    if kept.is_empty() {
        return;
    }
    let lines = kept_lines(&kept);
    // What is not marked on disk would be removed by the next run, should this one be killed.
    match inner.recorder.write(Event::Kept { kept }) {
        Ok(()) => say(&format!(
            "chaos-test: {}: {}",
            inner.identity.name,
            lines.join("\n")
        )),
        Err(error) => inner.recorder.record(Event::Note {
            text: format!("nothing was kept: {error}"),
        }),
    }
}

/// The containers of services, and the network that they share.
#[cfg(feature = "containers")]
async fn what_stays(inner: &Inner) -> Vec<Kept> {
    use crate::model::undo::Undo;
    let (mut kept, mut networks) = (Vec::new(), Vec::new());
    for step in inner.recorder.pending() {
        let mut one = Kept {
            entry: step.entry,
            undo: step.undo,
            runs: false,
            ports: Vec::new(),
        };
        match &one.undo {
            Undo::RemoveContainer { service, .. } => {
                let Ok(unit) = inner.world.service(service) else {
                    continue;
                };
                let Some(container) = unit.as_own_container() else {
                    continue;
                };
                // One that is gone, or that the engine does not tell of, is put back.
                if let Some((runs, ports)) = container.published().await {
                    (one.runs, one.ports) = (runs, ports);
                    kept.push(one);
                }
            }
            Undo::RemoveNetwork { .. } => networks.push(one),
            _ => {}
        }
    }
    if !kept.is_empty() {
        kept.append(&mut networks);
    }
    kept
}

#[cfg(not(feature = "containers"))]
async fn what_stays(_: &Inner) -> Vec<Kept> {
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_failed_can_be_kept() {
        assert_eq!(parse("").ok(), Some(false));
        assert_eq!(parse("failed").ok(), Some(true));
        let error = parse("always").unwrap_err().to_string();
        assert!(
            error.contains("CHAOS_KEEP is `always`") && error.contains("`failed`"),
            "{error}"
        );
    }
}
