//! How well recovery time is measured: a victim that recovers at a known instant.

use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use chaos_test::{ChaosContext, Monitor, Probe, ms, secs};

use crate::Result;
use crate::empty_test::Flag;
use crate::table::{Row, Table};

const RECOVERIES: u32 = 50;

pub(crate) fn measure(table: &mut Table) -> Result<()> {
    for interval in [ms(5), ms(20)] {
        let chaos = ChaosContext::start_blocking()?;
        let errors = chaos.block_on(recover_often(&chaos, interval))?;
        chaos.finish_blocking()?;
        row(table, interval, errors);
    }
    Ok(())
}

/// By how much recovery times were off, as shares of the interval.
async fn recover_often(chaos: &ChaosContext, interval: Duration) -> Result<Vec<f64>> {
    let flag = Flag::default();
    chaos.may_break(&flag.target());
    let broken = flag.broken.clone();
    let probe = move || {
        let broken = broken.load(Ordering::SeqCst);
        async move { if broken { Err("broken") } else { Ok(()) } }
    };
    let health = chaos.monitor(probe.every(interval).named("flag"));
    let normal = health.baseline(interval * 20).await?;
    let mut errors = Vec::new();
    for round in 0..RECOVERIES {
        // The golden ratio's multiples fall evenly between two samples.
        let phase = (f64::from(round) * 0.618_034).fract();
        let down = interval * 2 + interval.mul_f64(phase);
        errors.push(recover(chaos, &flag, &health, &normal, down).await? / interval.as_secs_f64());
    }
    Ok(errors)
}

/// Breaks the flag, repairs it at a known instant, and returns by how many seconds the
/// recovery was measured too late.
async fn recover(
    chaos: &ChaosContext,
    flag: &Flag,
    health: &Monitor,
    normal: &chaos_test::Baseline,
    down: Duration,
) -> Result<f64> {
    let lifted = chaos.inject(flag.clone()).await?.lift().await?;
    let (clock, moment) = (Instant::now(), chaos.now());
    let broken = flag.broken.clone();
    let repair = thread::spawn(move || {
        thread::sleep(down);
        broken.store(false, Ordering::SeqCst);
        Instant::now()
    });
    let recovery = health
        .recovers_to(normal)
        .since(lifted)
        .within(secs(5))
        .await?;
    let repaired = repair.join().map_err(|_| "the repair panicked")?;
    let known = (moment - lifted) + (repaired - clock);
    Ok(recovery.time().as_secs_f64() - known.as_secs_f64())
}

fn row(table: &mut Table, interval: Duration, errors: Vec<f64>) {
    let mut sizes: Vec<f64> = errors.into_iter().map(f64::abs).collect();
    sizes.sort_by(f64::total_cmp);
    let median = sizes[sizes.len() / 2];
    let worst = sizes[sizes.len() - 1];
    let over = sizes.iter().filter(|size| **size > 1.0).count();
    let verdict = match over {
        0 => "met".to_owned(),
        over => format!("missed by {over} of {}", sizes.len()),
    };
    table.add(Row {
        what: format!(
            "recovery time is off by, in intervals of {} ms",
            interval.as_millis()
        ),
        median: format!("{median:.2}"),
        p99: format!("{worst:.2}"),
        goal: format!("1: {verdict}"),
        ..Row::default()
    });
}
