//! Parses the item below an attribute, its body left as the tokens that the user wrote.
//!
//! A body that is being edited need not be valid Rust for the rest of the function to be.

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::parse::{ParseStream, Parser};
use syn::{Attribute, FnArg, Signature, Visibility};

/// A function with its body unparsed.
pub(crate) struct Function {
    pub(crate) attributes: Vec<Attribute>,
    pub(crate) visibility: Visibility,
    pub(crate) signature: Signature,
    pub(crate) body: Group,
}

/// The braces of a body: also in the invisible group in which `macro_rules!` hands on what
/// it captured as `$body:block`.
fn braces(tree: &TokenTree) -> Option<Group> {
    match tree {
        TokenTree::Group(body) if body.delimiter() == Delimiter::Brace => Some(body.clone()),
        TokenTree::Group(captured) if captured.delimiter() == Delimiter::None => {
            let mut inside = captured.stream().into_iter();
            match (inside.next(), inside.next()) {
                (Some(tree), None) => braces(&tree),
                _ => None,
            }
        }
        _ => None,
    }
}

impl Function {
    /// Parses the item that the attribute called `attribute` was put on.
    pub(crate) fn parse(attribute: &str, item: TokenStream) -> syn::Result<Self> {
        let parser = |input: ParseStream<'_>| {
            let attributes = input.call(Attribute::parse_outer)?;
            let visibility = input.parse()?;
            if !starts_a_function(input) {
                return Err(input.error(format!(
                    "`#[{attribute}]` goes on a function, `async fn` or `fn`"
                )));
            }
            let signature = input.parse()?;
            let tree: TokenTree = input.parse()?;
            let body = braces(&tree).ok_or_else(|| {
                let message = format!("`#[{attribute}]` needs a function with a body");
                syn::Error::new_spanned(&tree, message)
            })?;
            Ok(Self {
                attributes,
                visibility,
                signature,
                body,
            })
        };
        parser.parse2(item)
    }

    /// The function as a plain one, for editors, after a mistake was found.
    pub(crate) fn without_runner(&self) -> TokenStream {
        let attributes = self.attributes.iter().filter(|attribute| {
            !is_for_the_runner(attribute)
                && !attribute.path().is_ident("should_panic")
                && !attribute.path().is_ident("ignore")
        });
        let visibility = &self.visibility;
        let mut signature = self.signature.clone();
        for parameter in &mut signature.inputs {
            let (FnArg::Typed(syn::PatType { attrs, .. })
            | FnArg::Receiver(syn::Receiver { attrs, .. })) = parameter;
            // Of these the compiler knows only conditions and lint levels.
            attrs.retain(|attribute| is_condition(attribute) || is_lint_level(attribute));
        }
        let body = &self.body;
        quote! {
            #(#attributes)*
            #[allow(dead_code)]
            #visibility #signature #body
        }
    }
}

/// Whether an attribute only means something to the macros of this crate or to a test runner.
fn is_for_the_runner(attribute: &Attribute) -> bool {
    is_test_attribute(attribute)
        || is_case_attribute(attribute)
        || is_misplaced(attribute)
        || is_named(attribute, "chaos_test")
        || is_named(attribute, "chaos_fixture")
}

/// Whether the attribute would make the function a test, or make it one once more.
pub(crate) fn is_test_attribute(attribute: &Attribute) -> bool {
    is_named(attribute, "test") || is_named(attribute, "rstest")
}

/// Whether the attribute is a case: `#[case(..)]` or `#[case::name(..)]`.
pub(crate) fn is_case_attribute(attribute: &Attribute) -> bool {
    let first = attribute.path().segments.first();
    first.is_some_and(|segment| segment.ident == "case")
}

/// Whether the attribute stands above a function where it belongs to a parameter, or is a `case`
/// that is misspelt: what the compiler does not know either.
pub(crate) fn is_misplaced(attribute: &Attribute) -> bool {
    let first = attribute.path().segments.first();
    first.is_some_and(|segment| {
        let name = segment.ident.to_string();
        MARKS.contains(&name.as_str()) || MISSPELT_CASES.contains(&name.as_str())
    })
}

/// What people put above a function and means a parameter.
pub(crate) const MARKS: &[&str] = &["values", "value", "with"];

/// Ways in which people write `case`.
pub(crate) const MISSPELT_CASES: &[&str] = &["cases", "Case", "caes", "csae", "cse", "cas"];

/// Whether the attribute sets a lint's level.
pub(crate) fn is_lint_level(attribute: &Attribute) -> bool {
    let levels = ["allow", "warn", "deny", "forbid", "expect"];
    levels.iter().any(|level| attribute.path().is_ident(level))
}

/// Whether the attribute is `#[cfg(..)]` or `#[cfg_attr(..)]`.
pub(crate) fn is_condition(attribute: &Attribute) -> bool {
    attribute.path().is_ident("cfg") || attribute.path().is_ident("cfg_attr")
}

/// Whether the last segment of the attribute's path is the given name.
pub(crate) fn is_named(attribute: &Attribute, name: &str) -> bool {
    let last = attribute.path().segments.last();
    last.is_some_and(|segment| segment.ident == name)
}

/// The attribute's path as the user wrote it, for a message.
pub(crate) fn written(attribute: &Attribute) -> String {
    compact(attribute.path())
}

/// Tokens as text, with the spaces that a person would write.
pub(crate) fn compact(tokens: impl ToTokens) -> String {
    let mut text = tokens.to_token_stream().to_string();
    for (spaced, tight) in [
        (" :: ", "::"),
        (":: ", "::"),
        (" < ", "<"),
        (" >", ">"),
        (" ,", ","),
        ("& ", "&"),
    ] {
        text = text.replace(spaced, tight);
    }
    text
}

/// Whether what follows is a function, with any of the words that may precede `fn`.
fn starts_a_function(input: ParseStream<'_>) -> bool {
    let ahead = input.fork();
    while let Ok(token) = ahead.parse::<TokenTree>() {
        match token {
            TokenTree::Ident(word) if word == "fn" => return true,
            TokenTree::Ident(word)
                if ["const", "async", "unsafe", "extern"].contains(&&*word.to_string()) => {}
            TokenTree::Literal(_) => {}
            _ => return false,
        }
    }
    false
}
