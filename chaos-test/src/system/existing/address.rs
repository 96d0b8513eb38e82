//! A service of which nothing is known but where it is: only the links in front of it can be
//! broken.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::error::{Error, Kind};
use crate::model::target::Target;
use crate::model::undo::Undo;
use crate::system::service::{
    Answer, NotReady, ProcessUnit, ReadyCheck, Unit, unknown_log, until_ready,
};

/// An address, as a service.
pub(crate) struct ExistingAddress {
    pub(crate) service: String,
    /// As the test wrote it.
    pub(crate) written: String,
    pub(crate) address: SocketAddr,
    pub(crate) log: PathBuf,
    /// Whether somebody writes that file there.
    pub(crate) writes_log: bool,
    pub(crate) ready: Arc<dyn ReadyCheck>,
    pub(crate) start_timeout: Duration,
    /// Where it is found by its ports, where it was made for the tests of this run.
    pub(crate) kept: Option<Vec<(u16, SocketAddr)>>,
}

const ONLY_LINKS: &str = "faults on its links are in `chaos_test::link`; name the process \
                          (`existing::process`) or the container (`existing::container`) to break \
                          that";

impl ExistingAddress {
    fn is_only_an_address(&self) -> Error {
        if self.kept.is_some() {
            let what = format!(
                "service `{}` runs within the process that keeps it for this run",
                self.service
            );
            return Error::new(Kind::Usage, what)
                .help("faults on its links are in `chaos_test::link`");
        }
        let what = format!("service `{}` is only an address", self.service);
        Error::new(Kind::Usage, what).help(ONLY_LINKS)
    }
}

impl Unit for ExistingAddress {
    fn name(&self) -> &str {
        &self.service
    }

    fn log(&self) -> &Path {
        &self.log
    }

    fn log_is_known(&self) -> Result<(), Error> {
        match self.writes_log {
            true => Ok(()),
            false => Err(unknown_log(&self.service, "an address")),
        }
    }

    fn endpoints(&self) -> Vec<(u16, SocketAddr)> {
        match &self.kept {
            Some(addresses) => addresses.clone(),
            None => vec![(self.address.port(), self.address)],
        }
    }

    fn grace(&self) -> Duration {
        Duration::ZERO
    }

    fn start_timeout(&self) -> Duration {
        self.start_timeout
    }

    fn has_printed(&self, _: &str) -> Result<(), String> {
        Err("what an address prints cannot be seen".to_owned())
    }

    fn ensure_running(&self) -> Answer<'_, Result<(), Error>> {
        Box::pin(async move {
            let never = std::future::pending();
            match until_ready(self, &*self.ready, never).await {
                Ok(()) => Ok(()),
                Err(NotReady::Late(what)) => Err(self.error(what)),
                Err(NotReady::Ended) => Err(self.error("ended".to_owned())),
            }
        })
    }

    fn until_ready_again(&self) -> Answer<'_, Result<(), Error>> {
        self.ensure_running()
    }

    fn end(&self, _: bool) -> Answer<'_, Result<(), Error>> {
        Box::pin(async { Ok(()) })
    }

    fn as_process(&self) -> Result<&dyn ProcessUnit, Error> {
        Err(self.is_only_an_address())
    }

    #[cfg(feature = "containers")]
    fn as_container(&self) -> Result<&dyn crate::system::service::ContainerUnit, Error> {
        Err(self.is_only_an_address())
    }

    fn existing(&self) -> Option<Target> {
        let kept = self.kept.is_some();
        (!kept).then(|| Target::Address(self.written.clone()))
    }

    fn undo_running(&self) -> Undo {
        Undo::Nothing
    }
}
