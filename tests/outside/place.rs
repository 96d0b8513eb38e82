//! Where a crate outside of the workspace lies, and the cargo that tests it there.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use chaos_test_fixtures::rerun::{Ended, Folder, Rerun, as_in_a_shell};

use crate::say;

/// The workspace that the crates are outside of.
const WORKSPACE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// Where the library is.
pub fn library() -> PathBuf {
    let path = Path::new(WORKSPACE).join("chaos-test");
    path.canonicalize().expect("the library is there")
}

/// The folder of one crate.
pub struct Place(PathBuf);

impl Place {
    /// A folder that is the same each time, because cargo knows what it has built by where it
    /// lies; and not below the workspace, where cargo would look for the workspace's part.
    pub fn new(name: &str) -> Self {
        let mut workspace = DefaultHasher::new();
        WORKSPACE.hash(&mut workspace);
        let own = std::fs::metadata("/proc/self").expect("this process is there");
        let folder = format!("chaos-test-outside-{}-{:x}", own.uid(), workspace.finish());
        let folder = std::env::temp_dir().join(folder);
        let made = std::fs::DirBuilder::new().mode(0o700).create(&folder);
        // Others may write to where it lies, and what is in it will be run.
        let found = std::fs::symlink_metadata(&folder)
            .unwrap_or_else(|_| panic!("{}: {made:?}", folder.display()));
        assert!(
            found.is_dir() && found.uid() == own.uid() && found.mode() & 0o022 == 0,
            "{} is somebody else's: remove it",
            folder.display()
        );
        let place = Self(folder.join(name));
        // Two runs of these tests may come here at once.
        let lock = std::fs::read_to_string(Path::new(WORKSPACE).join("Cargo.lock"));
        place.write("Cargo.lock", &lock.expect("the workspace is locked"));
        place
    }

    /// Writes a file, whole or not at all, and leaves one alone that is as it has to be: cargo
    /// builds again what is younger than what it has built.
    pub fn write(&self, name: &str, text: &str) {
        let path = self.0.join(name);
        if std::fs::read_to_string(&path).is_ok_and(|there| there == text) {
            return;
        }
        let parent = path.parent().expect("it is in the folder");
        std::fs::create_dir_all(parent).expect("a folder can be made");
        let mut new = tempfile::NamedTempFile::new_in(parent).expect("a file can be made");
        std::io::Write::write_all(&mut new, text.as_bytes()).expect("a file can be written");
        new.persist(&path).expect("a file can be renamed");
    }

    /// Builds the tests, out of the way of whatever else is measured now, and then runs them.
    pub fn test(&self, arguments: &[&str]) -> Said {
        let mut build = self.cargo(Command::new("nice"), &["-n", "19", "cargo"]);
        build.arg("--no-run").args(arguments);
        let built = Rerun::program(build, Folder::default()).run();
        assert!(built.status.success(), "{}", built.output());
        let mut run = self.cargo(Command::new("cargo"), &[]);
        run.args(arguments);
        let said = Said(Rerun::program(run, Folder::default()).run());
        self.has_the_versions_of_the_workspace();
        said
    }

    /// `cargo test` as somebody's own, in the crate's folder.
    fn cargo(&self, command: Command, before: &[&str]) -> Command {
        let mut command = as_in_a_shell(command);
        let tmpdir = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let target = tmpdir.with_file_name("outside");
        command
            .args(before)
            .args(["test", "--offline", "--no-fail-fast"])
            .current_dir(&self.0)
            .env("CARGO_TARGET_DIR", target)
            // Nobody debugs them, and nobody changes them.
            .env("CARGO_PROFILE_DEV_DEBUG", "none")
            .env("CARGO_INCREMENTAL", "0")
            .env("CARGO_TERM_COLOR", "never");
        command
    }

    /// Cargo takes out of the lock file what the crate does not need, and must put in nothing
    /// but the crate.
    fn has_the_versions_of_the_workspace(&self) {
        let locked = |folder: &Path| -> BTreeSet<String> {
            let text = std::fs::read_to_string(folder.join("Cargo.lock"));
            let text = text.expect("it is locked");
            let packages = text.split("[[package]]").skip(1);
            // Those of a registry say where they are from; the crate's own do not.
            let foreign = packages.filter(|package| package.contains("\nsource = "));
            let name_and_version = |package: &str| package.lines().skip(1).take(2).collect();
            foreign.map(name_and_version).collect()
        };
        let (own, workspace) = (locked(&self.0), locked(Path::new(WORKSPACE)));
        assert!(!own.is_empty());
        let others: Vec<_> = own.difference(&workspace).collect();
        assert!(others.is_empty(), "not those of the workspace: {others:?}");
    }
}

/// What the tests of a crate came to.
pub struct Said(Ended);

impl Said {
    /// Whether a test was skipped for want of a program; that is seen, and a failure where nothing
    /// may be skipped.
    pub fn was_skipped(&self, test: &str, program: &str) -> bool {
        let output = self.0.output();
        let skipped = output.contains(&format!("SKIPPED {test}"));
        if skipped {
            assert!(output.contains(program), "{output}");
            say(&format!(
                "skipped: {test} of the README, for want of {program}"
            ));
        }
        skipped
    }

    /// These are the tests of this target; all of them, and only they, have passed, broken
    /// something and put it back.
    pub fn has_passed(&self, target: &str, tests: &[&str]) {
        let output = self.0.output();
        assert!(self.0.status.success(), "{output}");
        let (_, of_target) = output
            .split_once(&format!("/{target}-"))
            .unwrap_or_else(|| panic!("no program of {target} was run:\n{output}"));
        let of_target = of_target.split("     Running ").next().unwrap_or_default();
        for test in tests {
            let passed = of_target.contains(&format!("test {test} ... ok\n"));
            assert!(passed, "{target} has not passed {test}:\n{output}");
        }
        let running = format!("running {} test", tests.len());
        assert!(of_target.contains(&running), "{target}:\n{output}");
        let junit = self.0.junit();
        for test in tests {
            assert!(junit.contains(&format!("name=\"{test}\"")), "{junit}");
        }
        for other in ["<skipped", "<failure", "<error"] {
            assert!(!junit.contains(other), "{junit}");
        }
        assert!(self.0.leftovers().is_empty(), "{:?}", self.0.leftovers());
    }
}
