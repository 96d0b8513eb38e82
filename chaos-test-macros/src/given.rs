//! What a fixture is given in the place of its own values: `#[with(size * 2)]`, and which of the
//! function's own values such an expression sees.

use proc_macro2::{Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote_spanned};
use syn::spanned::Spanned;
use syn::{Expr, Index, LitStr};

use crate::expand::value_local;
use crate::parameters::{Parameter, text};

/// Replaces a fixture's own values, in their order.
pub(crate) fn given(values: &[Expr]) -> TokenStream {
    let values = values.iter().enumerate().map(|(index, value)| {
        // What is wrong with a value is marked there.
        let span = Span::mixed_site().located_at(value.span());
        let index = Index {
            index: u32::try_from(index).unwrap_or(u32::MAX),
            span,
        };
        quote_spanned!(span=> __given.#index = ::core::option::Option::Some(#value);)
    });
    values.collect()
}

/// The values among the parameters that such an expression mentions, under their own names. Copies,
/// because the body gets the values themselves.
pub(crate) fn visible(parameters: &[Parameter], expressions: &[Expr]) -> TokenStream {
    let visible = parameters
        .iter()
        .enumerate()
        .filter_map(|(position, parameter)| {
            let name = parameter.value_name()?;
            let mentioned = |value: &Expr| mentions(value.to_token_stream(), name);
            if !expressions.iter().any(mentioned) {
                return None;
            }
            let span = Span::mixed_site().located_at(name.span());
            let local = value_local(position, span);
            // A word of the same name may be all that there is of it.
            Some(quote_spanned! {span=>
                #[allow(unused_variables)]
                let #name = ::core::clone::Clone::clone(&#local);
            })
        });
    visible.collect()
}

fn mentions(tokens: TokenStream, name: &Ident) -> bool {
    tokens.into_iter().any(|token| match token {
        TokenTree::Ident(word) => word == *name,
        TokenTree::Group(group) => mentions(group.stream(), name),
        TokenTree::Literal(literal) => syn::parse2::<LitStr>(TokenTree::from(literal).into())
            .is_ok_and(|format| names_value(&format.value(), &text(name))),
        TokenTree::Punct(_) => false,
    })
}

/// Whether a format string names a value: `{size}`, `{size:>4}`, or as a width in `{:size$}`.
pub(crate) fn names_value(format: &str, name: &str) -> bool {
    let mut rest = format;
    while let Some((_, after)) = rest.split_once('{') {
        if let Some(after) = after.strip_prefix('{') {
            rest = after;
            continue;
        }
        let (inside, after) = after.split_once('}').unwrap_or((after, ""));
        let (argument, how) = inside.split_once(':').unwrap_or((inside, ""));
        let of_a_word = |c: char| c.is_alphanumeric() || c == '_';
        let mut sizes = how.split('$').rev().skip(1);
        // The fill, the sign and the zero that stand before a width are no part of its name.
        let sized = |size: &str| {
            let before = size.strip_suffix(name);
            before.is_some_and(|before| !before.trim_end_matches('0').ends_with(of_a_word))
        };
        if argument.trim() == name || sizes.any(sized) {
            return true;
        }
        rest = after;
    }
    false
}
