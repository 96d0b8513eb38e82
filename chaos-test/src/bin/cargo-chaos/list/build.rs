//! Has cargo build the test programs, and says where they are.

use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde::Deserialize;

/// A test program, built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TestProgram {
    /// Its name: that of its target, and for one that is no test what it is.
    pub(super) name: String,
    pub(super) executable: PathBuf,
    /// The folder of its package, which cargo starts it in.
    pub(super) folder: PathBuf,
    /// Where it looks for shared libraries that its build made.
    pub(super) libraries: Vec<PathBuf>,
}

/// Why there are none.
pub(super) enum Failed {
    NotStarted(String),
    /// Cargo ended with this code, and said why.
    Ended(u8),
}

/// Builds what `cargo test` would run with these options.
pub(super) fn test_programs(options: &[String]) -> Result<Vec<TestProgram>, Failed> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let cannot = |what: &str, error: std::io::Error| {
        Failed::NotStarted(format!("{what} `{}`: {error}", cargo.display()))
    };
    let mut child = Command::new(&cargo)
        .args([
            "test",
            "--no-run",
            "--message-format=json-render-diagnostics",
        ])
        .args(options)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| cannot("cannot start", error))?;
    let mut built = Built::default();
    let messages = child.stdout.take().expect("it is piped");
    for line in BufReader::new(messages).lines() {
        let line = line.map_err(|error| cannot("cannot read what is said by", error))?;
        built.see(&line);
    }
    let ended = child
        .wait()
        .map_err(|error| cannot("cannot wait for", error))?;
    if ended.success() {
        return Ok(built.finish());
    }
    let code = ended.code().and_then(|code| u8::try_from(code).ok());
    Err(Failed::Ended(code.unwrap_or(CARGO_FAILED)))
}

/// How cargo ends where it fails, and says nothing else.
const CARGO_FAILED: u8 = 101;

/// A message of cargo, as far as it is read here.
#[derive(Deserialize)]
#[serde(tag = "reason", rename_all = "kebab-case")]
enum Message {
    CompilerArtifact {
        manifest_path: PathBuf,
        target: Target,
        profile: Profile,
        executable: Option<PathBuf>,
    },
    BuildScriptExecuted {
        #[serde(default)]
        linked_paths: Vec<String>,
    },
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
struct Target {
    kind: Vec<String>,
    name: String,
}

#[derive(Deserialize)]
struct Profile {
    test: bool,
}

/// What was built so far.
#[derive(Default)]
struct Built {
    programs: Vec<TestProgram>,
    libraries: Vec<PathBuf>,
}

impl Built {
    fn see(&mut self, line: &str) {
        match serde_json::from_str(line) {
            Ok(Message::CompilerArtifact {
                manifest_path,
                target,
                profile: Profile { test: true },
                executable: Some(executable),
            }) if !is_proc_macro(&target) => {
                let folder = manifest_path.parent().unwrap_or(&manifest_path);
                self.programs.push(TestProgram {
                    name: name(&target),
                    executable,
                    folder: folder.to_owned(),
                    libraries: Vec::new(),
                });
            }
            Ok(Message::BuildScriptExecuted { linked_paths }) => {
                // With its kind before it, as in `native=/path`.
                let paths = linked_paths.iter();
                let paths =
                    paths.map(|path| path.split_once('=').map_or(path.as_str(), |(_, path)| path));
                self.libraries.extend(paths.map(PathBuf::from));
            }
            // What is no message was printed by a build script, or is of a later cargo.
            _ => {}
        }
    }

    fn finish(mut self) -> Vec<TestProgram> {
        for program in &mut self.programs {
            program.libraries.clone_from(&self.libraries);
            program
                .libraries
                .extend(program.executable.parent().map(PathBuf::from));
        }
        self.programs
    }
}

/// A procedural macro's own tests need the compiler's libraries, and hold no chaos tests.
fn is_proc_macro(target: &Target) -> bool {
    target.kind.iter().any(|kind| kind == "proc-macro")
}

fn name(target: &Target) -> String {
    match target.kind.first().map(String::as_str) {
        Some(kind @ ("bin" | "bench" | "example")) => format!("{kind} {}", target.name),
        Some("test") => format!("test {}", target.name),
        _ => "lib".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_programs_that_hold_tests_are_found() {
        let mut built = Built::default();
        let artifact = |kind: &str, test: bool, executable: &str| {
            format!(
                r#"{{"reason":"compiler-artifact","package_id":"path+file:///w/shop#1.0.0",
                "manifest_path":"/w/shop/Cargo.toml","target":{{"kind":["{kind}"],
                "crate_types":["bin"],"name":"chaos","src_path":"/w/shop/x.rs"}},
                "profile":{{"opt_level":"0","test":{test}}},"executable":{executable}}}"#
            )
            .replace('\n', "")
        };
        for line in [
            "what a build script prints",
            r#"{"reason":"a-later-one","new":true}"#,
            &artifact("lib", false, "null"),
            &artifact("bin", false, r#""/w/target/debug/shop""#),
            &artifact("proc-macro", true, r#""/w/target/debug/deps/macros-1""#),
            &artifact("test", true, r#""/w/target/debug/deps/chaos-1""#),
            &artifact("bin", true, r#""/w/target/debug/deps/shop-1""#),
            r#"{"reason":"build-script-executed","linked_paths":["native=/w/out","/w/plain"]}"#,
            r#"{"reason":"build-finished","success":true}"#,
        ] {
            built.see(line);
        }
        let program = |name: &str, file: &str| TestProgram {
            name: name.into(),
            executable: format!("/w/target/debug/deps/{file}").into(),
            folder: "/w/shop".into(),
            libraries: ["/w/out", "/w/plain", "/w/target/debug/deps"]
                .map(PathBuf::from)
                .into(),
        };
        let expected = [
            program("test chaos", "chaos-1"),
            program("bin chaos", "shop-1"),
        ];
        assert_eq!(built.finish(), expected);
    }
}
