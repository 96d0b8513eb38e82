//! Windows that are open, closed, and end while something is broken.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use chaos_test::prelude::*;
use chaos_test::{Effect, Error, ReadOnlySystem, RunStatus, System, Target, Undo, process};

use super::{Child, says};
use crate::bad_input::outcome;
use crate::subjects::say;
use crate::victims::{inventory, watch};

/// It breaks something for as long as somebody says, or for good.
#[chaos_test]
#[ignore = "another test runs it as a child"]
async fn breaks_for_long(chaos: &ChaosContext, inventory: &Service) -> chaos_test::Result {
    let requests = watch(chaos, inventory);
    let first = chaos.inject(process::stop(inventory)).await?;
    requests.over(ms(50)).await?;
    first.lift().await?;
    if let Ok(length) = std::env::var("LASTING") {
        let fault = process::stop(inventory).lasting(secs(length.parse()?));
        let _long = chaos.inject(fault).await?;
        requests.over(ms(50)).await?;
        return Ok(());
    }
    let _good = chaos.inject(process::stop(inventory)).await?;
    say("it is broken");
    std::future::pending::<()>().await;
    Ok(())
}

/// Starts what it has again only when a window is over, as the parent says.
#[chaos_test]
#[ignore = "another test runs it as a child"]
async fn restarts_late(chaos: &ChaosContext, inventory: &Service) -> chaos_test::Result {
    let down_for = secs(std::env::var("DOWN_FOR")?.parse()?);
    let fault = process::restart(inventory).down_for(down_for);
    chaos.inject(fault).await?.lift().await?;
    Ok(())
}

/// Is prepared until a second of the day has come.
#[derive(Debug)]
struct PreparedUntil(u64);

impl Fault for PreparedUntil {
    fn targets(&self) -> Vec<Target> {
        vec![Target::other("nothing")]
    }

    async fn prepare(&self, _: &ReadOnlySystem) -> Result<Undo, Error> {
        say("it is prepared");
        until_second(self.0).await;
        Ok(Undo::Nothing)
    }

    async fn apply(&self, _: &System) -> Result<(), Error> {
        say("it is applied");
        Ok(())
    }

    async fn verify(&self, _: &ReadOnlySystem) -> Result<Effect, Error> {
        Ok(Effect::Spent)
    }

    fn hits(&self, _: &ReadOnlySystem) -> Option<u64> {
        Some(1)
    }
}

async fn until_second(second: u64) {
    // Across midnight the difference is large, and means the past.
    while (1..43200).contains(&((second + 86400 - second_of_day()) % 86400)) {
        tokio::time::sleep(ms(10)).await;
    }
}

/// It is permitted a moment before the end of a window, and prepared a moment after it.
#[chaos_test(timeout = "120s")]
#[ignore = "another test runs it as a child"]
async fn is_prepared_for_long(chaos: &ChaosContext) -> chaos_test::Result {
    chaos.may_break(&Target::other("nothing"));
    let end: u64 = std::env::var("WINDOW_END")?.parse()?;
    until_second((end + 86400 - 5) % 86400).await;
    let refused = chaos.inject(PreparedUntil(end)).await.map(drop);
    let refused = refused.expect_err("its window is over");
    say(&format!("is_refused: {}", refused.is_refused()));
    Err(refused.into())
}

fn child(window: &str) -> Child {
    of("breaks_for_long", window)
}

fn of(test: &str, window: &str) -> Child {
    let config = format!(
        "default = 'staging'\n[environment.staging]\nwindows = ['{window}']\nmay_break = ['nothing']"
    );
    Child::of(&format!("time::{test}")).config(&config)
}

/// Seconds since midnight, in UTC.
fn second_of_day() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    now.as_secs() % 86400
}

/// A minute of the day as a configuration has it.
fn minute(minute: u64) -> String {
    let minute = minute % 1440;
    format!("{:02}:{:02}", minute / 60, minute % 60)
}

#[test]
fn outside_of_its_windows_nothing_may_be_broken() {
    let now = second_of_day() / 60;
    // It begins in an hour, and has been over for an hour.
    let window = format!("daily {}-{} UTC", minute(now + 60), minute(now + 1380));
    let ended = child(&window).env("LASTING", "1").run(false);
    says(
        &ended,
        &[
            "stop inventory was refused, nothing was touched: the environment `staging` forbids it: \
             - it is ",
            &format!("chaos-test.toml:3) are `{window}`"),
        ],
    );
}

#[test]
fn a_fault_must_end_within_its_window() {
    let now = second_of_day() / 60;
    let window = format!("daily {}-{} UTC", minute(now + 1380), minute(now + 60));
    child(&window).env("LASTING", "60").run(true);
    let ended = child(&window).env("LASTING", "7200").run(false);
    says(
        &ended,
        &["it lasts 120 min, and nothing may be broken any more in"],
    );
}

/// It is over once it is applied, which takes long.
#[test]
fn a_restart_must_be_over_within_its_window() {
    let now = second_of_day() / 60;
    let window = format!("daily {}-{} UTC", minute(now + 1380), minute(now + 60));
    let ended = of("restarts_late", &window)
        .env("DOWN_FOR", "7200")
        .run(false);
    says(
        &ended,
        &[
            "restart inventory was refused, nothing was touched",
            "it lasts 120 min, and nothing may be broken any more in",
        ],
    );
    let ended = of("restarts_late", &window).env("DOWN_FOR", "0").run(false);
    let output = ended.output();
    assert!(!output.contains("refused"), "{output}");
}

#[test]
fn a_window_that_ends_before_a_fault_is_applied_forbids_it() {
    // Long enough to begin, however busy the machine is.
    let end = (second_of_day() + 20).div_ceil(60);
    let window = format!("daily {}-{} UTC", minute(end + 1380), minute(end));
    let child = of("is_prepared_for_long", &window);
    let ended = child
        .env("WINDOW_END", (end * 60 % 86400).to_string())
        .run(false);
    says(
        &ended,
        &[
            // Libtest says in between that it takes long.
            "it is prepared",
            "is_refused: true",
            "was refused, nothing was touched: the environment `staging` forbids it: - it is ",
            &format!("chaos-test.toml:3) are `{window}`"),
        ],
    );
    let output = ended.output();
    assert!(!output.contains("it is applied"), "{output}");
    let journal = &ended.journals()[0];
    assert!(!journal.contains("\"event\":\"planned\""), "{journal}");
}

#[test]
fn a_window_that_ends_while_something_is_broken_aborts_the_test() {
    // Long enough to begin, however busy the machine is, and no longer.
    let now = second_of_day();
    let end = (now + 20).div_ceil(60);
    let window = format!("daily {}-{} UTC", minute(now / 60 + 1380), minute(end));
    let Child { folder, rerun } = child(&window);
    let mut started = rerun.start();
    started.until_printed("it is broken");
    let ended = started.wait();
    drop(folder);
    let late = (second_of_day() + 86400 - end * 60 % 86400) % 86400;
    assert!(
        Duration::from_secs(late) < Duration::from_secs(60),
        "{late}"
    );
    crate::bad_input::nothing_left(&ended);
    let RunStatus::Aborted(why) = outcome(&ended).status else {
        panic!("{}", ended.output());
    };
    let expected = "nothing may be broken any more in the environment `staging`: it is ";
    assert!(why.starts_with(expected), "{why}");
    assert!(!ended.status.success());
}
