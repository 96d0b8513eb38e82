//! The pre-flight: what is looked at before a fault while nothing else is in force, each item by
//! its name. Where the steady state does not hold, nothing can be learnt from breaking anything.

use crate::error::{Error, Kind};
use crate::model::event::{Event, PreflightItem, STEADY_STATE};
use crate::model::target::Target;
use crate::model::undo::Undo;
use crate::model::units::human;
use crate::system::Ledger;
use crate::system::lock::lock;

use super::finish::{SETTLE_LIMIT, SETTLE_STREAK, settles};
use super::inner::Inner;
use super::process_run;

/// All that was looked at but the undo, for which the fault looks last: the steady state may have
/// been waited for.
#[must_use = "it stands in the journal once the undo is known"]
pub(super) struct LookedAt(Vec<PreflightItem>);

impl LookedAt {
    /// Writes everything down, with the undo that a fault was prepared with, or why it could not
    /// be.
    pub(super) fn and_the_undo(self, inner: &Inner, fault: &str, undo: &Result<Undo, Error>) {
        let Self(mut items) = self;
        let undo = match undo {
            Ok(undo) => item("undo", true, undo_in_words(undo)),
            Err(why) => {
                let said = why.to_string();
                item(
                    "undo",
                    false,
                    said.lines().next().unwrap_or_default().to_owned(),
                )
            }
        };
        // Behind the steady state.
        items.insert(1, undo);
        write(inner, fault, items);
    }
}

/// Looks at everything that can be seen before the fault is prepared.
///
/// # Errors
///
/// If the steady state does not hold, or somebody else breaks the same thing. Nothing was
/// touched, and it is written down.
pub(super) async fn check(
    inner: &Inner,
    fault: &str,
    targets: &[Target],
) -> Result<LookedAt, Error> {
    let others = others(inner, targets);
    let mut items = vec![
        item("capabilities", true, capabilities(inner)),
        item("limits", true, limits(inner)),
        others.clone(),
    ];
    if !others.ok {
        write(inner, fault, items);
        return Err(refused(Kind::Refused, fault, &others.detail));
    }
    let steady = tokio::select! {
        steady = steady_state(inner) => steady,
        ended = inner.until_ended() => return Err(ended),
    };
    items.insert(0, steady.clone());
    if steady.ok {
        return Ok(LookedAt(items));
    }
    write(inner, fault, items);
    let why = format!(
        "the steady state does not hold before the fault: {}",
        steady.detail
    );
    Err(refused(Kind::NotSteady, fault, &why).help(
        "nothing was tested; wait until the service is sound again, or say with \
         `.steady_error_rate(..)` how many failures are normal",
    ))
}

fn refused(kind: Kind, fault: &str, why: &str) -> Error {
    Error::new(
        kind,
        format!("{fault} was refused, nothing was touched: {why}"),
    )
}

fn write(inner: &Inner, fault: &str, items: Vec<PreflightItem>) {
    inner.recorder.record(Event::Preflight {
        fault: fault.to_owned(),
        items,
    });
}

fn item(check: &str, ok: bool, detail: String) -> PreflightItem {
    PreflightItem {
        check: check.to_owned(),
        ok,
        detail,
    }
}

/// Every monitor with a baseline has to be steady; one that is not has as long as after the
/// rollback.
async fn steady_state(inner: &Inner) -> PreflightItem {
    let watchers = lock(&inner.monitors).clone();
    if watchers.is_empty() {
        return item(STEADY_STATE, true, "there is no monitor".to_owned());
    }
    let since = inner.recorder.now();
    let (mut steady, mut without, mut problems) = (Vec::new(), Vec::new(), Vec::new());
    for watcher in watchers {
        let Some(baseline) = lock(&watcher.baseline).clone() else {
            without.push(watcher.name.clone());
            continue;
        };
        if !watcher.is_steady(baseline.steady, SETTLE_STREAK, inner)
            && let Err((_, why)) = settles(&watcher, baseline.steady, since, inner).await
        {
            problems.push(format!(
                "`{}` was not steady within {}: {why}",
                watcher.name,
                human(SETTLE_LIMIT)
            ));
            continue;
        }
        steady.push(watcher.name.clone());
    }
    let ok = problems.is_empty();
    if !steady.is_empty() {
        problems.push(format!("steady: {}", steady.join(", ")));
    }
    if !without.is_empty() {
        problems.push(format!("no baseline: {}", without.join(", ")));
    }
    item(STEADY_STATE, ok, problems.join("; "))
}

fn undo_in_words(undo: &Undo) -> String {
    if matches!(undo, Undo::Nothing) {
        undo.to_string()
    } else if undo.ends_with_its_test() {
        format!("{undo}; where this process is killed, that which it broke goes with it")
    } else {
        format!("{undo}; on disk, so that it is done where this process is killed, too")
    }
}

fn capabilities(inner: &Inner) -> String {
    let required: Vec<String> = inner
        .identity
        .requires
        .iter()
        .map(ToString::to_string)
        .collect();
    match required.as_slice() {
        [] => "the test requires none, the fault has what it needs".to_owned(),
        _ => format!("{}; the fault has what it needs", required.join(", ")),
    }
}

fn limits(inner: &Inner) -> String {
    let mut limits = vec![lock(&inner.radius).in_words()];
    let radius = inner.taken.radius();
    if radius.is_set() {
        limits.push(radius.to_string());
    }
    limits.push(if inner.identity.from_macro {
        format!("timeout {}", human(inner.identity.body_limit))
    } else {
        "no timeout".to_owned()
    });
    let conditions = inner.aborts.in_words();
    limits.push(if conditions.is_empty() {
        "no abort condition".to_owned()
    } else {
        format!("aborted if {}", conditions.join(", or "))
    });
    limits.join("; ")
}

/// What a context made is its own. Of anything else, leases keep other tests off; and files are
/// the same for every test of this process.
fn others(inner: &Inner, targets: &[Target]) -> PreflightItem {
    const CHECK: &str = "other experiments";
    let made = inner.own_targets();
    let is_made = |target: &Target| made.iter().any(|one| one.covers(target));
    let shared: Vec<&Target> = targets.iter().filter(|target| !is_made(target)).collect();
    if shared.is_empty() {
        let own = inner.world.targets();
        let is_own = |target: &Target| own.iter().any(|one| one.covers(target));
        let detail = if targets.iter().all(is_own) {
            "the test made what it breaks"
        } else {
            "the test has what it breaks for itself"
        };
        return item(CHECK, true, detail.to_owned());
    }
    for target in &shared {
        let Target::File(_) = target else { continue };
        for other in process_run::live() {
            let is_itself = std::ptr::eq(&raw const *other, inner);
            if !is_itself && let Some(fault) = other.taken.who_breaks(target) {
                let name = &other.identity.name;
                return item(
                    CHECK,
                    false,
                    format!("{target} is broken by another test, {name}: `{fault}`"),
                );
            }
        }
    }
    let shared: Vec<String> = shared.into_iter().map(ToString::to_string).collect();
    let shared = shared.join(", ");
    let leases = inner.leases.names();
    let detail = if leases.is_empty() {
        format!("no lease keeps other tests from {shared}")
    } else {
        format!("{shared}; leases: {}", leases.join(", "))
    };
    item(CHECK, true, detail)
}
