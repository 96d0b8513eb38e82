//! Invariants: what each single sample has to keep.

use std::time::Duration;

use crate::model::event::Met;
use crate::model::sample::{Reading, Sample, Window};
use crate::model::units::human;

use super::phases::{Phase, in_force, under};
use super::statistics::Summary;
use super::tolerance::{Judgement, Tolerance, unsent};

/// How many violations a judgement shows.
const SHOWN: usize = 3;

/// What is asked of each sample.
#[derive(Debug, Clone)]
pub enum Rule {
    /// That it succeeds.
    Succeeds,
    /// A tolerance of a window, over the sample alone.
    Keeps(Tolerance),
}

/// What one sample says of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Look {
    /// It keeps it.
    Keeps,
    /// It does not: what is wrong.
    Violates(String),
    /// It says nothing, and why.
    Blind(String),
}

impl Rule {
    /// Looks at one sample.
    #[must_use]
    pub fn look(&self, sample: &Sample) -> Look {
        match (self, &sample.reading) {
            (Self::Succeeds, Reading::Good(_)) => Look::Keeps,
            (Self::Succeeds, Reading::Bad(why)) => Look::Violates(why.clone()),
            (Self::Keeps(tolerance), reading) => {
                let window = Window {
                    from: sample.at,
                    to: sample.at + Duration::from_nanos(1),
                };
                let alone = Summary::of(std::slice::from_ref(sample), window);
                match (tolerance.judge(&alone).met, reading) {
                    (Met::Yes, _) => Look::Keeps,
                    (Met::No, _) => Look::Violates(seen(tolerance, sample)),
                    (Met::NoData | Met::NotJudged, Reading::Bad(why)) => Look::Blind(why.clone()),
                    (Met::NoData | Met::NotJudged, Reading::Good(_)) => {
                        Look::Blind("the probe returned no number".to_owned())
                    }
                }
            }
        }
    }

    /// What is expected, in words.
    #[must_use]
    pub fn expected(&self) -> String {
        match self {
            Self::Succeeds => "each sample succeeds".to_owned(),
            Self::Keeps(tolerance) => {
                format!("each sample: {}", tolerance.words())
            }
        }
    }
}

/// A single sample in words: a percentile of one would read oddly.
fn seen(tolerance: &Tolerance, sample: &Sample) -> String {
    match &sample.reading {
        Reading::Bad(why) => why.clone(),
        Reading::Good(Some(number)) if tolerance.is_of_values() => {
            crate::model::units::trimmed(*number)
        }
        Reading::Good(_) => format!("answered in {}", human(sample.latency)),
    }
}

/// What is known of the samples since an invariant was declared.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    /// Those that were answered, in the order of their intended times.
    pub samples: &'a [Sample],
    /// How many more were due and not sent.
    pub unsent: usize,
    /// From when to when they were due.
    pub window: Window,
    /// The longest time without a sample that says something that is still tolerated.
    pub longest_gap: Option<Duration>,
    /// The faults of the test.
    pub phases: &'a [Phase],
}

/// Judges an invariant by all that was seen.
#[must_use]
pub fn judge(what: &str, rule: &Rule, seen: Seen<'_>) -> Judgement {
    let (mut judged, mut blind, mut violations) = (0, Vec::new(), Vec::new());
    // From when on nothing was seen, and the longest such time.
    let (mut dark_since, mut gap) = (seen.window.from, (Duration::ZERO, seen.window.from));
    let mut light = |at: Duration, since: &mut Duration| {
        let dark = at.saturating_sub(*since);
        if dark > gap.0 {
            gap = (dark, *since);
        }
        *since = at;
    };
    for sample in seen.samples {
        match rule.look(sample) {
            Look::Blind(why) => {
                blind.push(why);
                continue;
            }
            Look::Keeps => {}
            Look::Violates(why) => violations.push((sample.at, why)),
        }
        judged += 1;
        light(sample.at, &mut dark_since);
    }
    light(seen.window.to, &mut dark_since);
    let (gap, gap_since) = gap;
    let too_dark = seen.longest_gap.is_some_and(|longest| gap > longest);
    let mut actual = if violations.is_empty() {
        format!("kept by {judged} samples")
    } else {
        let shown: Vec<String> = violations
            .iter()
            .take(SHOWN)
            .map(|(at, why)| {
                let faults = in_force(seen.phases, *at);
                format!("at {:.3} s{}: {why}", at.as_secs_f64(), under(&faults))
            })
            .collect();
        let more = if violations.len() > SHOWN {
            "; ..."
        } else {
            ""
        };
        format!(
            "violated by {} of {judged} samples, {}{more}",
            violations.len(),
            shown.join("; ")
        )
    };
    if let Some(last) = blind.last() {
        actual += &format!("; {} more said nothing, the last: {last}", blind.len());
    }
    if judged > 0 && (!blind.is_empty() || seen.unsent > 0 || too_dark) {
        actual += &format!(
            "; nothing was seen for {} from {:.3} s on",
            human(gap),
            gap_since.as_secs_f64()
        );
    }
    if judged == 0 {
        actual = match blind.last() {
            Some(last) => format!(
                "no sample said anything, the last of {}: {last}",
                blind.len()
            ),
            None => format!("no sample was due in {}", human(seen.window.length())),
        };
    }
    let met = if !violations.is_empty() {
        Met::No
    } else if judged == 0 || seen.unsent > 0 || too_dark {
        Met::NoData
    } else {
        Met::Yes
    };
    let gaps = match seen.longest_gap {
        Some(longest) => format!(", none missing for longer than {}", human(longest)),
        None => String::new(),
    };
    Judgement {
        what: format!("invariant \"{what}\""),
        expected: rule.expected() + &gaps,
        actual: actual + &unsent(seen.unsent),
        met,
        measured: Vec::new(),
        evidence: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::measures::{error_rate, latency, value};
    use crate::decide::phases::phases;
    use crate::decide::statistics::P50;
    use crate::model::units::{ms, percent};

    /// A digit is a number, `x` failed, `s` took 80 ms, `.` is good without a number; one
    /// sample every 10 ms.
    fn samples(pattern: &str) -> Vec<Sample> {
        pattern
            .chars()
            .enumerate()
            .map(|(index, kind)| Sample {
                at: ms(index as u64 * 10),
                sent: ms(index as u64 * 10),
                latency: ms(if kind == 's' { 80 } else { 1 }),
                reading: match kind {
                    'x' => Reading::Bad("refused".into()),
                    digit => Reading::Good(digit.to_digit(10).map(f64::from)),
                },
            })
            .collect()
    }

    fn judged(rule: Rule, pattern: &str, unsent: usize, longest_gap: Option<u64>) -> Judgement {
        let samples = samples(pattern);
        let records = crate::decide::phases::tests::faults(&[("kill cache", 20, Some(60))]);
        judge(
            "nothing is lost",
            &rule,
            Seen {
                samples: &samples,
                unsent,
                window: Window {
                    from: ms(0),
                    to: ms(pattern.len() as u64 * 10),
                },
                longest_gap: longest_gap.map(ms),
                phases: &phases(&records),
            },
        )
    }

    #[track_caller]
    fn check(rule: Rule, pattern: &str, met: Met, actual: &str) {
        let judgement = judged(rule, pattern, 0, None);
        assert_eq!(
            (judgement.met, judgement.actual.as_str()),
            (met, actual),
            "{pattern}"
        );
    }

    #[test]
    fn a_single_sample_is_enough_to_violate_it() {
        let lost = || Rule::Keeps(value().at_most(0.0));
        check(lost(), "00000", Met::Yes, "kept by 5 samples");
        check(
            lost(),
            "00030",
            Met::No,
            "violated by 1 of 5 samples, at 0.030 s under \"kill cache\": 3",
        );
        check(
            Rule::Keeps(latency(P50).at_most(ms(50))),
            "..s.........s",
            Met::No,
            "violated by 2 of 13 samples, at 0.020 s under \"kill cache\": answered in 80.0 ms; \
             at 0.120 s: answered in 80.0 ms",
        );
        check(
            Rule::Succeeds,
            ".xxxxx",
            Met::No,
            "violated by 5 of 6 samples, at 0.010 s: refused; at 0.020 s under \"kill cache\": \
             refused; at 0.030 s under \"kill cache\": refused; ...",
        );
        check(
            Rule::Keeps(error_rate().at_most(percent(0))),
            ".x",
            Met::No,
            "violated by 1 of 2 samples, at 0.010 s: refused",
        );
    }

    #[test]
    fn what_says_nothing_is_named_and_is_no_data_where_there_is_nothing_else() {
        let lost = || Rule::Keeps(value().at_most(0.0));
        check(
            lost(),
            "0xxx0",
            Met::Yes,
            "kept by 2 samples; 3 more said nothing, the last: refused; nothing was seen for \
             40.0 ms from 0.000 s on",
        );
        check(
            lost(),
            "xxx",
            Met::NoData,
            "no sample said anything, the last of 3: refused",
        );
        check(
            lost(),
            "..",
            Met::NoData,
            "no sample said anything, the last of 2: the probe returned no number",
        );
        check(Rule::Succeeds, "", Met::NoData, "no sample was due in 0 s");
        assert_eq!(judged(lost(), "0xxx0", 0, Some(40)).met, Met::Yes);
        let dark = judged(lost(), "0xxx0", 0, Some(30));
        assert_eq!(dark.met, Met::NoData);
        assert!(
            dark.expected
                .ends_with("none missing for longer than 30.0 ms"),
            "{dark:?}"
        );
    }

    #[test]
    fn a_gap_is_not_kept_and_a_violation_beside_a_gap_is_one() {
        let gap = judged(Rule::Succeeds, "...", 2, None);
        assert_eq!(gap.met, Met::NoData);
        assert!(gap.actual.contains("; 2 more could not be sent"), "{gap:?}");
        assert_eq!(judged(Rule::Succeeds, ".x.", 2, None).met, Met::No);
    }
}
