//! What cases and values are called, what belongs to which, and what is said of mistakes.

use proc_macro2::TokenStream;

use super::mistakes::check;
use super::tokens;
use crate::cases::{rows, sorted};
use crate::function::Function;
use crate::given::names_value;
use crate::mistakes::Mistakes;
use crate::parameters::{Of, parameters};

/// The path of each test, with its hypothesis, whether it is ignored, and what it is given.
#[track_caller]
fn tests(item: &str) -> Vec<(String, String)> {
    let function = Function::parse("chaos_test", tokens(item)).expect("a function");
    let mut mistakes = Mistakes::default();
    let cases = sorted(&function.attributes, &mut mistakes).cases;
    let parameters = parameters(Of::Test, &function.signature, &mut mistakes);
    let rows = rows(&cases, &parameters);
    let seen = rows.iter().map(|row| {
        let arguments = row.arguments.iter();
        let arguments: Vec<_> = arguments
            .map(|(name, value)| format!("{name} = {value}"))
            .collect();
        (row.path.join("::"), arguments.join(", "))
    });
    let seen = seen.collect();
    let errors = mistakes
        .into_compile_errors()
        .unwrap_or_else(TokenStream::new);
    assert!(errors.is_empty(), "{errors}");
    seen
}

#[track_caller]
fn check_names(item: &str, names: &[&str]) {
    let found: Vec<_> = tests(item).into_iter().map(|(name, _)| name).collect();
    assert_eq!(found, names, "{item}");
}

#[test]
fn names() {
    check_names("fn test(c: &ChaosContext) {}", &[]);
    check_names(
        "#[case(1)] #[case::named(2)] #[case(3)] fn test(c: &ChaosContext, #[case] a: u8) {}",
        &["case_1", "named", "case_3"],
    );
    check_names(
        "fn test(c: &ChaosContext, #[values(A::B, -1, 1, \"..\", x(\"y z\"))] _a: u8) {}",
        &["a_A_B", "a_1", "a_1_2", "a_4", "a_x_y_z"],
    );
    check_names(
        "#[case::x(1)] #[case::r#fn(2)] fn test(#[values(1, 2)] b: u8, #[case] a: u8, #[values(true)] r#type: bool) {}",
        &[
            "x::b_1::type_true",
            "x::b_2::type_true",
            "r#fn::b_1::type_true",
            "r#fn::b_2::type_true",
        ],
    );
    check_names(
        "fn test(#[values(5, A)] _1: u8, #[values(6)] __: u8) {}",
        &["_1_5::_6", "_1_A::_6"],
    );
    let long = "a".repeat(100);
    let name = format!("v_{}", "a".repeat(40));
    check_names(
        &format!("fn test(#[values({long}, {long}b)] v: u8) {{}}"),
        &[&name, &format!("{name}_2")],
    );
}

#[test]
fn values_that_a_format_string_names() {
    for (format, named) in [
        ("{size}", true),
        ("{ size }", true),
        ("a {other} {size:?}", true),
        ("{:size$}", true),
        ("{:>0size$.other$}", true),
        ("{other:.size$}", true),
        ("{{size}}", false),
        ("{{{size}}}", true),
        ("{size", true),
        ("size", false),
        ("{sizes} {a_size} {0:a_size$} {size_}", false),
        ("{other:size}", false),
    ] {
        assert_eq!(names_value(format, "size"), named, "{format}");
    }
}

#[test]
fn what_each_is_given() {
    assert_eq!(
        tests(
            "#[case(ms(50), &[1, 2])] fn test(#[case] a: u8, #[values(B)] b: B, #[case] _c: u8) {}"
        ),
        [(
            "case_1::b_B".to_owned(),
            "a = ms(50), _c = &[1, 2], b = B".to_owned()
        )]
    );
}

#[test]
fn comments_and_ignores_belong_to_the_case_below() {
    let sort = |item: &str| {
        let function = Function::parse("chaos_test", tokens(item)).expect("a function");
        let mut mistakes = Mistakes::default();
        let sorted = sorted(&function.attributes, &mut mistakes);
        assert!(mistakes.into_compile_errors().is_none());
        let own = crate::validate::documentation(&sorted.own);
        let cases = sorted.cases.into_iter();
        let cases: Vec<_> = cases
            .map(|case| (case.documentation, case.ignored))
            .collect();
        (own, cases)
    };
    let case = |text: &str, ignored| (text.to_owned(), ignored);
    assert_eq!(
        sort(
            "/// a\n#[ignore]\n#[case(1)]\n/// b\n#[case(2)]\n#[ignore]\n#[case(3)]\nfn test() {}"
        ),
        (
            "a".to_owned(),
            vec![case("", false), case("b", false), case("", true)]
        )
    );
    assert_eq!(
        sort("/// a\n#[case(1)]\n/// b\n#[case(2)]\n/// c\nfn test() {}"),
        ("c".to_owned(), vec![case("a", false), case("b", false)])
    );
}

#[test]
fn mistakes() {
    for (item, messages) in [
        (
            "#[case(1)] #[case(1, 2, 3)] fn test(c: &ChaosContext, #[case] a: u8, #[case] b: u8) {}",
            &[
                "this case has 1 argument, and the test takes 2: `a` and `b`",
                "this case has 3 arguments, and the test takes 2: `a` and `b`",
            ][..],
        ),
        (
            "#[case::a(1)] #[case::a(2)] #[case::super(3)] #[case::a::b(4)] fn test(c: &ChaosContext, #[case] a: u8) {}",
            &[
                "a second case called `a`: each needs a name of its own",
                "`super` cannot name a case: choose another word",
                "a case has one name: `#[case::name(..)]`",
            ],
        ),
        (
            "#[case(1)] #[should_panic] #[case(2)] fn test(c: &ChaosContext, #[case] a: u8) {}",
            &[
                "between cases there are only comments and `#[ignore]`, for the case below: put `#[should_panic]` above the first case, for all of them",
            ],
        ),
        (
            "#[case(1)] fn test(c: &ChaosContext, #[case] a: &str) {}",
            &["cases, values and defaults are taken by value: write `a: &'static str`"],
        ),
        (
            "#[case(1)] fn test(c: &ChaosContext, #[case] mut a: u8) {}",
            &["remove `mut`, and begin the body with `let mut a = a;`"],
        ),
        (
            "fn test(c: &ChaosContext, #[value(1)] a: u8) {}",
            &["unknown mark `value` of a parameter, did you mean `values`?"],
        ),
        (
            "#[cases(1)] fn test(c: &ChaosContext) {}",
            &["unknown attribute `cases`, did you mean `case`?"],
        ),
        (
            "#[values(1)] fn test(c: &ChaosContext) {}",
            &["`#[values(..)]` stands before the parameter that it is for"],
        ),
    ] {
        check("", item, messages);
    }
}
