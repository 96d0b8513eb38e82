//! Parses what stands before a parameter: `#[case]`, `#[values(..)]`, `#[with(..)]`,
//! `#[from(..)]` and `#[default(..)]`.
//!
//! Which of them a parameter may have is judged in `parameters`.

use syn::parse::Parser;
use syn::punctuated::Punctuated;
use syn::{Attribute, Expr, Meta, Path, Token};

use crate::function::{compact, is_condition, is_lint_level, written};
use crate::mistakes::{Mistakes, suggestion};

/// The marks of one parameter, with the attribute that each was.
#[derive(Default)]
pub(crate) struct Marks<'a> {
    pub(crate) case: Option<&'a Attribute>,
    pub(crate) values: Option<(&'a Attribute, Vec<Expr>)>,
    pub(crate) with: Option<(&'a Attribute, Vec<Expr>)>,
    pub(crate) from: Option<(&'a Attribute, Path)>,
    pub(crate) default: Option<(&'a Attribute, Expr)>,
    /// Whether one is none of these: then nobody knows what the parameter was to be.
    pub(crate) unknown: bool,
}

const KNOWN: &[&str] = &["case", "values", "with", "from", "default"];

/// Marks of rstest that are written another way here.
const OF_RSTEST: &[(&str, &str)] = &[
    (
        "future",
        "a fixture is awaited before the body begins: remove it",
    ),
    (
        "once",
        "who shares a value is said where the fixture is: `#[chaos_fixture(scope = \"..\")]`",
    ),
    ("files", "name the files as `#[values(..)]`"),
    (
        "notrace",
        "arguments are shown as they are written: remove it",
    ),
    ("by_ref", "take the value itself, and lend it in the body"),
    (
        "context",
        "the context is `chaos: &ChaosContext`: remove it",
    ),
];

impl<'a> Marks<'a> {
    pub(crate) fn parse(attributes: &'a [Attribute], mistakes: &mut Mistakes) -> Self {
        let mut marks = Self::default();
        for attribute in attributes {
            if is_condition(attribute) {
                mistakes.at(
                    attribute,
                    "a parameter cannot depend on a condition: put it on the whole function",
                );
                continue;
            }
            let name = written(attribute);
            let twice = match name.as_str() {
                "case" => {
                    if !matches!(attribute.meta, Meta::Path(_)) {
                        mistakes.at(
                            attribute,
                            "a parameter is marked `#[case]` alone: its arguments stand above \
                             the function, `#[case(..)]`",
                        );
                    }
                    marks.case.replace(attribute).is_some()
                }
                "values" => {
                    let values = expressions(attribute, "values(1, 2)", mistakes);
                    marks.values.replace((attribute, values)).is_some()
                }
                "with" => {
                    let values = expressions(attribute, "with(1, 2)", mistakes);
                    marks.with.replace((attribute, values)).is_some()
                }
                "from" => match path(attribute, mistakes) {
                    Some(path) => marks.from.replace((attribute, path)).is_some(),
                    None => false,
                },
                "default" => match expression(attribute, mistakes) {
                    Some(value) => marks.default.replace((attribute, value)).is_some(),
                    None => false,
                },
                _ if is_lint_level(attribute) => false,
                name => {
                    unknown(attribute, name, mistakes);
                    marks.unknown = true;
                    false
                }
            };
            if twice {
                mistakes.at(attribute, format!("`#[{name}]` is given twice"));
            }
        }
        marks
    }
}

fn unknown(attribute: &Attribute, name: &str, mistakes: &mut Mistakes) {
    let advice = OF_RSTEST.iter().find(|(known, _)| *known == name);
    let message = match advice {
        Some((_, advice)) => format!("`#[{name}]` is not there in chaos-test: {advice}"),
        None if name.starts_with("case::") => {
            "a case's name stands above the function, `#[case::name(..)]`: a parameter is \
             marked `#[case]`"
                .to_owned()
        }
        None => {
            let suggestion = suggestion(name, KNOWN);
            format!("unknown mark `{name}` of a parameter{suggestion}")
        }
    };
    mistakes.at(attribute, message);
}

/// The expressions of `#[name(a, b)]`, at least one.
fn expressions(attribute: &Attribute, usage: &str, mistakes: &mut Mistakes) -> Vec<Expr> {
    let parser = Punctuated::<Expr, Token![,]>::parse_terminated;
    let tokens = match &attribute.meta {
        Meta::List(list) => list.tokens.clone(),
        _ => Default::default(),
    };
    match parser.parse2(tokens) {
        Ok(values) if !values.is_empty() => values.into_iter().collect(),
        Ok(_) => {
            let name = compact(attribute.path());
            mistakes.at(
                attribute,
                format!("`#[{name}]` needs one value at least: `#[{usage}]`"),
            );
            Vec::new()
        }
        Err(error) => {
            mistakes.at_span(error.span(), error.to_string());
            Vec::new()
        }
    }
}

fn path(attribute: &Attribute, mistakes: &mut Mistakes) -> Option<Path> {
    let path = match &attribute.meta {
        Meta::List(list) => Path::parse_mod_style.parse2(list.tokens.clone()).ok(),
        _ => None,
    };
    if path.is_none() {
        mistakes.at(
            attribute,
            "`from` names the fixture's function: `#[from(other_crate::cache)]`",
        );
    }
    path
}

fn expression(attribute: &Attribute, mistakes: &mut Mistakes) -> Option<Expr> {
    let value = match &attribute.meta {
        Meta::List(list) => list.parse_args().ok(),
        _ => None,
    };
    if value.is_none() {
        mistakes.at(attribute, "`default` has one value: `#[default(16)]`");
    }
    value
}
