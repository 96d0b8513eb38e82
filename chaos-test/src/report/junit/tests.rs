//! What the document looks like, and that others accept it.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use super::*;
use crate::model::outcome::Leftover;
use crate::model::test_report::TestEnd;

fn report(binary: &str, name: &str, attempt: u32, outcome: Option<Outcome>) -> TestReport {
    let report = TestReport::example(binary, name);
    TestReport {
        attempt,
        started_ms: report.started_ms + u64::from(attempt) * 1_000,
        end: outcome.map(|outcome| TestEnd {
            took_us: 1_234_567,
            message: headline(&outcome),
            details: "the \u{1b}[1mtimeline\u{1b}[0m <&>".into(),
            journal: Some("target/chaos/17f3/journals/1".into()),
            logs: vec!["target/chaos/17f3/logs/shop.log".into()],
            ..TestEnd::example(outcome)
        }),
        ..report
    }
}

fn outcome(status: RunStatus, verdict: Verdict, restored: bool) -> Option<Outcome> {
    let restoration = if restored {
        Restoration::Restored {
            faults: 1,
            others: 0,
            kept: 0,
        }
    } else {
        Restoration::Unrestored {
            left: vec![Leftover {
                what: "continue process 7".into(),
                why: "not permitted".into(),
                by_hand: "kill -CONT -- -7".into(),
            }],
        }
    };
    Some(Outcome {
        status,
        verdict,
        restoration,
        known_gap: None,
        control: None,
    })
}

fn passed() -> Option<Outcome> {
    outcome(RunStatus::Completed, Verdict::Held, true)
}

fn deviated(restored: bool) -> Option<Outcome> {
    let why = "error rate: 12 %, expected 0 %\n  at a.rs:1";
    outcome(
        RunStatus::Completed,
        Verdict::Deviated(why.into()),
        restored,
    )
}

fn errored() -> Option<Outcome> {
    let verdict = Verdict::Unknown("the run did not finish".into());
    outcome(RunStatus::Errored("no \"journal\"".into()), verdict, true)
}

/// One of each, and each kind of attempt before each kind of result.
fn everything() -> Vec<TestReport> {
    let unknown = || Verdict::Unknown("the run did not finish".into());
    let mut reports = vec![
        report("shop::chaos", "passes", 1, passed()),
        report("shop::chaos", "deviates", 1, deviated(true)),
        report("shop::chaos", "deviates_and_is_left", 1, deviated(false)),
        report("shop::chaos", "errs", 1, errored()),
        report("shop::chaos", "never_ends", 1, None),
        report("shop", "skipped", 1, {
            outcome(RunStatus::Skipped("no docker".into()), unknown(), true)
        }),
        report("shop", "skipped_and_left", 1, {
            outcome(RunStatus::Skipped("no docker".into()), unknown(), false)
        }),
        report(
            "shop",
            "left",
            1,
            outcome(RunStatus::Completed, Verdict::Held, false),
        ),
        report("shop", "no_chaos", 1, {
            outcome(
                RunStatus::Completed,
                Verdict::Unknown("no chaos happened".into()),
                true,
            )
        }),
        report("shop", "timed_out", 1, {
            outcome(RunStatus::TimedOut("after 5 min".into()), unknown(), true)
        }),
        report("shop", "gap", 1, {
            deviated(true).map(|outcome| Outcome {
                known_gap: Some("SHOP-12".to_owned()),
                ..outcome
            })
        }),
        report("shop", "closed_gap", 1, {
            passed().map(|outcome| Outcome {
                known_gap: Some("SHOP-12".to_owned()),
                ..outcome
            })
        }),
        report("shop", "aborted", 1, {
            outcome(RunStatus::Aborted("error rate".into()), unknown(), true)
        }),
        report("shop", "interrupted", 1, {
            outcome(RunStatus::Interrupted("SIGINT".into()), unknown(), true)
        }),
    ];
    for (name, last) in [
        ("flaky", passed()),
        ("rerun", deviated(true)),
        ("stopped", None),
    ] {
        for (attempt, outcome) in [deviated(true), errored(), None, last]
            .into_iter()
            .enumerate()
        {
            reports.push(report("retries", name, attempt as u32 + 1, outcome));
        }
    }
    reports
}

/// The lines of one case, up to its output.
fn case_of(document: &str, name: &str) -> String {
    let start = document.find(&format!("<testcase name=\"{name}\""));
    let rest = &document[start.unwrap_or_else(|| panic!("no {name} in\n{document}"))..];
    rest[..rest.find("</testcase>").unwrap_or(rest.len())].to_owned()
}

#[test]
fn the_document_of_a_run() {
    let document = junit(&[
        report("shop::chaos", "passes", 1, passed()),
        report("shop::chaos", "deviates", 1, deviated(false)),
        report("shop::chaos", "crashes", 1, None),
    ]);
    insta::assert_snapshot!(document, @r#"
    <?xml version="1.0" encoding="UTF-8"?>
    <testsuites name="chaos-test" tests="3" failures="1" errors="1" time="1.235">
      <testsuite name="shop::chaos" tests="3" failures="1" errors="1" skipped="0" timestamp="2024-02-29T12:34:57.789+00:00" time="1.235">
        <properties>
          <property name="run" value="17f3"/>
        </properties>
        <testcase name="crashes" classname="shop::chaos">
          <error message="the test started and never ended: its process was killed or crashed" type="never ended"></error>
          <system-out>hypothesis: orders are kept
    seed: 0x5eed
    </system-out>
        </testcase>
        <testcase name="deviates" classname="shop::chaos" time="1.235">
          <failure message="hypothesis deviated: error rate: 12 %, expected 0 %" type="hypothesis deviated">the timeline &lt;&amp;&gt;
    not put back: continue process 7
      why:     not permitted
      by hand: kill -CONT -- -7</failure>
          <system-out>hypothesis: orders are kept

    the timeline &lt;&amp;&gt;

    seed: 0x5eed
    journal: target/chaos/17f3/journals/1
    log: target/chaos/17f3/logs/shop.log
    </system-out>
        </testcase>
        <testcase name="passes" classname="shop::chaos" time="1.235">
          <system-out>hypothesis: orders are kept

    the timeline &lt;&amp;&gt;

    seed: 0x5eed
    journal: target/chaos/17f3/journals/1
    log: target/chaos/17f3/logs/shop.log
    </system-out>
        </testcase>
      </testsuite>
    </testsuites>
    "#);
}

#[test]
fn each_way_to_end_has_its_element() {
    let document = junit(&everything());
    for (name, expected) in [
        (
            "deviates",
            "<failure message=\"hypothesis deviated: error rate: 12 %, expected 0 %\"",
        ),
        (
            "deviates_and_is_left",
            "by hand: kill -CONT -- -7</failure>",
        ),
        (
            "errs",
            "<error message=\"the harness could not go on: no &quot;journal&quot;\"",
        ),
        (
            "never_ends",
            "<error message=\"the test started and never ended: its process was",
        ),
        (
            "skipped",
            "<skipped message=\"no docker\" type=\"skipped\">",
        ),
        (
            "skipped_and_left",
            "<error message=\"not everything was put back: continue process 7\"",
        ),
        ("left", "type=\"not restored\">"),
        (
            "no_chaos",
            "<failure message=\"no chaos happened\" type=\"unknown\">",
        ),
        ("timed_out", "<failure message=\"timed out: after 5 min\""),
        (
            "gap",
            "<skipped message=\"known gap SHOP-12: hypothesis deviated: error rate: 12 %",
        ),
        (
            "closed_gap",
            "<failure message=\"the known gap `SHOP-12` is closed, the hypothesis held: take \
             `known_gap` away\" type=\"known gap closed\">",
        ),
        ("aborted", "<failure message=\"aborted: error rate\""),
        ("interrupted", "<error message=\"interrupted: SIGINT\""),
    ] {
        let case = case_of(&document, name);
        assert!(case.contains(expected), "{expected} is not in\n{case}");
    }
    let passes = case_of(&document, "passes");
    assert!(
        !passes.contains("<failure") && !passes.contains("<error"),
        "{passes}"
    );
    assert!(
        document.contains("name=\"chaos-test\" tests=\"17\" failures=\"7\" errors=\"6\""),
        "{document}"
    );
}

#[test]
fn the_last_attempt_is_the_result_and_earlier_ones_are_kept() {
    let document = junit(&everything());
    for (name, kept, result) in [
        ("flaky", ["flakyFailure", "flakyError", "flakyError"], None),
        (
            "rerun",
            ["rerunFailure", "rerunError", "rerunError"],
            Some("failure"),
        ),
        (
            "stopped",
            ["rerunFailure", "rerunError", "rerunError"],
            Some("error"),
        ),
    ] {
        let case = case_of(&document, name);
        let elements: Vec<&str> = case
            .lines()
            .filter_map(|line| line.strip_prefix("      <")?.split([' ', '>']).next())
            .filter(|element| !element.starts_with('/') && *element != "system-out")
            .collect();
        let expected: Vec<&str> = result.into_iter().chain(kept).collect();
        assert_eq!(elements, expected, "{case}");
        assert!(
            case.contains("message=\"attempt 2: the harness could not go on"),
            "{case}"
        );
    }
}

#[test]
fn of_one_attempt_that_was_made_twice_the_later_counts() {
    let first = report("shop", "twice", 1, deviated(true));
    let mut second = report("shop", "twice", 1, passed());
    second.started_ms += 1;
    for reports in [[first.clone(), second.clone()], [second, first]] {
        let case = case_of(&junit(&reports), "twice");
        assert!(
            !case.contains("Failure") && !case.contains("<failure"),
            "{case}"
        );
    }
}

#[test]
fn the_order_in_which_fragments_were_read_never_shows() {
    let mut reports = everything();
    // Two that only their text tells apart.
    reports.push(report("shop", "tie", 1, deviated(true)));
    reports.push(report("shop", "tie", 1, deviated(false)));
    let document = junit(&reports);
    for _ in 0..reports.len() {
        reports.rotate_left(1);
        assert_eq!(junit(&reports), document);
    }
    reports.reverse();
    assert_eq!(junit(&reports), document);
}

#[test]
fn what_xml_cannot_hold_is_left_out() {
    let mut hostile = report("a<b", "c\"\n\u{0}\u{fffe}&", 1, deviated(true));
    hostile.hypothesis = "]]>\u{1b}[31m\u{b}red\u{ffff}\r\n".into();
    let document = junit(&[hostile]);
    let bad = |c: char| (c.is_control() && c != '\n') || matches!(c, '\u{fffe}' | '\u{ffff}');
    assert!(!document.contains(bad), "{document:?}");
    assert!(
        document.contains("name=\"c&quot; &amp;\" classname=\"a&lt;b\""),
        "{document}"
    );
    assert!(document.contains("hypothesis: ]]&gt; red\n"), "{document}");
}

#[test]
fn what_is_left_is_not_told_twice() {
    let mut left = report("shop", "left", 1, deviated(false));
    if let Some(end) = &mut left.end {
        end.details = "continue\n  process 7\n  by hand: kill -CONT -- -7".into();
    }
    assert!(!junit(&[left]).contains("not put back"));
}

#[test]
fn timestamps_are_utc() {
    for (ms, expected) in [
        (0, "1970-01-01T00:00:00.000+00:00"),
        (951_827_696_789, "2000-02-29T12:34:56.789+00:00"),
        (1_709_210_096_789, "2024-02-29T12:34:56.789+00:00"),
        (1_798_761_599_999, "2026-12-31T23:59:59.999+00:00"),
        (4_107_542_400_000, "2100-03-01T00:00:00.000+00:00"),
    ] {
        assert_eq!(timestamp(ms), expected);
    }
}

#[test]
fn the_document_is_valid_against_the_jenkins_schema() {
    let schema = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/junit-10.xsd");
    for reports in [Vec::new(), everything()] {
        let checked = Command::new("xmllint")
            .args(["--noout", "--nonet", "--schema"])
            .args([&schema, Path::new("-")])
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .and_then(|mut child| {
                if let Some(mut input) = child.stdin.take() {
                    input.write_all(junit(&reports).as_bytes())?;
                }
                child.wait_with_output()
            });
        match checked {
            Ok(output) => {
                let said = String::from_utf8_lossy(&output.stderr);
                assert!(output.status.success(), "{said}\n{}", junit(&reports));
            }
            Err(error) => {
                let required = std::env::var("CHAOS_REQUIRE").unwrap_or_default();
                assert!(!required.contains("all"), "xmllint is required: {error}");
                let _ = writeln!(std::io::stderr(), "skipped: no xmllint ({error})");
                return;
            }
        }
    }
}
