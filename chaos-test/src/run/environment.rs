//! The environment of a context: read once, before anything is touched; every fault is held
//! against its policy, and ends with the time in which it is permitted.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use crate::decide::environment::{self, Asked, Environments, Given, Policy};
use crate::error::{Error, Kind};
use crate::model::environment::Environment;
use crate::model::event::{Event, Risk};
use crate::model::spec::TestSpec;
use crate::model::target::Target;
use crate::system::environment as outside;
use crate::system::{Ledger, lock::lock};

use super::inner::{Inner, Stop};
use super::requirements::{Demanded, ENVIRONMENT};
use super::{engine, stop};

/// How often it is asked whether faults that are in force still may be.
const PACE: Duration = Duration::from_millis(250);

/// The environment that a context is in, and what people have said for this run.
pub(super) struct Here {
    policy: Policy,
    given: Given,
    /// Who says that it is this environment.
    chosen_by: String,
    file: Option<PathBuf>,
    /// The zones of faults that are permitted and not yet injected.
    under_way: Mutex<BTreeMap<u64, BTreeSet<String>>>,
    next: AtomicU64,
    watched: AtomicBool,
}

impl Here {
    pub(super) fn environment(&self) -> &Environment {
        &self.policy.environment
    }

    /// With all that forbids a fault.
    fn forbids(&self, what: &str, missing: &[String]) -> Error {
        let name = self.environment().name();
        let missing: String = missing.iter().map(|one| format!("\n  - {one}")).collect();
        let help = match &self.file {
            Some(file) => format!("the rules of `{name}` are in {}", file.display()),
            None => format!(
                "there is no configuration: {} beside Cargo.lock says what may be broken in `{name}`",
                outside::PLACES[0]
            ),
        };
        let why = format!("the environment `{name}` forbids it:{missing}");
        refused(what, &why).help(format!(
            "{help}; this run is for it because of {}",
            self.chosen_by
        ))
    }
}

/// Reads the configuration and the variables, for a test of a package.
///
/// # Errors
///
/// If any of it makes no sense, or the environments that a test is for do not exist.
pub(super) fn read(manifest_dir: Option<&str>, meant: &[&str]) -> Result<Here, Error> {
    let wrong = |why: String| Error::new(Kind::Usage, why);
    let file = outside::file(manifest_dir).map_err(wrong)?;
    let environments = match &file {
        None => Environments::default(),
        Some(path) => {
            let text = outside::read(path).map_err(wrong)?;
            let parsed = environment::parse(&text, &path.to_string_lossy(), &outside::zone);
            parsed.map_err(|why| wrong(format!("the configuration makes no sense:\n{why}")))?
        }
    };
    let variable = |name| outside::variable(name).map_err(wrong);
    let chosen = variable(outside::ENVIRONMENT)?;
    let (policy, chosen_by) = environments.active(&chosen).map_err(wrong)?;
    environments.know(meant).map_err(wrong)?;
    let (confirm, attest) = (variable(outside::CONFIRM)?, variable(outside::ATTEST)?);
    let given = Given::parse(&confirm, &attest, &environments.names()).map_err(wrong)?;
    Ok(Here {
        policy,
        given,
        chosen_by,
        file,
        under_way: Mutex::default(),
        next: AtomicU64::new(0),
        watched: AtomicBool::new(false),
    })
}

/// What is read for a context without the macro.
///
/// # Errors
///
/// If any of it makes no sense.
pub(super) fn read_plain() -> Result<Here, Error> {
    read(None, &[])
}

/// The environment that tests of the package here would be in, for `cargo chaos doctor`.
///
/// # Errors
///
/// If that cannot be told.
#[cfg(feature = "cli")]
pub(super) fn found() -> Result<crate::model::survey::EnvironmentFound, String> {
    let here = read_plain().map_err(|error| error.to_string())?;
    Ok(crate::model::survey::EnvironmentFound {
        name: here.environment().name().to_owned(),
        chosen_by: here.chosen_by,
        file: here.file,
    })
}

/// A context is in an environment from now on.
pub(super) fn enter(inner: &Inner, here: Here) {
    // Nobody is told what everybody takes for granted.
    if here.file.is_some() || here.environment().name() != "development" {
        inner.recorder.record(Event::Environment {
            name: here.environment().name().to_owned(),
            chosen_by: here.chosen_by.clone(),
            file: here.file.clone(),
        });
    }
    // Entered once, by whoever opened it.
    let _ = inner.environment.set(here);
}

/// A test is in the environment of its run, unless it is for another one.
///
/// # Errors
///
/// If that cannot be told, or the test is to be skipped.
pub(super) fn enter_test(inner: &Inner, spec: &TestSpec) -> Result<(), Error> {
    Demanded::from_environment()?;
    let here = read(Some(spec.manifest_dir), spec.environments)?;
    let (name, chosen_by) = (here.environment().name().to_owned(), here.chosen_by.clone());
    enter(inner, here);
    if spec.environments.is_empty() || spec.environments.contains(&name.as_str()) {
        return Ok(());
    }
    let capability = Some(ENVIRONMENT.to_owned());
    Err(Error::new(
        Kind::Skip { capability },
        format!(
            "it is for {}, this run is for {name} ({chosen_by})",
            spec.environments.join(" or ")
        ),
    ))
}

/// A fault that is permitted counts as under way until this is dropped.
pub(super) struct UnderWay {
    inner: Arc<Inner>,
    number: u64,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        if let Some(here) = self.inner.environment.get() {
            lock(&here.under_way).remove(&self.number);
        }
    }
}

/// Holds a fault against the environment's policy. Nothing has been touched.
///
/// # Errors
///
/// If it is not permitted: with everything that forbids it.
pub(super) fn permit(
    inner: &Arc<Inner>,
    what: &str,
    targets: &[Target],
    risk: Risk,
    lasts: Option<Duration>,
) -> Result<UnderWay, Error> {
    let here = entered(inner, what)?;
    let made = inner.own_targets();
    let targets = &inner.world.as_they_are(targets);
    let permitted = {
        // One at a time, so that two that come together do not both count as the first.
        let mut under_way = lock(&here.under_way);
        let mut broken = here
            .policy
            .zones_of(&inner.world.as_they_are(&inner.broken_targets()));
        broken.extend(under_way.values().flatten().cloned());
        let asked = Asked {
            targets,
            made: &made,
            risk,
            length: lasts,
            broken: &broken,
            now: outside::now(),
        };
        here.policy.permit(asked, &here.given).map(|permit| {
            let number = here.next.fetch_add(1, Ordering::Relaxed);
            under_way.insert(number, here.policy.zones_of(targets));
            let inner = Arc::clone(inner);
            (permit, UnderWay { inner, number })
        })
    };
    let name = here.environment().name();
    let (permit, under_way) = permitted.map_err(|missing| here.forbids(what, &missing))?;
    if permit.says_something() {
        // Whoever confirmed it stands in the journal before anything is touched.
        inner.recorder.write(Event::Permitted {
            fault: what.to_owned(),
            environment: name.to_owned(),
            confirmed: permit.confirmed,
            attested: permit.attested,
            window: permit.window,
        })?;
    }
    if here.policy.has_calendar() && !here.watched.swap(true, Ordering::SeqCst) {
        watch(inner);
    }
    Ok(under_way)
}

/// Looks at the clock once more, just before a fault that was permitted is applied: what was
/// waited for in between may have taken longer than a window was open.
///
/// # Errors
///
/// If it is not permitted any more, or would not be over in time. Nothing has been touched.
pub(super) fn permit_still(
    inner: &Inner,
    what: &str,
    lasts: Option<Duration>,
) -> Result<(), Error> {
    let here = entered(inner, what)?;
    let in_time = here.policy.in_time(outside::now(), lasts);
    in_time
        .map(drop)
        .map_err(|closed| here.forbids(what, &closed))
}

/// The environment of a context, without which nothing is broken.
fn entered<'a>(inner: &'a Inner, what: &str) -> Result<&'a Here, Error> {
    let here = inner.environment.get();
    here.ok_or_else(|| refused(what, "nobody knows in which environment"))
}

fn refused(what: &str, why: &str) -> Error {
    let message = format!("{what} was refused, nothing was touched: {why}");
    Error::new(Kind::Refused, message)
}

/// Sees to it that nothing stays broken when it may not be any more.
fn watch(inner: &Arc<Inner>) {
    let keeps_watch = engine::own().spawn(keep_watch(Arc::downgrade(inner)));
    let inner = Arc::downgrade(inner);
    engine::own().spawn(async move {
        // Nobody watches any more: that must not be green.
        if let (Err(panic), Some(inner)) = (keeps_watch.await, inner.upgrade()) {
            inner.recorder.record(Event::HarnessFailed {
                why: format!("watching the windows of the environment: {panic}"),
            });
        }
    });
}

async fn keep_watch(inner: Weak<Inner>) {
    loop {
        tokio::time::sleep(PACE).await;
        let Some(inner) = inner.upgrade() else { return };
        if inner.refuse_if_ended().is_err() {
            return;
        }
        let Some(here) = inner.environment.get() else {
            return;
        };
        if inner.broken_targets().is_empty() {
            continue;
        }
        if let Some(why) = here.policy.closed(outside::now()) {
            let name = here.environment().name();
            let why = format!("nothing may be broken any more in the environment `{name}`: {why}");
            stop::end_at_once(&inner, Stop::Aborted(why));
            return;
        }
    }
}
