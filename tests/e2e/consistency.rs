//! What becomes of records while a service is killed, and what is said of those that are wrong.

use std::sync::{Arc, Mutex, PoisonError};

use chaos_test::prelude::*;
use chaos_test::{
    Error, RecordExpectations, changed, duplicated, lost, out_of_order, process, unexpected,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use chaos_test_fixtures::rerun::Rerun;

use crate::subjects::say;

/// A line for each record, in the order of writing.
type Shelf = Arc<Mutex<String>>;

/// A store of records. Each client sends its record, or nothing to read all of them.
async fn store(chaos: &ChaosContext, forgets: bool) -> chaos_test::Result<Service> {
    let durable = Shelf::default();
    let store = chaos.in_process("store", async move |listener| -> std::io::Result<()> {
        // What a start makes for itself is gone with the next kill.
        let shelf = if forgets {
            Shelf::default()
        } else {
            Arc::clone(&durable)
        };
        loop {
            let (mut client, _) = listener.accept().await?;
            let mut record = String::new();
            if client.read_to_string(&mut record).await.is_err() {
                continue;
            }
            let answer = {
                let mut shelf = shelf.lock().unwrap_or_else(PoisonError::into_inner);
                shelf.push_str(&record);
                if record.is_empty() {
                    shelf.clone()
                } else {
                    "stored".to_owned()
                }
            };
            // Whoever has gone meanwhile does not know whether it was stored.
            let _ = client.write_all(answer.as_bytes()).await;
        }
    });
    Ok(store.await?)
}

/// Sends something and reads the whole answer.
async fn ask(store: &Service, request: &str) -> std::io::Result<String> {
    let mut client = TcpStream::connect(store.first_address().socket()).await?;
    client.write_all(request.as_bytes()).await?;
    client.shutdown().await?;
    let mut answer = String::new();
    client.read_to_string(&mut answer).await?;
    Ok(answer)
}

/// Writes before, in and after an outage, and reads everything in the end.
async fn written_and_read(
    chaos: &ChaosContext,
    store: &Service,
) -> chaos_test::Result<RecordExpectations> {
    let (mut acknowledged, mut uncertain) = (Vec::new(), Vec::new());
    let mut outage = None;
    for id in 0.. {
        let record = (id, format!("book {id}"));
        match ask(store, &format!("{id}:{}\n", record.1)).await {
            Ok(answer) if answer == "stored" => acknowledged.push(record),
            _ => uncertain.push(record),
        }
        if acknowledged.len() == 100 && uncertain.is_empty() {
            outage = Some(chaos.inject(process::kill(store)).await?);
        }
        if uncertain.len() == 3
            && let Some(outage) = outage.take()
        {
            outage.lift().await?;
        }
        if acknowledged.len() == 200 {
            break;
        }
    }
    let all = ask(store, "").await?;
    let read = all.lines().filter_map(|line| {
        let (id, book) = line.split_once(':')?;
        Some((id.parse::<u32>().ok()?, book.to_owned()))
    });
    let records = chaos.consistency("orders", acknowledged, read);
    Ok(records.uncertain(uncertain).expect(lost().at_most(0)))
}

/// A store that keeps what it acknowledged loses nothing by a kill. What was written while it was
/// down is neither lost where it is missing nor unexpected where it is there.
#[chaos_test]
async fn what_was_acknowledged_is_there(chaos: &ChaosContext) -> chaos_test::Result {
    let store = store(chaos, false).await?;
    written_and_read(chaos, &store)
        .await?
        .expect(duplicated().at_most(0))
        .expect(changed().at_most(0))
        .expect(out_of_order().at_most(0))
        .expect(unexpected().at_most(0))
        .check()?;
    Ok(())
}

/// A store that loses all by a kill, and records that are wrong in each other way.
#[chaos_test]
#[ignore = "another test runs it as a child"]
async fn records_are_wrong(chaos: &ChaosContext) -> chaos_test::Result {
    let store = store(chaos, true).await?;
    let error = written_and_read(chaos, &store).await?.check();
    say(&format!(
        "deviation: {}",
        error.is_err_and(|error| error.is_deviation())
    ));
    let written = (0..1000).map(|id| (format!("parcel-{id}"), id % 7));
    let mut read: Vec<(String, i32)> = written.clone().collect();
    read[17].1 = 99;
    read.swap(400, 401);
    read.push(("parcel-3".to_owned(), 3));
    read.push(("nobody's".to_owned(), 0));
    let error: Result<(), Error> = chaos
        .consistency("parcels", written, read)
        .expect(lost().at_most(0))
        .expect(duplicated().at_most(0))
        .expect(changed().at_most(percent(0)))
        .expect(out_of_order().at_most(0))
        .expect(unexpected().at_most(0))
        .check();
    say(&format!(
        "misses: {}",
        error.expect_err("four are").to_string().lines().count()
    ));
    let nothing = std::iter::empty::<(u8, ())>();
    let error = chaos
        .consistency("letters", nothing.clone(), nothing)
        .expect(lost().at_most(0));
    say(&format!(
        "no data: {}",
        error.check().is_err_and(|error| error.is_no_data())
    ));
    let _ = chaos
        .consistency("stamps", [(1, ())], [(1, ())])
        .expect(lost().at_most(2));
    Ok(())
}

#[test]
fn a_miss_shows_counts_shares_and_keys() {
    let ended = Rerun::of("consistency::records_are_wrong").run();
    let output = ended.output();
    assert!(!ended.status.success(), "{output}");
    for expected in [
        "deviation: true",
        // All from before the kill.
        "lost records of orders: 100 of 200 acknowledged (50 %): 0, 1, 2, 3, 4, ..., expected none",
        "misses: 4",
        "duplicated records of parcels: 1 of 1000 acknowledged (0.1 %): \"parcel-3\", expected none",
        "changed records of parcels: 1 of 1000 acknowledged (0.1 %): \"parcel-17\", expected at most 0 %",
        "out-of-order records of parcels: 1 of 1000 acknowledged (0.1 %): \"parcel-40",
        "unexpected records of parcels: 1 of 1002 read (0.1 %): \"nobody's\", expected none",
        "no data: true",
        "lost records of letters: no data: no record was written before, expected none",
        "lost records of stamps: was never judged: call `.check()`, expected at most 2",
        "at tests/e2e/consistency.rs:",
    ] {
        assert!(output.contains(expected), "`{expected}` in:\n{output}");
    }
    assert!(
        output.contains("held: lost records of parcels: none of 1000 acknowledged"),
        "{output}"
    );
    let journal = ended.journals().concat();
    assert!(
        journal.contains("100 of 200 acknowledged (50 %): 0, 1, 2, 3, 4"),
        "{journal}"
    );
}

#[test]
#[should_panic(expected = "records need a name")]
fn records_without_a_name_are_refused() {
    let chaos = ChaosContext::start_blocking().expect("a context can be opened");
    let _ = chaos.consistency("", [(1, ())], [(1, ())]);
}
