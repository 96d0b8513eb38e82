//! Fixtures that tests share: set up once, broken by one test at a time, and gone afterwards,
//! however the process ends.

mod modules;
mod of_run;
mod wrong;

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{LazyLock, Mutex};

use chaos_test::prelude::*;
use chaos_test::{link, process};
use chaos_test_fixtures::rerun::{Ended, Rerun};
use rustix::process::{Pid, Signal as Raw, kill_process};
use tokio::sync::Barrier;

use crate::bad_input::nothing_left;
use crate::subjects::say;
use crate::victims::{inventory_program, watch};

/// A service, and a mark that is said when it goes.
#[chaos_fixture(scope = "binary")]
pub async fn warehouse(chaos: &ChaosContext) -> chaos_test::Result<Service> {
    say("warehouse is set up");
    chaos.at_rollback("say so", async || {
        say("warehouse is torn down");
        Ok::<_, TestError>(())
    })?;
    Ok(chaos.process("warehouse", inventory_program()).await?)
}

/// Another one that needs it.
#[chaos_fixture(scope = "binary")]
async fn counter(chaos: &ChaosContext, warehouse: &Service) -> chaos_test::Result<Service> {
    // It is there by now.
    tokio::net::TcpStream::connect(warehouse.first_address().socket()).await?;
    say("counter is set up");
    chaos.at_rollback("say so", async || {
        say("counter is torn down");
        Ok::<_, TestError>(())
    })?;
    Ok(chaos.process("counter", inventory_program()).await?)
}

/// Kills a service for a moment and sees it come back.
pub async fn outage(chaos: &ChaosContext, service: &Service) -> chaos_test::Result {
    let requests = watch(chaos, service);
    let normal = requests.baseline(ms(100)).await?;
    let outage = chaos
        .during(process::kill(service), async |_| {
            requests.over(ms(100)).await
        })
        .await?;
    requests
        .recovers_to(&normal)
        .since(outage.lifted())
        .within(secs(10))
        .await?;
    Ok(())
}

static BOTH: LazyLock<Barrier> = LazyLock::new(|| Barrier::new(2));

/// Two of these come together only where they run side by side, on the same service.
async fn meet(chaos: &ChaosContext, counter: &Service, name: &str) -> chaos_test::Result {
    say(&format!("{name} has {}", counter.first_address()));
    let requests = watch(chaos, counter);
    tokio::time::timeout(secs(60), BOTH.wait()).await?;
    requests
        .over(ms(100))
        .await?
        .expect(error_rate().at_most(percent(0)))
        .check()?;
    // Something of its own has to be broken, or it is no chaos test.
    let own = chaos.process("own", inventory_program()).await?;
    outage(chaos, &own).await
}

#[chaos_test]
#[ignore = "another test runs it as a child"]
async fn one_meets(chaos: &ChaosContext, counter: &Service) -> chaos_test::Result {
    meet(chaos, counter, "one").await
}

#[chaos_test]
#[ignore = "another test runs it as a child"]
async fn other_meets(chaos: &ChaosContext, counter: &Service) -> chaos_test::Result {
    meet(chaos, counter, "other").await
}

fn lines_with(ended: &Ended, text: &str) -> usize {
    let output = ended.output();
    output.lines().filter(|line| line.contains(text)).count()
}

/// Where something stands in what a child said.
fn place(ended: &Ended, text: &str) -> usize {
    let output = ended.output();
    output
        .find(text)
        .unwrap_or_else(|| panic!("it never said `{text}`:\n{output}"))
}

#[test]
fn it_is_set_up_once_and_used_side_by_side() {
    let ended = Rerun::of("scopes::one_meets")
        .beside("scopes::other_meets")
        .beside("--test-threads=2")
        .run();
    assert!(ended.status.success(), "{}", ended.output());
    for said in ["warehouse is set up", "counter is set up"] {
        assert_eq!(lines_with(&ended, said), 1, "{}", ended.output());
    }
    let output = ended.output();
    let address = |name: &str| {
        let mut lines = output.lines();
        lines
            .find_map(|line| line.strip_prefix(&format!("{name} has ")))
            .map(str::to_owned)
    };
    assert!(address("one").is_some());
    assert_eq!(address("one"), address("other"));
    // What needs another one goes before it, both after the tests.
    assert!(place(&ended, "counter is torn down") < place(&ended, "warehouse is torn down"));
    assert!(place(&ended, "test result: ok. 2 passed") < place(&ended, "counter is torn down"));
    let junit = ended.junit();
    assert_eq!(junit.matches("<testcase").count(), 2, "{junit}");
    nothing_left(&ended);
}

static INSIDE: AtomicU32 = AtomicU32::new(0);
static BREAKS: Mutex<Vec<&str>> = Mutex::new(Vec::new());

/// It would deviate if somebody else were to break the service meanwhile.
#[chaos_test]
#[ignore = "another test runs it as a child"]
async fn one_relies_on_it(chaos: &ChaosContext, counter: &Service) -> chaos_test::Result {
    assert_eq!(INSIDE.load(Ordering::SeqCst), 0, "somebody breaks it");
    let requests = watch(chaos, counter);
    let normal = requests.over(ms(200)).await?;
    normal.expect(error_rate().at_most(percent(0))).check()?;
    assert_eq!(INSIDE.load(Ordering::SeqCst), 0, "somebody breaks it");
    let own = chaos.process("own", inventory_program()).await?;
    outage(chaos, &own).await
}

async fn alone(chaos: &ChaosContext, service: &Service, name: &'static str) -> chaos_test::Result {
    assert_eq!(
        INSIDE.fetch_add(1, Ordering::SeqCst),
        0,
        "two break it at once"
    );
    outage(chaos, service).await?;
    INSIDE.fetch_sub(1, Ordering::SeqCst);
    BREAKS.lock().unwrap().push(name);
    say(&format!("{name} has broken it"));
    Ok(())
}

#[chaos_test(breaks(warehouse))]
#[ignore = "another test runs it as a child"]
async fn one_breaks_it(chaos: &ChaosContext, warehouse: &Service) -> chaos_test::Result {
    alone(chaos, warehouse, "one").await
}

#[chaos_test(breaks(storehouse))]
#[ignore = "another test runs it as a child"]
async fn other_breaks_it(
    chaos: &ChaosContext,
    #[from(warehouse)] storehouse: &Service,
) -> chaos_test::Result {
    alone(chaos, storehouse, "other").await
}

/// A fault on a link of a shared service is the test's own, too.
#[chaos_test(breaks(warehouse))]
#[ignore = "another test runs it as a child"]
async fn one_slows_it_down(chaos: &ChaosContext, warehouse: &Service) -> chaos_test::Result {
    assert_eq!(
        INSIDE.fetch_add(1, Ordering::SeqCst),
        0,
        "two break it at once"
    );
    let requests = watch(chaos, warehouse);
    let slow = chaos
        .during(link::latency(warehouse, ms(50)), async |_| {
            requests.over(ms(200)).await
        })
        .await?;
    drop(slow);
    INSIDE.fetch_sub(1, Ordering::SeqCst);
    Ok(())
}

#[test]
fn who_breaks_it_has_it_alone() {
    let ended = Rerun::of("scopes::one_breaks_it")
        .beside("scopes::other_breaks_it")
        .beside("scopes::one_relies_on_it")
        .beside("scopes::one_slows_it_down")
        .beside("--test-threads=4")
        .run();
    assert!(ended.status.success(), "{}", ended.output());
    assert_eq!(
        lines_with(&ended, "warehouse is set up"),
        1,
        "{}",
        ended.output()
    );
    assert_eq!(lines_with(&ended, "has broken it"), 2, "{}", ended.output());
    let waited = ended
        .journals()
        .iter()
        .filter(|journal| journal.contains("waits for fixture"))
        .count();
    assert!(waited > 0, "nobody had to wait:\n{}", ended.output());
    nothing_left(&ended);
}

/// A test that says when it is in the middle of a fault on a shared service.
#[chaos_test(breaks(warehouse))]
#[ignore = "another test runs it as a child"]
async fn one_is_in_the_middle(
    chaos: &ChaosContext,
    warehouse: &Service,
    counter: &Service,
) -> chaos_test::Result {
    let _ = counter;
    let requests = watch(chaos, warehouse);
    let _hang = chaos.inject(process::stop(warehouse)).await?;
    requests.over(ms(1)).await?;
    say("in the middle");
    std::future::pending::<()>().await;
    Ok(())
}

#[test]
fn nothing_is_left_of_a_killed_process() {
    let mut started = Rerun::of("scopes::one_is_in_the_middle").start();
    started.until_printed("in the middle");
    nothing_left(&started.kill());
}

#[test]
fn a_signal_ends_the_tests_first_and_then_what_they_share() {
    let mut started = Rerun::of("scopes::one_is_in_the_middle").start();
    started.until_printed("in the middle");
    let pid = i32::try_from(started.pid()).ok().and_then(Pid::from_raw);
    kill_process(pid.unwrap(), Raw::INT).unwrap();
    let ended = started.wait();
    assert!(!ended.status.success());
    assert!(place(&ended, "counter is torn down") < place(&ended, "warehouse is torn down"));
    assert!(ended.junit().contains("interrupted"), "{}", ended.junit());
    nothing_left(&ended);
}

#[chaos_test(breaks(warehouse))]
#[ignore = "another test runs it as a child"]
async fn one_exits(chaos: &ChaosContext, warehouse: &Service) -> chaos_test::Result {
    let requests = watch(chaos, warehouse);
    let _hang = chaos.inject(process::stop(warehouse)).await?;
    requests.over(ms(1)).await?;
    std::process::exit(0);
}

#[test]
fn a_process_that_exits_puts_it_back() {
    let ended = Rerun::of("scopes::one_exits").run();
    assert_eq!(ended.status.code(), Some(101), "{}", ended.output());
    assert_eq!(
        lines_with(&ended, "warehouse is torn down"),
        1,
        "{}",
        ended.output()
    );
    nothing_left(&ended);
}

/// Contexts without the macro share it, too, and say when they break it.
#[tokio::test]
async fn a_context_without_the_macro_has_it_alone() {
    let chaos = ChaosContext::start().await.unwrap();
    let own = chaos.fixture_alone(modules::depot).await.unwrap();
    outage(&chaos, &own).await.unwrap();
    let outcome = chaos.finish().await.unwrap();
    assert!(outcome.passed(), "{outcome:?}");

    let chaos = ChaosContext::start().await.unwrap();
    let beside = chaos.fixture(modules::depot).await.unwrap();
    assert_eq!(own.first_address(), beside.first_address());
    let refused = chaos.inject(process::kill(&beside)).await.unwrap_err();
    assert!(refused.is_refused(), "{refused}");
    let refused = chaos
        .fixture_alone(modules::depot)
        .await
        .unwrap_err()
        .to_string();
    assert!(
        refused.contains("cannot be had alone any more"),
        "{refused}"
    );
    let own = chaos.process("own", inventory_program()).await.unwrap();
    outage(&chaos, &own).await.unwrap();
    chaos.finish().await.unwrap();
}
