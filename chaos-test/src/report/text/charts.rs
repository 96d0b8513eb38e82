//! A monitor's samples around the faults: how slow, how often failed, and where the faults
//! were.

use std::time::Duration;

use super::page::{Ink, Page};
use super::plural;
use crate::decide::statistics::{blocks, sparkline};
use crate::model::event::{Event, Record};
use crate::model::evidence::{Evidence, Shows};
use crate::model::sample::{Reading, Sample};
use crate::model::units::{human, significant};

/// So many faults have a row of their own; more share the last one.
const FAULT_ROWS: usize = 4;
const WIDEST: usize = 120;
/// How wide the chart of one window is at most, of which there may be many.
const WIDEST_WINDOW: usize = 60;
/// What is left for the words behind the charts.
const WORDS: usize = 26;
/// And at most, for a fault with a long name.
const LONGEST_WORDS: usize = 40;
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
    let title = format!(
        "{monitor}: {} sample{} from {:.3} s to {:.3} s",
        samples.len(),
        plural(samples.len()),
        first.at.as_secs_f64(),
        last.answered().as_secs_f64(),
    );
    page.line(INDENT, &title);
    let rows = fault_rows(faults);
    let longest = rows
        .iter()
        .map(|(words, _)| words.chars().count() + 2)
        .max();
    let words = longest.unwrap_or_default().clamp(WORDS, LONGEST_WORDS);
    let columns = page.chart(INDENT, words, WIDEST);
    // Whoever reads numbers does not ask how long it takes to read them.
    let measures = samples.iter().any(|sample| number(sample).is_some());
    course(page, INDENT, samples, columns, measures);
    for (words, spans) in rows {
        let marks = marks(samples, columns.min(samples.len()), &spans);
        page.pieces(
            INDENT,
            &[(Ink::Warning, &marks), (Ink::Plain, &format!("  {words}"))],
        );
    }
}

/// Draws the samples of a window that was judged, where they are known.
pub(super) fn of_window(page: &mut Page, indent: usize, evidence: &Evidence, records: &[Record]) {
    let all = records.iter().find_map(|record| match &record.event {
        Event::Samples { monitor, samples } if *monitor == evidence.of => Some(samples),
        _ => None,
    });
    let Some(all) = all else { return };
    let from = all.partition_point(|sample| sample.at < evidence.window.from);
    let to = all.partition_point(|sample| sample.at < evidence.window.to);
    if from >= to {
        return;
    }
    let columns = page.chart(indent, WORDS, WIDEST_WINDOW);
    let measures = evidence.shows == Shows::Numbers;
    course(page, indent, &all[from..to], columns, measures);
}

fn number(sample: &Sample) -> Option<f64> {
    match sample.reading {
        Reading::Good(number) => number,
        Reading::Bad(_) => None,
    }
}

/// How samples went: a line of heights, and one of failures.
fn course(page: &mut Page, indent: usize, samples: &[Sample], columns: usize, measures: bool) {
    let numbers = || samples.iter().filter_map(number);
    let (heights, words) = if measures && numbers().next().is_some() {
        let least = numbers().fold(f64::INFINITY, f64::min);
        let most = numbers().fold(f64::NEG_INFINITY, f64::max);
        // From the least to the most, because what changes is what is looked for.
        let height = |sample: &Sample| match number(sample) {
            Some(number) if most > least => (number - least) / (most - least),
            _ => 0.0,
        };
        let words = match (significant(least), significant(most)) {
            (least, most) if least == most => format!("value, always {most}"),
            (least, most) => format!("value, {least} to {most}"),
        };
        (blocks(samples, columns, height), words)
    } else {
        let slowest = samples.iter().map(|sample| sample.latency).max();
        let slowest = slowest.unwrap_or_default();
        let words = format!("latency, up to {}", human(slowest));
        (sparkline(samples, columns).0, words)
    };
    page.line(indent, &format!("{heights}  {words}"));
    let errors = samples
        .iter()
        .filter(|sample| !sample.reading.is_good())
        .count();
    let (ink, words) = match errors {
        0 => (Ink::Plain, "no errors".to_owned()),
        count => (Ink::Bad, format!("{count} error{}", plural(count))),
    };
    let (_, failures) = sparkline(samples, columns);
    page.inked(indent, ink, &format!("{failures}  {words}"));
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
