//! `cargo chaos stop`: the emergency stop.

use std::fmt::Write;
use std::process::ExitCode;
use std::time::Duration;

use chaos_test::__cli::{self, Stopped};
use clap::{Arg, ArgMatches, Command, value_parser};

use crate::paint::Paint;
use crate::recover::whose;
use crate::{FOUND_SOMETHING, Subcommand, complain, print};

pub(crate) const SUBCOMMAND: Subcommand = Subcommand { define, run };

const AFTER_HELP: &str = "\
Every chaos test of this user on this machine that runs now is rolled back and ends as
\"interrupted\"; its run begins no other one. Runs with another state directory (CHAOS_STATE_DIR)
are not reached. It waits until all have ended; exit code 1 says that one has not.

Without this command: a signal (SIGINT, SIGTERM, SIGHUP) stops one test process, a file that
CHAOS_STOP_FILE names stops all that were started with it, and under CHAOS_STOP=1 none begins.

Examples:
  cargo chaos stop
  cargo chaos stop --run nightly        the run with this CHAOS_RUN_ID
  cargo chaos stop --within 300         for rollbacks that take long";

fn define() -> Command {
    Command::new("stop")
        .about("Stop what runs now: roll back and end")
        .after_help(AFTER_HELP)
        .arg(
            Arg::new("run")
                .long("run")
                .value_name("ID")
                .help("Only this run; every report and journal names its run"),
        )
        .arg(
            Arg::new("within")
                .long("within")
                .value_name("SECONDS")
                .value_parser(value_parser!(u64).range(1..=86_400))
                .default_value("120")
                .help("How long to wait for them to end"),
        )
}

fn run(matches: &ArgMatches) -> ExitCode {
    let run = matches.get_one::<String>("run").map(String::as_str);
    let seconds = matches.get_one::<u64>("within").copied().unwrap_or(120);
    match __cli::stop_runs(run, Duration::from_secs(seconds)) {
        Ok(stopped) => {
            print(&shown(&stopped, Paint::for_stdout()));
            let all_ended = stopped.still.is_empty() && stopped.unknown.is_none();
            if all_ended {
                ExitCode::SUCCESS
            } else {
                ExitCode::from(FOUND_SOMETHING)
            }
        }
        Err(error) => complain(error),
    }
}

fn shown(stopped: &Stopped, paint: Paint) -> String {
    let mut text = String::new();
    for test in &stopped.ended {
        let _ = writeln!(text, "{} {}", paint.good("stopped"), whose(test));
    }
    for test in &stopped.still {
        let _ = writeln!(
            text,
            "{} {}: it has not ended; look again, or kill its process, and its watchdog puts \
             everything back",
            paint.bad("RUNS   "),
            whose(test)
        );
    }
    match &stopped.unknown {
        Some(run) => {
            let _ = writeln!(
                text,
                "{} no test of a run {run} runs; `cargo chaos recover --dry-run` names those \
                 that do",
                paint.bad("unknown")
            );
        }
        None if text.is_empty() => {
            let _ = writeln!(text, "{}", paint.good("nothing runs"));
        }
        None => {}
    }
    text
}
