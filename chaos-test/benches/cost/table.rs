//! The table that is printed.

use std::fmt;
use std::time::Duration;

use crate::measure::Times;

/// Rows of a Markdown table.
#[derive(Default)]
pub(crate) struct Table {
    rows: Vec<Row>,
}

/// One figure. What is empty does not apply.
#[derive(Default)]
pub(crate) struct Row {
    /// What was measured.
    pub(crate) what: String,
    pub(crate) median: String,
    /// The slowest, where it was measured fewer than a hundred times.
    pub(crate) p99: String,
    /// The bare work, measured in turns with it: its median, and what it is.
    pub(crate) beside: String,
    /// How much more it is.
    pub(crate) more: String,
    /// What is wanted, and whether it was so.
    pub(crate) goal: String,
}

impl Row {
    pub(crate) fn of(what: impl Into<String>, times: &Times) -> Self {
        Self {
            what: what.into(),
            median: time(times.median()),
            p99: time(times.p99()),
            ..Self::default()
        }
    }

    /// The same beside some bare work; how much more it is must keep to a limit, if any.
    pub(crate) fn beside(
        what: impl Into<String>,
        times: &Times,
        bare: &Times,
        bare_is: &str,
        limit: Option<Duration>,
    ) -> Self {
        let more = times.median().saturating_sub(bare.median());
        Self {
            beside: format!("{}, {bare_is}", time(bare.median())),
            more: time(more),
            goal: limit.map(|limit| goal(limit, more)).unwrap_or_default(),
            ..Self::of(what, times)
        }
    }
}

impl Table {
    pub(crate) fn add(&mut self, row: Row) {
        self.rows.push(row);
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| | median | p99 | beside | more | goal |")?;
        write!(f, "|---|---:|---:|---|---:|---|")?;
        for row in &self.rows {
            let Row {
                what,
                median,
                p99,
                beside,
                more,
                goal,
            } = row;
            write!(
                f,
                "\n| {what} | {median} | {p99} | {beside} | {more} | {goal} |"
            )?;
        }
        Ok(())
    }
}

/// What is wanted, and whether it was so.
pub(crate) fn goal(limit: Duration, measured: Duration) -> String {
    let met = if measured <= limit { "met" } else { "missed" };
    format!("{}: {met}", time(limit))
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
    let decimals = match number {
        100.0.. => 0,
        10.0.. => 1,
        _ => 2,
    };
    format!("{number:.decimals$}")
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
