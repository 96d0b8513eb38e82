//! What a container is made of: plain data, taken from what users of testcontainers write.

use std::any::TypeId;
use std::borrow::Cow;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use testcontainers::bollard::models::{
    ContainerCreateBody, HealthConfig, HostConfig, HostConfigCgroupnsModeEnum, Mount,
    MountTmpfsOptions, MountType,
};
use testcontainers::core::{
    CgroupnsMode, ContainerPort, ContainerState, ExecCommand, Healthcheck, Mount as TcMount,
    MountType as TcMountType, WaitFor,
};
use testcontainers::{ContainerRequest, GenericImage, Image, TestcontainersError};

use super::debug_form;
use super::parts::{Condition, Copy};
use crate::error::Error;
use crate::system::service::ReadyCheck;

/// How long a container may take to become ready, as testcontainers has it.
const START_TIMEOUT: Duration = Duration::from_secs(60);
/// How long it may take to end once it was asked to: that of `docker stop`.
const GRACE: Duration = Duration::from_secs(10);

/// A change that the user makes to what the engine is told last of all.
type Modifier = Arc<dyn Fn(&mut HostConfig) + Send + Sync>;

/// What a container is made of, and when it counts as ready.
#[derive(Clone)]
pub(crate) struct Recipe {
    /// Name and tag.
    pub(super) image: String,
    pub(super) platform: Option<String>,
    /// Its name on the engine, where the user chose one.
    pub(super) name: Option<String>,
    /// The network that the user chose instead of the context's own.
    pub(super) network: Option<String>,
    pub(crate) aliases: Vec<String>,
    /// All but its image, labels, ports and networks.
    pub(super) body: ContainerCreateBody,
    pub(super) modifier: Option<Modifier>,
    /// Ports that it listens on, besides those that the image declares.
    pub(super) ports: Vec<ContainerPort>,
    /// Ports of the host that were chosen for ports of the container.
    pub(super) mapped: Vec<(u16, ContainerPort)>,
    pub(super) copies: Vec<Copy>,
    pub(super) conditions: Vec<Condition>,
    /// `None` for an image that is known to have none.
    pub(super) hooks: Option<Arc<dyn Hooks>>,
    /// The check that the user chose instead of the image's conditions.
    pub(crate) ready: Option<Arc<dyn ReadyCheck>>,
    pub(crate) start_timeout: Duration,
    pub(crate) grace: Duration,
    /// How long its engine may take to start it again by itself, where that is to.
    pub(crate) supervised: Option<Duration>,
}

/// Commands that an image wants to be run in its container.
pub(super) trait Hooks: Send + Sync {
    fn before_ready(&self, state: ContainerState) -> Result<Vec<ExecCommand>, TestcontainersError>;
    fn after_start(&self, state: ContainerState) -> Result<Vec<ExecCommand>, TestcontainersError>;
}

impl<I: Image> Hooks for ContainerRequest<I> {
    fn before_ready(&self, state: ContainerState) -> Result<Vec<ExecCommand>, TestcontainersError> {
        self.image().exec_before_ready(state)
    }

    fn after_start(&self, state: ContainerState) -> Result<Vec<ExecCommand>, TestcontainersError> {
        self.exec_after_start(state)
    }
}

impl Recipe {
    pub(crate) fn image(&self) -> &str {
        &self.image
    }

    /// Its name on the engine, where the user chose one.
    pub(crate) fn chosen_name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Whether it is ready by its end: a job, and no server.
    pub(super) fn may_end(&self) -> bool {
        let mut conditions = self.conditions.iter();
        conditions.any(|condition| matches!(condition, Condition::Exited(_)))
    }

    /// Takes over all that a request of testcontainers says.
    ///
    /// # Errors
    ///
    /// Where it says something that testcontainers keeps to itself: nothing is left out in
    /// silence.
    pub(crate) fn of<I: Image + Debug + 'static>(
        request: ContainerRequest<I>,
    ) -> Result<Self, Error> {
        let written = format!("{request:?}");
        debug_form::refuse_hidden(&written)?;
        let copies = request
            .copy_to_sources()
            .map(|copy| debug_form::copy(&format!("{copy:?}")))
            .collect::<Result<_, _>>()?;
        let conditions = request
            .ready_conditions()
            .into_iter()
            .map(condition)
            .collect::<Result<_, _>>()?;
        let mapped = request.ports().into_iter().flatten();
        let mapped = mapped
            .map(|mapping| debug_form::port_mapping(&format!("{mapping:?}")))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            image: request.descriptor(),
            platform: request.platform().clone(),
            name: request.container_name().clone(),
            network: request.network().clone(),
            aliases: Vec::new(),
            body: body(&request),
            modifier: request.host_config_modifier().cloned(),
            ports: request.expose_ports().to_vec(),
            mapped,
            copies,
            conditions,
            ready: None,
            start_timeout: request.startup_timeout().unwrap_or(START_TIMEOUT),
            grace: GRACE,
            supervised: None,
            hooks: (TypeId::of::<I>() != TypeId::of::<GenericImage>())
                .then(|| Arc::new(request) as Arc<dyn Hooks>),
        })
    }
}

fn body<I: Image>(request: &ContainerRequest<I>) -> ContainerCreateBody {
    let env = request
        .env_vars()
        .map(|(name, value)| format!("{name}={value}"));
    let hosts = request.hosts().map(|(name, host)| format!("{name}:{host}"));
    let labels = request.labels().iter();
    let command: Vec<String> = request.cmd().map(Cow::into_owned).collect();
    let mounts: Vec<Mount> = request.mounts().map(mount).collect();
    ContainerCreateBody {
        hostname: request.hostname().map(str::to_owned),
        user: request.user().map(str::to_owned),
        working_dir: request.working_dir().map(str::to_owned),
        env: Some(env.collect()),
        cmd: (!command.is_empty()).then_some(command),
        entrypoint: request.entrypoint().map(|entry| vec![entry.to_owned()]),
        labels: Some(
            labels
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect(),
        ),
        healthcheck: request.health_check().map(health),
        open_stdin: request.open_stdin(),
        host_config: Some(HostConfig {
            privileged: Some(request.privileged()),
            extra_hosts: Some(hosts.collect()),
            cgroupns_mode: request.cgroupns_mode().map(|mode| match mode {
                CgroupnsMode::Host => HostConfigCgroupnsModeEnum::HOST,
                CgroupnsMode::Private => HostConfigCgroupnsModeEnum::PRIVATE,
            }),
            userns_mode: request.userns_mode().map(str::to_owned),
            cap_add: request.cap_add().cloned(),
            cap_drop: request.cap_drop().cloned(),
            readonly_rootfs: Some(request.readonly_rootfs()),
            security_opt: request.security_opts().cloned(),
            shm_size: request
                .shm_size()
                .map(|bytes| i64::try_from(bytes).unwrap_or(i64::MAX)),
            mounts: (!mounts.is_empty()).then_some(mounts),
            ..HostConfig::default()
        }),
        ..ContainerCreateBody::default()
    }
}

fn mount(mount: &TcMount) -> Mount {
    Mount {
        target: mount.target().map(str::to_owned),
        source: mount.source().map(str::to_owned),
        typ: Some(match mount.mount_type() {
            TcMountType::Bind => MountType::BIND,
            TcMountType::Volume => MountType::VOLUME,
            TcMountType::Tmpfs => MountType::TMPFS,
        }),
        read_only: Some(mount.access_mode() == testcontainers::core::AccessMode::ReadOnly),
        tmpfs_options: mount.tmpfs_options().map(|options| MountTmpfsOptions {
            size_bytes: options.size_bytes,
            mode: options.mode,
            options: None,
        }),
        ..Mount::default()
    }
}

fn health(check: &Healthcheck) -> HealthConfig {
    let nanos = |time: Duration| i64::try_from(time.as_nanos()).unwrap_or(i64::MAX);
    HealthConfig {
        test: Some(check.test().to_vec()),
        interval: check.interval().map(nanos),
        timeout: check.timeout().map(nanos),
        retries: check.retries().map(i64::from),
        start_period: check.start_period().map(nanos),
        start_interval: check.start_interval().map(nanos),
    }
}

fn condition(condition: WaitFor) -> Result<Condition, Error> {
    Ok(match condition {
        WaitFor::Nothing => Condition::Pause(Duration::ZERO),
        WaitFor::Duration { length } => Condition::Pause(length),
        WaitFor::Log(log) => debug_form::printed(&format!("{log:?}"))?,
        WaitFor::Healthcheck(_) => Condition::Healthy,
        WaitFor::Exit(exit) => debug_form::exited(&format!("{exit:?}"))?,
        // Over HTTP, where the user's build of testcontainers has that.
        #[allow(unreachable_patterns, reason = "a feature of testcontainers adds it")]
        foreign => Condition::Foreign(foreign),
    })
}

/// What a port is called in the engine's API.
pub(super) fn port_key(port: ContainerPort) -> String {
    port.to_string()
}
