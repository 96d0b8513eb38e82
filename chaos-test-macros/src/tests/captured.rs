//! What `macro_rules!` hands on: a captured type, block or literal is in an invisible group.

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

use super::mistakes::errors;
use super::tokens;
use crate::expand::chaos_test;
use crate::fixture::chaos_fixture;

/// Replaces what is written in `[[` and `]]` by the invisible group of a capture.
fn captured(text: &str) -> TokenStream {
    with_groups(tokens(text))
}

fn with_groups(tokens: TokenStream) -> TokenStream {
    let groups = tokens.into_iter().map(|token| {
        let TokenTree::Group(group) = token else {
            return token;
        };
        let inside = match lone_bracket(&group) {
            Some(capture) => Group::new(Delimiter::None, with_groups(capture.stream())),
            None => Group::new(group.delimiter(), with_groups(group.stream())),
        };
        TokenTree::Group(inside)
    });
    groups.collect()
}

/// The inner one of two brackets.
fn lone_bracket(group: &Group) -> Option<Group> {
    let mut inside = group.stream().into_iter();
    match (group.delimiter(), inside.next(), inside.next()) {
        (Delimiter::Bracket, Some(TokenTree::Group(inner)), None)
            if inner.delimiter() == Delimiter::Bracket =>
        {
            Some(inner)
        }
        _ => None,
    }
}

#[track_caller]
fn check(arguments: &str, item: &str, expected: &[&str]) {
    let expansion = chaos_test(captured(arguments), captured(item));
    assert_eq!(
        errors(expansion),
        expected,
        "#[chaos_test({arguments})] {item}"
    );
}

#[track_caller]
fn check_fixture(item: &str, expected: &[&str]) {
    let expansion = chaos_fixture(TokenStream::new(), captured(item));
    assert_eq!(errors(expansion), expected, "#[chaos_fixture] {item}");
}

#[test]
fn captures_in_a_test() {
    for item in [
        "async fn test(chaos: &ChaosContext) [[{ body() }]]",
        "async fn test(chaos: &ChaosContext) [[ [[{ body() }]] ]]",
        "[[]] async fn test(chaos: [[&ChaosContext]], cache: [[&Service]]) {}",
        "[[pub(crate)]] fn test(chaos: &[[ChaosContext]], cache: &[[Service]]) -> [[Result]] {}",
        "fn test(chaos: ([[&ChaosContext]]), cache: (&Service)) {}",
        "fn test(chaos: &([[a::ChaosContext]]), cache: &[[(Service)]]) {}",
    ] {
        check("", item, &[]);
    }
    check(
        r#"timeout = [["1s"]], seed = [[7]], tags([["a"]]), breaks(cache), crate = [["a"]]"#,
        "fn test(chaos: &ChaosContext, cache: &Service) {}",
        &[],
    );
}

#[test]
fn mistakes_in_captures_of_a_test() {
    for (item, message) in [
        (
            "fn test(chaos: [[ChaosContext]]) {}",
            "the context is taken by reference: write `&ChaosContext`",
        ),
        (
            "fn test(chaos: (&mut [[ChaosContext]])) {}",
            "the context is shared: write `&ChaosContext`",
        ),
        (
            "fn test(chaos: &ChaosContext, cache: [[Service]]) {}",
            "fixtures are taken by reference: write `cache: &Service`",
        ),
        (
            "fn test(chaos: &ChaosContext, cache: [[&mut Service]]) {}",
            "fixtures are shared with others: write `cache: &Service`",
        ),
        (
            "fn test(chaos: &ChaosContext, cache: &[[(impl Clone)]]) {}",
            "name the fixture's type: it cannot be generic",
        ),
        (
            "fn test(chaos: &ChaosContext) [[;]]",
            "`#[chaos_test]` needs a function with a body",
        ),
    ] {
        check("", item, &[message]);
    }
    let item = "fn test(chaos: &ChaosContext) {}";
    let message = r#"`timeout` is written `timeout = "60s"`"#;
    check("timeout = [[60]]", item, &[message]);
}

#[test]
fn captures_in_a_fixture() {
    let no_value = "a fixture returns a value: write what its tests take, or a `Result` of it";
    let reference = "a fixture's value is shared, so it owns what it holds: return no reference";
    for item in [
        "fn fixture() -> [[Service]] [[{ body() }]]",
        "fn fixture() -> [[Result<Service>]] {}",
        "fn fixture() -> ([[io::Result<[[Service]]>]]) {}",
    ] {
        check_fixture(item, &[]);
    }
    for (item, message) in [
        ("fn fixture() -> [[()]] {}", no_value),
        ("fn fixture() -> [[(())]] {}", no_value),
        ("fn fixture() -> Result<[[()]]> {}", no_value),
        ("fn fixture() -> [[Result]] {}", no_value),
        ("fn fixture() -> [[&'static str]] {}", reference),
        (
            "fn fixture() -> Result<Option<[[&'static str]]>> {}",
            reference,
        ),
    ] {
        check_fixture(item, &[message]);
    }
}
