//! A monitor's samples around the faults: how slow, how often failed, and where the faults
//! were.

use std::time::Duration;

use super::{Page, plural};
use crate::decide::statistics::sparkline;
use crate::model::event::{Event, Record};
use crate::model::sample::Sample;
use crate::model::units::human;

/// So many faults have a row of their own; more share the last one.
const FAULT_ROWS: usize = 4;
const WIDEST: usize = 120;
/// What is left for the words behind the charts.
const WORDS: usize = 26;
const INDENT: usize = 4;

/// Writes one chart for each monitor that has samples around the faults.
pub(super) fn write(page: &mut Page, records: &[Record]) {
    let faults = faults(records);
    let around = around(&faults);
    for record in records {
        if let Event::Samples { monitor, samples } = &record.event {
            let near: Vec<Sample> = samples
                .iter()
                .filter(|sample| around.0 <= sample.answered() && sample.at <= around.1)
                .cloned()
                .collect();
            page.gap();
            chart(page, monitor, &near, &faults);
        }
    }
}

fn chart(page: &mut Page, monitor: &str, samples: &[Sample], faults: &[Fault]) {
    let (Some(first), Some(last)) = (samples.first(), samples.last()) else {
        page.line(INDENT, &format!("{monitor}: no samples around the faults"));
        return;
    };
    let columns = page.width.saturating_sub(INDENT + WORDS).clamp(10, WIDEST);
    let errors = samples
        .iter()
        .filter(|sample| !sample.reading.is_good())
        .count();
    let slowest = samples
        .iter()
        .map(|sample| sample.latency)
        .max()
        .unwrap_or_default();
    page.line(
        INDENT,
        &format!(
            "{monitor}: {} sample{} from {:.3} s to {:.3} s",
            samples.len(),
            plural(samples.len()),
            first.at.as_secs_f64(),
            last.answered().as_secs_f64(),
        ),
    );
    let (heights, failures) = sparkline(samples, columns);
    page.line(
        INDENT,
        &format!("{heights}  latency, up to {}", human(slowest)),
    );
    let errors = match errors {
        0 => "no errors".to_owned(),
        count => format!("{count} error{}", plural(count)),
    };
    page.line(INDENT, &format!("{failures}  {errors}"));
    for (words, spans) in fault_rows(faults) {
        let marks = marks(samples, heights.chars().count(), &spans);
        page.line(INDENT, &format!("{marks}  {words}"));
    }
}

struct Fault {
    name: String,
    from: Duration,
    to: Duration,
}

/// When each fault was, or may have been, in effect: from the call that injected it.
fn faults(records: &[Record]) -> Vec<Fault> {
    let end = records
        .iter()
        .map(|record| record.at_us)
        .max()
        .unwrap_or_default();
    records
        .iter()
        .filter_map(|record| match &record.event {
            Event::Injected {
                entry,
                fault,
                took_us,
                ..
            } => {
                let lasted = records.iter().find_map(|record| match &record.event {
                    Event::Lifted {
                        entry: lifted,
                        lasted_us,
                        ..
                    } if lifted == entry => Some(*lasted_us),
                    _ => None,
                });
                let to = lasted.map_or(end, |lasted| record.at_us.saturating_add(lasted));
                Some(Fault {
                    name: fault.clone(),
                    from: Duration::from_micros(record.at_us.saturating_sub(*took_us)),
                    to: Duration::from_micros(to),
                })
            }
            _ => None,
        })
        .collect()
}

/// From before the first fault until after the last one; everything where there was none.
fn around(faults: &[Fault]) -> (Duration, Duration) {
    let from = faults.iter().map(|fault| fault.from).min();
    let to = faults.iter().map(|fault| fault.to).max();
    let (Some(from), Some(to)) = (from, to) else {
        return (Duration::ZERO, Duration::MAX);
    };
    // As much on both sides as a person needs to see the difference.
    let margin = (to.saturating_sub(from) / 2).max(Duration::from_secs(1));
    (from.saturating_sub(margin), to.saturating_add(margin))
}

/// The words of each row of marks, with the spans that it marks.
fn fault_rows(faults: &[Fault]) -> Vec<(String, Vec<(Duration, Duration)>)> {
    let span = |fault: &Fault| (fault.from, fault.to);
    let own = if faults.len() > FAULT_ROWS {
        FAULT_ROWS - 1
    } else {
        faults.len()
    };
    let (alone, shared) = faults.split_at(own);
    let mut rows: Vec<_> = alone
        .iter()
        .map(|fault| (fault.name.clone(), vec![span(fault)]))
        .collect();
    if !shared.is_empty() {
        let words = format!("{} more faults", shared.len());
        rows.push((words, shared.iter().map(span).collect()));
    }
    rows
}

/// One mark below each character of a sparkline whose samples met one of the spans. The
/// buckets are those of [`sparkline`].
fn marks(samples: &[Sample], buckets: usize, spans: &[(Duration, Duration)]) -> String {
    (0..buckets)
        .map(|index| {
            let from = index * samples.len() / buckets;
            let to = ((index + 1) * samples.len() / buckets).max(from + 1);
            let met = |sample: &Sample| {
                spans
                    .iter()
                    .any(|(from, to)| sample.at <= *to && sample.answered() >= *from)
            };
            if samples[from..to].iter().any(met) {
                '━'
            } else {
                ' '
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::sample::Reading;
    use crate::model::units::ms;

    #[test]
    fn marks_stand_below_the_buckets_of_the_sparkline() {
        let samples: Vec<Sample> = (0..7)
            .map(|n| Sample {
                at: ms(n * 10),
                sent: ms(n * 10),
                latency: ms(1),
                reading: if n == 4 {
                    Reading::Bad("no".into())
                } else {
                    Reading::Good(None)
                },
            })
            .collect();
        for width in 1..=7 {
            let (_, failures) = sparkline(&samples, width);
            let marks = marks(&samples, width, &[(ms(40), ms(41))]);
            let expected: String = failures
                .chars()
                .map(|c| if c == 'x' { '━' } else { ' ' })
                .collect();
            assert_eq!(marks, expected, "at width {width}");
        }
    }
}
