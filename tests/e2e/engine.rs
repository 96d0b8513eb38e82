//! What the container engine has of a run. It removes nothing but what carries that run's
//! label.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use chaos_test::Journal;
use chaos_test::testcontainers::bollard::Docker;
use chaos_test::testcontainers::bollard::models::{
    ContainerInspectResponse, Mount, MountType, MountVolumeOptions, NetworkInspect,
};
use chaos_test::testcontainers::bollard::query_parameters::{
    ListContainersOptionsBuilder, ListNetworksOptionsBuilder, ListVolumesOptionsBuilder,
    RemoveContainerOptionsBuilder, RemoveVolumeOptions,
};
use chaos_test::testcontainers::core::client::docker_client_instance;
use chaos_test_fixtures::rerun::{Ended, Folder, Rerun};
use tokio::runtime::Runtime;

/// The label of the library, for containers and networks.
const RUN: &str = "chaos-test.run";
/// The label of these tests, for volumes: the library makes none by itself.
const VOLUME: &str = "chaos-test-e2e.run";

/// A run of children, and what the engine has of it.
pub struct Run {
    id: String,
    docker: Docker,
    runtime: Runtime,
}

impl Run {
    /// A new run; `None` where no engine answers, and skips are allowed.
    pub fn new(test: &str) -> Option<Self> {
        let runtime = runtime();
        let found = runtime.block_on(async {
            let docker = docker_client_instance().await.ok()?;
            docker.ping().await.ok()?;
            Some(docker)
        });
        let Some(docker) = found else {
            let required = std::env::var("CHAOS_REQUIRE").unwrap_or_default();
            let mut required = required.split(',').map(str::trim);
            assert!(
                !required.any(|word| word == "all" || word == "docker"),
                "{test} needs docker"
            );
            crate::subjects::say(&format!("SKIPPED {test}: no container engine answers"));
            return None;
        };
        Some(Self::by(runtime, docker))
    }

    /// A new run on this engine.
    pub fn on(docker: Docker) -> Self {
        Self::by(runtime(), docker)
    }

    fn by(runtime: Runtime, docker: Docker) -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        Self {
            id: format!("e2e-{}-{number}", std::process::id()),
            docker,
            runtime,
        }
    }

    /// The value of its label.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The report's copy of the journal of a child with one test.
    #[track_caller]
    pub fn journal(&self, ended: &Ended) -> Journal {
        let journals = ended.folder.reports().join(&self.id).join("journals");
        let text = Folder::files(&journals)
            .first()
            .and_then(|path| std::fs::read_to_string(path).ok());
        let text = text.unwrap_or_else(|| panic!("{}", ended.output()));
        Journal::read(&text).unwrap()
    }

    /// A child of the run, with its watchdog.
    pub fn watched(&self, test: &str, folder: Folder) -> Rerun {
        Rerun::within(test, folder).env("CHAOS_RUN_ID", &self.id)
    }

    /// A child of the run, without a watchdog.
    pub fn child(&self, test: &str, folder: Folder) -> Rerun {
        self.watched(test, folder).unwatched()
    }

    /// Another run, which sweeps first.
    pub fn sweep(&self, folder: Folder) -> Rerun {
        Rerun::within("subjects::it_skips_itself", folder)
            .env("CHAOS_RUN_ID", format!("{}-next", self.id))
            .env_remove("CHAOS_REQUIRE")
    }

    /// Its containers, by name.
    pub fn containers(&self) -> Vec<ContainerInspectResponse> {
        let options = ListContainersOptionsBuilder::new()
            .all(true)
            .filters(&self.filters(RUN))
            .build();
        let mut found: Vec<_> = self.runtime.block_on(async {
            let mut found = Vec::new();
            for one in self.docker.list_containers(Some(options)).await.unwrap() {
                // One that goes meanwhile is gone.
                let id = one.id.unwrap();
                found.extend(self.docker.inspect_container(&id, None).await.ok());
            }
            found
        });
        found.sort_by_key(name_of);
        found
    }

    pub fn networks(&self) -> Vec<NetworkInspect> {
        let options = ListNetworksOptionsBuilder::new()
            .filters(&self.filters(RUN))
            .build();
        self.runtime.block_on(async {
            let mut found = Vec::new();
            for one in self.docker.list_networks(Some(options)).await.unwrap() {
                let id = one.id.unwrap();
                found.extend(self.docker.inspect_network(&id, None).await.ok());
            }
            found
        })
    }

    fn volumes(&self) -> Vec<String> {
        let options = ListVolumesOptionsBuilder::new()
            .filters(&self.filters(VOLUME))
            .build();
        let found = self.docker.list_volumes(Some(options));
        let found = self.runtime.block_on(found).unwrap();
        let volumes = found.volumes.unwrap_or_default().into_iter();
        volumes.map(|volume| volume.name).collect()
    }

    /// Everything that the engine has of it, in words.
    pub fn left(&self) -> Vec<String> {
        let containers = self.containers();
        let containers = containers.iter().map(|it| {
            let state = it.state.as_ref().and_then(|state| state.status);
            format!("container {} ({state:?})", name_of(it))
        });
        let networks = self.networks().into_iter();
        let networks = networks.map(|it| format!("network {}", it.name.unwrap_or_default()));
        let volumes = self.volumes().into_iter();
        containers
            .chain(networks)
            .chain(volumes.map(|name| format!("volume {name}")))
            .collect()
    }

    #[track_caller]
    pub fn assert_nothing_left(&self, output: &str) {
        let left = self.left();
        assert!(left.is_empty(), "{left:#?} is left:\n{output}");
    }

    pub fn docker(&self) -> &Docker {
        &self.docker
    }

    pub fn wait_for<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    /// Removes what there is of it.
    pub fn remove(&self) {
        let containers = self.containers();
        let (networks, volumes) = (self.networks(), self.volumes());
        self.runtime.block_on(async {
            for id in containers.into_iter().filter_map(|it| it.id) {
                let options = RemoveContainerOptionsBuilder::new().force(true).v(true);
                let _ = self
                    .docker
                    .remove_container(&id, Some(options.build()))
                    .await;
            }
            for id in networks.into_iter().filter_map(|it| it.id) {
                let _ = self.docker.remove_network(&id).await;
            }
            for name in volumes {
                let none = None::<RemoveVolumeOptions>;
                let _ = self.docker.remove_volume(&name, none).await;
            }
        });
    }

    fn filters(&self, label: &str) -> HashMap<&'static str, Vec<String>> {
        HashMap::from([("label", vec![format!("{label}={}", self.id)])])
    }
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

impl Drop for Run {
    fn drop(&mut self) {
        // Only where a test failed is there anything.
        if std::thread::panicking() {
            // The engine may be what failed.
            let remove = std::panic::AssertUnwindSafe(|| self.remove());
            let _ = std::panic::catch_unwind(remove);
        }
    }
}

pub fn name_of(container: &ContainerInspectResponse) -> String {
    let name = container.name.as_deref().unwrap_or_default();
    name.trim_start_matches('/').to_owned()
}

/// An anonymous volume that tells of the run of this process.
pub fn anonymous_volume() -> Mount {
    let run = std::env::var("CHAOS_RUN_ID").unwrap_or_default();
    Mount {
        target: Some("/data".to_owned()),
        typ: Some(MountType::VOLUME),
        volume_options: Some(MountVolumeOptions {
            labels: Some(HashMap::from([(VOLUME.to_owned(), run)])),
            ..MountVolumeOptions::default()
        }),
        ..Mount::default()
    }
}
