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

use crate::measure::Times;
use crate::table::{Table, goal, time};
use crate::{LISTEN, Result};

const TIMES: usize = 500;
/// Planned, injected, lifted, undone.
const LINES: usize = 4;

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
    for connections in [0, 1, 8] {
        let chaos = ChaosContext::start_blocking()?;
        let taken = chaos.block_on(take(&chaos, connections, folder))?;
        // Nothing went through the link while it was slow, and a context in which nothing
        // met the fault does not end well: that is no matter here.
        drop(chaos);
        row(table, connections, &taken);
    }
    Ok(())
}

struct Taken {
    faults: Times,
    writes: Times,
}

async fn take(chaos: &ChaosContext, connections: usize, folder: &Path) -> Result<Taken> {
    let program = Program::new(env::current_exe()?).arg(LISTEN);
    let service = chaos.process("echo", program).await?;
    let _open = (0..connections)
        .map(|_| connect(&service))
        .collect::<Result<Vec<_>>>()?;
    let journal = journal_of()?;
    let mut alone = OpenOptions::new()
        .append(true)
        .create(true)
        .open(folder.join("lines"))?;
    let (mut faults, mut writes) = (Times::default(), Times::default());
    for round in 0..TIMES + TIMES / 10 {
        let start = Instant::now();
        let slow = chaos.inject(link::latency(&service, ms(1))).await?;
        slow.lift().await?;
        let took = start.elapsed();
        let lines = last_lines(&journal)?;
        let start = Instant::now();
        for line in &lines {
            alone.write_all(line)?;
        }
        // The first ones warm up caches and threads.
        if round >= TIMES / 10 {
            faults.add(took);
            writes.add(start.elapsed());
        }
    }
    Ok(Taken { faults, writes })
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

/// The lines that the last fault has left in the journal.
fn last_lines(journal: &Path) -> Result<Vec<Vec<u8>>> {
    let mut text = Vec::new();
    File::open(journal)?.read_to_end(&mut text)?;
    let lines: Vec<_> = text.split_inclusive(|&byte| byte == b'\n').collect();
    let first = lines.len().saturating_sub(LINES);
    Ok(lines[first..].iter().map(|line| line.to_vec()).collect())
}

fn row(table: &mut Table, connections: usize, taken: &Taken) {
    let Taken { faults, writes } = taken;
    let plural = if connections == 1 { "" } else { "s" };
    table.row(
        format!("a link fault injected and lifted, {connections} open connection{plural}"),
        time(faults.median()),
        time(faults.p99()),
        "",
    );
    table.row(
        "its four journal lines, written alone",
        time(writes.median()),
        time(writes.p99()),
        "",
    );
    let more = faults.median().saturating_sub(writes.median());
    let limit = Duration::from_micros(100);
    table.row("the difference", time(more), "", goal(limit, more));
}
