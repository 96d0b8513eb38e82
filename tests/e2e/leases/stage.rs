//! Where subjects and their parent meet, and how the parent sees what they do.
//!
//! Each subject says when it is in and when it is out, and stays in until it is told to go. Who
//! waits is read from its journal. So what is proved is an order of events, whatever time they
//! took.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use chaos_test::prelude::*;
use chaos_test::{Effect, Error, Event, Journal, ReadOnlySystem, System, Target, Undo};
use chaos_test_fixtures::rerun::{Ended, Folder, Rerun, Started};

use crate::bad_input::nothing_left;

/// Names the folder of a stage to a child.
pub(super) const STAGE: &str = "LEASES_STAGE";

/// Where subjects and their parent meet. They share its state directory, too.
#[derive(Debug, Clone)]
pub(super) struct Stage(pub(super) PathBuf);

impl Stage {
    /// The stage of this child.
    pub(super) fn of_child() -> Self {
        Self(std::env::var_os(STAGE).expect("the parent names it").into())
    }

    pub(super) fn state(&self) -> PathBuf {
        self.0.join("state")
    }

    /// Writes that something happens, after all that happened before.
    pub(super) fn happens(&self, what: &str) {
        let events = OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.0.join("events"));
        let written =
            events.and_then(|mut events| events.write_all(format!("{what}\n").as_bytes()));
        written.expect("an event can be written");
    }

    pub(super) fn events(&self) -> Vec<String> {
        let events = std::fs::read_to_string(self.0.join("events")).unwrap_or_default();
        events.lines().map(str::to_owned).collect()
    }

    pub(super) fn has(&self, what: &str) -> bool {
        self.events().iter().any(|event| event == what)
    }

    /// Waits until something has happened.
    pub(super) fn until(&self, what: &str) {
        self.until_so(what, || self.has(what));
    }

    /// Waits until a test waits for others.
    pub(super) fn until_waits(&self, test: &str) {
        self.until_so(&format!("{test} waits"), || self.waits(test));
    }

    pub(super) fn until_so(&self, what: &str, so: impl Fn() -> bool) {
        let end = Instant::now() + secs(60);
        while !so() {
            assert!(
                Instant::now() < end,
                "it never came to this: {what}; {:?}",
                self.events()
            );
            std::thread::sleep(ms(2));
        }
    }

    /// What a test that has not ended waits for, as its journal says.
    pub(super) fn waits(&self, test: &str) -> bool {
        let last = |records: Vec<chaos_test::Record>| records.into_iter().next_back();
        Folder::files(&self.state().join("journals"))
            .iter()
            .filter_map(|path| Journal::read(&std::fs::read_to_string(path).ok()?).ok())
            .filter(|journal| journal.started.test.ends_with(&format!("$leases::{test}")))
            .filter_map(|journal| last(journal.records))
            .any(|record| matches!(record.event, Event::Waiting { .. }))
    }

    /// Fails unless these happened, in this order.
    #[track_caller]
    pub(super) fn assert_order(&self, expected: &[&str]) {
        let events = self.events();
        let mut found = events.iter();
        for expected in expected {
            assert!(
                found.any(|event| event == expected),
                "`{expected}` is missing, or in the wrong place: {events:?}"
            );
        }
    }

    /// Fails if anybody was in while this test was.
    #[track_caller]
    pub(super) fn assert_alone(&self, test: &str) {
        let events = self.events();
        let at = |what: String| {
            let found = events.iter().position(|event| *event == what);
            found.unwrap_or_else(|| panic!("`{what}` is missing: {events:?}"))
        };
        let between = &events[at(format!("in {test}")) + 1..at(format!("out {test}"))];
        let others = |event: &&String| event.starts_with("in ") || event.starts_with("out ");
        assert_eq!(between.iter().find(others), None, "{events:?}");
        // Nobody who was in before came out after.
        for came_in in &events[..at(format!("in {test}"))] {
            if let Some(other) = came_in.strip_prefix("in ") {
                assert!(
                    at(format!("out {other}")) < at(format!("in {test}")),
                    "{events:?}"
                );
            }
        }
    }
}

/// The parent's side: a stage with a folder of its own.
pub(super) struct Play {
    pub(super) stage: Stage,
    _folder: tempfile::TempDir,
}

impl std::ops::Deref for Play {
    type Target = Stage;

    fn deref(&self) -> &Stage {
        &self.stage
    }
}

impl Play {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self {
            stage: Stage(folder.path().to_owned()),
            _folder: folder,
        }
    }

    pub(super) fn child(&self, test: &str) -> Rerun {
        Rerun::of(&format!("leases::{test}"))
            .env(STAGE, &self.stage.0)
            .env("CHAOS_STATE_DIR", self.state())
    }

    /// Starts a test and waits until its body runs.
    pub(super) fn enters(&self, test: &str) -> Started {
        let started = self.child(test).start();
        self.until(&format!("in {test}"));
        started
    }

    /// Starts a test and waits until it waits.
    pub(super) fn queues(&self, test: &str) -> Started {
        let started = self.child(test).start();
        self.until_waits(test);
        started
    }

    pub(super) fn tell_to_go(&self, test: &str) {
        self.happens(&format!("go {test}"));
    }

    /// Waits for the end of tests that must pass, and leave nothing to be undone.
    #[track_caller]
    pub(super) fn all_pass(&self, children: impl IntoIterator<Item = Started>) {
        for child in children {
            passed(&child.wait());
        }
        let left = Folder::files(&self.state().join("journals"));
        assert!(left.is_empty(), "{left:?}");
    }
}

#[track_caller]
pub(super) fn passed(ended: &Ended) {
    assert!(ended.status.success(), "{}", ended.output());
    nothing_left(ended);
}

/// A fault that breaks nothing, so that its test may pass.
#[derive(Debug)]
pub(super) struct Harmless;

impl Fault for Harmless {
    fn targets(&self) -> Vec<Target> {
        vec![Target::other("nothing")]
    }

    async fn prepare(&self, _: &ReadOnlySystem) -> Result<Undo, Error> {
        Ok(Undo::Nothing)
    }

    async fn apply(&self, _: &System) -> Result<(), Error> {
        Ok(())
    }

    async fn verify(&self, _: &ReadOnlySystem) -> Result<Effect, Error> {
        Ok(Effect::Spent)
    }

    fn hits(&self, _: &ReadOnlySystem) -> Option<u64> {
        Some(1)
    }
}

pub(super) async fn break_nothing(chaos: &ChaosContext) -> chaos_test::Result {
    chaos.may_break(&Target::other("nothing"));
    chaos.inject(Harmless).await?.lift().await?;
    Ok(())
}

/// Is in until it is told to go, and out once it is rolled back.
pub(super) async fn act(chaos: &ChaosContext, test: &'static str) -> chaos_test::Result {
    let stage = Stage::of_child();
    let leaves = stage.clone();
    chaos.at_rollback("say so", async move || {
        leaves.happens(&format!("out {test}"));
        Ok::<_, TestError>(())
    })?;
    break_nothing(chaos).await?;
    stage.happens(&format!("in {test}"));
    stage.until(&format!("go {test}"));
    Ok(())
}

/// A test as others name it.
pub(super) fn who(test: &str, child: &Started) -> String {
    let process = child.pid();
    format!("leases::{test} (process {process}, chaos-test-e2e::e2e)")
}

/// Waits until a wait is shown: who waits for what, and who has it.
#[track_caller]
pub(super) fn says(child: &mut Started, waits: &str, held: &str) {
    let waits = format!("chaos-test: {waits}, for ");
    child.until_printed(&waits);
    let output = child.output();
    let line = output.lines().find(|line| line.contains(&waits)).unwrap();
    assert!(line.contains(&format!(" s now: {held}")), "{line}");
}

/// What the only test of a child waited for, and for how long.
pub(super) fn waited(ended: &Ended) -> (Option<String>, Duration) {
    let records = Journal::read(&ended.journals().concat()).unwrap().records;
    let waited = records.into_iter().find_map(|record| match record.event {
        Event::Waited { lease, took_us } => Some((lease, Duration::from_micros(took_us))),
        _ => None,
    });
    waited.expect("it says how long it waited")
}

/// The open files of this process whose names end so.
pub(super) fn open_files(ending: &str) -> usize {
    let files = Folder::files(Path::new("/proc/self/fd"));
    let leads_there = |file: &PathBuf| {
        std::fs::read_link(file).is_ok_and(|path| path.to_string_lossy().ends_with(ending))
    };
    files.iter().filter(|file| leads_there(file)).count()
}

/// Waits until a test of this process waits, and blocks nobody.
pub(super) async fn until_waits(stage: &Stage, test: &str) {
    while !stage.waits(test) {
        tokio::time::sleep(ms(2)).await;
    }
}
