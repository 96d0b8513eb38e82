//! The deadline thread: never early, soon after, and cancellable.

use std::time::{Duration, Instant};

use tokio::{task::JoinSet, time::timeout};

use super::super::sleep_until;
use super::kit::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deadlines_are_met_in_any_order() {
    let start = Instant::now();
    let mut sleepers = JoinSet::new();
    let mut random = random(1);
    for _ in 0..1000 {
        let at = start + Duration::from_micros(below(&mut random, 100_000));
        sleepers.spawn(async move {
            sleep_until(at).await;
            Instant::now().duration_since(at)
        });
    }
    let mut late = within(sleepers.join_all()).await;
    late.sort();
    assert!(late[0] < millis(20), "{:?}", late[0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deadline_that_has_passed_is_met_at_once() {
    within(sleep_until(Instant::now())).await;
    within(sleep_until(Instant::now() - millis(1))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sleeper_that_is_dropped_disturbs_nobody() {
    let start = Instant::now();
    for _ in 0..100 {
        let soon = sleep_until(start + millis(5));
        let far = sleep_until(start + Duration::from_secs(3600));
        let _ = timeout(Duration::from_micros(100), soon).await;
        let _ = timeout(Duration::from_micros(100), far).await;
    }
    let at = Instant::now() + millis(10);
    within(sleep_until(at)).await;
    assert!(Instant::now() >= at);
}
