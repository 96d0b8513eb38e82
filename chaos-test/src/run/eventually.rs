//! A condition that must come true within a limit: asking it at its pace, and judging.

mod asker;

use std::any::Any;
use std::future::IntoFuture;
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use crate::decide::eventually::{Looked, came_true};
use crate::error::{Error, Kind};
use crate::model::evidence::{Evidence, Shows};
use crate::model::sample::Window;
use crate::model::units::{human, ms};
use crate::probe::{Condition, Seen};
use crate::system::proxy::sleep_until;

use super::dry;
use super::engine;
use super::inner::Inner;
use super::judging::{conclude, record, unjudged};
use super::moment::Moment;

use asker::{Answer, Asker};

/// How long it may take by default, as for a recovery.
const DEFAULT_LIMIT: Duration = Duration::from_secs(30);
/// The longest default pace. Nobody who is asked that often feels it.
const DEFAULT_INTERVAL: Duration = Duration::from_millis(50);
/// How often it is asked by default at least, where the limit is short.
const LEAST_CALLS: u32 = 10;
/// How long a call may take by default before it counts as failed, as for a sample.
const DEFAULT_CALL_TIMEOUT: Duration = Duration::from_secs(5);
/// So many calls may block their threads before nobody is asked any more.
const MOST_BLOCKED: usize = 8;
/// How long it is asked in a dry run, where the test needs its value.
const DRY_LIMIT: Duration = Duration::from_secs(1);

/// Waits until a condition comes true and judges it; made by
/// [`ChaosContext::eventually`](crate::ChaosContext::eventually). Await it.
///
/// It is asked at once and then at a steady pace, one call at a time. It has come true with the
/// first call that says so within the limit: an answer that comes later does not count, however
/// early it was asked for.
///
/// A call that returns an error, panics or takes too long has failed, and the next one is made
/// when it is due. If every call failed until the limit, the hypothesis deviated: what cannot be
/// asked is not seen to be true. Only where not a single call was answered, because the first one
/// still hangs when the time is over, is there no data to judge.
///
/// Where it is dropped without being awaited the test cannot pass: it says that the condition
/// was never judged.
///
/// ```no_run
/// # async fn body(chaos: &chaos_test::ChaosContext) -> chaos_test::Result {
/// use chaos_test::prelude::*;
/// chaos
///     .eventually("the queue is empty", async || {
///         let waiting = std::fs::read_dir("/var/spool/shop")?.count();
///         Ok::<_, std::io::Error>((waiting == 0, waiting)) // a miss says what was seen last
///     })
///     .within(secs(10)) // 30 s by default
///     .every(ms(200)) // 50 ms by default
///     .await?;
/// # Ok(()) }
/// ```
#[must_use = "nothing is judged until it is awaited"]
pub struct Eventually<C: Condition> {
    inner: Arc<Inner>,
    what: String,
    condition: Arc<C>,
    since: Duration,
    limit: Duration,
    interval: Option<Duration>,
    call_timeout: Duration,
    at: String,
    judged: bool,
}

impl<C: Condition> std::fmt::Debug for Eventually<C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Eventually")
            .field("what", &self.what)
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

impl<C: Condition> Eventually<C> {
    #[track_caller]
    pub(super) fn new(inner: Arc<Inner>, what: String, condition: C) -> Self {
        assert!(
            !what.trim().is_empty(),
            "a condition needs words: say what is to come true, as in \"an alert was raised\""
        );
        Self {
            since: inner.recorder.now(),
            inner,
            what,
            condition: Arc::new(condition),
            limit: DEFAULT_LIMIT,
            interval: None,
            call_timeout: DEFAULT_CALL_TIMEOUT,
            at: Location::caller().to_string(),
            judged: false,
        }
    }

    /// How long it may take; 30 seconds by default.
    ///
    /// # Panics
    ///
    /// If it is zero.
    #[track_caller]
    pub fn within(mut self, limit: Duration) -> Self {
        assert!(!limit.is_zero(), "a condition needs some time to come true");
        self.limit = limit;
        self
    }

    /// From which instant the limit counts: when a fault was injected or lifted, say. From
    /// this call, by default.
    ///
    /// ```no_run
    /// # async fn body(chaos: &chaos_test::ChaosContext, outage: &chaos_test::Injection, shop: &chaos_test::Service) -> chaos_test::Result {
    /// use chaos_test::prelude::*;
    /// chaos
    ///     .eventually("an alert was raised", shop.log()?.contains("ALERT"))
    ///     .since(outage.injected())
    ///     .within(secs(10)) // of the fault
    ///     .call_timeout(secs(1))
    ///     .await?;
    /// # Ok(()) }
    /// ```
    pub fn since(mut self, moment: Moment) -> Self {
        self.since = moment.into();
        self
    }

    /// How often it is asked; every 50 ms by default, or ten times within a shorter limit.
    ///
    /// # Panics
    ///
    /// If the interval is zero.
    #[track_caller]
    pub fn every(mut self, interval: Duration) -> Self {
        assert!(!interval.is_zero(), "a condition's interval cannot be zero");
        self.interval = Some(interval);
        self
    }

    /// How long a call may take before it counts as failed and the next one is made; 5 seconds
    /// by default.
    ///
    /// A call that blocks its thread is left alone with it, and the next one gets a new thread.
    /// After eight of these nobody is asked any more.
    ///
    /// See [`since`](Self::since) for an example.
    ///
    /// # Panics
    ///
    /// If it is zero.
    #[track_caller]
    pub fn call_timeout(mut self, timeout: Duration) -> Self {
        assert!(!timeout.is_zero(), "a call needs some time");
        self.call_timeout = timeout;
        self
    }

    async fn judge(mut self) -> Result<C::Value, Error> {
        self.judged = true;
        let inner = Arc::clone(&self.inner);
        let _call = inner.enter().await?;
        if inner.is_hypothetical_now() {
            return self.hypothetical().await;
        }
        let _going = inner.going(format!("waiting until: {}", self.what));
        let mut looked = Looked::default();
        // Dropped with this, which ends the call that is under way.
        let came = tokio::select! {
            came = self.until_true(&mut looked) => came,
            ended = inner.until_ended() => return Err(ended),
        };
        let mut judgement = match &came {
            Some(came) => came_true(&self.what, self.limit, came.took, &came.seen),
            None => looked.judge(&self.what, self.limit),
        };
        let window = Window {
            from: self.since,
            to: inner.recorder.now().max(self.since),
        };
        judgement.evidence = vec![Evidence::new(
            &self.what,
            window,
            looked.answered(),
            Shows::Calls,
        )];
        conclude(&inner, &[judgement], &self.at)?;
        came.map(|came| came.value)
            .ok_or_else(|| Error::new(Kind::NoData, "it did not come true"))
    }

    /// In a dry run nothing has to come true. But where the test gets a value, there is none as
    /// long as nothing does, so it is asked for a moment.
    async fn hypothetical(mut self) -> Result<C::Value, Error> {
        let inner = Arc::clone(&self.inner);
        let judgement = Looked::default().judge(&self.what, self.limit);
        dry::not_judged(&inner, &judgement, &self.at);
        let mut nothing: Option<C::Value> = None;
        if let Some(value) = (&mut nothing as &mut dyn Any).downcast_mut::<Option<()>>() {
            *value = Some(());
        }
        if let Some(value) = nothing {
            return Ok(value);
        }
        self.since = inner.recorder.now();
        self.limit = self.limit.min(DRY_LIMIT);
        let mut looked = Looked::default();
        let came = tokio::select! {
            came = self.until_true(&mut looked) => came,
            ended = inner.until_ended() => return Err(ended),
        };
        came.map(|came| came.value).ok_or_else(|| {
            Error::new(
                Kind::NoData,
                format!(
                    "dry run: the test cannot go on, because `{}` gives it a value that only comes \
                     when something is broken",
                    self.what
                ),
            )
        })
    }

    /// Asks at its pace; nothing where the time is over.
    async fn until_true(&self, looked: &mut Looked) -> Option<Came<C::Value>> {
        let recorder = &self.inner.recorder;
        let deadline = self.since.saturating_add(self.limit);
        let interval = self.interval();
        let mut due = recorder.now();
        let mut blocked = 0;
        let mut asker = Asker::new(Arc::clone(&self.condition), &self.inner);
        while due < deadline {
            sleep_until(recorder.started() + due).await;
            let asked = recorder.now();
            let call_limit = deadline.saturating_sub(asked).min(self.call_timeout);
            self.inner.sample_sent();
            let answer = asker.ask(call_limit).await;
            self.inner.sample_answered(asked);
            match answer {
                // Answered when nobody waited any more.
                Answer::Seen(_, at) if at > deadline => {
                    looked.cut_off();
                    return None;
                }
                Answer::Seen(Seen::True { value, seen }, at) => {
                    let took = at.saturating_sub(self.since);
                    return Some(Came { value, seen, took });
                }
                Answer::Seen(Seen::NotYet(seen), _) => looked.not_yet(&seen),
                Answer::Seen(Seen::Failed(why), _) => looked.failed(&why),
                // It was the whole limit that ended, and not the call's own: nothing was seen.
                Answer::Late { .. } if call_limit < self.call_timeout => {
                    looked.cut_off();
                    return None;
                }
                Answer::Late { blocks } => {
                    let timeout = human(self.call_timeout);
                    if !blocks {
                        looked.failed(&format!("no answer within {timeout}"));
                    } else {
                        blocked += 1;
                        looked.failed(&format!(
                            "no answer within {timeout}, and it blocks its thread"
                        ));
                        asker = Asker::new(Arc::clone(&self.condition), &self.inner);
                    }
                    if blocked == MOST_BLOCKED {
                        looked.give_up(&format!(
                            "{blocked} calls block their threads, so it was not asked any more: \
                             have it wait with `.await`"
                        ));
                        return None;
                    }
                }
            }
            due = (due + interval).max(recorder.now());
        }
        sleep_until(recorder.started() + deadline).await;
        None
    }

    fn interval(&self) -> Duration {
        let shortest = ms(1);
        self.interval
            .unwrap_or_else(|| (self.limit / LEAST_CALLS).clamp(shortest, DEFAULT_INTERVAL))
    }
}

/// A condition that came true.
struct Came<T> {
    value: T,
    seen: String,
    took: Duration,
}

impl<C: Condition> Drop for Eventually<C> {
    fn drop(&mut self) {
        // A panic fails the test already, and says more.
        if self.judged || std::thread::panicking() {
            return;
        }
        let judgement = Looked::default().judge(&self.what, self.limit);
        record(&self.inner, &unjudged(judgement, "await it"), &self.at);
    }
}

impl<C: Condition> IntoFuture for Eventually<C> {
    type Output = Result<C::Value, Error>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(engine::run_on(engine::own(), self.judge()))
    }
}
