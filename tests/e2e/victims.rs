//! What is broken here: the service inventory, and small programs.

use chaos_test::http;
use chaos_test::prelude::*;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};

/// A real HTTP service.
pub fn inventory_program() -> Program {
    Program::cargo_bin("e2e-inventory").ready(http("/health").status(200))
}

#[chaos_fixture]
pub async fn inventory(chaos: &ChaosContext) -> chaos_test::Result<Service> {
    Ok(chaos.process("inventory", inventory_program()).await?)
}

pub mod shared {
    //! What the tests of a room share, started once. Whoever breaks it has it for itself: that
    //! costs more than it saves where tests break it for longer than a start takes.

    use super::*;

    /// As [`inventory`](super::inventory).
    #[chaos_fixture(scope = "module")]
    pub async fn inventory(chaos: &ChaosContext) -> chaos_test::Result<Service> {
        Ok(chaos.process("inventory", inventory_program()).await?)
    }
}

/// A service that asks inventory, with retries, a breaker and a fallback, through a link of its
/// own.
#[chaos_fixture]
pub async fn checkout(chaos: &ChaosContext, inventory: &Service) -> chaos_test::Result<Service> {
    let program = Program::cargo_bin("e2e-checkout")
        .env("INVENTORY", inventory.link("checkout").await?.address())
        // Far above what a busy machine needs.
        .env("TIMEOUT_MS", 1_000_u32)
        .env("BREAKER_OPEN_MS", 200_u32)
        .ready(http("/health").status(200));
    Ok(chaos.process("checkout", program).await?)
}

/// Asks inventory for stock every 10 ms.
pub fn watch(chaos: &ChaosContext, inventory: &Service) -> Monitor {
    chaos.monitor(inventory.get("/stock/42").every(ms(10)))
}

/// Whether a process exists and is no zombie.
pub fn runs(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| {
        stat.rsplit_once(')')
            .is_some_and(|(_, fields)| !fields.trim_start().starts_with(['Z', 'X']))
    })
}

/// The numbers of all processes whose environment holds a text.
pub fn processes_with(text: &str) -> Vec<u32> {
    std::fs::read_dir("/proc")
        .expect("there is a /proc")
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid| {
            let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            String::from_utf8_lossy(&environment).contains(text) && runs(*pid)
        })
        .collect()
}

/// A client that has come in through a link of its own, so that faults on the service are
/// met, whether it answers or not.
pub async fn come_in(service: &Service) -> chaos_test::Result {
    let link = service.link("visitor").await?;
    let before = link.traffic().accepted;
    // One that is reset at once, because nobody serves at the moment, has come in, too.
    let _client = TcpStream::connect(link.address().socket()).await;
    while link.traffic().accepted == before {
        tokio::time::sleep(ms(1)).await;
    }
    Ok(())
}

/// Accepts clients until one has sent something.
pub async fn until_asked(listener: TcpListener) {
    while let Ok((mut client, _)) = listener.accept().await {
        if client.read_u8().await.is_ok() {
            return;
        }
    }
}
