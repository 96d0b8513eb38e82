//! Parses the limits of `blast_radius(..)`: `services <= 1, duration <= 30s`.

use std::time::Duration;

use proc_macro2::{Span, TokenStream};
use quote::quote_spanned;
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream};
use syn::{Error, Ident, Result, Token};

use crate::condition::{duration, number};
use crate::mistakes::{Mistakes, listed, suggestion};

/// One limit, with nothing wrong in it.
pub(crate) struct Limit {
    name: Ident,
    most: Most,
}

/// What is allowed.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Most {
    Count(usize),
    /// From 0 to 1.
    Share(f64),
    Duration(Duration),
    Risk(&'static str),
}

const LIMITS: &[&str] = &[
    "services",
    "instances",
    "groups",
    "connections",
    "duration",
    "risk",
];
const RISKS: &[&str] = &["low", "medium", "high"];

impl Parse for Limit {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        const EXPECTED: &str = "expected what is limited: `services <= 1, duration <= 30s`";
        let name = input
            .call(Ident::parse_any)
            .map_err(|error| Error::new(error.span(), EXPECTED))?;
        let word = name.to_string();
        if !LIMITS.contains(&word.as_str()) {
            return Err(Error::new(
                name.span(),
                format!("unknown limit `{word}`{}", suggestion(&word, LIMITS)),
            ));
        }
        if !input.peek(Token![<=]) {
            return Err(input.error("a limit is the most that is allowed: write `<=`"));
        }
        input.parse::<Token![<=]>()?;
        let most = match word.as_str() {
            "connections" => share(input)?,
            "duration" => Most::Duration(duration(input, "this is a duration: `30s`")?),
            "risk" => risk(input)?,
            word => count(input, word)?,
        };
        if !input.is_empty() && !input.peek(Token![,]) {
            return Err(
                input.error("expected a comma or the end: `services <= 1, duration <= 30s`")
            );
        }
        Ok(Self { name, most })
    }
}

fn count(input: ParseStream<'_>, word: &str) -> Result<Most> {
    const EXPECTED: &str = "this is a whole number: `1`";
    let (number, suffix, span) = number(input, EXPECTED)?;
    let whole = number.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&number);
    if !suffix.is_empty() || input.peek(Token![%]) || !whole {
        return Err(Error::new(span, EXPECTED));
    }
    if word == "services" && number == 0.0 {
        return Err(Error::new(
            span,
            "a blast radius of no service tests nothing: allow one at least",
        ));
    }
    Ok(Most::Count(number as usize))
}

fn share(input: ParseStream<'_>) -> Result<Most> {
    const EXPECTED: &str = "this is a share: `10%`";
    let (number, suffix, span) = number(input, EXPECTED)?;
    if !suffix.is_empty() || !input.peek(Token![%]) {
        return Err(Error::new(span, EXPECTED));
    }
    input.parse::<Token![%]>()?;
    if number <= 0.0 || number > 100.0 {
        return Err(Error::new(
            span,
            "a share of connections is more than 0% and at most 100%",
        ));
    }
    Ok(Most::Share(number / 100.0))
}

fn risk(input: ParseStream<'_>) -> Result<Most> {
    let risk = input.call(Ident::parse_any).map_err(|error| {
        Error::new(
            error.span(),
            format!("this is a class of risk: {}", listed(RISKS)),
        )
    })?;
    let word = risk.to_string();
    match RISKS.iter().find(|known| **known == word) {
        Some(risk) => Ok(Most::Risk(risk)),
        None => Err(Error::new(
            risk.span(),
            format!("unknown risk `{word}`{}", suggestion(&word, RISKS)),
        )),
    }
}

/// Refuses limits that are given twice, and limits where nothing may be broken.
pub(crate) fn validate(limits: &[Limit], breaks: Option<&[Ident]>, mistakes: &mut Mistakes) {
    for (position, limit) in limits.iter().enumerate() {
        let before = limits[..position]
            .iter()
            .find(|other| other.name == limit.name);
        match before {
            Some(before) if before.most == limit.most => {
                mistakes.at(&limit.name, format!("`{}` is limited twice", limit.name));
            }
            Some(_) => mistakes.at(
                &limit.name,
                format!(
                    "`{}` is limited twice, each time otherwise: keep the stricter one",
                    limit.name
                ),
            ),
            None => {}
        }
    }
    if let (Some([]), Some(first)) = (breaks, limits.first()) {
        mistakes.at(
            &first.name,
            "`breaks()` allows nothing to be broken, so there is nothing to limit: keep one of them",
        );
    }
}

/// The value of the library's own type.
pub(crate) fn value(limits: &[Limit], private: &TokenStream) -> TokenStream {
    let glue = Span::mixed_site();
    if limits.is_empty() {
        return quote_spanned!(glue=> #private::BlastRadius::new());
    }
    let of = |name: &str| {
        let limit = limits.iter().find(|limit| limit.name == name);
        let Some(limit) = limit else {
            return quote_spanned!(glue=> ::core::option::Option::None);
        };
        let most = match limit.most {
            Most::Count(most) => quote_spanned!(glue=> #most),
            Most::Share(most) => quote_spanned!(glue=> #most),
            Most::Duration(most) => {
                let (seconds, nanoseconds) = (most.as_secs(), most.subsec_nanos());
                quote_spanned!(glue=> ::core::time::Duration::new(#seconds, #nanoseconds))
            }
            Most::Risk("low") => quote_spanned!(glue=> #private::Risk::Low),
            Most::Risk("medium") => quote_spanned!(glue=> #private::Risk::Medium),
            Most::Risk(_) => quote_spanned!(glue=> #private::Risk::High),
        };
        quote_spanned!(glue=> ::core::option::Option::Some(#most))
    };
    let values = LIMITS.iter().map(|name| of(name));
    quote_spanned!(glue=> #private::BlastRadius::of_macro(#(#values),*))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> std::result::Result<(String, Most), String> {
        let limit: Result<Limit> = syn::parse_str(text);
        limit
            .map(|limit| (limit.name.to_string(), limit.most))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn limits_are_read() {
        for (text, name, most) in [
            ("services <= 1", "services", Most::Count(1)),
            ("instances<=0", "instances", Most::Count(0)),
            ("groups <= 2", "groups", Most::Count(2)),
            ("connections <= 0.5%", "connections", Most::Share(0.005)),
            (
                "duration <= 1.5min",
                "duration",
                Most::Duration(Duration::from_secs(90)),
            ),
            ("risk <= medium", "risk", Most::Risk("medium")),
        ] {
            assert_eq!(parsed(text), Ok((name.to_owned(), most)), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, expected) in [
            ("", "expected what is limited"),
            ("services", "write `<=`"),
            ("services < 2", "write `<=`"),
            ("services >= 2", "write `<=`"),
            (
                "servces <= 2",
                "unknown limit `servces`, did you mean `services`?",
            ),
            ("users <= 2", "unknown limit `users`: use `services`"),
            ("services <= 1.5", "this is a whole number: `1`"),
            ("services <= 10%", "this is a whole number: `1`"),
            ("services <= -1", "this is a whole number: `1`"),
            (
                "services <= 0",
                "a blast radius of no service tests nothing",
            ),
            ("connections <= 10", "this is a share: `10%`"),
            ("connections <= 0%", "more than 0% and at most 100%"),
            ("connections <= 101%", "more than 0% and at most 100%"),
            ("duration <= 30", "this is a duration: `30s`"),
            ("duration <= 0s", "it is more than zero"),
            ("duration <= 30parsec", "unknown unit `parsec`"),
            ("risk <= 1", "this is a class of risk: `low`"),
            (
                "risk <= mediun",
                "unknown risk `mediun`, did you mean `medium`?",
            ),
            ("services <= 1 for 10s", "expected a comma or the end"),
        ] {
            let error = parsed(text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
