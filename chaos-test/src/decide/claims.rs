//! What a test declares with `expects(..)`, held against what its body judged.

use crate::model::event::{Event, Met, Record};
use crate::model::measure::Measure;
use crate::model::spec::Claim;

use super::tolerance::Judgement;

/// Judges each claim by the numbers that were judged so far.
#[must_use]
pub fn judge(claims: &[Claim], records: &[Record]) -> Vec<Judgement> {
    claims
        .iter()
        .map(|claim| judge_one(claim, records))
        .collect()
}

fn judge_one(claim: &Claim, records: &[Record]) -> Judgement {
    let judged = records.iter().filter_map(|record| match &record.event {
        Event::Judged { what, measured, .. } => Some((what, measured)),
        _ => None,
    });
    let meant: Vec<(&String, &Measure)> = judged
        .flat_map(|(what, measured)| measured.iter().map(move |measure| (what, measure)))
        .filter(|(_, measure)| means(claim, measure))
        .collect();
    let worst = meant.iter().copied().reduce(|one, other| {
        if is_worse(claim, other.1, one.1) {
            other
        } else {
            one
        }
    });
    let (met, actual) = match worst {
        None => (
            Met::NoData,
            format!(
                "the body never judged {}",
                match claim.source {
                    Some(source) => format!("the {} of {source}", claim.metric),
                    None => format!("any {}", claim.metric),
                }
            ),
        ),
        Some((what, measure)) => {
            let holds = holds(claim, measure);
            let seen = match measure.number {
                Some(number) => number_of(claim, number),
                None => "no answer".to_owned(),
            };
            (
                if holds { Met::Yes } else { Met::No },
                format!("{seen}: {what}"),
            )
        }
    };
    Judgement {
        what: format!("expects({})", claim.text),
        expected: "what the body judged bears it out".to_owned(),
        actual,
        met,
        measured: Vec::new(),
        evidence: Vec::new(),
    }
}

fn means(claim: &Claim, measure: &Measure) -> bool {
    measure.metric == claim.metric
        && measure.at_most == claim.at_most
        && claim
            .source
            .is_none_or(|source| measure.of.iter().any(|name| name == source))
}

fn holds(claim: &Claim, measure: &Measure) -> bool {
    match measure.number {
        None => false,
        Some(number) if claim.at_most => number <= claim.limit,
        Some(number) => number >= claim.limit,
    }
}

/// No answer is worse than any number.
fn is_worse(claim: &Claim, one: &Measure, other: &Measure) -> bool {
    match (one.number, other.number) {
        (None, _) => true,
        (_, None) => false,
        (Some(one), Some(other)) if claim.at_most => one > other,
        (Some(one), Some(other)) => one < other,
    }
}

/// A number in the unit in which the claim is written.
fn number_of(claim: &Claim, number: f64) -> String {
    use crate::model::units::{Percent, human, trimmed};
    if claim.text.ends_with('%') {
        Percent::from_fraction(number).to_string()
    } else if claim.is_duration() {
        human(std::time::Duration::from_secs_f64(number.max(0.0)))
    } else {
        trimmed(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ERRORS: Claim = Claim {
        source: None,
        metric: "error_rate",
        at_most: true,
        limit: 0.05,
        text: "error_rate <= 5%",
    };

    fn judged(metric: &str, number: f64, at_most: bool, of: &str) -> Record {
        let mut measure = Measure::new(metric, number, at_most);
        measure.of.push(of.to_owned());
        Record {
            seq: 1,
            at_us: 0,
            event: Event::Judged {
                what: format!("{metric} of {of}"),
                expected: String::new(),
                actual: String::new(),
                met: Met::Yes,
                at: String::new(),
                measured: vec![measure],
                evidence: Vec::new(),
            },
        }
    }

    fn met(claim: Claim, records: &[Record]) -> (Met, String) {
        let judgement = judge(&[claim], records).remove(0);
        (judgement.met, judgement.actual)
    }

    #[test]
    fn the_worst_that_was_judged_decides() {
        let records = [
            judged("error_rate", 0.01, true, "shop"),
            judged("error_rate", 0.04, true, "cache"),
        ];
        assert_eq!(
            met(ERRORS, &records),
            (Met::Yes, "4 %: error_rate of cache".to_owned())
        );
        let worse = [&records[..], &[judged("error_rate", 0.2, true, "shop")]].concat();
        assert_eq!(met(ERRORS, &worse).0, Met::No);
        let of_cache = Claim {
            source: Some("cache"),
            ..ERRORS
        };
        assert_eq!(met(of_cache, &worse).0, Met::Yes);
    }

    #[test]
    fn what_was_never_judged_is_no_data() {
        // That a fault was felt says nothing about how much of it is borne.
        let felt = [judged("error_rate", 0.9, false, "shop")];
        assert_eq!(
            met(ERRORS, &felt),
            (
                Met::NoData,
                "the body never judged any error_rate".to_owned()
            )
        );
    }

    #[test]
    fn no_answer_is_worse_than_any_number() {
        let slow = Claim {
            metric: "p95",
            limit: 1.0,
            text: "p95 <= 1s",
            ..ERRORS
        };
        let records = [
            judged("p95", f64::INFINITY, true, "shop"),
            judged("p95", 0.5, true, "shop"),
        ];
        assert_eq!(
            met(slow, &records),
            (Met::No, "no answer: p95 of shop".to_owned())
        );
        assert_eq!(
            met(slow, &records[1..]),
            (Met::Yes, "500 ms: p95 of shop".to_owned())
        );
        let available = Claim {
            metric: "availability",
            at_most: false,
            limit: 0.99,
            text: "availability >= 99%",
            ..ERRORS
        };
        let records = [
            judged("availability", 1.0, false, "shop"),
            judged("availability", 0.5, false, "shop"),
        ];
        assert_eq!(met(available, &records).0, Met::No);
        assert_eq!(met(available, &records[..1]).0, Met::Yes);
    }
}
