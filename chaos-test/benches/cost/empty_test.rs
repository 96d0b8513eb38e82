//! What a chaos test costs before it does anything, beside an empty `#[tokio::test]`.
//!
//! A chaos test that injects nothing fails, on purpose, and explains itself at length. The
//! emptiest one that passes injects a fault that does nothing: that is what is measured.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use chaos_test::__private::{Running, ShouldPanic, TestSpec, run_async_test};
use chaos_test::{
    ChaosContext, Effect, Error, Fault, ReadOnlySystem, System, Target, TestError, Undo, ms,
};

use crate::measure::Times;
use crate::table::{Table, goal, time};
use crate::{CHAOS_TEST, PLAIN_TEST, Result, this_program};

const TESTS: usize = 300;
const PROCESSES: usize = 20;

/// As `#[chaos_test]` writes it.
static SPEC: TestSpec = TestSpec {
    name: "an_empty_test",
    module: "cost::empty_test",
    file: file!(),
    line: line!(),
    package: env!("CARGO_PKG_NAME"),
    manifest_dir: env!("CARGO_MANIFEST_DIR"),
    bin_name: None,
    target_tmpdir: None,
    hypothesis: "",
    breaks: None,
    tags: &[],
    requires: &[],
    timeout: None,
    seed: None,
    should_panic: ShouldPanic::No,
    ignored: false,
};

pub(crate) fn measure(folder: &Path, table: &mut Table) -> Result<()> {
    // The first one of a process sets up what all others share.
    in_test_thread(chaos)?;
    let (mut plains, mut chaotic, mut contexts) =
        (Times::default(), Times::default(), Times::default());
    for _ in 0..TESTS {
        plains.take(|| in_test_thread(plain))?;
        chaotic.take(|| in_test_thread(chaos))?;
        contexts.take(|| in_test_thread(|| drop(ChaosContext::start_blocking())))?;
    }
    row(table, "an empty `#[tokio::test]`", &plains);
    row(
        table,
        "an empty `#[chaos_test]`: one fault that does nothing",
        &chaotic,
    );
    let more = chaotic.median().saturating_sub(plains.median());
    table.row("the difference", time(more), "", goal(ms(1), more));
    row(table, "`ChaosContext::start_blocking` and drop", &contexts);
    measure_processes(folder, table)
}

/// What the first chaos test of a process costs, with the report at the process's exit.
fn measure_processes(folder: &Path, table: &mut Table) -> Result<()> {
    let folder = folder.join("processes");
    let (mut plains, mut chaotic) = (Times::default(), Times::default());
    for _ in 0..PROCESSES {
        for (word, times) in [(PLAIN_TEST, &mut plains), (CHAOS_TEST, &mut chaotic)] {
            let mut process = this_program(word, &folder)?;
            let ended = times.take(|| process.status())?;
            if !ended.success() {
                return Err(format!("the process of {word} ended with {ended}").into());
            }
        }
    }
    row(table, "a process with one empty `#[tokio::test]`", &plains);
    row(table, "a process with one empty `#[chaos_test]`", &chaotic);
    let more = chaotic.median().saturating_sub(plains.median());
    table.row("the difference", time(more), "", "");
    Ok(())
}

fn row(table: &mut Table, what: &str, times: &Times) {
    table.row(what, time(times.median()), time(times.p99()), "");
}

/// Libtest gives each test a thread of its own, named after it.
fn in_test_thread(test: impl FnOnce() + Send + 'static) -> Result<()> {
    let thread = thread::Builder::new().name("an_empty_test".to_owned());
    let ended = thread.spawn(test)?.join();
    ended.map_err(|_| "an empty test failed".into())
}

/// What `#[tokio::test]` makes of an empty function.
#[expect(clippy::expect_used, reason = "as `#[tokio::test]` has it")]
pub(crate) fn plain() {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("failed building the runtime")
        .block_on(async {});
}

/// What `#[chaos_test]` makes of a function that injects a fault without effect.
pub(crate) fn chaos() {
    run_async_test(&SPEC, |run: Running| async move {
        run.ready();
        let fault = Flag::default();
        run.context().may_break(&fault.target());
        let injection = run.context().inject(fault).await?;
        injection.lift().await?;
        Ok::<_, TestError>(())
    });
}

/// Breaks a flag; who repairs it, and when, is the test's business.
#[derive(Debug, Clone, Default)]
pub(crate) struct Flag {
    pub(crate) broken: Arc<AtomicBool>,
}

impl Flag {
    pub(crate) fn target(&self) -> Target {
        Target::other("flag")
    }
}

impl Fault for Flag {
    fn targets(&self) -> Vec<Target> {
        vec![self.target()]
    }

    async fn prepare(&self, _: &ReadOnlySystem) -> std::result::Result<Undo, Error> {
        Ok(Undo::Nothing)
    }

    async fn apply(&self, _: &System) -> std::result::Result<(), Error> {
        self.broken.store(true, Ordering::SeqCst);
        Ok(())
    }

    async fn verify(&self, _: &ReadOnlySystem) -> std::result::Result<Effect, Error> {
        Ok(Effect::Spent)
    }

    /// Nobody meets it, and a fault that nobody met fails the test.
    fn hits(&self, _: &ReadOnlySystem) -> Option<u64> {
        Some(1)
    }
}

/// Makes a context in which something has happened, so that it may end well.
pub(crate) fn context_with_a_fault() -> Result<ChaosContext> {
    let chaos = ChaosContext::start_blocking()?;
    let fault = Flag::default();
    chaos.may_break(&fault.target());
    chaos.block_on(async { chaos.inject(fault).await?.lift().await })?;
    Ok(chaos)
}

/// Ends such a context and returns how long that took.
pub(crate) fn finish(chaos: ChaosContext) -> Result<Duration> {
    let mut times = Times::default();
    times.take(|| chaos.finish_blocking())?;
    Ok(times.median())
}
