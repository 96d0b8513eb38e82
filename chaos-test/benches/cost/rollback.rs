//! What the end of a test costs that has to put many files back.

use std::fs;
use std::path::Path;
use std::time::Duration;

use chaos_test::{Undo, ms};

use crate::Result;
use crate::empty_test::{context_with_a_fault, finish};
use crate::measure::Times;
use crate::table::{Row, Table, count, goal, time};

pub(crate) fn measure(folder: &Path, table: &mut Table) -> Result<()> {
    let files = folder.join("files");
    fs::create_dir(&files)?;
    for (steps, times) in [(0, 50), (10, 50), (1_000, 5), (10_000, 3)] {
        let (mut taken, mut alone) = (Times::default(), Times::default());
        for _ in 0..times {
            taken.add(roll_back(steps, &files)?);
            for step in 0..steps {
                fs::write(files.join(step.to_string()), "x")?;
            }
            alone.take(|| {
                let mut steps = 0..steps;
                steps.try_for_each(|step| fs::remove_file(files.join(step.to_string())))
            })?;
        }
        let median = taken.median();
        let mut row = Row::of(
            format!("ending a test with {} file steps", count(steps)),
            &taken,
        );
        if let Some(each) = u32::try_from(steps)
            .ok()
            .and_then(|steps| median.checked_div(steps))
        {
            row.what.push_str(&format!(": {} each", time(each)));
            row.beside = format!("{}, removing the files alone", time(alone.median()));
            row.more = time(median.saturating_sub(alone.median()));
        }
        if steps == 1_000 {
            row.goal = goal(ms(100), median);
        }
        table.add(row);
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
