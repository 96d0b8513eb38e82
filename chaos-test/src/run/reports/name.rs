//! Names of files and folders, made from names that anybody chose. Pure.

use crate::model::fingerprint::fingerprint;

/// No file name is longer than this, though most file systems take 255 bytes.
const LONGEST: usize = 200;

/// The file name for one attempt at a test: readable, safe on every file system and never
/// longer than 200 bytes. What differs in anything gets another name.
///
/// `pid` tells apart processes of one run that run the same test at the same time.
#[must_use]
pub fn fragment_name(binary: &str, name: &str, attempt: u32, pid: Option<u32>) -> String {
    let mut tail = format!("-{attempt}");
    if let Some(pid) = pid {
        tail += &format!("-{pid}");
    }
    // Safe characters alone would let `a::b` and `a.b` meet, and so would case on some systems.
    let hash = fingerprint(format!("{binary}\0{name}\0{attempt}\0{pid:?}").bytes());
    tail += &format!("-{hash:016x}.json");
    let readable = format!("{binary}.{name}").replace("::", ".");
    safe(&readable, LONGEST - tail.len()) + &tail
}

/// Whether a key is a name that a fragment may have.
pub(super) fn is_fragment(key: &str) -> bool {
    let safe = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    // The report of an end is called `.end.json`.
    let longest = LONGEST + ".end".len();
    !key.starts_with('.') && key.ends_with(".json") && key.len() <= longest && key.bytes().all(safe)
}

/// The name of a run's folder: the run's own, where that is safe.
pub(super) fn run_folder(run: &str) -> String {
    if is_run_folder(run) {
        return run.to_owned();
    }
    let readable = safe(run, 100).replace('.', "-");
    let readable = readable.trim_matches('-');
    format!("run-{readable}-{:016x}", fingerprint(run.bytes()))
}

/// Whether a folder of this name may be a run's: no dots, so that it is never a file of
/// the root, such as `junit.xml`.
pub(super) fn is_run_folder(name: &str) -> bool {
    let safe = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (1..=LONGEST).contains(&name.len())
        && name != super::CURRENT
        && !name.starts_with('-')
        && name.bytes().all(safe)
}

/// At most `longest` characters, all of them safe; it never begins with a dot.
fn safe(text: &str, longest: usize) -> String {
    text.trim_start_matches('.')
        .chars()
        .map(|c| match c {
            c if c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_') => c,
            _ => '-',
        })
        .take(longest)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fragments_name_is_readable_and_stays_the_same_in_every_version() {
        for (binary, name, attempt, pid, expected) in [
            (
                "shop::chaos",
                "cache::dies",
                1,
                None,
                "shop.chaos.cache.dies-1-",
            ),
            ("shop", "case/ä b", 2, Some(77), "shop.case---b-2-77-"),
            ("..", "/etc", 1, None, "-etc-1-"),
        ] {
            let key = fragment_name(binary, name, attempt, pid);
            assert!(key.starts_with(expected), "{key}");
            assert!(is_fragment(&key), "{key}");
        }
    }

    #[test]
    fn names_that_differ_in_anything_never_meet() {
        let long = "x".repeat(500);
        let names = [
            fragment_name("a::b", "c", 1, None),
            fragment_name("a.b", "c", 1, None),
            fragment_name("a", "b::c", 1, None),
            fragment_name("a::b", "c", 2, None),
            fragment_name("a::b", "c", 1, Some(1)),
            fragment_name("a::b", &long, 1, Some(u32::MAX)),
            fragment_name("a::b", &(long.clone() + "y"), 1, Some(u32::MAX)),
        ];
        let distinct: std::collections::BTreeSet<_> = names.iter().collect();
        assert_eq!(distinct.len(), names.len());
        assert!(names.iter().all(|name| is_fragment(name)), "{names:?}");
    }

    #[test]
    fn a_runs_folder_never_leaves_the_root_or_meets_its_files() {
        let id = "5a0f6a52-6f0f-4f0f-9d3a-0123456789ab";
        assert_eq!(run_folder(id), id);
        for run in [
            "",
            "..",
            "../../etc",
            "/etc",
            "current",
            "junit.xml",
            ".lock",
            "a b",
            "-x",
        ] {
            let folder = run_folder(run);
            assert!(is_run_folder(&folder), "{run:?} became {folder:?}");
            assert!(folder.starts_with("run-"), "{run:?} became {folder:?}");
            assert_eq!(
                run_folder(&folder),
                folder,
                "a folder's name stands for itself"
            );
        }
    }

    #[test]
    fn a_key_with_a_path_in_it_is_no_key() {
        for key in ["", "../a.json", "a/b.json", ".tmp-1.json", "a", "a\0.json"] {
            assert!(!is_fragment(key), "{key:?}");
        }
    }
}
