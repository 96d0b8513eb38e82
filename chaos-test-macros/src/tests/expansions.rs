//! What both macros write when there are no mistakes, compared with `snapshots/`.

use proc_macro2::TokenStream;

use super::tokens;
use crate::expand::chaos_test;
use crate::fixture::chaos_fixture;

#[track_caller]
fn pretty(expansion: TokenStream) -> String {
    prettyplease::unparse(&syn2::parse2(expansion).expect("an expansion that parses"))
}

/// Compares the expansion with the file of that name in `snapshots/`.
#[track_caller]
fn snapshot(name: &str, expansion: TokenStream) {
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, pretty(expansion)));
}

#[test]
fn expansion_of_the_smallest_test() {
    let item = "async fn test(chaos: &ChaosContext) { nothing(chaos).await; }";
    snapshot(
        "smallest_test",
        chaos_test(TokenStream::new(), tokens(item)),
    );
}

#[test]
fn expansion_of_a_test_with_everything() {
    let arguments = r#"timeout = "1min 500ms", breaks(cache), environment("staging", "qa"), seed = 0x5eed, tags("a", "b"),
        abort_if(shop.error_rate > 5% for 10s, lost > 0), expects(shop.p95 <= 250ms, lost <= 1%),
        blast_radius(services <= 1, connections <= 10%, duration <= 30s, risk <= medium),
        leases("orders-db", "broker"), exclusive, requires(docker, netadmin, root, program("redis-server"), env("NAME")), crate = "other""#;
    let item = r#"
        /// Checkout answers,
        ///   whatever happens.
        #[doc = include_str!("more.md")]
        #[ignore = "later"]
        #[should_panic(expected = "boom")]
        #[cfg(unix)]
        pub(crate) async fn test(
            cache: &Service, chaos: &ChaosContext, _shop: &Shop, __chaos_body: &u8, r#type: &u8,
        ) -> Result<(), Error> { check(cache).await }"#;
    snapshot(
        "test_with_everything",
        chaos_test(tokens(arguments), tokens(item)),
    );
}

#[test]
fn expansion_of_a_test_with_lints() {
    let item = r#"
        #[allow(clippy::one)]
        #[expect(clippy::two)]
        #[cfg(unix)]
        #[cfg_attr(unix, expect(clippy::three), allow(four))]
        #[cfg_attr(unix, ignore)]
        #[cfg_attr(unix, allow(five), cfg_attr(slow, warn(six), ignore = "slow"))]
        #[serial]
        async fn test(chaos: &ChaosContext) {}"#;
    snapshot(
        "test_with_lints",
        chaos_test(TokenStream::new(), tokens(item)),
    );
}

#[test]
fn expansion_of_a_test_with_controls() {
    let arguments = r#"must_fail_when(env("RETRY" = "off") => "error rate", env("A" = ""))"#;
    let item = "async fn test(chaos: &ChaosContext) {}";
    snapshot(
        "test_with_controls",
        chaos_test(tokens(arguments), tokens(item)),
    );
}

#[test]
fn expansion_of_a_test_with_a_known_gap() {
    let item = "async fn test(chaos: &ChaosContext) {}";
    snapshot(
        "test_with_a_known_gap",
        chaos_test(tokens(r#"known_gap = "SHOP-12""#), tokens(item)),
    );
}

#[test]
fn expansion_of_a_test_that_breaks_nothing() {
    let arguments = r#"breaks(), hypothesis = "Said \"here\"""#;
    let item = "/// Not this.\n#[should_panic] fn test(_: &ChaosContext) {}";
    snapshot(
        "test_that_breaks_nothing",
        chaos_test(tokens(arguments), tokens(item)),
    );
}

#[test]
fn expansion_of_a_synchronous_test() {
    let item = "/** Blocks,\n * and holds. */ fn test(chaos: &ChaosContext, cache: &Service) -> Result { Ok(()) }";
    snapshot(
        "synchronous_test",
        chaos_test(tokens("breaks(cache)"), tokens(item)),
    );
}

#[test]
fn expansion_of_a_fallible_fixture() {
    let item = "/// A shop.\npub async fn shop(chaos: &ChaosContext, cache: &Service) -> chaos_test::Result<Shop> { open(cache).await }";
    snapshot(
        "fallible_fixture",
        chaos_fixture(TokenStream::new(), tokens(item)),
    );
}

#[test]
fn expansion_of_an_infallible_fixture() {
    let item = "#[allow(dead_code)] fn r#type() -> Vec<u8> { vec![1] }";
    snapshot(
        "infallible_fixture",
        chaos_fixture(tokens("crate = \"other::path\""), tokens(item)),
    );
}

#[test]
fn expansion_of_a_test_with_cases_and_values() {
    let item = r#"
        /// Orders tolerate a slow database.
        #[ignore = "later"]
        #[cfg(unix)]
        #[allow(clippy::too_many_arguments)]
        #[cfg_attr(slow, allow(one), ignore, cfg(linux))]
        #[case::light(ms(50), secs(1))]
        /// Heavy is rare.
        #[case::heavy(ms(500), secs(10))]
        pub async fn orders(
            chaos: &ChaosContext, database: &Service, #[case] latency: Duration,
            #[values(Upstream, Downstream)] direction: Direction, #[case] recovers: Duration,
            #[values(1, -1, 1)] _step: i8,
        ) -> Result { check(latency).await }"#;
    snapshot(
        "cases_and_values",
        chaos_test(TokenStream::new(), tokens(item)),
    );
}

#[test]
fn expansion_of_a_synchronous_test_with_values() {
    let item = "#[should_panic] #[cfg_attr(unix, ignore)] fn test(#[values(1, 2)] size: u8, chaos: &ChaosContext) { check(size) }";
    snapshot("values_alone", chaos_test(TokenStream::new(), tokens(item)));
}

#[test]
fn expansion_of_a_test_that_gives_its_fixtures_values() {
    let item = r#"
        #[case(10)]
        async fn test(
            chaos: &ChaosContext, #[case] size: u32, #[with(size, "a")] cache: &Cache,
            #[from(other_crate::cache)] foreign: Option<&Cache>,
        ) {}"#;
    let arguments = "breaks(cache, foreign)";
    snapshot(
        "values_for_fixtures",
        chaos_test(tokens(arguments), tokens(item)),
    );
}

#[test]
fn expansion_of_a_fixture_with_values() {
    let item = "async fn cache(#[default(16)] size: u32, #[with(size)] base: &Base, #[default(None)] name: Option<String>) -> Result<Cache> { open(size) }";
    snapshot(
        "fixture_with_values",
        chaos_fixture(TokenStream::new(), tokens(item)),
    );
}

#[test]
fn what_is_left_after_a_mistake() {
    let item = r#"
        /// Kept.
        #[tokio::test] #[ignore] #[should_panic] #[case(1)] #[allow(unused)]
        pub async fn test(chaos: &ChaosContext, #[case] size: u8) -> Result { body() }"#;
    snapshot(
        "after_a_mistake",
        chaos_test(tokens("timout"), tokens(item)),
    );
}

#[test]
fn what_is_left_of_a_fixture_after_a_mistake() {
    let item = r#"
        /// Kept.
        #[test] #[ignore] #[cfg(unix)] #[must_use]
        pub fn shop(#[default] size: u8, #[with(size)] cache: &Cache) -> Shop { open(size) }"#;
    snapshot(
        "fixture_after_a_mistake",
        chaos_fixture(tokens("scpoe = \"run\""), tokens(item)),
    );
}
