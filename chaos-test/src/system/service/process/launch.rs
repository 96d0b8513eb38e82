//! What a service's process is started with.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::system::gate::Limits;
use crate::system::ports::ReservedPort;
use crate::system::service::ReadyCheck;

/// How a service's process is started, each time.
pub(crate) struct Launch {
    pub(crate) name: String,
    pub(crate) program: PathBuf,
    pub(crate) args: Vec<OsString>,
    pub(crate) env: BTreeMap<OsString, Option<OsString>>,
    pub(crate) folder: Option<PathBuf>,
    pub(crate) log: PathBuf,
    pub(crate) limits: Limits,
    pub(crate) token: String,
    pub(crate) ports: Vec<(u16, ReservedPort)>,
    /// How long the program may take to bring its service back, where it is a supervisor.
    pub(crate) supervised: Option<Duration>,
    pub(crate) ready: Arc<dyn ReadyCheck>,
    pub(crate) start_timeout: Duration,
    pub(crate) grace: Duration,
}
