//! A test that uses testcontainers moves over to chaos-test with three changed lines.
//!
//! [`before`] and [`after`] are ordinary tests, without comments, so that the difference
//! between the two files is what a user changes; [`breaking`] is what they get for it.

mod after;
mod before;
mod breaking;

#[path = "../proof/mod.rs"]
mod proof;

use std::io::Write;

use chaos_test_fixtures::images;
use testcontainers::GenericImage;

/// What stands in the guide, as `diff` would print it.
const GUIDE: &str = include_str!("../../README.md");

/// How many lines a user changes.
const CHANGED: usize = 3;

#[test]
fn three_lines_change_and_the_guide_shows_them() {
    let before: Vec<&str> = include_str!("before.rs").lines().collect();
    let after: Vec<&str> = include_str!("after.rs").lines().collect();
    let only_in = |one: &[&'static str], other: &[&str]| -> (Vec<&str>, Vec<&str>) {
        one.iter().partition(|line| !other.contains(line))
    };
    let (removed, kept) = only_in(&before, &after);
    let (added, kept_after) = only_in(&after, &before);
    assert_eq!(kept, kept_after);
    assert_eq!(removed.len(), CHANGED, "{removed:#?}");
    assert_eq!(added.len(), CHANGED, "{added:#?}");

    let shown = GUIDE.split_once("```diff\n").expect("it shows a diff").1;
    let shown = shown.split_once("```").expect("the diff ends").0;
    let marked = |mark: char| -> Vec<&str> {
        let lines = shown.lines();
        lines.filter_map(|line| line.strip_prefix(mark)).collect()
    };
    assert_eq!(marked('-'), removed);
    assert_eq!(marked('+'), added);
    // And with the lines around them it is the test that moved over.
    assert_eq!(marked(' '), kept);
}

/// Redis, from the engine's images, or built for it. `None` is a skip, which nobody can miss:
/// it is printed, and under `CHAOS_REQUIRE` it is a failure.
async fn redis_image() -> Option<GenericImage> {
    let error = match images::redis().await {
        Ok(image) => return Some(image),
        Err(error) => error,
    };
    let required = std::env::var("CHAOS_REQUIRE").unwrap_or_default();
    let demanded = required
        .split(',')
        .any(|word| matches!(word.trim(), "all" | "docker"));
    assert!(error.is_no_engine() && !demanded, "{error}");
    let name = std::thread::current().name().unwrap_or("a test").to_owned();
    let _ = writeln!(std::io::stderr(), "SKIPPED {name}: {error}");
    None
}
