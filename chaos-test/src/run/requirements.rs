//! What a test needs from the machine: a visible skip where it is missing, or a failure
//! where `CHAOS_REQUIRE` demands it.

use crate::error::{Error, Kind};
use crate::model::spec::Requirement;
use crate::system::capability;

use super::selection;

/// What can be demanded.
pub(super) const WORDS: &str = "all, docker, netadmin, root, program:NAME, env:NAME";

/// What `CHAOS_REQUIRE` says where a test must not be skipped because it is for another
/// environment.
pub(super) const ENVIRONMENT: &str = "environment";

/// Whether a word is one of those.
pub(super) fn is_known(word: &str) -> bool {
    matches!(word, "all" | "docker" | "netadmin" | "root")
        || word.starts_with("program:")
        || word.starts_with("env:")
}

/// What `CHAOS_REQUIRE` demands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Demanded {
    Nothing,
    /// All that a machine can have, and whether also that no test is for another environment.
    All {
        environment: bool,
    },
    These(Vec<String>),
}

impl Demanded {
    pub(super) fn from_environment() -> Result<Self, Error> {
        Self::parse(&std::env::var("CHAOS_REQUIRE").unwrap_or_default())
    }

    fn parse(text: &str) -> Result<Self, Error> {
        let words: Vec<&str> = text
            .split(',')
            .map(str::trim)
            .filter(|word| !word.is_empty())
            .collect();
        let known = |word: &str| word == ENVIRONMENT || is_known(word);
        if let Some(word) = words.iter().find(|word| !known(word)) {
            return Err(Error::new(
                Kind::Usage,
                format!("CHAOS_REQUIRE names `{word}`, which is nothing that a test can need"),
            )
            .help(format!("it is a comma list of {WORDS}, {ENVIRONMENT}")));
        }
        Ok(match words.as_slice() {
            [] => Self::Nothing,
            words if words.contains(&"all") => Self::All {
                environment: words.contains(&ENVIRONMENT),
            },
            words => Self::These(words.iter().map(|&word| word.to_owned()).collect()),
        })
    }

    /// Whether a skip for want of this must be a failure. A skip that a body chose itself
    /// names no capability.
    pub(super) fn forbids_skip(&self, capability: Option<&str>) -> bool {
        match self {
            // What was not asked for lacks nothing.
            _ if capability == Some(selection::CAPABILITY) => false,
            Self::Nothing => false,
            // A run is for one environment only, so a test for another one lacks nothing.
            Self::All { environment } => *environment || capability != Some(ENVIRONMENT),
            Self::These(names) => {
                capability.is_some_and(|capability| names.iter().any(|name| name == capability))
            }
        }
    }
}

/// Checks all requirements of a test; the first that is missing is the skip's reason.
pub(super) async fn check(requirements: &'static [Requirement]) -> Result<(), Error> {
    for &requirement in requirements {
        if let Err(why) = capability::check(requirement).await {
            let capability = Some(requirement.to_string());
            return Err(Error::new(
                Kind::Skip { capability },
                format!("it needs {requirement}: {why}"),
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_demand_forbids_the_skips_that_it_names() {
        let parse = |text| Demanded::parse(text).unwrap();
        assert!(!parse("").forbids_skip(Some("docker")));
        assert!(parse("all").forbids_skip(None));
        let docker = parse(" docker , program:redis-server");
        assert!(docker.forbids_skip(Some("docker")));
        assert!(docker.forbids_skip(Some("program:redis-server")));
        assert!(!docker.forbids_skip(Some("root")));
        assert!(!docker.forbids_skip(None));
        for (text, forbidden) in [
            ("", false),
            ("docker", false),
            ("all", false),
            ("environment", true),
            ("environment,docker", true),
            ("all,environment", true),
        ] {
            let forbids = parse(text).forbids_skip(Some(ENVIRONMENT));
            assert_eq!(forbids, forbidden, "{text}");
        }
        assert!(parse("all,environment").forbids_skip(None));
        assert!(!parse("all,environment").forbids_skip(Some(selection::CAPABILITY)));
    }

    #[test]
    fn a_misspelt_demand_is_an_error_and_not_a_silent_skip() {
        let error = Demanded::parse("dokcer").unwrap_err().to_string();
        assert!(
            error.contains("`dokcer`") && error.contains("docker"),
            "{error}"
        );
    }
}
