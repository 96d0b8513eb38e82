//! Parses the arguments of both attributes: their names and their shapes.
//!
//! What a well-formed value means, and whether it is allowed, is judged in `validate`.

use std::collections::BTreeSet;

use proc_macro2::{Delimiter, Group, Span, TokenStream, TokenTree};
use quote::ToTokens;
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream, Parser};
use syn::punctuated::Punctuated;
use syn::{Ident, LitInt, LitStr, Path, Token};

use crate::claim::Claim;
use crate::condition::Condition;
use crate::mistakes::{Mistakes, suggestion};
use crate::radius::Limit;

/// The arguments of `#[chaos_test]` that have the right shape.
#[derive(Default)]
pub(crate) struct TestArguments {
    pub(crate) hypothesis: Option<LitStr>,
    pub(crate) breaks: Option<Vec<Ident>>,
    pub(crate) environments: Vec<LitStr>,
    pub(crate) blast_radius: Vec<Limit>,
    pub(crate) expects: Vec<Claim>,
    pub(crate) abort_if: Vec<Condition>,
    pub(crate) known_gap: Option<LitStr>,
    pub(crate) must_fail_when: Vec<ControlArgument>,
    pub(crate) timeout: Option<LitStr>,
    pub(crate) requires: Vec<RequirementArgument>,
    pub(crate) leases: Vec<LitStr>,
    pub(crate) exclusive: bool,
    pub(crate) tags: Vec<LitStr>,
    pub(crate) seed: Option<LitInt>,
    pub(crate) library: Option<Path>,
}

/// The arguments of `#[chaos_fixture]` that have the right shape.
#[derive(Default)]
pub(crate) struct FixtureArguments {
    pub(crate) scope: Option<LitStr>,
    pub(crate) library: Option<Path>,
}

/// One entry of `requires(..)`: `docker` or `env("NAME")`.
pub(crate) struct RequirementArgument {
    pub(crate) name: Ident,
    pub(crate) value: Option<LitStr>,
}

/// One entry of `must_fail_when(..)`: `env("NAME" = "value")`, and perhaps `=> "reason"`.
pub(crate) struct ControlArgument {
    pub(crate) variable: LitStr,
    pub(crate) value: LitStr,
    pub(crate) reason: Option<LitStr>,
}

const HYPOTHESIS: &str = r#"hypothesis = "orders keep flowing""#;
const BREAKS: &str = "breaks(cache, database)";
const ENVIRONMENT: &str = r#"environment = "staging"` or `environment("development", "staging")"#;
const BLAST_RADIUS: &str = "blast_radius(services <= 1, duration <= 30s)";
const EXPECTS: &str = "expects(error_rate <= 1%, recovery <= 5s)";
const ABORT_IF: &str = "abort_if(checkout.error_rate > 5% for 10s, availability < 95%)";
const KNOWN_GAP: &str = r#"known_gap = "SHOP-12""#;
const MUST_FAIL_WHEN: &str = r#"must_fail_when(env("RETRY" = "off") => "error rate")"#;
const TIMEOUT: &str = r#"timeout = "60s""#;
const REQUIRES: &str = r#"requires(docker, program("redis-server"))"#;
const LEASES: &str = r#"leases("orders-db", "broker")"#;
const TAGS: &str = r#"tags("network", "slow")"#;
const SEED: &str = "seed = 0x5eed";
const CRATE: &str = r#"crate = "path::to::chaos_test""#;
const SCOPE: &str = r#"scope = "test""#;

const TEST_NAMES: &[&str] = &[
    "hypothesis",
    "breaks",
    "environment",
    "blast_radius",
    "expects",
    "abort_if",
    "known_gap",
    "must_fail_when",
    "timeout",
    "requires",
    "leases",
    "exclusive",
    "tags",
    "seed",
    "crate",
];
const FIXTURE_NAMES: &[&str] = &["scope", "crate"];
const RESERVED: &[&str] = &["runtime"];

impl TestArguments {
    pub(crate) fn parse(tokens: TokenStream, mistakes: &mut Mistakes) -> Self {
        let mut parsed = Self::default();
        for argument in split(tokens, mistakes) {
            match argument.name.to_string().as_str() {
                "hypothesis" => parsed.hypothesis = argument.assigned(HYPOTHESIS, mistakes),
                "breaks" => parsed.breaks = argument.list(BREAKS, mistakes),
                "environment" => parsed.environments = argument.one_or_more(ENVIRONMENT, mistakes),
                "blast_radius" => {
                    parsed.blast_radius = argument.told(BLAST_RADIUS, mistakes);
                }
                "abort_if" => parsed.abort_if = argument.told(ABORT_IF, mistakes),
                "expects" => parsed.expects = argument.told(EXPECTS, mistakes),
                "known_gap" => parsed.known_gap = argument.assigned(KNOWN_GAP, mistakes),
                "must_fail_when" => {
                    parsed.must_fail_when =
                        argument.list(MUST_FAIL_WHEN, mistakes).unwrap_or_default();
                }
                "timeout" => parsed.timeout = argument.assigned(TIMEOUT, mistakes),
                "requires" => {
                    parsed.requires = argument.list(REQUIRES, mistakes).unwrap_or_default();
                }
                "leases" => parsed.leases = argument.list(LEASES, mistakes).unwrap_or_default(),
                "exclusive" => parsed.exclusive = argument.flag(mistakes),
                "tags" => parsed.tags = argument.list(TAGS, mistakes).unwrap_or_default(),
                "seed" => parsed.seed = argument.assigned(SEED, mistakes),
                "crate" => parsed.library = argument.path(mistakes),
                name if RESERVED.contains(&name) => mistakes.at(
                    &argument.name,
                    format!(
                        "`{name}` is not there yet in this version of chaos-test; \
                         remove it for now"
                    ),
                ),
                _ => argument.unknown(TEST_NAMES, mistakes),
            }
        }
        parsed
    }
}

impl FixtureArguments {
    /// Whether its value is shared by all processes of a run.
    pub(crate) fn is_of_run(&self) -> bool {
        self.scope
            .as_ref()
            .is_some_and(|scope| scope.value() == "run")
    }

    pub(crate) fn parse(tokens: TokenStream, mistakes: &mut Mistakes) -> Self {
        let mut parsed = Self::default();
        for argument in split(tokens, mistakes) {
            match argument.name.to_string().as_str() {
                "scope" => parsed.scope = argument.assigned(SCOPE, mistakes),
                "crate" => parsed.library = argument.path(mistakes),
                _ => argument.unknown(FIXTURE_NAMES, mistakes),
            }
        }
        parsed
    }
}

/// One argument, its value not looked into.
struct Argument {
    name: Ident,
    value: Value,
}

/// The shape of what follows an argument's name.
enum Value {
    /// `name = tokens`
    Assigned(TokenStream),
    /// `name(tokens)`
    List(Group),
    /// Nothing, or anything else.
    Other(TokenStream),
}

impl Argument {
    fn new(name: Ident, rest: Vec<TokenTree>) -> Self {
        let value = match rest.as_slice() {
            [TokenTree::Punct(sign), value @ ..] if sign.as_char() == '=' => {
                Value::Assigned(value.iter().cloned().collect())
            }
            [TokenTree::Group(group)] if group.delimiter() == Delimiter::Parenthesis => {
                Value::List(group.clone())
            }
            _ => Value::Other(rest.into_iter().collect()),
        };
        Self { name, value }
    }

    /// The value of `name = value`, or a mistake that shows how it is written.
    fn assigned<T: Parse>(&self, usage: &str, mistakes: &mut Mistakes) -> Option<T> {
        let Value::Assigned(tokens) = &self.value else {
            self.misshapen(usage, mistakes);
            return None;
        };
        let value = syn::parse2(tokens.clone()).ok();
        if value.is_none() {
            self.misshapen(usage, mistakes);
        }
        value
    }

    /// The entries of `name(entry, entry)`, or a mistake that shows how it is written.
    fn list<T: Parse>(&self, usage: &str, mistakes: &mut Mistakes) -> Option<Vec<T>> {
        let Value::List(group) = &self.value else {
            self.misshapen(usage, mistakes);
            return None;
        };
        let parser = Punctuated::<T, Token![,]>::parse_terminated;
        match parser.parse2(group.stream()) {
            Ok(entries) => Some(entries.into_iter().collect()),
            Err(error) => {
                mistakes.at_span(error.span(), self.usage(usage));
                None
            }
        }
    }

    /// The value of `name = value`, or the entries of `name(entry, entry)`, at least one.
    fn one_or_more<T: Parse>(&self, usage: &str, mistakes: &mut Mistakes) -> Vec<T> {
        match &self.value {
            Value::List(group) if group.stream().is_empty() => {
                mistakes.at(group, self.usage(usage));
                Vec::new()
            }
            Value::List(_) => self.list(usage, mistakes).unwrap_or_default(),
            _ => self.assigned(usage, mistakes).into_iter().collect(),
        }
    }

    /// The entries of `name(entry, entry)`, at least one, or what is wrong in the first that has
    /// something wrong in it: entries that tell that themselves.
    fn told<T: Parse>(&self, usage: &str, mistakes: &mut Mistakes) -> Vec<T> {
        let Value::List(group) = &self.value else {
            self.misshapen(usage, mistakes);
            return Vec::new();
        };
        let parser = Punctuated::<T, Token![,]>::parse_terminated;
        match parser.parse2(group.stream()) {
            Ok(entries) if !entries.is_empty() => entries.into_iter().collect(),
            Ok(_) => {
                mistakes.at(group, self.usage(usage));
                Vec::new()
            }
            Err(error) => {
                mistakes.at_span(error.span(), error.to_string());
                Vec::new()
            }
        }
    }

    /// Whether it is a bare word, or a mistake that says that it is one.
    fn flag(&self, mistakes: &mut Mistakes) -> bool {
        let bare = matches!(&self.value, Value::Other(tokens) if tokens.is_empty());
        if !bare {
            let message = format!("`{0}` takes no value: write `{0}`", self.name);
            self.at_value(message, mistakes);
        }
        bare
    }

    /// The value of `crate = "path"`.
    fn path(&self, mistakes: &mut Mistakes) -> Option<Path> {
        let literal: LitStr = self.assigned(CRATE, mistakes)?;
        let path = literal.parse_with(Path::parse_mod_style).ok();
        if path.is_none() {
            mistakes.at(&literal, self.usage(CRATE));
        }
        path
    }

    fn misshapen(&self, usage: &str, mistakes: &mut Mistakes) {
        self.at_value(self.usage(usage), mistakes);
    }

    /// A mistake that is marked at the value, or at the name where there is none.
    fn at_value(&self, message: String, mistakes: &mut Mistakes) {
        let value = match &self.value {
            Value::Assigned(tokens) | Value::Other(tokens) => tokens.clone(),
            Value::List(group) => group.to_token_stream(),
        };
        if value.is_empty() {
            mistakes.at(&self.name, message);
        } else {
            mistakes.at(value, message);
        }
    }

    fn usage(&self, usage: &str) -> String {
        format!("`{}` is written `{usage}`", self.name)
    }

    fn unknown(&self, known: &[&str], mistakes: &mut Mistakes) {
        let name = self.name.to_string();
        let suggestion = suggestion(&name, known);
        mistakes.at(&self.name, format!("unknown argument `{name}`{suggestion}"));
    }
}

impl Parse for RequirementArgument {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let name = input.call(Ident::parse_any)?;
        let value = if input.peek(syn::token::Paren) {
            let content;
            syn::parenthesized!(content in input);
            Some(content.parse()?)
        } else {
            None
        };
        Ok(Self { name, value })
    }
}

impl Parse for ControlArgument {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let word: Ident = input.call(Ident::parse_any)?;
        if word != "env" {
            return Err(syn::Error::new(word.span(), "expected `env`"));
        }
        let content;
        syn::parenthesized!(content in input);
        let variable = content.parse()?;
        content.parse::<Token![=]>()?;
        let value = content.parse()?;
        if !content.is_empty() {
            return Err(content.error("expected `)`"));
        }
        let reason = if input.peek(Token![=>]) {
            input.parse::<Token![=>]>()?;
            Some(input.parse()?)
        } else {
            None
        };
        Ok(Self {
            variable,
            value,
            reason,
        })
    }
}

/// Splits at the commas, so that a mistake in one argument hides none in the next.
fn split(tokens: TokenStream, mistakes: &mut Mistakes) -> Vec<Argument> {
    let mut arguments = Vec::new();
    let mut seen = BTreeSet::new();
    let mut tokens = tokens.into_iter().peekable();
    while tokens.peek().is_some() {
        let mut argument: Vec<TokenTree> = Vec::new();
        let mut comma = Span::call_site();
        for token in tokens.by_ref() {
            match token {
                TokenTree::Punct(sign) if sign.as_char() == ',' => {
                    comma = sign.span();
                    break;
                }
                token => argument.push(token),
            }
        }
        match argument.first().cloned() {
            Some(TokenTree::Ident(name)) => {
                if seen.insert(name.to_string()) {
                    arguments.push(Argument::new(name, argument.split_off(1)));
                } else {
                    mistakes.at(&name, format!("`{name}` is given twice"));
                }
            }
            Some(other) => mistakes.at(other, "expected the name of an argument"),
            None => mistakes.at_span(comma, "expected the name of an argument"),
        }
    }
    arguments
}
