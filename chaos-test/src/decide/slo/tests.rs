//! Objectives held against made-up measurements.

use super::*;
use crate::decide::recoveries::Attempt;
use crate::model::units::{ms, percent, secs};

fn recoveries(times: &[u64]) -> RecoverySummary {
    let attempts: Vec<Attempt> = times
        .iter()
        .enumerate()
        .map(|(index, seconds)| Attempt {
            monitor: "shop".into(),
            entry: Some(index as u64),
            took: Some(secs(*seconds)),
            in_time: *seconds <= 10,
            degraded: true,
        })
        .collect();
    RecoverySummary::of(&attempts)
}

fn requests(total: usize, failed: usize) -> Option<Requests> {
    Some(Requests { total, failed })
}

fn nothing() -> SloMeasured {
    SloMeasured {
        requests: None,
        unsent: 0,
        latency_degradation: None,
        recoveries: recoveries(&[]),
        consistency: None,
    }
}

fn sound() -> SloMeasured {
    SloMeasured {
        requests: requests(1000, 10),
        unsent: 0,
        latency_degradation: Some(Latency::Of(ms(120))),
        recoveries: recoveries(&[2, 4]),
        consistency: Some(ConsistencyShare {
            share: 1.0,
            told: "orders: 0 % lost".into(),
        }),
    }
}

#[test]
fn the_presets_are_those_of_the_reference() {
    for (slos, mttr, errors, availability) in [
        (Slos::reference(), 30, 5, 95),
        (Slos::development(), 60, 10, 90),
        (Slos::staging(), 45, 5, 95),
        (Slos::production(), 30, 1, 99),
    ] {
        assert_eq!(slos.mttr, Some(secs(mttr)));
        assert_eq!(slos.error_rate, Some(percent(errors)));
        assert_eq!(slos.availability, Some(percent(availability)));
        assert_eq!(slos.latency_degradation, Some(ms(500)));
        assert_eq!(slos.recovery_time, Some(secs(10)));
        assert_eq!((slos.recovery_rate, slos.consistency), (None, None));
    }
    assert_eq!(Slos::default().validate(&sound()).results, Vec::new());
    assert!(
        !Slos::default().validate(&sound()).passed(),
        "it validates nothing"
    );
}

#[test]
fn each_is_listed_with_target_actual_and_what_came_of_it() {
    let all = Slos {
        recovery_rate: Some(percent(95)),
        consistency: Some(percent(100)),
        ..Slos::production()
    };
    let validation = all.validate(&sound());
    assert!(validation.passed(), "{validation}");
    assert_eq!(
        validation.to_string(),
        "mttr: met: 3 s (2 recoveries), target at most 30 s\n\
         error_rate: met: 1 % (10 of 1000 failed), target at most 1 %\n\
         availability: met: 99 % (error budget 1 %, 10 of 1000 requests, 10 spent, burn rate 1), \
         target at least 99 %\n\
         latency_degradation: met: 120 ms (p95 since the first fault, against the baseline's), \
         target at most 500 ms\n\
         recovery_time: met: 4 s (the longest; 2 recoveries), target at most 10 s\n\
         recovery_rate: met: 100 % (2 recoveries), target at least 95 %\n\
         consistency: met: 100 % (orders: 0 % lost), target at least 100 %"
    );
}

#[test]
fn what_was_not_measured_fails_and_says_so() {
    let all = Slos {
        recovery_rate: Some(percent(95)),
        consistency: Some(percent(100)),
        ..Slos::reference()
    };
    let validation = all.validate(&nothing());
    assert_eq!(validation.results.len(), 7);
    for result in &validation.results {
        assert_eq!(result.met, Met::NoData, "{result:?}");
        let judgement = result.judgement("");
        assert!(
            judgement.actual.starts_with("not measured: "),
            "{judgement:?}"
        );
        assert!(judgement.measured.is_empty());
    }
    assert!(!validation.passed());
    let with_a_gap = SloMeasured {
        unsent: 3,
        ..sound()
    };
    let results = Slos::reference().validate(&with_a_gap).results;
    assert_eq!(
        results[2].actual,
        Err("3 requests could not be sent".to_owned())
    );
    assert_eq!(results[3].met, Met::NoData);
    let one = SloMeasured {
        recoveries: recoveries(&[3]),
        ..sound()
    };
    let results = Slos::reference().validate(&one).results;
    assert_eq!((results[0].slo, results[0].met), ("mttr", Met::NoData));
    assert_eq!(
        results[0].actual,
        Err("1 recovery, and a mean is over two or more".to_owned())
    );
    assert_eq!(
        (results[4].slo, results[4].met),
        ("recovery_time", Met::Yes)
    );
}

#[test]
fn each_is_violated_by_its_own_number() {
    let slos = Slos {
        recovery_rate: Some(percent(95)),
        consistency: Some(percent(99)),
        ..Slos::reference()
    };
    for (measured, violated) in [
        (
            SloMeasured {
                requests: requests(100, 6),
                ..sound()
            },
            vec!["error_rate", "availability"],
        ),
        (
            SloMeasured {
                latency_degradation: Some(Latency::Of(ms(501))),
                ..sound()
            },
            vec!["latency_degradation"],
        ),
        (
            SloMeasured {
                latency_degradation: Some(Latency::NoAnswer),
                ..sound()
            },
            vec!["latency_degradation"],
        ),
        (
            SloMeasured {
                recoveries: recoveries(&[1, 11]),
                ..sound()
            },
            vec!["recovery_time", "recovery_rate"],
        ),
        (
            SloMeasured {
                recoveries: recoveries(&[1, 61]),
                ..sound()
            },
            vec!["mttr", "recovery_time", "recovery_rate"],
        ),
        (
            SloMeasured {
                consistency: Some(ConsistencyShare {
                    share: 0.98,
                    told: String::new(),
                }),
                ..sound()
            },
            vec!["consistency"],
        ),
    ] {
        let results = slos.validate(&measured).results;
        let missed: Vec<&str> = results
            .iter()
            .filter(|result| result.met == Met::No)
            .map(|result| result.slo)
            .collect();
        assert_eq!(missed, violated, "{measured:?}");
    }
}

#[test]
fn a_share_that_is_just_the_target_is_met() {
    for (total, failed, objective) in [(1000, 1, 99.9), (300, 3, 99.0), (7, 0, 100.0)] {
        let slos = Slos {
            availability: Some(percent(objective)),
            ..Slos::default()
        };
        let measured = SloMeasured {
            requests: requests(total, failed),
            ..nothing()
        };
        assert!(slos.validate(&measured).passed(), "{objective}");
    }
}

#[test]
fn budgets_and_burn_rates_are_those_of_the_workbook() {
    let budget =
        |objective, total, failed| ErrorBudget::of(percent(objective), Requests { total, failed });
    let near = |one: f64, other: f64| assert!((one - other).abs() < 1e-9, "{one} and {other}");
    // Chapter 2: 99.97 % of 3,663,253 requests leaves 1,099.
    near(budget(99.97, 3_663_253, 0).allowed().round(), 1099.0);
    // Chapter 5, table 5-3: at 99.9 %, an error rate of 0.1 % burns at 1, one of 1 % at 10, and all
    // requests failing at 1000, which spends a 30-day budget in 43 minutes.
    near(budget(99.9, 100_000, 100).burn_rate(), 1.0);
    near(budget(99.9, 100_000, 1000).burn_rate(), 10.0);
    near(budget(99.9, 100, 100).burn_rate(), 1000.0);
    let month = secs(30 * 24 * 3600);
    near(budget(99.9, 100, 100).spent_of(month, secs(2592)), 1.0);
    // Chapter 5: a burn rate of 14.4 spends 2 % of a month's budget in an hour.
    near(budget(99.9, 10_000, 144).spent_of(month, secs(3600)), 0.02);
    near(budget(100.0, 10, 0).burn_rate(), 0.0);
    assert!(budget(100.0, 10, 1).burn_rate().is_infinite());
    assert_eq!(
        budget(100.0, 10, 1).to_string(),
        "error budget 0 %, 0 of 10 requests, 1 spent, burn rate without limit"
    );
}

#[test]
fn consistency_is_what_is_left_of_the_worst_records() {
    let judged = |of: &str, kind: &str, share: f64| Record {
        seq: 1,
        at_us: 0,
        event: Event::Judged {
            what: String::new(),
            expected: String::new(),
            actual: String::new(),
            met: Met::Yes,
            at: String::new(),
            measured: vec![Measure {
                of: vec![of.to_owned()],
                ..Measure::new(kind, share, true)
            }],
            evidence: Vec::new(),
        },
    };
    assert_eq!(ConsistencyShare::judged(&[]), None);
    let records = [
        judged("orders", "lost%", 0.01),
        judged("orders", "changed%", 0.02),
        judged("orders", "unexpected%", 0.5),
        judged("parcels", "lost%", 0.0),
        judged("shop", "error_rate", 0.9),
    ];
    let consistency = ConsistencyShare::judged(&records).unwrap();
    assert!((consistency.share - 0.97).abs() < 1e-9);
    assert_eq!(consistency.told, "orders: 1 % lost, 2 % changed");
}
