//! A test is killed after each of its journal writes in turn, and at random instants; so is
//! its watchdog. Each time the world is afterwards as it was before.
//!
//! By default a part of the points is tried where containers are in play; with `CHAOS_FULL=1`
//! all of them, and 200 random instants. What it took is printed (`--nocapture`).

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use chaos_test::prelude::*;
use chaos_test::{Target, container, link, process};
use chaos_test_fixtures::rerun::{Ended, Folder, Rerun};
use rustix::process::{Pid, Signal, kill_process};

use crate::containers_death::{cache, only_awaits};
use crate::engine::Run;
use crate::overwrite::Overwrite;
use crate::subjects::say;
use crate::victims::{come_in, inventory_program, processes_with};

/// After which journal write a child, or its watchdog, kills itself.
const KILL_AT: &str = "CHAOS_TEST_KILL_AT";
const KILL_WATCHDOG_AT: &str = "CHAOS_TEST_KILL_WATCHDOG_AT";
/// How long the world may take to be clean: no more than a bound for a hanging test.
const CLEAN_LIMIT: Duration = Duration::from_secs(150);
/// A run that is longer than this has more writes than anybody meant.
const MOST_WRITES: u64 = 200;

/// Processes, links, a scratch folder, a changed file and three faults; a container with its
/// network where `KILL_POINTS_ENGINE` is set.
#[chaos_test]
#[ignore = "another test runs it as a child"]
async fn it_has_everything(chaos: &ChaosContext) -> chaos_test::Result {
    let file = PathBuf::from(std::env::var("KILL_POINTS_FILE")?);
    std::fs::write(chaos.scratch_dir()?.join("dump"), "of no use")?;
    chaos.may_break(&Target::File(file.clone()));
    let cache = match std::env::var_os("KILL_POINTS_ENGINE") {
        Some(_) => Some(cache(chaos, "cache").await?),
        None => None,
    };
    let sleeper = Program::new("sh")
        .args(["-c", "setsid sleep 600 & echo ready; exec sleep 600"])
        .without_port()
        .ready(chaos_test::log_line("ready"));
    let sleeper = chaos.process("sleeper", sleeper).await?;
    let inventory = chaos.process("inventory", inventory_program()).await?;
    chaos.may_break(&inventory);
    chaos.may_break(&sleeper);
    let pace = inventory.get("/stock/42").every(ms(5));
    let requests = chaos.monitor(pace.sample_timeout(ms(100)));
    let changed = chaos.inject(Overwrite(file)).await?;
    let slow = chaos.inject(link::latency(&inventory, ms(5))).await?;
    let hang = chaos.inject(process::stop(&inventory)).await?;
    let pause = match &cache {
        Some(cache) => {
            chaos.may_break(cache);
            let pause = chaos.inject(container::pause(cache)).await?;
            come_in(cache).await?;
            Some(pause)
        }
        None => None,
    };
    requests.over(ms(10)).await?;
    hang.lift().await?;
    if let Some(pause) = pause {
        pause.lift().await?;
    }
    chaos
        .during(process::kill(&inventory), async |_| {
            requests.over(ms(10)).await.map(drop)
        })
        .await?;
    slow.lift().await?;
    drop(changed);
    say("all is over");
    Ok(())
}

/// One child and its world.
struct World {
    folder: Folder,
    file: tempfile::NamedTempFile,
}

impl World {
    fn new() -> Self {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "sound").unwrap();
        Self {
            folder: Folder::default(),
            file,
        }
    }

    /// What is not as it was before, in words.
    fn left(&self, run: Option<&Run>) -> Vec<String> {
        let mut left = Vec::new();
        let journals = Folder::files(&self.folder.state().join("journals"));
        // A watchdog that looks for what the engine may still make stays for a while.
        if !journals.iter().any(|path| only_awaits(path)) {
            let watchdogs = self.folder.watchdogs();
            left.extend(watchdogs.iter().map(|pid| format!("watchdog {pid}")));
        }
        let token = self.folder.reports();
        let processes = processes_with(&token.to_string_lossy());
        let watchdogs = self.folder.watchdogs();
        let processes = processes.iter().filter(|pid| !watchdogs.contains(pid));
        left.extend(processes.map(|pid| format!("process {pid}")));
        for name in ["journals", "scratch", "copies"] {
            let mut files = Folder::files(&self.folder.state().join(name));
            files.retain(|path| !plans_nothing(path) && !only_awaits(path));
            left.extend(files.iter().map(|path| path.display().to_string()));
        }
        let file = std::fs::read_to_string(self.file.path()).unwrap();
        if file != "sound" {
            left.push(format!("the file is {file:?}"));
        }
        left.extend(run.map(Run::left).unwrap_or_default());
        left
    }

    /// Waits until nothing is left.
    #[track_caller]
    fn until_clean(&self, run: Option<&Run>, what: &str, output: &str) {
        let end = Instant::now() + CLEAN_LIMIT;
        loop {
            let left = self.left(run);
            if left.is_empty() {
                return;
            }
            assert!(Instant::now() < end, "{what}: {left:#?} is left:\n{output}");
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // One that still stands by would find its folders gone.
        for pid in self.folder.watchdogs() {
            let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
            let _ = pid.map(|pid| kill_process(pid, Signal::KILL));
        }
    }
}

/// Whether this is the journal of a test that was killed before its first effect, and so
/// before it had a watchdog: it holds nothing to undo, and goes with the next run.
fn plans_nothing(path: &Path) -> bool {
    let Ok(text) = std::fs::read_to_string(path) else {
        return false;
    };
    path.parent()
        .is_some_and(|folder| folder.ends_with("journals"))
        && !text.contains("\"event\":\"planned\"")
}

/// What is tried.
#[derive(Clone, Copy)]
enum Plan {
    /// The child kills itself after this write.
    At(u64),
    /// The child kills itself after the first write, its watchdog after the second one.
    BothAt(u64, u64),
    /// The child is killed this long after its start.
    After(Duration),
}

/// Runs one child to its end by plan. `None` where it ended by itself before that.
fn kill(plan: Plan, run: Option<&Run>) -> Option<Duration> {
    let mut world = World::new();
    let subject = "kill_points::it_has_everything";
    let folder = std::mem::take(&mut world.folder);
    let child = match run {
        Some(run) => run.watched(subject, folder).env("KILL_POINTS_ENGINE", "1"),
        None => Rerun::within(subject, folder),
    };
    let child = child.env("KILL_POINTS_FILE", world.file.path());
    let (mut ended, what, died) = match plan {
        Plan::At(write) => {
            let started = child.env(KILL_AT, write.to_string()).start();
            let (ended, died) = started.wait_for_itself();
            (ended, format!("killed after write {write}"), died)
        }
        Plan::BothAt(write, own) => {
            let child = child.env(KILL_AT, write.to_string());
            let started = child.env(KILL_WATCHDOG_AT, own.to_string()).start();
            let what = format!("killed after write {write}, its watchdog after its write {own}");
            let (ended, died) = started.wait_for_itself();
            (ended, what, died)
        }
        Plan::After(instant) => {
            let started = child.start();
            // The instants themselves are what is tried, so this waits for a time.
            std::thread::sleep(instant);
            let (ended, died) = started.kill_itself();
            (ended, format!("killed after {instant:?}"), died)
        }
    };
    let killed = ended.status.signal() == Some(9);
    // One that came through may fail on a busy machine: what it judges is not what is tried.
    assert!(
        killed || ended.status.code().is_some(),
        "{what}: {}",
        ended.output()
    );
    world.folder = std::mem::take(&mut ended.folder);
    if let Plan::BothAt(..) = plan {
        let end = Instant::now() + CLEAN_LIMIT;
        while !world.folder.watchdogs().is_empty() {
            assert!(Instant::now() < end, "{what}: its watchdog does not end");
            std::thread::sleep(Duration::from_millis(1));
        }
        // Whatever the two have left, the next run puts back.
        sweep(&mut world, &what);
    }
    let output = std::fs::read_to_string(world.folder.output()).unwrap_or_default();
    world.until_clean(run, &what, &output);
    killed.then(|| died.elapsed())
}

/// The run after it.
fn sweep(world: &mut World, what: &str) {
    let folder = std::mem::take(&mut world.folder);
    let ended: Ended = Rerun::within("subjects::it_skips_itself", folder)
        .env("CHAOS_RUN_ID", "the-next")
        .env_remove("CHAOS_REQUIRE")
        .run();
    assert!(ended.status.success(), "{what}: {}", ended.output());
    world.folder = ended.folder;
}

/// Tries all plans, a few at the same time, until one run is not killed any more; how long
/// each took from the kill until the world was clean.
fn try_all(plans: Vec<Plan>, lanes: usize, test: &str, engine: bool) -> Vec<Duration> {
    let plans = Mutex::new(plans.into_iter());
    let took = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..lanes {
            scope.spawn(|| {
                let run = engine.then(|| Run::new(test)).flatten();
                loop {
                    let plan = plans.lock().unwrap().next();
                    let Some(plan) = plan else { return };
                    match kill(plan, run.as_ref()) {
                        Some(one) => took.lock().unwrap().push(one),
                        // What comes after its last write comes after the next ones, too.
                        None if matches!(plan, Plan::At(_)) => {
                            plans.lock().unwrap().by_ref().for_each(drop);
                        }
                        None => {}
                    }
                }
            });
        }
    });
    let mut took = took.into_inner().unwrap();
    took.sort();
    took
}

fn is_full() -> bool {
    std::env::var_os("CHAOS_FULL").is_some_and(|set| !set.is_empty())
}

/// Says what the sweep found, for people.
fn tell(what: &str, took: &[Duration]) {
    let (Some(median), Some(most)) = (took.get(took.len() / 2), took.last()) else {
        panic!("{what}: nothing was killed");
    };
    say(&format!(
        "{what}: {} kills, clean after {:.0} ms (median), {:.0} ms (maximum)",
        took.len(),
        median.as_secs_f64() * 1e3,
        most.as_secs_f64() * 1e3
    ));
}

/// Instants by chance, seeded, so that a failure can be had again (`KILL_POINTS_SEED`).
struct Instants(u64);

impl Instants {
    fn new() -> Self {
        let seed = std::env::var("KILL_POINTS_SEED");
        Self(seed.ok().and_then(|seed| seed.parse().ok()).unwrap_or(20))
    }

    /// SplitMix64 (Steele, Lea and Flood 2014).
    fn next_below(&mut self, milliseconds: u64) -> Duration {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Duration::from_millis((bits ^ (bits >> 31)) % milliseconds)
    }
}

fn every(step: u64) -> Vec<Plan> {
    (1..=MOST_WRITES)
        .filter(|write| write % step == 1 || step == 1)
        .map(Plan::At)
        .collect()
}

#[test]
fn a_kill_after_any_journal_write_leaves_nothing() {
    let took = try_all(every(1), 2, "", false);
    assert!(took.len() >= 20, "{}", took.len());
    tell("after each journal write, processes", &took);
}

#[test]
fn a_kill_after_any_journal_write_leaves_no_container() {
    let test = "a_kill_after_any_journal_write_leaves_no_container";
    if Run::new(test).is_none() {
        return;
    }
    let step = if is_full() { 1 } else { 5 };
    let took = try_all(every(step), 2, test, true);
    assert!(took.len() >= 5, "{}", took.len());
    tell("after journal writes, with a container", &took);
}

#[test]
fn a_kill_of_the_watchdog_after_any_write_leaves_what_the_next_run_puts_back() {
    let writes = if is_full() {
        (1..40).step_by(2).collect()
    } else {
        vec![13, 21]
    };
    let plans = writes
        .into_iter()
        .flat_map(|write| (1..10).map(move |own| Plan::BothAt(write, own)))
        .collect();
    let took = try_all(plans, 2, "", false);
    tell("the watchdog too, with the next run's start", &took);
}

#[test]
fn a_kill_at_a_random_instant_leaves_nothing() {
    let mut instants = Instants::new();
    let count = if is_full() { 200 } else { 20 };
    let plans = (0..count).map(|_| Plan::After(instants.next_below(200)));
    let plans = plans.collect();
    let took = try_all(plans, 2, "", false);
    tell("at random instants, processes", &took);
}

#[test]
fn a_kill_at_a_random_instant_leaves_no_container() {
    let test = "a_kill_at_a_random_instant_leaves_no_container";
    if Run::new(test).is_none() {
        return;
    }
    let mut instants = Instants::new();
    let count = if is_full() { 100 } else { 8 };
    let plans = (0..count).map(|_| Plan::After(instants.next_below(1000)));
    let took = try_all(plans.collect(), 2, test, true);
    tell("at random instants, with a container", &took);
}
