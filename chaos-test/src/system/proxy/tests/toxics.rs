//! Each toxic's own promise, and the contract that they share.

use std::num::{NonZeroU32, NonZeroU64};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::super::{Direction, Hits, Toxic};
use super::kit::*;

const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn toxics_that_pass_bytes_on_pass_all_of_them() {
    let jittery = Toxic::Latency {
        delay: millis(1),
        jitter: millis(2),
    };
    for direction in [Direction::Upstream, Direction::Downstream, Direction::Both] {
        for toxic in [
            latency(Duration::ZERO),
            latency(millis(3)),
            jittery,
            Toxic::Reset { after: HOUR },
            Toxic::Bandwidth {
                rate: NonZeroU64::new(100 << 20).unwrap(),
            },
            Toxic::SlowClose { delay: millis(20) },
            Toxic::Slicer {
                average: NonZeroU32::new(1000).unwrap(),
                variation: 999,
                delay: Duration::ZERO,
            },
            Toxic::LimitData { bytes: u64::MAX },
            Toxic::Corrupt { share: 0.0 },
            Toxic::DropChunks { share: 0.0 },
            Toxic::DuplicateChunks { share: 0.0 },
            Toxic::AcceptDelay { delay: millis(20) },
        ] {
            check_transparent(toxic, direction).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn removing_is_idempotent_and_hits_stay() {
    let (link, mut client, mut server) = pair().await;
    let first = link.add(latency(millis(1)), Direction::Upstream).await;
    let second = link
        .add(Toxic::Reset { after: HOUR }, Direction::Both)
        .await;
    assert_eq!(link.active(), [first, second]);
    round_trip(&mut client, &mut server).await;
    assert!(link.remove(first).await);
    assert!(!link.remove(first).await);
    assert_eq!(link.active(), [second]);
    round_trip(&mut client, &mut server).await;
    let expected = Hits {
        connections: 1,
        chunks: 1,
        bytes: 1,
        ..Hits::default()
    };
    assert_eq!(link.hits(first), expected);
    assert_eq!(link.hits(second), Hits::default());
    let third = link.add(latency(millis(1)), Direction::Both).await;
    assert!(third > second, "ids are not used again");
    round_trip(&mut client, &mut server).await;
    let expected = Hits {
        connections: 1,
        chunks: 2,
        bytes: 2,
        ..Hits::default()
    };
    assert_eq!(link.hits(third), expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn down_resets_everybody_until_it_is_lifted() {
    for direction in [Direction::Upstream, Direction::Downstream, Direction::Both] {
        let (listener, address) = listener().await;
        let link = link_to(address);
        let mut open = Vec::new();
        for _ in 0..3 {
            open.push(connect(&link, &listener).await);
        }
        // Data under way makes no difference to what the peers see.
        open[0].0.write_all(&[0; 1000]).await.unwrap();
        let down = link.add(Toxic::Down, direction).await;
        assert_eq!(link.traffic().open, 0);
        for (client, server) in &mut open {
            expect_reset(client).await;
            expect_reset(server).await;
        }
        for _ in 0..4 {
            expect_refusal(&link).await;
        }
        let expected = Hits {
            connections: 7,
            refused: 4,
            reset: 3,
            ..Hits::default()
        };
        assert_eq!(link.hits(down), expected);
        assert!(link.remove(down).await);
        let (mut client, mut server) = connect(&link, &listener).await;
        round_trip(&mut client, &mut server).await;
        assert_eq!(link.hits(down), expected);
        assert_eq!(link.traffic().accepted, 8);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reset_meets_open_connections_after_its_time() {
    let (link, mut client, mut server) = pair().await;
    let after = millis(60);
    let start = Instant::now();
    let reset = link.add(Toxic::Reset { after }, Direction::Both).await;
    round_trip(&mut client, &mut server).await;
    expect_reset(&mut client).await;
    assert!(start.elapsed() >= after);
    expect_reset(&mut server).await;
    let expected = Hits {
        connections: 1,
        reset: 1,
        ..Hits::default()
    };
    assert_eq!(link.hits(reset), expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reset_meets_new_connections_with_their_first_byte() {
    let (listener, address) = listener().await;
    let link = link_to(address);
    let after = millis(60);
    let reset = link
        .add(Toxic::Reset { after }, Direction::Downstream)
        .await;
    let (mut client, mut server) = connect(&link, &listener).await;
    client.write_all(b"q").await.unwrap();
    within(server.read_u8()).await.unwrap();
    tokio::time::sleep(after * 2).await;
    assert_eq!(link.hits(reset).reset, 0, "nothing came downstream yet");
    let start = Instant::now();
    server.write_all(b"a").await.unwrap();
    within(client.read_u8()).await.unwrap();
    expect_reset(&mut client).await;
    assert!(start.elapsed() >= after);
    expect_reset(&mut server).await;
    assert_eq!(link.hits(reset).reset, 1);

    link.remove(reset).await;
    let (mut client, mut server) = connect(&link, &listener).await;
    round_trip(&mut client, &mut server).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reset_without_delay_is_at_once() {
    let (listener, address) = listener().await;
    let link = link_to(address);
    let (mut client, mut server) = connect(&link, &listener).await;
    let at_once = Toxic::Reset {
        after: Duration::ZERO,
    };
    let reset = link.add(at_once, Direction::Upstream).await;
    assert_eq!(link.hits(reset).reset, 1);
    expect_reset(&mut client).await;
    expect_reset(&mut server).await;

    let (mut client, mut server) = connect(&link, &listener).await;
    client.write_all(b"never arrives").await.unwrap();
    expect_reset(&mut client).await;
    let mut byte = [0];
    within(server.read(&mut byte)).await.unwrap_err();
    assert_eq!(link.hits(reset).reset, 2);
    assert_eq!(link.hits(reset).connections, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reset_that_is_removed_in_time_does_not_happen() {
    let (link, mut client, mut server) = pair().await;
    let reset = link
        .add(Toxic::Reset { after: millis(400) }, Direction::Both)
        .await;
    round_trip(&mut client, &mut server).await;
    assert!(link.remove(reset).await);
    tokio::time::sleep(millis(600)).await;
    round_trip(&mut client, &mut server).await;
    assert_eq!(link.hits(reset), Hits::default());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn extreme_durations_harm_nobody() {
    let (link, mut client, mut server) = pair().await;
    let endless = Toxic::Latency {
        delay: Duration::MAX,
        jitter: Duration::MAX,
    };
    let reset = Toxic::Reset {
        after: Duration::MAX,
    };
    let ids = [
        link.add(reset, Direction::Both).await,
        link.add(endless, Direction::Downstream).await,
    ];
    client.write_all(b"question").await.unwrap();
    server.write_all(b"answer").await.unwrap();
    eventually("the answer is in flight", || link.hits(ids[1]).bytes == 6).await;
    for id in ids {
        assert!(link.remove(id).await);
    }
    server.shutdown().await.unwrap();
    assert_eq!(read_all(&mut client).await, b"answer");
}
