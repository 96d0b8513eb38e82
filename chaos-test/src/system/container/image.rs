//! The image of a container: there already, or pulled.

use std::time::Duration;

use testcontainers::core::{ContainerPort, IntoContainerPort};
use testcontainers::runners::AsyncRunner;
use testcontainers::{ContainerRequest, GenericImage, ImageExt};

use super::engine::{Engine, Refusal};
use super::recipe::Recipe;
use crate::error::with_causes;
use crate::model::units::human;
use crate::system::terminal::say;

/// How long the engine may take to look for an image.
const LOOK_LIMIT: Duration = Duration::from_secs(10);
/// How long a pull may take.
const PULL_LIMIT: Duration = Duration::from_secs(600);
/// A pull that takes longer is told.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// Sees to it that the engine has the image; the ports that it declares.
pub(super) async fn present(
    engine: &Engine,
    recipe: &Recipe,
) -> Result<Vec<ContainerPort>, Refusal> {
    match look(engine, &recipe.image).await {
        Err(refusal) if refusal.is_missing() => {
            pull(recipe).await?;
            look(engine, &recipe.image).await
        }
        found => found,
    }
}

async fn look(engine: &Engine, image: &str) -> Result<Vec<ContainerPort>, Refusal> {
    let asked = engine.docker().inspect_image(image);
    let found = engine
        .ask("looking for the image", LOOK_LIMIT, asked)
        .await?;
    let declared = found.config.and_then(|config| config.exposed_ports);
    let mut ports: Vec<_> = declared
        .unwrap_or_default()
        .iter()
        .filter_map(|port| port_of(port))
        .collect();
    // The engine lists them in no order.
    ports.sort_by_key(|port| port.as_u16());
    Ok(ports)
}

fn port_of(text: &str) -> Option<ContainerPort> {
    let (number, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let number: u16 = number.parse().ok()?;
    match protocol {
        "tcp" => Some(number.tcp()),
        "udp" => Some(number.udp()),
        "sctp" => Some(number.sctp()),
        _ => None,
    }
}

/// Pulls an image, with the credentials that testcontainers finds for its registry.
async fn pull(recipe: &Recipe) -> Result<(), Refusal> {
    let (name, tag) = split(&recipe.image);
    let mut request: ContainerRequest<GenericImage> = GenericImage::new(name, tag).into();
    if let Some(platform) = &recipe.platform {
        request = request.with_platform(platform);
    }
    let pulled = request.pull_image();
    tokio::pin!(pulled);
    let began = std::time::Instant::now();
    loop {
        match tokio::time::timeout(TELL_EVERY, &mut pulled).await {
            Ok(Ok(_)) => return Ok(()),
            Ok(Err(error)) => {
                return Err(Refusal::Answered(format!(
                    "the engine does not have it, and it cannot be pulled: {}",
                    with_causes(&error)
                )));
            }
            Err(_) if began.elapsed() > PULL_LIMIT => {
                return Err(Refusal::Silent(format!(
                    "the engine does not have it, and pulling it takes longer than {}",
                    human(PULL_LIMIT)
                )));
            }
            Err(_) => say(&format!(
                "chaos-test: pulling image {} for {:.0} s",
                recipe.image,
                began.elapsed().as_secs_f64()
            )),
        }
    }
}

/// Name and tag; a digest counts as a tag.
fn split(image: &str) -> (&str, &str) {
    match image.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, tag),
        _ => (image, "latest"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_a_name_and_a_tag() {
        assert_eq!(split("redis:7"), ("redis", "7"));
        assert_eq!(split("host:5000/a/redis"), ("host:5000/a/redis", "latest"));
        assert_eq!(split("host:5000/a/redis:7"), ("host:5000/a/redis", "7"));
    }

    #[test]
    fn declared_ports_are_read() {
        assert_eq!(port_of("53/udp"), Some(53.udp()));
        assert_eq!(port_of("6379/tcp"), Some(6379.tcp()));
        assert_eq!(port_of("6379"), Some(6379.tcp()));
        assert_eq!(port_of("x/tcp"), None);
    }
}
