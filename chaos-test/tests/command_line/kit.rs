//! A state directory of one's own, the program, and tests that are killed.

use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// Where one test's runs leave things.
pub struct Room {
    folder: TempDir,
    engine: bool,
}

impl Room {
    pub fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            engine: true,
        }
    }

    /// One whose programs find no container engine: what others leave there is not told.
    pub fn without_engine() -> Self {
        Self {
            engine: false,
            ..Self::new()
        }
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn state(&self) -> PathBuf {
        self.path().join("state")
    }

    pub fn journals(&self) -> PathBuf {
        self.state().join("journals")
    }

    /// A command that has nothing of our own environment but what it needs.
    pub fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new(program.as_ref());
        for (name, _) in std::env::vars_os() {
            let name_is = name.to_string_lossy();
            let ours = ["CHAOS_", "NEXTEST", "CARGO_", "CLICOLOR", "NO_COLOR"];
            // Without its own folder cargo would download what it needs.
            if ours.iter().any(|start| name_is.starts_with(start)) && name_is != "CARGO_HOME" {
                command.env_remove(&name);
            }
        }
        command
            .env("CHAOS_STATE_DIR", self.state())
            .env("CHAOS_DIR", self.path().join("reports"))
            .current_dir(self.path())
            .stdin(Stdio::null());
        if !self.engine {
            command.env("DOCKER_HOST", "unix:///nowhere/docker.sock");
        }
        command
    }

    /// `cargo chaos` with these arguments.
    pub fn chaos(&self, arguments: &[&str]) -> Said {
        Said::by(self.cargo_chaos().args(arguments))
    }

    pub fn cargo_chaos(&self) -> Command {
        self.command(env!("CARGO_BIN_EXE_cargo-chaos"))
    }

    /// A state directory as a run makes it, with a journal in it.
    pub fn place_journal(&self, name: &str, text: &str, mode: u32) -> PathBuf {
        for folder in [self.state(), self.journals()] {
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700)).unwrap();
        }
        let path = self.journals().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    /// All that is in the state directory, to the byte.
    pub fn bytes(&self) -> BTreeMap<PathBuf, (u32, Vec<u8>)> {
        let mut found = BTreeMap::new();
        let mut folders = vec![self.state()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
                let metadata = entry.metadata().unwrap();
                let bytes = if metadata.is_dir() {
                    folders.push(entry.path());
                    Vec::new()
                } else {
                    std::fs::read(entry.path()).unwrap()
                };
                found.insert(entry.path(), (metadata.mode(), bytes));
            }
        }
        found
    }

    /// The files that something of a test is left in. Locks of what tests share stay for ever.
    pub fn files(&self) -> Vec<PathBuf> {
        let found = self.bytes().into_keys();
        let folders = ["journals", "scratch", "copies"].map(|folder| self.state().join(folder));
        found
            .filter(|path| path.is_file())
            .filter(|path| folders.iter().any(|folder| path.starts_with(folder)))
            .collect()
    }

    /// A chaos test that runs, up to where it waits to be killed.
    pub fn start_test(&self) -> Running {
        let printed = self.path().join("printed");
        let output = std::fs::File::create(&printed).unwrap();
        let child = self
            .command(std::env::current_exe().unwrap())
            .args(["--exact", "subject::it_waits_to_be_killed"])
            .args(["--include-ignored", "--nocapture"])
            .env("BROKEN_FILE", self.broken_file())
            // What it leaves is to be found.
            .env("CHAOS_WATCHDOG", "off")
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .spawn()
            .unwrap();
        let mut running = Running {
            child,
            mark: self.state().to_string_lossy().into_owned(),
        };
        running.until_printed(&printed, "ready to be killed");
        running
    }

    /// The file that the test breaks.
    pub fn broken_file(&self) -> PathBuf {
        self.path().join("config")
    }
}

/// A chaos test that runs. Dropped, it is killed, with all that it has started.
pub struct Running {
    child: Child,
    mark: String,
}

impl Running {
    fn until_printed(&mut self, file: &Path, text: &str) {
        let end = Instant::now() + Duration::from_secs(60);
        loop {
            let ended = self.child.try_wait().unwrap();
            let printed = std::fs::read_to_string(file).unwrap_or_default();
            if printed.contains(text) {
                return;
            }
            assert!(ended.is_none() && Instant::now() < end, "{printed}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The processes that it has started as services.
    pub fn services(&self) -> Vec<u32> {
        let own = std::env::current_exe().unwrap();
        let services = processes_with(&self.mark).into_iter();
        services
            .filter(|pid| {
                std::fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe != own)
            })
            .collect()
    }

    /// Holds it up, so that it does nothing it is asked for.
    pub fn hold_up(&self) {
        kill_process(Pid::from_child(&self.child), Signal::STOP).unwrap();
    }

    /// Waits for its end; whether it passed.
    pub fn passed(mut self) -> bool {
        self.child.wait().unwrap().success()
    }

    /// Kills it, and before it whatever of it would clean up in its place.
    pub fn kill(mut self) {
        self.kill_mut();
    }

    fn kill_mut(&mut self) {
        let services = self.services();
        // Stopped, it cannot notice.
        let child = Pid::from_child(&self.child);
        let _ = kill_process(child, Signal::STOP);
        for pid in processes_with(&self.mark) {
            if pid != self.child.id() && !services.contains(&pid) {
                kill(pid);
            }
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|ended| ended.is_none()) {
            self.kill_mut();
            for pid in self.services() {
                kill(pid);
            }
        }
    }
}

/// What a program said, and how it ended.
#[derive(Debug)]
pub struct Said {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Said {
    pub fn by(command: &mut Command) -> Self {
        let ended = command.output().unwrap();
        Self {
            code: ended.status.code(),
            out: String::from_utf8(ended.stdout).unwrap(),
            err: String::from_utf8(ended.stderr).unwrap(),
        }
    }

    /// Fails unless it ended with this code and printed these texts in this order.
    pub fn expect(&self, code: i32, texts: &[&str]) {
        assert_eq!(self.code, Some(code), "{self:#?}");
        let mut rest = self.out.as_str();
        for text in texts {
            let Some((_, after)) = rest.split_once(text) else {
                panic!("`{text}` is not where it should be:\n{}", self.out);
            };
            rest = after;
        }
    }

    /// Fails unless it ended with this code and complained about this.
    pub fn expect_complaint(&self, code: i32, text: &str) {
        assert_eq!(self.code, Some(code), "{self:#?}");
        assert!(self.err.contains(text), "{}", self.err);
    }
}

/// Whether a process exists and is no zombie.
pub fn runs(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| {
        stat.rsplit_once(')')
            .is_some_and(|(_, fields)| !fields.trim_start().starts_with(['Z', 'X']))
    })
}

fn kill(pid: u32) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        let _ = kill_process(pid, Signal::KILL);
    }
}

/// The numbers of all processes whose environment holds a text.
fn processes_with(text: &str) -> Vec<u32> {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid| {
            let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            String::from_utf8_lossy(&environment).contains(text) && runs(*pid)
        })
        .collect()
}

/// The text of a journal of a process that is dead: one step, planned just now.
pub fn journal(undo: &serde_json::Value) -> String {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let namespace = std::fs::metadata("/proc/self/ns/pid").unwrap().ino();
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_millis();
    let started = serde_json::json!({
        "seq": 1, "at_us": 0, "event": "started", "version": 1, "run": "r",
        "test": "shop::chaos$dies",
        "process": {
            "pid": 1, "start_time": 1, "boot_id": boot.trim(), "namespace": namespace,
        },
        "wall_clock_ms": u64::try_from(now).unwrap(), "hypothesis": "", "seed": 0, "tags": [],
        "reports": "/nowhere", "fragment": "f", "abandoned": [],
    });
    let planned = serde_json::json!({
        "seq": 2, "at_us": 0, "event": "planned", "entry": 1, "what": "w", "undo": undo,
        "fault": true,
    });
    format!("{started}\n{planned}\n")
}
