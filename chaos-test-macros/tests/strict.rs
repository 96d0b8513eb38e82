//! What the macros write passes the strictest lints, whatever users call their things.
//!
//! That this file compiles, and that clippy finds nothing in it, is the test. Its chaos tests
//! are ignored: they break nothing.

#![forbid(unsafe_code)]
#![deny(
    warnings,
    missing_docs,
    rust_2018_idioms,
    future_incompatible,
    let_underscore_drop,
    missing_debug_implementations,
    single_use_lifetimes,
    trivial_casts,
    trivial_numeric_casts,
    unit_bindings,
    unreachable_pub,
    unused_import_braces,
    unused_lifetimes,
    unused_qualifications,
    unused_results,
    clippy::pedantic,
    clippy::nursery
)]
// It asks for the opposite of `unreachable_pub`.
#![allow(clippy::redundant_pub_crate)]

use chaos_test::prelude::*;

/// Fixtures that are called like what the macros write.
mod internals {
    use chaos_test::prelude::*;

    #[chaos_fixture]
    pub(crate) fn __run() -> u16 {
        1
    }

    #[chaos_fixture]
    pub(crate) async fn __chaos_set_up(__run: &u16) -> chaos_test::Result<String> {
        Ok(__run.to_string())
    }

    #[chaos_fixture]
    pub(crate) async fn __chaos_body(__chaos_set_up: &text::Text, chaos: &ChaosContext) -> u16 {
        let _ = chaos;
        2
    }

    pub(crate) mod text {
        pub(crate) type Text = String;
    }

    #[chaos_fixture]
    pub(crate) fn __fixture_0(_chaos: &ChaosContext) -> Option<u16> {
        None
    }

    #[chaos_fixture]
    pub(crate) fn __returned() -> std::io::Result<Vec<u16>> {
        Ok(vec![
            u16::try_from(std::fs::metadata(".")?.len()).unwrap_or(3),
        ])
    }

    /// Crates and words of the language are no bad names either.
    #[chaos_fixture]
    pub(crate) fn core() -> bool {
        true
    }

    #[chaos_fixture]
    pub(crate) fn chaos_test() -> (u16, String) {
        (4, String::new())
    }

    #[chaos_fixture]
    pub(crate) fn r#type() -> [u16; 2] {
        [5, 6]
    }

    #[chaos_fixture]
    pub(crate) fn _0x() -> char {
        'x'
    }

    type Measure = dyn Fn(&str) -> u16 + Send + Sync;

    #[chaos_fixture]
    #[allow(non_snake_case)]
    pub(crate) fn __CHAOS_SPEC() -> Box<Measure> {
        Box::new(|_| 7)
    }

    mod inner {
        use super::{
            __CHAOS_SPEC, __chaos_body, __chaos_set_up, __fixture_0, __returned, __run, _0x,
            chaos_test, core, r#type,
        };
        use ::chaos_test::prelude::*;

        #[chaos_test]
        #[ignore = "breaks nothing"]
        #[allow(non_snake_case, clippy::too_many_arguments)]
        async fn everything(
            __run: &u16,
            __chaos_set_up: &str,
            __chaos_body: &u16,
            __fixture_0: &Option<u16>,
            __returned: &[u16],
            chaos: &ChaosContext,
            core: &bool,
            _chaos_test: &(u16, String),
            _type: &[u16; 2],
            _0x: &char,
            __CHAOS_SPEC: &(dyn Fn(&str) -> u16 + Send + Sync),
        ) -> ::chaos_test::Result {
            let _ = (__run, __chaos_set_up, __chaos_body, chaos, core);
            assert_eq!(*__fixture_0, None);
            assert_eq!(__returned.len(), 1);
            assert_eq!(__CHAOS_SPEC(""), 7);
            Ok(())
        }

        #[chaos_test]
        #[ignore = "breaks nothing"]
        fn r#fn(r#type: &[u16; 2], _: &ChaosContext) {
            assert_eq!(*r#type, [5, 6]);
        }
    }
}

/// A service that never starts.
///
/// # Errors
///
/// Always.
#[chaos_fixture]
pub async fn cache(chaos: &ChaosContext) -> chaos_test::Result<Service> {
    let program = Program::new("/does/not/exist");
    Ok(chaos.process("cache", program).await?)
}

/// A test that is always there.
#[chaos_test(breaks(cache), tags("strict"))]
#[ignore = "breaks nothing"]
async fn documented(_chaos: &ChaosContext, cache: &Service) -> Result<(), std::fmt::Error> {
    #![expect(unused_variables, reason = "an inner attribute stays in the body")]
    let address = cache.first_address();
    Ok(())
}

#[cfg(any())]
#[chaos_test]
async fn left_out_above(chaos: &Nothing) {}

#[chaos_test]
#[cfg(any())]
async fn left_out_below(chaos: &ChaosContext, nothing: &Nothing) {}

#[chaos_fixture]
#[cfg(any())]
fn nothing() -> Nothing {}

#[chaos_test]
#[ignore = "breaks nothing"]
#[should_panic(expected = "on purpose")]
#[expect(clippy::panic, clippy::manual_assert, reason = "what is expected")]
fn panics(_chaos: &ChaosContext) {
    if std::process::id() > 0 {
        panic!("on purpose");
    }
}

/// Tests and fixtures that macros write, of captures of every kind.
mod generated {
    use chaos_test::prelude::*;

    macro_rules! fixture {
        ($(#[$meta:meta])* $visibility:vis $name:ident: $type:ty = $value:expr) => {
            $(#[$meta])*
            #[chaos_fixture]
            $visibility fn $name() -> $type {
                $value
            }
        };
    }

    macro_rules! tests {
        ($($name:ident($chaos:ident, $fixture:ident: $type:ty, $timeout:literal, $seed:expr) -> $output:ty $body:block)*) => {
            $(
                /// One of several.
                #[chaos_test(timeout = $timeout, seed = $seed, tags("generated"))]
                #[ignore = "breaks nothing"]
                async fn $name($chaos: &ChaosContext, $fixture: &$type) -> $output $body
            )*
        };
    }

    macro_rules! references {
        ($name:ident, $context:ty, $fixture:ident: $type:ty) => {
            #[chaos_test]
            #[ignore = "breaks nothing"]
            fn $name(_chaos: $context, $fixture: $type) {
                let _ = $fixture;
            }
        };
    }

    macro_rules! items {
        ($($item:item)*) => {
            $(
                #[chaos_test]
                #[ignore = "breaks nothing"]
                $item
            )*
        };
    }

    fixture!(
        /// A number.
        pub(super) number: u16 = 1 + 1
    );
    fixture!(fallible: Result<i8, std::num::ParseIntError> = "1".parse());

    tests! {
        returns_nothing(chaos, number: u16, "1s", 7) -> () {
            let _ = (chaos, number);
        }
        returns_a_result(chaos, fallible: i8, "1min 30s", 0x5eed) -> chaos_test::Result {
            let _ = chaos;
            assert_eq!(*fallible, 1);
            Ok(())
        }
    }

    references!(captured_references, &ChaosContext, number: &u16);

    items! {
        async fn captured_item(chaos: &ChaosContext, _number: &u16) {
            let _ = chaos;
        }
    }
}

/// Cases, values, and fixtures that are given values.
mod cases {
    use chaos_test::prelude::*;

    #[chaos_fixture]
    pub(crate) fn sized(#[default(16)] size: u32, #[default(None)] name: Option<String>) -> u32 {
        size + u32::from(name.is_some())
    }

    #[chaos_fixture]
    async fn around(
        #[default(vec![1, 2])] numbers: Vec<u32>,
        #[with(numbers[0], Some(String::new()))] sized: &u32,
    ) -> chaos_test::Result<u32> {
        Ok(*sized + u32::try_from(numbers.len())?)
    }

    /// A test of many.
    #[chaos_test(breaks())]
    #[ignore = "breaks nothing"]
    #[allow(clippy::too_many_arguments)]
    #[case::first(1, "one")]
    #[case::r#fn(NUMBER, { "two" })]
    async fn many(
        chaos: &ChaosContext,
        #[case] number: u32,
        #[with(number)] sized: &u32,
        #[values(true, false)] _flag: bool,
        #[case] word: &'static str,
        around: Option<&u32>,
        #[values(|x| x, std::convert::identity)] change: fn(u32) -> u32,
        #[from(sized)]
        #[with(2, None)]
        other: &u32,
    ) -> chaos_test::Result {
        let _ = (chaos, word, around, other);
        assert_eq!(change(number), *sized);
        Ok(())
    }

    const NUMBER: u32 = 2;

    /// Is called like its module.
    #[chaos_test]
    #[ignore = "breaks nothing"]
    #[should_panic(expected = "on purpose")]
    #[expect(clippy::panic, clippy::manual_assert, reason = "what is expected")]
    pub(crate) fn cases(_chaos: &ChaosContext, #[values("a", "b")] word: &'static str) {
        if !word.is_empty() {
            panic!("on purpose");
        }
    }

    #[chaos_test]
    #[cfg(any())]
    #[case(1)]
    fn left_out(chaos: &Nothing, #[case] nothing: Nothing) {}
}

#[test]
fn what_was_registered() {
    let tests = chaos_test::registered();
    let paths: Vec<_> = tests.iter().map(chaos_test::Registered::path).collect();
    assert_eq!(
        paths,
        [
            "cases::cases::word_a",
            "cases::cases::word_b",
            "cases::many::first::flag_false::change_std_convert_identity",
            "cases::many::first::flag_false::change_x_x",
            "cases::many::first::flag_true::change_std_convert_identity",
            "cases::many::first::flag_true::change_x_x",
            "cases::many::r#fn::flag_false::change_std_convert_identity",
            "cases::many::r#fn::flag_false::change_x_x",
            "cases::many::r#fn::flag_true::change_std_convert_identity",
            "cases::many::r#fn::flag_true::change_x_x",
            "documented",
            "generated::captured_item",
            "generated::captured_references",
            "generated::returns_a_result",
            "generated::returns_nothing",
            "internals::inner::everything",
            "internals::inner::r#fn",
            "panics",
        ]
    );
    assert_eq!(tests[2].hypothesis(), "A test of many.");
    assert_eq!(tests[10].hypothesis(), "A test that is always there.");
    assert_eq!(tests[10].breaks(), Some(&["cache"][..]));
    assert_eq!(tests[13].hypothesis(), "One of several.");
    assert_eq!(tests[13].tags(), ["generated"]);
}
