//! Writes what `#[chaos_test]` stands for: a function that runs and registers its experiment, and
//! a `#[test]` that calls it and tells libtest.
//!
//! Two, because rustc drops a `#[test]` from a target without libtest, with all that is in it.
//!
//! Generated tokens carry the spans of what they were made from, so that the compiler's own
//! errors (a fixture that does not exist, a type that does not fit) point at the user's word.
//! Generated locals are hygienic; generated items are given names that no parameter has.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::{FnArg, Path, ReturnType, Signature};

use crate::args::TestArguments;
use crate::attributes::lint;
use crate::cases;
use crate::expand_cases;
use crate::function::{Function, is_lint_level};
use crate::given::{given, visible};
use crate::mistakes::Mistakes;
use crate::parameters::{Parameter, Role, Wanted, blamed, text};
use crate::radius;
use crate::validate::{self, Requirement, ShouldPanic, Test};

/// The whole of `#[chaos_test]`: parse, validate, expand.
pub(crate) fn chaos_test(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let function = match Function::parse("chaos_test", item.clone()) {
        Ok(function) => function,
        Err(error) => return with_errors(item, error.to_compile_error()),
    };
    let mut mistakes = Mistakes::default();
    let arguments = TestArguments::parse(arguments, &mut mistakes);
    let test = validate::test(&arguments, &function, &mut mistakes);
    match mistakes.into_compile_errors() {
        Some(errors) => with_errors(function.without_runner(), errors),
        None => expand(&test),
    }
}

/// The item as it is, so that editors keep working, and what is wrong with it.
pub(crate) fn with_errors(item: TokenStream, errors: TokenStream) -> TokenStream {
    quote!(#item #errors)
}

fn expand(test: &Test<'_>) -> TokenStream {
    let Function {
        visibility,
        signature,
        ..
    } = test.function;
    let attributes = &test.attributes;
    let glue = Span::mixed_site();
    let library = Library(test.library);
    let private = library.private(glue);
    let name = &signature.ident;
    let fn_token = &signature.fn_token;

    let spec_name = free_name("__CHAOS_SPEC", &test.parameters, glue);
    let body_name = free_name(
        "__chaos_body",
        &test.parameters,
        glue.located_at(name.span()),
    );
    let spec = spec(test, &private);
    let body = inner_function(test.function, &test.parameters, &body_name);
    let functions = functions(&test.parameters, &library);
    let needed = needed(&test.parameters, &private);
    let set_up = set_up(&test.parameters, &private);
    let may_break = may_break(test);
    let call = call(&body_name, &test.parameters);

    let returned = match &signature.output {
        ReturnType::Default => glue.located_at(name.span()),
        ReturnType::Type(_, ty) => glue.located_at(blamed(ty)),
    };
    let private_outcome = library.private(returned);
    // In a variable, which an error about the type marks instead of the whole call.
    let outcome = quote_spanned!(returned=> #private_outcome::outcome(__returned));
    let (runner, end) = if signature.asyncness.is_some() {
        (
            quote_spanned!(glue=> run_async_test),
            quote_spanned! {returned=>
                __run.ready();
                let __returned = #call.await;
                #outcome
            },
        )
    } else {
        (
            quote_spanned!(glue=> run_sync_test),
            quote_spanned! {returned=>
                ::core::result::Result::Ok(move || {
                    let __returned = #call;
                    #outcome
                })
            },
        )
    };

    let experiment = format_ident!("__chaos_test_{}", name, span = glue.located_at(name.span()));
    let rows = cases::rows(&test.cases, &test.parameters);
    if !rows.is_empty() {
        let values = expand_cases::values(test, rows.len());
        let run = quote_spanned! {glue=>
            move |__run: #private::Running| async move {
                #values
                #set_up
                #may_break
                #end
            }
        };
        let experiment = expand_cases::Experiment {
            name: experiment,
            private,
            spec_name,
            spec,
            body,
            before: quote_spanned! {glue=>
                #functions
                let __needed = [#(#needed),*];
            },
            runner,
            run: quote_spanned!(glue=> &__needed, #run),
        };
        return expand_cases::expand(test, &rows, &experiment);
    }
    let run = quote_spanned! {glue=>
        {
            #body
            static #spec_name: #private::TestSpec = #spec;
            #private::inventory::submit! {
                #private::Registration { spec: &#spec_name, run: #experiment }
            }
            #functions
            let __needed = [#(#needed),*];
            #private::#runner(&#spec_name, &__needed, move |__run: #private::Running| async move {
                #set_up
                #may_break
                #end
            })
        }
    };
    let of_body = attributes
        .iter()
        .filter(|it| it.path().is_ident("cfg") || lint(it).is_some());
    // A lint that is expected is met where the body is.
    let attributes = attributes
        .iter()
        .filter(|it| lint(it).as_deref() != Some("expect"));
    // `#[test]` is last: an attribute macro among the others gets a test, as it would expect.
    let test_attribute = quote_spanned!(glue=> #[::core::prelude::v1::test]);
    let tested = quote_spanned!(glue=> { #private::tell_libtest(#experiment()); });
    quote! {
        #(#of_body)*
        #[cfg(test)]
        #[doc(hidden)]
        #fn_token #experiment() -> #private::Concluded #run
        #(#attributes)*
        #test_attribute
        #visibility #fn_token #name() #tested
    }
}

/// Where the library is: what `crate = ".."` says, else `::chaos_test`.
pub(crate) struct Library<'a>(pub(crate) Option<&'a Path>);

impl Library<'_> {
    /// The library's path. Errors about what it is used for are marked at `span`.
    pub(crate) fn path(&self, span: Span) -> TokenStream {
        match self.0 {
            Some(path) => quote!(#path),
            None => quote_spanned!(span=> ::chaos_test),
        }
    }

    /// The path of the one module in which the macros may name anything.
    pub(crate) fn private(&self, span: Span) -> TokenStream {
        let path = self.path(span);
        quote_spanned!(span=> #path::__private)
    }
}

/// A name for a generated item, with underscores added until no fixture has it.
pub(crate) fn free_name(wanted: &str, parameters: &[Parameter], span: Span) -> Ident {
    let mut name = Ident::new(wanted, span);
    while parameters
        .iter()
        .filter_map(Parameter::wanted)
        .any(|wanted| wanted.name == name || wanted.path().is_ident(&name))
    {
        name = format_ident!("{name}_", span = span);
    }
    name
}

/// The user's function under another name, within the generated one.
pub(crate) fn inner_function(
    function: &Function,
    parameters: &[Parameter],
    name: &Ident,
) -> TokenStream {
    let signature = Signature {
        ident: name.clone(),
        ..function.signature.clone()
    };
    let body = &function.body;
    // These would advise against what the macros ask for: a test without `await`, a fixture
    // that is not `const`, a small value taken by reference.
    let function_lint = match signature.asyncness {
        Some(_) => quote!(unused_async),
        None => quote!(missing_const_for_fn),
    };
    let reference_lints = parameters
        .iter()
        .any(|parameter| parameter.wanted().is_some())
        .then(|| quote!(, clippy::trivially_copy_pass_by_ref, clippy::ref_option));
    let value_lint = parameters
        .iter()
        .any(|parameter| parameter.value_name().is_some())
        .then(|| quote!(, clippy::needless_pass_by_value));
    let mut signature = signature;
    // A value may be there only to be given on to a fixture.
    let gives = parameters
        .iter()
        .filter_map(Parameter::wanted)
        .any(|wanted| !wanted.with.is_empty());
    for parameter in &mut signature.inputs {
        if let FnArg::Typed(parameter) = parameter {
            let is_value = gives && !parameter.attrs.is_empty();
            parameter.attrs.retain(is_lint_level);
            if is_value {
                parameter
                    .attrs
                    .push(syn::parse_quote!(#[allow(unused_variables)]));
            }
        }
    }
    quote! {
        #[allow(clippy::#function_lint #reference_lints #value_lint)]
        #signature #body
    }
}

/// The functions that describe the fixtures, each named once: an error about one is told once.
pub(crate) fn functions(parameters: &[Parameter], library: &Library<'_>) -> TokenStream {
    wanted(parameters)
        .map(|(position, wanted)| {
            let span = Span::mixed_site().located_at(wanted.name.span());
            let (function, library) = (function(position, span), library.path(span));
            let path = wanted.path();
            quote_spanned!(span=> let #function: fn() -> #library::Fixture<_, _> = #path;)
        })
        .collect()
}

/// What stands for those functions, in the order of the parameters.
pub(crate) fn needed(parameters: &[Parameter], private: &TokenStream) -> Vec<TokenStream> {
    wanted(parameters)
        .map(|(position, wanted)| {
            let span = Span::mixed_site().located_at(wanted.name.span());
            let function = function(position, span);
            let described = quote_spanned!(span=> #private::needed(#function));
            if wanted.from.is_none() {
                return described;
            }
            let name = text(&wanted.name);
            quote_spanned!(span=> #described.called(#name))
        })
        .collect()
}

fn wanted(parameters: &[Parameter]) -> impl Iterator<Item = (usize, &Wanted)> {
    let parameters = parameters.iter().enumerate();
    parameters.filter_map(|(position, parameter)| Some((position, parameter.wanted()?)))
}

fn function(position: usize, span: Span) -> Ident {
    format_ident!("__described_{position}", span = span)
}

/// One `let` for each fixture, in the order of the parameters.
pub(crate) fn set_up(parameters: &[Parameter], private: &TokenStream) -> TokenStream {
    parameters
        .iter()
        .enumerate()
        .filter_map(|(position, parameter)| {
            let wanted = parameter.wanted()?;
            let span = Span::mixed_site().located_at(wanted.name.span());
            let local = local(position, span);
            let function = function(position, span);
            let wait = if wanted.with.is_empty() {
                quote_spanned!(span=> __run.fixture(#function).await)
            } else {
                let given = given(&wanted.with);
                let visible = visible(parameters, &wanted.with);
                quote_spanned! {span=>
                    {
                        #visible
                        __run.fixture_with(#function, move |__given| { #given })
                    }
                    .await
                }
            };
            Some(if wanted.optional {
                let name = text(&wanted.name);
                quote_spanned!(span=> let #local = #private::optional(__run.context(), #name, #wait)?;)
            } else {
                quote_spanned!(span=> let #local = #wait?;)
            })
        })
        .collect()
}

/// The call of the inner function with everything that it takes.
pub(crate) fn call(function: &Ident, parameters: &[Parameter]) -> TokenStream {
    let values = parameters.iter().enumerate().map(|(position, parameter)| {
        let span = Span::mixed_site().located_at(blamed(&parameter.ty));
        match &parameter.role {
            Role::Context => quote_spanned!(span=> __run.context()),
            Role::Fixture(wanted) => {
                let local = local(position, span);
                if wanted.optional {
                    quote_spanned!(span=> #local.as_deref())
                } else {
                    quote_spanned!(span=> &*#local)
                }
            }
            Role::Case(_) | Role::Values(..) | Role::Default(..) => {
                let local = value_local(position, span);
                quote_spanned!(span=> #local)
            }
        }
    });
    quote_spanned!(function.span()=> #function(#(#values),*))
}

fn local(position: usize, span: Span) -> Ident {
    format_ident!("__fixture_{position}", span = span)
}

/// The local that holds what a parameter is given that is taken by value.
pub(crate) fn value_local(position: usize, span: Span) -> Ident {
    format_ident!("__value_{position}", span = span)
}

fn may_break(test: &Test<'_>) -> TokenStream {
    let names = test.breaks.unwrap_or_default();
    names
        .iter()
        .filter_map(|name| {
            let is_it = |parameter: &Parameter| {
                parameter
                    .wanted()
                    .is_some_and(|wanted| wanted.name == *name)
            };
            let position = test.parameters.iter().position(is_it)?;
            let optional = test.parameters[position].wanted()?.optional;
            let span = Span::mixed_site().located_at(name.span());
            let local = local(position, span);
            let text = text(name);
            Some(if optional {
                quote_spanned! {span=>
                    if let ::core::option::Option::Some(__there) = &#local {
                        __run.may_break(#text, &**__there);
                    }
                }
            } else {
                quote_spanned!(span=> __run.may_break(#text, &*#local);)
            })
        })
        .collect()
}

fn spec(test: &Test<'_>, private: &TokenStream) -> TokenStream {
    let signature = &test.function.signature;
    let glue = Span::mixed_site();
    // As `cargo test` prints it, with the mark of a raw identifier.
    let name = signature.ident.to_string();
    let hypothesis = &test.hypothesis;
    let environments = test.environments;
    let (leases, exclusive) = (test.leases, test.exclusive);
    let tags = test.tags;
    let ignored = test.ignored;
    // `line!` says where its own tokens are.
    let line = quote_spanned!(signature.ident.span()=> ::core::line!());
    let breaks = optional(test.breaks.map(|names| {
        let names = names.iter().map(text);
        quote_spanned!(glue=> &[#(#names),*])
    }));
    let blast_radius = radius::value(test.blast_radius, private);
    let abort_if = test
        .abort_if
        .iter()
        .map(|condition| condition.value(private));
    let expects = test.expects.iter().map(|claim| claim.value(private));
    let known_gap = optional(test.known_gap.map(|gap| quote_spanned!(glue=> #gap)));
    let must_fail_when = test.must_fail_when.iter().map(|control| {
        let (variable, value) = (&control.variable, &control.value);
        let reason = optional(control.reason.as_ref().map(|reason| quote!(#reason)));
        quote_spanned! {glue=>
            #private::MustFailWhen {
                variable: #variable,
                value: #value,
                reason: #reason,
            }
        }
    });
    let timeout = optional(test.timeout.map(|timeout| {
        let (seconds, nanoseconds) = (timeout.as_secs(), timeout.subsec_nanos());
        quote_spanned!(glue=> ::core::time::Duration::new(#seconds, #nanoseconds))
    }));
    let seed = optional(test.seed.map(|seed| quote_spanned!(glue=> #seed)));
    let requires = test.requires.iter().map(|requirement| {
        let requirement = match requirement {
            Requirement::Docker => quote_spanned!(glue=> Docker),
            Requirement::NetAdmin => quote_spanned!(glue=> NetAdmin),
            Requirement::Root => quote_spanned!(glue=> Root),
            Requirement::Program(name) => quote_spanned!(glue=> Program(#name)),
            Requirement::Env(name) => quote_spanned!(glue=> Env(#name)),
        };
        quote_spanned!(glue=> #private::Requirement::#requirement)
    });
    let should_panic = match &test.should_panic {
        ShouldPanic::No => quote_spanned!(glue=> No),
        ShouldPanic::Yes => quote_spanned!(glue=> Yes),
        ShouldPanic::With(expected) => quote_spanned!(glue=> With(#expected)),
    };
    quote_spanned! {glue=>
        #private::TestSpec {
            name: #name,
            module: ::core::module_path!(),
            file: ::core::file!(),
            line: #line,
            package: ::core::env!("CARGO_PKG_NAME"),
            manifest_dir: ::core::env!("CARGO_MANIFEST_DIR"),
            bin_name: ::core::option_env!("CARGO_BIN_NAME"),
            target_tmpdir: ::core::option_env!("CARGO_TARGET_TMPDIR"),
            hypothesis: #hypothesis,
            arguments: &[],
            breaks: #breaks,
            environments: &[#(#environments),*],
            blast_radius: #blast_radius,
            tags: &[#(#tags),*],
            requires: &[#(#requires),*],
            leases: &[#(#leases),*],
            exclusive: #exclusive,
            abort_if: &[#(#abort_if),*],
            expects: &[#(#expects),*],
            known_gap: #known_gap,
            must_fail_when: &[#(#must_fail_when),*],
            timeout: #timeout,
            seed: #seed,
            should_panic: #private::ShouldPanic::#should_panic,
            ignored: #ignored,
        }
    }
}

pub(crate) fn optional(value: Option<TokenStream>) -> TokenStream {
    let glue = Span::mixed_site();
    match value {
        Some(value) => quote_spanned!(glue=> ::core::option::Option::Some(#value)),
        None => quote_spanned!(glue=> ::core::option::Option::None),
    }
}
