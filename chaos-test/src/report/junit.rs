//! One JUnit XML document for one run.
//!
//! It is valid against the Jenkins schema (junit-10), the strictest that its readers use,
//! and a pure function of the reports: the same reports in any order give the same bytes.
//!
//! It is written with `quick-xml` and not with `quick-junit`, because the latter always puts
//! `skipped` on `<testsuites>`, which that schema forbids, and has no way to leave it out.

use std::collections::BTreeMap;
use std::io;

use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesEnd, BytesStart, BytesText, Event};

use super::text::plain;
use crate::decide::verdict::headline;
use crate::model::outcome::{Outcome, Restoration, RunStatus, Verdict};
use crate::model::test_report::TestReport;

/// The document for all reports of one run.
///
/// Reports of the same test are its attempts: the last one is its result, and those before
/// it are kept as flaky (it passed in the end) or rerun (it did not).
#[must_use]
pub fn junit(reports: &[TestReport]) -> String {
    let mut suites: BTreeMap<&str, BTreeMap<&str, Vec<&TestReport>>> = BTreeMap::new();
    for report in reports {
        let cases = suites.entry(&report.binary).or_default();
        cases.entry(&report.name).or_default().push(report);
    }
    let suites: Vec<Suite> = suites
        .into_iter()
        .map(|(binary, cases)| Suite {
            binary,
            cases: cases.into_values().map(Case::new).collect(),
        })
        .collect();
    let mut writer = Writer::new_with_indent(Vec::new(), b' ', 2);
    document(&mut writer, &suites).expect("writing to memory cannot fail");
    let mut bytes = writer.into_inner();
    bytes.push(b'\n');
    String::from_utf8(bytes).expect("text that is escaped stays text")
}

struct Suite<'a> {
    binary: &'a str,
    cases: Vec<Case<'a>>,
}

impl<'a> Suite<'a> {
    fn attempts(&self) -> impl Iterator<Item = &'a TestReport> {
        self.cases
            .iter()
            .flat_map(|case| case.attempts.iter().copied())
    }

    fn count(&self, element: &str) -> usize {
        let is = |case: &&Case| case.answer.as_ref().is_some_and(|it| it.element == element);
        self.cases.iter().filter(is).count()
    }
}

struct Case<'a> {
    /// At least one, the last is the result.
    attempts: Vec<&'a TestReport>,
    answer: Option<Answer>,
}

impl<'a> Case<'a> {
    fn new(mut attempts: Vec<&'a TestReport>) -> Self {
        // The text of the whole report settles what nothing else does, so that the order in
        // which fragments were read never shows.
        attempts.sort_by(|a, b| {
            (a.attempt, a.started_ms, a.end.is_some(), &a.process)
                .cmp(&(b.attempt, b.started_ms, b.end.is_some(), &b.process))
                .then_with(|| format!("{a:?}").cmp(&format!("{b:?}")))
        });
        // An attempt that was made twice counts once, as it was made last.
        let mut distinct: Vec<&TestReport> = Vec::new();
        for report in attempts {
            if distinct
                .last()
                .is_some_and(|last| last.attempt == report.attempt)
            {
                distinct.pop();
            }
            distinct.push(report);
        }
        let answer = distinct.last().and_then(|last| Answer::of(last));
        Self {
            attempts: distinct,
            answer,
        }
    }
}

/// Why an attempt did not pass, as JUnit says it.
struct Answer {
    element: &'static str,
    kind: &'static str,
    message: String,
    text: String,
}

const FAILURE: &str = "failure";
const ERROR: &str = "error";
const SKIPPED: &str = "skipped";

impl Answer {
    /// `None` where it passed.
    fn of(report: &TestReport) -> Option<Self> {
        let Some(end) = &report.end else {
            return Some(Self {
                element: ERROR,
                kind: "never ended",
                message: "the test started and never ended: its process was killed or crashed"
                    .to_owned(),
                text: String::new(),
            });
        };
        let outcome = &end.outcome;
        if outcome.passed() {
            return None;
        }
        if let Some(why) = outcome.skipped() {
            return Some(Self {
                element: SKIPPED,
                kind: "skipped",
                message: why.to_owned(),
                text: String::new(),
            });
        }
        if let Some(gap) = outcome.known_gap() {
            return Some(Self {
                element: SKIPPED,
                kind: "known gap",
                message: format!("known gap {gap}: {}", headline(outcome)),
                text: end.details.clone(),
            });
        }
        let (element, kind) = classify(outcome);
        let message = if end.message.trim().is_empty() {
            headline(outcome)
        } else {
            end.message.clone()
        };
        Some(Self {
            element,
            kind,
            message,
            text: with_leftovers(&end.details, outcome),
        })
    }
}

/// `failure` where the system under test is to blame, `error` where the harness is.
fn classify(outcome: &Outcome) -> (&'static str, &'static str) {
    match (&outcome.status, &outcome.verdict) {
        (RunStatus::Aborted(_), _) => (FAILURE, "aborted"),
        (_, Verdict::Deviated(_)) => (FAILURE, "hypothesis deviated"),
        (RunStatus::Errored(_), _) => (ERROR, "harness"),
        (RunStatus::Interrupted(_), _) => (ERROR, "interrupted"),
        (RunStatus::TimedOut(_), _) => (FAILURE, "timed out"),
        (RunStatus::Completed, Verdict::Unknown(_)) => (FAILURE, "unknown"),
        (RunStatus::Completed, Verdict::Held)
            if matches!(outcome.restoration, Restoration::Restored { .. }) =>
        {
            let is_control = outcome.control.is_some();
            (
                FAILURE,
                if is_control {
                    "control held"
                } else {
                    "known gap closed"
                },
            )
        }
        (RunStatus::Completed, Verdict::Held) | (RunStatus::Skipped(_), _) => {
            (ERROR, "not restored")
        }
    }
}

/// The details, and what is left to be undone where they do not say it already.
fn with_leftovers(details: &str, outcome: &Outcome) -> String {
    let mut text = details.trim_end().to_owned();
    let Restoration::Unrestored { left } = &outcome.restoration else {
        return text;
    };
    let said = one_line(details);
    for left in left {
        if said.contains(&one_line(&left.what)) && said.contains(&one_line(&left.by_hand)) {
            continue;
        }
        text += &format!(
            "\nnot put back: {}\n  why:     {}\n  by hand: {}",
            left.what, left.why, left.by_hand
        );
    }
    text
}

type Written = io::Result<()>;

fn document(writer: &mut Writer<Vec<u8>>, suites: &[Suite]) -> Written {
    writer.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    let total = |count: &dyn Fn(&Suite) -> usize| suites.iter().map(count).sum::<usize>();
    let attributes = [
        ("name", "chaos-test".to_owned()),
        ("tests", total(&|suite| suite.cases.len()).to_string()),
        ("failures", total(&|suite| suite.count(FAILURE)).to_string()),
        ("errors", total(&|suite| suite.count(ERROR)).to_string()),
        (
            "time",
            seconds(span(suites.iter().flat_map(Suite::attempts))),
        ),
    ];
    element(writer, "testsuites", &attributes, |writer| {
        suites.iter().try_for_each(|it| suite(writer, it))
    })
}

fn suite(writer: &mut Writer<Vec<u8>>, suite: &Suite) -> Written {
    let started = suite.attempts().map(|report| report.started_ms).min();
    let attributes = [
        ("name", suite.binary.to_owned()),
        ("tests", suite.cases.len().to_string()),
        ("failures", suite.count(FAILURE).to_string()),
        ("errors", suite.count(ERROR).to_string()),
        ("skipped", suite.count(SKIPPED).to_string()),
        ("timestamp", timestamp(started.unwrap_or_default())),
        ("time", seconds(span(suite.attempts()))),
    ];
    let run = suite.attempts().map(|report| report.run.as_str()).min();
    element(writer, "testsuite", &attributes, |writer| {
        element(writer, "properties", &[], |writer| {
            let property = [
                ("name", "run".to_owned()),
                ("value", run.unwrap_or_default().to_owned()),
            ];
            writer.write_event(Event::Empty(start("property", &property)))
        })?;
        suite.cases.iter().try_for_each(|it| case(writer, it))
    })
}

fn case(writer: &mut Writer<Vec<u8>>, case: &Case) -> Written {
    let Some((last, earlier)) = case.attempts.split_last() else {
        return Ok(());
    };
    let mut attributes = vec![
        ("name", last.name.clone()),
        ("classname", last.binary.clone()),
    ];
    if let Some(end) = &last.end {
        attributes.push(("time", seconds(end.took_us as f64 / 1e6)));
    }
    element(writer, "testcase", &attributes, |writer| {
        if let Some(answer) = &case.answer {
            let attributes = [
                ("message", first_line(&answer.message)),
                ("type", answer.kind.to_owned()),
            ];
            element(writer, answer.element, &attributes, |writer| {
                text(writer, &answer.text)
            })?;
        }
        for report in earlier {
            attempt(writer, report, case.answer.is_none())?;
        }
        element(writer, "system-out", &[], |writer| {
            text(writer, &output(last))
        })
    })
}

/// An attempt that was not the last one, if it did not pass.
fn attempt(writer: &mut Writer<Vec<u8>>, report: &TestReport, flaky: bool) -> Written {
    let Some(answer) = Answer::of(report) else {
        return Ok(());
    };
    let name = match (answer.element, flaky) {
        (FAILURE, true) => "flakyFailure",
        (FAILURE, false) => "rerunFailure",
        (ERROR, true) => "flakyError",
        (ERROR, false) => "rerunError",
        _ => return Ok(()),
    };
    let message = format!(
        "attempt {}: {}",
        report.attempt,
        first_line(&answer.message)
    );
    let attributes = [("message", message), ("type", answer.kind.to_owned())];
    element(writer, name, &attributes, |writer| {
        element(writer, "stackTrace", &[], |writer| {
            text(writer, &answer.text)
        })?;
        element(writer, "system-out", &[], |writer| {
            text(writer, &output(report))
        })
    })
}

/// What a reader of one case sees beside its result.
fn output(report: &TestReport) -> String {
    let mut out = format!("hypothesis: {}\n", one_line(&report.hypothesis));
    if !report.arguments.is_empty() {
        out += &format!("case: {}\n", report.arguments.join(", "));
    }
    if let Some(end) = &report.end
        && !end.details.trim().is_empty()
    {
        out += &format!("\n{}\n\n", end.details.trim_end());
    }
    out += &format!("seed: {:#x}\n", report.seed);
    if report.attempt > 1 {
        out += &format!("attempt: {}\n", report.attempt);
    }
    if !report.tags.is_empty() {
        out += &format!("tags: {}\n", report.tags.join(", "));
    }
    if let Some(end) = &report.end {
        let journal = end.journal.iter().map(|path| ("journal", path));
        let logs = end.logs.iter().map(|path| ("log", path));
        for (what, path) in journal.chain(logs) {
            out += &format!("{what}: {}\n", path.display());
        }
    }
    out
}

fn element(
    writer: &mut Writer<Vec<u8>>,
    name: &str,
    attributes: &[(&str, String)],
    content: impl FnOnce(&mut Writer<Vec<u8>>) -> Written,
) -> Written {
    writer.write_event(Event::Start(start(name, attributes)))?;
    content(writer)?;
    writer.write_event(Event::End(BytesEnd::new(name)))
}

fn start<'a>(name: &'a str, attributes: &[(&str, String)]) -> BytesStart<'a> {
    let mut start = BytesStart::new(name);
    for (key, value) in attributes {
        start.push_attribute((*key, one_line(&plain(value)).as_str()));
    }
    start
}

fn text(writer: &mut Writer<Vec<u8>>, text: &str) -> Written {
    // XML 1.0 cannot hold what is not plain, not even escaped.
    writer.write_event(Event::Text(BytesText::new(&plain(text))))
}

fn first_line(text: &str) -> String {
    text.trim_start()
        .lines()
        .next()
        .unwrap_or_default()
        .to_owned()
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Seconds from the first start to the last end, as far as they are known.
fn span<'a>(reports: impl Iterator<Item = &'a TestReport>) -> f64 {
    let (mut first, mut last) = (u64::MAX, 0);
    for report in reports {
        let took_us = report.end.as_ref().map_or(0, |end| end.took_us);
        let start = report.started_ms.saturating_mul(1_000);
        first = first.min(start);
        last = last.max(start.saturating_add(took_us));
    }
    last.saturating_sub(first) as f64 / 1e6
}

fn seconds(seconds: f64) -> String {
    format!("{seconds:.3}")
}

/// ISO 8601 in UTC. The calendar is Howard Hinnant's `civil_from_days`, which counts years
/// from March so that the leap day is the last one.
pub(crate) fn timestamp(ms: u64) -> String {
    let (day, ms) = (ms / 86_400_000, ms % 86_400_000);
    let shifted = day + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 {
        from_march + 3
    } else {
        from_march - 9
    };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:03}+00:00",
        ms / 3_600_000,
        ms / 60_000 % 60,
        ms / 1_000 % 60,
        ms % 1_000
    )
}

#[cfg(test)]
mod tests;
