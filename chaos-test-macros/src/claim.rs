//! Parses the claims of `expects(..)`: `error_rate <= 1%, recovery <= 5s`.

use proc_macro2::{Span, TokenStream};
use quote::quote_spanned;
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream};
use syn::{Error, Ident, LitInt, LitStr, Result, Token};

use crate::condition::{duration, number, percentile};
use crate::mistakes::suggestion;

/// One claim, with nothing wrong in it.
#[derive(Debug, PartialEq)]
pub(crate) struct Claim {
    source: Option<String>,
    metric: String,
    at_most: bool,
    /// A share from 0 to 1, seconds, or a plain number.
    limit: f64,
    text: String,
}

const METRICS: &[&str] = &[
    "error_rate",
    "availability",
    "throughput",
    "p50",
    "p95",
    "p99",
    "max",
    "value",
    "recovery",
    "first_success",
    "throughput_recovery",
    "mttr",
    "recovery_rate",
    "lost",
    "duplicated",
    "changed",
    "out_of_order",
    "unexpected",
];

impl Parse for Claim {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let (source, metric, span) = subject(input)?;
        let at_most = if input.peek(Token![<=]) {
            input.parse::<Token![<=]>()?;
            true
        } else if input.peek(Token![>=]) {
            input.parse::<Token![>=]>()?;
            false
        } else {
            return Err(input.error("expected `<=` or `>=`"));
        };
        let is_records = matches!(
            metric.as_str(),
            "lost" | "duplicated" | "changed" | "out_of_order" | "unexpected"
        );
        if !at_most && (is_records || is_recovery(&metric)) {
            return Err(Error::new(
                span,
                format!("`{metric}` must not become too large: write `<=`"),
            ));
        }
        let (metric, limit, shown) = limit(input, metric, is_records)?;
        if !input.is_empty() && !input.peek(Token![,]) {
            return Err(
                input.error("expected a comma or the end: `error_rate <= 1%, recovery <= 5s`")
            );
        }
        let sign = if at_most { "<=" } else { ">=" };
        let of = match &source {
            Some(source) => format!("{source}."),
            None => String::new(),
        };
        let word = metric.trim_end_matches('%');
        Ok(Self {
            text: format!("{of}{word} {sign} {shown}"),
            source,
            metric,
            at_most,
            limit,
        })
    }
}

fn subject(input: ParseStream<'_>) -> Result<(Option<String>, String, Span)> {
    const EXPECTED: &str = "expected what is claimed: `error_rate <= 1%, recovery <= 5s`";
    let source = if input.peek(LitStr) {
        let source: LitStr = input.parse()?;
        if source.value().trim().is_empty() {
            return Err(Error::new(source.span(), "a monitor's name is not empty"));
        }
        input.parse::<Token![.]>()?;
        Some(source.value())
    } else if input.peek(Ident::peek_any) && input.peek2(Token![.]) && !input.peek3(LitInt) {
        let source = input.call(Ident::parse_any)?;
        input.parse::<Token![.]>()?;
        Some(source.unraw().to_string())
    } else {
        None
    };
    let name = input
        .call(Ident::parse_any)
        .map_err(|error| Error::new(error.span(), EXPECTED))?;
    let mut metric = name.to_string();
    if let Some(rank) = percentile(&metric) {
        if input.peek(Token![.]) && input.peek2(LitInt) {
            input.parse::<Token![.]>()?;
            let fraction: LitInt = input.parse()?;
            metric = format!("p{rank}.{}", fraction.base10_digits());
        }
        let rank: f64 = metric[1..].parse().unwrap_or(f64::NAN);
        if !(rank > 0.0 && rank < 100.0) {
            return Err(Error::new(
                name.span(),
                "a percentile is above 0 and below 100; the slowest is `max`",
            ));
        }
        // As the library writes it.
        metric = format!("p{rank}");
    } else if !METRICS.contains(&metric.as_str()) {
        return Err(Error::new(
            name.span(),
            format!("unknown metric `{metric}`{}", suggestion(&metric, METRICS)),
        ));
    }
    Ok((source, metric, name.span()))
}

/// Whether it is a time of a recovery, or of several.
fn is_recovery(metric: &str) -> bool {
    matches!(
        metric,
        "recovery" | "first_success" | "throughput_recovery" | "mttr"
    )
}

/// The metric, which for records depends on the unit, its limit, and how that is shown.
fn limit(
    input: ParseStream<'_>,
    metric: String,
    is_records: bool,
) -> Result<(String, f64, String)> {
    if is_recovery(&metric) || metric == "max" || metric.starts_with("p") {
        let shown = input.cursor().token_stream();
        let limit = duration(input, "this is compared with a duration: `5s`")?;
        let shown = first(shown);
        return Ok((metric, limit.as_secs_f64(), shown));
    }
    let is_rate = matches!(
        metric.as_str(),
        "error_rate" | "availability" | "recovery_rate"
    );
    let expected = if is_rate {
        "a rate is compared with a share: `1%`"
    } else if is_records {
        "this is compared with a number of records or a share of them: `0` or `1%`"
    } else {
        "this is compared with a plain number: `20`"
    };
    let shown = first(input.cursor().token_stream());
    let (number, suffix, span) = number(input, expected)?;
    let is_share = input.peek(Token![%]);
    if !suffix.is_empty() || (is_rate && !is_share) || (is_share && !is_rate && !is_records) {
        return Err(Error::new(span, expected));
    }
    if !is_share {
        return Ok((metric, number, shown));
    }
    input.parse::<Token![%]>()?;
    if !(0.0..=100.0).contains(&number) {
        return Err(Error::new(span, "a share is from 0% to 100%"));
    }
    let unit = if is_records { "%" } else { "" };
    Ok((
        format!("{metric}{unit}"),
        number / 100.0,
        format!("{shown}%"),
    ))
}

fn first(tokens: TokenStream) -> String {
    tokens
        .into_iter()
        .next()
        .map(|token| token.to_string())
        .unwrap_or_default()
}

impl Claim {
    /// The value of the library's own type.
    pub(crate) fn value(&self, private: &TokenStream) -> TokenStream {
        let glue = Span::mixed_site();
        let Self {
            metric,
            at_most,
            limit,
            text,
            ..
        } = self;
        let source = match &self.source {
            Some(source) => quote_spanned!(glue=> ::core::option::Option::Some(#source)),
            None => quote_spanned!(glue=> ::core::option::Option::None),
        };
        quote_spanned! {glue=>
            #private::Claim {
                source: #source,
                metric: #metric,
                at_most: #at_most,
                limit: #limit,
                text: #text,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> std::result::Result<Claim, String> {
        syn::parse_str(text).map_err(|error| error.to_string())
    }

    #[test]
    fn claims_are_read() {
        for (text, source, metric, at_most, limit, shown) in [
            (
                "error_rate <= 0%",
                None,
                "error_rate",
                true,
                0.0,
                "error_rate <= 0%",
            ),
            (
                "recovery<=5s",
                None,
                "recovery",
                true,
                5.0,
                "recovery <= 5s",
            ),
            ("mttr <= 30s", None, "mttr", true, 30.0, "mttr <= 30s"),
            (
                "checkout.throughput_recovery <= 10s",
                Some("checkout"),
                "throughput_recovery",
                true,
                10.0,
                "checkout.throughput_recovery <= 10s",
            ),
            (
                "recovery_rate >= 95%",
                None,
                "recovery_rate",
                false,
                0.95,
                "recovery_rate >= 95%",
            ),
            (
                "checkout.p99.90 <= 250ms",
                Some("checkout"),
                "p99.9",
                true,
                0.25,
                "checkout.p99.9 <= 250ms",
            ),
            ("p95 <= 1.5s", None, "p95", true, 1.5, "p95 <= 1.5s"),
            (
                "availability >= 99.5%",
                None,
                "availability",
                false,
                0.995,
                "availability >= 99.5%",
            ),
            (
                r#""shop tcp".throughput >= 20"#,
                Some("shop tcp"),
                "throughput",
                false,
                20.0,
                "shop tcp.throughput >= 20",
            ),
            (
                "orders.lost <= 0",
                Some("orders"),
                "lost",
                true,
                0.0,
                "orders.lost <= 0",
            ),
            ("lost <= 1%", None, "lost%", true, 0.01, "lost <= 1%"),
        ] {
            let expected = Claim {
                source: source.map(str::to_owned),
                metric: metric.to_owned(),
                at_most,
                limit,
                text: shown.to_owned(),
            };
            assert_eq!(parsed(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, expected) in [
            ("", "expected what is claimed"),
            ("error_rate", "expected `<=` or `>=`"),
            ("error_rate < 5%", "expected `<=` or `>=`"),
            (
                "eror_rate <= 5%",
                "unknown metric `eror_rate`, did you mean `error_rate`?",
            ),
            ("error_rate <= 5", "a rate is compared with a share: `1%`"),
            ("error_rate <= 101%", "a share is from 0% to 100%"),
            ("recovery <= 5", "this is compared with a duration: `5s`"),
            ("recovery >= 5s", "`recovery` must not become too large"),
            ("mttr >= 5s", "`mttr` must not become too large"),
            ("mttr <= 5", "this is compared with a duration: `5s`"),
            (
                "recovery_rate >= 95",
                "a rate is compared with a share: `1%`",
            ),
            ("lost >= 1", "`lost` must not become too large"),
            ("lost <= 1s", "a number of records or a share"),
            ("throughput >= 20%", "this is compared with a plain number"),
            ("p100 <= 1s", "the slowest is `max`"),
            ("recovery <= 5s for 10s", "expected a comma or the end"),
        ] {
            let error = parsed(text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
