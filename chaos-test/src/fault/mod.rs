//! Faults: one file each, behind one trait that users implement, too.
//!
//! A fault knows how to break one thing, how to see that it is broken, and how it is put
//! back. It never decides whether it may, and it never cleans up by itself.

mod catalogue;
#[cfg(feature = "containers")]
pub mod container;
pub mod link;
pub mod process;

use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use crate::error::Error;
use crate::model::event::Risk;
use crate::model::target::Target;
use crate::model::undo::Undo;
use crate::system::{ReadOnlySystem, System};

pub use catalogue::{CATALOGUE, Entry};

/// How long a fault may take to be applied, unless it says otherwise.
pub(crate) const APPLY_LIMIT: Duration = Duration::from_secs(60);

/// Whether a fault is in effect.
///
/// ```
/// use chaos_test::Effect;
///
/// /// What `verify` of a fault says that empties a file.
/// fn emptied(length: u64) -> Effect {
///     match length {
///         0 => Effect::Active,
///         more => Effect::Absent(format!("it holds {more} bytes")),
///     }
/// }
/// assert_eq!(emptied(0), Effect::Active);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// It is in effect.
    Active,
    /// It has done what it does, and there is nothing that could end: a restart.
    Spent,
    /// It is not in effect, and what was seen instead.
    Absent(String),
}

/// Something that breaks, and how it is put back.
///
/// The harness calls its methods in this order, always: [`targets`](Self::targets) for the
/// blast radius, [`prepare`](Self::prepare), then it writes the undo to disk,
/// [`apply`](Self::apply), [`verify`](Self::verify). When the fault is lifted it performs
/// the undo and calls `verify` once more. All of them run on threads of the harness.
///
/// ```
/// use std::path::PathBuf;
/// use chaos_test::{Effect, Error, Fault, ReadOnlySystem, System, Target, Undo};
///
/// /// Empties a configuration file.
/// #[derive(Debug)]
/// struct EmptyFile(PathBuf);
///
/// impl Fault for EmptyFile {
///     fn describe(&self) -> String {
///         format!("empty {}", self.0.display())
///     }
///
///     fn targets(&self) -> Vec<Target> {
///         vec![Target::File(self.0.clone())]
///     }
///
///     async fn prepare(&self, system: &ReadOnlySystem) -> Result<Undo, Error> {
///         system.undo_restoring(&self.0)
///     }
///
///     async fn apply(&self, _: &System) -> Result<(), Error> {
///         std::fs::write(&self.0, "").map_err(|error| Error::msg(error.to_string()))
///     }
///
///     async fn verify(&self, _: &ReadOnlySystem) -> Result<Effect, Error> {
///         match std::fs::metadata(&self.0) {
///             Ok(file) if file.len() == 0 => Ok(Effect::Active),
///             Ok(file) => Ok(Effect::Absent(format!("it holds {} bytes", file.len()))),
///             Err(error) => Ok(Effect::Absent(error.to_string())),
///         }
///     }
/// }
/// ```
pub trait Fault: Debug + Send + Sync + 'static {
    /// What it does, in words, for messages and reports: `kill cache`.
    fn describe(&self) -> String {
        format!("{self:?}")
    }

    /// Everything that it will touch. Pure: it is called before anything else, to hold the
    /// fault against the blast radius.
    fn targets(&self) -> Vec<Target>;

    /// How much damage it can do when it goes wrong; medium by default.
    ///
    /// See [`share`](Self::share) for an example.
    fn risk(&self) -> Risk {
        Risk::Medium
    }

    /// What of its targets it breaks itself, for `blast_radius(instances <= 1)`: processes,
    /// containers, whatever else it names. By default all of them that are no links: a fault on
    /// links leaves the service behind them whole. Pure, as `targets` is.
    fn instances(&self) -> Vec<Target> {
        let is_link = |target: &Target| matches!(target, Target::Link { .. });
        let targets = self.targets().into_iter();
        targets.filter(|target| !is_link(target)).collect()
    }

    /// The share of the connections to its targets that it may hit, from 0 to 1, for
    /// `blast_radius(connections <= 10%)`; all of them by default. Pure, as `targets` is.
    ///
    /// ```
    /// use chaos_test::{Direction, Effect, Error, Fault, ReadOnlySystem, Risk, System, Target, Toxic, Undo, percent};
    ///
    /// /// Cuts a tenth of the connections to the cache.
    /// #[derive(Debug)]
    /// struct LooseCable;
    ///
    /// impl Fault for LooseCable {
    ///     fn share(&self) -> f64 {
    ///         0.1
    ///     }
    ///     fn risk(&self) -> Risk {
    ///         Risk::Low // toxics end with the test's process
    ///     }
    ///     async fn apply(&self, system: &System) -> Result<(), Error> {
    ///         let cache = Target::Service("cache".to_owned());
    ///         system.add_toxic_to_share(&cache, Toxic::Down, Direction::Both, percent(10)).await
    ///     }
    ///     fn hits(&self, system: &ReadOnlySystem) -> Option<u64> {
    ///         system.toxic_hits().map(|hits| hits.refused + hits.reset)
    ///     }
    ///     async fn verify(&self, system: &ReadOnlySystem) -> Result<Effect, Error> {
    ///         Ok(match system.toxics_in_force() {
    ///             Some(true) => Effect::Active,
    ///             _ => Effect::Absent("connections pass".to_owned()),
    ///         })
    ///     }
    /// #   fn targets(&self) -> Vec<Target> {
    /// #       vec![Target::Service("cache".to_owned())]
    /// #   }
    /// #   async fn prepare(&self, _: &ReadOnlySystem) -> Result<Undo, Error> {
    /// #       Ok(Undo::ClearLinks { target: "cache".to_owned() })
    /// #   }
    /// }
    /// ```
    fn share(&self) -> f64 {
        1.0
    }

    /// Looks, changes nothing, and returns how things are put back.
    ///
    /// # Errors
    ///
    /// If the fault cannot be injected as things are. Nothing was touched.
    fn prepare(&self, system: &ReadOnlySystem) -> impl Future<Output = Result<Undo, Error>> + Send;

    /// Breaks it. It may fail half-way: then the undo is performed, which must cope.
    ///
    /// # Errors
    ///
    /// If it could not be done, or not wholly.
    fn apply(&self, system: &System) -> impl Future<Output = Result<(), Error>> + Send;

    /// How long [`apply`](Self::apply) may take, 60 s by default, besides the grace periods
    /// of the services that it targets: after that it counts as failed and the undo is
    /// performed. A fault that waits on purpose needs longer.
    fn apply_limit(&self) -> Duration {
        APPLY_LIMIT
    }

    /// Whether it is in effect: asked after it was applied, and again after it was undone.
    ///
    /// # Errors
    ///
    /// If that cannot be told; it counts as a failure.
    fn verify(&self, system: &ReadOnlySystem)
    -> impl Future<Output = Result<Effect, Error>> + Send;

    /// How often something met the fault so far, if it counts that itself. Where it does
    /// not, the harness counts samples of monitors and connections to its targets. A fault
    /// that nothing met fails the test.
    ///
    /// See [`share`](Self::share) for an example.
    fn hits(&self, system: &ReadOnlySystem) -> Option<u64> {
        let _ = system;
        None
    }

    /// After which time it ends by itself; see [`lasting`](Self::lasting).
    fn duration(&self) -> Option<Duration> {
        None
    }

    /// When it has ended by itself at the latest, if it does: what
    /// `blast_radius(duration <= 30s)` is held against. The [`duration`](Self::duration) by
    /// default; another one for a fault that is over once it is applied.
    fn ends_within(&self) -> Option<Duration> {
        self.duration()
    }

    /// Whether it is one of the library's own, which never block the thread they run on: the
    /// engine then runs them itself, without handing them to another thread.
    #[doc(hidden)]
    fn is_ours(&self) -> bool {
        false
    }

    /// The same fault, but it ends by itself after this time, even while the test's body
    /// is busy. It still ends earlier where its guard is dropped.
    ///
    /// See [`Lasting`] for an example.
    fn lasting(self, length: Duration) -> Lasting<Self>
    where
        Self: Sized,
    {
        Lasting {
            fault: self,
            length,
        }
    }
}

/// A fault that ends by itself; made by [`Fault::lasting`].
///
/// ```no_run
/// # async fn body(chaos: &chaos_test::ChaosContext, cache: &chaos_test::Service) -> chaos_test::Result {
/// use chaos_test::prelude::*;
/// use chaos_test::link;
/// let slow = link::latency(cache, ms(200)).lasting(secs(5));
/// chaos.inject(slow).await?.ended().await?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct Lasting<F> {
    fault: F,
    length: Duration,
}

impl<F> Lasting<F> {
    /// With something else said of the fault itself.
    fn with(self, change: impl FnOnce(F) -> F) -> Self {
        Self {
            fault: change(self.fault),
            ..self
        }
    }
}

impl<F: Fault> Fault for Lasting<F> {
    fn describe(&self) -> String {
        self.fault.describe()
    }

    fn targets(&self) -> Vec<Target> {
        self.fault.targets()
    }

    fn risk(&self) -> Risk {
        self.fault.risk()
    }

    fn instances(&self) -> Vec<Target> {
        self.fault.instances()
    }

    fn share(&self) -> f64 {
        self.fault.share()
    }

    async fn prepare(&self, system: &ReadOnlySystem) -> Result<Undo, Error> {
        self.fault.prepare(system).await
    }

    async fn apply(&self, system: &System) -> Result<(), Error> {
        self.fault.apply(system).await
    }

    fn apply_limit(&self) -> Duration {
        self.fault.apply_limit()
    }

    async fn verify(&self, system: &ReadOnlySystem) -> Result<Effect, Error> {
        self.fault.verify(system).await
    }

    fn hits(&self, system: &ReadOnlySystem) -> Option<u64> {
        self.fault.hits(system)
    }

    fn duration(&self) -> Option<Duration> {
        Some(self.length)
    }

    fn ends_within(&self) -> Option<Duration> {
        match self.fault.duration() {
            Some(_) => Some(self.length),
            // One that is over once it is applied is not over sooner for this.
            None => self.fault.ends_within().or(Some(self.length)),
        }
    }

    fn is_ours(&self) -> bool {
        self.fault.is_ours()
    }
}

type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send + 'a>>;

/// The boxed twin of [`Fault`], for lists of different ones.
pub(crate) trait ErasedFault: Debug + Send + Sync {
    fn describe(&self) -> String;
    fn targets(&self) -> Vec<Target>;
    fn risk(&self) -> Risk;
    fn instances(&self) -> Vec<Target>;
    fn share(&self) -> f64;
    fn prepare<'a>(&'a self, system: &'a ReadOnlySystem) -> Answer<'a, Undo>;
    fn apply<'a>(&'a self, system: &'a System) -> Answer<'a, ()>;
    fn apply_limit(&self) -> Duration;
    fn verify<'a>(&'a self, system: &'a ReadOnlySystem) -> Answer<'a, Effect>;
    fn hits(&self, system: &ReadOnlySystem) -> Option<u64>;
    fn duration(&self) -> Option<Duration>;
    fn ends_within(&self) -> Option<Duration>;
    fn is_ours(&self) -> bool;
}

impl<F: Fault> ErasedFault for F {
    fn describe(&self) -> String {
        Fault::describe(self)
    }

    fn targets(&self) -> Vec<Target> {
        Fault::targets(self)
    }

    fn risk(&self) -> Risk {
        Fault::risk(self)
    }

    fn instances(&self) -> Vec<Target> {
        Fault::instances(self)
    }

    fn share(&self) -> f64 {
        Fault::share(self)
    }

    fn prepare<'a>(&'a self, system: &'a ReadOnlySystem) -> Answer<'a, Undo> {
        Box::pin(Fault::prepare(self, system))
    }

    fn apply<'a>(&'a self, system: &'a System) -> Answer<'a, ()> {
        Box::pin(Fault::apply(self, system))
    }

    fn apply_limit(&self) -> Duration {
        Fault::apply_limit(self)
    }

    fn verify<'a>(&'a self, system: &'a ReadOnlySystem) -> Answer<'a, Effect> {
        Box::pin(Fault::verify(self, system))
    }

    fn hits(&self, system: &ReadOnlySystem) -> Option<u64> {
        Fault::hits(self, system)
    }

    fn duration(&self) -> Option<Duration> {
        Fault::duration(self)
    }

    fn ends_within(&self) -> Option<Duration> {
        Fault::ends_within(self)
    }

    fn is_ours(&self) -> bool {
        Fault::is_ours(self)
    }
}
