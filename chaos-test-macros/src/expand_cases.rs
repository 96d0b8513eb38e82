//! Writes a test that has cases or values: one function with the body, which is told the number of
//! the test, and a module of the same name that holds nothing but a `#[test]` for each.
//!
//! A function and a module may share a name. The expressions stay in the function, where the
//! user's names mean what they mean beside the test.

use proc_macro2::{Ident, Literal, Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::Attribute;

use crate::attributes::{Place, place_of};
use crate::cases::{Case, Row, rows_of_a_case};
use crate::expand::value_local;
use crate::parameters::{Parameter, Role};
use crate::validate::Test;

/// What all cases share.
pub(crate) struct Experiment {
    /// The function that runs it, and says what came of it.
    pub(crate) name: Ident,
    pub(crate) private: TokenStream,
    pub(crate) spec_name: Ident,
    /// The test's own spec, of which each case's is a copy with its own name.
    pub(crate) spec: TokenStream,
    /// The user's function.
    pub(crate) body: TokenStream,
    /// What stands before the runner.
    pub(crate) before: TokenStream,
    pub(crate) runner: TokenStream,
    /// What the runner is given beside a spec.
    pub(crate) run: TokenStream,
}

/// One `let` for each parameter that is a case's or a value: which expression it is depends on
/// the number of the test.
pub(crate) fn values(test: &Test<'_>, tests: usize) -> TokenStream {
    let of_a_case = rows_of_a_case(&test.parameters);
    let mut stride = of_a_case;
    let mut argument = 0;
    let mut lets = TokenStream::new();
    for (position, Parameter { ty, role }) in test.parameters.iter().enumerate() {
        let (name, expressions, every, bounded) = match role {
            Role::Case(name) => {
                let nth = |case: &Case| case.arguments[argument].to_token_stream();
                let expressions: Vec<_> = test.cases.iter().map(nth).collect();
                argument += 1;
                (name, expressions, of_a_case, true)
            }
            Role::Values(name, values) => {
                stride /= values.len();
                let first = stride * values.len() == tests;
                let expressions = values.iter().map(ToTokens::to_token_stream).collect();
                (name, expressions, stride, first)
            }
            Role::Context | Role::Fixture(_) | Role::Default(..) => continue,
        };
        let span = Span::mixed_site().located_at(name.span());
        let local = value_local(position, span);
        let value = chosen(&expressions, every, bounded, span);
        lets.extend(quote_spanned!(span=> let #local: #ty = #value;));
    }
    lets
}

/// The expression that a test is given: each is that of so many tests in a row, and after the
/// last one it begins anew, unless there are no more tests.
fn chosen(expressions: &[TokenStream], every: usize, bounded: bool, span: Span) -> TokenStream {
    let count = expressions.len();
    let Some((last, others)) = expressions.split_last() else {
        return TokenStream::new();
    };
    if others.is_empty() {
        return last.clone();
    }
    let (every, count) = (plain(every, span), (count, plain(count, span)));
    let mut number = quote_spanned!(span=> __case);
    if every.to_string() != "1" {
        number = quote_spanned!(span=> #number / #every);
    }
    if !bounded {
        let count = &count.1;
        number = quote_spanned!(span=> #number % #count);
    }
    let numbers = (0..count.0 - 1).map(|number| plain(number, span));
    quote_spanned! {span=>
        match #number {
            #(#numbers => #others,)*
            _ => #last,
        }
    }
}

fn plain(number: usize, span: Span) -> Literal {
    let mut literal = Literal::usize_unsuffixed(number);
    literal.set_span(span);
    literal
}

/// The whole of a test with cases or values.
pub(crate) fn expand(test: &Test<'_>, rows: &[Row<'_>], experiment: &Experiment) -> TokenStream {
    let Experiment {
        name: experiment,
        private,
        spec_name,
        spec,
        body,
        before,
        runner,
        run,
    } = experiment;
    let glue = Span::mixed_site();
    let name = &test.function.signature.ident;
    let fn_token = &test.function.signature.fn_token;
    let visibility = &test.function.visibility;
    let count = rows.len();
    let specs = rows.iter().map(|row| case_of(test, row));
    let numbers = (0..count).map(|number| plain(number, glue));
    let registrations = numbers.map(|number| {
        quote_spanned! {glue=>
            #private::inventory::submit! {
                #private::Registration { spec: &#spec_name[#number], run: || #experiment(#number) }
            }
        }
    });

    let places = |place: Place| {
        let attributes = test.attributes.iter();
        attributes.filter(move |attribute| place_of(attribute).contains(&place))
    };
    let of_function = places(Place::Function);
    let of_module: Vec<_> = places(Place::Module).collect();
    let of_tests: Vec<_> = places(Place::Tests).collect();
    let numbered: Vec<_> = rows.iter().enumerate().collect();
    let tests = tests(name, &numbered, 0, &of_tests);
    let compiled = quote_spanned!(glue=> #[cfg(test)]);
    // As hygienic as where it is read.
    let case = Ident::new("__case", glue);
    quote! {
        #(#of_function)*
        #compiled
        #[doc(hidden)]
        #fn_token #experiment(#case: usize) -> #private::Concluded {
            #body
            static #spec_name: [#private::TestSpec; #count] = {
                const __WHOLE: #private::TestSpec = #spec;
                [#(#specs),*]
            };
            #(#registrations)*
            #before
            #private::#runner(&#spec_name[#case], #run)
        }

        #(#of_module)*
        #compiled
        #[allow(dead_code)]
        #visibility #fn_token #name(#case: usize) {
            #private::tell_libtest(#experiment(#case));
        }

        #(#of_module)*
        #compiled
        #[allow(non_snake_case, clippy::module_inception)]
        mod #name {
            #tests
        }
    }
}

/// The spec of one case.
fn case_of(test: &Test<'_>, row: &Row<'_>) -> TokenStream {
    let glue = Span::mixed_site();
    let name = &test.function.signature.ident;
    let module = name.to_string();
    let path = row.path.join("::");
    let marked = match row.case {
        Some(case) => case.attribute.path().segments[0].ident.span(),
        None => name.span(),
    };
    let line = quote_spanned!(marked=> ::core::line!());
    let documentation = row.case.map_or("", |case| &case.documentation);
    let hypothesis = match (test.hypothesis.as_str(), documentation) {
        (whole, "") => whole.to_owned(),
        ("", own) => own.to_owned(),
        (whole, own) => format!("{whole}\n{own}"),
    };
    let ignored = test.ignored || row.case.is_some_and(|case| case.ignored);
    let arguments = row
        .arguments
        .iter()
        .map(|(name, value)| quote_spanned!(glue=> (#name, #value)));
    quote_spanned! {glue=>
        __WHOLE.case(
            ::core::concat!(::core::module_path!(), "::", #module),
            #path,
            #line,
            #hypothesis,
            &[#(#arguments),*],
            #ignored,
        )
    }
}

/// The modules and functions from one level of the tests' paths on.
fn tests(
    name: &Ident,
    rows: &[(usize, &Row<'_>)],
    level: usize,
    attributes: &[&Attribute],
) -> TokenStream {
    let glue = Span::mixed_site();
    let already_ignored = attributes
        .iter()
        .any(|other| other.path().is_ident("ignore"));
    let mut items = TokenStream::new();
    let same = |a: &(usize, &Row<'_>), b: &(usize, &Row<'_>)| a.1.path[level] == b.1.path[level];
    for rows in rows.chunk_by(same) {
        let (number, row) = rows[0];
        let marked = row.case.map(|case| &case.attribute.path().segments);
        let marked = marked.and_then(|segments| Some(segments.last()?.ident.span()));
        let marked = marked.filter(|_| level == 0).unwrap_or(name.span());
        let span = glue.located_at(marked);
        let word = identifier(&row.path[level], span);
        if row.path.len() > level + 1 {
            let tests = tests(name, rows, level + 1, attributes);
            items.extend(quote_spanned!(span=> mod #word { #tests }));
            continue;
        }
        let above = (0..=level).map(|_| quote_spanned!(span=> super::));
        let number = plain(number, span);
        let own_ignore = row.case.filter(|case| case.ignored && !already_ignored);
        let own_ignore = own_ignore.map(|_| quote_spanned!(span=> #[ignore]));
        items.extend(quote_spanned! {span=>
            #(#attributes)*
            #own_ignore
            #[::core::prelude::v1::test]
            fn #word() {
                #(#above)* #name(#number);
            }
        });
    }
    items
}

/// A name of a test, a raw one where it was written so.
fn identifier(word: &str, span: Span) -> Ident {
    match word.strip_prefix("r#") {
        Some(word) => Ident::new_raw(word, span),
        None => Ident::new(word, span),
    }
}
