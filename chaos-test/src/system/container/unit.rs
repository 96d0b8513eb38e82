//! One service that is a container: made, started, watched, restarted, removed.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use testcontainers::bollard::errors::Error as EngineError;
use testcontainers::bollard::models::{
    ContainerCreateBody, ContainerInspectResponse, ContainerStateStatusEnum, EndpointSettings,
    NetworkConnectRequest, NetworkDisconnectRequest, NetworkingConfig, PortBinding,
};
use testcontainers::bollard::query_parameters::{
    CreateContainerOptionsBuilder, KillContainerOptionsBuilder, StopContainerOptionsBuilder,
    WaitContainerOptionsBuilder,
};
use testcontainers::core::ContainerPort;
use tokio::sync::watch;

use super::engine::{Engine, Refusal};
use super::network::{NETWORK_LIMIT, Network};
use super::output::Output;
use super::permits::Permit;
use super::recipe::{Recipe, port_key};
use super::{advice, archive, image, readiness, remove};
use crate::error::{Error, Kind};
use crate::model::event::Event;
use crate::model::undo::Undo;
use crate::model::units::human;
use crate::system::lock::lock;
use crate::system::process::Signal;
use crate::system::service::log::{SinceStart, last_lines};
use crate::system::service::{Answer, ProcessUnit, Unit};
use crate::system::world::{Ledger, World};

/// How long the engine may take to make a container.
const CREATE_LIMIT: Duration = Duration::from_secs(60);
/// How long it may take to start one.
const START_LIMIT: Duration = Duration::from_secs(60);
/// How long it may take to do anything else, besides what it is told to wait for: less than
/// a fault may take to look, so that it is the engine that is named.
pub(super) const ASK_LIMIT: Duration = Duration::from_secs(8);
/// How long an exit may take to be told once the engine knows of it.
const EXIT_LIMIT: Duration = Duration::from_secs(10);
/// How often freezing a container's processes is tried, and what lies between two tries.
const FREEZE_TRIES: u32 = 10;
const FREEZE_PAUSE: Duration = Duration::from_millis(50);

/// How long nobody asks for an exit after the engine could not be asked.
const LOST_PAUSE: Duration = Duration::from_millis(200);
/// How a container ended that is not there any more, unless we removed it.
const REMOVED: &str = "somebody removed it";

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
    live: Mutex<Live>,
    starts: AtomicU32,
    /// One change at a time; a fault and a restart must not cross.
    changing: tokio::sync::Mutex<()>,
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
    /// How it is connected to its network, to be connected in the same way again.
    endpoint: Option<EndpointSettings>,
}

impl ServiceContainer {
    pub(crate) fn new(
        engine: Arc<Engine>,
        recipe: Recipe,
        made: Made,
        world: Weak<World>,
        ledger: Weak<dyn Ledger>,
    ) -> Self {
        Self {
            engine,
            recipe,
            made,
            world,
            ledger,
            live: Mutex::default(),
            starts: AtomicU32::new(0),
            changing: tokio::sync::Mutex::new(()),
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

    /// Makes the container; its removal is on disk before that.
    async fn create(&self) -> Result<u64, Error> {
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
        let body = self.body(&ports);
        let made = self.engine.docker().create_container(Some(options), body);
        let made = self.engine.ask("making the container", CREATE_LIMIT, made);
        let made = match made.await {
            Ok(_) => archive::copy(&self.engine, &self.made.container, &self.recipe.copies).await,
            Err(refusal) => Err(refusal),
        };
        let Err(refusal) = made else {
            lock(&self.live).known = tcp_ports(&ports);
            return Ok(entry);
        };
        // An answer says that there is none; without one there may be, or will be.
        let acknowledged = !matches!(refusal, Refusal::Silent(_));
        let error = failed(advice::not_made(&refusal));
        Err(match self.put_away(entry, acknowledged).await {
            Ok(()) => error,
            Err(left) => error.help(self.left(&left)),
        })
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
    async fn put_away(&self, entry: u64, acknowledged: bool) -> Result<(), Error> {
        remove::container(
            &self.engine,
            &self.made.container,
            &self.made.token,
            !acknowledged,
        )
        .await
        .map_err(|refusal| Error::new(Kind::Undo, refusal.to_string()))?;
        self.ledger()?.undone(entry);
        lock(&self.live).entry = None;
        Ok(())
    }

    /// Everything that it listens on: what its image declares, what the request adds, and
    /// what is mapped.
    fn ports(&self, declared: Vec<ContainerPort>) -> Vec<ContainerPort> {
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

    fn body(&self, ports: &[ContainerPort]) -> ContainerCreateBody {
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

    /// Starts the container that exists and waits until it is ready.
    async fn boot(&self, first: bool) -> Result<(), Error> {
        let began = Instant::now();
        let output = self.launch(first).await?;
        self.until_ready(output, first).await?;
        self.started(began).await
    }

    /// Waits until what was started is ready.
    async fn until_ready(&self, output: Output, first: bool) -> Result<(), Error> {
        let ready = readiness::until_ready(self, output, first);
        match tokio::time::timeout(self.recipe.start_timeout, ready).await {
            Ok(Ok(())) => {}
            Ok(Err(why)) => return Err(self.error(why).help(self.log_help())),
            Err(_) => {
                let waited = format!(
                    "did not become ready within {} ({})",
                    human(self.recipe.start_timeout),
                    readiness::describe(&self.recipe)
                );
                // Its readiness may be nobody's fault but the engine's.
                return Err(match self.inspect().await {
                    Err(why @ Refusal::Silent(_)) => self.error(format!("{waited}: {why}")),
                    _ => self.error(waited).help(self.log_help()),
                });
            }
        }
        lock(&self.live).unready = None;
        Ok(())
    }

    /// Waits until one that runs answers, whether it was restarted a moment ago or not.
    async fn still_ready(&self) -> Result<(), Error> {
        let output = lock(&self.live).unready.clone();
        match output {
            Some(output) => self.until_ready(output, false).await,
            None => readiness::still_ready(self).await,
        }
    }

    /// Has the container run and its output read, and its links lead there.
    async fn launch(&self, first: bool) -> Result<Output, Error> {
        let start = self.starts.fetch_add(1, Ordering::SeqCst) + 1;
        let mark = format!("--- chaos-test: start {start} of `{}` ---", self.name());
        let failed = |refusal: Refusal| {
            self.error("could not be started".to_owned())
                .because(advice::not_started(&refusal))
        };
        let (output, since) = Output::attach(
            &self.engine,
            &self.made.container,
            &self.made.log,
            &mark,
            &self.recipe.conditions,
            !first,
        )
        .await
        .map_err(failed)?;
        lock(&self.live).since_start = since;
        let docker = self.engine.docker();
        let start = docker.start_container(&self.made.container, None);
        self.engine
            .ask("starting the container", START_LIMIT, start)
            .await
            .map_err(failed)?;
        lock(&self.live).unready = Some(output.clone());
        self.watch();
        self.find_ports().await?;
        Ok(output)
    }

    /// Waits for the container's end beside everything else: it is seen at once.
    fn watch(&self) {
        let (report, exit) = watch::channel(None);
        let expected = Arc::new(AtomicBool::new(false));
        {
            let mut live = lock(&self.live);
            live.exit = Some(exit);
            live.expected = Arc::clone(&expected);
        }
        let (engine, container) = (Arc::clone(&self.engine), self.made.container.clone());
        let (ledger, world) = (Weak::clone(&self.ledger), Weak::clone(&self.world));
        let service = self.made.service.clone();
        tokio::spawn(async move {
            let code = loop {
                match wait_for_exit(&engine, &container).await {
                    Ok(code) => break code,
                    // A connection that broke says nothing about the container.
                    Err(_) if world.strong_count() == 0 => return,
                    Err(_) => tokio::time::sleep(LOST_PAUSE).await,
                }
            };
            if let Some(world) = world.upgrade() {
                // The engine may give its ports to another container.
                world.lead_nowhere(&service);
            }
            let how = match code {
                Some(code) => how_it_ended(&engine, &container, code).await,
                None => REMOVED.to_owned(),
            };
            if !expected.load(Ordering::SeqCst)
                && let Some(ledger) = ledger.upgrade()
            {
                let how = how.clone();
                ledger.record(Event::ServiceDied { service, how });
            }
            report.send_replace(Some(Ended { how, code }));
        });
    }

    /// Where its ports are published now: another place after each start.
    async fn find_ports(&self) -> Result<(), Error> {
        let found = self.inspect().await.map_err(|why| self.refused(&why))?;
        let endpoints = self.addresses(&found);
        lock(&self.live).endpoints.clone_from(&endpoints);
        if let Some(world) = self.world.upgrade() {
            world.lead_to(&self.made.service, &endpoints);
        }
        Ok(())
    }

    fn addresses(&self, found: &ContainerInspectResponse) -> Vec<(u16, SocketAddr)> {
        let known = lock(&self.live).known.clone();
        let host = self.engine.host();
        if self.recipe.network.as_deref() == Some("host") {
            let ports = known.into_iter();
            return ports
                .map(|port| (port, SocketAddr::new(host, port)))
                .collect();
        }
        published(found, &known, host)
    }

    /// Whether it runs and where its ports are published, asked of the engine now; `None`
    /// where it is gone or the engine does not say.
    pub(crate) async fn published(&self) -> Option<(bool, Vec<(u16, SocketAddr)>)> {
        let found = self.inspect().await.ok()?;
        let running = found.state.as_ref().and_then(|state| state.running);
        Some((running.unwrap_or_default(), self.addresses(&found)))
    }

    async fn started(&self, began: Instant) -> Result<(), Error> {
        let found = self.inspect().await.map_err(|why| self.refused(&why))?;
        let pid = found.state.and_then(|state| state.pid).unwrap_or_default();
        let endpoints = self.endpoints();
        self.ledger()?.record(Event::ServiceStarted {
            service: self.made.service.clone(),
            pid: u32::try_from(pid).unwrap_or_default(),
            container: Some(self.made.container.clone()),
            ports: endpoints
                .iter()
                .map(|(_, address)| address.port())
                .collect(),
            log: Some(self.made.log.clone()),
            took_us: u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX),
        });
        Ok(())
    }

    pub(super) async fn inspect(&self) -> Result<ContainerInspectResponse, Refusal> {
        let docker = self.engine.docker();
        let asked = docker.inspect_container(&self.made.container, None);
        self.engine
            .ask("looking at the container", ASK_LIMIT, asked)
            .await
    }

    /// What it is doing, as the engine says now.
    pub(crate) async fn state(&self) -> Result<ContainerState, Error> {
        let found = match self.inspect().await {
            Ok(found) => found,
            Err(refusal) if refusal.is_missing() => return Ok(ContainerState::Gone),
            Err(refusal) => return Err(self.refused(&refusal)),
        };
        let status = found.state.and_then(|state| state.status);
        Ok(match status {
            Some(ContainerStateStatusEnum::RUNNING) => ContainerState::Running,
            Some(ContainerStateStatusEnum::PAUSED) => ContainerState::Paused,
            Some(ContainerStateStatusEnum::RESTARTING) => ContainerState::Restarting,
            Some(ContainerStateStatusEnum::CREATED) => ContainerState::Created,
            Some(ContainerStateStatusEnum::REMOVING | ContainerStateStatusEnum::DEAD) => {
                ContainerState::Gone
            }
            _ => ContainerState::Exited,
        })
    }

    /// How often it was started.
    pub(crate) fn starts(&self) -> u32 {
        self.starts.load(Ordering::SeqCst)
    }

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

    /// Starts it again without waiting for it to be ready.
    pub(crate) async fn start_unready(&self) -> Result<(), Error> {
        let _change = self.changing.lock().await;
        let began = Instant::now();
        self.launch(false).await?;
        self.started(began).await
    }

    /// Waits until it does not run any more; `false` where it still does after a time.
    pub(crate) async fn exits_within(&self, limit: Duration) -> bool {
        let exit = lock(&self.live).exit.clone();
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

    /// Whether it is in its network.
    pub(crate) async fn is_connected(&self) -> Result<bool, Error> {
        let found = self.inspect().await.map_err(|why| self.refused(&why))?;
        let networks = found
            .network_settings
            .and_then(|settings| settings.networks);
        Ok(networks.is_some_and(|networks| networks.contains_key(&self.network_name())))
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
        self.find_ports().await
    }

    /// Removes it for good: the end of its life. It is killed, because nobody needs what it
    /// would write down.
    pub(crate) async fn remove(&self) -> Result<(), Error> {
        self.expect_end(true);
        remove::container(&self.engine, &self.made.container, &self.made.token, false)
            .await
            .map_err(|refusal| Error::new(Kind::Undo, refusal.to_string()))
    }

    /// The undo of its existence.
    fn undo_existing(&self) -> Undo {
        Undo::RemoveContainer {
            service: self.made.service.clone(),
            engine: self.engine.url().to_owned(),
            container: self.made.container.clone(),
            token: self.made.token.clone(),
        }
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
        Box::pin(async move {
            let _change = self.changing.lock().await;
            match self.state().await? {
                ContainerState::Running => {
                    // It has survived what was to end it, if anything was.
                    self.expect_end(false);
                    if self.exit().is_some_and(|exit| exit.borrow().is_some()) {
                        // Somebody else started it again, with other ports. What it has
                        // printed meanwhile is lost, so only a check of the user is asked.
                        lock(&self.live).unready = None;
                        self.watch();
                        self.find_ports().await?;
                    }
                    return self.still_ready().await;
                }
                ContainerState::Paused => {
                    let docker = self.engine.docker();
                    let done = docker.unpause_container(&self.made.container);
                    self.engine
                        .ask("having the container go on", ASK_LIMIT, done)
                        .await
                        .map_err(|why| self.refused(&why))?;
                    return self.still_ready().await;
                }
                ContainerState::Gone => {
                    return Err(self
                        .error(format!("has lost its container {}", self.made.container))
                        .help(advice::REMOVED));
                }
                ContainerState::Restarting | ContainerState::Created | ContainerState::Exited => {}
            }
            self.boot(false).await
        })
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

    fn as_container(&self) -> Result<&ServiceContainer, Error> {
        Ok(self)
    }
}

/// Its exit code, once it has ended; `None` where it is not there any more.
async fn wait_for_exit(engine: &Engine, container: &str) -> Result<Option<i64>, EngineError> {
    let options = WaitContainerOptionsBuilder::default()
        .condition("not-running")
        .build();
    let mut answers = engine.docker().wait_container(container, Some(options));
    match answers.next().await {
        Some(Ok(answer)) => Ok(Some(answer.status_code)),
        // Every code but 0 comes as an error.
        Some(Err(EngineError::DockerContainerWaitError { code, .. })) => Ok(Some(code)),
        Some(Err(EngineError::DockerResponseServerError {
            status_code: 404, ..
        })) => Ok(None),
        Some(Err(error)) => Err(error),
        None => Err(EngineError::RequestTimeoutError),
    }
}

/// How a container with this exit code ended, as far as the engine knows.
async fn how_it_ended(engine: &Engine, container: &str, code: i64) -> String {
    let mut how = format!("exit code {code}");
    how.push_str(match code {
        137 => ", SIGKILL",
        143 => ", SIGTERM",
        139 => ", SIGSEGV",
        _ => "",
    });
    let found = engine.docker().inspect_container(container, None);
    let found = match engine.ask("looking at its end", ASK_LIMIT, found).await {
        Ok(found) if !is_gone(&found) => found,
        Ok(_) | Err(Refusal::Missing(_)) => return format!("{how}, {REMOVED}"),
        Err(_) => return how,
    };
    let killed = found.state.and_then(|state| state.oom_killed);
    let limit = found.host_config.and_then(|host| host.memory);
    if killed == Some(true) {
        how.push_str(", out of memory");
    } else if let Some(limit) = limit.filter(|limit| *limit > 0 && code == 137) {
        // The kernel's word for it may come late, or be lost with the container's group.
        how.push_str(&format!(
            ", perhaps out of memory: it may use {} MiB",
            limit >> 20
        ));
    }
    how
}

/// Whether somebody is removing it.
fn is_gone(found: &ContainerInspectResponse) -> bool {
    let status = found.state.as_ref().and_then(|state| state.status);
    matches!(
        status,
        Some(ContainerStateStatusEnum::REMOVING | ContainerStateStatusEnum::DEAD)
    )
}

/// Where ports are published, in the order in which users know them.
fn published(
    found: &ContainerInspectResponse,
    known: &[u16],
    host: IpAddr,
) -> Vec<(u16, SocketAddr)> {
    let settings = found.network_settings.as_ref();
    let Some(ports) = settings.and_then(|settings| settings.ports.as_ref()) else {
        return Vec::new();
    };
    known
        .iter()
        .filter_map(|port| {
            let bindings = ports.get(&format!("{port}/tcp"))?.as_ref()?;
            let mut numbers = bindings
                .iter()
                .filter_map(|binding| binding.host_port.as_ref());
            let number = numbers.find_map(|number| number.parse().ok())?;
            Some((*port, SocketAddr::new(host, number)))
        })
        .collect()
}

fn tcp_ports(ports: &[ContainerPort]) -> Vec<u16> {
    let tcp = ports.iter().filter_map(|port| match port {
        ContainerPort::Tcp(port) => Some(*port),
        _ => None,
    });
    tcp.collect()
}
