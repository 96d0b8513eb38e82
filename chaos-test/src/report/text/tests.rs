//! What the explanations look like.

mod looks;
mod misses;
mod outage;

use super::*;
use crate::decide::verdict::judge;
use crate::model::event::{BodyEnd, Met};
use outage::{ended, injected, judged, lifted, outage, records, started, undone};

fn explained(name: &str, records: &[Record], logs: &[LogTail], width: usize) -> String {
    let format = Format {
        width,
        ..Format::FILE
    };
    explained_as(name, records, logs, format)
}

fn explained_as(name: &str, records: &[Record], logs: &[LogTail], format: Format) -> String {
    let again = format!("CHAOS_SEED=0x5eed cargo test --test chaos -- --exact {name}");
    let outcome = judge(records);
    let junit = "target/chaos/junit.xml";
    let text = explain(
        name,
        &started(),
        records,
        &outcome,
        logs,
        &again,
        junit,
        format,
    );
    for line in text.lines() {
        assert_eq!(line, line.trim_end(), "a line ends in spaces");
    }
    text
}

fn logs() -> Vec<LogTail> {
    vec![LogTail {
        service: "checkout".into(),
        path: "target/chaos/17f3/logs/checkout.log".into(),
        lines: vec![
            "\u{1b}[33mWARN\u{1b}[0m cache unreachable, retrying in 200 ms".into(),
            "\u{1b}[31mERROR\u{1b}[0m gave up on the cache after 3 tries".into(),
        ],
    }]
}

/// The outage, cut off by a panic, with two things that could not be put back.
fn panicked_and_left_behind() -> Vec<Record> {
    let failed = |entry, what: &str, why: &str| Event::UndoFailed {
        entry,
        what: what.into(),
        why: why.into(),
        by_hand: String::new(),
    };
    let panic = "assertion `left == right` failed: basket 17\n  left: 3\n right: 4";
    let mut records: Vec<Record> = outage().into_iter().take(11).collect();
    records.extend(outage::records(vec![
        (
            7_800,
            failed(3, "stop cache", "cache was not ready within 60 s"),
        ),
        (7_800, lifted(3, "stop cache", 2, true)),
        (7_801, ended(BodyEnd::Panicked(panic.into()))),
        (7_820, undone(2, "start checkout", false)),
        (
            7_830,
            failed(1, "start cache", "process 4120 is stuck in state D"),
        ),
    ]));
    records
}

#[test]
fn a_deviation_at_80_columns() {
    let text = explained("survives_a_cache_outage", &outage(), &logs(), 80);
    insta::assert_snapshot!(text, @r#"
    survives_a_cache_outage: hypothesis deviated
      checkout answers from its fallback while the cache is down, and is back to
      normal within five seconds

      error rate of checkout over 5.25 s under "stop cache"
         expected: at most 0 %
         actual:   24.76 % (26 of 105 failed), the last: 503
         baseline: p50 3.0 ms, p95 4.0 ms, 20 /s, 0 errors (40 samples)
         window:   2.541 s to 7.791 s, 105 samples
         ▇█▇██▇█▇████▇█▇████▇█▇████▇█▇██▇█▇█▇████▇█▇████▇▂  latency, up to 31.0 ms
         .x.x.x.x.x.x.xx.x.x.x.x.x.xx.x.x.x.x.x.x.xx.x.x..  25 errors
         at tests/chaos.rs:31

      timeline                                                 run 17f3, seed 0x5eed
           0.095  cache started (pid 4120, port 40112, 84.0 ms)
           0.290  checkout started (pid 4131, port 40113, 84.0 ms)
           0.291  fixture shop ready (290 ms)
           2.310  baseline of checkout: p95 3.1 ms, 49.9 /s, 0 errors
           2.541  stop cache injected (231 ms)
           2.545  note: the cache holds 1,204 baskets
           7.791  stop cache lifted after 5.25 s, met 31 times
           8.201  checkout recovered after 410 ms: out of steady state for 5.66 s,
                    31 samples lost
           8.204  ! missed: error rate of checkout over 5.25 s under "stop cache":
                    24.76 % (26 of 105 failed)
           8.204  held: recovery of checkout: 410 ms
          10.400  the test returned
          10.420  undone: start checkout, start cache

        checkout: 200 samples from 0.310 s to 10.264 s
        ▂▂▂▂▂▂▂▂▂▂▂██████████████████████████▂▂▂▂▂▂▂▂▂▂▂▂▂  latency, up to 31.0 ms
        ...........xxxxxxxxxxxxxxxxxxxxxxxxxx.............  26 errors
                  ━━━━━━━━━━━━━━━━━━━━━━━━━━━━              stop cache

      the last 2 lines of checkout (all: target/chaos/17f3/logs/checkout.log)
        WARN cache unreachable, retrying in 200 ms
        ERROR gave up on the cache after 3 tries
      restored: everything (1 fault, 2 others)
      report: target/chaos/junit.xml
      again:  CHAOS_SEED=0x5eed cargo test --test chaos -- --exact survives_a_cache_outage
    "#);
}

#[test]
fn a_deviation_at_200_columns() {
    let text = explained("survives_a_cache_outage", &outage(), &logs(), 200);
    insta::assert_snapshot!(text, @r#"
    survives_a_cache_outage: hypothesis deviated
      checkout answers from its fallback while the cache is down, and is back to normal within five seconds

      error rate of checkout over 5.25 s under "stop cache"
         expected: at most 0 %
         actual:   24.76 % (26 of 105 failed), the last: 503
         baseline: p50 3.0 ms, p95 4.0 ms, 20 /s, 0 errors (40 samples)
         window:   2.541 s to 7.791 s, 105 samples
         ▇██▇██▇██▇██▇█████▇█▇██▇██▇██▇██▇█████▇█▇██▇██▇██▇██▇█████▂▂  latency, up to 31.0 ms
         ..x.x.x..x.x.x.x..x.x.x..x.x.x.x..x.x.x..x.x.x.x..x.x.x..x..  25 errors
         at tests/chaos.rs:31

      timeline                                                                     run 17f3, seed 0x5eed
           0.095  cache started (pid 4120, port 40112, 84.0 ms)                                                8.201  checkout recovered after 410 ms: out of steady state for 5.66 s, 31 samples lost
           0.290  checkout started (pid 4131, port 40113, 84.0 ms)                                             8.204  ! missed: error rate of checkout over 5.25 s under "stop cache": 24.76 % (26 of 105
           0.291  fixture shop ready (290 ms)                                                                           failed)
           2.310  baseline of checkout: p95 3.1 ms, 49.9 /s, 0 errors                                          8.204  held: recovery of checkout: 410 ms
           2.541  stop cache injected (231 ms)                                                                10.400  the test returned
           2.545  note: the cache holds 1,204 baskets                                                         10.420  undone: start checkout, start cache
           7.791  stop cache lifted after 5.25 s, met 31 times

        checkout: 200 samples from 0.310 s to 10.264 s
        ▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂█▇██▇██▇██▇██▇██▂██▇▇█▇██▇██▇██▇██▇██▂██▇▇█▇██▇██▇██▇██▇██▂██▇▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂  latency, up to 31.0 ms
        ..........................x..x.x..x.x.x..x.x..x.x.x..x.x..x.x.x..x.x..x.x.x..x.x..x.x.x.................................  26 errors
                                ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━                                stop cache

      the last 2 lines of checkout (all: target/chaos/17f3/logs/checkout.log)
        WARN cache unreachable, retrying in 200 ms
        ERROR gave up on the cache after 3 tries
      restored: everything (1 fault, 2 others)
      report: target/chaos/junit.xml
      again:  CHAOS_SEED=0x5eed cargo test --test chaos -- --exact survives_a_cache_outage
    "#);
}

#[test]
fn a_panic_and_a_failed_rollback_at_80_columns() {
    let text = explained(
        "survives_a_cache_outage",
        &panicked_and_left_behind(),
        &[],
        80,
    );
    insta::assert_snapshot!(text, @r#"
    survives_a_cache_outage: hypothesis deviated, and not everything was put back
      checkout answers from its fallback while the cache is down, and is back to
      normal within five seconds

      the test panicked:
        assertion `left == right` failed: basket 17
          left: 3
         right: 4

      timeline                                                 run 17f3, seed 0x5eed
           0.095  cache started (pid 4120, port 40112, 84.0 ms)
           0.290  checkout started (pid 4131, port 40113, 84.0 ms)
           0.291  fixture shop ready (290 ms)
           2.310  baseline of checkout: p95 3.1 ms, 49.9 /s, 0 errors
           2.541  stop cache injected (231 ms)
           2.545  note: the cache holds 1,204 baskets
           7.800  ! could not undo stop cache: cache was not ready within 60 s
           7.800  stop cache lifted after 5.25 s as its guard was dropped, met 2
                    times
           7.801  ! the test panicked
           7.820  undone: start checkout
           7.830  ! could not undo start cache: process 4120 is stuck in state D

      NOT RESTORED: 2 things are left
        have `cache` run again (after: stop cache)
          why:     cache was not ready within 60 s
          by hand: end the test's process
        end process 4120 of `cache` (after: start cache)
          why:     process 4120 is stuck in state D
          by hand: kill -KILL -- -4120

      report: target/chaos/junit.xml
      again:  CHAOS_SEED=0x5eed cargo test --test chaos -- --exact survives_a_cache_outage
    "#);
}

#[test]
fn the_timeline_of_a_test_that_passed() {
    let mut passed = outage();
    passed.retain(|record| !matches!(record.event, Event::Judged { met: Met::No, .. }));
    insta::assert_snapshot!(timeline(&passed), @r#"
    timeline
           0.095  cache started (pid 4120, port 40112, 84.0 ms)
           0.290  checkout started (pid 4131, port 40113, 84.0 ms)
           0.291  fixture shop ready (290 ms)
           2.310  baseline of checkout: p95 3.1 ms, 49.9 /s, 0 errors
           2.541  stop cache injected (231 ms)
           2.545  note: the cache holds 1,204 baskets
           7.791  stop cache lifted after 5.25 s, met 31 times
           8.201  checkout recovered after 410 ms: out of steady state for 5.66 s, 31 samples lost
           8.204  held: recovery of checkout: 410 ms
          10.400  the test returned
          10.420  undone: start checkout, start cache

        checkout: 200 samples from 0.310 s to 10.264 s
        ▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂██████▇██████▇██████▇██████▇██████▇█▇▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂  latency, up to 31.0 ms
        ...............x.xxx.xx.xxx.xx.xxx.xx.xxx.xx.xxx.xx...................  26 errors
                      ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━                   stop cache
    "#);
}

#[test]
fn each_way_to_fail_has_its_headline_and_its_reason() {
    let fault = || {
        [
            (0, injected(1, "kill cache")),
            (9, undone(1, "kill cache", true)),
        ]
    };
    let met = |hits| (9, lifted(1, "kill cache", hits, true));
    let end = |how| (9, ended(how));
    let no_data = (9, judged(Met::NoData, "p95", "at most 1 s", "no samples"));
    for (name, events, headline, reason) in [
        (
            "nothing was injected",
            vec![],
            "no chaos happened",
            "help: a chaos test that breaks",
        ),
        (
            "nothing was met",
            vec![met(0)],
            "no chaos happened",
            "drops at once",
        ),
        (
            "no data",
            vec![met(1), no_data],
            "not enough data to tell",
            "  p95: no samples, expected at most 1 s\n     at tests/chaos.rs:31",
        ),
        (
            "timed out",
            vec![
                met(1),
                end(BodyEnd::TimedOut("the body took longer than 5 min".into())),
            ],
            "timed out",
            "timed out: the body took longer than 5 min",
        ),
        (
            "harness",
            vec![
                met(1),
                end(BodyEnd::Errored("no space for the journal".into())),
            ],
            "the harness could not go on",
            "error: no space for the journal",
        ),
        (
            "own error",
            vec![
                met(1),
                end(BodyEnd::Failed("503\n  caused by: refused".into())),
            ],
            "hypothesis deviated",
            "  the test returned an error:\n    503\n      caused by: refused",
        ),
        (
            "skipped",
            vec![end(BodyEnd::Skipped("no docker here".into()))],
            "skipped",
            "skipped: no docker here",
        ),
    ] {
        let mut all: Vec<_> = if events
            .iter()
            .any(|(_, it)| matches!(it, Event::Lifted { .. }))
        {
            fault().into()
        } else {
            Vec::new()
        };
        all.extend(events);
        if !all
            .iter()
            .any(|(_, it)| matches!(it, Event::BodyEnded { .. }))
        {
            all.push(end(BodyEnd::Returned));
        }
        let text = explained(name, &records(all), &[], 80);
        let first = text.lines().next().unwrap_or_default();
        assert_eq!(first, format!("{name}: {headline}"), "{text}");
        assert!(text.contains(reason), "{text}");
    }
}

#[test]
fn a_judgement_that_the_body_passed_on_is_told_once() {
    let error = "error rate: 12 %, expected at most 0 %\n  at tests/chaos.rs:31";
    let all = records(vec![
        (0, injected(1, "kill cache")),
        (8, judged(Met::No, "error rate", "at most 0 %", "12 %")),
        (9, ended(BodyEnd::Failed(error.into()))),
    ]);
    let text = explained("test", &all, &[], 80);
    assert!(!text.contains("the test returned an error:"), "{text}");
}

#[test]
fn a_long_timeline_keeps_its_beginning_and_its_end() {
    let note = |n: u64| {
        (
            n,
            Event::Note {
                text: format!("step {n}."),
            },
        )
    };
    let text = timeline(&records((0..500).map(note).collect()));
    assert_eq!(text.lines().count(), 1 + 100 + 1, "{text}");
    for shown in [
        "step 0.",
        "step 39.",
        "... 400 more",
        "step 440.",
        "step 499.",
    ] {
        assert!(text.contains(shown), "{shown} is not in\n{text}");
    }
}

#[test]
fn any_width_is_kept_or_raised_to_what_words_need() {
    for width in 0..260 {
        let text = explained("x", &outage(), &[], width);
        for line in text.lines().filter(|line| !line.contains("again:")) {
            assert!(
                line.chars().count() <= width.clamp(60, 240),
                "at {width}: {line}"
            );
        }
    }
}
