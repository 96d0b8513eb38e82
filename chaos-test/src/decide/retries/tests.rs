//! What is said of attempts that were made up, and why nothing is where nothing can be.

use super::*;
use crate::model::attempt::Kept;
use crate::model::sample::Window;
use crate::model::units::{ms, percent, secs};

/// Numbers from 0 to 1 that look random and are the same each time.
fn draws() -> impl FnMut() -> f64 {
    let mut state = 7_u64;
    move || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 11) as f64 / (1_u64 << 53) as f64
    }
}

fn attempt(began: Duration, took: Duration) -> Attempt {
    Attempt {
        connection: 1,
        opened: true,
        began,
        sent: true,
        answered: false,
        ended: Some(began + took),
    }
}

/// Calls that come every two seconds, each of attempts of 5 ms with these pauses in between,
/// which vary by a share.
fn calls(count: u64, pauses: &[u64], vary: f64) -> Tried {
    let mut draw = draws();
    let mut attempts = Vec::new();
    let mut calls = Vec::new();
    for call in 0..count {
        let from = secs(2 * call + 1);
        let mut at = from + ms(1);
        attempts.push(attempt(at, ms(5)));
        for pause in pauses {
            let factor = 1.0 + vary * (2.0 * draw() - 1.0);
            at += ms(5) + ms(*pause).mul_f64(factor);
            attempts.push(attempt(at, ms(5)));
        }
        calls.push(Window {
            from,
            to: at + ms(6),
        });
    }
    Tried {
        window: Some(Window {
            from: secs(1),
            to: secs(2 * count + 1),
        }),
        kept: Kept {
            attempts,
            forgotten: None,
        },
        calls: Some(calls),
        unsent: 0,
    }
}

fn judge(tolerance: RetryTolerance, tried: &Tried) -> (Met, String) {
    let judgement = tolerance.judge(tried);
    let said = format!(
        "{}: {}, expected {}",
        judgement.what, judgement.actual, judgement.expected
    );
    (judgement.met, said)
}

#[test]
fn policies_are_told_apart() {
    let exponential = || calls(25, &[100, 200, 400], 0.0);
    let jittered = || calls(25, &[100, 200, 400], 0.2);
    let constant = || calls(25, &[100, 100, 100], 0.0);
    let immediate = || calls(25, &[0, 0, 0], 0.0);
    let none = || calls(25, &[], 0.0);
    for (tried, tolerance, met, said) in [
        (
            exponential(),
            attempts().at_most(4),
            Met::Yes,
            "attempts per call: 4 (the most of 25 calls, 100 in all), expected at most 4",
        ),
        (
            none(),
            attempts().at_least(2),
            Met::No,
            "attempts per call: 1 (the most of 25 calls, 25 in all), expected at least 2",
        ),
        (
            exponential(),
            spacing().grows_by(2.0).within(percent(1)),
            Met::Yes,
            "growth of the pauses between attempts: 2 (the median of 50 ratios of successive pauses), \
             expected a factor of 2 within 1 %",
        ),
        (
            jittered(),
            spacing().grows_by(2.0).within(percent(10)),
            Met::Yes,
            "median of 50 ratios",
        ),
        (
            constant(),
            spacing().grows_by(2.0).within(percent(20)),
            Met::No,
            "attempts: 1 (the median",
        ),
        (
            constant(),
            spacing().grows_by(1.0).within(percent(1)),
            Met::Yes,
            "attempts: 1 (the median",
        ),
        (
            immediate(),
            spacing().grows_by(2.0).within(percent(40)),
            Met::No,
            "attempts: 0 (the median",
        ),
        (
            none(),
            spacing().grows_by(2.0).within(percent(20)),
            Met::NoData,
            "no data: nothing was tried twice",
        ),
        (
            jittered(),
            spacing().at_least(ms(80)),
            Met::Yes,
            "shortest pause between attempts: ",
        ),
        (
            immediate(),
            spacing().at_least(ms(10)),
            Met::No,
            "shortest pause between attempts: 0 s (of 75 pauses), expected at least 10.0 ms",
        ),
        (
            exponential(),
            spacing().at_most(ms(300)),
            Met::No,
            "longest pause between attempts: 400 ms (of 75 pauses), expected at most 300 ms",
        ),
        (
            jittered(),
            jitter().at_least(percent(12)),
            Met::Yes,
            "from the pauses of 25 calls",
        ),
        (
            jittered(),
            jitter().at_most(percent(28)),
            Met::Yes,
            "from the pauses of 25 calls",
        ),
        (
            exponential(),
            jitter().at_least(percent(10)),
            Met::No,
            "jitter of the pauses between attempts: 0 % (from the pauses of 25 calls), expected at \
             least 10 %",
        ),
        (
            immediate(),
            jitter().at_least(percent(10)),
            Met::No,
            "attempts: 0 %",
        ),
        (
            exponential(),
            amplification().at_most(3.0),
            Met::No,
            "amplification: 4 (100 attempts, 25 calls), expected at most 3",
        ),
        (
            exponential(),
            amplification().at_most(4.0),
            Met::Yes,
            "amplification: 4",
        ),
        (
            exponential(),
            amplification().over(&Normal(none())).at_most(3.5),
            Met::No,
            "amplification over normal: 4 (100 attempts, 25 calls; normally 25 attempts, 25 calls), \
             expected at most 3.5",
        ),
    ] {
        let (seen, text) = judge(tolerance, &tried);
        assert_eq!(seen, met, "{text}");
        assert!(text.contains(said), "`{said}` in `{text}`");
    }
}

struct Normal(Tried);

#[allow(private_interfaces, reason = "it is ours")]
impl HasTried for Normal {
    fn tried(&self, _: Token) -> Tried {
        self.0.clone()
    }
}

/// The median over many draws is where the pauses without jitter would have it, and the jitter is
/// the one that was put in.
#[test]
fn factor_and_jitter_are_those_that_were_put_in() {
    for (pauses, vary, factor) in [
        ([100, 200, 400], 0.2, 2.0),
        ([100, 200, 400], 0.5, 2.0),
        ([100, 150, 225], 0.1, 1.5),
        ([100, 100, 100], 0.3, 1.0),
    ] {
        let tried = calls(400, &pauses, vary);
        let (growth, _) = tried.growth().unwrap();
        assert!(
            (growth / factor - 1.0).abs() < 0.05,
            "{growth} for {factor}"
        );
        let (jitter, _) = tried.jitter().unwrap();
        assert!((jitter / vary - 1.0).abs() < 0.15, "{jitter} for {vary}");
    }
}

/// Without a monitor all attempts are one call's: those of a client that connects again in the
/// background.
#[test]
fn without_calls_all_attempts_are_those_of_one() {
    let mut tried = calls(1, &[10, 20, 40, 80, 160, 320, 640], 0.0);
    tried.calls = None;
    let (met, text) = judge(spacing().grows_by(2.0).within(percent(1)), &tried);
    assert_eq!(met, Met::Yes, "{text}");
    let (_, text) = judge(attempts().at_most(8), &tried);
    assert_eq!(
        text,
        "attempts: 8 (all taken as one call's), expected at most 8"
    );
    let (met, text) = judge(amplification().at_most(9.0), &tried);
    assert_eq!(met, Met::NoData);
    assert!(
        text.contains("say whose calls, with `.calls(&monitor)`"),
        "{text}"
    );
}

#[test]
fn what_cannot_be_told_is_no_data_with_the_reason() {
    let overlapping_calls = {
        let mut tried = calls(10, &[100, 200, 400], 0.0);
        let call = tried.calls.as_ref().unwrap()[3];
        tried.calls.as_mut().unwrap().push(Window {
            from: call.from + ms(100),
            ..call
        });
        tried
    };
    let overlapping_attempts = {
        let mut tried = calls(10, &[100, 200, 400], 0.0);
        tried.kept.attempts[5].ended = Some(tried.kept.attempts[6].began + ms(20));
        tried
    };
    let unended = {
        let mut tried = calls(10, &[100, 200, 400], 0.0);
        tried.kept.attempts[5].ended = None;
        tried
    };
    let stray = {
        let mut tried = calls(10, &[100], 0.0);
        tried.kept.attempts[7].began += ms(500);
        tried
    };
    let forgotten = {
        let mut tried = calls(10, &[100], 0.0);
        tried.kept.forgotten = Some(secs(3));
        tried
    };
    let unsent = {
        let mut tried = calls(10, &[100], 0.0);
        tried.unsent = 2;
        tried
    };
    let few = calls(4, &[100, 200], 0.0);
    let nobody = Tried {
        calls: Some(few.calls.clone().unwrap()),
        ..Tried::default()
    };
    let growth = || spacing().grows_by(2.0).within(percent(20));
    for (tried, tolerance, said) in [
        (
            &overlapping_calls,
            growth(),
            "1 of 11 calls began before the one before",
        ),
        (
            &overlapping_calls,
            attempts().at_most(9),
            "1 of 11 calls began before",
        ),
        (
            &overlapping_attempts,
            growth(),
            "several callers use the link",
        ),
        (
            &unended,
            spacing().at_least(ms(1)),
            "several callers use the link",
        ),
        (
            &stray,
            attempts().at_most(9),
            "1 attempts were made while no call was under way",
        ),
        (
            &forgotten,
            amplification().at_most(9.0),
            "the link has forgotten attempts",
        ),
        (
            &unsent,
            amplification().at_most(9.0),
            "not all calls were made; 2 more",
        ),
        (
            &few,
            growth(),
            "4 times a pause came after another one in the same call, 5 are needed",
        ),
        (
            &few,
            jitter().at_least(percent(1)),
            "in 8 calls or more, and there are 4",
        ),
        (
            &nobody,
            amplification().at_most(9.0),
            "nobody has ever connected",
        ),
    ] {
        let (met, text) = judge(tolerance, tried);
        assert_eq!(met, Met::NoData, "{text}");
        assert!(text.contains(said), "`{said}` in `{text}`");
    }
    // How many attempts there were is known, whoever made them.
    for tried in [&overlapping_calls, &overlapping_attempts, &stray] {
        let (met, text) = judge(amplification().at_most(4.0), tried);
        assert_eq!(met, Met::Yes, "{text}");
    }
}

/// A breaker that lets nothing through is no want of data for amplification, and is for spacing.
#[test]
fn a_window_without_attempts_is_an_amplification_of_zero() {
    let mut tried = calls(10, &[100], 0.0);
    tried.kept.attempts.truncate(1);
    tried.kept.attempts[0].began = ms(1);
    let (met, text) = judge(amplification().at_most(1.0), &tried);
    assert_eq!(
        (met, text.as_str()),
        (
            Met::Yes,
            "amplification: 0 (0 attempts, 10 calls), expected at most 1"
        )
    );
    let (met, text) = judge(attempts().at_most(1), &tried);
    assert_eq!(met, Met::NoData);
    assert!(text.contains("nobody tried anything"), "{text}");
    // A spare connection is no attempt.
    tried.kept.attempts.push(Attempt {
        sent: false,
        ended: None,
        ..attempt(secs(1), ms(1))
    });
    assert_eq!(tried.within(tried.window()).count(), 0);
}

#[test]
#[should_panic(expected = "a factor is a finite number above zero, not 0")]
fn a_factor_of_nothing_is_refused() {
    let _ = spacing().grows_by(0.0);
}
