//! The container engine: found, asked once whether it answers, and every request to it
//! within a time limit.

use std::fmt;
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use testcontainers::bollard::{API_DEFAULT_VERSION, ClientVersion, Docker, errors};
use tokio::sync::OnceCell;

use crate::error::{Error, Kind, with_causes};
#[cfg(feature = "cli")]
use crate::model::survey::EngineFound;
use crate::model::units::human;

/// How long an engine may take to answer the first question.
const FIND_LIMIT: Duration = Duration::from_secs(10);
/// How long the client waits for an answer at most; each request has its own limit, too.
const CLIENT_LIMIT: Duration = Duration::from_secs(120);
/// The oldest version of the engine's API that we speak.
const OLDEST_API: ClientVersion = ClientVersion {
    major_version: 1,
    minor_version: 41,
};
/// Where an engine listens unless told otherwise.
const DEFAULT_SOCKET: &str = "/var/run/docker.sock";

/// Where the engine is, as seen from this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// On this machine, in our network: the gateways of its networks are our addresses.
    Here,
    /// Beside the container that we run in.
    Beside,
    /// On another machine.
    Remote,
}

/// A container engine that answers.
#[derive(Debug)]
pub(crate) struct Engine {
    docker: Docker,
    url: String,
    place: Place,
    /// Where published ports are reached from here.
    host: IpAddr,
}

impl Engine {
    /// The engine of this process: `DOCKER_HOST`, else a socket in its usual places.
    ///
    /// # Errors
    ///
    /// Why there is none.
    pub(crate) async fn find() -> Result<Arc<Self>, String> {
        static FOUND: OnceCell<Result<Arc<Engine>, String>> = OnceCell::const_new();
        let found = FOUND
            .get_or_init(|| async {
                match tokio::time::timeout(FIND_LIMIT, Self::connect(&configured())).await {
                    Ok(engine) => engine.map(Arc::new),
                    Err(_) => Err(format!(
                        "{} did not answer within {}",
                        configured(),
                        human(FIND_LIMIT)
                    )),
                }
            })
            .await;
        let no_engine = |why| {
            format!("no container engine answers ({why}): start one, or name it with DOCKER_HOST")
        };
        found.clone().map_err(no_engine)
    }

    /// The engine at an address, for whoever undoes what a dead run left.
    pub(super) async fn at(url: &str) -> Result<Arc<Self>, Error> {
        if configured() == url
            && let Ok(found) = Self::find().await
        {
            return Ok(found);
        }
        match tokio::time::timeout(FIND_LIMIT, Self::connect(url)).await {
            Ok(Ok(engine)) => Ok(Arc::new(engine)),
            Ok(Err(why)) => Err(Error::new(Kind::Undo, why)),
            Err(_) => Err(Error::new(
                Kind::Undo,
                format!("the container engine at {url} does not answer"),
            )),
        }
    }

    async fn connect(url: &str) -> Result<Self, String> {
        let docker = client(url)?
            .negotiate_version()
            .await
            .map_err(|error| unreachable_engine(url, &error))?;
        if docker.client_version() < OLDEST_API {
            let version = docker.client_version();
            return Err(format!(
                "the engine at {url} speaks version {}.{} of the API, and at least {}.{} is needed",
                version.major_version,
                version.minor_version,
                OLDEST_API.major_version,
                OLDEST_API.minor_version
            ));
        }
        let (place, host) = place(url, &docker).await?;
        Ok(Self {
            docker,
            url: url.to_owned(),
            place,
            host,
        })
    }

    pub(super) fn docker(&self) -> &Docker {
        &self.docker
    }

    /// How to reach it, for a journal.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Whether it is on this machine, in our network.
    pub(super) fn is_here(&self) -> bool {
        self.place == Place::Here
    }

    /// Where published ports are reached from here.
    pub(super) fn host(&self) -> IpAddr {
        self.host
    }

    /// On which address of its machine the engine publishes ports: never on more than are
    /// needed to reach them from here.
    pub(super) fn publishes_on(&self) -> IpAddr {
        match self.place {
            Place::Here | Place::Beside => self.host,
            Place::Remote => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        }
    }

    /// Why containers cannot reach a listener of this process; `None` where they can.
    pub(crate) fn why_unreachable(&self) -> Option<String> {
        let why = match self.place {
            Place::Here => return None,
            Place::Beside => "it runs beside the container that this test runs in",
            Place::Remote => "it runs on another machine",
        };
        Some(format!(
            "the container engine at {} cannot reach links of this process: {why}",
            self.url
        ))
    }

    /// What it is, for a person.
    #[cfg(feature = "cli")]
    pub(crate) async fn describe(&self) -> EngineFound {
        let ask = "asking the engine what it is";
        let version = self.ask(ask, FIND_LIMIT, self.docker.version()).await;
        let info = self.ask(ask, FIND_LIMIT, self.docker.info()).await;
        let options = info.ok().and_then(|info| info.security_options);
        let version = version.unwrap_or_default();
        let components = version.components.unwrap_or_default();
        let first = components.into_iter().next().map(|first| first.name);
        let name = match first.as_deref() {
            // Docker calls itself that.
            Some("Engine") => "Docker",
            Some(name) => name,
            None => "a container engine",
        };
        let api = self.docker.client_version();
        EngineFound {
            url: self.url.clone(),
            name: format!(
                "{name} {}",
                version.version.as_deref().unwrap_or("of unknown version")
            ),
            api: format!("{}.{}", api.major_version, api.minor_version),
            place: match self.place {
                Place::Here => "on this machine",
                Place::Beside => "beside the container that this is",
                Place::Remote => "on another machine",
            },
            rootless: options
                .is_some_and(|options| options.iter().any(|one| one.contains("rootless"))),
            why_unreachable: self.why_unreachable(),
        }
    }

    /// Asks the engine something, within a time limit.
    ///
    /// # Errors
    ///
    /// What it said, or that it said nothing.
    pub(super) async fn ask<T>(
        &self,
        what: &str,
        limit: Duration,
        request: impl Future<Output = Result<T, errors::Error>>,
    ) -> Result<T, Refusal> {
        match tokio::time::timeout(limit, request).await {
            Ok(answer) => answer.map_err(|error| Refusal::from(what, error)),
            Err(_) => Err(Refusal::Silent(format!(
                "the container engine did not answer within {}: {what}",
                human(limit)
            ))),
        }
    }
}

/// Why the engine did not do what it was asked for.
#[derive(Debug, Clone)]
pub(crate) enum Refusal {
    /// What it was asked about is not there (status 404).
    Missing(String),
    /// It is in another state, or its name is taken (status 409).
    Conflict(String),
    /// Anything else that it answered.
    Answered(String),
    /// It did not answer, or not in time.
    Silent(String),
}

impl Refusal {
    fn from(what: &str, error: errors::Error) -> Self {
        match error {
            errors::Error::DockerResponseServerError {
                status_code,
                message,
            } => {
                let said = format!("{what}: {}", message.trim());
                match status_code {
                    404 => Self::Missing(said),
                    409 => Self::Conflict(said),
                    _ => Self::Answered(said),
                }
            }
            errors::Error::RequestTimeoutError => Self::Silent(format!(
                "the container engine did not answer within {}: {what}",
                human(CLIENT_LIMIT)
            )),
            error => Self::Silent(format!(
                "the container engine cannot be asked: {what}: {}",
                with_causes(&error)
            )),
        }
    }

    pub(super) fn is_missing(&self) -> bool {
        matches!(self, Self::Missing(_))
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(why) | Self::Conflict(why) | Self::Answered(why) | Self::Silent(why) => {
                f.write_str(why)
            }
        }
    }
}

impl std::error::Error for Refusal {}

/// What `DOCKER_HOST` says, else the first socket that is there.
fn configured() -> String {
    if let Some(host) = std::env::var("DOCKER_HOST")
        .ok()
        .filter(|host| !host.trim().is_empty())
    {
        return host;
    }
    let there = usual_sockets().into_iter().find(|path| path.exists());
    let socket = there.unwrap_or_else(|| PathBuf::from(DEFAULT_SOCKET));
    format!("unix://{}", socket.display())
}

/// Where engines listen: Docker, rootless Docker, Docker Desktop.
fn usual_sockets() -> Vec<PathBuf> {
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let mut sockets = vec![PathBuf::from(DEFAULT_SOCKET)];
    sockets.extend(runtime.map(|dir| dir.join(".docker/run/docker.sock")));
    if let Some(home) = home {
        sockets.push(home.join(".docker/run/docker.sock"));
        sockets.push(home.join(".docker/desktop/docker.sock"));
    }
    sockets
}

/// Sockets of engines that are only used when `DOCKER_HOST` names them.
fn other_sockets() -> Vec<PathBuf> {
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    let mut sockets: Vec<PathBuf> = runtime
        .iter()
        .flat_map(|dir| [dir.join("docker.sock"), dir.join("podman/podman.sock")])
        .collect();
    sockets.push(PathBuf::from("/run/podman/podman.sock"));
    sockets
}

fn client(url: &str) -> Result<Docker, String> {
    let limit = CLIENT_LIMIT.as_secs();
    let (scheme, rest) = url
        .split_once("://")
        .ok_or_else(|| format!("DOCKER_HOST is `{url}`; write unix:///path or tcp://host:port"))?;
    let tls = std::env::var("DOCKER_TLS_VERIFY").is_ok_and(|verify| verify == "1");
    let made = match scheme {
        "unix" if !Path::new(rest).exists() => {
            return Err(no_socket(rest));
        }
        "unix" => Docker::connect_with_unix(url, limit, API_DEFAULT_VERSION),
        "https" => with_certificates(url, limit),
        "tcp" | "http" if tls => with_certificates(url, limit),
        "tcp" | "http" => Docker::connect_with_http(url, limit, API_DEFAULT_VERSION),
        _ => {
            return Err(format!(
                "DOCKER_HOST is `{url}`; only unix://, tcp://, http:// and https:// are understood"
            ));
        }
    };
    made.map_err(|error| unreachable_engine(url, &error))
}

fn no_socket(path: &str) -> String {
    let mut why = format!("there is no socket {path}");
    if std::env::var_os("DOCKER_HOST").is_none()
        && let Some(other) = other_sockets().into_iter().find(|other| other.exists())
    {
        why.push_str(&format!(
            "; set DOCKER_HOST=unix://{} to use the engine that listens there",
            other.display()
        ));
    }
    why
}

fn with_certificates(url: &str, limit: u64) -> Result<Docker, errors::Error> {
    let folder = std::env::var_os("DOCKER_CERT_PATH")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".docker")))
        .unwrap_or_default();
    Docker::connect_with_ssl(
        url,
        &folder.join("key.pem"),
        &folder.join("cert.pem"),
        &folder.join("ca.pem"),
        limit,
        API_DEFAULT_VERSION,
    )
}

fn unreachable_engine(url: &str, error: &errors::Error) -> String {
    format!("{url}: {}", with_causes(error))
}

/// Where the engine is, and where the ports that it publishes are reached.
async fn place(url: &str, docker: &Docker) -> Result<(Place, IpAddr), String> {
    let here = (Place::Here, IpAddr::V4(Ipv4Addr::LOCALHOST));
    if let Some(authority) = url
        .split_once("://")
        .filter(|(scheme, _)| *scheme != "unix")
        .map(|(_, rest)| rest.split('/').next().unwrap_or(rest))
    {
        let host = resolve(authority)
            .ok_or_else(|| format!("the host of DOCKER_HOST `{url}` has no address"))?;
        return Ok(if host.is_loopback() {
            here
        } else {
            (Place::Remote, host)
        });
    }
    if !in_container() {
        return Ok(here);
    }
    // The engine may run in our container, or we may be a container of it. The gateway is
    // reached in both cases, and is where testcontainers looks for ports, too.
    Ok(match gateway_of_default_network(docker).await {
        Some(gateway) if TcpListener::bind((gateway, 0)).is_ok() => (Place::Here, gateway),
        // Podman's default network has its gateway only while something is in it.
        Some(gateway) if !has_our_name(docker).await => (Place::Beside, gateway),
        _ => here,
    })
}

fn resolve(authority: &str) -> Option<IpAddr> {
    let with_port = if authority.contains("]:") || authority.matches(':').count() == 1 {
        authority.to_owned()
    } else {
        format!("{authority}:0")
    };
    let mut found = with_port.to_socket_addrs().ok()?;
    found.next().map(|address: SocketAddr| address.ip())
}

fn in_container() -> bool {
    Path::new("/.dockerenv").exists() || Path::new("/run/.containerenv").exists()
}

/// Whether the engine's machine is called as ours: a container has a name of its own.
async fn has_our_name(docker: &Docker) -> bool {
    let name = docker.info().await.ok().and_then(|info| info.name);
    let ours = rustix::system::uname();
    name.is_some_and(|name| ours.nodename().to_bytes() == name.as_bytes())
}

async fn gateway_of_default_network(docker: &Docker) -> Option<IpAddr> {
    // Docker's name and Podman's.
    for name in ["bridge", "podman"] {
        let Ok(network) = docker.inspect_network(name, None).await else {
            continue;
        };
        let configs = network
            .ipam
            .and_then(|ipam| ipam.config)
            .unwrap_or_default();
        let mut gateways = configs.into_iter().filter_map(|config| config.gateway);
        if let Some(gateway) = gateways.find_map(|gateway| gateway.parse().ok()) {
            return Some(gateway);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_that_makes_no_sense_says_what_would() {
        for (url, expected) in [
            ("localhost:2375", "write unix:///path or tcp://host:port"),
            ("ssh://somewhere", "only unix://, tcp://"),
            (
                "unix:///no/such/socket",
                "there is no socket /no/such/socket",
            ),
        ] {
            let error = client(url).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn the_host_of_a_url_is_resolved_with_and_without_a_port() {
        for authority in ["127.0.0.1:2375", "127.0.0.1", "[::1]:2375"] {
            assert!(resolve(authority).unwrap().is_loopback(), "{authority}");
        }
    }
}
