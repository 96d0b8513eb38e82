//! Services in the test's own process: what each fault does to them, what survives it, and
//! how they end.

use std::future::pending;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use chaos_test::prelude::*;
use chaos_test::{RunStatus, http, link, log_line, process};
use chaos_test_fixtures::rerun::{Ended, Rerun};
use chaos_test_fixtures::{inventory, server};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::bad_input::{nothing_left, outcome};
use crate::contract::go_through_all;
use crate::victims::{come_in, until_asked, watch};

/// The service inventory, as an ordinary server with its routes.
#[chaos_fixture]
async fn orders(chaos: &ChaosContext) -> chaos_test::Result<Service> {
    let orders = chaos
        .in_process("orders", async |listener| {
            server::serve(listener, inventory::router(), pending()).await
        })
        .ready(http("/health").status(200));
    Ok(orders.await?)
}

/// The first client has no answer for good, as from an engine's proxy that accepts before the
/// container can be reached; it is ready all the same.
#[chaos_test]
async fn a_ready_check_that_hangs_is_asked_again(chaos: &ChaosContext) -> chaos_test::Result {
    let late = chaos
        .in_process("late", async |listener| {
            let (_kept, _) = listener.accept().await?;
            server::serve(listener, inventory::router(), pending()).await
        })
        .ready(http("/health").status(200))
        .await?;
    chaos.may_break(&late);
    let requests = watch(chaos, &late);
    requests.baseline(ms(100)).await?;
    let hang = chaos.inject(process::stop(&late)).await?;
    requests.over(ms(100)).await?;
    hang.lift().await?;
    Ok(())
}

/// Tells each client the number of the start that it runs since, then sends back what it
/// gets.
async fn tell(listener: TcpListener, number: u32) -> std::io::Result<()> {
    loop {
        let (mut client, _) = listener.accept().await?;
        tokio::spawn(async move {
            let _ = client.write_u32(number).await;
            let (mut from, mut to) = client.split();
            let _ = tokio::io::copy(&mut from, &mut to).await;
        });
    }
}

/// A service that counts its starts in what its closure captured.
async fn counter(chaos: &ChaosContext) -> chaos_test::Result<Service> {
    let starts = AtomicU32::new(0);
    let service = chaos.in_process("counter", async move |listener| {
        tell(listener, starts.fetch_add(1, Ordering::SeqCst) + 1).await
    });
    Ok(service.await?)
}

/// Connects and reads the number of the start.
async fn told(address: SocketAddr) -> std::io::Result<(TcpStream, u32)> {
    let mut stream = TcpStream::connect(address).await?;
    let number = stream.read_u32().await?;
    Ok((stream, number))
}

/// Whether the other side is gone.
async fn is_cut(stream: &mut TcpStream) -> bool {
    matches!(stream.read(&mut [0]).await, Ok(0) | Err(_))
}

async fn until_logged(service: &Service, line: &str) {
    while !service.last_lines(1).unwrap().concat().contains(line) {
        tokio::time::sleep(ms(2)).await;
    }
}

/// Each fault of the library is felt on a service in the test's own process, and lifted,
/// twice over.
#[chaos_test(breaks(orders))]
async fn each_fault_is_felt_and_lifted(
    chaos: &ChaosContext,
    orders: &Service,
) -> chaos_test::Result {
    go_through_all(chaos, orders).await
}

/// Its address stays, and so does what its closure captured; its connections do not.
#[chaos_test]
async fn what_is_captured_survives_a_kill(chaos: &ChaosContext) -> chaos_test::Result {
    let service = counter(chaos).await?;
    let address = service.first_address().socket();
    for round in 1..=5 {
        let (mut open, number) = told(address).await?;
        assert_eq!(number, round);
        let outage = chaos.inject(process::kill(&service)).await?;
        assert!(is_cut(&mut open).await, "an open connection survived");
        assert!(told(address).await.is_err(), "it serves while it is dead");
        outage.lift().await?;
        assert_eq!(service.first_address().socket(), address);
    }
    let (_, number) = told(address).await?;
    assert_eq!(number, 6);
    // A restart ends and starts it, too; lifting has nothing left to start.
    let restart = chaos.inject(process::restart(&service)).await?;
    come_in(&service).await?;
    restart.lift().await?;
    assert_eq!(told(address).await?.1, 7);
    assert_eq!(service.last_lines(20)?.len(), 7 + 6);
    Ok(())
}

/// A stopped one accepts, and answers what it was asked once it goes on.
#[chaos_test]
async fn a_stop_loses_nothing(chaos: &ChaosContext) -> chaos_test::Result {
    let service = counter(chaos).await?;
    let address = service.first_address().socket();
    let (mut open, _) = told(address).await?;
    let hang = chaos.inject(process::stop(&service)).await?;
    open.write_all(b"?").await?;
    let mut fresh = TcpStream::connect(address).await?;
    let silent = tokio::time::timeout(ms(100), async {
        tokio::select! {
            answer = open.read_u8() => answer.map(drop),
            answer = fresh.read_u32() => answer.map(drop),
        }
    });
    assert!(silent.await.is_err(), "a stopped service answered");
    hang.lift().await?;
    assert_eq!(open.read_u8().await?, b'?');
    assert_eq!(fresh.read_u32().await?, 1);
    Ok(())
}

/// One that is held at its start has not listened yet, and never ran its closure.
#[chaos_test]
async fn a_held_one_was_not_called(chaos: &ChaosContext) -> chaos_test::Result {
    let service = counter(chaos).await?;
    let address = service.first_address().socket();
    let hang = chaos.inject(process::hang_at_start(&service)).await?;
    assert!(told(address).await.is_err());
    hang.lift().await?;
    assert_eq!(told(address).await?.1, 2);
    Ok(())
}

/// Its tasks are dropped when it is killed, with all that they hold.
#[chaos_test]
async fn a_kill_drops_its_tasks(chaos: &ChaosContext) -> chaos_test::Result {
    let held = Arc::new(());
    let tasks = Arc::clone(&held);
    let service = chaos
        .in_process("tasks", async move |listener: TcpListener| {
            for _ in 0..10 {
                let task = Arc::clone(&tasks);
                tokio::spawn(async move {
                    pending::<()>().await;
                    drop(task);
                });
            }
            tell(listener, 1).await
        })
        .await?;
    assert_eq!(Arc::strong_count(&held), 12);
    let outage = chaos.inject(process::kill(&service)).await?;
    assert_eq!(Arc::strong_count(&held), 2);
    assert!(told(service.first_address().socket()).await.is_err());
    outage.lift().await?;
    assert_eq!(Arc::strong_count(&held), 12);
    Ok(())
}

/// Only what can be done to a part of a process is done to it.
#[chaos_test]
async fn other_signals_are_refused(chaos: &ChaosContext) -> chaos_test::Result {
    let service = counter(chaos).await?;
    let fault = process::kill(&service).with(Signal::Term);
    let error = chaos.inject(fault).await.unwrap_err().to_string();
    assert!(
        error.contains("which SIGTERM would reach as a whole")
            && error.contains("SIGKILL, SIGSTOP and SIGCONT"),
        "{error}"
    );
    // One fault at a time, as on any other process.
    let hang = chaos.inject(process::stop(&service)).await?;
    let refused = chaos.inject(process::kill(&service)).await.unwrap_err();
    assert!(refused.is_refused(), "{refused}");
    come_in(&service).await?;
    hang.lift().await?;
    Ok(())
}

/// A listener that was given to a thread outlives the kill: that is not taken for an outage,
/// and the service runs again once the thread is gone.
#[chaos_test]
async fn a_listener_that_got_away_is_noticed(
    chaos: &ChaosContext,
    orders: &Service,
) -> chaos_test::Result {
    let requests = watch(chaos, orders);
    let (end, ended) = std::sync::mpsc::channel::<()>();
    let ended = std::sync::Mutex::new(Some(ended));
    let held = Arc::new(());
    let holds = Arc::clone(&held);
    let service = chaos
        .in_process("runaway", async move |listener: TcpListener| {
            let Some(ended) = ended.lock().unwrap().take() else {
                return tell(listener, 2).await;
            };
            let (listener, holds) = (listener.into_std()?, Arc::clone(&holds));
            std::thread::spawn(move || {
                let _ = ended.recv();
                drop(listener);
                drop(holds);
            });
            pending().await
        })
        .await?;
    let killed = chaos.inject(process::kill(&service)).await;
    let error = killed.unwrap_err().to_string();
    assert!(error.contains("of it still runs"), "{error}");
    assert!(
        error.contains("a thread that it started may hold its listener"),
        "{error}"
    );
    drop(end);
    while Arc::strong_count(&held) > 2 {
        tokio::time::sleep(ms(1)).await;
    }
    let outage = chaos.inject(process::kill(orders)).await?;
    requests.over(ms(50)).await?;
    outage.lift().await?;
    Ok(())
}

/// Two at once are two: a fault on one leaves the other alone, and so does its panic.
#[chaos_test(breaks(orders))]
async fn two_at_once(chaos: &ChaosContext, orders: &Service) -> chaos_test::Result {
    let requests = watch(chaos, orders);
    let normal = requests.baseline(ms(200)).await?;
    let fragile = chaos
        .in_process("fragile", async |listener| {
            until_asked(listener).await;
            panic!("out of {}", "stock");
        })
        .await?;
    let error = chaos.inject(process::kill(&fragile)).await.unwrap_err();
    assert!(error.is_refused(), "{error}");
    let now = chaos.now();
    let mut client = TcpStream::connect(fragile.first_address().socket()).await?;
    client.write_u8(1).await?;
    until_logged(&fragile, "ended: it panicked: out of stock").await;
    requests.over(ms(100)).await?;
    requests
        .between(now, chaos.now())
        .await?
        .expect(error_rate().at_most(percent(0)))
        .check()?;
    let outage = chaos.inject(process::kill(orders)).await?;
    requests.over(ms(50)).await?;
    let lifted = outage.lift().await?;
    requests
        .recovers_to(&normal)
        .since(lifted)
        .within(secs(5))
        .await?;
    Ok(())
}

/// One that does not become ready says how it ended, and leaves its name to the next.
#[chaos_test]
async fn a_bad_start_says_why(chaos: &ChaosContext) -> chaos_test::Result {
    for round in 0..20 {
        let fails = chaos.in_process("bad", async |_| Err::<(), _>("no licence"));
        let error = fails.await.unwrap_err().to_string();
        assert!(
            error.contains("ended before it was ready (it returned an error: no licence)"),
            "round {round}: {error}"
        );
    }
    let panics = chaos.in_process("bad", async |_| -> () { panic!("no licence") });
    let error = panics.await.unwrap_err().to_string();
    assert!(error.contains("(it panicked: no licence)"), "{error}");
    let silent = chaos
        .in_process("bad", async |_| pending::<()>().await)
        .ready(log_line("ready"))
        .start_timeout(ms(50));
    let error = silent.await.map(drop).unwrap_err().to_string();
    assert!(error.contains("is the test's own output"), "{error}");
    let error = chaos.in_process("no name", async |_| {}).await.unwrap_err();
    assert!(error.to_string().contains("cannot be a service's name"));

    let good = chaos.in_process("bad", serve_for_ever).await?;
    let cut = chaos.inject(link::down(&good)).await?;
    let _ = told(good.first_address().socket()).await;
    cut.lift().await?;
    Ok(())
}

/// Runs a subject as a child.
fn run(subject: &str) -> Ended {
    Rerun::of(&format!("subjects::{subject}")).run()
}

#[test]
fn a_death_stands_in_the_journal() {
    let ended = run("a_service_in_this_process_dies");
    assert!(ended.status.success(), "{}", ended.output());
    let journal = ended.journals().concat();
    for died in [
        r#""service":"fails","how":"it returned an error: no stock""#,
        r#""service":"panics","how":"it panicked: no stock""#,
        r#""service":"returns","how":"it returned""#,
    ] {
        assert!(journal.contains(died), "no {died} in {journal}");
    }
    assert_eq!(journal.matches("service_died").count(), 3, "{journal}");
    nothing_left(&ended);
}

#[test]
fn one_that_blocks_is_given_up_and_named() {
    let ended = run("a_service_in_this_process_blocks");
    assert!(!ended.status.success());
    let output = ended.output();
    let named = "blocks its thread `chaos-in-stuck`";
    assert!(
        output.contains(&format!("not killed: true, {named}: true")),
        "{output}"
    );
    let journal = ended.journals().concat();
    let failed = journal.lines().find(|line| line.contains("undo_failed"));
    assert!(failed.is_some_and(|line| line.contains(named)), "{journal}");
    // Nothing of it outlives its process, so there is nothing for the next run to do.
    assert_eq!(outcome(&ended).status, RunStatus::Completed);
}

#[test]
fn it_ends_with_its_context_however_that_ends() {
    for (subject, verdict) in [
        ("it_panics_beside_a_service", "no stock left"),
        ("it_takes_too_long_beside_a_service", "took longer than"),
    ] {
        let ended = run(subject);
        let output = ended.output();
        assert!(
            !ended.status.success() && output.contains(verdict),
            "{output}"
        );
        let journal = ended.journals().concat();
        assert!(!journal.contains("service_died"), "{journal}");
        nothing_left(&ended);
    }
}

#[tokio::test]
async fn nothing_of_it_is_left_when_its_context_ends() {
    let held = Arc::new(());
    let captured = Arc::clone(&held);
    let chaos = ChaosContext::start().await.unwrap();
    let service = chaos
        .in_process("counter", async move |listener| {
            let _held = Arc::clone(&captured);
            tell(listener, 1).await
        })
        .await
        .unwrap();
    let (mut open, _) = told(service.first_address().socket()).await.unwrap();
    let _hang = chaos.inject(process::stop(&service)).await.unwrap();
    come_in(&service).await.unwrap();
    assert!(chaos.finish().await.unwrap().passed());
    assert!(is_cut(&mut open).await);
    drop(service);
    // Whoever still ends something of the context on the engine lets go of it a moment later.
    let end = std::time::Instant::now() + secs(10);
    while Arc::strong_count(&held) > 1 {
        assert!(std::time::Instant::now() < end, "somebody holds it");
        tokio::time::sleep(ms(1)).await;
    }
}

/// A closure that never returns by its type.
async fn serve_for_ever(listener: TcpListener) -> ! {
    let _ = tell(listener, 1).await;
    pending().await
}
