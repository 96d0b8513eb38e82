//! What editors find of an item that is wrong, or only half written: the user's function, once,
//! with its signature and its body as they stand there. That is what completion and going to a
//! definition work on.

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

use super::mistakes::errors;
use super::tokens;
use crate::expand::chaos_test;
use crate::fixture::chaos_fixture;

type Macro = fn(TokenStream, TokenStream) -> TokenStream;

const BOTH: [(&str, Macro, &str); 2] = [
    (
        "chaos_test",
        chaos_test,
        "pub async fn orders(chaos: &ChaosContext, cache: &Service) -> chaos_test::Result \
         { let requests = watch(chaos, cache); requests.over(secs(1)).await?; Ok(()) }",
    ),
    (
        "chaos_fixture",
        chaos_fixture,
        "pub(crate) async fn shop(chaos: &ChaosContext, cache: &Service) -> Result<Vec<Shop>> \
         { let shop = open(cache).await?; Ok(vec![shop; 2]) }",
    ),
];

/// All tokens one after the other, the brackets of groups among them.
fn leaves(tokens: TokenStream) -> Vec<String> {
    let leaves = tokens.into_iter().flat_map(|token| match token {
        TokenTree::Group(group) => {
            let (open, close) = match group.delimiter() {
                Delimiter::Parenthesis => ("(", ")"),
                Delimiter::Brace => ("{", "}"),
                Delimiter::Bracket => ("[", "]"),
                Delimiter::None => ("", ""),
            };
            let mut leaves = vec![open.to_owned()];
            leaves.extend(self::leaves(group.stream()));
            leaves.push(close.to_owned());
            leaves
        }
        token => vec![token.to_string()],
    });
    leaves.collect()
}

/// How often tokens stand in others, in a row.
fn times(wanted: &TokenStream, expansion: &TokenStream) -> usize {
    let (wanted, expansion) = (leaves(wanted.clone()), leaves(expansion.clone()));
    let windows = expansion.windows(wanted.len().max(1));
    windows.filter(|window| *window == wanted).count()
}

/// The item is wrong, and `kept` is what is there of it besides the errors.
#[track_caller]
fn check(expand: Macro, arguments: TokenStream, item: TokenStream, kept: &TokenStream) {
    let told = format!("({arguments}) {item}");
    let expansion = expand(arguments, item);
    assert!(!errors(expansion.clone()).is_empty(), "{told}: no error");
    assert_eq!(times(kept, &expansion), 1, "{told}: {expansion}");
}

/// The item may be wrong. It has neither attributes nor marks, so all of it is there where it is;
/// else its body is, in a function that runs it.
#[track_caller]
fn check_any(expand: Macro, arguments: TokenStream, item: TokenStream) {
    let expansion = expand(arguments.clone(), item.clone());
    if !errors(expansion).is_empty() {
        check(expand, arguments, item.clone(), &item);
        return;
    }
    let body = TokenStream::from_iter(item.clone().into_iter().last());
    assert!(
        body.to_string().starts_with('{'),
        "({arguments}) {item}: no error, and no body"
    );
    let expansion = expand(arguments.clone(), item.clone());
    assert_eq!(
        times(&body, &expansion),
        1,
        "({arguments}) {item}: {expansion}"
    );
}

/// What is being written, as editors hand it on: they close what is open.
fn closed(text: &str) -> TokenStream {
    let mut open = Vec::new();
    let mut in_text = false;
    for letter in text.chars() {
        match letter {
            '"' => in_text = !in_text,
            '(' if !in_text => open.push(')'),
            '[' if !in_text => open.push(']'),
            '{' if !in_text => open.push('}'),
            ')' | ']' | '}' if !in_text => assert_eq!(open.pop(), Some(letter), "{text}"),
            _ => {}
        }
    }
    let text = if in_text {
        format!("{text}\"")
    } else {
        text.to_owned()
    };
    tokens(&(text + &open.into_iter().rev().collect::<String>()))
}

/// Every beginning of a text that holds anything.
fn beginnings(text: &str) -> impl Iterator<Item = TokenStream> {
    (1..=text.len()).map(|end| closed(&text[..end]))
}

/// The tokens without one of them, whichever it is, at any depth.
fn without_one(tokens: &TokenStream) -> Vec<TokenStream> {
    let all: Vec<TokenTree> = tokens.clone().into_iter().collect();
    let mut without = Vec::new();
    for (position, token) in all.iter().enumerate() {
        let with = |other: Option<TokenTree>| {
            let mut others = all.clone();
            others.splice(position..=position, other);
            others.into_iter().collect::<TokenStream>()
        };
        without.push(with(None));
        if let TokenTree::Group(group) = token {
            let inside = without_one(&group.stream()).into_iter();
            without.extend(inside.map(|inside| {
                let group = Group::new(group.delimiter(), inside);
                with(Some(TokenTree::Group(group)))
            }));
        }
    }
    without
}

#[test]
fn a_wrong_argument() {
    let (_, expand, test) = BOTH[0];
    for arguments in [
        "frobnicate",
        "frobnicate = 3",
        "timout = \"60s\"",
        "break(cache)",
        "breaks(cahce)",
        "timeout = 60",
        "tags(\"a b\")",
        "requires(dokcer)",
        "seed = 1, seed = 2",
        "expects(error_rate < 1%)",
        "abort_if()",
        ", ,",
    ] {
        check(expand, tokens(arguments), tokens(test), &tokens(test));
    }
    let (_, expand, fixture) = BOTH[1];
    for arguments in ["frobnicate", "scpoe = \"run\"", "scope = \"rum\"", "scope"] {
        check(expand, tokens(arguments), tokens(fixture), &tokens(fixture));
    }
}

/// As in `#[chaos_test(breaks(`: each time a letter is typed.
#[test]
fn arguments_that_are_being_written() {
    let of_a_test = r#"breaks(cache), hypothesis = "orders keep flowing", timeout = "60s", environment("staging"),
        blast_radius(services <= 1, duration <= 30s), expects(error_rate <= 1%, orders.p95 <= 250ms),
        abort_if(orders.error_rate > 5% for 10s), must_fail_when(env("RETRY" = "off") => "error rate"),
        known_gap = "SHOP-12", requires(docker, program("redis-server")), leases("orders-db"), exclusive,
        tags("network"), seed = 7, crate = "other""#;
    let of_a_fixture = r#"scope = "binary", crate = "other::path""#;
    for ((_, expand, item), arguments) in BOTH.into_iter().zip([of_a_test, of_a_fixture]) {
        for arguments in beginnings(arguments) {
            check_any(expand, arguments, tokens(item));
        }
        for arguments in without_one(&tokens(arguments)) {
            check_any(expand, arguments, tokens(item));
        }
    }
}

/// A signature, or a body, each time a letter is typed; and one that lacks something.
#[test]
fn items_that_are_being_written() {
    for (_, expand, item) in BOTH {
        for item in beginnings(item).chain(without_one(&tokens(item))) {
            check_any(expand, TokenStream::new(), item.clone());
            check_any(expand, tokens("crate"), item);
        }
    }
}

/// It is the body of a function that runs, in which the editor completes.
#[test]
fn a_body_that_is_no_rust_yet() {
    for (_, expand, item) in BOTH {
        let (head, _) = item.split_once('{').expect("a body");
        for body in [
            "{ chaos. }",
            "{ let outage = chaos.inject(process::kill( )) }",
            "{ requests.over(ms(50)).await?. }",
            "{ match cache { Some(it) => } }",
            "{ let = ; if }",
            "{ chaos.during(|_| async { cache. }).await; Ok(()) }",
        ] {
            let item = tokens(&format!("{head} {body}"));
            let body = tokens(body);
            let expansion = expand(TokenStream::new(), item.clone());
            assert_eq!(errors(expansion.clone()), Vec::<String>::new(), "{item}");
            assert_eq!(times(&body, &expansion), 1, "{item}: {expansion}");
            check(expand, tokens("frobnicate"), item.clone(), &item);
        }
    }
}

#[test]
fn wrong_parameters() {
    for (_, expand, item) in BOTH {
        let (before, rest) = item.split_once('(').expect("parameters");
        // That of the visibility is not meant.
        let (before, rest) = match rest.split_once("fn ") {
            Some((visibility, rest)) if before.ends_with("pub") => {
                let (name, rest) = rest.split_once('(').expect("parameters");
                (format!("{before}({visibility}fn {name}"), rest)
            }
            _ => (before.to_owned(), rest),
        };
        let (_, after) = rest.split_once(')').expect("parameters");
        for parameters in [
            "chaos: ChaosContext",
            "chaos: &mut ChaosContext",
            "chaos: &ChaosContext, cache: Service",
            "chaos: &ChaosContext, cache: &mut Service",
            "chaos: &ChaosContext, cache: Vec<a::B>",
            "chaos: &ChaosContext, (one, other): &Pair",
            "chaos: &ChaosContext, _: &Service",
            "chaos: &ChaosContext, cache: &'static Service",
            "chaos: &ChaosContext, again: &ChaosContext",
            "&self, chaos: &ChaosContext",
            // Not written to its end.
            "chaos: &ChaosContext, cache",
            "chaos: &ChaosContext, cache: ",
            "chaos: &ChaosContext, cache: &",
        ] {
            let item = tokens(&format!("{before}({parameters}){after}"));
            check(expand, TokenStream::new(), item.clone(), &item);
        }
    }
    // A test without a context; a fixture needs none.
    let (_, expand, _) = BOTH[0];
    for item in [
        "fn test() { body() }",
        "async fn test(cache: &Service) { body(cache).await }",
    ] {
        check(expand, TokenStream::new(), tokens(item), &tokens(item));
    }
}

/// Attributes and marks that only the macros know are left out, because the compiler would take
/// each for another mistake.
#[test]
fn wrong_cases() {
    let (_, expand, _) = BOTH[0];
    let kept = tokens("async fn test(chaos: &ChaosContext, size: u8) -> Result { body(size) }");
    let marked = "async fn test(chaos: &ChaosContext, #[case] size: u8) -> Result { body(size) }";
    for cases in [
        "",
        "#[case]",
        "#[case()]",
        "#[case = 1]",
        "#[case(1, 2)]",
        "#[case(1 2)]",
        "#[case(1,,)]",
        "#[case(small.)]",
        "#[case::small]",
        "#[case::small()]",
        "#[case::a::b(1)]",
        "#[case::a(1)] #[case::a(2)]",
        "#[case(1)] #[should_panic] #[case(2)]",
        "#[cases(1)]",
        "#[csae(1)]",
        "/// Small.\n#[case(1)] #[ignore] #[case(1, 2)]",
    ] {
        let item = tokens(&format!("{cases} {marked}"));
        check(expand, TokenStream::new(), item, &kept);
    }
    for mark in [
        "#[case]",
        "#[caes]",
        "#[values]",
        "#[values()]",
        "#[values(1,,)]",
        "#[value(1)]",
        "#[with(1)]",
        "#[from(.)]",
        "#[default(1)]",
        "#[case] #[values(1)]",
    ] {
        let marked = format!(
            "async fn test(chaos: &ChaosContext, {mark} size: u8) -> Result {{ body(size) }}"
        );
        check(expand, TokenStream::new(), tokens(&marked), &kept);
    }
    // An attribute that is none yet: the item stays as it is.
    for half in ["#[case::]", "#[]", "#[case::(1)]", "#"] {
        let item = tokens(&format!("{half} {marked}"));
        check(expand, TokenStream::new(), item.clone(), &item);
    }
}

#[test]
fn wrong_values_of_a_fixture() {
    let (_, expand, _) = BOTH[1];
    let kept = tokens("fn cache(size: u32, base: &Base) -> Cache { open(size, base) }");
    for (size, base) in [
        ("#[default]", ""),
        ("#[default()]", ""),
        ("#[default(1, 2)]", ""),
        ("#[defautl(1)]", ""),
        ("#[case]", ""),
        ("#[default(1)]", "#[with()]"),
        ("#[default(1)]", "#[with(size.)]"),
        ("#[default(1)]", "#[from()]"),
    ] {
        let item = format!(
            "fn cache({size} size: u32, {base} base: &Base) -> Cache {{ open(size, base) }}"
        );
        check(expand, TokenStream::new(), tokens(&item), &kept);
    }
}
