//! `cargo chaos completions`: what a shell completes.

use std::process::ExitCode;

use clap::{Arg, ArgMatches, Command, value_parser};
use clap_complete::Shell;

use crate::{Subcommand, command, print};

pub(crate) const SUBCOMMAND: Subcommand = Subcommand { define, run };

const AFTER_HELP: &str = "\
They complete `cargo-chaos`; zsh completes `cargo chaos` by them, too.

Examples:
  cargo chaos completions bash > ~/.local/share/bash-completion/completions/cargo-chaos
  cargo chaos completions zsh > ~/.zfunc/_cargo-chaos
  cargo chaos completions fish > ~/.config/fish/completions/cargo-chaos.fish";

fn define() -> Command {
    Command::new("completions")
        .about("Print what a shell completes")
        .after_help(AFTER_HELP)
        .arg(
            Arg::new("shell")
                .required(true)
                .value_parser(value_parser!(Shell))
                .help("The shell"),
        )
}

fn run(matches: &ArgMatches) -> ExitCode {
    let shell = *matches.get_one::<Shell>("shell").expect("clap demands it");
    let mut script = Vec::new();
    // A shell completes programs, and to it `cargo chaos` is cargo.
    let mut command = command().bin_name("cargo-chaos");
    clap_complete::generate(shell, &mut command, "cargo-chaos", &mut script);
    print(&String::from_utf8_lossy(&script));
    ExitCode::SUCCESS
}
