//! In the place of `environment.rs` where this was built without environments: whatever speaks of
//! one is an error, so that no rule of anybody is silently left out.

use std::path::PathBuf;

use crate::error::{Error, Kind};
use crate::model::spec::TestSpec;
use crate::system::environment as outside;

use super::inner::Inner;
use super::requirements::Demanded;

/// There is nothing to know of it.
pub(super) struct Here;

/// Refuses what speaks of environments.
///
/// # Errors
///
/// If anything does.
pub(super) fn read(manifest_dir: Option<&str>, meant: &[&str]) -> Result<Here, Error> {
    let file = || outside::file(manifest_dir);
    match refused(&outside::variable, &file, meant) {
        Ok(()) => Ok(Here),
        Err(why) => Err(Error::new(Kind::Usage, why).help(
            "chaos-test was built without its feature `environments`: add that to its features",
        )),
    }
}

fn refused(
    variable: &dyn Fn(&str) -> Result<String, String>,
    file: &dyn Fn() -> Result<Option<PathBuf>, String>,
    meant: &[&str],
) -> Result<(), String> {
    let chosen = variable(outside::ENVIRONMENT)?;
    if !matches!(chosen.trim(), "" | "development") {
        return Err(format!(
            "{} is `{chosen}`, and only `development` is known here",
            outside::ENVIRONMENT
        ));
    }
    for name in [outside::CONFIG, outside::CONFIRM, outside::ATTEST] {
        if !variable(name)?.is_empty() {
            return Err(format!("{name} is set, and nobody here reads it"));
        }
    }
    if let Some(file) = file()? {
        return Err(format!(
            "there is a configuration, {}, and nobody here reads it",
            file.display()
        ));
    }
    if meant.is_empty() {
        return Ok(());
    }
    Err(format!("it is for {}", meant.join(" or ")))
}

/// What is read for a context without the macro.
///
/// # Errors
///
/// If anything speaks of environments.
pub(super) fn read_plain() -> Result<Here, Error> {
    read(None, &[])
}

/// The only environment that there is, for `cargo chaos doctor`.
///
/// # Errors
///
/// If anything speaks of another.
#[cfg(feature = "cli")]
pub(super) fn found() -> Result<crate::model::survey::EnvironmentFound, String> {
    read_plain().map_err(|error| error.to_string())?;
    Ok(crate::model::survey::EnvironmentFound {
        name: "development".to_owned(),
        chosen_by: "built without the feature `environments`".to_owned(),
        file: None,
    })
}

/// There is only one environment.
pub(super) fn enter(_: &Inner, _: Here) {}

/// As [`enter`], for a test.
///
/// # Errors
///
/// If anything speaks of environments.
pub(super) fn enter_test(inner: &Inner, spec: &TestSpec) -> Result<(), Error> {
    Demanded::from_environment()?;
    enter(inner, read(Some(spec.manifest_dir), spec.environments)?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_speaks_of_an_environment_is_refused() {
        let none: (&str, &str) = ("", "");
        for (set, file, meant, expected) in [
            (none, None, &[][..], None),
            (("CHAOS_ENVIRONMENT", "development"), None, &[], None),
            (("CHAOS_ENVIRONMENT", ""), None, &[], None),
            (
                ("CHAOS_ENVIRONMENT", "production"),
                None,
                &[],
                Some("CHAOS_ENVIRONMENT is `production`"),
            ),
            (
                ("CHAOS_CONFIG", "/a"),
                None,
                &[],
                Some("CHAOS_CONFIG is set"),
            ),
            (
                ("CHAOS_CONFIRM", "a/b"),
                None,
                &[],
                Some("CHAOS_CONFIRM is set"),
            ),
            (
                ("CHAOS_ATTEST", "a=b"),
                None,
                &[],
                Some("CHAOS_ATTEST is set"),
            ),
            (
                none,
                Some("/a.toml"),
                &[],
                Some("there is a configuration, /a.toml"),
            ),
            (
                none,
                None,
                &["staging", "qa"],
                Some("it is for staging or qa"),
            ),
            (none, None, &["development"], Some("it is for development")),
        ] {
            let variable = |name: &str| {
                let value = if name == set.0 { set.1 } else { "" };
                Ok(value.to_owned())
            };
            let found = || Ok(file.map(PathBuf::from));
            let refused = refused(&variable, &found, meant).err();
            match (&refused, expected) {
                (None, None) => {}
                (Some(why), Some(expected)) => assert!(why.contains(expected), "{why}"),
                _ => panic!("{set:?} {file:?} {meant:?}: {refused:?}"),
            }
        }
    }
}
