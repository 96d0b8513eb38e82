//! Dry runs: the whole plan is carried out and shown, nothing is broken, and what only a fault
//! could make true is not judged. Never green, never red for want of chaos.

use std::time::{Duration, Instant};

use chaos_test::prelude::*;
use chaos_test::{Event, Journal, Met, Outcome, RunStatus, Verdict, link, lost, process};
use chaos_test_fixtures::rerun::{Ended, Rerun};

use crate::bad_input::{nothing_left, outcome};
use crate::subjects::say;
use crate::victims::{inventory, inventory_program, watch};

/// Tells whether inventory is the process that it was, and answers.
fn tell(inventory: &Service, start: &str) {
    let answers = std::net::TcpStream::connect(inventory.first_address().socket()).is_ok();
    let same = inventory
        .last_lines(1000)
        .unwrap()
        .concat()
        .matches(start)
        .count()
        == 1;
    say(&format!("answers: {answers}, never restarted: {same}"));
}

/// Callers do not notice that inventory is down.
#[chaos_test(
    breaks(inventory),
    blast_radius(services <= 1, duration <= 1min),
    expects(error_rate <= 0%, recovery <= 1ms, lost <= 0),
    abort_if(nobody.error_rate > 50%),
    must_fail_when(env("FALLBACK" = "off")),
    timeout = "50s"
)]
#[ignore = "another test runs it as a child"]
async fn a_whole_plan(chaos: &ChaosContext, inventory: &Service) -> chaos_test::Result {
    let requests = watch(chaos, inventory);
    let normal = requests.baseline(ms(200)).await?;
    let before = requests.over(ms(50)).await?;
    let outage = chaos
        .during(process::kill(inventory), async |_| {
            let seen = requests.over(secs(300)).await?;
            tell(inventory, "start 1 of");
            seen.expect(availability().at_most(percent(0))).check()?;
            let refused = chaos.inject(link::latency(inventory, ms(1)).lasting(secs(61)));
            assert!(refused.await.unwrap_err().is_refused());
            chaos
                .inject(link::latency(inventory, ms(0)))
                .await
                .unwrap_err();
            Ok::<_, TestError>(())
        })
        .await?;
    // Seen before anything would have been broken, and judged as ever.
    before.expect(error_rate().at_most(percent(0))).check()?;
    requests
        .recovers_to(&normal)
        .since(outage.lifted())
        .within(ms(1))
        .await?;
    chaos
        .eventually("an alert", async || false)
        .within(secs(300))
        .await?;
    let value: u32 = chaos.eventually("a value", async || Some(17)).await?;
    assert_eq!(value, 17);
    chaos
        .consistency("orders", [(1, "a")], [])
        .expect(lost().at_most(0))
        .check()?;
    let hang = chaos
        .inject(process::stop(inventory).lasting(ms(50)))
        .await?;
    hang.ended().await?;
    let restart = chaos.inject(process::restart(inventory)).await?;
    drop(restart);
    tell(inventory, "start 1 of");
    Ok(())
}

/// The same, and a body that cannot do without what only the fault brings.
#[chaos_test]
#[ignore = "another test runs it as a child"]
async fn a_body_that_needs_the_fault(
    chaos: &ChaosContext,
    inventory: &Service,
) -> chaos_test::Result {
    let outage = chaos.inject(process::kill(inventory)).await?;
    let _: u32 = chaos
        .eventually("an alert", async || None)
        .within(secs(300))
        .await?;
    outage.lift().await?;
    Ok(())
}

/// The same, with an assertion of its own.
#[chaos_test(known_gap = "SHOP-12")]
#[ignore = "another test runs it as a child"]
async fn a_body_that_panics(chaos: &ChaosContext, inventory: &Service) -> chaos_test::Result {
    let requests = watch(chaos, inventory);
    let _outage = chaos.inject(process::kill(inventory)).await?;
    let seen = requests.over(ms(300)).await?;
    assert!(
        seen.samples()
            .iter()
            .all(|sample| !sample.reading.is_good()),
        "still well"
    );
    Ok(())
}

/// One that is to panic under the fault.
#[chaos_test]
#[should_panic(expected = "no stock")]
#[ignore = "another test runs it as a child"]
async fn a_body_that_is_to_panic(chaos: &ChaosContext, inventory: &Service) {
    let _outage = chaos.inject(process::kill(inventory)).await.unwrap();
}

/// It has an error before anything would be broken.
#[chaos_test]
#[ignore = "another test runs it as a child"]
async fn it_goes_wrong_before(chaos: &ChaosContext, inventory: &Service) -> chaos_test::Result {
    let requests = watch(chaos, inventory);
    let seen = requests.over(ms(50)).await?;
    let _: u16 = "seventeen".parse()?;
    drop(seen);
    Ok(())
}

/// It misses something before anything would be broken.
#[chaos_test]
#[ignore = "another test runs it as a child"]
async fn it_misses_before(chaos: &ChaosContext, inventory: &Service) -> chaos_test::Result {
    let requests = watch(chaos, inventory);
    let seen = requests.over(ms(50)).await?;
    let _ = seen.expect(availability().at_most(percent(0))).check();
    let _outage = chaos.inject(process::kill(inventory)).await?;
    Ok(())
}

/// It breaks nothing.
#[chaos_test]
#[ignore = "another test runs it as a child"]
async fn an_empty_plan(_chaos: &ChaosContext) -> chaos_test::Result {
    Ok(())
}

#[test]
#[ignore = "another test runs it as a child"]
fn without_the_macro() {
    let chaos = ChaosContext::start_blocking().unwrap();
    chaos.block_on(async {
        let inventory = chaos
            .process("inventory", inventory_program())
            .await
            .unwrap();
        let outage = chaos.inject(process::kill(&inventory)).await.unwrap();
        tell(&inventory, "start 1 of");
        outage.lift().await.unwrap();
    });
    let outcome = chaos.finish_blocking().unwrap();
    assert!(outcome.skipped().is_some() && !outcome.passed());
}

fn run(test: &str) -> Ended {
    let child = Rerun::of(&format!("dry_run::{test}"));
    let child = child.env("CHAOS_DRY_RUN", "1").env("CHAOS_REQUIRE", "all");
    let ended = child.run();
    nothing_left(&ended);
    ended
}

fn events(ended: &Ended) -> Vec<Event> {
    let journals = ended.journals();
    let [journal] = journals.as_slice() else {
        panic!("{} journals:\n{}", journals.len(), ended.output());
    };
    let records = Journal::read(journal).expect("it is a journal").records;
    records.into_iter().map(|record| record.event).collect()
}

/// It is a skip that says why, and nothing else.
#[track_caller]
fn skipped(test: &str, reason: &str) -> Ended {
    let ended = run(test);
    let output = ended.output();
    assert!(ended.status.success(), "{output}");
    let Outcome {
        status, verdict, ..
    } = outcome(&ended);
    let RunStatus::Skipped(why) = &status else {
        panic!("{status:?} {verdict:?}\n{output}");
    };
    assert!(why.starts_with(reason), "{why}");
    assert!(
        !matches!(verdict, Verdict::Held | Verdict::Deviated(_)),
        "{verdict:?}"
    );
    assert!(output.contains(&format!("{test}: {reason}")), "{output}");
    let junit = ended.junit();
    assert!(junit.contains("skipped=\"1\""), "{junit}");
    assert!(
        junit.contains(&format!("<skipped message=\"{reason}")),
        "{junit}"
    );
    let is_real = |event: &Event| {
        matches!(
            event,
            Event::Injected { .. } | Event::Planned { fault: true, .. } | Event::Lifted { .. }
        )
    };
    assert!(!events(&ended).iter().any(is_real), "{output}");
    ended
}

#[test]
fn a_whole_plan_is_carried_out_and_nothing_is_broken() {
    let began = Instant::now();
    let ended = skipped(
        "a_whole_plan",
        "dry run: would have injected 3 faults: kill inventory, stop inventory, restart inventory",
    );
    // Its windows are ten minutes long.
    assert!(began.elapsed() < Duration::from_secs(100));
    let output = ended.output();
    let all = "answers: true, never restarted: true";
    assert_eq!(output.matches(all).count(), 2, "{output}");
    for expected in [
        "chaos-test: dry run of dry_run::a_whole_plan:",
        "  -  the negative control with FALLBACK=off is not run",
        "  1. kill inventory (service `inventory`; risk medium; until it is lifted; undo: have \
         `inventory` run again)",
        "  !  delay inventory by 1.0 ms was refused, nothing was touched: blast radius: it may be in \
         force for 61 s, `duration <= 60 s` is allowed",
        "  !  delay inventory by 0 s could not be prepared: a latency of zero has no effect",
        "  2. stop inventory (service `inventory`; risk medium; for 50.0 ms; undo: continue process ",
        "  3. restart inventory (service `inventory`; risk medium; for 0 s; undo: ",
    ] {
        assert!(output.contains(expected), "{expected} in:\n{output}");
    }
    let events = events(&ended);
    let preflights = events
        .iter()
        .filter(|event| matches!(event, Event::Preflight { .. }));
    assert!(preflights.count() >= 3);
    let judged = |wanted: Met| -> Vec<&str> {
        let judged = events.iter().filter_map(|event| match event {
            Event::Judged { what, met, .. } if *met == wanted => Some(what.as_str()),
            _ => None,
        });
        judged.collect()
    };
    assert!(judged(Met::No).is_empty() && judged(Met::NoData).is_empty());
    assert!(
        matches!(judged(Met::Yes).as_slice(), [one] if one.starts_with("error rate of inventory")),
        "{:?}",
        judged(Met::Yes)
    );
    let not_judged = judged(Met::NotJudged);
    for expected in [
        "availability of inventory/stock/42",
        "recovery of inventory/stock/42",
        "an alert",
        "lost records of orders",
        "expects(recovery <= 1ms)",
        "abort condition `nobody.error_rate > 50 %`",
        "steady state of inventory/stock/42 after rollback",
    ] {
        let found = not_judged.iter().any(|what| what.starts_with(expected));
        assert!(found, "{expected} in {not_judged:?}");
    }
}

#[test]
fn a_body_that_goes_wrong_for_want_of_a_fault_is_shown_and_no_failure() {
    let ended = skipped(
        "a_body_that_panics",
        "dry run: would have injected 1 fault: kill inventory; then the body went wrong: still well",
    );
    assert!(
        ended
            .output()
            .contains("  !  the body went wrong: still well")
    );
    skipped(
        "a_body_that_needs_the_fault",
        "dry run: would have injected 1 fault: kill inventory; then the body went wrong: dry run: the \
         test cannot go on, because `an alert` gives it a value",
    );
    skipped(
        "a_body_that_is_to_panic",
        "dry run: would have injected 1 fault: kill inventory",
    );
}

#[test]
fn what_is_wrong_before_is_a_failure_as_ever() {
    for (test, expected) in [
        (
            "it_goes_wrong_before",
            "the body returned an error: invalid digit",
        ),
        ("it_misses_before", "availability of inventory/stock/42"),
    ] {
        let ended = run(test);
        assert!(!ended.status.success(), "{}", ended.output());
        let outcome = outcome(&ended);
        let Verdict::Deviated(why) = &outcome.verdict else {
            panic!("{outcome:?}");
        };
        assert!(why.starts_with(expected), "{why}");
    }
}

#[test]
fn an_empty_plan_is_no_pass_either() {
    let reason = "dry run: nothing would have been injected";
    let ended = skipped("an_empty_plan", reason);
    let output = ended.output();
    assert!(
        output.contains("1 chaos test, 0 failed, 1 skipped"),
        "{output}"
    );
}

#[test]
fn a_context_without_the_macro_has_them_too() {
    let ended = run("without_the_macro");
    let output = ended.output();
    assert!(ended.status.success(), "{output}");
    for expected in [
        "answers: true, never restarted: true",
        "SKIPPED dry_run::without_the_macro: dry run: would have injected 1 fault: kill inventory",
    ] {
        assert!(output.contains(expected), "{expected} in:\n{output}");
    }
    assert!(
        ended.junit().contains("<skipped message=\"dry run: "),
        "{}",
        ended.junit()
    );
}

#[test]
fn nonsense_is_an_error_and_nothing_is_touched() {
    let child = Rerun::of("dry_run::a_whole_plan").env("CHAOS_DRY_RUN", "perhaps");
    let ended = child.run();
    let output = ended.output();
    assert!(!ended.status.success(), "{output}");
    let expected = "CHAOS_DRY_RUN is `perhaps`, which is neither yes nor no";
    assert!(output.contains(expected), "{output}");
    assert!(!output.contains("answers: "), "{output}");
    nothing_left(&ended);
}

/// `0` is none.
#[test]
fn a_word_for_no_is_no_dry_run() {
    let child = Rerun::of("dry_run::a_body_that_panics").env("CHAOS_DRY_RUN", "0");
    let ended = child.run();
    let events = events(&ended);
    assert!(
        events
            .iter()
            .any(|event| matches!(event, Event::Injected { .. }))
    );
    assert!(!events.iter().any(|event| matches!(event, Event::DryRun)));
}
