//! Makes a container and removes it: its removal is on disk before the engine is asked.

use std::collections::HashMap;
use std::time::Duration;

use testcontainers::bollard::models::{
    ContainerCreateBody, EndpointSettings, NetworkingConfig, PortBinding,
};
use testcontainers::bollard::query_parameters::CreateContainerOptionsBuilder;
use testcontainers::core::ContainerPort;

use super::ServiceContainer;
use crate::error::Error;
use crate::model::event::Event;
use crate::model::undo::Undo;
use crate::system::container::engine::Refusal;
use crate::system::container::recipe::port_key;
use crate::system::container::{advice, archive, image, remove};
use crate::system::lock::lock;
use crate::system::service::Unit;

/// How long the engine may take to make a container.
const CREATE_LIMIT: Duration = Duration::from_secs(60);

impl ServiceContainer {
    /// Makes the container; its removal is on disk before that.
    pub(super) async fn create(&self) -> Result<u64, Error> {
        let failed = |why: Error| {
            let image = &self.recipe.image;
            self.error(format!("could not be made from image `{image}`"))
                .because(why)
        };
        archive::refuse_hidden(&self.recipe.copies, &self.recipe.body).map_err(failed)?;
        let declared = image::present(&self.engine, &self.recipe)
            .await
            .map_err(failed)?;
        let ports = self.ports(declared);
        let body = self.body(&ports);
        self.refuse(&body)?;
        let ledger = self.ledger()?;
        let what = format!(
            "make container {} of `{}`",
            self.made.container,
            self.name()
        );
        let entry = ledger.plan(&what, self.undo_existing(), false)?;
        let platform = self.recipe.platform.clone();
        let options = CreateContainerOptionsBuilder::default()
            .name(&self.made.container)
            .platform(platform.as_deref().unwrap_or_default())
            .build();
        let made = self.engine.docker().create_container(Some(options), body);
        let made = self.engine.ask("making the container", CREATE_LIMIT, made);
        let made = match made.await {
            Ok(_) => archive::copy(&self.engine, &self.made.container, &self.recipe.copies).await,
            Err(refusal) => Err(refusal),
        };
        let Err(refusal) = made else {
            ledger.record(Event::Made { entry });
            lock(&self.live).known = tcp_ports(&ports);
            return Ok(entry);
        };
        // An answer says that there is none; without one there may be, or will be.
        let answered = !matches!(refusal, Refusal::Silent(_));
        let error = failed(advice::not_made(&refusal));
        Err(match self.put_away(entry, answered).await {
            Ok(()) => error,
            Err(left) => error.help(self.left(&left)),
        })
    }

    /// Refuses what could not be watched or would not work.
    fn refuse(&self, body: &ContainerCreateBody) -> Result<(), Error> {
        match (restarts(body), self.recipe.supervised) {
            (Some(policy), None) => {
                return Err(self
                    .error(format!("asks the engine to restart it (`{policy}`)"))
                    .help(
                        "say how long that may take, with `.supervised(secs(10))` on `Container`, \
                         or leave the restart policy out",
                    ));
            }
            (None, Some(_)) => {
                return Err(self
                    .error("is `.supervised(..)`, and has no restart policy".to_owned())
                    .help(
                        "set one with `with_host_config_modifier`: nobody else would bring it \
                         back",
                    ));
            }
            _ => {}
        }
        match self.refuses_aliases() {
            Some(network) => Err(self
                .error(format!("cannot have aliases in network `{network}`"))
                .help("only networks that somebody made have them; leave `with_network` out")),
            None => Ok(()),
        }
    }

    /// What a person can do where what was made of it could not be removed.
    pub(crate) fn left(&self, why: &Error) -> String {
        format!(
            "nor could it be removed ({why}); the end of the test tries again, and `{}` does it \
             by hand",
            self.undo_existing().by_hand()
        )
    }

    /// Removes what was made of it, and says so in the journal.
    pub(super) async fn put_away(&self, entry: u64, made: bool) -> Result<(), Error> {
        self.remove(made).await?;
        self.ledger()?.undone(entry);
        lock(&self.live).entry = None;
        Ok(())
    }

    /// Everything that it listens on: what its image declares, what the request adds, and
    /// what is mapped.
    pub(super) fn ports(&self, declared: Vec<ContainerPort>) -> Vec<ContainerPort> {
        let mut ports: Vec<ContainerPort> = Vec::new();
        let mapped = self.recipe.mapped.iter().map(|(_, port)| *port);
        let own = self.recipe.ports.iter().copied();
        for port in own.chain(mapped).chain(declared) {
            if !ports.contains(&port) {
                ports.push(port);
            }
        }
        ports
    }

    pub(super) fn body(&self, ports: &[ContainerPort]) -> ContainerCreateBody {
        let mut body = self.recipe.body.clone();
        body.image = Some(self.recipe.image.clone());
        body.labels
            .get_or_insert_default()
            .extend(self.made.labels.clone());
        body.exposed_ports = Some(ports.iter().map(|port| port_key(*port)).collect());
        let mut host = body.host_config.take().unwrap_or_default();
        let published = self.engine.publishes_on().to_string();
        let bindings = ports.iter().map(|port| {
            let mapped = self.recipe.mapped.iter().find(|(_, known)| known == port);
            let binding = PortBinding {
                host_ip: Some(published.clone()),
                host_port: mapped.map(|(host, _)| host.to_string()),
            };
            (port_key(*port), Some(vec![binding]))
        });
        match &self.recipe.network {
            None => {
                let mut aliases = vec![self.made.service.clone()];
                aliases.extend(self.recipe.aliases.iter().cloned());
                let endpoint = self.made.network.endpoint(&aliases);
                lock(&self.live).endpoint = Some(endpoint.clone());
                let name = self.made.network.name.clone();
                host.network_mode = Some(name.clone());
                host.port_bindings = Some(bindings.collect());
                body.networking_config = Some(NetworkingConfig {
                    endpoints_config: Some(HashMap::from([(name, endpoint)])),
                });
            }
            Some(network) => {
                host.network_mode = Some(network.clone());
                if !is_built_in(network) {
                    let mut aliases = vec![self.made.service.clone()];
                    aliases.extend(self.recipe.aliases.iter().cloned());
                    let endpoint = EndpointSettings {
                        aliases: Some(aliases),
                        ..EndpointSettings::default()
                    };
                    lock(&self.live).endpoint = Some(endpoint.clone());
                    body.networking_config = Some(NetworkingConfig {
                        endpoints_config: Some(HashMap::from([(network.clone(), endpoint)])),
                    });
                }
                if !network.starts_with("container:") && network != "host" {
                    host.port_bindings = Some(bindings.collect());
                }
            }
        }
        if let Some(modify) = &self.recipe.modifier {
            modify(&mut host);
        }
        body.host_config = Some(host);
        body
    }

    /// The network that has no aliases, where some are wanted in it.
    fn refuses_aliases(&self) -> Option<&str> {
        let network = self.recipe.network.as_deref()?;
        (is_built_in(network) && !self.recipe.aliases.is_empty()).then_some(network)
    }

    /// The undo of its existence.
    pub(super) fn undo_existing(&self) -> Undo {
        Undo::RemoveContainer {
            service: self.made.service.clone(),
            engine: self.engine.url().to_owned(),
            container: self.made.container.clone(),
            token: self.made.token.clone(),
        }
    }

    /// Removes it for good: the end of its life. It is killed, because nobody needs what it
    /// would write down.
    pub(crate) async fn remove(&self, made: bool) -> Result<(), Error> {
        self.expect_end(true);
        remove::container(&self.engine, &self.made.container, &self.made.token, made)
            .await
            .map_err(|refusal| remove::not_removed(&refusal))
    }
}

fn tcp_ports(ports: &[ContainerPort]) -> Vec<u16> {
    let tcp = ports.iter().filter_map(|port| match port {
        ContainerPort::Tcp(port) => Some(*port),
        _ => None,
    });
    tcp.collect()
}

/// Networks that engines have by themselves: nobody has a name in them.
fn is_built_in(network: &str) -> bool {
    matches!(network, "bridge" | "default" | "host" | "none" | "podman")
        || network.starts_with("container:")
}

/// The policy by which the engine would restart it, if any.
fn restarts(body: &ContainerCreateBody) -> Option<String> {
    let host = body.host_config.as_ref()?;
    let policy = host.restart_policy.as_ref()?.name?;
    let policy = policy.to_string();
    (!policy.is_empty() && policy != "no").then_some(policy)
}
