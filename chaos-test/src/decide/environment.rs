//! Environments: which one a run is for, and what may be broken in it, when, and on whose word.
//!
//! Pure: the configuration's text, the variables, the time and the zones come in as arguments.

mod file;
mod given;
mod pattern;
mod permit;
mod windows;

use std::collections::BTreeMap;
use std::fmt;

use crate::decide::nearest::suggestion;
use crate::model::environment::Environment;
use crate::model::event::Risk;

pub use file::parse;
pub use given::Given;
pub use permit::Asked;

use pattern::Pattern;
use windows::{Blackout, Calendar, Window};

const BUILT_IN: [&str; 3] = ["development", "staging", "production"];

/// A rule, and who made it.
#[derive(Debug, Clone)]
struct Ruled<T> {
    is: T,
    by: By,
}

/// Who made a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
enum By {
    /// It holds unless a configuration says otherwise.
    BuiltIn,
    /// A line of a file, as `path:line`.
    Line(String),
}

impl fmt::Display for By {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BuiltIn => f.write_str("built in"),
            Self::Line(line) => f.write_str(line),
        }
    }
}

impl<T> Ruled<T> {
    fn built_in(is: T) -> Self {
        let by = By::BuiltIn;
        Self { is, by }
    }
}

/// What may be broken in an environment, when, and on whose word.
#[derive(Debug, Clone)]
pub struct Policy {
    pub environment: Environment,
    made_by_test: Ruled<bool>,
    may_break: Ruled<Vec<Pattern>>,
    max_risk: Ruled<Risk>,
    confirm: Ruled<bool>,
    attest: Ruled<Vec<String>>,
    windows: Ruled<Vec<Window>>,
    blackouts: Ruled<Vec<Blackout>>,
    zones: Vec<(String, Vec<Pattern>)>,
    max_zones: Ruled<Option<usize>>,
}

impl Policy {
    /// One that permits nothing: what production is, and what any other environment begins as.
    fn strict(name: &str) -> Self {
        Self {
            environment: Environment {
                name: name.to_owned(),
                zones: Vec::new(),
                thresholds: Default::default(),
            },
            made_by_test: Ruled::built_in(false),
            may_break: Ruled::built_in(Vec::new()),
            max_risk: Ruled::built_in(Risk::Low),
            confirm: Ruled::built_in(true),
            attest: Ruled::built_in(Vec::new()),
            windows: Ruled::built_in(Vec::new()),
            blackouts: Ruled::built_in(Vec::new()),
            zones: Vec::new(),
            max_zones: Ruled::built_in(None),
        }
    }

    fn built_in(name: &str) -> Self {
        let mut policy = Self::strict(name);
        match name {
            "development" => {
                policy.made_by_test.is = true;
                policy.may_break.is = vec![Pattern::any()];
                policy.max_risk.is = Risk::High;
                policy.confirm.is = false;
            }
            "staging" => {
                policy.made_by_test.is = true;
                policy.max_risk.is = Risk::Medium;
                policy.confirm.is = false;
            }
            _ => {}
        }
        policy
    }

    /// Whether the time matters.
    pub fn has_calendar(&self) -> bool {
        !self.windows.is.is_empty() || !self.blackouts.is.is_empty()
    }

    fn calendar(&self) -> Calendar<'_> {
        Calendar {
            windows: &self.windows.is,
            blackouts: &self.blackouts.is,
        }
    }
}

/// All environments that there are.
#[derive(Debug, Clone)]
pub struct Environments {
    default: Option<Ruled<String>>,
    policies: BTreeMap<String, Policy>,
}

impl Default for Environments {
    /// Those without a configuration.
    fn default() -> Self {
        let policies = BUILT_IN.map(|name| (name.to_owned(), Policy::built_in(name)));
        Self {
            default: None,
            policies: policies.into(),
        }
    }
}

impl Environments {
    /// Their names.
    pub fn names(&self) -> Vec<&str> {
        self.policies.keys().map(String::as_str).collect()
    }

    /// The environment that a run is for, and who says so: `CHAOS_ENVIRONMENT`, else the
    /// configuration's `default`, else nobody.
    ///
    /// # Errors
    ///
    /// If there is none of that name.
    pub fn active(&self, chosen: &str) -> Result<(Policy, String), String> {
        let chosen = chosen.trim();
        let (name, by) = match &self.default {
            _ if !chosen.is_empty() => (chosen, "CHAOS_ENVIRONMENT".to_owned()),
            Some(default) => (default.is.as_str(), format!("`default`, {}", default.by)),
            None => ("development", "the default".to_owned()),
        };
        match self.policies.get(name) {
            Some(policy) => Ok((policy.clone(), by)),
            None => Err(format!(
                "CHAOS_ENVIRONMENT is `{name}`, and there is no such environment{}",
                suggestion(name, &self.names())
            )),
        }
    }

    /// Whether there is an environment of each name that a test gives.
    ///
    /// # Errors
    ///
    /// The first that there is not.
    pub fn know(&self, names: &[&str]) -> Result<(), String> {
        match names
            .iter()
            .find(|name| !self.policies.contains_key(**name))
        {
            None => Ok(()),
            Some(name) => Err(format!(
                "it is for the environment `{name}`, which nobody has defined{}",
                suggestion(name, &self.names())
            )),
        }
    }
}

#[cfg(test)]
mod tests;
