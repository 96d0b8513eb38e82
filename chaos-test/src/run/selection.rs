//! Which tests of this process are run at all: `CHAOS_TAGS`, `CHAOS_LAST_FAILED`.
//!
//! A test that is not is skipped, visibly. `CHAOS_REQUIRE` never makes that a failure: it is what
//! was asked for.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};

use crate::decide::selection::Selection;
use crate::error::{Error, Kind};
use crate::model::spec::TestSpec;
use crate::system::{place, registry, terminal};

use super::control;
use super::inner::Inner;
use super::process_run::ProcessRun;
use super::reports::Failed;

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
        return Ok(Some(format!("deselected by {TAGS}=`{tags}`")));
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

/// What had failed when this process's run began; read once.
static FAILED_BEFORE: OnceLock<Result<BTreeSet<Failed>, String>> = OnceLock::new();

fn failed_before(run: &ProcessRun) -> Result<&'static BTreeSet<Failed>, Error> {
    let read = FAILED_BEFORE.get_or_init(|| {
        let found = run.reports.failed_before();
        let (mut failed, is_first) = found.map_err(|error| error.to_string())?;
        // Not forgotten: with other features they may be there again.
        for gone in gone(&failed) {
            failed.remove(&gone);
        }
        if is_first && failed.is_empty() {
            terminal::say(&format!(
                "chaos-test: {LAST_FAILED}: no test is known to have failed when it last ran, so \
                 all are run"
            ));
        }
        Ok(failed)
    });
    read.as_ref().map_err(|why| {
        let what = format!("it cannot be known which tests failed last: {why}");
        Error::new(Kind::State, what).help(format!("run all of them, without {LAST_FAILED}"))
    })
}

/// Tests of this program that are not there any more.
fn gone(failed: &BTreeSet<Failed>) -> Vec<Failed> {
    let specs = registry::specs();
    let tests: BTreeSet<Failed> = specs.iter().map(|spec| named(spec)).collect();
    let binaries: BTreeSet<&str> = tests.iter().map(|test| test.binary.as_str()).collect();
    let ours = failed
        .iter()
        .filter(|test| binaries.contains(test.binary.as_str()));
    ours.filter(|test| !tests.contains(*test))
        .cloned()
        .collect()
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
/// something else.
pub(super) fn remarks() -> Vec<String> {
    let specs = registry::specs();
    let mut remarks = Vec::new();
    if let Ok(Some(tags)) = tags() {
        let tests: Vec<&[&str]> = specs.iter().map(|spec| spec.tags).collect();
        remarks = of_tags(&tags, &tests);
    }
    if let Some(Ok(failed)) = FAILED_BEFORE.get() {
        let own: BTreeSet<Failed> = specs.iter().map(|spec| named(spec)).collect();
        remarks.extend(of_failed(failed, &own));
    }
    remarks
}

/// Where the tests are that failed, if none of them is here.
fn of_failed(failed: &BTreeSet<Failed>, own: &BTreeSet<Failed>) -> Option<String> {
    if failed.is_empty() || !failed.is_disjoint(own) {
        return None;
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

    #[test]
    fn where_the_failed_tests_are_is_said_where_none_is() {
        let test = |binary: &str, name: &str| Failed {
            binary: binary.to_owned(),
            name: name.to_owned(),
        };
        let own = BTreeSet::from([test("shop::chaos", "a"), test("shop::chaos", "b")]);
        let elsewhere = [test("shop", "a"), test("shop", "c"), test("cart", "a")];
        let elsewhere = BTreeSet::from(elsewhere);
        assert_eq!(
            of_failed(&elsewhere, &own).unwrap(),
            "CHAOS_LAST_FAILED: none of the chaos tests of this program failed last time; in \
             others: cart (1), shop (2)"
        );
        let mut both = elsewhere;
        both.insert(test("shop::chaos", "b"));
        assert_eq!(of_failed(&both, &own), None);
        assert_eq!(of_failed(&BTreeSet::new(), &own), None);
    }
}
