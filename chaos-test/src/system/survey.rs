//! What this machine has, looked at and not changed.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::Resource;

use super::{capability, identity};
use crate::model::survey::{Feature, Folder, FolderIs, Presence};

/// The kernel's name and release.
pub(crate) fn kernel() -> String {
    let name = rustix::system::uname();
    let (system, release) = (name.sysname(), name.release());
    format!("{} {}", system.to_string_lossy(), release.to_string_lossy())
}

/// Whether processes can be told apart.
pub(crate) fn proc() -> Result<(), String> {
    identity::own().map(drop).map_err(|error| error.to_string())
}

/// A folder that is made where it is needed, as it is now.
pub(crate) fn folder(path: PathBuf) -> Folder {
    let is = folder_is(&path);
    Folder { path, is }
}

fn folder_is(path: &Path) -> FolderIs {
    use std::os::unix::fs::MetadataExt;
    if let Ok(metadata) = std::fs::metadata(path) {
        return match writable(path) {
            Ok(()) => FolderIs::Ready(metadata.mode() & 0o7777),
            Err(why) => FolderIs::Unusable(why),
        };
    }
    // What is made lies in the nearest one that is there.
    let mut above = path.ancestors().skip(1);
    match above.find(|folder| folder.exists()).map(writable) {
        Some(Ok(())) => FolderIs::NotYet,
        Some(Err(why)) => FolderIs::Unusable(format!(
            "{} is not there and cannot be made: {why}",
            path.display()
        )),
        None => FolderIs::Unusable(format!("{} cannot be made", path.display())),
    }
}

fn writable(folder: &Path) -> Result<(), String> {
    use rustix::fs::Access;
    if !folder.is_dir() {
        return Err(format!("{} is not a directory", folder.display()));
    }
    rustix::fs::access(folder, Access::WRITE_OK | Access::EXEC_OK)
        .map_err(|error| format!("{} cannot be written to: {error}", folder.display()))
}

/// How many files this process may have open: now, and at most.
pub(crate) fn open_files() -> (Option<u64>, Option<u64>) {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    (limit.current, limit.maximum)
}

/// Where some programs are.
pub(crate) fn programs(
    names: impl IntoIterator<Item = &'static str>,
) -> Vec<(&'static str, Option<PathBuf>)> {
    let names = names.into_iter();
    names
        .map(|name| (name, capability::find_program(Path::new(name)).ok()))
        .collect()
}

/// What the kernel can do, and what this user may do with it.
pub(crate) fn features() -> Vec<(Feature, Presence)> {
    let user = if rustix::process::geteuid().is_root() {
        Presence::Present("this is the superuser".to_owned())
    } else {
        Presence::Absent(format!(
            "this is user {}",
            rustix::process::geteuid().as_raw()
        ))
    };
    let net_admin = match capability::net_admin() {
        Ok(()) => Presence::Present("the capability CAP_NET_ADMIN".to_owned()),
        Err(why) => Presence::Absent(why),
    };
    let options = kernel_options();
    let module = |name, option| module(name, option, options.as_deref());
    vec![
        (Feature::Root, user),
        (Feature::NetAdmin, net_admin),
        (Feature::UserNamespaces, namespace("user", &["--user"])),
        (Feature::NetworkNamespaces, namespace("net", &["--net"])),
        (Feature::TimeNamespaces, namespace("time", &["--time"])),
        (Feature::Netem, module("sch_netem", "CONFIG_NET_SCH_NETEM")),
        (Feature::Nftables, module("nf_tables", "CONFIG_NF_TABLES")),
        (
            Feature::PacketQueue,
            module("nfnetlink_queue", "CONFIG_NETFILTER_NETLINK_QUEUE"),
        ),
        (Feature::Freezer, freezer()),
        (Feature::Fuse, fuse()),
    ]
}

/// Whether this user may have a namespace of a kind. A program is started in one, because
/// what forbids it (limits, security modules, filters of a container) is told nowhere else;
/// its namespace ends with it.
fn namespace(kind: &str, options: &[&str]) -> Presence {
    if !Path::new("/proc/self/ns").join(kind).exists() {
        return Presence::Absent("this kernel has none".to_owned());
    }
    let own = || {
        let root = rustix::process::geteuid().is_root() || options == ["--user"];
        let mut command = Command::new("unshare");
        command.args(options);
        if !root {
            command.args(["--user", "--map-root-user"]);
        }
        command.arg("true");
        said(&mut command)
    };
    match own() {
        Ok(_) => Presence::Present("a process of this user can have its own".to_owned()),
        Err(Failed::NotStarted(why)) => {
            Presence::Unknown(format!("`unshare` cannot be asked: {why}"))
        }
        // An older `unshare` does not know all of them.
        Err(Failed::Said(why)) if why.contains("option") => {
            Presence::Unknown("the kernel has them; this `unshare` cannot tell more".to_owned())
        }
        Err(Failed::Said(why)) => Presence::Absent(why),
    }
}

/// The text of the kernel's configuration, where somebody has it.
fn kernel_options() -> Option<String> {
    if Path::new("/proc/config.gz").exists()
        && let Ok(text) = said(Command::new("gzip").args(["-dc", "/proc/config.gz"]))
    {
        return Some(text);
    }
    std::fs::read_to_string(format!("/boot/config-{}", release())).ok()
}

/// Whether the kernel has what may be a module of it.
fn module(name: &str, option: &str, options: Option<&str>) -> Presence {
    if Path::new("/sys/module").join(name).exists() {
        return Presence::Present("the kernel has it loaded".to_owned());
    }
    let set = options.map(|options| {
        let mut lines = options.lines();
        lines.find_map(|line| line.strip_prefix(option)?.strip_prefix('='))
    });
    let folder = Path::new("/lib/modules").join(release());
    let listed = |file: &str| -> Option<bool> {
        let text = std::fs::read_to_string(folder.join(file)).ok()?;
        Some(text.contains(&format!("/{name}.ko")))
    };
    match (set, listed("modules.builtin"), listed("modules.dep")) {
        (Some(Some("y")), ..) | (_, Some(true), _) => {
            Presence::Present("it is built into the kernel".to_owned())
        }
        (_, _, Some(true)) => Presence::Present("the kernel can load it".to_owned()),
        (Some(None), ..) => Presence::Absent(format!("this kernel was built without {option}")),
        (Some(Some(_)), ..) => Presence::Unknown(format!(
            "the kernel has it as a module, and {} does not hold it",
            folder.display()
        )),
        (None, _, Some(false)) => {
            Presence::Absent(format!("{} does not hold it", folder.display()))
        }
        (None, ..) => Presence::Unknown(format!(
            "there is neither the kernel's configuration nor {}",
            folder.display()
        )),
    }
}

fn release() -> String {
    let name = rustix::system::uname();
    name.release().to_string_lossy().into_owned()
}

fn freezer() -> Presence {
    let present = |version| Presence::Present(format!("control groups, version {version}"));
    if Path::new("/sys/fs/cgroup/cgroup.controllers").exists() {
        return present(2);
    }
    if Path::new("/sys/fs/cgroup/freezer/tasks").exists() {
        return present(1);
    }
    Presence::Absent("no control groups are mounted at /sys/fs/cgroup".to_owned())
}

fn fuse() -> Presence {
    use rustix::fs::Access;
    match rustix::fs::access("/dev/fuse", Access::READ_OK | Access::WRITE_OK) {
        Ok(()) => Presence::Present("/dev/fuse".to_owned()),
        Err(error) => Presence::Absent(format!("/dev/fuse: {error}")),
    }
}

/// Why a program did not do what it was asked for.
enum Failed {
    NotStarted(String),
    Said(String),
}

/// What a program says that ends at once.
fn said(command: &mut Command) -> Result<String, Failed> {
    let not_started = |error: std::io::Error| Failed::NotStarted(error.to_string());
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(not_started)?;
    let mut text = String::new();
    if let Some(mut stdout) = child.stdout.take() {
        stdout.read_to_string(&mut text).map_err(not_started)?;
    }
    let ended = child.wait_with_output().map_err(not_started)?;
    if ended.status.success() {
        return Ok(text);
    }
    let said = String::from_utf8_lossy(&ended.stderr);
    Err(Failed::Said(said.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_folder_is_looked_at_and_not_made() {
        let there = tempfile::tempdir().unwrap();
        let nothing = there.path().join("a/b");
        assert_eq!(folder(nothing.clone()).is, FolderIs::NotYet);
        assert!(!nothing.parent().unwrap().exists());
        fs::set_permissions(there.path(), fs::Permissions::from_mode(0o710)).unwrap();
        let is = folder(there.path().to_owned()).is;
        assert_eq!(is, FolderIs::Ready(0o710));
        let file = there.path().join("file");
        fs::write(&file, "").unwrap();
        for path in [file.clone(), file.join("below")] {
            let FolderIs::Unusable(why) = folder(path).is else {
                panic!("it cannot be used");
            };
            assert!(why.ends_with("is not a directory"), "{why}");
        }
    }

    #[test]
    fn a_module_is_found_in_the_configuration() {
        let options = "# CONFIG_NONE is not set\nCONFIG_SUCH=y\nCONFIG_SUCHLIKE=m\n";
        let is = |option| module("no-such-module", option, Some(options));
        assert!(matches!(is("CONFIG_SUCH"), Presence::Present(_)));
        assert!(matches!(is("CONFIG_SUCHLIKE"), Presence::Unknown(_)));
        assert!(matches!(is("CONFIG_NONE"), Presence::Absent(_)));
    }

    #[test]
    fn every_feature_is_looked_at_once() {
        let mut seen: Vec<_> = features().iter().map(|(what, _)| *what as usize).collect();
        seen.sort_unstable();
        assert_eq!(seen, (0..seen.len()).collect::<Vec<_>>());
    }
}
