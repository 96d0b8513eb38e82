//! The image of a container: there already, or pulled.

use std::time::Duration;

use testcontainers::core::{ContainerPort, IntoContainerPort};
use testcontainers::runners::AsyncRunner;
use testcontainers::{ContainerRequest, GenericImage, ImageExt};

use super::engine::{Engine, Refusal};
use super::recipe::Recipe;
use crate::error::{Error, Kind, with_causes};
use crate::model::units::human;
use crate::system::progress;
use crate::system::terminal::say;

/// How long the engine may take to look for an image.
const LOOK_LIMIT: Duration = Duration::from_secs(10);
/// How long a pull may take.
const PULL_LIMIT: Duration = Duration::from_secs(600);
/// A pull that takes longer is told.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// Sees to it that the engine has the image; the ports that it declares.
pub(super) async fn present(engine: &Engine, recipe: &Recipe) -> Result<Vec<ContainerPort>, Error> {
    if let Some(why) = why_no_name(&recipe.image) {
        return Err(
            Error::new(Kind::Usage, format!("that is no image's name: {why}")).help(
                "a name is written `redis` or `registry.example:5000/team/redis`, with a tag such \
             as `7` behind it",
            ),
        );
    }
    let found = match look(engine, &recipe.image).await {
        Err(refusal) if refusal.is_missing() => {
            pull(recipe).await?;
            look(engine, &recipe.image).await
        }
        found => found,
    };
    found.map_err(|refusal| Error::new(Kind::Service, refusal.to_string()))
}

/// Why the engine could not even look for it; `None` where it can. What would lead to
/// another place of the engine's API is refused here, too.
fn why_no_name(image: &str) -> Option<&'static str> {
    let (image, digest) = match image.split_once('@') {
        Some((image, digest)) => (image, Some(digest)),
        None => (image, None),
    };
    if digest.is_some_and(|digest| !digest.contains(':')) {
        return Some("its digest has no algorithm, as in `@sha256:...`");
    }
    let (name, tag) = split(image);
    let odd = |c: char| !c.is_ascii_alphanumeric() && !matches!(c, '-' | '_' | '.');
    // The first part may be a registry, which alone may hold a port and upper case.
    let (registry, path) = match name.split_once('/') {
        Some((first, path)) if first.contains(['.', ':']) || first == "localhost" => {
            (Some(first), path)
        }
        _ => (None, name),
    };
    if path.is_empty() {
        Some("it is empty")
    } else if tag.is_empty() {
        Some("its tag is empty")
    } else if path.contains(|c: char| c.is_ascii_uppercase()) {
        Some("upper case is not allowed in it")
    } else if path
        .split('/')
        .any(|part| part.contains(odd) || !part.starts_with(|c: char| c.is_ascii_alphanumeric()))
        || registry.is_some_and(|registry| {
            let registry = registry.replace([':', '[', ']'], "");
            registry.contains(odd) || registry.starts_with('.')
        })
    {
        Some("only letters, digits, `-`, `_`, `.` and `/` are allowed in it")
    } else if tag.contains(odd)
        || digest.is_some_and(|digest| digest.replace(':', "").contains(odd))
    {
        Some("only letters, digits, `-`, `_` and `.` are allowed in its tag")
    } else {
        None
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
async fn pull(recipe: &Recipe) -> Result<(), Error> {
    let (name, tag) = split(&recipe.image);
    let mut request: ContainerRequest<GenericImage> = GenericImage::new(name, tag).into();
    if let Some(platform) = &recipe.platform {
        request = request.with_platform(platform);
    }
    let pulled = async { request.pull_image().await.map(drop) };
    let _going = progress::begin_told("", format!("pulling image {}", recipe.image));
    let told = |taken: Duration| {
        if progress::is_drawn() {
            return;
        }
        say(&format!(
            "chaos-test: pulling image {} for {} now",
            recipe.image,
            human(taken)
        ));
    };
    match within(PULL_LIMIT, TELL_EVERY, pulled, told).await {
        Some(Ok(())) => Ok(()),
        Some(Err(error)) => Err(cannot_pull(&with_causes(&error))),
        None => Err(cannot_pull(&format!(
            "that takes longer than {}",
            human(PULL_LIMIT)
        ))),
    }
}

fn cannot_pull(why: &str) -> Error {
    let what = format!("the engine does not have it, and it cannot be pulled: {why}");
    Error::new(Kind::Service, what).help(
        "check its name and its tag; build, load or pull an image that is not in a registry, or \
         that takes long, before the test",
    )
}

/// Waits for something and tells every now and then for how long; `None` where it takes
/// longer than it may, and is given up.
async fn within<T>(
    limit: Duration,
    tell_every: Duration,
    work: impl Future<Output = T>,
    tell: impl Fn(Duration),
) -> Option<T> {
    tokio::pin!(work);
    let mut taken = Duration::ZERO;
    while taken < limit {
        let pause = tell_every.min(limit - taken);
        if let Ok(done) = tokio::time::timeout(pause, &mut work).await {
            return Some(done);
        }
        taken += pause;
        tell(taken);
    }
    None
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
    fn what_is_no_name_of_an_image_is_told_before_the_engine_is_asked() {
        for good in [
            "redis:7",
            "chaos-test-fixtures/redis:03b1",
            "localhost/a_b/c.d:latest",
            "127.0.0.1:5000/redis:7",
            "Registry.Example:5000/team/redis:7-Alpine_1",
            "redis@sha256:0123",
            "redis:7@sha256:0123",
        ] {
            assert_eq!(why_no_name(good), None, "{good}");
        }
        for (bad, expected) in [
            (":7", "it is empty"),
            ("redis:", "its tag is empty"),
            ("Redis:7", "upper case"),
            ("team/Redis:7", "upper case"),
            ("my redis:7", "only letters"),
            ("../containers/json:7", "only letters"),
            ("a//b:7", "only letters"),
            ("redis?all=1:7", "only letters"),
            ("redis:7:8", "only letters"),
            ("redis:7 8", "in its tag"),
            ("redis:gr\u{fc}n", "in its tag"),
            ("redis@0123", "no algorithm"),
        ] {
            let why = why_no_name(bad).unwrap_or("it is taken for one");
            assert!(why.contains(expected), "{bad}: {why}");
        }
    }

    #[tokio::test]
    async fn a_pull_that_hangs_is_told_of_and_given_up() {
        let ms = Duration::from_millis;
        let told = std::cell::RefCell::new(Vec::new());
        let tell = |taken| told.borrow_mut().push(taken);
        let hangs = std::future::pending::<()>();
        assert_eq!(within(ms(25), ms(10), hangs, tell).await, None);
        assert_eq!(*told.borrow(), [ms(10), ms(20), ms(25)]);
        let done = within(ms(25), ms(10), async { 7 }, |_| {}).await;
        assert_eq!(done, Some(7));
    }

    #[test]
    fn declared_ports_are_read() {
        assert_eq!(port_of("53/udp"), Some(53.udp()));
        assert_eq!(port_of("6379/tcp"), Some(6379.tcp()));
        assert_eq!(port_of("6379"), Some(6379.tcp()));
        assert_eq!(port_of("x/tcp"), None);
    }
}
