//! Parses the conditions of `abort_if(..)`: `checkout.error_rate > 5% for 10s`.

use std::time::Duration;

use proc_macro2::{Span, TokenStream};
use quote::quote_spanned;
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream};
use syn::{Error, Ident, Lit, LitFloat, LitInt, LitStr, Result, Token};

use crate::mistakes::{listed, nearest, suggestion};

/// One condition, with nothing wrong in it.
#[derive(Debug, PartialEq)]
pub(crate) struct Condition {
    source: Option<String>,
    metric: Metric,
    sign: Sign,
    /// In the metric's own unit: a share, seconds, or a plain number.
    limit: f64,
    window: Option<Duration>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Metric {
    ErrorRate,
    Availability,
    Latency(f64),
    Throughput,
    Value,
    FailedServices,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Sign {
    Above,
    AtLeast,
    Below,
    AtMost,
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
    "failed_services",
];
const UNITS: &[&str] = &["us", "ms", "s", "min", "h"];

impl Parse for Condition {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let (source, metric, name) = subject(input)?;
        let sign = sign(input)?;
        let limit = limit(input, metric)?;
        if metric == Metric::FailedServices && matches!(sign, Sign::Below | Sign::AtMost) {
            return Err(Error::new(
                name,
                "`failed_services` is a number that must not become too large: write `>` or `>=`",
            ));
        }
        let window = if input.peek(Token![for]) {
            input.parse::<Token![for]>()?;
            Some(duration(input, "how long: `for 10s`")?)
        } else {
            None
        };
        if !input.is_empty() && !input.peek(Token![,]) {
            return Err(
                input.error("expected `for`, a comma or the end: `error_rate > 5% for 10s`")
            );
        }
        Ok(Self {
            source,
            metric,
            sign,
            limit,
            window,
        })
    }
}

/// Whose what: `checkout.error_rate`, `error_rate`, or the bare name of a monitor, whose numbers
/// are meant then. And where the metric is written.
fn subject(input: ParseStream<'_>) -> Result<(Option<String>, Metric, Span)> {
    const EXPECTED: &str = "expected what to watch: `checkout.error_rate > 5% for 10s`";
    if input.peek(LitStr) {
        let source: LitStr = input.parse()?;
        if source.value().trim().is_empty() {
            return Err(Error::new(source.span(), "a monitor's name is not empty"));
        }
        if !input.peek(Token![.]) {
            return Ok((Some(source.value()), Metric::Value, source.span()));
        }
        input.parse::<Token![.]>()?;
        let (metric, span) = metric(input)?;
        return of_a_source(source.value(), metric, span);
    }
    let first = input
        .call(Ident::parse_any)
        .map_err(|error| Error::new(error.span(), EXPECTED))?;
    let word = first.to_string();
    let is_number = percentile(&word).is_some();
    if input.peek(Token![.]) && !(is_number && input.peek2(LitInt)) {
        input.parse::<Token![.]>()?;
        let (metric, span) = metric(input)?;
        return of_a_source(first.unraw().to_string(), metric, span);
    }
    if let Some(metric) = known(&word, input)? {
        return Ok((None, metric, first.span()));
    }
    if let Some(meant) = nearest(&word, METRICS) {
        return Err(Error::new(
            first.span(),
            format!("unknown metric `{word}`, did you mean `{meant}`?"),
        ));
    }
    Ok((Some(first.unraw().to_string()), Metric::Value, first.span()))
}

fn of_a_source(
    source: String,
    metric: Metric,
    span: Span,
) -> Result<(Option<String>, Metric, Span)> {
    Ok((Some(source), metric, span))
}

fn metric(input: ParseStream<'_>) -> Result<(Metric, Span)> {
    let name = input.call(Ident::parse_any).map_err(|error| {
        Error::new(
            error.span(),
            format!("expected a metric: {}", listed(METRICS)),
        )
    })?;
    let word = name.to_string();
    match known(&word, input)? {
        Some(metric) => Ok((metric, name.span())),
        None => Err(Error::new(
            name.span(),
            format!("unknown metric `{word}`{}", suggestion(&word, METRICS)),
        )),
    }
}

/// The metric that a word is. The fraction of a percentile, as of `p99.9`, is read, too.
fn known(word: &str, input: ParseStream<'_>) -> Result<Option<Metric>> {
    Ok(Some(match word {
        "error_rate" => Metric::ErrorRate,
        "availability" => Metric::Availability,
        "throughput" => Metric::Throughput,
        "value" => Metric::Value,
        "failed_services" => Metric::FailedServices,
        "max" => Metric::Latency(100.0),
        _ => {
            let Some(mut rank) = percentile(word) else {
                return Ok(None);
            };
            let mut span = input.span();
            if input.peek(Token![.]) && input.peek2(LitInt) {
                input.parse::<Token![.]>()?;
                let fraction: LitInt = input.parse()?;
                span = fraction.span();
                let text = format!("{rank}.{}", fraction.base10_digits());
                rank = text.parse().map_err(|error| Error::new(span, error))?;
            }
            if !(rank > 0.0 && rank <= 100.0) {
                return Err(Error::new(
                    span,
                    format!("a percentile is above 0 and at most 100, not {rank}"),
                ));
            }
            Metric::Latency(rank)
        }
    }))
}

/// `p99`
pub(crate) fn percentile(word: &str) -> Option<f64> {
    let digits = word.strip_prefix('p')?;
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| digits.parse().ok())?
}

fn sign(input: ParseStream<'_>) -> Result<Sign> {
    if input.peek(Token![>=]) {
        input.parse::<Token![>=]>()?;
        Ok(Sign::AtLeast)
    } else if input.peek(Token![<=]) {
        input.parse::<Token![<=]>()?;
        Ok(Sign::AtMost)
    } else if input.peek(Token![>]) {
        input.parse::<Token![>]>()?;
        Ok(Sign::Above)
    } else if input.peek(Token![<]) {
        input.parse::<Token![<]>()?;
        Ok(Sign::Below)
    } else {
        Err(input.error("expected `>`, `>=`, `<` or `<=`"))
    }
}

fn limit(input: ParseStream<'_>, metric: Metric) -> Result<f64> {
    match metric {
        Metric::ErrorRate | Metric::Availability => {
            const EXPECTED: &str = "a rate is compared with a share: `5%`";
            let (number, suffix, span) = number(input, EXPECTED)?;
            if !suffix.is_empty() || !input.peek(Token![%]) {
                return Err(Error::new(span, EXPECTED));
            }
            input.parse::<Token![%]>()?;
            if !(0.0..=100.0).contains(&number) {
                return Err(Error::new(span, "a share is from 0% to 100%"));
            }
            Ok(number / 100.0)
        }
        Metric::Latency(_) => duration(input, "a latency is compared with a duration: `250ms`")
            .map(|limit| limit.as_secs_f64()),
        Metric::Throughput => {
            const EXPECTED: &str = "a throughput is compared with a number per second: `20`";
            let (number, suffix, span) = number(input, EXPECTED)?;
            if !suffix.is_empty() || input.peek(Token![%]) || number < 0.0 {
                return Err(Error::new(span, EXPECTED));
            }
            Ok(number)
        }
        Metric::Value | Metric::FailedServices => {
            const EXPECTED: &str = "this is compared with a plain number: `2`";
            let negative = metric == Metric::Value && input.peek(Token![-]);
            if negative {
                input.parse::<Token![-]>()?;
            }
            let (number, suffix, span) = number(input, EXPECTED)?;
            if !suffix.is_empty() || input.peek(Token![%]) {
                return Err(Error::new(span, EXPECTED));
            }
            Ok(if negative { -number } else { number })
        }
    }
}

pub(crate) fn number(input: ParseStream<'_>, expected: &str) -> Result<(f64, String, Span)> {
    let wrong = |span| Error::new(span, expected);
    let literal: Lit = input.parse().map_err(|error: Error| wrong(error.span()))?;
    let span = literal.span();
    let (digits, suffix) = match &literal {
        Lit::Int(int) => (int.base10_digits().to_owned(), int.suffix().to_owned()),
        Lit::Float(float) => split(float),
        _ => return Err(wrong(span)),
    };
    let number: f64 = digits.parse().map_err(|_| wrong(span))?;
    Ok((number, suffix, span))
}

fn split(float: &LitFloat) -> (String, String) {
    (float.base10_digits().to_owned(), float.suffix().to_owned())
}

pub(crate) fn duration(input: ParseStream<'_>, expected: &str) -> Result<Duration> {
    let (number, unit, span) = number(input, expected)?;
    let seconds = match unit.as_str() {
        "us" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        "" => return Err(Error::new(span, expected)),
        _ => {
            return Err(Error::new(
                span,
                format!("unknown unit `{unit}`: use {}", listed(UNITS)),
            ));
        }
    };
    let duration = Duration::try_from_secs_f64(number * seconds)
        .map_err(|error| Error::new(span, error.to_string()))?;
    if duration.is_zero() {
        return Err(Error::new(span, "it is more than zero"));
    }
    Ok(duration)
}

impl Condition {
    /// The value of the library's own type.
    pub(crate) fn value(&self, private: &TokenStream) -> TokenStream {
        let glue = Span::mixed_site();
        let source = match &self.source {
            Some(source) => quote_spanned!(glue=> ::core::option::Option::Some(#source)),
            None => quote_spanned!(glue=> ::core::option::Option::None),
        };
        let metric = match self.metric {
            Metric::ErrorRate => quote_spanned!(glue=> ErrorRate),
            Metric::Availability => quote_spanned!(glue=> Availability),
            Metric::Latency(rank) => quote_spanned!(glue=> Latency(#rank)),
            Metric::Throughput => quote_spanned!(glue=> Throughput),
            Metric::Value => quote_spanned!(glue=> Value),
            Metric::FailedServices => quote_spanned!(glue=> FailedServices),
        };
        let sign = match self.sign {
            Sign::Above => quote_spanned!(glue=> Above),
            Sign::AtLeast => quote_spanned!(glue=> AtLeast),
            Sign::Below => quote_spanned!(glue=> Below),
            Sign::AtMost => quote_spanned!(glue=> AtMost),
        };
        let limit = self.limit;
        let window = match self.window {
            Some(window) => {
                let (seconds, nanoseconds) = (window.as_secs(), window.subsec_nanos());
                quote_spanned! {glue=>
                    ::core::option::Option::Some(::core::time::Duration::new(#seconds, #nanoseconds))
                }
            }
            None => quote_spanned!(glue=> ::core::option::Option::None),
        };
        quote_spanned! {glue=>
            #private::AbortCondition::new(
                #source,
                #private::Measured::#metric,
                #private::Beyond::#sign(#limit),
                #window,
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> std::result::Result<Condition, String> {
        syn::parse_str(text).map_err(|error| error.to_string())
    }

    fn condition(
        source: Option<&str>,
        metric: Metric,
        sign: Sign,
        limit: f64,
        window: Option<u64>,
    ) -> std::result::Result<Condition, String> {
        Ok(Condition {
            source: source.map(str::to_owned),
            metric,
            sign,
            limit,
            window: window.map(Duration::from_millis),
        })
    }

    #[test]
    fn conditions_are_read() {
        use Metric::{Availability, ErrorRate, FailedServices, Latency, Throughput, Value};
        use Sign::{Above, AtLeast, AtMost, Below};
        for (text, expected) in [
            (
                "checkout.error_rate > 5% for 10s",
                condition(Some("checkout"), ErrorRate, Above, 0.05, Some(10_000)),
            ),
            (
                "checkout.p99 > 5s for 1m",
                condition(Some("checkout"), Latency(99.0), Above, 5.0, Some(60_000)),
            ),
            (
                "p99.9 >= 250ms for 1.5s",
                condition(None, Latency(99.9), AtLeast, 0.25, Some(1_500)),
            ),
            (
                "checkout.p99.9 >= 250ms",
                condition(Some("checkout"), Latency(99.9), AtLeast, 0.25, None),
            ),
            (
                "availability < 99.5%",
                condition(None, Availability, Below, 0.995, None),
            ),
            (
                "failed_services > 2",
                condition(None, FailedServices, Above, 2.0, None),
            ),
            ("lost > 0", condition(Some("lost"), Value, Above, 0.0, None)),
            (
                "queue.value <= -1.5",
                condition(Some("queue"), Value, AtMost, -1.5, None),
            ),
            (
                r#""shop /orders".throughput < 20 for 2min"#,
                condition(Some("shop /orders"), Throughput, Below, 20.0, Some(120_000)),
            ),
            (
                "max > 1s",
                condition(None, Latency(100.0), Above, 1.0, None),
            ),
        ] {
            assert_eq!(parsed(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, expected) in [
            ("", "expected what to watch"),
            ("checkout", "expected `>`, `>=`, `<` or `<=`"),
            ("checkout. > 5%", "expected a metric: `error_rate`"),
            ("checkout.eror_rate > 5%", "did you mean `error_rate`?"),
            ("eror_rate > 5%", "did you mean `error_rate`?"),
            (
                "checkout.speed > 5%",
                "unknown metric `speed`: use `error_rate`",
            ),
            ("error_rate > 5", "a rate is compared with a share: `5%`"),
            ("error_rate > 5s", "a rate is compared with a share: `5%`"),
            ("error_rate > 500%", "a share is from 0% to 100%"),
            ("p99 > 5", "a latency is compared with a duration: `250ms`"),
            ("p99 > 5parsec", "unknown unit `parsec`: use `us`, `ms`"),
            ("p99 > 0s", "it is more than zero"),
            (
                "p101 > 5s",
                "a percentile is above 0 and at most 100, not 101",
            ),
            ("p0 > 5s", "a percentile is above 0 and at most 100, not 0"),
            ("throughput < 5%", "a throughput is compared with a number"),
            ("lost > 1%", "this is compared with a plain number: `2`"),
            ("failed_services < 2", "must not become too large"),
            ("error_rate > 5% for", "how long: `for 10s`"),
            ("error_rate > 5% for 10", "how long: `for 10s`"),
            (
                "error_rate > 5% during 10s",
                "expected `for`, a comma or the end",
            ),
            (r#""" > 5"#, "a monitor's name is not empty"),
        ] {
            let error = parsed(text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
