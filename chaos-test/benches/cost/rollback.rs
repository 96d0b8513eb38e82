//! What the end of a test costs that has to put many files back.

use std::fs;
use std::path::Path;
use std::time::Duration;

use chaos_test::{Undo, ms};

use crate::Result;
use crate::empty_test::{context_with_a_fault, finish};
use crate::measure::Times;
use crate::table::{Table, count, goal, time};

pub(crate) fn measure(folder: &Path, table: &mut Table) -> Result<()> {
    let files = folder.join("files");
    fs::create_dir(&files)?;
    for (steps, times) in [(0, 50), (10, 50), (1_000, 5), (10_000, 3)] {
        let mut taken = Times::default();
        for _ in 0..times {
            taken.add(roll_back(steps, &files)?);
        }
        let median = taken.median();
        let each = match u32::try_from(steps) {
            Ok(0) | Err(_) => String::new(),
            Ok(steps) => format!(", {} a step", time(median / steps)),
        };
        let wanted = match steps {
            1_000 => goal(ms(100), median),
            _ => String::new(),
        };
        table.row(
            format!("ending a test with {} file steps{each}", count(steps)),
            time(median),
            time(taken.p99()),
            wanted,
        );
    }
    Ok(())
}

/// Makes files that are not to be there afterwards, and takes the time until the test has
/// ended: the steps, their journal lines, the verdict and the report.
fn roll_back(steps: usize, files: &Path) -> Result<Duration> {
    let chaos = context_with_a_fault()?;
    for step in 0..steps {
        let path = files.join(step.to_string());
        let undo = Undo::RestoreFile {
            path: path.clone(),
            copy: None,
        };
        chaos.undo_at_rollback(format!("make file {step}"), undo)?;
        fs::write(&path, "x")?;
    }
    let took = finish(chaos)?;
    match fs::read_dir(files)?.next() {
        None => Ok(took),
        Some(_) => Err("a file was not put back".into()),
    }
}
