//! A test's turn among all chaos tests of this user on this machine, and the leases that it
//! holds meanwhile on targets that tests share.
//!
//! Everything is asked for in one order, in all tests: the turn first, then leases by their
//! names, then those on what was there before the test, then places for containers. No test waits
//! without end for what comes before something that it holds, so none waits in a circle for ever.

mod waiting;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use crate::decide::turns;
use crate::error::{Error, Kind};
use crate::model::event::Event;
use crate::model::spec::TestSpec;
use crate::system::Ledger;
use crate::system::lease::{Claim, Lock, Side};
use crate::system::lock::lock;

use super::engine;
use super::fixtures::holds;
use super::inner::Inner;
use super::sweep::{self, looking};
use waiting::{PAUSE, Patience, Refusal, Wanted};

/// How long somebody may take who already undoes what a killed holder left.
const UNDOING_LIMIT: Duration = Duration::from_secs(120);
/// The turn of a context that is not exclusive.
const BESIDE_OTHERS: Wanted = Wanted {
    lock: Lock::Machine,
    side: Side::Shared,
};

/// How many turns this process has beside others.
static TURNS_BESIDE_OTHERS: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// The turn of the test whose body runs on this thread.
    static TURN: RefCell<Weak<Turn>> = const { RefCell::new(Weak::new()) };
}

/// The turn of one test, and of all contexts that its body opens.
#[derive(Debug)]
pub(super) struct Turn {
    side: Side,
    /// The leases of all its contexts. One whose contexts have ended is free.
    leases: Mutex<BTreeMap<String, Weak<Claim>>>,
    /// Held while a lease is asked for: each one is judged by all that are held then.
    asking: tokio::sync::Mutex<()>,
    waits: Mutex<Waits>,
    /// Whether it has a place for a container; locked while it waits for its first one.
    #[cfg(feature = "containers")]
    pub(super) has_container_place: tokio::sync::Mutex<bool>,
    _place: Claim,
}

/// How long the contexts of a turn have waited for leases.
#[derive(Debug, Default)]
struct Waits {
    over: Duration,
    since: Option<Instant>,
}

/// A wait that goes on as long as this lives.
struct Wait<'a>(&'a Turn);

impl<'a> Wait<'a> {
    fn begin(turn: &'a Turn) -> Self {
        lock(&turn.waits).since = Some(Instant::now());
        Self(turn)
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        let mut waits = lock(&self.0.waits);
        if let Some(since) = waits.since.take() {
            waits.over += since.elapsed();
        }
    }
}

impl Turn {
    fn new(side: Side, place: Claim) -> Self {
        if side == Side::Shared {
            TURNS_BESIDE_OTHERS.fetch_add(1, Ordering::SeqCst);
        }
        Self {
            side,
            leases: Mutex::default(),
            asking: tokio::sync::Mutex::default(),
            waits: Mutex::default(),
            #[cfg(feature = "containers")]
            has_container_place: tokio::sync::Mutex::default(),
            _place: place,
        }
    }

    /// The leases that are held now, by name.
    fn held(&self) -> BTreeMap<String, Arc<Claim>> {
        let mut leases = lock(&self.leases);
        leases.retain(|_, claim| claim.strong_count() > 0);
        let held = leases.iter();
        held.filter_map(|(name, claim)| Some((name.clone(), claim.upgrade()?)))
            .collect()
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if self.side == Side::Shared {
            TURNS_BESIDE_OTHERS.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

/// What one context holds, from before its set-up until everything is put back.
#[derive(Debug, Default)]
pub(super) struct Leases(Mutex<Held>);

#[derive(Debug, Default)]
struct Held {
    // Let go before the turn: whoever is alone finds all of them free.
    leases: Vec<Arc<Claim>>,
    turn: Option<Arc<Turn>>,
    over: bool,
}

impl Leases {
    /// The turn that it belongs to, once it has one.
    pub(super) fn turn(&self) -> Option<Arc<Turn>> {
        lock(&self.0).turn.clone()
    }

    pub(super) fn has_turn(&self) -> bool {
        self.turn().is_some()
    }

    /// The names of all leases that the test holds.
    pub(super) fn names(&self) -> Vec<String> {
        let held = self.turn().map(|turn| turn.held());
        held.unwrap_or_default().into_keys().collect()
    }

    /// How long the test has waited for leases in all, until now.
    pub(super) fn waited(&self) -> Duration {
        let Some(turn) = self.turn() else {
            return Duration::ZERO;
        };
        let waits = lock(&turn.waits);
        let now = waits.since.map(|since| since.elapsed());
        waits.over + now.unwrap_or_default()
    }

    /// Lets go of everything, for good: what comes late is let go at once. Where not all was
    /// put back, the next holders try that first.
    pub(super) fn give_back(&self, restored: bool) {
        let mut held = lock(&self.0);
        held.over = true;
        if !restored {
            for claim in held.leases.iter().filter(|claim| claim.is_alone()) {
                claim.mark_broken(true);
            }
        }
        held.leases.clear();
        held.turn = None;
    }

    fn begin(&self, turn: Arc<Turn>) {
        let mut held = lock(&self.0);
        if !held.over {
            held.turn = Some(turn);
        }
    }

    pub(super) fn keep(&self, claim: Arc<Claim>) {
        let mut held = lock(&self.0);
        if !held.over {
            held.leases.push(claim);
        }
    }
}

/// Has contexts that this thread opens belong to a test whose body runs on it.
pub(super) fn belong_to(inner: &Inner) {
    let turn = inner.leases.turn();
    TURN.set(turn.as_ref().map(Arc::downgrade).unwrap_or_default());
}

/// The turn of the test whose body runs on this thread, as long as that has not ended.
pub(super) fn turn_of_this_thread() -> Option<Arc<Turn>> {
    TURN.with_borrow(Weak::upgrade)
}

/// Waits for the turn of a `#[chaos_test]`, and for the leases that it names.
///
/// # Errors
///
/// If the state directory cannot be used, or the context ends.
pub(super) fn take_all(inner: &Arc<Inner>, spec: &'static TestSpec) -> Result<(), Error> {
    let side = if spec.exclusive {
        Side::Alone
    } else {
        Side::Shared
    };
    let outer = turn_of_this_thread();
    engine::own().block_on(async {
        take_turn(inner, side, outer).await?;
        for name in turns::in_order(spec.leases.iter().copied()) {
            take_lease(Arc::clone(inner), name.to_owned()).await?;
        }
        Ok(())
    })
}

/// Takes the turn of a context without the macro, where nobody is in the way: most have theirs
/// without the engine. What goes wrong is for [`take_turn`] to say.
pub(super) fn take_turn_at_once(inner: &Inner, outer: Option<Arc<Turn>>) {
    let turn = outer.or_else(|| {
        let place = BESIDE_OTHERS.take_at_once(inner)?;
        Some(Arc::new(Turn::new(Side::Shared, place)))
    });
    if let Some(turn) = turn {
        inner.leases.begin(turn);
    }
}

/// Waits for the turn of a context. One that the body of a test opens has the test's.
pub(super) async fn take_turn(
    inner: &Arc<Inner>,
    side: Side,
    outer: Option<Arc<Turn>>,
) -> Result<(), Error> {
    let turn = match outer {
        Some(turn) if side == Side::Shared || turn.side == Side::Alone => turn,
        Some(_) => {
            return Err(Error::new(
                Kind::Usage,
                "an exclusive test cannot begin within another test, which it would wait for",
            )
            .help("call what both tests do, not the test; or make the outer one `exclusive`"));
        }
        None => {
            let machine = Wanted {
                lock: Lock::Machine,
                side,
            };
            let place = machine.wait(inner, || None).await?;
            if side == Side::Alone {
                // What killed tests left running would disturb it.
                let nothing_left = tokio::select! {
                    nothing_left = undo_what_is_left(inner) => nothing_left,
                    ended = inner.until_ended() => return Err(ended),
                };
                if !nothing_left {
                    inner.recorder.record(Event::Note {
                        text: "what killed tests left could not all be put back, and may disturb \
                               this one"
                            .to_owned(),
                    });
                }
            }
            Arc::new(Turn::new(side, place))
        }
    };
    inner.leases.begin(turn);
    inner.refuse_if_ended()
}

/// Holds a lease until the context ends.
pub(super) async fn take_lease(inner: Arc<Inner>, name: String) -> Result<(), Error> {
    take(inner, name, None).await
}

/// Holds what was there before the test until the context ends. When a test comes to this it may
/// hold anything, and its author did not choose the name: so it waits against the order, too, as
/// long as no circle is likely.
pub(super) async fn take_existing(
    inner: Arc<Inner>,
    name: String,
    service: &str,
) -> Result<(), Error> {
    take(inner, name, Some(service)).await
}

async fn take(inner: Arc<Inner>, name: String, existing: Option<&str>) -> Result<(), Error> {
    let _call = inner.enter().await?;
    turns::check_name(&name).map_err(|why| Error::new(Kind::Usage, why))?;
    if let Some(shared) = inner.shared() {
        // It would be held until this process ends, and its own tests would wait for that.
        return Err(Error::new(
            Kind::Usage,
            format!(
                "fixture `{}` is shared by tests and cannot hold the lease `{name}`",
                shared.name()
            ),
        )
        .help("have each test hold it, with `leases(..)`; what was there before the tests belongs into a fixture with the scope \"test\""));
    }
    let Some(turn) = inner.leases.turn() else {
        return Err(Error::new(Kind::Ended, "the context's turn is over"));
    };
    // Not behind a call that still waits for another one.
    if let Some(claim) = turn.held().remove(&name) {
        inner.leases.keep(claim);
        return Ok(());
    }
    let _asking = tokio::select! {
        asking = turn.asking.lock() => asking,
        ended = inner.until_ended() => return Err(ended),
    };
    let mut held = turn.held();
    if let Some(claim) = held.remove(&name) {
        inner.leases.keep(claim);
        return Ok(());
    }
    let wanted = Wanted {
        lock: Lock::Lease(name.clone()),
        side: Side::Alone,
    };
    let refusal = || {
        let mut refusal = why_not_to_wait(&inner, &turn, held.keys().map(String::as_str), &name)?;
        if let Some(service) = existing {
            refusal.help = format!(
                "tests that take the same things in another order wait for each other: name one \
                 lease for them in each of these tests, such as `#[chaos_test(leases({service:?}))]`, \
                 which is waited for before the set-up; or make this one `exclusive`"
            );
            refusal.patience = Patience::Limited {
                wanted_by: waiting::who_waits(
                    &inner,
                    &wanted.lock,
                    held.keys(),
                    holds_a_container(&turn),
                ),
            };
        }
        Some(refusal)
    };
    let _wait = Wait::begin(&turn);
    let claim = Arc::new(wanted.wait(&inner, refusal).await?);
    if claim.was_left() {
        let nothing_left = tokio::select! {
            nothing_left = undo_what_is_left(&inner) => nothing_left,
            // Nobody has seen to it yet, and its file goes on saying so.
            ended = inner.until_ended() => return Err(ended),
        };
        claim.mark_broken(!nothing_left);
    }
    lock(&turn.leases).insert(name, Arc::downgrade(&claim));
    inner.leases.keep(claim);
    Ok(())
}

/// Takes a fixture that a run shares: beside others, or alone. `waits`:
/// whether it may wait for that; else it only tries.
pub(super) async fn take_fixture(
    inner: &Arc<Inner>,
    lock: Lock,
    side: Side,
    waits: bool,
) -> Result<Claim, Error> {
    let wanted = Wanted { lock, side };
    let refusal = || {
        (!waits).then(|| Refusal {
            patience: Patience::None,
            because: "something already that others may wait for".to_owned(),
            help: "name the fixture as a parameter: then it is waited for before the set-up"
                .to_owned(),
        })
    };
    let claim = wanted.wait(inner, refusal).await?;
    if claim.was_left() {
        let nothing_left = tokio::select! {
            nothing_left = undo_what_is_left(inner) => nothing_left,
            ended = inner.until_ended() => return Err(ended),
        };
        claim.mark_broken(!nothing_left && side == Side::Alone);
    }
    Ok(claim)
}

/// Why a turn may not wait for a lease: because it holds what all tests ask for later.
fn why_not_to_wait<'a>(
    inner: &Inner,
    turn: &Turn,
    held: impl Iterator<Item = &'a str>,
    name: &str,
) -> Option<Refusal> {
    let in_the_way = turns::in_the_way(held, name);
    if !in_the_way.is_empty() {
        let mut names = in_the_way.clone();
        names.push(name);
        return Some(Refusal {
            patience: Patience::None,
            because: quoted(&in_the_way),
            help: format!(
                "name all of them in `#[chaos_test(leases({}))]`, or ask for `{name}` before {}: \
                 leases are waited for in alphabetical order",
                turns::in_order(names)
                    .iter()
                    .map(|name| format!("{name:?}"))
                    .collect::<Vec<_>>()
                    .join(", "),
                quoted(&in_the_way),
            ),
        });
    }
    if let Some(fixtures) = holds::in_words_of(inner) {
        return Some(Refusal {
            patience: Patience::None,
            because: fixtures,
            help: format!(
                "name it in `#[chaos_test(leases({name:?}))]`: leases are waited for before the \
                 fixtures that tests share"
            ),
        });
    }
    holds_a_container(turn).then(|| Refusal {
        patience: Patience::None,
        because: "a place for a container".to_owned(),
        help: format!(
            "name it in `#[chaos_test(leases({name:?}))]`, or ask for it before the first container"
        ),
    })
}

#[cfg(feature = "containers")]
pub(super) fn holds_a_container(turn: &Turn) -> bool {
    // Locked means that it waits for its first one.
    let has_place = turn.has_container_place.try_lock();
    has_place.is_ok_and(|has_place| *has_place)
}

#[cfg(not(feature = "containers"))]
pub(super) fn holds_a_container(_: &Turn) -> bool {
    false
}

fn quoted(names: &[&str]) -> String {
    let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    names.join(", ")
}

/// A killed holder has put nothing back: what it broke is undone before somebody else relies
/// on it, here or by whoever is at it already. Whether nothing of it is left.
pub(super) async fn undo_what_is_left(inner: &Inner) -> bool {
    let state = inner.world.state.clone();
    let until = Instant::now() + UNDOING_LIMIT;
    loop {
        // A sweep leaves to others what they have begun.
        while looking::somebody_sweeps(&state.journals()) {
            if Instant::now() >= until {
                return false;
            }
            tokio::time::sleep(PAUSE).await;
        }
        let state_of_sweep = state.clone();
        // It blocks its thread, which must be none of the engine's workers. What it cannot undo
        // it says, and later runs try again.
        let swept = engine::own().spawn_blocking(move || sweep::sweep(&state_of_sweep));
        let nothing_left = swept.await.unwrap_or(false);
        // Somebody may have begun in between.
        if !looking::somebody_sweeps(&state.journals()) {
            return nothing_left;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::lease::Holder;

    #[test]
    fn what_comes_after_the_end_is_not_kept() {
        let folder = tempfile::tempdir().unwrap();
        let holder = Holder {
            test: "late".to_owned(),
            binary: String::new(),
            process: crate::system::identity::own().unwrap(),
            journal: String::new(),
            since_ms: 0,
        };
        let lock = Lock::Lease("db".to_owned());
        let mut claim = Claim::new(folder.path(), &lock, Side::Alone, holder).unwrap();
        assert!(claim.try_take(false).unwrap());
        let leases = Leases::default();
        leases.give_back(true);
        leases.keep(Arc::new(claim));
        assert_eq!(crate::system::lease::holder(folder.path(), &lock), None);
    }
}
