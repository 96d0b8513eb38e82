//! What the faults on containers need of one that the context made.

use std::time::Duration;

use super::{ContainerState, ServiceContainer};
use crate::error::Error;
use crate::model::resource::{Found, Resource};
use crate::model::undo::Undo;
use crate::system::process::Signal;
use crate::system::service::{Answer, ContainerUnit};

impl ContainerUnit for ServiceContainer {
    fn container(&self) -> &str {
        self.container()
    }

    fn state(&self) -> Answer<'_, Result<ContainerState, Error>> {
        Box::pin(self.state())
    }

    fn starts(&self) -> u32 {
        self.starts()
    }

    fn uses(&self, what: Resource) -> Answer<'_, Result<Found, String>> {
        Box::pin(self.last_look.uses(&self.engine, self, what))
    }

    fn network_name(&self) -> String {
        self.network_name()
    }

    fn is_connected(&self) -> Answer<'_, Result<bool, Error>> {
        Box::pin(self.is_connected())
    }

    fn undo_disconnecting(&self) -> Answer<'_, Result<Undo, Error>> {
        let undo = Undo::ConnectContainer {
            service: self.made.service.clone(),
            network: self.network_name(),
        };
        Box::pin(async { Ok(undo) })
    }

    fn kill(&self, signal: Signal) -> Answer<'_, Result<(), Error>> {
        Box::pin(self.kill(signal))
    }

    fn exits_within(&self, limit: Duration) -> Answer<'_, bool> {
        Box::pin(self.exits_within(limit))
    }

    fn stop(&self, grace: Duration) -> Answer<'_, Result<(), Error>> {
        Box::pin(self.stop(grace))
    }

    fn pause(&self) -> Answer<'_, Result<(), Error>> {
        Box::pin(self.pause())
    }

    fn start_unready(&self) -> Answer<'_, Result<(), Error>> {
        Box::pin(self.start_unready())
    }

    fn disconnect(&self) -> Answer<'_, Result<(), Error>> {
        Box::pin(self.disconnect())
    }

    fn connect(&self) -> Answer<'_, Result<(), Error>> {
        Box::pin(self.connect())
    }

    fn was_replaced(&self) -> Answer<'_, Result<bool, Error>> {
        Box::pin(self.replaced())
    }
}
