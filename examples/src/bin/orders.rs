//! The victim `orders`, so that this package's tests can run it.

fn main() -> std::process::ExitCode {
    chaos_test_fixtures::orders::main()
}
