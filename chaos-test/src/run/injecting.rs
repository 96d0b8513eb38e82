//! Injecting one fault: limits, pre-flight, prepare, undo on disk, apply, verify.

pub(super) mod calling;
pub(super) mod injected;
pub(super) mod lifting;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::decide::radius::Reach;
use crate::error::{Error, Kind};
use crate::fault::{Effect, ErasedFault};
use crate::model::event::{Event, Risk};
use crate::model::target::Target;
use crate::model::undo::Undo;
use crate::system::lock::lock;
use crate::system::{Ledger, System};

use super::dry;
use super::fixtures::shared;
use super::guard::Injection;
use super::inner::Inner;
use super::preflight::{self, LookedAt};
use super::radius::Place;

use calling::{Call, VERIFY_LIMIT, call, guarded, read_only};
use injected::Injected;
use lifting::{Lifting, lift_after, put_back};

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
    let risk = inner.world.risk_of(&targets, risk);
    within_limits(inner, &targets, what)?;
    let reach = reach(fault, what, &targets, risk)?;
    let ends_within = reach.ends_within;
    // The later of both: what it says of itself, and what somebody made of it.
    #[cfg(feature = "environments")]
    let lasts = length.max(ends_within);
    #[cfg(feature = "environments")]
    let _under_way = super::environment::permit(inner, what, &targets, risk, lasts)?;
    inner.taken.check(&reach)?;
    let entry = inner.recorder.next_entry();
    let (place, looked_at) = take_place(inner, reach).await?;
    let injected = known(inner, fault, what, entry, targets, place, looked_at).await?;
    let undo = injected.undo.clone();
    // It was permitted before all that was waited for.
    #[cfg(feature = "environments")]
    if let Err(error) = super::environment::permit_still(inner, what, lasts) {
        inner.forget(entry);
        return Err(error);
    }
    if inner.identity.dry_run {
        dry::would_inject(inner, &injected, risk, length, ends_within);
        if let Some(length) = length {
            lift_after(inner, &injected, length, Lifting::Asked);
        }
        return Ok(injected);
    }
    if let Err(error) = inner.recorder.plan_entry(entry, what, undo.clone(), true) {
        inner.forget(entry);
        return Err(error);
    }
    inner.world.keep_for(&undo);
    match apply_and_verify(inner, &injected).await {
        Ok(spent) => {
            injected.spent.store(spent, Ordering::Relaxed);
            if spent {
                injected.leave_place();
            }
        }
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
    let spent = injected.spent.load(Ordering::Relaxed);
    let longest = inner.taken.longest().filter(|_| !spent);
    match (length, longest) {
        // It promises no end in time, so the engine sees to one.
        (length, Some(longest)) if length.is_none_or(|length| length > longest) => {
            lift_after(inner, &injected, longest, Lifting::OutOfTime(longest));
        }
        (Some(length), _) => lift_after(inner, &injected, length, Lifting::Asked),
        (None, _) => {}
    }
    Ok(injected)
}

/// Prepares a fault, and makes it known before it is applied, so that samples can meet it from its
/// first moment. It is prepared when all that it waits for is over: an undo puts back what was
/// there when the fault was applied, not what was there before.
async fn known(
    inner: &Arc<Inner>,
    fault: &Arc<dyn ErasedFault>,
    what: &str,
    entry: u64,
    targets: Vec<Target>,
    place: Place,
    looked_at: Option<LookedAt>,
) -> Result<Arc<Injected>, Error> {
    let (mut place, mut looked_at) = (Some(place), looked_at);
    loop {
        let undo = prepare(inner, fault, what, entry, &targets).await;
        if let Some(looked_at) = looked_at.take() {
            looked_at.and_the_undo(inner, what, &undo);
        }
        let undo = undo?;
        // From the present on, not from before a wait for the steady state.
        let used_before = inner.world.link_use(&targets).unwrap_or_default();
        let (fault, targets) = (Arc::clone(fault), targets.clone());
        let injected = Arc::new(Injected::new(
            entry,
            what,
            undo,
            fault,
            targets,
            used_before,
        ));
        if let Some(place) = place.take() {
            injected.take(place);
        }
        let Err(other) = inner.know(&injected) else {
            return Ok(injected);
        };
        other.until_settled().await;
        if *other.handed_out.borrow() && other.lifted.borrow().is_none() {
            return Err(refused_beside(&injected, &other));
        }
        place = injected.take_back();
    }
}

/// Has a fault say how it is put back, as things are now.
async fn prepare(
    inner: &Arc<Inner>,
    fault: &Arc<dyn ErasedFault>,
    what: &str,
    entry: u64,
    targets: &[Target],
) -> Result<Undo, Error> {
    let system = read_only(inner, entry, targets);
    let prepared = call(fault, "prepare", VERIFY_LIMIT, Some(inner), move |fault| {
        Box::pin(async move { fault.prepare(&system).await })
    });
    let undo = prepared
        .await
        .answer()
        .map_err(|error| not_injected(what, "could not be prepared").because(error))?;
    crate::system::undo::prepared(undo)
        .map_err(|error| not_injected(what, "was not injected").because(error))
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
    if let Some(why) = shared::why_not_alone(inner, targets) {
        // It says more than that the test has not made it.
        return Err(Error::new(
            Kind::Refused,
            format!("{what} was refused, nothing was touched"),
        )
        .because(why));
    }
    let radius = lock(&inner.radius);
    radius.check(targets, &inner.own_targets()).map_err(|why| {
        Error::new(
            Kind::Refused,
            format!("{what} was refused, nothing was touched: {why}"),
        )
        .help("name what the test may break in `breaks(..)`, or with `chaos.may_break(..)`")
    })
}

/// What a fault takes of the blast radius, asked of what a user may have written.
fn reach(
    fault: &Arc<dyn ErasedFault>,
    what: &str,
    targets: &[Target],
    risk: Risk,
) -> Result<Reach, Error> {
    let (instances, share, ends_within) = guarded("instances, share or ends_within", || {
        (fault.instances(), fault.share(), fault.ends_within())
    })?;
    if !(0.0..=1.0).contains(&share) {
        return Err(not_injected(
            what,
            format!("says that it hits a share of {share}, which is no number from 0 to 1"),
        ));
    }
    Ok(Reach {
        what: what.to_owned(),
        targets: targets.to_vec(),
        instances,
        share,
        risk,
        ends_within,
    })
}

/// Takes a fault's place in the blast radius. The first one has a pre-flight, and others wait for
/// its end.
async fn take_place(inner: &Inner, reach: Reach) -> Result<(Place, Option<LookedAt>), Error> {
    let _first = inner.taken.first.lock().await;
    let (what, targets) = (reach.what.clone(), reach.targets.clone());
    let (place, first) = inner.taken.take(reach)?;
    let looked_at = match first {
        true => Some(preflight::check(inner, &what, &targets).await?),
        false => None,
    };
    Ok((place, looked_at))
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
    match injected.verify(inner).await {
        Ok(Effect::Active) => Ok(false),
        Ok(Effect::Spent) => Ok(true),
        Ok(Effect::Absent(why)) => Err(not_injected(
            what,
            format!("was applied and is not in effect: {why}"),
        )),
        Err(error) => Err(not_injected(what, "could not be verified").because(error)),
    }
}

fn not_injected(what: &str, why: impl std::fmt::Display) -> Error {
    Error::new(Kind::Inject, format!("{what} {why}"))
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
