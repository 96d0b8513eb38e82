//! All of `#[chaos_fixture]` that it does not share with `#[chaos_test]`.
//!
//! A fixture becomes a function of the same name that returns a description of itself: no
//! generated type or module has its name, since a fixture called `redis` would shadow the crate.

use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{
    Expr, FnArg, GenericArgument, Ident, Index, LitStr, PathArguments, ReturnType, Signature, Type,
};

use crate::args::FixtureArguments;
use crate::expand::{
    Library, call, free_name, functions, inner_function, needed, set_up, value_local, with_errors,
};
use crate::function::{Function, is_test_attribute, written};
use crate::mistakes::{Mistakes, suggestion};
use crate::parameters::{Of, Parameter, Role, bare, blamed, parameters, text};
use crate::validate;

/// A fixture without mistakes.
struct Fixture<'a> {
    function: &'a Function,
    parameters: Vec<Parameter>,
    output: Option<Output<'a>>,
    arguments: &'a FixtureArguments,
}

/// What the user's function returns.
enum Output<'a> {
    /// A `Result` of the value, and of an error if the type names one.
    Fallible(&'a Type, Option<&'a Type>),
    /// The value.
    Value(&'a Type),
}

/// The whole of `#[chaos_fixture]`: parse, validate, expand.
pub(crate) fn chaos_fixture(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let function = match Function::parse("chaos_fixture", item.clone()) {
        Ok(function) => function,
        Err(error) => return with_errors(item, error.to_compile_error()),
    };
    let mut mistakes = Mistakes::default();
    let arguments = FixtureArguments::parse(arguments, &mut mistakes);
    let fixture = validate(&arguments, &function, &mut mistakes);
    match (mistakes.into_compile_errors(), &fixture.output) {
        (None, Some(output)) => expand(&fixture, output),
        (errors, _) => with_errors(function.without_runner(), errors.unwrap_or_default()),
    }
}

fn validate<'a>(
    arguments: &'a FixtureArguments,
    function: &'a Function,
    mistakes: &mut Mistakes,
) -> Fixture<'a> {
    validate::modifiers(&function.signature, "a fixture", mistakes);
    validate::shared_attributes("chaos_fixture", &function.attributes, mistakes);
    for attribute in &function.attributes {
        if is_test_attribute(attribute)
            || attribute.path().is_ident("should_panic")
            || attribute.path().is_ident("ignore")
        {
            let path = written(attribute);
            mistakes.at(
                attribute,
                format!("a fixture is not a test: remove `#[{path}]`"),
            );
        }
    }
    if let Some(scope) = &arguments.scope {
        match scope.value().as_str() {
            "test" | "module" | "binary" => {}
            "run" => no_values(&function.signature, mistakes),
            unknown => {
                let suggestion = suggestion(unknown, &["test", "module", "binary", "run"]);
                mistakes.at(scope, format!("unknown scope `{unknown}`{suggestion}"));
            }
        }
    }
    Fixture {
        function,
        parameters: parameters(Of::Fixture, &function.signature, mistakes),
        output: output(function, mistakes),
        arguments,
    }
}

/// It is set up by a process that nobody can give anything.
fn no_values(signature: &Signature, mistakes: &mut Mistakes) {
    for parameter in &signature.inputs {
        let FnArg::Typed(parameter) = parameter else {
            continue;
        };
        let mut attributes = parameter.attrs.iter();
        if let Some(default) = attributes.find(|attribute| attribute.path().is_ident("default")) {
            mistakes.at(
                default,
                "a fixture of the whole run has no values of its own, as a process of its own \
                 sets it up: use the scope `binary`, or write a fixture for each value",
            );
        }
    }
}

const NO_VALUE: &str = "a fixture returns a value: write what its tests take, or a `Result` of it";

/// What the function returns, if that can be shared.
fn output<'a>(function: &'a Function, mistakes: &mut Mistakes) -> Option<Output<'a>> {
    let ReturnType::Type(_, written) = &function.signature.output else {
        mistakes.at(&function.signature.ident, NO_VALUE);
        return None;
    };
    let ty = bare(written);
    let output = match ty {
        Type::Path(path) => match path.path.segments.last() {
            Some(last) if last.ident == "Result" => {
                let mut types = types(&last.arguments);
                let Some(value) = types.next() else {
                    mistakes.at(ty, NO_VALUE);
                    return None;
                };
                Output::Fallible(value, types.next())
            }
            _ => Output::Value(ty),
        },
        _ => Output::Value(ty),
    };
    let (Output::Fallible(value, _) | Output::Value(value)) = output;
    if matches!(bare(value), Type::Tuple(tuple) if tuple.elems.is_empty()) {
        mistakes.at(value, NO_VALUE);
    }
    owned(value, mistakes);
    Some(output)
}

/// The types between the angle brackets, if there are any.
fn types(arguments: &PathArguments) -> impl Iterator<Item = &Type> {
    let arguments = match arguments {
        PathArguments::AngleBracketed(arguments) => Some(&arguments.args),
        _ => None,
    };
    let arguments = arguments.into_iter().flatten();
    arguments.filter_map(|argument| match argument {
        GenericArgument::Type(ty) => Some(ty),
        _ => None,
    })
}

/// Refuses what cannot be shared by everything that takes the fixture.
fn owned(ty: &Type, mistakes: &mut Mistakes) {
    match ty {
        Type::Reference(reference) => mistakes.at(
            reference,
            "a fixture's value is shared, so it owns what it holds: return no reference",
        ),
        Type::ImplTrait(ty) => mistakes.at(
            ty,
            "a fixture's value is named by its tests: return a type, not `impl Trait`",
        ),
        Type::Group(group) => owned(&group.elem, mistakes),
        Type::Paren(paren) => owned(&paren.elem, mistakes),
        Type::Array(array) => owned(&array.elem, mistakes),
        Type::Slice(slice) => owned(&slice.elem, mistakes),
        Type::Tuple(tuple) => tuple.elems.iter().for_each(|ty| owned(ty, mistakes)),
        Type::Path(path) => {
            for segment in &path.path.segments {
                // The parentheses of `dyn Fn(&Request)` hold no value.
                types(&segment.arguments).for_each(|ty| owned(ty, mistakes));
            }
        }
        _ => {}
    }
}

fn expand(fixture: &Fixture<'_>, output: &Output<'_>) -> TokenStream {
    let Function {
        attributes,
        visibility,
        signature,
        ..
    } = fixture.function;
    let glue = Span::mixed_site();
    let library = Library(fixture.arguments.library.as_ref());
    let private = library.private(glue);
    let ident = &signature.ident;
    let name = text(ident);
    let fn_token = &signature.fn_token;
    let line = quote_spanned!(ident.span()=> ::core::line!());

    let inner = free_name(
        "__chaos_set_up",
        &fixture.parameters,
        glue.located_at(ident.span()),
    );
    let body = inner_function(fixture.function, &fixture.parameters, &inner);
    let (functions, needed) = (
        functions(&fixture.parameters, &library),
        needed(&fixture.parameters, &private),
    );
    let set_up = set_up(&fixture.parameters, &private);
    let call = call(&inner, &fixture.parameters);
    let name_span = glue.located_at(ident.span());
    let awaited = signature
        .asyncness
        .map(|_| quote_spanned!(name_span=> .await));
    let (value, end) = match output {
        Output::Fallible(value, error) => {
            let returned = glue.located_at(blamed(error.unwrap_or(value)));
            let private = library.private(returned);
            // In a variable, which an error about the type marks instead of the whole call.
            let end = quote_spanned! {returned=>
                let __returned = #call #awaited;
                #private::fixture_value(__returned)
            };
            (value, end)
        }
        Output::Value(value) => {
            let returned = glue.located_at(blamed(value));
            let end = quote_spanned!(returned=> ::core::result::Result::Ok(#call #awaited));
            (value, end)
        }
    };
    // As if the user had written this type: what is wrong with the value is marked at its word.
    let path = library.path(value.span());
    let new = library.private(name_span);
    let needing = (!needed.is_empty())
        .then(|| quote_spanned!(name_span=> .needing(move || ::std::vec![#(#needed),*])));
    let scoped = match fixture
        .arguments
        .scope
        .as_ref()
        .map(LitStr::value)
        .as_deref()
    {
        Some("module") => quote_spanned!(name_span=> .scoped(#new::Scope::Module)),
        Some("binary") => quote_spanned!(name_span=> .scoped(#new::Scope::Binary)),
        Some("run") => {
            // What is wrong with the value is marked at its type.
            let span = glue.located_at(blamed(value));
            quote_spanned!(span=> .of_run(&__CHAOS_KEPT))
        }
        _ => TokenStream::new(),
    };
    let kept = fixture.arguments.is_of_run().then(|| {
        quote_spanned! {name_span=>
            #[#new::linkme::distributed_slice(#new::RUN_FIXTURES)]
            #[linkme(crate = #new::linkme)]
            static __CHAOS_KEPT: #new::RunFixture = #new::RunFixture {
                place: ::core::concat!(
                    ::core::env!("CARGO_MANIFEST_DIR"), "::", ::core::file!(), ":", #line, ":", #name,
                ),
                keep: |__context| #new::keep_fixture(__context, #ident),
            };
        }
    });
    let own: Vec<Own<'_>> = fixture
        .parameters
        .iter()
        .enumerate()
        .filter_map(Own::of)
        .collect();
    let run = quote_spanned!(name_span=> move |__run: #private::FixtureRun| async move {
        #set_up
        #end
    });
    let (given, describe, run) = if own.is_empty() {
        let none = TokenStream::new();
        (none, quote_spanned!(name_span=> fixture), run)
    } else {
        let types = own.iter().map(|own| own.ty);
        let given = quote_spanned!(name_span=> (#(::core::option::Option<#types>,)*));
        let values = own.iter().enumerate().map(|(index, own)| own.value(index));
        let shown = own.iter().map(Own::shown);
        let run = quote_spanned! {name_span=>
            move |__given: #given| {
                #(#values)*
                (#new::shown(&[#(#shown),*]), #run)
            }
        };
        let given = quote_spanned!(name_span=> , #given);
        (given, quote_spanned!(name_span=> fixture_with_values), run)
    };
    let description = quote_spanned!(value.span()=> #path::Fixture<#value #given>);
    // Where the function is, for errors that show its head: at its name.
    let described = quote_spanned! {name_span=>
        {
            #body
            #functions
            #kept
            #new::#describe(
                #name,
                ::core::concat!(::core::module_path!(), "::", #name),
                ::core::file!(),
                #line,
                #run,
            )
            #needing
            #scoped
        }
    };
    quote! {
        #(#attributes)*
        #visibility #fn_token #ident() -> #description #described
    }
}

/// A value of the fixture's own, which those who take it may replace.
struct Own<'a> {
    position: usize,
    name: &'a Ident,
    ty: &'a Type,
    default: &'a Expr,
}

impl<'a> Own<'a> {
    fn of((position, parameter): (usize, &'a Parameter)) -> Option<Self> {
        match &parameter.role {
            Role::Default(name, default) => Some(Self {
                position,
                name,
                ty: &parameter.ty,
                default,
            }),
            _ => None,
        }
    }

    /// What it was given, else its default.
    fn value(&self, index: usize) -> TokenStream {
        let Self { ty, default, .. } = self;
        let span = Span::mixed_site().located_at(self.name.span());
        let local = value_local(self.position, span);
        let index = Index {
            index: u32::try_from(index).unwrap_or(u32::MAX),
            span,
        };
        quote_spanned! {span=>
            let #local: #ty = match __given.#index {
                ::core::option::Option::Some(__value) => __value,
                ::core::option::Option::None => #default,
            };
        }
    }

    /// Its name, and the value for `Debug`.
    fn shown(&self) -> TokenStream {
        let span = Span::mixed_site().located_at(blamed(self.ty));
        let (name, local) = (text(self.name), value_local(self.position, span));
        quote_spanned!(span=> (#name, &#local))
    }
}
