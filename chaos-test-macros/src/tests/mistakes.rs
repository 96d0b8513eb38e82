//! What both macros say about mistakes.

use proc_macro2::{TokenStream, TokenTree};

use super::tokens;
use crate::expand::chaos_test;
use crate::fixture::chaos_fixture;

/// A test that takes two fixtures.
pub(super) const TEST: &str =
    "async fn test(chaos: &ChaosContext, cache: &Service, shop: &Shop) {}";
/// A fixture that takes one.
const FIXTURE: &str = "async fn shop(chaos: &ChaosContext, cache: &Service) -> Result<Shop> {}";

/// The messages of all `compile_error!`s in an expansion.
pub(super) fn errors(expansion: TokenStream) -> Vec<String> {
    let mut errors = Vec::new();
    let mut after = false;
    for token in expansion {
        match token {
            TokenTree::Ident(name) => after = name == "compile_error",
            TokenTree::Group(group) if after => {
                let message: syn::LitStr = syn::parse2(group.stream()).expect("a message");
                errors.push(message.value());
                after = false;
            }
            _ => {}
        }
    }
    errors
}

#[track_caller]
pub(super) fn check(arguments: &str, item: &str, expected: &[&str]) {
    let found = errors(chaos_test(tokens(arguments), tokens(item)));
    assert_eq!(found, expected, "#[chaos_test({arguments})] {item}");
}

#[track_caller]
fn check_fixture(arguments: &str, item: &str, expected: &[&str]) {
    let found = errors(chaos_fixture(tokens(arguments), tokens(item)));
    assert_eq!(found, expected, "#[chaos_fixture({arguments})] {item}");
}

#[test]
fn arguments_that_are_right() {
    for arguments in [
        "",
        r#"hypothesis = "a", breaks(cache, shop), timeout = "1min 30s", requires(docker, netadmin, root, program("a"), env("B")), leases("orders-db", "https://a b/Ä"), exclusive, tags("a", "b-c.d_E9"), seed = 1_000u64, crate = "a::b","#,
        "breaks()",
        "breaks(cache,)",
        "expects(error_rate <= 0%, shop.p99.9 <= 250ms, recovery <= 5s, orders.lost <= 1%,)",
        "blast_radius(services <= 1, instances <= 2, groups <= 1, connections <= 10%, duration <= 30s, risk <= medium,)",
        "abort_if(shop.error_rate > 50% for 2s, availability < 95%, lost > 0,)",
        r#"known_gap = "SHOP-12""#,
        r#"must_fail_when(env("RETRY" = "off"), env("FALLBACK" = "") => "error rate")"#,
        "leases()",
        "seed = 0xffff_ffff_ffff_ffff",
        r#"timeout = "1ms""#,
    ] {
        check(arguments, TEST, &[]);
    }
}

#[test]
fn argument_lists() {
    check(
        "timout = \"60s\"",
        TEST,
        &["unknown argument `timout`, did you mean `timeout`?"],
    );
    check(
        "frobnicate",
        TEST,
        &[
            "unknown argument `frobnicate`: use `hypothesis`, `breaks`, `environment`, `blast_radius`, `expects`, `abort_if`, `known_gap`, `must_fail_when`, `timeout`, `requires`, `leases`, `exclusive`, `tags`, `seed` or `crate`",
        ],
    );
    check("seed = 1, seed = 2", TEST, &["`seed` is given twice"]);
    check(", seed = 1", TEST, &["expected the name of an argument"]);
    check("\"seed\"", TEST, &["expected the name of an argument"]);
    check(
        "runtime(threads = 2)",
        TEST,
        &["`runtime` is not there yet in this version of chaos-test; remove it for now"],
    );
}

#[test]
fn shapes_of_arguments() {
    for (arguments, usage) in [
        (
            "hypothesis",
            r#"`hypothesis` is written `hypothesis = "orders keep flowing"`"#,
        ),
        (
            "hypothesis = 3",
            r#"`hypothesis` is written `hypothesis = "orders keep flowing"`"#,
        ),
        ("breaks", "`breaks` is written `breaks(cache, database)`"),
        (
            "breaks = cache",
            "`breaks` is written `breaks(cache, database)`",
        ),
        (
            "breaks(cache shop)",
            "`breaks` is written `breaks(cache, database)`",
        ),
        (
            "breaks(\"cache\")",
            "`breaks` is written `breaks(cache, database)`",
        ),
        (
            "must_fail_when",
            r#"`must_fail_when` is written `must_fail_when(env("RETRY" = "off") => "error rate")`"#,
        ),
        (
            r#"must_fail_when(env("RETRY"))"#,
            r#"`must_fail_when` is written `must_fail_when(env("RETRY" = "off") => "error rate")`"#,
        ),
        (
            r#"must_fail_when(RETRY = "off")"#,
            r#"`must_fail_when` is written `must_fail_when(env("RETRY" = "off") => "error rate")`"#,
        ),
        (
            "expects",
            "`expects` is written `expects(error_rate <= 1%, recovery <= 5s)`",
        ),
        (
            "expects = 3",
            "`expects` is written `expects(error_rate <= 1%, recovery <= 5s)`",
        ),
        (
            "abort_if",
            "`abort_if` is written `abort_if(checkout.error_rate > 5% for 10s, availability < 95%)`",
        ),
        (
            "abort_if()",
            "`abort_if` is written `abort_if(checkout.error_rate > 5% for 10s, availability < 95%)`",
        ),
        ("timeout(60)", r#"`timeout` is written `timeout = "60s"`"#),
        ("timeout =", r#"`timeout` is written `timeout = "60s"`"#),
        ("timeout = 60", r#"`timeout` is written `timeout = "60s"`"#),
        (
            "timeout: \"60s\"",
            r#"`timeout` is written `timeout = "60s"`"#,
        ),
        (
            "tags = \"a\"",
            r#"`tags` is written `tags("network", "slow")`"#,
        ),
        ("tags(a)", r#"`tags` is written `tags("network", "slow")`"#),
        (
            "leases",
            r#"`leases` is written `leases("orders-db", "broker")`"#,
        ),
        (
            "leases = \"a\"",
            r#"`leases` is written `leases("orders-db", "broker")`"#,
        ),
        (
            "leases(broker)",
            r#"`leases` is written `leases("orders-db", "broker")`"#,
        ),
        (
            "exclusive = true",
            "`exclusive` takes no value: write `exclusive`",
        ),
        (
            "exclusive()",
            "`exclusive` takes no value: write `exclusive`",
        ),
        (
            "exclusive =",
            "`exclusive` takes no value: write `exclusive`",
        ),
        (
            "requires = docker",
            r#"`requires` is written `requires(docker, program("redis-server"))`"#,
        ),
        (
            "requires(program())",
            r#"`requires` is written `requires(docker, program("redis-server"))`"#,
        ),
        ("seed(3)", "`seed` is written `seed = 0x5eed`"),
        ("seed = \"3\"", "`seed` is written `seed = 0x5eed`"),
        (
            "crate = chaos",
            r#"`crate` is written `crate = "path::to::chaos_test"`"#,
        ),
        (
            "crate = \"not a path\"",
            r#"`crate` is written `crate = "path::to::chaos_test"`"#,
        ),
    ] {
        check(arguments, TEST, &[usage]);
    }
}

#[test]
fn values_of_arguments() {
    check(
        "breaks(cahce, cache, cache)",
        TEST,
        &[
            "`cahce` is not a fixture of this test: use `cache` or `shop`",
            "`cache` is listed twice",
        ],
    );
    check(
        "breaks(cache)",
        "fn test(chaos: &ChaosContext) {}",
        &["`cache` is not a fixture of this test, which takes none"],
    );
    check(
        "breaks(chaos)",
        TEST,
        &["`chaos` is not a fixture of this test: use `cache` or `shop`"],
    );
    check("timeout = \"0s\"", TEST, &["a timeout is more than zero"]);
    check(
        "timeout = \"60\"",
        TEST,
        &[
            "not a duration (time unit needed, for example 60sec or 60ms): write a number and one of the units `ms`, `s`, `min` and `h`, or several of them, such as \"1min 30s\"",
        ],
    );
    check(
        r#"requires(dokcer, kernel, docker, docker, root("x"), program, env(""), env("A"), env("A"))"#,
        TEST,
        &[
            "unknown requirement `dokcer`, did you mean `docker`?",
            "unknown requirement `kernel`: use `docker`, `netadmin`, `root`, `program` or `env`",
            "`docker` is listed twice",
            "`root` takes no value",
            r#"`program` needs a name: `program("redis-server")`"#,
            r#"`env` needs a variable's name: `env("NAME")`"#,
            "`env` is listed twice",
        ],
    );
    let letters = "a tag is one or more of the letters a to z and A to Z, digits, `_`, `-` and `.`";
    check(
        r#"tags("", "a b", "ü", "not", "x", "x")"#,
        TEST,
        &[
            letters,
            letters,
            letters,
            "`not` is a word of tag expressions and cannot be a tag",
            "`x` is listed twice",
        ],
    );
    let empty = "a lease is named after what is shared: its name is not empty";
    check(
        &format!(
            r#"leases("", " ", "b", "a", "b", "a\nb", "{}")"#,
            "x".repeat(81)
        ),
        TEST,
        &[
            empty,
            empty,
            "`b` is listed twice",
            "a lease's name is one line of text",
            "a lease's name has at most 80 bytes",
        ],
    );
    let seed = "a seed is an unsigned 64-bit integer: `seed = 0x5eed`";
    for arguments in ["seed = -1", "seed = 1u8", "seed = 0x1_0000_0000_0000_0000"] {
        check(arguments, TEST, &[seed]);
    }
}

#[test]
fn all_mistakes_of_one_test_at_once() {
    check(
        "timout = \"60s\", seed = \"x\", breaks(cache)",
        "#[tokio::test] async fn test(cache: Service) {}",
        &[
            "unknown argument `timout`, did you mean `timeout`?",
            "`seed` is written `seed = 0x5eed`",
            "`#[chaos_test]` already makes this a test: remove `#[tokio::test]`",
            "fixtures are taken by reference: write `cache: &Service`",
            "a chaos test takes the context: add a parameter `chaos: &ChaosContext`",
        ],
    );
}

#[test]
fn parameters() {
    for right in [
        "fn test(chaos: &ChaosContext) {}",
        "fn test(_: &chaos_test::ChaosContext, a: &A) {}",
        "fn test(chaos: &ChaosContext, _type: &Service, _1: &Service, _self: &u8) {}",
        "fn test(a: &A<'static, B>, r#type: &[u8], _b: &str, chaos: &(ChaosContext)) {}",
    ] {
        check("", right, &[]);
    }
    check(
        "breaks(cache)",
        "fn test(chaos: &ChaosContext, _cache: &Service) {}",
        &[],
    );
    for (parameters, message) in [
        (
            "a: &ChaosContext, b: &ChaosContext",
            "the context is already a parameter",
        ),
        (
            "chaos: ChaosContext",
            "the context is taken by reference: write `&ChaosContext`",
        ),
        (
            "chaos: &mut ChaosContext",
            "the context is shared: write `&ChaosContext`",
        ),
        (
            "c: &ChaosContext, a: Vec<a::B>",
            "fixtures are taken by reference: write `a: &Vec<a::B>`",
        ),
        (
            "c: &ChaosContext, a: &mut A",
            "fixtures are shared with others: write `a: &A`",
        ),
        (
            "c: &ChaosContext, #[cfg(unix)] a: &A",
            "a parameter cannot depend on a condition: put it on the whole function",
        ),
        (
            "c: &ChaosContext, mut a: &A",
            "fixtures are shared and cannot be `mut`: remove it",
        ),
        (
            "c: &ChaosContext, ref a: &A",
            "fixtures are references already: remove `ref`",
        ),
        (
            "c: &ChaosContext, a @ _: &A",
            "a fixture's parameter is a name and nothing else",
        ),
        (
            "c: &ChaosContext, _: &A",
            "a parameter's name says which fixture it is: write `cache: &Service`",
        ),
        (
            "c: &ChaosContext, (a, b): &A",
            "a parameter's name says which fixture it is: write `cache: &Service`",
        ),
        (
            "c: &ChaosContext, a: &'static A",
            "a fixture is lent for as long as the function runs: remove the lifetime",
        ),
        (
            "c: &ChaosContext, a: &impl A",
            "name the fixture's type: it cannot be generic",
        ),
        (
            "c: &ChaosContext, test: &A",
            "`test` is this function: it cannot be its own fixture",
        ),
        (
            "&self, c: &ChaosContext",
            "there is no value to call a method on: move the function out of the `impl`",
        ),
        (
            "c: &ChaosContext, #[case] a: u8",
            "`a` has no case: add `#[case(..)]` above the function, with one argument for each parameter that is marked `#[case]`",
        ),
        (
            "c: &ChaosContext, #[values()] a: u8",
            "`#[values]` needs one value at least: `#[values(1, 2)]`",
        ),
    ] {
        check("", &format!("fn test({parameters}) {{}}"), &[message]);
    }
}

#[test]
fn functions_that_cannot_be_tests() {
    for (item, message) in [
        (
            "struct Test;",
            "`#[chaos_test]` goes on a function, `async fn` or `fn`",
        ),
        (
            "const X: u8 = 1;",
            "`#[chaos_test]` goes on a function, `async fn` or `fn`",
        ),
        (
            "mod tests {}",
            "`#[chaos_test]` goes on a function, `async fn` or `fn`",
        ),
        (
            "fn test(c: &ChaosContext);",
            "`#[chaos_test]` needs a function with a body",
        ),
        (
            "const fn test(c: &ChaosContext) {}",
            "a chaos test cannot be `const`",
        ),
        (
            "unsafe fn test(c: &ChaosContext) {}",
            "a chaos test cannot be `unsafe`",
        ),
        (
            "extern \"C\" fn test(c: &ChaosContext) {}",
            "a chaos test cannot be `extern`",
        ),
        (
            "fn test<T>(c: &ChaosContext) {}",
            "a chaos test cannot be generic: nothing says for which types it would run",
        ),
        (
            "fn test(c: &ChaosContext) where u8: Copy {}",
            "a chaos test cannot be generic",
        ),
        (
            "#[test] fn test(c: &ChaosContext) {}",
            "`#[chaos_test]` already makes this a test: remove `#[test]`",
        ),
        (
            "#[rstest] fn test(c: &ChaosContext) {}",
            "`#[chaos_test]` itself takes `#[case]`, `#[values]` and `#[with]`, and fixtures are `#[chaos_fixture]`: remove `#[rstest]` (see \"Moving over from rstest\" in the README)",
        ),
        (
            "#[chaos_test::chaos_test(seed = 1)] fn test(c: &ChaosContext) {}",
            "`#[chaos_test]` is given twice",
        ),
        (
            "#[chaos_fixture] fn test(c: &ChaosContext) {}",
            "a function is either a test or a fixture: remove one of the two attributes",
        ),
        (
            "#[case::fast(1)] fn test(c: &ChaosContext) {}",
            "no parameter takes this case: mark those that do, such as `#[case] latency: Duration`",
        ),
    ] {
        check("", item, &[message]);
    }
}

#[test]
fn fixtures() {
    for right in [
        FIXTURE,
        "fn a() -> u8 {}",
        "pub(crate) async fn a(_b: &B) -> std::io::Result<Vec<u8>> {}",
        "fn a() -> Result<Box<dyn Fn(&str) -> &str + Send + Sync>, &'static str> {}",
    ] {
        check_fixture("", right, &[]);
        check_fixture(r#"scope = "test", crate = "a""#, right, &[]);
    }
    for (arguments, message) in [
        (
            "scope = \"rum\"",
            "unknown scope `rum`, did you mean `run`?",
        ),
        ("scope(test)", "`scope` is written `scope = \"test\"`"),
        (
            "timeout = \"1s\"",
            "unknown argument `timeout`: use `scope` or `crate`",
        ),
    ] {
        check_fixture(arguments, FIXTURE, &[message]);
    }
    check_fixture("scope = \"run\"", FIXTURE, &[]);
    check_fixture(
        "scope = \"run\"",
        "async fn shop(chaos: &ChaosContext, #[default(7)] entries: u8) -> Result<Shop> {}",
        &[
            "a fixture of the whole run has no values of its own, as a process of its own sets it \
             up: use the scope `binary`, or write a fixture for each value",
        ],
    );
    let no_value = "a fixture returns a value: write what its tests take, or a `Result` of it";
    let reference = "a fixture's value is shared, so it owns what it holds: return no reference";
    for (item, message) in [
        (
            "enum A {}",
            "`#[chaos_fixture]` goes on a function, `async fn` or `fn`",
        ),
        ("fn a() {}", no_value),
        ("fn a() -> () {}", no_value),
        ("fn a() -> chaos_test::Result {}", no_value),
        ("fn a() -> Result<()> {}", no_value),
        ("fn a() -> &'static str {}", reference),
        ("fn a() -> Result<Option<(u8, &str)>, E> {}", reference),
        (
            "fn a() -> impl Clone {}",
            "a fixture's value is named by its tests: return a type, not `impl Trait`",
        ),
        ("unsafe fn a() -> u8 {}", "a fixture cannot be `unsafe`"),
        (
            "#[test] fn a() -> u8 {}",
            "a fixture is not a test: remove `#[test]`",
        ),
        (
            "#[ignore = \"x\"] fn a() -> u8 {}",
            "a fixture is not a test: remove `#[ignore]`",
        ),
        (
            "#[chaos_test] fn a() -> u8 {}",
            "a function is either a test or a fixture: remove one of the two attributes",
        ),
        (
            "fn a(a: &u8) -> u8 {}",
            "`a` is this function: it cannot be its own fixture",
        ),
        (
            "fn a(b: u8) -> u8 {}",
            "fixtures are taken by reference: write `b: &u8`, or give it a `#[default(..)]` where it is a value",
        ),
    ] {
        check_fixture("", item, &[message]);
    }
}
