//! What the tests of one module share ends with the last of them.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use chaos_test::prelude::*;
use chaos_test_fixtures::rerun::Rerun;

use super::outage;
use crate::bad_input::nothing_left;
use crate::subjects::say;
use crate::victims::inventory_program;

static TORN_DOWN: AtomicBool = AtomicBool::new(false);

/// For the tests of whichever module takes it.
#[chaos_fixture(scope = "module")]
pub async fn depot(chaos: &ChaosContext) -> chaos_test::Result<Service> {
    let depot = chaos.process("depot", inventory_program()).await?;
    let at = depot.first_address();
    say(&format!("depot is set up at {at}"));
    chaos.at_rollback("say so", async move || {
        TORN_DOWN.store(true, Ordering::SeqCst);
        say(&format!("depot is torn down at {at}"));
        Ok::<_, TestError>(())
    })?;
    Ok(depot)
}

mod few {
    use super::*;

    #[chaos_test(breaks(depot))]
    #[ignore = "another test runs it as a child"]
    async fn first(chaos: &ChaosContext, depot: &Service) -> chaos_test::Result {
        outage(chaos, depot).await
    }

    #[chaos_test(breaks(depot))]
    #[ignore = "another test runs it as a child"]
    async fn second(chaos: &ChaosContext, depot: &Service) -> chaos_test::Result {
        outage(chaos, depot).await
    }
}

mod other {
    use super::*;

    /// It goes on until the others' one is gone.
    #[chaos_test(breaks(depot))]
    #[ignore = "another test runs it as a child"]
    async fn third(chaos: &ChaosContext, depot: &Service) -> chaos_test::Result {
        let gone = chaos.eventually("the others' depot is gone", async || {
            TORN_DOWN.load(Ordering::SeqCst)
        });
        gone.within(secs(60)).await?;
        outage(chaos, depot).await
    }
}

#[test]
fn each_module_has_its_own_and_it_ends_with_its_last_test() {
    let ended = Rerun::of("scopes::modules::few::first")
        .beside("scopes::modules::few::second")
        .beside("scopes::modules::other::third")
        .beside("--test-threads=3")
        .run();
    assert!(ended.status.success(), "{}", ended.output());
    let output = ended.output();
    let mut set_up: Vec<_> = output
        .lines()
        .filter_map(|line| line.strip_prefix("depot is set up at "))
        .collect();
    set_up.sort_unstable();
    assert_eq!(set_up.len(), 2, "{output}");
    assert_ne!(set_up[0], set_up[1]);
    nothing_left(&ended);
}

static BEGUN: AtomicBool = AtomicBool::new(false);
static GOT: Mutex<Option<Result<u16, String>>> = Mutex::new(None);

/// Whoever asks for it waits for a while.
#[chaos_fixture(scope = "module")]
async fn slow() -> u16 {
    BEGUN.store(true, Ordering::SeqCst);
    tokio::time::sleep(secs(3)).await;
    1
}

mod left {
    use super::*;

    /// It is the last one of its module, and a context without the macro still waits there.
    #[chaos_test]
    #[ignore = "another test runs it as a child"]
    async fn one_leaves(chaos: &ChaosContext) -> chaos_test::Result {
        let own = chaos.process("own", inventory_program()).await?;
        outage(chaos, &own).await?;
        let waits = || {
            let plain = ChaosContext::start_blocking().unwrap();
            let got = plain.block_on(plain.fixture(slow));
            let got = got.map(|it| *it).map_err(|error| error.to_string());
            *GOT.lock().unwrap() = Some(got);
        };
        let thread = std::thread::Builder::new().name("scopes::modules::left::waits".to_owned());
        thread.spawn(waits)?;
        let begun = chaos.eventually("its set-up has begun", async || {
            BEGUN.load(Ordering::SeqCst)
        });
        begun.within(secs(60)).await?;
        Ok(())
    }
}

mod stays {
    use super::*;

    #[chaos_test]
    #[ignore = "another test runs it as a child"]
    async fn one_looks(chaos: &ChaosContext) -> chaos_test::Result {
        let own = chaos.process("own", inventory_program()).await?;
        outage(chaos, &own).await?;
        let got = chaos.eventually("the other context got an answer", async || {
            GOT.lock().unwrap().is_some()
        });
        got.within(secs(60)).await?;
        assert_eq!(*GOT.lock().unwrap(), Some(Ok(1)));
        Ok(())
    }
}

#[test]
fn it_does_not_end_under_a_context_that_waits_for_it() {
    let ended = Rerun::of("scopes::modules::left::one_leaves")
        .beside("scopes::modules::stays::one_looks")
        .beside("--test-threads=2")
        .run();
    assert!(ended.status.success(), "{}", ended.output());
    nothing_left(&ended);
}
