//! Judges what was parsed: the meaning of the arguments, and the function's signature.
//!
//! Every check adds to the mistakes and goes on, so that one compilation shows all of them.
//! What comes out is complete only if there were none.

use std::time::Duration;

use syn::{
    Attribute, Expr, ExprLit, Ident, Lit, LitStr, Meta, MetaNameValue, Path, Safety, Signature,
};

use crate::args::{ControlArgument, RequirementArgument, TestArguments};
use crate::attributes::single;
use crate::cases::{self, Case, Sorted};
use crate::claim::Claim;
use crate::condition::Condition;
use crate::function::{
    Function, MISSPELT_CASES, is_case_attribute, is_misplaced, is_named, is_test_attribute, written,
};
use crate::mistakes::{Mistakes, listed, suggestion};
use crate::parameters::{NO_CASES, Of, Parameter, is_context, parameters};
use crate::radius::{self, Limit};

/// A chaos test without mistakes.
pub(crate) struct Test<'a> {
    pub(crate) function: &'a Function,
    /// Its attributes, without what belongs to its cases.
    pub(crate) attributes: Vec<Attribute>,
    pub(crate) cases: Vec<Case>,
    pub(crate) parameters: Vec<Parameter>,
    pub(crate) hypothesis: String,
    pub(crate) breaks: Option<&'a [Ident]>,
    pub(crate) environments: &'a [LitStr],
    pub(crate) blast_radius: &'a [Limit],
    pub(crate) expects: &'a [Claim],
    pub(crate) abort_if: &'a [Condition],
    pub(crate) known_gap: Option<&'a LitStr>,
    pub(crate) must_fail_when: &'a [ControlArgument],
    pub(crate) timeout: Option<Duration>,
    pub(crate) requires: Vec<Requirement>,
    pub(crate) leases: &'a [LitStr],
    pub(crate) exclusive: bool,
    pub(crate) tags: &'a [LitStr],
    pub(crate) seed: Option<u64>,
    pub(crate) should_panic: ShouldPanic,
    pub(crate) ignored: bool,
    pub(crate) library: Option<&'a Path>,
}

/// What the machine must have.
#[derive(PartialEq)]
pub(crate) enum Requirement {
    Docker,
    NetAdmin,
    Root,
    Program(String),
    Env(String),
}

/// What `#[should_panic]` says.
pub(crate) enum ShouldPanic {
    No,
    Yes,
    With(LitStr),
}

const REQUIREMENTS: &[&str] = &["docker", "netadmin", "root", "program", "env"];

/// Judges a test.
pub(crate) fn test<'a>(
    arguments: &'a TestArguments,
    function: &'a Function,
    mistakes: &mut Mistakes,
) -> Test<'a> {
    modifiers(&function.signature, "a chaos test", mistakes);
    test_attributes(&function.attributes, mistakes);
    let Sorted {
        own: attributes,
        cases,
    } = cases::sorted(&function.attributes, mistakes);
    let parameters = parameters(Of::Test, &function.signature, mistakes);
    cases::validate(&cases, &parameters, mistakes);
    if !function.signature.inputs.iter().any(is_context) {
        mistakes.at(
            &function.signature.ident,
            "a chaos test takes the context: add a parameter `chaos: &ChaosContext`",
        );
    }
    if let Some(breaks) = &arguments.breaks {
        broken_fixtures(breaks, &parameters, mistakes);
    }
    environments(&arguments.environments, mistakes);
    radius::validate(
        &arguments.blast_radius,
        arguments.breaks.as_deref(),
        mistakes,
    );
    leases(&arguments.leases, mistakes);
    tags(&arguments.tags, mistakes);
    if let Some(gap) = &arguments.known_gap {
        known_gap(gap, function, mistakes);
    }
    controls(arguments, function, mistakes);
    Test {
        function,
        hypothesis: match &arguments.hypothesis {
            Some(hypothesis) => hypothesis.value(),
            None => documentation(&attributes),
        },
        breaks: arguments.breaks.as_deref(),
        environments: &arguments.environments,
        blast_radius: &arguments.blast_radius,
        expects: &arguments.expects,
        abort_if: &arguments.abort_if,
        known_gap: arguments.known_gap.as_ref(),
        must_fail_when: &arguments.must_fail_when,
        timeout: arguments
            .timeout
            .as_ref()
            .and_then(|literal| timeout(literal, mistakes)),
        requires: requirements(&arguments.requires, mistakes),
        leases: &arguments.leases,
        exclusive: arguments.exclusive,
        tags: &arguments.tags,
        seed: arguments.seed.as_ref().and_then(|literal| {
            let seed = literal.base10_parse().ok();
            if seed.is_none() || !matches!(literal.suffix(), "" | "u64") {
                mistakes.at(
                    literal,
                    "a seed is an unsigned 64-bit integer: `seed = 0x5eed`",
                );
            }
            seed
        }),
        should_panic: should_panic(&attributes),
        ignored: attributes
            .iter()
            .any(|attribute| attribute.path().is_ident("ignore")),
        library: arguments.library.as_ref(),
        attributes: single(&attributes),
        cases,
        parameters,
    }
}

/// Refuses the words around `fn`, and generics, that neither macro can call.
pub(crate) fn modifiers(signature: &Signature, what: &str, mistakes: &mut Mistakes) {
    if let Some(word) = &signature.constness {
        mistakes.at(word, format!("{what} cannot be `const`"));
    }
    match &signature.safety {
        Safety::Default => {}
        Safety::Safe(word) => mistakes.at(word, format!("{what} cannot be marked `safe`")),
        Safety::Unsafe(word) => mistakes.at(word, format!("{what} cannot be `unsafe`")),
    }
    if let Some(abi) = &signature.abi {
        mistakes.at(abi, format!("{what} cannot be `extern`"));
    }
    if let Some(dots) = &signature.variadic {
        mistakes.at(dots, format!("{what} cannot be variadic"));
    }
    if !signature.generics.params.is_empty() {
        mistakes.at(
            &signature.generics,
            format!("{what} cannot be generic: nothing says for which types it would run"),
        );
    } else if let Some(clause) = &signature.generics.where_clause {
        mistakes.at(clause, format!("{what} cannot be generic"));
    }
}

/// Refuses marks that belong elsewhere, and a `#[chaos_fixture]` or `#[chaos_test]` too many.
pub(crate) fn shared_attributes(this: &str, attributes: &[Attribute], mistakes: &mut Mistakes) {
    for attribute in attributes {
        if is_misplaced(attribute) {
            let path = written(attribute);
            let (first, _) = path.split_once("::").unwrap_or((&path, ""));
            let message = if MISSPELT_CASES.contains(&first) {
                format!("unknown attribute `{first}`, did you mean `case`?")
            } else {
                let mark = if first == "value" { "values" } else { first };
                format!("`#[{mark}(..)]` stands before the parameter that it is for")
            };
            mistakes.at(attribute, message);
        } else if is_case_attribute(attribute) && this == "chaos_fixture" {
            mistakes.at(attribute, NO_CASES);
        } else if is_named(attribute, this) {
            mistakes.at(attribute, format!("`#[{this}]` is given twice"));
        } else if is_named(attribute, "chaos_test") || is_named(attribute, "chaos_fixture") {
            mistakes.at(
                attribute,
                "a function is either a test or a fixture: remove one of the two attributes",
            );
        }
    }
}

fn test_attributes(attributes: &[Attribute], mistakes: &mut Mistakes) {
    shared_attributes("chaos_test", attributes, mistakes);
    for attribute in attributes {
        if is_named(attribute, "rstest") {
            let path = written(attribute);
            mistakes.at(
                attribute,
                format!(
                    "`#[chaos_test]` itself takes `#[case]`, `#[values]` and `#[with]`, and \
                     fixtures are `#[chaos_fixture]`: remove `#[{path}]` (see \"Moving over from \
                     rstest\" in the README)"
                ),
            );
        } else if is_test_attribute(attribute) {
            let path = written(attribute);
            mistakes.at(
                attribute,
                format!("`#[chaos_test]` already makes this a test: remove `#[{path}]`"),
            );
        }
    }
}

fn broken_fixtures(breaks: &[Ident], parameters: &[Parameter], mistakes: &mut Mistakes) {
    let available: Vec<_> = parameters
        .iter()
        .filter_map(|parameter| Some(parameter.wanted()?.name.to_string()))
        .collect();
    for (position, name) in breaks.iter().enumerate() {
        if breaks[..position].contains(name) {
            mistakes.at(name, format!("`{name}` is listed twice"));
        } else if available.is_empty() {
            mistakes.at(
                name,
                format!("`{name}` is not a fixture of this test, which takes none"),
            );
        } else if !available.contains(&name.to_string()) {
            let available = listed(&available);
            mistakes.at(
                name,
                format!("`{name}` is not a fixture of this test: use {available}"),
            );
        }
    }
}

/// Which there are is known only where a test runs; what can be the name of one is known here.
fn environments(environments: &[LitStr], mistakes: &mut Mistakes) {
    for (position, literal) in environments.iter().enumerate() {
        let name = literal.value();
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        if name.is_empty() || !name.chars().all(allowed) {
            mistakes.at(
                literal,
                "an environment's name is one or more of the letters a to z and A to Z, digits, `-` \
                 and `_`",
            );
        } else if environments[..position]
            .iter()
            .any(|other| other.value() == name)
        {
            mistakes.at(literal, format!("`{name}` is listed twice"));
        }
    }
}

/// The library has the same rules for names that it is given while a test runs.
fn leases(leases: &[LitStr], mistakes: &mut Mistakes) {
    const LONGEST: usize = 80;
    for (position, literal) in leases.iter().enumerate() {
        let name = literal.value();
        if name.trim().is_empty() {
            mistakes.at(
                literal,
                "a lease is named after what is shared: its name is not empty",
            );
        } else if name.len() > LONGEST {
            mistakes.at(
                literal,
                format!("a lease's name has at most {LONGEST} bytes"),
            );
        } else if name.contains(char::is_control) {
            mistakes.at(literal, "a lease's name is one line of text");
        } else if leases[..position].iter().any(|other| other.value() == name) {
            mistakes.at(literal, format!("`{name}` is listed twice"));
        }
    }
}

fn known_gap(gap: &LitStr, function: &Function, mistakes: &mut Mistakes) {
    let name = gap.value();
    if name.trim().is_empty() || name.contains(char::is_control) {
        mistakes.at(
            gap,
            "a known gap has a name to look it up by, one line of text: `known_gap = \"SHOP-12\"`",
        );
    }
    if !matches!(should_panic(&function.attributes), ShouldPanic::No) {
        mistakes.at(
            gap,
            "`known_gap` expects a deviation and `#[should_panic]` a panic: keep one of them",
        );
    }
}

fn controls(arguments: &TestArguments, function: &Function, mistakes: &mut Mistakes) {
    let Some(first) = arguments.must_fail_when.first() else {
        return;
    };
    for (position, control) in arguments.must_fail_when.iter().enumerate() {
        let same = |other: &ControlArgument| {
            other.variable.value() == control.variable.value()
                && other.value.value() == control.value.value()
        };
        if arguments.must_fail_when[..position].iter().any(same) {
            mistakes.at(&control.variable, "this control is listed twice");
        }
        let name = control.variable.value();
        let usable = |c: char| !c.is_control() && c != '=';
        if name.is_empty() || !name.chars().all(usable) {
            mistakes.at(
                &control.variable,
                "a variable's name is not empty, and holds no `=`",
            );
        }
        if name.starts_with("CHAOS_") {
            mistakes.at(
                &control.variable,
                "the variables that begin with `CHAOS_` are those of chaos-test: use one of your own",
            );
        }
        if control.value.value().contains('\0') {
            mistakes.at(&control.value, "a variable cannot hold a zero");
        }
        if let Some(reason) = &control.reason
            && reason.value().trim().is_empty()
        {
            mistakes.at(
                reason,
                "a reason is a text that the deviation's message contains, such as \"error rate\"",
            );
        }
    }
    if arguments.known_gap.is_some() {
        mistakes.at(
            &first.variable,
            "a test with a `known_gap` deviates in any case, so `must_fail_when` shows nothing: \
             keep one of them",
        );
    }
    if !matches!(should_panic(&function.attributes), ShouldPanic::No) {
        mistakes.at(
            &first.variable,
            "`must_fail_when` expects a deviation and `#[should_panic]` a panic: keep one of them",
        );
    }
}

fn tags(tags: &[LitStr], mistakes: &mut Mistakes) {
    for (position, literal) in tags.iter().enumerate() {
        let tag = literal.value();
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        if tag.is_empty() || !tag.chars().all(allowed) {
            mistakes.at(
                literal,
                "a tag is one or more of the letters a to z and A to Z, digits, `_`, `-` and `.`",
            );
        } else if matches!(tag.as_str(), "and" | "or" | "not") {
            mistakes.at(
                literal,
                format!("`{tag}` is a word of tag expressions and cannot be a tag"),
            );
        } else if tags[..position].iter().any(|other| other.value() == tag) {
            mistakes.at(literal, format!("`{tag}` is listed twice"));
        }
    }
}

fn timeout(literal: &LitStr, mistakes: &mut Mistakes) -> Option<Duration> {
    match humantime::parse_duration(&literal.value()) {
        Ok(Duration::ZERO) => {
            mistakes.at(literal, "a timeout is more than zero");
            None
        }
        Ok(timeout) => Some(timeout),
        Err(error) => {
            mistakes.at(
                literal,
                format!(
                    "not a duration ({error}): write a number and one of the units \
                     `ms`, `s`, `min` and `h`, or several of them, such as \"1min 30s\""
                ),
            );
            None
        }
    }
}

fn requirements(entries: &[RequirementArgument], mistakes: &mut Mistakes) -> Vec<Requirement> {
    let mut requirements = Vec::new();
    for RequirementArgument { name, value } in entries {
        let word = name.to_string();
        let requirement = match (word.as_str(), value) {
            ("docker", None) => Requirement::Docker,
            ("netadmin", None) => Requirement::NetAdmin,
            ("root", None) => Requirement::Root,
            ("docker" | "netadmin" | "root", Some(value)) => {
                mistakes.at(value, format!("`{word}` takes no value"));
                continue;
            }
            ("program", Some(value)) if !value.value().is_empty() => {
                Requirement::Program(value.value())
            }
            ("env", Some(value)) if !value.value().is_empty() => Requirement::Env(value.value()),
            ("program", _) => {
                mistakes.at(name, r#"`program` needs a name: `program("redis-server")`"#);
                continue;
            }
            ("env", _) => {
                mistakes.at(name, r#"`env` needs a variable's name: `env("NAME")`"#);
                continue;
            }
            _ => {
                let suggestion = suggestion(&word, REQUIREMENTS);
                mistakes.at(name, format!("unknown requirement `{word}`{suggestion}"));
                continue;
            }
        };
        if requirements.contains(&requirement) {
            mistakes.at(name, format!("`{word}` is listed twice"));
        }
        requirements.push(requirement);
    }
    requirements
}

/// The doc comment as text. Documentation that is not written here, `#[doc = include_str!(..)]`,
/// is left out.
pub(crate) fn documentation(attributes: &[Attribute]) -> String {
    let mut lines = Vec::new();
    for attribute in attributes {
        if attribute.path().is_ident("doc")
            && let Meta::NameValue(MetaNameValue {
                value:
                    Expr::Lit(ExprLit {
                        lit: Lit::Str(text),
                        ..
                    }),
                ..
            }) = &attribute.meta
        {
            let text = text.value();
            // Only a block comment has several lines in one attribute, often with stars.
            let block = text.contains('\n');
            lines.extend(text.lines().map(|line| {
                let line = line.trim();
                match line.strip_prefix('*') {
                    Some(line) if block => line.trim_start().to_owned(),
                    _ => line.to_owned(),
                }
            }));
        }
    }
    lines.join("\n").trim().to_owned()
}

fn should_panic(attributes: &[Attribute]) -> ShouldPanic {
    let attribute = attributes
        .iter()
        .find(|attribute| attribute.path().is_ident("should_panic"));
    let expected = match attribute.map(|attribute| &attribute.meta) {
        None => return ShouldPanic::No,
        Some(Meta::Path(_)) => None,
        Some(Meta::NameValue(pair)) => literal(&pair.value),
        Some(Meta::List(list)) => list
            .parse_args::<MetaNameValue>()
            .ok()
            .filter(|pair| pair.path.is_ident("expected"))
            .and_then(|pair| literal(&pair.value)),
    };
    expected.map_or(ShouldPanic::Yes, ShouldPanic::With)
}

fn literal(value: &Expr) -> Option<LitStr> {
    match value {
        Expr::Lit(ExprLit {
            lit: Lit::Str(text),
            ..
        }) => Some(text.clone()),
        _ => None,
    }
}
