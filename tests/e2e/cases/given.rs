//! What a fixture is given: values that a test replaces, fixtures from elsewhere, and fixtures
//! that a test can do without.

use std::sync::atomic::{AtomicU32, Ordering};

use chaos_test::Error;
use chaos_test::prelude::*;
use chaos_test_fixtures::rerun::Rerun;

use super::broken;
use crate::victims::shared::inventory;

/// Something with values of its own.
#[derive(Debug, PartialEq)]
struct Cache {
    size: u32,
    name: String,
    number: u32,
}

mod elsewhere {
    use super::*;

    static CACHES: AtomicU32 = AtomicU32::new(0);

    #[chaos_fixture]
    pub(super) async fn cache(
        #[default(16)] size: u32,
        _chaos: &ChaosContext,
        #[default("plain".to_owned())] name: String,
    ) -> chaos_test::Result<Cache> {
        let number = CACHES.fetch_add(1, Ordering::SeqCst);
        Ok(Cache { size, name, number })
    }
}

use elsewhere::cache;

/// What it gives on is what it was given itself.
#[chaos_fixture]
fn pair(
    #[default(3)] size: u32,
    #[with(size * 2)]
    #[from(elsewhere::cache)]
    left: &Cache,
    cache: &Cache,
) -> (u32, u32, u32) {
    (size, left.size, cache.size)
}

/// The same fixture with other values is another value, and with the same ones the same.
#[chaos_test(breaks(inventory))]
#[case::small(1)]
#[case::large(32)]
#[expect(clippy::too_many_arguments, reason = "each is another way to take it")]
async fn a_fixture_is_given_values(
    chaos: &ChaosContext,
    inventory: &Service,
    #[case] size: u32,
    cache: &Cache,
    #[from(elsewhere::cache)] renamed: &Cache,
    #[from(cache)]
    #[with(16, "plain".into())]
    spelt_out: &Cache,
    #[from(cache)]
    #[with(size)]
    sized: &Cache,
    #[from(cache)]
    #[with(17, format!("of {size}"))]
    named: &Cache,
    pair: &(u32, u32, u32),
    #[from(pair)]
    #[with(8)]
    other_pair: &(u32, u32, u32),
) -> chaos_test::Result {
    assert_eq!((cache.size, &*cache.name), (16, "plain"));
    assert!(std::ptr::eq(cache, renamed) && std::ptr::eq(cache, spelt_out));
    assert_eq!((sized.size, &*sized.name), (size, "plain"));
    assert_eq!((named.size, named.name.clone()), (17, format!("of {size}")));
    let numbers = [cache.number, sized.number, named.number];
    assert!(numbers[0] != numbers[1] && numbers[1] != numbers[2] && numbers[0] != numbers[2]);
    assert_eq!((*pair, *other_pair), ((3, 6, 16), (8, 16, 16)));
    let again = chaos.fixture(elsewhere::cache).await?;
    assert!(std::ptr::eq(&*again, cache));
    broken(chaos, inventory).await
}

#[chaos_fixture]
fn nowhere() -> chaos_test::Result<Service> {
    Err(Error::skip("it needs a machine that nobody has").into())
}

#[chaos_fixture]
fn beside_nowhere(nowhere: &Service) -> u8 {
    let _ = nowhere;
    1
}

#[chaos_fixture]
fn out_of_order() -> chaos_test::Result<u8> {
    Ok("many".parse()?)
}

mod subjects {
    use super::*;
    use crate::victims::inventory;

    /// It does without what it cannot have.
    #[chaos_test(breaks(inventory, nowhere))]
    #[ignore = "another test runs it as a child"]
    async fn does_without(
        chaos: &ChaosContext,
        inventory: Option<&Service>,
        nowhere: Option<&Service>,
        beside_nowhere: Option<&u8>,
    ) -> chaos_test::Result {
        assert!(nowhere.is_none() && beside_nowhere.is_none());
        let inventory = inventory.expect("it is there");
        let error = chaos.fixture(super::nowhere).await.unwrap_err();
        assert!(error.as_chaos().is_some_and(Error::is_skip), "{error}");
        broken(chaos, inventory).await
    }

    #[chaos_test]
    #[ignore = "another test runs it as a child"]
    async fn a_failure_is_no_skip(chaos: &ChaosContext, out_of_order: Option<&u8>) {
        let _ = (chaos, out_of_order);
    }

    #[chaos_test]
    #[ignore = "another test runs it as a child"]
    async fn circle(chaos: &ChaosContext, one: &u8) {
        let _ = (chaos, one);
    }

    #[chaos_fixture]
    fn one(#[default(0)] turn: u8, #[with(turn + 1)] two: &u8) -> u8 {
        turn + *two
    }

    #[chaos_fixture]
    fn two(#[default(0)] turn: u8, #[with(turn + 1)] one: &u8) -> u8 {
        turn + *one
    }
}

#[test]
fn an_optional_fixture_is_missing_where_its_set_up_skips() {
    let test = "cases::given::subjects::does_without";
    let ended = Rerun::of(test).env_remove("CHAOS_REQUIRE").run();
    assert!(ended.status.success(), "{}", ended.output());
    let junit = ended.junit();
    for expected in [
        "fixture nowhere skipped: it needs a machine that nobody has",
        "it goes on without the fixture nowhere: it needs a machine that nobody has",
        "it goes on without the fixture beside_nowhere",
        "tests=\"1\" failures=\"0\" errors=\"0\" skipped=\"0\"",
    ] {
        assert!(junit.contains(expected), "{expected} in:\n{junit}");
    }

    let ended = Rerun::of(test).env("CHAOS_REQUIRE", "all").run();
    assert!(!ended.status.success(), "{}", ended.output());
    let why = "it may not be skipped (CHAOS_REQUIRE): it needs a machine that nobody has";
    assert!(ended.output().contains(why), "{}", ended.output());
}

#[test]
fn a_fixture_that_fails_fails_a_test_that_could_do_without() {
    for (test, expected) in [
        (
            "a_failure_is_no_skip",
            "fixture `out_of_order` failed: invalid digit",
        ),
        (
            "circle",
            "fixtures need each other in a circle: one -> two -> one",
        ),
    ] {
        let ended = Rerun::of(&format!("cases::given::subjects::{test}")).run();
        assert!(!ended.status.success(), "{}", ended.output());
        assert!(ended.output().contains(expected), "{}", ended.output());
    }
}
