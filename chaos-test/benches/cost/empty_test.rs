//! What a chaos test costs before it does anything, beside an empty `#[tokio::test]`.
//!
//! A chaos test that injects nothing fails, on purpose, and explains itself at length. The
//! emptiest one that passes injects a fault that does nothing: that is what is measured.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use chaos_test::__private::{Running, TestSpec, run_async_test, tell_libtest};
use chaos_test::{
    ChaosContext, Effect, Error, Fault, ReadOnlySystem, System, Target, TestError, Undo, ms,
};

use crate::measure::Times;
use crate::table::{Row, Table};
use crate::{CHAOS_TEST, PLAIN_TEST, Result, this_program};

const TESTS: usize = 300;
const PROCESSES: usize = 20;

/// As `#[chaos_test]` writes it where nothing is declared.
static SPEC: TestSpec = TestSpec {
    file: file!(),
    line: line!(),
    package: env!("CARGO_PKG_NAME"),
    manifest_dir: env!("CARGO_MANIFEST_DIR"),
    ..TestSpec::bare("cost::empty_test", "an_empty_test")
};

pub(crate) fn measure(folder: &Path, table: &mut Table) -> Result<()> {
    // The first one of a process sets up what all others share.
    in_test_thread(chaos)?;
    let files = folder.join("files alone");
    fs::create_dir(&files)?;
    let [mut plains, mut chaotic, mut contexts, mut alone] =
        std::array::from_fn(|_| Times::default());
    for number in 0..TESTS {
        let spec = spec(number);
        plains.take(|| in_test_thread(plain))?;
        chaotic.take(|| in_test_thread(move || run(spec)))?;
        contexts.take(|| in_test_thread(|| drop(ChaosContext::start_blocking())))?;
        alone.take(|| write_files(&files, number))?;
    }
    table.add(Row::beside(
        "an empty `#[chaos_test]`: one fault that does nothing",
        &chaotic,
        &plains,
        "an empty `#[tokio::test]`",
        Some(ms(1)),
    ));
    table.add(Row::of("the files of such a test, made alone", &alone));
    table.add(Row::of(
        "`ChaosContext::start_blocking` and drop",
        &contexts,
    ));
    measure_processes(folder, table)
}

/// What the first chaos test of a process costs, with the report at the process's exit.
fn measure_processes(folder: &Path, table: &mut Table) -> Result<()> {
    let folder = folder.join("processes");
    let [mut plains, mut chaotic, mut unwatched] = std::array::from_fn(|_| Times::default());
    for _ in 0..PROCESSES {
        for (word, watchdog, times) in [
            (PLAIN_TEST, "on", &mut plains),
            (CHAOS_TEST, "on", &mut chaotic),
            (CHAOS_TEST, "off", &mut unwatched),
        ] {
            let mut process = this_program(word, &folder)?;
            process.env("CHAOS_WATCHDOG", watchdog);
            let ended = times.take(|| process.status())?;
            if !ended.success() {
                return Err(format!("the process of {word} ended with {ended}").into());
            }
        }
    }
    table.add(Row::beside(
        "a process with one empty `#[chaos_test]`, its report included",
        &chaotic,
        &plains,
        "with one `#[tokio::test]`",
        None,
    ));
    table.add(Row::beside(
        "such a process, with its watchdog",
        &chaotic,
        &unwatched,
        "with CHAOS_WATCHDOG=off",
        None,
    ));
    Ok(())
}

/// Does with files what an empty chaos test does: a journal under a first name and its own,
/// the report of a start, the two locks of its turn, a copy of the journal, and the report of an
/// end.
fn write_files(folder: &Path, number: usize) -> Result<()> {
    let named = |what: &str| folder.join(format!("{what}-{number}"));
    let (journal, report, fresh) = (named("journal"), named("report"), named("fresh"));
    let mut lines = File::create_new(&fresh)?;
    lines.lock()?;
    fs::rename(&fresh, &journal)?;
    lines.write_all(&[b'x'; 450])?;
    fs::write(&fresh, [b'x'; 300])?;
    fs::rename(&fresh, &report)?;
    for name in ["all-next", "all"] {
        let mut lock = File::options();
        lock.create(true).append(true);
        lock.open(folder.join(name))?.lock_shared()?;
    }
    for _ in 0..7 {
        lines.write_all(&[b'x'; 110])?;
    }
    // What its pre-flight found.
    lines.write_all(&[b'x'; 500])?;
    fs::write(named("copy"), [b'x'; 1750])?;
    fs::remove_file(&journal)?;
    fs::write(&fresh, [b'x'; 750])?;
    fs::rename(&fresh, named("end"))?;
    fs::remove_file(&report)?;
    Ok(())
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
    run(&SPEC);
}

/// Another test of the same kind: each one has report files of its own, and replacing those
/// of an earlier one costs more than making them.
fn spec(number: usize) -> &'static TestSpec {
    let name = format!("{}_{number}", SPEC.name);
    Box::leak(Box::new(TestSpec {
        name: String::leak(name),
        ..SPEC.clone()
    }))
}

fn run(spec: &'static TestSpec) {
    tell_libtest(run_async_test(spec, &[], |run: Running| async move {
        run.ready();
        let fault = Flag::default();
        run.context().may_break(&fault.target());
        let injection = run.context().inject(fault).await?;
        injection.lift().await?;
        Ok::<_, TestError>(())
    }));
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
