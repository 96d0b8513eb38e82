//! A container engine that is restarted in the middle of a test, which ends what it runs. It is
//! an engine of this room's own, because the machine's serves others.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use chaos_test::testcontainers::bollard::query_parameters::{
    ImportImageOptionsBuilder, ListImagesOptions,
};
use chaos_test::testcontainers::bollard::{API_DEFAULT_VERSION, Docker, body_try_stream};
use chaos_test_fixtures::images;
use chaos_test_fixtures::rerun::{Ended, Folder, Rerun, Started};
use futures_util::{StreamExt, TryStreamExt};
use rustix::process::{Pid, Signal, kill_process};

use crate::containers_death::READY;
use crate::engine::Run;
use crate::subjects::say;

/// Namespaces of their own for an engine: what it does to bridges, addresses and mounts does
/// not touch the machine's, and nothing of it outlives them.
struct Namespaces(Child);

impl Namespaces {
    /// Makes them; why not, where this user cannot.
    fn make() -> Result<Self, String> {
        let said = |error: std::io::Error| error.to_string();
        let mut child = Command::new("unshare")
            .args(["--net", "--mount", "--pid", "--fork", "--mount-proc"])
            .args(["--kill-child=SIGKILL", "--", "sh", "-c"])
            .arg("ip link set lo up && dockerd --version && exec sleep 3600")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("`unshare`: {error}"))?;
        let mut line = String::new();
        let out = child.stdout.take().unwrap();
        BufReader::new(out).read_line(&mut line).map_err(said)?;
        if line.is_empty() {
            let ended = child.wait_with_output().map_err(said)?;
            return Err(String::from_utf8_lossy(&ended.stderr).trim().to_owned());
        }
        Ok(Self(child))
    }

    /// What runs a program in them, of these kinds.
    fn enter(&self, kinds: &[&str]) -> Command {
        let pid = self.0.id();
        let children = format!("/proc/{pid}/task/{pid}/children");
        let inner = std::fs::read_to_string(children).unwrap();
        let mut command = Command::new("nsenter");
        command
            .args(["--target", inner.split_whitespace().next().unwrap()])
            .args(kinds)
            .arg("--");
        command
    }
}

impl Drop for Namespaces {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// An engine in a folder of its own. Dropped, it ends, and everything of it is gone.
struct Engine {
    process: Child,
    // Gone after the engine has ended, and before its folder.
    namespaces: Namespaces,
    folder: tempfile::TempDir,
    driver: String,
}

impl Engine {
    /// Starts it; `None` where this user cannot, and skips are allowed.
    fn start(test: &str, machine: &Run) -> Option<Self> {
        let info = machine.wait_for(machine.docker().info()).unwrap();
        let namespaces = match Namespaces::make() {
            Ok(namespaces) => namespaces,
            Err(why) => {
                let required = std::env::var("CHAOS_REQUIRE").unwrap_or_default();
                let mut required = required.split(',').map(str::trim);
                assert!(!required.any(|word| word == "all"), "{test}: {why}");
                say(&format!("SKIPPED {test}: {why}"));
                return None;
            }
        };
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("config.json"), "{}").unwrap();
        let driver = info.driver.unwrap();
        let process = daemon(&namespaces, folder.path(), &driver);
        let mut engine = Self {
            process,
            namespaces,
            folder,
            driver,
        };
        engine.until_it_answers(machine);
        Some(engine)
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("docker.sock")
    }

    fn url(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    fn client(&self) -> Docker {
        Docker::connect_with_unix(&self.url(), 30, API_DEFAULT_VERSION).unwrap()
    }

    fn until_it_answers(&mut self, machine: &Run) {
        let end = Instant::now() + Duration::from_secs(60);
        while !self.socket().exists() || machine.wait_for(self.client().ping()).is_err() {
            let ended = self.process.try_wait().unwrap();
            assert!(
                ended.is_none() && Instant::now() < end,
                "{ended:?}:\n{}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    fn end(&mut self) {
        self.terminate();
        self.process.wait().unwrap();
    }

    /// Asked to, it ends what it runs, and then itself.
    fn terminate(&self) {
        let pid = std::fs::read_to_string(self.folder.path().join("pid")).unwrap_or_default();
        let mut kill = self.namespaces.enter(&["--pid"]);
        let _ = kill.args(["kill", pid.trim()]).status();
    }

    fn start_again(&mut self, machine: &Run) {
        self.process = daemon(&self.namespaces, self.folder.path(), &self.driver);
        self.until_it_answers(machine);
    }

    /// Has it know the images that a child needs.
    fn take_images_of(&self, machine: &Run) {
        machine.wait_for(async {
            let _built = images::redis().await.unwrap();
            let images = machine
                .docker()
                .list_images(None::<ListImagesOptions>)
                .await
                .unwrap();
            let names: Vec<String> = images
                .into_iter()
                .flat_map(|image| image.repo_tags)
                .collect();
            let wanted: Vec<&str> = names
                .iter()
                .map(String::as_str)
                .filter(|name| name.contains("fixtures/base:") || name.contains("fixtures/redis:"))
                .collect();
            assert!(wanted.len() >= 2, "{names:?}");
            let tar = machine.docker().export_images(&wanted);
            let tar = tar.map_err(std::io::Error::other);
            let client = self.client();
            let options = ImportImageOptionsBuilder::new().build();
            let mut import = client.import_image(options, body_try_stream(tar), None);
            while let Some(said) = import.next().await {
                said.unwrap();
            }
        });
    }
}

fn daemon(namespaces: &Namespaces, folder: &Path, driver: &str) -> Child {
    let log = std::fs::File::options()
        .create(true)
        .append(true)
        .open(folder.join("log"))
        .unwrap();
    let at = |name: &str| folder.join(name);
    namespaces
        .enter(&["--net", "--mount", "--pid"])
        .arg("dockerd")
        .arg("--config-file")
        .arg(at("config.json"))
        .arg("--host")
        .arg(format!("unix://{}", at("docker.sock").display()))
        .arg("--data-root")
        .arg(at("data"))
        .arg("--exec-root")
        .arg(at("exec"))
        .arg("--pidfile")
        .arg(at("pid"))
        .args(["--storage-driver", driver])
        .args(["--iptables=false", "--ip6tables=false"])
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap()
}

impl Drop for Engine {
    fn drop(&mut self) {
        if self.process.try_wait().is_ok_and(|ended| ended.is_none()) {
            self.terminate();
            let _ = self.process.wait();
        }
    }
}

/// A child with a paused container on that engine.
fn paused(run: &Run, engine: &Engine) -> Started {
    let test = "containers_death::it_has_a_paused_container";
    // Where that engine publishes ports, and otherwise among our own processes.
    let child = Rerun::by(engine.namespaces.enter(&["--net"]), test, Folder::default())
        .env("CHAOS_RUN_ID", run.id())
        .env("DOCKER_HOST", engine.url());
    let mut child = child.start();
    child.until_printed(READY);
    assert_eq!(run.containers().len(), 1, "{}", child.output());
    child
}

fn nothing_left(run: &Run, ended: &Ended) {
    run.assert_nothing_left(&ended.output());
    let left = ended.leftovers();
    assert!(left.is_empty(), "{left:?}\n{}", ended.output());
}

#[test]
fn an_engine_that_goes_and_comes_back_meanwhile_has_nothing_left_on_it() {
    let name = "an_engine_that_goes_and_comes_back_meanwhile_has_nothing_left_on_it";
    let Some(machine) = Run::new(name) else {
        return;
    };
    let Some(mut engine) = Engine::start(name, &machine) else {
        return;
    };
    engine.take_images_of(&machine);
    let run = Run::on(engine.client());

    // Restarted in order, which ends what it runs, before the test is stopped.
    let child = paused(&run, &engine);
    engine.end();
    engine.start_again(&machine);
    kill_process(
        Pid::from_raw(i32::try_from(child.pid()).unwrap()).unwrap(),
        Signal::TERM,
    )
    .unwrap();
    let ended = child.wait();
    nothing_left(&run, &ended);
    let junit = ended.junit();
    assert!(junit.contains("interrupted: SIGTERM"), "{junit}");

    // Still away when the test is killed.
    let child = paused(&run, &engine);
    engine.end();
    let (ended, _) = child.kill_itself();
    assert_eq!(
        Folder::files(&ended.folder.state().join("journals")).len(),
        1
    );
    engine.start_again(&machine);
    let end = Instant::now() + Duration::from_secs(60);
    while !ended.folder.watchdogs().is_empty() {
        assert!(Instant::now() < end, "{:?}\n{}", run.left(), ended.output());
        std::thread::sleep(Duration::from_millis(10));
    }
    nothing_left(&run, &ended);
    let junit = ended.junit();
    assert!(junit.contains("started and never ended"), "{junit}");
}
