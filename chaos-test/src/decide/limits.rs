//! What may be broken at all: whether a fault may touch what it is about to touch. How much of
//! that at once is decided in `radius`.

use crate::model::target::Target;

/// What may be broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Allowed {
    /// Anything that the context itself made, and nothing else.
    Isolated,
    /// Only what was named: names as the test wrote them, with what each stands for.
    Named(Vec<(String, Vec<Target>)>),
}

impl Allowed {
    /// Adds something that may be broken. The first name turns an isolated radius into one
    /// that only names count for.
    pub fn name(&mut self, name: &str, targets: Vec<Target>) {
        match self {
            Self::Isolated => *self = Self::Named(vec![(name.to_owned(), targets)]),
            Self::Named(names) => names.push((name.to_owned(), targets)),
        }
    }

    /// The same in words.
    #[must_use]
    pub fn in_words(&self) -> String {
        match self {
            Self::Isolated => "only what the test made".to_owned(),
            Self::Named(names) => {
                let names: Vec<String> =
                    names.iter().map(|(name, _)| format!("`{name}`")).collect();
                format!(
                    "only {}",
                    list_or(&names, "what is named, which is nothing")
                )
            }
        }
    }

    /// Checks every target; the error says what was asked and what is allowed.
    ///
    /// # Errors
    ///
    /// A message, where at least one target lies outside.
    pub fn check(&self, asked: &[Target], made: &[Target]) -> Result<(), String> {
        let outside: Vec<String> = asked
            .iter()
            .filter(|target| !self.allows(target, made))
            .map(ToString::to_string)
            .collect();
        if outside.is_empty() && !asked.is_empty() {
            return Ok(());
        }
        if asked.is_empty() {
            return Err("the fault names no target, so no blast radius can cover it".to_owned());
        }
        let allowed = match self {
            Self::Isolated => {
                let made: Vec<String> = made
                    .iter()
                    .filter(|target| matches!(target, Target::Service(_)))
                    .map(ToString::to_string)
                    .collect();
                format!(
                    "only what this context made may be broken ({})",
                    list_or(&made, "it has made nothing yet")
                )
            }
            Self::Named(names) => {
                let names: Vec<String> =
                    names.iter().map(|(name, _)| format!("`{name}`")).collect();
                format!(
                    "`breaks(..)` allows {}",
                    list_or(&names, "nothing to be broken")
                )
            }
        };
        Err(format!(
            "{} {} outside the blast radius: {allowed}",
            outside.join(", "),
            if outside.len() == 1 { "is" } else { "are" },
        ))
    }

    fn allows(&self, asked: &Target, made: &[Target]) -> bool {
        match self {
            Self::Isolated => made.iter().any(|target| target.covers(asked)),
            Self::Named(names) => names
                .iter()
                .flat_map(|(_, targets)| targets)
                .any(|target| target.covers(asked)),
        }
    }
}

fn list_or(items: &[String], otherwise: &str) -> String {
    if items.is_empty() {
        otherwise.to_owned()
    } else {
        items.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(name: &str) -> Target {
        Target::Service(name.into())
    }

    #[test]
    fn each_radius_allows_what_it_names_and_says_so_otherwise() {
        let made = [service("cache"), service("shop")];
        let mut named = Allowed::Isolated;
        named.name("cache", vec![service("cache")]);
        let cases = [
            (Allowed::Isolated, service("shop"), Ok(())),
            (
                Allowed::Isolated,
                service("other"),
                Err(
                    "service `other` is outside the blast radius: only what this context made \
                     may be broken (service `cache`, service `shop`)",
                ),
            ),
            (named.clone(), service("cache"), Ok(())),
            (
                named,
                service("shop"),
                Err("service `shop` is outside the blast radius: `breaks(..)` allows `cache`"),
            ),
            (
                Allowed::Named(vec![]),
                service("shop"),
                Err(
                    "service `shop` is outside the blast radius: `breaks(..)` allows nothing to \
                     be broken",
                ),
            ),
        ];
        for (radius, asked, expected) in cases {
            let answer = radius.check(&[asked], &made);
            assert_eq!(answer, expected.map_err(str::to_owned));
        }
    }

    #[test]
    fn a_fault_without_targets_is_refused() {
        assert!(Allowed::Isolated.check(&[], &[]).is_err());
    }
}
