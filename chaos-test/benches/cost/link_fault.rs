//! What injecting a link fault and lifting it again costs, beside the bare writes of the
//! journal lines that belong to it.

use std::env;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use chaos_test::{ChaosContext, Program, Service, link, ms};
use tokio::runtime::{Builder, Handle, Runtime};

use crate::measure::Times;
use crate::table::{Row, Table};
use crate::{LISTEN, Result};

const TIMES: usize = 500;

/// A service that sends back what it is sent.
pub(crate) fn listen() -> Result<()> {
    let port: u16 = env::var("PORT")?.parse()?;
    for client in TcpListener::bind(("127.0.0.1", port))?.incoming() {
        let client = client?;
        thread::spawn(move || std::io::copy(&mut &client, &mut &client));
    }
    Ok(())
}

pub(crate) fn measure(folder: &Path, table: &mut Table) -> Result<()> {
    // A body has a runtime of its own, which is not the harness's.
    let body = Builder::new_current_thread().enable_all().build()?;
    let mut handovers = Times::default();
    for (connections, with) in [
        (0, "no open connection"),
        (1, "1 open connection"),
        (8, "8 open connections"),
    ] {
        let chaos = ChaosContext::start_blocking()?;
        let mut taken = body.block_on(take(&chaos, connections, folder))?;
        // Nothing went through the link while it was slow, and a context in which nothing
        // met the fault does not end well: that is no matter here.
        drop(chaos);
        table.add(Row::beside(
            format!("a link fault injected and lifted, {with}"),
            &taken.faults,
            &taken.writes,
            "its journal lines alone",
            Some(Duration::from_micros(100)),
        ));
        handovers.append(&mut taken.handovers);
    }
    table.add(Row::of(
        "its two hand-overs between threads alone",
        &handovers,
    ));
    Ok(())
}

#[derive(Default)]
struct Taken {
    faults: Times,
    writes: Times,
    handovers: Times,
}

async fn take(chaos: &ChaosContext, connections: usize, folder: &Path) -> Result<Taken> {
    let program = Program::new(env::current_exe()?).arg(LISTEN);
    let service = chaos.process("echo", program).await?;
    let _open = (0..connections)
        .map(|_| connect(&service))
        .collect::<Result<Vec<_>>>()?;
    let mut journal = File::open(journal_of()?)?;
    let mut alone = OpenOptions::new()
        .append(true)
        .create(true)
        .open(folder.join("lines"))?;
    let engine = runtime()?;
    let mut taken = Taken::default();
    // The first ones warm up caches and threads.
    for _ in 0..TIMES / 10 {
        inject_and_lift(chaos, &service).await?;
        hand_over(engine.handle()).await?;
    }
    let mut lines = Vec::new();
    journal.read_to_end(&mut lines)?;
    for _ in 0..TIMES {
        let start = Instant::now();
        inject_and_lift(chaos, &service).await?;
        taken.faults.add(start.elapsed());
        // What was written since the last time: planned, injected, undone, lifted.
        lines.clear();
        journal.read_to_end(&mut lines)?;
        taken.writes.take(|| {
            let mut lines = lines.split_inclusive(|&byte| byte == b'\n');
            lines.try_for_each(|line| alone.write_all(line))
        })?;
        let start = Instant::now();
        hand_over(engine.handle()).await?;
        taken.handovers.add(start.elapsed());
    }
    engine.shutdown_background();
    Ok(taken)
}

async fn inject_and_lift(chaos: &ChaosContext, service: &Service) -> Result<()> {
    let slow = chaos.inject(link::latency(service, ms(1))).await?;
    slow.lift().await?;
    Ok(())
}

/// As the harness has one for its own work.
fn runtime() -> Result<Runtime> {
    Ok(Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?)
}

/// From the body to the engine and back, to inject and again to lift. The library's own
/// faults need no more; those of users have each of their methods run on a third runtime.
async fn hand_over(engine: &Handle) -> Result<()> {
    for _ in ["inject", "lift"] {
        engine.spawn(async {}).await?;
    }
    Ok(())
}

/// A connection through the link that has carried something both ways.
fn connect(service: &Service) -> Result<TcpStream> {
    let mut client = TcpStream::connect(service.first_address().socket())?;
    client.set_read_timeout(Some(Duration::from_secs(5)))?;
    client.write_all(b"x")?;
    client.read_exact(&mut [0])?;
    Ok(client)
}

/// The one journal that is open now.
pub(crate) fn journal_of() -> Result<PathBuf> {
    let state = env::var("CHAOS_STATE_DIR")?;
    let mut journals = fs::read_dir(Path::new(&state).join("journals"))?;
    let journal = journals.next().ok_or("there is no journal")??;
    Ok(journal.path())
}
