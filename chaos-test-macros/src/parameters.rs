//! What the parameters of a test or of a fixture stand for: the context, or other fixtures.

use proc_macro2::Span;
use syn::ext::IdentExt;
use syn::parse::Parser;
use syn::spanned::Spanned;
use syn::{FnArg, Ident, Pat, PatType, Signature, Type};

use crate::function::{compact, is_case_attribute, is_condition};
use crate::mistakes::Mistakes;
use crate::validate::CASES;

/// One parameter of a test or of a fixture.
pub(crate) struct Parameter {
    pub(crate) ty: Type,
    pub(crate) role: Role,
}

/// What a parameter is filled with.
pub(crate) enum Role {
    /// The context of the running test.
    Context,
    /// The value of the fixture that this function describes.
    Fixture(Ident),
}

/// Judges the parameters, and says what each is filled with.
pub(crate) fn parameters(signature: &Signature, mistakes: &mut Mistakes) -> Vec<Parameter> {
    let mut parameters: Vec<Parameter> = Vec::new();
    for input in &signature.inputs {
        let parameter = match input {
            FnArg::Receiver(receiver) => {
                mistakes.at(
                    receiver,
                    "there is no value to call a method on: move the function out of the `impl`",
                );
                continue;
            }
            FnArg::Typed(parameter) => parameter,
        };
        if let Some(case) = parameter.attrs.iter().find(|a| is_case_attribute(a)) {
            mistakes.at(case, CASES);
            continue;
        }
        if let Some(condition) = parameter.attrs.iter().find(|a| is_condition(a)) {
            mistakes.at(
                condition,
                "a parameter cannot depend on a condition: put it on the whole function",
            );
        }
        let role = if is_context(input) {
            let context = |known: &Parameter| matches!(known.role, Role::Context);
            if parameters.iter().any(context) {
                mistakes.at(&parameter.ty, "the context is already a parameter");
            }
            context_type(&parameter.ty, mistakes);
            Role::Context
        } else {
            match fixture(parameter, &signature.ident, mistakes) {
                Some(fixture) => Role::Fixture(fixture),
                None => continue,
            }
        };
        parameters.push(Parameter {
            ty: (*parameter.ty).clone(),
            role,
        });
    }
    parameters
}

/// Whether a parameter is meant to be the context, however it is taken.
pub(crate) fn is_context(input: &FnArg) -> bool {
    let FnArg::Typed(parameter) = input else {
        return false;
    };
    let mut ty = bare(&parameter.ty);
    if let Type::Reference(reference) = ty {
        ty = bare(&reference.elem);
    }
    matches!(ty, Type::Path(path)
        if path.path.segments.last().is_some_and(|last| last.ident == "ChaosContext"))
}

fn context_type(ty: &Type, mistakes: &mut Mistakes) {
    match bare(ty) {
        Type::Reference(reference) => {
            if let Some(word) = &reference.mutability {
                mistakes.at(word, "the context is shared: write `&ChaosContext`");
            }
        }
        _ => mistakes.at(
            ty,
            "the context is taken by reference: write `&ChaosContext`",
        ),
    }
}

/// The function that describes a parameter's fixture.
fn fixture(parameter: &PatType, function: &Ident, mistakes: &mut Mistakes) -> Option<Ident> {
    let Pat::Ident(pattern) = &*parameter.pat else {
        mistakes.at(
            &parameter.pat,
            "a parameter's name says which fixture it is: write `cache: &Service`",
        );
        return None;
    };
    if let Some(word) = &pattern.mutability {
        mistakes.at(word, "fixtures are shared and cannot be `mut`: remove it");
    }
    if let Some(word) = &pattern.by_ref {
        mistakes.at(word, "fixtures are references already: remove `ref`");
    }
    if let Some((_, inner)) = &pattern.subpat {
        mistakes.at(inner, "a fixture's parameter is a name and nothing else");
    }
    // `_cache` is the fixture `cache`, not mentioned by the body: the compiler's own advice for
    // an unused parameter may not change what it means.
    let written = pattern.ident.to_string();
    let fixture = match written.strip_prefix('_') {
        // The compiler itself complains about `0x` where that is parsed.
        Some(name) if !name.starts_with(|c: char| c == '_' || c.is_ascii_digit()) => {
            named(name, pattern.ident.span())
        }
        _ => None,
    };
    let fixture = fixture.unwrap_or_else(|| pattern.ident.clone());
    if fixture == *function {
        mistakes.at(
            &pattern.ident,
            format!("`{fixture}` is this function: it cannot be its own fixture"),
        );
    }
    match bare(&parameter.ty) {
        Type::Reference(reference) => {
            if let Some(word) = &reference.mutability {
                mistakes.at(
                    word,
                    format!(
                        "fixtures are shared with others: write `{written}: &{}`",
                        compact(&reference.elem)
                    ),
                );
            }
            if let Some(lifetime) = &reference.lifetime
                && lifetime.ident != "_"
            {
                mistakes.at(
                    lifetime,
                    "a fixture is lent for as long as the function runs: remove the lifetime",
                );
            }
            if let Type::ImplTrait(ty) = bare(&reference.elem) {
                mistakes.at(ty, "name the fixture's type: it cannot be generic");
            }
        }
        ty => mistakes.at(
            ty,
            format!(
                "fixtures are taken by reference: write `{written}: &{}`",
                compact(ty)
            ),
        ),
    }
    Some(fixture)
}

/// The name as an identifier, a keyword as a raw one, if it can be either.
fn named(name: &str, span: Span) -> Option<Ident> {
    let mut ident = Ident::parse_any.parse_str(name).ok()?;
    if syn::parse_str::<Ident>(name).is_err() {
        if matches!(name, "self" | "Self" | "super" | "crate") {
            return None;
        }
        ident = Ident::new_raw(name, span);
    }
    ident.set_span(span);
    Some(ident)
}

/// Where an error about a type is marked: at what names it, not at the `&` or the path before.
pub(crate) fn blamed(ty: &Type) -> Span {
    match bare(ty) {
        Type::Reference(reference) => blamed(&reference.elem),
        Type::Path(path) => match path.path.segments.last() {
            Some(last) => last.ident.span(),
            None => path.span(),
        },
        ty => ty.span(),
    }
}

/// A type without the invisible or visible parentheses around it.
pub(crate) fn bare(ty: &Type) -> &Type {
    match ty {
        Type::Group(group) => bare(&group.elem),
        Type::Paren(paren) => bare(&paren.elem),
        ty => ty,
    }
}

/// A parameter's or a function's name as a text, without the mark of a raw identifier.
pub(crate) fn text(name: &Ident) -> String {
    name.unraw().to_string()
}
