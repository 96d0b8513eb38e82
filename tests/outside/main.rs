//! Crates outside of this workspace, as its users have them: one that is copied from the README,
//! and one whose fixtures are those of a third crate. A cargo of their own builds and runs them.
//!
//! They build on what is there: nothing is downloaded, each package has the version that the
//! workspace has, and what was built lies below the workspace's target folder for the next time.

mod place;
mod readme;

use std::io::Write as _;
use std::sync::{Mutex, PoisonError};

use place::{Place, library};

/// What each of the crates says of itself.
fn package(name: &str) -> String {
    format!("[package]\nname = \"{name}\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n")
}

/// One crate at a time: the README's measures latencies, and need not do so while another one is
/// compiled.
static TURN: Mutex<()> = Mutex::new(());

#[test]
fn what_the_readme_shows_is_copied_and_passes() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let place = Place::new("readme");
    let lines = readme::block("### As a feature", "toml");
    // Not yet on a registry; all else stays as it stands there.
    let version = readme::version_in(lines);
    assert!(env!("CARGO_PKG_VERSION").starts_with(version), "{lines}");
    let lines = lines.replace(
        &format!("version = \"{version}\""),
        &format!("path = {:?}", library()),
    );
    place.write("Cargo.toml", &(package("shop") + &lines));
    place.write("src/main.rs", readme::block("### From nothing", "rust"));
    place.write("tests/chaos.rs", readme::block("## A test", "rust"));

    let said = place.test(&["--features", "chaos"]);
    if said.was_skipped("the_shop_survives_a_dead_cache", "redis-server") {
        return;
    }
    said.has_passed("chaos", &["the_shop_survives_a_dead_cache"]);
}

#[test]
fn fixtures_of_a_third_crate_are_used_and_broken() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let place = Place::new("third");
    // The README's lines for the library, so that both crates share what is built of it.
    let library = format!(
        "chaos-test = {{ path = {:?}, default-features = false, features = [\"http\"] }}\n",
        library()
    );
    let fixtures = package("shop-fixtures")
        + "[dependencies]\n"
        + &library
        + "tokio = { version = \"1\", default-features = false, features = [\"io-util\", \"net\"] }\n";
    place.write("shop-fixtures/Cargo.toml", &fixtures);
    place.write(
        "shop-fixtures/src/lib.rs",
        include_str!("shop_fixtures/lib.rs"),
    );
    let shop = package("orders")
        + "[dev-dependencies]\nshop-fixtures = { path = \"shop-fixtures\" }\n"
        + &library;
    place.write("Cargo.toml", &shop);
    place.write("src/lib.rs", include_str!("shop_fixtures/unit.rs"));
    place.write("tests/chaos.rs", include_str!("shop_fixtures/chaos.rs"));

    let said = place.test(&[]);
    said.has_passed("orders", &["tests::another_stock_is_broken"]);
    said.has_passed(
        "chaos",
        &["a_broken_stock_is_back_in_time", "nothing_else_is_broken"],
    );
}

/// Past the capture of the test runner.
fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
