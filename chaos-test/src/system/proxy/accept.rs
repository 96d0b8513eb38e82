//! The listening side of a link.
//!
//! Owns the listener and the task that accepts. It must never give up on an
//! error that passes, and it must never keep the port once the link is closed.

use std::{
    future::poll_fn,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker, ready},
    time::{Duration, Instant},
};

use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    runtime::Handle,
    sync::watch,
};

use super::{deadline::sleep_until, link::Shared};

/// How many clients may wait to be accepted.
const BACKLOG: u32 = 4096;

/// A listener that any thread can close.
pub(super) struct Door(Mutex<State>);

struct State {
    listener: Option<TcpListener>,
    waker: Option<Waker>,
}

impl Door {
    /// Listens on an address; on a port that the kernel chooses where it names none.
    pub(super) fn open(handle: &Handle, address: SocketAddr) -> io::Result<(Door, SocketAddr)> {
        let _runtime = handle.enter();
        let socket = match address {
            SocketAddr::V4(_) => TcpSocket::new_v4()?,
            SocketAddr::V6(_) => TcpSocket::new_v6()?,
        };
        socket.bind(address)?;
        let listener = socket.listen(BACKLOG)?;
        let address = listener.local_addr()?;
        let state = State {
            listener: Some(listener),
            waker: None,
        };
        Ok((Door(Mutex::new(state)), address))
    }

    /// Frees the port at once and ends the accepting task soon.
    pub(super) fn close(&self) {
        let mut state = self.state();
        let (listener, waker) = (state.listener.take(), state.waker.take());
        drop(state);
        drop(listener);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// The next client, or None once the door is closed.
    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<Option<io::Result<TcpStream>>> {
        let mut state = self.state();
        state.waker = Some(cx.waker().clone());
        match &state.listener {
            None => Poll::Ready(None),
            Some(listener) => {
                let accepted = ready!(listener.poll_accept(cx));
                Poll::Ready(Some(accepted.map(|(client, _)| client)))
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Accepts clients until the door is closed.
pub(super) async fn accept(doorman: Doorman) {
    let door = &doorman.door;
    while let Some(accepted) = poll_fn(|cx| door.poll_accept(cx)).await {
        match accepted {
            Ok(client) => doorman.link.admit(client),
            Err(error) if is_about_one_client(&error) => {}
            // Descriptors or memory have run out: the client waits in the
            // backlog until there are some again.
            Err(_) => sleep_until(Instant::now() + Duration::from_millis(5)).await,
        }
    }
}

/// What the accepting task holds. A runtime that is shut down drops it, and
/// then nobody is left to accept, so the port must not look alive.
pub(super) struct Doorman {
    link: Arc<Shared>,
    door: Arc<Door>,
    _alive: watch::Receiver<()>,
}

impl Doorman {
    pub(super) fn new(link: &Arc<Shared>, door: &Arc<Door>) -> Doorman {
        Doorman {
            link: Arc::clone(link),
            door: Arc::clone(door),
            _alive: link.alive.subscribe(),
        }
    }
}

impl Drop for Doorman {
    fn drop(&mut self) {
        self.link.shut();
    }
}

fn is_about_one_client(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionReset | Interrupted
    )
}
