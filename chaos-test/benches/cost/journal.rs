//! How fast undo steps are written down, beside bare writes of the same lines.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use chaos_test::Undo;

use crate::Result;
use crate::empty_test::{context_with_a_fault, finish};
use crate::link_fault::journal_of;
use crate::measure::Times;
use crate::table::{Table, count};

const STEPS: usize = 10_000;
const TIMES: usize = 5;

pub(crate) fn measure(folder: &Path, table: &mut Table) -> Result<()> {
    let (mut plans, mut ends, mut alone) = (Times::default(), Times::default(), Times::default());
    for _ in 0..TIMES {
        let chaos = context_with_a_fault()?;
        plans.take(|| {
            (0..STEPS).try_for_each(|_| chaos.undo_at_rollback("nothing", Undo::Nothing))
        })?;
        let journal = fs::read(journal_of()?)?;
        let took = finish(chaos)?;
        ends.add(took);
        alone.add(write_alone(&journal, folder)?);
    }
    row(
        table,
        "undo steps planned, each on disk",
        plans.median(),
        STEPS,
    );
    row(
        table,
        "undo steps planned, undone, and reported",
        plans.median() + ends.median(),
        STEPS,
    );
    row(table, "their lines written alone", alone.median(), STEPS);
    Ok(())
}

/// How long it takes to write all lines of a journal, one by one.
fn write_alone(journal: &[u8], folder: &Path) -> Result<Duration> {
    let path = folder.join("alone");
    let mut file = OpenOptions::new().append(true).create(true).open(&path)?;
    let start = Instant::now();
    for line in journal.split_inclusive(|&byte| byte == b'\n') {
        file.write_all(line)?;
    }
    let took = start.elapsed();
    fs::remove_file(path)?;
    Ok(took)
}

fn row(table: &mut Table, what: &str, took: Duration, steps: usize) {
    let rate = steps as f64 / took.as_secs_f64();
    table.row(what, format!("{} /s", count(rate as usize)), "", "");
}
