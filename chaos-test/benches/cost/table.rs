//! The table that is printed.

use std::fmt;
use std::time::Duration;

/// Rows of a Markdown table.
#[derive(Default)]
pub(crate) struct Table {
    rows: Vec<[String; 4]>,
}

impl Table {
    /// What was measured, its median, its worst, and what is wanted.
    pub(crate) fn row(
        &mut self,
        what: impl Into<String>,
        median: impl Into<String>,
        worst: impl Into<String>,
        goal: impl Into<String>,
    ) {
        self.rows
            .push([what.into(), median.into(), worst.into(), goal.into()]);
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| | median | p99 | goal |")?;
        write!(f, "|---|---:|---:|---|")?;
        for [what, median, worst, goal] in &self.rows {
            write!(f, "\n| {what} | {median} | {worst} | {goal} |")?;
        }
        Ok(())
    }
}

/// What is wanted, and whether it was so.
pub(crate) fn goal(limit: Duration, measured: Duration) -> String {
    let met = if measured <= limit { "met" } else { "missed" };
    format!("at most {}: {met}", time(limit))
}

/// A time with three digits.
pub(crate) fn time(time: Duration) -> String {
    let micros = time.as_secs_f64() * 1e6;
    if micros < 1000.0 {
        format!("{} µs", digits(micros))
    } else {
        format!("{} ms", digits(micros / 1000.0))
    }
}

/// A number with three digits, or all of those before the point.
fn digits(number: f64) -> String {
    let decimals = if number >= 100.0 {
        0
    } else if number >= 10.0 {
        1
    } else {
        2
    };
    let text = format!("{number:.decimals$}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

/// A whole number in groups of three digits.
pub(crate) fn count(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
