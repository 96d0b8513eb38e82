//! Collects what is wrong with one item, so that all of it is reported at once.
//!
//! Also knows which name a misspelt one was probably meant to be.

use proc_macro2::{Span, TokenStream};
use quote::ToTokens;

/// All mistakes found so far in one item.
#[derive(Default)]
pub(crate) struct Mistakes(Option<syn::Error>);

impl Mistakes {
    /// Adds a mistake that is marked at the given tokens.
    pub(crate) fn at(&mut self, tokens: impl ToTokens, message: impl Into<String>) {
        self.add(syn::Error::new_spanned(tokens, message.into()));
    }

    /// Adds a mistake that is marked at a span.
    pub(crate) fn at_span(&mut self, span: Span, message: impl Into<String>) {
        self.add(syn::Error::new(span, message.into()));
    }

    fn add(&mut self, error: syn::Error) {
        match &mut self.0 {
            Some(first) => first.combine(error),
            None => self.0 = Some(error),
        }
    }

    /// The mistakes as `compile_error!` items, if there are any.
    pub(crate) fn into_compile_errors(self) -> Option<TokenStream> {
        self.0.map(|error| error.to_compile_error())
    }
}

/// What to say after an unknown name: the nearest known one, else all of them.
pub(crate) fn suggestion(name: &str, known: &[&str]) -> String {
    match nearest(name, known) {
        Some(candidate) => format!(", did you mean `{candidate}`?"),
        None => format!(": use {}", listed(known)),
    }
}

/// The known name that one was probably meant to be.
pub(crate) fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let candidates = known
        .iter()
        .map(|candidate| (distance(name, candidate), *candidate));
    let near = candidates
        .filter(|(distance, candidate)| *distance <= name.len().max(candidate.len()).max(3) / 3);
    near.min().map(|(_, candidate)| candidate)
}

/// Names as a list for a message.
pub(crate) fn listed<T: AsRef<str>>(names: &[T]) -> String {
    let mut list = String::new();
    for (position, name) in names.iter().enumerate() {
        list += match position {
            0 => "",
            _ if position + 1 == names.len() => " or ",
            _ => ", ",
        };
        list += &format!("`{}`", name.as_ref());
    }
    list
}

/// The Levenshtein distance between two words.
fn distance(left: &str, right: &str) -> usize {
    let mut row: Vec<usize> = (0..=right.chars().count()).collect();
    for (i, a) in left.chars().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, b) in right.chars().enumerate() {
            let replaced = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[right.chars().count()]
}
