//! Which container a test means, and whether a test may break it at all.

use std::collections::HashMap;
use std::fmt;

use testcontainers::bollard::models::{ContainerInspectResponse, ContainerSummary};
use testcontainers::bollard::query_parameters::ListContainersOptionsBuilder;

use crate::error::{Error, Kind};
use crate::system::container::acts;
use crate::system::container::engine::{Engine, Refusal};
use crate::system::container::remove::TOKEN_LABEL;
use crate::system::container::unit::{ASK_LIMIT, ContainerState};

/// How a test names a container.
#[derive(Debug, Clone)]
pub(crate) enum Which {
    /// By its name, or its id.
    Name(String),
    /// By a label.
    Label(String, String),
    /// By the project and the service of Compose.
    Compose(String, String),
}

impl Which {
    fn labels(&self) -> Vec<String> {
        match self {
            Self::Name(_) => Vec::new(),
            Self::Label(name, value) => vec![format!("{name}={value}")],
            Self::Compose(project, service) => vec![
                format!("com.docker.compose.project={project}"),
                format!("com.docker.compose.service={service}"),
            ],
        }
    }
}

impl fmt::Display for Which {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => write!(f, "container {name}"),
            Self::Label(name, value) => write!(f, "the container with the label {name}={value}"),
            Self::Compose(project, service) => {
                write!(
                    f,
                    "the container of {service} in the Compose project {project}"
                )
            }
        }
    }
}

/// Finds the one container that is meant, whatever it is doing.
///
/// # Errors
///
/// Where there is none (it says which there are), or several, or it is one that nobody may
/// break.
pub(crate) async fn locate(
    engine: &Engine,
    service: &str,
    which: &Which,
) -> Result<ContainerInspectResponse, Error> {
    let asked = |why: Refusal| {
        Error::new(
            Kind::Service,
            format!("service `{service}` cannot be looked for: {why}"),
        )
    };
    let id = match which {
        Which::Name(name) => name.clone(),
        Which::Label(..) | Which::Compose(..) => {
            let found = list(engine, which.labels()).await.map_err(asked)?;
            match found.as_slice() {
                [one] => one.id.clone().unwrap_or_default(),
                [] => return Err(none(engine, service, which).await),
                several => {
                    return Err(Error::new(
                        Kind::Usage,
                        format!(
                            "service `{service}` cannot be {which}: there are {}: {}",
                            several.len(),
                            words(several)
                        ),
                    )
                    .help("name the one that is meant, with `existing::container(..)`"));
                }
            }
        }
    };
    let found = match acts::inspect(engine, &id).await {
        Ok(found) => found,
        Err(why) if why.is_missing() => return Err(none(engine, service, which).await),
        Err(why) => return Err(asked(why)),
    };
    match why_protected(&found) {
        None => Ok(found),
        Some(why) => Err(Error::new(
            Kind::Refused,
            format!("service `{service}` cannot be {which}: {why}"),
        )),
    }
}

/// Finds a container that was made for the tests of this run.
///
/// # Errors
///
/// Where it is gone.
pub(crate) async fn locate_kept(
    engine: &Engine,
    service: &str,
    name: &str,
) -> Result<ContainerInspectResponse, Error> {
    acts::inspect(engine, name).await.map_err(|why| {
        Error::new(
            Kind::Service,
            format!("service `{service}` of this run cannot be looked for: {why}"),
        )
    })
}

/// Whether it runs, so that its state can be put back.
pub(super) fn check_running(
    service: &str,
    which: &str,
    found: &ContainerInspectResponse,
) -> Result<(), Error> {
    match acts::state_of(found) {
        ContainerState::Running => Ok(()),
        state => Err(Error::new(
            Kind::Refused,
            format!("service `{service}` cannot be {which}: it is {state}, and is left as it is"),
        )
        .help("only what runs can be broken and put back; start it first")),
    }
}

async fn none(engine: &Engine, service: &str, which: &Which) -> Error {
    let running = match list(engine, Vec::new()).await {
        Ok(all) if all.is_empty() => "there is no container at all".to_owned(),
        Ok(all) => format!("there are {}", words(&all)),
        Err(why) => why.to_string(),
    };
    Error::new(
        Kind::Service,
        format!(
            "service `{service}` cannot be {which}: there is none on {}; {running}",
            engine.url()
        ),
    )
}

async fn list(engine: &Engine, labels: Vec<String>) -> Result<Vec<ContainerSummary>, Refusal> {
    let mut options = ListContainersOptionsBuilder::new().all(true);
    if !labels.is_empty() {
        options = options.filters(&HashMap::from([("label", labels)]));
    }
    let asked = engine.docker().list_containers(Some(options.build()));
    engine.ask("listing its containers", ASK_LIMIT, asked).await
}

/// Names and states, for people.
fn words(found: &[ContainerSummary]) -> String {
    const MOST: usize = 12;
    let mut words: Vec<String> = found
        .iter()
        .map(|one| {
            let names = one.names.as_deref().unwrap_or_default();
            let name = names.first().map(|name| name.trim_start_matches('/'));
            let state = one.state.map(|state| state.to_string());
            format!(
                "{} ({})",
                name.unwrap_or_default(),
                state.unwrap_or_else(|| "in an unknown state".to_owned())
            )
        })
        .collect();
    words.sort();
    if let Some(more) = words.len().checked_sub(MOST).filter(|more| *more > 0) {
        words.truncate(MOST);
        words.push(format!("{more} more"));
    }
    words.join(", ")
}

/// Why nobody may break this container; `None` where a test may.
fn why_protected(found: &ContainerInspectResponse) -> Option<String> {
    let id = found.id.as_deref().unwrap_or_default();
    let labels = found.config.as_ref().and_then(|it| it.labels.as_ref());
    if labels.is_some_and(|labels| labels.contains_key(TOKEN_LABEL)) {
        return Some("a chaos test has made it, and breaks it under its own name".to_owned());
    }
    let files = ["/proc/self/cgroup", "/proc/self/mountinfo"].map(std::fs::read_to_string);
    let ours = files.iter().flatten().map(String::as_str);
    is_named_in(id, ours).then(|| "the test itself runs in it".to_owned())
}

/// Whether the files by which a process sees where it runs name a container.
fn is_named_in<'a>(id: &str, files: impl Iterator<Item = &'a str>) -> bool {
    // A machine that runs an engine has mounts of its containers, too: only the files that each
    // container is given at its start, and its own control group, tell whose we are.
    let own = [
        format!("/containers/{id}/hostname "),
        format!("/containers/{id}/resolv.conf "),
        format!("/{id}/userdata/"),
    ];
    let mut lines = files.flat_map(str::lines);
    id.len() == 64
        && lines.any(|line| {
            own.iter().any(|own| line.contains(own.as_str()))
                || line.ends_with(&format!("/{id}"))
                || line.ends_with(&format!("-{id}.scope"))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_container_that_we_run_in_is_known_by_its_files() {
        let id = "0123456789abcdef".repeat(4);
        let is_ours = |line: &str| is_named_in(&id, [line].into_iter());
        let docker = "/var/lib/docker/containers";
        assert!(is_ours(&format!("4:memory:/docker/{id}")));
        assert!(is_ours(&format!("0::/system.slice/docker-{id}.scope")));
        assert!(is_ours(&format!(
            "711 702 8:1 {docker}/{id}/hostname /etc/hostname rw - ext4 /dev/sda1 rw"
        )));
        // As the machine of the engine itself sees its containers.
        assert!(!is_ours(&format!(
            "711 702 0:50 / {docker}/{id}/mounts/shm rw - tmpfs shm rw"
        )));
        assert!(!is_ours("4:memory:/docker/another"));
        assert!(!is_named_in("", ["4:memory:/"].into_iter()));
    }

    #[test]
    fn what_is_meant_is_said_in_the_words_of_the_test() {
        let compose = Which::Compose("shop".into(), "db".into());
        assert_eq!(
            compose.to_string(),
            "the container of db in the Compose project shop"
        );
        assert_eq!(compose.labels().len(), 2);
        let label = Which::Label("app".into(), "orders".into());
        assert_eq!(label.labels(), ["app=orders"]);
    }
}
