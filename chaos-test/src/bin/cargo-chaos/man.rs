//! `cargo chaos man`: the manual page.

use std::process::ExitCode;

use clap::{ArgMatches, Command};

use crate::{Subcommand, command, complain, print};

pub(crate) const SUBCOMMAND: Subcommand = Subcommand { define, run };

const AFTER_HELP: &str = "\
Example:
  cargo chaos man > ~/.local/share/man/man1/cargo-chaos.1    for `cargo help chaos`";

fn define() -> Command {
    Command::new("man")
        .about("Print the manual page")
        .after_help(AFTER_HELP)
}

fn run(_: &ArgMatches) -> ExitCode {
    let mut page = Vec::new();
    match clap_mangen::Man::new(command()).render(&mut page) {
        Ok(()) => print(&String::from_utf8_lossy(&page)),
        Err(error) => return complain(error),
    }
    ExitCode::SUCCESS
}
