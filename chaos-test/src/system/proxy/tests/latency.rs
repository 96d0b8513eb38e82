//! The delay line: its time, its order, its bounds and its seed.

use std::time::{Duration, Instant};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::{sleep, timeout},
};

use super::super::{Direction, Toxic, ToxicId};
use super::kit::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delay_is_never_shorter_and_seldom_longer() {
    let (link, mut client, mut server) = pair().await;
    for (direction, factor) in [
        (Direction::Upstream, 1),
        (Direction::Downstream, 1),
        (Direction::Both, 2),
    ] {
        let delay = millis(20);
        let id = link.add(latency(delay), direction).await;
        let mut shortest = Duration::MAX;
        for _ in 0..10 {
            shortest = shortest.min(round_trip(&mut client, &mut server).await);
        }
        assert!(shortest >= delay * factor, "{shortest:?}");
        assert!(shortest < delay * factor + millis(15), "{shortest:?}");
        assert!(link.remove(id).await);
        let hits = link.hits(id);
        assert_eq!((hits.connections, hits.chunks), (1, 10 * u64::from(factor)));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_latencies_add_up() {
    let (link, mut client, mut server) = pair().await;
    link.add(latency(millis(20)), Direction::Upstream).await;
    link.add(latency(millis(30)), Direction::Upstream).await;
    assert!(round_trip(&mut client, &mut server).await >= millis(50));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_is_delayed_like_the_rest() {
    let (link, mut client, mut server) = pair().await;
    link.add(latency(millis(50)), Direction::Upstream).await;
    let start = Instant::now();
    client.shutdown().await.unwrap();
    assert_eq!(read_all(&mut server).await, b"");
    assert!(start.elapsed() >= millis(50));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chunks_overlap_in_flight() {
    let (link, mut client, mut server) = pair().await;
    let id = link.add(latency(millis(200)), Direction::Upstream).await;
    let start = Instant::now();
    for number in 0..100_u8 {
        client.write_all(&[number; 1000]).await.unwrap();
        sleep(millis(1)).await;
    }
    client.shutdown().await.unwrap();
    let received = read_all(&mut server).await;
    let expected: Vec<u8> = (0..100).flat_map(|number| [number; 1000]).collect();
    assert!(received == expected);
    // One after the other, even half of these chunks would take 10 s.
    assert!(link.hits(id).chunks >= 50);
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn removal_releases_at_once_and_loses_nothing() {
    let (link, mut client, mut server) = pair().await;
    let minute = Duration::from_secs(60);
    let first = link.add(latency(minute), Direction::Upstream).await;
    let sent = content(5, 3 << 20);
    within(client.write_all(&sent)).await.unwrap();
    client.shutdown().await.unwrap();
    eventually("all is in flight", || {
        link.hits(first).bytes == sent.len() as u64
    })
    .await;
    // What the first one lets go of meets the second one, which is after it.
    let second = link.add(latency(minute), Direction::Upstream).await;
    assert!(link.remove(first).await);
    assert_eq!(link.hits(second).bytes, sent.len() as u64);
    assert_eq!(link.traffic().bytes_upstream, 0);
    let start = Instant::now();
    assert!(link.remove(second).await);
    assert!(read_all(&mut server).await == sent);
    assert!(start.elapsed() < Duration::from_secs(10));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_line_holds_the_sender_back() {
    let (link, mut client, mut server) = pair().await;
    let id = link
        .add(latency(Duration::from_secs(3600)), Direction::Upstream)
        .await;
    let piece = content(6, 1 << 20);
    let mut sent = Vec::new();
    while let Ok(written) = timeout(millis(500), client.write(&piece)).await {
        sent.extend_from_slice(&piece[..written.unwrap()]);
        assert!(sent.len() < 64 << 20, "the line takes everything");
    }
    let held = link.hits(id).bytes;
    assert!((3 << 20..5 << 20).contains(&held), "{held}");
    assert!(link.remove(id).await);
    client.shutdown().await.unwrap();
    assert!(read_all(&mut server).await == sent);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reset_ends_what_is_in_flight() {
    let (link, mut client, mut server) = pair().await;
    link.add(latency(Duration::from_secs(3600)), Direction::Both)
        .await;
    client.write_all(b"too late").await.unwrap();
    link.add(Toxic::Down, Direction::Both).await;
    expect_reset(&mut client).await;
    let mut nothing = [0];
    within(server.read(&mut nothing)).await.unwrap_err();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn content_survives_any_sequence_of_changes() {
    for seed in 0..12_u64 {
        let (listener, address) = listener().await;
        let link = link_to(address);
        let (client, server) = connect(&link, &listener).await;
        let streams = tokio::spawn(exchange(client, server, 1 << 20, seed * 100));
        let mut random = random(seed);
        let mut active: Vec<ToxicId> = Vec::new();
        while !streams.is_finished() {
            let choice = below(&mut random, 8) as usize;
            if choice < active.len() {
                assert!(link.remove(active.remove(choice)).await);
            } else if active.len() < 4 {
                let toxic = match below(&mut random, 4) {
                    0 => Toxic::Reset {
                        after: Duration::from_secs(3600),
                    },
                    _ => Toxic::Latency {
                        delay: Duration::from_micros(below(&mut random, 3000)),
                        jitter: Duration::from_micros(below(&mut random, 3000)),
                    },
                };
                let direction = match below(&mut random, 3) {
                    0 => Direction::Upstream,
                    1 => Direction::Downstream,
                    _ => Direction::Both,
                };
                active.push(link.add(toxic, direction).await);
            }
            sleep(Duration::from_micros(below(&mut random, 3000))).await;
        }
        streams
            .await
            .unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        assert_eq!(link.active(), active);
    }
}
