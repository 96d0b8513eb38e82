//! What a link says of its clients' attempts.

use std::time::Instant;

use tokio::io::AsyncWriteExt;

use super::super::{Direction, Toxic};
use super::kit::*;
use crate::model::attempt::Attempt;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_turn_of_a_connection_is_an_attempt() {
    let started = Instant::now();
    let (link, mut client, mut server) = pair().await;
    let attempts = || link.attempts(started).attempts;
    // A spare connection: nothing was sent on it.
    eventually("it has come", || attempts().len() == 1).await;
    assert!(!attempts()[0].sent);
    sleep_a_little().await;
    let before = started.elapsed();
    for _ in 0..3 {
        round_trip(&mut client, &mut server).await;
        sleep_a_little().await;
    }
    let seen = attempts();
    let opened: Vec<bool> = seen.iter().map(|one| one.opened).collect();
    assert_eq!(opened, [true, false, false]);
    assert!(seen.iter().all(|one| one.sent && one.connection == 1));
    assert!(seen[0].began >= before, "{seen:?} after {before:?}");
    let pause = |two: &[Attempt]| two[1].began - two[0].ended.expect("it was answered");
    assert!(
        seen.windows(2)
            .all(|two| two[0].answered && pause(two) >= millis(5)),
        "{seen:?}"
    );
    // One more that is never answered, and the client gives up.
    client.write_all(b"?").await.expect("write");
    eventually("it was sent", || attempts().len() == 4).await;
    assert_eq!(attempts()[3].ended, None);
    let gave_up = started.elapsed();
    drop(client);
    eventually("it has ended", || attempts()[3].ended.is_some()).await;
    // Though the service knows nothing of it, and keeps its end open.
    assert!(!attempts()[3].answered && attempts()[3].ended >= Some(gave_up));
    drop(server);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_turned_away_was_tried() {
    let started = Instant::now();
    let link = link_to(nobody().await);
    expect_refusal(&link).await;
    link.add(Toxic::Down, Direction::Both).await;
    expect_refusal(&link).await;
    eventually("both have ended", || {
        let seen = link.attempts(started).attempts;
        seen.len() == 2 && seen.iter().all(|one| one.ended.is_some() && !one.answered)
    })
    .await;
}

/// A client gets its answer when it is handed over, and not when the service sent it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_is_held_back_ends_nothing() {
    let started = Instant::now();
    let (link, mut client, mut server) = pair().await;
    link.add(latency(millis(60)), Direction::Downstream).await;
    let took = round_trip(&mut client, &mut server).await;
    let seen = link.attempts(started).attempts;
    let ended = seen[0].ended;
    client.write_all(b"?").await.expect("write");
    eventually("it was sent", || link.attempts(started).attempts.len() == 2).await;
    let first = link.attempts(started).attempts[0];
    assert_eq!(ended, None, "a turn ends with the next one");
    let lasted = first.ended.expect("it was answered") - first.began;
    assert!(lasted >= millis(60), "{lasted:?} of {took:?}");
}

async fn sleep_a_little() {
    tokio::time::sleep(millis(5)).await;
}
