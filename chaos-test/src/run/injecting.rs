//! Injecting and lifting one fault: limits, prepare, undo on disk, apply, verify.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::watch;

use crate::error::{Error, Kind};
use crate::fault::{Effect, ErasedFault};
use crate::model::event::Event;
use crate::model::target::Target;
use crate::model::undo::Undo;
use crate::model::units::human;
use crate::system::lock::lock;
use crate::system::{Ledger, LinkUse, ReadOnlySystem, System, undo};

use super::engine;
use super::guard::Injection;
use super::inner::Inner;

/// How long a fault may take to prepare or to be verified.
pub(super) const VERIFY_LIMIT: Duration = Duration::from_secs(10);
/// How long a method that was given up may take to end.
const ABORT_LIMIT: Duration = Duration::from_secs(5);

/// One fault that was injected, in force or lifted.
pub(crate) struct Injected {
    pub(super) entry: u64,
    pub(super) what: String,
    pub(super) undo: Undo,
    /// Set once it was verified to be in effect.
    injected_at: OnceLock<Duration>,
    /// Whether all that it does was over when it was verified: a restart.
    spent: AtomicBool,
    /// Whether its `apply` took too long and still runs.
    stuck: AtomicBool,
    fault: Arc<dyn ErasedFault>,
    targets: Vec<Target>,
    /// What had passed through the links of its targets when it was injected.
    used_before: LinkUse,
    samples: AtomicU64,
    /// Samples that were sent while it was being applied; a spent fault was met by them.
    early_samples: AtomicU64,
    /// One lift at a time.
    lifting: tokio::sync::Mutex<()>,
    lifted: watch::Sender<Option<Result<Duration, String>>>,
    /// Whether whoever asked for it has its guard: a call that was cancelled never gets it.
    handed_out: watch::Sender<bool>,
}

impl Injected {
    /// When it was verified to be in effect.
    pub(super) fn injected_at(&self) -> Duration {
        self.injected_at.get().copied().unwrap_or_default()
    }

    pub(super) fn in_force(&self) -> bool {
        self.injected_at.get().is_some() && self.lifted.borrow().is_none()
    }

    /// The caller has its guard.
    pub(super) fn hand_out(&self) {
        self.handed_out.send_replace(true);
    }

    /// Nothing is left of it, and it never was in force.
    pub(super) fn give_up(&self) {
        self.lifted.send_replace(Some(Ok(Duration::ZERO)));
    }

    /// Waits until somebody has its guard, or it is over: a call that was cancelled is
    /// lifted a moment later.
    async fn until_settled(&self) {
        let (mut handed_out, mut lifted) = (self.handed_out.subscribe(), self.lifted.subscribe());
        // The senders live as long as `self`.
        tokio::select! {
            _ = handed_out.wait_for(|handed_out| *handed_out) => {}
            _ = lifted.wait_for(Option::is_some) => {}
        }
    }

    /// Whether this one and the other put the same thing back, and neither is lifted: the
    /// one that is lifted first would end the other, too.
    pub(super) fn overlaps(&self, other: &Self) -> bool {
        let same = other.undo.puts_back();
        same.is_some() && same == self.undo.puts_back() && self.lifted.borrow().is_none()
    }

    pub(super) fn sample_sent(&self) {
        if self.injected_at.get().is_none() {
            self.early_samples.fetch_add(1, Ordering::Relaxed);
        } else if self.in_force() {
            self.samples.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn sample_answered(&self, due: Duration) {
        if due < self.injected_at() && self.in_force() {
            self.samples.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) async fn until_lifted(&self) -> Result<Duration, Error> {
        let mut lifted = self.lifted.subscribe();
        // The sender lives as long as `self`.
        let lifted = lifted
            .wait_for(Option::is_some)
            .await
            .expect("it is ours")
            .clone();
        as_lifted(lifted)
    }

    /// How often something met it, and what was counted.
    fn hits(&self, inner: &Inner) -> (u64, String) {
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

/// Runs what a user wrote; a panic in it is an error.
fn guarded<T>(method: &str, ask: impl FnOnce() -> T) -> Result<T, Error> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(ask))
        .map_err(|_| Error::new(Kind::Inject, format!("`{method}` of the fault panicked")))
}

fn as_lifted(lifted: Option<Result<Duration, String>>) -> Result<Duration, Error> {
    match lifted {
        Some(Ok(at)) => Ok(at),
        Some(Err(why)) => Err(Error::new(Kind::Undo, why)),
        None => Err(Error::new(Kind::Undo, "it was not lifted")),
    }
}

fn read_only(inner: &Inner, injection: u64, targets: &[Target]) -> ReadOnlySystem {
    ReadOnlySystem {
        world: Arc::clone(&inner.world),
        injection,
        targets: targets.into(),
    }
}

/// Injects a fault and hands out its guard.
pub(super) async fn inject(
    inner: Arc<Inner>,
    fault: Arc<dyn ErasedFault>,
) -> Result<Injection, Error> {
    let _call = inner.enter().await?;
    let asked = inner.recorder.now();
    let what = guarded("describe", || fault.describe())?;
    match try_inject(&inner, &fault, &what, asked).await {
        Ok(injected) => Ok(Injection {
            inner: Arc::clone(&inner),
            fault: injected,
        }),
        Err(error) => {
            inner.recorder.record(Event::InjectFailed {
                fault: what,
                why: error.to_string(),
            });
            Err(error)
        }
    }
}

async fn try_inject(
    inner: &Arc<Inner>,
    fault: &Arc<dyn ErasedFault>,
    what: &str,
    asked: Duration,
) -> Result<Arc<Injected>, Error> {
    let (targets, risk, length) = guarded("targets, risk or duration", || {
        (fault.targets(), fault.risk(), fault.duration())
    })?;
    within_limits(inner, &targets, what)?;
    let entry = inner.recorder.next_entry();
    let undo = call(fault, "prepare", VERIFY_LIMIT, Some(inner), {
        let system = read_only(inner, entry, &targets);
        move |fault| Box::pin(async move { fault.prepare(&system).await })
    })
    .await
    .answer()
    .map_err(|error| not_injected(what, "could not be prepared").because(error))?;
    let undo = crate::system::undo::prepared(undo)
        .map_err(|error| not_injected(what, "was not injected").because(error))?;
    let injected = Arc::new(Injected {
        entry,
        what: what.to_owned(),
        undo: undo.clone(),
        injected_at: OnceLock::new(),
        spent: AtomicBool::new(false),
        stuck: AtomicBool::new(false),
        fault: Arc::clone(fault),
        used_before: inner.world.link_use(&targets).unwrap_or_default(),
        targets,
        samples: AtomicU64::new(0),
        early_samples: AtomicU64::new(0),
        lifting: tokio::sync::Mutex::new(()),
        lifted: watch::Sender::new(None),
        handed_out: watch::Sender::new(false),
    });
    // Known before it is applied, so that samples can meet it from its first moment.
    while let Err(other) = inner.know(&injected) {
        other.until_settled().await;
        if *other.handed_out.borrow() && other.lifted.borrow().is_none() {
            return Err(refused_beside(&injected, &other));
        }
    }
    if let Err(error) = inner.recorder.plan_entry(entry, what, undo.clone(), true) {
        inner.forget(entry);
        return Err(error);
    }
    inner.world.keep_for(&undo);
    match apply_and_verify(inner, &injected).await {
        Ok(spent) => injected.spent.store(spent, Ordering::Relaxed),
        Err(error) => {
            // It may have been applied half-way.
            return Err(match put_back(inner, &injected).await {
                Ok(()) => {
                    inner.forget(entry);
                    error
                }
                Err(undo) => {
                    // It may be in force, and nobody will ever lift it by a guard.
                    injected.hand_out();
                    error.help(format!("nor could it be put back: {undo}"))
                }
            });
        }
    }
    let injected_at = *injected.injected_at.get_or_init(|| inner.recorder.now());
    inner.recorder.record(Event::Injected {
        entry,
        fault: what.to_owned(),
        targets: injected.targets.clone(),
        risk,
        took_us: micros(injected_at.saturating_sub(asked)),
    });
    if let Some(length) = length {
        lift_after(inner, &injected, length);
    }
    Ok(injected)
}

fn refused_beside(fault: &Injected, other: &Injected) -> Error {
    let what = fault.undo.puts_back().map_or("state", |(_, what)| what);
    Error::new(
        Kind::Refused,
        format!(
            "{} was refused, nothing was touched: `{}` is in force, and a service's {what} has one \
             fault at a time",
            fault.what, other.what,
        ),
    )
    .help("lift it first, with `lift().await` on its guard")
}

fn within_limits(inner: &Inner, targets: &[Target], what: &str) -> Result<(), Error> {
    let radius = lock(&inner.radius);
    radius
        .check(targets, &inner.world.targets())
        .map_err(|why| {
            Error::new(
                Kind::Refused,
                format!("{what} was refused, nothing was touched: {why}"),
            )
            .help("name what the test may break in `breaks(..)`, or with `chaos.may_break(..)`")
        })
}

/// Whether all that it does is over already.
async fn apply_and_verify(inner: &Inner, injected: &Injected) -> Result<bool, Error> {
    let (fault, what) = (&injected.fault, &injected.what);
    let system = System {
        read: read_only(inner, injected.entry, &injected.targets),
    };
    let limit = guarded("apply_limit", || fault.apply_limit())?
        .saturating_add(inner.world.grace_of(&injected.targets));
    let applied = call(fault, "apply", limit, Some(inner), move |fault| {
        Box::pin(async move { fault.apply(&system).await })
    })
    .await;
    if let Call::Stuck(_) = applied {
        injected.stuck.store(true, Ordering::SeqCst);
    }
    applied
        .answer()
        .map_err(|error| not_injected(what, "could not be injected").because(error))?;
    match verify(inner, injected).await {
        Ok(Effect::Active) => Ok(false),
        Ok(Effect::Spent) => Ok(true),
        Ok(Effect::Absent(why)) => Err(not_injected(
            what,
            format!("was applied and is not in effect: {why}"),
        )),
        Err(error) => Err(not_injected(what, "could not be verified").because(error)),
    }
}

async fn verify(inner: &Inner, injected: &Injected) -> Result<Effect, Error> {
    let system = read_only(inner, injected.entry, &injected.targets);
    call(
        &injected.fault,
        "verify",
        VERIFY_LIMIT,
        None,
        move |fault| Box::pin(async move { fault.verify(&system).await }),
    )
    .await
    .answer()
}

/// How one method of a fault ended.
enum Call<T> {
    Answered(Result<T, Error>),
    /// It was given up, and has ended.
    GivenUp(Error),
    /// It was given up, and still runs: it blocks its thread.
    Stuck(Error),
}

impl<T> Call<T> {
    fn answer(self) -> Result<T, Error> {
        match self {
            Self::Answered(answer) => answer,
            Self::GivenUp(error) | Self::Stuck(error) => Err(error),
        }
    }
}

/// Runs one method of a fault on the users' runtime, within a time limit; a panic in it is
/// an error. With `ends`, it is given up when the context ends.
async fn call<T: Send + 'static>(
    fault: &Arc<dyn ErasedFault>,
    method: &str,
    limit: Duration,
    ends: Option<&Inner>,
    ask: impl FnOnce(Arc<dyn ErasedFault>) -> super::Boxed<Result<T, Error>> + Send + 'static,
) -> Call<T> {
    let ours = fault.is_ours();
    let fault = Arc::clone(fault);
    let ended = async {
        match ends {
            Some(inner) => inner.until_ended().await,
            None => std::future::pending().await,
        }
    };
    let late = || {
        Error::new(
            Kind::Inject,
            format!("`{method}` took longer than {}", human(limit)),
        )
    };
    if ours {
        // Each hand-over to another thread costs more than what a link fault does.
        return tokio::select! {
            answer = ask(fault) => Call::Answered(answer),
            () = tokio::time::sleep(limit) => Call::GivenUp(late()),
            ended = ended => Call::GivenUp(ended),
        };
    }
    let mut task = engine::users().spawn(async move { ask(fault).await });
    let why = tokio::select! {
        answer = &mut task => return Call::Answered(answer.unwrap_or_else(|panic| {
            Err(Error::new(Kind::Inject, format!("`{method}` panicked: {panic}")))
        })),
        () = tokio::time::sleep(limit) => late(),
        ended = ended => ended,
    };
    task.abort();
    // It ends at its next await, unless it blocks.
    match tokio::time::timeout(ABORT_LIMIT, task).await {
        Ok(_) => Call::GivenUp(why),
        Err(_) => Call::Stuck(why),
    }
}

fn not_injected(what: &str, why: impl std::fmt::Display) -> Error {
    Error::new(Kind::Inject, format!("{what} {why}"))
}

/// Has the engine lift a fault when its time is over.
fn lift_after(inner: &Arc<Inner>, injected: &Arc<Injected>, length: Duration) {
    let (inner, injected) = (Arc::downgrade(inner), Arc::clone(injected));
    engine::own().spawn(async move {
        let over = tokio::time::sleep(length);
        tokio::select! {
            () = over => {}
            _ = injected.until_lifted() => return,
        }
        if let Some(inner) = inner.upgrade() {
            let _ = lift(&inner, &injected, Lifting::Asked).await;
        }
    });
}

/// Why a fault is lifted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lifting {
    /// By name, by its own end, or by the rollback.
    Asked,
    /// Its guard was dropped.
    Dropped,
    /// Nobody ever had its guard.
    Cancelled,
}

/// Lifts a fault, once. When it was lifted, since the context started.
pub(super) async fn lift(
    inner: &Arc<Inner>,
    injected: &Injected,
    why: Lifting,
) -> Result<Duration, Error> {
    let _one = injected.lifting.lock().await;
    let already = injected.lifted.borrow().clone();
    if already.is_some() {
        return as_lifted(already);
    }
    let put_back = put_back(inner, injected).await;
    let at = inner.recorder.now();
    let (hits, counts) = injected.hits(inner);
    inner.recorder.record(Event::Lifted {
        entry: injected.entry,
        fault: injected.what.clone(),
        lasted_us: micros(at.saturating_sub(injected.injected_at())),
        hits,
        dropped: why == Lifting::Dropped,
        cancelled: why == Lifting::Cancelled,
        counts,
    });
    let lifted = match put_back {
        Ok(()) => Ok(at),
        Err(error) => Err(format!("{} could not be lifted: {error}", injected.what)),
    };
    injected.lifted.send_replace(Some(lifted.clone()));
    as_lifted(Some(lifted))
}

/// Whether a fault is still being applied that could not be given up.
pub(super) fn anything_is_stuck(inner: &Inner) -> bool {
    let injected = lock(&inner.injected);
    let mut faults = injected.values();
    faults.any(|fault| fault.stuck.load(Ordering::SeqCst))
}

/// Performs the undo, verifies it, and writes down how that went.
pub(super) async fn put_back(inner: &Arc<Inner>, injected: &Injected) -> Result<(), Error> {
    let entry = injected.entry;
    if injected.stuck.load(Ordering::SeqCst) {
        // Undone now, it would be done once more behind our back.
        let why = "it is still being applied and does not end; it is undone once this process has \
                   ended";
        inner.recorder.record(Event::UndoFailed {
            entry,
            what: injected.what.clone(),
            why: why.to_owned(),
            by_hand: injected.undo.by_hand(),
        });
        return Err(Error::new(Kind::Undo, why));
    }
    let step = undo::Step {
        undo: &injected.undo,
        entry,
        made: true,
    };
    let world = &inner.world;
    let done = match undo::perform(step, &world.state, Some(world)).await {
        Ok(()) => match verify(inner, injected).await {
            Ok(Effect::Active) => Err(Error::new(
                Kind::Undo,
                "its undo was performed, and it is still in effect",
            )),
            Ok(Effect::Absent(_) | Effect::Spent) => Ok(()),
            Err(error) => Err(error),
        },
        Err(error) => Err(error),
    };
    match &done {
        Ok(()) => inner.recorder.undone(entry),
        Err(error) => inner.recorder.record(Event::UndoFailed {
            entry,
            what: injected.what.clone(),
            why: error.to_string(),
            by_hand: injected.undo.by_hand(),
        }),
    }
    done
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
