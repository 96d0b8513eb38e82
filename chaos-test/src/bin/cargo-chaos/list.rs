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

use chaos_test::__cli::{self, Listed, Selection};
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use serde::Serialize;

use crate::paint::Paint;
use crate::{Subcommand, complain, print};

use build::TestProgram;

pub(crate) const SUBCOMMAND: Subcommand = Subcommand { define, run };

const AFTER_HELP: &str = "\
It builds the tests as `cargo test --no-run` does, with what stands after `--`, and runs none of
them. Each test program is started with `--list`; one with a `main` of its own should heed that.

An expression is made of tags, `and`, `or`, `not` and parentheses, as in CHAOS_TAGS; a comma is an
`or`. `--tags` without one shows which tags there are, and how many tests have each.

Examples:
  cargo chaos list
  cargo chaos list -- --workspace --features chaos
  cargo chaos list --tags 'network and not slow' -- -p shop --test chaos
  cargo chaos list --tags -- --workspace
  cargo chaos list --json -- --features chaos";

fn define() -> Command {
    Command::new("list")
        .about("List the chaos tests, with what they claim, break and need")
        .after_help(AFTER_HELP)
        .arg(
            Arg::new("tags")
                .long("tags")
                .value_name("EXPRESSION")
                .num_args(0..=1)
                .value_parser(expression)
                .action(ArgAction::Append)
                .help("Only tests with such tags; without an expression, the tags themselves"),
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
    let cargo: Vec<String> = matches
        .get_many("cargo")
        .unwrap_or_default()
        .cloned()
        .collect();
    let wanted = Wanted::of(matches);
    let programs = match build::test_programs(&cargo) {
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
    for remark in wanted.remarks(&found) {
        let _ = complain(remark);
    }
    found.retain(|found| wanted.has(&found.test));
    let tags = wanted.only_tags.then(|| tags_of(&found));
    if matches.get_flag("json") {
        let json = match &tags {
            Some(tags) => serde_json::to_string_pretty(tags),
            None => serde_json::to_string_pretty(&found),
        };
        match json {
            Ok(text) => print(&(text + "\n")),
            Err(error) => return complain(error),
        }
    } else {
        let paint = Paint::for_stdout();
        print(&match &tags {
            Some(tags) => text_of_tags(tags, &found, programs.len(), paint),
            None => text(&found, programs.len(), paint),
        });
    }
    exit
}

/// A tag expression on the command line.
#[derive(Debug, Clone)]
struct Expression(Selection);

fn expression(text: &str) -> Result<Expression, String> {
    match Selection::parse(text)? {
        Some(selection) => Ok(Expression(selection)),
        None => Err("there is no tag in it; `--tags` alone shows the tags".to_owned()),
    }
}

/// What is to be listed.
struct Wanted {
    /// Any of these; none: all tests.
    expressions: Vec<Selection>,
    /// Whether the tags are listed and not the tests.
    only_tags: bool,
}

impl Wanted {
    fn of(matches: &ArgMatches) -> Self {
        let given = matches.get_occurrences::<Expression>("tags");
        let given: Vec<Vec<&Expression>> =
            given.into_iter().flatten().map(Iterator::collect).collect();
        Self {
            only_tags: given.iter().any(Vec::is_empty),
            expressions: given.iter().flatten().map(|one| one.0.clone()).collect(),
        }
    }

    fn has(&self, test: &Listed) -> bool {
        let mut expressions = self.expressions.iter();
        self.expressions.is_empty() || expressions.any(|one| one.selects(&test.tags))
    }

    /// What is to be said of tags that no test has.
    fn remarks(&self, found: &[InProgram]) -> Vec<String> {
        let tags = tags_of(found);
        let known: Vec<&str> = tags.iter().map(|counted| counted.tag.as_str()).collect();
        let unknown = self.expressions.iter().flat_map(|one| one.unknown(&known));
        unknown
            .map(|unknown| format!("no chaos test has {unknown}"))
            .collect()
    }
}

/// A tag, and how many tests have it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Counted {
    tag: String,
    tests: usize,
}

/// The tags of some tests, by their names.
fn tags_of(found: &[InProgram]) -> Vec<Counted> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for tag in found.iter().flat_map(|found| &found.test.tags) {
        *counts.entry(tag).or_default() += 1;
    }
    let counted = counts.into_iter().map(|(tag, tests)| Counted {
        tag: tag.to_owned(),
        tests,
    });
    counted.collect()
}

fn text_of_tags(tags: &[Counted], found: &[InProgram], programs: usize, paint: Paint) -> String {
    let name_width = tags.iter().map(|one| one.tag.len()).max().unwrap_or(0);
    let width = found.len().to_string().len();
    let mut text = String::new();
    for Counted { tag, tests } in tags {
        let space = " ".repeat(name_width - tag.len());
        let tag = paint.good(tag);
        let _ = writeln!(
            text,
            "{tag}{space}  {tests:>width$} {}",
            noun(*tests, "test")
        );
    }
    let without = found.iter().filter(|one| one.test.tags.is_empty()).count();
    let _ = writeln!(
        text,
        "{}{} {}; {without} of {} chaos {} in {programs} test {} without any",
        if tags.is_empty() { "" } else { "\n" },
        tags.len(),
        noun(tags.len(), "tag"),
        found.len(),
        noun(found.len(), "test"),
        noun(programs, "program"),
    );
    text
}

fn noun(count: usize, one: &str) -> String {
    if count == 1 {
        one.to_owned()
    } else {
        format!("{one}s")
    }
}

/// A test, with the test program that holds it.
#[derive(Debug, Clone, Serialize)]
struct InProgram {
    program: String,
    #[serde(flatten)]
    test: Listed,
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

    fn wanted(arguments: &[&str]) -> Wanted {
        Wanted::of(&define().get_matches_from([&["list"], arguments].concat()))
    }

    #[test]
    fn machines_have_each_limit_of_the_blast_radius() {
        let json = serde_json::to_value(tests()).unwrap();
        insta::assert_snapshot!(json[0]["blast_radius"], @r#"["services <= 1","connections <= 10 %"]"#);
        insta::assert_snapshot!(json[1]["blast_radius"], @"[]");
    }

    #[test]
    fn an_expression_chooses_tests_and_several_choose_those_of_any() {
        let tests = tests();
        let has = |arguments: &[&str]| {
            let wanted = wanted(arguments);
            let tests = tests.iter().map(|found| wanted.has(&found.test));
            tests.collect::<Vec<_>>()
        };
        assert_eq!(has(&[]), [true, true]);
        assert_eq!(has(&["--tags"]), [true, true]);
        assert_eq!(has(&["--tags", "none,slow"]), [true, false]);
        assert_eq!(has(&["--tags", "slow and not cache"]), [false, false]);
        assert_eq!(
            has(&["--tags", "none", "--tags", "not slow"]),
            [false, true]
        );
        assert_eq!(has(&["--tags", "cach", "--", "-p", "shop"]), [false, false]);
        assert_eq!(
            wanted(&["--tags", "cach or slow"]).remarks(&tests),
            ["no chaos test has the tag `cach`, did you mean `cache`?"]
        );
        for (arguments, only_tags) in [
            (&[][..], false),
            (&["--tags", "slow"], false),
            (&["--tags"], true),
            (&["--tags", "slow", "--tags", "--json"], true),
            (&["--tags", "--", "-p", "shop"], true),
        ] {
            assert_eq!(wanted(arguments).only_tags, only_tags, "{arguments:?}");
        }
    }

    #[test]
    fn an_expression_that_makes_no_sense_is_a_mistake_of_the_command_line() {
        let refused = define().try_get_matches_from(["list", "--tags", "a and and b"]);
        let refused = refused.unwrap_err();
        assert_eq!(refused.exit_code(), 2);
        insta::assert_snapshot!(refused.to_string(), @r"
        error: invalid value 'a and and b' for '--tags [<EXPRESSION>]': a tag is missing before `and`
          a and and b
                ^^^

        For more information, try '--help'.
        ");
        let refused = define().try_get_matches_from(["list", "--tags", " "]);
        assert!(
            refused
                .unwrap_err()
                .to_string()
                .contains("there is no tag in it")
        );
    }

    #[test]
    fn tags_are_listed_with_how_many_tests_have_them() {
        let mut tests = tests();
        let two_tags = tests[0].clone();
        tests.extend([two_tags.clone(), two_tags]);
        tests[3].test.tags.truncate(1);
        let shown = |tests: &[InProgram]| text_of_tags(&tags_of(tests), tests, 3, Paint::NONE);
        insta::assert_snapshot!(shown(&tests), @r"
        cache  3 tests
        slow   2 tests

        2 tags; 1 of 4 chaos tests in 3 test programs without any
        ");
        insta::assert_snapshot!(shown(&[]), @"0 tags; 0 of 0 chaos tests in 3 test programs without any");
    }
}
