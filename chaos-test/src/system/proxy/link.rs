//! A link: a stable address in front of a service, with toxics in between.
//!
//! Owns the list of toxics and the registry of connections, and keeps the two
//! in step. It must never wait for a peer or for a task, except in
//! [`Link::close`], and it must never name a particular toxic.

use std::{
    collections::BTreeMap,
    fmt,
    future::poll_fn,
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering::Relaxed},
    task::Waker,
    time::Instant,
};

use tokio::{net::TcpStream, runtime::Handle, sync::watch};

use crate::model::attempt::Kept;
use crate::system::spawner::Spawner;

use super::{
    accept::{Door, Doorman, accept},
    attempts::Attempts,
    connection::{Changed, Connection, reset},
    hits::{Counters, Hits, Meters, Tally, Traffic},
    toxics::{Direction, Encounter, PartialToxic, Stage, Toxic, ToxicId, Way, is_drawn},
};

/// What a link needs to know before it opens.
#[derive(Clone, Debug)]
pub struct LinkConfig {
    /// A name for reports.
    pub name: String,
    /// The service's address.
    pub upstream: SocketAddr,
    /// What all of this link's random numbers are drawn from.
    pub seed: u64,
}

/// A listening address on 127.0.0.1, and further ones on request, that forwards TCP connections to an
/// upstream, through toxics that can be added and removed at any time.
///
/// The address stays the same for the life of the link. Clones are handles to
/// the same link. [`Link::close`] ends it; so does dropping the last handle,
/// which does not wait for the tasks to end.
///
/// All work is done by tasks on the runtime that the link was opened on, which
/// needs its I/O driver; the methods can be called from any runtime or, where
/// they are not async, from any thread. They never wait for a peer.
#[derive(Clone)]
pub struct Link(Arc<Owner>);

impl Link {
    /// Binds and starts accepting on the given runtime; listens when it
    /// returns. Needs no ambient runtime.
    ///
    /// # Errors
    ///
    /// If no port can be bound.
    ///
    /// # Panics
    ///
    /// If the runtime's I/O driver is not enabled.
    pub fn open(handle: &Handle, config: LinkConfig) -> io::Result<Link> {
        let (door, address) = Door::open(handle, (Ipv4Addr::LOCALHOST, 0).into())?;
        let door = Arc::new(door);
        let shared = Arc::new(Shared {
            name: config.name,
            address,
            seed: config.seed,
            handle: handle.clone(),
            meters: Meters::default(),
            attempts: Arc::default(),
            alive: watch::Sender::new(()),
            state: Mutex::new(State {
                closed: false,
                doors: vec![(address, Arc::clone(&door))],
                upstream: config.upstream,
                toxics: Vec::new(),
                counters: BTreeMap::new(),
                connections: BTreeMap::new(),
                accepted: 0,
            }),
        });
        Spawner::new(handle).spawn(accept(Doorman::new(&shared, &door)));
        Ok(Link(Arc::new(Owner(shared))))
    }

    /// The name given when it was opened.
    pub fn name(&self) -> &str {
        &self.shared().name
    }

    /// Where clients connect to.
    pub fn address(&self) -> SocketAddr {
        self.shared().address
    }

    /// Accepts clients on a further local address, for example the gateway of
    /// a container network: on the link's own port if that is free there, else
    /// on one that the kernel chooses. Asked again for the same address, it is
    /// the same port. All toxics and totals are those of the link.
    ///
    /// # Errors
    ///
    /// If the address is none of this machine's or stands for all of them
    /// (0.0.0.0, ::), no port can be bound, or the link is closed.
    pub fn listen_also(&self, ip: IpAddr) -> io::Result<SocketAddr> {
        self.shared().listen_also(ip.to_canonical())
    }

    /// Where new connections are forwarded to.
    pub fn upstream(&self) -> SocketAddr {
        self.shared().state().upstream
    }

    /// Forwards later connections to another address; open ones stay.
    pub fn set_upstream(&self, upstream: SocketAddr) {
        self.shared().state().upstream = upstream;
    }

    /// Adds a toxic at the end of the chain.
    ///
    /// When this returns, the toxic is in force on every open connection, and
    /// every later one meets it from the start. Nothing in it waits, so it is
    /// complete after its first poll. On a closed link it changes nothing.
    pub async fn add(&self, toxic: Toxic, direction: Direction) -> ToxicId {
        self.add_to_share(PartialToxic {
            toxic,
            direction,
            share: 1.0,
        })
        .await
    }

    /// As [`add`](Self::add), for a share of the connections: each is drawn once.
    pub async fn add_to_share(&self, toxic: PartialToxic) -> ToxicId {
        self.shared().add(toxic)
    }

    /// Removes a toxic; false if it was not there, which is no mistake.
    ///
    /// When this returns, no chunk meets the toxic any more, and what it held
    /// back is on its way. Nothing in it waits.
    pub async fn remove(&self, id: ToxicId) -> bool {
        self.shared().remove(id)
    }

    /// The toxics in force, in the order of the chain.
    pub fn active(&self) -> Vec<ToxicId> {
        let state = self.shared().state();
        state.toxics.iter().map(|active| active.id).collect()
    }

    /// What a toxic has done, also after its removal; nothing if this link
    /// never had it.
    pub fn hits(&self, id: ToxicId) -> Hits {
        let state = self.shared().state();
        state
            .counters
            .get(&id)
            .map_or_else(Hits::default, |counters| counters.hits())
    }

    /// What the link has carried since it was opened.
    pub fn traffic(&self) -> Traffic {
        let open = self.shared().state().connections.len();
        self.shared().meters.traffic(open)
    }

    /// What clients tried at it, as far as it is kept, with instants since `started`.
    pub(crate) fn attempts(&self, started: Instant) -> Kept {
        self.shared().attempts.kept(started)
    }

    /// Frees the ports, resets all connections and waits for the tasks to end.
    ///
    /// Open connections are reset rather than ended, because half of an answer
    /// with a clean end would look like a whole one. Closing again is fine.
    pub async fn close(&self) {
        self.shared().shut();
        self.shared().alive.closed().await;
    }

    fn shared(&self) -> &Arc<Shared> {
        &self.0.0
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link")
            .field("name", &self.name())
            .field("address", &self.address())
            .field("upstream", &self.upstream())
            .finish_non_exhaustive()
    }
}

/// What all handles share; tasks share only what is inside, so that this is
/// dropped with the last handle.
struct Owner(Arc<Shared>);

impl Drop for Owner {
    fn drop(&mut self) {
        self.0.shut();
    }
}

/// What the handles and the link's tasks share.
pub(super) struct Shared {
    name: String,
    address: SocketAddr,
    seed: u64,
    handle: Handle,
    meters: Meters,
    attempts: Arc<Attempts>,
    /// Every task holds a receiver; when the last is gone, all have ended.
    pub(super) alive: watch::Sender<()>,
    /// Locked before a connection's state, never after it.
    state: Mutex<State>,
}

struct State {
    closed: bool,
    /// By the addresses that they lie at; none once the link is closed.
    doors: Vec<(SocketAddr, Arc<Door>)>,
    upstream: SocketAddr,
    toxics: Vec<Active>,
    /// Of all toxics that there ever were.
    counters: BTreeMap<ToxicId, Arc<Counters>>,
    connections: BTreeMap<u64, Arc<Connection>>,
    /// How many connections there ever were; a connection's number.
    accepted: u64,
}

impl State {
    /// Changes all connections and forgets those that have ended; the wakers
    /// are for when the lock is released, because a runtime that is shutting
    /// down may drop tasks, and tasks lock.
    fn change_all(&mut self, change: impl Fn(u64, &Connection) -> Changed) -> Vec<Waker> {
        let mut wakers = Vec::with_capacity(self.connections.len());
        self.connections.retain(|number, connection| {
            let Changed { open, waker } = change(*number, connection);
            wakers.extend(waker);
            open
        });
        wakers
    }
}

struct Active {
    id: ToxicId,
    toxic: PartialToxic,
    counters: Arc<Counters>,
}

impl Active {
    /// This toxic's stages for one connection.
    fn stages<'a>(
        &'a self,
        seed: u64,
        link: &str,
        connection: u64,
        opening: bool,
    ) -> impl Iterator<Item = (Way, Box<dyn Stage>)> + use<'a> {
        let is_drawn = is_drawn(seed, link, connection, self.id, self.toxic.share);
        if !is_drawn {
            self.counters.spared();
        }
        let tally = Tally::new(&self.counters);
        [Way::Up, Way::Down]
            .into_iter()
            .filter(move |way| is_drawn && self.toxic.direction.covers(*way))
            .map(move |way| {
                let encounter = Encounter {
                    seed,
                    connection,
                    toxic: self.id,
                    way,
                    opening,
                    tally: tally.clone(),
                };
                (way, self.toxic.toxic.stage(encounter))
            })
    }
}

impl Shared {
    fn add(&self, toxic: PartialToxic) -> ToxicId {
        let mut state = self.state();
        let id = ToxicId(state.counters.len() as u64 + 1);
        let counters = Arc::new(Counters::default());
        state.counters.insert(id, Arc::clone(&counters));
        let active = Active {
            id,
            toxic,
            counters,
        };
        let wakers = state.change_all(|number, connection| {
            connection.add(id, active.stages(self.seed, &self.name, number, false))
        });
        state.toxics.push(active);
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
        id
    }

    fn remove(&self, id: ToxicId) -> bool {
        let mut state = self.state();
        let Some(place) = state.toxics.iter().position(|active| active.id == id) else {
            return false;
        };
        state.toxics.remove(place);
        let wakers = state.change_all(|_, connection| connection.remove(id));
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
        true
    }

    fn listen_also(self: &Arc<Self>, ip: IpAddr) -> io::Result<SocketAddr> {
        if ip.is_unspecified() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("a link listens on one address of this machine, never on all ({ip})"),
            ));
        }
        let mut state = self.state();
        if state.closed {
            return Err(io::Error::new(
                io::ErrorKind::NotConnected,
                format!("link `{}` is closed", self.name),
            ));
        }
        if let Some((address, _)) = state.doors.iter().find(|(address, _)| address.ip() == ip) {
            return Ok(*address);
        }
        let open = |port| Door::open(&self.handle, (ip, port).into());
        let (door, address) = match open(self.address.port()) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => open(0)?,
            opened => opened?,
        };
        let door = Arc::new(door);
        let doorman = Doorman::new(self, &door);
        state.doors.push((address, door));
        drop(state);
        // Unlocked, because a runtime that is shutting down drops the doorman
        // at once, and the doorman locks.
        Spawner::new(&self.handle).spawn(accept(doorman));
        Ok(address)
    }

    /// Takes over a client that has just been accepted.
    pub(super) fn admit(self: &Arc<Self>, client: TcpStream) {
        let mut state = self.state();
        if state.closed {
            reset(&client);
            return;
        }
        state.accepted += 1;
        self.meters.accepted.fetch_add(1, Relaxed);
        let number = state.accepted;
        let turns = self.attempts.come(number);
        let stages = state.toxics.iter().flat_map(|active| {
            let id = active.id;
            active
                .stages(self.seed, &self.name, number, true)
                .map(move |(way, stage)| (id, way, stage))
        });
        // A link that dials itself would eat up all descriptors in no time.
        let upstream = state.upstream;
        let itself = state.doors.iter().any(|(address, _)| *address == upstream);
        let upstream = (!itself).then_some(upstream);
        let Some(connection) = Connection::admit(client, upstream, turns, stages) else {
            return;
        };
        let connection = Arc::new(connection);
        state.connections.insert(number, Arc::clone(&connection));
        drop(state);
        let ticket = Ticket {
            link: Arc::clone(self),
            number,
            connection,
            _alive: self.alive.subscribe(),
        };
        // Unlocked, because a runtime that is shutting down drops the ticket
        // at once, and the ticket locks.
        Spawner::new(&self.handle).spawn(async move {
            poll_fn(|cx| ticket.connection.poll(cx, &ticket.link.meters)).await;
        });
    }

    /// Frees the ports and resets all connections; their tasks end soon.
    pub(super) fn shut(&self) {
        let mut state = self.state();
        state.closed = true;
        let doors = std::mem::take(&mut state.doors);
        let wakers = state.change_all(|_, connection| connection.reset());
        drop(state);
        doors.iter().for_each(|(_, door)| door.close());
        wakers.into_iter().for_each(Waker::wake);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a connection's task holds, so that the connection ends with the task,
/// be it because its runtime was shut down.
struct Ticket {
    link: Arc<Shared>,
    number: u64,
    connection: Arc<Connection>,
    // Dropped last, as it is what a closing caller waits for.
    _alive: watch::Receiver<()>,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        // The task that would be woken is this one.
        let _ = self.connection.reset();
        self.link.state().connections.remove(&self.number);
    }
}
