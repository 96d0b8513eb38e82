//! Takes a container that is not ours out of its networks, and puts it back as it was.

use testcontainers::bollard::models::{
    ContainerInspectResponse, EndpointIpamConfig, EndpointSettings, NetworkConnectRequest,
    NetworkDisconnectRequest,
};

use super::acts;
use super::engine::{Engine, Refusal};
use super::network::NETWORK_LIMIT;
use super::unit::ContainerState;
use crate::error::{Error, Kind};
use crate::model::existing::Attachment;

/// How a container is connected now, network by network.
pub(super) fn attachments(found: &ContainerInspectResponse) -> Vec<Attachment> {
    let id = found.id.as_deref().unwrap_or_default();
    let settings = found.network_settings.as_ref();
    let networks = settings.and_then(|settings| settings.networks.clone());
    let mut attached: Vec<Attachment> = networks
        .unwrap_or_default()
        .into_iter()
        .map(|(name, endpoint)| attachment(name, endpoint, id))
        .collect();
    attached.sort_by(|one, other| one.name.cmp(&other.name));
    attached
}

fn attachment(name: String, endpoint: EndpointSettings, id: &str) -> Attachment {
    let text = |text: Option<String>| text.filter(|text| !text.is_empty());
    let chosen = endpoint.ipam_config.unwrap_or_default();
    // The engine adds the short id to each endpoint by itself.
    let mut aliases = endpoint.aliases.unwrap_or_default();
    aliases.retain(|alias| alias.is_empty() || !id.starts_with(alias.as_str()));
    Attachment {
        network: text(endpoint.network_id).unwrap_or_else(|| name.clone()),
        name,
        aliases,
        links: endpoint.links.unwrap_or_default(),
        address: text(endpoint.ip_address),
        chosen: [text(chosen.ipv4_address), text(chosen.ipv6_address)],
        options: endpoint
            .driver_opts
            .unwrap_or_default()
            .into_iter()
            .collect(),
    }
}

pub(super) async fn leave(
    engine: &Engine,
    container: &str,
    network: &Attachment,
) -> Result<(), Refusal> {
    let request = NetworkDisconnectRequest {
        container: container.to_owned(),
        force: Some(false),
    };
    let done = engine
        .docker()
        .disconnect_network(&network.network, request);
    engine
        .ask("taking it out of its network", NETWORK_LIMIT, done)
        .await
}

/// Puts a container of a run that may be dead back into its networks.
pub(crate) async fn rejoin(
    url: &str,
    container: &str,
    networks: &[Attachment],
) -> Result<(), Error> {
    let engine = Engine::at(url).await?;
    back(&engine, container, networks).await
}

/// Puts a container back into those of its networks in which it is not.
pub(super) async fn back(
    engine: &Engine,
    container: &str,
    networks: &[Attachment],
) -> Result<(), Error> {
    let mut moved = Vec::new();
    for network in networks {
        let found = match acts::inspect(engine, container).await {
            Ok(found) => found,
            Err(why) if why.is_missing() => return Err(super::existing::gone(container)),
            Err(why) => return Err(failed(&why)),
        };
        let runs = matches!(
            acts::state_of(&found),
            ContainerState::Running | ContainerState::Paused
        );
        let is_there = |one: &Attachment| one.network == network.network;
        if attachments(&found).iter().any(is_there) {
            continue;
        }
        join(engine, container, network, network.chosen.clone()).await?;
        // One that does not run gets its address when it starts.
        let Some(before) = network.address.as_ref().filter(|_| runs) else {
            continue;
        };
        if address_in(engine, container, network).await? == *before {
            continue;
        }
        // The engine gave it another one: chosen by us, it has the one that it had.
        leave(engine, container, network)
            .await
            .map_err(|why| failed(&why))?;
        let chosen = [Some(before.clone()), network.chosen[1].clone()];
        if join(engine, container, network, chosen).await.is_err() {
            // Only networks whose range somebody chose give addresses that are asked for.
            join(engine, container, network, network.chosen.clone()).await?;
            let now = address_in(engine, container, network).await?;
            if now != *before {
                moved.push(format!("{} is {now}, and was {before}", network.name));
            }
        }
    }
    if moved.is_empty() {
        return Ok(());
    }
    Err(Error::new(
        Kind::Lost,
        format!(
            "it is back in its networks, and the engine gave its address to somebody else: in {}",
            moved.join("; in ")
        ),
    ))
}

async fn join(
    engine: &Engine,
    container: &str,
    network: &Attachment,
    [ipv4, ipv6]: [Option<String>; 2],
) -> Result<(), Error> {
    let options = network.options.clone().into_iter().collect();
    let chosen = ipv4.is_some() || ipv6.is_some();
    let request = NetworkConnectRequest {
        container: container.to_owned(),
        endpoint_config: Some(EndpointSettings {
            aliases: (!network.aliases.is_empty()).then(|| network.aliases.clone()),
            links: (!network.links.is_empty()).then(|| network.links.clone()),
            driver_opts: (!network.options.is_empty()).then_some(options),
            ipam_config: chosen.then(|| EndpointIpamConfig {
                ipv4_address: ipv4,
                ipv6_address: ipv6,
                ..EndpointIpamConfig::default()
            }),
            ..EndpointSettings::default()
        }),
    };
    let done = engine.docker().connect_network(&network.network, request);
    let done = engine.ask("putting it into its network", NETWORK_LIMIT, done);
    match done.await {
        Ok(()) => Ok(()),
        Err(why) if why.is_missing() => Err(Error::new(
            Kind::Lost,
            format!("network {} is gone: somebody else removed it", network.name),
        )),
        Err(why) => Err(failed(&why)),
    }
}

async fn address_in(
    engine: &Engine,
    container: &str,
    network: &Attachment,
) -> Result<String, Error> {
    let found = acts::inspect(engine, container)
        .await
        .map_err(|why| failed(&why))?;
    let now = attachments(&found);
    let now = now.into_iter().find(|one| one.network == network.network);
    Ok(now.and_then(|one| one.address).unwrap_or_default())
}

fn failed(why: &Refusal) -> Error {
    Error::new(Kind::Undo, why.to_string())
}
