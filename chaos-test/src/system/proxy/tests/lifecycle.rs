//! Opening, closing and dropping links, from all kinds of places.

use std::{
    io::ErrorKind,
    net::{IpAddr, TcpListener},
    process::Command,
    thread,
};

use tokio::{
    io::AsyncWriteExt,
    net::TcpStream,
    runtime::{Builder, Runtime},
};

use super::super::{Direction, Link, Toxic};
use super::kit::*;

fn runtime() -> Runtime {
    Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
}

#[test]
fn handles_may_be_sent_and_shared() {
    fn check<T: Send + Sync + Clone + 'static>() {}
    check::<Link>();
    fn check_future<T: Send>(_: T) {}
    let _ = |link: &'static Link| check_future(link.add(Toxic::Down, Direction::Both));
    let _ = |link: &'static Link| check_future(link.close());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closing_resets_connections_and_frees_the_port() {
    let (link, mut client, mut server) = pair().await;
    client.write_all(b"never read").await.unwrap();
    within(link.close()).await;
    TcpListener::bind(link.address()).expect("the port is free");
    expect_reset(&mut client).await;
    expect_reset(&mut server).await;
    assert_eq!(link.traffic().open, 0);
    within(link.close()).await;
    link.add(latency(millis(1)), Direction::Both).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropping_the_last_handle_closes() {
    let (link, mut client, mut server) = pair().await;
    let address = link.address();
    let second = link.clone();
    drop(link);
    round_trip(&mut client, &mut server).await;
    drop(second);
    TcpListener::bind(address).expect("the port is free");
    expect_reset(&mut client).await;
    expect_reset(&mut server).await;
}

fn ip(ip: &str) -> IpAddr {
    ip.parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_further_address_is_the_same_link() {
    let (listener, upstream) = listener().await;
    let link = link_to(upstream);
    let further = link.listen_also(ip("127.0.0.2")).unwrap();
    assert_eq!(further.ip(), ip("127.0.0.2"));
    assert_eq!(further.port(), link.address().port());
    assert_eq!(link.listen_also(ip("127.0.0.2")).unwrap(), further);
    assert_eq!(link.listen_also(ip("127.0.0.1")).unwrap(), link.address());
    let mapped = link.listen_also(ip("::ffff:127.0.0.2")).unwrap();
    assert_eq!(mapped, further);

    let mut client = TcpStream::connect(further).await.unwrap();
    let (mut server, _) = within(listener.accept()).await.unwrap();
    round_trip(&mut client, &mut server).await;
    assert_eq!(link.traffic().accepted, 1);
    let down = link.add(Toxic::Down, Direction::Both).await;
    expect_reset(&mut client).await;
    assert_eq!(link.hits(down).reset, 1);
    link.remove(down).await;

    let mut client = TcpStream::connect(further).await.unwrap();
    let (mut server, _) = within(listener.accept()).await.unwrap();
    round_trip(&mut client, &mut server).await;
    within(link.close()).await;
    expect_reset(&mut client).await;
    TcpListener::bind(further).expect("the port is free");
    TcpListener::bind(link.address()).expect("the port is free");
    let error = link.listen_also(ip("127.0.0.3")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotConnected, "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_further_address_has_another_port_where_its_own_is_taken() {
    let link = link_to(echo().await);
    let taken = TcpListener::bind((ip("127.0.0.2"), link.address().port())).unwrap();
    let further = link.listen_also(ip("127.0.0.2")).unwrap();
    assert_ne!(further, taken.local_addr().unwrap());
    assert_eq!(link.listen_also(ip("127.0.0.2")).unwrap(), further);
    let mut client = TcpStream::connect(further).await.unwrap();
    client.write_all(b"hello").await.unwrap();
    client.shutdown().await.unwrap();
    assert_eq!(read_all(&mut client).await, b"hello");
}

#[tokio::test]
async fn a_further_address_is_one_of_this_machine_and_never_all() {
    let link = link_to(nobody().await);
    for all in ["0.0.0.0", "::", "::ffff:0.0.0.0"] {
        let error = link.listen_also(ip(all)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{all}: {error}");
    }
    // For documentation (RFC 5737): no machine has it.
    let error = link.listen_also(ip("192.0.2.1")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AddrNotAvailable, "{error}");
    // A link that dials itself at another address would do so for ever.
    let further = link.listen_also(ip("127.0.0.2")).unwrap();
    link.set_upstream(further);
    expect_refusal(&link).await;
    assert_eq!(link.traffic().accepted, 1);
}

#[test]
fn a_link_opens_and_closes_outside_any_runtime() {
    let runtime = runtime();
    let upstream = runtime.block_on(echo());
    let link = open(runtime.handle(), upstream);
    let address = link.address();
    runtime.block_on(async {
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(b"hello").await.unwrap();
        client.shutdown().await.unwrap();
        assert_eq!(read_all(&mut client).await, b"hello");
    });
    drop(link);
    TcpListener::bind(address).expect("the port is free");
}

#[test]
fn changes_come_from_runtimes_that_vanish() {
    let runtime = runtime();
    let (link, mut client, mut server) = runtime.block_on(pair());
    let elsewhere = |work: &(dyn Fn(&Runtime) + Sync)| {
        thread::scope(|scope| {
            scope.spawn(|| work(&Builder::new_current_thread().build().unwrap()));
        });
    };

    elsewhere(&|foreign| {
        foreign.block_on(link.add(latency(millis(30)), Direction::Both));
    });
    assert!(runtime.block_on(round_trip(&mut client, &mut server)) >= millis(60));
    elsewhere(&|foreign| {
        assert!(foreign.block_on(link.remove(link.active()[0])));
    });
    runtime.block_on(round_trip(&mut client, &mut server));
    elsewhere(&|foreign| foreign.block_on(link.close()));
    runtime.block_on(expect_reset(&mut client));
}

#[test]
fn a_runtime_that_is_shut_down_takes_its_links_along() {
    let (own, peers) = (runtime(), runtime());
    let (listener, address) = peers.block_on(listener());
    let link = open(own.handle(), address);
    let (mut client, mut server) = peers.block_on(connect(&link, &listener));
    drop(own);
    TcpListener::bind(link.address()).expect("the port is free");
    peers.block_on(async {
        expect_reset(&mut client).await;
        expect_reset(&mut server).await;
        let id = link.add(Toxic::Down, Direction::Both).await;
        assert!(link.remove(id).await);
        within(link.close()).await;
    });
}

#[test]
fn no_task_is_left() {
    let runtime = runtime();
    let tasks = || runtime.metrics().num_alive_tasks();
    let upstream = runtime.block_on(echo());
    let before = tasks();
    for closed in [true, false] {
        runtime.block_on(async {
            let link = open(runtime.handle(), upstream);
            let mut clients = Vec::new();
            for _ in 0..20 {
                clients.push(TcpStream::connect(link.address()).await.unwrap());
            }
            eventually("all came in", || link.traffic().open == 20).await;
            assert!(tasks() > before + 20);
            link.add(latency(millis(5)), Direction::Both).await;
            if closed {
                within(link.close()).await;
            }
        });
        runtime.block_on(eventually("all tasks ended", || tasks() == before));
    }
}

/// Counts the descriptors of a process of its own, as tests that run at the
/// same time have descriptors, too.
#[cfg(target_os = "linux")]
#[test]
fn no_descriptor_is_left() {
    const ALONE: &str = "CHAOS_TEST_PROXY_ALONE";
    if std::env::var_os(ALONE).is_none() {
        let (_, module) = module_path!().split_once("::").unwrap();
        let output = Command::new(std::env::current_exe().unwrap())
            .args([&format!("{module}::no_descriptor_is_left"), "--exact"])
            .args(["--nocapture", "--test-threads=1"])
            .env(ALONE, "1")
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{text}");
        assert!(text.contains("1 passed"), "{text}");
        return;
    }

    let descriptors = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    let runtime = runtime();
    let (listener, address) = runtime.block_on(listener());
    let before = descriptors();
    for round in 0..4 {
        runtime.block_on(async {
            let link = open(runtime.handle(), address);
            let mut pairs = Vec::new();
            for _ in 0..50 {
                pairs.push(connect(&link, &listener).await);
            }
            assert!(descriptors() >= before + 50 * 4);
            link.add(latency(millis(1)), Direction::Both).await;
            match round {
                // Connections end by themselves, while the link lives on.
                0 => {
                    pairs.clear();
                    eventually("all ended", || link.traffic().open == 0).await;
                    assert_eq!(descriptors(), before + 1);
                }
                1 => {
                    link.add(Toxic::Down, Direction::Both).await;
                    assert_eq!(descriptors(), before + 1 + 50 * 2);
                }
                2 => {
                    within(link.close()).await;
                    assert_eq!(descriptors(), before + 50 * 2);
                }
                _ => {}
            }
        });
        assert_eq!(descriptors(), before, "round {round}");
    }
}
