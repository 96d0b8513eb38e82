//! Which tests of this process are run at all: `CHAOS_TAGS`, `CHAOS_LAST_FAILED`.
//!
//! A test that is not is skipped, visibly. `CHAOS_REQUIRE` never makes that a failure: it is what
//! was asked for.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, OnceLock};

use crate::decide::selection::Selection;
use crate::error::{Error, Kind};
use crate::model::spec::TestSpec;
use crate::system::{identity, place, registry, terminal};

use super::control;
use super::inner::Inner;
use super::process_run::ProcessRun;
use super::reports::{Asker, Failed, Remembered};

const TAGS: &str = "CHAOS_TAGS";
const LAST_FAILED: &str = "CHAOS_LAST_FAILED";
/// What a deselected test is skipped for want of. Nobody can demand it.
pub(super) const CAPABILITY: &str = "selection";

/// The tag expression of this process; `None`: tags do not matter.
///
/// # Errors
///
/// If it makes no sense; the error marks the place.
pub(super) fn tags() -> Result<Option<Selection>, Error> {
    let text = std::env::var_os(TAGS).unwrap_or_default();
    Selection::parse(&text.to_string_lossy()).map_err(|wrong| {
        Error::new(Kind::Usage, format!("{TAGS} makes no sense: {wrong}")).help(
            "it is made of tags, `and`, `or`, `not` and parentheses, such as \
             CHAOS_TAGS=\"network and not slow\"",
        )
    })
}

/// Whether only those tests are asked for that failed when they last ran.
///
/// # Errors
///
/// If the variable makes no sense.
pub(super) fn only_failed() -> Result<bool, Error> {
    let set = std::env::var_os(LAST_FAILED).unwrap_or_default();
    match set.to_string_lossy().trim().to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" => Ok(true),
        "" | "0" | "false" | "no" => Ok(false),
        other => Err(Error::new(
            Kind::Usage,
            format!("{LAST_FAILED} is `{other}`, which is neither yes nor no"),
        )
        .help("`1` runs only the tests that failed when they last ran; leave it empty to run all")),
    }
}

/// Checks what was asked for, before anything is made for a test.
///
/// # Errors
///
/// If it makes no sense.
pub(super) fn check_variables() -> Result<(), Error> {
    tags()?;
    only_failed().map(drop)
}

/// Why a test is not among those that were asked for; `None`: it is.
///
/// # Errors
///
/// If what was asked for makes no sense, or what failed last cannot be known.
pub(super) fn deselected(spec: &TestSpec, run: &ProcessRun) -> Result<Option<String>, Error> {
    // A control is a part of its test, which was asked for.
    if control::role(spec).is_some() {
        return Ok(None);
    }
    if let Some(tags) = tags()?
        && !tags.selects(spec.tags)
    {
        let mut why = format!("deselected by {TAGS}=`{tags}`");
        // There each test is a process of its own, and nobody is at the end of all of them.
        if std::env::var_os("NEXTEST").is_some() {
            for remark in of_tags(&tags, &all_tags()) {
                why += &format!("; {remark}");
            }
        }
        return Ok(Some(why));
    }
    if !only_failed()? {
        return Ok(None);
    }
    let failed = failed_before(run)?;
    let is_wanted = failed.is_empty() || failed.contains(&named(spec));
    Ok((!is_wanted).then(|| format!("deselected by {LAST_FAILED}: it did not fail last time")))
}

fn named(spec: &TestSpec) -> Failed {
    Failed {
        binary: place::binary_id(spec),
        name: spec.path(),
    }
}

/// What had failed when this process's run began, and may still be there; read once.
static FAILED_BEFORE: OnceLock<Result<BTreeSet<Failed>, String>> = OnceLock::new();

fn failed_before(run: &ProcessRun) -> Result<&'static BTreeSet<Failed>, Error> {
    let read = FAILED_BEFORE.get_or_init(|| {
        let asker = Asker {
            program: place::program().map(Path::to_owned).unwrap_or_default(),
            runner: identity::parent_of(std::process::id()),
        };
        let found = run.reports.failed_before(&asker, identity::is_alive);
        let (failed, is_first) = found.map_err(|error| error.to_string())?;
        let Sorted { there, renamed } = sorted(&failed, &own_tests(), &asker.program);
        for test in &renamed {
            let forgotten = run.reports.forget(test);
            forgotten.map_err(|error| error.to_string())?;
        }
        if there.is_empty() && (is_first || !renamed.is_empty()) {
            let none = if failed.is_empty() {
                "no test is known to have failed when it last ran"
            } else {
                "none of the tests that failed when they last ran is there any more"
            };
            terminal::say(&format!(
                "chaos-test: {LAST_FAILED}: {none}, so all are run"
            ));
        }
        Ok(there)
    });
    read.as_ref().map_err(|why| {
        let what = format!("it cannot be known which tests failed last: {why}");
        Error::new(Kind::State, what).help(format!("run all of them, without {LAST_FAILED}"))
    })
}

fn own_tests() -> BTreeSet<Failed> {
    let specs = registry::specs();
    specs.iter().map(|spec| named(spec)).collect()
}

/// What is known to have failed, as this program sees it.
#[derive(Debug, PartialEq)]
struct Sorted {
    /// Those that are there, here or in other programs.
    there: BTreeSet<Failed>,
    /// Those that this very program had and has no more.
    renamed: Vec<Failed>,
}

/// A test that this program does not have is left out. Where it failed in this very program it was
/// renamed or removed; where it failed in one of the same name with other features, it may be there
/// again.
fn sorted(failed: &[Remembered], own: &BTreeSet<Failed>, program: &Path) -> Sorted {
    let binaries: BTreeSet<&str> = own.iter().map(|test| test.binary.as_str()).collect();
    let folder = program.parent().unwrap_or(Path::new("."));
    let (mut there, mut renamed) = (BTreeSet::new(), Vec::new());
    for failed in failed {
        let is_there = if binaries.contains(failed.test.binary.as_str()) {
            own.contains(&failed.test)
        } else {
            failed.program.as_deref() != Some(program) && failed.may_be_there(folder)
        };
        if is_there {
            there.insert(failed.test.clone());
        } else if failed.program.as_deref() == Some(program) {
            renamed.push(failed.test.clone());
        }
    }
    Sorted { there, renamed }
}

/// Ends a test that was not asked for as skipped, before anything is done for it.
pub(super) fn check(inner: &Arc<Inner>) -> Result<(), Error> {
    match &inner.identity.deselected {
        None => Ok(()),
        Some(why) => Err(Error::new(
            Kind::Skip {
                capability: Some(CAPABILITY.to_owned()),
            },
            why.clone(),
        )),
    }
}

/// What is to be said at the end of what was asked for: that it means nothing here, or probably
/// something else. `ran_none`: no test of this program has been run.
pub(super) fn remarks(ran_none: bool) -> Vec<String> {
    let mut remarks = Vec::new();
    if let Ok(Some(tags)) = tags() {
        remarks = of_tags(&tags, &all_tags());
    }
    if let Some(Ok(failed)) = FAILED_BEFORE.get() {
        let specs = registry::specs();
        let ignored = specs.iter().filter(|spec| spec.ignored);
        let ignored = ignored.map(|spec| named(spec)).collect();
        remarks.extend(of_failed(failed, &own_tests(), &ignored, ran_none));
    }
    remarks
}

fn all_tags() -> Vec<&'static [&'static str]> {
    let specs = registry::specs().into_iter();
    specs.map(|spec| spec.tags).collect()
}

/// Where the tests are that failed, if none of them is here or none has been run.
fn of_failed(
    failed: &BTreeSet<Failed>,
    own: &BTreeSet<Failed>,
    ignored: &BTreeSet<Failed>,
    ran_none: bool,
) -> Option<String> {
    let here: Vec<&Failed> = failed.intersection(own).collect();
    if failed.is_empty() || !(here.is_empty() || ran_none) {
        return None;
    }
    if !here.is_empty() {
        return Some(format!("{LAST_FAILED}: {}", not_run(&here, ignored)));
    }
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for test in failed {
        *counts.entry(&test.binary).or_default() += 1;
    }
    let counts: Vec<String> = counts
        .iter()
        .map(|(binary, count)| format!("{binary} ({count})"))
        .collect();
    Some(format!(
        "{LAST_FAILED}: none of the chaos tests of this program failed last time; in others: {}",
        counts.join(", ")
    ))
}

/// So many tests are named.
const NAMED: usize = 3;

fn not_run(here: &[&Failed], ignored: &BTreeSet<Failed>) -> String {
    let mut names: Vec<&str> = here
        .iter()
        .take(NAMED)
        .map(|test| test.name.as_str())
        .collect();
    let more = format!("{} more", here.len().saturating_sub(NAMED));
    if here.len() > NAMED {
        names.push(&more);
    }
    let why = if here.iter().all(|test| ignored.contains(*test)) {
        "they carry #[ignore], and `-- --include-ignored` runs them"
    } else {
        "what else was asked for leaves them out"
    };
    format!(
        "of the chaos tests that failed last time none has been run here ({}): {why}",
        names.join(", ")
    )
}

fn of_tags(tags: &Selection, tests: &[&[&str]]) -> Vec<String> {
    let mut known: Vec<&str> = tests.iter().flat_map(|tags| tags.iter().copied()).collect();
    known.sort_unstable();
    known.dedup();
    let selects_none = !tests.iter().any(|test| tags.selects(test));
    let mut remarks = Vec::new();
    if selects_none {
        let there_are = match known.as_slice() {
            [] => "they have no tags".to_owned(),
            known => format!("their tags are {}", known.join(", ")),
        };
        remarks.push(format!(
            "{TAGS}=`{tags}` selects none of the chaos tests of this program: {there_are}"
        ));
    }
    // Another program of the run may well have a tag that is not like any here.
    let misspelt = tags.unknown(&known).into_iter();
    let misspelt = misspelt.filter(|unknown| selects_none || unknown.meant.is_some());
    remarks.extend(misspelt.map(|unknown| format!("no chaos test of this program has {unknown}")));
    remarks
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str, tests: &[&[&str]]) -> Vec<String> {
        of_tags(&Selection::parse(text).unwrap().unwrap(), tests)
    }

    #[test]
    fn what_means_nothing_or_probably_something_else_is_said() {
        let tests: &[&[&str]] = &[&["network", "slow"], &[], &["slow"]];
        assert!(said("not slow", tests).is_empty());
        // A tag of another program, for all that is known here.
        assert!(said("not zebra", tests).is_empty());
        assert_eq!(
            said("not slowe", tests),
            ["no chaos test of this program has the tag `slowe`, did you mean `slow`?"]
        );
        assert_eq!(
            said("netwrk and zebra", tests),
            [
                "CHAOS_TAGS=`netwrk and zebra` selects none of the chaos tests of this program: \
                 their tags are network, slow",
                "no chaos test of this program has the tag `netwrk`, did you mean `network`?",
                "no chaos test of this program has the tag `zebra`",
            ]
        );
        assert_eq!(
            said("slow", &[&[]])[0],
            "CHAOS_TAGS=`slow` selects none of the chaos tests of this program: they have no tags"
        );
    }

    fn test(binary: &str, name: &str) -> Failed {
        Failed {
            binary: binary.to_owned(),
            name: name.to_owned(),
        }
    }

    #[test]
    fn where_the_failed_tests_are_is_said_where_none_is() {
        let own = BTreeSet::from([test("shop::chaos", "a"), test("shop::chaos", "b")]);
        let elsewhere = [test("shop", "a"), test("shop", "c"), test("cart", "a")];
        let elsewhere = BTreeSet::from(elsewhere);
        let none = BTreeSet::new();
        assert_eq!(
            of_failed(&elsewhere, &own, &none, false).unwrap(),
            "CHAOS_LAST_FAILED: none of the chaos tests of this program failed last time; in \
             others: cart (1), shop (2)"
        );
        let mut both = elsewhere;
        both.insert(test("shop::chaos", "b"));
        assert_eq!(of_failed(&both, &own, &none, false), None);
        assert_eq!(of_failed(&none, &own, &none, true), None);
    }

    #[test]
    fn failed_tests_that_have_not_been_run_are_told() {
        let all: BTreeSet<Failed> = ["a", "b", "c", "d", "e"]
            .map(|name| test("shop", name))
            .into();
        let a = BTreeSet::from([test("shop", "a")]);
        assert_eq!(
            of_failed(&a, &all, &a, true).unwrap(),
            "CHAOS_LAST_FAILED: of the chaos tests that failed last time none has been run here \
             (a): they carry #[ignore], and `-- --include-ignored` runs them"
        );
        assert_eq!(of_failed(&a, &all, &a, false), None);
        assert_eq!(
            of_failed(&all, &all, &a, true).unwrap(),
            "CHAOS_LAST_FAILED: of the chaos tests that failed last time none has been run here \
             (a, b, c, 2 more): what else was asked for leaves them out"
        );
    }

    #[test]
    fn what_this_very_program_has_no_more_was_renamed() {
        let program = std::env::current_exe().unwrap();
        let failed = |binary: &str, name: &str, program: Option<&Path>| Remembered {
            test: test(binary, name),
            program: program.map(Path::to_owned),
            source: None,
        };
        let gone = Some(Path::new("/nowhere/at-all"));
        let own = BTreeSet::from([test("shop", "there"), test("shop", "moved")]);
        let known = [
            failed("shop", "there", Some(&program)),
            failed("shop", "moved", gone),
            failed("shop", "renamed", Some(&program)),
            failed("shop", "with_other_features", gone),
            failed("was_shop", "there", Some(&program)),
            failed("cart", "there", None),
            failed("cart", "of_a_gone_program", gone),
        ];
        let there = [
            test("cart", "there"),
            test("shop", "moved"),
            test("shop", "there"),
        ];
        assert_eq!(
            sorted(&known, &own, &program),
            Sorted {
                there: there.into(),
                renamed: vec![test("shop", "renamed"), test("was_shop", "there")],
            }
        );
    }
}
