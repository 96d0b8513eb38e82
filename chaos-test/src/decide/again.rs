//! The command that runs one test again, exactly as it was run: a pure function of what is known
//! of that run.

/// What is known of how a test was run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HowRun {
    /// The words of the cargo, or of the runner that cargo started, which runs the tests; none
    /// where the test program was started in another way.
    pub runner: Option<Vec<String>>,
    /// The package that the test is in.
    pub package: String,
    /// What of the package it is in.
    pub target: Target,
    /// The test's path.
    pub name: String,
    /// Whether it carries `#[ignore]`.
    pub ignored: bool,
    /// Variables that it was run with and that change what it does, in this order.
    pub variables: Vec<(String, String)>,
}

/// What of a package a test is in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Target {
    /// Nobody knows.
    #[default]
    Unknown,
    /// Its library.
    Library,
    /// This program.
    Program(String),
    /// This example.
    Example(String),
    /// This bench.
    Bench(String),
    /// This file of tests, or a pattern that only it fits.
    Tests(String),
}

/// Options without a value that decide what is built, and how.
const ALONE: &[&str] = &[
    "--workspace",
    "--all",
    "--all-features",
    "--no-default-features",
    "--release",
    "-r",
    "--locked",
    "--offline",
    "--frozen",
    "--ignore-rust-version",
];
/// Options with a value that do; short ones may have it attached.
const WITH_VALUE: &[&str] = &[
    "--package",
    "-p",
    "--exclude",
    "--features",
    "-F",
    "--profile",
    "-P",
    "--cargo-profile",
    "--target",
    "--target-dir",
    "--manifest-path",
    "--config",
    "--config-file",
    "--tool-config-file",
    "-Z",
];
/// Variables of ours that say nothing of what a test does: which run it belongs to, whether and
/// which tests run, and what people see meanwhile.
const NOT_OURS: &[&str] = &[
    "CHAOS_CONTROL",
    "CHAOS_LAST_FAILED",
    "CHAOS_LIST",
    "CHAOS_PROGRESS",
    "CHAOS_RUN_ID",
    "CHAOS_SEED",
    "CHAOS_STOP",
    "CHAOS_STOP_FILE",
];

/// Whether a variable belongs into the command.
#[must_use]
pub fn is_kept(variable: &str) -> bool {
    variable.starts_with("CHAOS_")
        && !variable.starts_with("CHAOS_TEST_")
        && !NOT_OURS.contains(&variable)
}

/// The command, in one line for a shell.
///
/// What was built is named as it was named then, so that nothing is built anew: other packages
/// and features would make other libraries.
#[must_use]
pub fn command(how: &HowRun) -> String {
    let mut words: Vec<String> = how
        .variables
        .iter()
        .map(|(name, value)| format!("{name}={}", quoted(value)))
        .collect();
    let runner = how.runner.as_deref().unwrap_or_default();
    let is_nextest = runner.iter().any(|word| word == "nextest");
    words.push(if is_nextest {
        "cargo nextest run".to_owned()
    } else {
        "cargo test".to_owned()
    });
    if how.runner.is_none() {
        words.push(format!("-p {}", quoted(&how.package)));
    }
    words.extend(kept_options(runner));
    match &how.target {
        Target::Unknown => {}
        Target::Library => words.push("--lib".to_owned()),
        Target::Program(name) => words.push(format!("--bin {}", quoted(name))),
        Target::Example(name) => words.push(format!("--example {}", quoted(name))),
        Target::Bench(name) => words.push(format!("--bench {}", quoted(name))),
        Target::Tests(name) => words.push(format!("--test {}", quoted(name))),
    }
    if is_nextest {
        if how.ignored {
            words.push("--run-ignored all".to_owned());
        }
        words.push(format!("-E {}", quoted(&format!("test(={})", how.name))));
    } else {
        words.push(format!("-- --exact {}", quoted(&how.name)));
        if how.ignored {
            words.push("--include-ignored".to_owned());
        }
    }
    words.join(" ")
}

fn kept_options(runner: &[String]) -> Vec<String> {
    let mut kept = Vec::new();
    let mut words = runner.iter().take_while(|word| *word != "--");
    while let Some(word) = words.next() {
        if ALONE.contains(&word.as_str()) {
            kept.push(word.clone());
        } else if WITH_VALUE.contains(&word.as_str()) {
            if let Some(value) = words.next() {
                kept.push(format!("{word} {}", quoted(value)));
            }
        } else if WITH_VALUE.iter().any(|option| has_value(word, option)) {
            kept.push(quoted(word));
        }
    }
    kept
}

/// Whether a word is an option and its value: `--features=a`, `-Fa`.
fn has_value(word: &str, option: &str) -> bool {
    match word.strip_prefix(option) {
        Some(rest) if option.starts_with("--") => rest.starts_with('='),
        Some(rest) => !rest.is_empty(),
        None => false,
    }
}

/// A word as a shell takes it for one.
fn quoted(word: &str) -> String {
    let is_bare = |c: char| c.is_ascii_alphanumeric() || "-_./:=,+@%".contains(c);
    if !word.is_empty() && word.chars().all(is_bare) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn how(runner: Option<&str>) -> HowRun {
        HowRun {
            runner: runner.map(|line| line.split(' ').map(str::to_owned).collect()),
            package: "shop".into(),
            target: Target::Tests("chaos".into()),
            name: "cache::survives".into(),
            ignored: false,
            variables: vec![("CHAOS_SEED".into(), "0x5eed".into())],
        }
    }

    #[test]
    fn what_was_built_is_named_as_it_was() {
        for (runner, expected) in [
            (
                None,
                "cargo test -p shop --test chaos -- --exact cache::survives",
            ),
            (
                Some("/usr/bin/cargo test"),
                "cargo test --test chaos -- --exact cache::survives",
            ),
            (
                Some("cargo test --features chaos -p shop -j 2 --lib -- --nocapture -p x"),
                "cargo test --features chaos -p shop --test chaos -- --exact cache::survives",
            ),
            (
                Some("cargo t -Fa,b --features=c -pshop --release --no-fail-fast surv"),
                "cargo test -Fa,b --features=c -pshop --release --test chaos -- --exact \
                 cache::survives",
            ),
            (
                Some("cargo-nextest nextest run --workspace --all-features --retries 2 -E all()"),
                "cargo nextest run --workspace --all-features --test chaos -E \
                 'test(=cache::survives)'",
            ),
            (
                Some("cargo test --features"),
                "cargo test --test chaos -- --exact cache::survives",
            ),
        ] {
            let expected = format!("CHAOS_SEED=0x5eed {expected}");
            assert_eq!(command(&how(runner)), expected, "{runner:?}");
        }
    }

    #[test]
    fn each_kind_of_target_and_an_ignored_test_have_their_options() {
        for (target, option) in [
            (Target::Unknown, ""),
            (Target::Library, " --lib"),
            (Target::Program("shop".into()), " --bin shop"),
            (Target::Example("tour".into()), " --example tour"),
            (Target::Bench("orders".into()), " --bench orders"),
            (Target::Tests("my[-_]chaos".into()), " --test 'my[-_]chaos'"),
        ] {
            let mut how = how(Some("cargo test"));
            (how.target, how.ignored) = (target, true);
            let expected = format!(
                "CHAOS_SEED=0x5eed cargo test{option} -- --exact cache::survives --include-ignored"
            );
            assert_eq!(command(&how), expected);
            how.runner = Some(vec!["cargo-nextest".into(), "nextest".into()]);
            let command = command(&how);
            assert!(
                command.ends_with(&format!(
                    "{option} --run-ignored all -E 'test(=cache::survives)'"
                )),
                "{command}"
            );
        }
    }

    #[test]
    fn a_shell_takes_each_value_as_it_was() {
        let mut how = how(Some("cargo test"));
        let variables = [
            ("CHAOS_ATTEST", "reviewed=ann 2026-11-20"),
            ("FALLBACK", "it's $HOME"),
        ];
        how.variables = variables
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into();
        assert!(
            command(&how).starts_with(
                r"CHAOS_ATTEST='reviewed=ann 2026-11-20' FALLBACK='it'\''s $HOME' cargo test"
            ),
            "{}",
            command(&how)
        );
    }

    #[test]
    fn only_variables_that_change_what_a_test_does_are_kept() {
        for (variable, expected) in [
            ("CHAOS_ENVIRONMENT", true),
            ("CHAOS_MY_OWN", true),
            ("CHAOS_SEED", false),
            ("CHAOS_RUN_ID", false),
            ("CHAOS_TEST_GATE", false),
            ("PATH", false),
        ] {
            assert_eq!(is_kept(variable), expected, "{variable}");
        }
    }
}
