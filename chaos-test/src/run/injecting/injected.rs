//! One fault that was injected: whether it is in force, and what has met it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use tokio::sync::watch;

use crate::error::{Error, Kind};
use crate::fault::{Effect, ErasedFault};
use crate::model::target::Target;
use crate::model::undo::Undo;
use crate::run::inner::Inner;
use crate::run::radius::Place;
use crate::system::LinkUse;
use crate::system::lock::lock;

use super::calling::{VERIFY_LIMIT, call, guarded, read_only};

/// One fault that was injected, in force or lifted.
pub(in crate::run) struct Injected {
    pub(in crate::run) entry: u64,
    pub(in crate::run) what: String,
    pub(in crate::run) undo: Undo,
    /// Set once it was verified to be in effect.
    pub(in crate::run) injected_at: OnceLock<Duration>,
    /// Whether all that it does was over when it was verified: a restart.
    pub(super) spent: AtomicBool,
    /// Whether it was not injected at all: this is a dry run.
    pub(in crate::run) dry: AtomicBool,
    /// Whether its `apply` took too long and still runs.
    pub(super) stuck: AtomicBool,
    pub(super) fault: Arc<dyn ErasedFault>,
    pub(in crate::run) targets: Vec<Target>,
    /// What it takes of the blast radius, as long as something is broken.
    place: Mutex<Option<Place>>,
    /// What had passed through the links of its targets when it was injected.
    used_before: LinkUse,
    samples: AtomicU64,
    /// Samples that were sent while it was being applied; a spent fault was met by them.
    early_samples: AtomicU64,
    /// One lift at a time.
    pub(super) lifting: tokio::sync::Mutex<()>,
    pub(super) lifted: watch::Sender<Option<Result<Duration, String>>>,
    /// Whether whoever asked for it has its guard: a call that was cancelled never gets it.
    pub(super) handed_out: watch::Sender<bool>,
}

impl Injected {
    /// One that is not applied yet.
    pub(super) fn new(
        entry: u64,
        what: &str,
        undo: Undo,
        fault: Arc<dyn ErasedFault>,
        targets: Vec<Target>,
        used_before: LinkUse,
    ) -> Self {
        Self {
            entry,
            what: what.to_owned(),
            undo,
            injected_at: OnceLock::new(),
            spent: AtomicBool::new(false),
            dry: AtomicBool::new(false),
            stuck: AtomicBool::new(false),
            fault,
            targets,
            place: Mutex::new(None),
            used_before,
            samples: AtomicU64::new(0),
            early_samples: AtomicU64::new(0),
            lifting: tokio::sync::Mutex::new(()),
            lifted: watch::Sender::new(None),
            handed_out: watch::Sender::new(false),
        }
    }

    /// When it was verified to be in effect.
    pub(in crate::run) fn injected_at(&self) -> Duration {
        self.injected_at.get().copied().unwrap_or_default()
    }

    pub(in crate::run) fn in_force(&self) -> bool {
        self.injected_at.get().is_some() && self.lifted.borrow().is_none()
    }

    /// Whether its targets may be broken: also while it is applied, and where its undo failed.
    #[cfg(feature = "environments")]
    pub(in crate::run) fn may_be_broken(&self) -> bool {
        !matches!(*self.lifted.borrow(), Some(Ok(_)))
    }

    pub(super) fn take(&self, place: Place) {
        *lock(&self.place) = Some(place);
    }

    /// Its place, for another try.
    pub(super) fn take_back(&self) -> Option<Place> {
        lock(&self.place).take()
    }

    /// Nothing of it is broken any more.
    pub(in crate::run) fn leave_place(&self) {
        let place = lock(&self.place).take();
        drop(place);
    }

    /// The caller has its guard.
    pub(in crate::run) fn hand_out(&self) {
        self.handed_out.send_replace(true);
    }

    /// Nothing is left of it, and it never was in force.
    pub(in crate::run) fn give_up(&self) {
        self.leave_place();
        self.lifted.send_replace(Some(Ok(Duration::ZERO)));
    }

    /// Waits until somebody has its guard, or it is over: a call that was cancelled is
    /// lifted a moment later.
    pub(super) async fn until_settled(&self) {
        let (mut handed_out, mut lifted) = (self.handed_out.subscribe(), self.lifted.subscribe());
        // The senders live as long as `self`.
        tokio::select! {
            _ = handed_out.wait_for(|handed_out| *handed_out) => {}
            _ = lifted.wait_for(Option::is_some) => {}
        }
    }

    /// Whether this one and the other put the same thing back, and neither is lifted: the
    /// one that is lifted first would end the other, too.
    pub(in crate::run) fn overlaps(&self, other: &Self) -> bool {
        let same = other.undo.puts_back();
        same.is_some() && same == self.undo.puts_back() && self.lifted.borrow().is_none()
    }

    pub(in crate::run) fn sample_sent(&self) {
        if self.injected_at.get().is_none() {
            self.early_samples.fetch_add(1, Ordering::Relaxed);
        } else if self.in_force() {
            self.samples.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(in crate::run) fn sample_answered(&self, due: Duration) {
        if due < self.injected_at() && self.in_force() {
            self.samples.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(in crate::run) async fn until_lifted(&self) -> Result<Duration, Error> {
        let mut lifted = self.lifted.subscribe();
        // The sender lives as long as `self`.
        let lifted = lifted
            .wait_for(Option::is_some)
            .await
            .expect("it is ours")
            .clone();
        as_lifted(lifted)
    }

    /// Whether it is in effect.
    pub(super) async fn verify(&self, inner: &Inner) -> Result<Effect, Error> {
        let system = read_only(inner, self.entry, &self.targets);
        call(&self.fault, "verify", VERIFY_LIMIT, None, move |fault| {
            Box::pin(async move { fault.verify(&system).await })
        })
        .await
        .answer()
    }

    /// How often something met it, and what was counted.
    pub(super) fn hits(&self, inner: &Inner) -> (u64, String) {
        let system = read_only(inner, self.entry, &self.targets);
        let counted = guarded("hits", || self.fault.hits(&system));
        match counted {
            Ok(Some(hits)) => return (hits, format!("it counted {hits} hits")),
            Ok(None) => {}
            Err(panic) => return (0, panic.to_string()),
        }
        // Whoever uses a service comes through its links; a sample of something else may
        // never have noticed.
        if let Some(used) = inner.world.link_use(&self.targets) {
            let connections = used.accepted.saturating_sub(self.used_before.accepted);
            let bytes = used.bytes.saturating_sub(self.used_before.bytes);
            return (
                connections + u64::from(bytes > 0),
                format!("{connections} connections, {bytes} bytes"),
            );
        }
        let mut samples = self.samples.load(Ordering::Relaxed);
        if self.spent.load(Ordering::Relaxed) {
            samples += self.early_samples.load(Ordering::Relaxed);
        }
        (samples, format!("{samples} samples"))
    }
}

pub(super) fn as_lifted(lifted: Option<Result<Duration, String>>) -> Result<Duration, Error> {
    match lifted {
        Some(Ok(at)) => Ok(at),
        Some(Err(why)) => Err(Error::new(Kind::Undo, why)),
        None => Err(Error::new(Kind::Undo, "it was not lifted")),
    }
}
