//! `cargo chaos`: the command line beside the tests.
//!
//! It parses and prints. What it shows and does is the library's, by `chaos_test::__cli`. A
//! subcommand is one file here and one row in [`SUBCOMMANDS`].

mod completions;
mod doctor;
mod list;
mod man;
mod paint;
mod recover;
mod stop;

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::{ArgMatches, Command};

/// A subcommand.
struct Subcommand {
    /// What it takes, with its name.
    define: fn() -> Command,
    /// Does it. What it returns is the exit code.
    run: fn(&ArgMatches) -> ExitCode,
}

/// All of them, in the order in which the help shows them.
const SUBCOMMANDS: &[Subcommand] = &[
    doctor::SUBCOMMAND,
    recover::SUBCOMMAND,
    stop::SUBCOMMAND,
    list::SUBCOMMAND,
    completions::SUBCOMMAND,
    man::SUBCOMMAND,
];

/// The command found something wrong, or could not do its work.
const FOUND_SOMETHING: u8 = 1;

const AFTER_HELP: &str = "\
Exit codes:
  0    fine
  1    it found something wrong (doctor: something needed is missing; recover: something is
       left; stop: something still runs), or it could not do its work, and said why
  2    the command line makes no sense
  101  cargo could not build the tests (list); whatever code cargo has is passed on

Examples:
  cargo chaos doctor --require docker    what works here; fails without a container engine
  cargo chaos recover --dry-run          what killed runs left
  cargo chaos stop                       roll back and end what runs now
  cargo chaos list --tags slow           the chaos tests of this package that are slow";

fn main() -> ExitCode {
    let matches = command().get_matches_from(arguments(std::env::args_os()));
    let Some((name, matches)) = matches.subcommand() else {
        unreachable!("clap demands a subcommand");
    };
    let subcommand = SUBCOMMANDS
        .iter()
        .find(|subcommand| (subcommand.define)().get_name() == name)
        .expect("clap knows only those");
    (subcommand.run)(matches)
}

/// The whole command line.
fn command() -> Command {
    Command::new("cargo-chaos")
        .bin_name("cargo chaos")
        .version(env!("CARGO_PKG_VERSION"))
        .about("The command line beside chaos tests")
        .after_help(AFTER_HELP)
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommands(SUBCOMMANDS.iter().map(|subcommand| (subcommand.define)()))
}

/// The arguments without the word that cargo puts first, as in `cargo-chaos chaos doctor`.
fn arguments(words: impl Iterator<Item = OsString>) -> impl Iterator<Item = OsString> {
    words
        .enumerate()
        .filter(|(place, word)| *place != 1 || word != "chaos")
        .map(|(_, word)| word)
}

/// Writes what was asked for to standard output.
fn print(text: &str) {
    let mut out = io::stdout().lock();
    // Whoever reads it may have seen enough.
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Says on standard error why the work could not be done.
fn complain(why: impl std::fmt::Display) -> ExitCode {
    let _ = writeln!(io::stderr(), "cargo chaos: {why}");
    ExitCode::from(FOUND_SOMETHING)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        command().debug_assert();
    }

    #[test]
    fn only_the_word_that_cargo_adds_is_left_out() {
        let arguments = |words: &str| -> Vec<_> {
            let words = words.split(' ').map(OsString::from);
            arguments(words)
                .map(|word| word.into_string().unwrap())
                .collect()
        };
        assert_eq!(arguments("cargo-chaos chaos list"), ["cargo-chaos", "list"]);
        assert_eq!(arguments("cargo-chaos list"), ["cargo-chaos", "list"]);
        let tags = arguments("cargo-chaos chaos list --tags chaos");
        assert_eq!(tags, ["cargo-chaos", "list", "--tags", "chaos"]);
    }

    #[test]
    fn the_help_says_what_there_is() {
        insta::assert_snapshot!(command().render_long_help().to_string(), @r#"
        The command line beside chaos tests

        Usage: cargo chaos <COMMAND>

        Commands:
          doctor       Say what works here, what does not, and what to do about it
          recover      Undo what killed runs left
          stop         Stop what runs now: roll back and end
          list         List the chaos tests, with what they claim, break and need
          completions  Print what a shell completes
          man          Print the manual page
          help         Print this message or the help of the given subcommand(s)

        Options:
          -h, --help
                  Print help

          -V, --version
                  Print version

        Exit codes:
          0    fine
          1    it found something wrong (doctor: something needed is missing; recover: something is
               left; stop: something still runs), or it could not do its work, and said why
          2    the command line makes no sense
          101  cargo could not build the tests (list); whatever code cargo has is passed on

        Examples:
          cargo chaos doctor --require docker    what works here; fails without a container engine
          cargo chaos recover --dry-run          what killed runs left
          cargo chaos stop                       roll back and end what runs now
          cargo chaos list --tags slow           the chaos tests of this package that are slow
        "#);
    }
}
