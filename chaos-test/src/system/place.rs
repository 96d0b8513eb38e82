//! Where reports go, and which run this process belongs to.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use super::{identity, stem};
use crate::decide::again::Target;
use crate::model::fingerprint::fingerprint;
use crate::model::identity::ProcessIdentity;
use crate::model::spec::TestSpec;

/// Joins the processes of one run, where neither cargo nor nextest starts them.
pub(crate) const RUN_VARIABLE: &str = "CHAOS_RUN_ID";

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
    if let Some(id) = set("NEXTEST_RUN_ID").or_else(|| set(RUN_VARIABLE)) {
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

/// The runner that this process's run ends with: nextest, or the cargo that has started this
/// program. Nobody, where it was started in another way.
pub(crate) fn runner_of_run() -> Option<ProcessIdentity> {
    let of_nextest = std::env::var_os("NEXTEST_RUN_ID").is_some();
    let mut pid = std::process::id();
    loop {
        pid = identity::stat(pid)?.parent;
        if pid <= 1 {
            return None;
        }
        let is_it = match of_nextest {
            true => is_called(pid, "cargo-nextest"),
            false => is_called(pid, "cargo"),
        };
        if is_it {
            return identity::of(pid).ok();
        }
        // Any other parent, such as a shell or an editor, lives through many runs.
        if !of_nextest {
            return None;
        }
    }
}

fn is_cargo(pid: u32) -> bool {
    is_called(pid, "cargo")
}

fn is_called(pid: u32, name: &str) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|its| its.trim() == name)
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

/// The test binary's name as nextest has it: `package`, `package::test`, `package::bin/name`,
/// `package::example/name` or `package::bench/name`.
pub(crate) fn binary_id(spec: &TestSpec) -> String {
    if let Ok(id) = std::env::var("NEXTEST_BINARY_ID")
        && !id.is_empty()
    {
        return id;
    }
    id_of(spec.package, named_target(spec))
}

fn id_of(package: &str, target: Target) -> String {
    match target {
        Target::Program(name) => format!("{package}::bin/{name}"),
        Target::Example(name) => format!("{package}::example/{name}"),
        Target::Bench(name) => format!("{package}::bench/{name}"),
        Target::Tests(name) => format!("{package}::{name}"),
        Target::Library | Target::Unknown => package.to_owned(),
    }
}

/// The name of a target of tests or benches, which lie in `folder` where nobody says otherwise:
/// it may have dashes where its crate has underscores.
fn target_name(folder: &Path, crate_name: &str) -> String {
    let entries = std::fs::read_dir(folder);
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

/// The program that this is, as it lay where it was started.
pub(crate) fn program() -> Option<&'static Path> {
    static PROGRAM: OnceLock<Option<PathBuf>> = OnceLock::new();
    let program = PROGRAM.get_or_init(|| std::env::current_exe().ok());
    program.as_deref()
}

/// The file that a test is written in, where it is there: its path is relative to the folder that
/// the compiler was started in, which is the package's or one above it.
pub(crate) fn source(spec: &TestSpec) -> Option<PathBuf> {
    let folders = Path::new(spec.manifest_dir).ancestors();
    let mut files = folders.map(|folder| folder.join(spec.file));
    files.find(|file| file.is_file())
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

/// What of its package a test is in, as cargo's options take it.
pub(crate) fn target(spec: &TestSpec) -> Target {
    let is_in = |folder: &str, name: &str| {
        let folder = Path::new(spec.manifest_dir).join(folder);
        folder.join(name).exists() || folder.join(format!("{name}.rs")).exists()
    };
    match named_target(spec) {
        // It lies elsewhere, and each underscore may be a dash.
        Target::Tests(name) if !is_in("tests", &name) => Target::Tests(name.replace('_', "[-_]")),
        target => target,
    }
}

fn named_target(spec: &TestSpec) -> Target {
    let crate_name = spec.module.split("::").next().unwrap_or(spec.module);
    let name_in = |folder| target_name(&Path::new(spec.manifest_dir).join(folder), crate_name);
    match (spec.bin_name, spec.target_tmpdir) {
        (Some(name), _) if is_example() => Target::Example(name.to_owned()),
        (Some(name), _) => Target::Program(name.to_owned()),
        (None, Some(_)) if is_bench(spec) => Target::Bench(name_in("benches")),
        (None, Some(_)) => Target::Tests(name_in("tests")),
        (None, None) => Target::Library,
    }
}

/// Whether a test lies where benches lie, unless a manifest says otherwise.
fn is_bench(spec: &TestSpec) -> bool {
    source(spec).is_some_and(|file| {
        let below = file.strip_prefix(spec.manifest_dir);
        below.is_ok_and(|below| below.starts_with("benches"))
    })
}

fn is_example() -> bool {
    program().is_some_and(|path| {
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

    #[test]
    fn each_kind_of_target_has_the_name_that_nextest_gives_it() {
        let package = tempfile::tempdir().unwrap();
        for file in ["tests/two-words.rs", "benches/two-words/main.rs"] {
            let file = package.path().join(file);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, "").unwrap();
        }
        let manifest_dir: &str = package.path().to_str().unwrap().to_owned().leak();
        let folder = package.path().file_name().unwrap().to_str().unwrap();
        let spec = |file: &str, bin_name, target_tmpdir| TestSpec {
            module: "two_words::inner",
            // As in a workspace, whose folder the compiler is started in.
            file: format!("{folder}/{file}").leak(),
            package: "shop",
            manifest_dir,
            bin_name,
            target_tmpdir,
            ..TestSpec::example()
        };
        let test = spec("tests/two-words.rs", None, Some("/tmp"));
        let bench = spec("benches/two-words/main.rs", None, Some("/tmp"));
        let elsewhere = spec("elsewhere.rs", None, Some("/tmp"));
        let elsewhere = TestSpec {
            module: "else_where",
            ..elsewhere
        };
        for (spec, id, target) in [
            (test, "shop::two-words", Target::Tests("two-words".into())),
            (
                bench,
                "shop::bench/two-words",
                Target::Bench("two-words".into()),
            ),
            (
                elsewhere,
                "shop::else_where",
                Target::Tests("else[-_]where".into()),
            ),
            (
                spec("src/main.rs", Some("shop"), None),
                "shop::bin/shop",
                Target::Program("shop".into()),
            ),
            (spec("src/lib.rs", None, None), "shop", Target::Library),
        ] {
            assert_eq!(id_of(spec.package, named_target(&spec)), id);
            assert_eq!(super::target(&spec), target);
        }
        assert_eq!(
            id_of("shop", Target::Example("tour".into())),
            "shop::example/tour"
        );
    }
}
