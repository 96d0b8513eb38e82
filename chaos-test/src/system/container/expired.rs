//! Removes what runs left on an engine whose journals nobody can find any more: whoever made
//! it died together with its watchdog and its state directory, as when a job's own container
//! is removed while the engine lives on.
//!
//! Everything that we make says on its labels until when it may live. What is past that goes,
//! unless the process that made it can be seen to run.

use std::collections::HashMap;
use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use testcontainers::bollard::query_parameters::{
    ListContainersOptionsBuilder, ListNetworksOptionsBuilder,
};

use super::engine::{Engine, Refusal};
use super::remove::{self, TOKEN_LABEL};
use crate::model::identity::ProcessIdentity;
use crate::system::identity;

/// Until when a thing may live, in seconds since 1970.
pub(crate) const EXPIRES_LABEL: &str = "chaos-test.expires";
/// The labels that say which process made it.
pub(crate) const PID_LABEL: &str = "chaos-test.pid";
pub(crate) const START_LABEL: &str = "chaos-test.start-time";
pub(crate) const BOOT_LABEL: &str = "chaos-test.boot";
pub(crate) const NAMESPACE_LABEL: &str = "chaos-test.pid-namespace";

/// How long the engine may take to list what it has.
const LIST_LIMIT: Duration = Duration::from_secs(10);

/// Something that is past its time.
#[derive(Debug)]
pub(crate) struct Expired {
    is: Thing,
    name: String,
    token: String,
}

#[derive(Debug, Clone, Copy)]
enum Thing {
    Container,
    Network,
}

impl fmt::Display for Expired {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is = match self.is {
            Thing::Container => "container",
            Thing::Network => "network",
        };
        write!(f, "{is} {}", self.name)
    }
}

impl Expired {
    /// Removes it. Another run's sweep may be at it, too: what is gone already is no mistake.
    pub(crate) async fn remove(&self, engine: &Engine) -> Result<(), Refusal> {
        match self.is {
            Thing::Container => remove::container(engine, &self.name, &self.token, true).await,
            Thing::Network => remove::network(engine, &self.name, &self.token, true).await,
        }
    }
}

/// What is past its time, in the order in which it can be removed: networks last.
///
/// # Errors
///
/// If the engine cannot list what it has.
pub(crate) async fn find(engine: &Engine) -> Result<Vec<Expired>, Refusal> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.unwrap_or_default();
    let mut found = expired(containers(engine).await?, now, Thing::Container);
    found.extend(expired(networks(engine).await?, now, Thing::Network));
    Ok(found)
}

type Labels = HashMap<String, String>;

async fn containers(engine: &Engine) -> Result<Vec<(String, Labels)>, Refusal> {
    let options = ListContainersOptionsBuilder::default()
        .all(true)
        .filters(&HashMap::from([("label", vec![EXPIRES_LABEL])]))
        .build();
    let asked = engine.docker().list_containers(Some(options));
    let listed = engine.ask("listing containers", LIST_LIMIT, asked).await?;
    let named = listed.into_iter().filter_map(|one| {
        let name = one.names?.into_iter().next()?;
        Some((name.trim_start_matches('/').to_owned(), one.labels?))
    });
    Ok(named.collect())
}

async fn networks(engine: &Engine) -> Result<Vec<(String, Labels)>, Refusal> {
    let options = ListNetworksOptionsBuilder::default()
        .filters(&HashMap::from([("label", vec![EXPIRES_LABEL])]))
        .build();
    let asked = engine.docker().list_networks(Some(options));
    let listed = engine.ask("listing networks", LIST_LIMIT, asked).await?;
    let named = listed.into_iter();
    Ok(named
        .filter_map(|one| Some((one.name?, one.labels?)))
        .collect())
}

fn expired(named: Vec<(String, Labels)>, now: Duration, is: Thing) -> Vec<Expired> {
    let expired = named
        .into_iter()
        .filter(|(_, labels)| is_expired(labels, now) && !maker_runs(labels));
    expired
        .filter_map(|(name, mut labels)| {
            // What has no token is none of ours.
            let token = labels.remove(TOKEN_LABEL)?;
            Some(Expired { is, name, token })
        })
        .collect()
}

fn is_expired(labels: &Labels, now: Duration) -> bool {
    let until = labels.get(EXPIRES_LABEL).and_then(|text| text.parse().ok());
    until.is_some_and(|until: u64| until < now.as_secs())
}

/// Whether the process that made it is one of ours to see, and runs.
fn maker_runs(labels: &Labels) -> bool {
    maker(labels).is_some_and(|maker| {
        maker.boot_id == identity::boot_id()
            && maker.namespace == identity::namespace()
            && identity::is_alive(&maker)
    })
}

fn maker(labels: &Labels) -> Option<ProcessIdentity> {
    Some(ProcessIdentity {
        pid: labels.get(PID_LABEL)?.parse().ok()?,
        start_time: labels.get(START_LABEL)?.parse().ok()?,
        boot_id: labels.get(BOOT_LABEL)?.clone(),
        namespace: labels.get(NAMESPACE_LABEL)?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(expires: &str, process: &ProcessIdentity) -> Labels {
        let labels = [
            (EXPIRES_LABEL, expires.to_owned()),
            (TOKEN_LABEL, "token".to_owned()),
            (PID_LABEL, process.pid.to_string()),
            (START_LABEL, process.start_time.to_string()),
            (BOOT_LABEL, process.boot_id.clone()),
            (NAMESPACE_LABEL, process.namespace.to_string()),
        ];
        labels.map(|(name, value)| (name.to_owned(), value)).into()
    }

    fn goes(labels: Labels) -> bool {
        let named = vec![("name".to_owned(), labels)];
        !expired(named, Duration::from_secs(1000), Thing::Network).is_empty()
    }

    #[test]
    fn only_what_is_past_its_time_and_has_no_living_maker_goes() {
        let own = identity::own().unwrap();
        let dead = ProcessIdentity {
            start_time: own.start_time + 1,
            ..own.clone()
        };
        let elsewhere = ProcessIdentity {
            boot_id: "another".to_owned(),
            ..own.clone()
        };
        let contained = ProcessIdentity {
            namespace: own.namespace + 1,
            ..own.clone()
        };
        assert!(!goes(labels("999", &own)));
        for process in [dead, elsewhere, contained] {
            assert!(goes(labels("999", &process)), "{process:?}");
            assert!(!goes(labels("1000", &process)), "{process:?}");
            assert!(!goes(labels("soon", &process)), "{process:?}");
        }
        // What has no token is none of ours.
        let mut foreign = labels("999", &own);
        foreign.insert(START_LABEL.to_owned(), "0".to_owned());
        foreign.remove(TOKEN_LABEL);
        assert!(!goes(foreign));
    }
}
