//! The victim `checkout`, so that this package's tests can run it.

fn main() -> std::process::ExitCode {
    chaos_test_fixtures::checkout::main()
}
