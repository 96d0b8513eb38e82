//! A crate of fixtures: the shop's services, for the tests of any other crate.

use std::net::SocketAddr;

use chaos_test::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Tells each client how many pieces there are.
#[chaos_fixture]
pub async fn stock(
    chaos: &ChaosContext,
    #[default(55)] pieces: u32,
) -> chaos_test::Result<Service> {
    let stock = chaos.in_process("stock", async move |listener| -> std::io::Result<()> {
        loop {
            let (mut client, _) = listener.accept().await?;
            client.write_u32(pieces).await?;
        }
    });
    Ok(stock.await?)
}

/// Who asks it.
#[derive(Debug, Clone)]
pub struct Shop {
    stock: SocketAddr,
}

/// It is nothing that could be broken, and is made of another fixture.
#[chaos_fixture]
pub async fn shop(stock: &Service) -> Shop {
    Shop {
        stock: stock.first_address().socket(),
    }
}

impl Shop {
    /// How many pieces a customer is told of.
    pub async fn pieces(self) -> std::io::Result<u32> {
        TcpStream::connect(self.stock).await?.read_u32().await
    }
}
