//! In the place of `environment.rs` where this was built without environments: whatever speaks of
//! one is an error, so that no rule of anybody is silently left out.

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
    let wrong = |why: String| {
        Error::new(Kind::Usage, why).help(
            "chaos-test was built without its feature `environments`: add that to its features",
        )
    };
    let set = |name| outside::variable(name).map_err(wrong);
    let chosen = set(outside::ENVIRONMENT)?;
    if !matches!(chosen.trim(), "" | "development") {
        return Err(wrong(format!(
            "{} is `{chosen}`, and only `development` is known here",
            outside::ENVIRONMENT
        )));
    }
    for name in [outside::CONFIG, outside::CONFIRM, outside::ATTEST] {
        if !set(name)?.is_empty() {
            return Err(wrong(format!("{name} is set, and nobody here reads it")));
        }
    }
    if let Some(file) = outside::file(manifest_dir).map_err(wrong)? {
        return Err(wrong(format!(
            "there is a configuration, {}, and nobody here reads it",
            file.display()
        )));
    }
    if meant.is_empty() {
        return Ok(Here);
    }
    Err(wrong(format!("it is for {}", meant.join(" or "))))
}

/// What is read for a context without the macro.
///
/// # Errors
///
/// If anything speaks of environments.
pub(super) fn read_plain() -> Result<Here, Error> {
    read(None, &[])
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
