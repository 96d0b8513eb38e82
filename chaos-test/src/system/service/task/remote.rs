//! How a service's thread is ordered about: what it is to do, and what it does.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, OnceLock, PoisonError};

use tokio::sync::{Notify, watch};

use crate::system::identity;
use crate::system::lock::lock;
use crate::system::process::ProcessState;

/// What a service's thread is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// Wait before its start.
    Hold,
    Run,
    /// Wait where it is, with everything that runs on it.
    Stop,
    End,
}

/// Between a service's thread and those that order it about.
pub(super) struct Remote {
    orders: Mutex<Orders>,
    changed: Condvar,
    /// Wakes the thread where it waits for anything else.
    woken: Notify,
    /// The thread's own number.
    thread: OnceLock<u32>,
    /// Whether it has its listener.
    listens: AtomicBool,
    /// Whether what it runs has come through its first step and goes on.
    stepped: watch::Sender<bool>,
}

struct Orders {
    wanted: Order,
    obeyed: Order,
}

impl Remote {
    pub(super) fn new(order: Order) -> Self {
        Self {
            orders: Mutex::new(Orders {
                wanted: order,
                obeyed: order,
            }),
            changed: Condvar::new(),
            woken: Notify::new(),
            thread: OnceLock::new(),
            listens: AtomicBool::new(false),
            stepped: watch::Sender::new(false),
        }
    }

    /// Called by the thread itself.
    pub(super) fn arrive(&self) {
        let number = rustix::thread::gettid().as_raw_nonzero().get();
        self.thread.get_or_init(|| number.unsigned_abs());
    }

    /// Whether the thread is at work now, or would be if a core were free, and does not
    /// wait for anything.
    pub(super) fn is_computing(&self) -> bool {
        // A thread has an entry of its own in /proc, though none is listed.
        let stat = self.thread.get().and_then(|&number| identity::stat(number));
        stat.is_some_and(|stat| matches!(stat.state, 'R' | 'D'))
    }

    pub(super) fn wanted(&self) -> Order {
        lock(&self.orders).wanted
    }

    pub(super) fn state(&self) -> ProcessState {
        match lock(&self.orders).obeyed {
            Order::Hold => ProcessState::HeldAtStart,
            Order::Stop => ProcessState::Stopped,
            Order::Run | Order::End => ProcessState::Running,
        }
    }

    /// Nothing comes after an end.
    pub(super) fn order(&self, order: Order) {
        let mut orders = lock(&self.orders);
        if orders.wanted == Order::End {
            return;
        }
        orders.wanted = order;
        if order == Order::Run {
            // It can go on from now on, whenever the kernel lets it.
            orders.obeyed = order;
        }
        drop(orders);
        self.changed.notify_all();
        self.woken.notify_one();
    }

    /// It has its listener, and begins to run.
    pub(super) fn listen(&self) {
        self.listens.store(true, Ordering::SeqCst);
    }

    /// Whether it has. Until then somebody else may answer at its address.
    pub(super) fn listens(&self) -> bool {
        self.listens.load(Ordering::SeqCst)
    }

    /// What it runs goes on after a step.
    pub(super) fn step(&self) {
        self.stepped
            .send_if_modified(|stepped| !std::mem::replace(stepped, true));
    }

    /// Whether it has.
    pub(super) fn stepped(&self) -> watch::Receiver<bool> {
        self.stepped.subscribe()
    }

    /// Blocks the thread for as long as it is to wait; then what it is to do.
    pub(super) fn obey(&self) -> Order {
        let mut orders = lock(&self.orders);
        loop {
            orders.obeyed = orders.wanted;
            match orders.wanted {
                Order::Hold | Order::Stop => {
                    let woken = self.changed.wait(orders);
                    orders = woken.unwrap_or_else(PoisonError::into_inner);
                }
                Order::Run | Order::End => return orders.wanted,
            }
        }
    }

    /// Resolves when it is to end. While it is to stop, this blocks the thread, and with it
    /// everything that runs on it.
    pub(super) async fn until_ended(&self) {
        while self.obey() != Order::End {
            self.woken.notified().await;
        }
    }
}
