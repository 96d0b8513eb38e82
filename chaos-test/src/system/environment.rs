//! What decides about environments and lies outside of this process: variables, the
//! configuration's file, the clock, the zones of the machine.

#[cfg(feature = "environments")]
use std::io::Read;
use std::path::{Path, PathBuf};

use super::place;

pub(crate) const ENVIRONMENT: &str = "CHAOS_ENVIRONMENT";
pub(crate) const CONFIG: &str = "CHAOS_CONFIG";
pub(crate) const CONFIRM: &str = "CHAOS_CONFIRM";
pub(crate) const ATTEST: &str = "CHAOS_ATTEST";

/// Where the file is looked for, below the folder of the outermost `Cargo.lock`.
pub(crate) const PLACES: [&str; 2] = ["chaos-test.toml", ".config/chaos-test.toml"];
/// No configuration that somebody wrote is longer, in bytes.
#[cfg(feature = "environments")]
const LONGEST: u64 = 1024 * 1024;

/// A variable's text; empty where it is not set.
///
/// # Errors
///
/// If it is no text.
pub(crate) fn variable(name: &str) -> Result<String, String> {
    match std::env::var(name) {
        Ok(value) => Ok(value),
        Err(std::env::VarError::NotPresent) => Ok(String::new()),
        Err(std::env::VarError::NotUnicode(_)) => Err(format!("{name} is not valid UTF-8")),
    }
}

/// The configuration's file: what `CHAOS_CONFIG` names, else the one beside the outermost
/// `Cargo.lock` above a package, if there is one. Without a package that is there: above the one
/// that cargo says it runs, or the working directory.
///
/// # Errors
///
/// If there are two, or nobody can tell whether there is one.
pub(crate) fn file(manifest_dir: Option<&str>) -> Result<Option<PathBuf>, String> {
    if let Some(path) = std::env::var_os(CONFIG).filter(|path| !path.is_empty()) {
        return Ok(Some(PathBuf::from(path)));
    }
    let folder = |path: PathBuf| path.is_dir().then_some(path);
    let package = manifest_dir
        .and_then(|path| folder(path.into()))
        .or_else(|| folder(std::env::var_os("CARGO_MANIFEST_DIR")?.into()))
        .or_else(|| std::env::current_dir().ok());
    match package {
        Some(package) => beside(&package),
        None => Ok(None),
    }
}

/// The one beside the outermost `Cargo.lock` above a package.
fn beside(package: &Path) -> Result<Option<PathBuf>, String> {
    let root = place::outermost_with(&package.join("x"), "Cargo.lock");
    let root = root.unwrap_or_else(|| package.to_owned());
    let mut found = Vec::new();
    for place in PLACES {
        let path = root.join(place);
        if is_there(&path)? {
            found.push(path);
        }
    }
    match found.as_slice() {
        [one, other] => Err(format!(
            "there are two configurations, {} and {}: keep one of them",
            one.display(),
            other.display()
        )),
        _ => Ok(found.pop()),
    }
}

/// A link that leads nowhere is there, too: somebody wants a configuration.
fn is_there(path: &Path) -> Result<bool, String> {
    use std::io::ErrorKind;
    match std::fs::symlink_metadata(path) {
        Ok(_) => Ok(true),
        Err(error) => match error.kind() {
            ErrorKind::NotFound | ErrorKind::NotADirectory => Ok(false),
            _ => Err(format!(
                "nobody can tell whether there is {}: {error}",
                path.display()
            )),
        },
    }
}

/// The text of a configuration.
///
/// # Errors
///
/// If it is not a file of text, or cannot be read.
#[cfg(feature = "environments")]
pub(crate) fn read(path: &Path) -> Result<String, String> {
    use std::os::unix::fs::OpenOptionsExt;
    let cannot = |why: &dyn std::fmt::Display| {
        format!("the configuration {} cannot be read: {why}", path.display())
    };
    // Nobody waits for the other end of a pipe.
    let flags = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let mut options = std::fs::File::options();
    let opened = options.read(true).custom_flags(flags).open(path);
    let file = opened.map_err(|error| cannot(&error))?;
    let metadata = file.metadata().map_err(|error| cannot(&error))?;
    if !metadata.is_file() {
        return Err(cannot(&"it is not a regular file"));
    }
    let mut bytes = Vec::new();
    let read = file.take(LONGEST + 1).read_to_end(&mut bytes);
    read.map_err(|error| cannot(&error))?;
    if bytes.len() as u64 > LONGEST {
        return Err(cannot(&format!("it is longer than {LONGEST} bytes")));
    }
    String::from_utf8(bytes).map_err(|error| {
        let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = before.iter().filter(|&&byte| byte == b'\n').count() + 1;
        cannot(&format!("line {line} is not valid UTF-8"))
    })
}

/// The time of day of the machine.
#[cfg(feature = "environments")]
pub(crate) fn now() -> jiff::Timestamp {
    jiff::Timestamp::now()
}

/// A zone of the machine's database, `UTC`, or an offset such as `+01:00`; `None` where the
/// machine has no database.
///
/// # Errors
///
/// If there is none of that name.
#[cfg(feature = "environments")]
pub(crate) fn zone(name: &str) -> Result<Option<jiff::tz::TimeZone>, String> {
    zone_in(jiff::tz::db(), name)
}

#[cfg(feature = "environments")]
fn zone_in(
    database: &jiff::tz::TimeZoneDatabase,
    name: &str,
) -> Result<Option<jiff::tz::TimeZone>, String> {
    use jiff::tz::TimeZone;
    if name == "UTC" {
        return Ok(Some(TimeZone::UTC));
    }
    if name.starts_with(['+', '-']) {
        let offset = offset(name)
            .ok_or_else(|| format!("`{name}` is no offset: write one such as `+01:00`"))?;
        return Ok(Some(TimeZone::fixed(offset)));
    }
    match database.get(name) {
        Ok(zone) => Ok(Some(zone)),
        Err(_) if database.available().next().is_none() => Ok(None),
        Err(_) => {
            let known: Vec<String> = database.available().map(|name| name.to_string()).collect();
            let near = crate::decide::nearest::nearest(name, known.iter().map(String::as_str));
            let near = near.map_or_else(
                || "; write one such as `Europe/Berlin`, `UTC` or `+01:00`".to_owned(),
                |near| format!(", did you mean `{near}`?"),
            );
            Err(format!("this machine knows no time zone `{name}`{near}"))
        }
    }
}

/// `+05:30` and the like.
#[cfg(feature = "environments")]
fn offset(text: &str) -> Option<jiff::tz::Offset> {
    let (sign, rest) = text.split_at_checked(1)?;
    let (hours, minutes) = rest.split_once(':')?;
    let two = |text: &str| {
        let digits = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| text.parse::<i32>().ok())?
    };
    let (hours, minutes) = (two(hours)?, two(minutes)?);
    if hours > 14 || minutes > 59 {
        return None;
    }
    let seconds = (hours * 60 + minutes) * 60;
    jiff::tz::Offset::from_seconds(if sign == "-" { -seconds } else { seconds }).ok()
}

#[cfg(all(test, feature = "environments"))]
mod tests {
    use super::*;

    #[test]
    fn zones_are_those_of_the_machine_where_it_has_any() {
        let none = jiff::tz::TimeZoneDatabase::none();
        for name in ["UTC", "+01:00", "-08:30"] {
            assert!(zone_in(&none, name).unwrap().is_some(), "{name}");
        }
        assert!(zone_in(&none, "Europe/Berlin").unwrap().is_none());
        assert!(zone_in(&none, "+1").is_err());
        // The machines that test this have zones.
        let winter = "2026-12-01T12:00:00Z".parse().unwrap();
        let berlin = zone("Europe/Berlin").unwrap().unwrap();
        assert_eq!(berlin.to_offset(winter).seconds(), 3600);
        let why = zone("Europe/Berlim").unwrap_err();
        assert!(why.contains("did you mean `Europe/Berlin`?"), "{why}");
        for name in ["", "../UTC", "/etc/passwd", "Europe"] {
            assert!(zone(name).is_err(), "{name}");
        }
    }

    #[test]
    fn the_file_lies_beside_the_outermost_lock_file() {
        let root = tempfile::tempdir().unwrap();
        let package = root.path().join("crates/shop");
        std::fs::create_dir_all(&package).unwrap();
        let at = |path: &str| root.path().join(path);
        let found = || beside(&package);
        assert_eq!(found(), Ok(None));
        // Without any lock file it is the package's own.
        std::fs::write(package.join(PLACES[0]), "").unwrap();
        assert_eq!(found(), Ok(Some(package.join(PLACES[0]))));
        std::fs::write(package.join("Cargo.lock"), "").unwrap();
        std::fs::write(at("Cargo.lock"), "").unwrap();
        assert_eq!(found(), Ok(None));
        std::fs::create_dir(at(".config")).unwrap();
        std::fs::write(at(PLACES[1]), "").unwrap();
        assert_eq!(found(), Ok(Some(at(PLACES[1]))));
        // One that leads nowhere is there, too.
        std::os::unix::fs::symlink("nowhere", at(PLACES[0])).unwrap();
        let why = found().unwrap_err();
        assert!(why.contains("there are two configurations"), "{why}");
        std::fs::remove_file(at(PLACES[1])).unwrap();
        assert_eq!(found(), Ok(Some(at(PLACES[0]))));
    }

    #[test]
    fn offsets_are_hours_and_minutes() {
        for (text, seconds) in [
            ("+01:00", Some(3600)),
            ("-05:30", Some(-19800)),
            ("+00:00", Some(0)),
            ("+15:00", None),
            ("+1:00", None),
            ("+01:60", None),
            ("+0100", None),
            ("+", None),
        ] {
            let found = offset(text).map(jiff::tz::Offset::seconds);
            assert_eq!(found, seconds, "{text}");
        }
    }

    #[test]
    fn what_is_no_file_of_text_is_refused_and_read_no_further() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::create_dir(path("directory")).unwrap();
        std::fs::write(path("latin-1"), b"a\nb\n\xe4").unwrap();
        let long = std::fs::File::create(path("long")).unwrap();
        long.set_len(1 << 30).unwrap();
        symlink(path("nowhere"), path("dangling")).unwrap();
        symlink(path("loop"), path("loop")).unwrap();
        std::fs::write(path("sound"), "default = 'staging'").unwrap();
        symlink(path("sound"), path("link")).unwrap();
        let pipe = rustix::fs::Mode::from_raw_mode(0o600);
        rustix::fs::mkfifoat(rustix::fs::CWD, path("pipe"), pipe).unwrap();
        for (name, expected) in [
            ("directory", "not a regular file"),
            ("latin-1", "line 3 is not valid UTF-8"),
            ("long", "longer than 1048576 bytes"),
            ("dangling", "No such file"),
            ("loop", "symbolic links"),
            ("pipe", "not a regular file"),
        ] {
            let why = read(&path(name)).unwrap_err();
            assert!(
                why.contains(expected) && why.contains(name),
                "{name}: {why}"
            );
            assert!(is_there(&path(name)).unwrap(), "{name}");
        }
        // The superuser may read everything.
        if !rustix::process::geteuid().is_root() {
            let mode = std::fs::Permissions::from_mode(0o000);
            std::fs::set_permissions(path("sound"), mode).unwrap();
            assert!(
                read(&path("link"))
                    .unwrap_err()
                    .contains("Permission denied")
            );
        } else {
            assert_eq!(read(&path("link")).unwrap(), "default = 'staging'");
        }
        assert!(!is_there(&path("none")).unwrap());
        assert!(!is_there(&path("sound").join("below")).unwrap());
    }
}
