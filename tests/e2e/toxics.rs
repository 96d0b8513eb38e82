//! The faults on links that requests on open connections do not feel, each with a client that does;
//! and what is asked for that makes no sense.

use std::net::SocketAddr;
use std::time::Duration;

use chaos_test::prelude::*;
use chaos_test::{Fault, Sample, kib, link};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

const ANSWER: &str = "answer";

/// Answers each client once and closes.
#[chaos_fixture]
async fn teller(chaos: &ChaosContext) -> chaos_test::Result<Service> {
    let teller = chaos.in_process("teller", async |listener: TcpListener| {
        loop {
            let (client, _) = listener.accept().await?;
            tokio::spawn(async move {
                let mut client = BufReader::new(client);
                let mut question = String::new();
                client.read_line(&mut question).await?;
                client.write_all(ANSWER.as_bytes()).await?;
                client.shutdown().await
            });
        }
        #[allow(unreachable_code, reason = "it says of which type the errors are")]
        Ok::<(), std::io::Error>(())
    });
    Ok(teller.await?)
}

/// Connects, asks and reads to the end.
async fn ask(address: SocketAddr) -> std::io::Result<String> {
    let mut client = TcpStream::connect(address).await?;
    client.write_all(b"question\n").await?;
    let mut answer = String::new();
    client.read_to_string(&mut answer).await?;
    Ok(answer)
}

/// Asks all the time; each answer has to be as it is.
fn asking(chaos: &ChaosContext, teller: &Service, expected: &'static str) -> Monitor {
    let address = teller.first_address().socket();
    let probe = move || async move {
        match ask(address).await {
            Ok(answer) if answer == expected => Ok(()),
            Ok(answer) => Err(format!("it says `{answer}`")),
            Err(error) => Err(error.to_string()),
        }
    };
    chaos.monitor(probe.every(ms(10)).named("answers"))
}

fn slow(sample: &Sample, least: Duration) -> bool {
    sample.reading.is_good() && sample.latency >= least
}

/// While a fault lasts all answers are late and whole, and afterwards none is.
async fn all_are_late(
    chaos: &ChaosContext,
    teller: &Service,
    fault: impl Fault,
) -> chaos_test::Result {
    let asked = asking(chaos, teller, ANSWER);
    let normal = asked.baseline(ms(200)).await?;
    let late = chaos.inject(fault).await?;
    let during = asked.over(ms(400)).await?;
    let lifted = late.lift().await?;
    let begun = during.samples().len();
    let late = during.samples().iter().filter(|one| slow(one, ms(80)));
    let late = late.count();
    assert!(late > 0 && late + 1 >= begun, "{late} of {begun} were late");
    let back = asked.recovers_to(&normal);
    back.since(lifted).within(secs(10)).await?;
    Ok(())
}

#[chaos_test(breaks(teller))]
async fn an_end_comes_late(chaos: &ChaosContext, teller: &Service) -> chaos_test::Result {
    all_are_late(chaos, teller, link::slow_close(teller, ms(80))).await
}

#[chaos_test(breaks(teller))]
async fn a_connection_is_taken_late(chaos: &ChaosContext, teller: &Service) -> chaos_test::Result {
    all_are_late(chaos, teller, link::accept_delay(teller, ms(80))).await
}

#[chaos_test(breaks(teller))]
async fn answers_come_twice(chaos: &ChaosContext, teller: &Service) -> chaos_test::Result {
    let twice = asking(chaos, teller, "answeranswer");
    let doubled = link::duplicate_chunks(teller, percent(100));
    let doubled = chaos.inject(doubled).await?;
    let during = twice.over(ms(200)).await?;
    during.expect(error_rate().at_most(percent(0))).check()?;
    doubled.lift().await?;
    let after = twice.over(ms(100)).await?;
    after.expect(error_rate().at_least(percent(100))).check()?;
    Ok(())
}

/// What would have no effect is refused, and says what to do.
#[chaos_test(breaks(teller))]
async fn what_makes_no_sense_is_refused(
    chaos: &ChaosContext,
    teller: &Service,
) -> chaos_test::Result {
    let asked = asking(chaos, teller, ANSWER);
    let refused = |error: chaos_test::Error| error.to_string();
    let told = [
        chaos
            .inject(link::bandwidth(teller, 0))
            .await
            .map_err(refused),
        chaos.inject(link::slicer(teller, 0)).await.map_err(refused),
        chaos
            .inject(link::slow_close(teller, ms(0)))
            .await
            .map_err(refused),
        chaos
            .inject(link::accept_delay(teller, ms(0)))
            .await
            .map_err(refused),
        chaos
            .inject(link::corrupt(teller, percent(0)))
            .await
            .map_err(refused),
        chaos
            .inject(link::drop_chunks(teller, percent(101)))
            .await
            .map_err(refused),
    ];
    let expected = [
        "a bandwidth of no bytes a second lets nothing through",
        "a piece has one byte at least, and none was asked for",
        "a slow close of no time has no effect",
        "an accept delay of no time has no effect",
        "a share of bytes is more than 0 % and at most 100 %, not 0 %",
        "a share of chunks is more than 0 % and at most 100 %, not 101 %",
    ];
    for (told, expected) in told.into_iter().zip(expected) {
        let told = told.expect_err(expected);
        assert!(told.contains(expected), "{told}");
    }
    let short = chaos.inject(link::limit_data(teller, kib(0))).await?;
    let during = asked.over(ms(50)).await?;
    during.expect(error_rate().at_least(percent(100))).check()?;
    short.lift().await?;
    Ok(())
}
