//! What every fault of the library owes, gone through by the catalogue.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use chaos_test::prelude::*;
use chaos_test::{
    CATALOGUE, Effect, Error, Fault, ProcessState, ReadOnlySystem, System, Target, Undo, process,
};

use crate::victims::{inventory, inventory_program, watch};

/// Each fault is felt, and after it is lifted the service answers as before, twice over.
#[chaos_test(breaks(inventory))]
async fn each_fault_is_felt_and_lifted(
    chaos: &ChaosContext,
    inventory: &Service,
) -> chaos_test::Result {
    go_through_all(chaos, inventory).await
}

/// Goes through the catalogue twice, on one service with the routes of inventory.
pub async fn go_through_all(chaos: &ChaosContext, inventory: &Service) -> chaos_test::Result {
    let requests = watch(chaos, inventory);
    let normal = requests.baseline(ms(300)).await?;
    let faults = CATALOGUE
        .iter()
        .filter(|entry| entry.family() != "container" && requests_feel(entry));
    for entry in faults.clone().chain(faults) {
        chaos.note(entry.name);
        let before = chaos.now();
        let injection = chaos.inject_entry(entry, inventory).await?;
        tokio::time::sleep(ms(100)).await;
        let lifted = injection.lift().await?;
        let seen = requests.between(before, lifted).await?;
        let disturbed = seen
            .samples()
            .iter()
            .filter(|sample| !sample.reading.is_good() || sample.latency > ms(40))
            .count();
        assert!(disturbed > 0, "{} was not felt", entry.name);
        requests
            .recovers_to(&normal)
            .since(lifted)
            .within(secs(10))
            .await?;
    }
    Ok(())
}

/// Whether requests on connections that stay open feel it. The others have tests in
/// [`toxics`](crate::toxics).
pub fn requests_feel(entry: &chaos_test::Entry) -> bool {
    let others = [
        "link::slow_close",
        "link::duplicate_chunks",
        "link::accept_delay",
    ];
    !others.contains(&entry.name)
}

/// Two faults on one process are refused: the one that is lifted first would end the other.
#[chaos_test(breaks(inventory))]
async fn a_process_has_one_fault_at_a_time(
    chaos: &ChaosContext,
    inventory: &Service,
) -> chaos_test::Result {
    let requests = watch(chaos, inventory);
    let normal = requests.baseline(ms(300)).await?;
    let hang = chaos.inject(process::hang_at_start(inventory)).await?;
    let refused = chaos.inject(process::kill(inventory)).await.unwrap_err();
    assert!(refused.is_refused(), "{refused}");
    let text = refused.to_string();
    assert!(
        text.contains("`hang inventory at its start` is in force")
            && text.contains("lift it first"),
        "{text}"
    );
    requests.over(ms(50)).await?;
    let lifted = hang.lift().await?;
    requests
        .recovers_to(&normal)
        .since(lifted)
        .within(secs(10))
        .await?;
    // Neither the lifted one nor the refused one is in the way.
    let outage = chaos.inject(process::kill(inventory)).await?;
    requests.over(ms(50)).await?;
    outage.lift().await?;
    Ok(())
}

/// Faults that overlap on one service, lifted in the wrong order, still leave it as before.
#[chaos_test(breaks(inventory))]
async fn overlapping_faults_are_all_put_back(
    chaos: &ChaosContext,
    inventory: &Service,
) -> chaos_test::Result {
    let requests = watch(chaos, inventory);
    let normal = requests.baseline(ms(300)).await?;
    // Each is met before the next one hides it.
    let slow = chaos
        .inject(chaos_test::link::latency(inventory, ms(30)))
        .await?;
    requests.over(ms(50)).await?;
    let hang = chaos.inject(chaos_test::process::stop(inventory)).await?;
    tokio::time::sleep(ms(50)).await;
    let cut = chaos.inject(chaos_test::link::down(inventory)).await?;
    tokio::time::sleep(ms(50)).await;
    slow.lift().await?;
    cut.lift().await?;
    let lifted = hang.lift().await?;
    requests
        .recovers_to(&normal)
        .since(lifted)
        .within(secs(10))
        .await?;
    Ok(())
}

/// A fault of somebody's own, on a file.
#[derive(Debug)]
struct Overwrite {
    path: std::path::PathBuf,
    fails_half_way: bool,
}

impl Fault for Overwrite {
    fn describe(&self) -> String {
        format!("overwrite {}", self.path.display())
    }

    fn targets(&self) -> Vec<Target> {
        vec![Target::File(self.path.clone())]
    }

    async fn prepare(&self, system: &ReadOnlySystem) -> Result<Undo, Error> {
        system.undo_restoring(&self.path)
    }

    async fn apply(&self, _: &System) -> Result<(), Error> {
        std::fs::write(&self.path, "broken").map_err(|error| Error::msg(error.to_string()))?;
        if self.fails_half_way {
            return Err(Error::msg("the disk is on fire"));
        }
        Ok(())
    }

    async fn verify(&self, _: &ReadOnlySystem) -> Result<Effect, Error> {
        match std::fs::read_to_string(&self.path) {
            Ok(text) if text == "broken" => Ok(Effect::Active),
            Ok(text) => Ok(Effect::Absent(format!("it holds `{text}`"))),
            Err(error) => Ok(Effect::Absent(error.to_string())),
        }
    }

    fn hits(&self, _: &ReadOnlySystem) -> Option<u64> {
        Some(1)
    }
}

/// A fault of one's own has the same guarantees: half-applied it is put back, and so it is
/// when it ends by itself.
#[chaos_test]
async fn a_fault_of_ones_own(chaos: &ChaosContext) -> chaos_test::Result {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("config");
    std::fs::write(&path, "sound")?;
    chaos.may_break(&Target::File(path.clone()));
    let overwrite = |fails_half_way| Overwrite {
        path: path.clone(),
        fails_half_way,
    };

    let error = chaos.inject(overwrite(true)).await.unwrap_err();
    assert!(
        error.is_fault() && error.to_string().contains("the disk is on fire"),
        "{error}"
    );
    assert_eq!(std::fs::read_to_string(&path)?, "sound");

    let broken = chaos.inject(overwrite(false).lasting(ms(50))).await?;
    assert_eq!(std::fs::read_to_string(&path)?, "broken");
    let injected = broken.injected();
    let ended = broken.ended().await?;
    assert!(ended - injected >= ms(50));
    assert_eq!(std::fs::read_to_string(&path)?, "sound");
    Ok(())
}

/// Names one service and ends another.
#[derive(Debug)]
struct EndsAnother;

impl Fault for EndsAnother {
    fn targets(&self) -> Vec<Target> {
        vec![Target::Service("named".into())]
    }

    async fn prepare(&self, _: &ReadOnlySystem) -> Result<Undo, Error> {
        Ok(Undo::Nothing)
    }

    async fn apply(&self, system: &System) -> Result<(), Error> {
        system.end_process("other", false).await
    }

    async fn verify(&self, _: &ReadOnlySystem) -> Result<Effect, Error> {
        Ok(Effect::Spent)
    }
}

/// What a fault does not name it cannot touch, even where the test may.
#[chaos_test]
async fn a_fault_touches_only_what_it_names(chaos: &ChaosContext) -> chaos_test::Result {
    let named = chaos.process("named", inventory_program()).await?;
    let other = chaos.process("other", inventory_program()).await?;
    let requests = watch(chaos, &other);
    let error = chaos.inject(EndsAnother).await.unwrap_err().to_string();
    assert!(error.contains("may not touch service `other`"), "{error}");
    let seen = requests.over(ms(50)).await?;
    seen.expect(error_rate().at_most(percent(0))).check()?;
    let _outage = chaos.inject(chaos_test::process::kill(&named)).await?;
    watch(chaos, &named).over(ms(30)).await?;
    Ok(())
}

/// Of two that start a service of one name at once, one is told that it is taken.
#[chaos_test]
async fn two_at_once_cannot_have_one_name(chaos: &ChaosContext) -> chaos_test::Result {
    let sleeper = || {
        Program::new("sh")
            .args(["-c", "echo ready; exec sleep 600"])
            .without_port()
            .ready(chaos_test::log_line("ready"))
    };
    for round in 0..10 {
        let start = || chaos.process(format!("s{round}"), sleeper());
        let (one, two) = tokio::join!(start(), start());
        assert!(one.is_ok() != two.is_ok(), "round {round}");
        let error = one.err().or(two.err()).unwrap().to_string();
        assert!(error.contains("already has a service"), "{error}");
    }
    // One that could not be started leaves its name to the next.
    let missing = Program::new("no-such-program-here");
    chaos.process("again", missing).await.unwrap_err();
    let again = chaos.process("again", inventory_program()).await?;
    let requests = watch(chaos, &again);
    let _outage = chaos.inject(chaos_test::process::kill(&again)).await?;
    requests.over(ms(30)).await?;
    Ok(())
}

/// A file that a fault replaces comes back as its owner's.
#[chaos_test]
async fn a_file_comes_back_with_its_owner(chaos: &ChaosContext) -> chaos_test::Result {
    use std::os::unix::fs::{MetadataExt, chown};
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("config");
    std::fs::write(&path, "sound")?;
    // Only the superuser can; for anybody else the owner stays the same.
    let _ = chown(&path, Some(1234), Some(1234));
    let owner = |path| std::fs::metadata(path).map(|file| (file.uid(), file.gid()));
    let before = owner(&path)?;
    chaos.may_break(&Target::File(path.clone()));
    let overwrite = Overwrite {
        path: path.clone(),
        fails_half_way: false,
    };
    chaos.inject(overwrite).await?.lift().await?;
    assert_eq!(std::fs::read_to_string(&path)?, "sound");
    assert_eq!(owner(&path)?, before);
    Ok(())
}

/// A guard may move between threads; that is decided, not chance.
#[test]
fn guards_and_handles_are_send() {
    fn send<T: Send>() {}
    fn shared<T: Send + Sync + Clone>() {}
    send::<chaos_test::Injection>();
    send::<ChaosContext>();
    shared::<Service>();
    shared::<Monitor>();
    shared::<Link>();
}

/// The README's table of faults is the catalogue.
#[test]
fn the_readme_lists_every_fault() {
    let readme = include_str!("../../README.md");
    for entry in CATALOGUE {
        let row = readme
            .lines()
            .find(|line| line.starts_with(&format!("| `{}` |", entry.name)))
            .unwrap_or_else(|| panic!("the README has no row for {}", entry.name));
        for text in [
            entry.does,
            entry.parameters,
            entry.lifting,
            &entry.risk.to_string(),
        ] {
            assert!(
                row.contains(text),
                "the README's row for {} lacks `{text}`",
                entry.name
            );
        }
    }
}

fn gone(system: &ReadOnlySystem) -> Result<Effect, Error> {
    Ok(match system.process_state("inventory")? {
        ProcessState::Gone => Effect::Active,
        state => Effect::Absent(state.to_string()),
    })
}

/// Ends a service, then stays in `apply` until it is told to go on.
#[derive(Debug, Clone, Default)]
struct KillsSlowly {
    applied: Arc<AtomicBool>,
    go_on: Arc<AtomicBool>,
}

impl Fault for KillsSlowly {
    fn targets(&self) -> Vec<Target> {
        vec![Target::Service("inventory".into())]
    }

    async fn prepare(&self, system: &ReadOnlySystem) -> Result<Undo, Error> {
        system.undo_killing("inventory")
    }

    async fn apply(&self, system: &System) -> Result<(), Error> {
        system.end_process("inventory", false).await?;
        self.applied.store(true, Ordering::SeqCst);
        while !self.go_on.load(Ordering::SeqCst) {
            tokio::time::sleep(ms(1)).await;
        }
        Ok(())
    }

    async fn verify(&self, system: &ReadOnlySystem) -> Result<Effect, Error> {
        gone(system)
    }

    fn hits(&self, _: &ReadOnlySystem) -> Option<u64> {
        Some(1)
    }
}

/// Puts back what it saw when it was prepared: so many starts.
#[derive(Debug, Clone, Default)]
struct RemembersStarts(Arc<Mutex<Vec<(u32, bool)>>>);

impl Fault for RemembersStarts {
    fn targets(&self) -> Vec<Target> {
        vec![Target::Service("inventory".into())]
    }

    async fn prepare(&self, system: &ReadOnlySystem) -> Result<Undo, Error> {
        let seen = (
            system.process_starts("inventory")?,
            system.process_state("inventory")? == ProcessState::Running,
        );
        self.0.lock().unwrap().push(seen);
        system.undo_killing("inventory")
    }

    async fn apply(&self, system: &System) -> Result<(), Error> {
        system.end_process("inventory", false).await
    }

    async fn verify(&self, system: &ReadOnlySystem) -> Result<Effect, Error> {
        gone(system)
    }

    fn hits(&self, _: &ReadOnlySystem) -> Option<u64> {
        Some(1)
    }
}

async fn until(so: impl Fn() -> bool) {
    while !so() {
        tokio::time::sleep(ms(1)).await;
    }
}

/// A fault that has waited for another one on its target is prepared again: its undo puts back
/// what is there when it is applied.
#[chaos_test(breaks(inventory))]
async fn a_fault_that_has_waited_is_prepared_again(
    chaos: &ChaosContext,
    inventory: &Service,
) -> chaos_test::Result {
    let (slow, remembers) = (KillsSlowly::default(), RemembersStarts::default());
    let mut first = Box::pin(chaos.inject(slow.clone()));
    tokio::select! {
        injected = &mut first => panic!("{injected:?}"),
        () = until(|| slow.applied.load(Ordering::SeqCst)) => {}
    }
    let seen = || remembers.0.lock().unwrap().clone();
    let mut second = Box::pin(chaos.inject(remembers.clone()));
    tokio::select! {
        injected = &mut second => panic!("it has not waited: {injected:?}"),
        () = until(|| !seen().is_empty()) => {}
    }
    assert_eq!(seen(), [(1, false)], "while the other one is being applied");
    // Nobody will have the guard of the first one, so it is lifted, which starts the service.
    drop(first);
    slow.go_on.store(true, Ordering::SeqCst);
    let second = second.await?;
    assert_eq!(seen(), [(1, false), (2, true)]);
    second.lift().await?;
    assert!(std::net::TcpStream::connect(inventory.first_address().socket()).is_ok());
    Ok(())
}
