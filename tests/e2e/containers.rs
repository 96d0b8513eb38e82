//! Services in containers: started, broken, restored and gone.

use std::io;

use chaos_test::prelude::*;
use chaos_test::testcontainers::ImageExt;
use chaos_test::testcontainers::bollard::models::{RestartPolicy, RestartPolicyNameEnum};
use chaos_test::{CATALOGUE, Container, container, link, log_line};
use chaos_test_fixtures::images;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::victims::inventory;

/// Redis, whose image is built where the engine does not have it.
#[chaos_fixture]
async fn redis(chaos: &ChaosContext) -> chaos_test::Result<Service> {
    let image = images::redis().await?;
    let grace = Container::new(image).grace(secs(2));
    Ok(chaos.container("redis", grace).await?)
}

/// Sends one inline command to Redis and returns the first line of its answer (the RESP
/// protocol, "Inline commands").
pub async fn ask(address: Address, command: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(address.socket()).await?;
    stream
        .write_all(format!("{command}\r\n").as_bytes())
        .await?;
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).await?;
        answer.push(byte[0]);
    }
    Ok(String::from_utf8_lossy(&answer).trim().to_owned())
}

/// Pings Redis all the time.
fn pings(chaos: &ChaosContext, redis: &Service) -> Monitor {
    let address = redis.address(6379);
    let ping = move || async move {
        match ask(address, "PING").await {
            Ok(answer) if answer == "+PONG" => Ok(()),
            Ok(answer) => Err(answer),
            Err(error) => Err(error.to_string()),
        }
    };
    chaos.monitor(ping.every(ms(20)).sample_timeout(secs(1)).named("ping"))
}

/// Each fault on containers is felt, and after it is lifted the service answers as before at
/// the same address, twice over.
#[chaos_test(requires(docker), breaks(redis), timeout = "180s")]
async fn each_fault_is_felt_and_lifted(
    chaos: &ChaosContext,
    redis: &Service,
) -> chaos_test::Result {
    let pings = pings(chaos, redis);
    let normal = pings.baseline(ms(300)).await?;
    let address = redis.address(6379);
    let faults = CATALOGUE
        .iter()
        .filter(|entry| entry.family() == "container");
    for entry in faults.clone().chain(faults) {
        chaos.note(entry.name);
        let before = chaos.now();
        let injection = chaos.inject_entry(entry, redis).await?;
        tokio::time::sleep(ms(100)).await;
        let lifted = injection.lift().await?;
        let seen = pings.between(before, lifted).await?;
        let disturbed = seen
            .samples()
            .iter()
            .filter(|sample| !sample.reading.is_good() || sample.latency > ms(60));
        assert!(disturbed.count() > 0, "{} was not felt", entry.name);
        pings
            .recovers_to(&normal)
            .since(lifted)
            .within(secs(10))
            .await?;
        assert_eq!(redis.address(6379), address);
    }
    Ok(())
}

/// What is in a container survives its restart, and its log tells of both starts.
#[chaos_test(requires(docker), breaks(redis))]
async fn a_restarted_container_is_the_same_one(
    chaos: &ChaosContext,
    redis: &Service,
) -> chaos_test::Result {
    let pings = pings(chaos, redis);
    let restart = chaos.inject(container::restart(redis)).await?;
    pings.over(ms(100)).await?;
    restart.lift().await?;
    let lines = redis.last_lines(100)?;
    for start in [1, 2] {
        let mark = format!("--- chaos-test: start {start} of `redis` ---");
        assert!(lines.contains(&mark), "{lines:?}");
    }
    let ready = lines.iter().filter(|line| line.contains("Ready to accept"));
    assert_eq!(ready.count(), 2, "{lines:?}");
    Ok(())
}

/// A fault on the link of a container goes along with one on the container itself.
#[chaos_test(requires(docker), breaks(redis))]
async fn links_lead_to_containers(chaos: &ChaosContext, redis: &Service) -> chaos_test::Result {
    let pings = pings(chaos, redis);
    let slow = chaos.inject(link::latency(redis, ms(40))).await?;
    let seen = pings.over(ms(300)).await?;
    seen.expect(latency(P50).at_least(ms(40))).check()?;
    let outage = chaos.inject(container::pause(redis)).await?;
    let refused = chaos.inject(container::kill(redis)).await.unwrap_err();
    assert!(refused.is_refused() || refused.is_fault(), "{refused}");
    pings.over(ms(100)).await?;
    outage.lift().await?;
    slow.lift().await?;
    Ok(())
}

/// A container reaches another one under its name, a link by the gateway, and a process that
/// it could not reach otherwise; a fault on the link meets it.
#[chaos_test(requires(docker), breaks(redis, inventory), timeout = "120s")]
async fn containers_reach_each_other_and_links(
    chaos: &ChaosContext,
    redis: &Service,
    inventory: &Service,
) -> chaos_test::Result {
    let cache = redis.address_for_containers(6379).await?;
    assert_eq!(redis.address_for_containers(6379).await?, cache);
    assert_ne!(cache.socket().ip(), redis.address(6379).socket().ip());
    let stock = inventory.link("client").await?;
    let stock = stock.address_for_containers().await?;
    // bash opens connections by itself.
    let script = format!(
        "ask() {{ exec 3<>/dev/tcp/$1/$2 && printf \"$3\" >&3 && head -n 1 <&3; exec 3>&-; }}; \
         while :; do \
         echo \"name $(ask redis 6379 'PING\\r\\n')\"; \
         echo \"link $(ask {} {} 'PING\\r\\n')\"; \
         echo \"stock $(ask {} {} 'GET /health HTTP/1.0\\r\\n\\r\\n')\"; \
         sleep 0.05; done 2>&1",
        cache.socket().ip(),
        cache.port(),
        stock.socket().ip(),
        stock.port(),
    );
    let image = images::redis().await?.with_entrypoint("bash");
    let client = Container::new(
        image
            .with_cmd(["-c", &script])
            .with_ready_conditions(vec![]),
    )
    .ready(log_line("stock HTTP/1.0 200 OK"))
    .start_timeout(secs(20));
    let client = chaos.container("client", client).await?;
    let printed = |text: &str| {
        client
            .last_lines(12)
            .unwrap()
            .iter()
            .any(|line| line.contains(text))
    };
    assert!(
        printed("name +PONG") && printed("link +PONG"),
        "{:?}",
        client.last_lines(12).unwrap()
    );
    let cut = chaos.inject(link::down(redis)).await?;
    let until = std::time::Instant::now() + secs(20);
    while printed("link +PONG") {
        assert!(
            std::time::Instant::now() < until,
            "{:?}",
            client.last_lines(12).unwrap()
        );
        tokio::time::sleep(ms(20)).await;
    }
    // Those that are not on the link are not cut off.
    assert!(
        printed("name +PONG"),
        "{:?}",
        client.last_lines(12).unwrap()
    );
    cut.lift().await?;
    Ok(())
}

/// Two faults that put the same thing back are refused also where they come at once, and a
/// container that is killed while it is out of its network is ready once it is back.
#[chaos_test(requires(docker), breaks(redis), timeout = "120s")]
async fn a_container_has_one_place_in_its_network(
    chaos: &ChaosContext,
    redis: &Service,
) -> chaos_test::Result {
    let pings = pings(chaos, redis);
    let normal = pings.baseline(ms(300)).await?;
    let (one, other) = tokio::join!(
        chaos.inject(container::disconnect(redis)),
        chaos.inject(container::disconnect(redis)),
    );
    let (cut, refused) = match (one, other) {
        (Ok(cut), Err(refused)) | (Err(refused), Ok(cut)) => (cut, refused),
        both => panic!("{both:?}"),
    };
    assert!(refused.is_refused() || refused.is_fault(), "{refused}");
    let seen = pings.over(ms(300)).await?;
    seen.expect(error_rate().at_least(percent(90))).check()?;
    let outage = chaos.inject(container::kill(redis)).await?;
    pings.over(ms(100)).await?;
    outage.lift().await?;
    let lifted = cut.lift().await?;
    pings
        .recovers_to(&normal)
        .since(lifted)
        .within(secs(10))
        .await?;
    let frozen = container::kill(redis).with(Signal::Stop);
    let refused = chaos.inject(frozen).await.unwrap_err().to_string();
    assert!(refused.contains("`container::pause`"), "{refused}");
    Ok(())
}

/// What the engine starts again by itself is refused, and so are names that nobody has.
#[chaos_test(requires(docker), breaks(redis))]
async fn what_cannot_be_kept_is_refused(
    chaos: &ChaosContext,
    redis: &Service,
) -> chaos_test::Result {
    let always = images::redis().await?.with_host_config_modifier(|host| {
        let name = Some(RestartPolicyNameEnum::ALWAYS);
        host.restart_policy = Some(RestartPolicy {
            name,
            ..RestartPolicy::default()
        });
    });
    let error = chaos.container("always", always).await.unwrap_err();
    assert!(error.to_string().contains("restart policy"), "{error}");
    let bridged = images::redis().await?.with_network("bridge");
    let bridged = Container::new(bridged).alias("other");
    let error = chaos.container("bridged", bridged).await.unwrap_err();
    assert!(error.to_string().contains("aliases"), "{error}");
    let pings = pings(chaos, redis);
    chaos
        .during(container::pause(redis), async |_| pings.over(ms(100)).await)
        .await?;
    Ok(())
}
