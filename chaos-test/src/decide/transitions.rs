//! Through which states a system under test has gone, from looks at what it shows of them.
//!
//! A state is seen at instants, so it was entered at some time between two of them, and one that
//! is shorter than that may never be seen. Where the victim counts how often it entered a state,
//! the count tells of those, too.

use std::time::Duration;

use crate::model::event::Met;
use crate::model::evidence::{Evidence, Shows};
use crate::model::sample::Window;
use crate::model::units::human;

use super::tolerance::Judgement;

/// One look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sight {
    /// When it was asked for.
    pub asked: Duration,
    /// When the answer was there.
    pub answered: Duration,
    /// The state.
    pub state: String,
    /// How often states were entered so far, as the victim counts it.
    pub counted: Vec<(String, u64)>,
    /// How many calls there were so far, as the victim counts them.
    pub calls: Option<u64>,
}

/// The entry into a state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The state.
    pub state: String,
    /// After which instant: nothing before the first look is known.
    pub after: Option<Duration>,
    /// Until which instant.
    pub until: Duration,
    /// Whether it was counted or logged, and never seen itself.
    pub unseen: bool,
    /// Whether others were counted between the same two looks, so that nobody knows which of them
    /// came first.
    pub unordered: bool,
    /// The victim's count of calls at the last look before and at the first one after.
    pub calls: (Option<u64>, Option<u64>),
}

/// All that is known of the states of one victim.
#[derive(Debug, Clone, Default)]
pub struct History {
    entries: Vec<Entry>,
    last: Option<Sight>,
    sights: Vec<(Duration, Duration, Option<u64>)>,
    failed: usize,
    last_error: Option<String>,
    /// Whether states come from lines of a log, none of which is missed.
    logged: bool,
}

impl History {
    /// One that is told of every state, as by a log.
    #[must_use]
    pub fn logged() -> Self {
        Self {
            logged: true,
            ..Self::default()
        }
    }

    /// One more look. What it tells of new, in order.
    pub fn see(&mut self, sight: Sight) -> Vec<Entry> {
        let before = self.last.take();
        let calls = (before.as_ref().and_then(|last| last.calls), sight.calls);
        let entered = |state: &str, unseen: bool, unordered: bool| Entry {
            state: state.to_owned(),
            after: before.as_ref().map(|last| last.asked),
            until: sight.answered,
            unseen,
            unordered,
            calls,
        };
        let changed = before.as_ref().is_none_or(|last| last.state != sight.state);
        let mut unseen: Vec<(&str, u64)> = Vec::new();
        if let Some(last) = &before {
            for (state, count) in &sight.counted {
                let known = last.counted.iter().find(|(known, _)| known == state);
                // A victim that was started again counts from the beginning.
                let more = known.map_or(0, |(_, known)| count.saturating_sub(*known));
                let seen = u64::from(changed && *state == sight.state);
                if more > seen {
                    unseen.push((state, more - seen));
                }
            }
        }
        let unordered = unseen.len() > 1;
        let mut new: Vec<Entry> = Vec::new();
        for (state, count) in unseen {
            // A hundred entries between two looks say no more than a few.
            for _ in 0..count.min(3) {
                new.push(entered(state, true, unordered));
            }
        }
        // Entered again, where another one came between.
        let again = new.last().is_some_and(|last| last.state != sight.state);
        if changed || again {
            new.push(entered(&sight.state, false, false));
        }
        self.entries.extend(new.clone());
        self.sights.push((sight.asked, sight.answered, sight.calls));
        self.last = Some(sight);
        new
    }

    /// A line of a log tells of a state that was entered since the last time it was read. What
    /// that tells of new.
    pub fn read(&mut self, state: &str, after: Option<Duration>, until: Duration) -> Entry {
        let entry = Entry {
            state: state.to_owned(),
            after,
            until,
            unseen: true,
            unordered: false,
            calls: (None, None),
        };
        self.entries.push(entry.clone());
        entry
    }

    /// A log was read until its end.
    pub fn read_until(&mut self, asked: Duration, answered: Duration) {
        self.sights.push((asked, answered, None));
    }

    /// A look failed.
    pub fn failed(&mut self, why: String) {
        self.failed += 1;
        self.last_error = Some(why);
    }

    /// All entries, in order.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// When the last look was asked for that was answered.
    #[must_use]
    pub fn seen_until(&self) -> Option<Duration> {
        self.sights.last().map(|(asked, ..)| *asked)
    }

    /// The first entries into these states in their order, of those since an instant; as far as
    /// they have come. Others may lie between them. One that may have been entered before that
    /// instant is taken only where there is no row without it.
    #[must_use]
    pub fn follow(&self, states: &[String], since: Duration) -> Vec<&Entry> {
        let surely = self.follow_where(states, |entry| is_surely_since(entry, since));
        if surely.len() == states.len() {
            return surely;
        }
        self.follow_where(states, |entry| is_since(entry, since))
    }

    fn follow_where(&self, states: &[String], counts: impl Fn(&Entry) -> bool) -> Vec<&Entry> {
        let mut wanted = states.iter();
        let mut next = wanted.next();
        let mut found = Vec::new();
        for entry in self.entries.iter().filter(|entry| counts(entry)) {
            if next == Some(&entry.state) {
                found.push(entry);
                next = wanted.next();
            }
        }
        found
    }

    /// How many calls lie between an instant and an entry, as the victim counts them: at least and
    /// at most.
    fn calls_until(&self, entry: &Entry, since: Duration) -> Option<(u64, u64)> {
        let until = self.sights.iter().rev();
        let earlier = until
            .clone()
            .find(|(_, answered, _)| *answered <= since)
            .and_then(|(_, _, calls)| *calls);
        let later = self
            .sights
            .iter()
            .find(|(asked, ..)| *asked >= since)
            .and_then(|(_, _, calls)| *calls);
        let (before, after) = entry.calls;
        // What was counted before the instant is unknown where nobody had looked by then.
        let most = after?.saturating_sub(earlier?);
        let least = match (before, later) {
            (Some(before), Some(later)) => before.saturating_sub(later),
            _ => 0,
        };
        Some((least, most))
    }

    fn shown(&self, since: Duration) -> String {
        const SHOWN: usize = 8;
        let entries: Vec<&Entry> = self
            .entries
            .iter()
            .filter(|entry| is_since(entry, since))
            .collect();
        let before = self
            .entries
            .iter()
            .rfind(|entry| !is_since(entry, since))
            .map_or(String::new(), |entry| format!("`{}` before, ", entry.state));
        if entries.is_empty() {
            return format!("{before}nothing since");
        }
        let mut shown: Vec<String> = entries
            .iter()
            .take(SHOWN)
            .map(|entry| {
                let after = human(entry.until.saturating_sub(since));
                let unseen = if entry.unseen && !self.logged {
                    ", counted and not seen"
                } else {
                    ""
                };
                format!("`{}` (by {after}{unseen})", entry.state)
            })
            .collect();
        if entries.len() > SHOWN {
            shown.push(format!("{} more", entries.len() - SHOWN));
        }
        format!("{before}{}", shown.join(", "))
    }
}

/// Whether a state may have been entered after an instant. The one in which the first look found
/// the victim was entered at no known time.
fn is_since(entry: &Entry, since: Duration) -> bool {
    entry.after.is_some() && entry.until > since
}

/// Whether it was, and not between two looks with the instant between them.
fn is_surely_since(entry: &Entry, since: Duration) -> bool {
    entry.after.is_some_and(|after| after >= since)
}

/// What is expected of the states.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    /// Whose, as it is called in reports.
    pub of: String,
    /// To be entered in this order.
    pub states: Vec<String>,
    /// Whether nothing else may lie between them or before them.
    pub only: bool,
    /// From which instant on.
    pub since: Duration,
    /// How long the last one may take from then.
    pub within: Duration,
    /// How many calls there may be from then until the first one is entered.
    pub calls: Option<u64>,
    /// How often is looked, for the message.
    pub interval: Duration,
}

/// Calls until the first state was entered, at least and at most, where somebody counts them.
pub type Calls = Option<(u64, u64)>;

impl Expected {
    /// Whether there is nothing to wait for any more.
    #[must_use]
    pub fn is_decided(&self, history: &History) -> bool {
        let end = self.since + self.within;
        history.follow(&self.states, self.since).len() == self.states.len()
            || history.seen_until().is_some_and(|asked| asked > end)
    }

    /// Judges it by all that is known. `counted` tells of calls that somebody else counts.
    #[must_use]
    pub fn judge(&self, history: &History, counted: impl Fn(&Entry) -> Calls) -> Judgement {
        let found = history.follow(&self.states, self.since);
        let end = self.since + self.within;
        let shown = history.shown(self.since);
        let looks = history
            .sights
            .iter()
            .filter(|(_, answered, _)| *answered > self.since)
            .count();
        let last = found.last().filter(|_| found.len() == self.states.len());
        let to = last.map_or(history.seen_until().unwrap_or(self.since), |last| {
            last.until
        });
        let window = Window {
            from: self.since,
            to: to.max(self.since),
        };
        let (met, actual) = match found.last() {
            Some(last) if found.len() == self.states.len() => {
                self.judge_found(history, &found, last, counted, &shown)
            }
            _ if looks == 0 => {
                let why = match &history.last_error {
                    Some(why) => format!("no look was answered, the last: {why}"),
                    None => "nobody looked".to_owned(),
                };
                (Met::NoData, why)
            }
            _ => {
                let missing = &self.states[found.len()];
                let late = history.seen_until().is_some_and(|asked| asked >= end);
                let hint = if history.logged {
                    String::new()
                } else {
                    format!(
                        "; a state shorter than the {} between two looks can be missed: look more \
                         often, or have the victim count it",
                        human(self.interval)
                    )
                };
                let met = if late { Met::No } else { Met::NoData };
                let failed = match (&history.last_error, history.failed) {
                    (Some(why), failed) => format!("; {failed} looks failed, the last: {why}"),
                    _ => String::new(),
                };
                (met, format!("never `{missing}`: {shown}{failed}{hint}"))
            }
        };
        Judgement {
            what: format!("transitions of {}", self.of),
            expected: self.expected(),
            actual,
            met,
            measured: Vec::new(),
            evidence: vec![Evidence::new(&self.of, window, looks, Shows::Looks)],
        }
    }

    fn judge_found(
        &self,
        history: &History,
        found: &[&Entry],
        last: &Entry,
        counted: impl Fn(&Entry) -> Calls,
        shown: &str,
    ) -> (Met, String) {
        let end = self.since + self.within;
        let mut met = Met::Yes;
        let mut notes = Vec::new();
        let mut worse = |to: Met, note: String| {
            if to == Met::No || met == Met::Yes {
                met = to;
            }
            notes.push(note);
        };
        if last.after.is_some_and(|after| after > end) {
            worse(Met::No, format!("`{}` came too late", last.state));
        } else if last.until > end {
            worse(
                Met::NoData,
                format!(
                    "`{}` was entered between {} and {}: look more often",
                    last.state,
                    human(last.after.unwrap_or_default().saturating_sub(self.since)),
                    human(last.until.saturating_sub(self.since))
                ),
            );
        }
        let unsure = |entry: &&&Entry| !is_surely_since(entry, self.since);
        if let Some(entry) = found.iter().find(unsure) {
            worse(
                Met::NoData,
                format!(
                    "`{}` was entered between {} before that instant and {} after it: look more \
                     often",
                    entry.state,
                    human(self.since.saturating_sub(entry.after.unwrap_or_default())),
                    human(entry.until.saturating_sub(self.since))
                ),
            );
        }
        if found.len() > 1 && found.iter().any(|entry| entry.unordered) {
            worse(
                Met::NoData,
                "some were counted between the same two looks, so nobody knows their order".into(),
            );
        }
        if self.only {
            let others = |counts: fn(&Entry, Duration) -> bool| {
                let until = |entry: &&Entry| counts(entry, self.since) && entry.until <= last.until;
                let found = found.iter().filter(|entry| counts(entry, self.since));
                let all = history.entries.iter().filter(until);
                all.count() - found.count()
            };
            match (others(is_surely_since), others(is_since)) {
                (0, 0) => {}
                (0, others) => worse(
                    Met::NoData,
                    format!("{others} others came between, or before that instant"),
                ),
                (_, others) => worse(Met::No, format!("{others} others came between")),
            }
        }
        if let (Some(most), Some(first)) = (self.calls, found.first()) {
            let calls = counted(first).or_else(|| history.calls_until(first, self.since));
            match calls {
                None => worse(
                    Met::NoData,
                    "nobody counts calls: name a monitor with `.of(&requests)`, or have the \
                     victim count them with `Observed::calls`"
                        .into(),
                ),
                Some((least, at_most)) => {
                    let calls = if least == at_most {
                        format!("{at_most} calls")
                    } else {
                        format!("{least} to {at_most} calls")
                    };
                    if at_most <= most {
                        notes.push(format!("after {calls}"));
                    } else if least > most {
                        worse(Met::No, format!("after {calls}"));
                    } else {
                        worse(
                            Met::NoData,
                            format!("after {calls}, which cannot be told: look more often"),
                        );
                    }
                }
            }
        }
        let notes = if notes.is_empty() {
            String::new()
        } else {
            format!("; {}", notes.join("; "))
        };
        (met, format!("{shown}{notes}"))
    }

    fn expected(&self) -> String {
        let states: Vec<String> = self
            .states
            .iter()
            .map(|state| format!("`{state}`"))
            .collect();
        let only = if self.only { " and nothing else" } else { "" };
        let calls = match self.calls {
            Some(calls) => format!(", the first within {calls} calls"),
            None => String::new(),
        };
        format!(
            "{}{only} within {}{calls}",
            states.join(", then "),
            human(self.within)
        )
    }
}

#[cfg(test)]
mod tests;
