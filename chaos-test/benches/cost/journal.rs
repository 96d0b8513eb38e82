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
use crate::table::{Row, Table, count};

const STEPS: usize = 10_000;
const TIMES: usize = 5;

pub(crate) fn measure(folder: &Path, table: &mut Table) -> Result<()> {
    let [mut plans, mut pairs, mut alone] = std::array::from_fn(|_| Times::default());
    for _ in 0..TIMES {
        let chaos = context_with_a_fault()?;
        let start = Instant::now();
        for _ in 0..STEPS {
            chaos.undo_at_rollback("nothing", Undo::Nothing)?;
        }
        let planned = start.elapsed();
        let journal = fs::read(journal_of()?)?;
        plans.add(planned);
        pairs.add(planned + finish(chaos)?);
        alone.add(write_alone(&journal, folder)?);
    }
    table.add(Row {
        what: "undo steps planned, each on disk before the next".to_owned(),
        median: rate(plans.median()),
        beside: format!("{}, their bare lines", rate(alone.median())),
        ..Row::default()
    });
    table.add(Row {
        what: "undo steps planned, performed, and reported".to_owned(),
        median: rate(pairs.median()),
        ..Row::default()
    });
    Ok(())
}

/// How long it takes to write all lines of a journal, one by one.
fn write_alone(journal: &[u8], folder: &Path) -> Result<Duration> {
    let path = folder.join("alone");
    let mut file = OpenOptions::new()
        .append(true)
        .create_new(true)
        .open(&path)?;
    let start = Instant::now();
    for line in journal.split_inclusive(|&byte| byte == b'\n') {
        file.write_all(line)?;
    }
    let took = start.elapsed();
    fs::remove_file(path)?;
    Ok(took)
}

fn rate(took: Duration) -> String {
    let rate = STEPS as f64 / took.as_secs_f64();
    format!("{} /s", count(rate as usize))
}
