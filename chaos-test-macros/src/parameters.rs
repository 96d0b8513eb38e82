//! What the parameters of a test or of a fixture stand for: the context, other fixtures, values.

use proc_macro2::Span;
use syn::ext::IdentExt;
use syn::parse::Parser;
use syn::spanned::Spanned;
use syn::{
    Expr, FnArg, GenericArgument, Ident, Pat, PatType, Path, PathArguments, Signature, Type,
};

use crate::function::compact;
use crate::marks::Marks;
use crate::mistakes::Mistakes;

/// One parameter of a test or of a fixture.
pub(crate) struct Parameter {
    pub(crate) ty: Type,
    pub(crate) role: Role,
}

/// What a parameter is filled with.
pub(crate) enum Role {
    /// The context of the running test.
    Context,
    /// The value of a fixture.
    Fixture(Wanted),
    /// An argument of each case.
    Case(Ident),
    /// One value after the other.
    Values(Ident, Vec<Expr>),
    /// A value that those who take the fixture may replace.
    Default(Ident, Expr),
}

/// The fixture that a parameter means.
pub(crate) struct Wanted {
    /// What the function calls it.
    pub(crate) name: Ident,
    /// The function that describes it, where that is called differently or is elsewhere.
    pub(crate) from: Option<Path>,
    /// What its own values are replaced with, in their order.
    pub(crate) with: Vec<Expr>,
    /// Whether it may be missing.
    pub(crate) optional: bool,
}

impl Wanted {
    /// The function that describes it.
    pub(crate) fn path(&self) -> Path {
        self.from
            .clone()
            .unwrap_or_else(|| self.name.clone().into())
    }
}

impl Parameter {
    /// The fixture that it means.
    pub(crate) fn wanted(&self) -> Option<&Wanted> {
        match &self.role {
            Role::Fixture(wanted) => Some(wanted),
            _ => None,
        }
    }

    /// The name of a parameter that is taken by value.
    pub(crate) fn value_name(&self) -> Option<&Ident> {
        match &self.role {
            Role::Case(name) | Role::Values(name, _) | Role::Default(name, _) => Some(name),
            Role::Context | Role::Fixture(_) => None,
        }
    }
}

/// Whose parameters they are.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Of {
    Test,
    Fixture,
}

/// Judges the parameters, and says what each is filled with.
pub(crate) fn parameters(of: Of, signature: &Signature, mistakes: &mut Mistakes) -> Vec<Parameter> {
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
        let marks = Marks::parse(&parameter.attrs, mistakes);
        if marks.unknown {
            continue;
        }
        let marked = [
            marks.case,
            marks.values.as_ref().map(|(attribute, _)| *attribute),
            marks.default.as_ref().map(|(attribute, _)| *attribute),
            marks.from.as_ref().map(|(attribute, _)| *attribute),
            marks.with.as_ref().map(|(attribute, _)| *attribute),
        ];
        let mut marked = marked.into_iter().flatten();
        let role = if is_context(input) {
            if let Some(mark) = marked.next() {
                mistakes.at(
                    mark,
                    "the context is no fixture and no value: remove the mark",
                );
            }
            let context = |known: &Parameter| matches!(known.role, Role::Context);
            if parameters.iter().any(context) {
                mistakes.at(&parameter.ty, "the context is already a parameter");
            }
            context_type(&parameter.ty, mistakes);
            Role::Context
        } else if marks.case.is_some() || marks.values.is_some() || marks.default.is_some() {
            if let (Some(_), Some(second)) = (marked.next(), marked.next()) {
                mistakes.at(second, "a parameter has one source: keep one of its marks");
            }
            match by_value(of, parameter, marks, mistakes) {
                Some(role) => role,
                None => continue,
            }
        } else {
            let of_fixture = fixture(of, parameter, &signature.ident, marks, mistakes);
            match of_fixture {
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

/// What a parameter that is taken by value is filled with.
fn by_value(
    of: Of,
    parameter: &PatType,
    marks: Marks<'_>,
    mistakes: &mut Mistakes,
) -> Option<Role> {
    let name = match &*parameter.pat {
        Pat::Ident(pattern) => {
            if let Some(word) = &pattern.mutability {
                let name = &pattern.ident;
                mistakes.at(
                    word,
                    format!("remove `mut`, and begin the body with `let mut {name} = {name};`"),
                );
            }
            if let Some(word) = &pattern.by_ref {
                mistakes.at(word, "remove `ref`: the value is the body's own");
            }
            if let Some((_, inner)) = &pattern.subpat {
                mistakes.at(inner, "a marked parameter is a name and nothing else");
            }
            pattern.ident.clone()
        }
        pattern => {
            mistakes.at(
                pattern,
                "a marked parameter needs a name, which reports show: take it apart in the body",
            );
            return None;
        }
    };
    match bare(&parameter.ty) {
        Type::Reference(reference) => {
            let is_static = reference
                .lifetime
                .as_ref()
                .is_some_and(|lifetime| lifetime.ident == "static");
            if !is_static || reference.mutability.is_some() {
                let ty = compact(&reference.elem);
                let advice = match &*ty {
                    "str" | "[u8]" => format!("write `{name}: &'static {ty}`"),
                    _ => format!("write `{name}: {ty}`"),
                };
                mistakes.at(
                    reference,
                    format!("cases, values and defaults are taken by value: {advice}"),
                );
            }
        }
        Type::ImplTrait(ty) => mistakes.at(
            ty,
            "name the type of a value: for functions `fn(u32) -> u32`, or a `Box<dyn Fn(..)>`",
        ),
        _ => {}
    }
    match (of, marks) {
        (Of::Test, Marks { case: Some(_), .. }) => Some(Role::Case(name)),
        (
            Of::Test,
            Marks {
                values: Some((_, values)),
                ..
            },
        ) => Some(Role::Values(name, values)),
        (
            Of::Test,
            Marks {
                default: Some((attribute, _)),
                ..
            },
        ) => {
            mistakes.at(
                attribute,
                "`#[default(..)]` is for the values of fixtures: nobody could give a test \
                 another one; use `#[values(..)]`",
            );
            None
        }
        (
            Of::Fixture,
            Marks {
                case,
                values,
                default,
                ..
            },
        ) => {
            for attribute in case
                .into_iter()
                .chain(values.map(|(attribute, _)| attribute))
            {
                mistakes.at(attribute, NO_CASES);
            }
            default.map(|(_, value)| Role::Default(name, value))
        }
        (Of::Test, _) => None,
    }
}

/// What a fixture says of cases.
pub(crate) const NO_CASES: &str = "cases and values are those of a test: give the fixture a `#[default(..)]` value, which a \
     test replaces by `#[with(..)]`";

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
fn fixture(
    of: Of,
    parameter: &PatType,
    function: &Ident,
    marks: Marks<'_>,
    mistakes: &mut Mistakes,
) -> Option<Wanted> {
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
    let from = marks.from.map(|(_, path)| path);
    let itself = match &from {
        Some(path) => path.is_ident(function),
        None => fixture == *function,
    };
    if itself {
        mistakes.at(
            &pattern.ident,
            format!("`{function}` is this function: it cannot be its own fixture"),
        );
    }
    let inside = optional(&parameter.ty);
    match bare(inside.unwrap_or(&parameter.ty)) {
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
        ty => {
            let or = match of {
                Of::Test => "",
                Of::Fixture => ", or give it a `#[default(..)]` where it is a value",
            };
            mistakes.at(
                ty,
                match inside {
                    Some(_) => format!(
                        "an optional fixture is a reference, too: write `{written}: Option<&{}>`",
                        compact(ty)
                    ),
                    None => format!(
                        "fixtures are taken by reference: write `{written}: &{}`{or}",
                        compact(ty)
                    ),
                },
            );
        }
    }
    Some(Wanted {
        name: fixture,
        from,
        with: marks.with.map(|(_, values)| values).unwrap_or_default(),
        optional: inside.is_some(),
    })
}

/// What is between the angle brackets of an `Option<&Cache>`.
fn optional(ty: &Type) -> Option<&Type> {
    let Type::Path(path) = bare(ty) else {
        return None;
    };
    let last = path.path.segments.last()?;
    let PathArguments::AngleBracketed(arguments) = &last.arguments else {
        return None;
    };
    match arguments.args.first()? {
        GenericArgument::Type(inside) if last.ident == "Option" => Some(inside),
        _ => None,
    }
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
