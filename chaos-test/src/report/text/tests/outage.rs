//! The records of a test in which a cache is stopped, as the harness would write them.

use std::time::Duration;

use crate::model::event::{BodyEnd, Event, JOURNAL_VERSION, Met, Record, Risk, Started};
use crate::model::evidence::{Evidence, Shows};
use crate::model::identity::ProcessIdentity;
use crate::model::sample::{Reading, Sample, Window};
use crate::model::target::Target;
use crate::model::undo::Undo;
use crate::model::units::ms;

pub(super) fn started() -> Started {
    Started {
        version: JOURNAL_VERSION,
        run: "17f3".into(),
        test: "shop::chaos$checkout_survives_a_cache_outage".into(),
        process: process(),
        wall_clock_ms: 0,
        hypothesis: "checkout answers from its fallback while the cache is down, and is back to \
                     normal within five seconds"
            .into(),
        seed: 0x5eed,
        tags: vec![],
        arguments: vec![],
        reports: "target/chaos".into(),
        fragment: "shop.chaos.json".into(),
        abandoned: vec![],
        attempt: 1,
        known_gap: None,
        control: None,
    }
}

fn process() -> ProcessIdentity {
    ProcessIdentity {
        pid: 4120,
        start_time: 1,
        boot_id: "b".into(),
        namespace: 1,
    }
}

pub(super) fn records(events: Vec<(u64, Event)>) -> Vec<Record> {
    events
        .into_iter()
        .enumerate()
        .map(|(index, (ms, event))| Record {
            seq: index as u64,
            at_us: ms * 1000,
            event,
        })
        .collect()
}

pub(super) fn service(service: &str, pid: u32, port: u16) -> Event {
    Event::ServiceStarted {
        service: service.into(),
        pid,
        container: None,
        ports: vec![port],
        log: None,
        took_us: 84_000,
    }
}

pub(super) fn planned(entry: u64, what: &str, undo: Undo, fault: bool) -> Event {
    Event::Planned {
        entry,
        what: what.into(),
        undo,
        fault,
    }
}

pub(super) fn injected(entry: u64, fault: &str) -> Event {
    Event::Injected {
        entry,
        fault: fault.into(),
        targets: vec![Target::Service(
            fault.rsplit(' ').next().unwrap_or_default().into(),
        )],
        risk: Risk::Medium,
        took_us: 231_000,
    }
}

pub(super) fn lifted(entry: u64, fault: &str, hits: u64, dropped: bool) -> Event {
    Event::Lifted {
        entry,
        fault: fault.into(),
        lasted_us: 5_250_000,
        hits,
        dropped,
        cancelled: false,
        counts: "0 samples, 0 connections".into(),
    }
}

pub(super) fn undone(entry: u64, what: &str, fault: bool) -> Event {
    Event::Undone {
        entry,
        what: what.into(),
        fault,
    }
}

pub(super) fn judged(met: Met, what: &str, expected: &str, actual: &str) -> Event {
    Event::Judged {
        what: what.into(),
        expected: expected.into(),
        actual: actual.into(),
        met,
        at: "tests/chaos.rs:31".into(),
        measured: vec![],
        evidence: Vec::new(),
    }
}

/// A judgement about the samples under the outage.
fn about_the_outage(mut judged: Event) -> Event {
    if let Event::Judged { evidence, .. } = &mut judged {
        let window = Window {
            from: ms(2_541),
            to: ms(7_791),
        };
        evidence.push(Evidence {
            baseline: Some("p50 3.0 ms, p95 4.0 ms, 20 /s, 0 errors (40 samples)".into()),
            ..Evidence::new("checkout", window, 105, Shows::Latencies)
        });
    }
    judged
}

pub(super) fn ended(how: BodyEnd) -> Event {
    Event::BodyEnded { how }
}

pub(super) fn samples() -> Event {
    let samples = (0..200)
        .map(|n| {
            let at = ms(310 + n * 50);
            let during = (ms(2_500)..ms(7_600)).contains(&at);
            Sample {
                at,
                sent: at,
                latency: if during && n % 7 != 0 {
                    ms(27 + n % 5)
                } else {
                    ms(3 + n % 2)
                },
                reading: if during && n % 4 == 0 {
                    Reading::Bad("503".into())
                } else {
                    Reading::Good(None)
                },
            }
        })
        .collect();
    Event::Samples {
        monitor: "checkout".into(),
        samples,
    }
}

/// A whole outage, judged and rolled back.
pub(super) fn outage() -> Vec<Record> {
    let run = || Undo::RunService {
        service: "cache".into(),
        start_ms: 12_000,
    };
    let end = |service: &str| Undo::EndProcess {
        service: service.into(),
        process: process(),
        token: "t".into(),
        grace_ms: 2_000,
    };
    let baseline = Event::Baseline {
        monitor: "checkout".into(),
        window: Window {
            from: Duration::ZERO,
            to: ms(2_310),
        },
        summary: "p95 3.1 ms, 49.9 /s, 0 errors".into(),
    };
    let recovered = Event::Recovered {
        monitor: "checkout".into(),
        recovery_us: 410_000,
        degraded: true,
        first_success_us: Some(390_000),
        outage_us: Some(5_660_000),
        lost: 31,
        entry: Some(3),
    };
    records(vec![
        (0, Event::Started(Box::new(started()))),
        (1, planned(1, "start cache", end("cache"), false)),
        (95, service("cache", 4120, 40_112)),
        (96, planned(2, "start checkout", end("checkout"), false)),
        (290, service("checkout", 4131, 40_113)),
        (
            291,
            Event::FixtureReady {
                fixture: "shop".into(),
                took_us: 290_000,
            },
        ),
        (291, Event::BodyStarted),
        (2_310, baseline),
        (2_310, planned(3, "stop cache", run(), true)),
        (2_541, injected(3, "stop cache")),
        (
            2_545,
            Event::Note {
                text: "the cache holds 1,204 baskets".into(),
            },
        ),
        (7_790, undone(3, "stop cache", true)),
        (7_791, lifted(3, "stop cache", 31, false)),
        (8_201, recovered),
        (
            8_204,
            about_the_outage(judged(
                Met::No,
                "error rate of checkout over 5.25 s under \"stop cache\"",
                "at most 0 %",
                "24.76 % (26 of 105 failed), the last: 503",
            )),
        ),
        (
            8_204,
            judged(Met::Yes, "recovery of checkout", "within 5 s", "410 ms"),
        ),
        (10_400, samples()),
        (10_400, ended(BodyEnd::Returned)),
        (10_420, undone(2, "start checkout", false)),
        (10_431, undone(1, "start cache", false)),
    ])
}
