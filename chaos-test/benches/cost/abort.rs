//! How soon after an abort condition has come true everything begins to be put back.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use chaos_test::{ChaosContext, Probe, value};

use crate::Result;
use crate::table::{Row, Table};

const BREACHES: usize = 100;
const INTERVAL: Duration = Duration::from_millis(10);
/// What a breach may take beside one interval.
const GOAL: Duration = Duration::from_millis(10);

pub(crate) fn measure(table: &mut Table) -> Result<()> {
    let mut delays = Vec::new();
    for round in 0..BREACHES {
        // The golden ratio's multiples fall evenly between two samples.
        let phase = (round as f64 * 0.618_034).fract();
        delays.push(breach(INTERVAL * 3 + INTERVAL.mul_f64(phase))?);
    }
    delays.sort();
    let over = delays.iter().filter(|delay| **delay > INTERVAL + GOAL);
    let verdict = match over.count() {
        0 => "met".to_owned(),
        over => format!("missed by {over} of {BREACHES}"),
    };
    let ms = |delay: Duration| format!("{:.1} ms", delay.as_secs_f64() * 1e3);
    table.add(Row {
        what: format!(
            "from a breach of an abort condition to the rollback, at an interval of {} ms",
            INTERVAL.as_millis()
        ),
        median: ms(delays[BREACHES / 2]),
        p99: ms(delays[BREACHES - 1]),
        goal: format!("20 ms: {verdict}"),
        ..Row::default()
    });
    Ok(())
}

/// From the instant at which the system is beyond the limit, seen or not, to the first step of
/// the rollback.
fn breach(after: Duration) -> Result<Duration> {
    let chaos = ChaosContext::start_blocking()?;
    let lost = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&lost);
    let probe = move || {
        let lost = u32::from(seen.load(Ordering::SeqCst));
        async move { Ok::<_, std::io::Error>(lost) }
    };
    chaos.monitor(probe.every(INTERVAL).named("lost"));
    chaos.abort_if(value().above(0.0).of("lost"));
    let rolled_back = Arc::new(Mutex::new(None));
    let begun = Arc::clone(&rolled_back);
    chaos.at_rollback("look at the clock", move || async move {
        *begun.lock().expect("nobody panics with it") = Some(Instant::now());
        Ok::<_, std::io::Error>(())
    })?;
    std::thread::sleep(after);
    let breached = Instant::now();
    lost.store(true, Ordering::SeqCst);
    let until = breached + Duration::from_secs(10);
    let begun = loop {
        if let Some(begun) = *rolled_back.lock().expect("nobody panics with it") {
            break begun;
        }
        if Instant::now() > until {
            return Err("nothing was rolled back within 10 s".into());
        }
        std::thread::sleep(Duration::from_micros(100));
    };
    match chaos.finish_blocking() {
        Err(error) if error.is_aborted() => Ok(begun - breached),
        other => Err(format!("it was not aborted: {other:?}").into()),
    }
}
