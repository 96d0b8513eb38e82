//! The toxics that new connections meet before the service does.

use std::time::{Duration, Instant};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use super::super::{Direction, Toxic};
use super::kit::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_hangs_answers_nothing_and_goes_on_where_it_was() {
    let (listener, address) = listener().await;
    let link = link_to(address);
    let (mut open, mut served) = connect(&link, &listener).await;
    let hang = link.add(Toxic::Hang, Direction::Both).await;
    open.write_all(b"q").await.unwrap();
    served.write_all(b"a").await.unwrap();
    // A client that comes now is accepted, and the service hears nothing of it.
    let mut new = within(TcpStream::connect(link.address())).await.unwrap();
    new.write_all(b"n").await.unwrap();
    eventually("both are met", || link.hits(hang).connections == 2).await;
    let patience = millis(100);
    assert!(timeout(patience, open.read_u8()).await.is_err());
    assert!(timeout(patience, served.read_u8()).await.is_err());
    assert!(timeout(patience, listener.accept()).await.is_err());
    assert!(link.remove(hang).await);
    assert_eq!(within(open.read_u8()).await.unwrap(), b'a');
    assert_eq!(within(served.read_u8()).await.unwrap(), b'q');
    let (mut late, _) = within(listener.accept()).await.unwrap();
    assert_eq!(within(late.read_u8()).await.unwrap(), b'n');
    round_trip(&mut new, &mut late).await;
    round_trip(&mut open, &mut served).await;
}

/// Its sender is held back, and nothing is piled up here.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_hangs_reads_no_more() {
    let (link, mut client, mut server) = pair().await;
    let hang = link.add(Toxic::Hang, Direction::Both).await;
    let sent = content(6, 64 << 20);
    assert!(timeout(millis(300), client.write_all(&sent)).await.is_err());
    assert!(link.hits(hang).chunks <= 1, "{:?}", link.hits(hang));
    assert!(link.remove(hang).await);
    within(server.read_u8()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_is_reached_late() {
    let (listener, address) = listener().await;
    let link = link_to(address);
    let (mut open, mut served) = connect(&link, &listener).await;
    let delay = millis(200);
    let late = link
        .add(Toxic::AcceptDelay { delay }, Direction::Both)
        .await;
    round_trip(&mut open, &mut served).await;
    let began = Instant::now();
    let mut new = within(TcpStream::connect(link.address())).await.unwrap();
    new.write_all(b"n").await.unwrap();
    let (mut server, _) = within(listener.accept()).await.unwrap();
    assert!(began.elapsed() >= millis(190), "{:?}", began.elapsed());
    assert_eq!(within(server.read_u8()).await.unwrap(), b'n');
    round_trip(&mut new, &mut server).await;
    assert_eq!(link.hits(late).connections, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_is_led_on_at_once_when_lifted() {
    let (listener, address) = listener().await;
    let link = link_to(address);
    let delay = Duration::MAX;
    let late = link
        .add(Toxic::AcceptDelay { delay }, Direction::Both)
        .await;
    let mut new = within(TcpStream::connect(link.address())).await.unwrap();
    eventually("it is met", || link.hits(late).connections == 1).await;
    assert!(link.remove(late).await);
    let (mut server, _) = within(listener.accept()).await.unwrap();
    round_trip(&mut new, &mut server).await;
}
