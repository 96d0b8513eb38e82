//! `cargo chaos list`: the chaos tests of a workspace, with what they claim.
//!
//! The tests are those that the test programs themselves know: each is built by cargo, asked
//! for its list as cargo and nextest do, and says at its exit which chaos tests it holds.

mod ask;
mod build;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::process::ExitCode;
use std::time::Duration;

use chaos_test::__cli::{self, Listed};
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use serde::Serialize;

use crate::paint::Paint;
use crate::{Subcommand, complain, print};

use build::TestProgram;

pub(crate) const SUBCOMMAND: Subcommand = Subcommand { define, run };

const AFTER_HELP: &str = "\
It builds the tests as `cargo test --no-run` does, with what stands after `--`, and runs none of
them. Each test program is started with `--list`; one with a `main` of its own should heed that.

Examples:
  cargo chaos list
  cargo chaos list -- --workspace --features chaos
  cargo chaos list --tags network,slow -- -p shop --test chaos
  cargo chaos list --json -- --features chaos";

fn define() -> Command {
    Command::new("list")
        .about("List the chaos tests, with what they claim, break and need")
        .after_help(AFTER_HELP)
        .arg(
            Arg::new("tags")
                .long("tags")
                .value_name("TAG")
                .value_delimiter(',')
                .action(ArgAction::Append)
                .help("Only tests with this tag, or with any of several: a comma list"),
        )
        .arg(
            Arg::new("json")
                .long("json")
                .action(ArgAction::SetTrue)
                .help("Print JSON"),
        )
        .arg(
            Arg::new("wait")
                .long("wait")
                .value_name("SECONDS")
                .default_value("60")
                .value_parser(value_parser!(u64).range(1..))
                .help("How long a test program may take to list its tests"),
        )
        .arg(
            Arg::new("cargo")
                .value_name("CARGO OPTIONS")
                .num_args(0..)
                .last(true)
                .help("What `cargo test` is given, such as --workspace, -p, --features, --test"),
        )
}

fn run(matches: &ArgMatches) -> ExitCode {
    let words = |name| -> Vec<String> {
        let words = matches.get_many::<String>(name).unwrap_or_default();
        words.cloned().collect()
    };
    let programs = match build::test_programs(&words("cargo")) {
        Ok(programs) => programs,
        Err(build::Failed::NotStarted(why)) => return complain(why),
        // It has said itself what is wrong.
        Err(build::Failed::Ended(code)) => return ExitCode::from(code),
    };
    let wait = *matches.get_one::<u64>("wait").expect("it has a default");
    let wait = Duration::from_secs(wait);
    let mut found = Vec::new();
    let mut exit = ExitCode::SUCCESS;
    for program in &programs {
        match ask::tests_of(program, wait) {
            Ok(tests) => found.extend(tests.into_iter().map(|test| InProgram {
                program: program.name.clone(),
                test,
            })),
            Err(why) => {
                let path = program.executable.display();
                exit = complain(format!(
                    "the tests of {} ({path}) are missing: {why}",
                    program.name
                ));
            }
        }
    }
    let tags = words("tags");
    found.retain(|found| is_wanted(&found.test, &tags));
    if matches.get_flag("json") {
        match serde_json::to_string_pretty(&found) {
            Ok(text) => print(&(text + "\n")),
            Err(error) => return complain(error),
        }
    } else {
        print(&text(&found, programs.len(), Paint::for_stdout()));
    }
    exit
}

/// A test, with the test program that holds it.
#[derive(Debug, Clone, Serialize)]
struct InProgram {
    program: String,
    #[serde(flatten)]
    test: Listed,
}

/// Whether a test has any of the tags; all have, where none is named.
fn is_wanted(test: &Listed, tags: &[String]) -> bool {
    tags.is_empty() || tags.iter().any(|tag| test.tags.contains(tag))
}

fn text(found: &[InProgram], programs: usize, paint: Paint) -> String {
    let mut by_program: BTreeMap<(&str, &str), Vec<&Listed>> = BTreeMap::new();
    for one in found {
        let program = (one.test.package.as_str(), one.program.as_str());
        by_program.entry(program).or_default().push(&one.test);
    }
    let mut text = String::new();
    for ((package, program), tests) in &by_program {
        let _ = writeln!(text, "{}", paint.bold(&format!("{package} ({program})")));
        for test in tests {
            push(&mut text, test, paint);
        }
        text.push('\n');
    }
    let tests = if found.len() == 1 { "test" } else { "tests" };
    let _ = writeln!(
        text,
        "{} chaos {tests} in {} of {programs} test programs",
        found.len(),
        by_program.len()
    );
    text
}

fn push(text: &mut String, test: &Listed, paint: Paint) {
    let place = format!("{}:{}", test.file, test.line);
    let _ = writeln!(text, "  {}  {place}", paint.good(&test.test));
    for line in test.hypothesis.lines() {
        let _ = writeln!(text, "    {}", line.trim());
    }
    let breaks = match &test.breaks {
        None => "anything that it makes".to_owned(),
        Some(names) if names.is_empty() => "nothing".to_owned(),
        Some(names) => names.join(", "),
    };
    let mut about = vec![format!("breaks {breaks}")];
    if !test.blast_radius.is_empty() {
        about.push(format!("blast radius {}", test.blast_radius.join(", ")));
    }
    if !test.requires.is_empty() {
        about.push(format!("requires {}", test.requires.join(", ")));
    }
    if !test.leases.is_empty() {
        about.push(format!("leases {}", test.leases.join(", ")));
    }
    if test.exclusive {
        about.push("exclusive".to_owned());
    }
    let timeout = __cli::human(Duration::from_millis(test.timeout_ms));
    about.push(format!("timeout {timeout}"));
    if !test.tags.is_empty() {
        about.push(format!("tags {}", test.tags.join(", ")));
    }
    if test.ignored {
        about.push("ignored".to_owned());
    }
    let _ = writeln!(text, "    {}", about.join("; "));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tests() -> Vec<InProgram> {
        let plain = Listed {
            package: "shop".into(),
            test: "cache::it_survives".into(),
            hypothesis: "The shop answers\n  without its cache.".into(),
            tags: vec!["cache".into(), "slow".into()],
            breaks: Some(vec!["cache".into()]),
            blast_radius: vec!["services <= 1".into(), "connections <= 10 %".into()],
            requires: vec!["docker".into(), "program:redis-server".into()],
            leases: vec!["staging".into()],
            exclusive: true,
            timeout_ms: 60_000,
            file: "shop/tests/chaos.rs".into(),
            line: 17,
            ignored: false,
        };
        let bare = Listed {
            test: "anything".into(),
            hypothesis: String::new(),
            tags: Vec::new(),
            breaks: None,
            blast_radius: Vec::new(),
            requires: Vec::new(),
            leases: Vec::new(),
            exclusive: false,
            timeout_ms: 300_000,
            line: 40,
            ignored: true,
            ..plain.clone()
        };
        let in_program = |program: &str, test| InProgram {
            program: program.into(),
            test,
        };
        vec![in_program("test chaos", plain), in_program("lib", bare)]
    }

    #[test]
    fn tests_are_listed_by_their_programs() {
        insta::assert_snapshot!(text(&tests(), 3, Paint::NONE), @r#"
        shop (lib)
          anything  shop/tests/chaos.rs:40
            breaks anything that it makes; timeout 5 min; ignored

        shop (test chaos)
          cache::it_survives  shop/tests/chaos.rs:17
            The shop answers
            without its cache.
            breaks cache; blast radius services <= 1, connections <= 10 %; requires docker, program:redis-server; leases staging; exclusive; timeout 60 s; tags cache, slow

        2 chaos tests in 2 of 3 test programs
        "#);
        insta::assert_snapshot!(text(&[], 1, Paint::NONE), @"0 chaos tests in 0 of 1 test programs");
    }

    #[test]
    fn machines_have_each_limit_of_the_blast_radius() {
        let json = serde_json::to_value(tests()).unwrap();
        insta::assert_snapshot!(json[0]["blast_radius"], @r#"["services <= 1","connections <= 10 %"]"#);
        insta::assert_snapshot!(json[1]["blast_radius"], @"[]");
    }

    #[test]
    fn any_of_the_tags_will_do() {
        let tests = tests();
        let wanted = |tags: &[&str]| {
            let tags: Vec<String> = tags.iter().map(|&tag| tag.to_owned()).collect();
            let tests = tests.iter().map(|found| is_wanted(&found.test, &tags));
            tests.collect::<Vec<_>>()
        };
        assert_eq!(wanted(&[]), [true, true]);
        assert_eq!(wanted(&["none", "slow"]), [true, false]);
        assert_eq!(wanted(&["cach"]), [false, false]);
    }
}
