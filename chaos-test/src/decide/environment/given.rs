//! What people have said for a run: confirmations of targets, and attestations.

use std::collections::{BTreeMap, BTreeSet};

use crate::decide::nearest::suggestion;
use crate::model::target::Target;

/// What people have said for a run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Given {
    /// Pairs of an environment and a target.
    confirmed: BTreeSet<(String, String)>,
    /// Who said what.
    attested: BTreeMap<String, String>,
}

impl Given {
    /// Reads `production/orders-db,production/cache` and
    /// `reviewed=alice 2026-11-20,backup-taken=bob`. Empty texts say nothing.
    ///
    /// # Errors
    ///
    /// What is wrong with them, with the variable's name.
    pub fn parse(confirm: &str, attest: &str, environments: &[&str]) -> Result<Self, String> {
        let mut given = Self::default();
        for token in parts(confirm) {
            let Some((environment, target)) = token.split_once('/') else {
                return Err(format!(
                    "CHAOS_CONFIRM holds `{token}`, which names no target: it is a comma list of \
                     `environment/target`"
                ));
            };
            if !environments.contains(&environment) {
                let known = suggestion(environment, environments);
                return Err(format!(
                    "CHAOS_CONFIRM holds `{token}`, whose environment nobody knows{known}"
                ));
            }
            if target.is_empty() || target.contains('*') {
                return Err(format!(
                    "CHAOS_CONFIRM holds `{token}`: a confirmation names one target, in full"
                ));
            }
            given
                .confirmed
                .insert((environment.to_owned(), target.to_owned()));
        }
        for token in parts(attest) {
            let said = token.split_once('=');
            let said = said.map(|(what, who)| (what.trim(), who.trim()));
            let Some((what, who)) = said.filter(|(what, who)| !what.is_empty() && !who.is_empty())
            else {
                return Err(format!(
                    "CHAOS_ATTEST holds `{token}`, which says not who attests what: it is a comma \
                     list such as `reviewed=alice 2026-11-20`"
                ));
            };
            if let Some(other) = given.attested.insert(what.to_owned(), who.to_owned()) {
                return Err(format!(
                    "CHAOS_ATTEST says `{what}` twice, by `{other}` and by `{who}`"
                ));
            }
        }
        Ok(given)
    }

    /// Whether exactly this target of exactly this environment was confirmed.
    pub fn is_confirmed(&self, environment: &str, target: &str) -> bool {
        let pair = (environment.to_owned(), target.to_owned());
        self.confirmed.contains(&pair)
    }

    /// Who attested something.
    pub fn attested(&self, what: &str) -> Option<&str> {
        self.attested.get(what).map(String::as_str)
    }
}

fn parts(list: &str) -> impl Iterator<Item = &str> {
    let parts = list.split(',').map(str::trim);
    parts.filter(|part| !part.is_empty())
}

/// The name by which a target is confirmed: a service's for its links, too, and for everything
/// else its kind before its name, so that no two targets share one.
pub fn confirmed_by(target: &Target) -> String {
    match target.service() {
        Some(service) if !service.contains(':') => service.to_owned(),
        Some(service) => format!("service:{service}"),
        None => format!("{}:{}", target.kind(), target.bare_name()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &[&str] = &["development", "production"];

    #[test]
    fn only_the_exact_pair_is_confirmed() {
        let given = Given::parse(
            " production/orders-db ,, development/cache,production/file:/srv/a/b",
            "",
            KNOWN,
        )
        .unwrap();
        for (environment, target, expected) in [
            ("production", "orders-db", true),
            ("production", "file:/srv/a/b", true),
            ("production", "file:/srv/a", false),
            ("production", "cache", false),
            ("development", "orders-db", false),
            ("production", "orders-db2", false),
            ("production", "Orders-db", false),
            ("production", "", false),
        ] {
            let confirmed = given.is_confirmed(environment, target);
            assert_eq!(confirmed, expected, "{environment}/{target}");
        }
    }

    #[test]
    fn targets_of_different_kinds_have_different_names() {
        let link = Target::Link {
            service: "a".into(),
            link: "b->a:1".into(),
        };
        for (target, expected) in [
            (Target::Service("a".into()), "a"),
            (link, "a"),
            (Target::other("a"), "other:a"),
            (Target::File("/a".into()), "file:/a"),
            (Target::Service("other:a".into()), "service:other:a"),
        ] {
            assert_eq!(confirmed_by(&target), expected);
        }
    }

    #[test]
    fn attestations_say_who_and_perhaps_when() {
        let given = Given::parse("", "reviewed=alice 2026-11-20, backup-taken = bob", KNOWN);
        let given = given.unwrap();
        assert_eq!(given.attested("reviewed"), Some("alice 2026-11-20"));
        assert_eq!(given.attested("backup-taken"), Some("bob"));
        assert_eq!(given.attested("tested"), None);
    }

    #[test]
    fn what_makes_no_sense_is_an_error_and_counts_for_nothing() {
        for (confirm, attest, expected) in [
            ("production", "", "names no target"),
            ("production/", "", "names one target"),
            ("production/*", "", "names one target, in full"),
            ("production/shop-*", "", "names one target, in full"),
            ("*/orders-db", "", "nobody knows"),
            ("producton/orders-db", "", "did you mean `production`?"),
            ("", "reviewed", "who attests what"),
            ("", "reviewed=", "who attests what"),
            ("", "=alice", "who attests what"),
            ("", "a=b,a=c", "twice"),
        ] {
            let why = Given::parse(confirm, attest, KNOWN).unwrap_err();
            assert!(why.contains(expected), "{confirm} {attest}: {why}");
        }
    }
}
