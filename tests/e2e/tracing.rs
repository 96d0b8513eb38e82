//! What probes send of the test's trace, as a server sees it.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use chaos_test::prelude::*;
use chaos_test::{http, process, traceparent};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use chaos_test_fixtures::rerun::Rerun;

use crate::subjects::say;

/// The heads of all requests that a server was sent, in their order.
#[derive(Clone, Default)]
struct Requests(Arc<Mutex<Vec<String>>>);

impl Requests {
    /// What was sent as `traceparent` with each request for a path.
    fn traceparents(&self, path: &str) -> Vec<Vec<String>> {
        let heads = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let begin = format!("GET {path} ");
        let to_path = heads.iter().filter(|head| head.starts_with(&begin));
        to_path
            .map(|head| {
                let headers = head.lines().filter_map(|line| line.split_once(": "));
                let ours = headers.filter(|(name, _)| name.eq_ignore_ascii_case("traceparent"));
                ours.map(|(_, value)| value.to_owned()).collect()
            })
            .collect()
    }
}

/// An HTTP server that remembers what it was sent.
async fn recorder(chaos: &ChaosContext) -> chaos_test::Result<(Service, Requests)> {
    let requests = Requests::default();
    let seen = requests.clone();
    let server = chaos
        .in_process("recorder", async move |listener| -> std::io::Result<()> {
            loop {
                let (mut client, _) = listener.accept().await?;
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    match client.read_u8().await {
                        Ok(byte) => head.push(byte),
                        Err(_) => break,
                    }
                }
                let head = String::from_utf8_lossy(&head).into_owned();
                seen.0
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(head);
                let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
                let _ = client.write_all(answer).await;
            }
        })
        .ready(http("/ready"));
    Ok((server.await?, requests))
}

/// All samples of a test are one trace, and each is a span of its own: those of HTTP probes, and
/// those of a user's own that ask for it. What the user sets himself stays.
#[chaos_test]
async fn each_sample_is_a_span_in_the_tests_trace(chaos: &ChaosContext) -> chaos_test::Result {
    let (server, requests) = recorder(chaos).await?;
    let own = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let set = server.get("/set").header("Traceparent", own);
    let address = server.first_address().socket();
    let closure = move || async move {
        let mut client = TcpStream::connect(address).await?;
        let parent = traceparent().unwrap_or_default();
        let request = format!("GET /own HTTP/1.1\r\ntraceparent: {parent}\r\n\r\n");
        client.write_all(request.as_bytes()).await?;
        client.read_u8().await.map(|_| ())
    };
    let monitors = [
        chaos.monitor(server.get("/one").every(ms(10))),
        chaos.monitor(server.get("/other").every(ms(10))),
        chaos.monitor(set.every(ms(10))),
        chaos.monitor(closure.every(ms(10)).named("own")),
    ];
    for monitor in &monitors {
        monitor.baseline(ms(50)).await?;
    }
    chaos
        .eventually("it answers", async move || closure().await.map(|()| true))
        .await?;
    assert_eq!(traceparent(), None, "nobody asks here");
    let outage = chaos.inject(process::kill(&server)).await?;
    monitors[0].over(ms(50)).await?;
    outage.lift().await?;

    let begin = format!("00-{}-", chaos.trace_id());
    let mut spans = BTreeSet::new();
    let mut count = 0;
    for path in ["/one", "/other", "/own"] {
        let sent = requests.traceparents(path);
        assert!(sent.len() >= 5, "{path}: {sent:?}");
        for headers in &sent {
            let [header] = headers.as_slice() else {
                panic!("{path}: one header, not {headers:?}");
            };
            let rest = header
                .strip_prefix(&begin)
                .expect("it is this test's trace");
            let span = rest.strip_suffix("-01").expect("it is sampled");
            assert_eq!(span.len(), 16, "{header}");
            spans.insert(span.to_owned());
            count += 1;
        }
    }
    assert_eq!(spans.len(), count, "a span came twice");
    let set = requests.traceparents("/set");
    assert!(set.len() >= 5, "{set:?}");
    assert!(set.iter().all(|headers| headers == &[own]), "{set:?}");
    let ready = requests.traceparents("/ready");
    assert!(
        ready.iter().all(Vec::is_empty),
        "a ready check is no sample: {ready:?}"
    );
    Ok(())
}

/// A test with an HTTP probe that fails.
#[chaos_test]
#[ignore = "another test runs it as a child"]
async fn it_fails_with_a_trace(chaos: &ChaosContext) -> chaos_test::Result {
    let (server, _) = recorder(chaos).await?;
    let requests = chaos.monitor(server.get("/").every(ms(10)));
    requests.baseline(ms(50)).await?;
    say(&format!("it is {}", chaos.trace_id()));
    let _outage = chaos.inject(process::kill(&server)).await?;
    let seen = requests.over(ms(100)).await?;
    seen.expect(error_rate().at_most(percent(0))).check()?;
    Ok(())
}

/// As above, without anything that could be traced.
#[chaos_test]
#[ignore = "another test runs it as a child"]
async fn it_fails_without_a_trace(chaos: &ChaosContext) -> chaos_test::Result {
    let (server, _) = recorder(chaos).await?;
    let requests = chaos.monitor(server.connect().every(ms(10)));
    requests.baseline(ms(50)).await?;
    let _outage = chaos.inject(process::kill(&server)).await?;
    let seen = requests.over(ms(100)).await?;
    seen.expect(error_rate().at_most(percent(0))).check()?;
    Ok(())
}

#[test]
fn a_failure_names_the_trace_once_and_only_where_it_was_sent() {
    let ended = Rerun::of("tracing::it_fails_with_a_trace").run();
    let output = ended.output();
    assert!(!ended.status.success(), "{output}");
    let said = output.lines().find_map(|line| line.strip_prefix("it is "));
    let trace = said.expect("it says which trace it is");
    assert!(
        output.contains(&format!("\n  trace:  {trace}\n")),
        "{output}"
    );
    assert_eq!(output.matches("trace:  ").count(), 1, "{output}");
    let journal = ended.journals().concat();
    let event = format!("\"event\":\"traced\",\"trace\":\"{trace}\"");
    assert_eq!(journal.matches(&event).count(), 1, "{journal}");
    assert!(ended.junit().contains(trace), "{}", ended.junit());

    let ended = Rerun::of("tracing::it_fails_without_a_trace").run();
    let output = ended.output();
    assert!(!ended.status.success(), "{output}");
    assert!(output.contains("error rate of recorder tcp"), "{output}");
    assert!(!output.contains("trace:  "), "{output}");
    assert!(
        !ended.journals().concat().contains("\"traced\""),
        "{output}"
    );
}
