//! What services in containers cost, beside the engine itself and beside testcontainers:
//! `cargo bench -p chaos-test-e2e --features chaos --bench containers` prints a table.
//!
//! The figures are for people. Nothing here may fail because a machine is slow. What can be
//! compared is measured in turns, because only the ratio means anything on a machine that
//! does other work, too.

#![expect(clippy::print_stdout, reason = "the table is what it is for")]

use std::future::Future;
use std::time::{Duration, Instant};

use chaos_test::testcontainers::bollard::Docker;
use chaos_test::testcontainers::bollard::models::{
    ContainerCreateBody, HostConfig, Ipam, IpamConfig, NetworkCreateRequest, PortBinding,
};
use chaos_test::testcontainers::bollard::query_parameters::{
    AttachContainerOptionsBuilder, CreateContainerOptionsBuilder, RemoveContainerOptionsBuilder,
    StopContainerOptionsBuilder,
};
use chaos_test::testcontainers::core::client::docker_client_instance;
use chaos_test::testcontainers::runners::AsyncRunner;
use chaos_test::testcontainers::{GenericImage, Image};
use chaos_test::{ChaosContext, Container, Fault, Service, container, secs};
use chaos_test_fixtures::images;
use futures_util::StreamExt;
use futures_util::future::join_all;

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

/// How often each thing is done.
const TIMES: usize = 15;
/// How often ten containers are started and removed.
const ROUNDS: usize = 5;
const TEN: usize = 10;
/// What Redis prints once it listens.
const READY: &str = "Ready to accept connections";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result {
    // What `cargo bench` passes and `cargo test --benches` does not.
    if !std::env::args().any(|word| word == "--bench") {
        return Ok(());
    }
    let image = images::redis().await?;
    let engine = docker_client_instance().await?.negotiate_version().await?;
    println!("| what | median | the engine alone | ratio | testcontainers | slowest |");
    println!("|---|---|---|---|---|---|");
    start_to_ready(&engine, &image).await?;
    ten_at_once(&engine, &image).await?;
    faults(&engine, &image).await?;
    println!("\nmemory of this process after all that: {}", memory());
    Ok(())
}

async fn start_to_ready(engine: &Docker, image: &GenericImage) -> Result {
    let (mut ours, mut bare, mut theirs) = (Times::default(), Times::default(), Times::default());
    let (mut second, mut bare_second) = (Times::default(), Times::default());
    for number in 0..TIMES {
        let chaos = context().await?;
        // The network is made once for a context, and is a part of its first start.
        ours.take(redis(&chaos, image, "redis")).await?;
        second.take(redis(&chaos, image, "second")).await?;
        end(chaos).await;
        let name = format!("chaos-bench-{}-{number}", std::process::id());
        let another = format!("{name}-second");
        bare.take(async {
            make_network(engine, &name, number).await?;
            start_bare(engine, image, &name, Some(&name)).await
        })
        .await?;
        let started = start_bare(engine, image, &another, Some(&name));
        bare_second.take(started).await?;
        remove_bare(engine, &another).await?;
        remove_bare(engine, &name).await?;
        engine.remove_network(&name).await?;
        let started = theirs.take(image.clone().start()).await?;
        started.rm().await?;
    }
    let first = "first start to ready, with a network";
    row(first, &ours, &bare, None);
    let next = "second start to ready, in that network";
    row(next, &second, &bare_second, Some(&theirs));
    Ok(())
}

/// A private network, as a context has one.
async fn make_network(engine: &Docker, name: &str, number: usize) -> Result {
    let range = IpamConfig {
        subnet: Some(format!("10.199.{number}.0/24")),
        ..IpamConfig::default()
    };
    let request = NetworkCreateRequest {
        name: name.to_owned(),
        ipam: Some(Ipam {
            config: Some(vec![range]),
            ..Ipam::default()
        }),
        ..NetworkCreateRequest::default()
    };
    engine.create_network(request).await?;
    Ok(())
}

async fn ten_at_once(engine: &Docker, image: &GenericImage) -> Result {
    let (mut ours, mut bare) = (Times::default(), Times::default());
    let (mut ends, mut bare_ends) = (Times::default(), Times::default());
    for round in 0..ROUNDS {
        let chaos = context().await?;
        let names: Vec<String> = (0..TEN).map(|number| format!("redis-{number}")).collect();
        let started = names.iter().map(|name| redis(&chaos, image, name));
        ours.take(all(started)).await?;
        let ended = Instant::now();
        end(chaos).await;
        ends.add(ended.elapsed());
        let names: Vec<String> = (0..TEN)
            .map(|number| format!("chaos-bench-{}-{round}-{number}", std::process::id()))
            .collect();
        let network = format!("chaos-bench-{}", std::process::id());
        bare.take(async {
            make_network(engine, &network, round).await?;
            let started = names.iter();
            all(started.map(|name| start_bare(engine, image, name, Some(&network)))).await
        })
        .await?;
        bare_ends
            .take(async {
                all(names.iter().map(|name| remove_bare(engine, name))).await?;
                Ok::<_, Box<dyn std::error::Error>>(engine.remove_network(&network).await?)
            })
            .await?;
    }
    row("ten at once, start to ready", &ours, &bare, None);
    row("ten removed, with their network", &ends, &bare_ends, None);
    Ok(())
}

async fn faults(engine: &Docker, image: &GenericImage) -> Result {
    let chaos = context().await?;
    let service = redis(&chaos, image, "redis").await?;
    let name = format!("chaos-bench-{}", std::process::id());
    start_bare(engine, image, &name, None).await?;
    let stop = || StopContainerOptionsBuilder::default().t(2).build();

    let (mut ours, mut bare) = (Times::default(), Times::default());
    for _ in 0..TIMES {
        inject(&chaos, &mut ours, container::stop(&service)).await?;
        bare.take(engine.stop_container(&name, Some(stop())))
            .await?;
        engine.start_container(&name, None).await?;
    }
    row("stop, from call to verified", &ours, &bare, None);

    let (mut ours, mut bare) = (Times::default(), Times::default());
    for _ in 0..TIMES {
        inject(&chaos, &mut ours, container::pause(&service)).await?;
        bare.take(engine.pause_container(&name)).await?;
        engine.unpause_container(&name).await?;
    }
    row("pause, from call to verified", &ours, &bare, None);

    let (mut ours, mut bare) = (Times::default(), Times::default());
    for _ in 0..TIMES {
        inject(&chaos, &mut ours, container::restart(&service)).await?;
        bare.take(async {
            engine.stop_container(&name, Some(stop())).await?;
            engine.start_container(&name, None).await
        })
        .await?;
    }
    row("restart, from call to verified", &ours, &bare, None);
    remove_bare(engine, &name).await?;
    end(chaos).await;
    Ok(())
}

async fn context() -> Result<ChaosContext> {
    Ok(ChaosContext::start().await?)
}

/// Ends a context whose verdict nobody wants: it holds no hypothesis.
async fn end(chaos: ChaosContext) {
    let _ = chaos.finish().await;
}

async fn redis(chaos: &ChaosContext, image: &GenericImage, name: &str) -> Result<Service> {
    let container = Container::new(image.clone()).grace(secs(2));
    Ok(chaos.container(name, container).await?)
}

async fn inject(chaos: &ChaosContext, times: &mut Times, fault: impl Fault) -> Result {
    let injected = times.take(chaos.inject(fault)).await?;
    injected.lift().await?;
    Ok(())
}

/// The same container by nothing but the engine's own interface, ready when Redis says so.
async fn start_bare(
    engine: &Docker,
    image: &GenericImage,
    name: &str,
    network: Option<&str>,
) -> Result {
    let published = PortBinding {
        host_ip: Some("127.0.0.1".to_owned()),
        host_port: None,
    };
    let body = ContainerCreateBody {
        image: Some(format!("{}:{}", image.name(), image.tag())),
        exposed_ports: Some(vec!["6379/tcp".to_owned()]),
        host_config: Some(HostConfig {
            port_bindings: Some([("6379/tcp".to_owned(), Some(vec![published]))].into()),
            network_mode: network.map(str::to_owned),
            ..HostConfig::default()
        }),
        ..ContainerCreateBody::default()
    };
    let options = CreateContainerOptionsBuilder::default().name(name).build();
    engine.create_container(Some(options), body).await?;
    let options = AttachContainerOptionsBuilder::default()
        .stdout(true)
        .stderr(true)
        .stream(true)
        .build();
    let mut output = engine.attach_container(name, Some(options)).await?.output;
    engine.start_container(name, None).await?;
    while let Some(piece) = output.next().await {
        if piece?.to_string().contains(READY) {
            return Ok(());
        }
    }
    Err("it ended before it was ready".into())
}

async fn remove_bare(engine: &Docker, name: &str) -> Result {
    let options = RemoveContainerOptionsBuilder::default()
        .force(true)
        .v(true)
        .build();
    Ok(engine.remove_container(name, Some(options)).await?)
}

async fn all<T>(work: impl Iterator<Item = impl Future<Output = Result<T>>>) -> Result {
    for done in join_all(work).await {
        done?;
    }
    Ok(())
}

/// Times of one thing that was done again and again.
#[derive(Default)]
struct Times(Vec<Duration>);

impl Times {
    async fn take<T>(&mut self, work: impl Future<Output = T>) -> T {
        let start = Instant::now();
        let done = work.await;
        self.add(start.elapsed());
        done
    }

    fn add(&mut self, time: Duration) {
        self.0.push(time);
    }

    fn median(&self) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let middle = sorted.get(sorted.len() / 2).copied();
        middle.unwrap_or_default().as_secs_f64() * 1000.0
    }

    fn slowest(&self) -> f64 {
        let slowest = self.0.iter().max().copied();
        slowest.unwrap_or_default().as_secs_f64() * 1000.0
    }
}

fn row(what: &str, ours: &Times, bare: &Times, theirs: Option<&Times>) {
    let (median, bare) = (ours.median(), bare.median());
    let theirs = theirs.map(|theirs| format!("{:.0} ms", theirs.median()));
    println!(
        "| {what} | {median:.0} ms | {bare:.0} ms | {:.2} | {} | {:.0} ms |",
        median / bare,
        theirs.unwrap_or_default(),
        ours.slowest()
    );
}

/// What it takes of the machine's memory now and at most (proc_pid_status(5)).
fn memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let lines = status.lines();
    let wanted = lines.filter(|line| line.starts_with("VmRSS") || line.starts_with("VmHWM"));
    let wanted: Vec<String> = wanted
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    wanted.join(", ")
}
