//! What each comparison comes to, and how it is told.

use std::sync::Arc;

use super::*;
use crate::decide::interval::shuffled;
use crate::decide::measures::{availability, error_rate, latency, throughput, value};
use crate::decide::statistics::{MAX, P50, P95};
use crate::model::sample::{Reading, Sample, Window};
use crate::model::units::{ms, percent, secs};

struct Before(Summary);

impl BaselineSummary for Before {
    fn summary(&self) -> Arc<Summary> {
        Arc::new(self.0.clone())
    }
}

/// One sample every 20 ms; `None` failed. What probes returned is their latency in ms.
fn window(latencies: impl IntoIterator<Item = Option<f64>>) -> Summary {
    let samples: Vec<_> = latencies
        .into_iter()
        .zip(0..)
        .map(|(latency, number)| Sample {
            at: ms(20 * number),
            sent: ms(20 * number),
            latency: Duration::from_secs_f64(latency.unwrap_or(0.0) / 1e3),
            reading: match latency {
                Some(_) => Reading::Good(latency),
                None => Reading::Bad("refused".to_owned()),
            },
        })
        .collect();
    let window = Window {
        from: ms(0),
        to: ms(20) * samples.len() as u32,
    };
    Summary::of(&samples, window)
}

/// All the same, but every so manyth failed.
fn failing(count: usize, every: usize) -> Summary {
    window((1..=count).map(|number| (!number.is_multiple_of(every)).then_some(10.0)))
}

fn constant(count: usize, latency: f64) -> Summary {
    window(vec![Some(latency); count])
}

/// Evenly spread from 1 to 2 times so much, in an order that has no memory.
fn spread(count: usize, least: f64) -> Summary {
    let share = |number: usize| number as f64 / count as f64;
    let numbers = shuffled(count).into_iter();
    window(numbers.map(|number| Some(least * (1.0 + share(number)))))
}

fn check(tolerance: Delta, baseline: Summary, now: &Summary, expected: (&str, &str, Met)) {
    let judgement = tolerance.from(&Before(baseline)).judge(now);
    let seen = (
        judgement.expected.as_str(),
        judgement.actual.as_str(),
        judgement.met,
    );
    assert_eq!(seen, expected);
}

#[test]
fn a_clear_change_is_told_with_its_interval() {
    check(
        latency(P95).rises_at_most(ms(20)),
        spread(250, 10.0),
        &spread(250, 11.0),
        (
            "at most 20.0 ms above the baseline's 19.5 ms",
            "21.4 ms (250 samples), 1.9 ms above the baseline's 19.5 ms, 95 % interval 1.5 \
             ms to 2.4 ms",
            Met::Yes,
        ),
    );
    check(
        latency(P95).rises_at_most(ms(10)),
        spread(250, 10.0),
        &spread(250, 20.0),
        (
            "at most 10.0 ms above the baseline's 19.5 ms",
            "39.0 ms (250 samples), 19.5 ms above the baseline's 19.5 ms, 95 % interval \
             18.8 ms to 20.1 ms",
            Met::No,
        ),
    );
    check(
        latency(P95).rises_at_most(percent(50)),
        spread(250, 10.0),
        &spread(250, 20.0),
        (
            "at most 50 % above the baseline's 19.5 ms",
            "39.0 ms (250 samples), 100 % above the baseline's 19.5 ms, 95 % interval \
             95.68 % to 104.42 %",
            Met::No,
        ),
    );
    check(
        throughput().drops_at_most(percent(20)),
        constant(250, 10.0),
        &failing(250, 20),
        (
            "at most 20 % below the baseline's 50 /s",
            "47.6 /s (250 samples, 12 failed), 4.8 % below the baseline's 50 /s, 95 % \
             interval 2.09 % to 8.23 %, the last: refused",
            Met::Yes,
        ),
    );
    check(
        availability().drops_at_most(percent(5)),
        constant(250, 10.0),
        &failing(250, 2),
        (
            "at most 5 % points below the baseline's 100 %",
            "50 % (125 of 250 succeeded), 50 % points below the baseline's 100 %, 95 % \
             interval 43.47 % points to 56.37 % points, the last: refused",
            Met::No,
        ),
    );
    check(
        value().drops_at_most(5.0),
        spread(100, 20.0),
        &spread(100, 10.0),
        (
            "at most 5 below the baseline's 29.8",
            "14.9 (100 samples), 14.9 below the baseline's 29.8, 95 % interval 12.39 to 17.54",
            Met::No,
        ),
    );
}

#[test]
fn a_change_within_the_noise_is_called_that() {
    check(
        latency(P50).rises_at_most(ms(5)),
        spread(250, 10.0),
        &spread(250, 10.1),
        (
            "at most 5.0 ms above the baseline's 15.0 ms",
            "15.1 ms (250 samples), 150 µs above the baseline's 15.0 ms, within the noise: \
             95 % interval 732 µs below to 1.0 ms above",
            Met::Yes,
        ),
    );
    check(
        latency(P50).rises_at_most(Duration::from_micros(200)),
        spread(250, 10.0),
        &spread(250, 10.1),
        (
            "at most 200 µs above the baseline's 15.0 ms",
            "15.1 ms (250 samples), 150 µs above the baseline's 15.0 ms, within the noise: 95 \
             % interval 732 µs below to 1.0 ms above; too close to the limit, or too \
             unsteady, for any window of a reasonable length: allow more, or have the system \
             settle first",
            Met::NoData,
        ),
    );
}

#[test]
fn too_few_samples_are_an_answer_of_their_own() {
    check(
        latency(P95).rises_at_most(ms(20)),
        constant(100, 10.0),
        &constant(71, 12.0),
        (
            "at most 20.0 ms above the baseline's 10.0 ms",
            "12.0 ms (71 samples), 2.0 ms above the baseline's 10.0 ms, 95 % interval from \
             2.0 ms above upwards; that cannot be told from so few samples, about 75 in \
             the window (1.5 s) would do",
            Met::NoData,
        ),
    );
    check(
        latency(P95).rises_at_most(ms(20)),
        constant(71, 10.0),
        &constant(100, 50.0),
        (
            "at most 20.0 ms above the baseline's 10.0 ms",
            "50.0 ms (100 samples), 40.0 ms above the baseline's 10.0 ms, 95 % interval up \
             to 40.0 ms above; that cannot be told from so few samples, about 75 in the \
             baseline (1.5 s) would do",
            Met::NoData,
        ),
    );
    check(
        error_rate().rises_at_most(percent(5)),
        constant(100, 10.0),
        &constant(50, 10.0),
        (
            "at most 5 % points above the baseline's 0 %",
            "0 % (0 of 50 failed), the same as the baseline's 0 %, within the noise: 95 % \
             interval 3.62 % points below to 7.11 % points above; that cannot be told from \
             so few samples, about 74 in the window (1.48 s) would do",
            Met::NoData,
        ),
    );
}

#[test]
fn windows_without_any_spread_are_exact() {
    for (now, expected) in [(30.0, Met::Yes), (30.1, Met::No), (10.0, Met::Yes)] {
        let tolerance = latency(P95).rises_at_most(ms(20));
        let judgement = tolerance
            .from(&Before(constant(72, 10.0)))
            .judge(&constant(72, now));
        assert_eq!(judgement.met, expected, "{}", judgement.actual);
    }
    check(
        latency(P95).rises_at_most(percent(0)),
        constant(72, 10.0),
        &constant(72, 10.0),
        (
            "at most 0 % above the baseline's 10.0 ms",
            "10.0 ms (72 samples), the same as the baseline's 10.0 ms",
            Met::Yes,
        ),
    );
}

#[test]
fn nothing_allowed_and_nothing_seen_is_met_by_twenty() {
    for tolerance in [
        error_rate().rises_at_most(percent(0)),
        availability().drops_at_most(percent(0)),
        throughput().drops_at_most(percent(0)),
    ] {
        let tolerance = tolerance.from(&Before(constant(50, 10.0)));
        assert_eq!(tolerance.judge(&constant(20, 10.0)).met, Met::Yes);
        let too_few = tolerance.judge(&constant(19, 10.0));
        assert_eq!(too_few.met, Met::NoData);
        assert!(
            too_few.actual.contains("about 20 in the window (400 ms)"),
            "{}",
            too_few.actual
        );
        assert_eq!(tolerance.judge(&failing(100, 2)).met, Met::No);
    }
    // One failure may be chance.
    check(
        error_rate().rises_at_most(percent(0)),
        constant(250, 10.0),
        &failing(250, 249),
        (
            "at most 0 % points above the baseline's 0 %",
            "0.4 % (1 of 250 failed), 0.4 % points above the baseline's 0 %, within the \
             noise: 95 % interval 1.12 % points below to 2.21 % points above; that cannot \
             be told from so few samples, about 1300 in the window (26 s) and 1300 in the \
             baseline (26 s) would do, the last: refused",
            Met::NoData,
        ),
    );
}

#[test]
fn failures_are_slower_than_any_limit_and_compare_with_nothing() {
    check(
        latency(P95).rises_at_most(ms(20)),
        constant(100, 10.0),
        &failing(100, 2),
        (
            "at most 20.0 ms above the baseline's 10.0 ms",
            "no answer (100 samples, 50 failed), against the baseline's 10.0 ms, the last: \
             refused",
            Met::No,
        ),
    );
    check(
        latency(P95).rises_at_most(ms(20)),
        constant(50, 10.0),
        &failing(100, 2),
        (
            "at most 20.0 ms above the baseline's 10.0 ms",
            "no answer (100 samples, 50 failed), against the baseline's 10.0 ms; that \
             cannot be told from so few samples, about 90 in the baseline (1.8 s) would \
             do, the last: refused",
            Met::NoData,
        ),
    );
    check(
        latency(P95).rises_at_most(ms(20)),
        failing(100, 2),
        &constant(100, 10.0),
        (
            "at most 20.0 ms above a baseline without an answer",
            "10.0 ms (100 samples); a baseline without an answer compares with nothing",
            Met::NoData,
        ),
    );
}

#[test]
fn one_burst_of_failures_says_little_about_a_percentile() {
    let judge = |burst: usize, every: usize| {
        let now = window((0..200).map(|number| {
            let fails = number % every < burst;
            (!fails).then_some(10.0)
        }));
        let tolerance = latency(P95).rises_at_most(ms(20));
        tolerance.from(&Before(constant(200, 10.0))).judge(&now).met
    };
    assert_eq!(judge(30, 200), Met::NoData);
    assert_eq!(judge(1, 7), Met::No);
}

#[test]
fn a_maximum_can_never_be_told() {
    check(
        latency(MAX).rises_at_most(ms(20)),
        constant(10_000, 10.0),
        &constant(10_000, 10.0),
        (
            "at most 20.0 ms above the baseline's 10.0 ms",
            "10.0 ms (10000 samples), the same as the baseline's 10.0 ms, 95 % interval \
             open at both ends; no number of samples tells what a maximum may become: \
             compare a percentile, or use `at_most`",
            Met::NoData,
        ),
    );
}

#[test]
fn neighbours_that_are_alike_count_as_fewer_and_that_is_said() {
    let in_tens = |slow: f64| {
        window((0..250).map(|number| Some(if number / 10 % 9 == 4 { slow } else { 10.0 })))
    };
    check(
        latency(P95).rises_at_most(ms(20)),
        in_tens(50.0),
        &in_tens(60.0),
        (
            "at most 20.0 ms above the baseline's 50.0 ms",
            "60.0 ms (250 samples), 10.0 ms above the baseline's 50.0 ms, 95 % interval \
             open at both ends; that cannot be told from so few samples, about 700 in the \
             window (14 s) and 700 in the baseline (14 s) would do; neighbours are alike, \
             so 9 count as one",
            Met::NoData,
        ),
    );
}

#[test]
fn a_window_that_saw_no_stall_counts_as_if_it_could_have_had_some() {
    let stalls = |usual: f64| {
        window((0..250).map(|number| Some(if number / 10 % 9 == 4 { 50.0 } else { usual })))
    };
    let judge = |before: Summary, now: Summary| {
        let tolerance = latency(P95).rises_at_most(ms(20));
        tolerance.from(&Before(before)).judge(&now).met
    };
    let none = || constant(250, 10.0);
    assert_eq!(judge(none(), none()), Met::Yes);
    assert_eq!(judge(stalls(10.0), none()), Met::NoData);
    // The baseline's p95 may be in a stall, too, for all that is known.
    assert_eq!(judge(none(), constant(250, 40.0)), Met::No);
    assert_eq!(judge(none(), stalls(40.0)), Met::NoData);
}

#[test]
fn more_confidence_asks_for_more() {
    let judge = |level: f64| {
        let tolerance = latency(P95)
            .rises_at_most(ms(20))
            .confidence(percent(level));
        tolerance
            .from(&Before(constant(100, 10.0)))
            .judge(&constant(100, 10.0))
    };
    // The upper bound of a p95 needs 59 samples at 90 %, 72 at 95 % and 104 at 99 %.
    assert_eq!(judge(95.0).met, Met::Yes);
    assert_eq!(judge(99.0).met, Met::NoData);
    assert!(judge(99.0).actual.contains("99 % interval"));
}

#[test]
#[should_panic(expected = "a level of confidence is from 50 to 99.9 %, not 100 %")]
fn certainty_is_refused() {
    let _ = error_rate()
        .rises_at_most(percent(1))
        .confidence(percent(100));
}

#[test]
fn without_data_nothing_is_met() {
    let nothing = || window([]);
    check(
        latency(P95).rises_at_most(ms(20)),
        nothing(),
        &constant(100, 1.0),
        (
            "at most 20.0 ms above a baseline without data",
            "1.0 ms (100 samples)",
            Met::NoData,
        ),
    );
    check(
        error_rate().rises_at_most(percent(1)),
        constant(100, 1.0),
        &nothing(),
        (
            "at most 1 % points above the baseline's 0 %",
            "no data (0 samples)",
            Met::NoData,
        ),
    );
}

#[test]
fn one_sample_more_or_less_in_a_window_is_no_change_of_throughput() {
    let mut longer = constant(100, 10.0);
    longer.window.to = secs(3);
    let tolerance = throughput().drops_at_most(percent(5));
    let judgement = tolerance.from(&Before(constant(100, 10.0))).judge(&longer);
    assert_eq!(judgement.met, Met::Yes, "{}", judgement.actual);
}
