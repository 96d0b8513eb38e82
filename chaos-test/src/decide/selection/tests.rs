//! What expressions mean, and how mistakes are marked.

use super::*;

fn selected(text: &str, tags: &[&str]) -> bool {
    Selection::parse(text).unwrap().unwrap().selects(tags)
}

#[test]
fn and_binds_more_than_or_and_not_more_than_both() {
    for (text, tags, expected) in [
        ("slow", &["slow"][..], true),
        ("slow", &["slower"], false),
        ("slow", &[], false),
        ("not slow", &[], true),
        ("not slow", &["slow"], false),
        ("not not slow", &["slow"], true),
        ("network and not slow", &["network"], true),
        ("network and not slow", &["network", "slow"], false),
        // As a or (b and c).
        ("a or b and c", &["a"], true),
        ("a or b and c", &["b"], false),
        ("(a or b) and c", &["a"], false),
        ("(a or b) and c", &["b", "c"], true),
        // As (not a) and b.
        ("not a and b", &["b"], true),
        ("not a and b", &[], false),
        ("not (a and b)", &["a"], true),
        ("not (a and b)", &["a", "b"], false),
        // A comma is an `or` that binds least.
        ("a,b", &["b"], true),
        ("a, b and c", &["b"], false),
        ("a and b, c", &["c"], true),
        ("a or b, c or d", &["d"], true),
        (" tag.one-2_x ", &["tag.one-2_x"], true),
        ("nota", &["nota"], true),
        ("((((a))))", &["a"], true),
    ] {
        assert_eq!(selected(text, tags), expected, "{text:?} of {tags:?}");
    }
}

#[test]
#[expect(clippy::nonminimal_bool, reason = "it is to say what the text says")]
fn an_expression_means_what_its_words_say_for_every_set_of_tags() {
    let text = "not (a or b) and c or a and not (b and not c)";
    let selection = Selection::parse(text).unwrap().unwrap();
    for set in 0..8_u8 {
        let [a, b, c] = [1, 2, 4].map(|bit| set & bit != 0);
        let tags: Vec<&str> = [("a", a), ("b", b), ("c", c)]
            .into_iter()
            .filter_map(|(tag, has)| has.then_some(tag))
            .collect();
        let expected = !(a || b) && c || a && !(b && !c);
        assert_eq!(selection.selects(&tags), expected, "{tags:?}");
    }
}

#[test]
fn nothing_selects_nothing_and_text_is_kept_without_its_space() {
    assert_eq!(Selection::parse(" \t\n"), Ok(None));
    let selection = Selection::parse(" a  and\tnot b ").unwrap().unwrap();
    assert_eq!(selection.to_string(), "a and not b");
}

#[test]
fn a_mistake_is_marked_where_it_is() {
    let wrong = |text: &str| Selection::parse(text).unwrap_err();
    insta::assert_snapshot!(wrong("network and and slow"), @r"
    a tag is missing before `and`
      network and and slow
                  ^^^
    ");
    insta::assert_snapshot!(wrong("network and "), @r"
    a tag is missing at the end
      network and
                 ^
    ");
    insta::assert_snapshot!(wrong("(a or b"), @r"
    this `(` is never closed
      (a or b
      ^
    ");
    insta::assert_snapshot!(wrong("a or b)"), @r"
    this `)` closes nothing
      a or b)
            ^
    ");
    insta::assert_snapshot!(wrong("()"), @r"
    a tag is missing before `)`
      ()
       ^
    ");
    insta::assert_snapshot!(wrong("network slow"), @r"
    `and` or `or` is missing before `slow`
      network slow
              ^^^^
    ");
    insta::assert_snapshot!(wrong("(network slow)"), @r"
    `and` or `or` is missing before `slow`
      (network slow)
               ^^^^
    ");
    insta::assert_snapshot!(wrong("network AND slow"), @r"
    `AND` is a tag here: write `and`
      network AND slow
              ^^^
    ");
    insta::assert_snapshot!(wrong("network && slow"), @r"
    `&` has no meaning in a tag expression: write `and`
      network && slow
              ^
    ");
    insta::assert_snapshot!(wrong("größe\tand ü"), @r"
    `ö` has no meaning in a tag expression: tags are made of letters, digits, `_`, `-` and `.`
      größe and ü
        ^
    ");
    insta::assert_snapshot!(wrong("a,,b"), @r"
    a tag is missing before `,`
      a,,b
        ^
    ");
}

#[test]
fn of_a_long_expression_the_place_of_the_mistake_is_shown() {
    let long = format!(
        "{} and and {}",
        vec!["tag"; 50].join(" or "),
        "x or ".repeat(50)
    );
    insta::assert_snapshot!(Selection::parse(&long).unwrap_err(), @r"
    a tag is missing before `and`
      .. or tag or tag or tag or tag or tag and and x or x or x or x or x or x or x or x..
                                                ^^^
    ");
    // And nobody fills the stack with it.
    let deep = "(".repeat(1_000_000);
    let wrong = Selection::parse(&deep).unwrap_err();
    assert!(wrong.starts_with("more than 50 parentheses"), "{wrong}");
    assert!(selected(&format!("{} a", "not ".repeat(1_000_000)), &["a"]));
}

#[test]
fn a_tag_that_nobody_has_is_told_with_the_one_that_was_meant() {
    let selection = Selection::parse("netwrk or not slow or netwrk or zebra");
    let selection = selection.unwrap().unwrap();
    let known = ["network", "slow"];
    let unknown: Vec<String> = selection
        .unknown(&known)
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        unknown,
        [
            "the tag `netwrk`, did you mean `network`?",
            "the tag `zebra`"
        ]
    );
}
