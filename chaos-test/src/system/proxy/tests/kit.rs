//! What the tests share: peers, content, and the checks that every toxic
//! which only passes bytes on has to pass.

use std::{
    io::{self, ErrorKind},
    net::SocketAddr,
    time::{Duration, Instant},
};

use chacha20::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    runtime::Handle,
    time::{sleep, timeout},
};

use super::super::{Direction, Link, LinkConfig, Toxic, connection::reset};

/// Far longer than anything takes, also on a machine that is busy elsewhere.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

pub(super) fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(super) fn latency(delay: Duration) -> Toxic {
    Toxic::Latency {
        delay,
        jitter: Duration::ZERO,
    }
}

pub(super) fn random(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

pub(super) fn below(random: &mut ChaCha8Rng, bound: u64) -> u64 {
    random.next_u64() % bound
}

pub(super) fn content(seed: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    random(seed).fill_bytes(&mut bytes);
    bytes
}

pub(super) fn link_to(upstream: SocketAddr) -> Link {
    open(&Handle::current(), upstream)
}

pub(super) fn open(handle: &Handle, upstream: SocketAddr) -> Link {
    let config = LinkConfig {
        name: "test".into(),
        upstream,
        seed: 7,
    };
    Link::open(handle, config).expect("a port on loopback")
}

pub(super) async fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    (listener, address)
}

/// An address on which nobody listens.
pub(super) async fn nobody() -> SocketAddr {
    listener().await.1
}

/// A service that sends back what it gets, and ends when its client ends.
pub(super) async fn echo() -> SocketAddr {
    let (listener, address) = listener().await;
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut reader, mut writer) = stream.split();
                let _ = tokio::io::copy(&mut reader, &mut writer).await;
                let _ = writer.shutdown().await;
            });
        }
    });
    address
}

/// A link and the two ends of one connection through it.
pub(super) async fn pair() -> (Link, TcpStream, TcpStream) {
    let (listener, address) = listener().await;
    let link = link_to(address);
    let (client, server) = connect(&link, &listener).await;
    (link, client, server)
}

pub(super) async fn connect(link: &Link, listener: &TcpListener) -> (TcpStream, TcpStream) {
    let client = TcpStream::connect(link.address()).await.expect("connect");
    let (server, _) = within(listener.accept()).await.expect("accept");
    (client, server)
}

pub(super) async fn within<T>(work: impl Future<Output = T>) -> T {
    timeout(PATIENCE, work).await.expect("still not done")
}

pub(super) async fn eventually(what: &str, condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < PATIENCE, "never became true: {what}");
        sleep(millis(1)).await;
    }
}

/// Reads until the stream breaks off, which it must, and not with an end.
pub(super) async fn expect_reset(stream: &mut TcpStream) {
    let mut rest = Vec::new();
    let error = within(stream.read_to_end(&mut rest))
        .await
        .expect_err("the stream ended instead of being reset");
    assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}");
}

/// Ends a peer's side with a reset.
pub(super) fn break_off(stream: TcpStream) {
    reset(&stream);
}

/// Connects and is reset; a quick reset already shows while connecting.
pub(super) async fn expect_refusal(link: &Link) {
    match within(TcpStream::connect(link.address())).await {
        Ok(mut client) => expect_reset(&mut client).await,
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}"),
    }
}

pub(super) async fn read_all(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    within(stream.read_to_end(&mut bytes)).await.expect("read");
    bytes
}

/// One request of one byte that waits for its answer of one byte.
pub(super) async fn round_trip(client: &mut TcpStream, server: &mut TcpStream) -> Duration {
    let start = Instant::now();
    let mut byte = [42];
    client.write_all(&byte).await.expect("request");
    within(server.read_exact(&mut byte)).await.expect("request");
    server.write_all(&byte).await.expect("answer");
    within(client.read_exact(&mut byte)).await.expect("answer");
    assert_eq!(byte, [42]);
    start.elapsed()
}

/// Sends `bytes` in pieces of random size, with a pause now and then, then the end.
pub(super) async fn send(
    writer: &mut (impl AsyncWriteExt + Unpin),
    bytes: &[u8],
    seed: u64,
) -> io::Result<()> {
    let mut random = random(seed);
    let mut rest = bytes;
    while !rest.is_empty() {
        let largest = if below(&mut random, 2) == 0 {
            100
        } else {
            80_000
        };
        let size = 1 + below(&mut random, largest) as usize;
        let (piece, after) = rest.split_at(size.min(rest.len()));
        writer.write_all(piece).await?;
        rest = after;
        if below(&mut random, 16) == 0 {
            sleep(Duration::from_micros(below(&mut random, 500))).await;
        }
    }
    writer.shutdown().await
}

/// Streams different content both ways at once and compares it.
pub(super) async fn exchange(client: TcpStream, server: TcpStream, length: usize, seed: u64) {
    let (forth, back) = (content(seed, length), content(seed + 1, length));
    let (mut client_reader, mut client_writer) = client.into_split();
    let (mut server_reader, mut server_writer) = server.into_split();
    let (mut received, mut answered) = (Vec::new(), Vec::new());
    let (sent, replied, heard, got) = within(async {
        tokio::join!(
            send(&mut client_writer, &forth, seed + 2),
            send(&mut server_writer, &back, seed + 3),
            server_reader.read_to_end(&mut received),
            client_reader.read_to_end(&mut answered),
        )
    })
    .await;
    sent.and(replied).expect("write");
    heard.and(got).expect("read");
    assert!(received == forth, "upstream content differs, seed {seed}");
    assert!(answered == back, "downstream content differs, seed {seed}");
}

/// The checks for a toxic that must pass on everything unchanged.
pub(super) async fn check_transparent(toxic: Toxic, direction: Direction) {
    for added_first in [true, false] {
        let (listener, address) = listener().await;
        let link = link_to(address);
        if added_first {
            link.add(toxic, direction).await;
        }
        let passthrough = connect(&link, &listener).await;
        let mut halves = connect(&link, &listener).await;
        let mut closed = connect(&link, &listener).await;
        if !added_first {
            link.add(toxic, direction).await;
        }

        exchange(passthrough.0, passthrough.1, 300_000, 1).await;

        // The client ends, and still gets the answer.
        halves.0.write_all(b"question").await.expect("write");
        halves.0.shutdown().await.expect("shutdown");
        assert_eq!(read_all(&mut halves.1).await, b"question");
        halves.1.write_all(b"answer").await.expect("write");
        halves.1.shutdown().await.expect("shutdown");
        assert_eq!(read_all(&mut halves.0).await, b"answer");

        // The server closes, and the client gets what was sent and an end.
        closed.1.write_all(b"farewell").await.expect("write");
        drop(closed.1);
        assert_eq!(read_all(&mut closed.0).await, b"farewell");
        drop(closed.0);

        eventually("all connections ended", || link.traffic().open == 0).await;
    }
}
