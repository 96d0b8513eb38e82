//! What this machine can do.

use std::path::{Path, PathBuf};

use crate::model::spec::Requirement;

/// Whether the machine has something; the error says what is missing and what to do.
pub(crate) async fn check(requirement: Requirement) -> Result<(), String> {
    match requirement {
        Requirement::Docker => docker().await,
        Requirement::NetAdmin => net_admin(),
        Requirement::Root => root(),
        Requirement::Program(name) => find_program(Path::new(name)).map(drop),
        Requirement::Env(name) => variable(name),
    }
}

/// As [`check`], for a requirement as `CHAOS_REQUIRE` spells it.
#[cfg(feature = "cli")]
pub(crate) async fn check_word(word: &str) -> Result<(), String> {
    match word.split_once(':') {
        Some(("program", name)) => find_program(Path::new(name)).map(drop),
        Some(("env", name)) => variable(name),
        _ if word == "docker" => docker().await,
        _ if word == "netadmin" => net_admin(),
        _ if word == "root" => root(),
        _ => Err(format!("nothing is called `{word}`")),
    }
}

fn root() -> Result<(), String> {
    if rustix::process::geteuid().is_root() {
        return Ok(());
    }
    Err("it does not run as the superuser".to_owned())
}

fn variable(name: &str) -> Result<(), String> {
    match std::env::var_os(name) {
        Some(value) if !value.is_empty() => Ok(()),
        _ => Err(format!("the environment variable {name} is not set")),
    }
}

#[cfg(feature = "containers")]
async fn docker() -> Result<(), String> {
    super::container::Engine::find().await.map(drop)
}

#[cfg(not(feature = "containers"))]
async fn docker() -> Result<(), String> {
    Err("chaos-test was built without the feature `containers`".to_owned())
}

pub(crate) fn net_admin() -> Result<(), String> {
    /// CAP_NET_ADMIN of capabilities(7).
    const BIT: u32 = 12;
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let effective = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .and_then(|bits| u64::from_str_radix(bits.trim(), 16).ok())
        .unwrap_or_default();
    if effective & (1 << BIT) != 0 {
        Ok(())
    } else {
        Err("it lacks the capability CAP_NET_ADMIN".to_owned())
    }
}

/// Finds a program as a shell would; the error says where it was looked for.
pub(crate) fn find_program(program: &Path) -> Result<PathBuf, String> {
    if program.components().count() > 1 {
        return match rustix::fs::access(program, rustix::fs::Access::EXEC_OK) {
            Ok(()) if program.is_file() => Ok(program.to_owned()),
            Ok(()) => Err(format!("`{}` is not a file", program.display())),
            Err(_) if !program.exists() => {
                Err(format!("there is no program `{}`", program.display()))
            }
            Err(error) => Err(format!(
                "`{}` cannot be executed: {error}",
                program.display()
            )),
        };
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|folder| folder.join(program))
        .find(|path| {
            path.is_file() && rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok()
        })
        .ok_or_else(|| {
            format!(
                "the program `{}` is not on the PATH ({})",
                program.display(),
                path.display()
            )
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_as_a_shell_finds_them() {
        assert!(find_program(Path::new("sh")).is_ok());
        assert!(find_program(Path::new("/bin/sh")).is_ok());
        for (program, expected) in [
            ("no-such-program-here", "is not on the PATH"),
            ("/no/such/program", "there is no program"),
            ("/etc/passwd", "cannot be executed"),
        ] {
            let error = find_program(Path::new(program)).unwrap_err();
            // The superuser may execute nothing without an execute bit either.
            assert!(error.contains(expected), "{error}");
        }
    }
}
