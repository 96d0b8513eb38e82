//! What is looked at before the first fault: the steady state above all. Where it does not hold,
//! nothing is broken and nothing was tested, whatever the body makes of that.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use chaos_test::prelude::*;
use chaos_test::{
    Effect, Error, Event, Journal, PreflightItem, ReadOnlySystem, RunStatus, System, Target, Undo,
    Verdict, link, process,
};
use chaos_test_fixtures::rerun::Rerun;

use crate::bad_input::nothing_left;
use crate::subjects::say;
use crate::victims::{come_in, inventory, watch};

/// Something whose health is a switch, and a monitor of it.
fn switch(chaos: &ChaosContext) -> (Arc<AtomicBool>, Monitor) {
    let broken = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&broken);
    let probe = move || {
        let broken = seen.load(Ordering::SeqCst);
        async move { if broken { Err("out of order") } else { Ok(()) } }
    };
    let health = chaos.monitor(probe.every(ms(10)).named("health"));
    (broken, health)
}

/// Breaks nothing, because the system is not sound; what its body makes of that is another matter.
async fn break_what_is_broken(
    chaos: &ChaosContext,
    inventory: &Service,
) -> Result<(), chaos_test::Error> {
    let (broken, health) = switch(chaos);
    health.baseline(ms(100)).await?;
    broken.store(true, Ordering::SeqCst);
    health.over(ms(30)).await?;
    let refused = chaos.inject(process::kill(inventory)).await.map(drop);
    broken.store(false, Ordering::SeqCst);
    let socket = inventory.first_address().socket();
    say(&format!(
        "not steady: {}, still answers: {}",
        refused
            .as_ref()
            .is_err_and(chaos_test::Error::is_not_steady),
        std::net::TcpStream::connect(socket).is_ok()
    ));
    refused
}

/// It goes on as if nothing were.
#[chaos_test]
#[ignore = "another test runs it as a child"]
async fn it_swallows_the_error(chaos: &ChaosContext, inventory: &Service) -> chaos_test::Result {
    let _ = break_what_is_broken(chaos, inventory).await;
    let requests = watch(chaos, inventory);
    let outage = chaos.inject(process::kill(inventory)).await?;
    let seen = requests.over(ms(100)).await?;
    outage.lift().await?;
    // What comes afterwards does not count: the test is not what it was meant to be.
    let _ = seen.expect(error_rate().at_most(percent(0))).check();
    Ok(())
}

/// It hands the error on.
#[chaos_test(known_gap = "SHOP-12")]
#[ignore = "another test runs it as a child"]
async fn it_hands_the_error_on(chaos: &ChaosContext, inventory: &Service) -> chaos_test::Result {
    break_what_is_broken(chaos, inventory).await?;
    Ok(())
}

/// It panics because of the error.
#[chaos_test]
#[should_panic]
#[ignore = "another test runs it as a child"]
async fn it_panics(chaos: &ChaosContext, inventory: &Service) {
    break_what_is_broken(chaos, inventory).await.unwrap();
}

/// It skips itself because of the error.
#[chaos_test]
#[ignore = "another test runs it as a child"]
async fn it_skips_itself(chaos: &ChaosContext, inventory: &Service) -> chaos_test::Result {
    let _ = break_what_is_broken(chaos, inventory).await;
    Err(chaos_test::Error::skip("not today").into())
}

/// It waits for a system that only needs a moment.
#[chaos_test(timeout = "50s", requires(program("sh")), blast_radius(services <= 1))]
#[ignore = "another test runs it as a child"]
async fn everything_is_well(chaos: &ChaosContext, inventory: &Service) -> chaos_test::Result {
    let (broken, health) = switch(chaos);
    health.baseline(ms(100)).await?;
    let requests = watch(chaos, inventory);
    broken.store(true, Ordering::SeqCst);
    // Two of three samples that count are bad by now.
    health.over(ms(30)).await?;
    let repaired = Arc::clone(&broken);
    let repair = tokio::spawn(async move {
        tokio::time::sleep(ms(100)).await;
        repaired.store(false, Ordering::SeqCst);
    });
    let outage = chaos.inject(process::stop(inventory)).await?;
    assert!(!broken.load(Ordering::SeqCst), "it did not wait");
    repair.await?;
    // Nested: nothing is steady now, and nothing has to be.
    broken.store(true, Ordering::SeqCst);
    let nested = chaos.inject(link::down(inventory)).await?;
    come_in(inventory).await?;
    nested.lift().await?;
    broken.store(false, Ordering::SeqCst);
    outage.lift().await?;
    requests.over(ms(50)).await?;
    chaos
        .during(process::kill(inventory), async |_| come_in(inventory).await)
        .await?;
    Ok(())
}

/// Empties a file, and says when it looks how to put that back.
#[derive(Debug)]
struct Empty(PathBuf, Arc<tokio::sync::Notify>);

impl Fault for Empty {
    fn targets(&self) -> Vec<Target> {
        vec![Target::File(self.0.clone())]
    }

    async fn prepare(&self, system: &ReadOnlySystem) -> Result<Undo, Error> {
        self.1.notify_one();
        system.undo_restoring(&self.0)
    }

    async fn apply(&self, _: &System) -> Result<(), Error> {
        std::fs::write(&self.0, "").map_err(|error| Error::msg(error.to_string()))
    }

    async fn verify(&self, _: &ReadOnlySystem) -> Result<Effect, Error> {
        match std::fs::read(&self.0) {
            Ok(text) if text.is_empty() => Ok(Effect::Active),
            _ => Ok(Effect::Absent("it is not empty".to_owned())),
        }
    }

    fn hits(&self, _: &ReadOnlySystem) -> Option<u64> {
        Some(1)
    }
}

/// While it waits for the steady state, somebody deploys something.
#[chaos_test]
async fn what_changes_before_the_fault_is_put_back_as_it_became(
    chaos: &ChaosContext,
) -> chaos_test::Result {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("config");
    std::fs::write(&path, "old")?;
    chaos.may_break(&Target::File(path.clone()));
    let (broken, health) = switch(chaos);
    health.baseline(ms(100)).await?;
    broken.store(true, Ordering::SeqCst);
    health.over(ms(30)).await?;
    let looks = Arc::new(tokio::sync::Notify::new());
    let deploy = async {
        // It must not have looked by then: it has every chance to.
        let _ = tokio::time::timeout(ms(300), looks.notified()).await;
        std::fs::write(&path, "new")?;
        broken.store(false, Ordering::SeqCst);
        Ok::<_, TestError>(())
    };
    let fault = Empty(path.clone(), Arc::clone(&looks));
    let (injected, deployed) = tokio::join!(chaos.inject(fault), deploy);
    deployed?;
    let injected = injected?;
    assert_eq!(std::fs::read_to_string(&path)?, "");
    injected.lift().await?;
    assert_eq!(std::fs::read_to_string(&path)?, "new");
    Ok(())
}

#[test]
fn what_is_not_steady_is_not_tested_whatever_the_body_makes_of_it() {
    let tests = [
        "it_swallows_the_error",
        "it_hands_the_error_on",
        "it_panics",
        "it_skips_itself",
    ];
    let mut child = Rerun::of(&format!("preflight::{}", tests[0])).env_remove("CHAOS_REQUIRE");
    for test in &tests[1..] {
        child = child.beside(&format!("preflight::{test}"));
    }
    let ended = child.run();
    nothing_left(&ended);
    let output = ended.output();
    assert!(!ended.status.success(), "{output}");
    let all = "not steady: true, still answers: true";
    assert_eq!(output.matches(all).count(), tests.len(), "{output}");
    let journals = ended.journals();
    assert_eq!(journals.len(), tests.len(), "{output}");
    for journal in journals {
        let records = Journal::read(&journal).expect("it is a journal").records;
        let mut events = records.into_iter().rev().map(|record| record.event);
        let outcome = events.find_map(|event| match event {
            Event::Finished { outcome } => Some(outcome),
            _ => None,
        });
        let outcome = outcome.expect("it finished");
        assert_eq!(outcome.status, RunStatus::Completed);
        let Verdict::Unknown(why) = &outcome.verdict else {
            panic!("{outcome:?}\n{output}");
        };
        let expected = "not tested: the steady state does not hold before `kill inventory`: \
                        `health` was not steady within 10 s: out of order";
        assert!(why.starts_with(expected), "{why}");
    }
    for expected in [
        "preflight::it_swallows_the_error: not tested",
        "! pre-flight of kill inventory: steady state: `health` was not steady within 10 s",
        "kill inventory was refused, nothing was touched: the steady state does not hold",
    ] {
        assert!(output.contains(expected), "{expected} in:\n{output}");
    }
    let junit = ended.junit();
    let count = junit.matches("<failure message=\"not tested: ").count();
    assert_eq!(count, tests.len(), "{junit}");
}

#[test]
fn each_item_is_written_down_before_the_first_fault() {
    let ended = Rerun::of("preflight::everything_is_well").run();
    let output = ended.output();
    assert!(ended.status.success(), "{output}");
    nothing_left(&ended);
    let journals = ended.journals();
    let [journal] = journals.as_slice() else {
        panic!("{} journals", journals.len());
    };
    let records = Journal::read(journal).expect("it is a journal").records;
    let preflights: Vec<(String, Vec<PreflightItem>)> = records
        .into_iter()
        .filter_map(|record| match record.event {
            Event::Preflight { fault, items } => Some((fault, items)),
            _ => None,
        })
        .collect();
    let faults: Vec<&str> = preflights.iter().map(|(fault, _)| fault.as_str()).collect();
    assert_eq!(faults, ["stop inventory", "kill inventory"]);
    for (fault, items) in &preflights {
        assert!(items.iter().all(|item| item.ok), "{items:?}");
        let undo = match fault.as_str() {
            "stop inventory" => "; on disk, so that it is done where this process is killed, too",
            _ => {
                "have `inventory` run again; where this process is killed, that which it broke \
                  goes with it"
            }
        };
        for ((check, expected), item) in [
            (
                "steady state",
                "steady: health; no baseline: inventory/stock/42",
            ),
            ("undo", undo),
            ("capabilities", "program:sh; the fault has what it needs"),
            (
                "limits",
                "only what the test made; services <= 1; timeout 50 s; no abort condition",
            ),
            ("other experiments", "the test made what it breaks"),
        ]
        .into_iter()
        .zip(items)
        {
            assert_eq!(item.check, check);
            assert!(item.detail.ends_with(expected), "{check}: {}", item.detail);
        }
    }
    let junit = ended.junit();
    let line = "pre-flight of kill inventory: all is well (steady: health; no";
    assert!(junit.contains(line), "{junit}");
}
