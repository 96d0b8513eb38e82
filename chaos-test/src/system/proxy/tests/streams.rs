//! The toxics that act on a stream's bytes and its end.

use std::{
    num::{NonZeroU32, NonZeroU64},
    time::{Duration, Instant},
};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::super::{Direction, Toxic};
use super::kit::*;

fn bandwidth(rate: u64) -> Toxic {
    Toxic::Bandwidth {
        rate: NonZeroU64::new(rate).unwrap(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_narrow_link_takes_its_time_and_loses_nothing() {
    let (link, mut client, mut server) = pair().await;
    let narrow = link.add(bandwidth(1_000_000), Direction::Upstream).await;
    let sent = content(3, 300_000);
    let began = Instant::now();
    let (written, received) = tokio::join!(
        async {
            client.write_all(&sent).await?;
            client.shutdown().await
        },
        read_all(&mut server)
    );
    written.unwrap();
    assert!(received == sent);
    assert!(began.elapsed() >= millis(299), "{:?}", began.elapsed());
    assert_eq!(link.hits(narrow).bytes, 300_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_wire_saves_nothing_up() {
    let (link, mut client, mut server) = pair().await;
    link.add(bandwidth(100_000), Direction::Upstream).await;
    let mut bytes = [0; 10_000];
    for _ in 0..2 {
        tokio::time::sleep(millis(300)).await;
        let began = Instant::now();
        client.write_all(&bytes).await.unwrap();
        within(server.read_exact(&mut bytes)).await.unwrap();
        assert!(began.elapsed() >= millis(99), "{:?}", began.elapsed());
    }
}

/// Ten times as much at once as it carries in a second, and one byte a second.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_rate_and_any_amount_go_together() {
    let (link, mut client, mut server) = pair().await;
    let slowest = link.add(bandwidth(1), Direction::Upstream).await;
    client.write_all(b"ab").await.unwrap();
    let began = Instant::now();
    within(server.read_u8()).await.unwrap();
    assert!(began.elapsed() >= millis(900));
    assert!(link.remove(slowest).await);
    assert_eq!(within(server.read_u8()).await.unwrap(), b'b');
    assert!(began.elapsed() < Duration::from_secs(20));
    link.add(bandwidth(u64::MAX), Direction::Both).await;
    exchange(client, server, 300_000, 9).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_end_is_late() {
    let (link, mut client, mut server) = pair().await;
    let late = Toxic::SlowClose { delay: millis(200) };
    let late = link.add(late, Direction::Downstream).await;
    server.write_all(b"answer").await.unwrap();
    server.shutdown().await.unwrap();
    let began = Instant::now();
    let mut answer = [0; 6];
    within(client.read_exact(&mut answer)).await.unwrap();
    assert_eq!(link.traffic().bytes_downstream, 6);
    assert_eq!(read_all(&mut client).await, b"");
    assert!(began.elapsed() >= millis(190), "{:?}", began.elapsed());
    assert_eq!(link.hits(late).connections, 1);
    // The other way is open all the time.
    client.write_all(b"thanks").await.unwrap();
    client.shutdown().await.unwrap();
    assert_eq!(read_all(&mut server).await, b"thanks");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_end_that_is_held_back_goes_on_at_once_when_lifted() {
    let (link, mut client, mut server) = pair().await;
    let never = Toxic::SlowClose {
        delay: Duration::MAX,
    };
    let never = link.add(never, Direction::Downstream).await;
    server.shutdown().await.unwrap();
    eventually("the end is met", || link.hits(never).connections == 1).await;
    assert!(link.remove(never).await);
    assert_eq!(read_all(&mut client).await, b"");
}

/// Elsewhere it waits for data to stop.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_timeout_ends_a_stream_while_data_flows() {
    let (link, mut client, server) = pair().await;
    let (mut asked, mut answers) = server.into_split();
    let after = millis(200);
    let began = Instant::now();
    let silent = Toxic::Timeout { after: Some(after) };
    let silent = link.add(silent, Direction::Downstream).await;
    let flood = tokio::spawn(async move {
        while answers.write_all(&[1; 1000]).await.is_ok() {
            tokio::time::sleep(millis(1)).await;
        }
    });
    assert_eq!(read_all(&mut client).await, b"");
    assert!(began.elapsed() >= after);
    assert!(link.hits(silent).bytes > 0);
    // What is asked still arrives.
    client.write_all(b"?").await.unwrap();
    assert_eq!(within(asked.read_u8()).await.unwrap(), b'?');
    drop(client);
    within(flood).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_timeout_without_a_time_ends_its_connections_when_lifted() {
    let (listener, address) = listener().await;
    let link = link_to(address);
    let (mut client, mut server) = connect(&link, &listener).await;
    let silent = Toxic::Timeout { after: None };
    let silent = link.add(silent, Direction::Downstream).await;
    server.write_all(b"lost").await.unwrap();
    eventually("it is lost", || link.hits(silent).bytes == 4).await;
    assert!(link.remove(silent).await);
    server.write_all(b"too late").await.ok();
    assert_eq!(read_all(&mut client).await, b"");
    let (mut client, mut server) = connect(&link, &listener).await;
    round_trip(&mut client, &mut server).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slicer_sends_piece_by_piece() {
    let (link, mut client, mut server) = pair().await;
    let slicer = Toxic::Slicer {
        average: NonZeroU32::new(4).unwrap(),
        variation: 3,
        delay: millis(5),
    };
    let slicer = link.add(slicer, Direction::Upstream).await;
    let began = Instant::now();
    client.write_all(&[7; 70]).await.unwrap();
    let mut reads = 0;
    let mut left = 70;
    let mut bytes = [0; 70];
    while left > 0 {
        left -= within(server.read(&mut bytes)).await.unwrap();
        reads += 1;
    }
    // Ten pieces at least, of at most seven bytes; a busy reader finds several at once.
    assert!(reads > 1, "{reads}");
    assert!(began.elapsed() >= millis(9 * 5), "{:?}", began.elapsed());
    assert_eq!(link.hits(slicer).bytes, 70);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exactly_so_many_bytes_pass() {
    for limit in [0, 1, 99, 100] {
        let (link, mut client, mut server) = pair().await;
        let short = Toxic::LimitData { bytes: limit };
        let short = link.add(short, Direction::Downstream).await;
        for _ in 0..10 {
            server.write_all(&[5; 20]).await.unwrap();
        }
        assert_eq!(read_all(&mut client).await.len() as u64, limit);
        assert_eq!(link.hits(short).connections, 1);
        // The other way goes on.
        client.write_all(b"more").await.unwrap();
        client.shutdown().await.unwrap();
        assert_eq!(read_all(&mut server).await, b"more");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_share_of_the_bytes_has_one_bit_flipped() {
    let (link, mut client, mut server) = pair().await;
    let noisy = link
        .add(Toxic::Corrupt { share: 0.1 }, Direction::Upstream)
        .await;
    let sent = content(4, 100_000);
    let (written, received) = tokio::join!(
        async {
            client.write_all(&sent).await?;
            client.shutdown().await
        },
        read_all(&mut server)
    );
    written.unwrap();
    assert_eq!(received.len(), sent.len());
    let flips = sent
        .iter()
        .zip(&received)
        .map(|(a, b)| (a ^ b).count_ones());
    let flips: Vec<u32> = flips.filter(|bits| *bits > 0).collect();
    assert!(flips.iter().all(|bits| *bits == 1));
    assert!((9_000..=11_000).contains(&flips.len()), "{}", flips.len());
    assert_eq!(link.hits(noisy).bytes, flips.len() as u64);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chunks_are_lost_and_doubled() {
    for (toxic, expected) in [
        (Toxic::DropChunks { share: 1.0 }, &b""[..]),
        (Toxic::DuplicateChunks { share: 1.0 }, b"abab"),
    ] {
        let (link, mut client, mut server) = pair().await;
        let id = link.add(toxic, Direction::Upstream).await;
        client.write_all(b"ab").await.unwrap();
        eventually("it is met", || link.hits(id).chunks == 1).await;
        client.shutdown().await.unwrap();
        assert_eq!(read_all(&mut server).await, expected);
        assert_eq!(link.hits(id).bytes, 2);
    }
}

/// What was drawn for a connection stays, whatever comes and goes beside it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_neighbour_changes_nothing_of_what_was_drawn() {
    let mut seen = Vec::new();
    for beside in [false, true] {
        let (link, mut client, mut server) = pair().await;
        link.add(Toxic::Corrupt { share: 0.5 }, Direction::Upstream)
            .await;
        let mut received = Vec::new();
        for number in 0..20 {
            let neighbour = match beside {
                true => Some(link.add(latency(millis(1)), Direction::Both).await),
                false => None,
            };
            client.write_all(&[number; 10]).await.unwrap();
            let mut bytes = [0; 10];
            within(server.read_exact(&mut bytes)).await.unwrap();
            received.extend(bytes);
            if let Some(neighbour) = neighbour {
                link.remove(neighbour).await;
            }
        }
        seen.push(received);
    }
    assert_eq!(seen[0], seen[1]);
}
