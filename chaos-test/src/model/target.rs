//! What a fault touches, for the blast radius.

use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// Something that a fault touches.
///
/// ```
/// use chaos_test::Target;
///
/// let folder = Target::File("/srv/shop".into());
/// assert!(folder.covers(&Target::File("/srv/shop/prices".into())));
/// assert!(!folder.covers(&Target::File("/srv/shop/../passwd".into())));
/// assert_eq!(Target::Service("cache".to_owned()).to_string(), "service `cache`");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Target {
    /// A service of this context, by its name.
    Service(String),
    /// One link of a service of this context.
    Link {
        /// The service that the link leads to.
        service: String,
        /// The link's name, for example `checkout->inventory:8080`.
        link: String,
    },
    /// A container that was there before the test, by its name on the engine. Environments are
    /// asked about this; the test calls it by the name of its service.
    Container(String),
    /// A process that was there before the test: its program, and where it listens
    /// (`redis-server@127.0.0.1:6379`). Environments are asked about this.
    Process(String),
    /// An address that was there before the test, as the test wrote it. Environments are asked
    /// about this.
    Address(String),
    /// A file or folder, by its absolute path.
    File(PathBuf),
    /// Anything else, named by whoever wrote the fault.
    Other(String),
}

impl Target {
    /// A target of a fault of your own that is neither a service, a link nor a file.
    #[must_use]
    pub fn other(name: impl Into<String>) -> Self {
        Self::Other(name.into())
    }

    /// Whether a blast radius that names `self` also covers `asked`.
    ///
    /// A service covers its links; a folder covers what is in it.
    ///
    /// Paths are compared as they are written: symbolic links are not followed. A path that
    /// is relative, or has a part `.` or `..`, covers nothing and is covered by nothing,
    /// because it may lead somewhere else than it reads.
    #[must_use]
    pub fn covers(&self, asked: &Target) -> bool {
        match (self, asked) {
            (Self::Service(named), Self::Link { service, .. }) => named == service,
            (Self::File(named), Self::File(path)) => {
                is_plain(named) && is_plain(path) && path.starts_with(named)
            }
            _ => self == asked,
        }
    }

    /// The service that this belongs to, if it belongs to one.
    #[must_use]
    pub fn service(&self) -> Option<&str> {
        match self {
            Self::Service(name) | Self::Link { service: name, .. } => Some(name),
            _ => None,
        }
    }
}

/// How configurations and confirmations name targets.
#[cfg(feature = "environments")]
impl Target {
    /// The kinds of targets, as configurations write them before a colon.
    pub(crate) const KINDS: &[&str] = &[
        "service",
        "link",
        "container",
        "process",
        "address",
        "file",
        "other",
    ];

    /// Its kind, one of [`KINDS`](Self::KINDS).
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Service(_) => "service",
            Self::Link { .. } => "link",
            Self::Container(_) => "container",
            Self::Process(_) => "process",
            Self::Address(_) => "address",
            Self::File(_) => "file",
            Self::Other(_) => "other",
        }
    }

    /// Its name among those of its kind.
    pub(crate) fn bare_name(&self) -> String {
        match self {
            Self::Service(name)
            | Self::Container(name)
            | Self::Process(name)
            | Self::Address(name)
            | Self::Other(name) => name.clone(),
            Self::Link { link, .. } => link.clone(),
            Self::File(path) => path.to_string_lossy().into_owned(),
        }
    }
}

/// Whether a path is absolute and leads where it reads. Looked at as bytes, because
/// `components` leaves parts out.
fn is_plain(path: &Path) -> bool {
    let mut parts = path.as_os_str().as_bytes().split(|&byte| byte == b'/');
    path.is_absolute() && !parts.any(|part| matches!(part, b"." | b".."))
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Service(name) => write!(f, "service `{name}`"),
            Self::Link { link, .. } => write!(f, "link `{link}`"),
            Self::Container(name) => write!(f, "container `{name}`"),
            Self::Process(name) => write!(f, "process `{name}`"),
            Self::Address(address) => write!(f, "address `{address}`"),
            Self::File(path) => write!(f, "file `{}`", path.display()),
            Self::Other(name) => write!(f, "`{name}`"),
        }
    }
}

/// A value that stands for something breakable: what `breaks(..)` may name.
///
/// Services and links are breakable. Implement it for a fixture of your own that bundles
/// several of them, or whose faults are your own.
///
/// ```
/// use chaos_test::{Breakable, Service, Target};
///
/// struct Shop { database: Service, cache: Service }
///
/// impl Breakable for Shop {
///     fn targets(&self) -> Vec<Target> {
///         [self.database.targets(), self.cache.targets()].concat()
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not something that can be broken",
    label = "neither a service nor a link",
    note = "services and links can be; implement `Breakable` for a type of your own that holds some"
)]
pub trait Breakable {
    /// Everything that may be broken when this is named in the blast radius.
    fn targets(&self) -> Vec<Target>;
}

impl Breakable for Target {
    fn targets(&self) -> Vec<Target> {
        vec![self.clone()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_covers_its_links_and_nothing_else() {
        let cache = Target::Service("cache".into());
        let link = |service: &str| Target::Link {
            service: service.into(),
            link: "any".into(),
        };
        assert!(cache.covers(&cache.clone()));
        assert!(cache.covers(&link("cache")));
        assert!(!cache.covers(&link("database")));
        assert!(!link("cache").covers(&cache));
        assert!(Target::File("/a".into()).covers(&Target::File("/a/b".into())));
        assert!(!Target::File("/a".into()).covers(&Target::File("/ab".into())));
    }
    #[test]
    fn a_path_that_leads_elsewhere_than_it_reads_is_never_covered() {
        let covers = |named: &str, asked: &str| {
            Target::File(named.into()).covers(&Target::File(asked.into()))
        };
        assert!(covers("/a", "/a"));
        assert!(covers("/", "/a"));
        assert!(covers("/a", "/a/..b/.c"));
        for asked in [
            "/a/../etc/passwd",
            "/a/b/..",
            "/a/./b",
            "/a/.",
            "a",
            "a/b",
            "",
        ] {
            assert!(!covers("/a", asked), "{asked:?}");
            assert!(!covers("/", asked), "{asked:?}");
            assert!(!covers(asked, asked), "{asked:?}");
        }
        assert!(!covers("", "/etc/passwd"));
        assert!(!covers("..", "../a"));
    }
}
