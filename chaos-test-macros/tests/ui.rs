//! Compile errors as users see them: each file in `ui/` with the messages beside it.

#[test]
fn compile_errors() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
