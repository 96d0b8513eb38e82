//! Programs as probes: what they say of a real Redis, and that none outlives its sample or test.

use std::time::{Duration, Instant};

use chaos_test::prelude::*;
use chaos_test::{command, log_line, process};
use chaos_test_fixtures::rerun::Rerun;

use crate::subjects::say;
use crate::victims::{inventory, runs};

#[chaos_fixture]
async fn cache(chaos: &ChaosContext) -> chaos_test::Result<Service> {
    let program = Program::new("redis-server")
        .listens(6379)
        .args(["--port", "{port}", "--bind", "127.0.0.1", "--dir", "{dir}"])
        .args(["--save", ""])
        .ready(log_line("Ready to accept connections"));
    Ok(chaos.process("cache", program).await?)
}

/// The processes that run with a word in their command line.
fn with_word(word: &str) -> Vec<u32> {
    std::fs::read_dir("/proc")
        .expect("there is a /proc")
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid| {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let mut words = line.split(|byte| *byte == 0);
            words.any(|one| one == word.as_bytes()) && runs(*pid)
        })
        .collect()
}

fn until(what: &str, condition: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(30);
    while !condition() {
        assert!(Instant::now() < end, "never came true: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A dead Redis answers no ping of its own client, and does again once it is back; what the client
/// prints is a number like any other.
#[chaos_test(
    timeout = "120s",
    breaks(cache),
    requires(program("redis-server"), program("redis-cli"))
)]
async fn redis_is_asked_by_its_own_client(
    chaos: &ChaosContext,
    cache: &Service,
) -> chaos_test::Result {
    let ask = |what: &str| cache.command(["redis-cli", "-p", "{port:6379}", what]);
    let pings = ask("ping").stdout_contains("PONG").every(ms(100));
    let pings = chaos.monitor(pings);
    assert!(pings.name().starts_with("cache: redis-cli -p "));
    let normal = pings.baseline(secs(1)).await?;
    let keys = chaos.monitor(ask("dbsize").number().every(ms(100)));
    let seen = keys.over(ms(500)).await?;
    seen.expect(value().at_most(0.0)).check()?;
    let outage = chaos
        .during(process::kill(cache), async |_| {
            let seen = pings.over(secs(1)).await?;
            let said = seen
                .samples()
                .iter()
                .find_map(|sample| match &sample.reading {
                    chaos_test::Reading::Bad(why) => Some(why.clone()),
                    chaos_test::Reading::Good(_) => None,
                });
            let said = said.unwrap_or_default();
            assert!(said.starts_with("it ended with exit status: 1: "), "{said}");
            seen.expect(availability().at_most(percent(30))).check()
        })
        .await?;
    pings
        .recovers_to(&normal)
        .since(outage.lifted())
        .within(secs(20))
        .await?;
    Ok(())
}

/// A command has the sample's trace, the variables and the folder that it was given, and no
/// standard input; its exit code is what it is judged by.
#[chaos_test]
async fn a_command_has_what_it_was_given(
    chaos: &ChaosContext,
    inventory: &Service,
) -> chaos_test::Result {
    let script = "echo $TRACEPARENT $COLOUR ${HOME:-none} $(pwd); cat; exit 3";
    let probe = command(["sh", "-c", script])
        .env("COLOUR", "blue")
        .env_remove("HOME")
        .current_dir("/proc")
        .exit_code(3)
        .stdout_contains(format!("{}-", chaos.trace_id()));
    let told = probe.clone().stdout_contains("-01 blue none /proc");
    let mine = probe
        .env("TRACEPARENT", "mine")
        .stdout_contains("mine blue");
    // More than is kept, by far, and more than fits into a pipe.
    let prints = "yes 'a line' | head -c 3000000; yes 'a line' | head -c 3000000 >&2";
    let chatty = command(["sh", "-c", prints]).stdout_contains("a line");
    for probe in [told, mine, chatty] {
        let seen = chaos.monitor(probe.every(ms(200))).over(secs(1)).await?;
        seen.expect(error_rate().at_most(percent(0))).check()?;
    }
    let outage = chaos.inject(process::kill(inventory)).await?;
    crate::victims::come_in(inventory).await?;
    outage.lift().await?;
    Ok(())
}

/// One that takes too long ends with all that it has started, also where that has left its session
/// or scrubbed its environment.
#[test]
fn a_command_that_takes_too_long_leaves_nothing() {
    let chaos = ChaosContext::start_blocking().expect("a context can be opened");
    let script = "env -i sleep 7771301 & setsid sleep 7771302 & sleep 7771303";
    let slow = command(["sh", "-c", script]).every(secs(60));
    let slow = chaos.monitor(slow.sample_timeout(secs(2)));
    let sleepers = || ["7771301", "7771302", "7771303"].map(|word| with_word(word).len());
    until("all of them sleep", || sleepers() == [1, 1, 1]);
    let from = chaos.now();
    let error = chaos.block_on(async {
        let seen = slow.between(Duration::ZERO, from).await?;
        seen.expect(error_rate().at_most(percent(0))).check()
    });
    let error = error.expect_err("it takes too long").to_string();
    assert!(error.contains("no answer within 2 s"), "{error}");
    until("none of them sleeps", || sleepers() == [0, 0, 0]);
    let error = chaos.finish_blocking().expect_err("it deviated");
    assert!(error.is_deviation(), "{error}");
}

#[test]
fn what_runs_at_the_end_ends_with_the_context() {
    let chaos = ChaosContext::start_blocking().expect("a context can be opened");
    let script = "setsid sleep 7772301 & exec sleep 7772302";
    let _slow = chaos.monitor(command(["sh", "-c", script]).every(secs(60)));
    // One that has ended, and has left somebody behind outside of its group.
    let leaves = "setsid sleep 7772303 & until grep -qx sleep /proc/$!/comm; do :; done; exit 0";
    let left = command(["sh", "-c", leaves]);
    let _left = chaos.monitor(left.every(secs(60)));
    let sleepers = || ["7772301", "7772302", "7772303"].map(|word| with_word(word).len());
    until("all of them sleep", || sleepers() == [1, 1, 1]);
    let error = chaos.finish_blocking().expect_err("nothing was injected");
    assert!(error.is_no_data(), "{error}");
    assert_eq!(sleepers(), [0, 0, 0]);
}

/// Runs commands until it is killed.
#[chaos_test(timeout = "60s")]
#[ignore = "another test runs it as a child"]
async fn commands_run_for_ever(chaos: &ChaosContext) -> chaos_test::Result {
    let script = "env -i sleep 7773301 & setsid sleep 7773302 & sleep 7773303";
    let slow = command(["sh", "-c", script]).every(ms(20));
    let slow = chaos.monitor(slow.sample_timeout(secs(50)));
    slow.over(secs(50)).await?;
    Ok(())
}

#[test]
fn a_killed_test_leaves_no_command() {
    for watched in [true, false] {
        let rerun = Rerun::of("command_probe::commands_run_for_ever");
        let rerun = if watched { rerun } else { rerun.unwatched() };
        let child = rerun.start();
        let sleepers = || ["7773301", "7773302", "7773303"].map(|word| with_word(word).len());
        // Some run, and others are being started.
        until("some of them sleep", || {
            sleepers().iter().all(|count| *count > 5)
        });
        let ended = child.kill();
        if !watched {
            assert!(sleepers().iter().any(|count| *count > 0));
            let next = Rerun::within("subjects::nothing_is_injected", ended.folder).run();
            assert!(next.leftovers().is_empty(), "{:?}", next.leftovers());
        }
        // One that still waits at its gate when its test dies ends by itself.
        until("none of them sleeps", || sleepers() == [0, 0, 0]);
        std::thread::sleep(Duration::from_millis(200));
        assert_eq!(sleepers(), [0, 0, 0]);
    }
}

/// What can never be run, and what fails.
#[chaos_test]
#[ignore = "another test runs it as a child"]
async fn a_program_is_not_there(chaos: &ChaosContext, inventory: &Service) -> chaos_test::Result {
    let missing = inventory
        .command(["no-such-program", "{port}"])
        .every(ms(50));
    let missing = chaos.monitor(missing.named("missing"));
    for error in [
        missing.baseline(ms(200)).await.map(drop),
        missing.over(ms(200)).await.map(drop),
    ] {
        say(&error.expect_err("it is not there").to_string());
    }
    let outage = chaos.inject(process::kill(inventory)).await?;
    let fails = command(["sh", "-c", "echo out of order >&2; exit 7"]).named("fails");
    let seen = chaos.monitor(fails.every(ms(50))).over(ms(500)).await?;
    outage.lift().await?;
    seen.expect(error_rate().at_most(percent(10))).check()?;
    Ok(())
}

#[test]
fn a_program_that_is_not_there_is_an_error_and_one_that_fails_says_why() {
    let ended = Rerun::of("command_probe::a_program_is_not_there").run();
    let output = ended.output();
    assert!(!ended.status.success(), "{output}");
    let cannot = "`missing` cannot be watched: the program `no-such-program` is not on the PATH";
    assert_eq!(output.matches(cannot).count(), 2, "{output}");
    for expected in [
        "error rate of fails over 500 ms",
        "100 % (",
        "the last: it ended with exit status: 7: out of order",
    ] {
        assert!(output.contains(expected), "`{expected}` in:\n{output}");
    }
}

#[chaos_test]
#[ignore = "another test runs it as a child"]
async fn a_port_is_not_there(chaos: &ChaosContext, inventory: &Service) -> chaos_test::Result {
    let _ = chaos;
    let _ = inventory.command(["redis-cli", "-p", "{port:6379}"]);
    Ok(())
}

#[test]
fn a_placeholder_for_no_port_says_which_there_are() {
    let ended = Rerun::of("command_probe::a_port_is_not_there").run();
    let output = ended.output();
    assert!(!ended.status.success(), "{output}");
    for expected in [
        "service `inventory`: in `{port:6379}`: `{port:6379}` is not one of its ports (0)",
        "tests/e2e/command_probe.rs",
    ] {
        assert!(output.contains(expected), "`{expected}` in:\n{output}");
    }
}
