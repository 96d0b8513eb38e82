//! What services use: real programs, a real Redis, a real container.

use chaos_test::prelude::*;
use chaos_test::{Container, MAX, Reading, container, log_line, process, resources};
use chaos_test_fixtures::{images, rerun::Rerun};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::containers::ask;
use crate::subjects::say;
use crate::victims::{come_in, inventory};

/// Burns a core in one process, writes to the disk in others that come and go, and itself waits.
#[chaos_fixture]
async fn burner(chaos: &ChaosContext) -> chaos_test::Result<Service> {
    let script = "sh -c 'while :; do :; done' & \
                  while :; do dd if=/dev/zero of={dir}/x bs=64k count=16 conv=fsync 2>/dev/null; \
                  sleep 0.02; done & echo burning; wait";
    let program = Program::new("sh")
        .args(["-c", script])
        .without_port()
        .ready(log_line("burning"));
    Ok(chaos.process("burner", program).await?)
}

#[chaos_fixture]
async fn cache(chaos: &ChaosContext) -> chaos_test::Result<Service> {
    let program = Program::new("redis-server")
        .listens(6379)
        .args(["--port", "{port}", "--bind", "127.0.0.1", "--dir", "{dir}"])
        .args(["--save", ""])
        .ready(log_line("Ready to accept connections"));
    Ok(chaos.process("cache", program).await?)
}

fn last_bad(samples: &[chaos_test::Sample]) -> Option<&str> {
    samples
        .iter()
        .rev()
        .find_map(|sample| match &sample.reading {
            Reading::Bad(why) => Some(why.as_str()),
            Reading::Good(_) => None,
        })
}

/// All processes of a program count; a dead one is no number, and one that was started again
/// counts from its own beginning.
#[chaos_test(timeout = "120s", breaks(burner))]
async fn a_program_is_looked_at_as_a_whole(
    chaos: &ChaosContext,
    burner: &Service,
) -> chaos_test::Result {
    let cpu = chaos.monitor(burner.cpu().every(ms(100)));
    // Neighbouring samples of memory are alike, so a comparison takes many.
    let memory = chaos.monitor(burner.memory().every(ms(30)));
    let threads = chaos.monitor(burner.threads().every(ms(100)));
    let files = chaos.monitor(burner.open_files().every(ms(100)));
    let written = chaos.monitor(burner.disk_written().every(ms(300)));
    let machine = chaos.monitor(resources::machine().cpu().every(ms(100)));
    let normal = memory.baseline(secs(4)).await?;
    // Both cores may be busy with something else; and what is burnt is no more than there is.
    let seen = cpu.over(secs(3)).await?;
    assert!(seen.samples().iter().all(|one| one.reading.is_good()));
    seen.expect(value().at(MAX).at_least(0.05))
        .expect(value().at(MAX).at_most(2.6))
        .check()?;
    machine
        .over(secs(1))
        .await?
        .expect(value().at_least(0.3))
        .check()?;
    let now = chaos.now();
    let so_far = std::time::Duration::ZERO;
    // The shell, the one that burns and the one that writes; each has three outputs and inputs.
    threads
        .between(so_far, now)
        .await?
        .expect(value().at_least(3.0))
        .check()?;
    files
        .between(so_far, now)
        .await?
        .expect(value().at_least(9.0))
        .check()?;
    // Each file is a MiB, and none of its writers lives long enough to be looked at twice.
    written
        .between(so_far, now)
        .await?
        .expect(value().at(MAX).at_least(1e6))
        .check()?;
    memory
        .between(so_far, now)
        .await?
        .expect(value().at_least(300e3))
        .expect(value().rises_at_most(100e6).from(&normal))
        .check()?;
    let outage = chaos.inject(process::kill(burner)).await?;
    let seen = cpu.over(secs(1)).await?;
    assert_eq!(last_bad(seen.samples()), Some("it is not running"));
    let lifted = outage.lift().await?;
    let seen = cpu.over(secs(2)).await?;
    let lifted = std::time::Duration::from(lifted);
    assert!(seen.samples()[0].at >= lifted);
    seen.expect(error_rate().at_most(percent(0)))
        .expect(value().at_least(0.05))
        .expect(value().at(MAX).at_most(2.6))
        .check()?;
    Ok(())
}

/// Has Redis hold so many bytes.
async fn fill(address: Address, bytes: usize) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(address.socket()).await?;
    let place = (bytes - 1).to_string();
    let request = format!(
        "*4\r\n$8\r\nSETRANGE\r\n$3\r\nbig\r\n${}\r\n{place}\r\n$1\r\nx\r\n",
        place.len()
    );
    stream.write_all(request.as_bytes()).await?;
    let mut answer = vec![0; 128];
    let length = stream.read(&mut answer).await?;
    assert!(answer[..length].starts_with(b":"), "{answer:?}");
    Ok(())
}

/// A cache may not take more than 32 MB, and takes 64.
#[chaos_test(breaks(cache), requires(program("redis-server")))]
#[ignore = "another test runs it as a child"]
async fn a_cache_takes_too_much(chaos: &ChaosContext, cache: &Service) -> chaos_test::Result {
    let memory = chaos.monitor(cache.memory().every(ms(50)));
    let before = memory.baseline(secs(1)).await?;
    memory
        .over(ms(500))
        .await?
        .expect(value().at(MAX).at_most(32e6))
        .check()?;
    say("little is little");
    let outage = chaos.inject(process::restart(cache)).await?;
    outage.lift().await?;
    fill(cache.address(6379), 64 << 20).await?;
    let seen = memory.over(secs(2)).await?;
    seen.expect(value().at(MAX).at_most(32e6))
        .expect(value().rises_at_most(16e6).from(&before))
        .check()?;
    Ok(())
}

#[test]
fn a_cache_that_takes_too_much_is_told_so() {
    if std::process::Command::new("redis-server")
        .arg("--version")
        .output()
        .is_err()
    {
        // The test above it is skipped, and says so.
        let ended = Rerun::of("resources::a_cache_takes_too_much").run();
        assert!(ended.output().contains("redis-server"));
        return;
    }
    let ended = Rerun::of("resources::a_cache_takes_too_much").run();
    let output = ended.output();
    assert!(!ended.status.success(), "{output}");
    for expected in [
        "little is little",
        "maximum value of cache memory over 2 s",
        "at most 32000000",
        "p50 value of cache memory over 2 s",
    ] {
        assert!(output.contains(expected), "`{expected}` in:\n{output}");
    }
}

/// A test that takes too much memory is rolled back.
#[chaos_test(breaks(cache), requires(program("redis-server")))]
#[ignore = "another test runs it as a child"]
async fn a_cache_is_too_big_to_go_on(chaos: &ChaosContext, cache: &Service) -> chaos_test::Result {
    let memory = chaos.monitor(cache.memory().every(ms(50)));
    chaos.abort_if(value().above(32e6).of("cache memory"));
    memory.over(ms(300)).await?;
    let outage = chaos.inject(process::stop(cache)).await?;
    outage.lift().await?;
    fill(cache.address(6379), 64 << 20).await?;
    memory.over(secs(20)).await?;
    Ok(())
}

#[test]
fn a_condition_on_memory_aborts() {
    let ended = Rerun::of("resources::a_cache_is_too_big_to_go_on").run();
    let output = ended.output();
    if output.contains("skipped") {
        return;
    }
    assert!(!ended.status.success(), "{output}");
    assert!(output.contains("aborted"), "{output}");
    assert!(output.contains("cache memory"), "{output}");
}

/// What cannot be told is an error and no zero.
#[chaos_test]
#[ignore = "another test runs it as a child"]
async fn what_nobody_knows(chaos: &ChaosContext, inventory: &Service) -> chaos_test::Result {
    let inside = chaos.in_process("inside", async |listener| -> std::io::Result<()> {
        let mut clients = Vec::new();
        loop {
            clients.push(listener.accept().await?);
        }
    });
    let inside = inside.await?;
    for probe in [
        inventory.received(),
        inventory.sent(),
        inside.memory(),
        inside.cpu(),
    ] {
        let seen = chaos.monitor(probe.every(ms(20))).over(ms(60)).await;
        say(&seen.expect_err("nobody knows").to_string());
    }
    let own = chaos.monitor(resources::own_process().memory().every(ms(20)));
    let seen = own.over(ms(100)).await?;
    seen.expect(value().at_least(1e6)).check()?;
    say("its own is known");
    Ok(())
}

#[test]
fn what_nobody_knows_is_an_error() {
    let ended = Rerun::of("resources::what_nobody_knows").run();
    let output = ended.output();
    assert!(!ended.status.success(), "{output}");
    for expected in [
        "`inventory received` cannot be watched: a process has no network of its own",
        "`inventory sent` cannot be watched: a process has no network of its own",
        "`inside memory` cannot be watched: service `inside` runs in the test's own process",
        "`inside cpu` cannot be watched: service `inside` runs in the test's own process",
        "its own is known",
    ] {
        assert!(output.contains(expected), "`{expected}` in:\n{output}");
    }
}

#[chaos_fixture]
async fn redis(chaos: &ChaosContext) -> chaos_test::Result<Service> {
    let image = images::redis().await?;
    let redis = Container::new(image).grace(secs(2));
    Ok(chaos.container("redis", redis).await?)
}

/// A container is looked at by its engine: it uses more while it is asked, and nothing while it
/// does not run.
#[chaos_test(requires(docker), breaks(redis), timeout = "180s")]
async fn a_container_is_looked_at(chaos: &ChaosContext, redis: &Service) -> chaos_test::Result {
    let slow = |probe: chaos_test::ResourceProbe| {
        chaos.monitor(probe.every(ms(200)).sample_timeout(secs(10)))
    };
    let memory = slow(redis.memory());
    let cpu = slow(redis.cpu());
    let received = slow(redis.received());
    let threads = slow(redis.threads());
    let open = slow(redis.open_files());
    let error = open
        .over(ms(50))
        .await
        .expect_err("an engine does not tell");
    assert!(
        error.to_string().contains("does not tell the open files"),
        "{error}"
    );
    let normal = memory.baseline(secs(2)).await?;
    assert!(
        normal
            .samples()
            .iter()
            .all(|sample| sample.reading.is_good())
    );
    let from = chaos.now();
    fill(redis.address(6379), 64 << 20).await?;
    for _ in 0..200 {
        ask(redis.address(6379), "PING").await?;
        ask(redis.address(6379), &format!("ECHO {}", "x".repeat(2_000))).await?;
    }
    memory
        .over(secs(1))
        .await?
        .expect(value().at(MAX).at_least(60e6))
        .expect(value().at(MAX).at_most(1e9))
        .check()?;
    threads
        .over(ms(600))
        .await?
        .expect(value().at_least(1.0))
        .check()?;
    let to = chaos.now();
    received
        .between(from, to)
        .await?
        .expect(value().at(MAX).at_least(10e3))
        .check()?;
    cpu.between(from, to)
        .await?
        .expect(value().at(MAX).at_least(0.005))
        .expect(value().at(MAX).at_most(2.6))
        .check()?;
    let outage = chaos.inject(container::stop(redis)).await?;
    come_in(redis).await?;
    let seen = memory.over(secs(1)).await?;
    assert_eq!(last_bad(seen.samples()), Some("it is not running"));
    seen.expect(availability().at_most(percent(0))).check()?;
    outage.lift().await?;
    // What it held is gone with its process, and it counts anew.
    cpu.over(secs(2))
        .await?
        .expect(error_rate().at_most(percent(0)))
        .expect(value().at(MAX).at_most(2.6))
        .check()?;
    Ok(())
}
