//! One service that is a container: what it is doing, and what it does as any service.

mod as_unit;
mod breaking;
mod making;
mod starting;
mod supervised;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use testcontainers::bollard::models::{ContainerInspectResponse, EndpointSettings};
use tokio::sync::watch;

use super::acts;
use super::engine::{Engine, Refusal};
use super::network::Network;
use super::output::Output;
use super::permits::Permit;
use super::recipe::Recipe;
use super::uses::LastLook;
use crate::error::{Error, Kind};
use crate::model::event::Event;
use crate::system::lock::lock;
use crate::system::service::log::{SinceStart, last_lines};
use crate::system::service::{Answer, ContainerUnit, ProcessUnit, Unit};
use crate::system::supervision::{Successor, Supervision};
use crate::system::world::{Ledger, World};

/// How long it may take to start one.
pub(super) const START_LIMIT: Duration = Duration::from_secs(60);
/// How long it may take to do anything else, besides what it is told to wait for: less than
/// a fault may take to look, so that it is the engine that is named.
pub(super) const ASK_LIMIT: Duration = Duration::from_secs(8);

/// What a container is made under, each time.
pub(crate) struct Made {
    /// The service's name.
    pub(crate) service: String,
    /// Its name on the engine.
    pub(crate) container: String,
    /// Tells it from a namesake that is not ours.
    pub(crate) token: String,
    pub(crate) labels: HashMap<String, String>,
    pub(crate) log: PathBuf,
    pub(crate) network: Arc<Network>,
    /// Its place among the containers that may run at once.
    pub(crate) _permit: Option<Permit>,
}

/// What a container is doing, as the engine says.
///
/// ```
/// use chaos_test::{ContainerState, Effect, Error, ReadOnlySystem};
///
/// /// `verify` of a fault that pauses a container.
/// async fn verify(system: &ReadOnlySystem) -> Result<Effect, Error> {
///     Ok(match system.container_state("cache").await? {
///         ContainerState::Paused => Effect::Active,
///         state => Effect::Absent(format!("it is {state}")),
///     })
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ContainerState {
    /// It runs.
    Running,
    /// It runs and is paused: it is there and does nothing.
    Paused,
    /// It does not run.
    Exited,
    /// It was made and never started.
    Created,
    /// The engine is starting it again by itself.
    Restarting,
    /// Somebody is removing it, or has.
    Gone,
}

impl std::fmt::Display for ContainerState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Exited => "not running",
            Self::Created => "not started",
            Self::Restarting => "being restarted by the engine",
            Self::Gone => "gone",
        })
    }
}

/// How one start of a container ended.
#[derive(Debug, Clone)]
pub(super) struct Ended {
    pub(super) how: String,
    /// `None` where the engine does not know it any more.
    pub(super) code: Option<i64>,
}

type Exit = watch::Receiver<Option<Ended>>;

/// A service in a container, whether that runs at the moment or not.
pub(crate) struct ServiceContainer {
    engine: Arc<Engine>,
    recipe: Recipe,
    made: Made,
    world: Weak<World>,
    ledger: Weak<dyn Ledger>,
    live: Arc<Mutex<Live>>,
    starts: AtomicU32,
    /// One change at a time; a fault and a restart must not cross.
    changing: tokio::sync::Mutex<()>,
    last_look: LastLook,
    /// Where the engine is to start it again by itself.
    supervision: Option<Supervision>,
    taking_in: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Live {
    entry: Option<u64>,
    /// TCP ports that users know, those that were declared first in front.
    known: Vec<u16>,
    endpoints: Vec<(u16, SocketAddr)>,
    exit: Option<Exit>,
    /// Set once we ended it ourselves.
    expected: Arc<AtomicBool>,
    since_start: SinceStart,
    /// What its latest start has printed, as long as nobody has seen it ready.
    unready: Option<Output>,
    /// What its ready check saw last, while it is not content.
    seen: Option<String>,
    /// How it is connected to its network, to be connected in the same way again.
    endpoint: Option<EndpointSettings>,
    /// Which of its starts runs, as the engine tells.
    start: Option<String>,
    /// Which of them a fault has killed, and the end of that.
    killed: Option<(String, Option<Exit>)>,
}

impl ServiceContainer {
    pub(crate) fn new(
        engine: Arc<Engine>,
        recipe: Recipe,
        made: Made,
        world: Weak<World>,
        ledger: Weak<dyn Ledger>,
    ) -> Self {
        let supervised = recipe.supervised;
        let supervision = supervised.map(|within| Supervision::new(within, Weak::clone(&ledger)));
        Self {
            engine,
            recipe,
            supervision,
            taking_in: tokio::sync::Mutex::default(),
            made,
            world,
            ledger,
            live: Arc::default(),
            starts: AtomicU32::new(0),
            changing: tokio::sync::Mutex::new(()),
            last_look: LastLook::default(),
        }
    }

    pub(super) fn recipe(&self) -> &Recipe {
        &self.recipe
    }

    /// Its name on the engine.
    pub(crate) fn container(&self) -> &str {
        &self.made.container
    }

    pub(super) fn labels(&self) -> &HashMap<String, String> {
        &self.made.labels
    }

    /// Makes the container, starts it and waits until it is ready. Where that fails, the
    /// container is removed.
    pub(crate) async fn start(&self) -> Result<(), Error> {
        let _change = self.changing.lock().await;
        let entry = self.create().await?;
        lock(&self.live).entry = Some(entry);
        self.boot(true).await
    }

    pub(super) async fn inspect(&self) -> Result<ContainerInspectResponse, Refusal> {
        acts::inspect(&self.engine, &self.made.container).await
    }

    /// What it is doing, as the engine says now.
    pub(crate) async fn state(&self) -> Result<ContainerState, Error> {
        let found = match self.inspect().await {
            Ok(found) => found,
            Err(refusal) if refusal.is_missing() => return Ok(ContainerState::Gone),
            Err(refusal) => return Err(self.refused(&refusal)),
        };
        Ok(acts::state_of(&found))
    }

    /// How often it was started.
    pub(crate) fn starts(&self) -> u32 {
        self.starts.load(Ordering::SeqCst)
    }

    /// Starts it again without waiting for it to be ready.
    pub(crate) async fn start_unready(&self) -> Result<(), Error> {
        let _change = self.changing.lock().await;
        let began = Instant::now();
        self.launch(false).await?;
        self.started(began).await
    }

    /// Waits until it does not run any more; `false` where it still does after a time.
    pub(crate) async fn exits_within(&self, limit: Duration) -> bool {
        let exit = {
            let live = lock(&self.live);
            // What was killed, whatever runs in its place by now.
            let killed = live.killed.as_ref().map(|(_, exit)| exit.clone());
            killed.unwrap_or_else(|| live.exit.clone())
        };
        let Some(mut exit) = exit else { return true };
        let gone = exit.wait_for(Option::is_some);
        tokio::time::timeout(limit, gone)
            .await
            .is_ok_and(|gone| gone.is_ok())
    }

    /// Its end, for whoever waits for it beside something else.
    pub(super) fn exit(&self) -> Option<Exit> {
        lock(&self.live).exit.clone()
    }

    /// What its ready check saw, while it is not content.
    pub(super) fn seen(&self, what: String) {
        lock(&self.live).seen = Some(what);
    }

    /// Whether it has ports that its users know.
    pub(super) fn has_ports(&self) -> bool {
        !lock(&self.live).known.is_empty()
    }

    fn expect_end(&self, expected: bool) {
        let live = lock(&self.live);
        live.expected.store(expected, Ordering::SeqCst);
    }

    /// The engine did not do what it was asked for.
    fn refused(&self, refusal: &Refusal) -> Error {
        Error::new(
            Kind::Service,
            format!("service `{}`: {refusal}", self.name()),
        )
    }

    fn ledger(&self) -> Result<Arc<dyn Ledger>, Error> {
        self.ledger
            .upgrade()
            .ok_or_else(|| Error::new(Kind::Ended, "the context of this service has ended"))
    }

    /// Writes a note into the journal.
    pub(super) fn note(&self, text: String) {
        if let Some(ledger) = self.ledger.upgrade() {
            ledger.record(Event::Note { text });
        }
    }

    /// What it has printed since its latest start.
    fn log_help(&self) -> String {
        let lines = last_lines(&self.made.log, 8);
        let start = lines
            .iter()
            .rposition(|line| line.starts_with("--- chaos-test:"));
        let lines = &lines[start.map_or(0, |mark| mark + 1)..];
        if lines.is_empty() {
            return format!("container {} printed nothing", self.made.container);
        }
        format!(
            "its last lines, of {}:\n    {}",
            self.made.log.display(),
            lines.join("\n    ")
        )
    }
}

impl Unit for ServiceContainer {
    fn name(&self) -> &str {
        &self.made.service
    }

    fn log(&self) -> &Path {
        &self.made.log
    }

    fn endpoints(&self) -> Vec<(u16, SocketAddr)> {
        lock(&self.live).endpoints.clone()
    }

    fn grace(&self) -> Duration {
        self.recipe.grace
    }

    fn start_timeout(&self) -> Duration {
        self.recipe.start_timeout
    }

    fn has_printed(&self, text: &str) -> Result<(), String> {
        let mut live = lock(&self.live);
        match live.since_start.holds(&self.made.log, text) {
            Ok(true) => Ok(()),
            Ok(false) => Err("it has not printed that".to_owned()),
            Err(error) => Err(format!("its log cannot be read: {error}")),
        }
    }

    fn ensure_running(&self) -> Answer<'_, Result<(), Error>> {
        Box::pin(self.run_again())
    }

    fn end(&self, ask_first: bool) -> Answer<'_, Result<(), Error>> {
        Box::pin(async move {
            if ask_first && self.state().await? == ContainerState::Running {
                self.stop(self.recipe.grace).await?;
            }
            let entry = lock(&self.live).entry;
            match entry {
                Some(entry) => {
                    self.expect_end(true);
                    self.put_away(entry, true).await
                }
                None => Ok(()),
            }
        })
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

    fn as_own_container(&self) -> Option<&ServiceContainer> {
        Some(self)
    }

    fn supervision(&self) -> Option<&Supervision> {
        self.supervision.as_ref()
    }

    fn take_in(&self) -> Answer<'_, Result<Option<Successor>, Error>> {
        Box::pin(self.take_in_what_runs())
    }

    fn until_ready_again(&self) -> Answer<'_, Result<(), Error>> {
        Box::pin(self.still_ready())
    }
}
