//! Where reports go, and which run this process belongs to.

use std::path::{Path, PathBuf};

use super::{identity, stem};
use crate::decide::again::Target;
use crate::model::fingerprint::fingerprint;
use crate::model::spec::TestSpec;

/// The folder for reports: `CHAOS_DIR`, else `chaos` in cargo's target folder.
pub(crate) fn reports(target_tmpdir: Option<&str>) -> PathBuf {
    reports_of(target_tmpdir, std::env::current_exe().ok())
        .unwrap_or_else(|| absolute(PathBuf::from("target/chaos")))
}

/// As [`reports`], for the tests of the workspace that this program is started in and is no
/// part of; `None` where it is started in none.
#[cfg(feature = "cli")]
pub(crate) fn reports_of_here() -> Option<PathBuf> {
    reports_of(None, None)
}

fn reports_of(target_tmpdir: Option<&str>, exe: Option<PathBuf>) -> Option<PathBuf> {
    let variable = |name| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path: &PathBuf| !path.as_os_str().is_empty())
    };
    if let Some(folder) = variable("CHAOS_DIR") {
        return Some(absolute(folder));
    }
    let target = variable("CARGO_TARGET_DIR")
        // A relative one is relative to where cargo was started, which nobody tells us.
        .filter(|target| target.is_absolute())
        .or_else(|| Some(Path::new(target_tmpdir?).parent()?.to_owned()))
        .or_else(|| outermost_with(exe.as_deref()?, "CACHEDIR.TAG"))
        .or_else(|| {
            let start = std::env::current_dir().ok()?;
            Some(outermost_with(&start.join("x"), "Cargo.lock")?.join("target"))
        })?;
    Some(target.join("chaos"))
}

fn absolute(path: PathBuf) -> PathBuf {
    std::path::absolute(&path).unwrap_or(path)
}

pub(super) fn outermost_with(path: &Path, file: &str) -> Option<PathBuf> {
    path.ancestors()
        .skip(1)
        .filter(|folder| folder.join(file).is_file())
        .last()
        .map(Path::to_owned)
}

/// The run that this process belongs to, as a bare name.
pub(crate) fn run_id() -> String {
    let set = |name| std::env::var(name).ok().filter(|id| !id.is_empty());
    if let Some(id) = set("NEXTEST_RUN_ID").or_else(|| set("CHAOS_RUN_ID")) {
        return bare(&id);
    }
    let own = std::process::id();
    let place = stem::place(identity::boot_id(), identity::namespace());
    // All test binaries of one `cargo test` have the same parent. Any other parent, such as
    // a shell or an editor, lives through many runs.
    let parent = identity::stat(own)
        .map(|stat| stat.parent)
        .filter(|&parent| is_cargo(parent));
    let (kind, pid) = match parent {
        Some(parent) => ("cargo", parent),
        None => ("process", own),
    };
    let start = identity::stat(pid).map_or(0, |stat| stat.start_time);
    format!("{kind}-{place}-{start}-{pid}")
}

fn is_cargo(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.trim() == "cargo")
}

pub(crate) fn bare(id: &str) -> String {
    let safe: String = id
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || c == '-' || c == '_' {
                c
            } else {
                '_'
            }
        })
        .take(100)
        .collect();
    if safe == id {
        safe
    } else {
        // Two ids that differ only in what was replaced must stay two.
        let sum = fingerprint(id.bytes());
        format!("{safe}-{sum:016x}")
    }
}

/// The test binary's name as nextest has it: `package`, `package::test` or
/// `package::bin/name`.
pub(crate) fn binary_id(spec: &TestSpec) -> String {
    if let Ok(id) = std::env::var("NEXTEST_BINARY_ID")
        && !id.is_empty()
    {
        return id;
    }
    let crate_name = spec.module.split("::").next().unwrap_or(spec.module);
    match (spec.bin_name, spec.target_tmpdir) {
        (Some(bin), _) => format!("{}::bin/{bin}", spec.package),
        (None, Some(_)) => format!(
            "{}::{}",
            spec.package,
            target_name(Path::new(spec.manifest_dir), crate_name)
        ),
        (None, None) => spec.package.to_owned(),
    }
}

/// An integration test's target may have dashes where its crate has underscores.
fn target_name(manifest_dir: &Path, crate_name: &str) -> String {
    let entries = std::fs::read_dir(manifest_dir.join("tests"));
    entries
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            Some(name.strip_suffix(".rs").unwrap_or(&name).to_owned())
        })
        .find(|name| name.replace('-', "_") == crate_name)
        .unwrap_or_else(|| crate_name.to_owned())
}

/// The words of the cargo that runs this test, or of the runner that it started; none where
/// nobody above this process is one.
pub(crate) fn runner() -> Option<Vec<String>> {
    let mut pid = std::process::id();
    // A process that became an orphan meanwhile has the first one as its parent.
    loop {
        pid = identity::stat(pid)?.parent;
        if pid <= 1 {
            return None;
        }
        let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
        if matches!(name.trim(), "cargo" | "cargo-nextest") {
            break;
        }
    }
    let line = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let words = line.split(|&byte| byte == 0);
    let words = words.map(|word| String::from_utf8_lossy(word).into_owned());
    Some(words.collect())
}

/// What of its package a test is in.
pub(crate) fn target(spec: &TestSpec) -> Target {
    let crate_name = spec.module.split("::").next().unwrap_or(spec.module);
    match (spec.bin_name, spec.target_tmpdir) {
        (Some(name), _) if is_example() => Target::Example(name.to_owned()),
        (Some(name), _) => Target::Program(name.to_owned()),
        (None, Some(_)) => {
            let name = target_name(Path::new(spec.manifest_dir), crate_name);
            let is_there = |ending: &str| {
                let tests = Path::new(spec.manifest_dir).join("tests");
                tests.join(format!("{name}{ending}")).exists()
            };
            if is_there("") || is_there(".rs") {
                return Target::Tests(name);
            }
            // It lies elsewhere, and each underscore may be a dash.
            Target::Tests(name.replace('_', "[-_]"))
        }
        (None, None) => Target::Library,
    }
}

fn is_example() -> bool {
    let program = std::env::current_exe().ok();
    program.is_some_and(|path| {
        path.parent()
            .is_some_and(|folder| folder.ends_with("examples"))
    })
}

/// Which attempt of a runner that tries again this is; 1 is the first.
pub(crate) fn attempt() -> u32 {
    std::env::var("NEXTEST_ATTEMPT")
        .ok()
        .and_then(|attempt| attempt.parse().ok())
        .unwrap_or(1)
}

/// How many attempts such a runner makes at most, where it says so.
pub(crate) fn attempts() -> Option<u32> {
    std::env::var("NEXTEST_TOTAL_ATTEMPTS").ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn run_ids_are_bare_names_and_stay_different() {
        assert_eq!(bare("17f3-aB_9"), "17f3-aB_9");
        let (one, two) = (bare("../a"), bare("..\\a"));
        assert!(
            one.starts_with("___a-") && two.starts_with("___a-"),
            "{one} {two}"
        );
        assert_ne!(one, two);
    }

    #[test]
    fn a_process_has_one_run() {
        assert_eq!(run_id(), run_id());
    }
}
