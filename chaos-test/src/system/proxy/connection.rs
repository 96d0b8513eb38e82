//! One client's connection: its two sockets, two flows and one task.
//!
//! Owns the sockets and how they end. It must never hold its lock while it
//! waits, and it must never make a change wait for more than the piece of
//! non-blocking work that is being done.

use std::{
    io, mem,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{
            AtomicUsize,
            Ordering::{Acquire, Relaxed, Release},
        },
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use socket2::SockRef;
use tokio::net::{TcpSocket, TcpStream};

use super::{
    attempts::Turns,
    flow::{Ends, Flow, Turn},
    hits::Meters,
    toxics::{Stage, ToxicId, Way},
};

pub(super) struct Connection {
    /// How many callers wait to change this connection. The task gives way to
    /// them, because a mutex alone is not fair to whoever waits for it.
    changes: AtomicUsize,
    state: Mutex<State>,
}

/// What a change led to.
#[must_use = "the connection's task has to be woken"]
pub(super) struct Changed {
    /// Whether the connection is still open.
    pub(super) open: bool,
    /// To be called when the caller holds no lock; None before the first turn.
    pub(super) waker: Option<Waker>,
}

struct State {
    waker: Option<Waker>,
    sockets: Sockets,
    up: Flow,
    down: Flow,
    turns: Turns,
}

enum Sockets {
    Dialling {
        client: TcpStream,
        dial: Dial,
    },
    Open {
        client: TcpStream,
        server: TcpStream,
    },
    Closed,
}

type Dial = Pin<Box<dyn Future<Output = io::Result<TcpStream>> + Send>>;

impl Connection {
    /// Takes over an accepted client with the stages that it meets; None if a
    /// stage refuses it, and then it has been reset. Without an upstream it is
    /// refused as by a service that does not listen.
    pub(super) fn admit(
        client: TcpStream,
        upstream: Option<SocketAddr>,
        turns: Turns,
        stages: impl Iterator<Item = (ToxicId, Way, Box<dyn Stage>)>,
    ) -> Option<Connection> {
        // This fails only for a client that is gone already.
        let _ = client.set_nodelay(true);
        let mut state = State {
            waker: None,
            sockets: Sockets::Dialling {
                client,
                dial: Box::pin(dial(upstream)),
            },
            up: Flow::default(),
            down: Flow::default(),
            turns,
        };
        stages.for_each(|(id, way, stage)| state.flow(way).chain().add(id, stage));
        if state.reset_if_wanted(&mut Context::from_waker(Waker::noop())) {
            return None;
        }
        Some(Connection {
            changes: AtomicUsize::new(0),
            state: Mutex::new(state),
        })
    }

    /// Does what can be done now; ready when the connection has ended. Only
    /// the connection's own task calls this.
    pub(super) fn poll(&self, cx: &mut Context<'_>, meters: &Meters) -> Poll<()> {
        let mut state = self.state();
        match &mut state.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        state.poll(cx, meters, &self.changes)
    }

    /// Adds stages at the ends of their chains.
    pub(super) fn add(
        &self,
        id: ToxicId,
        stages: impl Iterator<Item = (Way, Box<dyn Stage>)>,
    ) -> Changed {
        self.change(|state| {
            stages.for_each(|(way, stage)| state.flow(way).chain().add(id, stage));
            let waker = state.waker.clone();
            let waker = waker.as_ref().unwrap_or(Waker::noop());
            state.reset_if_wanted(&mut Context::from_waker(waker));
        })
    }

    /// Removes a toxic's stages and lets go of what they held.
    pub(super) fn remove(&self, id: ToxicId) -> Changed {
        self.change(|state| {
            for way in [Way::Up, Way::Down] {
                let flow = state.flow(way);
                let released = flow.chain().remove(id);
                flow.deliver(released);
            }
        })
    }

    /// Resets both sides, unless the connection has ended.
    pub(super) fn reset(&self) -> Changed {
        self.change(State::reset)
    }

    fn change(&self, change: impl FnOnce(&mut State)) -> Changed {
        self.changes.fetch_add(1, Relaxed);
        let mut state = self.state();
        self.changes.fetch_sub(1, Release);
        if !matches!(state.sockets, Sockets::Closed) {
            change(&mut state);
        }
        Changed {
            open: !matches!(state.sockets, Sockets::Closed),
            waker: state.waker.clone(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn flow(&mut self, way: Way) -> &mut Flow {
        match way {
            Way::Up => &mut self.up,
            Way::Down => &mut self.down,
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>, meters: &Meters, changes: &AtomicUsize) -> Poll<()> {
        if matches!(self.sockets, Sockets::Dialling { .. }) {
            if changes.load(Acquire) > 0 {
                return Poll::Pending;
            }
            self.reset_if_wanted(cx);
        }
        if let Sockets::Dialling { dial, .. } = &mut self.sockets {
            if !(self.up.chain().may_dial(cx) && self.down.chain().may_dial(cx)) {
                return Poll::Pending;
            }
            match dial.as_mut().poll(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(server)) => self.open(server),
                Poll::Ready(Err(_)) => {
                    meters.dial_failures.fetch_add(1, Relaxed);
                    self.reset();
                }
            }
        }
        self.poll_flows(cx, meters, changes)
    }

    fn poll_flows(
        &mut self,
        cx: &mut Context<'_>,
        meters: &Meters,
        changes: &AtomicUsize,
    ) -> Poll<()> {
        let Sockets::Open { client, server } = &mut self.sockets else {
            return Poll::Ready(());
        };
        let (up, down, turns) = (&mut self.up, &mut self.down, &mut self.turns);
        let broken = loop {
            let forth = up.pump(
                cx,
                Ends {
                    from: client,
                    to: server,
                    delivered: &meters.bytes_upstream,
                    changes,
                    turns,
                    way: Way::Up,
                },
            );
            match forth {
                Turn::Reset => break true,
                Turn::SinkLost => down.lose_source(),
                Turn::Waiting | Turn::Spent | Turn::Interrupted => {}
            }
            let back = down.pump(
                cx,
                Ends {
                    from: server,
                    to: client,
                    delivered: &meters.bytes_downstream,
                    changes,
                    turns,
                    way: Way::Down,
                },
            );
            match back {
                Turn::Reset => break true,
                Turn::SinkLost => {
                    up.lose_source();
                    // That flow has to look at its sender once more.
                    continue;
                }
                Turn::Waiting | Turn::Spent | Turn::Interrupted => {}
            }
            if up.finished() && down.finished() {
                break up.sink_lost() || down.sink_lost();
            }
            if forth == Turn::Spent || back == Turn::Spent {
                cx.waker().wake_by_ref();
            }
            // Waiting: a socket or the deadline thread has the waker.
            // Interrupted: whoever changes the connection wakes it.
            return Poll::Pending;
        };
        if broken {
            self.reset();
        } else {
            self.turns.over();
            self.sockets = Sockets::Closed;
        }
        Poll::Ready(())
    }

    fn open(&mut self, server: TcpStream) {
        self.sockets = match mem::replace(&mut self.sockets, Sockets::Closed) {
            Sockets::Dialling { client, .. } => Sockets::Open { client, server },
            other => other,
        };
    }

    fn reset_if_wanted(&mut self, cx: &mut Context<'_>) -> bool {
        let wanted = self.up.chain().wants_reset(cx) || self.down.chain().wants_reset(cx);
        if wanted {
            self.reset();
        }
        wanted
    }

    /// Closes the sockets so that the peers see a reset, whatever state the
    /// streams are in, and ends a dial that is under way.
    fn reset(&mut self) {
        self.turns.over();
        match mem::replace(&mut self.sockets, Sockets::Closed) {
            Sockets::Dialling { client, .. } => reset(&client),
            Sockets::Open { client, server } => {
                reset(&client);
                reset(&server);
            }
            Sockets::Closed => {}
        }
        // What is still in flight has no receiver any more.
        self.up = Flow::default();
        self.down = Flow::default();
    }
}

/// Makes the closing of `stream` a reset. It is the one way to get one: a
/// plain close sends FIN, and what the peer makes of that is another fault.
pub(super) fn reset(stream: &TcpStream) {
    // This fails only for a peer that has reset the connection itself.
    let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
}

async fn dial(upstream: Option<SocketAddr>) -> io::Result<TcpStream> {
    let upstream = upstream.ok_or(io::ErrorKind::ConnectionRefused)?;
    let socket = match upstream {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // A dial that is given up may have reached the service already.
    SockRef::from(&socket).set_linger(Some(Duration::ZERO))?;
    let server = socket.connect(upstream).await?;
    // Where nobody listens on a port that the kernel may choose for clients,
    // the kernel can choose that very port, and the socket meets itself.
    if server.local_addr()? == server.peer_addr()? {
        return Err(io::ErrorKind::ConnectionRefused.into());
    }
    SockRef::from(&server).set_linger(None)?;
    server.set_nodelay(true)?;
    Ok(server)
}
