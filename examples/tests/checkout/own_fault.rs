//! A fault that the library does not have.
//!
//! What to learn here: the four calls that a fault answers, that its undo is data and is on disk
//! before anything is touched, and how a blast radius names something that is no service.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use chaos_test::prelude::*;
use chaos_test::{Effect, Error, MAX, ReadOnlySystem, System, Target, Undo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Cuts a file short, as a full disk does to whoever writes it in place.
#[derive(Debug)]
struct Torn(PathBuf);

/// How much of the file is left, in bytes.
const LEFT: u64 = 4;

impl Fault for Torn {
    fn describe(&self) -> String {
        format!("tear {}", self.0.display())
    }

    /// Everything that it touches: held against the blast radius before anything else.
    fn targets(&self) -> Vec<Target> {
        vec![Target::File(self.0.clone())]
    }

    /// Looks, changes nothing, and says how things are put back. What it says is written to disk,
    /// so that somebody else can do it where this process is killed.
    async fn prepare(&self, system: &ReadOnlySystem) -> Result<Undo, Error> {
        system.undo_restoring(&self.0)
    }

    async fn apply(&self, _: &System) -> Result<(), Error> {
        let torn = || {
            fs::OpenOptions::new()
                .write(true)
                .open(&self.0)?
                .set_len(LEFT)
        };
        torn().map_err(|error| Error::msg(format!("{}: {error}", self.0.display())))
    }

    /// Asked twice: after it was applied it must be in effect, and after the undo it must not.
    async fn verify(&self, _: &ReadOnlySystem) -> Result<Effect, Error> {
        match fs::metadata(&self.0) {
            Ok(file) if file.len() == LEFT => Ok(Effect::Active),
            Ok(file) => Ok(Effect::Absent(format!("it holds {} bytes", file.len()))),
            Err(error) => Ok(Effect::Absent(error.to_string())),
        }
    }
}

/// A file with prices, which others write.
#[derive(Debug)]
struct PriceList(PathBuf);

/// So that `breaks(price_list)` can name it.
impl Breakable for PriceList {
    fn targets(&self) -> Vec<Target> {
        vec![Target::File(self.0.clone())]
    }
}

#[chaos_fixture]
async fn price_list(chaos: &ChaosContext) -> chaos_test::Result<PriceList> {
    let path = chaos.scratch_dir()?.join("prices");
    fs::write(&path, "teapot 55\n")?;
    Ok(PriceList(path))
}

/// Tells everybody what a teapot costs. It reads the list each time, and where that makes no sense
/// it remembers what it read last; `LAST_PRICE=off` takes that away.
#[chaos_fixture]
async fn prices(chaos: &ChaosContext, price_list: &PriceList) -> chaos_test::Result<Service> {
    let list = price_list.0.clone();
    let remembers = std::env::var("LAST_PRICE").as_deref() != Ok("off");
    let last = AtomicU32::new(0);
    let prices = chaos.in_process("prices", async move |listener| -> std::io::Result<()> {
        loop {
            let (mut client, _) = listener.accept().await?;
            let list = fs::read_to_string(&list).unwrap_or_default();
            let read = list.strip_prefix("teapot ").map(str::trim);
            match read.and_then(|price| price.parse().ok()) {
                Some(price) => last.store(price, Ordering::Relaxed),
                None if remembers => {}
                None => continue, // without an answer
            }
            let _ = client.write_u32(last.load(Ordering::Relaxed)).await;
        }
    });
    Ok(prices.await?)
}

/// A torn price list changes no price, and nobody is left without an answer.
#[chaos_test(timeout = "60s", breaks(price_list), tags("file"))]
async fn a_torn_price_list_changes_no_price(
    chaos: &ChaosContext,
    price_list: &PriceList,
    prices: &Service,
) -> chaos_test::Result {
    let address = prices.first_address().socket();
    let asks = move || async move { TcpStream::connect(address).await?.read_u32().await };
    let told = chaos.monitor(asks.every(ms(10)).named("price of a teapot"));
    let normal = told.baseline(ms(300)).await?;

    let torn = chaos
        .during(Torn(price_list.0.clone()), async |_| {
            told.over(ms(500))
                .await?
                .expect(error_rate().at_most(percent(0)))
                .expect(value().at_least(55.0))
                .expect(value().at(MAX).at_most(55.0))
                .check()
        })
        .await?;

    told.recovers_to(&normal).since(torn.lifted()).await?;
    Ok(())
}
