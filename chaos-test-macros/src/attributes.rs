//! Which of a test's attributes go where: to the function that holds its body, or to what libtest
//! reads.

use syn::punctuated::Punctuated;
use syn::{Attribute, Ident, Meta, Token};

/// Where an attribute of the user's function goes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Place {
    /// To the function that holds the body.
    Function,
    /// To the module of the tests.
    Module,
    /// To each test: what libtest and other attribute macros read.
    Tests,
}

/// Where an attribute of a test with cases goes.
pub(crate) fn place_of(attribute: &Attribute) -> &'static [Place] {
    let inner = inner(&attribute.meta);
    if inner.path().is_ident("cfg") {
        &[Place::Function, Place::Module]
    } else if inner.path().is_ident("doc") || lint(attribute).is_some() {
        &[Place::Function]
    } else {
        &[Place::Tests]
    }
}

/// The word of an attribute that sets a lint's level, also where it does so on a condition.
pub(crate) fn lint(attribute: &Attribute) -> Option<String> {
    let inner = inner(&attribute.meta);
    let word = inner.path().get_ident().map(Ident::to_string)?;
    ["allow", "expect", "warn", "deny", "forbid"]
        .contains(&word.as_str())
        .then_some(word)
}

/// The attributes with each `cfg_attr(unix, allow(..), ignore)` as one for each that it stands for:
/// they may belong to different places.
pub(crate) fn single(attributes: &[Attribute]) -> Vec<Attribute> {
    let each = attributes.iter().flat_map(|attribute| {
        let metas = split(&attribute.meta).into_iter();
        metas.map(|meta| Attribute {
            meta,
            ..attribute.clone()
        })
    });
    each.collect()
}

fn split(meta: &Meta) -> Vec<Meta> {
    let Some((condition, given)) = conditional(meta) else {
        return vec![meta.clone()];
    };
    let path = meta.path();
    let each = given.iter().flat_map(split);
    each.map(|given| syn::parse_quote!(#path(#condition, #given)))
        .collect()
}

/// What an attribute stands for where its conditions hold. Of several it is the first.
fn inner(meta: &Meta) -> Meta {
    let given = conditional(meta).and_then(|(_, given)| given.into_iter().next());
    given.map_or_else(|| meta.clone(), |given| inner(&given))
}

/// The condition of a `cfg_attr`, and what it stands for. What cannot be read is left to the
/// compiler.
fn conditional(meta: &Meta) -> Option<(Meta, Vec<Meta>)> {
    let Meta::List(list) = meta else {
        return None;
    };
    if !list.path.is_ident("cfg_attr") {
        return None;
    }
    let metas = list.parse_args_with(Punctuated::<Meta, Token![,]>::parse_terminated);
    let mut metas = metas.ok()?.into_iter();
    let (condition, given) = (metas.next()?, metas.collect::<Vec<_>>());
    (!given.is_empty()).then_some((condition, given))
}
