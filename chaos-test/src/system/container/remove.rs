//! Removes what we made on an engine, by its name and only where it is ours: for the test
//! itself, and for whoever undoes what a dead run left.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use testcontainers::bollard::models::NetworkDisconnectRequest;
use testcontainers::bollard::query_parameters::RemoveContainerOptionsBuilder;

use super::engine::{Engine, Refusal};
use super::network::NETWORK_LIMIT;
use crate::error::{Error, Kind};

/// The label that tells a thing of ours from a namesake.
pub(crate) const TOKEN_LABEL: &str = "chaos-test.token";
/// How long a thing is looked for whose making was never acknowledged, in one attempt: the
/// engine may still be at it.
const UNACKNOWLEDGED: Duration = Duration::from_secs(2);
/// How long the engine may take to remove a container.
const REMOVE_LIMIT: Duration = Duration::from_secs(30);
/// How long one question may take.
const ASK_LIMIT: Duration = Duration::from_secs(10);

/// Removes a container of a run that may be dead, with its anonymous volumes.
pub(crate) async fn remove_container(
    url: &str,
    name: &str,
    token: &str,
    made: bool,
) -> Result<(), Error> {
    let engine = Engine::at(url).await?;
    container(&engine, name, token, made)
        .await
        .map_err(|refusal| not_removed(&refusal))
}

/// Removes a network of a run that may be dead.
pub(crate) async fn remove_network(
    url: &str,
    name: &str,
    token: &str,
    made: bool,
) -> Result<(), Error> {
    let engine = Engine::at(url).await?;
    network(&engine, name, token, made)
        .await
        .map_err(|refusal| not_removed(&refusal))
}

/// What did not go.
pub(super) fn not_removed(refusal: &Refusal) -> Error {
    if refusal.is_missing() {
        return Error::new(
            Kind::MayStillCome,
            "it is not there, but the engine was asked for it and never said what came of that",
        );
    }
    Error::new(Kind::Undo, refusal.to_string())
}

/// Removes a container by its name. One that is not there is looked for a while, if the
/// engine never said that it had made it; then it is [`Refusal::Missing`].
pub(super) async fn container(
    engine: &Engine,
    name: &str,
    token: &str,
    made: bool,
) -> Result<(), Refusal> {
    let docker = engine.docker();
    let until = Instant::now() + UNACKNOWLEDGED;
    let id = loop {
        let asked = docker.inspect_container(name, None);
        match engine
            .ask("looking for the container", ASK_LIMIT, asked)
            .await
        {
            Ok(found) => {
                let labels = found.config.and_then(|config| config.labels);
                if !is_ours(labels.as_ref(), token) {
                    return Ok(());
                }
                break found.id.unwrap_or_else(|| name.to_owned());
            }
            Err(refusal) if refusal.is_missing() => {
                if made {
                    return Ok(());
                }
                if Instant::now() >= until {
                    return Err(refusal);
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            Err(refusal) => return Err(refusal),
        }
    };
    let until = Instant::now() + REMOVE_LIMIT;
    loop {
        let options = RemoveContainerOptionsBuilder::default()
            .force(true)
            .v(true)
            .build();
        let asked = docker.remove_container(&id, Some(options));
        match engine
            .ask("removing the container", REMOVE_LIMIT, asked)
            .await
        {
            Ok(()) => return Ok(()),
            Err(refusal) if refusal.is_missing() => return Ok(()),
            // Somebody else is removing it already.
            Err(Refusal::Conflict(_)) if Instant::now() < until => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Err(refusal) => return Err(refusal),
        }
    }
}

/// Removes a network by its name, and takes out of it whoever is still in it. One that is
/// not there is treated as a container that is not.
pub(super) async fn network(
    engine: &Engine,
    name: &str,
    token: &str,
    made: bool,
) -> Result<(), Refusal> {
    let docker = engine.docker();
    let until = Instant::now() + UNACKNOWLEDGED;
    let found = loop {
        let asked = docker.inspect_network(name, None);
        match engine
            .ask("looking for the network", ASK_LIMIT, asked)
            .await
        {
            Ok(found) => break found,
            Err(refusal) if refusal.is_missing() => {
                if made {
                    return Ok(());
                }
                if Instant::now() >= until {
                    return Err(refusal);
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            Err(refusal) => return Err(refusal),
        }
    };
    if !is_ours(found.labels.as_ref(), token) {
        return Ok(());
    }
    let id = found.id.unwrap_or_else(|| name.to_owned());
    for container in found.containers.unwrap_or_default().into_keys() {
        let request = NetworkDisconnectRequest {
            container,
            force: Some(true),
        };
        let asked = docker.disconnect_network(&id, request);
        // What is gone meanwhile need not be taken out.
        let _ = engine.ask("emptying the network", ASK_LIMIT, asked).await;
    }
    let asked = docker.remove_network(&id);
    match engine
        .ask("removing the network", NETWORK_LIMIT, asked)
        .await
    {
        Err(refusal) if !refusal.is_missing() => Err(refusal),
        _ => Ok(()),
    }
}

fn is_ours(labels: Option<&HashMap<String, String>>, token: &str) -> bool {
    labels.is_some_and(|labels| labels.get(TOKEN_LABEL).is_some_and(|found| found == token))
}
