//! Judgements on their way into the journal: written down, and turned into the error of whoever
//! asked for them. It decides nothing.

use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use crate::decide::tolerance::Judgement;
use crate::error::{Error, Kind};
use crate::model::event::{Event, Met};
use crate::system::Ledger;

use super::dry;
use super::inner::Inner;

/// What is expected and was not judged yet. Where it is dropped unjudged, the test cannot pass.
pub(super) struct Judging {
    inner: Arc<Inner>,
    /// With where each was expected.
    judgements: Vec<(Judgement, String)>,
    /// Until when that was seen which is judged.
    until: Duration,
    judged: bool,
}

impl std::fmt::Debug for Judging {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Judging").field(&self.judgements).finish()
    }
}

impl Judging {
    pub(super) fn new(inner: Arc<Inner>) -> Self {
        let now = inner.recorder.now();
        Self::until(inner, now)
    }

    /// Of what was seen until an instant.
    pub(super) fn until(inner: Arc<Inner>, until: Duration) -> Self {
        Self {
            inner,
            until,
            judgements: Vec::new(),
            judged: false,
        }
    }

    #[track_caller]
    pub(super) fn add(&mut self, judgement: Judgement) {
        let at = Location::caller().to_string();
        self.judgements.push((judgement, at));
    }

    /// Records all of them, with every miss, each with where it was expected.
    pub(super) fn check(mut self) -> Result<(), Error> {
        self.judged = true;
        if self.inner.is_hypothetical(self.until) {
            for (judgement, at) in &self.judgements {
                dry::not_judged(&self.inner, judgement, at);
            }
            return Ok(());
        }
        judge(
            &self.inner,
            self.judgements
                .iter()
                .map(|(judgement, at)| (judgement, at.as_str())),
        )
    }
}

impl Drop for Judging {
    fn drop(&mut self) {
        // A panic fails the test already, and says more.
        if self.judged || std::thread::panicking() {
            return;
        }
        for (judgement, at) in &self.judgements {
            let unjudged = unjudged(judgement.clone(), "call `.check()`");
            record(&self.inner, &unjudged, at);
        }
    }
}

/// What there is to say of something that was expected and that nobody had judged.
pub(super) fn unjudged(judgement: Judgement, help: &str) -> Judgement {
    Judgement {
        actual: format!("was never judged: {help}"),
        met: Met::NoData,
        measured: Vec::new(),
        evidence: Vec::new(),
        ..judgement
    }
}

/// Writes a judgement down; in a dry run, that it was not made.
pub(super) fn record(inner: &Inner, judgement: &Judgement, at: &str) {
    if inner.is_hypothetical_now() {
        dry::not_judged(inner, judgement, at);
    } else {
        write(inner, judgement, at);
    }
}

pub(super) fn write(inner: &Inner, judgement: &Judgement, at: &str) {
    inner.recorder.record(Event::Judged {
        what: judgement.what.clone(),
        expected: judgement.expected.clone(),
        actual: judgement.actual.clone(),
        met: judgement.met,
        at: at.to_owned(),
        measured: judgement.measured.clone(),
        evidence: judgement.evidence.clone(),
    });
}

/// Records judgements and turns those that were not met into an error. In a dry run none is made.
pub(super) fn conclude(inner: &Inner, judgements: &[Judgement], at: &str) -> Result<(), Error> {
    if inner.is_hypothetical_now() {
        for judgement in judgements {
            dry::not_judged(inner, judgement, at);
        }
        return Ok(());
    }
    judge(inner, judgements.iter().map(|judgement| (judgement, at)))
}

fn judge<'a>(
    inner: &Inner,
    judgements: impl Iterator<Item = (&'a Judgement, &'a str)>,
) -> Result<(), Error> {
    let mut judged = Vec::new();
    for (judgement, at) in judgements {
        write(inner, judgement, at);
        judged.push(judgement);
    }
    let missed: Vec<String> = judged
        .iter()
        .filter(|judgement| judgement.met != Met::Yes)
        .map(|judgement| {
            format!(
                "{}: {}, expected {}",
                judgement.what, judgement.actual, judgement.expected
            )
        })
        .collect();
    if missed.is_empty() {
        return Ok(());
    }
    let deviated = judged.iter().any(|judgement| judgement.met == Met::No);
    let kind = if deviated {
        Kind::Deviated
    } else {
        Kind::NoData
    };
    Err(Error::new(kind, missed.join("\n")))
}
