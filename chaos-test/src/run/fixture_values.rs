//! Values of a fixture's own: what a test replaces by `#[with(..)]`, what tells two values of one
//! fixture apart, and fixtures that a test can do without.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::sync::{Arc, Mutex};

use crate::error::{Kind, TestError};
use crate::model::scope::Scope;
use crate::system::lock::lock;

use super::Boxed;
use super::context::ChaosContext;
use super::fixtures::of_run::Read;
use super::fixtures::{Fixture, FixtureRun, Known};
use super::requirements::Demanded;

/// How a value is set up.
pub(super) type SetUp<T> = Box<dyn FnOnce(FixtureRun) -> Boxed<Result<T, TestError>> + Send>;

/// From what a fixture is given, to how it is set up with it and how that is told from the same
/// fixture with something else: nothing, where it takes nothing.
pub(super) type Open<T, G> = Box<dyn FnOnce(G) -> (String, SetUp<T>) + Send>;

/// A fixture that has been given its values.
pub(super) struct Described<T> {
    pub(super) name: &'static str,
    /// The path of its function.
    pub(super) function: &'static str,
    /// The same, with the values.
    pub(super) path: &'static str,
    pub(super) scope: Scope,
    pub(super) set_up: SetUp<T>,
    pub(super) read: Option<Read<T>>,
}

impl<T> Described<T> {
    /// The fixture, whatever it was given: values that change from turn to turn end no circle.
    pub(super) fn known(&self) -> Known {
        Known {
            name: self.name,
            path: self.function,
            scope: self.scope,
        }
    }
}

impl<T, G> Fixture<T, G> {
    /// With these values, and its own where one is not given.
    pub(super) fn given(self, given: G) -> Described<T> {
        let Self {
            name,
            path,
            scope,
            open,
            read,
            ..
        } = self;
        let (values, set_up) = open(given);
        Described {
            name,
            function: path,
            path: with_values(path, &values),
            scope,
            set_up,
            read,
        }
    }
}

/// A fixture's path and its values, as one text for the whole process. There are as many as
/// different values stand in the tests, so they may stay.
fn with_values(path: &'static str, values: &str) -> &'static str {
    if values.is_empty() {
        return path;
    }
    kept_text(format!("{path}({values})"))
}

/// A text as one for the whole process, always the same one.
pub(super) fn kept_text(text: String) -> &'static str {
    static KNOWN: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    let mut known = lock(&KNOWN);
    if let Some(known) = known.get(text.as_str()) {
        return known;
    }
    let text: &'static str = text.leak();
    known.insert(text);
    text
}

/// Values as the text by which they are told apart.
pub fn shown(values: &[(&str, &dyn Debug)]) -> String {
    let shown: Vec<String> = values
        .iter()
        .map(|(name, value)| format!("{name} = {value:?}"))
        .collect();
    shown.join(", ")
}

/// Nothing, where a fixture's set-up skipped and that is allowed.
///
/// # Errors
///
/// If it failed; and if it skipped because of something that `CHAOS_REQUIRE` demands.
pub fn optional<T>(
    context: &ChaosContext,
    name: &'static str,
    answer: Result<Arc<T>, TestError>,
) -> Result<Option<Arc<T>>, TestError> {
    let error = match answer {
        Ok(value) => return Ok(Some(value)),
        Err(error) => error,
    };
    let Some(Kind::Skip { capability }) = error.as_chaos().map(|own| own.kind()) else {
        return Err(error);
    };
    if Demanded::from_environment()?.forbids_skip(capability.as_deref()) {
        return Err(error);
    }
    context.note(format!("it goes on without the fixture {name}: {error}"));
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_tell_a_fixture_from_itself() {
        let values = shown(&[("size", &10), ("name", &"a b")]);
        assert_eq!(values, "size = 10, name = \"a b\"");
        let path = with_values("shop::cache", &values);
        assert_eq!(path, "shop::cache(size = 10, name = \"a b\")");
        assert!(std::ptr::eq(path, with_values("shop::cache", &values)));
        assert_eq!(with_values("shop::cache", ""), "shop::cache");
    }
}
