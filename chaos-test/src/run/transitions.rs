//! Watching what a system under test shows of its state, and judging through which states it goes.

mod observed;

use std::fmt::Display;
use std::future::{Future, IntoFuture};
use std::panic::Location;
use std::pin::Pin;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::AbortHandle;

use crate::decide::transitions::{Entry, Expected, History, Sight};
use crate::error::{Error, Kind};
use crate::model::event::{Event, Met};
use crate::system::Ledger;
use crate::system::lock::lock;
use crate::system::proxy::sleep_until;
use crate::system::service::log::Lines;

use super::dry;
use super::engine;
use super::inner::Inner;
use super::judging::{conclude, record, unjudged};
use super::moment::Moment;
use super::monitor::{Monitor, Watcher};
use super::service::Service;

pub use observed::{Observed, States};

/// How long a look may take before it counts as failed, as for a sample.
const LOOK_LIMIT: Duration = Duration::from_secs(5);
/// How long transitions may take by default, as for a recovery.
const DEFAULT_LIMIT: Duration = Duration::from_secs(30);

/// The states that a victim goes through, looked at from
/// [`ChaosContext::transitions`](crate::ChaosContext::transitions) on until the context ends. A
/// cheap handle.
///
/// ```no_run
/// # async fn body(chaos: &chaos_test::ChaosContext, cache: &chaos_test::Service) -> chaos_test::Result {
/// use chaos_test::prelude::*;
/// use chaos_test::{Error, Observed, link};
/// let look = || async { Ok::<_, Error>(Observed::state("closed")) }; // ask the shop
/// let breaker = chaos.transitions("breaker", look, ms(10));
/// let outage = chaos.inject(link::down(cache)).await?;
/// breaker.reaches("open").since(outage.injected()).within(secs(2)).await?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Transitions {
    watch: Arc<Watch>,
    inner: Arc<Inner>,
}

impl std::fmt::Debug for Transitions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Transitions")
            .field("of", &self.watch.of)
            .finish_non_exhaustive()
    }
}

struct Watch {
    of: String,
    interval: Duration,
    since: Duration,
    history: Mutex<History>,
    news: watch::Sender<u64>,
}

/// All that look at states in one context.
#[derive(Default)]
pub(super) struct Watches(Mutex<Vec<AbortHandle>>);

impl Watches {
    /// Whether there are any.
    pub(super) fn are_there(&self) -> bool {
        !lock(&self.0).is_empty()
    }

    pub(super) fn stop(&self) {
        lock(&self.0).drain(..).for_each(|task| task.abort());
    }
}

impl Transitions {
    #[track_caller]
    fn start(inner: &Arc<Inner>, of: String, interval: Duration, history: History) -> Self {
        assert!(
            !of.trim().is_empty(),
            "states need a name: say whose they are, as in \"breaker\""
        );
        assert!(
            !interval.is_zero(),
            "an interval between looks cannot be zero"
        );
        let watch = Arc::new(Watch {
            of,
            interval,
            since: inner.recorder.now(),
            history: Mutex::new(history),
            news: watch::Sender::new(0),
        });
        Self {
            watch,
            inner: Arc::clone(inner),
        }
    }

    fn runs(&self, task: AbortHandle) {
        lock(&self.inner.transitions.0).push(task);
        // One that comes too late, after the context has ended, looks at nothing.
        if *self.inner.ended.borrow() {
            self.inner.transitions.stop();
        }
    }

    /// From what a closure returns.
    #[track_caller]
    pub(super) fn seen<F, Answer, T, E>(
        inner: &Arc<Inner>,
        of: String,
        look: F,
        interval: Duration,
    ) -> Self
    where
        F: Fn() -> Answer + Send + Sync + 'static,
        Answer: Future<Output = Result<T, E>> + Send + 'static,
        T: States,
        E: Display,
    {
        let this = Self::start(inner, of, interval, History::default());
        let (watch, weak) = (Arc::clone(&this.watch), Arc::downgrade(inner));
        let task = engine::probes().spawn(async move {
            let mut due = watch.since;
            loop {
                let Some(asked) = begin(&weak, due).await else {
                    return;
                };
                let answer = tokio::time::timeout(LOOK_LIMIT, look()).await;
                let Some(inner) = weak.upgrade() else { return };
                match answer {
                    Ok(Ok(seen)) => {
                        let Observed {
                            state,
                            counted,
                            calls,
                        } = seen.into_observed();
                        let sight = Sight {
                            asked,
                            answered: inner.recorder.now(),
                            state,
                            counted,
                            calls,
                        };
                        watch.see(&inner, sight);
                    }
                    Ok(Err(error)) => watch.failed(error.to_string()),
                    Err(_) => watch.failed("no answer within 5 s".to_owned()),
                }
                due = (due + watch.interval).max(inner.recorder.now());
            }
        });
        this.runs(task.abort_handle());
        this
    }

    /// From what a service prints.
    #[track_caller]
    pub(super) fn logged(
        inner: &Arc<Inner>,
        of: String,
        service: &Service,
        states: Vec<(String, String)>,
        interval: Duration,
    ) -> Result<Self, Error> {
        for (text, _) in &states {
            assert!(
                !text.is_empty() && !text.contains(['\n', '\r']),
                "what a line is to contain is some text without a line break, not {text:?}"
            );
        }
        let path = service.log_file()?;
        let this = Self::start(inner, of, interval, History::logged());
        let (watch, weak) = (Arc::clone(&this.watch), Arc::downgrade(inner));
        let mut lines = Lines::new(&path, true);
        let task = engine::probes().spawn(async move {
            let (mut due, mut read) = (watch.since, watch.since);
            loop {
                let Some(asked) = begin(&weak, due).await else {
                    return;
                };
                let Some(inner) = weak.upgrade() else { return };
                let until = lines
                    .whole(&path)
                    .map(|lines| (lines, inner.recorder.now()));
                match until {
                    Ok((lines, until)) => {
                        for line in lines {
                            let mut states = states.iter();
                            if let Some((_, state)) = states.find(|(text, _)| line.contains(text)) {
                                watch.read(&inner, state, read, until);
                            }
                        }
                        lock(&watch.history).read_until(asked, until);
                        watch.news.send_modify(|count| *count += 1);
                        read = asked;
                    }
                    Err(error) => {
                        watch.failed(format!("{} cannot be read: {error}", path.display()));
                    }
                }
                due = (due + watch.interval).max(inner.recorder.now());
            }
        });
        this.runs(task.abort_handle());
        Ok(this)
    }

    /// Expects a state to be entered; say since when and within what, then await it.
    #[track_caller]
    pub fn reaches(&self, state: impl Display) -> Reached {
        self.goes_through([state])
    }

    /// Expects these states to be entered, one after the other; others may lie between them. Say
    /// since when and within what, then await it.
    ///
    /// ```no_run
    /// # async fn body(breaker: &chaos_test::Transitions, lifted: chaos_test::Moment) -> chaos_test::Result {
    /// use chaos_test::secs;
    /// breaker.goes_through(["half-open", "closed"]).since(lifted).within(secs(5)).await?;
    /// for (state, _, until) in breaker.seen_so_far() {
    ///     println!("{state}, at {until} at the latest");
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Panics
    ///
    /// If there are none.
    #[track_caller]
    pub fn goes_through<S: Display>(&self, states: impl IntoIterator<Item = S>) -> Reached {
        let states: Vec<String> = states.into_iter().map(|state| state.to_string()).collect();
        assert!(!states.is_empty(), "a sequence has at least one state");
        Reached {
            expected: Expected {
                of: self.watch.of.clone(),
                states,
                only: false,
                since: self.watch.since,
                within: DEFAULT_LIMIT,
                calls: None,
                interval: self.watch.interval,
            },
            transitions: self.clone(),
            counts: None,
            at: Location::caller().to_string(),
            judged: false,
        }
    }

    /// The states that were entered so far, in order, each with the instants between which that
    /// was; the first one was found.
    ///
    /// See [`goes_through`](Self::goes_through) for an example.
    #[must_use]
    pub fn seen_so_far(&self) -> Vec<(String, Option<Moment>, Moment)> {
        let history = lock(&self.watch.history);
        let entries = history.entries().iter();
        entries
            .map(|entry| {
                let Entry {
                    state,
                    after,
                    until,
                    ..
                } = entry;
                (state.clone(), after.map(Moment), Moment(*until))
            })
            .collect()
    }
}

/// Waits until a look is due. When it begins; nothing where the context is gone.
async fn begin(inner: &Weak<Inner>, due: Duration) -> Option<Duration> {
    let started = inner.upgrade()?.recorder.started();
    sleep_until(started + due).await;
    Some(inner.upgrade()?.recorder.now())
}

impl Watch {
    fn see(&self, inner: &Inner, sight: Sight) {
        let mut history = lock(&self.history);
        let before = history.entries().last().map(|entry| entry.state.clone());
        let new = history.see(sight);
        drop(history);
        self.tell(inner, before, &new);
        self.news.send_modify(|count| *count += 1);
    }

    fn read(&self, inner: &Inner, state: &str, after: Duration, until: Duration) {
        let mut history = lock(&self.history);
        let before = history.entries().last().map(|entry| entry.state.clone());
        let entry = history.read(state, Some(after), until);
        drop(history);
        // What is read from a log is as good as seen.
        let entry = Entry {
            unseen: false,
            ..entry
        };
        self.tell(inner, before, &[entry]);
    }

    fn tell(&self, inner: &Inner, mut before: Option<String>, new: &[Entry]) {
        for entry in new {
            inner.recorder.record(Event::Transition {
                of: self.of.clone(),
                from: before.replace(entry.state.clone()),
                to: entry.state.clone(),
                unseen: entry.unseen,
            });
        }
    }

    fn failed(&self, why: String) {
        lock(&self.history).failed(why);
        self.news.send_modify(|count| *count += 1);
    }
}

/// Waits until states were entered and judges it; made by [`Transitions::reaches`] and
/// [`Transitions::goes_through`]. Await it.
///
/// A state was entered between two looks. Where that decides, because the limit or the instant
/// from which states count lies between them, there is no data: look more often. The state in which the first look finds the victim was
/// not entered since then.
///
/// Where it is dropped without being awaited the test cannot pass: it says that this was never
/// judged.
///
/// ```no_run
/// # async fn body(breaker: &chaos_test::Transitions, requests: &chaos_test::Monitor, outage: &chaos_test::Injection) -> chaos_test::Result {
/// use chaos_test::secs;
/// let opened = breaker
///     .reaches("open")
///     .since(outage.injected())
///     .within(secs(2)) // 30 s by default
///     .within_calls(5)
///     .of(requests) // whose samples are the calls
///     .and_nothing_else()
///     .await?;
/// println!("it was open at {opened}");
/// # Ok(()) }
/// ```
#[must_use = "nothing is judged until it is awaited"]
#[derive(Debug)]
pub struct Reached {
    transitions: Transitions,
    expected: Expected,
    counts: Option<Counts>,
    at: String,
    judged: bool,
}

/// A monitor whose samples are the calls.
#[derive(Clone)]
struct Counts(Arc<Watcher>);

impl std::fmt::Debug for Counts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Counts").field(&self.0.name).finish()
    }
}

impl Reached {
    /// From which instant on states count: usually when the fault was injected. From the first
    /// look, by default.
    pub fn since(mut self, moment: Moment) -> Self {
        self.expected.since = moment.into();
        self
    }

    /// How long the last of them may take; 30 seconds by default.
    ///
    /// # Panics
    ///
    /// If it is zero.
    #[track_caller]
    pub fn within(mut self, limit: Duration) -> Self {
        assert!(!limit.is_zero(), "a state needs some time to be entered");
        self.expected.within = limit;
        self
    }

    /// How many calls there may be from that instant until the first of them is entered: those
    /// that the victim counts ([`Observed::calls`]), or those of a monitor ([`of`](Self::of)).
    ///
    /// Both are known at looks only; where the limit lies between two, there is no data.
    pub fn within_calls(mut self, calls: u64) -> Self {
        self.expected.calls = Some(calls);
        self
    }

    /// The samples that this monitor sends are the calls.
    pub fn of(mut self, monitor: &Monitor) -> Self {
        self.counts = Some(Counts(Arc::clone(&monitor.watcher)));
        self
    }

    /// Nothing else may lie before them or between them.
    pub fn and_nothing_else(mut self) -> Self {
        self.expected.only = true;
        self
    }

    async fn judge(mut self) -> Result<Moment, Error> {
        self.judged = true;
        let inner = Arc::clone(&self.transitions.inner);
        let _call = inner.enter().await?;
        if inner.is_hypothetical_now() {
            dry::not_judged(&inner, &self.judgement(), &self.at);
            return Ok(Moment(inner.recorder.now()));
        }
        let states = self.expected.states.join(", then ");
        let _going = inner.going(format!("waiting for {} to be {states}", self.expected.of));
        tokio::select! {
            () = self.until_decided() => {}
            ended = inner.until_ended() => return Err(ended),
        }
        let judgement = self.judgement();
        let reached = {
            let history = lock(&self.transitions.watch.history);
            let found = history.follow(&self.expected.states, self.expected.since);
            found.last().map(|entry| Moment(entry.until))
        };
        conclude(&inner, &[judgement], &self.at)?;
        reached.ok_or_else(|| Error::new(Kind::NoData, "it was never entered"))
    }

    fn judgement(&self) -> crate::decide::tolerance::Judgement {
        let history = lock(&self.transitions.watch.history);
        let since = self.expected.since;
        self.expected.judge(&history, |entry| {
            let Counts(watcher) = self.counts.as_ref()?;
            let until = |at: Duration| watcher.sent_between(since, at) as u64;
            Some((entry.after.map_or(0, until), until(entry.until)))
        })
    }

    async fn until_decided(&self) {
        let watch = &self.transitions.watch;
        let mut news = watch.news.subscribe();
        // The last look may begin at the last instant, and needs its answer.
        let end = self.expected.since + self.expected.within + watch.interval * 2 + LOOK_LIMIT;
        let end = sleep_until(self.transitions.inner.recorder.started() + end);
        tokio::pin!(end);
        while !self.expected.is_decided(&lock(&watch.history)) {
            tokio::select! {
                _ = news.changed() => {}
                () = &mut end => return,
            }
        }
    }
}

impl Drop for Reached {
    fn drop(&mut self) {
        // A panic fails the test already, and says more.
        if self.judged || std::thread::panicking() {
            return;
        }
        let judgement = self.expected.judge(&History::default(), |_| None);
        debug_assert_eq!(judgement.met, Met::NoData);
        let unjudged = unjudged(judgement, "await it");
        record(&self.transitions.inner, &unjudged, &self.at);
    }
}

impl IntoFuture for Reached {
    type Output = Result<Moment, Error>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(engine::run_on(engine::own(), self.judge()))
    }
}
