//! A watchdog that does not come: that is said, and the test goes on without one.

use std::path::PathBuf;
use std::process::Command;

use chaos_test::Target;
use chaos_test::prelude::*;
use chaos_test_fixtures::rerun::{Folder, Rerun};

use crate::bad_input::nothing_left;
use crate::overwrite::{BROKEN, Overwrite};

/// Breaks a file twice, each time until it lifts that.
#[chaos_test]
#[ignore = "another test runs it as a child"]
async fn it_breaks_a_file_twice(chaos: &ChaosContext) -> chaos_test::Result {
    let file = chaos.scratch_dir()?.join("file");
    std::fs::write(&file, "sound")?;
    chaos.may_break(&Target::File(file.clone()));
    for _ in 0..2 {
        let broken = chaos.inject(Overwrite(file.clone())).await?;
        assert_eq!(std::fs::read_to_string(&file)?, BROKEN);
        broken.lift().await?;
        assert_eq!(std::fs::read_to_string(&file)?, "sound");
    }
    Ok(())
}

/// The program that the kernel starts in place of ours, which loads it.
fn loader() -> PathBuf {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let mut mapped = maps
        .lines()
        .filter_map(|line| Some(&line[line.find('/')?..]));
    let is_loader = |path: &&str| {
        let name = path.rsplit('/').next().unwrap_or_default();
        name.starts_with("ld-") || name.starts_with("ld.so")
    };
    let found = mapped.find(is_loader);
    found.expect("a test program is loaded dynamically").into()
}

/// A program that its loader was asked to run is, to the kernel, that loader: executed once
/// more, it finds nothing to load and ends.
#[test]
fn a_watchdog_that_ends_at_once_is_said_and_the_test_goes_on() {
    let test = "watchdog::missing::it_breaks_a_file_twice";
    let ended = Rerun::by(Command::new(loader()), test, Folder::default()).run();
    let output = ended.output();
    assert!(ended.status.success(), "{output}");
    let said = "chaos-test: no watchdog (it ended at once (";
    assert_eq!(output.matches(said).count(), 1, "{output}");
    let what_then = "what a killed test leaves waits for the next run";
    assert!(output.contains(what_then), "{output}");
    let journals = ended.journals().concat();
    let noted = "no watchdog: it ended at once (";
    assert_eq!(journals.matches(noted).count(), 1, "{journals}");
    nothing_left(&ended);
}
