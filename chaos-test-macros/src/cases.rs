//! Cases and values of a test: what of its attributes belongs to which case, which tests come of
//! them, and what each is called.
//!
//! A name holds no number of its place where it can do without: it stays the same when a case is
//! added, wherever that is.

use syn::parse::Parser;
use syn::punctuated::Punctuated;
use syn::{Attribute, Expr, Ident, Meta, Token};

use crate::function::{is_case_attribute, is_named, is_test_attribute, written};
use crate::mistakes::{Mistakes, listed};
use crate::parameters::{Parameter, Role, text};
use crate::source::source;
use crate::validate::documentation;

/// One `#[case(..)]` above a function.
pub(crate) struct Case {
    /// As it is called among the tests.
    pub(crate) name: String,
    pub(crate) arguments: Vec<Expr>,
    /// Where an error about it is marked, and what its line is.
    pub(crate) attribute: Attribute,
    /// What it adds to the hypothesis.
    pub(crate) documentation: String,
    pub(crate) ignored: bool,
}

/// A test's attributes: its own, and those of its cases.
pub(crate) struct Sorted {
    pub(crate) own: Vec<Attribute>,
    pub(crate) cases: Vec<Case>,
}

/// How long the part of a name that comes from a value may be.
const LONGEST: usize = 40;

/// Sorts what stands above a test. What is above the first case or below the last one is the
/// test's own, anything between belongs to the case below it. The first case has a comment of
/// its own where the test's own comment is right above `fn`.
pub(crate) fn sorted(attributes: &[Attribute], mistakes: &mut Mistakes) -> Sorted {
    let mut cases: Vec<Case> = Vec::new();
    let mut own = Vec::new();
    let mut above = Vec::new();
    for attribute in attributes {
        if !is_case_attribute(attribute) {
            above.push(attribute.clone());
            continue;
        }
        let before = std::mem::take(&mut above);
        let mut case = case(attribute, cases.len() + 1, mistakes);
        if cases.is_empty() {
            own = before;
        } else {
            case.documentation = documentation(&before);
            case.ignored = before.iter().any(|other| other.path().is_ident("ignore"));
            refuse_between(&before, mistakes);
        }
        if cases.iter().any(|known| known.name == case.name) {
            let name = &case.name;
            mistakes.at(
                attribute.path(),
                format!("a second case called `{name}`: each needs a name of its own"),
            );
        }
        cases.push(case);
    }
    let is_doc = |attribute: &Attribute| attribute.path().is_ident("doc");
    if let Some(first) = cases.first_mut()
        && above.iter().any(is_doc)
    {
        let (comment, rest) = own.into_iter().partition::<Vec<_>, _>(is_doc);
        first.documentation = documentation(&comment);
        own = rest;
    }
    own.extend(above);
    Sorted { own, cases }
}

fn refuse_between(attributes: &[Attribute], mistakes: &mut Mistakes) {
    for attribute in attributes {
        let allowed = attribute.path().is_ident("doc") || attribute.path().is_ident("ignore");
        // Those that no test may have are refused elsewhere.
        let told = is_test_attribute(attribute)
            || is_named(attribute, "chaos_test")
            || is_named(attribute, "chaos_fixture");
        if !allowed && !told {
            let path = written(attribute);
            mistakes.at(
                attribute,
                format!(
                    "between cases there are only comments and `#[ignore]`, for the case below: \
                     put `#[{path}]` above the first case, for all of them"
                ),
            );
        }
    }
}

fn case(attribute: &Attribute, number: usize, mistakes: &mut Mistakes) -> Case {
    let mut segments = attribute.path().segments.iter().skip(1);
    let name = match (segments.next(), segments.next()) {
        (None, _) => format!("case_{number}"),
        (Some(name), None) if !is_reserved(&name.ident) => name.ident.to_string(),
        (Some(name), None) => {
            mistakes.at(
                &name.ident,
                format!("`{}` cannot name a case: choose another word", name.ident),
            );
            format!("case_{number}")
        }
        (Some(_), Some(more)) => {
            mistakes.at(more, "a case has one name: `#[case::name(..)]`");
            format!("case_{number}")
        }
    };
    let arguments = match &attribute.meta {
        Meta::Path(_) => Vec::new(),
        Meta::List(list) => {
            let parser = Punctuated::<Expr, Token![,]>::parse_terminated;
            match parser.parse2(list.tokens.clone()) {
                Ok(arguments) => arguments.into_iter().collect(),
                Err(error) => {
                    mistakes.at_span(error.span(), error.to_string());
                    Vec::new()
                }
            }
        }
        Meta::NameValue(pair) => {
            mistakes.at(
                pair,
                "a case is written `#[case(1, 2)]` or `#[case::name(1, 2)]`",
            );
            Vec::new()
        }
    };
    Case {
        name,
        arguments,
        attribute: attribute.clone(),
        documentation: String::new(),
        ignored: false,
    }
}

/// The words that no function can be called, not even as raw ones.
fn is_reserved(name: &Ident) -> bool {
    ["self", "Self", "super", "crate"].contains(&&*name.to_string())
}

/// Judges cases beside the parameters that take them.
pub(crate) fn validate(cases: &[Case], parameters: &[Parameter], mistakes: &mut Mistakes) {
    let takers: Vec<&Ident> = parameters
        .iter()
        .filter_map(|parameter| match &parameter.role {
            Role::Case(name) => Some(name),
            _ => None,
        })
        .collect();
    if cases.is_empty() {
        for taker in &takers {
            mistakes.at(
                taker,
                format!(
                    "`{taker}` has no case: add `#[case(..)]` above the function, with one \
                     argument for each parameter that is marked `#[case]`"
                ),
            );
        }
    }
    for case in cases {
        if matches!(case.attribute.meta, Meta::NameValue(_)) {
            continue;
        }
        if takers.is_empty() {
            mistakes.at(
                &case.attribute,
                "no parameter takes this case: mark those that do, such as \
                 `#[case] latency: Duration`",
            );
            continue;
        }
        let (given, taken) = (case.arguments.len(), takers.len());
        if given == taken {
            continue;
        }
        let names: Vec<String> = takers.iter().map(|taker| taker.to_string()).collect();
        let message = format!(
            "this case has {given} argument{}, and the test takes {taken}: {}",
            if given == 1 { "" } else { "s" },
            listed(&names).replace(" or ", " and ")
        );
        match case.arguments.get(taken) {
            Some(first) => mistakes.at(first, message),
            None => mistakes.at(&case.attribute, message),
        }
    }
}

/// One test that comes of a case and of values.
pub(crate) struct Row<'a> {
    /// The modules that it is in, and its own name.
    pub(crate) path: Vec<String>,
    pub(crate) case: Option<&'a Case>,
    /// What each parameter is given, as it was written.
    pub(crate) arguments: Vec<(String, String)>,
}

/// All tests that come of a function, the last parameter's values changing fastest. None where it
/// has neither cases nor values.
pub(crate) fn rows<'a>(cases: &'a [Case], parameters: &[Parameter]) -> Vec<Row<'a>> {
    let mut rows = Vec::new();
    for case in cases {
        let mut arguments = case.arguments.iter();
        let named = parameters.iter().filter_map(|parameter| {
            let Role::Case(name) = &parameter.role else {
                return None;
            };
            Some((text(name), source(arguments.next()?)))
        });
        rows.push(Row {
            path: vec![case.name.clone()],
            arguments: named.collect(),
            case: Some(case),
        });
    }
    for parameter in parameters {
        let Role::Values(name, values) = &parameter.role else {
            continue;
        };
        if rows.is_empty() {
            rows.push(Row {
                path: Vec::new(),
                case: None,
                arguments: Vec::new(),
            });
        }
        let words = words(name, values);
        rows = rows
            .into_iter()
            .flat_map(|row| {
                let each = words.iter().zip(values);
                each.map(move |(word, value)| {
                    let mut path = row.path.clone();
                    path.push(word.clone());
                    let mut arguments = row.arguments.clone();
                    arguments.push((text(name), source(value)));
                    Row {
                        path,
                        case: row.case,
                        arguments,
                    }
                })
                .collect::<Vec<_>>()
            })
            .collect();
    }
    rows
}

/// How many tests there are of each case.
pub(crate) fn rows_of_a_case(parameters: &[Parameter]) -> usize {
    let counts = parameters.iter().map(|parameter| match &parameter.role {
        Role::Values(_, values) => values.len(),
        _ => 1,
    });
    counts.product()
}

/// What the values of a parameter are called: its name, and of each value what can stand in a
/// name. Where that is the same for two, the later one gets a number.
fn words(name: &Ident, values: &[Expr]) -> Vec<String> {
    let name = text(name);
    let name = match name.trim_start_matches('_') {
        // No name begins with a digit.
        bare if bare.starts_with(|c: char| c.is_ascii_digit()) => format!("_{bare}"),
        bare => bare.to_owned(),
    };
    let mut words: Vec<String> = Vec::new();
    for (position, value) in values.iter().enumerate() {
        let mut word = name.clone();
        let value = word_of(&source(value));
        word += "_";
        match value.as_str() {
            "" => word += &(position + 1).to_string(),
            value => word += value,
        }
        let mut free = word.clone();
        let mut number = 2;
        while words.contains(&free) {
            free = format!("{word}_{number}");
            number += 1;
        }
        words.push(free);
    }
    words
}

/// What of a value can stand in a name.
fn word_of(source: &str) -> String {
    let mut word = String::new();
    for c in source.chars() {
        if c.is_ascii_alphanumeric() {
            word.push(c);
        } else if !word.is_empty() && !word.ends_with('_') {
            word.push('_');
        }
    }
    word.truncate(LONGEST);
    word.trim_end_matches('_').to_owned()
}
