//! A TCP forwarder in front of the engine that can fall silent, and servers that are no
//! engine and no registry. All of them listen on loopback only.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener as Listener, TcpStream as Stream};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::runtime::Runtime;
use tokio::sync::watch;

/// The variable by which a child learns where to say that the engine is to fall silent.
const CONTROL: &str = "FORWARDER_CONTROL";

/// Stands between a child and the engine.
pub struct Forwarder {
    address: SocketAddr,
    control: SocketAddr,
    gate: Arc<Gate>,
    runtime: Option<Runtime>,
}

struct Gate {
    open: watch::Sender<bool>,
    /// Closes with the first request that holds this text, and withholds it.
    closed_by: Mutex<Option<String>>,
    /// How often all connections were broken.
    cuts: watch::Sender<u32>,
    held: watch::Sender<Held>,
}

/// One request that comes to the engine late, whatever became of its sender.
#[derive(Clone, PartialEq)]
enum Held {
    None,
    /// The first request that holds this text is to be held.
    Wanted(String),
    /// It is held.
    Now,
    /// It was let go.
    Released,
}

impl Gate {
    fn obey(&self, order: &str) {
        match order {
            "open" => drop(self.open.send_replace(true)),
            "silent" => drop(self.open.send_replace(false)),
            "cut" => self.cuts.send_modify(|cuts| *cuts += 1),
            "release" => drop(self.held.send_replace(Held::Released)),
            hold if hold.starts_with("hold ") => {
                let text = hold.trim_start_matches("hold ").to_owned();
                self.held.send_replace(Held::Wanted(text));
            }
            text => *self.closed_by.lock().unwrap() = Some(text.to_owned()),
        }
    }

    /// Whether this piece of a request is the one to hold.
    fn holds(&self, piece: &[u8]) -> bool {
        let text = String::from_utf8_lossy(piece);
        self.held.send_if_modified(|held| match held {
            Held::Wanted(wanted) if text.contains(&*wanted) => {
                *held = Held::Now;
                true
            }
            _ => false,
        })
    }

    fn sees(&self, piece: &[u8]) {
        let mut closed_by = self.closed_by.lock().unwrap();
        let text = String::from_utf8_lossy(piece);
        if closed_by.as_ref().is_some_and(|one| text.contains(one)) {
            *closed_by = None;
            self.open.send_replace(false);
        }
    }
}

impl Forwarder {
    pub fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime can be made");
        let gate = Arc::new(Gate {
            open: watch::Sender::new(true),
            closed_by: Mutex::default(),
            cuts: watch::Sender::new(0),
            held: watch::Sender::new(Held::None),
        });
        let bind = || runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)));
        let (clients, orders) = (bind().unwrap(), bind().unwrap());
        let (address, control) = (clients.local_addr().unwrap(), orders.local_addr().unwrap());
        runtime.spawn(forward(clients, Arc::clone(&gate)));
        runtime.spawn(follow(orders, Arc::clone(&gate)));
        Self {
            address,
            control,
            gate,
            runtime: Some(runtime),
        }
    }

    /// What a child needs to know.
    pub fn environment(&self) -> [(&'static str, String); 2] {
        let host = format!("tcp://{}", self.address);
        [("DOCKER_HOST", host), (CONTROL, self.control.to_string())]
    }

    /// Waits until the request is held that was to be.
    pub fn until_held(&self) {
        let mut held = self.gate.held.subscribe();
        let runtime = self.runtime.as_ref().expect("it runs");
        let held = runtime.block_on(async {
            let held = held.wait_for(|held| *held == Held::Now);
            let held = tokio::time::timeout(std::time::Duration::from_secs(60), held).await;
            held.is_ok_and(|held| held.is_ok())
        });
        assert!(held, "the request never came");
    }

    /// As [`order`], from the parent.
    pub fn obey(&self, order: &str) {
        self.gate.obey(order);
    }
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Has the forwarder that this child is behind be `open` or `silent`, or `cut` all that it
/// holds now, or fall silent with the first request that holds a text; or `hold` back the
/// first request with a text, alone, and `release` it.
pub fn order(what: &str) {
    let control = std::env::var(CONTROL).expect("the parent has a forwarder");
    let mut stream = Stream::connect(control).expect("the forwarder listens");
    stream.write_all(what.as_bytes()).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    // It closes once it has obeyed.
    stream.read_to_end(&mut Vec::new()).unwrap();
}

async fn follow(orders: TcpListener, gate: Arc<Gate>) {
    while let Ok((mut order, _)) = orders.accept().await {
        let mut text = String::new();
        if order.read_to_string(&mut text).await.is_ok() {
            gate.obey(&text);
        }
    }
}

async fn forward(clients: TcpListener, gate: Arc<Gate>) {
    while let Ok((client, _)) = clients.accept().await {
        let gate = Arc::clone(&gate);
        tokio::spawn(async move {
            let engine = UnixStream::connect("/var/run/docker.sock").await?;
            relay(client, engine, &gate).await
        });
    }
}

async fn relay(client: TcpStream, engine: UnixStream, gate: &Gate) -> std::io::Result<()> {
    let (from_client, to_client) = client.into_split();
    let (from_engine, to_engine) = engine.into_split();
    let up = pass(from_client, to_engine, gate, true);
    let down = pass(from_engine, to_client, gate, false);
    let mut cuts = gate.cuts.subscribe();
    tokio::select! {
        done = async { tokio::try_join!(up, down) } => done.map(drop),
        _ = cuts.changed() => Ok(()),
    }
}

async fn pass(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    gate: &Gate,
    requests: bool,
) -> std::io::Result<()> {
    let mut open = gate.open.subscribe();
    let mut piece = vec![0; 64 * 1024];
    loop {
        let length = from.read(&mut piece).await?;
        if requests {
            gate.sees(&piece[..length]);
        }
        // The sender lives as long as the gate.
        let _ = open.wait_for(|open| *open).await;
        if requests && gate.holds(&piece[..length]) {
            let mut held = gate.held.subscribe();
            let _ = held.wait_for(|held| *held == Held::Released).await;
            to.write_all(&piece[..length]).await?;
            // The engine is not to see that its client is gone.
            return std::future::pending().await;
        }
        if length == 0 {
            return to.shutdown().await;
        }
        to.write_all(&piece[..length]).await?;
    }
}

/// A server that says it is an engine of an old version. It is a fake of the protocol, for
/// this one message: such an engine cannot be had any more.
pub fn old_engine() -> SocketAddr {
    serve(|mut client, _| {
        let version = r#"{"Version":"19.03.15","ApiVersion":"1.40"}"#;
        let _ = write!(
            client,
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
             Connection: close\r\n\r\n{version}",
            version.len()
        );
    })
}

/// A registry that is there, and never answers when it is asked for an image. The port.
pub fn silent_registry() -> u16 {
    let address = serve(|mut client, request| {
        if request.starts_with("GET /v2/ ") {
            let _ = client.write_all(
                b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\
                  Docker-Distribution-Api-Version: registry/2.0\r\n\r\n{}",
            );
        } else if request.starts_with("GET ") || request.starts_with("HEAD ") {
            // Until the client gives up.
            let _ = client.read_to_end(&mut Vec::new());
        }
        // Else it speaks TLS, which this one does not.
    });
    address.port()
}

fn serve(answer: fn(Stream, &str)) -> SocketAddr {
    let listener = Listener::bind((Ipv4Addr::LOCALHOST, 0)).expect("there is a free port");
    let address = listener.local_addr().expect("it is bound");
    std::thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let mut request = [0; 4096];
                let length = client.read(&mut request).unwrap_or_default();
                answer(client, &String::from_utf8_lossy(&request[..length]));
            });
        }
    });
    address
}
