//! The end of a test: rollback, the steady state once more, the verdict, the reports.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::decide::recovery::{InARow, Progress, Steady};
use crate::decide::{claims, verdict};
use crate::error::{Error, Kind};
use crate::model::event::{BodyEnd, Event, Met, Record};
use crate::model::outcome::{Outcome, Restoration, RunStatus, Verdict};
use crate::model::test_report::TestEnd;
use crate::model::units::human;
use crate::report::text::{self, Format, LogTail};
use crate::system::Ledger;
use crate::system::lock::lock;
use crate::system::service::last_lines;
use crate::system::terminal;

use super::fixtures::holds;
use super::injecting::lifting;
use super::inner::{Inner, Stop};
use super::monitor::Watcher;
use super::{
    aborting, checks, dry, engine, invariants, judging, keep, process_run, rollback, summary,
};

/// How long calls that are still under way may take to end.
const CALLS_LIMIT: Duration = Duration::from_secs(120);
/// How long the steady state may take to return after rollback.
pub(super) const SETTLE_LIMIT: Duration = Duration::from_secs(10);
/// How many samples in a row show that it has.
pub(super) const SETTLE_STREAK: usize = 3;
/// How long the end of a test may take in all before nobody waits for it any more.
const END_LIMIT: Duration = Duration::from_secs(180);
/// What each pending step may add to that.
const STEP_LIMIT: Duration = Duration::from_secs(15);
/// How many of a service's last lines a report shows.
const LOG_LINES: usize = 10;

/// Why a context ends.
#[derive(Debug, Clone)]
pub(super) enum Ending {
    /// The body of a `#[chaos_test]` ended.
    Body(BodyEnd),
    /// `finish` was called on a context without the macro.
    Finished,
    /// A context without the macro was dropped.
    Dropped,
    /// The process ends.
    ProcessExits(String),
    /// Somebody stopped the run, or an abort condition did.
    Stopped(Stop),
}

/// Ends a context, once. Whoever comes second waits for the first.
pub(super) async fn end(inner: &Arc<Inner>, ending: Ending) -> Outcome {
    let first = !inner.ended.send_replace(true);
    if !first {
        let mut outcome = inner.outcome.subscribe();
        // The sender lives as long as `inner`.
        let ended = outcome.wait_for(Option::is_some).await.expect("it is ours");
        return ended.clone().expect("waited for");
    }
    let ending = or_stopped(inner, ending);
    let check_steady_state = !matches!(
        ending,
        Ending::ProcessExits(_)
            | Ending::Stopped(Stop::Interrupted(_))
            | Ending::Body(BodyEnd::Skipped(_) | BodyEnd::Interrupted(_))
    );
    let (body_end, by_itself) = (inner.recorder.now(), ended_by_itself(&ending));
    let returned = matches!(&ending, Ending::Finished | Ending::Body(BodyEnd::Returned));
    if by_itself {
        aborting::judge_unwatched(inner);
    }
    inner.recorder.record(Event::BodyEnded {
        how: match ending {
            Ending::Body(how) => how,
            Ending::Finished => BodyEnd::None,
            Ending::Dropped => BodyEnd::Dropped,
            Ending::ProcessExits(why) => BodyEnd::ProcessExited(why),
            Ending::Stopped(stop) => stop.into(),
        },
    });
    stage(inner, "waiting for calls", |inner| async move {
        inner.refuse_calls(CALLS_LIMIT).await;
    })
    .await;
    stage(inner, "lifting faults", |inner| async move {
        rollback::lift_all(&inner).await
    })
    .await;
    if check_steady_state {
        stage(inner, "checking the steady state", |inner| async move {
            settle(&inner).await
        })
        .await;
    }
    stage(
        inner,
        "judging checks and invariants",
        move |inner| async move {
            if by_itself {
                checks::judge_all(&inner, body_end).await;
            }
            invariants::judge_all(&inner, by_itself).await;
            if by_itself {
                judge_claims(&inner, returned);
            }
        },
    )
    .await;
    stage(inner, "ending monitors", |inner| async move {
        stop_monitors(&inner);
        inner.trace.commands.close();
    })
    .await;
    stage(inner, "dropping fixtures", |inner| async move {
        inner.fixtures.drop_in_reverse().await;
    })
    .await;
    let mut logs = logs(inner);
    for shared in inner.used_shared() {
        logs.extend(shared.tails());
    }
    *lock(&inner.tails) = logs.clone();
    // Decided before anything goes: from the body's end, the judgements and the faults.
    stage(inner, "marking what stays", |inner| async move {
        keep::mark(&inner).await
    })
    .await;
    stage(inner, "putting everything back", |inner| async move {
        rollback::put_back_all(&inner).await;
    })
    .await;
    stage(inner, "closing links", |inner| async move {
        inner.world.close().await
    })
    .await;
    let outcome = verdict::judge(&inner.recorder.records());
    let restored = matches!(outcome.restoration, Restoration::Restored { .. });
    inner.leases.give_back(restored);
    holds::give_back(inner);
    inner.recorder.record(Event::Finished {
        outcome: outcome.clone(),
    });
    report(inner, &outcome, &logs);
    process_run::forget(inner);
    inner.outcome.send_replace(Some(outcome.clone()));
    outcome
}

/// Whether a body, or whoever calls `finish`, has done all that it would.
fn ended_by_itself(ending: &Ending) -> bool {
    matches!(
        ending,
        Ending::Finished
            | Ending::Body(
                BodyEnd::Returned
                    | BodyEnd::Failed(_)
                    | BodyEnd::Panicked(_)
                    | BodyEnd::PanickedAsExpected(_)
            )
    )
}

/// What comes true at the very end has come true, and who was stopped has not ended by itself.
fn or_stopped(inner: &Inner, ending: Ending) -> Ending {
    if !ended_by_itself(&ending) {
        return ending;
    }
    let stopped = inner.stopped.borrow().clone();
    match stopped.or_else(|| aborting::breached(inner)) {
        Some(stop) => Ending::Stopped(stop),
        None => ending,
    }
}

/// Holds what the test declares against what its body judged.
fn judge_claims(inner: &Inner, returned: bool) {
    let went_wrong = !returned
        || inner
            .recorder
            .any(|event| matches!(event, Event::Judged { met, .. } if *met != Met::Yes));
    for claim in claims::judge(inner.identity.claims, &inner.recorder.records()) {
        if inner.identity.dry_run {
            dry::not_judged(inner, &claim, "");
            continue;
        }
        // A body that went wrong may not have come to it, and what went wrong says more.
        if went_wrong && claim.met == Met::NoData {
            continue;
        }
        judging::record(inner, &claim, "");
    }
}

/// Runs one stage of the end. A panic in it is recorded and never stops the next stage.
async fn stage<F>(inner: &Arc<Inner>, what: &str, work: impl FnOnce(Arc<Inner>) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let _going = inner.going(what);
    let done = engine::own().spawn(work(Arc::clone(inner))).await;
    if let Err(panic) = done {
        inner.recorder.record(Event::HarnessFailed {
            why: format!("{what}: {panic}"),
        });
    }
}

/// As [`end`], from a thread that may not be asynchronous.
pub(super) fn end_blocking(inner: &Arc<Inner>, ending: Ending) -> Outcome {
    if let Some(outcome) = inner.outcome.borrow().clone() {
        return outcome;
    }
    let work = {
        let inner = Arc::clone(inner);
        async move { end(&inner, ending).await }
    };
    let ended = if engine::is_own_thread() {
        // A worker of the engine that waits for the engine would hold it up.
        engine::own().spawn(work);
        Err(Error::new(Kind::TimedOut, "it goes on in the background"))
    } else {
        // Each step has its own deadline; many steps take their time one after the other.
        let steps = u32::try_from(inner.recorder.pending().len()).unwrap_or(u32::MAX);
        engine::block_on_own(END_LIMIT + STEP_LIMIT.saturating_mul(steps), work)
    };
    ended.unwrap_or_else(|error| Outcome {
        status: RunStatus::Errored(format!("the rollback did not end: {error}")),
        ..verdict::judge(&inner.recorder.records())
    })
}

/// The outcome as `finish` returns it.
pub(super) fn as_result(inner: &Inner, outcome: Outcome) -> Result<Outcome, Error> {
    if outcome.passed() {
        return Ok(outcome);
    }
    if let Some(why) = outcome.skipped()
        && inner.identity.dry_run
    {
        // Whoever looks at it sees that it is no pass.
        summary::skipped(&inner.identity.name, why);
        return Ok(outcome);
    }
    let kind = match (&outcome.status, &outcome.verdict) {
        (RunStatus::Aborted(_), _) => Kind::Aborted,
        (_, Verdict::Deviated(_)) => Kind::Deviated,
        (RunStatus::TimedOut(_), _) => Kind::TimedOut,
        (RunStatus::Interrupted(_), _) => Kind::Interrupted,
        (RunStatus::Completed, Verdict::Unknown(why)) if why.starts_with("not tested") => {
            Kind::NotSteady
        }
        (RunStatus::Completed, Verdict::Unknown(_)) => Kind::NoData,
        _ => Kind::Undo,
    };
    Err(Error::new(kind, explained(inner, &outcome)))
}

/// The steady state is checked again after rollback, always: every monitor with a baseline
/// must be back.
async fn settle(inner: &Arc<Inner>) {
    let watchers = lock(&inner.monitors).clone();
    if inner.is_hypothetical_now() {
        let has_baseline = |watcher: &&Arc<Watcher>| lock(&watcher.baseline).is_some();
        let names = watchers.iter().filter(has_baseline);
        let names = names.map(|watcher| watcher.name.clone()).collect();
        let expected = format!("back within {}", human(SETTLE_LIMIT));
        return dry::steady_states_not_judged(inner, names, &expected);
    }
    let since = inner.recorder.now();
    for watcher in watchers {
        let baseline = lock(&watcher.baseline).clone();
        let Some(baseline) = baseline else { continue };
        let (met, actual) = match settles(&watcher, baseline.steady, since, inner).await {
            Ok(at) => (
                Met::Yes,
                format!("back after {}", human(at.saturating_sub(since))),
            ),
            Err((Met::No, problem)) => (Met::No, format!("not back: {problem}")),
            Err(unknown) => unknown,
        };
        inner.recorder.record(Event::Judged {
            what: format!("steady state of {} after rollback", watcher.name),
            expected: format!("back within {}", human(SETTLE_LIMIT)),
            actual,
            met,
            at: String::new(),
            measured: Vec::new(),
            evidence: vec![watcher.evidence_since(since, inner)],
        });
    }
}

/// Waits until a monitor is steady again, and says since when; or else why that is not so, or not
/// known.
pub(super) async fn settles(
    watcher: &Watcher,
    steady: Steady,
    since: Duration,
    inner: &Inner,
) -> Result<Duration, (Met, String)> {
    // The streak may begin at the last instant, however slow the monitor's pace is.
    let streak = watcher.interval * u32::try_from(SETTLE_STREAK).unwrap_or(u32::MAX);
    let deadline = since + SETTLE_LIMIT + streak + steady.slowest;
    let in_a_row = InARow {
        samples: SETTLE_STREAK,
        late: 0,
    };
    let progress = watcher
        .recovery(steady, since, in_a_row, deadline, inner)
        .await;
    Err(match progress {
        Progress::Recovered { at, .. } => return Ok(at),
        Progress::NotYet { seen: 0, .. } => (Met::NoData, "no sample was answered".to_owned()),
        // What was not sent says nothing about the system under test.
        Progress::NotYet { unsent: 1.., .. } => {
            (Met::NoData, "the monitor did not keep its pace".to_owned())
        }
        Progress::NotYet {
            last_problem: Some(problem),
            ..
        } => (Met::No, problem),
        Progress::NotYet { seen, .. } => (
            Met::NoData,
            format!("only {seen} samples, {SETTLE_STREAK} in a row are needed"),
        ),
    })
}

fn stop_monitors(inner: &Inner) {
    inner.transitions.stop();
    let monitors = std::mem::take(&mut *lock(&inner.monitors));
    for watcher in monitors {
        watcher.stop();
        inner.recorder.record(Event::Samples {
            monitor: watcher.name.clone(),
            samples: watcher.all(),
        });
    }
}

/// The last lines of each service that it made, asked for while it is still known.
pub(super) fn logs(inner: &Inner) -> Vec<LogTail> {
    let services = inner.world.services();
    services
        .iter()
        .map(|service| LogTail {
            service: service.name().to_owned(),
            path: service.log().to_owned(),
            lines: last_lines(service.log(), LOG_LINES),
        })
        .collect()
}

/// The failure's explanation, once the test has ended.
pub(super) fn explained(inner: &Inner, outcome: &Outcome) -> String {
    let tails = lock(&inner.tails).clone();
    let format = Format {
        width: terminal::width(),
        color: terminal::color(),
        unicode: terminal::unicode(),
    };
    explain(inner, outcome, &tails, format)
}

fn explain(inner: &Inner, outcome: &Outcome, logs: &[LogTail], format: Format) -> String {
    let records = inner.recorder.records();
    let Some(Event::Started(started)) = records.first().map(|record| &record.event) else {
        return verdict::headline(outcome);
    };
    let again = inner.identity.command_again();
    let run = &inner.identity.run;
    text::explain(
        &inner.identity.name,
        started,
        &records,
        outcome,
        logs,
        &again,
        &run.reports.folder().join("junit.xml").to_string_lossy(),
        format,
    )
}

/// Closes the journal and replaces the test's report. What cannot be written is said and
/// does not change the outcome.
fn report(inner: &Inner, outcome: &Outcome, logs: &[LogTail]) {
    let records = inner.recorder.records();
    let run = &inner.identity.run;
    let journal = run
        .reports
        .journals()
        .join(format!("{}.jsonl", inner.identity.stem()));
    let kept = write_journal(&journal, &records).map(|()| journal);
    let restored = matches!(
        outcome.restoration,
        crate::model::outcome::Restoration::Restored { .. }
    );
    let closed = if lifting::anything_is_stuck(inner) {
        inner.recorder.close_at_exit()
    } else {
        inner.recorder.close(restored)
    };
    // What tests share is part of their reports, and is reported itself only where it stays.
    if inner.identity.is_shared_fixture && restored {
        return;
    }
    if let Some(path) = closed {
        terminal::say(&format!(
            "chaos-test: {}: not everything was put back; its watchdog tries again once this \
             process has ended, and so does the next run, from {}",
            inner.identity.name,
            path.display()
        ));
    }
    if let Some(plan) = text::plan(&inner.identity.name, &records) {
        terminal::say(&format!("chaos-test: {plan}"));
    }
    let details = if outcome.passed() {
        text::timeline(&records)
    } else {
        explain(inner, outcome, logs, Format::FILE)
    };
    let end = TestEnd {
        took_us: u64::try_from(inner.recorder.now().as_micros()).unwrap_or(u64::MAX),
        outcome: outcome.clone(),
        message: verdict::headline(outcome),
        details,
        journal: kept.as_ref().ok().cloned(),
        logs: logs
            .iter()
            .map(|log| log.path.clone())
            .collect::<Vec<PathBuf>>(),
    };
    let fragment = inner.identity.report(Some(end));
    let written = kept
        .map(drop)
        .and_then(|()| run.reports.write(&inner.identity.fragment, &fragment));
    if let Err(error) = written {
        terminal::say(&format!(
            "chaos-test: {}: the report could not be written: {error}",
            inner.identity.name
        ));
    }
}

fn write_journal(path: &std::path::Path, records: &[Record]) -> std::io::Result<()> {
    let mut text = Vec::new();
    for record in records {
        serde_json::to_writer(&mut text, record)?;
        text.push(b'\n');
    }
    std::fs::write(path, text)
}
