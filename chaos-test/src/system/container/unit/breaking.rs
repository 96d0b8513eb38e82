//! What faults do to a container, and what puts it back.

use std::time::Duration;

use testcontainers::bollard::models::{NetworkConnectRequest, NetworkDisconnectRequest};
use testcontainers::bollard::query_parameters::{
    KillContainerOptionsBuilder, StopContainerOptionsBuilder,
};

use super::{ASK_LIMIT, ContainerState, START_LIMIT, ServiceContainer};
use crate::error::Error;
use crate::system::container::engine::Refusal;
use crate::system::container::network::NETWORK_LIMIT;
use crate::system::lock::lock;
use crate::system::process::Signal;

/// How long an exit may take to be told once the engine knows of it.
const EXIT_LIMIT: Duration = Duration::from_secs(10);
/// How often freezing a container's processes is tried, and what lies between two tries.
const FREEZE_TRIES: u32 = 10;
const FREEZE_PAUSE: Duration = Duration::from_millis(50);

impl ServiceContainer {
    /// Sends a signal to its first process.
    pub(crate) async fn kill(&self, signal: Signal) -> Result<(), Error> {
        let _change = self.changing.lock().await;
        self.expect_end(true);
        let options = KillContainerOptionsBuilder::default()
            .signal(&signal.to_string())
            .build();
        let docker = self.engine.docker();
        let sent = docker.kill_container(&self.made.container, Some(options));
        self.engine
            .ask(&format!("sending {signal}"), ASK_LIMIT, sent)
            .await
            .map_err(|why| {
                self.expect_end(false);
                self.refused(&why)
            })
    }

    /// Asks it to end and has it killed after its grace period, in whole seconds.
    pub(crate) async fn stop(&self, grace: Duration) -> Result<(), Error> {
        let _change = self.changing.lock().await;
        self.expect_end(true);
        let seconds = i32::try_from(grace.as_millis().div_ceil(1000)).unwrap_or(i32::MAX);
        let options = StopContainerOptionsBuilder::default().t(seconds).build();
        let limit = grace.saturating_add(START_LIMIT);
        let docker = self.engine.docker();
        let stopped = docker.stop_container(&self.made.container, Some(options));
        match self
            .engine
            .ask("stopping the container", limit, stopped)
            .await
        {
            Ok(()) => {}
            Err(why) => {
                self.expect_end(false);
                return Err(self.refused(&why));
            }
        }
        self.exits_within(EXIT_LIMIT).await;
        Ok(())
    }

    pub(crate) async fn pause(&self) -> Result<(), Error> {
        let _change = self.changing.lock().await;
        let docker = self.engine.docker();
        let mut tries = FREEZE_TRIES;
        loop {
            let paused = docker.pause_container(&self.made.container);
            let paused = self.engine.ask("pausing the container", ASK_LIMIT, paused);
            tries -= 1;
            match paused.await {
                Ok(()) => return Ok(()),
                // With cgroup v1, runc gives up where the kernel has not frozen all processes
                // fast enough, and has them go on: on a busy machine that happens by chance.
                Err(Refusal::Answered(why)) if tries > 0 && why.contains("unable to freeze") => {
                    tokio::time::sleep(FREEZE_PAUSE).await;
                }
                Err(why) => return Err(self.refused(&why)),
            }
        }
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
