//! Streaks, troubles and returns of throughput of made-up samples.

use super::*;
use crate::model::units::ms;

const STEADY: Steady = Steady {
    slowest: Duration::from_millis(50),
};

/// `.` steady, `x` failed, `s` slow; one sample every 10 ms.
fn samples(pattern: &str) -> Vec<Sample> {
    pattern
        .chars()
        .enumerate()
        .map(|(index, kind)| Sample {
            at: ms(index as u64 * 10),
            sent: ms(index as u64 * 10),
            latency: if kind == 's' { ms(80) } else { ms(1) },
            reading: if kind == 'x' {
                Reading::Bad("refused".into())
            } else {
                Reading::Good(None)
            },
        })
        .collect()
}

/// All of a pattern; `_` was not sent.
fn progress(pattern: &str, since: u64) -> Progress {
    progress_allowing(pattern, since, 3, 0)
}

fn progress_allowing(pattern: &str, since: u64, in_a_row: usize, late: usize) -> Progress {
    let in_a_row = InARow {
        samples: in_a_row,
        late,
    };
    let mut looking = Streak::new(STEADY, in_a_row);
    for (sample, kind) in samples(pattern).iter().zip(pattern.chars()) {
        if sample.at < ms(since) {
            continue;
        }
        if kind == '_' {
            looking.unsent();
        } else {
            looking.sample(sample);
        }
    }
    looking.progress()
}

fn recovered(at: u64) -> Progress {
    after(at, at)
}

fn after(first_success: u64, at: u64) -> Progress {
    Progress::Recovered {
        at: ms(at),
        first_success: ms(first_success),
        unsent: 0,
    }
}

#[test]
fn recovery_is_the_first_sample_of_the_first_whole_streak() {
    for (pattern, since, expected) in [
        ("xxx...", 0, recovered(30)),
        ("xx.x...", 0, after(20, 40)),
        ("ss...", 0, after(0, 20)),
        ("......", 0, recovered(0)),
        ("xxx......", 40, recovered(40)),
        ("xxx...xxx...", 0, recovered(30)),
    ] {
        assert_eq!(progress(pattern, since), expected, "{pattern}");
    }
}

#[test]
fn samples_that_were_not_sent_are_no_trouble_and_no_part_of_a_streak() {
    assert_eq!(
        progress("..__...", 0),
        Progress::Recovered {
            at: ms(40),
            first_success: ms(0),
            unsent: 2
        }
    );
}

#[test]
fn an_unfinished_streak_is_not_a_recovery() {
    assert_eq!(
        progress("x_x..", 0),
        Progress::NotYet {
            first_success: Some(ms(30)),
            seen: 4,
            streak: 2,
            unsent: 1,
            last_problem: Some("refused".into())
        }
    );
}

#[test]
fn no_sample_is_no_recovery() {
    assert_eq!(
        progress("...", 500),
        Progress::NotYet {
            first_success: None,
            seen: 0,
            streak: 0,
            unsent: 0,
            last_problem: None
        }
    );
}

#[test]
fn no_answer_has_to_be_waited_for_longer_than_a_sample_may_take() {
    let window = crate::model::sample::Window {
        from: ms(0),
        to: ms(1000),
    };
    for (pattern, expected) in [("....", ms(101)), (".x..", ms(200)), ("ssss", ms(180))] {
        let normal = Summary::of(&samples(pattern), window);
        assert_eq!(Steady::of(&normal, ms(200)).slowest, expected, "{pattern}");
    }
    let slow = Summary::of(&samples("ssss"), window);
    assert_eq!(Steady::of(&slow, ms(100)).slowest, ms(100));
}

#[test]
fn a_late_sample_is_jitter_where_that_is_allowed_and_a_failed_one_never_is() {
    for (pattern, late, expected) in [
        ("xx..s..", 0, None),
        ("xx..s..", 1, Some(after(20, 20))),
        // One too many: the row begins behind the first late one.
        ("xx..s.s...", 1, Some(after(20, 50))),
        ("xx..s.s...", 2, Some(after(20, 20))),
        // It begins with a steady one.
        ("xs.....", 1, Some(after(10, 20))),
        ("xx..x....", 1, None),
        (".s...", 1, Some(after(0, 0))),
    ] {
        let seen = progress_allowing(pattern, 0, 5, late);
        match expected {
            Some(expected) => assert_eq!(seen, expected, "{pattern}, {late}"),
            None => assert!(
                matches!(seen, Progress::NotYet { .. }),
                "{pattern}: {seen:?}"
            ),
        }
    }
}

fn normal(pattern: &str) -> Summary {
    let window = Window {
        from: ms(0),
        to: ms(pattern.len() as u64 * 10),
    };
    Summary::of(&samples(pattern), window)
}

#[test]
fn failures_that_a_baseline_has_as_well_are_no_degradation() {
    // Now and then, and all at once.
    let scattered = normal(&format!("{}x{}x", ".".repeat(24), ".".repeat(24)));
    let block = normal(&format!("{}xxxxx{}", ".".repeat(60), ".".repeat(35)));
    for (baseline, pattern, failing) in [
        (&scattered, "....x.....".to_owned(), false),
        (&scattered, "x....x....x....".to_owned(), false),
        (&scattered, "x".repeat(5), true),
        // The samples of an outage hang together, and that is no doubt about it.
        (
            &scattered,
            format!("{0}{1}{0}", ".".repeat(8), "x".repeat(14)),
            true,
        ),
        (&scattered, ".".repeat(40), false),
        // This system hangs now and then.
        (&block, "...xxxxx............".to_owned(), false),
        (&block, format!("..{}", "x".repeat(60)), true),
    ] {
        let trouble = Trouble::of(&samples(&pattern), STEADY, 3, baseline);
        assert_eq!(trouble.failing, failing, "{pattern}: {trouble:?}");
        assert_eq!(trouble.degraded, failing, "{pattern}: {trouble:?}");
    }
    // Late ones are one, whatever fails between them.
    let late = Trouble::of(&samples("..sxss...."), STEADY, 3, &scattered);
    assert!(late.degraded && !late.failing, "{late:?}");
}

#[test]
fn a_single_late_answer_is_no_degradation_and_a_single_failure_is() {
    for (pattern, out, failed, first, degraded) in [
        ("......", 0, 0, None, false),
        ("..s..s", 2, 0, Some(20), false),
        ("..ss..", 2, 0, Some(20), false),
        ("..sss.", 3, 0, Some(20), true),
        ("....x.", 1, 1, Some(40), true),
        ("", 0, 0, None, false),
    ] {
        let trouble = Trouble::of(&samples(pattern), STEADY, 3, &normal(&".".repeat(50)));
        assert_eq!(trouble.seen, pattern.len(), "{pattern}");
        assert_eq!((trouble.out, trouble.failed), (out, failed), "{pattern}");
        assert_eq!(trouble.first, first.map(ms), "{pattern}");
        assert_eq!(trouble.degraded, degraded, "{pattern}");
    }
}

#[test]
fn throughput_is_back_with_the_first_row_that_noise_does_not_explain() {
    use crate::decide::measures::throughput;
    use crate::model::units::percent;
    let window = |count: usize| crate::model::sample::Window {
        from: ms(0),
        to: ms(count as u64 * 10),
    };
    let normal = Summary::of(&samples(&".".repeat(100)), window(100));
    let back = |pattern: &str| {
        let delta = throughput().drops_at_most(percent(10));
        let mut looking = ThroughputBack::new(&normal, delta, ms(10), 50);
        for (sample, kind) in samples(pattern).iter().zip(pattern.chars()) {
            if kind == '_' {
                looking.unsent();
            } else {
                looking.sample(sample);
            }
        }
        looking.back()
    };
    assert_eq!(back(&".".repeat(50)), Some(ms(0)));
    assert_eq!(
        back(&format!("{}{}", "x".repeat(20), ".".repeat(60))),
        Some(ms(200))
    );
    // Nine of ten, as seen; that may as well be a fifth too few.
    assert_eq!(back(&".........x".repeat(10)), None);
    assert_eq!(back(&".".repeat(49)), None, "too few to tell");
    assert_eq!(
        back(&format!("{}_{}", ".".repeat(40), ".".repeat(40))),
        None
    );
}
