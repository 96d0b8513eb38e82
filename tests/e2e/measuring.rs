//! Measurements are right: a known recovery is measured to one interval of the monitor.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chaos_test::prelude::*;
use chaos_test::{Effect, Error, ReadOnlySystem, System, Target, Undo, process};

use chaos_test_fixtures::rerun::Rerun;

use crate::victims::{inventory, watch};

/// Breaks a flag, and has it repair itself at a known time after it was lifted.
#[derive(Debug, Clone)]
struct Flag {
    broken: Arc<AtomicBool>,
}

impl Fault for Flag {
    fn targets(&self) -> Vec<Target> {
        vec![Target::other("flag")]
    }

    async fn prepare(&self, _: &ReadOnlySystem) -> Result<Undo, Error> {
        Ok(Undo::Nothing)
    }

    async fn apply(&self, _: &System) -> Result<(), Error> {
        self.broken.store(true, Ordering::SeqCst);
        Ok(())
    }

    async fn verify(&self, _: &ReadOnlySystem) -> Result<Effect, Error> {
        Ok(Effect::Spent)
    }
}

/// A victim that recovers at a known instant is seen to recover within one interval of it.
#[chaos_test]
async fn a_known_recovery_is_measured_to_one_interval(chaos: &ChaosContext) -> chaos_test::Result {
    let interval = ms(20);
    chaos.may_break(&Target::other("flag"));
    let broken = Arc::new(AtomicBool::new(false));
    let flag = Flag {
        broken: Arc::clone(&broken),
    };
    let seen = Arc::clone(&broken);
    let probe = move || {
        let broken = seen.load(Ordering::SeqCst);
        async move { if broken { Err("broken") } else { Ok(()) } }
    };
    let health = chaos.monitor(probe.every(interval).named("flag"));
    let normal = health.baseline(ms(200)).await?;
    for _ in 0..5 {
        let injection = chaos.inject(flag.clone()).await?;
        tokio::time::sleep(ms(50)).await;
        let lifted = injection.lift().await?;
        let repair = Arc::clone(&broken);
        let (clock, began) = (chaos.now(), std::time::Instant::now());
        let repaired = std::thread::spawn(move || {
            std::thread::sleep(ms(137));
            let before = began.elapsed();
            repair.store(false, Ordering::SeqCst);
            (before, began.elapsed())
        });
        let recovery = health
            .recovers_to(&normal)
            .since(lifted)
            .within(secs(5))
            .await?;
        assert!(recovery.was_degraded());
        let (before, after) = repaired.join().expect("it sleeps only");
        let (lifted, clock) = (Duration::from(lifted), Duration::from(clock));
        let recovered = lifted + recovery.time();
        // What it is exact to is the pace at which samples are really sent, which a busy machine
        // may stretch: the recovery is the first sample that could see the repair.
        let samples = health.between(lifted, chaos.now()).await?;
        let first = samples
            .samples()
            .iter()
            .find(|sample| sample.sent >= clock + after)
            .map(|sample| sample.sent);
        assert!(
            first.is_none_or(|first| recovered <= first),
            "{recovered:?}, and {first:?} was after the repair"
        );
        let seen = samples
            .samples()
            .iter()
            .find(|sample| sample.sent == recovered)
            .expect("it is the time of a sample");
        assert!(
            seen.answered() >= clock + before,
            "{seen:?} was before the repair, at {:?}",
            clock + before
        );
    }
    Ok(())
}

/// A latency on a link is what it says, on a connection that is already open, too.
#[chaos_test(breaks(inventory), seed = 17)]
async fn a_latency_is_what_it_says(
    chaos: &ChaosContext,
    inventory: &Service,
) -> chaos_test::Result {
    assert_eq!(chaos.seed(), 17);
    let requests = watch(chaos, inventory);
    let normal = requests.baseline(secs(1)).await?;
    let slow = chaos_test::link::latency(inventory, ms(60)).jitter(ms(10));
    let slow = chaos.inject(slow).await?;
    requests
        .over(secs(1))
        .await?
        .expect(latency(P50).at_least(ms(50)))
        .expect(latency(P50).rises_at_most(ms(90)).from(&normal))
        .expect(error_rate().rises_at_most(percent(0)).from(&normal))
        .check()?;
    slow.lift().await?;
    Ok(())
}

/// A stopped victim answers nothing; what was asked while it hung is answered late and in
/// full, and counts from when it was due.
#[chaos_test(breaks(inventory))]
async fn a_stall_is_not_hidden(chaos: &ChaosContext, inventory: &Service) -> chaos_test::Result {
    let requests = watch(chaos, inventory);
    requests.baseline(ms(100)).await?;
    let before = chaos.now();
    let hang = chaos.inject(process::stop(inventory)).await?;
    tokio::time::sleep(ms(300)).await;
    let lifted = hang.lift().await?;
    let seen = requests.between(before, lifted).await?;
    let slowest = seen.samples().iter().map(|sample| sample.latency).max();
    assert!(slowest >= Some(ms(250)), "{slowest:?}");
    let held = seen
        .samples()
        .iter()
        .filter(|sample| sample.latency >= ms(100))
        .count();
    assert!(held >= 15, "only {held} samples felt the stall");
    Ok(())
}

/// A victim that is slow, and no slower than it may be, makes no errors, however many of
/// its answers are waited for at once.
#[chaos_test(breaks(inventory))]
async fn slow_answers_are_no_errors(
    chaos: &ChaosContext,
    inventory: &Service,
) -> chaos_test::Result {
    let probe = || async {
        tokio::time::sleep(secs(1)).await;
        Ok::<_, Error>(())
    };
    let slow = chaos.monitor(probe.every(ms(2)).named("slow"));
    watch(chaos, inventory);
    let _outage = chaos.inject(process::kill(inventory)).await?;
    let seen = slow.over(ms(800)).await?;
    assert_eq!(seen.samples().len(), 400);
    seen.expect(error_rate().at_most(percent(0)))
        .expect(latency(P50).at_least(secs(1)))
        .check()?;
    Ok(())
}

/// A probe that panics is a failed sample.
#[chaos_test(breaks(inventory))]
async fn a_probe_that_panics_fails(
    chaos: &ChaosContext,
    inventory: &Service,
) -> chaos_test::Result {
    let probe = || async {
        if chaos_test::percentile(50).to_string() == "p50" {
            panic!("on purpose");
        }
        Ok::<_, Error>(())
    };
    let health = chaos.monitor(probe.every(ms(50)).named("panicking"));
    watch(chaos, inventory);
    let _outage = chaos.inject(process::kill(inventory)).await?;
    let seen = health.over(ms(100)).await?;
    let slowest = seen.samples().iter().map(|sample| sample.latency).max();
    assert!(slowest < Some(secs(2)), "{slowest:?}");
    seen.expect(error_rate().at_least(percent(100))).check()?;
    Ok(())
}

/// Expectations that nobody checks, and a recovery that nobody awaits.
#[chaos_test(breaks(inventory))]
#[ignore = "another test runs it as a child"]
async fn nothing_is_judged(chaos: &ChaosContext, inventory: &Service) -> chaos_test::Result {
    let requests = watch(chaos, inventory);
    let normal = requests.baseline(ms(100)).await?;
    let outage = chaos.inject(process::kill(inventory)).await?;
    let _ = requests
        .over(ms(50))
        .await?
        .expect(error_rate().at_most(percent(0)))
        .expect(latency(P95).at_most(ms(9)));
    outage.lift().await?;
    let _ = requests.recovers_to(&normal).within(secs(7));
    Ok(())
}

#[test]
fn what_was_expected_and_never_judged_is_not_green() {
    let ended = Rerun::of("measuring::nothing_is_judged").run();
    let output = ended.output();
    assert!(!ended.status.success(), "{output}");
    for expected in [
        "error rate of inventory/stock/42 over 50.0 ms",
        "p95 latency of inventory/stock/42 over 50.0 ms",
        "actual:   was never judged: call `.check()`",
        "actual:   was never judged: await it",
    ] {
        assert!(output.contains(expected), "`{expected}` in:\n{output}");
    }
}
