//! What faults do to a container that is not ours, and what puts it back.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use testcontainers::bollard::models::{ContainerInspectResponse, PortBinding};

use super::locate::check_running;
use super::{MARGIN, gone};
use crate::error::{Error, Kind};
use crate::model::event::RestartedBy;
use crate::model::existing::Attachment;
use crate::model::identity::ProcessIdentity;
use crate::model::undo::Undo;
use crate::system::container::acts;
use crate::system::container::engine::{Engine, Refusal};
use crate::system::container::output::Output;
use crate::system::container::rejoin;
use crate::system::container::stamp::Stamp;
use crate::system::container::unit::ContainerState;
use crate::system::container::uses::LastLook;
use crate::system::lock::lock;
use crate::system::process::Signal;
use crate::system::service::{NotReady, ReadyCheck, Unit, millis, until_ready};
use crate::system::supervision::{self, Successor, Supervision};
use crate::system::world::World;

/// How often the engine is asked whether it has ended.
const LOOK: Duration = Duration::from_millis(20);
/// How long it may take to end after any signal but SIGKILL, at least.
const EXIT_LIMIT: Duration = Duration::from_secs(10);

/// What is known of a container that was there before the test.
pub(crate) struct Known {
    pub(crate) service: String,
    pub(crate) engine: Arc<Engine>,
    pub(crate) log: PathBuf,
    pub(crate) ready: Arc<dyn ReadyCheck>,
    pub(crate) start_timeout: Duration,
    pub(crate) grace: Duration,
    pub(crate) supervision: Option<Supervision>,
    pub(crate) world: Weak<World>,
    /// Where it was made for the tests of this run: its log is written by whoever keeps it.
    pub(crate) kept: Option<Kept>,
}

/// A container that is kept for the tests of a run.
pub(crate) struct Kept {
    /// Where it is found whatever becomes of it.
    pub(crate) addresses: Vec<(u16, SocketAddr)>,
    /// Who keeps it.
    pub(crate) keeper: ProcessIdentity,
}

impl Known {
    fn endpoints(&self, found: &ContainerInspectResponse) -> Vec<(u16, SocketAddr)> {
        match &self.kept {
            Some(kept) => kept.addresses.clone(),
            None => endpoints(&self.engine, found),
        }
    }

    fn keeper(&self) -> Option<ProcessIdentity> {
        let kept = self.kept.as_ref();
        kept.map(|kept| kept.keeper.clone())
    }
}

/// A service in a container that the test did not make.
pub(crate) struct ExistingContainer {
    pub(super) known: Known,
    /// Its whole id: a namesake has another one.
    pub(super) id: String,
    pub(super) name: String,
    /// Whether the engine removes it as soon as it ends.
    pub(super) goes_when_it_ends: bool,
    pub(super) live: Mutex<Live>,
    pub(super) starts: AtomicU32,
    /// One change at a time; a fault and a restart must not cross.
    pub(super) changing: tokio::sync::Mutex<()>,
    taking_in: tokio::sync::Mutex<()>,
    pub(super) last_look: LastLook,
}

#[derive(Default)]
pub(super) struct Live {
    pub(super) endpoints: Vec<(u16, SocketAddr)>,
    /// Which of its starts runs.
    start: Option<String>,
    /// Which of them was seen running last: somebody else may have started it again.
    seen: Option<String>,
    /// Which of them a fault has ended.
    ended: Option<String>,
    /// Until when that end may still come.
    ends_by: Option<Instant>,
    /// How it was connected before a fault took it out.
    pub(super) networks: Vec<Attachment>,
}

impl ExistingContainer {
    /// One that runs, as it was found.
    ///
    /// # Errors
    ///
    /// Where it does not run.
    pub(crate) fn new(known: Known, found: &ContainerInspectResponse) -> Result<Self, Error> {
        let name = found.name.as_deref().unwrap_or_default();
        let name = name.trim_start_matches('/').to_owned();
        check_running(&known.service, &format!("container {name}"), found)?;
        let host = found.host_config.as_ref();
        let endpoints = known.endpoints(found);
        Ok(Self {
            id: found.id.clone().unwrap_or_default(),
            name,
            goes_when_it_ends: host.and_then(|host| host.auto_remove) == Some(true),
            live: Mutex::new(Live {
                endpoints,
                start: acts::start_of(found),
                ..Live::default()
            }),
            starts: AtomicU32::new(1),
            changing: tokio::sync::Mutex::default(),
            taking_in: tokio::sync::Mutex::default(),
            last_look: LastLook::default(),
            known,
        })
    }

    /// Has what it prints from now on go into its log.
    pub(crate) fn follow_output(&self) -> Result<(), Error> {
        self.follow(None)
    }

    /// As [`follow_output`](Self::follow_output), or what is printed from a start on.
    fn follow(&self, start: Option<Stamp>) -> Result<(), Error> {
        if self.known.kept.is_some() {
            return Ok(());
        }
        let (name, service) = (&self.name, &self.known.service);
        let mark = match start {
            None => format!("--- chaos-test: container {name} is `{service}` from here on ---"),
            Some(_) => format!("--- chaos-test: container {name} was started again ---"),
        };
        Output::follow(
            &self.known.engine,
            &self.id,
            &self.known.log,
            &mark,
            &[],
            start,
        )
        .map(drop)
        .map_err(|why| self.refused(&why))
    }

    async fn inspect(&self) -> Result<ContainerInspectResponse, Error> {
        match acts::inspect(&self.known.engine, &self.id).await {
            Ok(found) => Ok(found),
            Err(why) if why.is_missing() => Err(gone(&self.name)),
            Err(why) => Err(self.refused(&why)),
        }
    }

    pub(super) fn refused(&self, why: &Refusal) -> Error {
        Error::new(
            Kind::Service,
            format!("service `{}`: {why}", self.known.service),
        )
    }

    /// It runs under other ports, perhaps, and prints again.
    fn take(&self, found: &ContainerInspectResponse) -> Result<(), Error> {
        let start = acts::start_of(found);
        let endpoints = self.known.endpoints(found);
        let another = {
            let mut live = lock(&self.live);
            live.endpoints.clone_from(&endpoints);
            std::mem::replace(&mut live.start, start.clone()) != start
        };
        if let Some(world) = self.known.world.upgrade() {
            world.lead_to(&self.known.service, &endpoints);
        }
        if another {
            self.starts.fetch_add(1, Ordering::SeqCst);
            self.follow(Stamp::first_of_start(found))?;
        }
        Ok(())
    }

    pub(super) async fn until_ready(&self) -> Result<(), Error> {
        let ended = async {
            // Its links may lead to where nothing is published any more.
            while matches!(self.state_now().await, Ok(ContainerState::Running) | Err(_)) {
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        };
        until_ready(self, &*self.known.ready, ended)
            .await
            .map_err(|why| match why {
                NotReady::Ended => self.error("ended before it was ready".to_owned()),
                NotReady::Late(what) => self.error(what),
            })
    }

    pub(super) async fn state_now(&self) -> Result<ContainerState, Error> {
        match acts::inspect(&self.known.engine, &self.id).await {
            Ok(found) => {
                let state = acts::state_of(&found);
                if state == ContainerState::Running {
                    lock(&self.live).seen = acts::start_of(&found);
                }
                Ok(state)
            }
            Err(why) if why.is_missing() => Ok(ContainerState::Gone),
            Err(why) => Err(self.refused(&why)),
        }
    }

    /// A fault is about to end it, within a time.
    fn mark_ended(&self, within: Duration) {
        let mut live = lock(&self.live);
        live.ended = live.seen.clone().or_else(|| live.start.clone());
        live.ends_by = Instant::now().checked_add(within.saturating_add(MARGIN));
    }

    /// Of an engine that refused to end it, no end is to come.
    fn not_ended(&self, why: &Refusal) -> Error {
        if !matches!(why, Refusal::Silent(_)) {
            lock(&self.live).ends_by = None;
        }
        self.refused(why)
    }

    /// As it is once no end is to come that was asked for: whoever asked may have been stopped,
    /// and engines go on with it.
    async fn inspect_settled(&self) -> Result<ContainerInspectResponse, Error> {
        let (ended, until) = {
            let live = lock(&self.live);
            (live.ended.clone(), live.ends_by)
        };
        loop {
            let found = self.inspect().await?;
            let ends = acts::state_of(&found) == ContainerState::Running
                && acts::start_of(&found) == ended
                && until.is_some_and(|until| Instant::now() < until);
            if !ends {
                return Ok(found);
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    pub(super) async fn run_again(&self) -> Result<(), Error> {
        let _change = self.changing.lock().await;
        let found = self.inspect_settled().await?;
        let engine = &self.known.engine;
        let ended = lock(&self.live).ended.clone();
        match acts::state_of(&found) {
            ContainerState::Gone => return Err(gone(&self.name)),
            ContainerState::Paused => {
                acts::unpause(engine, &self.id)
                    .await
                    .map_err(|why| self.refused(&why))?;
                return self.until_ready().await;
            }
            ContainerState::Running if acts::start_of(&found) == ended || ended.is_none() => {
                // It has survived what was to end it.
                if let Some(supervision) = &self.known.supervision {
                    supervision.calm();
                }
                self.take(&found)?;
                return self.until_ready().await;
            }
            _ => {}
        }
        if supervision::wait(self).await? {
            return Ok(());
        }
        acts::start(engine, &self.id)
            .await
            .map_err(|why| self.refused(&why))?;
        let found = self.inspect().await?;
        self.take(&found)?;
        self.until_ready().await?;
        if let Some(supervision) = &self.known.supervision {
            let successor = successor(&found);
            supervision.is_back(self.name(), RestartedBy::Undo, successor);
        }
        Ok(())
    }

    pub(super) async fn take_in_what_runs(&self) -> Result<Option<Successor>, Error> {
        let _one = self.taking_in.lock().await;
        let Ok(found) = acts::inspect(&self.known.engine, &self.id).await else {
            // Gone, or the engine is busy with what we wait for.
            return Ok(None);
        };
        let ended = lock(&self.live).ended.clone();
        if acts::state_of(&found) != ContainerState::Running || acts::start_of(&found) == ended {
            return Ok(None);
        }
        self.take(&found)?;
        Ok(Some(successor(&found)))
    }

    pub(super) async fn kill_it(&self, signal: Signal) -> Result<(), Error> {
        let _change = self.changing.lock().await;
        self.mark_ended(match signal {
            Signal::Kill => Duration::ZERO,
            _ => self.known.grace.max(EXIT_LIMIT),
        });
        let Some(supervision) = &self.known.supervision else {
            return acts::kill(&self.known.engine, &self.id, signal)
                .await
                .map_err(|why| self.not_ended(&why));
        };
        supervision.died();
        acts::kill_past_engine(&self.known.engine, &self.id, signal)
            .await
            .map_err(|why| {
                supervision.calm();
                lock(&self.live).ends_by = None;
                self.error("could not be killed".to_owned()).because(why)
            })
    }

    pub(super) async fn stop_it(&self, grace: Duration) -> Result<(), Error> {
        let _change = self.changing.lock().await;
        self.mark_ended(grace);
        acts::stop(&self.known.engine, &self.id, grace)
            .await
            .map_err(|why| self.not_ended(&why))
    }

    pub(super) async fn start_it(&self) -> Result<(), Error> {
        let _change = self.changing.lock().await;
        acts::start(&self.known.engine, &self.id)
            .await
            .map_err(|why| self.refused(&why))?;
        let found = self.inspect().await?;
        self.take(&found)
    }

    pub(super) async fn has_ended_within(&self, limit: Duration) -> bool {
        let until = Instant::now() + limit;
        let ended = lock(&self.live).ended.clone();
        loop {
            if let Ok(found) = acts::inspect(&self.known.engine, &self.id).await
                && (acts::state_of(&found) != ContainerState::Running
                    || (ended.is_some() && acts::start_of(&found) != ended))
            {
                return true;
            }
            if Instant::now() >= until {
                return false;
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Its networks, where faults can take it out of them.
    async fn networks(&self) -> Result<Vec<Attachment>, Error> {
        let found = self.inspect().await?;
        let mode = found.host_config.and_then(|host| host.network_mode.clone());
        let mode = mode.unwrap_or_default();
        if mode == "host" || mode == "none" || mode.starts_with("container:") {
            return Err(self
                .error(format!("has no network of its own (`{mode}`)"))
                .help("faults on its links reach the clients of this test"));
        }
        let found = self.inspect().await?;
        Ok(rejoin::attachments(&found))
    }

    pub(super) async fn is_in_its_networks(&self) -> Result<bool, Error> {
        let now = rejoin::attachments(&self.inspect().await?);
        let before = lock(&self.live).networks.clone();
        // Before a fault it is in whichever it is in.
        Ok(match before.as_slice() {
            [] => !now.is_empty(),
            before => before
                .iter()
                .any(|one| now.iter().any(|it| it.network == one.network)),
        })
    }

    pub(super) async fn undo_leaving(&self) -> Result<Undo, Error> {
        let networks = self.networks().await?;
        lock(&self.live).networks.clone_from(&networks);
        Ok(Undo::RejoinNetworks {
            service: self.known.service.clone(),
            engine: self.known.engine.url().to_owned(),
            container: self.id.clone(),
            name: self.name.clone(),
            networks,
            keeper: self.known.keeper(),
        })
    }

    pub(super) async fn leave(&self) -> Result<(), Error> {
        let _change = self.changing.lock().await;
        let networks = lock(&self.live).networks.clone();
        for network in &networks {
            rejoin::leave(&self.known.engine, &self.id, network)
                .await
                .map_err(|why| self.refused(&why))?;
        }
        Ok(())
    }

    pub(super) async fn rejoin(&self) -> Result<(), Error> {
        let _change = self.changing.lock().await;
        let networks = lock(&self.live).networks.clone();
        rejoin::back(&self.known.engine, &self.id, &networks).await?;
        let found = self.inspect().await?;
        if acts::state_of(&found) != ContainerState::Running {
            return Ok(());
        }
        self.take(&found)?;
        self.until_ready().await
    }

    pub(super) async fn replaced(&self) -> Result<bool, Error> {
        let ended = lock(&self.live).ended.clone();
        if ended.is_none() || self.known.supervision.is_none() {
            return Ok(false);
        }
        let found = self.inspect().await?;
        let runs = acts::state_of(&found) == ContainerState::Running;
        Ok(runs && acts::start_of(&found) != ended)
    }

    /// `ends`: how long the fault may take to end it, where it does.
    pub(super) fn undo_with(&self, supervised: Duration, ends: Option<Duration>) -> Undo {
        let start = {
            let live = lock(&self.live);
            live.seen.clone().or_else(|| live.start.clone())
        };
        Undo::RestoreContainer {
            service: self.known.service.clone(),
            engine: self.known.engine.url().to_owned(),
            container: self.id.clone(),
            name: self.name.clone(),
            supervised_ms: millis(supervised),
            start_ms: millis(self.known.start_timeout.saturating_add(self.known.grace)),
            ends_start: start.filter(|_| ends.is_some()),
            grace_ms: millis(ends.unwrap_or_default()),
            keeper: self.known.keeper(),
        }
    }
}

fn successor(found: &ContainerInspectResponse) -> Successor {
    let pid = found.state.as_ref().and_then(|state| state.pid);
    Successor::in_container(pid.unwrap_or_default())
}

/// Where its TCP ports are reached from here: where they are published, else at its own address,
/// if that is on this machine.
fn endpoints(engine: &Engine, found: &ContainerInspectResponse) -> Vec<(u16, SocketAddr)> {
    let settings = found.network_settings.as_ref();
    let published = settings.and_then(|settings| settings.ports.clone());
    let published = published.unwrap_or_default();
    let exposed = found
        .config
        .as_ref()
        .and_then(|it| it.exposed_ports.clone());
    let mut keys: Vec<String> = exposed.unwrap_or_default().into_iter().collect();
    keys.extend(published.keys().cloned());
    let mut known: Vec<u16> = keys
        .iter()
        .filter_map(|key| key.strip_suffix("/tcp")?.parse().ok())
        .collect();
    known.sort_unstable();
    known.dedup();
    let host = found.host_config.as_ref();
    let mode = host.and_then(|host| host.network_mode.as_deref());
    let own = rejoin::attachments(found)
        .into_iter()
        .find_map(|one| one.address?.parse().ok())
        .filter(|_| engine.is_here());
    let reached = |port: u16| -> Option<SocketAddr> {
        if mode == Some("host") {
            return Some(SocketAddr::new(engine.host(), port));
        }
        let bindings = published.get(&format!("{port}/tcp")).cloned().flatten();
        let mut bindings = bindings.unwrap_or_default().into_iter();
        bindings
            .find_map(|binding| published_at(engine, &binding))
            .or(own.map(|own| SocketAddr::new(own, port)))
    };
    known
        .into_iter()
        .filter_map(|port| Some((port, reached(port)?)))
        .collect()
}

fn published_at(engine: &Engine, binding: &PortBinding) -> Option<SocketAddr> {
    let port = binding.host_port.as_ref()?.parse().ok()?;
    let named = binding
        .host_ip
        .as_ref()
        .and_then(|ip| ip.parse::<IpAddr>().ok());
    let named = named.filter(|ip| engine.is_here() && !ip.is_unspecified());
    Some(SocketAddr::new(named.unwrap_or(engine.host()), port))
}
