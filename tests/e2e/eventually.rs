//! What must come true within a limit, and what a miss says.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use chaos_test::prelude::*;
use chaos_test::{Condition, Error, Seen, process};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use chaos_test_fixtures::rerun::Rerun;

use crate::subjects::say;
use crate::victims::{come_in, inventory, watch};

/// What closures return is what the test gets: a truth, a value, or a value beside a truth.
#[chaos_test(breaks(inventory))]
async fn what_comes_true_is_handed_out(
    chaos: &ChaosContext,
    inventory: &Service,
) -> chaos_test::Result {
    watch(chaos, inventory);
    let _outage = chaos.inject(process::kill(inventory)).await?;
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let begun = Instant::now();
    let third = chaos
        .eventually("it was called three times", async move || {
            let call = counted.fetch_add(1, Ordering::SeqCst) + 1;
            (call >= 3, call)
        })
        .every(ms(5))
        .await?;
    assert_eq!(third, 3);
    assert!(begun.elapsed() >= ms(10), "{:?}", begun.elapsed());
    chaos
        .eventually("nobody calls it any more", async move || {
            calls.load(Ordering::SeqCst) == 3
        })
        .await?;
    // It may borrow what it owns, and hold what no other thread may have.
    let words = ["one".to_owned(), "three".to_owned()];
    let longest: String = chaos
        .eventually("there is a word", async move || -> Result<_, Error> {
            let here = std::rc::Rc::new(words.iter().max_by_key(|word| word.len()));
            tokio::task::yield_now().await;
            Ok(here.cloned())
        })
        .await?;
    assert_eq!(longest, "three");
    Ok(())
}

/// While a service is down its condition fails; neither an error nor a panic ends the asking.
#[chaos_test(breaks(inventory))]
async fn a_call_that_fails_is_made_again(
    chaos: &ChaosContext,
    inventory: &Service,
) -> chaos_test::Result {
    let outage = chaos.inject(process::kill(inventory)).await?;
    let address = inventory.first_address().socket();
    static CALLS: AtomicUsize = AtomicUsize::new(0);
    let calls = &CALLS;
    // Showing a panic may take seconds.
    let lifted = async {
        while calls.load(Ordering::SeqCst) < 3 {
            tokio::time::sleep(ms(1)).await;
        }
        outage.lift().await
    };
    let answered = chaos
        .eventually("inventory answers", async move || {
            let call = calls.fetch_add(1, Ordering::SeqCst) + 1;
            assert_ne!(call, 1, "on purpose");
            let mut client = TcpStream::connect(address).await?;
            let request = b"GET /health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
            client.write_all(request).await?;
            let mut answer = String::new();
            client.read_to_string(&mut answer).await?;
            Ok::<_, std::io::Error>((answer.starts_with("HTTP/1.1 200"), (call, answer)))
        })
        .every(ms(10));
    let (answer, lifted) = tokio::join!(async { answered.await }, lifted);
    lifted?;
    let answer = answer?;
    assert!(
        answer.0 > 2,
        "the first one panics, and the next one finds nobody"
    );
    Ok(())
}

/// A call that hangs, and one that blocks its thread, hold off neither the next one nor a
/// monitor.
#[chaos_test(breaks(inventory))]
async fn a_call_that_hangs_is_given_up(
    chaos: &ChaosContext,
    inventory: &Service,
) -> chaos_test::Result {
    let requests = watch(chaos, inventory);
    let hang = chaos.inject(process::stop(inventory)).await?;
    // Blocks its thread until the test is over.
    let (held, block) = std::sync::mpsc::channel::<()>();
    let block = std::sync::Mutex::new(block);
    let calls = AtomicUsize::new(0);
    let begun = chaos.now();
    chaos
        .eventually("it is called for the third time", async move || match calls
            .fetch_add(1, Ordering::SeqCst)
        {
            0 => std::future::pending().await,
            1 => block.lock().is_ok_and(|block| block.recv().is_ok()),
            _ => true,
        })
        .call_timeout(ms(100))
        .await?;
    let lifted = hang.lift().await?;
    requests
        .between(begun, lifted)
        .await?
        .expect(error_rate().at_most(percent(100)))
        .check()?;
    drop(held);
    Ok(())
}

/// A line in a service's log: of all its starts, or of what it printed since a moment.
#[chaos_test(breaks(inventory))]
async fn a_line_comes_into_a_log(chaos: &ChaosContext, inventory: &Service) -> chaos_test::Result {
    watch(chaos, inventory);
    let first = chaos
        .eventually(
            "it has listened",
            inventory.log()?.contains("inventory listening on"),
        )
        .within(secs(5))
        .await?;
    let from_now = inventory.log_from_now()?;
    let begun = chaos.now();
    let outage = process::restart(inventory).down_for(ms(50));
    chaos.inject(outage).await?.lift().await?;
    let second = chaos
        .eventually(
            "it listens again",
            from_now.contains("inventory listening on"),
        )
        .since(begun)
        .await?;
    assert_ne!(first, second, "an old line counts");
    Ok(())
}

/// Conditions of each kind that do not come true.
#[chaos_test(breaks(inventory))]
#[ignore = "another test runs it as a child"]
async fn nothing_comes_true(chaos: &ChaosContext, inventory: &Service) -> chaos_test::Result {
    let _outage = chaos.inject(process::stop(inventory)).await?;
    come_in(inventory).await?;
    let begun = chaos.now();
    let mut kinds = Vec::new();
    let mut miss = |what: &str, error: Error| {
        kinds.push(format!(
            "{what}: deviation {}, no data {}",
            error.is_deviation(),
            error.is_no_data()
        ));
    };
    let condition = async || -> Result<Option<u8>, Error> { Ok(None) };
    let value = chaos
        .eventually("an alert was raised", condition)
        .within(ms(500))
        .await;
    miss("value", value.expect_err("it is never there"));
    let refused = async || Err::<bool, _>(Error::msg("the pager is gone"));
    let error = chaos
        .eventually("the pager answers", refused)
        .within(ms(500))
        .await;
    miss("error", error.expect_err("it only fails"));
    let hangs = async || std::future::pending::<bool>().await;
    let hang = chaos
        .eventually("the queue is empty", hangs)
        .within(ms(100))
        .await;
    miss("hang", hang.expect_err("it is never answered"));
    let log = inventory.log_from_now()?.contains("ALERT");
    let line = chaos
        .eventually("inventory raised an alert", log)
        .within(ms(500))
        .await;
    miss("log", line.expect_err("it prints nothing"));
    let late = async || {
        tokio::time::sleep(ms(300)).await;
        true
    };
    let answer = chaos
        .eventually("the answer is quick", late)
        .within(ms(100))
        .await;
    miss("late", answer.expect_err("it is true too late"));
    let over = chaos
        .eventually("it was in time", async || true)
        .since(begun)
        .within(ms(1))
        .await;
    miss("over", over.expect_err("its time was over"));
    // The sender is kept, so that each call holds its thread as long as there is a test.
    let (_held, block) = std::sync::mpsc::channel::<()>();
    let block = std::sync::Mutex::new(block);
    let blocks = async move || block.lock().is_ok_and(|block| block.recv().is_ok());
    let asked = chaos
        .eventually("nothing blocks", blocks)
        .call_timeout(ms(20))
        .await;
    miss("block", asked.expect_err("it only blocks"));
    // The judgements stand, whatever becomes of the errors.
    let _ = chaos.eventually("nobody waits for this", async || true);
    say(&kinds.join("\n"));
    Ok(())
}

#[test]
fn a_miss_says_what_was_seen_last() {
    let ended = Rerun::of("eventually::nothing_comes_true").run();
    let output = ended.output();
    assert!(!ended.status.success(), "{output}");
    // However wide the lines are.
    let output = output.split_whitespace().collect::<Vec<_>>().join(" ");
    for expected in [
        "value: deviation true, no data false",
        "error: deviation true, no data false",
        "hang: deviation false, no data true",
        "log: deviation true, no data false",
        "late: deviation false, no data true",
        "over: deviation false, no data true",
        "block: deviation true, no data false",
        "the answer is quick expected: within 100 ms actual: no call was answered in time",
        "it was in time expected: within 1.0 ms actual: its time was over before it was asked",
        "all 8 calls failed, the last: no answer within 20.0 ms, and it blocks its thread; 8 calls",
        "an alert was raised expected: within 500 ms actual: not after ",
        "the last saw None",
        "the last: the pager is gone",
        "the queue is empty expected: within 100 ms actual: no call was answered in time",
        "the last saw no line in ",
        "nobody waits for this: was never judged: await it, expected within 30 s",
        "at tests/e2e/eventually.rs:",
    ] {
        assert!(output.contains(expected), "`{expected}` in:\n{output}");
    }
    let journal = ended.journals().concat();
    assert!(
        journal.contains("\"what\":\"an alert was raised\""),
        "{journal}"
    );
}

/// A condition that would take minutes more while somebody stops the run.
#[chaos_test(breaks(inventory))]
#[ignore = "another test runs it as a child"]
async fn it_waits_for_long(chaos: &ChaosContext, inventory: &Service) -> chaos_test::Result {
    let _outage = chaos.inject(process::stop(inventory)).await?;
    come_in(inventory).await?;
    let calls = AtomicUsize::new(0);
    let condition = async move || {
        if calls.fetch_add(1, Ordering::SeqCst) == 0 {
            say("it is asked");
        }
        // It holds its thread, too: nobody who ends the test may wait for that.
        std::thread::sleep(secs(600));
        false
    };
    let asking = chaos
        .eventually("the queue is empty", condition)
        .within(secs(500));
    asking.call_timeout(secs(400)).await?;
    Ok(())
}

#[test]
fn an_interrupt_ends_it_at_once() {
    let mut child = Rerun::of("eventually::it_waits_for_long").start();
    child.until_printed("it is asked");
    let begun = Instant::now();
    let pid = rustix::process::Pid::from_raw(child.pid() as i32).expect("a child has a number");
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it runs");
    let ended = child.wait();
    assert!(begun.elapsed() < secs(60), "{:?}", begun.elapsed());
    let junit = ended.junit();
    assert!(junit.contains("type=\"interrupted\""), "{junit}");
    assert!(
        !junit.contains("the queue is empty"),
        "it was judged: {junit}"
    );
    assert_eq!(ended.leftovers(), Vec::<std::path::PathBuf>::new());
}

#[test]
fn what_makes_no_sense_is_refused_where_it_is_said() {
    type Asked = chaos_test::Eventually<NeverTrue>;
    type Ask = fn(Asked) -> Asked;
    let chaos = ChaosContext::start_blocking().expect("a context can be opened");
    let refused = |what: &str, ask: Ask| {
        let ask = || drop(ask(chaos.eventually(what, NeverTrue)));
        let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(ask));
        let panic = panic.expect_err("it makes no sense");
        *panic.downcast_ref::<&str>().expect("it says why")
    };
    let asks: [(&str, Ask, &str); 4] = [
        (" ", |asked| asked, "a condition needs words"),
        (
            "x",
            |asked| asked.within(ms(0)),
            "a condition needs some time",
        ),
        ("x", |asked| asked.every(ms(0)), "interval cannot be zero"),
        (
            "x",
            |asked| asked.call_timeout(ms(0)),
            "a call needs some time",
        ),
    ];
    for (what, ask, expected) in asks {
        let said = refused(what, ask);
        assert!(said.contains(expected), "`{expected}` in: {said}");
    }
}

/// A condition that is a type.
struct NeverTrue;

impl Condition for NeverTrue {
    type Value = ();

    async fn look(&self) -> Seen<()> {
        Seen::NotYet("nothing".to_owned())
    }
}
