//! How a container is described, and how it becomes a service.

use std::collections::HashMap;
use std::fmt::Debug;
use std::net::SocketAddr;
use std::sync::{Arc, Once};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use testcontainers::{ContainerRequest, Image};

use crate::error::{Error, Kind};
use crate::model::event::Event;
use crate::model::undo::Undo;
use crate::probe::Ready;
use crate::system::Ledger;
use crate::system::container::{
    Engine, Made, Network, Permit, Recipe, ServiceContainer, TOKEN_LABEL, expired, make_network,
};
use crate::system::proxy;
use crate::system::service::Unit;
use crate::system::terminal::say;

use super::engine;
use super::inner::Inner;
use super::reserving::Slot;
use super::service::Service;
use super::starting;
use super::sweep::Told;

/// How long what a run left on an engine may live before any later run may remove it, besides
/// the time that its test may take.
const TIME_TO_LIVE: Duration = Duration::from_secs(4 * 60 * 60);
/// The same where it may be kept for looking at (`CHAOS_KEEP=failed`).
const KEPT_TO_LIVE: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// A container to run as a service, made from anything that `testcontainers` can start, with
/// what testcontainers has no word for.
///
/// ```
/// use chaos_test::testcontainers::{GenericImage, core::{IntoContainerPort, WaitFor}};
/// use chaos_test::{Container, secs};
/// let image = GenericImage::new("redis", "7")
///     .with_exposed_port(6379.tcp())
///     .with_wait_for(WaitFor::message_on_stdout("Ready to accept connections"));
/// let cache = Container::new(image).alias("redis").grace(secs(2));
/// ```
///
/// Everything that a request of testcontainers says is taken over: environment, command,
/// mounts, files to copy, conditions, commands, capabilities. What testcontainers keeps to
/// itself is an error when the container is started and names what to write instead:
/// `with_ulimit`, `with_device_requests`, `with_exposed_host_port`, `with_reuse`. Log
/// consumers are not called: the log is kept with the report.
#[must_use = "a container runs once it is passed to `chaos.container(..)`"]
pub struct Container {
    recipe: Result<Recipe, Error>,
}

impl Debug for Container {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("Container");
        match &self.recipe {
            Ok(recipe) => shown.field("image", &recipe.image()),
            Err(error) => shown.field("error", &error.to_string()),
        };
        shown.finish_non_exhaustive()
    }
}

impl Container {
    /// From an image of testcontainers, or a request that was made of one (`with_env_var`,
    /// `with_cmd`, ...).
    pub fn new<I: Image + Debug + 'static>(request: impl Into<ContainerRequest<I>>) -> Self {
        Self {
            recipe: Recipe::of(request.into()),
        }
    }

    /// One more name under which other containers of the context reach it directly, besides
    /// the service's own.
    pub fn alias(self, alias: impl Into<String>) -> Self {
        self.with(|recipe| recipe.aliases.push(alias.into()))
    }

    /// How to see that it is ready, instead of its image's own conditions: asked after every
    /// start.
    ///
    /// ```
    /// use chaos_test::testcontainers::{GenericImage, core::IntoContainerPort};
    /// use chaos_test::{Container, log_line, secs};
    /// let shop = GenericImage::new("shop", "1").with_exposed_port(8080.tcp());
    /// let shop = Container::new(shop).ready(log_line("taking orders")).start_timeout(secs(90));
    /// ```
    pub fn ready(self, check: impl Into<Ready>) -> Self {
        self.with(|recipe| recipe.ready = Some(check.into().0))
    }

    /// How long it may take to become ready, at its first start and at every later one; 60
    /// seconds by default, or what `with_startup_timeout` said.
    ///
    /// See [`ready`](Self::ready) for an example.
    pub fn start_timeout(self, limit: Duration) -> Self {
        self.with(|recipe| recipe.start_timeout = limit)
    }

    /// How long it may take to end after it was asked to before it is killed; 10 seconds by
    /// default. Engines count it in whole seconds, rounded up.
    pub fn grace(self, limit: Duration) -> Self {
        self.with(|recipe| recipe.grace = limit)
    }

    /// Its engine starts it again by itself when it dies, by a restart policy that
    /// `with_host_config_modifier` sets. After a kill that is waited for, this long from the kill
    /// on; only what is still dead then is started by the undo.
    /// [`Service::restarted`](crate::Service::restarted) says who it was.
    ///
    /// An engine restarts nothing that it was told to kill. So `container::kill` sends its signal
    /// past the engine, for which the test has to run on the engine's machine, as root or the
    /// container's user.
    ///
    /// ```
    /// use chaos_test::testcontainers::{GenericImage, ImageExt};
    /// use chaos_test::testcontainers::bollard::models::{RestartPolicy, RestartPolicyNameEnum};
    /// use chaos_test::{Container, secs};
    /// let image = GenericImage::new("redis", "7").with_host_config_modifier(|host| {
    ///     host.restart_policy = Some(RestartPolicy {
    ///         name: Some(RestartPolicyNameEnum::ALWAYS),
    ///         maximum_retry_count: None,
    ///     });
    /// });
    /// let cache = Container::new(image).supervised(secs(10));
    /// ```
    pub fn supervised(self, within: Duration) -> Self {
        self.with(|recipe| recipe.supervised = Some(within))
    }

    fn with(mut self, change: impl FnOnce(&mut Recipe)) -> Self {
        if let Ok(recipe) = &mut self.recipe {
            change(recipe);
        }
        self
    }
}

/// What [`ChaosContext::container`](crate::ChaosContext::container) starts: a [`Container`],
/// an image of testcontainers or a request that was made of one.
///
/// ```no_run
/// # async fn body(chaos: &chaos_test::ChaosContext) -> chaos_test::Result {
/// use chaos_test::testcontainers::{GenericImage, ImageExt};
/// use chaos_test::{Container, secs};
/// let redis = GenericImage::new("redis", "7");
/// let image = chaos.container("one", redis.clone()).await?;
/// let request = chaos.container("two", redis.clone().with_env_var("TZ", "UTC")).await?;
/// let container = chaos.container("three", Container::new(redis).grace(secs(2))).await?;
/// # Ok(()) }
/// ```
pub trait IntoContainer<How> {
    /// The container that it describes.
    fn into_container(self) -> Container;
}

impl IntoContainer<()> for Container {
    fn into_container(self) -> Container {
        self
    }
}

impl<I, T> IntoContainer<ContainerRequest<I>> for T
where
    I: Image + Debug + 'static,
    T: Into<ContainerRequest<I>>,
{
    fn into_container(self) -> Container {
        Container::new(self)
    }
}

pub(super) async fn container(
    inner: Arc<Inner>,
    slot: Slot,
    container: Container,
) -> Result<Service, Error> {
    let _call = inner.enter().await?;
    let name = slot.claim(&inner)?;
    let started = start(&inner, &name, container).await;
    if started.is_err() {
        inner.world.forget_service(&name);
    }
    started
}

async fn start(inner: &Arc<Inner>, name: &str, container: Container) -> Result<Service, Error> {
    if !name.is_ascii() {
        return Err(Error::new(
            Kind::Usage,
            format!(
                "`{name}` cannot be a container's name: ASCII letters, digits, `-`, `_` and `.` can"
            ),
        ));
    }
    let recipe = container.recipe.map_err(|error| {
        let kind = error.kind().clone();
        Error::new(kind, format!("service `{name}` cannot be a container")).because(error)
    })?;
    let engine = Engine::find().await.map_err(|why| {
        let capability = Some("docker".to_owned());
        Error::new(
            Kind::Skip { capability },
            format!("service `{name}` needs docker: {why}"),
        )
    })?;
    remove_expired(&engine);
    let permit = permit(inner, name).await?;
    let network = network(inner, &engine).await.map_err(|error| {
        Error::new(Kind::Service, format!("service `{name}` has no network")).because(error)
    })?;
    let token = format!("{}-{name}", inner.world.prefix);
    let chosen = recipe.chosen_name().map(str::to_owned);
    let made = Made {
        service: name.to_owned(),
        container: chosen.unwrap_or_else(|| format!("chaos-{token}")),
        labels: labels(inner, &token),
        token,
        log: starting::log_of(inner, name)?,
        network,
        _permit: permit,
    };
    let ledger = starting::ledger(inner);
    let unit = Arc::new(ServiceContainer::new(
        engine,
        recipe,
        made,
        Arc::downgrade(&inner.world),
        Arc::downgrade(&ledger),
    ));
    let as_unit: Arc<dyn Unit> = unit.clone();
    inner.world.add_service(as_unit);
    let start = async {
        let _going = inner.going(format!("waiting for {name} to be ready"));
        unit.start().await?;
        starting::in_front_of(inner, &*unit).await
    };
    let started = tokio::select! {
        started = start => started,
        ended = inner.until_ended() => Err(ended),
    };
    match started {
        Ok(service) => Ok(service),
        // Nobody has a handle to it: what was made goes now, not with the context.
        Err(error) => Err(match unit.end(false).await {
            Ok(()) => error,
            Err(left) => error.help(unit.left(&left)),
        }),
    }
}

/// Removes what runs left there whose journals nobody can find: once in a process, beside
/// everything else.
fn remove_expired(engine: &Arc<Engine>) {
    static ONCE: Once = Once::new();
    let engine = Arc::clone(engine);
    ONCE.call_once(|| {
        engine::own().spawn(async move {
            // An engine that cannot list what it has is asked again by a later run.
            for expired in expired::find(&engine).await.unwrap_or_default() {
                let why = expired.remove(&engine).await.err();
                let why = why.map(|why| why.to_string());
                say(&Told::Expired(expired.to_string(), why).to_string());
            }
        });
    });
}

/// A place among the containers that may run at once. A test that has one already, in
/// whichever of its contexts, goes on without: waiting while holding could last for ever.
async fn permit(inner: &Arc<Inner>, name: &str) -> Result<Option<Permit>, Error> {
    if inner.shared().is_some() {
        // It stays for as long as the process, and would keep a test that waits for a place
        // waiting for that.
        return Ok(None);
    }
    let state = inner.world.state.clone();
    let Some(turn) = inner.leases.turn() else {
        return Err(Error::new(Kind::Ended, "the context's turn is over"));
    };
    let take = async {
        // The second one looks only once the first one has its place.
        let mut has_place = turn.has_container_place.lock().await;
        let mut taken = Permit::take(&state, false, name).await?;
        if taken.permit.is_none() && !*has_place {
            inner.recorder.record(Event::Note {
                text: format!(
                    "{name} waits for other tests' containers to end: as many run as may at once \
                     (CHAOS_MAX_CONTAINERS)"
                ),
            });
            taken = Permit::take(&state, true, name).await?;
        }
        *has_place |= taken.permit.is_some();
        Ok::<_, std::io::Error>(taken)
    };
    let taken = tokio::select! {
        taken = take => taken,
        ended = inner.until_ended() => return Err(ended),
    };
    let taken = taken.map_err(|error| {
        Error::new(Kind::State, "the places for containers cannot be counted").because(error)
    })?;
    if taken.waited >= Duration::from_millis(100) {
        inner.recorder.record(Event::Note {
            text: format!(
                "{name} waited {:.1} s for other tests' containers to end",
                taken.waited.as_secs_f64()
            ),
        });
    }
    if taken.permit.is_none() {
        inner.recorder.record(Event::Note {
            text: format!("{name} is one container more than may run at once"),
        });
    }
    Ok(taken.permit)
}

/// The private network of the context, made when it is first needed.
async fn network(inner: &Arc<Inner>, engine: &Arc<Engine>) -> Result<Arc<Network>, Error> {
    let make = || async {
        // One that was asked for and not acknowledged may be there, or will be: a second one
        // of its name would be taken for it.
        let earlier = inner.recorder.pending().into_iter();
        let earlier = earlier.filter(|step| matches!(step.undo, Undo::RemoveNetwork { .. }));
        let name = match earlier.count() {
            0 => format!("chaos-{}", inner.world.prefix),
            number => format!("chaos-{}-{number}", inner.world.prefix),
        };
        let token = inner.world.prefix.clone();
        let undo = Undo::RemoveNetwork {
            engine: engine.url().to_owned(),
            network: name.clone(),
            token: token.clone(),
        };
        let what = format!("make network {name}");
        let entry = inner.recorder.plan(&what, undo, false)?;
        match make_network(engine, &name, &token, &labels(inner, &token)).await {
            Ok(network) => {
                inner.recorder.record(Event::Made { entry });
                Ok(Arc::new(network))
            }
            Err(not_made) => {
                if not_made.gone {
                    inner.recorder.undone(entry);
                }
                Err(not_made.why)
            }
        }
    };
    inner.world.network.get_or_try_init(make).await.cloned()
}

/// A second address of a link, for containers of the context: on the gateway of its network.
pub(super) async fn address_for_containers(
    inner: Arc<Inner>,
    link: proxy::Link,
) -> Result<SocketAddr, Error> {
    let _call = inner.enter().await?;
    let engine = Engine::find().await.map_err(|why| {
        let capability = Some("docker".to_owned());
        Error::new(Kind::Skip { capability }, format!("it needs docker: {why}"))
    })?;
    let failed = |why: String| {
        Error::new(
            Kind::Service,
            format!(
                "link `{}` has no address for containers: {why}",
                link.name()
            ),
        )
    };
    const REACH: &str = "containers reach each other under their names, without a link in between";
    if let Some(why) = engine.why_unreachable() {
        return Err(failed(why).help(REACH));
    }
    let network = network(&inner, &engine).await?;
    let Some(gateway) = network.gateway() else {
        return Err(failed("the context's network has no gateway".to_owned()));
    };
    link.listen_also(gateway.into()).map_err(|error| {
        failed(format!(
            "nothing can listen on {gateway}, the gateway of the context's network ({error}): \
             the engine runs in a network that is not this process's, as rootless ones do"
        ))
        .help(REACH)
    })
}

/// How whatever we make on an engine is marked, for people and for later runs.
fn labels(inner: &Inner, token: &str) -> HashMap<String, String> {
    let run = &inner.identity.run;
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let process = &run.process;
    let lives = if inner.identity.keeps_failed {
        KEPT_TO_LIVE
    } else {
        TIME_TO_LIVE.saturating_add(inner.identity.body_limit)
    };
    [
        (TOKEN_LABEL, token.to_owned()),
        ("chaos-test.run", run.id.clone()),
        ("chaos-test.test", inner.identity.name.clone()),
        (expired::PID_LABEL, process.pid.to_string()),
        (expired::START_LABEL, process.start_time.to_string()),
        (expired::BOOT_LABEL, process.boot_id.clone()),
        (expired::NAMESPACE_LABEL, process.namespace.to_string()),
        (
            expired::EXPIRES_LABEL,
            now.saturating_add(lives).as_secs().to_string(),
        ),
        // By this label testcontainers finds what it did not make itself.
        ("org.testcontainers.managed-by", "testcontainers".to_owned()),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect()
}
