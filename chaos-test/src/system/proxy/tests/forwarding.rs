//! A link without toxics is just a wire: bytes, ends, resets and failed dials.

use std::time::{Duration, Instant};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::timeout,
};

use super::super::{Direction, Toxic};
use super::kit::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn content_passes_unchanged_both_ways() {
    for seed in [10, 20] {
        let (link, client, server) = pair().await;
        exchange(client, server, 8 << 20, seed).await;
        eventually("the connection ended", || link.traffic().open == 0).await;
        let traffic = link.traffic();
        assert_eq!(traffic.accepted, 1);
        assert_eq!(traffic.dial_failures, 0);
        assert_eq!(traffic.bytes_upstream, 8 << 20);
        assert_eq!(traffic.bytes_downstream, 8 << 20);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_has_ended_still_gets_its_answer() {
    let link = link_to(echo().await);
    let mut client = TcpStream::connect(link.address()).await.unwrap();
    client.write_all(b"question").await.unwrap();
    client.shutdown().await.unwrap();
    assert_eq!(read_all(&mut client).await, b"question");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_has_ended_still_gets_questions() {
    let (_link, mut client, mut server) = pair().await;
    server.write_all(b"last words").await.unwrap();
    server.shutdown().await.unwrap();
    assert_eq!(read_all(&mut client).await, b"last words");
    client.write_all(b"more").await.unwrap();
    client.shutdown().await.unwrap();
    assert_eq!(read_all(&mut server).await, b"more");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reset_by_one_peer_reaches_the_other() {
    let (_link, mut client, server) = pair().await;
    break_off(server);
    expect_reset(&mut client).await;

    let (_link, client, mut server) = pair().await;
    break_off(client);
    expect_reset(&mut server).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_before_a_reset_arrives_before_the_reset() {
    for toxic in [None, Some(latency(millis(20)))] {
        let (link, mut client, mut server) = pair().await;
        // A reset that comes before the dial was seen to succeed makes it fail.
        round_trip(&mut client, &mut server).await;
        if let Some(toxic) = toxic {
            link.add(toxic, Direction::Both).await;
        }
        server.write_all(b"go away").await.unwrap();
        break_off(server);
        let mut answer = [0; 7];
        within(client.read_exact(&mut answer)).await.unwrap();
        assert_eq!(&answer, b"go away");
        expect_reset(&mut client).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writing_to_a_dead_peer_resets_the_writer_that_had_half_closed() {
    let (_link, mut client, mut server) = pair().await;
    client.shutdown().await.unwrap();
    assert_eq!(read_all(&mut server).await, b"");
    break_off(client);
    let error = within(async {
        loop {
            if let Err(error) = server.write_all(&[0; 1024]).await {
                return error;
            }
            tokio::time::sleep(millis(1)).await;
        }
    })
    .await;
    use std::io::ErrorKind::{BrokenPipe, ConnectionReset};
    assert!(
        matches!(error.kind(), ConnectionReset | BrokenPipe),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upstream_that_refuses_resets_the_client() {
    let link = link_to(nobody().await);
    expect_refusal(&link).await;
    assert_eq!(link.traffic().dial_failures, 1);
    assert_eq!(link.traffic().accepted, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_that_leads_to_itself_refuses() {
    let link = link_to(nobody().await);
    link.set_upstream(link.address());
    expect_refusal(&link).await;
    assert_eq!(link.traffic().dial_failures, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_upstream_is_for_later_connections() {
    let ((first, first_address), (second, second_address)) = (listener().await, listener().await);
    let link = link_to(first_address);
    let (mut old_client, mut old_server) = connect(&link, &first).await;
    link.set_upstream(second_address);
    assert_eq!(link.upstream(), second_address);
    let (mut new_client, mut new_server) = connect(&link, &second).await;
    round_trip(&mut old_client, &mut old_server).await;
    round_trip(&mut new_client, &mut new_server).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hanging_upstream_holds_up_nothing() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let full = socket.listen(1).unwrap();
    let full_address = full.local_addr().unwrap();
    let mut crowd = Vec::new();
    while let Ok(stream) = timeout(millis(300), TcpStream::connect(full_address)).await {
        crowd.push(stream.unwrap());
        assert!(crowd.len() < 100, "the backlog never fills");
    }

    let link = link_to(full_address);
    let mut hanging = TcpStream::connect(link.address()).await.unwrap();
    let mut second = TcpStream::connect(link.address()).await.unwrap();
    eventually("both dial", || link.traffic().open == 2).await;

    let (listener, address) = listener().await;
    link.set_upstream(address);
    let (mut client, mut server) = connect(&link, &listener).await;
    let start = Instant::now();
    let id = link.add(latency(millis(1)), Direction::Both).await;
    assert!(link.remove(id).await);
    assert!(start.elapsed() < millis(500), "{:?}", start.elapsed());
    round_trip(&mut client, &mut server).await;

    // A reset ends a dial, and so does closing.
    let down = link.add(Toxic::Down, Direction::Both).await;
    expect_reset(&mut hanging).await;
    expect_reset(&mut second).await;
    assert_eq!(link.hits(down).reset, 3);
    link.remove(down).await;
    link.set_upstream(full_address);
    let mut third = TcpStream::connect(link.address()).await.unwrap();
    eventually("it dials", || link.traffic().open == 1).await;
    within(link.close()).await;
    expect_reset(&mut third).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_do_not_wait_for_a_peer_that_does_not_read() {
    let (link, mut client, mut server) = pair().await;
    let mut sent = 0_usize;
    let piece = content(3, 64 << 10);
    // Loopback buffers grow to several megabytes before this stops.
    while let Ok(result) = timeout(millis(300), client.write(&piece[sent % piece.len()..])).await {
        sent += result.unwrap();
    }
    let mut longest = Duration::ZERO;
    for _ in 0..50 {
        let start = Instant::now();
        let id = link.add(latency(millis(1)), Direction::Both).await;
        assert!(link.remove(id).await);
        longest = longest.max(start.elapsed());
    }
    assert!(longest < millis(500), "{longest:?}");
    client.shutdown().await.unwrap();
    let received = read_all(&mut server).await;
    assert_eq!(received.len(), sent);
    assert!(
        received
            .iter()
            .eq(piece.iter().cycle().take(received.len()))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reset_behind_unread_data_arrives_after_it() {
    let (_link, mut client, mut server) = pair().await;
    let piece = [0; 64 << 10];
    while let Ok(written) = timeout(millis(300), client.write(&piece)).await {
        written.unwrap();
    }
    break_off(client);
    expect_reset(&mut server).await;
}
