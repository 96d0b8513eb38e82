//! What the rooms above need of a container that is not ours.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::unit::ExistingContainer;
use crate::error::{Error, Kind};
use crate::model::resource::{Found, Resource};
use crate::model::target::Target;
use crate::model::undo::Undo;
use crate::system::container::acts;
use crate::system::container::unit::ContainerState;
use crate::system::lock::lock;
use crate::system::process::Signal;
use crate::system::service::{Answer, ContainerUnit, Ending, ProcessUnit, Unit};
use crate::system::supervision::{Successor, Supervision};

impl Unit for ExistingContainer {
    fn name(&self) -> &str {
        &self.known.service
    }

    fn log(&self) -> &Path {
        &self.known.log
    }

    fn endpoints(&self) -> Vec<(u16, SocketAddr)> {
        lock(&self.live).endpoints.clone()
    }

    fn grace(&self) -> Duration {
        self.known.grace
    }

    fn start_timeout(&self) -> Duration {
        self.known.start_timeout
    }

    fn has_printed(&self, _: &str) -> Result<(), String> {
        Err(
            "what a container printed that was there before the test is not waited for; use \
             another ready check"
                .to_owned(),
        )
    }

    fn ensure_running(&self) -> Answer<'_, Result<(), Error>> {
        Box::pin(self.run_again())
    }

    fn end(&self, _: bool) -> Answer<'_, Result<(), Error>> {
        // It stays, whatever becomes of the test.
        Box::pin(async { Ok(()) })
    }

    fn as_process(&self) -> Result<&dyn ProcessUnit, Error> {
        Err(Error::new(
            Kind::Usage,
            format!("service `{}` is a container, not a process", self.name()),
        )
        .help("the faults on containers are in `chaos_test::container`"))
    }

    fn as_container(&self) -> Result<&dyn ContainerUnit, Error> {
        Ok(self)
    }

    fn existing(&self) -> Option<Target> {
        let kept = self.known.kept.is_some();
        (!kept).then(|| Target::Container(self.name.clone()))
    }

    fn supervision(&self) -> Option<&Supervision> {
        self.known.supervision.as_ref()
    }

    fn take_in(&self) -> Answer<'_, Result<Option<Successor>, Error>> {
        Box::pin(self.take_in_what_runs())
    }

    fn until_ready_again(&self) -> Answer<'_, Result<(), Error>> {
        Box::pin(self.until_ready())
    }

    fn undo_running(&self) -> Undo {
        self.undo_with(Duration::ZERO, None)
    }

    fn undo_ending(&self, how: Ending, within: Duration) -> Result<Undo, Error> {
        if self.goes_when_it_ends {
            return Err(Error::new(
                Kind::Refused,
                format!(
                    "service `{}` is container {}, which the engine removes as soon as it ends \
                     (`--rm`): it could not be had again",
                    self.known.service, self.name
                ),
            )
            .help("`container::pause` and faults on its links leave it there"));
        }
        let waited = self.known.supervision.as_ref().map(Supervision::within);
        let waited = waited.filter(|_| how == Ending::Killed);
        Ok(self.undo_with(waited.unwrap_or_default(), Some(within)))
    }
}

impl ContainerUnit for ExistingContainer {
    fn container(&self) -> &str {
        &self.name
    }

    fn state(&self) -> Answer<'_, Result<ContainerState, Error>> {
        Box::pin(self.state_now())
    }

    fn starts(&self) -> u32 {
        self.starts.load(Ordering::SeqCst)
    }

    fn uses(&self, what: Resource) -> Answer<'_, Result<Found, String>> {
        Box::pin(self.last_look.uses(&self.known.engine, self, what))
    }

    fn network_name(&self) -> String {
        let live = lock(&self.live);
        let names: Vec<_> = live.networks.iter().map(|one| one.name.as_str()).collect();
        if names.is_empty() {
            return "its networks".to_owned();
        }
        names.join(", ")
    }

    fn is_connected(&self) -> Answer<'_, Result<bool, Error>> {
        Box::pin(self.is_in_its_networks())
    }

    fn undo_disconnecting(&self) -> Answer<'_, Result<Undo, Error>> {
        Box::pin(self.undo_leaving())
    }

    fn kill(&self, signal: Signal) -> Answer<'_, Result<(), Error>> {
        Box::pin(self.kill_it(signal))
    }

    fn exits_within(&self, limit: Duration) -> Answer<'_, bool> {
        Box::pin(self.has_ended_within(limit))
    }

    fn stop(&self, grace: Duration) -> Answer<'_, Result<(), Error>> {
        Box::pin(self.stop_it(grace))
    }

    fn pause(&self) -> Answer<'_, Result<(), Error>> {
        Box::pin(async move {
            let _change = self.changing.lock().await;
            acts::pause(&self.known.engine, &self.id)
                .await
                .map_err(|why| self.refused(&why))
        })
    }

    fn start_unready(&self) -> Answer<'_, Result<(), Error>> {
        Box::pin(self.start_it())
    }

    fn disconnect(&self) -> Answer<'_, Result<(), Error>> {
        Box::pin(self.leave())
    }

    fn connect(&self) -> Answer<'_, Result<(), Error>> {
        Box::pin(self.rejoin())
    }

    fn was_replaced(&self) -> Answer<'_, Result<bool, Error>> {
        Box::pin(self.replaced())
    }
}
