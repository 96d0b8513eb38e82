//! How what was missed is shown, with what it was made of.

use super::explained;
use super::outage::{ended, injected, judged, lifted, records, samples, undone};
use crate::model::event::{BodyEnd, Event, Met};
use crate::model::evidence::{Evidence, Shows};
use crate::model::sample::{Reading, Sample, Window};
use crate::model::units::ms;

/// Several kinds of judgements, as the rooms that make them word them.
#[test]
fn every_miss_is_shown_with_what_it_was_made_of() {
    let seen = |of: &str, shows, from, to, count, baseline: Option<&str>| Evidence {
        baseline: baseline.map(str::to_owned),
        ..Evidence::new(
            of,
            Window {
                from: ms(from),
                to: ms(to),
            },
            count,
            shows,
        )
    };
    let missed = |met, what: &str, expected: &str, actual: &str, evidence| {
        let mut judged = judged(met, what, expected, actual);
        if let Event::Judged {
            evidence: place, ..
        } = &mut judged
        {
            *place = evidence;
        }
        (8_000, judged)
    };
    let queue = Event::Samples {
        monitor: "queue".into(),
        samples: (0..100)
            .map(|n| Sample {
                at: ms(n * 100),
                sent: ms(n * 100),
                latency: ms(1),
                reading: Reading::Good(Some(12.0 + (n * n % 17) as f64)),
            })
            .collect(),
    };
    let mut all = records(vec![
        (2_541, injected(1, "kill broker")),
        (7_791, lifted(1, "kill broker", 3, false)),
        missed(
            Met::No,
            "maximum value of queue over 2 s under \"kill broker\"",
            "at most 20",
            "28 (20 samples)",
            vec![seen(
                "queue",
                Shows::Numbers,
                3_000,
                5_000,
                20,
                Some("p50 value 12, at most 13, 0 errors (20 samples)"),
            )],
        ),
        missed(
            Met::No,
            "transitions of breaker",
            "`open`, then `closed` within 5 s",
            "never `closed`: open at 3.120 s; a state shorter than the 50.0 ms between two looks \
             can be missed: look more often, or have the victim count it",
            vec![seen("breaker", Shows::Looks, 2_541, 7_541, 100, None)],
        ),
        missed(
            Met::No,
            "attempts per call at broker over 5 s",
            "at most 3",
            "at most 7 (of 20 calls)",
            vec![seen("broker", Shows::Attempts, 2_541, 7_541, 1, None)],
        ),
        missed(
            Met::NoData,
            "every parcel is delivered",
            "within 5 s",
            "all 12 calls failed, the last: connection refused",
            vec![seen(
                "every parcel is delivered",
                Shows::Calls,
                2_541,
                7_541,
                12,
                None,
            )],
        ),
        missed(
            Met::No,
            "records of parcels",
            "none lost",
            "2 lost: 17, 23",
            vec![],
        ),
        (9_000, queue),
    ]);
    all.extend(records(vec![
        (9_001, ended(BodyEnd::Returned)),
        (9_002, undone(1, "kill broker", true)),
    ]));
    let text = explained("loses_no_parcel", &all, &[], 80);
    insta::assert_snapshot!(text, @r#"
    loses_no_parcel: hypothesis deviated
      checkout answers from its fallback while the cache is down, and is back to
      normal within five seconds

      maximum value of queue over 2 s under "kill broker"
         expected: at most 20
         actual:   28 (20 samples)
         baseline: p50 value 12, at most 13, 0 errors (20 samples)
         window:   3.000 s to 5.000 s, 20 samples
         █▅▃▁▁▁▃▅█▅▂█▇▇█▂▅█▅▃  value, 12 to 28
         ....................  no errors
         at tests/chaos.rs:31

      transitions of breaker
         expected: `open`, then `closed` within 5 s
         actual:   never `closed`: open at 3.120 s; a state shorter than the 50.0 ms
                   between two looks can be missed: look more often, or have the
                   victim count it
         window:   2.541 s to 7.541 s, 100 looks
         at tests/chaos.rs:31

      attempts per call at broker over 5 s
         expected: at most 3
         actual:   at most 7 (of 20 calls)
         window:   2.541 s to 7.541 s, 1 attempt
         at tests/chaos.rs:31

      records of parcels: 2 lost: 17, 23, expected none lost
         at tests/chaos.rs:31

      every parcel is delivered
         expected: within 5 s
         actual:   all 12 calls failed, the last: connection refused
         window:   2.541 s to 7.541 s, 12 calls
         at tests/chaos.rs:31

      timeline                                                 run 17f3, seed 0x5eed
           2.541  kill broker injected (231 ms)
           7.791  kill broker lifted after 5.25 s, met 3 times
           8.000  ! missed: maximum value of queue over 2 s under "kill broker":
                    28 (20 samples)
           8.000  ! missed: transitions of breaker: never `closed`: open at 3.120
                    s
           8.000  ! missed: attempts per call at broker over 5 s: at most 7 (of 20
                    calls)
           8.000  ! no data: every parcel is delivered
           8.000  ! missed: records of parcels: 2 lost: 17, 23
           9.001  the test returned

        queue: 100 samples from 0.000 s to 9.901 s
        ▁▅██▇██▅▁▃█▅██▅█▃▁▅██▇██▅▁▃█▅██▅█▃▁▅██▇██▅▁▃█▅██▅█  value, 12 to 28
        ..................................................  no errors
                    ━━━━━━━━━━━━━━━━━━━━━━━━━━━             kill broker

      restored: everything (1 fault)
      report: target/chaos/junit.xml
      again:  CHAOS_SEED=0x5eed cargo test --test chaos -- --exact loses_no_parcel
    "#);
}

/// Of one window that several things are expected of, and of one invariant that many samples
/// violate, there is no more to see the second time.
#[test]
fn nothing_is_shown_twice() {
    let about = |what: &str| {
        let mut judged = judged(Met::No, what, "at most 0 %", "12 %");
        if let Event::Judged { evidence, .. } = &mut judged {
            let window = Window {
                from: ms(2_541),
                to: ms(7_791),
            };
            evidence.push(Evidence::new("checkout", window, 105, Shows::Latencies));
        }
        judged
    };
    let violated = |invariant: &str| Event::Violated {
        invariant: invariant.into(),
        sample: Sample {
            at: ms(1),
            sent: ms(1),
            latency: ms(1),
            reading: Reading::Bad("503".into()),
        },
        why: "503".into(),
    };
    let all = records(vec![
        (1, violated("one")),
        (2, violated("one")),
        (3, violated("one")),
        (4, violated("other")),
        (5, violated("one")),
        (6, about("error rate of checkout")),
        (7, about("availability of checkout")),
        (8, samples()),
        (9, ended(BodyEnd::Returned)),
    ]);
    let text = explained("x", &all, &[], 80);
    for (part, count) in [
        ("window:   2.541 s to 7.791 s, 105 samples", 2),
        (", drawn above", 1),
        ("25 errors", 1),
        ("one: the sample of 0.001: 503; and 2 more in a row\n", 1),
        ("other: the sample of 0.001: 503\n", 1),
        ("one: the sample of 0.001: 503\n", 1),
    ] {
        assert_eq!(text.matches(part).count(), count, "`{part}`:\n{text}");
    }
}
