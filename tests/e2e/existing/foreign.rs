//! What was there before: containers and processes that no context made, and what they look
//! like. Each is removed with its value.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use chaos_test::testcontainers::Image;
use chaos_test::testcontainers::bollard::models::{
    ContainerCreateBody, ContainerInspectResponse, EndpointIpamConfig, EndpointSettings,
    HostConfig, Ipam, IpamConfig, NetworkConnectRequest, NetworkCreateRequest,
    NetworkDisconnectRequest, PortBinding, RestartPolicy, RestartPolicyNameEnum,
};
use chaos_test::testcontainers::bollard::query_parameters::{
    CreateContainerOptionsBuilder, RemoveContainerOptionsBuilder, StopContainerOptions,
};
use chaos_test_fixtures::images;

use crate::engine::Run;

/// A name that nobody else has.
pub fn name() -> String {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    format!("e2e-foreign-{}-{number}", std::process::id())
}

#[track_caller]
pub fn until(what: &str, so: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !so() {
        assert!(Instant::now() < end, "it never came to this: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A container of Redis that somebody else made.
pub struct Foreign<'a> {
    run: &'a Run,
    pub name: String,
    pub id: String,
    networks: Vec<String>,
}

/// How it is made.
#[derive(Default)]
pub struct How {
    pub name: Option<String>,
    pub labels: Vec<(&'static str, String)>,
    pub restarts: bool,
    pub goes_when_it_ends: bool,
    /// In networks of its own, in one of them under an address that somebody chose.
    pub network: bool,
    /// Runs this in place of Redis.
    pub command: Option<Vec<&'static str>>,
}

impl<'a> Foreign<'a> {
    pub fn start(run: &'a Run, how: How) -> Self {
        let name = how.name.clone().unwrap_or_else(name);
        let image = run.wait_for(images::redis()).unwrap();
        let labels = how.labels.into_iter();
        let labels: HashMap<String, String> = labels
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        let binding = PortBinding {
            host_ip: Some("127.0.0.1".to_owned()),
            host_port: None,
        };
        let bindings = HashMap::from([("6379/tcp".to_owned(), Some(vec![binding]))]);
        let body = ContainerCreateBody {
            image: Some(format!("{}:{}", image.name(), image.tag())),
            labels: Some(labels),
            exposed_ports: Some(vec!["6379/tcp".to_owned()]),
            entrypoint: how
                .command
                .map(|words| words.into_iter().map(str::to_owned).collect()),
            host_config: Some(HostConfig {
                port_bindings: Some(bindings),
                auto_remove: Some(how.goes_when_it_ends),
                restart_policy: how.restarts.then_some(RestartPolicy {
                    name: Some(RestartPolicyNameEnum::ALWAYS),
                    maximum_retry_count: None,
                }),
                ..HostConfig::default()
            }),
            ..ContainerCreateBody::default()
        };
        let docker = run.docker();
        let options = CreateContainerOptionsBuilder::new().name(&name).build();
        let id = run.wait_for(async {
            let made = docker.create_container(Some(options), body).await.unwrap();
            docker.start_container(&made.id, None).await.unwrap();
            made.id
        });
        let mut foreign = Self {
            run,
            name,
            id,
            networks: Vec::new(),
        };
        if how.network {
            foreign.move_house();
        }
        until("redis accepts connections", || foreign.answers());
        foreign
    }

    /// Puts it into two networks of its own in place of the one that all share: there nobody else
    /// is given its address while it is down.
    fn move_house(&mut self) {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed) % 10;
        let range = format!("10.{}.{}", 180 + number, std::process::id() % 250);
        let chosen = IpamConfig {
            subnet: Some(format!("{range}.0/24")),
            ..IpamConfig::default()
        };
        let chosen = Ipam {
            config: Some(vec![chosen]),
            ..Ipam::default()
        };
        let address = EndpointIpamConfig {
            ipv4_address: Some(format!("{range}.77")),
            ..EndpointIpamConfig::default()
        };
        let docker = self.run.docker();
        for (name, ipam, address) in [
            ("chosen", Some(chosen), Some(address)),
            ("given", None, None),
        ] {
            let name = format!("{}-{name}", self.name);
            let request = NetworkCreateRequest {
                name: name.clone(),
                ipam,
                ..NetworkCreateRequest::default()
            };
            let connect = NetworkConnectRequest {
                container: self.id.clone(),
                endpoint_config: Some(EndpointSettings {
                    aliases: Some(vec!["orders-db".to_owned(), "db".to_owned()]),
                    ipam_config: address,
                    ..EndpointSettings::default()
                }),
            };
            self.networks.push(name.clone());
            self.run.wait_for(async {
                docker.create_network(request).await.unwrap();
                docker.connect_network(&name, connect).await.unwrap();
            });
        }
        let leave = NetworkDisconnectRequest {
            container: self.id.clone(),
            force: None,
        };
        let left = docker.disconnect_network("bridge", leave);
        self.run.wait_for(left).unwrap();
    }

    pub fn inspect(&self) -> ContainerInspectResponse {
        let docker = self.run.docker();
        let found = docker.inspect_container(&self.id, None);
        self.run.wait_for(found).unwrap()
    }

    /// What it is doing, as the engine has it.
    pub fn state(&self) -> String {
        let state = self.inspect().state.and_then(|state| state.status);
        state.map(|state| state.to_string()).unwrap_or_default()
    }

    /// What must be the same after a test as before: everything but its process and its instants.
    pub fn looks(&self) -> String {
        let found = self.inspect();
        let config = found.config.clone().unwrap_or_default();
        let mut networks: Vec<String> = found
            .network_settings
            .and_then(|settings| settings.networks)
            .unwrap_or_default()
            .into_iter()
            .map(|(name, one)| {
                let mut aliases = one.aliases.unwrap_or_default();
                aliases.sort();
                let chosen = one.ipam_config.and_then(|it| it.ipv4_address);
                format!(
                    "{name}: {:?}, chosen {chosen:?}, {aliases:?}",
                    one.ip_address
                )
            })
            .collect();
        networks.sort();
        let mut labels: Vec<_> = config.labels.unwrap_or_default().into_iter().collect();
        labels.sort();
        let policy = found.host_config.and_then(|host| host.restart_policy);
        let state = found.state.and_then(|state| state.status);
        format!(
            "{:?} {:?} {state:?} {labels:?} {policy:?} {networks:#?}",
            found.id, found.name
        )
    }

    pub fn is_connected(&self) -> bool {
        let settings = self.inspect().network_settings;
        let networks = settings.and_then(|settings| settings.networks);
        networks.is_some_and(|networks| !networks.is_empty())
    }

    fn address(&self) -> Option<SocketAddr> {
        let ports = self.inspect().network_settings?.ports?;
        let bindings = ports.get("6379/tcp")?.clone()?;
        let port = bindings.first()?.host_port.as_ref()?.parse().ok()?;
        Some((Ipv4Addr::LOCALHOST, port).into())
    }

    pub fn answers(&self) -> bool {
        self.address().is_some_and(pongs)
    }

    pub fn pause(&self) {
        let docker = self.run.docker();
        self.run.wait_for(docker.pause_container(&self.id)).unwrap();
    }

    pub fn stop(&self) {
        let docker = self.run.docker();
        let none = None::<StopContainerOptions>;
        self.run
            .wait_for(docker.stop_container(&self.id, none))
            .unwrap();
    }

    pub fn remove(&self) {
        let options = RemoveContainerOptionsBuilder::new().force(true).v(true);
        let docker = self.run.docker();
        let removed = docker.remove_container(&self.id, Some(options.build()));
        let _ = self.run.wait_for(removed);
    }
}

impl Drop for Foreign<'_> {
    fn drop(&mut self) {
        self.remove();
        for network in &self.networks {
            let docker = self.run.docker();
            let _ = self.run.wait_for(docker.remove_network(network));
        }
    }
}

/// Whether a Redis answers there.
pub fn pongs(address: SocketAddr) -> bool {
    use std::io::{Read, Write};
    let limit = Duration::from_millis(500);
    let Ok(mut redis) = TcpStream::connect_timeout(&address, limit) else {
        return false;
    };
    let _ = redis.set_read_timeout(Some(limit));
    let mut answer = [0; 7];
    redis.write_all(b"PING\r\n").is_ok()
        && redis.read_exact(&mut answer).is_ok()
        && &answer == b"+PONG\r\n"
}

/// A Redis that somebody else started, perhaps under something that starts it again.
pub struct Server {
    child: Child,
    pub address: SocketAddr,
    pub folder: tempfile::TempDir,
}

impl Server {
    /// A Redis without anybody above it.
    pub fn start() -> Self {
        Self::of(|port, folder| {
            let mut command = Command::new("redis-server");
            command.args(arguments(port, folder));
            command
        })
    }

    /// A Redis in a loop of a shell, which waits a moment before it starts it again, and for as
    /// long as there is a file `hold` in its folder.
    pub fn in_a_loop() -> Self {
        Self::of(|port, folder| {
            let mut command = Command::new("sh");
            let words = arguments(port, folder).join(" ");
            let script = format!(
                "while :; do redis-server {words}; sleep 0.2; \
                 while [ -e '{0}/hold' ]; do sleep 0.05; done; done",
                folder.display()
            );
            command.args(["-c", &script]);
            command
        })
    }

    /// A Redis below a shell, which does this when it is asked to end.
    pub fn below(trap: &str) -> Self {
        Self::of(|port, folder| {
            let words = arguments(port, folder).join(" ");
            let script = format!(
                "cd '{}'; redis-server {words} & trap '{trap}' TERM; while :; do sleep 0.05; done",
                folder.display()
            );
            let mut command = Command::new("sh");
            command.args(["-c", &script]);
            command
        })
    }

    /// A server with a worker that has its socket and does nothing with it, in a loop of a shell.
    pub fn with_a_worker() -> Self {
        Self::of(|port, folder| {
            let served = super::inherited::serves(port, folder);
            let mut command = Command::new("sh");
            let again = r#"while :; do "$@"; done"#;
            command.args(["-c", again, "sh"]);
            command.args(std::iter::once(served.get_program()).chain(served.get_args()));
            let settings = served.get_envs();
            command.envs(settings.filter_map(|(name, value)| Some((name, value?))));
            command.current_dir(folder);
            command
        })
    }

    /// The same one without anybody above it, at an address that is free now.
    pub fn stranger_at(address: SocketAddr) -> Self {
        Self::at(address, |port, folder| {
            let mut command = super::inherited::serves(port, folder);
            command.current_dir(folder);
            command
        })
    }

    fn of(command: impl FnOnce(u16, &PathBuf) -> Command) -> Self {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        Self::at(address, command)
    }

    fn at(address: SocketAddr, command: impl FnOnce(u16, &PathBuf) -> Command) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut command = command(address.port(), &folder.path().to_owned());
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        until("redis answers", || pongs(address));
        Self {
            child,
            address,
            folder,
        }
    }

    /// What starts it again, in words.
    pub fn command(&self) -> String {
        let folder = self.folder.path().to_owned();
        let words = arguments(self.address.port(), &folder);
        format!("redis-server {}", words.join(" "))
    }

    /// The number of its first process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The number of the Redis that runs now, as it writes it itself.
    pub fn redis_pid(&self) -> u32 {
        let text = std::fs::read_to_string(self.pid_file()).unwrap_or_default();
        text.trim().parse().unwrap_or_default()
    }

    pub fn pid_file(&self) -> PathBuf {
        self.folder.path().join("redis.pid")
    }

    pub fn hold(&self) {
        std::fs::write(self.folder.path().join("hold"), "").unwrap();
    }

    /// The state letter of proc(5) of the Redis that runs now.
    pub fn state(&self) -> char {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.redis_pid()));
        let stat = stat.unwrap_or_default();
        let state = stat.rsplit_once(')').map(|(_, fields)| fields.trim_start());
        state.and_then(|state| state.chars().next()).unwrap_or('-')
    }

    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        // What starts it is gone now, so this one is the last.
        let kill = |pid: u32| {
            let pid = i32::try_from(pid).ok().filter(|pid| *pid > 1);
            if let Some(pid) = pid.and_then(rustix::process::Pid::from_raw) {
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            }
        };
        let folder = self.folder.path().display().to_string();
        let end = Instant::now() + Duration::from_secs(10);
        loop {
            let left = started_with(&folder);
            if left.is_empty() || Instant::now() > end {
                return;
            }
            left.into_iter().for_each(kill);
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Redis overwrites its command line, so its working directory tells.
fn started_with(folder: &str) -> Vec<u32> {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid: &u32| {
        let is_here = std::fs::read_link(format!("/proc/{pid}/cwd"));
        is_here.is_ok_and(|path| path.display().to_string() == folder) && crate::victims::runs(*pid)
    })
    .collect()
}

fn arguments(port: u16, folder: &std::path::Path) -> Vec<String> {
    let folder = folder.display();
    let words =
        format!("--port {port} --bind 127.0.0.1 --dir {folder} --pidfile {folder}/redis.pid");
    words.split(' ').map(str::to_owned).collect()
}
