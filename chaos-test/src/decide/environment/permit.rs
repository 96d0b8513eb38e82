//! Whether a fault is permitted in an environment: all that is missing, or on whose word it is.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use jiff::Timestamp;

use crate::model::event::Risk;
use crate::model::target::Target;
use crate::model::units::human;

use super::given::{Given, confirmed_by};
use super::windows::Closed;
use super::{By, Policy};

/// What somebody wants to break.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// What the fault touches.
    pub targets: &'a [Target],
    /// What the test has made.
    pub made: &'a [Target],
    pub risk: Risk,
    /// How long it lasts at most, where it says so.
    pub length: Option<Duration>,
    /// The zones in which something is broken already.
    pub broken: &'a BTreeSet<String>,
    pub now: Timestamp,
}

/// A fault is permitted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permit {
    /// The confirmations that it took, as `environment/target`.
    pub confirmed: Vec<String>,
    /// What was attested, and by whom, as `reviewed=alice`.
    pub attested: Vec<String>,
    /// The window that is open.
    pub window: Option<String>,
}

impl Permit {
    /// Whether anybody had to say anything.
    pub fn says_something(&self) -> bool {
        !self.confirmed.is_empty() || !self.attested.is_empty() || self.window.is_some()
    }
}

impl Policy {
    /// The zones that some targets are in.
    pub fn zones_of(&self, targets: &[Target]) -> BTreeSet<String> {
        let zones = self.zones.iter().filter(|(_, patterns)| {
            let mut names = targets.iter();
            names.any(|target| patterns.iter().any(|pattern| pattern.names(target)))
        });
        zones.map(|(name, _)| name.clone()).collect()
    }

    /// Why nothing may be broken at this time, if so.
    pub fn closed(&self, now: Timestamp) -> Option<String> {
        let closed = self.calendar().look(now).err()?;
        let told = closed.iter().map(|closed| self.told(closed));
        Some(told.collect::<Vec<_>>().join("; "))
    }

    /// Whether a fault is permitted.
    ///
    /// # Errors
    ///
    /// Everything that forbids it, each with the rule and with what would allow it.
    pub fn permit(&self, asked: Asked<'_>, given: &Given) -> Result<Permit, Vec<String>> {
        let mut missing = self.forbidden_targets(asked);
        if asked.risk > self.max_risk.is {
            missing.push(format!(
                "its risk is {}, and `max_risk` is {} ({})",
                asked.risk, self.max_risk.is, self.max_risk.by
            ));
        }
        missing.extend(self.too_many_zones(asked));
        let window = self.in_time(asked.now, asked.length);
        let window = window.unwrap_or_else(|closed| {
            missing.extend(closed);
            None
        });
        let attested = self.attested(given).unwrap_or_else(|unsaid| {
            missing.push(unsaid);
            Vec::new()
        });
        let confirmed = self.confirmed(asked, given).unwrap_or_else(|unsaid| {
            missing.push(unsaid);
            Vec::new()
        });
        if !missing.is_empty() {
            return Err(missing);
        }
        Ok(Permit {
            confirmed,
            attested,
            window,
        })
    }

    fn forbidden_targets(&self, asked: Asked<'_>) -> Vec<String> {
        let mut forbidden = Vec::new();
        for target in asked.targets {
            let own = asked.made.iter().any(|made| made.covers(target));
            let named = self
                .may_break
                .is
                .iter()
                .any(|pattern| pattern.names(target));
            if named || (own && self.made_by_test.is) {
                continue;
            }
            let made = match own {
                true => format!(
                    " made by the test (`made_by_test` is false, {}) and",
                    self.made_by_test.by
                ),
                false => String::new(),
            };
            forbidden.push(format!(
                "{target} is{made} not in `may_break` ({}), which names {}",
                self.may_break.by,
                Listed(&self.may_break.is)
            ));
        }
        forbidden
    }

    fn too_many_zones(&self, asked: Asked<'_>) -> Option<String> {
        let most = self.max_zones.is?;
        let mut zones = self.zones_of(asked.targets);
        if zones.is_empty() {
            return None;
        }
        zones.extend(asked.broken.iter().cloned());
        if zones.len() <= most {
            return None;
        }
        let broken: Vec<_> = asked.broken.iter().collect();
        Some(format!(
            "it would break {} zones at once, {} of them already broken ({}), and `max_zones` is \
             {most} ({})",
            zones.len(),
            broken.len(),
            Listed(&broken),
            self.max_zones.by
        ))
    }

    /// The window in which something may be broken at this time, and for so long: none where
    /// there are none.
    ///
    /// # Errors
    ///
    /// All that forbids it.
    pub fn in_time(
        &self,
        now: Timestamp,
        length: Option<Duration>,
    ) -> Result<Option<String>, Vec<String>> {
        let open = self.calendar().look(now);
        let open = open.map_err(|closed| {
            let told = closed.iter().map(|closed| self.told(closed));
            told.collect::<Vec<_>>()
        })?;
        if let Some(length) = length
            && let Some(closes) = self.calendar().closes_within(now, length)
        {
            let left = closes.duration_since(now).unsigned_abs();
            let by = match &self.windows.by {
                By::BuiltIn => &self.blackouts.by,
                line => line,
            };
            return Err(vec![format!(
                "it lasts {}, and nothing may be broken any more in {} ({by})",
                human(length),
                human(left)
            )]);
        }
        Ok(open.map(|window| window.text().to_owned()))
    }

    fn told(&self, closed: &Closed) -> String {
        match closed {
            Closed::NoWindow(shown) => {
                let windows = self.windows.is.iter();
                let windows: Vec<_> = windows
                    .map(|window| format!("`{}`", window.text()))
                    .collect();
                let by = &self.windows.by;
                format!("{shown}, and its windows ({by}) are {}", windows.join(", "))
            }
            Closed::Blackout(days) => {
                format!(
                    "nothing may be broken on days in `blackout` ({}): {days}",
                    self.blackouts.by
                )
            }
        }
    }

    fn attested(&self, given: &Given) -> Result<Vec<String>, String> {
        let (mut said, mut unsaid) = (Vec::new(), Vec::new());
        for what in &self.attest.is {
            match given.attested(what) {
                Some(who) => said.push(format!("{what}={who}")),
                None => unsaid.push(what),
            }
        }
        if unsaid.is_empty() {
            return Ok(said);
        }
        let write: Vec<_> = unsaid
            .iter()
            .map(|what| format!("{what}=WHO WHEN"))
            .collect();
        Err(format!(
            "nobody attests {} (`attest`, {}): set CHAOS_ATTEST=\"{}\"",
            Listed(&unsaid),
            self.attest.by,
            write.join(",")
        ))
    }

    fn confirmed(&self, asked: Asked<'_>, given: &Given) -> Result<Vec<String>, String> {
        if !self.confirm.is {
            return Ok(Vec::new());
        }
        let environment = &self.environment.name;
        let names: BTreeSet<String> = asked.targets.iter().map(confirmed_by).collect();
        let token = |name: &String| format!("{environment}/{name}");
        // What cannot be written in a list can be confirmed by nobody.
        let sayable = |name: &String| !name.contains([',', '*']) && name.trim() == name;
        if let Some(name) = names.iter().find(|name| !sayable(name)) {
            return Err(format!(
                "nobody can confirm `{name}` (`confirm`, {}), because of the characters in its name",
                self.confirm.by
            ));
        }
        let unsaid = |name: &&String| !given.is_confirmed(environment, name);
        let unsaid: Vec<String> = names.iter().filter(unsaid).map(token).collect();
        if unsaid.is_empty() {
            return Ok(names.iter().map(token).collect());
        }
        Err(format!(
            "nobody confirms it (`confirm`, {}): set CHAOS_CONFIRM=\"{}\"",
            self.confirm.by,
            unsaid.join(",")
        ))
    }
}

/// Names in a row.
struct Listed<'a, T>(&'a [T]);

impl<T: fmt::Display> fmt::Display for Listed<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("nothing");
        }
        for (position, name) in self.0.iter().enumerate() {
            let comma = if position == 0 { "" } else { ", " };
            write!(f, "{comma}{name}")?;
        }
        Ok(())
    }
}
