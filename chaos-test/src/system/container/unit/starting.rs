//! Starts a container: its output is read, its end is watched, and its links lead there.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use testcontainers::bollard::errors::Error as EngineError;
use testcontainers::bollard::models::{ContainerInspectResponse, ContainerStateStatusEnum};
use testcontainers::bollard::query_parameters::WaitContainerOptionsBuilder;
use tokio::sync::watch;

use super::{ASK_LIMIT, Ended, ServiceContainer};
use crate::error::Error;
use crate::model::event::Event;
use crate::model::units::human;
use crate::system::container::engine::{Engine, Refusal};
use crate::system::container::output::Output;
use crate::system::container::{acts, advice, readiness};
use crate::system::lock::lock;
use crate::system::service::Unit;
use crate::system::spawner::Spawner;
use crate::system::supervision;

/// How long nobody asks for an exit after the engine could not be asked.
const LOST_PAUSE: Duration = Duration::from_millis(200);
/// How a container ended that is not there any more, unless we removed it.
const REMOVED: &str = "somebody removed it";

impl ServiceContainer {
    /// Starts the container that exists and waits until it is ready.
    pub(super) async fn boot(&self, first: bool) -> Result<(), Error> {
        let began = Instant::now();
        let output = self.launch(first).await?;
        self.until_ready(output, first).await?;
        self.started(began).await
    }

    /// Waits until what was started is ready.
    pub(super) async fn until_ready(&self, output: Output, first: bool) -> Result<(), Error> {
        let ready = readiness::until_ready(self, output, first);
        match tokio::time::timeout(self.recipe.start_timeout, ready).await {
            Ok(Ok(())) => {}
            Ok(Err(why)) => return Err(self.error(why).help(self.log_help())),
            Err(_) => {
                let seen = lock(&self.live).seen.take();
                let waited = format!(
                    "did not become ready within {} ({}){}",
                    human(self.recipe.start_timeout),
                    readiness::describe(&self.recipe),
                    seen.map_or_else(String::new, |seen| format!(": {seen}"))
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
    pub(super) async fn still_ready(&self) -> Result<(), Error> {
        let output = lock(&self.live).unready.clone();
        match output {
            Some(output) => self.until_ready(output, false).await,
            None => readiness::still_ready(self).await,
        }
    }

    /// Has the container run and its output read, and its links lead there.
    pub(super) async fn launch(&self, first: bool) -> Result<Output, Error> {
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
        acts::start(&self.engine, &self.made.container)
            .await
            .map_err(failed)?;
        lock(&self.live).killed = None;
        lock(&self.live).unready = Some(output.clone());
        self.watch();
        self.find_ports().await?;
        Ok(output)
    }

    /// Waits for the container's end beside everything else: it is seen at once.
    pub(super) fn watch(&self) {
        let (report, exit) = watch::channel(None);
        let expected = Arc::new(AtomicBool::new(false));
        {
            let mut live = lock(&self.live);
            live.exit = Some(exit);
            live.expected = Arc::clone(&expected);
        }
        let (engine, container) = (Arc::clone(&self.engine), self.made.container.clone());
        let (ledger, world) = (Weak::clone(&self.ledger), Weak::clone(&self.world));
        let (service, live) = (self.made.service.clone(), Arc::clone(&self.live));
        Spawner::here().spawn(async move {
            let code = loop {
                match wait_for_exit(&engine, &container).await {
                    Ok(code) => break code,
                    // A connection that broke says nothing about the container.
                    Err(_) if world.strong_count() == 0 => return,
                    Err(_) => tokio::time::sleep(LOST_PAUSE).await,
                }
            };
            // Before anything else: the engine may give its ports to another container. And
            // only if it was not started again meanwhile.
            {
                let live = lock(&live);
                if Arc::ptr_eq(&live.expected, &expected)
                    && let Some(world) = world.upgrade()
                {
                    world.lead_nowhere(&service);
                }
            }
            let how = match code {
                Some(code) => how_it_ended(&engine, &container, code).await,
                None => REMOVED.to_owned(),
            };
            let expected = expected.load(Ordering::SeqCst);
            if !expected && let Some(ledger) = ledger.upgrade() {
                let (service, how) = (service.clone(), how.clone());
                ledger.record(Event::ServiceDied { service, how });
            }
            report.send_replace(Some(Ended { how, code }));
            // Its engine may bring it back, whoever ended it.
            if let Some(unit) = world
                .upgrade()
                .and_then(|world| world.service(&service).ok())
                && let Some(supervision) = unit.supervision()
                && Self::died(supervision, expected)
            {
                supervision::follow(&unit);
            }
        });
    }

    /// Where its ports are published now: another place after each start.
    pub(super) async fn find_ports(&self) -> Result<(), Error> {
        let found = self.inspect().await.map_err(|why| self.refused(&why))?;
        let endpoints = self.addresses(&found);
        let mut live = lock(&self.live);
        live.start = acts::start_of(&found);
        live.endpoints.clone_from(&endpoints);
        // Under the lock, so that the watch of an earlier start cannot lead them away again.
        if let Some(world) = self.world.upgrade() {
            world.lead_to(&self.made.service, &endpoints);
        }
        Ok(())
    }

    pub(super) fn addresses(&self, found: &ContainerInspectResponse) -> Vec<(u16, SocketAddr)> {
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

    pub(super) async fn started(&self, began: Instant) -> Result<(), Error> {
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
