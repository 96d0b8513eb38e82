//! What faults do to a container, and what puts it back.

use std::time::Duration;

use testcontainers::bollard::models::{NetworkConnectRequest, NetworkDisconnectRequest};

use super::{ContainerState, ServiceContainer};
use crate::error::Error;
use crate::system::container::acts;
use crate::system::container::network::NETWORK_LIMIT;
use crate::system::lock::lock;
use crate::system::process::Signal;
use crate::system::service::Unit;

/// How long an exit may take to be told once the engine knows of it.
const EXIT_LIMIT: Duration = Duration::from_secs(10);

impl ServiceContainer {
    /// Sends a signal to its first process; past the engine, where that is to bring it back.
    pub(crate) async fn kill(&self, signal: Signal) -> Result<(), Error> {
        let _change = self.changing.lock().await;
        self.expect_end(true);
        let Some(supervision) = &self.supervision else {
            return acts::kill(&self.engine, &self.made.container, signal)
                .await
                .map_err(|why| {
                    self.expect_end(false);
                    self.refused(&why)
                });
        };
        {
            let mut live = lock(&self.live);
            let exit = live.exit.clone();
            live.killed = live.start.clone().map(|start| (start, exit));
        }
        supervision.died();
        acts::kill_past_engine(&self.engine, &self.made.container, signal)
            .await
            .map_err(|why| {
                self.expect_end(false);
                supervision.calm();
                self.error("could not be killed".to_owned()).because(why)
            })
    }

    /// Asks it to end and has it killed after its grace period, in whole seconds.
    pub(crate) async fn stop(&self, grace: Duration) -> Result<(), Error> {
        let _change = self.changing.lock().await;
        self.expect_end(true);
        lock(&self.live).killed = None;
        if let Err(why) = acts::stop(&self.engine, &self.made.container, grace).await {
            self.expect_end(false);
            return Err(self.refused(&why));
        }
        self.exits_within(EXIT_LIMIT).await;
        Ok(())
    }

    pub(crate) async fn pause(&self) -> Result<(), Error> {
        let _change = self.changing.lock().await;
        acts::pause(&self.engine, &self.made.container)
            .await
            .map_err(|why| self.refused(&why))
    }

    /// Whether it is in its network.
    pub(crate) async fn is_connected(&self) -> Result<bool, Error> {
        let found = self.inspect().await.map_err(|why| self.refused(&why))?;
        let networks = found
            .network_settings
            .and_then(|settings| settings.networks);
        let wanted = self.network_name();
        Ok(networks.is_some_and(|networks| {
            // It may have been named by its id.
            networks.contains_key(&wanted)
                || networks
                    .values()
                    .any(|one| one.network_id.as_ref() == Some(&wanted))
        }))
    }

    /// The network that faults take it out of.
    pub(crate) fn network_name(&self) -> String {
        let own = || self.made.network.name.clone();
        self.recipe.network.clone().unwrap_or_else(own)
    }

    pub(crate) async fn disconnect(&self) -> Result<(), Error> {
        let _change = self.changing.lock().await;
        let docker = self.engine.docker();
        let request = NetworkDisconnectRequest {
            container: self.made.container.clone(),
            force: Some(false),
        };
        let network = self.network_name();
        let done = docker.disconnect_network(&network, request);
        self.engine
            .ask("taking it out of its network", NETWORK_LIMIT, done)
            .await
            .map_err(|why| self.refused(&why))
    }

    /// Puts it into its network again, with the aliases and the address that it had.
    pub(crate) async fn connect(&self) -> Result<(), Error> {
        let _change = self.changing.lock().await;
        if self.is_connected().await? {
            return Ok(());
        }
        let request = NetworkConnectRequest {
            container: self.made.container.clone(),
            endpoint_config: lock(&self.live).endpoint.clone(),
        };
        let docker = self.engine.docker();
        let network = self.network_name();
        let done = docker.connect_network(&network, request);
        self.engine
            .ask("putting it into its network", NETWORK_LIMIT, done)
            .await
            .map_err(|why| self.refused(&why))?;
        self.find_ports().await?;
        match self.state().await? {
            // Its readiness could not be seen while nobody reached it.
            ContainerState::Running => self.still_ready().await,
            _ => Ok(()),
        }
    }
}
