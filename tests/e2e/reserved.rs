//! Services that tell their clients where they find them: the address is reserved before
//! the start, so that clients come through the link.

use std::net::SocketAddr;
use std::time::Instant;

use chaos_test::prelude::*;
use chaos_test::{Error, Reserved, link, process};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::victims::{come_in, inventory_program, watch};

/// A broker in small: tells each client where to find it, and sends back what it gets.
async fn broker(listener: TcpListener, announced: SocketAddr) -> std::io::Result<()> {
    loop {
        let (mut client, _) = listener.accept().await?;
        tokio::spawn(async move {
            client
                .write_all(format!("{announced}\n").as_bytes())
                .await?;
            let (mut from, mut to) = client.split();
            tokio::io::copy(&mut from, &mut to).await
        });
    }
}

/// Connects as a client of the broker, and is told where to go on.
async fn dial(address: SocketAddr) -> std::io::Result<(BufReader<TcpStream>, SocketAddr)> {
    let mut stream = BufReader::new(TcpStream::connect(address).await?);
    let mut line = String::new();
    stream.read_line(&mut line).await?;
    let announced = line.trim().parse().map_err(std::io::Error::other)?;
    Ok((stream, announced))
}

/// Asks where the broker is, and asks there; how long the second answer took.
async fn ask(bootstrap: SocketAddr) -> std::io::Result<std::time::Duration> {
    let (_, announced) = dial(bootstrap).await?;
    let (mut stream, _) = dial(announced).await?;
    let asked = Instant::now();
    stream.write_all(b"?").await?;
    let answer = stream.read_u8().await?;
    assert_eq!(answer, b'?');
    Ok(asked.elapsed())
}

/// Whether somebody serves there.
async fn serves(address: SocketAddr) -> bool {
    dial(address).await.is_ok()
}

/// A client that follows the announced address comes through the link, and meets its faults.
#[chaos_test]
async fn an_announced_address_is_a_link(chaos: &ChaosContext) -> chaos_test::Result {
    let reserved = chaos.reserve("broker", 9092).await?;
    assert_eq!(reserved.name(), "broker");
    let announced = reserved.address(9092);
    assert!(!serves(announced.socket()).await, "nothing runs yet");
    let service = chaos
        .in_process(reserved, async move |listener| {
            broker(listener, announced.socket()).await
        })
        .await?;
    assert_eq!(service.address(9092), announced);

    let bootstrap = service.link("bootstrap").await?.address().socket();
    assert_ne!(bootstrap, announced.socket());
    let slow = chaos.inject(link::latency(&service, ms(300))).await?;
    assert!(ask(bootstrap).await? >= ms(300), "it came past the link");
    slow.lift().await?;
    let cut = chaos.inject(link::down(&service)).await?;
    assert!(ask(announced.socket()).await.is_err());
    cut.lift().await?;

    let outage = chaos.inject(process::kill(&service)).await?;
    assert!(!serves(announced.socket()).await);
    outage.lift().await?;
    ask(bootstrap).await?;
    Ok(())
}

/// The control: a service that announces where it listens itself sends its clients past the
/// link.
#[chaos_test]
async fn without_a_reservation_clients_come_past_the_link(
    chaos: &ChaosContext,
) -> chaos_test::Result {
    let service = chaos
        .in_process("naive", async |listener: TcpListener| {
            let own = listener.local_addr()?;
            broker(listener, own).await
        })
        .await?;
    let _slow = chaos.inject(link::latency(&service, ms(300))).await?;
    let mut fastest = secs(60);
    for _ in 0..5 {
        fastest = fastest.min(ask(service.first_address().socket()).await?);
    }
    assert!(fastest < ms(300), "{fastest:?}");
    Ok(())
}

/// The member of a cluster finds itself at its announced address before it is ready.
#[chaos_test]
async fn it_finds_itself_before_it_is_ready(chaos: &ChaosContext) -> chaos_test::Result {
    let reserved = chaos.reserve("member", [9200]).await?;
    let announced = reserved.address(9200).socket();
    let service = chaos
        .in_process(&reserved, async move |listener| {
            let serving = tokio::spawn(broker(listener, announced));
            ask(announced).await?;
            serving.await?
        })
        .await?;
    let restart = chaos.inject(process::restart(&service)).await?;
    come_in(&service).await?;
    restart.lift().await?;
    ask(announced).await?;
    Ok(())
}

/// A program gets the ports that were reserved for it, where it names none.
#[chaos_test]
async fn a_program_has_the_reserved_ports(chaos: &ChaosContext) -> chaos_test::Result {
    let reserved = chaos.reserve("inventory", 8080).await?;
    let address = reserved.address(8080);
    let program = inventory_program().env("ADVERTISED", address);
    let inventory = chaos.process(&reserved, program).await?;
    assert_eq!(inventory.first_address(), address);
    drop(reserved);
    let requests = watch(chaos, &inventory);
    let normal = requests.baseline(ms(100)).await?;
    let outage = chaos.inject(process::kill(&inventory)).await?;
    requests.over(ms(50)).await?;
    let lifted = outage.lift().await?;
    requests
        .recovers_to(&normal)
        .since(lifted)
        .within(secs(5))
        .await?;
    Ok(())
}

async fn breaks(chaos: &ChaosContext, service: &Service) -> chaos_test::Result {
    let cut = chaos.inject(link::down(service)).await?;
    let _ = dial(service.first_address().socket()).await;
    cut.lift().await?;
    Ok(())
}

fn message<T>(result: Result<T, Error>) -> String {
    result.map(drop).unwrap_err().to_string()
}

/// Each way to use a reservation wrongly is an error that names what is wrong.
#[chaos_test]
async fn a_wrong_reservation_is_named(chaos: &ChaosContext) -> chaos_test::Result {
    for (ports, expected) in [
        (
            vec![],
            "no address can be reserved for `broker`: it names no port",
        ),
        (vec![0], "0 is no port"),
        (vec![9092, 9093, 9092], "it names port 9092 twice"),
    ] {
        let error = message(chaos.reserve("broker", ports).await);
        assert!(error.contains(expected), "{error}");
    }
    // Neither of them holds the name.
    let reserved = chaos.reserve("broker", [9092, 9093]).await?;
    let error = message(chaos.reserve("broker", 9092).await);
    assert!(error.contains("already has a service `broker`"), "{error}");
    let error = message(chaos.process("broker", inventory_program()).await);
    assert!(error.contains("already has a service `broker`"), "{error}");

    let program = inventory_program().listens(9092);
    let error = message(chaos.process(&reserved, program).await);
    assert!(
        error.contains("port 9093 was reserved for service `broker`")
            && error.contains("it has: 9092"),
        "{error}"
    );
    let error = message(chaos.process(&reserved, inventory_program()).await);
    assert!(error.contains("already passed to a service"), "{error}");
    assert!(!serves(reserved.address(9092).socket()).await);

    // What failed has left its name; the old handle has no hold on it any more.
    let two = chaos.reserve("broker", [9092, 9093]).await?;
    drop(reserved);
    let serve = async |listener| broker(listener, ([127, 0, 0, 1], 1).into()).await;
    let error = message(chaos.in_process(two, serve).await);
    assert!(error.contains("port 9093 was reserved"), "{error}");

    let other = ChaosContext::start().await?;
    let elsewhere = other.reserve("broker", 9092).await?;
    let error = message(chaos.in_process(elsewhere, serve).await);
    assert!(error.contains("reserved in another context"), "{error}");
    let _ = other.finish().await;

    let service = chaos.in_process("broker", serve).await?;
    breaks(chaos, &service).await
}

/// A reservation that is dropped unused frees its name and its addresses.
#[chaos_test]
async fn an_unused_reservation_is_freed(chaos: &ChaosContext) -> chaos_test::Result {
    let reserve = || chaos.reserve("broker", 9092);
    let address = |reserved: &Reserved| reserved.address(9092).socket();
    let first = reserve().await?;
    let freed = address(&first);
    let second = first.clone();
    drop(first);
    assert!(message(reserve().await).contains("already has a service"));
    drop(second);
    std::net::TcpListener::bind(freed).expect("the address is free");
    let service = chaos
        .in_process(reserve().await?, async |listener| {
            broker(listener, ([127, 0, 0, 1], 1).into()).await
        })
        .await?;
    breaks(chaos, &service).await
}
