//! Fixtures: set up once for a test, shared by all that need them, torn down in reverse.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use chaos_test::prelude::*;
use chaos_test::process;
use chaos_test_fixtures::rerun::Rerun;

use crate::victims::shared::inventory;

static SET_UPS: AtomicU32 = AtomicU32::new(0);
static ORDER: Mutex<Vec<&str>> = Mutex::new(Vec::new());

/// Says when it is dropped.
#[derive(Debug)]
pub struct Said(&'static str);

impl Drop for Said {
    fn drop(&mut self) {
        ORDER.lock().unwrap().push(self.0);
    }
}

#[chaos_fixture]
async fn ground() -> chaos_test::Result<Said> {
    SET_UPS.fetch_add(1, Ordering::SeqCst);
    Ok(Said("ground"))
}

#[chaos_fixture]
async fn left(chaos: &ChaosContext, ground: &Said) -> chaos_test::Result<Said> {
    let _ = ground;
    chaos.at_rollback("tear left down", async || {
        ORDER.lock().unwrap().push("left's own tear-down");
        Ok::<_, TestError>(())
    })?;
    Ok(Said("left"))
}

#[chaos_fixture]
fn right(ground: &Said) -> Said {
    let _ = ground;
    Said("right")
}

/// A fixture that two others need is set up once, and all go in reverse order.
#[chaos_test(breaks(inventory))]
async fn a_shared_fixture_is_set_up_once(
    chaos: &ChaosContext,
    left: &Said,
    right: &Said,
    inventory: &Service,
) -> chaos_test::Result {
    assert_eq!((left.0, right.0), ("left", "right"));
    assert_eq!(SET_UPS.load(Ordering::SeqCst), 1);
    assert_eq!(ORDER.lock().unwrap().len(), 0);
    chaos.at_rollback("look at the order", async || {
        // Values go before anything else is put back; the newest first.
        let order = ORDER.lock().unwrap().clone();
        if order == ["right", "left", "ground"] {
            Ok(())
        } else {
            Err(TestError::msg(format!("{order:?}")))
        }
    })?;
    let requests = crate::victims::watch(chaos, inventory);
    chaos
        .during(process::kill(inventory), async |_| {
            requests.over(ms(30)).await
        })
        .await?;
    Ok(())
}

static SLOW_SET_UPS: AtomicU32 = AtomicU32::new(0);

#[chaos_fixture]
async fn slow() -> u32 {
    let number = SLOW_SET_UPS.fetch_add(1, Ordering::SeqCst);
    tokio::time::sleep(ms(200)).await;
    number
}

/// Whoever stops waiting for a fixture does not have it set up a second time.
#[chaos_test(breaks(inventory))]
async fn a_fixture_that_nobody_waits_for_goes_on(
    chaos: &ChaosContext,
    inventory: &Service,
) -> chaos_test::Result {
    let requests = crate::victims::watch(chaos, inventory);
    for _ in 0..2 {
        let waited = tokio::time::timeout(ms(20), chaos.fixture(slow)).await;
        assert!(waited.is_err(), "it was ready at once");
    }
    let (one, other) = tokio::join!(chaos.fixture(slow), chaos.fixture(slow));
    assert_eq!((*one?, *other?), (0, 0));
    assert_eq!(SLOW_SET_UPS.load(Ordering::SeqCst), 1);
    chaos
        .during(process::kill(inventory), async |_| {
            requests.over(ms(30)).await
        })
        .await?;
    Ok(())
}

#[chaos_fixture]
async fn plain() -> Result<u16, &'static str> {
    Err("no port is free")
}

#[chaos_fixture]
fn boxed() -> Result<u16, Box<dyn std::error::Error>> {
    Ok("many".parse()?)
}

/// A fixture may return the errors that a test may return, and everybody who asks for it
/// is told the same.
#[chaos_test(breaks(inventory))]
async fn a_fixtures_error_is_any_that_a_tests_may_be(
    chaos: &ChaosContext,
    inventory: &Service,
) -> chaos_test::Result {
    let requests = crate::victims::watch(chaos, inventory);
    for _ in 0..2 {
        let error = chaos.fixture(plain).await.expect_err("it fails");
        assert_eq!(
            error.to_string(),
            "fixture `plain` failed: \"no port is free\""
        );
    }
    let error = chaos.fixture(boxed).await.expect_err("it fails");
    assert_eq!(
        error.to_string(),
        "fixture `boxed` failed: invalid digit found in string"
    );
    chaos
        .during(process::kill(inventory), async |_| {
            requests.over(ms(30)).await
        })
        .await?;
    Ok(())
}

#[test]
fn a_failing_fixture_fails_the_test_with_its_own_message() {
    for (test, expected) in [
        (
            "a_fixture_fails",
            "fixture `broken` failed: invalid digit found in string",
        ),
        (
            "a_fixture_panics",
            "fixture `panicking` failed: its set-up panicked",
        ),
        (
            "fixtures_go_in_circles",
            "fixtures need each other in a circle: first -> second -> first",
        ),
    ] {
        let ended = Rerun::of(&format!("subjects::{test}")).run();
        assert!(!ended.status.success(), "{test}");
        assert!(ended.output().contains(expected), "{}", ended.output());
        assert!(ended.junit().contains("<error"), "{}", ended.junit());
    }
}
